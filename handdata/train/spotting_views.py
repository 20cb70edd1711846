"""Augmented pictures for a detector, a batch at a time, on the device that trains: turned, zoomed, recoloured, mosaics.

Rendered pictures lie on the device as they were made. Everything random is drawn on the host, so that a batch is a
function of its generator on every device.

Shape letters: N pictures that are there, T pictures drawn for a batch, B pictures of a batch, M boxes of a picture at
most, H, W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from handdata.model.pixels import MEAN, normalize
from handdata.model.spotter import MASK_STRIDE, SIZE
from handdata.skeleton import LEFT, RIGHT
from handdata.train.augment.color import GRAY, blur
from handdata.train.augment.noise import ROOM, standard_noise
from handdata.train.spotting import NOBODY, SpotTargets

ZOOM, TURN_DEG, SHIFT = (0.6, 2.2), 25.0, 0.25  # shift: of the picture's sides
ASIDE = 0.3  # share of pictures turned by one, two or three quarters: hands come from every side
GAIN, CAST, GAMMA = (0.6, 1.4), 0.12, (0.7, 1.4)
COLOURLESS = 0.1  # share of pictures
BLURRED, BLUR_PX, NOISE = 0.3, (0.4, 1.4), 8.0  # share of pictures, sigma; largest standard deviation, levels
PLAIN_BORDER = 0.5  # share whose surroundings are of the colour round pictures of another shape; else of any colour
FOUR = 4  # pictures of a mosaic


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Rendered pictures of one size, on a device.

    Attributes:
        image_N3HW: uint8 RGB.
        hand_N1HW: uint8, 1 where a hand is.
        boxes_NM4: float32, px of the picture; anything where there is none.
        sides_NM: int64, skeleton.LEFT, RIGHT, or NOBODY where there is no box.
    """

    image_N3HW: Tensor
    hand_N1HW: Tensor
    boxes_NM4: Tensor
    sides_NM: Tensor

    def __len__(self) -> int:
        return len(self.image_N3HW)

    @classmethod
    def of(
        cls,
        images: NDArray[np.uint8],
        boxes: Sequence[NDArray[np.float64]],
        sides: Sequence[NDArray[np.int64]],
        hand: NDArray[np.bool_],
        device: torch.device | str,
    ) -> "Frames":
        """Bring pictures (N, H, W, 3), each one's boxes (n, 4) and sides (n,), and masks (N, H, W) to a device."""
        most = max(1, *map(len, sides))
        padded, names = np.zeros((len(sides), most, 4), np.float32), np.full((len(sides), most), NOBODY)
        for number, (own, named) in enumerate(zip(boxes, sides, strict=True)):
            padded[number, : len(named)], names[number, : len(named)] = own, named
        return cls(
            image_N3HW=torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous(),
            hand_N1HW=torch.from_numpy(hand.view(np.uint8))[:, None].to(device),
            boxes_NM4=torch.from_numpy(padded).to(device),
            sides_NM=torch.from_numpy(names).to(device),
        )

    @classmethod
    def joined(cls, parts: Sequence["Frames"]) -> "Frames":
        """Return several one after the other."""
        most = max(part.sides_NM.shape[1] for part in parts)
        rooms = [most - part.sides_NM.shape[1] for part in parts]
        return cls(
            image_N3HW=torch.cat([part.image_N3HW for part in parts]),
            hand_N1HW=torch.cat([part.hand_N1HW for part in parts]),
            boxes_NM4=torch.cat([F.pad(part.boxes_NM4, (0, 0, 0, n)) for part, n in zip(parts, rooms, strict=True)]),
            sides_NM=torch.cat(
                [F.pad(part.sides_NM, (0, n), value=NOBODY) for part, n in zip(parts, rooms, strict=True)]
            ),
        )


class SeenBatch(NamedTuple):
    """Pictures as the network sees them, with their hands.

    Attributes:
        levels_T3HW: 0..255 RGB.
        hand_T1HW: 0..1, where a hand is.
        boxes_TM4: px; anything where there is none.
        sides_TM: skeleton.LEFT, RIGHT, or NOBODY where there is no box.
    """

    levels_T3HW: Tensor
    hand_T1HW: Tensor
    boxes_TM4: Tensor
    sides_TM: Tensor


def draw_batch(
    frames: Frames, size: int, rng: np.random.Generator, *, mosaics: float = 0.0
) -> tuple[Tensor, SpotTargets]:
    """Draw `size` augmented pictures, a share of them made of four; return (B, 3, 128, 160) normalised and targets."""
    made = rng.random(size) < mosaics
    drawn = size + (FOUR - 1) * int(made.sum())
    seen = seen_pictures(frames, rng.integers(0, len(frames), drawn), rng)
    first, more = np.arange(size), np.arange(size, drawn).reshape(-1, FOUR - 1)
    shown = SeenBatch(*(part[:size] for part in seen))
    if len(more):
        device = seen.levels_T3HW.device
        four = torch.from_numpy(np.column_stack([first[made], more])).to(device)
        joined = mosaic(SeenBatch(*(part[four] for part in seen)), rng)
        room = joined.sides_TM.shape[1] - shown.sides_TM.shape[1]
        boxes, sides = F.pad(shown.boxes_TM4, (0, 0, 0, room)), F.pad(shown.sides_TM, (0, room), value=NOBODY)
        shown = shown._replace(boxes_TM4=boxes, sides_TM=sides)
        where = torch.from_numpy(first[made]).to(device)
        for whole, part in zip(shown, joined, strict=True):
            whole[where] = part
    targets = SpotTargets(shown.boxes_TM4, shown.sides_TM, F.avg_pool2d(shown.hand_T1HW, MASK_STRIDE)[:, 0])
    image = normalize((shown.levels_T3HW + 0.5).clamp_(0, 255).floor_() / 255)
    return image.contiguous(memory_format=torch.channels_last), targets


def seen_pictures(frames: Frames, places: NDArray[np.int64], rng: np.random.Generator) -> SeenBatch:
    """Return augmented pictures, those at `places`.

    Boxes stay squares: their middles move with the picture and their sides grow with it; a hand whose middle leaves the
    picture is no longer one to be found.
    """
    device, index = frames.image_N3HW.device, torch.from_numpy(places).to(frames.image_N3HW.device)
    height, width = frames.image_N3HW.shape[2:]
    A = _moves(len(places), (width, height), rng)
    around = np.where(
        rng.random((len(places), 1)) < PLAIN_BORDER, 255 * np.array(MEAN), rng.uniform(0, 255, (len(places), 3))
    )
    border = _sent(around, device)[:, :, None, None]
    planes = torch.cat([frames.image_N3HW[index].float() - border, frames.hand_N1HW[index].float()], 1)
    planes = _sampled(planes, A)
    levels, hand = planes[:, :3] + border, planes[:, 3:]
    boxes, sides = _moved_boxes(frames.boxes_NM4[index], frames.sides_NM[index], A)
    return SeenBatch(_recoloured(levels, rng), hand, boxes, sides)


def mosaic(four: SeenBatch, rng: np.random.Generator) -> SeenBatch:
    """Make pictures of four, each part (T, 4, ...): parted along a row and a column, each quarter filled with one.

    Each is made smaller until its shorter side fits; a hand whose box' middle is cut off is no longer one to be found.

    Source: Bochkovskiy et al., YOLOv4, 2020 (mosaic augmentation).
    """
    levels, hand, boxes, sides = four
    count, size, device = len(levels), np.array(SIZE), levels.device
    low, high = size * 3 // 8 // MASK_STRIDE, size * 5 // 8 // MASK_STRIDE
    cut = MASK_STRIDE * rng.integers(low, high + 1, (count, 2))
    image, mask = torch.empty_like(levels[:, 0]), torch.empty_like(hand[:, 0])
    found = []
    for number in range(FOUR):
        beyond = np.array([number % 2, number // 2], bool)  # of the column, of the row
        first, last = np.where(beyond, cut, 0), np.where(beyond, size, cut)
        scale = ((last - first) / size).max(1, keepdims=True)
        corner = first + (last - first - scale * size) / 2  # of the whole picture, made smaller
        A = np.concatenate([scale[..., None] * np.eye(2), corner[..., None]], -1)
        planes = _sampled(torch.cat([levels[:, number], hand[:, number]], 1), A)
        x, y = (torch.arange(n, device=device) + 0.5 for n in SIZE)
        (left, top), (right, bottom) = (_sent(ends, device)[..., None].unbind(1) for ends in (first, last))
        here = ((x > left) & (x < right))[:, None, None] & ((y > top) & (y < bottom))[:, None, :, None]
        image, mask = torch.where(here, planes[:, :3], image), torch.where(here, planes[:, 3:], mask)
        found.append(_moved_boxes(boxes[:, number], sides[:, number], A, first, last))
    return SeenBatch(image, mask, torch.cat([own for own, _ in found], 1), torch.cat([named for _, named in found], 1))


# ------------------------------------------------------------------------------------------------ places


def _moves(count: int, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw (T, 2, 3) maps from a picture's px edges to those that the network sees."""
    fit = min(SIZE[0] / shape[0], SIZE[1] / shape[1])
    zoom = fit * np.exp(_between(np.log(ZOOM), count, rng))
    quarters = np.where(rng.random(count) < ASIDE, rng.integers(1, 4, count), 0)
    turn = np.radians(rng.normal(0, TURN_DEG / 2, count) + 90 * quarters)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    linear = np.stack([np.stack([c * mirror, -s], -1), np.stack([s * mirror, c], -1)], 1)
    middle = np.array(SIZE) / 2 + rng.uniform(-SHIFT, SHIFT, (count, 2)) * SIZE
    return np.concatenate([linear, (middle - linear @ (np.array(shape) / 2))[..., None]], -1)


def _sampled(planes: Tensor, A: NDArray[np.float64]) -> Tensor:
    """Sample (T, C, H, W) planes bilinearly at the network's size; 0 outside."""
    height, width = planes.shape[2:]
    whole = np.concatenate([A, np.broadcast_to(np.array([[0.0, 0, 1]]), (len(A), 1, 3))], 1)
    back = _sent((_unit(width, height) @ np.linalg.inv(whole) @ np.linalg.inv(_unit(*SIZE)))[:, :2], planes.device)
    x, y = ((2 * torch.arange(n, device=planes.device) + 1) / n - 1 for n in SIZE)
    along, down, shift = (back[:, :, i, None] for i in range(3))
    grid_T2HW = (down * y + shift)[..., None] + (along * x)[:, :, None]  # `affine_grid`'s, several times as fast
    grid = grid_T2HW.permute(0, 2, 3, 1)
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _unit(width: int, height: int) -> NDArray[np.float64]:
    """Return the map from px edges of a picture to -1..1."""
    return np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1.0]])


def _moved_boxes(
    boxes: Tensor,
    sides: Tensor,
    A: NDArray[np.float64],
    first: ArrayLike = (0, 0),
    last: ArrayLike = SIZE,
) -> tuple[Tensor, Tensor]:
    """Take boxes and sides through maps; NOBODY where a middle is not within first..last."""
    maps, det = _sent(A, boxes.device), np.linalg.det(A[:, :, :2])
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2 @ maps[:, :, :2].transpose(1, 2) + maps[:, None, :, 2]
    halves = (boxes[..., 2:] - boxes[..., :2]) / 2 * _sent(np.sqrt(np.abs(det)), boxes.device)[:, None, None]
    low, high = (np.broadcast_to(end, (len(A), 2)) for end in (first, last))
    inside = (middles >= _sent(low, boxes.device)[:, None]) & (middles < _sent(high, boxes.device)[:, None])
    named = torch.where(torch.from_numpy(det < 0).to(boxes.device)[:, None], LEFT + RIGHT - sides, sides)
    there = inside.all(-1) & (sides != NOBODY)
    return torch.cat([middles - halves, middles + halves], -1), torch.where(there, named, NOBODY)


def _recoloured(levels: Tensor, rng: np.random.Generator) -> Tensor:
    count, device = len(levels), levels.device
    gain = 255 * rng.uniform(*GAIN, (count, 1)) * (1 + rng.normal(0, CAST, (count, 3)))
    gamma = np.exp(_between(np.log(GAMMA), count, rng))
    sigma = np.where(rng.random(count) < BLURRED, rng.uniform(*BLUR_PX, count), 0.0)
    grey, noise = rng.random(count) < COLOURLESS, rng.uniform(0, NOISE, count)
    top, left = rng.integers(0, ROOM, (2, count))

    shape = (count, 1, 1, 1)
    levels = (levels.clamp(0, 255) / 255).pow(_sent(gamma, device).reshape(shape))
    levels = (levels * _sent(gain, device)[..., None, None]).clamp_(0, 255)
    luma = sum(weight * levels[:, i : i + 1] for i, weight in enumerate(GRAY))
    levels = torch.where(torch.from_numpy(grey).to(device).reshape(shape), luma, levels)
    levels = blur(levels, _sent(sigma, device))
    rows = torch.from_numpy(top).to(device)[:, None] + torch.arange(SIZE[1], device=device)
    columns = torch.from_numpy(left).to(device)[:, None] + torch.arange(SIZE[0], device=device)
    grain = standard_noise(max(SIZE) + ROOM, device)[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
    return torch.addcmul(levels, _sent(noise, device).reshape(shape), grain).clamp_(0, 255)


def _between(limits: Any, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.uniform(limits[0], limits[1], count))


def _sent(numbers: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(numbers, np.float32)).to(device, non_blocking=True)
