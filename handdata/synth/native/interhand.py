"""InterHand2.6M, rendered: right hands, left hands and both, seen by three cameras, of which one is grey.

    images/<split>/Capture<N>/<sequence>/cam<camera>/image<frame>.jpg
    annotations/<split>/InterHand2.6M_<split>_{data,camera,joint_3d}.json

Points are millimetres of a world round whose middle the cameras stand, each finger from its tip, the wrist last.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.text import Wanted, read_object
from handdata.files.whole import write_text
from handdata.geometry import in_frame, rotation_from_vector
from handdata.skeleton import INDEX, LEFT, NUM_KEYPOINTS, RIGHT
from handdata.synth.frame import Camera, Frame, SequenceSpec, project_world
from handdata.synth.native.recordings import sequence_of
from handdata.synth.native.tree import (
    Request,
    Victims,
    aim,
    has_labels,
    read_labels,
    render_tree,
    save_labels,
    write_picture,
)
from handdata.synth.render_many import Task

# split, capture, sequence, hands; a frame of every sequence in turn
SEQUENCES = (
    ("train", 0, "0007_thumbup_normal", (RIGHT,)),
    ("train", 0, "0266_dh_pray", (RIGHT, LEFT)),
    ("test", 0, "0115_rocker_backside", (LEFT,)),
    ("val", 0, "0282_sarcasticclap", (RIGHT, LEFT)),
    ("train", 3, "ROM01_No_Interaction_2_Hand_LT", (LEFT,)),
    ("test", 1, "0390_dh_touchROM", (RIGHT, LEFT)),
)
STEP = {"train": 18, "val": 6, "test": 6}  # of frame numbers, at 5 frames per second
START = 1000  # frames of two sequences of a capture share no number
CAMERAS = {
    "400026": (512, 334, 0.0, 0.0),
    "400030": (334, 512, 12.0, 0.0),
    "410053": (334, 512, 0.0, 10.0),
}  # px, degrees
VIEWS = 2  # cameras that see a frame
FOCAL_PX, MIDDLE_MM = 1262.0, 1050.0  # of all; and where the cameras look
DROPPED = 0.03  # share of points that are not labelled
BOX_FACTOR = 1.2
ABSENT = [1.0, 1.0, 1.0]  # the point of a hand that is not there


def write(root: Path, request: Request, workers: int) -> int:
    """Write pictures that show `request.frames` hands, each frame of a sequence through two cameras."""
    shown = frames_shown(request.frames)
    specs = {number: _spec(number, request) for number, _, _ in shown}
    views = {(number, index): cameras for number, index, cameras in shown}
    tasks: list[Task] = [(specs[number], index) for number, index, _ in shown]
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=lambda task: has_labels(root, _kept(task[0]), task[1]),
        write=partial(_write_frame, root, views),
        finish=lambda: _write_labels(root, views),
        victims=lambda: _victims(root, views),
        workers=workers,
    )


def frames_shown(hands: int) -> list[tuple[int, int, tuple[str, ...]]]:
    """Return (sequence, frame, cameras) of the pictures that show so many hands in all."""
    shown: list[tuple[int, int, tuple[str, ...]]] = []
    counts = [0] * len(SEQUENCES)
    turn = 0
    while hands > 0:
        number = turn % len(SEQUENCES)
        turn += 1
        sides = len(SEQUENCES[number][3])
        views = min(VIEWS, hands // sides)
        if not views:
            continue
        first = turn % len(CAMERAS)
        cameras = tuple(list(CAMERAS)[(first + k) % len(CAMERAS)] for k in range(views))
        shown.append((number, counts[number], cameras))
        counts[number] += 1
        hands -= views * sides
    return shown


def _spec(number: int, request: Request) -> SequenceSpec:
    split, capture, name, sides = SEQUENCES[number]
    square = np.array([[FOCAL_PX, 0, 166.5], [0, FOCAL_PX, 166.5], [0, 0, 1]])
    return request.spec(
        f"{number}/{split}/Capture{capture}/{name}",
        cameras=(aim(square, 334, 334), *(_camera(camera) for camera in CAMERAS)),
        sides=sides,
        motion="still",
        distance_mm=(980.0, 1120.0),
    )


def _camera(name: str) -> Camera:
    width, height, across, down = CAMERAS[name]
    T = np.eye(4)
    T[:3, :3] = rotation_from_vector(np.radians([down, across, 0.0]))
    middle = np.array([0.0, 0.0, MIDDLE_MM])
    T[:3, 3] = middle - T[:3, :3] @ middle
    K = np.array([[FOCAL_PX, 0, width / 2 - 0.3], [0, FOCAL_PX + 0.2, height / 2 + 0.4], [0, 0, 1]])
    return Camera(name=name, K=K, width=width, height=height, T_camera_world=T)


def _kept(spec: SequenceSpec) -> str:
    return sequence_of(spec).replace("/", "~")


def _number(spec: SequenceSpec) -> int:
    return int(sequence_of(spec).partition("/")[0])


def frame_number(number: int, index: int) -> int:
    """Return the number of a frame of a sequence, which no other sequence of its capture has."""
    return START * (number + 1) + STEP[SEQUENCES[number][0]] * index


def _picture(number: int, index: int, camera: str) -> str:
    split, capture, name, _ = SEQUENCES[number]
    return f"images/{split}/Capture{capture}/{name}/cam{camera}/image{frame_number(number, index)}.jpg"


def _write_frame(
    root: Path, views: Mapping[tuple[int, int], tuple[str, ...]], spec: SequenceSpec, index: int, frame: Frame
) -> None:
    number = _number(spec)
    for camera in views[number, index]:
        image = frame[camera].image
        if camera.startswith("41"):
            grey = np.rint(image.astype(np.float64) @ [0.299, 0.587, 0.114])
            image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        write_picture(root / _picture(number, index, camera), image)
    points = np.full((2, NUM_KEYPOINTS, 3), np.nan)
    for hand in frame.hands:
        points[hand.side] = hand.keypoints_3d
    rng = np.random.default_rng([spec.seed, number, index])
    points[rng.random((2, NUM_KEYPOINTS)) < DROPPED] = np.nan
    save_labels(root, _kept(spec), index, points)


# ------------------------------------------------------------------------------------------------ tables


def _write_labels(root: Path, views: Mapping[tuple[int, int], tuple[str, ...]]) -> None:
    rows = [INDEX[name] for name in manifest.load("interhand").keypoints]
    for split in STEP:
        data: dict[str, list[Any]] = {"images": [], "annotations": []}
        cameras: dict[str, dict[str, dict[str, Any]]] = {}
        joints: dict[str, dict[str, Any]] = {}
        for (number, index), names in views.items():
            if SEQUENCES[number][0] != split:
                continue
            capture = str(SEQUENCES[number][1])
            kept = "~".join((str(number), split, f"Capture{capture}", SEQUENCES[number][2]))
            points = read_labels(root, kept, index)
            native = np.concatenate([points[RIGHT][rows], points[LEFT][rows]])
            joints.setdefault(capture, {})[str(frame_number(number, index))] = _joints(native, number)
            for name in names:
                _add_camera(cameras.setdefault(capture, {}), name)
                image, annotation = _records(native, number, index, name, len(data["images"]))
                data["images"].append(image)
                data["annotations"].append(annotation)
        if joints:
            folder = root / "annotations" / split
            for kind, table in (("data", data), ("camera", cameras), ("joint_3d", joints)):
                write_text(folder / f"InterHand2.6M_{split}_{kind}.json", json.dumps(table))


def _hand_type(number: int) -> str:
    sides = SEQUENCES[number][3]
    return "interacting" if len(sides) > 1 else "right" if sides == (RIGHT,) else "left"


def _joints(native: NDArray[np.float64], number: int) -> dict[str, Any]:
    valid: NDArray[np.bool_] = np.asarray(np.isfinite(native).all(axis=1))
    return {
        "world_coord": np.where(valid[:, None], native, ABSENT).tolist(),
        "joint_valid": [[bool(v)] for v in valid],
        "hand_type": _hand_type(number),
        "hand_type_valid": bool(_hand_type(number) != "interacting" or valid.sum() > 30),
        "seq": SEQUENCES[number][2],
    }


def _add_camera(capture: dict[str, dict[str, Any]], name: str) -> None:
    camera = _camera(name)
    R, t, K = camera.T_camera_world[:3, :3], camera.T_camera_world[:3, 3], camera.K
    facts = {"campos": -R.T @ t, "camrot": R, "focal": K[[0, 1], [0, 1]], "princpt": K[:2, 2]}
    for key, value in facts.items():
        capture.setdefault(key, {})[name] = value.tolist()


def _records(
    native: NDArray[np.float64], number: int, index: int, name: str, record: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    split, capture, sequence, _ = SEQUENCES[number]
    camera = _camera(name)
    uv = project_world(native, camera)
    inside: NDArray[np.bool_] = np.asarray(in_frame(uv, camera.width, camera.height))
    seen = uv[inside] if inside.any() else np.zeros((1, 2))
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = (high - low) * BOX_FACTOR
    image = {
        "id": record,
        "file_name": _picture(number, index, name).removeprefix(f"images/{split}/"),
        "width": camera.width,
        "height": camera.height,
        "capture": capture,
        "subject": capture,
        "seq_name": sequence,
        "camera": name,
        "frame_idx": frame_number(number, index),
    }
    annotation = {
        "id": record,
        "image_id": record,
        "bbox": [*((low + high - size) / 2).tolist(), *size.tolist()],
        "joint_valid": [[int(v)] for v in inside],
        "hand_type": _hand_type(number),
        "hand_type_valid": int(_joints(native, number)["hand_type_valid"]),
    }
    return image, annotation


def _victims(root: Path, views: Mapping[tuple[int, int], tuple[str, ...]]) -> Victims:
    pictures = [root / _picture(*place, camera) for place, cameras in views.items() for camera in cameras]
    split = SEQUENCES[next(iter(views))[0]][0]

    def mislabel() -> None:
        path = root / f"annotations/{split}/InterHand2.6M_{split}_joint_3d.json"
        table = read_object(path, Wanted(what="the points just rendered"))
        label = next(iter(next(iter(table.values())).values()))
        label["world_coord"] = [[x + 60, y, z] for x, y, z in label["world_coord"]][::-1]
        write_text(path, json.dumps(table))

    return Victims(
        mislabel=mislabel,
        missing=pictures[len(pictures) // 2],
        truncated=pictures[-1],
        deeper=root,
        deeper_name="InterHand2.6M_5fps_batch1",
    )
