"""Where to look on a picture so that a small hand is seen: the whole picture, or the part about the hand's points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FILLED = 0.55  # share of what is shown; a hand whose points span less is shown larger
ROOM = 1.35  # side shown of such a hand over the span of its points
LEAST_PX = 16  # shown of a hand


def close_window(points: NDArray[Any], window: NDArray[Any]) -> NDArray[np.float64]:
    """Return the square about the points if they all lie in a window and span little of it, else the window.

    Args:
        points: (P, 2) pixels, (0, 0) the centre of the top-left one; NaN counts for nothing.
        window: (4,) a square, edges as in a slice.

    Returns:
        (4,) a square inside the window, edges as in a slice.

    Example:
        >>> import numpy as np
        >>> small = np.array([[20.0, 20.0], [59.0, 49.0]])
        >>> close_window(small, np.array([0.0, 0.0, 192.0, 192.0])).round(3).tolist()
        [13.675, 8.675, 66.325, 61.325]
    """
    shown = np.asarray(window, np.float64)
    low, high = shown[:2], shown[2:]
    known = np.asarray(points, np.float64)
    known = known[np.isfinite(known).all(-1)]
    if len(known) < 2 or not ((known >= low) & (known < high)).all():
        return shown
    span = float(np.ptp(known, axis=0).max())
    if span >= FILLED * float(shown[2] - shown[0]):
        return shown
    half = max(ROOM * span, LEAST_PX) / 2
    center = np.clip((known.min(0) + known.max(0) + 1) / 2, low + half, high - half)
    return np.concatenate([center - half, center + half])
