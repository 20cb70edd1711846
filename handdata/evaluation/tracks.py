"""Which samples follow one another: three frames of one hand at equal steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def middle_frames(track: NDArray[Any], frame: NDArray[Any]) -> NDArray[np.int64]:
    """Return the frames that have a neighbour on each side, at the step of their track.

    Args:
        track: (N,) samples of one hand in one camera and sequence share it.
        frame: (N,) their numbers; no two samples of a track share one.

    Returns:
        (M, 3) sample numbers: before, at, after. The step of a track is its most frequent difference between following
        frame numbers, so that a recording of every 18th frame has neighbours and one with gaps none across them.
    """
    order = np.lexsort((frame, track))
    step = np.diff(np.asarray(frame, np.int64)[order], append=0)
    ends = np.flatnonzero(np.diff(track[order], append=-1)) + 1
    follows = np.zeros(len(order), bool)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        steps = step[start : end - 1]
        if steps.size > 1:
            sizes, times = np.unique(steps, return_counts=True)
            follows[start : end - 1] = steps == sizes[times.argmax()]
    first = np.flatnonzero(follows[:-1] & follows[1:])
    return np.stack([order[first], order[first + 1], order[first + 2]], axis=1)
