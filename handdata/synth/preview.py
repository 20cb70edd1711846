"""A contact sheet of rendered hands with their labels, to look at before rendering many."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.files.whole import write_bytes
from handdata.pictures.overlay import contact_sheet, draw_skeleton
from handdata.synth.frame import Frame, Style, project_world
from handdata.synth.picture import render_hand

PREVIEW_PX = 256
SMALL_PX = 128


def draw_frame(frame: Frame) -> NDArray[np.uint8]:
    """Return the first view of a frame, its hands' skeletons drawn; hollow dots are hidden keypoints."""
    view = frame.views[0]
    image = view.image
    for number, hand in enumerate(frame.hands):
        image = draw_skeleton(image, project_world(hand.keypoints_3d, view.camera), view.visible[number])
    return image


def write_preview(
    path: Path, count: int, *, seed: int, style: Style, small: bool, backgrounds: tuple[str, ...] = ()
) -> None:
    """Write a PNG of `count` random hands: the row as rendered, below it the same with labels.

    Args:
        path: of the sheet; its folder is made.
        count: hands.
        seed: of the rendering.
        style: look of light, noise, skin and backgrounds.
        small: the coarse mesh and smaller pictures.
        backgrounds: picture files; procedural ones when empty.
    """
    size = SMALL_PX if small else PREVIEW_PX
    columns = min(6, count)
    tiles: list[NDArray[np.uint8]] = []
    for start in range(0, count, columns):
        row = [
            render_hand(seed, index, style, size, small=small, backgrounds=backgrounds)
            for index in range(start, min(start + columns, count))
        ]
        blank = [np.full((size, size, 3), 24, np.uint8)] * (columns - len(row))
        tiles += [frame.views[0].image for frame in row] + blank + [draw_frame(frame) for frame in row] + blank
    encoded = cv2.imencode(".png", np.ascontiguousarray(contact_sheet(tiles, columns)[..., ::-1]))[1]
    write_bytes(path, encoded.tobytes())
