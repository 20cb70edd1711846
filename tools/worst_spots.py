"""Draw the rendered pictures in which the detector `spotter` errs most, for its card: docs/spotter_worst.jpg.

    python tools/worst_spots.py [--pictures 240]

Held-out pictures of tools/train_spotter.py, larger and of the finer mesh. A picture's errors: hands under no spot of at
least 0.4 with an overlap of 0.3, and the scores of such spots that lie on no hand. Green: hands; yellow: spots.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from train_spotter import STYLES, VAL_SEED

from handdata.geometry import iou
from handdata.model.detector import find_detector
from handdata.model.spots import Spot
from handdata.pictures.overlay import draw_box
from handdata.synth.full_frame import FullFrame, render_full_frame

SHOWN, ROWS, SIZE = 12, 3, (320, 240)
ON = 0.3  # overlap of a spot with the hand that it lies on
HAND, SPOT = (60, 220, 90), (255, 210, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "spotter_worst.jpg")
    options = parser.parse_args()
    detector, worst = find_detector(), list[tuple[float, int, NDArray[np.uint8]]]()
    hands = missed = false = 0
    for index in range(options.pictures):
        frame = render_full_frame(VAL_SEED, index, STYLES[index % 2], SIZE, small=False)
        spots = detector(frame.image)
        gone, beside = errors(frame, spots)
        hands, missed, false = hands + len(frame.sides), missed + gone, false + len(beside)
        worst.append((gone + sum(spot.score for spot in beside), index, drawn(frame, spots)))
        worst = sorted(worst, key=lambda row: (-row[0], row[1]))[:SHOWN]
    print(f"{missed} of {hands} hands missed, {false} spots on no hand, {options.pictures} pictures")
    for error, index, _ in worst:
        print(f"{STYLES[index % 2]} {index}: {error:.2f}")
    sheet = np.stack([picture for *_, picture in worst]).reshape(ROWS, -1, *worst[0][2].shape)
    rows = [np.hstack(list(row)) for row in sheet]
    cv2.imwrite(str(options.out), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])


def errors(frame: FullFrame, spots: Sequence[Spot]) -> tuple[int, list[Spot]]:
    """Return how many hands are under no spot, and the spots that lie on no hand."""
    overlaps = np.array([[iou(spot.box_xyxy, box) for box in frame.boxes_xyxy] for spot in spots])
    overlaps = overlaps.reshape(len(spots), len(frame.sides))
    missed = int((overlaps.max(0, initial=0) < ON).sum())
    return missed, [spot for spot, row in zip(spots, overlaps, strict=True) if row.max(initial=0) < ON]


def drawn(frame: FullFrame, spots: Sequence[Spot]) -> NDArray[np.uint8]:
    """Return a picture with the boxes of its hands and of what was found."""
    image = frame.image
    for box in frame.boxes_xyxy:
        image = draw_box(image, box, HAND)
    for spot in spots:
        image = draw_box(image, spot.box_xyxy, SPOT)
    return image


if __name__ == "__main__":
    main()
