"""SynthHands, rendered: an egocentric left hand before a key colour, four classes, seven motions, two cameras.

    <class>/seq0{1..7}/cam0{1..5}/0{1..3}/<8 digits>_{color,color_on_depth,depth}.png, <8 digits>_joint_pos.txt
    CameraCalibration_640x480.txt, README.txt

The world is the depth camera's frame, in which joint_pos is given.
Layout: of the documents named in docs/datasets.md.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from handdata import manifest
from handdata.files.whole import write_text
from handdata.skeleton import INDEX, LEFT
from handdata.synth.frame import Camera, Frame, SequenceSpec
from handdata.synth.native.tree import Request, Victims, aim, render_tree, shares, write_picture
from handdata.synth.render_many import Task

CLASSES = ("female_noobject", "female_object", "male_noobject", "male_object")
MOTIONS = ("seq01", "seq06", "seq07", "seq02", "seq03", "seq04", "seq05")  # train, val, test first
FOLDERS = tuple(f"cam{camera:02d}/{part:02d}" for camera in range(1, 6) for part in range(1, 4))
FRAMES_PER_FOLDER = 12  # then the next camera: another person, light and motion
LAST_NUMBER, MAX_STRIDE = 499, 8  # frame numbers stay below 500; a stride shows more of a motion in few frames


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` frames over the four classes and seven motions; the key colour hides all backgrounds."""
    tasks = [
        (spec, number)
        for folder, count in folders(request.frames).items()
        for spec in (_spec(folder, request),)
        for number in frame_numbers(count)
    ]
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=lambda task: _path(root, *task, "joint_pos.txt").is_file(),
        write=partial(_write_frame, root),
        finish=lambda: _write_notes(root, request),
        victims=lambda: _victims(root, tasks),
        workers=workers,
    )


def folders(frames: int) -> dict[str, int]:
    """Spread frames over "<class>/<seq>/<cam>/<part>", every class and split from 12 frames on."""
    groups = [f"{name}/{motion}" for motion in MOTIONS for name in CLASSES]
    spread: dict[str, int] = {}
    for group, count in zip(groups, shares(frames, [1] * len(groups)), strict=True):
        used = min(len(FOLDERS), -(-count // FRAMES_PER_FOLDER))
        start = groups.index(group)  # so that few frames still show several cameras
        for i, part in enumerate(shares(count, [1] * used)):
            spread[f"{group}/{FOLDERS[(start + i) % len(FOLDERS)]}"] = part
    return spread


def frame_numbers(count: int) -> list[int]:
    """Return the numbers of a folder's frames, ascending, with gaps as the archive has them."""
    stride = max(1, min(MAX_STRIDE, (LAST_NUMBER - count // 10) // count))
    return [stride * k + k // 10 for k in range(count)]


def _spec(folder: str, request: Request) -> SequenceSpec:
    facts = manifest.load("synthhands")
    depth, color = facts.cameras["color_on_depth"], facts.cameras["color"]
    square = color.K - np.array([[0, 0, 80], [0, 0, 0], [0, 0, 0]])  # docs/method.md 3.1 keeps the middle 480 columns
    return request.spec(
        folder,
        cameras=(
            aim(square, 480, 480),
            Camera(name="color_on_depth", K=depth.K, width=640, height=480, background="black"),
            Camera(
                name="color", K=color.K, width=640, height=480, T_camera_world=color.T_camera_label, background="key"
            ),
        ),
        sides=(LEFT,),
        objects=None if "_noobject/" in folder else "any",
        motion="random" if "_noobject/" in folder else "grasp",
        distance_mm=(280.0, 500.0),
        convention="rigged",
        viewpoint="ego",
    )


def _path(root: Path, spec: SequenceSpec, number: int, kind: str) -> Path:
    return root / spec.name.partition("/")[2] / f"{number:08d}_{kind}"


def _write_frame(root: Path, spec: SequenceSpec, number: int, frame: Frame) -> None:
    facts = manifest.load("synthhands")
    color, depth = frame["color"], frame["color_on_depth"]
    write_picture(_path(root, spec, number, "color.png"), color.image)
    write_picture(_path(root, spec, number, "color_on_depth.png"), depth.image)
    mm = np.where(depth.mask > 0, np.rint(depth.depth), facts.extra["invalid_depth"]).astype(np.uint16)
    write_picture(_path(root, spec, number, "depth.png"), mm)
    rows = [INDEX[name] for name in facts.keypoints]
    numbers = ",".join(f"{value:.4f}" for value in frame.hands[0].keypoints_3d[rows].ravel())
    write_text(_path(root, spec, number, "joint_pos.txt"), numbers + "\n")


def _write_notes(root: Path, request: Request) -> None:
    facts = manifest.load("synthhands")
    lines = ["Calibration of both cameras at 640x480. Rotation between them: none.\n"]
    for name in ("color", "color_on_depth"):
        camera = facts.cameras[name]
        lines.append(f"{name} intrinsics: {' '.join(f'{value:g}' for value in camera.K.ravel())}\n")
    shift = facts.cameras["color"].T_camera_label[:3, 3]
    lines.append(f"depth to color translation in mm: {' '.join(f'{value:g}' for value in shift)}\n")
    write_text(root / "CameraCalibration_640x480.txt", "".join(lines))
    text = f"Rendered by handdata synth in the layout of SynthHands: {request.frames} frames, seed {request.seed}.\n"
    write_text(root / "README.txt", text)


def _victims(root: Path, tasks: Sequence[Task]) -> Victims:
    first, second, last = tasks[0], tasks[len(tasks) // 2], tasks[-1]

    def mislabel() -> None:
        other = _path(root, *last, "joint_pos.txt").read_text()
        write_text(_path(root, *first, "joint_pos.txt"), other)

    return Victims(
        mislabel=mislabel,
        missing=_path(root, *second, "joint_pos.txt"),
        truncated=_path(root, *last, "color.png"),
        deeper=root,
        deeper_name="SynthHands_Release",
    )
