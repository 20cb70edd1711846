"""Every frame's box, from what is fixed and what has been tracked so far. Pure."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from handdata.annotate.blend import AGREE, blend, motion_doubts, overlap
from handdata.annotate.guided import Floats, SeenHand, around_of
from handdata.annotate.marks import Mark, Span
from handdata.annotate.opinion import agreement, doubts, weighed
from handdata.annotate.tracks import Need, Start, Track, needs
from handdata.boxes import Box

SeenIn = Callable[[int, Box], SeenHand | None]  # (frame, box) -> what a model sees round it; None: it was not asked
Tips = list[list[tuple[float, float]]]  # fingertips labelled in each picture, px, (0, 0) the centre of the first pixel


@dataclass(frozen=True, slots=True)
class FrameBox:
    """One frame as the page shows it.

    Attributes:
        box: (x, y, w, h) px, None if the frame has no box.
        source: who made it: person, tracker, interpolated, dataset, absent, lost.
        doubt: 0 sure .. 1 very doubtful.
        accepted: "", "watched", "reviewed" or "confirmed".
        kind: the mark's kind, "" where the tracker decides.
        settled: False while tracking that may still change it is under way.
        reason: what the doubt is of, one of REASONS of page/queue.js; "" without any.
        disputed: whether it was accepted, and a box drawn later leads elsewhere: a person is asked.
    """

    box: Box | None
    source: str
    doubt: float
    accepted: str = ""
    kind: str = ""
    settled: bool = True
    disputed: bool = False
    reason: str = ""


BESIDE = 5  # frames: so soon after a box was drawn, another elsewhere is not the same hand
UNKNOWN = FrameBox(None, "lost", 1.0, settled=False)  # nobody has drawn a box yet that reaches here


def never_asked(_frame: int, _box: Box) -> None:
    """Return None: no model was asked."""


def span_cells(
    span: Span,
    marks: Mapping[int, Mark],
    find: Callable[[Need], Track],
    size: tuple[int, int],
    seen: SeenIn = never_asked,
) -> dict[int, FrameBox]:
    """Return the cells of a span's frames, its right keyframe left to the next span.

    Args:
        span: from `marks.spans`.
        marks: what is fixed.
        find: gives the track a need asks for, as far as it has grown.
        size: (width, height) of the pictures, px.
        seen: what a model sees round boxes.
    """
    last = span.last if span.right is None else span.last - 1
    cells = dict.fromkeys(range(span.first, last + 1), UNKNOWN)
    if span.left is not None and marks[span.left].box is None:
        cells = dict.fromkeys(cells, FrameBox(None, "absent", 0.0))
    wanted = needs(span, marks)
    tracks = {need.start.step: find(need) for need in wanted}
    apart = disputed(span, marks, tracks or _standing(span, marks))
    if tracks:
        known = {frame: box for frame, box in _known_boxes(span, marks).items() if frame not in apart}
        around = _around_drawn(span, marks, seen)
        for first, end in _runs(span, known):
            cells.update(_run_cells((first, min(end, last), end), known, tracks, size, seen, around))
    for frame in cells:
        if frame in marks:
            mark = marks[frame]
            asked = frame in apart and mark.accepted != ""
            doubt = 1.0 if asked else mark.doubt
            cells[frame] = FrameBox(mark.box, mark.source, doubt, mark.accepted, mark.kind, disputed=asked)
    return cells


def disputed(span: Span, marks: Mapping[int, Mark], tracks: Mapping[int, Track]) -> set[int]:
    """Return the fixed frames inside a span that a person's boxes speak against; they are no anchors for tracks.

    That is: those beside a keyframe which the track from there leads away from, up to where they meet again; and those
    which every direction that still follows leads away from. What a person confirmed is never among them.
    """
    found: set[int] = set()
    opinions: dict[int, list[bool]] = {}
    for track in tracks.values():
        step, reached = track.start.step, track.start.frame + track.start.step * (len(track.boxes) - 1)
        frames = range(track.start.frame + step, min(max(reached, span.first), span.last) + step, step)
        fixed = {frame: marks[frame] for frame in frames if frame in marks}
        open_to = {f: m for f, m in fixed.items() if not m.is_keyframe and m.accepted != "confirmed"}
        found |= _beside(track, open_to)
        for frame, mark in open_to.items():
            box = track.at(frame)
            if mark.box is not None and box is not None:
                opinions.setdefault(frame, []).append(overlap(mark.box, box) < AGREE)
    return found | {frame for frame, said in opinions.items() if all(said)}


def _standing(span: Span, marks: Mapping[int, Mark]) -> dict[int, Track]:
    """Return tracks that are lost at once, for a span that is fixed all over: nothing in it was tracked."""
    found: dict[int, Track] = {}
    for step, frame in ((1, span.left), (-1, span.right)):
        box = None if frame is None else marks[frame].box
        if frame is not None and box is not None:
            found[step] = Track(Start(frame, box, step))
            found[step].boxes += [None] * (span.last - span.first)
    return found


def _beside(track: Track, fixed: Mapping[int, Mark]) -> set[int]:
    """Return the fixed frames next to a track's start that it leads away from, up to where they meet again.

    Where the track is lost, they go on as far as they stay in one place; the first must lie elsewhere than the start.
    """
    found: set[int] = set()
    before: Box | None = None  # the last box that was led away from
    for frame, mark in fixed.items():
        box = track.at(frame)
        if mark.box is None:
            break
        if box is not None:
            apart = overlap(mark.box, box) < AGREE
        elif before is not None:
            apart = overlap(mark.box, before) >= AGREE
        else:
            apart = abs(frame - track.start.frame) <= BESIDE and overlap(mark.box, track.start.box) < AGREE
        if not apart:
            break
        found.add(frame)
        before = mark.box
    return found


def _known_boxes(span: Span, marks: Mapping[int, Mark]) -> dict[int, Box]:
    """Return the fixed boxes of a span by frame, its keyframes included."""
    boxes = {frame: marks[frame].box for frame in range(span.first, span.last + 1) if frame in marks}
    return {frame: box for frame, box in boxes.items() if box is not None}


def _runs(span: Span, known: Mapping[int, Box]) -> list[tuple[int, int]]:
    """Return the stretches (first, last) between neighbouring fixed boxes that have free frames in them."""
    stops = sorted({span.first, span.last, *known})
    return [(a, b) for a, b in itertools.pairwise(stops) if b - a > 1 or a not in known or b not in known]


def _around_drawn(span: Span, marks: Mapping[int, Mark], seen: SeenIn) -> list[Floats]:
    """Return how the drawn boxes at a span's ends lie round the points of the hands that a model sees there."""
    ends = [(frame, marks[frame].box) for frame in (span.left, span.right) if frame is not None]
    hands = [(seen(frame, box), box) for frame, box in ends if box is not None]
    found = [around_of(hand, box) for hand, box in hands if hand is not None]
    return [around for around in found if around is not None]


def _run_cells(
    frames: tuple[int, int, int],
    known: Mapping[int, Box],
    tracks: Mapping[int, Track],
    size: tuple[int, int],
    seen: SeenIn,
    around: list[Floats],
) -> dict[int, FrameBox]:
    """Return the cells of frames first..last, which are blended up to `end`."""
    first, last, end = frames
    nowhere = np.full((end - first + 1, 4), np.nan)
    forward = tracks[1].between(first, end) if 1 in tracks else nowhere
    backward = tracks[-1].between(first, end) if -1 in tracks else nowhere
    mixed = blend(forward, backward, known.get(first), known.get(end), both_ways=len(tracks) == 2)
    boxes = [_rounded(box) for box in mixed.boxes]
    hands = [None if box is None else seen(first + i, box) for i, box in enumerate(boxes)]
    agrees, motion = agreement(boxes, hands, around), motion_doubts(mixed.boxes, *size)
    motion |= {reason: weighed(motion[reason], agrees) for reason in ("jump", "size")}
    found = {"apart": mixed.doubt, **doubts(_unlike(first, end, tracks), agrees), **motion}
    doubt, reason = np.max(list(found.values()), axis=0), np.argmax(list(found.values()), axis=0)
    reasons = list(found)
    settled = _settled(first, end, known, tracks)
    return {
        first + i: replace(
            _cell(boxes[i], bool(mixed.tracked[i]), float(doubt[i]), settled=settled(first + i)),
            reason=reasons[reason[i]] if doubt[i] > 0 else "",
        )
        for i in range(last - first + 1)
    }


def _unlike(first: int, end: int, tracks: Mapping[int, Track]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the doubt (T,) by the colours in the box: that of the direction which looks more like the drawn hand."""
    seen = np.array([track.unlike_between(first, end) for track in tracks.values()]).reshape(len(tracks), -1)
    return np.asarray(np.where(np.isfinite(seen), seen, 1.0).min(axis=0) * np.isfinite(seen).any(axis=0), np.float64)


def _settled(first: int, end: int, known: Mapping[int, Box], tracks: Mapping[int, Track]) -> Callable[[int], bool]:
    """Return the test whether a frame's box is final: what it is blended from has been tracked."""
    closed = end in known and first in known
    if closed:
        final = all(track.reaches(end if step > 0 else first) for step, track in tracks.items())
        return lambda _: final
    return lambda frame: all(track.reaches(frame) for track in tracks.values())


def _rounded(box: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Box | None:
    if not np.isfinite(box).all():
        return None
    x, y, w, h = (round(float(value), 2) for value in box)
    return x, y, w, h


def _cell(box: Box | None, tracked: bool, doubt: float, *, settled: bool) -> FrameBox:  # noqa: FBT001
    if box is None:
        return FrameBox(None, "lost", 1.0, settled=settled)
    return FrameBox(box, "tracker" if tracked else "interpolated", round(doubt, 3), settled=settled)


def misses_a_tip(box: Box | None, tips: list[tuple[float, float]]) -> bool:
    """Say whether a box leaves one of the fingertips out; tips in px, (0, 0) the centre of the first pixel."""
    if box is None:
        return bool(tips)
    x, y, w, h = box
    return any(not (x <= u + 0.5 <= x + w and y <= v + 0.5 <= y + h) for u, v in tips)
