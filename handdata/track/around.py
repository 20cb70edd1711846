"""A model asked about boxes that are where a hand was or may be: it sees all of each, however close it looks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.model.model import Model
from handdata.pictures.crops import scale_about_center
from handdata.shards.hand import Hand


def grown(box: Any, factor: float) -> Any:
    """Return a box so many times as wide; None, the largest centred square, stays."""
    return None if box is None else scale_about_center(np.asarray(box, float), factor)


def look_around(
    model: Model, images: Sequence[NDArray[np.uint8]], boxes: Sequence[Any], side: Any, room: float, **asked: Any
) -> list[Hand]:
    """Return a hand for each box, looked at in one `room` times as wide; box and square are those that were given."""
    hands = model(list(images), [grown(box, room) for box in boxes], side, **asked)
    return [
        hand if box is None
        else replace(hand, box=np.asarray(box, float), crop_box=scale_about_center(hand.crop_box, 1 / room))
        for hand, box in zip(hands, boxes, strict=True)
    ]  # fmt: skip
