"""What the detector takes for a hand and is none, out of full rendered pictures: what the presence head must refuse.

Half of the pictures carry prints besides: lines, rings and letters, on a plate or on whatever is there. A hand is asked
about in the boxes that `spotter` supposes; so are these, and most of them are small.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.model.detector import Spotter
from handdata.pictures.crops import scale_about_center, share_of_smaller, square_of
from handdata.pictures.decode import resample_square
from handdata.synth.full_frame import render_full_frame

SIZE = (320, 240)  # px of a full picture
SUPPOSED = 0.1  # score from which a spot is one to be refused
ON_NONE = 0.2  # share of the smaller in the other, of a spot and a hand, below which the spot is on none
PRINTED, MOST_PRINTS = 0.5, 8  # share of pictures with prints, and how many at most
EXTENT = (6.0, 60.0)  # px of a print
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ2345678&@#%"

Image = NDArray[np.uint8]


def spotted(seed: int, index: int, style: str, canvas: int, detector: Spotter) -> Image | None:
    """Return (canvas, canvas, 3) uint8, a spot on no hand in 1.5 times its square; None where there is none."""
    rng = np.random.default_rng([seed, index])
    full = render_full_frame(seed, index, style, SIZE)
    picture = full.image
    if rng.random() < PRINTED:
        picture = picture.copy()
        for _ in range(int(rng.integers(1, MOST_PRINTS + 1))):
            _print(rng, picture)
    boxes = [scale_about_center(square_of(spot.box_xyxy), rng.uniform(0.9, 1.4)) for spot in detector(picture)]
    free = [box for box in boxes if all(share_of_smaller(box, hand) < ON_NONE for hand in full.boxes_xyxy)]
    if not free:
        return None
    return resample_square(picture, scale_about_center(free[int(rng.integers(len(free)))], 1.5), canvas)


def _print(rng: np.random.Generator, picture: Image) -> None:
    """Draw lines, a ring or letters into a picture, in one colour, some on a plate of another."""
    height, width = picture.shape[:2]
    extent, middle = float(np.exp(rng.uniform(*np.log(EXTENT)))), rng.uniform((0, 0), (width, height))
    color = tuple(int(channel) for channel in rng.integers(0, 256, 3))
    thick = int(rng.integers(1, 2 + int(extent > 20)))
    if rng.random() < 0.4:
        plate = tuple(int(channel) for channel in rng.integers(0, 256, 3) * rng.uniform(0.1, 1))
        half = extent * rng.uniform(0.6, 2.5, 2)
        box = cv2.boxPoints((middle.tolist(), (2 * half).tolist(), float(rng.uniform(0, 180))))
        cv2.fillPoly(picture, [np.round(box).astype(np.int32)], plate, cv2.LINE_AA)
    kind = rng.random()
    if kind < 0.6:
        for line in _lines(rng, middle, extent):
            cv2.polylines(picture, [np.round(line).astype(np.int32)], False, color, thick, cv2.LINE_AA)
    elif kind < 0.8:
        axes = np.maximum(extent / 2 * rng.uniform(0.4, 1, 2), 1)
        start, turn = rng.uniform(0, 360, 2)
        center = tuple(np.round(middle).astype(int).tolist())
        cv2.ellipse(picture, center, tuple(np.round(axes).astype(int).tolist()), float(turn), float(start),
                    float(start + rng.uniform(90, 360)), color, thick, cv2.LINE_AA)  # fmt: skip
    else:
        text = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 6))))
        at = tuple(np.round(middle).astype(int).tolist())
        cv2.putText(picture, text, at, int(rng.integers(0, 8)), extent / 40, color, thick, cv2.LINE_AA)


def _lines(rng: np.random.Generator, middle: NDArray[np.float64], extent: float) -> Iterator[NDArray[np.float64]]:
    """Yield one to five lines of two to five points, most of them out of one point, as fingers are."""
    root = middle + rng.normal(0, extent / 4, 2)
    turn = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(1, 6))):
        start = root if rng.random() < 0.7 else middle + rng.normal(0, extent / 3, 2)
        angles = turn + np.cumsum(rng.normal(0, 0.6, int(rng.integers(1, 5))))
        steps = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.15, 0.5, (len(angles), 1)) * extent
        yield np.concatenate([start[None], start + np.cumsum(steps, 0)])
        turn += rng.normal(0, 0.5)
