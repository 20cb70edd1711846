"""The smoothed path of each hand through a sequence: worked out stretch by stretch, kept until something changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.hand_estimate import hand_size
from handdata.annotate.keypoints.lines import NEVER, SAYS_GONE, HandLine
from handdata.annotate.keypoints.marks import FIXED_BY, SOURCES
from handdata.annotate.keypoints.smoothing import Evidence, smoothed
from handdata.annotate.keypoints.tracks import PointTracks

Floats = NDArray[np.float64]

OPEN = 16  # frames worked out together where nothing is fixed on one side
BESIDE = 12  # frames beyond a stretch, or beyond what is fixed around it, that are looked at for it
BACK = 48  # frames beyond which what is fixed on one side alone tells nothing
FAR = 160  # the same on both sides
_PLACED = [SOURCES.index(source) for source in FIXED_BY]


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedStretch:
    """Frames first..last of a hand, worked out from frames `seen.start`..`seen.stop - 1`.

    Attributes:
        first: the first frame.
        last: the last.
        seen: the frames that were looked at.
        found: (seen) bool, where the model had found the hand.
        uv: (last - first + 1, 21, 2) px.
        sd: (last - first + 1, 21) px.
    """

    first: int
    last: int
    seen: range
    found: NDArray[np.bool_]
    uv: Floats
    sd: Floats

    def at(self, frame: int) -> tuple[Floats, Floats]:
        """Return (21, 2) px and (21,) px of a frame."""
        return self.uv[frame - self.first], self.sd[frame - self.first]


class HandPaths:
    """The stretches of all hands."""

    def __init__(self) -> None:
        self._stretches: dict[int, list[SmoothedStretch]] = {}  # by hand

    def at(self, number: int, line: HandLine, frame: int, tracks: PointTracks) -> tuple[Floats, Floats, range]:
        """Return (21, 2) px, (21,) px of a hand in a frame, and the other frames that were worked out anew for it."""
        known = self._known(number, line, frame)
        if known is not None:
            return *known.at(frame), range(0)
        fresh = _worked_out(number, line, frame, tracks)
        kept = [one for one in self._stretches.get(number, []) if one.last < fresh.first or one.first > fresh.last]
        self._stretches[number] = [*kept, fresh]
        return *fresh.at(frame), range(fresh.first, fresh.last + 1)

    def has(self, number: int, line: HandLine, frame: int) -> bool:
        """Say whether a frame of a hand is worked out, or all fixed."""
        return bool(line.fixed[frame].all()) or self._known(number, line, frame) is not None

    def _known(self, number: int, line: HandLine, frame: int) -> SmoothedStretch | None:
        found = bool(np.isfinite(line.found_sd[frame]).any())
        for stretch in self._stretches.get(number, []):
            if stretch.first <= frame <= stretch.last and bool(stretch.found[frame - stretch.seen.start]) == found:
                return stretch
        return None

    def forget(self, number: int, frames: set[int]) -> None:
        """Drop what was worked out from one of these frames, or reaches into them."""
        if not frames:
            return
        low, high = min(frames), max(frames)
        kept = [one for one in self._stretches.get(number, []) if one.seen.stop <= low or one.seen.start > high]
        self._stretches[number] = kept


def _found(line: HandLine) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(line.found_sd).any(axis=1))


def _worked_out(number: int, line: HandLine, frame: int, tracks: PointTracks) -> SmoothedStretch:
    first, last, seen = _extent(line, frame)
    at = slice(seen.start, seen.stop)
    moved, missed = tracks.moved(number, seen)
    evidence = Evidence(
        size=hand_size(line, frame),
        fixed_uv=np.where(line.fixed[at, :, None], line.uv[at], np.nan),
        placed=np.isin(line.sources[at], _PLACED),
        found_uv=line.found_uv[at],
        moved=moved,
        missed=missed,
    )
    uv, sd = smoothed(evidence)
    inner = slice(first - seen.start, last + 1 - seen.start)
    return SmoothedStretch(first, last, seen, _found(line)[at], uv[inner], sd[inner])


def _extent(line: HandLine, frame: int) -> tuple[int, int, range]:
    """Return the first and last frame to work out together with one, and the frames to look at."""
    lows, highs = _nearest(line)
    low, high = int(lows[frame]), int(highs[frame])
    start, stop = (0, line.count) if not (line.said == SAYS_GONE).any() else _there(line, frame)
    if NEVER not in (low, high) and high - low <= 2 * FAR:
        same = np.flatnonzero((lows[low : high + 1] == low) & (highs[low : high + 1] == high)) + low
        first, last = int(same.min()), int(same.max())
    else:
        first = frame // OPEN * OPEN
        last = first + OPEN - 1
        low = first if low == NEVER else max(low, first - BACK)
        high = last if high == NEVER else min(high, last + BACK)
    first, last = max(first, start), min(last, stop - 1)
    return first, last, range(max(min(low, first) - BESIDE, start), min(max(high, last) + BESIDE + 1, stop))


def _nearest(line: HandLine) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (T,) the first of the frames where each point was last fixed, and the last of those where each is next."""
    before, after = line.nearest
    lows = np.where(before == NEVER, line.count, before).min(axis=1)
    return np.where(lows == line.count, NEVER, lows), after.max(axis=1)


def _there(line: HandLine, frame: int) -> tuple[int, int]:
    """Return the stretch of frames round one that no frame cuts on which the hand is said to be gone."""
    gone = np.flatnonzero(line.said == SAYS_GONE)
    before, after = gone[gone <= frame], gone[gone > frame]
    return int(before[-1]) + 1 if len(before) else 0, int(after[0]) if len(after) else line.count
