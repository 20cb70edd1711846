"""Points followed from picture to picture by optical flow, forward or backward from where they are fixed.

Pyramidal Lucas-Kanade, each step checked by going back (Kalal et al., Forward-Backward Error, ICPR 2010): a point that
does not come back to where it was is lost, and the distance that it misses by says how far to trust the others.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.pictures import Pictures
from handdata.errors import HanddataError

Floats = NDArray[np.float64]
LEVELS = 3
LARGEST_WINDOW = 31  # px
WINDOW = 0.16  # of the hand's size
LEAST_WINDOW = 9  # px
GRAYS_KEPT = 48
MISSES = 0.06  # of the hand's size: a point that comes back farther off is lost
STEP_SD = 0.012  # of the hand's size, that a step adds at least
MISS_SD = 1.0  # times the distance it came back off by, that a step adds
FARTHEST_STEPS = 40  # from where the point is fixed
_ENDED = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)


@dataclass(frozen=True, slots=True)
class FlowStart:
    """Where a track begins.

    Attributes:
        hand: its number.
        k: the keypoint.
        frame: where it is fixed.
        u: px.
        v: px.
        step: 1 forward, -1 backward.
        window: px, the side of what is compared.
        size: px, of the hand.
    """

    hand: int
    k: int
    frame: int
    u: float
    v: float
    step: int
    window: int
    size: float


@dataclass(eq=False)
class FlowTrack:
    """A point followed so far: one position and standard deviation for each step; a lost one ends.

    Attributes:
        start: where it begins.
        places: (u, v, sd) px after each step.
        misses: px that each step came back off by.
        lost: whether it goes no further.
    """

    start: FlowStart
    places: list[tuple[float, float, float]] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    lost: bool = False

    def at(self, frame: int) -> tuple[float, float, float] | None:
        """Return (u, v, sd) px in a frame, None if it has not come so far or is lost there."""
        steps = (frame - self.start.frame) * self.start.step
        if steps == 0:
            return self.start.u, self.start.v, 0.0
        return self.places[steps - 1] if 0 < steps <= len(self.places) else None

    def steps(self, first: int, last: int) -> Floats:
        """(N, 3) px that steps first..last - 1, as far as it has come, led on by in u and v, and came back off by."""
        places = [(self.start.u, self.start.v, 0.0), *self.places]
        path = np.array(places[first : last + 1])[:, :2]
        return np.column_stack([np.diff(path, axis=0), self.misses[first:last]])

    @property
    def reached(self) -> int:
        """The last frame that it has come to."""
        return self.start.frame + self.start.step * len(self.places)


class Flow:
    """The tracks of a sequence's points. `advance` may run beside the others, in one thread at a time."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._grays: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self.broken: dict[int, HanddataError] = {}

    def advance(self, tracks: Iterable[FlowTrack]) -> None:
        """Take one step further with tracks that stand in the same frame and go the same way."""
        by_window: dict[int, list[FlowTrack]] = defaultdict(list)
        for track in tracks:
            by_window[track.start.window].append(track)
        for window, same in by_window.items():
            here, there = same[0].reached, same[0].reached + same[0].start.step
            self._step(same, self._gray(here), self._gray(there), window)

    def _step(
        self, tracks: list[FlowTrack], here: NDArray[np.uint8] | None, there: NDArray[np.uint8] | None, window: int
    ) -> None:
        if here is None or there is None or here.shape != there.shape:
            for track in tracks:
                track.lost = True
            return
        at = np.array([_last(track)[:2] for track in tracks], np.float32).reshape(-1, 1, 2)
        asked = {"winSize": (window, window), "maxLevel": LEVELS, "criteria": _ENDED}
        on, found, _ = cv2.calcOpticalFlowPyrLK(here, there, at, None, **asked)  # type: ignore[call-overload]
        back, again, _ = cv2.calcOpticalFlowPyrLK(there, here, on, None, **asked)  # type: ignore[call-overload]
        misses = np.linalg.norm((back - at).reshape(-1, 2), axis=1)
        ok = (found.ravel() == 1) & (again.ravel() == 1) & np.isfinite(misses)
        height, width = there.shape[:2]
        for track, (u, v), miss, good in zip(tracks, on.reshape(-1, 2).tolist(), misses.tolist(), ok, strict=True):
            size = track.start.size
            if not good or miss > MISSES * size or not (0 <= u < width and 0 <= v < height):
                track.lost = True
                continue
            sd = _last(track)[2]
            added = (STEP_SD * size) ** 2 + (MISS_SD * miss) ** 2
            track.places.append((u, v, float(np.sqrt(sd * sd + added))))
            track.misses.append(miss)

    def _gray(self, frame: int) -> NDArray[np.uint8] | None:
        if frame not in self._grays:
            try:
                image = self._pictures.read(frame)
            except HanddataError as error:
                self.broken[frame] = error
                return None
            self._grays[frame] = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
            if len(self._grays) > GRAYS_KEPT:
                self._grays.popitem(last=False)
        self._grays.move_to_end(frame)
        return self._grays[frame]


def window_of(size: float) -> int:
    """Return the side of what is compared, px, odd, for a hand of a size in px."""
    side = int(min(max(WINDOW * size, LEAST_WINDOW), LARGEST_WINDOW)) if np.isfinite(size) else LEAST_WINDOW
    return side | 1


def _last(track: FlowTrack) -> tuple[float, float, float]:
    return track.places[-1] if track.places else (track.start.u, track.start.v, 0.0)
