"""Draw the rendered hands that the weights `compact` place worst, for their card: docs/compact_worst.jpg.

    python tools/worst_hands.py [--hands 256]

Held-out hands of tools/train_release.py, sides told; of each the picture with what was found, and the label under it.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from release_hands import SEEDS, hand

from handdata.geometry import crop_affine
from handdata.model.model import load_model
from handdata.pictures.decode import resample_square
from handdata.pictures.overlay import draw_skeleton
from handdata.skeleton import HAND_SIDES

SHOWN, TILE_PX, BATCH = 12, 160, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "compact_worst.jpg")
    options = parser.parse_args()
    model, worst = load_model("compact", "cpu"), []
    for first in range(0, options.hands, BATCH):
        samples = [hand(SEEDS["val", "rendered"], index) for index in range(first, min(first + BATCH, options.hands))]
        images, crops = [np.asarray(sample.image) for sample, _ in samples], [crop for _, crop in samples]
        found = model(images, crops, [HAND_SIDES[sample.hand_side] for sample, _ in samples])
        for one, (sample, crop), image in zip(found, samples, images, strict=True):
            apart = np.linalg.norm(one.keypoints_2d - sample.keypoints_2d, axis=1).mean() / (crop[2] - crop[0])
            worst.append((float(apart), sample.id, tile(image, crop, one.keypoints_2d, sample.keypoints_2d)))
        worst = sorted(worst, key=lambda row: (-row[0], row[1]))[:SHOWN]
    for apart, name, _ in worst:
        print(f"{name}: {apart:.3f} of the crop")
    sheet = np.hstack([picture for _, _, picture in worst])
    half = sheet.shape[1] // 2
    picture = np.vstack([sheet[:, :half], sheet[:, half:]])[..., ::-1]
    cv2.imwrite(str(options.out), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


def tile(image: np.ndarray, crop: np.ndarray, found: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the crop with what was found, over the crop with the label."""
    A, shown = crop_affine(crop, TILE_PX), resample_square(image, crop, TILE_PX)
    return np.vstack([draw_skeleton(shown, points @ A[:, :2].T + A[:, 2]) for points in (found, label)])


if __name__ == "__main__":
    main()
