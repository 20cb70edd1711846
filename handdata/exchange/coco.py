"""COCO keypoints: images/<split>/ and annotations/<split>.json. Format: https://cocodataset.org/#format-data ."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from handdata.exchange.pictures import file_key, plain_labels, write_pictures
from handdata.files.whole import whole
from handdata.geometry import xyxy_to_xywh
from handdata.shards.dataset import Dataset
from handdata.skeleton import BONES, KEYPOINTS

NOT_LABELLED, LABELLED, VISIBLE = 0, 1, 2  # of a keypoint in COCO
_PIXELS = "pixels of the exported picture, (0, 0) the centre of its first pixel"


def write(data: Dataset, split: str, out: Path, picture: str) -> None:
    """Write images/<split>/ and annotations/<split>.json, one sample at a time."""
    write_pictures(data, split, out, picture)
    side = data.canvas
    head = {
        "info": {"description": f"{data.name} {split}", "pixels": _PIXELS, "keypoints_3d": "mm, camera frame"},
        "licenses": [],
        "categories": [category()],
    }
    with whole(out / "annotations" / f"{split}.json") as file:
        file.write((json.dumps(head)[:-1] + ',\n"images": [\n').encode())
        for number, sample_id in enumerate(data["id"].tolist()):
            name = f"{split}/{file_key(sample_id)}.{picture}"
            entry = {"id": number + 1, "file_name": name, "width": side, "height": side}
            file.write((",\n" if number else "").encode() + json.dumps(entry).encode())
        file.write(b'\n],\n"annotations": [\n')
        for number, hand in enumerate(data):
            entry = annotation(plain_labels(hand), number + 1, side)
            file.write((",\n" if number else "").encode() + json.dumps(entry).encode())
        file.write(b"\n]}\n")


def category() -> dict[str, Any]:
    """Return the one category: a hand with its 21 keypoints and 20 bones (COCO counts keypoints from 1)."""
    return {
        "id": 1,
        "name": "hand",
        "supercategory": "person",
        "keypoints": list(KEYPOINTS),
        "skeleton": [[a + 1, b + 1] for a, b in BONES],
    }


def annotation(labels: dict[str, Any], number: int, side: int) -> dict[str, Any]:
    """Return a sample as a COCO annotation: keypoints as (u, v, flag), and our own fields beside.

    The flag is 2 for a visible keypoint or where the dataset does not say, 1 for a hidden one or one outside the
    picture, 0 for one that is not labelled. The box is the dataset's, else that of the labelled keypoints.
    """
    uv = labels["keypoints_2d"] or [None] * len(KEYPOINTS)
    keypoints: list[float] = []
    for point, visible in zip(uv, labels["visible"], strict=True):
        if point is None:
            keypoints += [0, 0, NOT_LABELLED]
            continue
        inside = all(-0.5 <= c < side - 0.5 for c in point)
        keypoints += [*point, VISIBLE if visible != 0 and inside else LABELLED]
    known = np.array([point for point in uv if point is not None]).reshape(-1, 2)
    box = labels["bbox_xyxy"]
    if box is None:
        box = [*(known.min(0) + 0.5), *(known.max(0) + 0.5)] if len(known) else [0.0, 0.0, float(side), float(side)]
    left, top, width, height = xyxy_to_xywh(box).tolist()
    own = {k: labels[k] for k in ("sample_id", "hand_side", "has_object", "keypoints_3d", "K", "flags")}
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": len(known),
        "keypoints": keypoints,
        "bbox": [left, top, width, height],
        "area": width * height,
        **own,
    }
