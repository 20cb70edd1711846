"""What warp.py, color.py, noise.py and coarse.py do to a batch, on a CPU: one picture after the other, by OpenCV.

The same to float32's rounding in less than half the time: a picture stays in the core's cache from its canvas to the
network's input, and nothing is kept for a gradient. Every step takes pictures and gives them on one by one; what it
gives may be written over by the next step, and is once the next picture is asked for.

Shape letters: B batch, S canvas side, n crop side. A picture is (n, n, 3) float32 in 0..1.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.model.pixels import MEAN, STD
from handdata.train.augment import warp as batched
from handdata.train.augment.backgrounds import BackgroundPool
from handdata.train.augment.coarse import through
from handdata.train.augment.color import GRAY, ORDERS, blur_taps
from handdata.train.augment.noise import ROOM, inside_box, standard_noise

Pixels = NDArray[Any]  # cv2's types leave out which

EXACT = int(cv2.__version__.partition(".")[0]) >= 5  # older ones sample at the nearest 1/32 px: there torch does it
# colour matrices, from r, g, b and 1
_SAME = np.eye(3, 4)
_GRAYED = np.tile([*GRAY, 0.0], (3, 1))
_NORMALIZED = np.column_stack([np.diag(1 / np.array(STD)), -np.array(MEAN) / np.array(STD)])


def warp(canvas_BSS3: Tensor, affine_B23: Tensor, size: int) -> Iterator[Pixels]:
    """Sample uint8 canvases bilinearly: `warp.warp`."""
    if not EXACT:
        yield from _interleaved(batched.warp(canvas_BSS3, affine_B23, size))
        return
    side = canvas_BSS3.shape[1]
    wide, levels, colors = np.empty((side, side, 4), np.float32), None, None
    for canvas, affine in zip(canvas_BSS3.numpy(), _in_pixels(affine_B23, side, size), strict=True):
        levels = _sample(cv2.cvtColor(canvas, cv2.COLOR_RGB2RGBA), affine, wide, size, levels)
        colors = cv2.cvtColor(levels, cv2.COLOR_RGBA2RGB, dst=colors)
        yield np.multiply(colors, 1 / 255, out=colors)


def warp_over(
    canvas_BSS3: Tensor, bits_BSs: Tensor, composite_B: Tensor, affine_B23: Tensor, behind: Iterable[Pixels]
) -> Iterator[Pixels]:
    """Sample canvases over backgrounds, which are written over: `warp.warp_over`."""
    if not EXACT:
        behind_B3HW = torch.from_numpy(np.stack(list(behind))).permute(0, 3, 1, 2)
        yield from _interleaved(batched.warp_over(canvas_BSS3, bits_BSs, composite_B, affine_B23, behind_B3HW))
        return
    behind = iter(behind)
    first, side = next(behind), canvas_BSS3.shape[1]
    size, wide, levels, colors = len(first), np.empty((side, side, 4), np.float32), None, None
    affines = _in_pixels(affine_B23, side, size)
    shown_of = zip(bits_BSs.numpy(), composite_B.tolist(), itertools.chain([first], behind), strict=True)
    for canvas, affine, (bits, composite, background) in zip(canvas_BSS3.numpy(), affines, shown_of, strict=True):
        keep = np.unpackbits(bits, axis=1) if composite else None
        rgba = cv2.cvtColor(canvas, cv2.COLOR_RGB2RGBA)
        if keep is not None:
            rgba = cv2.copyTo(rgba, keep)  # all four are 0 where nothing is kept
        levels = _sample(rgba, affine, wide, size, levels)
        colors = cv2.cvtColor(levels, cv2.COLOR_RGBA2RGB, dst=colors)
        if keep is None:
            yield np.multiply(colors, 1 / 255, out=colors)
            continue
        weight = cv2.cvtColor(cv2.extractChannel(levels, 3), cv2.COLOR_GRAY2RGB)
        shown = cv2.warpAffine(keep, affine, (size, size), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        yield cv2.copyTo(cv2.divide(colors, weight, dst=colors), shown, dst=background)


def windows(pool: BackgroundPool, placed_B3: Tensor) -> Iterator[Pixels]:
    """Cut windows out of a pool: `BackgroundPool.windows`."""
    n = pool.size
    for tile, left, top in placed_B3.tolist():
        yield np.multiply(pool.tiles[tile, top : top + n, left : left + n].numpy(), 1 / 255, dtype=np.float32)


def jitter(pictures: Iterable[Pixels], factors_B3: Tensor, order_B: Tensor) -> Iterator[Pixels]:
    """Change brightness, contrast and saturation: `color.jitter`."""
    spare = None
    for picture, factors, order in zip(pictures, factors_B3.tolist(), order_B.tolist(), strict=True):
        changed = picture
        for kind in ORDERS[order]:
            f = factors[kind]
            if kind == 2:
                changed = spare = cv2.transform(changed, f * _SAME + (1 - f) * _GRAYED, dst=spare)
            else:
                red, green, blue, _ = cv2.mean(changed) if kind == 1 else (0.0,) * 4
                base = GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue
                cv2.addWeighted(changed, f, changed, 0.0, (1 - f) * base, dst=changed)
            if not 0 <= f <= 1:  # otherwise a blend of two colours in 0..1 stays there
                changed.clip(0, 1, out=changed)
        yield changed


def cover(pictures: Iterable[Pixels], box_B4: Tensor, color_B3: Tensor) -> Iterator[Pixels]:
    """Lay a flat patch over every picture: `disturb.cover`."""
    for picture, box, color in zip(pictures, box_B4, color_B3.numpy(), strict=True):
        if box[2] > 0:
            columns, rows = inside_box(box[None], len(picture))[0].numpy()
            picture[np.ix_(rows, columns)] = color
        yield picture


def blur(pictures: Iterable[Pixels], sigma_B: Tensor) -> Iterator[Pixels]:
    """Blur every picture: `color.blur`."""
    blurred = None
    for picture, taps in zip(pictures, blur_taps(sigma_B).numpy(), strict=True):
        blurred = cv2.sepFilter2D(picture, -1, taps, taps, dst=blurred, borderType=cv2.BORDER_REPLICATE)
        yield blurred


def add_noise(pictures: Iterable[Pixels], deviation_B: Tensor, place_B2: Tensor) -> Iterator[Pixels]:
    """Add normal noise: `disturb.add_noise`."""
    for picture, deviation, (left, top) in zip(pictures, deviation_B.tolist(), place_B2.tolist(), strict=True):
        n = len(picture)
        noise = _noise(n + ROOM)[top : top + n, left : left + n]
        cv2.scaleAdd(noise, deviation, picture, dst=picture)
        yield np.clip(picture, 0, 1, out=picture)


def coarsen(pictures: Iterable[Pixels], pixels_B: Tensor) -> Iterator[Pixels]:
    """Show pictures from fewer pixels: `coarse.coarsen`."""
    for picture, side in zip(pictures, pixels_B.tolist(), strict=True):
        yield through(picture, side, side) if 0 < side < len(picture) else picture


def normalize(pictures: Iterable[Pixels], out_B3HW: Tensor) -> None:
    """Write what `pixels.normalize` makes of pictures into `out_B3HW`, in planes."""
    normal = None
    for picture, planes in zip(pictures, out_B3HW.numpy(), strict=True):
        normal = cv2.transform(picture, _NORMALIZED, dst=normal)
        cv2.split(normal, list(planes))


def _in_pixels(affine_B23: Tensor, side: int, size: int) -> NDArray[np.float64]:
    """Turn what `crop_window.sampling_affine` gives into affines from the crop's pixels to the canvas'."""
    unit = 1 / size - 1
    to_unit = np.array([[2 / size, 0, unit], [0, 2 / size, unit], [0, 0, 1]])
    affine: NDArray[np.float64] = affine_B23.double().numpy() @ to_unit * (side / 2)
    affine[..., 2] += (side - 1) / 2
    return affine


def _sample(rgba: NDArray[Any], affine: NDArray[np.float64], wide: Pixels, size: int, into: Pixels | None) -> Pixels:
    """Sample bilinearly, (n, n, 4) float32; of four channels OpenCV makes twice as many pixels a second as of three."""
    np.copyto(wide, rgba)
    return cv2.warpAffine(wide, affine, (size, size), dst=into, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _interleaved(image_B3HW: Tensor) -> Pixels:
    """Return (B, n, n, 3)."""
    pictures: Pixels = image_B3HW.permute(0, 2, 3, 1).contiguous().numpy()
    return pictures


@functools.lru_cache(maxsize=8)
def _noise(side: int) -> Pixels:
    noise: Pixels = _interleaved(standard_noise(side, torch.device("cpu"))[None])[0]
    return noise
