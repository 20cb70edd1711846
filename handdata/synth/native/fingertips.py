"""What the rendered fingertip sets share: labels that are missing, rows of text, depth with an invalid value."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import TIPS
from handdata.synth.frame import Frame

HIDDEN_FACTOR = 10
SENTINEL_MM = 32001
_POINT = re.compile(r"(-?[\d.e+]+), (-?[\d.e+]+), (-?[\d.e+]+)")


def tips_of(frame: Frame, camera: str) -> NDArray[np.float64]:
    """Return the fingertips of a frame's hand, (5, 4): world mm, and 1 where this camera sees the tip."""
    rows = list(TIPS)
    return np.column_stack([frame.hands[0].keypoints_3d[rows], frame[camera].visible[0][rows]])


def forget_tips(tips: NDArray[np.float64], share: float, seed: Sequence[int]) -> NDArray[np.float64]:
    """Leave a fraction of the fingertips out, as annotators do: most often hidden ones, whose place they guess else.

    Args:
        tips: (frames, 5, 4) from `tips_of`.
        share: of the visible tips; of the hidden ones ten times as many.
        seed: makes the draw the same in every run, frame by frame.

    Returns:
        (frames, 5, 3), NaN where a tip is left out.
    """
    draws = np.array([np.random.default_rng([*seed, i]).random(len(TIPS)) for i in range(len(tips))])
    forgotten = draws < np.where(tips[..., 3] > 0, share, HIDDEN_FACTOR * share)
    return np.where(forgotten[..., None], np.nan, tips[..., :3])


def format_row(points: NDArray[np.float64], sentinel: Sequence[float], number: str) -> str:
    """Print a frame's points as "x, y, z; x, y, z", the sentinel where a point is NaN.

    Args:
        points: (P, D).
        sentinel: D numbers.
        number: format of one number, e.g. "{:.6g}".
    """
    rows = (sentinel if np.isnan(point).any() else point for point in points)
    return "; ".join(", ".join(number.format(value) for value in row) for row in rows)


def displace_first(table: str) -> str:
    """Move the first labelled point of a printed 3D table 60 mm along x: a wrong label. Sentinels are passed over."""
    for point in _POINT.finditer(table):
        if 0 < float(point[3]) < SENTINEL_MM:
            return f"{table[: point.start()]}{float(point[1]) + 60:.6g}{table[point.end(1) :]}"
    return table


def invalid_depth(depth: NDArray[np.float32], invalid: int) -> NDArray[np.uint16]:
    """Return rendered depth as the sensor's picture: whole mm in 16 bits, `invalid` where there is no surface."""
    return np.where(depth > 0, np.rint(depth), invalid).astype(np.uint16)
