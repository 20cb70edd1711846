"""What is fixed about the hands of a sequence's frames. Pure.

A point that a person placed, or accepted, is fixed: nothing but a person changes it. All other points are estimated
from the fixed ones, from what a model found and from the flow of the pictures. Positions are px of the picture, (0, 0)
the centre of its first pixel.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from handdata.skeleton import BONES, NUM_KEYPOINTS, SIDE_NAMES

PointState = Literal["visible", "occluded", "outside", "absent"]
PointSource = Literal["person", "copied", "interpolated", "straight", "flow", "model", "imported", "stored"]
STATES: tuple[PointState, ...] = get_args(PointState)
SOURCES: tuple[PointSource, ...] = get_args(PointSource)
PUT_THERE = ("person", "copied")  # on the very frame
MADE_BY_PERSON = (*PUT_THERE, "interpolated")
FIXED_BY = (*MADE_BY_PERSON, "stored")  # labels of a shard stay as well until a person mends them
MOST_HANDS = 8  # in one picture
FARTHEST = 1e5  # px: no point lies so far from its picture


@dataclass(frozen=True, slots=True)
class PointMark:
    """One point that is fixed, or was imported.

    Attributes:
        u: px; NaN if its place is not known (absent).
        v: px.
        state: visible, occluded, outside of the picture, or absent: not to be labelled.
        source: who put it there.
    """

    u: float
    v: float
    state: PointState
    source: PointSource

    @property
    def is_placed(self) -> bool:
        """Whether it has a place."""
        return self.state != "absent" and math.isfinite(self.u)


HandPoints = tuple[PointMark | None, ...]  # 21; None: estimated
NO_POINTS: HandPoints = (None,) * NUM_KEYPOINTS


@dataclass(frozen=True, slots=True)
class HandMark:
    """What is fixed about one hand of one frame.

    Attributes:
        side: "left", "right" or "unknown": the person's hand.
        points: 21 of them, None where a point is estimated.
        gone: a person's word that the hand is not there; from here on, in a sequence.
        box: left, top, right, bottom px that a person drew round a hand that nothing had found; None without one.
        nearer: of each of skeleton.BONES 1 where a person says that its start is the nearer end, -1 where its end is,
            0 where nobody says; empty if nobody says anything.
    """

    side: str
    points: HandPoints = NO_POINTS
    gone: bool = False
    box: tuple[float, float, float, float] | None = None
    nearer: tuple[int, ...] = ()

    def fixed(self, *, accepted: bool) -> dict[int, PointMark]:
        """Return the points that are fixed: a person's and a shard's, and in an accepted frame all."""
        known = {k: point for k, point in enumerate(self.points) if point is not None}
        return {k: point for k, point in known.items() if accepted or point.source in FIXED_BY}


@dataclass(frozen=True, slots=True)
class FrameMark:
    """What is fixed about one frame: its hands by number, and whether a person accepted it as it is."""

    hands: Mapping[int, HandMark] = field(default_factory=dict)
    accepted: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not self.hands and not self.accepted


Marks = Mapping[int, FrameMark]  # by frame
PointPatch = dict[int, FrameMark | None]


def frame_to_json(mark: FrameMark) -> list[Any]:
    """Return what is fixed about a frame as the journal writes it."""
    return [int(mark.accepted), {str(number): _hand_to_json(hand) for number, hand in sorted(mark.hands.items())}]


def _hand_to_json(hand: HandMark) -> list[Any]:
    nearer = [list(hand.nearer)] if hand.nearer else []
    return [hand.side, int(hand.gone), hand.box, [_point_to_json(point) for point in hand.points], *nearer]


def frame_from_json(value: Any) -> FrameMark:
    """Return what the journal holds of a frame.

    Raises:
        ValueError: it is nothing that can be said of one.
    """
    if not isinstance(value, list) or len(value) != 2 or value[0] not in (0, 1) or not isinstance(value[1], dict):
        raise ValueError(f"frame {str(value)[:80]}")
    hands = {_hand_number(key): _hand_from_json(cells) for key, cells in value[1].items()}
    return FrameMark(hands, bool(value[0]))


def _hand_number(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) < 3 and int(key) < MOST_HANDS):
        raise ValueError(f"hand {key[:20]!r}")
    return int(key)


def _hand_from_json(value: Any) -> HandMark:
    if not isinstance(value, list) or len(value) not in (4, 5):
        raise ValueError(f"hand {str(value)[:80]}")
    side, gone, box, points = value[:4]
    if side not in SIDE_NAMES or gone not in (0, 1) or not isinstance(points, list) or len(points) != NUM_KEYPOINTS:
        raise ValueError(f"hand {str(value)[:80]}")
    nearer = _nearer_of(value[4]) if len(value) == 5 else ()
    return HandMark(
        side, tuple(map(_point_from_json, points)), bool(gone), None if box is None else _box_of(box), nearer
    )


def _nearer_of(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != len(BONES) or any(end not in (-1, 0, 1) for end in value):
        raise ValueError(f"nearer ends {str(value)[:80]}")
    return tuple(int(end) for end in value)


def _box_of(value: Any) -> tuple[float, float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 4 or not all(map(is_place, value)):
        raise ValueError(f"box {str(value)[:80]}")
    left, top, right, bottom = (float(edge) for edge in value)
    if not (right > left and bottom > top):
        raise ValueError(f"box {str(value)[:80]}")
    return left, top, right, bottom


def _point_to_json(point: PointMark | None) -> list[Any] | None:
    if point is None:
        return None
    place = [point.u, point.v] if point.is_placed else [None, None]
    return [*place, point.state, point.source]


def _point_from_json(value: Any) -> PointMark | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4 or value[2] not in STATES or value[3] not in SOURCES:
        raise ValueError(f"point {str(value)[:80]}")
    u, v, state, source = value
    if u is None and v is None and state in ("absent", "outside"):
        return PointMark(math.nan, math.nan, state, source)
    if not (is_place(u) and is_place(v)):
        raise ValueError(f"point {str(value)[:80]}")
    return PointMark(float(u), float(v), state, source)


def is_place(value: Any) -> bool:
    """Say whether a value of JSON is a coordinate that a point can have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FARTHEST
