"""Hands whose boxes are known beforehand: a table of boxes instead of a detector and a tracker."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from handdata.boxes import read_boxes
from handdata.errors import DataError
from handdata.track.smooth import HandSmoother, Smoother
from handdata.track.tracker import Pose, TrackedHand, confidence_of

Box = NDArray[np.float64]


def read_given(path: Path, names: Sequence[str] | None) -> list[Box | None]:
    """Return the box of each picture from a table as `handdata annotate-bbox` writes it, None without one.

    Args:
        path: of the table.
        names: of the pictures, by which rows are found; None: rows are the frames of a video, in order.

    Raises:
        MissingError: there is no such file.
        DataError: it is no such table, or names a picture twice.
    """
    rows = read_boxes(path)
    boxes = [None if row.box is None else row.bbox_xyxy for row in rows]
    if names is None:
        return boxes
    by_name: dict[str, Box | None] = {}
    for row, box in zip(rows, boxes, strict=True):
        name = PurePosixPath(row.img_name).name
        if name in by_name:
            raise DataError(path, expected="one row per picture", got=f"two of {name}", fix="Keep one sequence.")
        by_name[name] = box
    return [by_name.get(name) for name in names]


class GivenBoxes:
    """Asks the model in boxes that are given, one after the other, and smooths; one hand per picture.

    Args:
        boxes: left, top, right, bottom, px of each picture that will come, None for a picture without a hand.
        pose: as `Tracker` has it.
        side: "left", "right" or "auto".
        smoother: makes what smooths the hand.
    """

    def __init__(
        self,
        boxes: Iterable[Box | None],
        pose: Pose,
        *,
        side: str = "auto",
        smoother: Callable[[], Smoother] = HandSmoother,
    ) -> None:
        self._boxes, self._pose, self._side, self._smoother = iter(boxes), pose, side, smoother()

    def __call__(self, image: NDArray[np.uint8], seconds: float) -> list[TrackedHand]:
        """Look at the next picture; pictures beyond the boxes have no hand."""
        box = next(self._boxes, None)
        if box is None:
            return []
        hand = self._pose(image, [box], [self._side])[0]
        side_px = float(hand.crop_box[2] - hand.crop_box[0])
        smoothed = self._smoother(hand.keypoints_2d, hand.keypoints_3d_normalized, side_px, hand.side, seconds)
        return [TrackedHand(track=0, state="seen", confidence=confidence_of(hand), hand=hand, smoothed=smoothed)]
