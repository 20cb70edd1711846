"""Draw docs/overview.jpg: three canvases of each converted dataset with their labels.

handdata synth all --frames 24 && handdata convert all && python tools/make_overview.py

The thesis' seven stand above, the others below them, marked +.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.geometry import apply_affine
from handdata.paths import find_root
from handdata.pictures.overlay import contact_sheet, draw_skeleton
from handdata.shards.dataset import Dataset, open_dataset

ROWS, TILE, STRIP = 3, 224, 26
TARGET = Path(__file__).resolve().parents[1] / "docs" / "overview.jpg"


def main() -> None:
    names = manifest.in_order()
    thesis = [name for name in names if manifest.load(name).in_thesis]
    others = [name for name in names if name not in thesis]
    bands = [band(thesis, len(thesis)), band(others, len(thesis))]
    cv2.imwrite(str(TARGET), np.vstack(bands)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(TARGET)


def band(names: Sequence[str], columns: int) -> NDArray[np.uint8]:
    """Return ROWS pictures of each dataset under its name, side by side, with room for so many columns."""
    data, ground = find_root(), np.full((TILE, TILE, 3), 24, np.uint8)
    pictures = [column(open_dataset(data.shards(name))) for name in names]
    pictures += [[ground] * ROWS] * (columns - len(names))
    sheet = contact_sheet([tile for row in zip(*pictures, strict=True) for tile in row], columns=columns)
    header = np.full((STRIP, sheet.shape[1], 3), 24, np.uint8)
    for number, name in enumerate(names):
        title = name if manifest.load(name).in_thesis else f"{name} +"
        left = number * sheet.shape[1] // columns + 10
        cv2.putText(header, title, (left, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235, 235, 235), 1, cv2.LINE_AA)
    return np.vstack([header, sheet])


def column(dataset: Dataset) -> list[NDArray[np.uint8]]:
    """Return ROWS pictures of one dataset, spread over those that show the most of the hand."""
    uv = apply_affine(dataset["source_to_canvas"], dataset["keypoints_2d"])
    seen = dataset["in_frame"].sum(-1) + (dataset["visible"] > 0).sum(-1)
    best = np.argsort(-seen, kind="stable")[: max(ROWS, len(dataset) // 3)]
    chosen = np.sort(best)[np.linspace(0, len(best) - 1, ROWS).astype(int)]
    drawn = [draw_skeleton(dataset.image(i), uv[i], dataset["visible"][i], scale=2) for i in map(int, chosen)]
    return [np.asarray(cv2.resize(one, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8) for one in drawn]


if __name__ == "__main__":
    main()
