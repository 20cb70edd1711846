"""One hand through a sequence, as arrays: what is fixed of it, what was found, and the nearest fixed frames. Pure.

Shape letters: T frames, K the 21 keypoints.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.marks import SOURCES, STATES, FrameMark, HandMark, PointMark, PointSource
from handdata.skeleton import NUM_KEYPOINTS

SAYS_NOTHING, SAYS_THERE, SAYS_GONE = 0, 1, 2
NEVER = -1  # of a frame: none


@dataclass
class HandLine:
    """A hand of a sequence of `count` frames.

    Attributes:
        count: of frames.
        linked: whether the frames follow one another, as those of a video do.
        said: (T) what a person said of its presence: nothing, there, gone.
        sides: frame -> side, where a person said or a file says it.
        boxes: frame -> box that a person drew, px.
        fixed: (T, K) bool.
        uv: (T, K, 2) px of fixed points; NaN where a fixed point has no place.
        states: (T, K) index in STATES of fixed points.
        sources: (T, K) index in SOURCES of fixed points.
        found_uv: (T, K, 2) px of what was found or imported, NaN elsewhere.
        found_sd: (T, K) px, of it.
        found_sides: frame -> side that was found.
        found_hidden: frame -> (21) bool, the points that were found behind something.
        found_nearer: frame -> which ends of bones were found nearer, as marks.HandMark has it.
        imported: (T) bool: found_uv is a file's.
    """

    count: int
    linked: bool
    said: NDArray[np.int8] = field(init=False)
    sides: dict[int, str] = field(default_factory=dict)
    boxes: dict[int, tuple[float, float, float, float]] = field(default_factory=dict)
    fixed: NDArray[np.bool_] = field(init=False)
    uv: NDArray[np.float64] = field(init=False)
    states: NDArray[np.int8] = field(init=False)
    sources: NDArray[np.int8] = field(init=False)
    found_uv: NDArray[np.float64] = field(init=False)
    found_sd: NDArray[np.float64] = field(init=False)
    found_sides: dict[int, str] = field(default_factory=dict)
    found_hidden: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    found_nearer: dict[int, tuple[int, ...]] = field(default_factory=dict)
    imported: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.count, NUM_KEYPOINTS)
        self.said, self.imported = np.zeros(self.count, np.int8), np.zeros(self.count, bool)
        self.fixed = np.zeros(shape, bool)
        self.states, self.sources = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        self.uv, self.found_uv = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
        self.found_sd = np.full(shape, np.nan)
        self._nearest: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._found_counts: Counter[str] = Counter()
        self._side = ""

    def take(self, frame: int, mark: HandMark | None, *, accepted: bool, imported_sd: float) -> None:
        """Take over what is said of the hand in one frame; None: nothing."""
        self._nearest, self._side = None, ""
        self.said[frame] = SAYS_NOTHING if mark is None else SAYS_GONE if mark.gone else SAYS_THERE
        self.fixed[frame], self.uv[frame], self.states[frame] = False, np.nan, 0
        if self.imported[frame]:
            self.imported[frame], self.found_uv[frame], self.found_sd[frame] = False, np.nan, np.nan
        self.sides.pop(frame, None)
        self.boxes.pop(frame, None)
        if mark is not None:
            self.sides[frame] = mark.side
            if mark.box is not None:
                self.boxes[frame] = mark.box
            if not mark.gone:
                self._take_points(frame, mark, mark.fixed(accepted=accepted), imported_sd)

    def _take_points(self, frame: int, mark: HandMark, fixed: Mapping[int, PointMark], imported_sd: float) -> None:
        for k, point in fixed.items():
            self.fixed[frame, k], self.states[frame, k] = True, STATES.index(point.state)
            self.sources[frame, k] = SOURCES.index(point.source)
            self.uv[frame, k] = (point.u, point.v) if point.is_placed else (np.nan, np.nan)
        open_ = {k: point for k, point in enumerate(mark.points) if point is not None and k not in fixed}
        if open_:
            self.imported[frame], self.found_uv[frame], self.found_sd[frame] = True, np.nan, np.nan
        for k, point in open_.items():
            self.found_uv[frame, k], self.found_sd[frame, k] = (point.u, point.v), imported_sd

    def find(self, frame: int, uv: NDArray[np.float64], sd: NDArray[np.float64], side: str) -> None:
        """Take over what a model found in one frame; what a file says there stays."""
        if self.imported[frame]:
            return
        self._found_counts.subtract([self.found_sides[frame]] if frame in self.found_sides else [])
        self._found_counts[side] += 1
        self.found_uv[frame], self.found_sd[frame], self.found_sides[frame] = uv, sd, side

    @property
    def nearest(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(T, K) the last frame up to each where a point is fixed, and the first from each on; NEVER without one."""
        if self._nearest is None:
            number = np.arange(self.count)[:, None]
            before = np.maximum.accumulate(np.where(self.fixed, number, NEVER), axis=0)
            after = np.where(self.fixed, number, self.count)[::-1]
            after = np.minimum.accumulate(after, axis=0)[::-1]
            self._nearest = before, np.where(after == self.count, NEVER, after)
        return self._nearest

    def source_at(self, frame: int, k: int) -> PointSource:
        """Return who made a fixed point."""
        return SOURCES[int(self.sources[frame, k])]

    def nearer_at(self, frame: int, mark: HandMark | None, *, accepted: bool) -> tuple[int, ...]:
        """Return which ends of bones are nearer: as a person says, else as was found if nobody accepted the frame."""
        said, found = mark.nearer if mark is not None else (), self.found_nearer.get(frame, ())
        if accepted or not found:
            return said
        return tuple(a or b for a, b in zip(said, found, strict=True)) if said else found

    def has_found(self, frame: int) -> bool:
        """Say whether anything was found or imported in a frame."""
        return bool(np.isfinite(self.found_sd[frame]).any())

    def is_there(self, frame: int) -> bool:
        """Say whether the hand is in a frame: as a person said last, else as was found."""
        if self.said[frame] != SAYS_NOTHING:
            return bool(self.said[frame] == SAYS_THERE)
        if not self.linked:
            return self.has_found(frame)
        before = np.flatnonzero(self.said[:frame])
        if len(before):
            return bool(self.said[before[-1]] == SAYS_THERE)
        after = np.flatnonzero(self.said[frame + 1 :])
        if len(after) and self.said[frame + 1 + after[0]] == SAYS_THERE:
            return True
        return self.has_found(frame)

    def side_at(self, frame: int) -> str:
        """Return the side that was said of a hand, else the one found; in a sequence it is the same on all frames."""
        if not self.linked:
            return self.sides.get(frame) or self.found_sides.get(frame, "unknown")
        if self.sides:
            self._side = self._side or self.sides[min(self.sides)]
            return self._side
        return max(sorted(self._found_counts), key=self._found_counts.__getitem__, default="unknown")

    @property
    def said_side(self) -> str:
        """The side that a person or a file said first; "" without one, and for stills."""
        return self.sides[min(self.sides)] if self.linked and self.sides else ""

    def reach(self, frame: int, far: int) -> range:
        """Return the frames whose estimates change if something changes in this one."""
        if not self.linked:
            return range(frame, frame + 1)
        first, last = frame, frame
        if frame > 0:
            before = self.nearest[0][frame - 1]
            first = int(max(0, min(before.min() if before.min() >= 0 else 0, frame)))
        if frame + 1 < self.count:
            after = self.nearest[1][frame + 1]
            last = self.count - 1 if (after == NEVER).any() else int(after.max())
        said = np.flatnonzero(self.said)
        alone = len(said) == 0 or (len(said) == 1 and said[0] == frame)
        if alone:
            return range(self.count)
        return range(max(first, frame - far), min(last, frame + far) + 1)


def line_marks(mark: FrameMark | None, number: int) -> tuple[HandMark | None, bool]:
    """Return what is said of one hand in a frame, and whether the frame is accepted."""
    hands: Mapping[int, HandMark] = mark.hands if mark is not None else {}
    return hands.get(number), mark is not None and mark.accepted
