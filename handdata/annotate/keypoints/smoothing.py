"""All points of a hand through a stretch of frames, from everything that is known of them at once. Pure.

A Kalman smoother (Rauch, Tung and Striebel, Maximum likelihood estimates of linear dynamic systems, AIAA Journal 1965)
whose state holds, for each point, where it is, where it was on the frame before, and what the model is off by there.
Measured are the points that are fixed, how far the flow moves each from one frame to the next, and where the model
found it. Errors of two points are the more alike the fewer bones lie between them, so that one corrected point mends
its finger, on this frame and on those around it. A measurement far from what is expected counts less.

The constants are fitted: to corrections that a simulated person makes on six rendered sequences which
benchmarks/annotate_points.py does not use.

Shape letters: T frames, K the 21 keypoints, S the 63 numbers of the state.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.cells import has_place
from handdata.annotate.keypoints.estimate import bones_between
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]

# Of the hand's size.
JERK_SD = 0.013  # of a frame's change of speed
FLOW_SD = 0.012  # of a step of the flow, at least
BIAS_SD = 0.04  # of what the model is off by
FOUND_SD = 0.008  # of what the model is off by beyond that, differently on each frame
PLACED_SD = 0.002  # of a person's point
ACCEPTED_SD = 0.02  # of a point that was accepted, not placed
START_SD, START_SPEED_SD = 1.0, 0.1  # of where a stretch begins, and how fast

MISS_TIMES = 1.1  # times the distance that flow came back off by
BIAS_LASTS = 18.0  # frames in which the correlation of a model's error falls to 1 / e
KEEPS_SPEED = 0.95  # of a frame's speed that is left on the next
ROBUST = 1.5  # standard deviations beyond which a measurement counts less

# Correlation of two points' errors: (of any two, and beyond that for each bone between them).
JERK_ALIKE, FLOW_ALIKE, BIAS_ALIKE = (0.45, 0.75), (0.0, 0.5), (0.05, 0.55)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of a hand through T frames; NaN where nothing is.

    Attributes:
        size: of the hand, px.
        fixed_uv: (T, K, 2) px.
        placed: (T, K) bool, whether a person placed the point; else it was accepted.
        found_uv: (T, K, 2) px.
        moved: (T, K, 2) px from the frame before, by the flow; NaN on the first.
        missed: (T, K) px that the flow came back off by.
    """

    size: float
    fixed_uv: Floats
    placed: NDArray[np.bool_]
    found_uv: Floats
    moved: Floats
    missed: Floats


def _alike(of_any: float, along: float) -> Floats:
    return np.asarray(of_any + (1 - of_any) * along ** bones_between().astype(np.float64))


_K = NUM_KEYPOINTS
_ONE, _NONE = np.eye(_K), np.zeros((_K, _K))
_REMEMBERS = float(np.exp(-1 / BIAS_LASTS))
_STEP = np.block(
    [[(1 + KEEPS_SPEED) * _ONE, -KEEPS_SPEED * _ONE, _NONE], [_ONE, _NONE, _NONE], [_NONE, _NONE, _REMEMBERS * _ONE]]
)
_JERK, _FLOW = JERK_SD**2 * _alike(*JERK_ALIKE), _alike(*FLOW_ALIKE)
_BIAS = BIAS_SD**2 * _alike(*BIAS_ALIKE)
_NOISE = np.block([[_JERK, _NONE, _NONE], [_NONE, _NONE, _NONE], [_NONE, _NONE, (1 - _REMEMBERS**2) * _BIAS]])
_PLACE = np.hstack([_ONE, _NONE, _NONE])
_MOTION = np.hstack([_ONE, -_ONE, _NONE])
_SEEN = np.hstack([_ONE, _NONE, _ONE])
_START = START_SD**2 * _alike(0.8, 0.8)
_BEGIN = np.block([[_START, _START, _NONE], [_START, _START + START_SPEED_SD**2 * _ONE, _NONE], [_NONE, _NONE, _BIAS]])


def smoothed(evidence: Evidence) -> tuple[Floats, Floats]:
    """Return (T, K, 2) px of all points, and (T, K) px how sure each is, one standard deviation.

    Points of which nothing is known in the whole stretch are NaN, and their standard deviation infinite.
    """
    known = _first_known(evidence)
    unknown = ~has_place(known)
    if unknown.all():
        return np.full_like(evidence.fixed_uv, np.nan), np.full(evidence.placed.shape, np.inf)
    start = np.where(unknown[:, None], np.nanmean(known, axis=0), known)
    uv, sd = _both_ways(evidence, start / evidence.size)
    uv, sd = uv * evidence.size, sd * evidence.size
    uv[:, unknown], sd[:, unknown] = np.nan, np.inf
    return uv, sd


def _first_known(evidence: Evidence) -> Floats:
    """Return (K, 2) px the first place that is known of each point."""
    known = np.where(np.isfinite(evidence.fixed_uv), evidence.fixed_uv, evidence.found_uv)
    first = np.isfinite(known).all(axis=2).argmax(axis=0)
    return np.asarray(known[first, np.arange(_K)])


def _both_ways(evidence: Evidence, start: Floats) -> tuple[Floats, Floats]:
    """Filter forward, then smooth backward; in sizes of the hand."""
    state, spread = np.concatenate([start, start, np.zeros_like(start)]), _BEGIN
    ahead, after = [], []
    for frame in range(len(evidence.placed)):
        if frame:
            state, spread = _STEP @ state, _STEP @ spread @ _STEP.T + _NOISE
        ahead.append((state, spread))
        state, spread = _measured(evidence, frame, state, spread)
        after.append((state, spread))
    uv, sd = [state[:_K]], [_sd(spread)]
    for (expected, wide), (filtered, narrow) in zip(ahead[:0:-1], after[-2::-1], strict=True):
        gain = np.linalg.solve(wide + 1e-12 * np.eye(len(wide)), _STEP @ narrow).T
        state, spread = filtered + gain @ (state - expected), narrow + gain @ (spread - wide) @ gain.T
        uv.append(state[:_K])
        sd.append(_sd(spread))
    return np.array(uv[::-1]), np.array(sd[::-1])


def _sd(spread: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(np.diag(spread)[:_K], 0)))


def _measured(evidence: Evidence, frame: int, state: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Take in what was measured on a frame."""
    size = evidence.size
    moved, found, fixed = (one[frame] / size for one in (evidence.moved, evidence.found_uv, evidence.fixed_uv))
    if np.isfinite(moved).any():
        sd = np.hypot(FLOW_SD, MISS_TIMES * evidence.missed[frame] / size)
        state, spread = _update(state, spread, _MOTION, moved, sd[:, None] * _FLOW * sd, robust=True)
    if np.isfinite(found).any():
        state, spread = _update(state, spread, _SEEN, found, FOUND_SD**2 * _ONE, robust=True)
    if np.isfinite(fixed).any():
        sd = np.where(evidence.placed[frame], PLACED_SD, ACCEPTED_SD)
        state, spread = _update(state, spread, _PLACE, fixed, np.diag(sd**2), robust=False)
    return state, spread


def _update(
    state: Floats, spread: Floats, what: Floats, seen: Floats, noise: Floats, *, robust: bool
) -> tuple[Floats, Floats]:
    """Take in a measurement (K, 2) of `what` @ state, with noise (K, K); NaN where there is none."""
    rows = np.flatnonzero(np.isfinite(seen).all(axis=1))
    what, noise = what[rows], noise[np.ix_(rows, rows)]
    across = what @ spread
    among, off = across @ what.T, seen[rows] - what @ state
    if robust:
        unlikely = (off**2).sum(axis=1) / (np.diag(among) + np.diag(noise)) / ROBUST**2
        wider = np.sqrt(1 + unlikely)
        noise = noise * wider[:, None] * wider
    gain = np.linalg.solve(among + noise, across).T
    spread = spread - gain @ across
    return state + gain @ off, (spread + spread.T) / 2
