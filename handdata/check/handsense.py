"""Do the labels describe hands? Order of keypoints, which finger, which side, which unit, how far, how long the bones.

Faults are looked for in the order in which they mislead each other: the order within a finger, then which finger, then
the side; each is taken as mended before the next is looked for, so that one fault is named once.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from handdata.check import anatomy
from handdata.check.anatomy import Floats
from handdata.check.findings import Finding, Report, examples
from handdata.shards.dataset import Dataset
from handdata.skeleton import (
    FINGERS,
    HAND_SIDES,
    JOINTS,
    KEYPOINTS,
    RIGHT,
    SIDE_NAMES,
    SIDE_UNKNOWN,
    WRIST,
    finger_indices,
)

MAJORITY = 0.5
MOST = 0.9  # share of the rows that makes a fault one of the dataset, not of single sequences
MAX_NAMED = 3  # sequences named one by one
MIN_SIDE_WRONG = 0.02  # share of hands bent to the other side that a side column may have before it is a fault
UNITS = {"metres": 1000.0, "centimetres": 10.0, "inches": 25.4, "tenths of a millimetre": 0.1, "micrometres": 0.001}
NEAREST_MM, FARTHEST_MM = 50.0, 5000.0  # of any keypoint from a camera that is to see a hand
MAX_BEHIND = 0.1  # share of hands of which the camera may have points behind it, that it never sees; RHD has 0.02
LONGEST_MM = 350.0  # between two keypoints of one hand


def check_hands(rows: Dataset, report: Report) -> None:
    """Run every check on 3D labels that the dataset's keypoints allow."""
    names = ("order", "fingers", "chirality", "units", "depth", "bones")
    if not np.any(rows["annotated_3d"]):
        for name in names:
            report.leave_out(name, "no 3D labels")
        return
    xyz = rows["keypoints_3d"].astype(np.float64)
    full = np.isfinite(xyz[:, 1:]).all((1, 2))
    if full.any():
        xyz = _check_fingers(xyz, _base(rows), rows, report)
    else:
        for name in ("order", "fingers", "chirality"):
            report.leave_out(name, "no hand with every finger joint; tips alone do not tell")
    factor = _check_unit(xyz, rows, report)
    if factor == 1.0:
        report.record("depth", _depth_faults(xyz, rows))
    else:
        report.leave_out("depth", "the unit is wrong")
    if full.sum() >= anatomy.MIN_ROWS:
        report.record("bones", _bone_faults(xyz, rows))
    else:
        report.leave_out("bones", "too few full hands")


def _check_fingers(xyz: Floats, base: Floats, rows: Dataset, report: Report) -> Floats:
    """Check the order within fingers, the fingers and the side; return the keypoints as they should have been named."""
    order, mended = _order_faults(xyz, base, rows)
    report.record("order", order)
    fingers = anatomy.finger_order(mended)
    report.record("fingers", _finger_faults(fingers, rows))
    if fingers is not None:
        slots = [WRIST, *(slot for finger in np.argsort(fingers) for slot in finger_indices(FINGERS[int(finger)]))]
        mended = mended[:, slots]
    report.record("chirality", _side_faults(mended, rows))
    return mended


def _base(rows: Dataset) -> Floats:
    """Return the wrist, or the palm centre where there is no wrist: (N, 3), NaN where neither."""
    wrist, palm = rows["keypoints_3d"][:, WRIST].astype(np.float64), rows["palm_center_3d"].astype(np.float64)
    return np.where(np.isfinite(wrist).all(-1, keepdims=True), wrist, palm)


# ------------------------------------------------------------------------------------------------ order and fingers


def _order_faults(xyz: Floats, base: Floats, rows: Dataset) -> tuple[list[Finding], Floats]:
    """Find exchanged or reversed points within each finger, in the dataset or in single sequences."""
    mended = xyz.copy()
    found: dict[tuple[str, str], list[tuple[str, NDArray[np.bool_]]]] = {}  # finger, what -> where, rows
    for finger in FINGERS:
        slots = np.array(finger_indices(finger))
        paths = anatomy.path_orders(xyz, finger)
        for where, chosen in _groups(rows, paths >= 0):
            native = anatomy.PATHS[_majority(paths[chosen])]
            native = native[::-1] if _reversed(xyz[chosen], base[chosen], finger, native) else native
            if native != (0, 1, 2, 3):
                found.setdefault((finger, _describe(native)), []).append((where, chosen))
                here = np.flatnonzero(chosen)
                mended[np.ix_(here, slots)] = xyz[np.ix_(here, slots[list(native)])]
    if anatomy.thumb_is_reversed(mended, base):
        slots = np.array(finger_indices("thumb"))
        known = np.asarray(np.isfinite(mended[:, slots]).all((1, 2)))
        found["thumb", _describe((3, 2, 1, 0))] = [("the dataset", known)]
        mended[:, slots] = mended[:, slots[::-1]]
    return _summarise(found, rows), mended


def _reversed(xyz: Floats, base: Floats, finger: str, native: tuple[int, ...]) -> bool:
    slots = np.array(finger_indices(finger))
    points = xyz.copy()
    points[:, slots] = xyz[:, slots[list(native)]]
    if finger == "thumb":
        return native != (0, 1, 2, 3) and anatomy.thumb_is_reversed(points, base)
    return anatomy.is_reversed(points, finger)


def _groups(rows: Dataset, usable: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield every sequence with enough usable rows, and the rows of all the others together."""
    rest = usable.copy()
    sequence, names = rows.codes("sequence")
    for number, name in enumerate(names):
        chosen = usable & (sequence == number)
        if name and chosen.sum() >= anatomy.MIN_ROWS:
            rest &= ~chosen
            yield name, chosen
    everything = bool((rest == usable).all())
    if rest.sum() >= (1 if everything else anatomy.MIN_ROWS):
        yield "the dataset" if everything else "the short sequences", rest


def _summarise(found: dict[tuple[str, str], list[tuple[str, NDArray[np.bool_]]]], rows: Dataset) -> list[Finding]:
    """Say what several fingers and several sequences share once."""
    shared: dict[tuple[str, str], tuple[list[str], NDArray[np.bool_]]] = {}
    for (finger, what), parts in found.items():
        chosen: NDArray[np.bool_] = np.logical_or.reduce([part for _, part in parts])
        names = [where for where, _ in parts]
        where = ", ".join(names) if len(names) <= MAX_NAMED else f"{len(names)} sequences"
        where = "the dataset" if chosen.sum() > MOST * len(rows) else where
        fingers, union = shared.get((where, what), ([], np.zeros(len(rows), bool)))
        shared[where, what] = ([*fingers, finger], union | chosen)
    findings = []
    for (where, what), (fingers, chosen) in shared.items():
        named = "every finger" if len(fingers) == len(FINGERS) else ", ".join(fingers)
        ids = examples(rows.ids[chosen])
        findings.append(Finding("order", where, f"{named}: {what}", int(chosen.sum()), len(rows), ids))
    return findings


def _majority(paths: NDArray[np.intp]) -> int:
    counts = np.bincount(paths, minlength=len(anatomy.PATHS))
    best = int(counts.argmax())
    return best if counts[best] > MAJORITY * len(paths) else anatomy.IN_ORDER


def _describe(native: tuple[int, ...]) -> str:
    """Name what happened to a finger whose points, knuckle to tip, are stored in the slots `native`."""
    if native == (3, 2, 1, 0):
        return "stored from tip to MCP, reversed"
    moved = [joint for joint in range(4) if native[joint] != joint]
    if len(moved) == 2:
        a, b = (JOINTS[joint].upper() if joint < 3 else "tip" for joint in moved)
        return f"{a} and {b} exchanged"
    stored = ", ".join(JOINTS[slot] for slot in np.argsort(native))
    return f"stored in the order {stored}"


def _finger_faults(fingers: tuple[int, ...] | None, rows: Dataset) -> Iterator[Finding]:
    if fingers is None or fingers == (0, 1, 2, 3, 4):
        return
    moved = [place for place in range(5) if fingers[place] != place]
    if len(moved) == 2:
        what = f"{FINGERS[moved[0]]} and {FINGERS[moved[1]]} exchanged"
    else:
        what = f"fingers are stored in the order {', '.join(FINGERS[finger] for finger in fingers)}"
    yield Finding("fingers", "the dataset", what, len(rows), len(rows), examples(rows.ids))


# ------------------------------------------------------------------------------------------------ side


def _side_faults(xyz: Floats, rows: Dataset) -> Iterator[Finding]:
    """Compare the side to which fingers bend with hand_side: by sequence, then over all."""
    bend = anatomy.bend_to_palm(xyz)
    clear = np.abs(np.nan_to_num(bend)) > anatomy.MIN_BEND
    clear &= rows["hand_side"] != SIDE_UNKNOWN
    wrong = clear & ((bend > 0) != (rows["hand_side"] == RIGHT))
    if not clear.any() or wrong.sum() <= MIN_SIDE_WRONG * clear.sum():
        return
    total, count = int(clear.sum()), int(wrong.sum())
    if count > (1 - MIN_SIDE_WRONG) * total:
        sides = {HAND_SIDES[int(side)] for side in np.unique(rows["hand_side"][wrong])}
        named = (
            "left and right exchanged"
            if len(sides) == 2
            else f"hand_side says {sides.pop()}, the fingers bend as on the other hand"
        )
        what = f"chirality: {named}; or picture and labels are mirrored"
        yield Finding("chirality", "the dataset", what, count, total, examples(rows.ids[wrong]))
        return
    by_sequence = np.unique(rows["sequence"][wrong])
    first = by_sequence[:3].tolist()
    where = ", ".join(name for name in first if name) or "the dataset"
    where += f" and {len(by_sequence) - 3} more sequences" if len(by_sequence) > 3 else ""
    what = "chirality: the fingers bend like those of the other hand: mirrored, or the sides are exchanged"
    yield Finding("chirality", where, what, count, total, examples(rows.ids[wrong]))


# ------------------------------------------------------------------------------------------------ size


def _check_unit(xyz: Floats, rows: Dataset, report: Report) -> float:
    """Record the unit check; return what the labels must be multiplied by to be millimetres, 1 if they are."""
    measure, size, (low, high) = anatomy.hand_size(xyz)
    if not np.isfinite(size):
        report.leave_out("units", "no two keypoints whose distance is known")
        return 1.0
    if low <= size <= high:
        report.record("units", [])
        return 1.0
    fitting = [(name, factor) for name, factor in UNITS.items() if low <= size * factor <= high]
    name, factor = fitting[0] if fitting else ("no unit a hand is measured in", float("nan"))
    person = f"a person's {low:.0f} to {high:.0f} mm"
    what = f"units: {name} instead of millimetres: the median {measure} is {size:.4g}, {person}"
    report.record("units", [Finding("units", "the dataset", what, len(rows), len(rows), examples(rows.ids))])
    return factor


def _depth_faults(xyz: Floats, rows: Dataset) -> Iterator[Finding]:
    z = xyz[..., 2]
    beside = rows["annotated_2d"] & ~rows["in_frame"]  # a hand may reach past the camera beside its picture
    with np.errstate(invalid="ignore"):
        behind = (z <= 0) & ~rows["annotated_2d"]
        unseen = behind | beside if behind.any(-1).mean() < MAX_BEHIND else beside
        off = (((z < NEAREST_MM) & ~unseen) | (z > FARTHEST_MM)).any(-1)
    if off.any():
        worst = z[off][np.isfinite(z[off])]
        what = f"depth outside {NEAREST_MM:.0f}..{FARTHEST_MM:.0f} mm: {worst.min():.4g} to {worst.max():.4g}"
        yield Finding("depth", "keypoints_3d", what, int(off.sum()), len(rows), examples(rows.ids[off]))
    low, high = (_reach(xyz, np.fmin), _reach(xyz, np.fmax))
    span = np.nan_to_num(high - low).max(-1)
    torn = (span > LONGEST_MM) & ~off
    if torn.any():
        what = f"a hand {span[torn].max():.0f} mm wide"
        yield Finding("depth", "keypoints_3d", what, int(torn.sum()), len(rows), examples(rows.ids[torn]))


def _reach(xyz: Floats, ufunc: np.ufunc) -> Floats:
    return np.asarray(ufunc.reduce(xyz, axis=1))


def _bone_faults(xyz: Floats, rows: Dataset) -> Iterator[Finding]:
    """Name single hands with a bone no hand has; of sequences where there are, else of the whole dataset."""
    wrong, keypoints = anatomy.bone_outliers(xyz, rows.codes("sequence")[0] * len(SIDE_NAMES) + rows["hand_side"])
    wrong &= (rows["flags"] & 1) == 0  # published as wrong: known
    if wrong.any():
        names = [KEYPOINTS[k] for k in np.argsort(-keypoints[wrong].sum(0))[:3] if keypoints[wrong][:, k].any()]
        what = f"impossible bone lengths, most often at {', '.join(names)}"
        yield Finding("bones", "keypoints_3d", what, int(wrong.sum()), len(rows), examples(rows.ids[wrong]))
