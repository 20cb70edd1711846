"""The keypoints of one sequence in work: what a person says of them, kept safe, and what is proposed. No HTTP."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from handdata.annotate.edited import EditedSequence
from handdata.annotate.history import Codec, History
from handdata.annotate.journal import KEYPOINTS, replayed
from handdata.annotate.keypoints import edits
from handdata.annotate.keypoints.cells import PLACES, FrameCell, HandCell
from handdata.annotate.keypoints.found import Finder
from handdata.annotate.keypoints.hands import SequenceHands
from handdata.annotate.keypoints.labels import export_text, read_labels, shows_no_hand
from handdata.annotate.keypoints.marks import (
    MOST_HANDS,
    STATES,
    FrameMark,
    PointState,
    frame_from_json,
    frame_to_json,
    is_place,
)
from handdata.annotate.pictures import Pictures
from handdata.errors import ConfigError, HanddataError, MissingError
from handdata.files.whole import write_text
from handdata.skeleton import KEYPOINTS as NAMES
from handdata.skeleton import NUM_KEYPOINTS, SIDE_NAMES

FRAME_CODEC = Codec(frame_to_json, frame_from_json)
ANSWER_S = 0.03  # that frames are estimated for before the page is answered
SMALLEST_BOX = 8.0  # px of a hand that a person draws a box round


class PointSession(EditedSequence[FrameMark]):
    """A sequence opened for placing keypoints.

    Every edit is on the disk before its method returns. `work` finds and follows a little further; a thread of the
    server's calls it, and everything else may be called from other threads meanwhile.

    Args:
        pictures: the sequence.
        path: the file of labels to write; the journal and the lock lie beside it.
        linked: whether the pictures follow one another, as those of a video do; else each stands for itself.
        finder: what proposes hands; None for no proposals.
        follows: whether points are followed by optical flow, if the pictures are linked.

    Raises:
        BusyError: the sequence is open elsewhere.
        DataError: a journal of other pictures, or a damaged journal or file.
    """

    _KIND = KEYPOINTS  # of the journal

    def __init__(
        self, pictures: Pictures, path: Path, *, linked: bool = True, finder: Finder | None = None, follows: bool = True
    ) -> None:
        self.linked = linked
        self._hands = SequenceHands(pictures, linked, finder, follows)
        self._began = time.monotonic()
        super().__init__(pictures, path, FRAME_CODEC, self._KIND)

    def _begin(self) -> None:
        self._hands.take(dict(self._history.marks))
        if not self._journal.entries and self.path.exists() and not shows_no_hand(self.path, self.pictures):
            self.import_marks(read_labels(self.path, self.pictures))

    def _changed(self, frames: set[int]) -> None:
        self._hands.take({frame: self._history.marks.get(frame) for frame in sorted(frames)})

    # ---- edits

    def place(self, frame: int, hand: int, places: Mapping[int, tuple[float, float]]) -> None:
        """Put points of a hand where a person says.

        Args:
            frame: which.
            hand: its number.
            places: keypoint -> (u, v) px; beyond the picture's edge it is outside.

        Raises:
            ConfigError: no such frame, hand or keypoint, or a place that is far from any picture.
        """
        with self._mutex:
            cell = self._hand(frame, hand)
            rounded = {k: (round(float(u), PLACES), round(float(v), PLACES)) for k, (u, v) in places.items()}
            check_points(rounded)
            if not all(is_place(value) for place in rounded.values() for value in place):
                raise ConfigError("points", expected="places near the picture, px", got=str(rounded)[:80])
            self._commit("place", edits.place(self._history.marks, frame, cell, rounded, self._inside(frame)))

    def set_state(self, frame: int, hand: int, ks: Sequence[int], state: str) -> None:
        """Say of points that they are visible, occluded, outside or absent.

        Raises:
            ConfigError: no such frame, hand, keypoint or state.
        """
        with self._mutex:
            cell = self._hand(frame, hand)
            check_points(ks)
            known: dict[str, PointState] = {name: name for name in STATES}
            if state not in known:
                raise ConfigError("state", expected=f"one of {', '.join(STATES)}", got=state[:40])
            self._commit(
                "state", edits.set_state(self._history.marks, frame, cell, ks, known[state], self._inside(frame))
            )

    def set_side(self, frame: int, hand: int, side: str) -> None:
        """Say which hand it is: on all frames of a sequence that say something of it, else on this one.

        Raises:
            ConfigError: no such frame, hand or side.
        """
        with self._mutex:
            cell = self._hand(frame, hand)
            if side not in SIDE_NAMES:
                raise ConfigError("side", expected=f"one of {', '.join(SIDE_NAMES)}", got=side[:40])
            said = [f for f, mark in self._history.marks.items() if hand in mark.hands and f != frame and self.linked]
            cells = {frame: cell} | {f: other for f in said if (other := self._hands.cell(f).hand(hand)) is not None}
            self._commit("side", edits.set_side(self._history.marks, sorted(cells), cells, side))

    def gone(self, frame: int, hand: int) -> None:
        """Take a person's word that a hand is not there: in a sequence, from here on until it is placed again."""
        with self._mutex:
            self._commit("gone", edits.gone(self._history.marks, frame, self._hand(frame, hand)))

    def begin(self, frame: int, box: tuple[float, float, float, float], side: str = "unknown") -> int:
        """Take a person's word that there is a hand in a box; return its number.

        Raises:
            ConfigError: no such frame, no box on the picture, or more hands than can be told apart.
        """
        with self._mutex:
            self._check(frame)
            left, top, right, bottom = (round(float(edge), PLACES) for edge in box)
            width, height = self.pictures.size_of(frame)
            whole = all(is_place(edge) for edge in (left, top, right, bottom))
            meets = left < width and top < height and right > 0 and bottom > 0
            if not whole or right - left < SMALLEST_BOX or bottom - top < SMALLEST_BOX or not meets:
                raise ConfigError("box", expected="left, top, right, bottom on the picture", got=str(box)[:80])
            if side not in SIDE_NAMES:
                raise ConfigError("side", expected=f"one of {', '.join(SIDE_NAMES)}", got=side[:40])
            number = self._hands.free_number(frame)
            if number is None:
                raise ConfigError("hands", expected=f"at most {MOST_HANDS} in a picture", got=f"{MOST_HANDS + 1}")
            self._commit("begin", edits.begin(self._history.marks, frame, number, side, (left, top, right, bottom)))
            self._hands.look_again(frame)
            return number

    def clear(self, frame: int, hand: int, ks: Sequence[int] | None = None) -> None:
        """Give points of a hand back to be estimated; without `ks`, take back all that is said of it here."""
        with self._mutex:
            self._check(frame)
            check_points(ks or ())
            self._commit("clear", edits.clear(self._history.marks, frame, hand, ks))

    def accept(self, first: int, last: int) -> int:
        """Fix frames as they stand, up to the first that is not settled; return how many changed."""
        with self._mutex:
            cells: dict[int, FrameCell] = {}
            for frame in self._stretch(first, last):
                cell = self._hands.cell(frame)
                if frame > first and not cell.settled:
                    break
                cells[frame] = cell
            patch = edits.accept(self._history.marks, cells)
            self._commit("accept", patch)
            return len(patch)

    def release(self, first: int, last: int) -> None:
        """Take back that frames are right; a person's points stay."""
        with self._mutex:
            self._commit("release", edits.release(self._history.marks, self._stretch(first, last)))

    def copy(self, frame: int, hand: int, source: int, ks: Sequence[int] | None = None) -> None:
        """Put points of a hand, all if left out, where they are on frame `source`.

        Raises:
            ConfigError: no such frame or keypoint, or no such hand on `source`.
        """
        with self._mutex:
            self._check(frame)
            cell = self._hand(source, hand)
            chosen = tuple(range(NUM_KEYPOINTS)) if ks is None else tuple(ks)
            check_points(chosen)
            self._commit("copy", edits.copy(self._history.marks, frame, cell, chosen, self._inside(frame)))

    def interpolate(self, frame: int, hand: int, ks: Sequence[int] | None = None) -> range:
        """Put points on straight lines between the frames before and after that a person worked on.

        Returns:
            The frames between them.

        Raises:
            ConfigError: the pictures do not follow one another, or there is no such frame on one side.
        """
        with self._mutex:
            self._check(frame)
            chosen = tuple(range(NUM_KEYPOINTS)) if ks is None else tuple(ks)
            check_points(chosen)
            before, after = (self._worked_on(frame, hand, way) for way in (-1, 1))
            if not self.linked or before is None or after is None:
                got = "stills" if not self.linked else "only one side of them" if before or after else "none"
                raise ConfigError("interpolate", expected="frames before and after with points of yours", got=got)
            between = range(before + 1, after)
            ends = self._hand(before, hand), self._hand(after, hand)
            self._commit("interpolate", edits.interpolate(self._history.marks, between, *ends, chosen))
            return between

    def import_marks(self, marks: Mapping[int, FrameMark]) -> int:
        """Replace everything by what a file says; return how many frames it says something of."""
        with self._mutex:
            patch: dict[int, FrameMark | None] = dict.fromkeys(self._history.marks)
            self._commit("import", patch | dict(marks))
            return len(marks)

    def _worked_on(self, frame: int, hand: int, way: int) -> int | None:
        """Return the nearest other frame before or after where a person placed points of a hand, or accepted it.

        What was interpolated before is laid anew with the frames that it came from.
        """
        frames = range(frame - 1, -1, -1) if way < 0 else range(frame + 1, len(self.pictures))
        for other in frames:
            mark = self._history.marks.get(other)
            fixed = mark.hands[hand].fixed(accepted=mark.accepted) if mark is not None and hand in mark.hands else {}
            if mark is not None and any(mark.accepted or point.source != "interpolated" for point in fixed.values()):
                return other
        return None

    def _inside(self, frame: int) -> edits.IsInside:
        return lambda place: self.pictures.holds(frame, place)

    def _hand(self, frame: int, hand: int) -> HandCell:
        self._check(frame)
        cell = self._hands.cell(frame).hand(hand)
        if cell is None:
            known = ", ".join(str(one.number) for one in self._hands.cell(frame).hands) or "none there"
            raise ConfigError("hand", expected=f"the number of one on that frame ({known})", got=str(hand))
        return cell

    # ---- what there is

    @property
    def version(self) -> tuple[int, int]:
        """Changes with every edit, and with everything found: what was read of an older version is out of date."""
        return self._edits, self._hands.num_done

    @property
    def broken(self) -> dict[int, HanddataError]:
        """Pictures that could not be read: frame -> what is wrong."""
        with self._mutex:
            return dict(self._hands.broken)

    def cells(self) -> list[FrameCell]:
        """Return every frame as it stands."""
        with self._mutex:
            return self._hands.cells()

    def shown(self, focus: int) -> list[FrameCell]:
        """Return every frame as it was estimated last, that in view and those edited as they stand."""
        with self._mutex:
            return self._hands.shown(focus, ANSWER_S)

    def cell(self, frame: int) -> FrameCell:
        """Return a frame as it stands."""
        with self._mutex:
            return self._hands.cell(frame)

    def fitted(self, frame: int) -> dict[int, list[list[float]]]:
        """Return the fitted hands of a frame, (21, 3) each by number, where they suit the points as they stand."""
        with self._mutex:
            return {
                hand.number: xyz for hand in self._hands.cell(frame).hands if (xyz := self._hands.fitted(frame, hand))
            }

    def left(self) -> int:
        """Return how many steps are still to be done in the background."""
        with self._mutex:
            return self._hands.left() + self._hands.waiting

    def text(self, kind: str = "json") -> str:
        """Return the labels in one of `labels.FORMATS`."""
        with self._mutex:
            marks = dict(self._history.marks)
        return export_text(kind, marks, self.pictures, self.path.stem)

    def save(self) -> None:
        """Write the file of labels; while nothing was said none is made."""
        if self._is_untouched:
            return
        with self._saving:
            self.pictures.refuse_replaced()
            write_text(self.path, self.text())

    # ---- in the background

    def work(self, focus: int = 0) -> bool:
        """Follow or find a little further, what `focus` waits for first; return whether there was anything to do."""
        with self._mutex:
            job = self._hands.next_job(focus)
            if job is None and self._hands.waiting:
                self._hands.estimate_more(focus, ANSWER_S)
                return True
            job = job or self._hands.next_fit(focus)
        if job is None:
            return False
        finish = job()
        with self._mutex:
            finish()
        return True


def read_marks(pictures: Pictures, path: Path) -> dict[int, FrameMark]:
    """Return what was said of pictures, by the journal beside a file of labels or else by the file; write nothing.

    Raises:
        MissingError: neither is there.
        DataError: of other pictures, or damaged.
    """
    journal, history = path.with_suffix(".journal"), History(pictures.names, FRAME_CODEC)
    if journal.exists():
        replayed(journal, pictures, KEYPOINTS, history)
    if history.done or history.undone:
        return history.marks
    if not path.exists():
        fix = "Open the pictures without --export and place some."
        raise MissingError(path, expected="keypoints to export", got="no such file", fix=fix)
    return {} if shows_no_hand(path, pictures) else read_labels(path, pictures)


def check_points(ks: Iterable[int]) -> None:
    """Refuse numbers that are no keypoints.

    Raises:
        ConfigError: there is one.
    """
    wrong = [k for k in ks if not 0 <= k < NUM_KEYPOINTS]
    if wrong:
        raise ConfigError("points", expected=f"keypoints 0 ({NAMES[0]}) to 20 ({NAMES[-1]})", got=str(wrong[0]))
