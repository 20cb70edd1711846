"""Backgrounds on the device: a pool of tiles, and a random window of one for every sample."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.errors import ConfigError
from handdata.shards.backgrounds import open_backgrounds

# Tiles held at most: 450 MB at 192 px. More are thinned out evenly; a window of n = 128 of 192 px has 65^2 places.
MAX_TILES = 4096


@dataclass(frozen=True, slots=True)
class BackgroundPool:
    """Tiles on a device.

    Attributes:
        tiles: (M, P, P, 3) uint8.
        size: n, side of the windows, px; at most P.
    """

    tiles: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.tiles)

    def place(self, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Turn three numbers in [0, 1) a sample, (B, 3), into tile, left and top, (B, 3)."""
        room = self.tiles.shape[1] - self.size + 1
        return np.asarray(draws * np.array([len(self), room, room]), np.int64)

    def windows(self, placed_B3: Tensor) -> Tensor:
        """Cut the windows out: (B, 3) int64 on the pool's device -> (B, 3, n, n) float32 in 0..1."""
        n = self.size
        if self.tiles.device.type == "cpu":  # rows copied whole: three times as fast as indexing pixels
            cut = [self.tiles[tile, top : top + n, left : left + n] for tile, left, top in placed_B3.tolist()]
            chosen = torch.stack(cut)
        else:
            tile, left, top = placed_B3.unbind(1)
            index = torch.arange(n, device=placed_B3.device)
            rows, columns = top[:, None, None] + index[None, :, None], left[:, None, None] + index[None, None, :]
            chosen = self.tiles[tile[:, None, None], rows, columns]
        return chosen.permute(0, 3, 1, 2).to(torch.float32) * (1 / 255)


def load_backgrounds(
    folder: Path | None, split: str, *, size: int = 128, device: torch.device | str = "cpu", limit: int = MAX_TILES
) -> BackgroundPool:
    """Load one split of a converted pool of pictures; without one, painted tiles.

    Args:
        folder: what `handdata convert backgrounds` wrote, or None.
        split: "train", "val" or "test".
        size: n, px.
        device: where the tiles go.
        limit: tiles held at most, evenly thinned.

    Raises:
        MissingError: no pool there, or no picture in this split.
        ConfigError: the tiles are smaller than the windows.
    """
    backgrounds = open_backgrounds(folder, split)
    if backgrounds.side < size:
        pool = f"`handdata convert backgrounds --canvas {-(-size // 8) * 8}`"
        raise ConfigError(
            folder or "backgrounds",
            expected=f"tiles of at least {size} px",
            got=f"{backgrounds.side} px",
            fix=f"Name a pool from {pool} in data.backgrounds, or none.",
        )
    total = len(backgrounds)
    chosen = np.linspace(0, total, min(limit, total), endpoint=False).astype(np.int64)
    tiles = np.stack([backgrounds[int(index)] for index in chosen])
    return BackgroundPool(torch.from_numpy(tiles).to(device), size)
