"""The hand in a depth picture: where it is, and a crop of it that does not depend on how far away it is. Pure.

Shape letters: F frames, K keypoints, S side of a crop. Depth is mm along z, 0 where there is no surface.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.geometry import backproject, project

Floats = NDArray[np.float64]

WIDTH_MM, REACH_MM = 170.0, 100.0  # of a crop that frames are compared by; before and behind its centre
FLOW_MM, FLOW_SIDE = 260.0, 160  # of a crop that points are followed in: fingers may reach out of the other
SMALL = 32  # px, side of a crop that frames are compared by
SHIFTS, FARTHEST_SHIFT_MM = 4, 45.0  # steps of the mean shift; the arm is a surface too


@dataclass(frozen=True, slots=True)
class DepthCrop:
    """A square of a depth picture about a point.

    Attributes:
        relative: (S, S) mm behind the centre, between -REACH_MM and REACH_MM; REACH_MM where there is no surface.
        centre: (3,) mm, what it is about.
        corner: (2,) px of the picture, of the centre of its first pixel.
        step: px of the picture per px of the crop.
    """

    relative: NDArray[np.float32]
    centre: Floats
    corner: Floats
    step: float

    def inside(self, uv: Floats) -> Floats:
        """Take (..., 2) px of the picture to px of the crop."""
        return np.asarray((uv - self.corner) / self.step, np.float64)

    def outside(self, at: Floats) -> Floats:
        """Take (..., 2) px of the crop to px of the picture."""
        return np.asarray(at * self.step + self.corner, np.float64)


def find_centre(depth: NDArray[np.float64], K: Floats, start: Floats) -> Floats:
    """Return the centre of the hand: the mean of the surfaces about the place where it is looked for, (3,) mm.

    Args:
        depth: (H, W) mm.
        K: (3, 3) of the depth camera.
        start: (3,) mm, near the hand: the mean of its labelled fingertips.

    Returns:
        NaN if no surface lies there.
    """
    v, u = np.nonzero((depth > 0) & (np.abs(depth - start[2]) < REACH_MM + FARTHEST_SHIFT_MM))
    points = backproject(np.stack([u, v], axis=-1).astype(float), depth[v, u], K)
    centre = np.asarray(start, np.float64)
    for _ in range(SHIFTS):
        near = (np.abs(points - centre) < [WIDTH_MM / 2, WIDTH_MM / 2, REACH_MM]).all(axis=1)
        if not near.any():
            return np.full(3, np.nan)
        away = points[near].mean(axis=0) - start
        centre = start + away * min(1.0, FARTHEST_SHIFT_MM / max(float(np.linalg.norm(away)), 1e-9))
    return np.asarray(centre, np.float64)


def crop_about(
    depth: NDArray[np.float64], K: Floats, centre: Floats, width_mm: float = WIDTH_MM, side: int = SMALL
) -> DepthCrop:
    """Cut a square of a depth picture.

    Args:
        depth: (H, W) mm.
        K: (3, 3) of the depth camera.
        centre: (3,) mm, before the camera.
        width_mm: of the square at the centre's depth.
        side: px of the crop.
    """
    middle, step = project(centre[None], K)[0], width_mm * float(K[0, 0] + K[1, 1]) / 2 / float(centre[2]) / side
    corner = middle - step * (side - 1) / 2
    clipped = np.where(depth > 0, np.clip(depth - centre[2], -REACH_MM, REACH_MM), REACH_MM).astype(np.float32)
    warp = np.array([[step, 0.0, corner[0]], [0.0, step, corner[1]]])
    flags = (cv2.INTER_AREA if step > 1.5 else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(
        clipped, warp, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=REACH_MM
    )  # fmt: skip
    return DepthCrop(np.asarray(cut, np.float32), centre, corner, step)


def depth_at(depth: NDArray[np.float64], uv: Floats) -> Floats:
    """Return the depth at (..., 2) px: the median of the surfaces in 3 x 3 pixels, NaN without one."""
    height, width = depth.shape
    u, v = (np.nan_to_num(np.rint(uv[..., i]), nan=-9.0).clip(-9, 1e6).astype(int) for i in (0, 1))
    around = np.full((9, *u.shape), np.nan)
    for number in range(9):
        x, y = u + number % 3 - 1, v + number // 3 - 1
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        found = depth[y.clip(0, height - 1), x.clip(0, width - 1)]
        around[number] = np.where(inside & (found > 0), found, np.nan)
    ordered, count = np.sort(around, axis=0), np.isfinite(around).sum(axis=0)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.asarray(np.where(count > 0, middle, np.nan), np.float64)
