"""What a hand can be: which order its keypoints have, which finger is which, which side it is, how long its bones are.

Pure functions on (N, 21, 3) camera-space keypoints, NaN where not annotated. All but `hand_size` are blind to the unit.
"""

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import BONES, FINGERS, INDEX, NUM_KEYPOINTS, ROOT, WRIST, finger_indices, joint_indices

Floats = NDArray[np.float64]

# Order of a finger's four points: 12 paths through them, a path and its reverse being one.
PATHS: tuple[tuple[int, ...], ...] = tuple(path for path in permutations(range(4)) if path[0] < path[-1])
IN_ORDER = PATHS.index((0, 1, 2, 3))
# Another path counts as the shorter one below this share of the expected path's length. DIP and tip exchanged give
# 0.83; in a fist the way from the knuckle over the tip is short as well, down to 0.75 (3,000 poses of synth/pose.py).
PATH_MARGIN = np.array([0.7 if path[:2] == (0, 3) else 0.9 for path in PATHS])

# Median lengths, mm, of 20 people made from the CC0 hand asset (shared/assets), labels placed as people click them and
# at the rig's centres: knuckle to knuckle (thumb, index, middle, ring, little) and the three phalanges of each finger.
_KNUCKLES = (
    ((63.9, 68.6, 73.0, 75.7), (23.4, 43.6, 60.6), (21.0, 39.3), (18.9,)),
    ((71.0, 71.4, 73.5, 74.2), (22.3, 42.1, 58.8), (20.5, 38.3), (18.4,)),
)
_PHALANGES = (
    ((30.2, 32.4, 23.1), (35.5, 23.8, 21.6), (40.5, 27.8, 22.1), (36.2, 23.6, 21.1), (29.0, 15.6, 15.8)),
    ((45.7, 38.2, 25.9), (39.4, 25.4, 24.1), (45.2, 29.6, 24.7), (40.5, 25.1, 23.5), (32.4, 16.6, 17.6)),
)
_FINGER_ORDERS = tuple(permutations(range(5)))
SURE = 0.5  # another order of the fingers must fit the template this much better (mean squared log ratio)

MIN_ROWS = 8  # fewer rows say nothing about a spread

MIN_THUMB_ROWS = 30
THUMB_SPREAD = 1.5  # the CMC's distance varies 0.3 to 0.5 times as much as the tip's; reversed 2 to 3 times

MIN_BEND = 0.12  # mean sine of the fingers' bend below which a hand is too flat to tell its side
_KNUCKLE_ROW = (INDEX["index_mcp"], INDEX["little_mcp"])

# Distances a hand keeps whatever it does: phalanges, neighbouring knuckles, wrist to knuckle.
RIGID: tuple[tuple[int, int], ...] = (
    *BONES,
    (INDEX["index_mcp"], INDEX["middle_mcp"]),
    (INDEX["middle_mcp"], INDEX["ring_mcp"]),
    (INDEX["ring_mcp"], INDEX["little_mcp"]),
)
MIN_LOG_RATIO = 0.35  # a distance 1.4 times too long or short ...
MIN_SIGMA = 8.0  # ... by so many robust standard deviations ...
MIN_SHARE = 0.12  # ... and by so much of the middle finger's length, about 11 mm: no hand, a wrong label
_MIDDLE = [RIGID.index(bone) for bone in ((9, 10), (10, 11), (11, 12))]


def path_orders(xyz_N213: NDArray[Any], finger: str) -> NDArray[np.intp]:
    """Find the order in which one finger's points follow each other: the shortest path through them.

    A phalanx is shorter than what spans two, in every pose a finger can take; so the path is the finger.

    Returns:
        (N) index into PATHS; -1 where a point is missing.
    """
    points = np.asarray(xyz_N213, np.float64)[:, finger_indices(finger)]
    lengths = np.stack([np.linalg.norm(np.diff(points[:, path], axis=1), axis=-1).sum(-1) for path in PATHS], axis=-1)
    known = np.isfinite(lengths[:, 0])
    lengths[~known] = 1.0
    shares = lengths / lengths[:, [IN_ORDER]]
    shares[shares >= PATH_MARGIN] = 1.0
    shares[:, IN_ORDER] = 0.999  # where nothing is clearly shorter
    return np.where(known, shares.argmin(-1), -1)


def is_reversed(xyz_N213: NDArray[Any], finger: str) -> bool:
    """Tell whether a finger's points run from the tip to the knuckle: the last phalanx would be longer than the first.

    Not so for the thumb, whose labelled metacarpal may be as short as its tip: see `thumb_is_reversed`.
    """
    points = np.asarray(xyz_N213, np.float64)[:, finger_indices(finger)]
    bones = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    bones = bones[np.isfinite(bones).all(-1)]
    return len(bones) > 0 and bool(np.median(bones[:, 0] / bones[:, 2]) < 1)


def thumb_is_reversed(xyz_N213: NDArray[Any], base_N3: NDArray[Any]) -> bool:
    """Tell whether the thumb's points run from tip to CMC, over many rows of different poses.

    The CMC keeps its distance from the base of the hand, the tip does not.

    Args:
        xyz_N213: keypoints.
        base_N3: wrist or palm centre, NaN where unknown.
    """
    points = np.asarray(xyz_N213, np.float64)[:, finger_indices("thumb")]
    reach = np.linalg.norm(points[:, [0, 3]] - base_N3[:, None], axis=-1)
    relative = reach / np.linalg.norm(np.diff(points, axis=1), axis=-1).sum(-1, keepdims=True)
    relative = relative[np.isfinite(relative).all(-1)]
    if len(relative) < MIN_THUMB_ROWS:
        return False
    cmc, tip = (float(np.median(np.abs(column - np.median(column)))) for column in relative.T)
    return cmc > THUMB_SPREAD * tip


def finger_order(xyz_N213: NDArray[Any]) -> tuple[int, ...] | None:
    """Find which finger is where, from the lengths of phalanges and the distances between knuckles.

    Returns:
        position -> finger actually there, (0, 1, 2, 3, 4) if all is well; None where no row has all fingers.
    """
    xyz = np.asarray(xyz_N213, np.float64)
    knuckles = xyz[:, joint_indices("mcp")]
    between = np.linalg.norm(knuckles[:, :, None] - knuckles[:, None], axis=-1)
    fingers = np.stack([xyz[:, finger_indices(finger)] for finger in FINGERS], axis=1)
    phalanges = np.linalg.norm(np.diff(fingers, axis=2), axis=-1)
    whole = np.isfinite(phalanges).all((1, 2))
    if not whole.any():
        return None
    found_between, found_phalanges = np.median(between[whole], axis=0), np.median(phalanges[whole], axis=0)
    if (found_between[~np.eye(5, dtype=bool)] <= 0).any() or (found_phalanges <= 0).any():
        return None
    scores = np.array([_misfit(found_between, found_phalanges, order) for order in _FINGER_ORDERS])
    best = int(scores.argmin())
    identity = _FINGER_ORDERS.index((0, 1, 2, 3, 4))
    return _FINGER_ORDERS[best if scores[best] < SURE * scores[identity] else identity]


def _misfit(between: Floats, phalanges: Floats, order: tuple[int, ...]) -> float:
    """Return how badly the fingers fit if position i holds finger order[i]: variance of the log length ratios."""
    upper = np.triu_indices(5, 1)
    misfits = []
    for knuckles, bones in zip(_KNUCKLES, _PHALANGES, strict=True):
        template = np.zeros((5, 5))
        template[upper] = [length for row in knuckles for length in row]
        template += template.T
        index = np.array(order)
        ratios = [np.log(between[upper] / template[index][:, index][upper]), np.log(phalanges / np.array(bones)[index])]
        # two independent scales would hide nothing: one hand, one size
        misfits.append(float(np.var(np.concatenate([part.ravel() for part in ratios]))))
    return min(misfits)


def bend_to_palm(xyz_N213: NDArray[Any]) -> Floats:
    """Measure to which side the fingers bend: positive for a right hand, negative for a left one.

    Each of the last two phalanges of a finger turns about an axis that runs along the knuckles, and always towards the
    palm; seen along the row of knuckles from index to little the two hands turn in opposite senses.

    Args:
        xyz_N213: keypoints, camera axes x right, y down, z forward.

    Returns:
        (N) mean sine of the bends of the four fingers, -1..1; NaN where a point is missing.
    """
    xyz = np.asarray(xyz_N213, np.float64)
    along = _unit(xyz[:, _KNUCKLE_ROW[1]] - xyz[:, _KNUCKLE_ROW[0]])
    fingers = np.stack([xyz[:, finger_indices(finger)] for finger in FINGERS[1:]], axis=1)
    phalanges = _unit(np.diff(fingers, axis=2))  # (N, 4, 3, 3)
    turns = np.cross(phalanges[:, :, 1:], phalanges[:, :, :-1])
    bends: Floats = (turns * along[:, None, None]).sum(-1)
    return np.asarray(bends.mean(axis=(1, 2)))


def bone_outliers(xyz_N213: NDArray[Any], group_N: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find distances no hand has: far from the median of their sequence, after the size of each hand is taken out.

    Returns:
        (N) rows with such a distance, and (N, 21) the keypoints at their ends.
    """
    xyz = np.asarray(xyz_N213, np.float64)
    ends = np.array(RIGID)
    lengths = np.linalg.norm(xyz[:, ends[:, 0]] - xyz[:, ends[:, 1]], axis=-1)
    expected = np.full(lengths.shape, np.nan)
    for group in np.unique(group_N):
        rows = np.flatnonzero(group_N == group)
        if len(rows) >= MIN_ROWS:
            expected[rows] = _expected(lengths[rows])
    wrong = _far(lengths, expected)
    keypoints = np.zeros((len(xyz), NUM_KEYPOINTS), bool)
    for bone, (a, b) in enumerate(RIGID):
        keypoints[:, a] |= wrong[:, bone]
        keypoints[:, b] |= wrong[:, bone]
    return np.asarray(wrong.any(-1), bool), keypoints


def _expected(lengths: Floats) -> Floats:
    """Return what each distance of each hand of a group should be: its median shape, at the size of that hand."""
    usable = np.isfinite(lengths).sum(0) >= MIN_ROWS
    shape = np.full(lengths.shape[1], np.nan)
    if not usable.any():
        return np.full(lengths.shape, np.nan)
    shape[usable] = np.nanmedian(lengths[:, usable], axis=0)
    ratios = lengths / shape
    seen = np.isfinite(ratios).any(-1)
    size = np.full(len(lengths), np.nan)
    size[seen] = np.nanmedian(ratios[seen], axis=1)
    return np.asarray(shape * size[:, None])


def _far(lengths: Floats, expected: Floats) -> NDArray[np.bool_]:
    """Tell which distances are off by a ratio, by their own spread over the dataset, and in absolute size."""
    logs = np.abs(np.log(np.maximum(lengths, 1e-9) / expected))
    sigma = np.full(lengths.shape[1], np.inf)
    usable = np.isfinite(logs).sum(0) >= MIN_ROWS
    if usable.any():
        sigma[usable] = 1.4826 * np.nanmedian(logs[:, usable], axis=0)
    size = expected[:, _MIDDLE].sum(-1, keepdims=True)
    wrong = logs > np.maximum(MIN_LOG_RATIO, MIN_SIGMA * sigma)
    return np.asarray(wrong & ~(np.abs(lengths - expected) < MIN_SHARE * size))


def hand_size(xyz_N213: NDArray[Any]) -> tuple[str, float, tuple[float, float]]:
    """Measure the hand by the best distance there is.

    Returns:
        what was measured, its median in the labels' unit, and the range it has on a person's hand in mm; the median is
        NaN where nothing can be measured.
    """
    xyz = np.asarray(xyz_N213, np.float64)
    measures = (
        ("wrist to middle MCP", np.linalg.norm(xyz[:, WRIST] - xyz[:, ROOT], axis=-1), (50.0, 130.0)),
        (
            "index to little MCP",
            np.linalg.norm(xyz[:, _KNUCKLE_ROW[0]] - xyz[:, _KNUCKLE_ROW[1]], axis=-1),
            (30.0, 100.0),
        ),
        ("widest span of the tips", _span(xyz[:, joint_indices("tip")]), (20.0, 280.0)),
    )
    for name, lengths, people in measures:
        known = lengths[np.isfinite(lengths)]
        if len(known):
            return name, float(np.median(known)), people
    return "", float("nan"), (0.0, 0.0)


def _span(points_NP3: Floats) -> Floats:
    """Return the widest distance between two points of each row, (N,); NaN with fewer than two."""
    distances = np.linalg.norm(points_NP3[:, :, None] - points_NP3[:, None], axis=-1)
    widest = np.where(np.isfinite(distances), distances, -np.inf).max((1, 2))
    return np.asarray(np.where(np.isfinite(points_NP3).all(-1).sum(1) >= 2, widest, np.nan))


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, np.nan))
