"""Small converted datasets made without any converter: noise or dots at known places, written by the real writer."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handdata.geometry import crop_affine, project
from handdata.pictures.crops import scale_about_center, square_of
from handdata.pictures.decode import resample_kept, resample_mask, resample_square
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION, Sample, label_row
from handdata.shards.writer import ShardWriter
from handdata.skeleton import FINGERS

WIDTH, HEIGHT = 320, 240
K = np.array([[300.0, 0.0, 155.3], [0.0, 306.0, 122.7], [0.0, 0.0, 1.0]])  # fx and fy differ, as Dexter+Object's do
KEY = (14, 255, 14)


def made_pose(rng: np.random.Generator, *, spread: float = 1.0) -> np.ndarray:
    """A flat, tilted hand, (21, 3) mm, somewhere in front of the camera."""
    xyz = np.zeros((21, 3))
    for f in range(len(FINGERS)):
        angle = np.deg2rad(-110 + 20 * f) + rng.normal(0, 0.05)
        for j in range(4):
            reach = 40 + 22 * j
            xyz[1 + 4 * f + j] = [reach * np.cos(angle), reach * np.sin(angle), rng.normal(0, 6)]
    center = [rng.uniform(-40, 40) * spread, rng.uniform(-20, 50) * spread, rng.uniform(350, 450)]
    return xyz + center


def made_sample(
    index: int, *, hand_side: int = 0, foreground: bool = False, with_K: bool = True, seed: int = 0
) -> Sample:
    """A sample whose picture shows a white dot at every keypoint, over grey or over the key colour."""
    rng = np.random.default_rng([seed, index])
    xyz = made_pose(rng)
    uv = project(xyz, K)
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = KEY if foreground else (60, 70, 80)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for point in uv:
        at = tuple(round(16 * c) for c in point)
        cv2.circle(mask, at, 11 * 16, 1, -1, cv2.LINE_8, 4)
    image[mask > 0] = (200, 150, 120)
    for point in uv:
        cv2.circle(image, tuple(round(16 * c) for c in point), 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return Sample(
        id=f"made/{index:05d}",
        image=image,
        hand_side=hand_side,
        keypoints_2d=uv,
        keypoints_3d=xyz,
        palm_center_2d=(uv[0] + uv[9]) / 2,
        K=K if with_K else None,
        foreground=mask > 0 if foreground else None,
        has_object=0,
    )


def made_row(sample: Sample, canvas: int, scale: float) -> dict[str, Any]:
    """Crop a sample into a shard row: a box round its keypoints, the canvas `scale` times as wide."""
    uv = sample.keypoints_2d
    crop = square_of(np.concatenate([uv.min(0) - 20, uv.max(0) + 20])).astype(np.float32)
    window = scale_about_center(crop, scale)
    row = label_row(sample) | {
        "image": resample_square(sample.image, window, canvas),
        "source_to_canvas": crop_affine(window, canvas),
        "crop_xyxy": crop,
        "sequence": 0,
        "camera": 0,
        "frame": int(sample.id[-5:]),
        "sample_id": sample.id.encode(),
    }
    if sample.foreground is not None:
        row["image"] = resample_kept(sample.image, sample.foreground, window, canvas)
        row["foreground"] = np.packbits(resample_mask(sample.foreground.astype(np.uint8), window, canvas, 0), axis=1)
    return row


def write_dataset(
    folder: Path,
    name: str,
    counts: tuple[int, ...] = (8,),
    *,
    canvas: int = 64,
    scale: float = 1.5,
    split: str = "train",
    sequence: str = "made",
    **options: Any,
) -> Path:
    """Write a dataset of one shard a count; `options` go to `made_sample`."""
    entries, index = [], 0
    for number, count in enumerate(counts):
        path = folder / f"{split}-{number:05d}.h5"
        optional = ("foreground",) if options.get("foreground") else ()
        facts = {"dataset": name, "split": split, "canvas_scale": scale, "options": "{}"}
        with ShardWriter(
            path, count, canvas=canvas, attributes=facts, sequences=[sequence], cameras=["one"], optional=optional
        ) as shard:
            for _ in range(count):
                shard.append(made_row(made_sample(index, **options), canvas, scale))
                index += 1
        entries.append({"file": path.name, "split": split, "num_samples": count})
    write_index(folder, {"schema": VERSION, "dataset": name, "shards": entries})
    return folder
