"""Tracks that grow in the background: each starts at a keyframe's box and runs one way, as far as it is needed.

A track depends on nothing but its start, so adding a keyframe, undoing and redoing find the tracks made before.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.guided import AskHand, GuidedFollower
from handdata.annotate.looks import Look, look_of, unlikeness
from handdata.annotate.marks import Mark, Span
from handdata.annotate.pictures import Pictures
from handdata.annotate.tracker import Follower, TrackerSettings, can_follow
from handdata.boxes import Box
from handdata.errors import HanddataError

FOLLOWERS_KEPT = 6  # filters ready to go on, about 10 MB each; others start again from their keyframe
TRACKS_KEPT = 400  # boxes only

AnyFollower = Follower | GuidedFollower


@dataclass(frozen=True, slots=True)
class Start:
    """Where a track begins and which way it runs: step +1 or -1."""

    frame: int
    box: Box
    step: int


@dataclass
class Track:
    """Boxes from the start on; entry i is frame `start.frame + i * start.step`, None where the target was lost.

    `unlike` says of each how unlike the hand at the start it looks, 0 .. 1.
    """

    start: Start
    boxes: list[Box | None] = field(default_factory=list)
    unlike: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.boxes.append(self.start.box)
        self.unlike.append(0.0)

    def reaches(self, frame: int) -> bool:
        """Say whether the track has got as far as `frame`."""
        return len(self.boxes) > (frame - self.start.frame) * self.start.step

    def at(self, frame: int) -> Box | None:
        """Return the box at `frame`, None where it was lost, or is not yet there."""
        place = (frame - self.start.frame) * self.start.step
        return self.boxes[place] if 0 <= place < len(self.boxes) else None

    def unlike_between(self, first: int, last: int) -> NDArray[np.float64]:
        """Return how unlike the hand at the start frames first..last look, (T,); NaN where lost or not yet there."""
        places = [(frame - self.start.frame) * self.start.step for frame in range(first, last + 1)]
        there = [0 <= place < len(self.unlike) and self.boxes[place] is not None for place in places]
        return np.array([self.unlike[at] if ok else np.nan for at, ok in zip(places, there, strict=True)], float)

    def between(self, first: int, last: int) -> NDArray[np.float64]:
        """Return frames first..last, in order of time, (T, 4) px; NaN where lost or not yet there."""
        out = np.full((last - first + 1, 4), np.nan)
        for row, frame in enumerate(range(first, last + 1)):
            box = self.at(frame)
            if box is not None:
                out[row] = box
        return out


class Tracks:
    """All tracks of a sequence. One thread may grow them; any may read."""

    def __init__(self, pictures: Pictures, settings: TrackerSettings, ask: AskHand | None = None) -> None:
        self._pictures = pictures
        self._settings = settings
        self._ask = ask if settings.kind == "medianflow" else None
        self._tracks: OrderedDict[Start, Track] = OrderedDict()
        self.broken: dict[int, HanddataError] = {}  # frame -> what is wrong with its picture
        self._followers: OrderedDict[Start, tuple[AnyFollower | None, int]] = OrderedDict()
        self._looks: dict[Start, Look | None] = {}  # of the box at the start

    def get(self, start: Start) -> Track:
        """Return the track from this start, as far as it has grown."""
        if start not in self._tracks:
            self._tracks[start] = Track(start)
            if len(self._tracks) > TRACKS_KEPT:
                self._tracks.popitem(last=False)
        self._tracks.move_to_end(start)
        return self._tracks[start]

    def grow(self, track: Track) -> None:
        """Track one frame further; a picture that cannot be read counts as lost and is named in `broken`."""
        start = track.start
        follower, reached = self._follower(start)
        box, unlike = None, 1.0
        while reached < len(track.boxes):
            reached += 1
            box, unlike = self._follow(follower, start, start.frame + reached * start.step)
            self._followers[start] = (follower, reached)
        track.unlike.append(unlike)  # before the box: another thread reads as far as there are boxes
        track.boxes.append(box)

    def _follow(self, follower: AnyFollower | None, start: Start, frame: int) -> tuple[Box | None, float]:
        try:
            image = self._pictures.read(frame)
        except HanddataError as error:
            self.broken[frame] = error
            return None, 1.0
        box = None if follower is None else follower.follow(image)
        return box, 1.0 if box is None else unlikeness(self._looks.get(start), look_of(image, box))

    def _follower(self, start: Start) -> tuple[AnyFollower | None, int]:
        if start not in self._followers:
            self._followers[start] = (self._new_follower(start), 0)
            if len(self._followers) > FOLLOWERS_KEPT:
                self._followers.popitem(last=False)
        self._followers.move_to_end(start)
        return self._followers[start]

    def _new_follower(self, start: Start) -> AnyFollower | None:
        if not can_follow(start.box, self._pictures.width, self._pictures.height):
            return None  # an imported box outside the picture
        try:
            image = self._pictures.read(start.frame)
            self._looks[start] = look_of(image, start.box)
            if self._ask is not None:
                return GuidedFollower(image, start.box, self._settings, self._ask)
            return Follower(image, start.box, self._settings)
        except HanddataError as error:
            self.broken[start.frame] = error
            return None


@dataclass(frozen=True, slots=True)
class Need:
    """A track that a span's boxes wait for, and the frame it must reach."""

    start: Start
    target: int


def needs(span: Span, marks: Mapping[int, Mark]) -> list[Need]:
    """Return the tracks a span needs, none if every frame in it is fixed; forward first."""
    if all(frame in marks for frame in range(span.first, span.last + 1)):
        return []
    left, right = end_box(span.left, marks), end_box(span.right, marks)
    gone = span.left is not None and left is None  # absent from there on, until the next box
    found = []
    if left is not None and span.left is not None:
        last = span.last - 1 if span.right is not None and right is None else span.last
        found.append(Need(Start(span.left, left, 1), last))
    if right is not None and span.right is not None and not gone:
        found.append(Need(Start(span.right, right, -1), span.first))
    return found


def end_box(frame: int | None, marks: Mapping[int, Mark]) -> Box | None:
    """Return the box of a span's end, None if there is no keyframe or the hand is absent there."""
    return None if frame is None else marks[frame].box
