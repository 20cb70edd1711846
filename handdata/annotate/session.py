"""One sequence in work: what a person says about its boxes, kept safe, and what the tracker makes of it. No HTTP."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from handdata.annotate import marks as edits
from handdata.annotate.history import History
from handdata.annotate.journal import Journal
from handdata.annotate.marks import ABSENT, Accepted, Mark, Patch
from handdata.annotate.pictures import Pictures, numbers_of
from handdata.annotate.timeline import FrameBox, Tips, misses_a_tip
from handdata.annotate.tracker import TrackerSettings, can_follow
from handdata.annotate.tracking import SequenceTracks
from handdata.boxes import Box, BoxRow, read_boxes, write_boxes
from handdata.errors import ConfigError, DataError, HanddataError
from handdata.files.locks import signed


class Session:
    """A sequence opened for annotating.

    Every edit is on the disk before its method returns. `work` tracks a little further; a thread of the server's
    calls it, and everything else may be called from other threads meanwhile.

    Args:
        pictures: the sequence.
        path: the table of boxes to write; the journal and the lock lie beside it.
        settings: which tracker, how.
        tips: the labelled fingertips of each frame, px; none known if left out.

    Raises:
        BusyError: the sequence is open elsewhere.
        DataError: a journal of other pictures, or a damaged journal or table.
    """

    def __init__(
        self, pictures: Pictures, path: Path, settings: TrackerSettings | None = None, tips: Tips | None = None
    ) -> None:
        self.pictures = pictures
        self.path = path
        self.tips: Tips = tips or [[] for _ in range(len(pictures))]
        self._board = SequenceTracks(pictures, settings or TrackerSettings())
        self._mutex = threading.RLock()
        self._saving = threading.Lock()  # the thread that tracks saves too
        self._edits = 0
        self._open = True
        with ExitStack() as opened:
            opened.enter_context(signed(path))
            self._journal = opened.enter_context(Journal(path.with_suffix(".journal"), pictures))
            self._history = self._replay()
            if not self._journal.entries and path.exists():
                self.import_rows(read_boxes(path), str(path))
            self._files = opened.pop_all()

    def close(self) -> None:
        """Write the table and let go of the sequence; once is enough."""
        with self._mutex:
            if self._open and self._history.marks:
                self.save()
            self._open = False
            self._files.close()

    def _replay(self) -> History:
        history = History(len(self.pictures))
        for number, entry in enumerate(self._journal.entries, start=2):
            try:
                history.apply(entry)
            except (ValueError, TypeError) as error:
                where, fix = f"{self._journal.path}:{number}", "Restore the journal from a copy."
                raise DataError(where, expected="an edit of this sequence", got=str(error), fix=fix) from error
        return history

    # ---- edits

    def keyframe(self, frame: int, box: Box) -> None:
        """Take a box that a person drew, and track on from it.

        Raises:
            ConfigError: no such frame, or a box that is none or lies outside the picture.
        """
        with self._mutex:
            self._check(frame)
            self._set_keyframe("keyframe", frame, edits.person(self._checked(box)))

    def absent(self, frame: int) -> None:
        """Take a person's word that there is no hand from this frame on, until the next keyframe."""
        with self._mutex:
            self._check(frame)
            self._set_keyframe("absent", frame, ABSENT)

    def clear(self, frame: int) -> None:
        """Take a keyframe away; the tracker decides again."""
        with self._mutex:
            self._check(frame)
            mark = self._history.marks.get(frame)
            if mark is not None and mark.is_keyframe:
                self._commit("clear", {frame: None})

    def watch(self, first: int, last: int) -> int:
        """Freeze frames that a person played past, up to the first that is not yet settled; return how many."""
        return self._accept("watch", first, last, "watched")

    def review(self, first: int, last: int) -> int:
        """Freeze frames that a person accepted one by one; return how many of them changed."""
        return self._accept("review", first, last, "reviewed")

    def release(self, first: int, last: int) -> None:
        """Give accepted frames back to the tracker."""
        with self._mutex:
            self._check(first)
            self._check(last)
            self._commit("release", edits.release(self._history.marks, range(first, last + 1)))

    def undo(self) -> bool:
        """Take the last edit back; False if there is none."""
        with self._mutex:
            return self._write(self._history.undo_entry())

    def redo(self) -> bool:
        """Make the edit that was taken back last again; False if there is none."""
        with self._mutex:
            return self._write(self._history.redo_entry())

    def import_rows(self, rows: Sequence[BoxRow], where: str) -> int:
        """Replace all boxes by a table's, matched by file name; return how many pictures it has a row for.

        Raises:
            DataError: no row is of this sequence.
        """
        with self._mutex:
            mine = self._rows_of_this(rows)
            if not mine:
                expected = f"rows of {self.pictures.img_names[0]} and so on"
                raise DataError(where, expected=expected, got="none of these pictures", fix="Import another table.")
            for row in mine.values():
                if row.box and not (min(row.box[2:]) > 0 and all(abs(value) < edits.FARTHEST for value in row.box)):
                    expected = f"a box with a size, within {edits.FARTHEST:g} px"
                    raise DataError(f"{where}[{row.img_name}]", expected=expected, got=str(row.box))
                if not 0 <= row.doubt <= 1:
                    raise DataError(f"{where}[{row.img_name}]", expected="a doubt from 0 to 1", got=str(row.doubt))
            self._commit("import", edits.imported(mine, self._history.marks))
            return len(mine)

    def _rows_of_this(self, rows: Sequence[BoxRow]) -> dict[int, BoxRow]:
        """Pick out this sequence's rows: a published table holds all sequences, with the same file names in each."""
        names = set(self.pictures.img_names)
        whole = [row for row in rows if row.img_name in names]
        chosen = whole or [row for row in rows if "/" not in row.img_name or "/" not in self.pictures.img_names[0]]
        numbers = numbers_of(self.pictures, [row.img_name for row in chosen])
        return {number: row for number, row in zip(numbers, chosen, strict=True) if number is not None}

    def _set_keyframe(self, op: str, frame: int, mark: Mark) -> None:
        history = self._history
        patch = edits.set_keyframe(history.marks, frame, mark, len(self.pictures), history.watched_to())
        self._commit(op, patch)

    def _accept(self, op: str, first: int, last: int, accepted: Accepted) -> int:
        with self._mutex:
            self._check(first)
            self._check(last)
            cells, rows = self.cells(), {}
            for frame in range(first, last + 1):
                cell = cells[frame]
                if not cell.settled or (accepted == "watched" and cell.source == "lost"):
                    break
                rows[frame] = self._row(frame, cell)
            patch = edits.accept(self._history.marks, rows, accepted)
            self._commit(op, patch)
            return len(patch)

    def _commit(self, op: str, patch: Patch) -> None:
        if patch:
            self._write(self._history.entry(op, patch))

    def _write(self, entry: dict[str, Any] | None) -> bool:
        """Write an edit to the disk, then make it so."""
        if entry is None:
            return False
        self._journal.append(entry)
        self._history.apply(entry)
        self._edits += 1
        return True

    def _check(self, frame: int) -> None:
        if not 0 <= frame < len(self.pictures):
            raise ConfigError("frame", expected=f"0 to {len(self.pictures) - 1}", got=str(frame))

    def _checked(self, box: Box) -> Box:
        x, y, w, h = (round(float(value), 2) for value in box)
        size = f"a picture of {self.pictures.width} x {self.pictures.height} px"
        whole = all(abs(value) < edits.FARTHEST for value in (x, y, w, h)) and w > 0 and h > 0
        if not whole or not can_follow((x, y, w, h), self.pictures.width, self.pictures.height):
            raise ConfigError("box", expected=f"x,y,w,h on {size}", got=f"{x},{y},{w},{h}", fix="Draw it again.")
        return x, y, w, h

    # ---- what there is

    @property
    def marks(self) -> dict[int, Mark]:
        """What is fixed, by frame (a copy)."""
        with self._mutex:
            return dict(self._history.marks)

    @property
    def version(self) -> tuple[int, int]:
        """Changes with every edit, and with every frame tracked: what is saved of an older version is out of date."""
        return self._edits, self._board.num_tracked

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to make again."""
        return bool(self._history.undone)

    @property
    def broken(self) -> dict[int, HanddataError]:
        """Pictures that could not be read while tracking: frame -> what is wrong."""
        return self._board.broken

    def cells(self) -> list[FrameBox]:
        """Return every frame's box as it stands."""
        with self._mutex:
            return self._board.cells(self._history.marks, self._edits)

    def rows(self) -> list[BoxRow]:
        """Return every frame's box as rows of the table."""
        return [self._row(frame, cell) for frame, cell in enumerate(self.cells())]

    def misses(self) -> list[int]:
        """Return the frames whose box leaves a labelled fingertip out."""
        cells = self.cells()
        return [frame for frame, cell in enumerate(cells) if misses_a_tip(cell.box, self.tips[frame])]

    def save(self) -> None:
        """Write the table of boxes."""
        with self._saving:
            write_boxes(self.path, self.rows())

    def _row(self, frame: int, cell: FrameBox) -> BoxRow:
        return BoxRow(self.pictures.img_names[frame], cell.box, cell.source, cell.accepted != "", cell.doubt)

    # ---- tracking

    def work(self, focus: int = 0) -> bool:
        """Track a few frames further, what `focus` waits for first; return whether there was anything to do."""
        with self._mutex:
            job = self._board.next_job(self._history.marks, focus)
        if job is None:
            return False
        self._board.do(job)
        return True

    def left_to_track(self) -> int:
        """Return how many frames are still to be tracked, both directions counted."""
        with self._mutex:
            return self._board.left_to_track(self._history.marks)
