"""Follow one box from picture to picture, by MedianFlow or a Kernelized Correlation Filter. Pure: arrays in, boxes out.

What was measured of the filter on OpenCV 4.14 and 5.0, and decides the defaults here (figures: docs/annotate.md):
- `init` learns nothing. Unless `update` is called once on the same picture, the filter learns the second picture at
  the first picture's place, and every box is off by the first motion. `Follower` primes it.
- `update` answers in whole pixels; so motion is taken relative to where the filter started, and a picture that
  does not move gives back exactly the box that was drawn.
- `init` clips a box to the picture without saying so; the overhang is put back here, by the same trick.
- A lost target is (False, (0, 0, 0, 0)): never a box.
- The time goes with the box's area, with a step where OpenCV halves patches above 80 x 80: pictures are resized so
  that the box is about 100 px wide.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.size import size_change
from handdata.boxes import Box

TrackerKind = Literal["kcf", "medianflow"]
Image = NDArray[np.uint8]

DETECT_THRESH = 0.2  # OpenCV's 0.5 calls a target lost that is still there: 1.8 times the corrections
WORK_SIDE = 100.0  # px, the box's side (root of its area) that pictures are resized for
LARGEST_SIDE = 120.0  # px, above it pictures are shrunk
SLOW_SIDES = (60.0, 85.0)  # px, between them enlarging to WORK_SIDE is faster: OpenCV then halves the patch
MOST_GROWTH = 4.0  # times the size that was drawn; beyond it the size is more likely wrong than right
SMALLEST_PART = 4  # px at working size, of a box inside the picture: less cannot be followed


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How to follow a box.

    Attributes:
        kind: "medianflow", which follows size and is eight times faster, or "kcf".
        detect_thresh: the KCF response below which the target counts as lost.
        resize: whether to work at the size where the box is about 100 px wide.
        follow_size: whether KCF's box grows and shrinks with the flow of what is in it; MedianFlow's always does.
    """

    kind: TrackerKind = "medianflow"
    detect_thresh: float = DETECT_THRESH
    resize: bool = True
    follow_size: bool = True


class Follower:
    """One run of the tracker from a box a person drew.

    Args:
        image: (H, W, 3) uint8 BGR, the picture the box was drawn on; left as it is.
        box: (x, y, w, h) px; may hang over the picture's edge.
        settings: which tracker, how.

    Raises:
        ValueError: the box has next to nothing inside the picture.
    """

    def __init__(self, image: Image, box: Box, settings: TrackerSettings | None = None) -> None:
        settings = settings or TrackerSettings()
        self._box = box
        self._scale = working_scale(box) if settings.resize else 1.0
        small = self._resized(image)
        start = _inside(box, self._scale, small.shape[1], small.shape[0])
        if start is None:
            raise ValueError(f"box {box} lies outside the picture of {image.shape[1]} x {image.shape[0]} px")
        self._tracker = _make(settings)
        self._tracker.init(small, start)
        found, primed = self._tracker.update(small)
        self._start = tuple(primed) if found else start
        self._gray = _to_gray(small) if settings.follow_size and settings.kind == "kcf" else None
        self._growth = 1.0  # since the start
        self._last = box

    def follow(self, image: Image) -> Box | None:
        """Return the box on the next picture, None if it is lost there; the filter goes on learning."""
        small = self._resized(image)
        try:
            found, place = self._tracker.update(small)
        except cv2.error:  # it fails on what it has grown beyond; that is lost, and no end of the work
            return None
        if self._gray is not None:
            self._grow(_to_gray(small), found=found)
        if not found or not np.isfinite(place).all() or min(place[2:]) <= 0:
            return None
        x, y, w, h = self._box
        growth = round(self._growth, 2)  # whole hundredths: a box that only moves keeps its size exactly
        wide, high = w * growth * place[2] / self._start[2], h * growth * place[3] / self._start[3]
        left = x + (place[0] - self._start[0]) / self._scale - (growth - 1) * w / 2
        top = y + (place[1] - self._start[1]) / self._scale - (growth - 1) * h / 2
        self._last = (round(left, 2), round(top, 2), round(wide, 2), round(high, 2))
        return self._last

    def _grow(self, gray: NDArray[np.uint8], *, found: bool) -> None:
        """Note how much what was in the last box grew; while the target is lost, nothing is learnt."""
        if found and self._gray is not None:
            x, y, w, h = (side * self._scale for side in self._last)
            growth = self._growth * size_change(self._gray, gray, (x, y, w, h))
            self._growth = min(max(growth, 1 / MOST_GROWTH), MOST_GROWTH)
        self._gray = gray

    def _resized(self, image: Image) -> Image:
        if self._scale == 1.0:
            return image
        method = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, None, fx=self._scale, fy=self._scale, interpolation=method), np.uint8)


def working_scale(box: Box) -> float:
    """Return by how much to resize pictures before tracking this box."""
    side = float(np.sqrt(box[2] * box[3]))
    slow = SLOW_SIDES[0] < side < SLOW_SIDES[1]
    return WORK_SIDE / side if slow or side > LARGEST_SIDE else 1.0


def can_follow(box: Box, width: int, height: int) -> bool:
    """Say whether enough of the box lies inside a picture of width x height px to be followed."""
    scale = working_scale(box)
    return _inside(box, scale, round(width * scale), round(height * scale)) is not None


def _inside(box: Box, scale: float, width: int, height: int) -> tuple[int, int, int, int] | None:
    left, top = max(0, round(box[0] * scale)), max(0, round(box[1] * scale))
    right, bottom = min(width, round((box[0] + box[2]) * scale)), min(height, round((box[1] + box[3]) * scale))
    if right - left < SMALLEST_PART or bottom - top < SMALLEST_PART:
        return None
    return left, top, right - left, bottom - top


def _to_gray(image: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _make(settings: TrackerSettings) -> Any:
    if settings.kind == "medianflow":
        return cv2.legacy.TrackerMedianFlow_create()  # type: ignore[attr-defined]
    params = cv2.TrackerKCF_Params()  # type: ignore[attr-defined]
    params.detect_thresh = settings.detect_thresh
    return cv2.TrackerKCF.create(params)
