"""What stands behind the hand: a pool of procedural pictures per style, or the user's own, cropped and graded."""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, HanddataError
from handdata.pictures.decode import read_image
from handdata.pictures.kinds import SUFFIXES
from handdata.synth.color import Colors, decode
from handdata.synth.frame import Style
from handdata.synth.style import LOOKS

POOL_SIZE = 64  # pictures per style; drawn once per process, seen through countless crops
POOL_PX = 384
MAX_SIDE_PX = 900  # of the user's pictures, once loaded
Image = NDArray[np.uint8]


class Ground(Protocol):
    """What stands behind a hand."""

    def picture(self, width: int, height: int) -> Colors:
        """Return it as (height, width, 3) linear light; do not write to it."""


@dataclass(frozen=True)
class Backdrop:
    """One view of a pool picture; hashable, so that a sequence keeps its background.

    Attributes:
        style: whose pool.
        files: the user's pictures; procedural if empty.
        index: in the pool or in `files`.
        zoom: side of the crop, as a share of the largest that fits.
        offset: (x, y) of the crop, 0..1 of the room left.
        flip: mirrored.
        gain: (3,) of the channels.
        saturation: 1 as it is.
        blur: px of a 256 px picture.
    """

    style: Style
    files: tuple[str, ...]
    index: int
    zoom: float
    offset: tuple[float, float]
    flip: bool
    gain: tuple[float, float, float]
    saturation: float
    blur: float

    def picture(self, width: int, height: int) -> Colors:
        """Return it as (height, width, 3) linear light; do not write to it."""
        return _graded(self, width, height)


def draw_backdrop(rng: np.random.Generator, style: Style, files: tuple[str, ...] = ()) -> Backdrop:
    """Draw a view of one of the pictures."""
    look = LOOKS[style]
    gain = rng.uniform(*look.background_gain) * rng.uniform(0.88, 1.12, 3)
    return Backdrop(
        style=style,
        files=files,
        index=int(rng.integers(len(files) or POOL_SIZE)),
        zoom=float(rng.uniform(0.4, 1)),
        offset=(float(rng.random()), float(rng.random())),
        flip=bool(rng.random() < 0.5),
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        saturation=float(rng.uniform(0.35, 1.1)),
        blur=float(rng.uniform(*look.background_blur)),
    )


def list_pictures(folder: Path) -> tuple[str, ...]:
    """Return the picture files of a folder, by name.

    Raises:
        DataError: the folder holds no picture.
    """
    files = tuple(str(p) for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(
            folder,
            expected=f"pictures ({', '.join(SUFFIXES)})",
            got="none",
            fix="Name a folder of pictures, or leave --backgrounds out for procedural ones.",
        )
    return files


@lru_cache(maxsize=8)
def _graded(backdrop: Backdrop, width: int, height: int) -> Colors:
    source = _loaded(backdrop.files[backdrop.index]) if backdrop.files else _painted(backdrop.style, backdrop.index)
    rows, columns = source.shape[:2]
    side = backdrop.zoom * min(columns / width, rows / height)
    crop_w, crop_h = max(2, int(side * width)), max(2, int(side * height))
    left = int(backdrop.offset[0] * (columns - crop_w))
    top = int(backdrop.offset[1] * (rows - crop_h))
    image = cv2.resize(
        source[top : top + crop_h, left : left + crop_w], (width, height), interpolation=cv2.INTER_LINEAR
    )
    if backdrop.flip:
        image = image[:, ::-1]
    sigma = backdrop.blur * min(width, height) / 256
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    linear = decode(np.asarray(image, np.uint8))
    mixing = backdrop.saturation * np.eye(3) + (1 - backdrop.saturation) / 3
    graded: Colors = linear @ (mixing * np.array(backdrop.gain)).astype(np.float32)
    graded = np.maximum(graded, 0)
    graded.setflags(write=False)
    return graded


@lru_cache(maxsize=256)
def _loaded(file: str) -> Image:
    try:
        image = read_image(file)
    except HanddataError as error:
        fix = "Take it out of the folder."
        raise DataError(file, expected=error.expected, got=error.got, fix=fix) from None
    shrink = min(1.0, MAX_SIDE_PX / max(image.shape[:2]))
    if shrink < 1:
        return np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
    return image


@cache
def _painted(style: Style, index: int) -> Image:
    """Paint one picture of a style's pool, the same in every process."""
    rng = np.random.default_rng([*style.encode(), index])
    look = LOOKS[style]
    share = (index + 0.5) / POOL_SIZE
    if share < look.rooms:
        picture = _room(rng)
    elif share < look.rooms + look.textures:
        picture = _texture(rng, coarse=style == "gritty")
    else:
        picture = _clutter(rng)
    return np.asarray(np.clip(picture * 255, 0, 255), np.uint8)


def _octaves(rng: np.random.Generator, sizes: tuple[int, ...], channels: int, falloff: float) -> NDArray[np.float32]:
    total = np.zeros((POOL_PX, POOL_PX, channels), np.float32)
    strength = 1.0
    for size in sizes:
        grain = rng.random((size, size, channels), dtype=np.float32) - np.float32(0.5)
        grown = cv2.resize(grain, (POOL_PX, POOL_PX), interpolation=cv2.INTER_CUBIC)
        total += strength * grown.reshape(total.shape)
        strength *= falloff
    return total


def _color(rng: np.random.Generator, low: float, high: float, spread: float = 0.15) -> NDArray[np.float32]:
    return np.clip(rng.uniform(low, high) * (1 + rng.normal(0, spread, 3)), 0.02, 1).astype(np.float32)


def _room(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint a wall and a table edge-on, things standing about, a window, light falling off to one side."""
    y, x = (np.mgrid[0:POOL_PX, 0:POOL_PX] / POOL_PX).astype(np.float32)
    edge = rng.uniform(0.45, 1.1) + rng.normal(0, 0.08) * (x - 0.5)
    table = 1 / (1 + np.exp(np.clip(-(y - edge) * rng.uniform(60, 200), -40, 40)))
    wall = np.broadcast_to(_color(rng, 0.35, 0.9, 0.07), (POOL_PX, POOL_PX, 3))
    grain = _octaves(rng, (5, 40, 120), 1, 0.6)
    wood = _color(rng, 0.2, 0.75, 0.18) * (1 + 0.12 * np.sin(y * rng.uniform(60, 200) + 5 * grain[..., 0]))[..., None]
    picture = wall * (1 - table[..., None]) + wood * table[..., None]
    for _ in range(rng.integers(2, 11)):
        _stand(rng, picture, float(np.clip(edge.mean(), 0.3, 0.95)))
    shade = 1 + rng.normal(0, 0.3) * (x - 0.5) + rng.normal(0, 0.25) * (y - 0.5)
    return np.asarray(picture * (shade * (1 + 0.06 * grain[..., 0]))[..., None], np.float32)


def _stand(rng: np.random.Generator, picture: NDArray[np.float32], floor: float) -> None:
    """Add a box, a disc, a frame on the wall or a window."""
    width, height = (rng.uniform(0.04, 0.3, 2) * POOL_PX).astype(int)
    left = int(rng.uniform(-0.1, 1) * POOL_PX)
    bottom = int((floor if rng.random() < 0.6 else rng.uniform(0.1, 1)) * POOL_PX)
    fill = tuple(float(c) for c in _color(rng, 0.08, 0.95, 0.25))
    shape = rng.random()
    if shape < 0.65:
        cv2.rectangle(picture, (left, bottom - height), (left + width, bottom), fill, -1)
        lit = tuple(c * 1.15 for c in fill)
        cv2.rectangle(picture, (left, bottom - height), (left + width // 3, bottom), lit, -1)
    elif shape < 0.85:
        cv2.ellipse(picture, (left, bottom - height // 2), (width // 2, height // 2), 0, 0, 360, fill, -1, cv2.LINE_AA)
    else:
        cv2.rectangle(picture, (left, bottom - height), (left + width, bottom), fill, max(2, width // 12))


def _texture(rng: np.random.Generator, *, coarse: bool) -> NDArray[np.float32]:
    """Paint cloudy or rough stuff: cloth, plaster, leaves, gravel."""
    noise = _octaves(rng, (3, 6, 12, 24, 48, 96, 192), 3, rng.uniform(0.75, 0.95) if coarse else rng.uniform(0.45, 0.7))
    grey = noise.mean(2, keepdims=True)
    noise = grey + (noise - grey) * rng.uniform(0.05, 0.35)
    strength = rng.uniform(0.5, 1.1) if coarse else rng.uniform(0.25, 0.6)
    return np.asarray(_color(rng, 0.3, 0.7, 0.16) + 0.5 * strength * noise, np.float32)


def _clutter(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint overlapping shapes, stripes and lines of writing, hard-edged."""
    picture = np.ascontiguousarray(np.broadcast_to(_color(rng, 0.1, 0.8), (POOL_PX, POOL_PX, 3)), np.float32)
    for _ in range(rng.integers(12, 45)):
        centre = rng.uniform(0, POOL_PX, 2)
        reach = rng.uniform(8, 90)
        turn, sides = rng.uniform(0, 7), int(rng.integers(3, 8))
        around = turn + np.arange(sides) * 2 * np.pi / sides
        polygon = centre + reach * np.stack([np.cos(around), rng.uniform(0.2, 1) * np.sin(around)], 1)
        color = tuple(float(c) for c in _color(rng, 0.05, 0.95, 0.3))
        cv2.fillPoly(picture, [polygon.astype(np.int32)], color, cv2.LINE_AA)
        if rng.random() < 0.4:
            for k in range(int(rng.integers(3, 9))):
                start = centre + np.array([-reach, k * 9.0])
                stop = start + np.array([rng.uniform(0.5, 2) * reach, 0.0])
                ink = tuple(1 - c for c in color)
                cv2.line(picture, _pixel(start), _pixel(stop), ink, int(rng.integers(1, 4)))
    return np.asarray(picture + 0.12 * _octaves(rng, (64, 192), 1, 0.8), np.float32)


def _pixel(point: NDArray[Any]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
