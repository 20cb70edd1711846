"""How much a target grew from one picture to the next, from the flow of points inside its box. Pure.

The correlation filter keeps the size it was started with. Points that flow apart tell that the hand comes nearer: the
median over all pairs of the ratio of their distances, as in MedianFlow (Kalal, Mikolajczyk, Matas, ICPR 2010), but
for the size alone: the filter says where the box is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.boxes import Box

GRID = 8  # points along each side
INSET = 0.1  # of the box: its rim is background
LARGEST_ERROR = 2.0  # px, between a point and where it comes back to when followed forth and back
FEWEST = 8  # points that must agree
NEAREST = 8.0  # px between two points whose distance counts
LARGEST_CHANGE = 0.08  # of the size, in one frame
_FLOW = {"winSize": (15, 15), "maxLevel": 3}

Gray = NDArray[np.uint8]


def size_change(before: Gray, after: Gray, box: Box) -> float:
    """Return the factor by which what was in `box` grew; 1 where too few points can be followed.

    Args:
        before: (H, W) uint8, the picture the box belongs to.
        after: (H, W) uint8, the next one.
        box: x, y, w, h px.
    """
    points = _grid(box, before.shape[1], before.shape[0])
    if len(points) < FEWEST:
        return 1.0
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **_FLOW)  # type: ignore[call-overload]
    back, found_again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **_FLOW)  # type: ignore[call-overload]
    error = np.linalg.norm(back - points, axis=1)
    error[(found.ravel() == 0) | (found_again.ravel() == 0)] = np.inf
    good = error <= min(float(np.median(error)), LARGEST_ERROR)
    if good.sum() < FEWEST:
        return 1.0
    first, second = np.triu_indices(int(good.sum()), 1)
    was = np.linalg.norm(points[good][first] - points[good][second], axis=1)
    now = np.linalg.norm(there[good][first] - there[good][second], axis=1)
    apart = was > NEAREST
    if not apart.any():
        return 1.0
    return float(np.clip(np.median(now[apart] / was[apart]), 1 - LARGEST_CHANGE, 1 + LARGEST_CHANGE))


def _grid(box: Box, width: int, height: int) -> NDArray[np.float32]:
    x, y, w, h = box
    columns = np.linspace(x + INSET * w, x + (1 - INSET) * w, GRID)
    rows = np.linspace(y + INSET * h, y + (1 - INSET) * h, GRID)
    u, v = np.meshgrid(columns[(columns >= 0) & (columns < width)], rows[(rows >= 0) & (rows < height)])
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float32)
