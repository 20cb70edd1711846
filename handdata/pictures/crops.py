"""Square crops round a hand, by the published rule of each dataset: pure functions on boxes (left, top, right, bottom).

docs/method.md 3 gives the rules in the thesis' own pixels, where x is a position between 0 and W; those are kept as
they are where a rule truncates, because golden vectors pin them to the pixel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANVAS_SCALE = 1.5  # canvas side over crop side (docs/method.md 3.6); room for rotation and scaling
CANVAS_SCALE_STEREO = 2.2  # margins are drawn up to 100 px round the keypoints
FULL_HAND_MARGIN = 40.0  # px, docs/method.md 3.6: crop_xyxy of a fully annotated hand
TIPS_MIN_MARGIN = 60.0  # px, docs/method.md 3.6: crop_xyxy where only tips are annotated
FULL_HAND_KEYPOINTS = 15  # more annotated keypoints than the five tips and a few: the whole hand is outlined


def centered_square(width: float, height: float) -> NDArray[np.float64]:
    """Return the largest square in the middle of an image: SynthHands' fixed crop (docs/method.md 3.1)."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return np.array([left, top, left + side, top + side])


def keypoint_square(keypoints_2d: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return a square round the annotated keypoints, None with fewer than two (docs/method.md 3.6).

    The margin is 40 px for a full hand; half the extent, at least 60 px, where only tips are annotated.

    Args:
        keypoints_2d: (P, 2) px, NaN where not annotated.
    """
    points = np.asarray(keypoints_2d, np.float64)
    points = points[np.isfinite(points).all(axis=1)] + 0.5
    if len(points) < 2:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max())
    full = len(points) >= FULL_HAND_KEYPOINTS
    margin = FULL_HAND_MARGIN if full else max(0.5 * extent, TIPS_MIN_MARGIN)
    return square_of(np.concatenate([low - margin, high + margin]))


def square_of(box_xyxy: NDArray[Any]) -> NDArray[np.float64]:
    """Grow (..., 4) boxes to squares about their centres."""
    box = np.asarray(box_xyxy, np.float64)
    low, high = box[..., :2], box[..., 2:]
    half, center = (high - low).max(-1, keepdims=True) / 2, (low + high) / 2
    return np.concatenate([center - half, center + half], -1)


def meets_picture(box_xyxy: NDArray[Any], width: int, height: int) -> bool:
    """Tell whether any part of a box lies inside a picture, px."""
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    return left < width and top < height and right > 0 and bottom > 0


def scale_about_center(box_xyxy: NDArray[Any], factor: float) -> NDArray[np.float64]:
    """Scale a box about its centre; the canvas window is the crop scaled by `canvas_scale`."""
    box = np.asarray(box_xyxy, np.float64)
    center, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
    return np.concatenate([center - half, center + half])


def stereo_square(positions: NDArray[Any], width: int, height: int, margin: float = 40.0) -> tuple[int, int, int]:
    """Return (left, top, side) of the Stereo crop, the exact integer rule of docs/method.md 3.3.

    Clip to the picture, make both extents even, widen the shorter one on both sides.

    Args:
        positions: (21, 2) all labelled points, the palm centre included, as positions x (u in the thesis' sense).
        width: of the picture.
        height: of the picture.
        margin: px, 40 in validation, drawn from 40..100 in training.
    """
    x, y = np.asarray(positions, np.float64)[:, 0], np.asarray(positions, np.float64)[:, 1]
    xmax, xmin = int(min(x.max() + margin, width)), int(max(x.min() - margin, 0))
    ymax, ymin = int(min(y.max() + margin, height)), int(max(y.min() - margin, 0))
    xmax -= (xmax - xmin) % 2
    ymax -= (ymax - ymin) % 2
    extent_x, extent_y = xmax - xmin, ymax - ymin
    if extent_x < extent_y:
        xmin -= (extent_y - extent_x) // 2
    else:
        ymin -= (extent_x - extent_y) // 2
    return xmin, ymin, max(extent_x, extent_y)


def share_of_smaller(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> float:
    """Return the area that two (4,) boxes share over that of the smaller: 1 where one lies in the other.

    Examples:
        >>> share_of_smaller(np.array([0, 0, 10, 10]), np.array([2, 2, 7, 12]))
        0.8
    """
    a, b = np.asarray(a_xyxy, np.float64), np.asarray(b_xyxy, np.float64)
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / max(1e-9, min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod())))
