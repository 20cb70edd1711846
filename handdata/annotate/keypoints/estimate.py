"""Where the points of a hand are, from what is fixed elsewhere, what a model found, and the flow. Pure.

Each point has up to four estimates: the flow forward from the frame before where it is fixed and backward from the one
after, the straight line between the two, and what the model found plus what it was off by there. Each has a standard
deviation; they are averaged by its inverse square. What the average is off by at points that are fixed in this frame
moves the others with them, those of the same finger most. For stills this is the estimate; in a sequence smoothing.py's
is, and these say who made a point and whether they agree.

A model's mistakes last: its error in one frame tells that in the next. Errors are taken as a Gaussian process whose
correlation falls with time and along the skeleton. The constants below are chosen, not fitted; what they bring is
measured by benchmarks/annotate_points.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.cells import has_place
from handdata.skeleton import NUM_KEYPOINTS, PARENTS

Floats = NDArray[np.float64]

MODEL_LASTS = 12.0  # frames in which the correlation of a model's error falls to 1 / e
STRAIGHT_SD = 0.05  # of the hand's size per square root of a frame, of the straight line between fixed frames
HELD_SD = 0.10  # the same where the point is fixed on one side only, and stays
TOGETHER = 0.15  # correlation of the errors of any two points of a hand
ALONG = 0.55  # and beyond that, for each bone between them
LEAST_SD = 0.004  # of the hand's size: no estimate is surer
FIXED_SD = 0.006  # of the hand's size: how exactly people place points


@dataclass(frozen=True, slots=True)
class Guess:
    """An estimate of points.

    Attributes:
        uv: (21, 2) px, NaN where there is none.
        sd: (21,) px, infinite where there is none.
        kind: "flow", "model" or "straight".
    """

    uv: Floats
    sd: Floats
    kind: str


def bones_between() -> NDArray[np.int64]:
    """Return (21, 21) how many bones lie between two keypoints."""
    paths = []
    for k in range(NUM_KEYPOINTS):
        path = [k]
        while PARENTS[path[-1]] >= 0:
            path.append(PARENTS[path[-1]])
        paths.append(path)
    found = np.zeros((NUM_KEYPOINTS, NUM_KEYPOINTS), np.int64)
    for a, path_a in enumerate(paths):
        for b, path_b in enumerate(paths):
            shared = len(set(path_a) & set(path_b))
            found[a, b] = len(path_a) + len(path_b) - 2 * shared
    return found


TOGETHERNESS = TOGETHER + (1 - TOGETHER) * ALONG ** bones_between().astype(np.float64)


def mended(
    found_uv: Floats, found_sd: Floats, off: tuple[Floats, Floats], away: tuple[Floats, Floats]
) -> Guess:  # fmt: skip
    """Return what a model found plus what it was off by at the nearest fixed frames.

    Args:
        found_uv: (21, 2) px here.
        found_sd: (21,) px here.
        off: (21, 2) px what it was off by at the fixed frame before, and at the one after; NaN without one.
        away: (21,) frames to each.
    """
    weights, share = _bridge(off, away)
    sd = np.where(np.isfinite(found_sd), found_sd, np.inf)
    moved = sum(w[:, None] * np.nan_to_num(one) for w, one in zip(weights, off, strict=True))
    return Guess(found_uv + moved, sd * np.sqrt(share), "model")


def _bridge(off: tuple[Floats, Floats], away: tuple[Floats, Floats]) -> tuple[tuple[Floats, Floats], Floats]:
    """Return the weights of two known errors of a process that forgets, and the share of its variance that is left."""
    known = [has_place(one) for one in off]
    near = [np.where(there, np.exp(-far / MODEL_LASTS), 0.0) for there, far in zip(known, away, strict=True)]
    both = np.where(known[0] & known[1], np.exp(-(away[0] + away[1]) / MODEL_LASTS), 0.0)
    rest = np.maximum(1 - both**2, 1e-6)
    before, after = (near[0] - both * near[1]) / rest, (near[1] - both * near[0]) / rest
    share = np.clip(1 - before * near[0] - after * near[1], 0.02, 1.0)
    return (before, after), share


def straight(ends: tuple[Floats, Floats], away: tuple[Floats, Floats], size: float) -> Guess:
    """Return points on the straight line between where they are fixed; with one end, where that is.

    Args:
        ends: (21, 2) px at the fixed frame before, and at the one after; NaN without one.
        away: (21,) frames to each.
        size: of the hand, px.
    """
    known = [has_place(end) for end in ends]
    total = np.maximum(away[0] + away[1], 1.0)
    line = (ends[0] * away[1][:, None] + ends[1] * away[0][:, None]) / total[:, None]
    uv = np.where((known[0] & known[1])[:, None], line, np.where(known[0][:, None], ends[0], ends[1]))
    between = STRAIGHT_SD * size * np.sqrt(away[0] * away[1] / total)
    held = HELD_SD * size * np.sqrt(np.where(known[0], away[0], away[1]))
    sd = np.where(known[0] & known[1], between, np.where(known[0] | known[1], held, np.inf))
    return Guess(uv, sd, "straight")


def averaged(guesses: list[Guess], size: float) -> tuple[Guess, NDArray[np.int64]]:
    """Return the average of several estimates, and of each point the number of the surest of them.

    Args:
        guesses: at least one.
        size: of the hand, px.
    """
    sds = np.stack([np.where(has_place(g.uv), np.maximum(g.sd, LEAST_SD * size), np.inf) for g in guesses])
    weights = 1.0 / sds**2
    total = weights.sum(axis=0)
    places = np.stack([np.nan_to_num(g.uv) for g in guesses])
    known = total > 0
    uv = np.full((NUM_KEYPOINTS, 2), np.nan)
    uv[known] = ((weights[..., None] * places).sum(axis=0)[known]) / total[known, None]
    sd = np.where(known, 1.0 / np.sqrt(np.where(known, total, 1.0)), np.inf)
    return Guess(uv, sd, "average"), sds.argmin(axis=0)


def moved_along(guess: Guess, fixed: NDArray[np.bool_], fixed_uv: Floats, size: float) -> Guess:
    """Return an estimate moved by what it is off by at the points that are fixed in its frame.

    Args:
        guess: of all points.
        fixed: (21,) bool, of those with a known place.
        fixed_uv: (21, 2) px of those.
        size: of the hand, px.
    """
    known = np.isfinite(guess.sd) & has_place(guess.uv)
    told, open_ = np.flatnonzero(fixed & known), np.flatnonzero(~fixed & known)
    if not len(told) or not len(open_):
        return guess
    sd = guess.sd
    among = sd[told][:, None] * TOGETHERNESS[np.ix_(told, told)] * sd[told]
    across = sd[open_][:, None] * TOGETHERNESS[np.ix_(open_, told)] * sd[told]
    weights = np.linalg.solve(among + np.eye(len(told)) * (FIXED_SD * size) ** 2, across.T).T
    uv, left = guess.uv.copy(), sd.copy()
    uv[open_] += weights @ (fixed_uv[told] - guess.uv[told])
    left[open_] = np.sqrt(np.maximum(sd[open_] ** 2 - (weights * across).sum(axis=1), (LEAST_SD * size) ** 2))
    return Guess(uv, left, guess.kind)
