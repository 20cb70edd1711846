"""Tracks and boxes of a sequence for given marks: what is still to track, and every frame's box so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from handdata.annotate.guided import AskHand
from handdata.annotate.marks import Mark, Span, spans
from handdata.annotate.pictures import Pictures
from handdata.annotate.second_look import SecondLooks
from handdata.annotate.timeline import FrameBox, span_cells
from handdata.annotate.tracker import TrackerSettings
from handdata.annotate.tracks import Need, Track, Tracks, needs
from handdata.errors import HanddataError

LOOKS_PER_JOB = 4  # boxes that a model is asked about, about 150 ms
FRAMES_PER_JOB = 6  # about 150 ms, a fifth of it without a model: an edit changes at once what is tracked next


@dataclass(frozen=True, slots=True)
class TrackingJob:
    """Grow one track by some frames."""

    track: Track
    num_frames: int


class SequenceTracks:
    """The tracks of one sequence and what they give. `do` may run beside the others, in one thread at a time."""

    def __init__(self, pictures: Pictures, settings: TrackerSettings, ask: AskHand | None = None) -> None:
        self._num_frames = len(pictures)
        self._size = (pictures.width, pictures.height)
        self._tracks = Tracks(pictures, settings, ask)
        self._second = SecondLooks(pictures, ask)
        self._unasked = ask
        self.num_tracked = 0  # frames, both directions counted
        self._memo: dict[Span, tuple[tuple[int, ...], dict[int, FrameBox]]] = {}

    @property
    def broken(self) -> dict[int, HanddataError]:
        """Pictures that could not be read: frame -> what is wrong."""
        return dict(self._tracks.broken)

    def cells(self, marks: Mapping[int, Mark], version: int) -> list[FrameBox]:
        """Return every frame's box as it stands; `version` changes whenever the marks do."""
        stretches = spans(marks, self._num_frames)
        self._memo = {span: self._memo[span] for span in stretches if span in self._memo}
        found: dict[int, FrameBox] = {}
        for span in stretches:
            stamp = (
                version,
                self._second.num_done,
                *(len(self._tracks.get(need.start).boxes) for need in needs(span, marks)),
            )
            if span not in self._memo or self._memo[span][0] != stamp:
                self._memo[span] = (stamp, span_cells(span, marks, self._find, self._size, self._second.seen))
            found.update(self._memo[span][1])
        return [found[frame] for frame in range(self._num_frames)]

    def next_job(self, marks: Mapping[int, Mark], focus: int) -> TrackingJob | None:
        """Return what to track next, None if nothing is left: what `focus` waits for, then onwards, then before."""
        waiting = self._waiting(marks)
        if not waiting:
            return None
        need = min(waiting, key=lambda item: _order(item, focus))[1]
        return TrackingJob(self._tracks.get(need.start), min(self._missing(need), FRAMES_PER_JOB))

    def do(self, job: TrackingJob) -> None:
        """Grow the job's track."""
        for _ in range(job.num_frames):
            self._tracks.grow(job.track)
            self.num_tracked += 1

    @property
    def num_looked(self) -> int:
        """How many boxes a model was asked about."""
        return self._second.num_done

    def next_look(self, marks: Mapping[int, Mark], version: int, focus: int) -> Callable[[], None] | None:
        """Return the asking of a model about the next boxes, None if nothing is left to ask.

        It is first asked about nothing: the first question takes seconds, and a person who draws a box should not wait.
        """
        if self._unasked is not None:
            first, self._unasked = self._unasked, None
            return partial(_ask_of_nothing, first)
        boxes = self._second.to_look_at(self.cells(marks, version), focus, LOOKS_PER_JOB)

        def look() -> None:
            for frame, box in boxes:
                self._second.look(frame, box)

        return look if boxes else None

    def left_to_track(self, marks: Mapping[int, Mark]) -> int:
        """Return how many frames are still to be tracked, both directions counted."""
        return sum(self._missing(need) for _, need in self._waiting(marks))

    def _waiting(self, marks: Mapping[int, Mark]) -> list[tuple[Span, Need]]:
        wanted = [(span, need) for span in spans(marks, self._num_frames) for need in needs(span, marks)]
        return [(span, need) for span, need in wanted if self._missing(need) > 0]

    def _missing(self, need: Need) -> int:
        return abs(need.target - need.start.frame) + 1 - len(self._tracks.get(need.start).boxes)

    def _find(self, need: Need) -> Track:
        return self._tracks.get(need.start)


def _ask_of_nothing(ask: AskHand) -> None:
    ask(np.zeros((64, 64, 3), np.uint8), (0.0, 0.0, 64.0, 64.0))


def _order(waiting: tuple[Span, Need], focus: int) -> tuple[int, int, int]:
    span, need = waiting
    away = max(span.first - focus, 0) if span.last >= focus else 10**9 + focus - span.last
    return away, -need.start.step, need.start.frame
