"""Derived 3D as a file of labels that `handdata convert custom` reads, for the pictures of calibrated cameras."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.annotate.depth.recording import DepthRecording
from handdata.converters import dexter1
from handdata.exchange.coco import annotation, category
from handdata.files.whole import write_bytes, write_text
from handdata.geometry import normalize_pose, project, transform
from handdata.manifest import CameraFacts
from handdata.paths import RENDERED_MARK
from handdata.shards.provenance import KEY, as_json, known
from handdata.shards.schema import UNKNOWN, Flag
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]

DEPTH = "tof"  # the camera of pictures that are made of depth, where no colour camera is calibrated
PLACES = 3  # decimals, px and mm


@dataclass(frozen=True, slots=True)
class DerivedHands:
    """The hands of a recording.

    Attributes:
        xyz: (F, 21, 3) mm in the depth camera; NaN where nothing is known.
        clicked: (F,) bool: a person accepted the frame.
        side: "left" or "right".
    """

    xyz: Floats
    clicked: NDArray[np.bool_]
    side: str


def write_derived(path: Path, recording: DepthRecording, hands: DerivedHands) -> None:
    """Write the labels of all frames whose hand is known; pictures of depth go into a folder beside the file."""
    write_text(path, derived_text(path, recording, hands))


def derived_text(path: Path, recording: DepthRecording, hands: DerivedHands) -> str:
    """Return the labels as the file at `path` holds them; pictures of depth are written beside it."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    there = np.flatnonzero(np.isfinite(hands.xyz).all(axis=(1, 2))).tolist()
    for name, camera in (recording.cameras or {DEPTH: _depth_camera(recording)}).items():
        for frame in there:
            picture = recording.pictures[name][frame] if recording.cameras else _written(path, recording, frame)
            xyz = transform(camera.T_camera_label, hands.xyz[frame])
            if not picture or (xyz[:, 2] <= 0).any():
                continue
            number, size = len(images) + 1, camera.size
            images.append({"id": number, "file_name": picture, "width": size[0], "height": size[1]})
            said = {"derived": "clicked" if hands.clicked[frame] else "propagated"}
            labels = _labels(recording, (name, camera), frame, xyz, hands.side)
            annotations.append(annotation(labels, number, number, size) | said)
    lists = {"images": images, "annotations": annotations}
    head = json.dumps({"info": _info(recording), "categories": [category()]})[:-1]
    parts = (f'"{key}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for key, rows in lists.items())
    return ",\n".join([head, *parts]) + "}\n"


def _info(recording: DepthRecording) -> dict[str, Any]:
    facts, folder = manifest.load(recording.dataset), recording.folder
    is_rendered = any((near / RENDERED_MARK).is_file() for near in (folder, folder.parent, folder.parent.parent))
    return {
        "description": f"{facts.title}, {recording.sequence}: 3D derived from clicked frames, handdata annotate-depth",
        "url": facts.homepage,
        "unit": "mm",
        "pixels": "(0, 0) is the centre of the first pixel",
        KEY: as_json([known(recording.dataset, "rendered" if is_rendered else "published")]),
    }


def _labels(
    recording: DepthRecording, camera: tuple[str, CameraFacts], frame: int, xyz: Floats, side: str
) -> dict[str, Any]:  # fmt: skip
    name, facts = camera
    normalized, _ = normalize_pose(xyz)
    return {
        "sample_id": f"{recording.sequence}/{name}/{frame + 1:04d}",
        "split": "train",
        "sequence": recording.sequence,
        "camera": name,
        "frame": frame + 1,
        "hand_side": side,
        "has_object": None,
        "keypoints_2d": project(xyz, facts.K).round(PLACES).tolist(),
        "keypoints_3d": xyz.round(PLACES).tolist(),
        "keypoints_3d_normalized": normalized.round(6).tolist(),
        "visible": [UNKNOWN] * NUM_KEYPOINTS,
        "palm_center_2d": None,
        "palm_center_3d": None,
        "K": facts.K.tolist(),
        "bbox_xyxy": None,
        "bbox_source": "none",
        "crop_xyxy": None,
        "flags": int(Flag.DERIVED),
    }


def _depth_camera(recording: DepthRecording) -> CameraFacts:
    return CameraFacts(K=recording.K, size=recording.size, T_camera_label=np.eye(4))


def _written(path: Path, recording: DepthRecording, frame: int) -> str:
    """Write a frame's depth as a picture, as `handdata convert dexter1` makes them; return its name."""
    picture = path.with_name(f"{path.name.partition('.')[0]}_depth") / f"{recording.depth_paths[frame].stem}.png"
    if not picture.exists():
        near, far = manifest.load("dexter1").extra["depth_mm"]
        grey = dexter1.render_depth(recording.depth(frame).astype(np.uint16), near, far)
        _, coded = cv2.imencode(".png", grey)
        write_bytes(picture, coded.tobytes(), sync=False)
    return picture.relative_to(path.parent).as_posix()
