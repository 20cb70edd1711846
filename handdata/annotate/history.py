"""The edits of a sequence so far: what they made of it, what can be undone and redone. Pure.

The same steps run when a person edits and when the journal is read back, so both end in the same state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from handdata.annotate.marks import Mark, mark_from_json, mark_to_json
from handdata.files.spelling import finder
from handdata.paths import LONGEST_NAME

SEEING = ("watch", "seen")  # edits made by looking: played past, stepped past
M = TypeVar("M")  # what is said of one frame: a box, or its hands


@dataclass(frozen=True, slots=True)
class Codec(Generic[M]):
    """How the journal writes what is said of one frame; `read` raises ValueError for anything else."""

    write: Callable[[M], Any]
    read: Callable[[Any], M]


@dataclass(frozen=True, slots=True)
class Step(Generic[M]):
    """One edit: its name, the patch it made, and the patch that takes it back."""

    op: str
    after: dict[int, M | None]
    before: dict[int, M | None]


@dataclass
class History(Generic[M]):
    """The marks of a sequence of pictures, and the way there.

    Attributes:
        names: the pictures' file names, in order; the journal says of each what became of it.
        codec: of a frame's mark.
    """

    names: tuple[str, ...]
    codec: Codec[M]
    marks: dict[int, M] = field(default_factory=dict)
    done: list[Step[M]] = field(default_factory=list)
    undone: list[Step[M]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._number_of = finder(self.names)  # a copy by way of macOS may spell them otherwise than the journal

    def apply(self, entry: dict[str, Any]) -> set[int]:
        """Take one entry of the journal; return the frames that it says something of.

        Raises:
            ValueError: it does not fit: no mark, more undone than done.
        """
        if entry.get("op") in ("undo", "redo"):
            count, source = entry.get("count"), self.done if entry["op"] == "undo" else self.undone
            if not isinstance(count, int) or not 0 < count <= len(source):
                raise ValueError(f"{entry['op']} of {count} edits, {len(source)} there are")
            taken = [self._undo() if entry["op"] == "undo" else self._redo() for _ in range(count)]
            return {frame for patch in taken for frame in patch}
        patch = _patch_from_json(entry.get("set"), self._number_of, self.codec)
        self.done.append(Step(str(entry.get("op")), patch, {frame: self.marks.get(frame) for frame in patch}))
        self.undone.clear()
        self._patch(patch)
        return set(patch)

    def entry(self, op: str, patch: Mapping[int, M | None]) -> dict[str, Any]:
        """Return an edit as an entry of the journal, by the pictures' file names."""
        marks = {self.names[frame]: None if mark is None else self.codec.write(mark) for frame, mark in patch.items()}
        return {"op": op, "set": marks}

    def undo_entry(self) -> dict[str, Any] | None:
        """Return the entry that takes the last edit back, None if no edit is left.

        Playing on is one edit. Stepping from frame to frame is none: what was seen since goes with the edit before.
        """
        seen = _tail(self.done, _passing)
        return _count("undo", seen + _grouped(self.done[: len(self.done) - seen]))

    def redo_entry(self) -> dict[str, Any] | None:
        """Return the entry that makes the edit taken back last again, None if no edit was taken back."""
        made = _grouped(self.undone)
        return _count("redo", made + _tail(self.undone[: len(self.undone) - made], _passing))

    def watched_to(self) -> int | None:
        """Return the last frame that was played or stepped past of late, None if there was none."""
        edits = _tail(self.done, lambda step: step.op not in SEEING)
        steps = self.done[: len(self.done) - edits]
        latest = steps[len(steps) - _tail(steps, lambda step: step.op in SEEING) :]
        return max((frame for step in latest for frame in step.after), default=None)

    def _undo(self) -> dict[int, M | None]:
        step = self.done.pop()
        self.undone.append(step)
        self._patch(step.before)
        return step.before

    def _redo(self) -> dict[int, M | None]:
        step = self.undone.pop()
        self.done.append(step)
        self._patch(step.after)
        return step.after

    def _patch(self, patch: Mapping[int, M | None]) -> None:
        for frame, mark in patch.items():
            if mark is None:
                self.marks.pop(frame, None)
            else:
                self.marks[frame] = mark


BOX_CODEC = Codec(mark_to_json, mark_from_json)


def box_history(names: tuple[str, ...]) -> History[Mark]:
    """Return the history of a sequence's boxes, empty."""
    return History(names, BOX_CODEC)


def _patch_from_json(value: Any, number_of: Callable[[str], int | None], codec: Codec[M]) -> dict[int, M | None]:
    """Return the patch that the journal holds; what it says of pictures that are not there now is left out.

    Raises:
        ValueError: it is not a patch.
    """
    if not isinstance(value, dict):
        raise ValueError("no frames")
    patch: dict[int, M | None] = {}
    for key, cells in value.items():
        if not 0 < len(key) <= LONGEST_NAME or "/" in key:
            raise ValueError(f"picture {key[:40]!r}")
        mark = None if cells is None else codec.read(cells)
        if (number := number_of(key)) is not None:
            patch[number] = mark
    return patch


def _passing(step: Step[Any]) -> bool:
    """Say whether a step is none that a person would take back: seen in passing, or of pictures not there now."""
    return step.op == "seen" or not step.after


def _tail(steps: Sequence[Step[M]], belongs: Callable[[Step[M]], bool]) -> int:
    """Return how many of the last steps belong."""
    return next((i for i, step in enumerate(reversed(steps)) if not belongs(step)), len(steps))


def _grouped(steps: Sequence[Step[Any]]) -> int:
    """Return how many of the last steps are one edit: playing on is one."""
    return max(_tail(steps, lambda step: step.op == "watch"), min(len(steps), 1))


def _count(op: str, count: int) -> dict[str, Any] | None:
    return {"op": op, "count": count} if count else None
