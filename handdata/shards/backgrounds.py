"""What stands behind a hand in training: a converted pool (`handdata convert backgrounds`) or painted tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import write_bytes
from handdata.shards.dataset import open_dataset
from handdata.shards.reader import ShardReader

PAINTED_TILES = 192
PAINTED_SIDE = 192  # px, as DEFAULT_CANVAS
_SEEDS = {"train": 0, "val": 1, "test": 2}  # of the painted pools: no picture is in two of them


@dataclass(frozen=True)
class Backgrounds:
    """Square pictures of one size.

    Attributes:
        tiles: (N, S, S, 3) uint8 RGB arrays, mapped from the shards or painted; N may differ between them.
        readers: of the shards, which check a picture when it is first taken; none for painted ones.
    """

    tiles: tuple[NDArray[np.uint8], ...]
    readers: tuple[ShardReader, ...] = ()

    def __len__(self) -> int:
        return sum(len(part) for part in self.tiles)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return tile `index`, (S, S, 3)."""
        for number, part in enumerate(self.tiles):
            if index < len(part):
                if self.readers:
                    self.readers[number].check_row(index)
                tile: NDArray[np.uint8] = part[index]
                return tile
            index -= len(part)
        raise IndexError(index)

    @property
    def side(self) -> int:
        """S, px."""
        return int(self.tiles[0].shape[1])


def open_backgrounds(pool: Path | None, split: str) -> Backgrounds:
    """Open one split of a converted pool; without a pool, paint a small one.

    Args:
        pool: folder of shards and index.json.
        split: "train", "val" or "test".

    Raises:
        MissingError: no pool there, or it has no picture in this split.
        DataError: the pool is damaged.
    """
    if pool is None:
        return Backgrounds((paint_tiles(_SEEDS[split], PAINTED_TILES, PAINTED_SIDE),))
    readers = tuple(open_dataset(pool, split).shards.readers)
    return Backgrounds(tuple(reader.images for reader in readers), readers)


@lru_cache(maxsize=4)
def paint_tiles(seed: int, count: int, side: int) -> NDArray[np.uint8]:
    """Paint pictures of cloudy light with flat shapes and straight edges; free of any licence.

    Returns:
        (count, side, side, 3) uint8, the same on every machine up to the last bit of rounding; kept, so read only.
    """
    tiles = np.stack([_paint(np.random.default_rng([seed, index]), side) for index in range(count)])
    tiles.setflags(write=False)
    return tiles


def write_painted(folder: Path, count: int = 2 * PAINTED_TILES, side: int = 256) -> Sequence[Path]:
    """Write painted pictures as PNG, so that `convert backgrounds` has something to convert; finished ones are kept."""
    paths = [folder / f"painted_{index:05d}.png" for index in range(count)]
    for index, path in enumerate(paths):
        if not path.is_file():
            picture = _paint(np.random.default_rng([0, index]), side)
            write_bytes(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    return paths


def _paint(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    picture = np.full((side, side, 3), _color(rng), np.float32)
    strength, fall = rng.uniform(0.05, 0.5), rng.uniform(0.4, 1.1)
    for cells in (2, 4, 8, 16, 32, 64):
        light = rng.normal(0, 1, (cells, cells, 1)) + rng.normal(0, 0.25, (cells, cells, 3))
        patch = (strength / cells**fall * light).astype(np.float32)
        picture += cv2.resize(patch, (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 16)):
        shape, outline = np.zeros((side, side), np.float32), (_outline(rng) * side).astype(np.int32)
        cv2.fillPoly(shape, [outline], 1.0, cv2.LINE_AA)
        (left, top), (right, bottom) = (np.clip(end, 0, side) for end in (outline.min(0) - 2, outline.max(0) + 3))
        at = (slice(top, bottom), slice(left, right))  # the rest stays as it is
        picture[at] += shape[at][..., None] * rng.uniform(0.4, 1) * (_color(rng) - picture[at])
    picture *= 1 + rng.normal(0, 0.3) * np.linspace(-0.5, 0.5, side, dtype=np.float32)[:, None, None]
    picture += rng.normal(0, rng.uniform(0.005, 0.04), picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture * 255, 0, 255), np.uint8)


def _color(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the colour of a thing: mostly grey, brown or beige."""
    grey = rng.uniform(0.08, 0.92)
    color = grey * (1 + rng.normal(0, 0.18, 3) + np.array([0.06, 0.0, -0.06]))
    return np.asarray(np.clip(color, 0, 1), np.float32)


def _outline(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a turned rectangle, from a strip to a square, or a polygon; (P, 2) shares of the side."""
    if rng.random() < 0.7:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.01, 0.4, 2)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        corners = rng.uniform(0.05, 0.35) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turn = rng.choice([0, 1]) * rng.uniform(-0.5, 0.5)
    R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    placed: NDArray[np.float64] = corners @ R.T + rng.uniform(-0.1, 1.1, 2)
    return placed
