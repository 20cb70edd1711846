"""What is fixed about the frames of a sequence, and the edits that change it. Pure.

A mark is what the tracker may not overwrite. Frames without a mark get their box from the tracker, between the
nearest keyframes. Every edit is a patch, frame -> mark or None, so that undoing it is the patch of what was there.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from handdata.boxes import SOURCES, WITHOUT_BOX, Box, BoxRow

MarkKind = Literal["person", "absent", "kept", "imported"]
Accepted = Literal["", "watched", "reviewed", "confirmed"]
KEYFRAMES = ("person", "absent")
FARTHEST = 1e5  # px: no box lies so far from its picture, or is so large
REACTION_FRAMES = 60  # a mistake seen while watching is redrawn at most this many frames after it was played past


@dataclass(frozen=True, slots=True)
class Mark:
    """What is fixed about one frame.

    Attributes:
        kind: "person": a box a person drew. "absent": a person's word that the hand is gone from here on.
            "kept": the tracker's box, accepted by a person. "imported": from a file.
        box: (x, y, w, h) px, None without a hand.
        source: who made the box, as the table of boxes says it.
        accepted: whether a person played or stepped past it ("watched"), said so of this frame ("reviewed"), or kept it
            though a box drawn later leads elsewhere ("confirmed").
        doubt: 0 sure .. 1 very doubtful.
    """

    kind: MarkKind
    box: Box | None
    source: str
    accepted: Accepted = ""
    doubt: float = 0.0

    @property
    def is_keyframe(self) -> bool:
        """Whether tracks start or end here."""
        return self.kind in KEYFRAMES

    def row(self, img_name: str) -> BoxRow:
        """Return the mark as a row of the table."""
        return BoxRow(img_name, self.box, self.source, self.accepted != "", self.doubt)


Patch = dict[int, Mark | None]


def person(box: Box) -> Mark:
    """Return the mark of a box a person drew."""
    return Mark("person", box, "person", "reviewed")


ABSENT = Mark("absent", None, "absent", "reviewed")


@dataclass(frozen=True, slots=True)
class Span:
    """The frames between two keyframes, those included; None where the sequence begins or ends without one."""

    left: int | None
    right: int | None
    first: int
    last: int


def spans(marks: Mapping[int, Mark], num_frames: int) -> list[Span]:
    """Return the spans of a sequence in order: neighbours share their keyframe."""
    keys = sorted(frame for frame, mark in marks.items() if mark.is_keyframe)
    if not keys:
        return [Span(None, None, 0, num_frames - 1)]
    found = [Span(None, keys[0], 0, keys[0])] if keys[0] > 0 else []
    found += [Span(a, b, a, b) for a, b in itertools.pairwise(keys)]
    return [*found, Span(keys[-1], None, keys[-1], num_frames - 1)]


def set_keyframe(
    marks: Mapping[int, Mark], frame: int, mark: Mark, num_frames: int, watched_to: int | None = None
) -> Patch:
    """Return the patch that makes `frame` a keyframe and gives the frames after it back to the tracker.

    Up to the next keyframe these are released: imported boxes that nobody accepted, and what was played past since
    the mistake, if the playing stopped (at `watched_to`) within REACTION_FRAMES after it. Other accepted frames stay.
    """
    keys = sorted(other for other, there in marks.items() if there.is_keyframe and other > frame)
    stop = keys[0] if keys else num_frames
    patch: Patch = {frame: mark}
    recent = watched_to is not None and frame <= watched_to <= frame + REACTION_FRAMES
    for other in range(frame + 1, stop):
        there = marks.get(other)
        if there is None:
            continue
        unread = there.kind == "imported" and not there.accepted
        if unread or (recent and watched_to is not None and other <= watched_to and there.accepted == "watched"):
            patch[other] = None
    return patch


def accept(marks: Mapping[int, Mark], rows: Mapping[int, BoxRow], accepted: Accepted) -> Patch:
    """Return the patch that freezes these rows as they are; keyframes stay, what outranks "watched" stays."""
    patch: Patch = {}
    for frame, row in rows.items():
        there = marks.get(frame)
        if there is None:
            patch[frame] = Mark("kept", row.box, row.source, accepted, row.doubt)
        elif not there.is_keyframe and there.accepted not in (accepted, "reviewed", "confirmed"):
            patch[frame] = replace(there, accepted=accepted)
    return patch


def confirm(marks: Mapping[int, Mark], frames: Iterable[int]) -> Patch:
    """Return the patch that keeps accepted frames although a box drawn later leads elsewhere."""
    found = {frame: marks[frame] for frame in frames if frame in marks and not marks[frame].is_keyframe}
    return {frame: replace(mark, accepted="confirmed") for frame, mark in found.items()}


def given_back(marks: Mapping[int, Mark], patch: Patch) -> list[int]:
    """Return the accepted frames that a patch gives back to the tracker, in order: a person is told of them."""
    return sorted(frame for frame, mark in patch.items() if mark is None and frame in marks and marks[frame].accepted)


def release(marks: Mapping[int, Mark], frames: Iterable[int]) -> Patch:
    """Return the patch that gives frames back: kept ones to the tracker, imported ones first to their file's box."""
    patch: Patch = {}
    for frame in frames:
        there = marks.get(frame)
        if there is None or there.is_keyframe:
            continue
        imported = there.kind == "imported" and there.accepted
        patch[frame] = replace(there, accepted="") if imported else None
    return patch


def imported(rows: Mapping[int, BoxRow], marks: Mapping[int, Mark]) -> Patch:
    """Return the patch that replaces everything by what a table says; a person's boxes become keyframes again."""
    patch: Patch = dict.fromkeys(marks)
    before: str | None = None
    for frame in sorted(rows):
        row = rows[frame]
        if row.source == "person" and row.box is not None:
            patch[frame] = replace(person(row.box), doubt=row.doubt)
        elif row.source == "absent" and row.reviewed and before != "absent":
            patch[frame] = ABSENT
        else:
            patch[frame] = Mark("imported", row.box, row.source, "reviewed" if row.reviewed else "", row.doubt)
        before = row.source
    return patch


def mark_to_json(mark: Mark) -> list[Any]:
    """Return a mark as the journal writes it."""
    return [mark.kind, mark.box, mark.source, mark.accepted, mark.doubt]


def mark_from_json(cells: Any) -> Mark:
    """Return the mark that the journal holds.

    Raises:
        ValueError: it is not a mark.
    """
    if not isinstance(cells, list) or len(cells) != 5:
        raise ValueError(f"mark {cells}")
    kind, box, source, accepted, doubt = cells
    known = kind in ("person", "absent", "kept", "imported") and accepted in get_args(Accepted)
    if not known or source not in SOURCES or (box is None) != (source in WITHOUT_BOX) or not _is_share(doubt):
        raise ValueError(f"mark {cells}")
    if box is None:
        return Mark(kind, None, source, accepted, float(doubt))
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(f"box {box}")
    x, y, w, h = (float(value) for value in box)
    if not (w > 0 and h > 0 and all(abs(value) < FARTHEST for value in (x, y, w, h))):
        raise ValueError(f"box {box}")
    return Mark(kind, (x, y, w, h), source, accepted, float(doubt))


def _is_share(value: Any) -> bool:
    return _is_number(value) and bool(0 <= value <= 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def runs(frames: Iterable[int]) -> list[range]:
    """Return frames as stretches of neighbours, in order."""
    found: list[range] = []
    for frame in sorted(set(frames)):
        if found and found[-1].stop == frame:
            found[-1] = range(found[-1].start, frame + 1)
        else:
            found.append(range(frame, frame + 1))
    return found
