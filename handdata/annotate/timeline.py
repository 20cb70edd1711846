"""Every frame's box, from what is fixed and what has been tracked so far. Pure."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from handdata.annotate.blend import blend, motion_doubt
from handdata.annotate.marks import Mark, Span
from handdata.annotate.tracks import Need, Track, needs
from handdata.boxes import Box

Tips = list[list[tuple[float, float]]]  # fingertips labelled in each picture, px, (0, 0) the centre of the first pixel


@dataclass(frozen=True, slots=True)
class FrameBox:
    """One frame as the page shows it.

    Attributes:
        box: (x, y, w, h) px, None where there is none.
        source: who made it: person, tracker, interpolated, dataset, absent, lost.
        doubt: 0 sure .. 1 very doubtful.
        accepted: "", "watched" or "reviewed".
        kind: the mark's kind, "" where the tracker decides.
        settled: False while tracking that may still change it is under way.
    """

    box: Box | None
    source: str
    doubt: float
    accepted: str = ""
    kind: str = ""
    settled: bool = True


UNKNOWN = FrameBox(None, "lost", 1.0, settled=False)  # nobody has drawn a box yet that reaches here


def span_cells(
    span: Span, marks: Mapping[int, Mark], find: Callable[[Need], Track], size: tuple[int, int]
) -> dict[int, FrameBox]:
    """Return the cells of a span's frames, its right keyframe left to the next span.

    Args:
        span: from `marks.spans`.
        marks: what is fixed.
        find: gives the track a need asks for, as far as it has grown.
        size: (width, height) of the pictures, px.
    """
    last = span.last if span.right is None else span.last - 1
    cells = dict.fromkeys(range(span.first, last + 1), UNKNOWN)
    if span.left is not None and marks[span.left].box is None:
        cells = dict.fromkeys(cells, FrameBox(None, "absent", 0.0))
    wanted = needs(span, marks)
    tracks = {need.start.step: find(need) for need in wanted}
    if tracks:
        known = _known_boxes(span, marks)
        for first, end in _runs(span, known):
            cells.update(_run_cells(first, min(end, last), known, end, tracks, size))
    for frame in cells:
        if frame in marks:
            mark = marks[frame]
            cells[frame] = FrameBox(mark.box, mark.source, mark.doubt, mark.accepted, mark.kind)
    return cells


def _known_boxes(span: Span, marks: Mapping[int, Mark]) -> dict[int, Box]:
    """Return the fixed boxes of a span by frame, its keyframes included."""
    boxes = {frame: marks[frame].box for frame in range(span.first, span.last + 1) if frame in marks}
    return {frame: box for frame, box in boxes.items() if box is not None}


def _runs(span: Span, known: Mapping[int, Box]) -> list[tuple[int, int]]:
    """Return the stretches (first, last) between neighbouring fixed boxes that have free frames in them."""
    stops = sorted({span.first, span.last, *known})
    return [(a, b) for a, b in itertools.pairwise(stops) if b - a > 1 or a not in known or b not in known]


def _run_cells(
    first: int, last: int, known: Mapping[int, Box], end: int, tracks: Mapping[int, Track], size: tuple[int, int]
) -> dict[int, FrameBox]:
    nowhere = np.full((end - first + 1, 4), np.nan)
    forward = tracks[1].between(first, end) if 1 in tracks else nowhere
    backward = tracks[-1].between(first, end) if -1 in tracks else nowhere
    mixed = blend(forward, backward, known.get(first), known.get(end))
    doubt = np.maximum(mixed.doubt, motion_doubt(mixed.boxes, *size))
    settled = _settled(first, end, known, tracks)
    return {
        first + i: _cell(mixed.boxes[i], bool(mixed.tracked[i]), float(doubt[i]), settled=settled(first + i))
        for i in range(last - first + 1)
    }


def _settled(first: int, end: int, known: Mapping[int, Box], tracks: Mapping[int, Track]) -> Callable[[int], bool]:
    """Return the test whether a frame's box is final: what it is blended from has been tracked."""
    closed = end in known and first in known
    if closed:
        final = all(track.reaches(end if step > 0 else first) for step, track in tracks.items())
        return lambda _: final
    return lambda frame: all(track.reaches(frame) for track in tracks.values())


def _cell(box: np.ndarray[tuple[int], np.dtype[np.float64]], tracked: bool, doubt: float, *, settled: bool) -> FrameBox:  # noqa: FBT001
    if not np.isfinite(box).all():
        return FrameBox(None, "lost", 1.0, settled=settled)
    x, y, w, h = (round(float(value), 2) for value in box)
    return FrameBox((x, y, w, h), "tracker" if tracked else "interpolated", round(doubt, 3), settled=settled)


def misses_a_tip(box: Box | None, tips: list[tuple[float, float]]) -> bool:
    """Say whether a box leaves one of the fingertips out; tips in px, (0, 0) the centre of the first pixel."""
    if box is None:
        return bool(tips)
    x, y, w, h = box
    return any(not (x <= u + 0.5 <= x + w and y <= v + 0.5 <= y + h) for u, v in tips)
