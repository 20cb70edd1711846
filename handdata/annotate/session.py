"""One sequence in work: what a person says about its boxes, kept safe, and what the tracker makes of it. No HTTP."""

from collections.abc import Sequence
from pathlib import Path

from handdata.annotate import marks as edits
from handdata.annotate.edited import EditedSequence
from handdata.annotate.guided import AskHand
from handdata.annotate.history import BOX_CODEC
from handdata.annotate.journal import BOXES
from handdata.annotate.marks import ABSENT, Accepted, Mark, runs
from handdata.annotate.pictures import Pictures, numbers_of
from handdata.annotate.timeline import FrameBox, Tips, misses_a_tip
from handdata.annotate.tracker import TrackerSettings, can_follow
from handdata.annotate.tracking import SequenceTracks
from handdata.boxes import Box, BoxRow, read_boxes, write_boxes
from handdata.errors import ConfigError, DataError, HanddataError
from handdata.files.spelling import finder


class Session(EditedSequence[Mark]):
    """A sequence opened for annotating.

    Every edit is on the disk before its method returns. `work` tracks a little further; a thread of the server's
    calls it, and everything else may be called from other threads meanwhile.

    Args:
        pictures: the sequence.
        path: the table of boxes to write; the journal and the lock lie beside it.
        settings: which tracker, how.
        tips: the labelled fingertips of each frame, px; none known if left out.
        ask: a model that MedianFlow is guided by, and that gives a second opinion on boxes; none if left out.

    Raises:
        BusyError: the sequence is open elsewhere.
        DataError: a journal of other pictures, or a damaged journal or table.
    """

    def __init__(
        self,
        pictures: Pictures,
        path: Path,
        settings: TrackerSettings | None = None,
        tips: Tips | None = None,
        ask: AskHand | None = None,
    ) -> None:
        self.tips: Tips = tips or [[] for _ in range(len(pictures))]
        self._board = SequenceTracks(pictures, settings or TrackerSettings(), ask)
        super().__init__(pictures, path, BOX_CODEC, BOXES)

    def _begin(self) -> None:
        if not self._journal.entries and self.path.exists():
            self.import_rows(read_boxes(self.path), str(self.path))

    # ---- edits

    def keyframe(self, frame: int, box: Box) -> list[int]:
        """Take a box that a person drew, and track on from it.

        Returns:
            Frames that the person had seen and that may change now: those just passed on the way to the mistake.

        Raises:
            ConfigError: no such frame, or a box without a size or outside the picture.
        """
        with self._mutex:
            self._check(frame)
            return self._set_keyframe("keyframe", frame, edits.person(self._checked(box)))

    def absent(self, frame: int) -> list[int]:
        """Take a person's word that the hand is gone from this frame to the next keyframe; return as `keyframe`."""
        with self._mutex:
            self._check(frame)
            return self._set_keyframe("absent", frame, ABSENT)

    def clear(self, frame: int) -> None:
        """Take a keyframe away; the tracker decides again."""
        with self._mutex:
            self._check(frame)
            mark = self._history.marks.get(frame)
            if mark is not None and mark.is_keyframe:
                self._commit("clear", {frame: None})

    def watch(self, first: int, last: int) -> int:
        """Freeze frames that a person played past, up to the first that is not yet settled; return how many."""
        return self._accept("watch", self._stretch(first, last), "watched")

    def see(self, frames: Sequence[int]) -> int:
        """Freeze frames that a person stepped past, those not yet settled left out; return how many.

        Raises:
            ConfigError: no such frame.
        """
        stretches = [self._stretch(run[0], run[-1]) for run in runs(frames)]
        return sum(self._accept("seen", stretch, "watched") for stretch in stretches)

    def review(self, first: int, last: int) -> int:
        """Freeze frames that a person accepted one by one; return how many of them changed."""
        return self._accept("review", self._stretch(first, last), "reviewed")

    def confirm(self, first: int, last: int) -> None:
        """Keep accepted frames as they are, although a box drawn later leads elsewhere."""
        with self._mutex:
            self._commit("confirm", edits.confirm(self._history.marks, self._stretch(first, last)))

    def release(self, first: int, last: int) -> None:
        """Give accepted frames back to the tracker."""
        with self._mutex:
            self._commit("release", edits.release(self._history.marks, self._stretch(first, last)))

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
        whole_name = finder(self.pictures.img_names)
        whole = [row for row in rows if whole_name(row.img_name) is not None]
        chosen = whole or [row for row in rows if "/" not in row.img_name or "/" not in self.pictures.img_names[0]]
        numbers = numbers_of(self.pictures, [row.img_name for row in chosen])
        return {number: row for number, row in zip(numbers, chosen, strict=True) if number is not None}

    def _set_keyframe(self, op: str, frame: int, mark: Mark) -> list[int]:
        history = self._history
        patch = edits.set_keyframe(history.marks, frame, mark, len(self.pictures), history.watched_to())
        given_back = edits.given_back(history.marks, patch)
        self._commit(op, patch)
        return given_back

    def _accept(self, op: str, frames: range, accepted: Accepted) -> int:
        with self._mutex:
            cells, rows = self.cells(), {}
            for frame in frames:
                cell = cells[frame]
                if not cell.settled or (accepted == "watched" and cell.source == "lost"):
                    break
                rows[frame] = self._row(frame, cell)
            patch = edits.accept(self._history.marks, rows, accepted)
            self._commit(op, patch)
            return len(patch)

    def _checked(self, box: Box) -> Box:
        x, y, w, h = (round(float(value), 2) for value in box)
        size = f"a picture of {self.pictures.width} x {self.pictures.height} px"
        whole = all(abs(value) < edits.FARTHEST for value in (x, y, w, h)) and w > 0 and h > 0
        if not whole or not can_follow((x, y, w, h), self.pictures.width, self.pictures.height):
            raise ConfigError("box", expected=f"x,y,w,h on {size}", got=f"{x},{y},{w},{h}", fix="Draw it again.")
        return x, y, w, h

    # ---- what there is

    @property
    def version(self) -> tuple[int, int]:
        """Changes with every edit, every frame tracked or looked at: what is saved of an older one is out of date."""
        return self._edits, self._board.num_tracked + self._board.num_looked

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
        """Write the table of boxes; while nothing was said none is made."""
        if self._is_untouched:
            return
        with self._saving:
            self.pictures.refuse_replaced()
            write_boxes(self.path, self.rows())

    def _row(self, frame: int, cell: FrameBox) -> BoxRow:
        return BoxRow(self.pictures.img_names[frame], cell.box, cell.source, cell.accepted != "", cell.doubt)

    # ---- tracking

    def work(self, focus: int = 0) -> bool:
        """Track a few frames further, what `focus` waits for first, or look at boxes; return whether anything was."""
        with self._mutex:
            job = self._board.next_job(self._history.marks, focus)
            look = self._board.next_look(self._history.marks, self._edits, focus) if job is None else None
        if job is not None:
            self._board.do(job)
        elif look is not None:
            look()
        return job is not None or look is not None

    def left_to_track(self) -> int:
        """Return how many frames are still to be tracked, both directions counted."""
        with self._mutex:
            return self._board.left_to_track(self._history.marks)
