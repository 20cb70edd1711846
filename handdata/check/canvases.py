"""A contact sheet of a converted dataset: its canvases with the labels drawn."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import write_bytes
from handdata.geometry import crop_affine
from handdata.pictures.close_up import close_window
from handdata.pictures.decode import resample_square
from handdata.pictures.overlay import captioned, contact_sheet, draw_box, draw_skeleton
from handdata.shards.dataset import open_dataset
from handdata.shards.hand import Hand
from handdata.shards.schema import Flag

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


def close_up(hand: Hand, size: int) -> Hand:
    """Return a hand on a picture of `size` px: its whole canvas, or the part about its points if they span little."""
    assert hand.image is not None  # noqa: S101 - a dataset's hand has its canvas
    side = float(hand.size[0])
    window = close_window(hand.keypoints_2d, np.array([0.0, 0.0, side, side]))
    picture = resample_square(hand.image, window, size)
    return hand.on_canvas(picture, crop_affine(window, size), mask=None, foreground=None)


def caption_of(hand: Hand) -> str:
    """Return what is written below a hand: its id, its side, what is to be known of it."""
    flagged = " !" if hand.flags & ~Flag.IMAGE_PADDED else ""
    return f"{hand.id} {hand.side[:1].upper()}{flagged}"


def _cell(hand: Hand) -> NDArray[np.uint8]:
    """Draw one hand close up, its crop and its skeleton, its caption below."""
    near = close_up(hand, hand.size[0])
    assert near.image is not None  # noqa: S101 - it was just made
    drawn = draw_skeleton(draw_box(near.image, near.crop_box), near.keypoints_2d, near.visible)
    return captioned(drawn, caption_of(hand))
