"""Follow a box from picture to picture, and keep it where a model of keypoints sees the hand.

MedianFlow moves the box; a model says where the 21 points are in it. What a person calls the hand's box is known from
the frame that was drawn: how it lies around the model's points there. On the others the box is pulled to where it would
lie so, the more the surer the model is, and MedianFlow goes on from there. Where the model is sure of a hand that the
box hardly meets, the box goes there at once. Where it sees none in the box, or the box is lost, the whole picture is
searched. Of anything but a hand the model is unsure when it is drawn, and MedianFlow is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.blend import from_center, overlap, to_center
from handdata.annotate.tracker import Follower, Image, TrackerSettings, can_follow
from handdata.boxes import Box

Floats = NDArray[np.float64]

SHOWN = 1.4  # of the square round the box, that the model is shown
UNSURE, SURE = 0.35, 0.55  # of the model: the pull goes from none to all
NOTHING = 0.2  # of the model: below it no hand is in the box
APART = 0.5  # IoU with the model's box, below which the box goes there at once if the model is sure
SEARCH_EVERY = 5  # pictures, while the model sees no hand in the box: a search takes 0.2 s of CPU
MOST_GROWTH = 2.0  # of the box's side since it was last followed, of a hand that is found elsewhere
PULL = np.array([0.15, 0.15, 0.1, 0.1])  # share of the way to the model's box: of the centre, of the log of the size
# How a tight box lies around the model's points on six rendered sequences, as `_around` says it: the mean, and how far
# one frame is off it (sd).
USUAL, USUALLY_OFF = np.array([0.0, 0.04, 0.24, 0.18]), np.array([0.08, 0.05, 0.12, 0.06])


@dataclass(frozen=True, slots=True)
class SeenHand:
    """What a model sees in a part of a picture.

    Attributes:
        box: x, y, w, h px round its 21 points.
        sure: of a hand, 0..1: `Hand.confidence`.
        side: "left" or "right".
    """

    box: Box
    sure: float
    side: str = ""


NO_HAND = SeenHand((0.0, 0.0, 1.0, 1.0), 0.0)  # whose box means nothing
AskHand = Callable[[Image, Box | None], SeenHand]  # (BGR picture, square that is shown, x, y, w, h px; None: anywhere)


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
        self._around, self._side = around_of(seen, box), seen.side
        self._unseen = 0  # pictures since the model saw a hand in the box

    def follow(self, image: Image) -> Box | None:
        """Return the box on the next picture, None if it is lost there."""
        followed = self._follower.follow(image)
        guided = None if self._around is None else self._guided(image, followed, self._around)
        if guided is not None:
            self._follower = Follower(image, guided, self._settings)
        self._last = guided or followed or self._last
        return guided or followed

    def _guided(self, image: Image, followed: Box | None, around: Floats) -> Box | None:
        """Return the box as the model would have it; None where it is unsure."""
        height, width = image.shape[:2]
        here = followed or self._last
        seen = self._ask(image, square_round(here, SHOWN)) if can_follow(here, width, height) else NO_HAND
        if seen.sure >= UNSURE:
            self._unseen = 0
            wanted: Box | None = self._pulled(here, laid(seen.box, around), seen.sure, lost=followed is None)
        else:
            wanted = self._found_elsewhere(image, around) if followed is None or seen.sure < NOTHING else None
        return wanted if wanted is not None and can_follow(wanted, width, height) else None

    def _pulled(self, here: Box, wanted: Box, sure: float, *, lost: bool) -> Box:
        """Return the box on its way to where the model would have it, or there."""
        if lost or (sure >= SURE and overlap(here, wanted) < APART):
            return wanted
        at, pull = _center(here), PULL * min((sure - UNSURE) / (SURE - UNSURE), 1.0)
        return _box(at + pull * (_center(wanted) - at))

    def _found_elsewhere(self, image: Image, around: Floats) -> Box | None:
        """Return the box of a hand like the drawn one, wherever it is in the picture; None if none is seen."""
        self._unseen += 1
        if self._unseen % SEARCH_EVERY != 1:
            return None
        seen = self._ask(image, None)
        if seen.sure < SURE or seen.side != self._side:
            return None
        wanted = laid(seen.box, around)
        growth = np.exp(np.abs(_center(wanted)[2:] - _center(self._last)[2:]).mean())
        return wanted if growth <= MOST_GROWTH else None


def square_round(box: Box, times: float) -> Box:
    """Return the square round a box's centre, so many times as wide as its longer side."""
    x, y, w, h = box
    side = max(w, h) * times
    return x + (w - side) / 2, y + (h - side) / 2, side, side


def _center(box: Box) -> Floats:
    """Return (4,) centre x, centre y, log w, log h."""
    return np.asarray(to_center(np.array([box], np.float64))[0])


def _box(center: Floats) -> Box:
    """Undo `_center`."""
    x, y, w, h = (round(float(side), 2) for side in from_center(center[None])[0])
    return x, y, w, h


def around_of(seen: SeenHand, box: Box) -> Floats | None:
    """Return how a box that a person drew lies around the points that the model sees; None where it is unsure.

    Returns:
        (4,) the shift of the centre in sizes of the points' box, and the logarithms of the ratios of the sizes.
    """
    if seen.sure < UNSURE:
        return None
    points = _center(seen.box)
    off = _center(box) - points
    off[:2] /= np.exp(points[2:])
    return _likely(off)


def laid(points: Box, around: Floats) -> Box:
    """Return the box that lies so around the box of the points."""
    center = _center(points)
    off = around.copy()
    off[:2] *= np.exp(center[2:])
    return _box(center + off)


def _likely(around: Floats) -> Floats:
    """Return how a person's boxes lie around the points, from one of them: unlike the usual, as far as that tells.

    One frame tells it as badly as the model sees that frame. What is far from usual is the person's way to draw.
    """
    off = around - USUAL
    return np.asarray(USUAL + off * off**2 / (off**2 + USUALLY_OFF**2))
