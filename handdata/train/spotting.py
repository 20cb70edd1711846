"""What a detector of hands is trained on: pictures as it sees them, targets, losses.

Shape letters: B batch, M boxes of a picture at most, H, W rows and columns of a map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from handdata.model.pixels import MEAN
from handdata.model.spotter import MASK_STRIDE, MEAN_SIDE, SIZE, STRIDE, SpotterPrediction
from handdata.skeleton import LEFT, RIGHT

CELLS_PER_SIGMA, LEAST_SIGMA = 64.0, 0.7  # of a centre's Gaussian: side of the box / 64 cells, at least so many cells
NOBODY = -1  # in place of a side: no box
NEAR = 0.3  # value of the Gaussian beyond which a cell learns size and offset


@dataclass(frozen=True, kw_only=True)
class SeenPicture:
    """One picture as the network sees it, with its hands.

    Attributes:
        image: (128, 160, 3) uint8 RGB.
        boxes_xyxy: (M, 4) px of it.
        sides: (M,) skeleton.LEFT or RIGHT.
        mask: (32, 40) float32, share of each cell that is hand.
    """

    image: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float64]
    sides: NDArray[np.int64]
    mask: NDArray[np.float32]


class SpotTargets:
    """The maps that a batch should give.

    Args:
        boxes_BM4: float32, px of what the network sees; anything where there is none.
        sides_BM: int64, skeleton.LEFT, RIGHT, or NOBODY where there is no box.
        mask_BHW: float32, share of each cell of the mask that is hand.

    Attributes:
        centres_B2HW: 0..1, a Gaussian at every box' middle, 1 in its cell.
        near_BHW: where size and offset are learnt.
        sizes_BHW: log(side / 40 px).
        offsets_B2HW: from the middle of a cell to the middle of the nearest box, cells.
        mask_BHW: 0..1.
    """

    def __init__(self, boxes_BM4: Tensor, sides_BM: Tensor, mask_BHW: Tensor) -> None:
        device = boxes_BM4.device
        width, height = SIZE[0] // STRIDE, SIZE[1] // STRIDE
        middles = (boxes_BM4[..., :2] + boxes_BM4[..., 2:]) / 2 / STRIDE
        sides_px = torch.where(sides_BM == NOBODY, MEAN_SIDE, boxes_BM4[..., 2] - boxes_BM4[..., 0])
        cells = middles.floor()
        inside = ((cells >= 0) & (cells < torch.tensor([width, height], device=device))).all(-1) & (sides_BM != NOBODY)
        x = torch.arange(width, device=device, dtype=torch.float32)
        y = torch.arange(height, device=device, dtype=torch.float32)[:, None]
        sigmas = (sides_px / CELLS_PER_SIGMA).clamp(min=LEAST_SIGMA)
        far = (x - cells[..., 0, None, None]) ** 2 + (y - cells[..., 1, None, None]) ** 2
        blobs_BMHW = torch.exp(-far / (2 * sigmas.square()[..., None, None])) * inside[..., None, None]
        best, nearest = blobs_BMHW.max(1)
        own = [(blobs_BMHW * (sides_BM == side)[..., None, None]).amax(1) for side in (LEFT, RIGHT)]
        logs = torch.log(sides_px / MEAN_SIDE)
        there = best > 0
        self.centres_B2HW = torch.stack(own, 1)
        self.near_BHW = best > NEAR
        self.sizes_BHW = torch.where(there, _at(logs, nearest), 0.0)
        self.offsets_B2HW = torch.stack(
            [
                torch.where(there, _at(middles[..., 0], nearest) - x - 0.5, 0.0),
                torch.where(there, _at(middles[..., 1], nearest) - y - 0.5, 0.0),
            ],
            1,
        )
        self.mask_BHW = mask_BHW

    @classmethod
    def of(cls, batch: Sequence[SeenPicture]) -> "SpotTargets":
        """Return those of pictures as they are seen."""
        most = max(1, *(len(seen.sides) for seen in batch))
        boxes, sides = torch.zeros(len(batch), most, 4), torch.full((len(batch), most), NOBODY)
        for number, seen in enumerate(batch):
            boxes[number, : len(seen.sides)] = torch.from_numpy(seen.boxes_xyxy)
            sides[number, : len(seen.sides)] = torch.from_numpy(seen.sides)
        return cls(boxes, sides, torch.from_numpy(np.stack([seen.mask for seen in batch])))


def _at(values_BM: Tensor, which_BHW: Tensor) -> Tensor:
    """Return each cell's own of a picture's M values, (B, H, W)."""
    return values_BM.gather(1, which_BHW.flatten(1)).reshape(which_BHW.shape)


def spotting_losses(found: SpotterPrediction, wanted: SpotTargets) -> dict[str, Tensor]:
    """Return the losses by name: centres and hands (focal), size and offset (L1 near the centres), mask (BCE and Dice).

    centres asks each side's map, hands what they say together, so that a hand of which the side is unclear counts.

    Source: Zhou et al., Objects as points, 2019, equations 1 to 3; Milletari et al., V-Net, 3DV 2016 (Dice).
    """
    logits, truth = found.centres_B2HW, wanted.centres_B2HW
    nowhere = logsigmoid(-logits).sum(1)  # log of the chance that neither side is here
    either = torch.log(-torch.expm1(nowhere) + 1e-9)
    near = wanted.near_BHW.float()
    share = near.sum().clamp(min=1)
    mask = found.mask_B1HW[:, 0]
    seen, there = torch.sigmoid(mask), wanted.mask_BHW
    dice = 1 - (2 * (seen * there).sum() + 1) / (seen.square().sum() + there.square().sum() + 1)
    return {
        "centres": _focal(logsigmoid(logits), logsigmoid(-logits), truth),
        "hands": _focal(either, nowhere, truth.amax(1)),
        "size": ((found.sizes_B1HW[:, 0] - wanted.sizes_BHW).abs() * near).sum() / share,
        "offset": ((found.offsets_B2HW - wanted.offsets_B2HW).abs().sum(1) * near).sum() / share,
        "mask": binary_cross_entropy_with_logits(mask, there) + dice,
    }


def _focal(log_score: Tensor, log_rest: Tensor, truth: Tensor) -> Tensor:
    """Return the focal loss per hand of maps given as logarithms of the score and of one minus it."""
    hits, score = truth == 1, log_score.exp()
    missed = torch.where(hits, -((1 - score) ** 2) * log_score, -((1 - truth) ** 4) * score**2 * log_rest)
    return missed.sum() / hits.sum().clamp(min=1)


# ------------------------------------------------------------------------------------------------ pictures as seen


def as_seen(
    image: NDArray[np.uint8], boxes_xyxy: NDArray[np.float64], sides: NDArray[np.int64], mask: NDArray[np.bool_]
) -> SeenPicture:
    """Bring a rendered picture to the network's size; a hand whose box' middle is outside is not one to be found."""
    height, width = image.shape[:2]
    scale = min(SIZE[0] / width, SIZE[1] / height)
    corner = np.array([SIZE[0] - scale * width, SIZE[1] - scale * height]) / 2
    B = np.column_stack([scale * np.eye(2), corner + 0.5 * scale - 0.5])  # boxes count edges, warpAffine pixel centres
    around = tuple(round(255 * level) for level in MEAN)
    seen = np.asarray(cv2.warpAffine(image, B, SIZE, flags=cv2.INTER_AREA, borderValue=around), np.uint8)
    hand = cv2.warpAffine(mask.astype(np.uint8) * 255, B, SIZE, flags=cv2.INTER_LINEAR)
    cells = cv2.resize(hand, (SIZE[0] // MASK_STRIDE, SIZE[1] // MASK_STRIDE), interpolation=cv2.INTER_AREA)
    boxes = scale * boxes_xyxy + np.tile(corner, 2)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    there = ((middles >= 0) & (middles < SIZE)).all(1)
    return SeenPicture(
        image=seen,
        boxes_xyxy=boxes[there],
        sides=sides[there],
        mask=np.asarray(cells, np.float32) * np.float32(1 / 255),
    )
