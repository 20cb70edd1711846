"""The 3D of a whole recording from what a person said of some frames, a step at a time. No HTTP, no files.

A step is done beside everything else and then taken over, as hands.py describes it. When something else is said, the
work begins anew: lifting takes a tenth of a second, each frame 15 ms, the sequence as a whole some seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.bone_lengths import USUAL_MM
from handdata.annotate.depth.crops import crop_about, find_centre
from handdata.annotate.depth.lift import Clicks, lift
from handdata.annotate.depth.propagate import (
    CarriedHands,
    DepthSequence,
    begin_hands,
    next_frame,
    optimise,
    propagate,
)
from handdata.annotate.depth.recording import DepthRecording
from handdata.annotate.depth.references import choose_references, distances
from handdata.errors import HanddataError

Floats = NDArray[np.float64]

COVERED_MM = 10.0  # root mean square of two crops below which frames are alike
Said = Mapping[int, Clicks]  # frame -> what a person said of it, one frame each
DeriveStep = Callable[
    [], Callable[[], list[int]]
]  # does the work; what it returns takes over, and tells the frames that changed


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at every frame of a recording tells before anybody clicked.

    Attributes:
        centres: (F, 3) mm of the hand; NaN where it is not found.
        apart: (F, F) distances between frames; NaN where there is no hand.
        references: the frames to click, in the order in which they help most.
        broken: pictures that cannot be read: frame -> what is wrong.
    """

    centres: Floats
    apart: Floats
    references: tuple[int, ...]
    broken: Mapping[int, HanddataError]


def survey(recording: DepthRecording, number: int | None = None) -> Survey:
    """Look at every frame of a recording, and choose those to click: so many, or as many as tell of the others."""
    starts, crops = recording.starts(), np.full((len(recording), 32, 32), np.nan, np.float32)
    centres, broken = np.full((len(recording), 3), np.nan), dict[int, HanddataError]()
    for frame in range(len(recording)):
        try:
            depth = recording.depth(frame)
        except HanddataError as error:
            broken[frame] = error
            continue
        if np.isfinite(starts[frame]).all():
            centres[frame] = find_centre(depth, recording.K, starts[frame])
        if np.isfinite(centres[frame]).all():
            crops[frame] = crop_about(depth, recording.K, centres[frame]).relative
    apart = distances(crops)
    apart[~np.isfinite(crops).all(axis=(1, 2))] = np.nan
    chosen = choose_references(apart, COVERED_MM if number is None else 0.0, number)
    return Survey(centres, apart, tuple(chosen), broken)


class Derivation:
    """The hands of a recording as far as they are derived.

    Attributes:
        xyz: (F, 21, 3) mm; NaN where nothing is known yet.
        seen: (F, 21) bool: on a surface that the camera sees.
        whole: whether the sequence was optimised as a whole.
    """

    def __init__(self, recording: DepthRecording, found: Survey) -> None:
        self._recording, self._survey = recording, found
        depth = _Depths(recording)
        self._sequence = DepthSequence(depth, recording.K, found.centres, found.apart, USUAL_MM)
        self._said: dict[int, Clicks] = {}
        self._hands = begin_hands(len(recording), {})
        self._lifted = self.whole = False
        self._round = 0  # of what was said: a step of an earlier one counts for nothing

    @property
    def xyz(self) -> Floats:
        """(F, 21, 3) mm; NaN where nothing is known yet."""
        return self._hands.xyz

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(F, 21) bool: on a surface that the camera sees."""
        return self._hands.seen

    def say(self, said: Said) -> None:
        """Take over what a person said of all frames; if it is something else, all begins anew."""
        usable = {frame: clicks for frame, clicks in said.items() if np.isfinite(self._survey.centres[frame]).all()}
        if _same(usable, self._said):
            return
        self._said, self._lifted, self.whole = dict(sorted(usable.items())), False, False
        self._round += 1
        self._hands = begin_hands(len(self._recording), {})

    @property
    def left(self) -> int:
        """How many steps are to be done."""
        if not self._said or self.whole:
            return 0
        there = np.isfinite(np.diag(self._survey.apart))
        return int((there & (self._hands.root < 0)).sum()) + 1

    def next_step(self) -> DeriveStep | None:
        """Return what to do next; None if nothing is left."""
        if not self.left:
            return None
        of, said, hands = self._round, self._said, self._hands  # of now: more may be said before the step is done
        if not self._lifted:
            return lambda: self._lift(of, said)
        pair = next_frame(self._sequence, hands)
        return (lambda: self._optimise(of, said, hands)) if pair is None else lambda: self._propagate(of, hands, *pair)

    def _lift(self, of: int, said: Said) -> Callable[[], list[int]]:
        frames, clicks = list(said), joined(list(said.values()))
        xyz, bones = lift(clicks, [self._recording.depth(frame) for frame in frames], self._recording.K)

        def take() -> list[int]:
            if of != self._round:
                return []
            self._sequence = replace(self._sequence, bones=bones)
            references = {frame: (xyz[i], clicks.seen[i]) for i, frame in enumerate(frames)}
            self._hands, self._lifted = begin_hands(len(self._recording), references), True
            return frames

        return take

    def _propagate(self, of: int, hands: CarriedHands, frame: int, source: int) -> Callable[[], list[int]]:
        propagate(self._sequence, hands, frame, source)
        return lambda: [frame] if of == self._round else []

    def _optimise(self, of: int, said: Said, hands: CarriedHands) -> Callable[[], list[int]]:
        clicks = joined(list(said.values()))
        xyz = optimise(self._sequence, hands, list(said), clicks, is_wanted=lambda: of == self._round)

        def take() -> list[int]:
            if of != self._round:
                return []
            self._hands, self.whole = CarriedHands(xyz, hands.seen, hands.root), True
            return [int(frame) for frame in np.flatnonzero(hands.root >= 0)]

        return take


class _Depths:
    """The depth pictures read last: a frame and those it is compared with."""

    def __init__(self, recording: DepthRecording, kept: int = 64) -> None:
        self._read, self._kept = recording.depth, kept
        self._recent: dict[int, Floats] = {}

    def __call__(self, frame: int) -> Floats:
        if frame not in self._recent:
            if len(self._recent) >= self._kept:
                self._recent.pop(next(iter(self._recent)))
            self._recent[frame] = self._read(frame)
        return self._recent[frame]


def joined(parts: list[Clicks]) -> Clicks:
    """Return what was said of several frames as one."""
    return Clicks(
        np.concatenate([part.uv for part in parts]),
        np.concatenate([part.hidden for part in parts]),
        np.concatenate([part.nearer for part in parts]),
    )


def _same(one: Said, other: Said) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[f].uv, other[f].uv, equal_nan=True)
        and np.array_equal(one[f].hidden, other[f].hidden)
        and np.array_equal(one[f].nearer, other[f].nearer)
        for f in one
    )
