"""spotter: a small network that finds hands in a whole picture: where, how large, and a first guess of the side.

Shape letters: B batch, C channels, H, W rows and columns of a map.

    trunk     four stages of one basic block each, He et al., CVPR 2016
    top-down  the stages brought together from coarse to fine, Lin et al., CVPR 2017
    centres   at an eighth of the picture one map a side, whose peaks are the middles of boxes, with the box' size and
              the peak's place within its cell: Zhou et al., Objects as points, 2019
    mask      at a quarter, the pixels of hands, as in Zimmermann and Brox, ICCV 2017
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid, max_pool2d

from handdata.geometry import iou
from handdata.model.encoder import BasicBlock, scaled
from handdata.model.spots import Spot
from handdata.skeleton import HAND_SIDES

SIZE = (160, 128)  # width and height that the network sees, px
STRIDE, MASK_STRIDE = 8, 4
STEM, STAGES, TOP_DOWN = 16, (16, 32, 64, 96), 32
MEAN_SIDE = 40.0  # px of a box whose size is predicted as 0
RARE = -4.6  # logit that maps begin with: a hundredth of the cells
LEAST_SCORE = 0.4
MOST_OVERLAP = 0.4  # of two boxes, beyond which the weaker is the same hand


class SpotterPrediction(NamedTuple):
    """What the network says of a batch.

    Attributes:
        centres_B2HW: float32 logits at an eighth: the middle of a left hand's box is here, of a right one's.
        sizes_B1HW: float32, log(side of the box / 40 px).
        offsets_B2HW: float32, the middle's x and y from the middle of the cell, cells.
        mask_B1HW: float32 logits at a quarter: pixels of a hand.
    """

    centres_B2HW: Tensor
    sizes_B1HW: Tensor
    offsets_B2HW: Tensor
    mask_B1HW: Tensor


class SpotterNet(nn.Module):
    """About a quarter of a million parameters at width 1; any picture whose sides are multiples of 32.

    Args:
        width: of all layers, relative to those of docs/method.md.
        smooth_sixteenth: 3x3 on what is brought together at a sixteenth, as at the finer levels; the weights that ship
            were trained without.
    """

    def __init__(self, width: float = 1.0, *, smooth_sixteenth: bool = True) -> None:
        super().__init__()
        stem, top_down = scaled(STEM, width), scaled(TOP_DOWN, width)
        stages = [scaled(channels, width) for channels in STAGES]
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList(
            BasicBlock(before, after, 2) for before, after in zip([stem, *stages], stages, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(channels, top_down, 1) for channels in stages)
        self.at_sixteenth = _smooth(top_down) if smooth_sixteenth else nn.Identity()
        self.at_eighth, self.at_quarter = _smooth(top_down), _smooth(top_down)
        self.boxes = nn.Conv2d(top_down, 5, 1)
        self.mask = nn.Conv2d(top_down, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.boxes.weight, std=0.01)
        nn.init.normal_(self.mask.weight, std=0.01)
        if self.boxes.bias is not None:
            nn.init.constant_(self.boxes.bias[:2], RARE)

    def forward(self, image_B3HW: Tensor) -> SpotterPrediction:
        """Return the maps of normalised pictures."""
        x, levels = self.stem(image_B3HW), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        quarter, eighth, sixteenth, coarse = (
            lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)
        )
        sixteenth = self.at_sixteenth(sixteenth + interpolate(coarse, scale_factor=2, mode="nearest"))
        eighth = self.at_eighth(eighth + interpolate(sixteenth, scale_factor=2, mode="nearest"))
        quarter = self.at_quarter(quarter + interpolate(eighth, scale_factor=2, mode="nearest"))
        centres, sizes, offsets = self.boxes(eighth).float().split([2, 1, 2], 1)
        return SpotterPrediction(centres, sizes, offsets, self.mask(quarter).float())


def spotter_of(weights: Mapping[str, Tensor]) -> SpotterNet:
    """Return the network that has these weights: as wide as its stem says, with the smoothings that are there.

    Raises:
        RuntimeError: they are those of another network.
    """
    stem = weights.get("stem.0.weight")
    smooth = any(name.startswith("at_sixteenth.") for name in weights)
    net = SpotterNet(1.0 if stem is None else len(stem) / STEM, smooth_sixteenth=smooth)
    net.load_state_dict(weights)
    return net


def _smooth(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def read_spots(
    prediction: SpotterPrediction, *, least_score: float = LEAST_SCORE, most_hands: int = 20
) -> list[list[Spot]]:
    """Return the hands of each picture of a batch, best first, boxes in px of what the network saw.

    A hand is where either side's map is; its side is that of the larger.

    Args:
        prediction: of the network.
        least_score: of a peak that counts as a hand.
        most_hands: per picture.
    """
    logits = prediction.centres_B2HW
    scores = either_side(logits)
    peaks = torch.where(scores == max_pool2d(scores, 3, stride=1, padding=1), scores, 0.0)
    right = (logits[:, 1:] > logits[:, :1]).float()
    peaks = torch.cat([peaks * (1 - right), peaks * right], 1)
    sides_px = MEAN_SIDE * torch.exp(prediction.sizes_B1HW[:, 0].clamp(-3, 3))
    found, sizes, offsets = (values.double().cpu().numpy() for values in (peaks, sides_px, prediction.offsets_B2HW))
    return [_spots(found[i], sizes[i], offsets[i], least_score, most_hands) for i in range(len(scores))]


def either_side(logits_B2HW: Tensor) -> Tensor:
    """Return (B, 1, H, W) scores of a hand of whatever side: 1 - (1 - left) (1 - right).

    A hand whose side the network cannot tell scores half on each map; it is a hand all the same.
    """
    return -torch.expm1(logsigmoid(-logits_B2HW).sum(1, keepdim=True))


def _spots(
    peaks: NDArray[np.float64], sides_px: NDArray[np.float64], offsets: NDArray[np.float64], least: float, most: int
) -> list[Spot]:
    kept: list[Spot] = []
    hand, row, column = np.nonzero(peaks >= least)
    for i in np.argsort(-peaks[hand, row, column], kind="stable"):
        at = row[i], column[i]
        middle = (np.array([at[1], at[0]]) + 0.5 + offsets[:, at[0], at[1]]) * STRIDE
        half = sides_px[at] / 2
        box = np.concatenate([middle - half, middle + half])
        if all(iou(box, other.box_xyxy) <= MOST_OVERLAP for other in kept):
            kept.append(Spot(box, float(peaks[hand[i], *at]), HAND_SIDES[hand[i]]))
        if len(kept) == most:
            break
    return kept
