"""Every hand of a frame as the page shows it: 21 points with who made them, how doubtful they are, and why."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.marks import PUT_THERE, PointMark, PointSource, PointState
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]
PLACES = 3  # decimals of a position that is kept, px


@dataclass(frozen=True, slots=True, eq=False)
class HandCell:
    """One hand of one frame.

    Attributes:
        number: of the hand, the same through a sequence.
        side: "left", "right" or "unknown".
        uv: (21, 2) px; NaN for a point without a place.
        states: of the points: visible, occluded, outside, absent.
        sources: who made each point.
        doubts: (21,) 0 sure .. 1 very doubtful.
        reasons: what each doubt is of, one of `doubts.REASONS`; "" without any.
        nearer: what a person said of the ends of bones, as `marks.HandMark` has it.
    """

    number: int
    side: str
    uv: Floats
    states: tuple[PointState, ...]
    sources: tuple[PointSource, ...]
    doubts: Floats = field(default_factory=lambda: np.zeros(NUM_KEYPOINTS))
    reasons: tuple[str, ...] = ("",) * NUM_KEYPOINTS
    nearer: tuple[int, ...] = ()

    @property
    def drawn(self) -> bool:
        """Whether a person placed a point of it, on this very frame."""
        return any(source in PUT_THERE for source in self.sources)

    @property
    def size(self) -> float:
        """Side of the square round its points, px; NaN without two."""
        known = self.uv[has_place(self.uv)]
        return float((known.max(0) - known.min(0)).max()) if len(known) > 1 else float("nan")

    def point(self, k: int) -> PointMark:
        """Return point k as it stands, to be fixed."""
        u, v = (round(float(value), PLACES) for value in self.uv[k])
        return PointMark(u, v, self.states[k], self.sources[k])

    def with_doubts(self, doubts: Floats, reasons: tuple[str, ...]) -> "HandCell":
        """Return the hand with other doubts."""
        return replace(self, doubts=doubts, reasons=reasons)

    def same_as(self, other: "HandCell") -> bool:
        """Say whether the page would show the same."""
        return (
            (self.number, self.side, self.states, self.sources, self.reasons, self.nearer)
            == (other.number, other.side, other.states, other.sources, other.reasons, other.nearer)
            and bool(np.array_equal(self.uv, other.uv, equal_nan=True))
            and bool(np.array_equal(self.doubts, other.doubts))
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameCell:
    """One frame as it stands.

    Attributes:
        hands: by number, in order; those that are not there are left out.
        accepted: whether a person said that it is right.
        settled: False while something that may still change it is under way.
        said: whether a person said anything of it.
    """

    hands: tuple[HandCell, ...] = ()
    accepted: bool = False
    settled: bool = False
    said: bool = False

    def hand(self, number: int) -> HandCell | None:
        """Return the hand of a number, None if it is not there."""
        return next((hand for hand in self.hands if hand.number == number), None)

    @property
    def doubt(self) -> float:
        """The doubt of its most doubtful point."""
        return max((float(hand.doubts.max()) for hand in self.hands), default=0.0)

    def same_as(self, other: "FrameCell") -> bool:
        """Say whether the page would show the same."""
        flags = (self.accepted, self.settled, self.said) == (other.accepted, other.settled, other.said)
        alike = len(self.hands) == len(other.hands)
        return flags and alike and all(a.same_as(b) for a, b in zip(self.hands, other.hands, strict=True))


def has_place(uv: Floats) -> NDArray[np.bool_]:
    """Say of (..., 2) positions which are known."""
    return np.asarray(np.isfinite(uv).all(axis=-1), np.bool_)


def box_of(uv: Floats) -> Floats | None:
    """Return left, top, right, bottom px of the points that have a place, None with fewer than two apart."""
    known = uv[has_place(uv)]
    if len(known) < 2:
        return None
    low, high = known.min(0), known.max(0)
    return np.concatenate([low, high]) if float((high - low).max()) >= 2 else None
