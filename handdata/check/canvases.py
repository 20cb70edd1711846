"""A contact sheet of a converted dataset: its canvases with the labels drawn."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import write_bytes
from handdata.pictures.overlay import contact_sheet, draw_box, draw_skeleton
from handdata.shards.dataset import open_dataset
from handdata.shards.hand import Hand

COLUMNS = 6


def draw_sheet(folder: Path, split: str | None, count: int) -> NDArray[np.uint8]:
    """Draw evenly spread samples of a dataset.

    Args:
        folder: a converted dataset.
        split: "train", "val" or "test"; None takes all.
        count: samples, at most all there are.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MissingError: no complete dataset there, or no such split.
    """
    data = open_dataset(folder, split).spread(count)
    return contact_sheet([_cell(hand) for hand in data], COLUMNS)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture, whole or not at all."""
    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _cell(hand: Hand) -> NDArray[np.uint8]:
    """Draw one canvas, its crop and its skeleton."""
    assert hand.image is not None  # noqa: S101 - a dataset's hand has its canvas
    return draw_skeleton(draw_box(hand.image, hand.crop_box), hand.keypoints_2d, hand.visible)
