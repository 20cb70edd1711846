"""Which samples follow one another: three frames of one hand at equal steps, in a recording and not among stills."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STILLS = 1.5  # von Neumann's ratio: 2.0 for RHD's numbered stills, below 0.2 for the recordings of Stereo and Dexter1
RUNS, RUN = 16, 256  # of many frames, so many runs of so many are looked at, evenly spread


def middle_frames(track: NDArray[Any], frame: NDArray[Any]) -> NDArray[np.int64]:
    """Return the frames that have a neighbour on each side, at the step of their track.

    Args:
        track: (N,) samples of one hand in one camera and sequence share it.
        frame: (N,) their numbers; no two samples of a track share one.

    Returns:
        (M, 3) sample numbers: before, at, after. The step of a track is its most frequent difference between following
        frame numbers, so that a recording of every 18th frame has neighbours and one with gaps none across them.
    """
    if not len(track):
        return np.zeros((0, 3), np.int64)
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


def are_stills(points: NDArray[Any], track: NDArray[Any], three: NDArray[np.int64]) -> bool:
    """Tell whether labels jump from frame to frame as those of pictures that were numbered, but not filmed.

    Args:
        points: (N, K, D) labels, NaN where there are none.
        track: (N,) samples of one hand in one camera and sequence share it.
        three: (M, 3) of `middle_frames`.

    Returns:
        Whether the mean square of a step is more than STILLS times the variance within tracks. Of independent positions
        it is twice the variance; of a motion that was filmed it is far less.

    Source:
        von Neumann and others, The mean square successive difference, Annals of Mathematical Statistics 12(2), 1941.
    """
    if not len(three):
        return False
    if len(three) > RUNS * RUN:
        starts = np.linspace(0, len(three) - RUN, RUNS).astype(np.int64)
        three = three[np.unique(starts[:, None] + np.arange(RUN))]
    steps = (points[three[:, 1]] - points[three[:, 0]]) ** 2
    rows = np.unique(three)
    owner = np.unique(track[rows], return_inverse=True)[1]
    squares = freedom = 0.0
    for column in points[rows].reshape(len(rows), -1).T:
        known = np.isfinite(column)
        counts = np.maximum(np.bincount(owner[known]), 1)
        means = np.bincount(owner[known], column[known]) / counts
        squares += float(((column[known] - means[owner[known]]) ** 2).sum())
        freedom += float((counts - 1).sum())
    known = np.isfinite(steps)
    return bool(known.any() and squares > 0 and steps[known].mean() > STILLS * squares / freedom)
