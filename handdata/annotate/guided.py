"""Follow a box from picture to picture, and keep it where a model of keypoints sees the hand.

MedianFlow moves the box; a model says where the 21 points are in it. What a person calls the hand's box is known from
the frame that was drawn: how it lies around the model's points there. On the others the box is pulled to where it would
lie so, the more the surer the model is, and MedianFlow goes on from there. A lost box comes back where the model is
sure of a hand. Of anything but a hand the model is unsure, and MedianFlow is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.blend import from_center, to_center
from handdata.annotate.tracker import Follower, Image, TrackerSettings, can_follow
from handdata.boxes import Box
from handdata.pictures.crops import meets_picture

Floats = NDArray[np.float64]

SHOWN = 1.4  # of the square round the box, that the model is shown
UNSURE, SURE = 0.35, 0.55  # mean height of the model's peaks: the pull goes from none to all
PULL = np.array([0.15, 0.15, 0.1, 0.1])  # share of the way to the model's box: of the centre, of the log of the size
# How a tight box lies around the model's points on six rendered sequences, as `_around` says it: the mean, and how far
# one frame is off it (sd).
USUAL, USUALLY_OFF = np.array([0.0, 0.04, 0.24, 0.18]), np.array([0.08, 0.05, 0.12, 0.06])


@dataclass(frozen=True, slots=True)
class SeenHand:
    """What a model sees in a part of a picture.

    Attributes:
        box: x, y, w, h px round its 21 points.
        sure: mean height of its peaks, 0..1.
    """

    box: Box
    sure: float


NO_HAND = SeenHand((0.0, 0.0, 0.0, 0.0), 0.0)
AskHand = Callable[[Image, Box], SeenHand]  # (BGR picture, square that is shown, x, y, w, h px)


class GuidedFollower:
    """One run of the tracker from a box a person drew, with a model beside it; as `tracker.Follower`.

    Args:
        image: (H, W, 3) uint8 BGR, the picture the box was drawn on.
        box: (x, y, w, h) px; may hang over the picture's edge.
        settings: of MedianFlow.
        ask: the model.

    Raises:
        ValueError: the box has next to nothing inside the picture.
    """

    def __init__(self, image: Image, box: Box, settings: TrackerSettings, ask: AskHand) -> None:
        self._settings, self._ask = settings, ask
        self._follower = Follower(image, box, settings)
        self._last = box
        seen = ask(image, square_round(box, SHOWN))
        self._around = None if seen.sure < UNSURE else _likely(_around(_center(seen.box), _center(box)))

    def follow(self, image: Image) -> Box | None:
        """Return the box on the next picture, None if it is lost there."""
        followed = self._follower.follow(image)
        pulled = self._pulled(image, followed)
        if pulled is not None:
            self._follower = Follower(image, pulled, self._settings)
        self._last = pulled or followed or self._last
        return pulled or followed

    def _pulled(self, image: Image, followed: Box | None) -> Box | None:
        """Return the box as the model would have it; None where it is unsure."""
        height, width = image.shape[:2]
        here = followed or self._last
        if self._around is None or not can_follow(here, width, height):
            return None
        seen = self._ask(image, square_round(here, SHOWN))
        if seen.sure < UNSURE:
            return None
        wanted, pull = _laid(_center(seen.box), self._around), np.ones(4)
        if followed is not None:
            pull = PULL * min((seen.sure - UNSURE) / (SURE - UNSURE), 1.0)
        at = _center(here)
        x, y, w, h = (round(float(side), 2) for side in from_center((at + pull * (wanted - at))[None])[0])
        return (x, y, w, h) if can_follow((x, y, w, h), width, height) else None


def square_round(box: Box, times: float) -> Box:
    """Return the square round a box's centre, so many times as wide as its longer side."""
    x, y, w, h = box
    side = max(w, h) * times
    return x + (w - side) / 2, y + (h - side) / 2, side, side


def _center(box: Box) -> Floats:
    """Return (4,) centre x, centre y, log w, log h."""
    return np.asarray(to_center(np.array([box], np.float64))[0])


def _around(points: Floats, box: Floats) -> Floats:
    """Return how a box lies around the box of the points: in sizes of that, and in logarithms of ratios."""
    off = box - points
    off[:2] /= np.exp(points[2:])
    return off


def _likely(around: Floats) -> Floats:
    """Return how a person's boxes lie around the points, from one of them: unlike the usual, as far as that tells.

    One frame tells it as badly as the model sees that frame. What is far from usual is the person's way to draw.
    """
    off = around - USUAL
    return np.asarray(USUAL + off * off**2 / (off**2 + USUALLY_OFF**2))


def _laid(points: Floats, around: Floats) -> Floats:
    """Return the box that lies so around the box of the points."""
    off = around.copy()
    off[:2] *= np.exp(points[2:])
    return points + off


def ask_compact() -> AskHand:
    """Return what asks the weights `compact`, which are loaded when they are first asked."""
    loaded: list[Callable[..., Any]] = []

    def ask(image: Image, square: Box) -> SeenHand:
        from handdata.model.model import load_model  # noqa: PLC0415 - torch is imported when it is first needed

        if not loaded:
            loaded.append(load_model("compact", "cpu"))
        x, y, w, h = square
        edges = np.array([x, y, x + w, y + h])
        if not meets_picture(edges, image.shape[1], image.shape[0]):
            return NO_HAND
        hand = loaded[0]([np.ascontiguousarray(image[..., ::-1])], [edges], ["auto"])[0]
        if hand.peaks is None:
            return NO_HAND
        (left, top), (right, bottom) = hand.keypoints_2d.min(0).tolist(), hand.keypoints_2d.max(0).tolist()
        return SeenHand((left, top, max(right - left, 1.0), max(bottom - top, 1.0)), float(np.mean(hand.peaks)))

    return ask
