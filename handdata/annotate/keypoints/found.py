"""What a model finds in a picture, as proposals for the person: 21 points per hand, each with how far to trust it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.tracker import Image
from handdata.geometry import iou
from handdata.pictures.crops import meets_picture
from handdata.shards.hand import Hand

Floats = NDArray[np.float64]

MARGIN = 1.3  # of what the model is shown over the square round keypoints
APART = 0.3  # overlap of boxes below which two hands are two
NEAR = 30  # frames within which a hand that is found is one that was there
SURE_SD, DOUBTFUL_SD = 0.035, 0.12  # of the crop's side: of a point whose peak is 1, and 0

FindHands = Callable[[Image], list[Hand]]  # RGB picture -> its hands, surest first
AskedPose = Callable[[Image, Sequence[Floats], Sequence[str]], list[Hand]]  # (RGB picture, boxes, sides) -> a hand each


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A hand that a model found.

    Attributes:
        uv: (21, 2) px.
        sd: (21,) px, how far off each is, one standard deviation.
        side: "left" or "right".
        box: (4,) px, the square that was looked at.
        pose: (21, 3) normalised, camera axes.
        presence: of a hand, 0..1.
    """

    uv: Floats
    sd: Floats
    side: str
    box: Floats
    pose: Floats
    presence: float


@dataclass(frozen=True)
class Finder:
    """What finds hands, and a model of 21 points.

    Attributes:
        hands: finds the hands of a picture, the surest first.
        pose: finds points in boxes.
        most_hands: of one picture.
        side: to tell the model, "left" or "right", or "auto" to ask it.
    """

    hands: FindHands
    pose: AskedPose
    most_hands: int = 2
    side: str = "auto"

    def look(self, image: Image, known: Mapping[int, tuple[Floats, str]]) -> tuple[dict[int, Found], list[Found]]:
        """Look at a picture.

        Args:
            image: (H, W, 3) uint8 BGR.
            known: box of the points, px, and side of the hands that are known to be there, by number.

        Returns:
            What was found of those, by number; and hands beyond them, the surest first.
        """
        rgb = np.ascontiguousarray(image[..., ::-1])
        asked = {
            n: (square, side if side in ("left", "right") else self.side)
            for n, (box, side) in known.items()
            if (square := _shown(box, rgb)) is not None
        }
        squares = [square_shown(box) for box, _ in known.values()]
        answers = self.pose(rgb, [box for box, _ in asked.values()], [s for _, s in asked.values()]) if asked else []
        mine = {number: _found(hand) for number, hand in zip(asked, answers, strict=True)}
        room = self.most_hands - len(known)
        new = [_found(hand) for hand in self.hands(rgb)] if room > 0 else []
        return mine, [one for one in new if all(iou(one.box, square) < APART for square in squares)][:room]


def _found(hand: Hand) -> Found:
    side_px = float(hand.crop_box[2] - hand.crop_box[0])
    peaks = np.ones(len(hand.keypoints_2d)) if hand.peaks is None else np.clip(np.asarray(hand.peaks, np.float64), 0, 1)
    sd = side_px * (DOUBTFUL_SD + (SURE_SD - DOUBTFUL_SD) * peaks)
    presence = float(hand.presence) if np.isfinite(hand.presence) else 1.0
    uv, pose = np.asarray(hand.keypoints_2d, np.float64), np.asarray(hand.keypoints_3d_normalized, np.float64)
    return Found(uv, sd, hand.side, np.asarray(hand.crop_box, np.float64), pose, presence)


def overlap(seen: Mapping[tuple[int, int], Found], number: int, frame: int, found: Found) -> float:
    """Return how far a hand overlaps with where one was seen last, by frame and number, -1 if that was too long ago."""
    for away in range(1, NEAR + 1):
        for other in (frame - away, frame + away):
            there = seen.get((other, number))
            if there is not None:
                same_side = 0.3 if there.side == found.side else 0.0
                return float(iou(there.box, found.box)) + same_side / away
    return -1.0


def square_shown(box: Floats) -> Floats:
    """Return the square that the model is to be shown of a hand whose points lie in a box, px."""
    return _square(box, MARGIN)


def _square(box: Floats, times: float) -> Floats:
    center, half = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 8.0) * times / 2
    return np.concatenate([center - half, center + half])


def _shown(box: Floats, image: Image) -> Floats | None:
    """Return the square to show the model, None if it lies outside the picture."""
    square, (height, width) = square_shown(box), image.shape[:2]
    return square if meets_picture(square, width, height) else None
