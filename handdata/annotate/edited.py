"""What every session on a sequence's pictures has: edits that are on the disk before they are made, undo and redo."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Generic

from handdata.annotate.history import Codec, History, M
from handdata.annotate.journal import Journal
from handdata.annotate.pictures import Pictures
from handdata.errors import ConfigError, HanddataError
from handdata.files.locks import lock_of, signed


class EditedSequence(ABC, Generic[M]):
    """A sequence opened for annotating, with its lock and its journal.

    Args:
        pictures: the sequence.
        path: the file to write; the journal and the lock lie beside it.
        codec: how the journal writes what is said of a frame.
        of: what of the pictures is edited, as journal.py names it.

    Raises:
        BusyError: the sequence is open elsewhere.
        DataError: a journal of other pictures, or a damaged one.
    """

    def __init__(self, pictures: Pictures, path: Path, codec: Codec[M], of: str) -> None:
        self.pictures = pictures
        self.path = path
        self._mutex = threading.RLock()
        self._saving = threading.Lock()  # the thread that works in the background saves too
        self._edits = 0
        self._open = True
        self._history = History(pictures.names, codec)
        with ExitStack() as opened:
            opened.enter_context(signed(path))
            self._journal = opened.enter_context(Journal(path.with_suffix(".journal"), pictures, of))
            self._journal.replay(self._history)
            self._begin()
            self._files = opened.pop_all()

    def _begin(self) -> None:
        """Take over what the journal and the file on the disk say; an error closes what was opened."""

    @property
    def _is_untouched(self) -> bool:
        """Whether nothing was said, now or before."""
        return not self._journal.entries and not self.path.exists()

    @abstractmethod
    def save(self) -> None:
        """Write the file.

        Raises:
            WriteError: it cannot be written.
            DataError: another picture has the name of one that was opened.
        """

    def close(self) -> None:
        """Write the file and let go of the sequence; once is enough. Errors as of `save`."""
        with self._mutex:
            try:
                if self._open and self._history.marks:
                    self._save_at_last()
                if self._open and self._is_untouched:
                    with suppress(OSError):  # nothing was said: no trace is left, but where open files stay
                        self._journal.path.unlink(missing_ok=True)
                        lock_of(self.path).unlink(missing_ok=True)
            finally:
                self._open = False
                self._files.close()

    def _save_at_last(self) -> None:
        try:
            self.save()
        except HanddataError as error:
            kept = f"{error.fix} Every edit is in {self._journal.path}.".strip()
            raise type(error)(error.where, expected=error.expected, got=error.got, fix=kept) from error

    def undo(self) -> list[int]:
        """Take the last edit back; return the frames that it was made on, none if no edit is left."""
        with self._mutex:
            entry = self._history.undo_entry()
            if entry is None:
                return []
            edit = self._history.done[-entry["count"]]  # what was seen since goes with it
            self._write(entry)
            return sorted(edit.after)

    def redo(self) -> list[int]:
        """Make the edit that was taken back last again; return its frames, none if no edit was taken back."""
        with self._mutex:
            entry = self._history.redo_entry()
            if entry is None:
                return []
            edit = self._history.undone[-1]
            self._write(entry)
            return sorted(edit.after)

    @property
    def marks(self) -> dict[int, M]:
        """What is fixed, by frame (a copy)."""
        with self._mutex:
            return dict(self._history.marks)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to make again."""
        return bool(self._history.undone)

    def _commit(self, op: str, patch: Mapping[int, M | None]) -> None:
        if patch:
            self.pictures.refuse_replaced(patch)
            self._write(self._history.entry(op, patch))

    def _write(self, entry: dict[str, Any]) -> None:
        """Write an edit to the disk, then make it so."""
        self._journal.append(entry)
        frames = self._history.apply(entry)
        self._edits += 1
        self._changed(frames)

    def _changed(self, frames: set[int]) -> None:
        """Take over what an edit said of some frames."""

    def _stretch(self, first: int, last: int) -> range:
        self._check(first)
        self._check(last)
        return range(first, last + 1)

    def _check(self, frame: int) -> None:
        if not 0 <= frame < len(self.pictures):
            raise ConfigError("frame", expected=f"0 to {len(self.pictures) - 1}", got=str(frame))
