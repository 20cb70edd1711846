"""Pictures to put behind a hand: a pool of tiles held on the device, a random window of one for every sample.

A tile is a picture at the crop's scale, so that a window of n x n tile pixels shows what a 480 px window of the
picture shows (method.md 3.1: 640 x 480 windows, of which the centred 480 square is used).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.errors import ConfigError, MissingError
from handdata.images import read_image
from handdata.progress import track

WINDOW = (640, 480)  # width, height, px of the picture, method.md 3.1
SPLIT_SIZE = 2000  # pictures each of validation and test, method.md 2.1
SPLIT_SEED = 42
MAX_SIDE = 2  # a tile is at most this many crops wide and high; larger pictures lose their rim
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
PROCEDURAL_TILES = 256


@dataclass(frozen=True, slots=True)
class BackgroundPool:
    """Tiles on a device.

    Attributes:
        tiles: (M, P, P, 3) uint8; the picture is in the top-left corner.
        sizes: (M, 2) int64 on the host, width and height of each picture, px; at least n.
        size: n, side of the windows.
    """

    tiles: Tensor
    sizes: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        return len(self.sizes)

    def place(self, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Turn three numbers in [0, 1) a sample into (B, 3) tile, left, top."""
        tile = (draws[:, 0] * len(self)).astype(np.int64)
        room = self.sizes[tile] - self.size + 1
        return np.concatenate([tile[:, None], (draws[:, 1:3] * room).astype(np.int64)], axis=1)

    def windows(self, placed_B3: Tensor) -> Tensor:
        """Cut the windows out: (B, 3) int64 on the pool's device -> (B, 3, n, n) float32 in 0..1."""
        tile, left, top = placed_B3.unbind(1)
        index = torch.arange(self.size, device=placed_B3.device)
        rows, columns = top[:, None, None] + index[None, :, None], left[:, None, None] + index[None, None, :]
        return self.tiles[tile[:, None, None], rows, columns].permute(0, 3, 1, 2).to(torch.float32) * (1 / 255)

    def to(self, device: torch.device | str) -> "BackgroundPool":
        """Return the pool on another device."""
        return BackgroundPool(self.tiles.to(device), self.sizes, self.size)


def open_backgrounds(folder: Path, split: str, *, size: int = 128, limit: int | None = None) -> BackgroundPool:
    """Read a folder of pictures, by the published split of ADE20K (method.md 2.1).

    Sorted paths, shuffled with the seed 42; the first 2,000 are for validation, the next 2,000 for testing, the rest
    for training. Folders of fewer than 6,000 pictures are cut in the same proportions of a tenth each.

    Args:
        folder: searched with its sub-folders for .jpg, .png and .bmp.
        split: "train", "val" or "test".
        size: n.
        limit: read at most so many.

    Raises:
        MissingError: no picture there.
        ConfigError: too few for this split.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise MissingError(
            folder, expected="background pictures", got="none", fix="Unpack ADE20K, or any photos, there."
        )
    # the published split: NumPy's legacy generator
    order = np.random.RandomState(SPLIT_SEED).permutation(len(paths))
    held = SPLIT_SIZE if len(paths) >= 3 * SPLIT_SIZE else len(paths) // 10
    parts = {"val": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
    chosen = [paths[i] for i in parts[split]][:limit]
    if not chosen:
        raise ConfigError(folder, expected="at least 10 pictures", got=str(len(paths)), fix="Add more pictures.")
    return _pool((read_image(path) for path in track(chosen, "backgrounds", len(chosen))), size)


def procedural_backgrounds(seed: int, *, size: int = 128, count: int = PROCEDURAL_TILES) -> BackgroundPool:
    """Make a pool of smooth and rough colour noise with edges, where no pictures are at hand.

    Args:
        seed: another pool each; give validation another one than training.
        size: n.
        count: tiles.
    """
    side = WINDOW[1] * 3 // 2
    return _pool((_noise(np.random.default_rng([seed, i]), side) for i in range(count)), size)


def _pool(pictures: Iterable[NDArray[Any]], size: int) -> BackgroundPool:
    tiles, sizes = [], []
    for picture in pictures:
        tile = _tile(picture, size)
        sizes.append(tile.shape[1::-1])
        padded = np.zeros((MAX_SIDE * size, MAX_SIDE * size, 3), np.uint8)
        padded[: tile.shape[0], : tile.shape[1]] = tile
        tiles.append(torch.from_numpy(padded))
    return BackgroundPool(torch.stack(tiles), np.array(sizes, np.int64), size)


def _tile(picture: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Scale a picture so that 480 of its pixels become n; small ones are first brought to 640 x 480 (method.md 3.1)."""
    height, width = picture.shape[:2]
    if width <= WINDOW[0] or height <= WINDOW[1]:
        width, height = WINDOW
    scale = size / WINDOW[1]
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    tile = cv2.resize(picture, target, interpolation=cv2.INTER_AREA)
    left, top = (max(0, side - MAX_SIDE * size) // 2 for side in target)
    return np.asarray(tile[top : top + MAX_SIDE * size, left : left + MAX_SIDE * size], np.uint8)


def _noise(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Paint octaves of colour noise and a few flat polygons."""
    picture = np.zeros((side, side, 3), np.float32) + rng.uniform(0.1, 0.9, 3).astype(np.float32)
    for cells in (3, 6, 12, 24, 48, 96):
        octave = rng.normal(0, rng.uniform(0.02, 0.5) / cells**0.5, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(octave, (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(0, 7)):
        corners = (rng.uniform(-0.2, 1.2, (rng.integers(3, 6), 2)) * side).astype(np.int32)
        shade = np.zeros((side, side), np.float32)
        cv2.fillPoly(shade, [corners], 1.0, cv2.LINE_AA)
        picture += shade[..., None] * rng.normal(0, 0.25, 3).astype(np.float32)
    picture += rng.normal(0, rng.uniform(0, 0.05), picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture * 255, 0, 255), np.uint8)
