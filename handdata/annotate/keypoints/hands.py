"""The hands of a sequence for given marks: what there is to do in the background, and every frame as it stands."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints import doubts
from handdata.annotate.keypoints.cells import FrameCell, HandCell, box_of
from handdata.annotate.keypoints.fitted import FittedHand, fit_hand, no_fit
from handdata.annotate.keypoints.flow import Flow, FlowTrack
from handdata.annotate.keypoints.found import NEAR, Finder, Found, overlap, square_shown
from handdata.annotate.keypoints.hand_estimate import estimate_hand, hand_size, mark_extent
from handdata.annotate.keypoints.lines import HandLine, line_marks
from handdata.annotate.keypoints.marks import MOST_HANDS, FrameMark, PointPatch
from handdata.annotate.keypoints.paths import HandPaths
from handdata.annotate.keypoints.tracks import PointTracks
from handdata.annotate.pictures import Pictures
from handdata.errors import HanddataError
from handdata.geometry import iou
from handdata.skeleton import NUM_KEYPOINTS

IMPORTED_SD = 0.05  # of the hand's size, of a file's points that nobody has checked
FAR = 160  # frames beyond which what is fixed tells nothing new
SHOWN_ENOUGH = 0.7  # overlap of what the model was shown with what it should have been
NOTHING = FrameMark()
Finish = Callable[[], None]
BackgroundJob = Callable[[], Finish]  # does the work, beside everything else; what it returns takes over the result
MANY = 64  # frames of a patch: everything is estimated anew


@dataclass
class SequenceHands:
    """Lines, tracks and findings of all hands of a sequence.

    A job may be done beside the calls of the others, by one thread at a time; all else waits for one another.

    Attributes:
        pictures: the sequence.
        linked: whether its frames follow one another.
        finder: what proposes hands; None for no proposals.
        follows: whether points are followed by optical flow.
    """

    pictures: Pictures
    linked: bool
    finder: Finder | None = None
    follows: bool = True
    lines: dict[int, HandLine] = field(default_factory=dict)
    found: dict[tuple[int, int], Found] = field(default_factory=dict)
    fits: dict[tuple[int, int], FittedHand] = field(default_factory=dict)
    broken: dict[int, HanddataError] = field(default_factory=dict)
    num_done: int = 0  # jobs

    def __post_init__(self) -> None:
        self._marks: dict[int, FrameMark] = {}
        self._looked: set[int] = set()
        self._flow, self._tracks, self._paths = Flow(self.pictures), PointTracks(), HandPaths()
        self._cells: list[FrameCell] = [FrameCell()] * len(self.pictures)
        self._dirty: set[int] = set(range(len(self.pictures)))
        self._edited: set[int] = set()  # of those, what a person said something of
        self._longest: dict[int, NDArray[np.float64] | None] = {}

    # ---- what is said

    def take(self, patch: PointPatch) -> None:
        """Take over a patch of the marks."""
        touched: dict[int, list[int]] = {}
        for frame, mark in patch.items():
            before = self._marks.get(frame, NOTHING)
            if mark is None:
                self._marks.pop(frame, None)
            else:
                self._marks[frame] = mark
            self._dirty.add(frame)
            self._edited.add(frame)
            for number in sorted({*before.hands, *(mark or NOTHING).hands, *self._numbers(before, mark)}):
                touched.setdefault(number, []).append(frame)
        for number, frames in touched.items():
            self._take_hand(number, frames)

    def _numbers(self, before: FrameMark, mark: FrameMark | None) -> Iterable[int]:
        """Return the hands whose points are fixed or freed by accepting the frame."""
        return self.lines if before.accepted != (mark is not None and mark.accepted) else ()

    def _take_hand(self, number: int, frames: list[int]) -> None:
        line, few = self._line(number), len(frames) <= MANY
        said = line.said_side
        reach: set[int] = set() if few else set(range(line.count))
        for frame in frames if few else []:
            reach |= set(line.reach(frame, FAR))
        for frame in frames:
            hand, accepted = line_marks(self._marks.get(frame), number)
            line.take(frame, hand, accepted=accepted, imported_sd=IMPORTED_SD * mark_extent(hand))
            found = self.found.get((frame, number))
            if found is not None:
                line.find(frame, found.uv, found.sd, found.side)
        for frame in frames if few else []:
            reach |= set(line.reach(frame, FAR))
        self._look_where_wrong(number, frames, sides=line.said_side != said)
        self._dirty |= reach
        self._paths.forget(number, reach)
        self._longest.pop(number, None)
        if self.linked and self.follows:
            for stretch in [range(f, f + 1) for f in frames] if few else [range(line.count)]:
                self._tracks.renew(number, line, hand_size(line, stretch[0]), stretch)

    def _look_where_wrong(self, number: int, frames: list[int], *, sides: bool) -> None:
        """Have frames looked at again where the model was shown something else than the hand, or the wrong side."""
        line = self._line(number)
        if sides:
            told = {f for (f, n), found in self.found.items() if n == number and found.side != line.side_at(f)}
            self._looked -= told
        for frame in frames:
            found = self.found.get((frame, number))
            if found is not None and line.fixed[frame].any() and not line.fixed[frame].all():
                box = box_of(np.where(line.fixed[frame][:, None], line.uv[frame], found.uv))
                if box is not None and float(iou(square_shown(box), found.box)) < SHOWN_ENOUGH:
                    self._looked.discard(frame)

    def _line(self, number: int) -> HandLine:
        if number not in self.lines:
            self.lines[number] = HandLine(len(self.pictures), self.linked)
        return self.lines[number]

    # ---- what there is

    def cell(self, frame: int) -> FrameCell:
        """Return a frame as it stands."""
        if frame in self._dirty:
            self._dirty.discard(frame)
            self._edited.discard(frame)
            fresh = self._estimate(frame)
            if not fresh.same_as(self._cells[frame]):
                self._cells[frame] = fresh
        return self._cells[frame]

    def cells(self) -> list[FrameCell]:
        """Return every frame as it stands."""
        while self._dirty:
            for frame in sorted(self._dirty):
                self.cell(frame)
        return list(self._cells)

    @property
    def waiting(self) -> int:
        """How many frames are to be estimated anew."""
        return len(self._dirty)

    def shown(self, focus: int, seconds: float) -> list[FrameCell]:
        """Return every frame as it was estimated last: those edited as they stand, others anew for so long.

        An edit changes the estimates of hundreds of frames, each of which takes a millisecond: a person who waits for
        the answer sees those nearest to `focus` first. Stretches that must be worked out are left to `estimate_more`.
        """
        until = time.monotonic() + seconds
        for frame in sorted(self._edited):
            self.cell(frame)
        for frame in sorted(self._dirty, key=lambda frame: abs(frame - focus)):
            if frame == focus or self._is_worked_out(frame):
                self.cell(frame)
            if time.monotonic() > until:
                break
        return list(self._cells)

    def estimate_more(self, focus: int, seconds: float) -> None:
        """Estimate frames anew for so long, at least one, nearest to `focus` first."""
        if self._dirty:
            self.cell(min(self._dirty, key=lambda frame: abs(frame - focus)))
        self.shown(focus, seconds)

    def _is_worked_out(self, frame: int) -> bool:
        """Say whether the smoothed paths of a frame's hands are known."""
        return not self.linked or all(self._paths.has(number, line, frame) for number, line in self.lines.items())

    def free_number(self, frame: int) -> int | None:
        """Return the number of a hand that is not in a frame, the lowest; None if there are too many."""
        there = {number for number, line in self.lines.items() if line.is_there(frame)}
        return next((number for number in range(MOST_HANDS) if number not in there), None)

    def _estimate(self, frame: int) -> FrameCell:
        size_px, hands, said = self.pictures.size_of(frame), [], self._marks.get(frame, NOTHING)
        for number, line in sorted(self.lines.items()):
            track, longest = self._tracks.finder(number), self._longest_of(number)
            path = partial(self._path, number) if self.linked else None
            cell = estimate_hand(line, number, frame, track, size_px, longest, path)
            if cell is not None:
                cell = self._with_fit(frame, cell, line)
                nearer = line.nearer_at(frame, said.hands.get(number), accepted=said.accepted)
                hands.append(replace(cell, nearer=nearer) if nearer else cell)
        mark = self._marks.get(frame)
        looked = self.finder is None or frame in self._looked
        settled = looked and not self._tracks.waits(frame)
        return FrameCell(tuple(hands), mark is not None and mark.accepted, settled, mark is not None)

    def _path(self, number: int, frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a hand's smoothed path on a frame; what was worked out anew for it is to be estimated."""
        uv, sd, fresh = self._paths.at(number, self.lines[number], frame, self._tracks)
        self._dirty |= set(fresh) - {frame}
        return uv, sd

    def _with_fit(self, frame: int, cell: HandCell, line: HandLine) -> HandCell:
        fit = self.fits.get((frame, cell.number))
        if fit is None or not fit.suits(cell.uv):
            return cell
        doubt = doubts.Doubt(cell.doubts.copy(), list(cell.reasons))
        values = doubts.unfit(cell.uv, fit.uv, hand_size(line, frame)).round(2)
        doubt.note(np.where(line.fixed[frame], np.nan, values), "fit")
        return cell.with_doubts(doubt.values, tuple(doubt.reasons))

    def _longest_of(self, number: int) -> NDArray[np.float64] | None:
        if number not in self._longest:
            line = self.lines[number]
            whole = line.fixed.any(axis=1)
            seen = line.uv[whole] if whole.sum() >= doubts.FEWEST_SEEN else None
            self._longest[number] = None if seen is None else doubts.longest_bones(seen)
        return self._longest[number]

    # ---- what is to do

    def next_job(self, focus: int) -> BackgroundJob | None:
        """Return what to do next, None if nothing is left: points to follow, then hands to find, nearest to `focus`."""
        tracks = self._tracks.next_step(focus)
        if tracks:
            return lambda: self._follow(tracks)
        frame = self._to_look_at(focus)
        return None if frame is None else self._look(frame)

    def left(self) -> int:
        """Return how many frames nobody has looked at yet, and how many steps of tracks are to be taken."""
        unseen = 0 if self.finder is None else len(self.pictures) - len(self._looked)
        return unseen + self._tracks.left

    def _follow(self, tracks: list[FlowTrack]) -> Finish:
        self._flow.advance(tracks)

        def finish() -> None:
            changed = self._tracks.note(tracks)
            self._dirty |= changed
            for number in sorted({track.start.hand for track in tracks}):
                self._paths.forget(number, changed)
            self.broken |= self._flow.broken
            self.num_done += 1

        return finish

    def _to_look_at(self, focus: int) -> int | None:
        if self.finder is None or len(self._looked) == len(self.pictures):
            return None
        unseen = (frame for frame in range(len(self.pictures)) if frame not in self._looked)
        return min(unseen, key=lambda frame: (frame < focus, abs(frame - focus)))

    def _look(self, frame: int) -> BackgroundJob:
        """Return the job of looking at a frame, with what is known of it now."""
        known = {
            hand.number: (box, hand.side)
            for hand in self.cell(frame).hands
            if (box := box_of(hand.uv)) is not None and self._is_shown(hand.number, frame)
        }

        def job() -> Finish:
            try:
                image = self.pictures.read(frame)
            except HanddataError as error:
                self.broken[frame] = error
                return lambda: self._seen(frame, {}, [])
            finder = self.finder
            mine, others = ({}, []) if finder is None else finder.look(image, known)
            return lambda: self._seen(frame, mine, others)

        return job

    def _seen(self, frame: int, mine: Mapping[int, Found], others: Iterable[Found]) -> None:
        """Take over what was found in a frame."""
        self._looked.add(frame)
        for number, found in mine.items():
            self._note(frame, number, found)
        for found in others:
            number_ = self._number_for(frame, found)
            if number_ is not None:
                self._note(frame, number_, found)
        self._dirty.add(frame)
        self.num_done += 1

    def _is_shown(self, number: int, frame: int) -> bool:
        """Say whether where a hand is is known well enough to look for it there."""
        line = self.lines[number]
        near = slice(max(0, frame - NEAR), frame + NEAR + 1) if self.linked else slice(frame, frame + 1)
        return bool(line.fixed[near].any()) or bool(line.said[frame]) or bool(line.imported[frame])

    def look_again(self, frame: int) -> None:
        """Have a frame looked at once more, because its hands are elsewhere now."""
        self._looked.discard(frame)

    def _note(self, frame: int, number: int, found: Found) -> None:
        line = self._line(number)
        if (frame, number) in self.found:
            self._paths.forget(number, {frame})
        self.found[frame, number] = found
        line.find(frame, found.uv, found.sd, found.side)
        fixed = self.linked and bool(line.fixed[frame].any())
        self._dirty |= set(line.reach(frame, FAR)) if fixed else {frame}

    def _number_for(self, frame: int, found: Found) -> int | None:
        """Return which hand was found: one seen near by in place and time, else one awaited, else one not there."""
        there = {number for number, line in self.lines.items() if line.is_there(frame)}
        gone = {n for n, line in self.lines.items() if line.said[frame] and not line.is_there(frame)}
        awaited = self._awaited(there, frame, found) if self.linked else []
        free = [number for number in range(MOST_HANDS) if number in awaited or number not in there | gone]
        near = {n: overlap(self.found, n, frame, found) for n in free if n in self.lines} if self.linked else {}
        best = max(near, key=lambda n: near[n], default=None)
        if best is not None and near[best] > 0:
            return best
        if any(iou(found.box, self.found[frame, n].box) > 0.5 for n in self.lines if (frame, n) in self.found):
            return None
        if awaited:
            return awaited[0]
        unseen = [n for n in free if n not in near or near[n] < 0]
        return next(iter(unseen or free), None)

    def _awaited(self, there: set[int], frame: int, found: Found) -> list[int]:
        """Return the hands that must be in a frame and may be the one found, the nearest first.

        What is fixed of them is too far away for them to be looked for where they are, and nothing else was found.
        """
        awaited: dict[int, float] = {}
        for hand in self.cell(frame).hands:
            unseen = (frame, hand.number) not in self.found and not self._is_shown(hand.number, frame)
            if hand.number in there and unseen and (hand.side == found.side or "unknown" in (hand.side, found.side)):
                box = box_of(hand.uv)
                awaited[hand.number] = 0.0 if box is None else float(iou(square_shown(box), found.box))
        return sorted(awaited, key=lambda number: -awaited[number])

    def propose(
        self, frame: int, number: int, found: Found, hidden: NDArray[np.bool_], nearer: tuple[int, ...]
    ) -> HandCell | None:  # fmt: skip
        """Take over a hand that was found by other means than looking; return it as it stands then.

        Args:
            frame: which.
            number: of the hand.
            found: the hand.
            hidden: (21,) its points that are behind something.
            nearer: which ends of its bones are nearer, as marks.HandMark has it.
        """
        line = self._line(number)
        line.found_hidden[frame], line.found_nearer[frame] = hidden, nearer
        self.fits.pop((frame, number), None)
        self._note(frame, number, found)
        self._dirty.add(frame)
        self.num_done += 1
        return self.cell(frame).hand(number)

    def take_back(self, frame: int, number: int) -> None:
        """Find a hand that was proposed no more."""
        line, nothing = self._line(number), np.full((NUM_KEYPOINTS, 2), np.nan)
        for known in (line.found_hidden, line.found_nearer):
            known.pop(frame, None)
        for table in (self.fits, self.found):
            table.pop((frame, number), None)
        line.find(frame, nothing, nothing[:, 0], "unknown")
        self._dirty.add(frame)
        self.num_done += 1

    # ---- the fit

    def fitted(self, frame: int, hand: HandCell) -> list[list[float]]:
        """Return the (21, 3) points of the hand fitted to these, nothing if there is none."""
        fit = self.fits.get((frame, hand.number))
        known = fit is not None and fit.suits(hand.uv) and np.isfinite(fit.xyz).all()
        return fit.xyz.round(4).tolist() if known and fit is not None else []

    def next_fit(self, focus: int) -> BackgroundJob | None:
        """Return the job of fitting the hands of the frame in view, None if they are fitted."""
        cell = self.cell(focus)
        todo = [hand for hand in cell.hands if self._lacks_fit(focus, hand)]
        if not todo:
            return None
        size_px = self.pictures.size_of(focus)

        def job() -> Finish:
            fits = {hand.number: fit_hand(hand, self.found[focus, hand.number], size_px) for hand in todo}

            def finish() -> None:
                for hand in todo:
                    self.fits[focus, hand.number] = fits[hand.number] or no_fit(hand)
                self._dirty.add(focus)
                self.num_done += 1

            return finish

        return job

    def _lacks_fit(self, frame: int, hand: HandCell) -> bool:
        fit = self.fits.get((frame, hand.number))
        return (frame, hand.number) in self.found and (fit is None or not fit.suits(hand.uv))
