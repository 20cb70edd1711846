"""What a detector of hands is trained on: augmented pictures, targets, losses.

Shape letters: B batch, N boxes of a picture at most, H, W rows and columns of a map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
NEAR = 0.3  # value of the Gaussian beyond which a cell learns size and offset
ZOOM, TURN_DEG, SHIFT = (0.6, 2.2), 25.0, 0.25  # shift: of the picture's sides
ASIDE = 0.3  # share of pictures turned by one, two or three quarters: hands come from every side
GAIN, CAST, GAMMA = (0.6, 1.4), 0.12, (0.7, 1.4)
GREY = 0.1  # share of pictures without colour
BLURRED, NOISE = 0.3, 8.0  # share of pictures; largest standard deviation, levels
GRAIN_PX = (SIZE[1] + 97, SIZE[0] + 131)  # rows and columns of the noise that a picture's is cut out of
PLAIN_BORDER = 0.5  # share whose surroundings are of the colour round pictures of another shape; else of any colour


@dataclass(frozen=True, kw_only=True)
class SeenPicture:
    """One picture as the network sees it, with its hands.

    Attributes:
        image: (128, 160, 3) uint8 RGB.
        boxes_xyxy: (N, 4) px of it.
        sides: (N,) skeleton.LEFT or RIGHT.
        mask: (32, 40) float32, share of each cell that is hand.
    """

    image: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float64]
    sides: NDArray[np.int64]
    mask: NDArray[np.float32]


class SpotTargets:
    """The maps that a batch should give.

    Attributes:
        centres_B2HW: 0..1, a Gaussian at every box' middle, 1 in its cell.
        near_BHW: where size and offset are learnt.
        sizes_BHW: log(side / 40 px).
        offsets_B2HW: from the middle of a cell to the middle of the nearest box, cells.
        mask_BHW: 0..1.
    """

    def __init__(self, batch: Sequence[SeenPicture], device: torch.device | str = "cpu") -> None:
        made = [_maps(seen.boxes_xyxy, seen.sides) for seen in batch]
        self.centres_B2HW, self.near_BHW, self.sizes_BHW, self.offsets_B2HW = (
            torch.from_numpy(np.stack(values)).to(device) for values in zip(*made, strict=True)
        )
        self.mask_BHW = torch.from_numpy(np.stack([seen.mask for seen in batch])).to(device)


def _maps(
    boxes: NDArray[np.float64], sides: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    width, height = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    centres, size = np.zeros((2, height, width), np.float32), np.zeros((height, width), np.float32)
    offsets, best = np.zeros((2, height, width), np.float32), np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width]
    for box, side in zip(boxes, sides, strict=True):
        middle, length = (box[:2] + box[2:]) / 2 / STRIDE, float(box[2] - box[0])
        cell = np.floor(middle)
        if not ((cell >= 0) & (cell < (width, height))).all():
            continue
        sigma = max(length / CELLS_PER_SIGMA, LEAST_SIGMA)
        blob = np.exp(-((x - cell[0]) ** 2 + (y - cell[1]) ** 2) / (2 * sigma**2)).astype(np.float32)
        centres[side] = np.maximum(centres[side], blob)
        nearer = blob > best
        best = np.where(nearer, blob, best)
        size = np.where(nearer, np.float32(np.log(length / MEAN_SIDE)), size)
        off = np.stack([middle[0] - x - 0.5, middle[1] - y - 0.5]).astype(np.float32)
        offsets = np.where(nearer, off, offsets)
    return centres, best > NEAR, size, offsets


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
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float64],
    sides: NDArray[np.int64],
    mask: NDArray[np.bool_],
    rng: np.random.Generator | None = None,
) -> SeenPicture:
    """Bring a rendered picture to the network's size, as it is or augmented with what `rng` draws.

    Boxes stay squares: their middles move with the picture and their sides grow with it; a hand whose middle leaves the
    picture is no longer one to be found.
    """
    height, width = image.shape[:2]
    scale = min(SIZE[0] / width, SIZE[1] / height)
    A = np.array([[scale, 0, (SIZE[0] - scale * width) / 2], [0, scale, (SIZE[1] - scale * height) / 2]])
    around = tuple(round(255 * level) for level in MEAN)
    if rng is not None:
        A = _moved(A, rng)
        if rng.random() >= PLAIN_BORDER:
            around = tuple(int(level) for level in rng.integers(0, 256, 3))
    grown = float(np.sqrt(abs(np.linalg.det(A[:, :2]))))
    middles = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 @ A[:, :2].T + A[:, 2]
    halves = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / 2 * grown
    shift = np.array([0.5, 0.5])  # boxes count edges, warpAffine pixel centres
    B = np.column_stack([A[:, :2], A[:, :2] @ shift + A[:, 2] - shift])
    seen = np.asarray(cv2.warpAffine(image, B, SIZE, flags=cv2.INTER_AREA, borderValue=around), np.uint8)
    hand = cv2.warpAffine(mask.astype(np.uint8) * 255, B, SIZE, flags=cv2.INTER_LINEAR)
    cells = cv2.resize(hand, (SIZE[0] // MASK_STRIDE, SIZE[1] // MASK_STRIDE), interpolation=cv2.INTER_AREA)
    there = ((middles >= 0) & (middles < SIZE)).all(1)
    if np.linalg.det(A[:, :2]) < 0:
        sides = LEFT + RIGHT - sides
    if rng is not None:
        seen = _recoloured(seen, rng)
    return SeenPicture(
        image=seen,
        boxes_xyxy=np.concatenate([middles - halves, middles + halves], 1)[there],
        sides=sides[there],
        mask=np.asarray(cells, np.float32) * np.float32(1 / 255),
    )


def mosaic(four: Sequence[SeenPicture], rng: np.random.Generator) -> SeenPicture:
    """Return a picture of four: parted along a row and a column that `rng` draws, each quarter filled with one of them.

    Each is made smaller until its shorter side fits; a hand whose box' middle is cut off is no longer one to be found.

    Source: Bochkovskiy et al., YOLOv4, 2020 (mosaic augmentation).
    """
    size = np.array(SIZE)
    cut = MASK_STRIDE * rng.integers(size * 3 // 8 // MASK_STRIDE, size * 5 // 8 // MASK_STRIDE + 1)
    image, mask = np.empty_like(four[0].image), np.empty_like(four[0].mask)
    boxes, sides = [], []
    for number, seen in enumerate(four):
        beyond = np.array([number % 2, number // 2], bool)  # of the column, of the row
        first, last = np.where(beyond, cut, 0), np.where(beyond, size, cut)
        scale = float(((last - first) / size).max())
        corner = first + (last - first - scale * size) / 2  # of the whole picture, made smaller
        for whole, part, step in ((image, seen.image, 1), (mask, seen.mask, MASK_STRIDE)):
            x, y = (slice(a // step, b // step) for a, b in zip(first, last, strict=True))
            shift = (corner - first) / step + 0.5 * scale - 0.5
            B = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            whole[y, x] = cv2.warpAffine(part, B, (x.stop - x.start, y.stop - y.start), flags=cv2.INTER_AREA)
        moved = seen.boxes_xyxy * scale + np.tile(corner, 2)
        middles = (moved[:, :2] + moved[:, 2:]) / 2
        here = ((middles >= first) & (middles < last)).all(1)
        boxes.append(moved[here])
        sides.append(seen.sides[here])
    return SeenPicture(image=image, boxes_xyxy=np.concatenate(boxes), sides=np.concatenate(sides), mask=mask)


def _moved(A: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    zoom = np.exp(rng.uniform(*np.log(ZOOM)))
    quarters = int(rng.integers(1, 4)) if rng.random() < ASIDE else 0
    turn = np.radians(rng.normal(0, TURN_DEG / 2) + 90 * quarters)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    middle, shift = np.array(SIZE) / 2, rng.uniform(-SHIFT, SHIFT, 2) * SIZE
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    M = np.array([[c, -s], [s, c]]) @ np.diag([mirror, 1.0])
    return np.column_stack([M @ A[:, :2], M @ (A[:, 2] - middle) + middle + shift])


def _recoloured(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gain = 255 * rng.uniform(*GAIN) * (1 + rng.normal(0, CAST, 3))
    table = (np.arange(256)[:, None] / 255) ** np.exp(rng.uniform(*np.log(GAMMA))) * gain
    levels = cv2.LUT(image, np.clip(table + 0.5, 0, 255).astype(np.uint8)[None])
    if rng.random() < GREY:
        levels = cv2.cvtColor(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < BLURRED:
        levels = cv2.GaussianBlur(levels, (0, 0), float(rng.uniform(0.4, 1.5)))
    height, width = image.shape[:2]
    top, left = (int(rng.integers(0, room + 1)) for room in (GRAIN_PX[0] - height, GRAIN_PX[1] - width))
    noise = _grain()[top : top + height, left : left + width] * np.float32(rng.uniform(0, NOISE))
    return np.asarray(np.clip(levels + noise + np.float32(0.5), 0, 255), np.uint8)


@cache
def _grain() -> NDArray[np.float32]:
    """Return noise of standard deviation 1 to cut out of: to draw it for each picture takes longer than the rest."""
    return np.random.default_rng(7).standard_normal((*GRAIN_PX, 3), np.float32)
