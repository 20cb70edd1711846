"""Hands found in real pictures: by the detector alone, by `predict`, and the keypoints of hands in labelled boxes.

    python benchmarks/find.py [--weights FILE ...] [--sheet FILE]

The pictures of ../shared/samples that show whole hands with labels: never trained on, not part of handdata. The truth
is the square round a hand's keypoints, 1.25 times as large; of the video over a desk a detector's box made as large.

AP: average precision at an overlap (IoU) of 0.3 and 0.5 over all scores. Found: share of hands under a spot of at least
0.4, for `predict` under the square of the points it shows. False: of those, how many per picture lie on no hand, which
may be a hand that nobody labelled. Intervals: bootstrap over pictures, neighbours that look alike drawn together.
Keypoints: mean error in shares of the square of a hand, which `compact` is shown as the labels give it, with its side.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from machine import Result, arguments
from numpy.typing import NDArray
from real import VIDEO
from video import desk, square

from handdata import manifest
from handdata.converters import CONVERTERS
from handdata.geometry import iou
from handdata.model.detector import Spotter
from handdata.model.model import Model, load_model
from handdata.model.spots import Spot
from handdata.model.spotter import LEAST_SCORE
from handdata.pictures.decode import read_image
from handdata.shards.schema import Sample
from handdata.track.stills import Question, find_hands
from handdata.track.tracker import PROPOSED, confidence_of

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from train_spotter import average_precision  # the tool that made the weights

SAMPLES = VIDEO.parents[1]
RECORDING = "dexycb_layout/20221001_171108"
FILES = {  # folder of the pictures, label files, pictures of a block that are alike
    "COCO-WholeBody, 3 pictures of people": ("coco_wholebody", ["coco_wholebody/test_coco_wholebody.json"], 1),
    "OneHand10K, 3 pictures": ("onehand10k", ["onehand10k/test_onehand10k.json"], 1),
    "FreiHAND, 4 versions of 2 shots": ("freihand", ["freihand/annotations.json"], 4),
    "InterHand2.6M, 3 pictures": ("interhand", ["interhand/test_interhand2.6m_data.json"], 1),
    "a grasp, 4 frames of 7 cameras": (RECORDING, [f"{RECORDING}/cvat_kpts/annotations_{n}.xml" for n in (1, 2)], 5),
}
FEWEST = 15  # labelled keypoints of a hand: in the grasp, hidden ones lie parked beside it and are called occluded
BESIDE = "color_000080"  # frame of the grasp whose labels lie beside the hand in every camera (looked at)
PAIR = {"Panoptic, both hands of a picture": ("panoptic", ["panoptic/test_panoptic.json"], 1)}  # one labelled at a time
DESK, DEV, BLOCK = "a hand over a desk, every third frame", "150 pictures that one hand fills", 10
LEVELS = (0.3, 0.5)
SIDES = ("left", "right", "auto")  # as labels number them; of an unknown one the model is asked
MOST_HANDS = 2  # what `predict` asks for, unless it is told
ASKED = 0.02  # least score of spots, for the AP
THUMB = 240  # px of a picture in the sheet


@dataclass
class Scene:
    """A picture with the squares of its hands, (N, 4) px edges."""

    path: Path
    boxes: NDArray[np.float64]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="of other detectors, scored too")
    parser.add_argument("--sheet", type=Path, help="PNG of every twelfth picture: truth green, spots red")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    result, sets, shipped = Result("hands found in real pictures"), dict(real_sets()), Spotter(least_score=ASKED)
    detectors = {"spotter": shipped} | {str(path): Spotter(path, ASKED) for path in options.weights}
    for name, detector in detectors.items():
        for what, (scenes, block) in sets.items():
            spots = [detector(read_image(scene.path)) for scene in scenes]
            result.rows[f"{name}: {what}"] = measures(spots, scenes, block)
    model, likely = load_model("compact", "cpu"), Spotter(least_score=PROPOSED)
    for what, (scenes, block) in sets.items():
        spots = list(predicted(model, likely, scenes))
        result.rows[f"predict: {what}"] = measures(spots, scenes, block, 0.0)
    for what, (folder, files, _) in (FILES | PAIR).items():
        result.rows[f"keypoints: {what}"] = keypoint_errors(model, folder, files)
    if options.sheet:
        draw(options.sheet, Spotter(), [scene for scenes, _ in sets.values() for scene in scenes][::12])
    result.finish(as_json=options.json)


# ------------------------------------------------------------------------------------------------ pictures


def real_sets() -> Iterator[tuple[str, tuple[list[Scene], int]]]:
    """Yield each set: its name, its pictures, and how many neighbours are alike."""
    frames, boxes = sorted((VIDEO / "frames").glob("*.jpg")), desk(VIDEO).boxes
    whole = [Scene(path, np.array(own).reshape(-1, 4)) for path, own in zip(frames, boxes, strict=True)]
    yield DESK, (whole[::3], BLOCK)
    samples = json.loads((SAMPLES / "real_dev/labels.json").read_text())["samples"]
    filled = [(one["image"], square(np.array(one["keypoints_2d"]) + 0.5)) for one in samples]
    yield DEV, ([Scene(SAMPLES / "real_dev" / name, box[None]) for name, box in filled], 3 * BLOCK)
    for name, (folder, files, block) in FILES.items():
        yield name, (list(labelled(folder, files)), block)


def labelled(folder: str, files: Sequence[str]) -> Iterator[Scene]:
    """Yield pictures with the squares of their hands."""
    boxes: dict[Path, list[NDArray[np.float64]]] = {}
    for path, sample in hands_of(folder, files):
        boxes.setdefault(path, []).append(box_of(sample))
    for path, own in boxes.items():
        yield Scene(path, np.array(own))


def hands_of(folder: str, files: Sequence[str]) -> Iterator[tuple[Path, Sample]]:
    """Yield every hand with the file of its picture, as the importer of labels reads it."""
    facts, converter = manifest.load("custom"), CONVERTERS["custom"]
    options = converter.OPTIONS(annotations=tuple(SAMPLES / file for file in files), occluded="missing")
    plan = converter.plan(SAMPLES / folder, facts, options)
    read = converter.reader(plan.root, facts, options)
    for item in plan.items:
        sample = read(item)
        if np.isfinite(sample.keypoints_2d).all(-1).sum() >= FEWEST and BESIDE not in item.image:
            yield plan.root / item.image, sample


def box_of(sample: Sample) -> NDArray[np.float64]:
    """Return the square round the labelled keypoints of a hand."""
    return square(sample.keypoints_2d[np.isfinite(sample.keypoints_2d).all(-1)] + 0.5)


def keypoint_errors(model: Model, folder: str, files: Sequence[str]) -> dict[str, float]:
    """Return the mean and the median over hands of the 2D error, shares of the square."""
    errors = []
    for _, sample in hands_of(folder, files):
        box, side = box_of(sample), SIDES[sample.hand_side]
        found = model(np.asarray(sample.image), tuple(box), side).keypoints_2d
        errors.append(float(np.nanmean(np.linalg.norm(found - sample.keypoints_2d, axis=1)) / (box[2] - box[0])))
    return {"hands": len(errors), "mean": float(np.mean(errors)), "median": float(np.median(errors))}


def predicted(model: Model, detector: Spotter, scenes: Sequence[Scene]) -> Iterator[list[Spot]]:
    """Yield the squares of the points that `predict` shows of each picture."""
    for _, _, hands in find_hands([scene.path for scene in scenes], model, detector, Question(side="auto"), MOST_HANDS):
        yield [Spot(square(hand.keypoints_2d + 0.5), confidence_of(hand), hand.side) for hand in hands]


# ------------------------------------------------------------------------------------------------ measures


def measures(
    spots: Sequence[Sequence[Spot]], scenes: Sequence[Scene], block: int, least: float = LEAST_SCORE
) -> dict[str, float]:
    """Return what is found at both overlaps, with the interval of the first, and what is false."""
    row: dict[str, float] = {"hands": sum(len(scene.boxes) for scene in scenes)}
    for level in LEVELS:
        hits = [matched(own, scene.boxes, level) for own, scene in zip(spots, scenes, strict=True)]
        row[f"AP{round(100 * level)}"] = average_precision([one for own in hits for one in own], row["hands"])
        counts = np.array([sum(hit for score, hit in one if score >= least) for one in hits], float)
        row[f"found{round(100 * level)}"] = counts.sum() / row["hands"]
        if level == LEVELS[0]:
            wrong = [sum(not hit for score, hit in one if score >= least) for one in hits]
            row["false"] = float(np.mean(wrong))
            row["low"], row["high"] = interval(counts, np.array([len(scene.boxes) for scene in scenes]), block)
    return row


def matched(spots: Sequence[Spot], boxes: NDArray[np.float64], level: float) -> list[tuple[float, bool]]:
    """Return the score of every spot, best first, and whether it is the first on a hand."""
    free, found = list(boxes), list[tuple[float, bool]]()
    for spot in sorted(spots, key=lambda one: -one.score):
        overlaps = [float(iou(spot.box_xyxy, box)) for box in free]
        hit = bool(overlaps) and max(overlaps) >= level
        if hit:
            free.pop(int(np.argmax(overlaps)))
        found.append((spot.score, hit))
    return found


def interval(found: NDArray[np.float64], hands: NDArray[np.int64], block: int) -> tuple[float, float]:
    """Return the 95 % interval of the share that is found, by 2,000 draws of blocks with seed 0."""
    rng, starts = np.random.default_rng(0), np.arange(0, len(found), block)
    per_block = np.add.reduceat(found, starts), np.add.reduceat(hands, starts)
    draws = rng.integers(0, len(starts), (2000, len(starts)))
    shares = per_block[0][draws].sum(1) / np.maximum(per_block[1][draws].sum(1), 1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def draw(path: Path, detector: Spotter, scenes: Sequence[Scene]) -> None:
    """Write pictures with the truth in green and spots in red."""
    tiles = []
    for scene in scenes:
        image = read_image(scene.path)[..., ::-1].copy()
        scale, tile = THUMB / max(image.shape[:2]), np.zeros((THUMB, THUMB, 3), np.uint8)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        spots = [spot.box_xyxy for spot in detector(image[..., ::-1])]
        for boxes, color in ((scene.boxes, (0, 220, 0)), (spots, (0, 0, 255))):
            for box in boxes:
                left, top, right, bottom = (int(edge * scale) for edge in box)
                cv2.rectangle(small, (left, top), (right, bottom), color, 1)
        tile[: small.shape[0], : small.shape[1]] = small
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles), 8)]))


if __name__ == "__main__":
    main()
