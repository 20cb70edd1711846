"""One hand of one frame, from its line through the sequence and the tracks of its points. Pure."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints import doubts
from handdata.annotate.keypoints.cells import PLACES, HandCell, has_place
from handdata.annotate.keypoints.estimate import LEAST_SD, Guess, averaged, mended, moved_along, straight
from handdata.annotate.keypoints.flow import FlowTrack
from handdata.annotate.keypoints.lines import NEVER, HandLine
from handdata.annotate.keypoints.marks import STATES, HandMark, PointSource, PointState
from handdata.annotate.keypoints.template import in_box, onto
from handdata.exchange.plain import lies_in
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]
FindPath = Callable[[int], tuple[Floats, Floats]]
FindTrack = Callable[[int, int, int], FlowTrack | None]  # (keypoint, frame where it is fixed, step)

TEMPLATE_SD = 0.3  # of the hand's size
LEAST_SIZE = 16.0  # px: no hand is smaller
_ALL = np.arange(NUM_KEYPOINTS)


def estimate_hand(
    line: HandLine,
    number: int,
    frame: int,
    find: FindTrack,
    size_px: tuple[int, int],
    longest: Floats | None = None,
    path: FindPath | None = None,
) -> HandCell | None:
    """Return a hand as it stands in a frame; None if it is not there.

    Args:
        line: the hand through the sequence.
        number: of the hand.
        frame: which.
        find: gives the track of a point.
        size_px: width and height of the picture.
        longest: (20,) of the person's bones, as `doubts.longest_bones` gives them.
        path: gives the hand's smoothed path on a frame, (21, 2) px and (21,) px; None for stills.
    """
    if not line.is_there(frame):
        return None
    fixed = line.fixed[frame]
    if fixed.all():  # nothing to estimate
        return _as_fixed(line, number, frame)
    known = fixed & has_place(line.uv[frame])
    size = hand_size(line, frame)
    guesses, near = _guesses(line, frame, find, size)
    side = line.side_at(frame)
    whole, surest = averaged(guesses, size)
    if path is None or len(guesses) == 1:
        whole = moved_along(whole, known, line.uv[frame], size)
    else:
        whole = _along(whole, *path(frame), size)
    whole = _filled(whole, np.where(known[:, None], line.uv[frame], np.nan), line.boxes.get(frame), side, size)
    uv = np.where(fixed[:, None], line.uv[frame], whole.uv)
    states = [_state(line, frame, k, near[k], uv[k], size_px) for k in range(NUM_KEYPOINTS)]
    uv[[state == "absent" for state in states]] = np.nan
    kinds = [guess.kind for guess in guesses]
    sources = tuple(_source(line, frame, k, fixed[k], kinds[surest[k]]) for k in range(NUM_KEYPOINTS))
    cell = HandCell(number, side, uv.round(PLACES), tuple(states), sources)
    return cell.with_doubts(*_doubts_of(cell, guesses, whole, fixed, size, longest))


def _along(guess: Guess, uv: Floats, sd: Floats, size: float) -> Guess:
    """Return an estimate with the points that the smoothed path knows where it leads."""
    known = has_place(uv)
    least = np.maximum(sd, LEAST_SD * size)
    return Guess(np.where(known[:, None], uv, guess.uv), np.where(known, least, guess.sd), guess.kind)


def _as_fixed(line: HandLine, number: int, frame: int) -> HandCell:
    states = tuple(STATES[int(state)] for state in line.states[frame])
    sources = tuple(line.source_at(frame, k) for k in range(NUM_KEYPOINTS))
    return HandCell(number, line.side_at(frame), line.uv[frame].round(PLACES), states, sources)


def _guesses(line: HandLine, frame: int, find: FindTrack, size: float) -> tuple[list[Guess], list[int]]:
    """Return the estimates of a frame's points, and of each point the fixed frame nearest to it, NEVER without one."""
    if not line.linked or not line.fixed.any():
        alone = Guess(line.found_uv[frame], np.where(_known(line, frame), line.found_sd[frame], np.inf), "model")
        return [alone], [frame if fixed else NEVER for fixed in line.fixed[frame]]
    before, after = (_strictly(line, frame, way) for way in (-1, 1))
    away = (
        np.where(before == NEVER, np.inf, frame - before).astype(np.float64),
        np.where(after == NEVER, np.inf, after - frame).astype(np.float64),
    )
    ends = (_at(line.uv, before), _at(line.uv, after))
    found = (_at(line.found_uv, before), _at(line.found_uv, after))
    off = (ends[0] - found[0], ends[1] - found[1])
    finite = tuple(np.where(np.isfinite(far), far, 1e6) for far in away)
    guesses = [
        _flow(before, frame, find, 1),
        _flow(after, frame, find, -1),
        mended(line.found_uv[frame], line.found_sd[frame], off, (finite[0], finite[1])),
        straight(ends, (finite[0], finite[1]), size),
    ]
    nearest = np.where(away[0] <= away[1], before, after)
    return guesses, [int(frame if fixed else n) for fixed, n in zip(line.fixed[frame], nearest, strict=True)]


def _strictly(line: HandLine, frame: int, way: int) -> NDArray[np.int64]:
    other = frame + way
    if not 0 <= other < line.count:
        return np.full(NUM_KEYPOINTS, NEVER)
    return np.asarray(line.nearest[0 if way < 0 else 1][other])


def _at(table: Floats, frames: NDArray[np.int64]) -> Floats:
    """Return (21, 2) each point's row in a frame of its own; NaN for NEVER."""
    return np.where((frames != NEVER)[:, None], table[frames, _ALL], np.nan)


def _known(line: HandLine, frame: int) -> NDArray[np.bool_]:
    return has_place(line.found_uv[frame])


def _flow(anchors: NDArray[np.int64], frame: int, find: FindTrack, step: int) -> Guess:
    uv, sd = np.full((NUM_KEYPOINTS, 2), np.nan), np.full(NUM_KEYPOINTS, np.inf)
    for k, anchor in enumerate(anchors):
        track = find(k, int(anchor), step) if anchor != NEVER else None
        place = track.at(frame) if track is not None else None
        if place is not None:
            uv[k], sd[k] = place[:2], place[2]
    return Guess(uv, sd, "flow")


def hand_size(line: HandLine, frame: int) -> float:
    """Return the side of the square round a hand, px: from its points here, else where they are known nearest."""
    here = np.where(line.fixed[frame][:, None], line.uv[frame], line.found_uv[frame])
    if line.linked:
        for frames in (_strictly(line, frame, -1), _strictly(line, frame, 1)):
            lacking = ~has_place(here)
            here = np.where(lacking[:, None], _at(line.uv, frames), here)
    known = here[has_place(here)]
    if len(known) > 2:
        return max(float((known.max(0) - known.min(0)).max()), LEAST_SIZE)
    box = line.boxes.get(frame)
    return max(box[2] - box[0], box[3] - box[1], LEAST_SIZE) if box else 100.0


def mark_extent(hand: HandMark | None) -> float:
    """Return the side of the square round a hand's points, px."""
    places = [(point.u, point.v) for point in (hand.points if hand else ()) if point is not None and point.is_placed]
    if len(places) < 2:
        return LEAST_SIZE
    uv = np.array(places)
    return max(float((uv.max(0) - uv.min(0)).max()), LEAST_SIZE)


def _filled(
    guess: Guess, fixed_uv: Floats, box: tuple[float, float, float, float] | None, side: str, size: float
) -> Guess:
    """Return an estimate whose gaps are filled from an open hand: in the drawn box, or laid onto what is known."""
    lacking = ~np.isfinite(guess.sd)
    if not lacking.any():
        return guess
    fixed = has_place(fixed_uv)
    known = np.where(fixed[:, None], fixed_uv, guess.uv)
    hand = in_box(box, side) if box is not None else onto(known, side)
    if hand is None:
        return guess
    sd = np.where(lacking, TEMPLATE_SD * size, guess.sd)
    filled = Guess(np.where(lacking[:, None], hand, guess.uv), sd, guess.kind)
    return moved_along(filled, fixed, fixed_uv, size) if box is not None else filled


def _state(line: HandLine, frame: int, k: int, near: int, place: Floats, size_px: tuple[int, int]) -> PointState:
    if line.fixed[frame, k]:
        return STATES[int(line.states[frame, k])]
    if near != NEVER and STATES[line.states[near, k]] == "absent":
        return "absent"
    if not np.isfinite(place).all():
        return "absent"
    if not lies_in((float(place[0]), float(place[1])), size_px):
        return "outside"
    if near == NEVER and frame in line.found_hidden:
        return "occluded" if line.found_hidden[frame][k] else "visible"
    return "occluded" if near != NEVER and STATES[line.states[near, k]] == "occluded" else "visible"


def _source(line: HandLine, frame: int, k: int, fixed: bool, kind: str) -> PointSource:  # noqa: FBT001
    if fixed:
        return line.source_at(frame, k)
    if kind == "model":
        return "imported" if line.imported[frame] else "model"
    return "flow" if kind == "flow" else "straight"


def _doubts_of(
    cell: HandCell, guesses: list[Guess], whole: Guess, fixed: NDArray[np.bool_], size: float, longest: Floats | None
) -> tuple[Floats, tuple[str, ...]]:
    doubt = doubts.no_doubt()
    lost = np.where(np.isfinite(whole.sd) & (whole.sd < TEMPLATE_SD * size), 0.0, 1.0)
    doubt.note(lost, "lost")
    flows, models = [g for g in guesses if g.kind == "flow"], [g for g in guesses if g.kind == "model"]
    for flow in flows:
        doubt.note(doubts.apart(flow, models[0], size), "apart")
    if longest is not None:
        doubt.note(doubts.too_long(cell.uv, longest), "bones")
    doubt.note(doubts.unsure(whole.sd, size), "unsure")
    open_ = ~fixed & np.array([state != "absent" for state in cell.states])
    values = np.where(open_, doubt.values, 0.0).round(2)
    return values, tuple(reason if value > 0 else "" for reason, value in zip(doubt.reasons, values, strict=True))
