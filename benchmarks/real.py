"""Real pictures, from rendered hands alone (issue 6): trained runs against the few that ../shared/samples holds.

    python benchmarks/real.py RUN ... [--sheet FILE]

One video of a hand over a desk (tracking/hand_desk): nine of its frames, labelled by us by eye in real.csv, and the
boxes of an independent hand detector in all others. It is one hand of one person in one light: enough to compare two
trainings and to look at, not to tell how good one is. Labels by eye are good to about 0.02 of the crop.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from machine import Aim, Result, arguments
from numpy.typing import NDArray

from handdata.geometry import crop_affine, iou
from handdata.model.model import load_model
from handdata.pictures.crops import scale_about_center, square_of
from handdata.pictures.decode import resample_square
from handdata.pictures.overlay import draw_skeleton
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS

VIDEO = Path(__file__).resolve().parents[2] / "shared/samples/tracking/hand_desk"
LABELS = Path(__file__).with_name("real.csv")
CROP = 1.5  # sides of the detector's box: the hand fills two thirds, as GANerated's do
SHOWN_PX = 256


@dataclass(frozen=True)
class Frame:
    """One frame: where the hand is, and where its points are if somebody looked."""

    number: int
    box_xyxy: NDArray[np.float64]
    points: NDArray[np.float64] | None  # (21, 2) px, NaN where hidden

    @property
    def crop(self) -> NDArray[np.float64]:
        return scale_about_center(square_of(self.box_xyxy), CROP)

    @property
    def side(self) -> float:
        return float(self.crop[2] - self.crop[0])

    @property
    def path(self) -> Path:
        return VIDEO / f"frames/{self.number:04d}.jpg"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="names under runs/, or folders")
    parser.add_argument("--sheet", type=Path, help="PNG of the labelled frames with what the last run found")
    options = parser.parse_args()
    if not VIDEO.is_dir():
        raise SystemExit(f"{VIDEO}: not here; the real pictures lie beside the checkout only where handdata is built")
    frames, result, found = read_frames(), Result("real pictures"), []
    for run in options.runs:
        found = load_model(run)([frame.path for frame in frames], [frame.crop for frame in frames], "right")
        errors = [error_2d(frame, one) for frame, one in zip(frames, found, strict=True) if frame.points is not None]
        overlaps = [overlap(frame, one) for frame, one in zip(frames, found, strict=True)]
        result.rows[str(run)] = {"2D of the crop": float(np.mean(errors)), "box IoU": float(np.mean(overlaps))}
    mean = mean_position(frames)
    result.notes.append(f"the mean position of the other labelled frames: 2D {mean:.3f}; they look much alike")
    result.aims.append(Aim("2D error", float(np.mean(errors)), 0.028, at_least=False, unit="of the crop"))
    if options.sheet:
        draw(options.sheet, frames, found)
    result.finish(as_json=options.json)


def read_frames() -> list[Frame]:
    with LABELS.open() as file:
        labels = {int(row["image"].split(".")[0]): row for row in csv.DictReader(file)}
    with (VIDEO / "boxes.csv").open() as file:
        boxes = {int(row["frame"]): row for row in csv.DictReader(file) if row["x"]}
    frames = []
    for number, row in boxes.items():
        x, y, w, h = (float(row[key]) for key in "xywh")
        points = _points(labels[number]) if number in labels else None
        frames.append(Frame(number, np.array([x, y, x + w, y + h]), points))
    return frames


def error_2d(frame: Frame, found: Hand) -> float:
    """Return the mean distance over labelled points, in sides of the crop."""
    assert frame.points is not None
    return float(np.nanmean(np.linalg.norm(found.keypoints_2d - frame.points, axis=1)) / frame.side)


def overlap(frame: Frame, found: Hand) -> float:
    """Return the intersection over union of the detector's box and that of the 21 points."""
    points = np.concatenate([found.keypoints_2d.min(0), found.keypoints_2d.max(0)])
    return float(iou(points, frame.box_xyxy))


def mean_position(frames: Sequence[Frame]) -> float:
    """Return the error of answering with the mean of the other labelled frames."""
    placed = [(frame.points - frame.crop[:2]) / frame.side for frame in frames if frame.points is not None]
    errors = []
    for i, points in enumerate(placed):
        others = np.nanmean(np.stack(placed[:i] + placed[i + 1 :]), axis=0)
        errors.append(float(np.nanmean(np.linalg.norm(others - points, axis=1))))
    return float(np.mean(errors))


def draw(path: Path, frames: Sequence[Frame], found: Sequence[Hand]) -> None:
    tiles = []
    for frame, one in zip(frames, found, strict=True):
        if frame.points is None:
            continue
        A = crop_affine(one.crop_box, SHOWN_PX)
        tile = resample_square(one.image, one.crop_box, SHOWN_PX)
        tiles.append(draw_skeleton(tile, one.keypoints_2d @ A[:, :2].T + A[:, 2]))
    path.write_bytes(cv2.imencode(".png", np.hstack(tiles)[..., ::-1])[1].tobytes())


def _points(row: dict[str, str]) -> NDArray[np.float64]:
    return np.array([[float(row[f"{name}_{axis}"] or "nan") for axis in "uv"] for name in KEYPOINTS])


if __name__ == "__main__":
    main()
