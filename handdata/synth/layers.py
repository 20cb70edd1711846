"""Ellipses and limbs laid over each other, with the directions they face, and lit once by the scene's lamp.

Shape letters: H, W rows and columns of the picture. Places and lengths are shares of the picture's height.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from handdata.synth.color import Colors
from handdata.synth.light import Light, hold_highlights, illuminate
from handdata.synth.skin import Material

FOLD_GRIDS = (4, 9, 24)  # cells across of the noise that folds and blotches are made of
BLOTCHES = 0.12  # of the colour of anything
FLAT = 0.15  # least share of a normal that faces the camera


@dataclass(frozen=True)
class Stuff:
    """(3,) linear colour; 1 for skin; strength of the highlight and of folds."""

    color: Colors
    flesh: float = 0.0
    gloss: float = 0.5
    folds: float = 0.0


class Layers:
    """An empty picture to lay shapes on.

    Args:
        rng: for the folds.
        width: px.
        height: px.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self._albedo = np.zeros((height, width, 3), np.float32)
        self._normal = np.zeros((height, width, 3), np.float32)
        self._ways = np.zeros((height, width, 2), np.float32)  # flesh, gloss
        self._cover = np.zeros((height, width), np.float32)
        noise = np.zeros((height, width, 3), np.float32)
        for k, cells in enumerate(FOLD_GRIDS):
            grid = rng.standard_normal((cells, cells, 3), np.float32) / np.float32(1 + k)
            noise += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        self._noise = noise

    def ellipse(self, middle: ArrayLike, axes: ArrayLike, turn: float, stuff: Stuff) -> None:
        """Lay the front half of an ellipsoid, (2,) half axes, turned by radians."""
        half = np.asarray(axes, float)
        found = self._grid(np.asarray(middle, float), float(half.max()))
        if found is None:
            return
        inside, x, y = found
        c, s = np.cos(turn), np.sin(turn)
        u, v = (c * x + s * y) / np.float32(half[0]), (c * y - s * x) / np.float32(half[1])
        r = np.sqrt(u * u + v * v)
        cover = np.clip((1 - r) * np.float32(half.min() * self._cover.shape[0]) + 0.5, 0, 1)
        self._lay(inside, cover, (c * u - s * v, s * u + c * v), stuff)

    def limb(self, start: ArrayLike, end: ArrayLike, radii: Sequence[float], stuff: Stuff) -> None:
        """Lay a rounded rod with a radius at each end."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        found = self._grid((a + b) / 2, float(np.linalg.norm(b - a) / 2 + max(radii)))
        if found is None:
            return
        inside, x, y = found
        d = (b - a).astype(np.float32)
        x, y = x + d[0] / 2, y + d[1] / 2
        along = np.clip((x * d[0] + y * d[1]) / max(float(d @ d), 1e-9), 0, 1)
        radius = np.maximum(radii[0] + along * (radii[1] - radii[0]), 1e-4).astype(np.float32)
        u, v = (x - along * d[0]) / radius, (y - along * d[1]) / radius
        cover = np.clip((1 - np.sqrt(u * u + v * v)) * radius * self._cover.shape[0] + 0.5, 0, 1)
        self._lay(inside, cover, (u, v), stuff)

    def _grid(
        self, middle: NDArray[np.float64], reach: float
    ) -> tuple[tuple[slice, slice], NDArray[Any], NDArray[Any]] | None:
        """Return the pixels round a point, and their places from it; None outside the picture."""
        height, width = self._cover.shape
        low = np.maximum(np.floor((middle - reach) * height) - 1, 0).astype(int)
        high = np.minimum(np.ceil((middle + reach) * height) + 2, [width, height]).astype(int)
        if (high <= low).any():
            return None
        x = (np.arange(low[0], high[0], dtype=np.float32) + 0.5) / height - np.float32(middle[0])
        y = (np.arange(low[1], high[1], dtype=np.float32) + 0.5) / height - np.float32(middle[1])
        return (slice(low[1], high[1]), slice(low[0], high[0])), x[None], y[:, None]

    def _lay(
        self,
        inside: tuple[slice, slice],
        cover: NDArray[np.float32],
        sideways: tuple[NDArray[np.float32], NDArray[np.float32]],
        stuff: Stuff,
    ) -> None:
        noise, share = self._noise[inside], cover[..., None].astype(np.float32)
        normal = np.empty((*cover.shape, 3), np.float32)
        normal[..., 0], normal[..., 1] = sideways
        normal[..., 2] = -np.sqrt(np.maximum(1 - normal[..., 0] ** 2 - normal[..., 1] ** 2, FLAT**2))
        normal[..., :2] += np.float32(stuff.folds) * noise[..., :2]
        color = stuff.color * (1 + np.float32(BLOTCHES) * noise[..., 2:])
        for layer, value in (
            (self._albedo, color),
            (self._normal, normal),
            (self._ways, np.array([stuff.flesh, stuff.gloss], np.float32)),
        ):
            layer[inside] += share * (value - layer[inside])
        self._cover[inside] = np.maximum(self._cover[inside], cover)

    def light_up(self, canvas: Colors, light: Light) -> None:
        """Lay everything, lit, on a canvas of (H, W, 3) linear light."""
        there = self._cover > 0
        if not there.any():
            return
        normals, count = self._normal[there], int(there.sum())
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        flesh, gloss = self._ways[there].T
        material = Material(
            albedo=np.clip(self._albedo[there], 0.005, 1),
            gloss=gloss,
            roughness=np.full(count, 0.5, np.float32),
            flesh=flesh,
            bump=np.zeros((count, 3), np.float32),
        )
        toward_eye = np.tile(np.array([0, 0, -1], np.float32), (count, 1))
        full = np.ones(count, np.float32)
        color = hold_highlights(illuminate(material, normals, toward_eye, full, full, light), flesh > 0.5, light)
        canvas[there] += self._cover[there][:, None] * (color - canvas[there])
