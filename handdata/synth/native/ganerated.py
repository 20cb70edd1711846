"""GANerated Hands, rendered: 256 px crops of a left hand, with and without an object, in unevenly filled partitions.

    data/{noObject,withObject}/<partition>/<frame>_color_composed.png, <frame>_joint2D.txt, <frame>_joint_pos.txt,
        <frame>_joint_pos_global.txt, <frame>_crop_params.txt
    README.txt (CRLF), license.txt, joints.png

The world is the original colour camera's frame; the picture is the crop of its 640 x 480, rendered at its own size.
Layout: of the documents named in docs/datasets.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.whole import write_bytes, write_text
from handdata.geometry import normalize_pose, project
from handdata.pictures.overlay import draw_skeleton
from handdata.skeleton import INDEX, LEFT
from handdata.synth.frame import Camera, Frame, HandLabel, SequenceSpec
from handdata.synth.native.tree import Request, Victims, render_tree, shares, write_picture
from handdata.synth.render_many import Task

CLASSES = ("noObject", "withObject")
CROP_PX = 256
MARGIN = 0.22  # of the hand's extent on each side of the keypoints: fingers and wrist are wider than their points
MIN_SIDE_PX = 96  # of the crop in the original picture
PARTITION_FRAMES = 860  # on average; at most 1024, and never the same number
FEW_FRAMES, SOME_PARTITIONS = 100, 10  # few frames are spread thinner, so that a split by partition trains on most
FILL = (1.0, 0.6, 0.85, 0.95)  # of the partitions, in turn


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` frames, half of each class, in at least three partitions a class from six frames on."""
    tasks = [
        (_spec(f"{partition}/{number:04d}", request), 0)
        for partition, count in partitions(request.frames).items()
        for number in range(1, count + 1)
    ]
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=lambda task: _path(root, task[0], "crop_params.txt").is_file(),
        write=partial(_write_frame, root),
        finish=lambda: _write_notes(root, request),
        victims=lambda: _victims(root, tasks),
        workers=workers,
    )


def partitions(frames: int) -> dict[str, int]:
    """Spread frames over "<class>/<partition>", unevenly."""
    spread: dict[str, int] = {}
    for name, count in zip(CLASSES, shares(frames, [1, 1]), strict=True):
        number = max(3, min(SOME_PARTITIONS, count // FEW_FRAMES), -(-count // PARTITION_FRAMES))
        fill = [FILL[i % len(FILL)] for i in range(number)]
        for i, part in enumerate(shares(count, fill)):
            if part:
                spread[f"{name}/{i + 1:04d}"] = part
    return spread


def _spec(name: str, request: Request) -> SequenceSpec:
    """Return the spec of one picture: each shows another person in another place."""
    with_object = name.startswith("withObject/")
    K = manifest.load("ganerated").cameras["original"].K
    return request.spec(
        name,
        cameras=(Camera(name="original", K=K, width=640, height=480),),
        sides=(LEFT,),
        objects="any" if with_object else None,
        motion="still",
        distance_mm=(300.0, 650.0),
        convention="rigged",
        viewpoint="ego",
        zoom=crop_camera,
    )


def crop_camera(hand: HandLabel, camera: Camera) -> Camera:
    """Return the camera of the crop: joint2D = scale (K P / Pz - (u, v)) is its projection."""
    u, v, side = choose_crop(project(hand.keypoints_3d, camera.K), camera.width, camera.height)
    K = camera.K - np.array([[0, 0, u], [0, 0, v], [0, 0, 0]])
    K[:2] *= CROP_PX / side
    return replace(camera, K=K, width=CROP_PX, height=CROP_PX)


def _path(root: Path, spec: SequenceSpec, kind: str) -> Path:
    return root / "data" / f"{spec.name.partition('/')[2]}_{kind}"


def choose_crop(uv: NDArray[Any], width: int, height: int) -> tuple[int, int, int]:
    """Return (u, v, side) of a square round the keypoints with room for the flesh, inside the picture if it fits."""
    low, high = uv.min(axis=0), uv.max(axis=0)
    side = int(np.clip((high - low).max() * (1 + 2 * MARGIN), MIN_SIDE_PX, min(width, height)))
    corner = np.rint((low + high) / 2 - side / 2)
    u, v = np.clip(corner, 0, [width - side, height - side])
    return int(u), int(v), side


def _write_frame(root: Path, spec: SequenceSpec, _: int, frame: Frame) -> None:
    facts, original = manifest.load("ganerated"), spec.cameras[0]
    u, v, side = choose_crop(project(frame.hands[0].keypoints_3d, original.K), original.width, original.height)
    scale = CROP_PX / side
    xyz = frame.hands[0].keypoints_3d[[INDEX[name] for name in facts.keypoints]]
    write_picture(_path(root, spec, "color_composed.png"), frame["original"].image)
    for kind, values in {
        "joint2D": scale * (project(xyz, original.K) - [u, v]),
        "joint_pos": normalize_pose(xyz)[0],
        "joint_pos_global": xyz,
        "crop_params": np.array([u, v, scale]),
    }.items():
        write_text(_path(root, spec, f"{kind}.txt"), ",".join(f"{value:.6f}" for value in values.ravel()) + "\n")


def _write_notes(root: Path, request: Request) -> None:
    counts = dict.fromkeys(CLASSES, 0)
    for partition, count in partitions(request.frames).items():
        counts[partition.partition("/")[0]] += count
    K = ",".join(f"{value:g}" for value in manifest.load("ganerated").cameras["original"].K.ravel())
    lines = [
        f"Rendered by handdata synth in the layout of GANerated Hands, seed {request.seed}.",
        f"frames without object: {counts['noObject']}",
        f"frames with object: {counts['withObject']}",
        f"intrinsics of the original camera: [{K}]",
        "joint2D: pixels of the crop. joint_pos: middle MCP at 0, wrist at distance 1. joint_pos_global: mm, camera.",
        "crop_params: corner (u,v) of the crop in the 640x480 picture, and the factor to 256.",
    ]
    write_bytes(root / "README.txt", "".join(f"{line}\r\n" for line in lines).encode())
    write_text(root / "license.txt", "Rendered from a CC0 hand model (MakeHuman). Free to use.\n")
    first = next(iter(partitions(request.frames)))
    numbers = (root / "data" / first / "0001_joint2D.txt").read_text().split(",")
    uv = np.array([float(number) for number in numbers]).reshape(21, 2)
    write_picture(root / "joints.png", draw_skeleton(np.full((CROP_PX, CROP_PX, 3), 255, np.uint8), uv, scale=2))


def _victims(root: Path, tasks: Sequence[Task]) -> Victims:
    first, second, last = tasks[0][0], tasks[len(tasks) // 2][0], tasks[-1][0]

    def mislabel() -> None:
        other = _path(root, last, "joint_pos_global.txt").read_text()
        write_text(_path(root, first, "joint_pos_global.txt"), other)

    return Victims(
        mislabel=mislabel,
        missing=_path(root, second, "joint2D.txt"),
        truncated=_path(root, last, "color_composed.png"),
        deeper=root,
        deeper_name="GANeratedHands_Release",
    )
