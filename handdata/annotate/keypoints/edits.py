"""The edits that change what is fixed about hands. Pure: each returns a patch, frame -> what is then said of it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from handdata.annotate.keypoints.cells import PLACES, FrameCell, HandCell
from handdata.annotate.keypoints.marks import (
    MADE_BY_PERSON,
    NO_POINTS,
    FrameMark,
    HandMark,
    Marks,
    PointMark,
    PointPatch,
    PointState,
)
from handdata.skeleton import BONES, NUM_KEYPOINTS

NOTHING = FrameMark()
IsInside = Callable[[tuple[float, float]], bool]  # a place, px -> whether the picture holds it
Edges = tuple[float, float, float, float]


def place(
    marks: Marks, frame: int, cell: HandCell, places: Mapping[int, tuple[float, float]], inside: IsInside
) -> PointPatch:
    """Put points of a hand where a person says.

    A point beyond the picture's edge is outside; one that comes back, or had no place, is visible.
    """
    points = {k: PointMark(u, v, _state_at(cell.states[k], (u, v), inside), "person") for k, (u, v) in places.items()}
    return _with_points(marks, frame, cell, points)


def set_state(
    marks: Marks, frame: int, cell: HandCell, ks: Iterable[int], state: PointState, inside: IsInside
) -> PointPatch:
    """Say of points that they are visible, occluded, outside or absent; they stay where they are.

    Absent points have no place, nor have those that lie outside at a place nobody knows. A point that had none and
    is there again is estimated.
    """
    points: dict[int, PointMark | None] = {}
    for k in ks:
        point = replace(cell.point(k), state=state, source="person")
        is_in = point.is_placed and inside((point.u, point.v))
        if state == "absent" or (state == "outside" and (is_in or not point.is_placed)):
            points[k] = replace(point, u=math.nan, v=math.nan)
        elif not math.isfinite(point.u) or (state != "outside" and not is_in):
            points[k] = None
        else:
            points[k] = point
    return _with_points(marks, frame, cell, points)


def set_side(marks: Marks, frames: Iterable[int], cells: Mapping[int, HandCell], side: str) -> PointPatch:
    """Say of a hand which one it is, on these frames."""
    patch: PointPatch = {}
    for frame in frames:
        cell = cells[frame]
        there = marks.get(frame, NOTHING)
        hand = there.hands.get(cell.number, HandMark(cell.side))
        patch[frame] = _with_hand(there, cell.number, replace(hand, side=side))
    return patch


def gone(marks: Marks, frame: int, cell: HandCell) -> PointPatch:
    """Say that a hand is not there: from this frame on in a sequence, else on this frame."""
    return {frame: _with_hand(marks.get(frame, NOTHING), cell.number, HandMark(cell.side, gone=True))}


def begin(marks: Marks, frame: int, number: int, side: str, box: Edges) -> PointPatch:
    """Say that there is a hand in a box."""
    return {frame: _with_hand(marks.get(frame, NOTHING), number, HandMark(side, box=box))}


def set_nearer(marks: Marks, frame: int, cell: HandCell, k: int, end: int) -> PointPatch:
    """Say of the bone that ends at point k which end is nearer: 1 its start, -1 its end, 0 nobody knows."""
    there = marks.get(frame, NOTHING)
    hand = there.hands.get(cell.number, HandMark(cell.side))
    told = list(hand.nearer or (0,) * len(BONES))
    told[k - 1] = end
    return {frame: _with_hand(there, cell.number, replace(hand, nearer=tuple(told) if any(told) else ()))}


def clear(marks: Marks, frame: int, number: int, ks: Iterable[int] | None = None) -> PointPatch:
    """Give points of a hand back to be estimated; without `ks` take back all that is said of the hand here."""
    there = marks.get(frame)
    if there is None or number not in there.hands:
        return {}
    if ks is None:
        hands = {other: hand for other, hand in there.hands.items() if other != number}
        return {frame: _or_none(FrameMark(hands))}
    hand, chosen = there.hands[number], set(ks)
    points = tuple(None if k in chosen else point for k, point in enumerate(hand.points))
    return {frame: _with_hand(there, number, replace(hand, points=points))}


def accept(marks: Marks, cells: Mapping[int, FrameCell]) -> PointPatch:
    """Fix frames as they stand."""
    patch: PointPatch = {}
    for frame, cell in cells.items():
        there = marks.get(frame, NOTHING)
        if there.accepted:
            continue
        absent = {number: hand for number, hand in there.hands.items() if hand.gone}
        fixed = {
            hand.number: HandMark(
                hand.side,
                tuple(hand.point(k) for k in range(NUM_KEYPOINTS)),
                nearer=hand.nearer,
            )
            for hand in cell.hands
        }
        patch[frame] = FrameMark({**absent, **fixed}, accepted=True)
    return patch


def release(marks: Marks, frames: Iterable[int]) -> PointPatch:
    """Take back that frames are right: a person's points stay, the others are estimated again."""
    patch: PointPatch = {}
    for frame in frames:
        there = marks.get(frame)
        if there is not None and there.accepted:
            hands = {number: replace(hand, points=_persons(hand)) for number, hand in there.hands.items()}
            kept = {n: h for n, h in hands.items() if h.gone or h.box or h.nearer or h.points != NO_POINTS}
            patch[frame] = _or_none(FrameMark(kept))
    return patch


def copy(marks: Marks, frame: int, source: HandCell, ks: Iterable[int], inside: IsInside) -> PointPatch:
    """Put points of a hand where they are on another frame."""
    placed = {k: replace(source.point(k), source="copied") for k in ks}
    known = {k: _moved(point, inside) for k, point in placed.items() if point.is_placed or point.state != "visible"}
    return _with_points(marks, frame, source, known)


def interpolate(marks: Marks, frames: Sequence[int], left: HandCell, right: HandCell, ks: Iterable[int]) -> PointPatch:
    """Put points of a hand on straight lines between two frames, each as its nearer end says its state."""
    patch: PointPatch = {}
    pairs = [(k, left.point(k), right.point(k)) for k in ks]
    both = [(k, a, b) for k, a, b in pairs if a.is_placed and b.is_placed]
    for index, frame in enumerate(frames, start=1):
        share = index / (len(frames) + 1)
        points: dict[int, PointMark | None] = {}
        for k, a, b in both:
            u, v = round(a.u + share * (b.u - a.u), PLACES), round(a.v + share * (b.v - a.v), PLACES)
            points[k] = PointMark(u, v, (a if share < 0.5 else b).state, "interpolated")
        if not marks.get(frame, NOTHING).accepted:
            patch |= _with_points(marks, frame, left, points)
    return patch


def _state_at(before: PointState, place: tuple[float, float], inside: IsInside) -> PointState:
    if not inside(place):
        return "outside"
    return "occluded" if before == "occluded" else "visible"


def _moved(point: PointMark, inside: IsInside) -> PointMark:
    """Return a point with a state that suits its place."""
    return point if not point.is_placed else replace(point, state=_state_at(point.state, (point.u, point.v), inside))


def _with_points(marks: Marks, frame: int, cell: HandCell, points: Mapping[int, PointMark | None]) -> PointPatch:
    there = marks.get(frame, NOTHING)
    before = there.hands.get(cell.number, HandMark(cell.side))
    after = tuple(points.get(k, point) for k, point in enumerate(before.points))
    return {frame: _with_hand(there, cell.number, HandMark(before.side, after, box=before.box, nearer=before.nearer))}


def _with_hand(there: FrameMark, number: int, hand: HandMark) -> FrameMark:
    return FrameMark({**there.hands, number: hand}, there.accepted)


def _persons(hand: HandMark) -> tuple[PointMark | None, ...]:
    kept = (*MADE_BY_PERSON, "imported")
    return tuple(point if point is not None and point.source in kept else None for point in hand.points)


def _or_none(mark: FrameMark) -> FrameMark | None:
    return None if mark.is_empty else mark
