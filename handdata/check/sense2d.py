"""Do 2D labels describe hands? Fingers reversed or exchanged, points that are none, points beside their box.

What 3D tells better is asked of 3D alone (handsense.py). Which hand it is, 2D cannot tell: a mirror shows the other;
what two labels of one picture say of each other can (beside2d.py).
"""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from handdata.check.beside2d import TIGHT_ROWS, called_both, shifted_splits
from handdata.check.findings import Finding, Report, examples
from handdata.shards.dataset import Dataset
from handdata.shards.schema import BoxSource
from handdata.skeleton import FINGERS, KEYPOINTS, WRIST, finger_indices, joint_indices

Floats = NDArray[np.float64]

FEW, FEWEST = 2, 5  # whole hands from which on a set is judged, and single fingers of it
MOST = 0.6  # share of hands whose knuckles lie in another order
NEAR_TIPS, SHORT_BASES = 0.6, 0.6  # shares of hands with a tip nearer to the wrist, with a short first bone
NEARER = 0.8  # of the thumb's distance: another finger that begins so much nearer to the wrist is the thumb
SAME_PLACE = 4  # keypoints of a hand at one place
FAR_OUT = 2.0  # times the box, beyond which a point has nothing to do with it
LOST = 3.0  # the same of a single point; of 22 real hands with a box of their own the farthest lies at 1.4
_ORDERS = [order for order in permutations(range(4)) if order[0] < order[3]]  # of four fingers, either way round
_MADE = (BoxSource.DATASET, BoxSource.PERSON, BoxSource.TRACKER, BoxSource.INTERPOLATED)


def check_points(rows: Dataset, report: Report) -> None:
    """Run every check on 2D labels that the dataset's keypoints allow."""
    if not np.any(rows["annotated_2d"]):
        return
    uv = np.where(rows["annotated_2d"][..., None], rows["keypoints_2d"], np.nan).astype(np.float64)
    flat = ~np.any(rows["annotated_3d"], axis=1)  # also of a dataset that has 3D of other hands
    if flat.any():
        whole = uv[flat & np.isfinite(uv).all((1, 2))]
        for name, judge in (("order 2D", reversed_fingers), ("fingers 2D", exchanged_fingers)):
            if len(whole) < FEW:
                report.leave_out(name, f"fewer than {FEW} hands with all 21 points and no 3D")
                continue
            what, count = judge(whole), int(flat.sum())
            found = [Finding(name, "hands without 3D", what, count, count, examples(rows.ids[flat]))] if what else []
            report.record(name, found)
    _compare_labels(uv, rows, report)
    report.record("points 2D", _points_that_are_none(uv, rows))
    if np.isin(rows["bbox_source"], [int(source) for source in _MADE]).any():
        report.record("boxes 2D", _far_from_box(uv, rows))
    else:
        report.leave_out("boxes 2D", "no box of its own: all follow from the points")


def _compare_labels(uv: Floats, rows: Dataset, report: Report) -> None:
    """Hold labels of one picture, and splits, against each other."""
    both, found = called_both(uv, rows)
    if both:
        report.record("sides 2D", found)
    elif not np.any(rows["annotated_3d"]):
        report.leave_out("sides 2D", "2D does not tell left from right, and no picture has both")
    tight, shifts = shifted_splits(uv, rows)
    if tight > 1:
        report.record("shift 2D", list(shifts))
    else:
        why = f"fewer than 2 splits with {TIGHT_ROWS} whole hands whose boxes keep one margin round them"
        report.leave_out("shift 2D", why)


def reversed_fingers(uv_NK2: Floats) -> str:
    """Say which fingers run from the tip to the knuckle in whole hands, (N, 21, 2); "" for none.

    In most hands their tip lies nearer to the wrist than their knuckle, and their first bone is the shorter one; of a
    fist only the first is so.
    """
    near: dict[str, float] = {}
    short: dict[str, float] = {}
    for finger in FINGERS:
        points = uv_NK2[:, finger_indices(finger)]
        bones = np.linalg.norm(np.diff(points, axis=1), axis=-1)
        base, tip = (np.linalg.norm(points[:, joint] - uv_NK2[:, WRIST], axis=-1) for joint in (0, 3))
        near[finger], short[finger] = float((tip < base).mean()), float((bones[:, 2] > bones[:, 0]).mean())
    thumb = near["thumb"] > NEAR_TIPS
    if thumb and np.mean([short[finger] for finger in FINGERS[1:]]) > 0.5:  # no fist hides a reversed thumb
        return "every finger: stored from tip to MCP, reversed"
    if len(uv_NK2) < FEWEST:
        return ""
    others = [finger for finger in FINGERS[1:] if near[finger] > NEAR_TIPS and short[finger] > SHORT_BASES]
    found = (["thumb"] if thumb else []) + others
    return f"{', '.join(found)}: stored from tip to MCP, reversed" if found else ""


def exchanged_fingers(uv_NK2: Floats) -> str:
    """Say which fingers of whole hands, (N, 21, 2), stand in the place of others; "" for none.

    The thumb begins beside the wrist, and the other knuckles lie in a row.
    """
    knuckles = uv_NK2[:, joint_indices("mcp")]
    reach = np.linalg.norm(knuckles - uv_NK2[:, None, WRIST], axis=-1)
    near = np.median(reach / np.maximum(reach.max(1, keepdims=True), 1e-6), axis=0)
    first = int(near.argmin())
    if first != 0 and near[first] < NEARER * near[0]:
        return f"thumb and {FINGERS[first]} exchanged: the {FINGERS[first]} finger begins nearest to the wrist"
    row = knuckles[:, 1:]
    lengths = np.stack([np.linalg.norm(np.diff(row[:, order], axis=1), axis=-1).sum(1) for order in _ORDERS], axis=1)
    counts = np.bincount(lengths.argmin(1), minlength=len(_ORDERS))
    best = _ORDERS[int(counts.argmax())]
    if best == (0, 1, 2, 3) or counts.max() <= MOST * len(uv_NK2):
        return ""
    return f"the knuckles lie in the order {', '.join(FINGERS[1 + finger] for finger in best)}"


def _points_that_are_none(uv: Floats, rows: Dataset) -> Iterator[Finding]:
    """Find points at the corner of the picture, which stand for missing ones, and many points at one place."""
    corner = np.asarray(np.isin(uv, (0.0, -0.5)).all(-1), bool)
    zero = corner.sum(1) >= 2
    for row in np.flatnonzero(corner.sum(1) == 1):
        zero[row] = _is_apart(uv[row], int(corner[row].argmax()))
    if zero.any():
        what = "keypoints at the corner (0, 0): missing ones taken for labels"
        yield Finding("points 2D", "keypoints_2d", what, int(zero.sum()), len(rows), examples(rows.ids[zero]))
    same = (_most_at_one_place(uv) >= SAME_PLACE) & ~zero
    if same.any():
        what = f"{SAME_PLACE} or more keypoints at one place"
        yield Finding("points 2D", "keypoints_2d", what, int(same.sum()), len(rows), examples(rows.ids[same]))
    elif names := _always_together(uv[~zero]):
        what = f"{names} share their place in most hands"
        yield Finding("points 2D", "keypoints_2d", what, len(rows), len(rows), examples(rows.ids))


def _is_apart(points: Floats, keypoint: int) -> bool:
    """Say whether a keypoint of a hand, (21, 2), lies farther from all others than half of what these span."""
    others = np.delete(points, keypoint, axis=0)
    others = others[np.isfinite(others).all(-1)]
    if len(others) < SAME_PLACE:
        return False
    return bool(np.linalg.norm(others - points[keypoint], axis=1).min() > np.linalg.norm(np.ptp(others, axis=0)) / 2)


def _always_together(uv: Floats) -> str:
    """Name the first two keypoints that share their place in most hands; "" for none."""
    known = np.asarray(np.isfinite(uv).all(-1), np.float64)
    both = known.T @ known
    for one, other, same in _at_one_place(uv):
        if both[one, other] >= FEWEST and same.sum() / both[one, other] > MOST:
            return f"{KEYPOINTS[one]} and {KEYPOINTS[other]}"
    return ""


def _most_at_one_place(uv: Floats) -> NDArray[np.int8]:
    """Return how many keypoints of each hand, (N, 21, 2), share one place at most, (N,)."""
    beside = np.zeros((uv.shape[1], len(uv)), np.int8)
    for one, other, same in _at_one_place(uv):
        beside[one] += same
        beside[other] += same
    most: NDArray[np.int8] = beside.max(0) + np.int8(1)
    return most


def _at_one_place(uv: Floats) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield every two keypoints of hands, (N, 21, 2), with the hands in which they share their place, (N,)."""
    u, v = np.ascontiguousarray(uv.transpose(2, 1, 0))  # a keypoint's numbers of all hands side by side: 10 x as fast
    for one, other in combinations(range(uv.shape[1]), 2):
        yield one, other, (u[one] == u[other]) & (v[one] == v[other])


def _far_from_box(uv: Floats, rows: Dataset) -> Iterator[Finding]:
    """Find hands most of whose points lie far outside of a box that somebody made, or one of them very far."""
    box = rows["bbox_xyxy"].astype(np.float64)
    made = np.isfinite(box).all(-1) & np.isin(rows["bbox_source"], [int(source) for source in _MADE])
    center, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        away = (np.abs(uv + 0.5 - center[:, None]) / half[:, None]).max(-1)
    outside = away > FAR_OUT
    known = np.isfinite(uv).all(-1)
    share = (outside & known).sum(1) / np.maximum(known.sum(1), 1)
    far = made & (share > 0.5)
    if far.any():
        what = "most keypoints lie far outside of their box"
        yield Finding("boxes 2D", "bbox_xyxy", what, int(far.sum()), len(rows), examples(rows.ids[far]))
    lost = made & ~far & (away > LOST).any(1)
    if lost.any():
        what = "a keypoint lies more than the length of its box beside it"
        yield Finding("boxes 2D", "keypoints_2d", what, int(lost.sum()), len(rows), examples(rows.ids[lost]))
