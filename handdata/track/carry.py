"""Image trackers: what carries a box on over pictures on which the model is not sure of the hand."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.tracker import Follower, TrackerKind, TrackerSettings
from handdata.geometry import xywh_to_xyxy, xyxy_to_xywh

Image = NDArray[np.uint8]
Carry = Callable[[Image], NDArray[np.float64] | None]  # the next picture -> its box, px, or None where it is lost
ImageTracker = Callable[[Image, NDArray[np.float64]], Carry | None]  # a picture and a box in it -> what carries it on
IMAGE_TRACKERS: tuple[TrackerKind, ...] = get_args(TrackerKind)


def image_tracker(kind: TrackerKind = "medianflow") -> ImageTracker:
    """Return an image tracker of `Tracker`: MedianFlow, or a Kernelized Correlation Filter.

    Pictures are (H, W, 3) uint8 RGB, boxes left, top, right, bottom in px. A box that lies next to wholly outside its
    picture is not carried on: None.
    """
    return partial(_start, kind)


def _start(kind: TrackerKind, image: Image, box_xyxy: NDArray[np.float64]) -> Carry | None:
    x, y, w, h = (float(value) for value in xyxy_to_xywh(box_xyxy))
    try:
        follower = Follower(_bgr(image), (x, y, w, h), TrackerSettings(kind=kind))
    except ValueError:
        return None

    def carry(image: Image) -> NDArray[np.float64] | None:
        box = follower.follow(_bgr(image))
        return None if box is None else xywh_to_xyxy(box)

    return carry


def _bgr(image: Image) -> Image:
    return np.ascontiguousarray(image[..., ::-1])
