"""Small converted datasets made without any converter: noise or dots at known places, written by the real writer."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

import handdata as hd
from handdata.geometry import project
from handdata.pictures.crops import square_of
from handdata.shards.schema import Sample
from handdata.skeleton import FINGERS, SIDE_NAMES

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


def made_hand(index: int, *, sequence: str = "made", **options: Any) -> hd.Hand:
    """The sample as a hand, its crop a box round the keypoints."""
    sample = made_sample(index, **options)
    uv = sample.keypoints_2d
    return hd.Hand(
        id=sample.id,
        image=sample.image,
        side=SIDE_NAMES[sample.hand_side],
        keypoints_2d=uv,
        keypoints_3d=sample.keypoints_3d,
        palm_center_2d=sample.palm_center_2d,
        K=np.full((3, 3), np.nan) if sample.K is None else sample.K,
        foreground=sample.foreground,
        has_object=False,
        crop_box=square_of(np.concatenate([uv.min(0) - 20, uv.max(0) + 20])),
        sequence=sequence,
        camera="one",
        frame=index,
    )


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
    """Write as many made hands as `counts` says, in shards of the largest; `options` go to `made_sample`."""
    hands = (made_hand(index, sequence=sequence, **options) for index in range(sum(counts)))
    hd.write_dataset(folder, hands, name=name, split=split, canvas=canvas, canvas_scale=scale, shard_hands=max(counts))
    return folder
