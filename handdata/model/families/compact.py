"""compact: a small network for CPUs; softmax maps at an eighth of the side, 3D, presence and side from the trunk.

Shape letters: B batch, C channels, K the 21 keypoints, H, W rows and columns of a map, n side of the input.

    trunk     a ResNet of four stages with two basic blocks each, He et al., CVPR 2016
    top-down  the last three stages brought to n / 8 and added, Lin et al., CVPR 2017
    maps      one probability distribution a keypoint; their expectation is the position, Sun et al., ECCV 2018
    lift      x and y of the pose from that position, depth and what is left from two hidden layers that see both, the
              trunk's 3D and its features; after Martinez et al., ICCV 2017, who lift 2D alone
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import BasicBlock
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.model.read_out import READ_OUTS, ReadOut, expectation, read_out
from handdata.skeleton import NUM_KEYPOINTS, ROOT

STEM = 16
STAGES = (32, 64, 128, 256)
MULTIPLE = 16  # of channels: others crashed the backward pass of torch 2.13 on a CPU in channels_last
TOP_DOWN = 64
HIDDEN = 256
STRIDE = 8  # of the maps
CROP = 2.5  # sides of the crop in units of wrist to middle MCP, about: where the lift starts
BLOB = 0.1  # crop sides; a map spread that far says little


class CompactPrediction(NamedTuple):
    """What the network says of a batch.

    Attributes:
        maps_BKHW: float32 probabilities, one distribution a keypoint, at an eighth of the side.
        xyz_BK3: float32, units of wrist to middle MCP, the middle MCP at the origin.
        seen_B2: float32 logits: a hand is there; it is a right one, as shown.
    """

    maps_BKHW: Tensor
    xyz_BK3: Tensor
    seen_B2: Tensor


class Looked(NamedTuple):
    """What the trunk and the top-down part say: logits of maps, features, the trunk's 3D, presence and side."""

    logits_BKHW: Tensor
    features_BF: Tensor
    xyz_BK3: Tensor
    seen_B2: Tensor


class CompactNet(nn.Module):
    """3.9 million parameters at width 1 and 128 px, and half a million of a lift 512 wide.

    Args:
        size: n, px; a multiple of 32.
        width: channels relative to the full network, rounded to multiples of 16.
        lift_width: of the layers that make the 3D from the 2D too; 0 leaves it to the trunk.
    """

    def __init__(self, size: int = 128, width: float = 1.0, lift_width: int = 0) -> None:
        super().__init__()
        stages = [_channels(c, width) for c in STAGES]
        wide, stem = _channels(TOP_DOWN, width), _channels(STEM, width)
        self.size = size
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(before, after, 2), BasicBlock(after, after, 1))
            for before, after in zip([stem, *stages], stages, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(c, wide, 1) for c in stages[1:])
        self.smooth = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.smooth_norm = nn.BatchNorm2d(wide)
        self.logits = nn.Conv2d(wide, NUM_KEYPOINTS, 1)
        self.hidden = nn.Linear(stages[-1] * (size // 32) ** 2, _channels(HIDDEN, width))
        self.pose = nn.Linear(_channels(HIDDEN, width), 3 * NUM_KEYPOINTS)
        self.seen = nn.Linear(stages[-1], 2)
        self.lift = Lift(_channels(HIDDEN, width), lift_width) if lift_width else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def look(self, image_B3HW: Tensor) -> Looked:
        """Return what (B, 3, n, n) normalised images show, before any read-out."""
        x = self.stem(image_B3HW)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.lateral, levels[1:], strict=True))
        middle = middle + interpolate(coarse, scale_factor=2, mode="nearest")
        fine = fine + interpolate(middle, scale_factor=2, mode="nearest")
        fine = torch.relu(self.smooth_norm(self.smooth(torch.relu(fine))))
        features = torch.relu(self.hidden(x.flatten(1)))
        xyz = self.pose(features).float().unflatten(1, (NUM_KEYPOINTS, 3))
        return Looked(self.logits(fine).float(), features, xyz, self.seen(x.mean((2, 3))).float())

    def forward(self, image_B3HW: Tensor) -> CompactPrediction:
        """Return maps, coordinates and logits of (B, 3, n, n) normalised images."""
        seen = self.look(image_B3HW)
        maps, xyz = seen.logits_BKHW.flatten(2).softmax(-1).view_as(seen.logits_BKHW), seen.xyz_BK3
        if self.lift is not None:
            still = maps.detach()  # the 2D is not to give way for the sake of the 3D
            xyz = self.lift(seen.features_BF, expectation(still), spread(still), xyz)
        return CompactPrediction(maps, xyz, seen.seen_B2)


class Lift(nn.Module):
    """The pose from where the keypoints were found: as they lie in the crop, times a scale, with a depth each.

    Args:
        features: F, of the trunk.
        width: of the two hidden layers.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        seen = features + NUM_KEYPOINTS * (2 + 2 + 3)
        self.hidden = nn.Sequential(
            nn.Linear(seen, width), nn.ReLU(inplace=True), nn.Linear(width, width), nn.ReLU(inplace=True)
        )
        self.last = nn.Linear(width, 1 + 3 * NUM_KEYPOINTS)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features_BF: Tensor, uv_BK2: Tensor, spread_BK2: Tensor, xyz_BK3: Tensor) -> Tensor:
        """Return (B, K, 3) coordinates, from features, positions and their spread, and what the trunk says."""
        uv = uv_BK2 - uv_BK2[:, ROOT : ROOT + 1]
        seen = (features_BF, (CROP * uv).flatten(1), (spread_BK2 / BLOB).flatten(1), xyz_BK3.flatten(1))
        out = self.last(self.hidden(torch.cat([part.float() for part in seen], 1))).float()
        flat = CROP * torch.exp(out[:, 0])[:, None, None] * uv
        rest: Tensor = out[:, 1:].reshape(-1, NUM_KEYPOINTS, 3)
        return torch.cat([flat, xyz_BK3[..., 2:]], -1) + rest


def spread(maps_BKHW: Tensor) -> Tensor:
    """Return (B, K, 2) standard deviations of the maps in x and y, crop sides."""
    at_x, at_y = (torch.arange(n, device=maps_BKHW.device) / n for n in (maps_BKHW.shape[-1], maps_BKHW.shape[-2]))
    sides = ((maps_BKHW.sum(-2), at_x), (maps_BKHW.sum(-1), at_y))
    return torch.stack([(p * at**2).sum(-1) - (p * at).sum(-1) ** 2 for p, at in sides], -1).clamp(min=1e-8).sqrt()


def _channels(full: int, width: float) -> int:
    return max(MULTIPLE, round(full * width / MULTIPLE) * MULTIPLE)


# ------------------------------------------------------------------------------------------------ losses and read-out


def sums(prediction: CompactPrediction, labels: Labels, _: LossConfig) -> tuple[Ratio, ...]:
    """Return the losses; a hand shown as a right one teaches presence and side alone: it is to be shown mirrored."""
    maps = prediction.maps_BKHW
    left = ~labels.right_B[:, None]
    flat, deep = labels.present_2d_BK & left, labels.present_3d_BK & left
    uv = torch.where(flat[..., None], labels.uv_BK2, 0.5)
    off_2d = (expectation(maps) + _half_cell(maps) - uv).abs().mean(-1)
    off_3d = (prediction.xyz_BK3 - torch.where(deep[..., None], labels.xyz_BK3, 0.0)).abs().mean(-1)
    return (
        masked(off_2d, flat),
        masked(_surprise(maps, uv), flat),
        masked(off_3d, deep),
        masked(binary(prediction.seen_B2[:, 0], labels.hand_B), torch.ones_like(labels.hand_B)),
        masked(binary(prediction.seen_B2[:, 1], labels.right_B), labels.hand_B & labels.side_known_B),
    )


def read(prediction: CompactPrediction, _: ModelConfig, rule: str) -> Reading:
    """Return positions; the confidence of one is the probability of the 3 x 3 cells about the largest."""
    maps = prediction.maps_BKHW
    near = torch.nn.functional.avg_pool2d(maps, 3, stride=1, padding=1) * 9
    seen = torch.sigmoid(prediction.seen_B2)
    return Reading(
        uv_BK2=read_out(maps, cast(ReadOut, rule)) + _half_cell(maps),
        xyz_BK3=prediction.xyz_BK3,
        confidence_BK=near.amax((2, 3)),
        presence_B=seen[:, 0],
        right_B=seen[:, 1],
        maps_BKHW=maps,
    )


def _half_cell(maps_BKHW: Tensor) -> float:
    """Return what takes i / cells, where the first cell is 0, to the middle of a cell in pixel-centre fractions."""
    return (STRIDE - 1) / 2 / (STRIDE * maps_BKHW.shape[-1])


def _surprise(maps_BKHW: Tensor, uv_BK2: Tensor) -> Tensor:
    """Return the (B, K) cross entropy of the maps against Gaussians of one cell about the truth."""
    cells = maps_BKHW.shape[-1]
    at = torch.arange(cells, device=maps_BKHW.device) / cells + _half_cell(maps_BKHW)
    profile = torch.exp(-0.5 * ((at - uv_BK2[..., None]) * cells).square())
    profile = profile / profile.sum(-1, keepdim=True).clamp(min=1e-6)
    target = profile[:, :, 1, :, None] * profile[:, :, 0, None, :]
    return -(target * torch.log(maps_BKHW + 1e-9)).sum((-1, -2))


def binary(logit_B: Tensor, truth_B: Tensor) -> Tensor:
    """Return the (B,) cross entropy of yes and no."""
    return binary_cross_entropy_with_logits(logit_B, truth_B.float(), reduction="none")


def make(model: ModelConfig, _: Ways) -> nn.Module:
    """Return the network with random weights."""
    return CompactNet(model.size, model.width, model.lift_width)


FAMILY = Family(
    make=make,
    terms=(
        Term("loss_2d", "2D", 5.0),
        Term("loss_maps", "maps", 0.1),
        Term("loss_3d", "3D", 1.0),
        Term("loss_presence", "presence", 0.1),
        Term("loss_side", "side", 0.1),
    ),
    sums=sums,
    read=read,
    read_outs=lambda _: ("expectation", *(rule for rule in READ_OUTS if rule != "expectation")),
    deep="stages.3",
)
