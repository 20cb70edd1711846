"""How unlike the hand that was drawn what lies in a box is: by its colours. Pure.

A tracker that has slid onto the desk still says that all is well; the colours in its box tell. Hue and saturation
alone, so that light and shadow matter less. Source of the distance: Bhattacharyya, as in OpenCV's compareHist.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.boxes import Box

SIDE = 48  # px, what is compared is resized to
BINS = (16, 8)  # of hue and saturation
LIKE, UNLIKE = (
    0.2,
    0.6,
)  # distance: doubt goes from 0 to 1; hands lie at 0.1 to 0.45, desks from 0.3 on

Image = NDArray[np.uint8]
Look = NDArray[np.float32]


def look_of(image: Image, box: Box) -> Look | None:
    """Return the colours in a box of a picture, (H, W, 3) uint8 BGR; None if less than a pixel of it is inside."""
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = max(0, round(box[0] + box[2])), max(0, round(box[1] + box[3]))
    part = image[top:bottom, left:right]
    if not part.size:
        return None
    small = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    colors = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([colors], [0, 1], None, list(BINS), [0, 180, 0, 256])
    return np.asarray(counts / (SIDE * SIDE), np.float32)


def unlikeness(drawn: Look | None, now: Look | None) -> float:
    """Return the doubt that two looks are of one hand: 0 alike .. 1 nothing alike, or nothing to see."""
    if drawn is None or now is None:
        return 1.0
    distance = cv2.compareHist(drawn, now, cv2.HISTCMP_BHATTACHARYYA)
    return round(float(np.clip((distance - LIKE) / (UNLIKE - LIKE), 0.0, 1.0)), 3)
