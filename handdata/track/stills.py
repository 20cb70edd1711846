"""Hands in pictures that have nothing to do with each other: a detector, then a model on each box."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.model.model import BATCH, Model, square_of_box
from handdata.model.spots import Spot
from handdata.pictures.crops import scale_about_center
from handdata.pictures.decode import read_image
from handdata.shards.hand import Hand
from handdata.track.around import grown, look_around
from handdata.track.tracker import confidence_of

SEEN = 0.5  # presence of a hand that is one
ROOM = 1.04  # of what the model is shown over a detector's box: it learnt squares 1.3 times those of the keypoints

PictureHands = tuple[Path, NDArray[np.uint8], list[Hand]]


def find_in_pictures(
    paths: Sequence[Path],
    model: Model,
    boxes_of: Callable[[NDArray[np.uint8]], Sequence[Any]],
    *,
    side: str,
    K_of: Callable[[NDArray[np.uint8]], Any] | None = None,
    read_out: str | None = None,
    wider: float | None = None,
) -> Iterator[PictureHands]:
    """Yield each picture with its hands, in order; the model sees many boxes at a time.

    Args:
        paths: of the pictures.
        model: to ask.
        boxes_of: gives the boxes of a picture, xyxy px; a box that is None stands for the largest centred square.
        side: "left", "right" or "auto".
        K_of: gives the (3, 3) intrinsics of a picture, px; None: not known.
        read_out: one of `model.read_outs`; None takes the first.
        wider: look at each box whole, and in one so many times as wide too, and keep what the model is surer of: for
            boxes of a detector, which may hold a fist without its fingers.

    Returns:
        The path, the picture, and a hand for each box. Hands of a picture with several are named "<file>#1" and so on.

    Raises:
        MissingError, DataError: a picture is not there or cannot be read.
        ConfigError: a box lies wholly outside its picture.
    """
    waiting: list[tuple[Path, NDArray[np.uint8], Sequence[Any]]] = []
    for path in paths:
        image = read_image(path)
        boxes = boxes_of(image)
        for box in boxes:
            square_of_box(box, image, str(path))  # refuses one outside under the picture's name
        waiting.append((path, image, boxes))
        if sum(len(boxes) for _, _, boxes in waiting) >= BATCH:
            yield from _answered(waiting, model, side, K_of, read_out, wider)
            waiting = []
    yield from _answered(waiting, model, side, K_of, read_out, wider)


def boxes_of_spots(spots: Sequence[Spot], most_hands: int) -> list[NDArray[np.float64]]:
    """Return the boxes of the best spots as a model is to be shown them."""
    return [scale_about_center(spot.box_xyxy, ROOM) for spot in spots[:most_hands]]


def is_seen(hand: Hand) -> bool:
    """Say whether a hand that nobody pointed at is one to the model.

    The detector sees hands that are a part of the picture. Where it finds none, the picture may be of one hand alone,
    and the model, which is shown its largest centred square, says whether it is.
    """
    if np.isfinite(hand.box).all():
        return not hand.presence < SEEN
    return hand.presence >= SEEN


def _answered(
    waiting: Sequence[tuple[Path, NDArray[np.uint8], Sequence[Any]]],
    model: Model,
    side: str,
    K_of: Callable[[NDArray[np.uint8]], Any] | None,
    read_out: str | None,
    wider: float | None,
) -> Iterator[PictureHands]:
    images = [image for _, image, boxes in waiting for _ in boxes]
    cameras = None if K_of is None else [K_of(image) for image in images]
    asked = [box for _, _, boxes in waiting for box in boxes]
    if wider is None:
        hands = model(images, asked, side, K=cameras, read_out=read_out)
    else:
        room = model.trained.model.zoom
        near, wide = (
            look_around(model, images, boxes, side, room, K=cameras, read_out=read_out)
            for boxes in (asked, [grown(box, wider) for box in asked])
        )
        # the box that was asked for stays with the hand, as that says who pointed at it
        hands = [
            max(one, replace(other, box=one.box), key=confidence_of) for one, other in zip(near, wide, strict=True)
        ]
    begin = 0
    for path, image, boxes in waiting:
        own = hands[begin : begin + len(boxes)]
        begin += len(boxes)
        ids = [path.name] if len(own) == 1 else [f"{path.name}#{i}" for i in range(1, len(own) + 1)]
        yield path, image, [replace(hand, id=name) for hand, name in zip(own, ids, strict=True)]
