"""Pictures with labels of a made hand, to be converted, mended and converted again."""

from pathlib import Path

import cv2
import numpy as np

from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.shards.dataset import Dataset, open_dataset
from handdata.skeleton import KEYPOINTS
from tests.annotate.conftest import textured

PICTURES, WIDTH, HEIGHT, CANVAS = 4, 320, 240, 96
LACKING = "little_tip"  # has no label


def write_native(root: Path) -> Path:
    """Write pictures and labels; the hand's ring fingertip lies beyond the right edge of its picture."""
    root.mkdir(parents=True)
    names = [f"{name}_{part}" for name in KEYPOINTS for part in ("u", "v", "visible")]
    lines = [",".join(["image", "side", "split", "sequence", "frame", *names])]
    for number in range(PICTURES):
        cv2.imwrite(str(root / f"{number}.png"), textured(HEIGHT, WIDTH, number))
        cells = []
        for k, name in enumerate(KEYPOINTS):
            u, v = 150 + 7.0 * k + 1.25 * number, 120 + 60 * np.sin(k)
            place = (WIDTH + 12.5, v) if name == "ring_tip" else (u, v)
            cells += ["", "", ""] if name == LACKING else [*(f"{x:.4f}" for x in place), str(k % 3 - 1)]
        lines.append(",".join([f"{number}.png", "left", "train", f"s{number // 2}", str(number), *cells]))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def converted(native: Path, out: Path, corrections: Path | None = None) -> Dataset:
    """Convert the pictures, with corrections if given."""
    options = CustomOptions(annotations=(native / "labels.csv",), corrections=corrections)
    return open_dataset(convert("custom", native, out, options=options, canvas=CANVAS).out)
