"""Which frames of a sequence a person should label so that every other one is like one of them. Pure.

Source:
    Oberweger, Riegler, Wohlhart, Lepetit: Efficiently creating 3D training data for fine hand pose estimation. CVPR
    2016: the choice is sub-modular, so that taking the best frame again and again is nearly as good as can be. The
    distance and the stopping rule are this package's (docs/depth.md).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COVERED, MOST = (
    0.95,
    0.10,
)  # share of frames like a reference at which there are enough; the largest share of references


def distances(crops: NDArray[np.float32]) -> Floats:
    """Return how unlike frames are: (F, F) the root mean square difference of their crops, mm.

    Args:
        crops: (F, S, S) mm about each hand's centre.
    """
    flat = crops.reshape(len(crops), -1).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    between = np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0.0)
    np.fill_diagonal(between, 0.0)
    return np.asarray(np.sqrt(between / flat.shape[1]), np.float64)


def choose_references(apart: Floats, limit_mm: float, most: int | None = None) -> list[int]:
    """Choose frames to label: each the one that makes the others' likeness to their nearest choice grow most.

    Args:
        apart: (F, F) distances between frames; NaN rows are frames without a hand, which are left out.
        limit_mm: a frame is covered within this distance of a reference.
        most: how many at most; a tenth of the frames, at least two, if left out.

    Returns:
        Frames in the order in which they were chosen.
    """
    there = np.flatnonzero(np.isfinite(np.diag(apart)))
    if not len(there):
        return []
    among = apart[np.ix_(there, there)]
    likeness = np.exp(-among / max(float(np.median(among)), 1e-9))
    enough = max(2, round(MOST * len(there))) if most is None else most
    best, nearest, chosen = np.zeros(len(there)), np.full(len(there), np.inf), list[int]()
    while len(chosen) < min(enough, len(there)) and (nearest <= limit_mm).mean() < COVERED:
        gain = np.maximum(likeness - best, 0.0).sum(axis=1)
        gain[chosen] = -1.0
        pick = int(gain.argmax())
        chosen.append(pick)
        best, nearest = np.maximum(best, likeness[pick]), np.minimum(nearest, among[pick])
    return [int(there[pick]) for pick in chosen]
