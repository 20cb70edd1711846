"""A small converted dataset of real anatomy, and ways to spoil it: the hands of synth/kinematics.py, drawn flat."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

import handdata as hd
from handdata.geometry import crop_affine, mirror_points, project
from handdata.pictures.crops import keypoint_square, scale_about_center
from handdata.shards.index import open_shard
from handdata.shards.reader import INDEX, write_index
from handdata.shards.schema import VERSION, Sample, label_row
from handdata.shards.writer import ShardWriter
from handdata.skeleton import BONES, HAND_SIDES, LEFT, RIGHT, WRIST
from handdata.synth.hand import load_hand
from handdata.synth.keypoints import keypoint_bones, label_points, rotation_centres
from handdata.synth.kinematics import carry, forward, rotation
from handdata.synth.pose import body_of, sample_angles, sample_wrist

CANVAS = 96
K = np.array([[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]])
SIZE = (640, 480)
SCALE = 1.5


@cache
def hands(count: int, seed: int, people: int = 3) -> np.ndarray:
    """Return (count, 21, 3) mm of right hands in front of the camera, turned every way; `people` share them evenly."""
    rng, model, parts = np.random.default_rng(seed), load_hand(), []
    for share in np.array_split(np.arange(count), people):
        beta, scale = model.sample_shape(rng)
        body = body_of(model, beta, scale)
        angles = np.concatenate([sample_angles(rng, len(share)), sample_wrist(rng, len(share))], axis=1)
        rest = label_points(rotation_centres(model, model.shape(beta, scale)[1]), "annotated")
        parts.append(carry(forward(model, body.skeleton, angles), keypoint_bones(), rest))
    xyz = np.concatenate(parts)
    axes = rng.normal(size=(count, 3))
    turns = rotation(axes / np.linalg.norm(axes, axis=1, keepdims=True), rng.uniform(0, 180, count))
    places = np.stack([rng.uniform(-80, 80, count), rng.uniform(-60, 60, count), rng.uniform(400, 700, count)], axis=1)
    return np.einsum("nij,nkj->nki", turns, xyz - xyz.mean(1, keepdims=True)) + places[:, None]


def sample(
    xyz: np.ndarray,
    name: str,
    side: int,
    seed: int,
    *,
    tips_only: bool = False,
    mirrored: bool = False,
    empty: bool = False,
) -> Sample:
    """Make a sample whose picture shows the hand in one colour on a noisy ground; `empty`: in its depth, aside."""
    rng = np.random.default_rng(seed)
    xyz = xyz if side == RIGHT else mirror_points(xyz)
    if empty:
        xyz = xyz + np.array([0.15 * xyz[:, 2].mean() - xyz[:, 0].mean(), 0.0, 0.0])
    uv = project(xyz, K)
    ground = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), SIZE, interpolation=cv2.INTER_LINEAR)
    color = (205, 150, 120)
    if empty:
        ground, color = np.zeros_like(ground), (0, 0, 0)
    for a, b in BONES:
        if empty:
            color = (int(255 - (xyz[a, 2] + xyz[b, 2]) / 2 * 0.25),) * 3
        start, end = (tuple(round(float(c)) for c in uv[k]) for k in (a, b))
        cv2.line(ground, start, end, color, 22 if a == WRIST else 12)
    keep = np.zeros(21, bool)
    keep[[4, 8, 12, 16, 20] if tips_only else slice(None)] = True
    return Sample(
        id=name,
        image=np.ascontiguousarray(ground[:, ::-1]) if mirrored else ground,
        hand_side=side,
        keypoints_2d=np.where(keep[:, None], uv, np.nan),
        keypoints_3d=np.where(keep[:, None], xyz, np.nan),
        K=K,
    )


def row_of(made: Sample, sequence: int, frame: int) -> dict[str, object]:
    """Return the shard row of a sample, as the conversion would make it."""
    crop = keypoint_square(made.keypoints_2d).astype(np.float32)
    A = crop_affine(scale_about_center(crop, SCALE), CANVAS)
    canvas = cv2.warpAffine(made.image, A, (CANVAS, CANVAS), flags=cv2.INTER_LINEAR)
    place = {"image": canvas, "source_to_canvas": A, "crop_xyxy": crop}
    return label_row(made) | place | {
        "sequence": sequence, "camera": 0, "frame": frame, "sample_id": made.id.encode(),
    }  # fmt: skip


def write_shard(path: Path, rows: list[dict[str, object]], sequences: list[str], split: str) -> dict[str, object]:
    """Write rows as one shard and return its index entry."""
    attributes = {"dataset": "made", "split": split, "canvas_scale": SCALE, "options": "{}"}
    writer = ShardWriter(path, len(rows), canvas=CANVAS, attributes=attributes, sequences=sequences, cameras=["main"])
    with writer as shard:
        for row in rows:
            shard.append(row)
    return shard.entry()


def index_of(entries: list[dict[str, object]], sequences: dict[str, list[str]]) -> dict[str, object]:
    """Return index.json for shards."""
    counts = {s: sum(int(e["num_samples"]) for e in entries if e["split"] == s) for s in sequences}
    return {
        "schema": VERSION, "dataset": "made", "num_samples": sum(counts.values()), "canvas_size": CANVAS,
        "canvas_scale": SCALE, "options": {"split_scheme": "default"},
        "splits": {s: {"num_samples": counts[s], "sequences": names} for s, names in sequences.items()},
        "shards": entries, "skipped": {}, "warnings": [],
    }  # fmt: skip


def make_dataset(folder: Path, *, count: int = 120, side: int = LEFT, **how: bool) -> Path:
    """Write `count` samples in train (two sequences, two shards) and val (one sequence, one shard)."""
    names, xyz = ["a", "b", "c"], hands(count, 7)

    def made() -> Iterator[hd.Hand]:
        for sequence, members in enumerate(np.array_split(np.arange(count), 3)):
            for i in members.tolist():
                one = sample(xyz[i], f"{names[sequence]}/{i:04d}", side, i, **how)
                yield hd.Hand(
                    id=one.id,
                    image=one.image,
                    side=HAND_SIDES[one.hand_side],
                    keypoints_2d=one.keypoints_2d,
                    keypoints_3d=one.keypoints_3d,
                    K=one.K,
                    crop_box=keypoint_square(one.keypoints_2d),
                    sequence=names[sequence],
                    camera="main",
                    frame=i,
                    split="train" if sequence < 2 else "val",
                )

    hd.write_dataset(folder, made(), name="made", canvas=CANVAS, canvas_scale=SCALE, shard_hands=-(-count // 3))
    return folder


Rows = list[dict[str, object]]


def rewrite(folder: Path, spoil: Callable[[Rows, str], Rows | None]) -> None:
    """Write every shard again with rows changed by `spoil(rows, split)`, all checksums and the index in order."""
    index = json.loads((folder / INDEX).read_text())
    sequences = {split: facts["sequences"] for split, facts in index["splits"].items()}
    every = sorted({name for names in sequences.values() for name in names})
    entries = []
    for entry in index["shards"]:
        rows = read_rows(folder / entry["file"], every)
        changed = spoil(rows, entry["split"])
        entries.append(write_shard(folder / entry["file"], rows if changed is None else changed, every, entry["split"]))
    write_index(folder, index_of(entries, sequences) | {"options": index["options"]})


def read_rows(path: Path, sequences: list[str]) -> Rows:
    """Return a shard's rows, their `sequence` a number into `sequences`."""
    reader = open_shard(path)
    names = [field.name for field in reader.fields if field.name not in {"row_hash", "image"}]
    return [
        {name: reader[name][i] for name in names}
        | {"image": reader.images[i].copy(), "sequence": sequences.index(reader.sequences[int(reader["sequence"][i])])}
        for i in range(len(reader))
    ]
