"""A made sequence with a hand of dots whose motion is known, and a finder that is off by a known error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.found import Finder
from handdata.annotate.keypoints.template import in_box
from handdata.shards.hand import Hand
from tests.annotate.conftest import textured

WIDTH, HEIGHT, NUM_FRAMES = 200, 150, 12
OFF = 6.0  # px that the finder is off by, to the right


def truth(frame: int) -> NDArray[np.float64]:
    """The hand moves 3 px right and 1 px down per frame."""
    return in_box((20 + 3 * frame, 20 + frame, 110 + 3 * frame, 110 + frame), "right")


def write_pictures(folder: Path, frames: int = NUM_FRAMES) -> None:
    """Write the pictures: a textured patch that moves with the hand before a dim ground."""
    ground, patch = textured(HEIGHT, WIDTH, 1) // 4, textured(100, 100, 2)
    for frame in range(frames):
        image = ground.copy()
        image[15 + frame : 115 + frame, 15 + 3 * frame : 115 + 3 * frame] = patch
        cv2.imwrite(str(folder / f"f_{frame}.png"), image)


def made_finder(offset: float = OFF, peak: float = 0.5) -> Finder:
    """A finder that knows where the patch is, and is off by `offset` px at every point."""

    def frame_of(image: NDArray[np.uint8]) -> int:
        bright = image.astype(int).sum(2)
        frames = [bright[15 + f : 115 + f, 15 + 3 * f : 115 + 3 * f].sum() for f in range(NUM_FRAMES)]
        return int(np.argmax(frames))

    def hands(image: NDArray[np.uint8]) -> list[Hand]:
        uv = truth(frame_of(image))
        return pose(image, [np.concatenate([uv.min(0) - 15, uv.max(0) + 15])], ["right"])

    def pose(image: NDArray[np.uint8], boxes: Sequence[Any], sides: Sequence[str]) -> list[Hand]:
        uv = truth(frame_of(image)) + np.array([offset, 0.0])
        rest = {"keypoints_3d_normalized": np.zeros((21, 3)), "peaks": np.full(21, peak), "presence": 0.95}
        return [
            Hand(
                image=image,
                side=side.replace("auto", "right"),
                keypoints_2d=uv,
                crop_box=np.asarray(box, float),
                **rest,
            )
            for box, side in zip(boxes, sides, strict=True)
        ]

    return Finder(hands, pose, most_hands=1)
