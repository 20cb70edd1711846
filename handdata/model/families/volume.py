"""volume: one 3D heatmap per keypoint, coarse in depth first and finer stage by stage.

Shape letters: B batch, K the 21 keypoints, Z depth cells, H, W rows and columns of a map, n side of the input.

A volume spans the crop and z in [-2, 2] (wrist to middle MCP is 1, the middle MCP is 0), n / 4 x n / 4 x Z cells.
Each stage sees the features and the volume before it and is compared with a Gaussian of one cell, a product of three
profiles that is never written whole; the last one's expectation, too, with the truth.

Source:
    Pavlakos et al., Coarse-to-Fine Volumetric Prediction for Single-Image 3D Human Pose, CVPR 2017; Sun et al.,
    Integral Human Pose Regression, ECCV 2018, for the expectation.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import Encoder
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.families.pyramid import Pyramid
from handdata.model.families.two_and_half import pose_of
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.skeleton import NUM_KEYPOINTS, ROOT

DEPTHS = (1, 4, 16, 32)  # cells of the stages
REACH = 2.0  # of z, units; hands reach 1.7
SIGMA = 1.0  # cells
STRIDE = 4


class Volumes(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logits1_BKZHW, logits2_BKZHW, logits3_BKZHW, logits4_BKZHW: float32, one a stage.
        uv_BK2: float32, the last one's expectation, fractions of the crop side.
        z_BK: float32, relative to the middle MCP.
    """

    logits1_BKZHW: Tensor
    logits2_BKZHW: Tensor
    logits3_BKZHW: Tensor
    logits4_BKZHW: Tensor
    uv_BK2: Tensor
    z_BK: Tensor


class VolumeNet(nn.Module):
    """Model 1's encoder and decoder up to n / 4, and four stages."""

    def __init__(self, model: ModelConfig, ways: Ways) -> None:
        super().__init__()
        self.size = model.size
        self.pyramid = Pyramid(model.width, ways)
        features = self.encoder.channels[1]
        self.stages = nn.ModuleList()
        before = 0
        for depth in DEPTHS:
            first = nn.Conv2d(features + before, 2 * features, 3, padding=1)
            self.stages.append(
                nn.Sequential(first, nn.ReLU(), nn.Conv2d(2 * features, NUM_KEYPOINTS * depth, 3, padding=1))
            )
            before = NUM_KEYPOINTS * depth

    @property
    def encoder(self) -> Encoder:
        """What published weights fill, and what a recipe may freeze."""
        return self.pyramid.encoder

    def forward(self, image_B3HW: Tensor) -> Volumes:
        """Return the stages' volumes and the last one's positions of (B, 3, n, n) normalised images."""
        features = self.pyramid(image_B3HW).up3
        seen, found = features, []
        for depth, stage in zip(DEPTHS, self.stages, strict=True):
            logits = stage(seen)
            found.append(logits.float().unflatten(1, (NUM_KEYPOINTS, depth)))
            seen = torch.cat((features, torch.sigmoid(logits)), 1)
        uv, z = expectation_3d(found[-1].flatten(2).softmax(-1).view_as(found[-1]))
        return Volumes(found[0], found[1], found[2], found[3], uv, z)


def centers(depth: int, device: torch.device) -> Tensor:
    """Return the depths of a volume's cells, (Z,), units."""
    return (torch.arange(depth, device=device, dtype=torch.float32) + 0.5) * (2 * REACH / depth) - REACH


def expectation_3d(volume_BKZHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean position (B, K, 2), fractions, and depth (B, K) less the middle MCP's, of distributions."""
    depth, height, width = volume_BKZHW.shape[2:]
    device = volume_BKZHW.device
    u = (volume_BKZHW.sum((2, 3)) * (torch.arange(width, device=device) / width)).sum(-1)
    v = (volume_BKZHW.sum((2, 4)) * (torch.arange(height, device=device) / height)).sum(-1)
    z = (volume_BKZHW.sum((3, 4)) * centers(depth, device)).sum(-1)
    return torch.stack((u, v), -1), z - z[:, ROOT : ROOT + 1]


def profiles_3d(uv_BK2: Tensor, z_BK: Tensor, depth: int, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three factors of a Gaussian volume: along x and y (B, K, cells), along z (B, K, Z)."""
    at = torch.arange(cells, device=uv_BK2.device, dtype=torch.float32)
    flat = torch.exp(-((at - cells * uv_BK2[..., None]) ** 2) / (2 * SIGMA**2))
    if depth == 1:
        return flat[:, :, 0], flat[:, :, 1], torch.ones_like(z_BK)[..., None]
    off = (centers(depth, uv_BK2.device) - z_BK[..., None]) * (depth / (2 * REACH))
    return flat[:, :, 0], flat[:, :, 1], torch.exp(-(off**2) / (2 * SIGMA**2))


def difference(volume_BKZHW: Tensor, px: Tensor, py: Tensor, pz: Tensor) -> Tensor:
    """Return (B, K) the squared difference from the product of three profiles, summed, over that product's own energy.

    |V - p|^2 = |V|^2 - 2 V.p + |p|^2, each taken along one axis after the other: p itself is never written.
    """
    along = torch.einsum("bkzhw,bkw->bkzh", volume_BKZHW, px)
    overlap = (torch.einsum("bkzh,bkh->bkz", along, py) * pz).sum(-1)
    energy = px.square().sum(-1) * py.square().sum(-1) * pz.square().sum(-1)
    return (volume_BKZHW.square().sum((2, 3, 4)) - 2 * overlap + energy) / energy.clamp(min=1.0)


def sums(prediction: Volumes, labels: Labels, _: LossConfig) -> tuple[Ratio, ...]:
    """Return each stage's difference from its Gaussian, and the absolute differences of the last one's expectation."""
    flat, deep = labels.present_2d_BK, labels.present_3d_BK
    uv = torch.where(flat[..., None], labels.uv_BK2, 0.5)
    z = torch.where(deep, labels.xyz_BK3[..., 2], 0.0)
    found = []
    for logits in prediction[:4]:
        profiles = profiles_3d(uv, z, logits.shape[2], logits.shape[-1])
        present = flat if logits.shape[2] == 1 else flat & deep
        found.append(masked(difference(torch.sigmoid(logits), *profiles), present))
    off_2d, off_z = (prediction.uv_BK2 - uv).abs().mean(-1), (prediction.z_BK - z).abs()
    return (*found, masked(off_2d, flat), masked(off_z, deep))


def read(prediction: Volumes, _model: ModelConfig, _rule: str) -> Reading:
    """Return the last stage's positions, its pose by weak perspective, and its largest cell as confidence."""
    flat = torch.sigmoid(prediction.logits1_BKZHW[:, :, 0])
    return Reading(
        uv_BK2=prediction.uv_BK2,
        xyz_BK3=pose_of(prediction.uv_BK2, prediction.z_BK),
        confidence_BK=torch.sigmoid(prediction.logits4_BKZHW.amax((2, 3, 4))),
        maps_BKHW=flat,
    )


FAMILY = Family(
    make=VolumeNet,
    terms=(
        *(Term(f"loss_{depth}", f"depth {depth}") for depth in DEPTHS),
        Term("loss_2d", "2D", 5.0),
        Term("loss_z", "z", 1.0),
    ),
    sums=sums,
    read=read,
    read_outs=lambda _: ("expectation",),
    depths=True,
)
