"""Rendered hands for the weights that come with the package: shards written directly, a chunk at a time.

Every picture has its own person, pose, object, light, background and camera; every other one is `gritty`, the rest
`clean`. A chunk is a function of its seed and number, so that renders travel as seeds and rendering goes on where it
was stopped. Some chunks hold signs, whose fingers are straight or folded each by itself. A second set shows
what is no hand: backgrounds, and crops that a hand only reaches into; a third what the detector takes for one.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from release_spotted import SUPPOSED, spotted

from handdata.geometry import project
from handdata.model.detector import Spotter
from handdata.shards.index import read_index
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION, Sample, label_row
from handdata.shards.writer import ShardWriter
from handdata.synth.picture import build_picture, render_hand
from handdata.synth.pose import Draw, sample_angles
from handdata.synth.render import build_surface, render_view
from handdata.synth.signs import sample_signs

CANVAS = 192  # px; the crop is about 128 of them, the rest is room to turn and scale
FILL = (0.56, 0.68)  # of the canvas by the hand's longer side
ROOM = 1.29  # crop side over the square round the keypoints
STYLES = ("clean", "gritty")
CHUNK = 2048
SIGNS, MIXED = 10, 18  # of the chunks for training: from the first with signs, from the second every other one
HANDS, EMPTY, SPOTTED = "rendered", "nohand", "spotted"
SEEDS = {("train", HANDS): 1, ("val", HANDS): 2, ("train", EMPTY): 3, ("val", EMPTY): 4, ("train", SPOTTED): 5}
BARE = 0.5  # share of the empty pictures without any hand
AWAY = (0.85, 1.5)  # of the crop side: how far off the middle of the hand is in the others


def is_there(folder: Path, split: str, name: str, number: int) -> bool:
    """Whether a chunk is in the index of its set."""
    return any(entry["file"] == _file(split, number) for entry in _entries(folder, name))


def render_chunk(folder: Path, split: str, name: str, number: int, count: int = CHUNK) -> tuple[str, dict[str, Any]]:
    """Render one shard of a set; return the set's name and what `enter` puts into its index."""
    path = folder / name / _file(split, number)
    path.unlink(missing_ok=True)  # of a rendering that was stopped before it was entered
    facts = {"dataset": name, "split": split, "canvas_scale": 1.5, "options": "{}", "generator": "handdata synth"}
    with ShardWriter(path, count, canvas=CANVAS, attributes=facts, sequences=["still"], cameras=["camera"]) as shard:
        draw = sample_signs if split == "train" and has_signs(number) else sample_angles
        for index in range(number * CHUNK, number * CHUNK + count):
            seed = SEEDS[split, name]
            sample, crop = hand(seed, index, draw) if name == HANDS else WITHOUT[name](seed, index)
            shard.append(_row(sample, crop, index))
    return name, shard.entry()


def has_signs(number: int) -> bool:
    """Whether a chunk for training holds signs."""
    return number >= SIGNS and (number < MIXED or number % 2 == 1)


def enter(folder: Path, name: str, entry: dict[str, Any]) -> None:
    """Enter a chunk in the index of its set."""
    others = [other for other in _entries(folder, name) if other["file"] != entry["file"]]
    shards = sorted([*others, entry], key=lambda one: str(one["file"]))
    write_index(folder / name, {"schema": VERSION, "dataset": name, "origin": "rendered", "shards": shards})


def chunks(folder: Path, split: str, name: str) -> int:
    """Return how many chunks of a split are there."""
    return sum(entry["split"] == split for entry in _entries(folder, name))


def hand(seed: int, index: int, draw: Draw = sample_angles) -> tuple[Sample, NDArray[np.float64]]:
    """Render one hand; return the sample and its crop."""
    frame = render_hand(seed, index, STYLES[index % 2], CANVAS, fill=FILL, draw=draw)
    view, label = frame.views[0], frame.hands[0]
    uv = project(label.keypoints_3d, view.camera.K)
    low, high = uv.min(0) + 0.5, uv.max(0) + 0.5
    center, half = (low + high) / 2, ROOM * float((high - low).max()) / 2
    sample = Sample(
        id=f"{seed}/{index:07d}",
        image=view.image,
        hand_side=label.side,
        keypoints_2d=uv,
        keypoints_3d=label.keypoints_3d,
        palm_center_3d=label.palm_center_3d,
        visible=view.visible[0].astype(np.int8),
        K=view.camera.K,
        has_object=int(frame.has_object),
    )
    return sample, np.concatenate([center - half, center + half])


def empty(seed: int, index: int) -> tuple[Sample, NDArray[np.float64]]:
    """Render a picture in whose middle there is no hand."""
    style, rng = STYLES[index % 2], np.random.default_rng([seed, index])
    options = {"side": None, "small": False, "backgrounds": (), "convention": "annotated"}
    scene, camera = build_picture(seed, index, style, CANVAS, fill=FILL, **options)
    crop_side = CANVAS / 1.5
    angle, away = rng.uniform(0, 2 * np.pi), crop_side * rng.uniform(*AWAY)
    if rng.random() < BARE:
        away = 10 * CANVAS
    K = camera.K + np.array([[0, 0, away * np.cos(angle)], [0, 0, away * np.sin(angle)], [0, 0, 0]])
    camera = replace(camera, K=K)
    return _without_hand(seed, index, render_view(scene, build_surface(scene, (camera,)), camera).image)


def mistaken(seed: int, index: int) -> tuple[Sample, NDArray[np.float64]]:
    """Render what the detector takes for a hand by mistake; as `empty` where it is not mistaken."""
    image = spotted(seed, index, STYLES[index % 2], CANVAS, _detector())
    return empty(seed, index) if image is None else _without_hand(seed, index, image)


WITHOUT = {EMPTY: empty, SPOTTED: mistaken}


def _without_hand(seed: int, index: int, image: NDArray[np.uint8]) -> tuple[Sample, NDArray[np.float64]]:
    nothing = np.full((21, 3), np.nan)
    sample = Sample(
        id=f"{seed}/{index:07d}", image=image, hand_side=0, keypoints_2d=nothing[:, :2], keypoints_3d=nothing
    )
    crop_side = CANVAS / 1.5
    low = (CANVAS - crop_side) / 2
    return sample, np.array([low, low, low + crop_side, low + crop_side])


@cache
def _detector() -> Spotter:
    return Spotter(least_score=SUPPOSED)


def _row(sample: Sample, crop: NDArray[np.float64], index: int) -> dict[str, object]:
    return label_row(sample) | {
        "image": sample.image,
        "source_to_canvas": np.eye(3)[:2],
        "crop_xyxy": crop,
        "sequence": 0,
        "camera": 0,
        "frame": index % 2**31,
        "sample_id": sample.id.encode(),
    }


def _entries(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / name
    return list(read_index(path)["shards"]) if (path / "index.json").is_file() else []


def _file(split: str, number: int) -> str:
    return f"{split}-{number:05d}.h5"
