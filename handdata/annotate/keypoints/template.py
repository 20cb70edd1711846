"""An open hand to begin with where nothing is known: laid into a box, or onto the points that are known. Pure."""

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.cells import has_place

Floats = NDArray[np.float64]

# A right palm, fingers up, in a square of side 1: the mean hand of handdata/model/kinematics.py, flat.
OPEN_HAND = np.array(
    (
        (0.482, 1.0), (0.638, 0.89), (0.742, 0.789), (0.834, 0.662),
        (0.867, 0.56), (0.617, 0.524), (0.656, 0.319), (0.671, 0.184),
        (0.686, 0.06), (0.481, 0.523), (0.454, 0.284), (0.44, 0.125),
        (0.426, 0.0), (0.364, 0.555), (0.312, 0.346), (0.28, 0.215),
        (0.242, 0.099), (0.276, 0.615), (0.205, 0.458), (0.171, 0.375),
        (0.133, 0.292),
    ),
    np.float64,
)  # fmt: skip


def in_box(box: tuple[float, float, float, float], side: str) -> Floats:
    """Return (21, 2) px of an open hand that fills a box, left, top, right, bottom px."""
    left, top, right, bottom = box
    size = min(right - left, bottom - top)
    hand = _sided(side) * size * 0.9
    middle = np.array([left + right, top + bottom]) / 2
    return np.asarray(hand - (hand.min(0) + hand.max(0)) / 2 + middle)


def onto(uv: Floats, side: str) -> Floats | None:
    """Return (21, 2) px of an open hand laid onto the points that are known, None with fewer than two apart.

    Args:
        uv: (21, 2) px, NaN where not known.
        side: "left", "right" or "unknown".
    """
    known = has_place(uv)
    if known.sum() < 2:
        return None
    hand = _sided(side)
    source, target = hand[known] - hand[known].mean(0), uv[known] - uv[known].mean(0)
    spread = float((source**2).sum())
    if spread < 1e-9 or not (target**2).sum() > 1:
        return None
    turn = complex((source * target).sum(), (source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()) / spread
    moved = (hand - hand[known].mean(0)) @ np.array([[turn.real, turn.imag], [-turn.imag, turn.real]])
    return np.asarray(moved + uv[known].mean(0))


def _sided(side: str) -> Floats:
    return OPEN_HAND * [-1.0, 1.0] + [1.0, 0.0] if side == "left" else OPEN_HAND
