"""The tracks that the fixed points of a sequence ask for: kept while they are of use, nearest to the view first."""

from collections import defaultdict
from collections.abc import Iterable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.flow import FARTHEST_STEPS, FlowStart, FlowTrack, window_of
from handdata.annotate.keypoints.hand_estimate import FindTrack
from handdata.annotate.keypoints.lines import NEVER, SAYS_GONE, HandLine
from handdata.annotate.keypoints.marks import STATES
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]

LEAST_MISS = 0.5  # px: no step is surer
_VISIBLE = STATES.index("visible")
TrackPlace = tuple[int, int]  # (frame, step)


class PointTracks:
    """Tracks of all hands' points."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[int, int], dict[TrackPlace, FlowTrack]] = defaultdict(dict)  # (hand, keypoint) ->
        self._targets: dict[FlowTrack, int] = {}
        self._written: WeakKeyDictionary[FlowTrack, int] = WeakKeyDictionary()  # how far a track's steps are in _steps
        self._steps: dict[int, Floats] = {}  # hand -> (forward and backward, T, 21, 3) px moved in u, in v, missed by

    def finder(self, hand: int) -> FindTrack:
        """Return what gives the tracks of one hand."""
        return lambda k, frame, step: self._tracks[hand, k].get((frame, step))

    @property
    def left(self) -> int:
        """How many steps are still to be taken."""
        return sum(
            (self._targets[track] - track.reached) * track.start.step for track in self._targets if not track.lost
        )

    def waits(self, frame: int) -> bool:
        """Say whether a track may still come to a frame."""
        return any(
            (track.reached < frame <= target) if track.start.step > 0 else (target <= frame < track.reached)
            for track, target in self._targets.items()
            if not track.lost
        )

    def renew(self, hand: int, line: HandLine, size: float, frames: range) -> None:
        """Ask for the tracks that a hand's fixed points now need, after something changed in `frames`.

        Tracks of points that moved, or are fixed no more, are dropped.
        """
        if hand not in self._steps:
            self._steps[hand] = np.full((2, line.count, NUM_KEYPOINTS, 3), np.nan)
        near = range(max(0, frames.start - FARTHEST_STEPS - 1), min(line.count, frames.stop + FARTHEST_STEPS + 1))
        for k in range(NUM_KEYPOINTS):
            tracks, wanted = self._tracks[hand, k], self._wanted(line, k, near)
            for place in [place for place in tracks if place[0] in near and place not in wanted]:
                self._targets.pop(tracks.pop(place), None)
            for (frame, step), target in wanted.items():
                u, v = (float(value) for value in line.uv[frame, k])
                track = tracks.get((frame, step))
                if track is None or (track.start.u, track.start.v) != (u, v):
                    if track is not None:
                        self._targets.pop(track, None)
                    track = FlowTrack(FlowStart(hand, k, frame, u, v, step, window_of(size), size))
                    tracks[frame, step] = track
                self._aim(track, target)

    def _aim(self, track: FlowTrack, target: int) -> None:
        """Ask for a track as far as a frame."""
        if self._written.get(track) != target:
            self._write(track, 0, abs(target - track.start.frame))
            self._written[track] = target
        if (target - track.reached) * track.start.step > 0 and not track.lost:
            self._targets[track] = target
        else:
            self._targets.pop(track, None)

    def _wanted(self, line: HandLine, k: int, near: range) -> dict[TrackPlace, int]:
        """Return where tracks of a point begin, and the frame that each is to come to."""
        found: dict[TrackPlace, int] = {}
        before_any, after_any = line.nearest
        for frame in (np.flatnonzero(line.fixed[near.start : near.stop, k]) + near.start).tolist():
            if line.states[frame, k] != _VISIBLE or not np.isfinite(line.uv[frame, k]).all():
                continue
            before = int(before_any[frame - 1, k]) if frame else NEVER
            after = int(after_any[frame + 1, k]) if frame + 1 < line.count else NEVER
            after = line.count if after == NEVER else after
            last, first = min(after, line.count - 1, frame + FARTHEST_STEPS), max(before + 1, frame - FARTHEST_STEPS, 0)
            gone = np.flatnonzero(line.said[frame : last + 1] == SAYS_GONE)
            last = frame + int(gone[0]) - 1 if len(gone) else last
            if last > frame:
                found[frame, 1] = last
            if first < frame and not (line.said[first:frame] == SAYS_GONE).any():
                found[frame, -1] = first
        return found

    def moved(self, hand: int, frames: range) -> tuple[Floats, Floats]:
        """Return how far each point of a hand moves from the frame before, (T, 21, 2) px, and what that misses by, px.

        Each step is that of the track that went there last; of one forward and one backward the average. NaN where no
        track went, and on the first frame.
        """
        if hand not in self._steps:
            nothing = np.full((len(frames), NUM_KEYPOINTS, 3), np.nan)
            return nothing[..., :2], nothing[..., 2]
        ways = self._steps[hand][:, frames.start : frames.stop].copy()
        ways[:, 0] = np.nan
        weights = 1.0 / (np.nan_to_num(ways[..., 2], nan=np.inf) + LEAST_MISS) ** 2
        total, known = weights.sum(axis=0), np.asarray(np.isfinite(ways[..., 2]).any(axis=0))
        mean = (np.nan_to_num(ways[..., :2]) * weights[..., None]).sum(axis=0) / np.where(known, total, 1.0)[..., None]
        return np.where(known[..., None], mean, np.nan), np.fmin(ways[0, ..., 2], ways[1, ..., 2])

    def _write(self, track: FlowTrack, first: int, last: int) -> None:
        """Note steps first..last - 1 of a track; those that it has not gone are not known."""
        start, known = track.start, track.steps(first, last)
        rows = start.frame + np.arange(first, last) * start.step + (start.step > 0)
        values = np.full((last - first, 3), np.nan)
        values[: len(known)] = known * [start.step, start.step, 1.0]
        self._steps[start.hand][0 if start.step > 0 else 1, rows, start.k] = values

    def next_step(self, focus: int) -> list[FlowTrack]:
        """Return the tracks to take one step further: those that stand in one frame, nearest to the view."""
        open_ = [track for track in self._targets if not track.lost]
        if not open_:
            return []
        best = min(open_, key=lambda track: (abs(track.reached - focus), -track.start.step))
        place = best.reached, best.start.step
        same = [track for track in open_ if (track.reached, track.start.step) == place]
        return sorted(same, key=lambda track: (track.start.hand, track.start.k, track.start.frame))

    def note(self, tracks: Iterable[FlowTrack]) -> set[int]:
        """Note that tracks went one step; return the frames whose estimates that changes."""
        changed: set[int] = set()
        for track in tracks:
            target = self._targets.get(track)
            if target is None:
                continue
            changed.add(track.reached)
            if not track.lost:
                self._write(track, len(track.misses) - 1, len(track.misses))
            else:
                changed |= set(range(min(track.reached, target), max(track.reached, target) + 1))
            if track.lost or track.reached == target:
                changed |= {target}
                self._targets.pop(track)
        return changed
