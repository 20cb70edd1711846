"""A contact sheet of a converted dataset: its canvases with the labels drawn."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import write_bytes
from handdata.geometry import apply_affine
from handdata.pictures.overlay import contact_sheet, draw_box, draw_skeleton
from handdata.shards.dataset import Dataset, open_dataset

COLUMNS = 6
_DRAWN = ("source_to_canvas", "keypoints_2d", "crop_xyxy", "visible")


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
    dataset = open_dataset(folder, split)
    return contact_sheet([_cell(dataset, sample) for sample in spread(len(dataset), count)], COLUMNS)


def spread(total: int, count: int) -> list[int]:
    """Return up to `count` of 0 .. total - 1, evenly spaced from the first on."""
    return [int(i) for i in np.linspace(0, total, min(count, total), endpoint=False)]


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture, whole or not at all."""
    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _cell(dataset: Dataset, sample: int) -> NDArray[np.uint8]:
    """Draw one canvas, its crop and its skeleton."""
    shard, row = dataset.locate(sample)
    labels: dict[str, Any] = {name: dataset.reader(shard).view(name)[row] for name in _DRAWN}
    to_canvas = labels["source_to_canvas"]
    crop = apply_affine(to_canvas, labels["crop_xyxy"].reshape(2, 2) - 0.5) + 0.5
    boxed = draw_box(dataset.image(sample), crop.ravel())
    return draw_skeleton(boxed, apply_affine(to_canvas, labels["keypoints_2d"]), labels["visible"])
