"""The edits of a sequence so far: what they made of it, what can be undone and redone. Pure.

The same steps run when a person edits and when the journal is read back, so both end in the same state.
"""

from dataclasses import dataclass, field
from typing import Any

from handdata.annotate.marks import Mark, Patch, patch_from_json, patch_to_json


@dataclass(frozen=True, slots=True)
class Step:
    """One edit: its name, the patch it made, and the patch that takes it back."""

    op: str
    after: Patch
    before: Patch


@dataclass
class History:
    """The marks of a sequence of `num_frames` pictures, and the way there."""

    num_frames: int
    marks: dict[int, Mark] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)

    def apply(self, entry: dict[str, Any]) -> None:
        """Take one entry of the journal.

        Raises:
            ValueError: it does not fit: an unknown frame or mark, more undone than done.
        """
        if entry.get("op") in ("undo", "redo"):
            count, source = entry.get("count"), self.done if entry["op"] == "undo" else self.undone
            if not isinstance(count, int) or not 0 < count <= len(source):
                raise ValueError(f"{entry['op']} of {count} edits, {len(source)} there are")
            for _ in range(count):
                self._undo() if entry["op"] == "undo" else self._redo()
            return
        patch = patch_from_json(entry.get("set"), self.num_frames)
        self.done.append(Step(str(entry.get("op")), patch, {frame: self.marks.get(frame) for frame in patch}))
        self.undone.clear()
        self._patch(patch)

    def entry(self, op: str, patch: Patch) -> dict[str, Any]:
        """Return an edit as an entry of the journal."""
        return {"op": op, "set": patch_to_json(patch)}

    def undo_entry(self) -> dict[str, Any] | None:
        """Return the entry that takes the last edit back, None if there is none; playing on is one edit."""
        return _group("undo", self.done)

    def redo_entry(self) -> dict[str, Any] | None:
        """Return the entry that makes the edit taken back last again, None if there is none."""
        return _group("redo", self.undone)

    def watched_to(self) -> int | None:
        """Return the frame where the latest playing stopped, None if nothing was watched."""
        latest = next((step for step in reversed(self.done) if step.op == "watch"), None)
        return max(latest.after) if latest else None

    def _undo(self) -> None:
        step = self.done.pop()
        self.undone.append(step)
        self._patch(step.before)

    def _redo(self) -> None:
        step = self.undone.pop()
        self.done.append(step)
        self._patch(step.after)

    def _patch(self, patch: Patch) -> None:
        for frame, mark in patch.items():
            if mark is None:
                self.marks.pop(frame, None)
            else:
                self.marks[frame] = mark


def _group(op: str, steps: list[Step]) -> dict[str, Any] | None:
    if not steps:
        return None
    count = 1
    while steps[-1].op == "watch" and count < len(steps) and steps[-count - 1].op == "watch":
        count += 1
    return {"op": op, "count": count}
