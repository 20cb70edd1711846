"""two_and_half: latent heatmaps that carry a depth each, so 2D and depth are one map's expectation.

Shape letters: B batch, K the 21 keypoints, H, W rows and columns of a map, n side of the input.

Position and depth (relative to the middle MCP, in units of wrist to middle MCP) are p_k = softmax H_k,
uv_k = sum p_k (i, j) / n, z_k = sum p_k D_k - z_9. The pose follows from both: with a camera by `model.perspective`,
without one from the scale at which the palm's lengths come out right.

Source:
    Iqbal et al., Hand Pose Estimation via Latent 2.5D Heatmap Regression, ECCV 2018.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from handdata.evaluation.absolute import LENGTHS, PAIRS
from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import Encoder
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.families.pyramid import Pyramid
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.model.read_out import expectation
from handdata.skeleton import NUM_KEYPOINTS, ROOT

LEAST = 0.05  # of the mean square of the palm's lengths that is left to see: a palm end on has no scale


class Depths(NamedTuple):
    """What the network says of a batch.

    Attributes:
        maps_BKHW: float32 probabilities, one distribution a keypoint.
        uv_BK2: float32, their expectations, fractions of the crop side.
        z_BK: float32 depths relative to the middle MCP.
    """

    maps_BKHW: Tensor
    uv_BK2: Tensor
    z_BK: Tensor


class DepthMapNet(nn.Module):
    """Model 2's encoder and decoder with a depth map beside each heatmap, and no 3D head."""

    def __init__(self, model: ModelConfig, ways: Ways) -> None:
        super().__init__()
        self.size = model.size
        self.pyramid = Pyramid(model.width, ways, fine=True)
        channels = self.encoder.channels[0]
        self.map1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.map2 = nn.Conv2d(channels, 2 * NUM_KEYPOINTS, 3, padding=1, bias=False)

    @property
    def encoder(self) -> Encoder:
        """What published weights fill, and what a recipe may freeze."""
        return self.pyramid.encoder

    def forward(self, image_B3HW: Tensor) -> Depths:
        """Return maps, positions and depths of (B, 3, n, n) normalised images."""
        fine = self.pyramid(image_B3HW).up4
        x = interpolate(fine, scale_factor=2, mode="bilinear", align_corners=False)
        logits, depths = self.map2(torch.relu(self.map1(x))).float().chunk(2, dim=1)
        maps = logits.flatten(2).softmax(-1).view_as(logits)
        return Depths(maps, expectation(maps), depth_of(maps, depths))


def depth_of(maps_BKHW: Tensor, depths_BKHW: Tensor) -> Tensor:
    """Return the (B, K) depths where the maps are, relative to the middle MCP's."""
    z = (maps_BKHW * depths_BKHW).sum((-2, -1))
    return z - z[:, ROOT : ROOT + 1]


def pose_of(uv_BK2: Tensor, z_BK: Tensor) -> Tensor:
    """Return the (B, K, 3) pose of a weak perspective: the scale at which the palm's lengths come out right."""
    first, second = (list(ends) for ends in zip(*PAIRS, strict=True))
    flat = (uv_BK2[:, first] - uv_BK2[:, second]).square().sum((-1, -2))
    wanted = float((LENGTHS**2).sum())
    deep = (z_BK[:, first] - z_BK[:, second]).square().sum(-1)
    alpha = torch.sqrt(flat.clamp(min=1e-8) / (wanted - deep).clamp(min=LEAST * wanted))
    xy = (uv_BK2 - uv_BK2[:, ROOT : ROOT + 1]) / alpha[:, None, None]
    return torch.cat((xy, z_BK[..., None]), -1)


def sums(prediction: Depths, labels: Labels, _: LossConfig) -> tuple[Ratio, ...]:
    """Return the absolute differences of position and depth."""
    uv = torch.where(labels.present_2d_BK[..., None], labels.uv_BK2, 0.0)
    z = torch.where(labels.present_3d_BK, labels.xyz_BK3[..., 2], 0.0)
    flat = (prediction.uv_BK2 - uv).abs().mean(-1)
    return masked(flat, labels.present_2d_BK), masked((prediction.z_BK - z).abs(), labels.present_3d_BK)


def read(prediction: Depths, _model: ModelConfig, _rule: str) -> Reading:
    """Return positions; the confidence of one is what its map holds in the 5 x 5 cells about the largest."""
    near = nn.functional.avg_pool2d(prediction.maps_BKHW, 5, stride=1, padding=2) * 25
    return Reading(
        uv_BK2=prediction.uv_BK2,
        xyz_BK3=pose_of(prediction.uv_BK2, prediction.z_BK),
        confidence_BK=near.amax((2, 3)).clamp(max=1.0),
        maps_BKHW=prediction.maps_BKHW,
    )


FAMILY = Family(
    make=DepthMapNet,
    terms=(Term("loss_2d", "2D", 5.0), Term("loss_z", "depth", 1.0)),
    sums=sums,
    read=read,
    read_outs=lambda _: ("expectation",),
    depths=True,
)
