"""projection: an intermediate pose is projected into heatmaps, which are refined with features into the final ones.

Shape letters: B batch, C channels, K the 21 keypoints, H, W rows and columns of a map, n side of the input.

Encoder -> pose N' and an orthographic camera (scale, shift) -> uv' = shift + scale N'_xy -> maps H', a cell wide;
with the encoder's features at n / 8, laid on n / 4, two convolutions -> final maps, pooled -> final pose. So 2D and 3D
must agree inside the network, and 2D labels alone teach the pose.

Source:
    Mueller et al., GANerated Hands for Real-Time 3D Hand Tracking from Monocular RGB, CVPR 2018, section 4.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, softplus

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import Encoder, scaled
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.heatmaps import iou_per_map, profiles
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.model.read_out import READ_OUTS, ReadOut, read_out
from handdata.skeleton import NUM_KEYPOINTS

STRIDE = 4  # of the maps
SIGMA = 1.0  # cells
START_SCALE, START_SHIFT = 0.5, 0.5  # crop sides a unit, and where: what hands of rendered crops have at the median
HIDDEN, PROJECTED = 200, 128


class Projected(NamedTuple):
    """What the network says of a batch.

    Attributes:
        maps_BKHW: float32 final heatmaps at n / 4, each cell in (0, 1).
        xyz_BK3: float32 final pose.
        first_BK3: float32 intermediate pose, which was projected.
        uv_BK2: float32 where it was projected to, fractions of the crop side.
    """

    maps_BKHW: Tensor
    xyz_BK3: Tensor
    first_BK3: Tensor
    uv_BK2: Tensor


class ProjectionNet(nn.Module):
    """Model 1's encoder with a projection layer in place of a decoder."""

    def __init__(self, model: ModelConfig, _ways: Ways) -> None:
        super().__init__()
        self.size, self.logit_offset = model.size, model.logit_offset
        self.encoder = Encoder(model.width)
        deep, middle = self.encoder.channels[4], self.encoder.channels[2]
        hidden, wide = scaled(HIDDEN, model.width), scaled(PROJECTED, model.width)
        self.first = nn.Sequential(nn.Linear(deep, hidden), nn.ReLU(), nn.Linear(hidden, 3 * NUM_KEYPOINTS + 3))
        self.fuse = nn.Sequential(
            nn.Conv2d(NUM_KEYPOINTS + middle, wide, 3, padding=1), nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.logits = nn.Conv2d(wide, NUM_KEYPOINTS, 1)
        self.last = nn.Sequential(
            nn.Linear(wide + 3 * NUM_KEYPOINTS, hidden), nn.ReLU(), nn.Linear(hidden, 3 * NUM_KEYPOINTS)
        )

    def forward(self, image_B3HW: Tensor) -> Projected:
        """Return maps and poses of (B, 3, n, n) normalised images."""
        features = self.encoder(image_B3HW)
        numbers = self.first(features.layer4.mean((2, 3))).float()
        first = numbers[:, :-3].unflatten(1, (NUM_KEYPOINTS, 3))
        uv = project(first, numbers[:, -3], numbers[:, -2:])
        cells = self.size // STRIDE
        maps = render(uv, cells)
        near = interpolate(features.layer2, size=(cells, cells), mode="bilinear", align_corners=False)
        fused = self.fuse(torch.cat((maps.to(near.dtype), near), 1))
        final = self.last(torch.cat((fused.mean((2, 3)), first.flatten(1).to(fused.dtype)), 1)).float()
        refined = torch.sigmoid(self.logits(fused).float() + self.logit_offset)
        return Projected(refined, final.unflatten(1, (NUM_KEYPOINTS, 3)), first, uv)


def project(xyz_BK3: Tensor, scale_B: Tensor, shift_B2: Tensor) -> Tensor:
    """Return (B, K, 2): an orthographic camera whose zeros are half a crop side a unit, at the crop's middle."""
    offset = torch.log(torch.expm1(torch.tensor(START_SCALE)))
    alpha = softplus(scale_B + offset.to(scale_B))
    return START_SHIFT + shift_B2[:, None] + alpha[:, None, None] * xyz_BK3[..., :2]


def render(uv_BK2: Tensor, cells: int) -> Tensor:
    """Return (B, K, cells, cells) Gaussians of one cell at unrounded places; differentiable in them."""
    at = torch.arange(cells, device=uv_BK2.device, dtype=torch.float32)
    profile = torch.exp(-((at - cells * uv_BK2[..., None]) ** 2) / (2 * SIGMA**2))
    return profile[:, :, 1, :, None] * profile[:, :, 0, None, :]


def sums(prediction: Projected, labels: Labels, loss: LossConfig) -> tuple[Ratio, ...]:
    """Return the losses of the final maps, the final pose, the intermediate pose, and where that was projected to."""
    flat, deep = labels.present_2d_BK, labels.present_3d_BK
    px, py = profiles(labels.uv_BK2, prediction.maps_BKHW.shape[-1], SIGMA)
    true = torch.where(deep[..., None], labels.xyz_BK3, 0.0)
    uv = torch.where(flat[..., None], labels.uv_BK2, 0.0)
    return (
        masked(iou_per_map(prediction.maps_BKHW, px, py), flat, loss.over),
        masked((prediction.xyz_BK3 - true).square().mean(-1), deep),
        masked((prediction.first_BK3 - true).square().mean(-1), deep),
        masked((prediction.uv_BK2 - uv).abs().mean(-1), flat),
    )


def read(prediction: Projected, _: ModelConfig, rule: str) -> Reading:
    """Return positions of the final maps, or where the intermediate pose was projected to ("projected")."""
    maps = prediction.maps_BKHW
    uv = prediction.uv_BK2 if rule == "projected" else read_out(maps, _named(rule))
    return Reading(uv_BK2=uv, xyz_BK3=prediction.xyz_BK3, confidence_BK=maps.amax((2, 3)), maps_BKHW=maps)


def _named(rule: str) -> ReadOut:
    return next(name for name in READ_OUTS if name == rule)


FAMILY = Family(
    make=ProjectionNet,
    terms=(
        Term("loss_2d", "2D"),
        Term("loss_3d", "3D"),
        Term("loss_first", "first 3D"),
        Term("loss_projected", "projected", 0.1),
    ),
    sums=sums,
    read=read,
    read_outs=lambda _: ("thresholded", "projected", *(rule for rule in READ_OUTS if rule != "thresholded")),
)
