"""Pictures of the page: small ones for the grid, the canvas, the mask and the picture as shipped of one hand."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.check.canvases import close_up
from handdata.pictures.overlay import draw_skeleton
from handdata.shards.hand import Hand
from handdata.shards.schema import MASK_HAND, MASK_OBJECT, MASK_UNKNOWN

SMALL_PX = 192
_QUALITY = [int(cv2.IMWRITE_JPEG_QUALITY), 88]
_FINE = [int(cv2.IMWRITE_JPEG_QUALITY), 94]
_MASK_RGBA = {MASK_HAND: (46, 204, 64, 110), MASK_OBJECT: (255, 140, 0, 110), MASK_UNKNOWN: (130, 130, 130, 80)}


def small_picture(hand: Hand, *, labels: bool = True) -> bytes:
    """Return a JPEG of SMALL_PX px: the hand close up, its labels drawn."""
    near = close_up(hand, SMALL_PX)
    assert near.image is not None  # noqa: S101 - it was just made
    drawn = draw_skeleton(near.image, near.keypoints_2d, near.visible) if labels else near.image
    return as_jpeg(drawn)


def canvas_picture(hand: Hand) -> bytes:
    """Return the canvas as JPEG."""
    assert hand.image is not None  # noqa: S101 - a dataset's hand has its canvas
    return as_jpeg(hand.image, _FINE)


def mask_picture(hand: Hand) -> bytes | None:
    """Return a transparent PNG that lies over the canvas: hand green, object orange; None without a segmentation."""
    labels = hand.mask
    if labels is None and hand.foreground is not None:
        labels = hand.foreground.astype(np.uint8)
    if labels is None:
        return None
    colors = np.zeros((256, 4), np.uint8)
    for label, color in _MASK_RGBA.items():
        colors[label] = color
    return cv2.imencode(".png", cv2.cvtColor(colors[labels], cv2.COLOR_RGBA2BGRA))[1].tobytes()


def as_jpeg(image: NDArray[Any], quality: list[int] = _QUALITY) -> bytes:
    """Return an RGB picture, (H, W, 3) uint8, as JPEG."""
    return cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)[1].tobytes()
