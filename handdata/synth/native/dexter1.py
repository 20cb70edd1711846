"""Dexter 1, rendered: 7 sequences of a right hand, ToF depth with five tips and the palm centre, five colour cameras.

    data/<seq>/tof/depth/<stamp>.png, multicam/cam<n>/<stamp><index>_cam<n>.png
    data/<seq>/annotations/Pos2D.txt, Pos3D.txt

The world is the ToF camera's frame; labels are clicked on whole depth pixels and written with x to the left and y up,
six significant digits, whole mm of depth. Quirks planted: missing points and whole frames without any, three sequences
with more blocks than pictures.
Layout: of the documents named in docs/datasets.md.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.whole import write_text
from handdata.geometry import backproject, invert_rigid, project, rotation_from_vector
from handdata.skeleton import RIGHT, TIPS
from handdata.synth.frame import Camera, Frame, Motion, SequenceSpec
from handdata.synth.native.fingertips import displace_first, forget_tips, invalid_depth, tips_of
from handdata.synth.native.recordings import frames_of, is_kept, manifest_camera, sequence_of
from handdata.synth.native.tree import Request, Victims, load_labels, render_tree, save_labels, shares, write_picture

MOTIONS: dict[str, Motion] = {
    "adbadd": "random",
    "pinch": "grasp",
    "fingercount": "count",
    "fingerwave": "random",
    "flexex1": "swipe",
    "random": "random",
    "tigergrasp": "grasp",
}
BLOCKS_TOO_MANY = {"fingercount": 3, "fingerwave": 2, "pinch": 1}  # as the real files have
UNLABELLED = {"pinch": 0, "flexex1": 2}  # frame of six sentinels
NO_BLANK_AT_END = "adbadd"
MISSING, INVALID_MM = "3.2001e+007", 32001
MISSING_SHARE = 0.01  # of the tips the ToF sees; with the hidden ones about the real files' 391 of 18,966 points
FIRST_STAMP, STAMP_STEP = 525438341889, 1  # 12 digits, shared by the cameras
COLOR_K = np.array([[310.0, 0.0, 160.0], [0.0, 310.0, 120.0], [0.0, 0.0, 1.0]])  # ours: the real ones are unknown
RIG_DEG = (-36.0, -18.0, 10.0, 24.0, 40.0)  # cam0..cam4 about the hand, seen from above, from the ToF's direction
RIG_TARGET_MM = np.array([0.0, 0.0, 420.0])


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` labelled depth pictures over the 7 sequences, with the five colour views beside them."""
    counts = {name: n for name, n in zip(MOTIONS, shares(request.frames, [1] * len(MOTIONS)), strict=True) if n}
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root),
        finish=lambda: _write_labels(root, counts, request.seed),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def color_cameras() -> tuple[Camera, ...]:
    """Return our cam0..cam4: on an arc about the hand, all looking at it."""
    cameras = []
    for number, degrees in enumerate(RIG_DEG):
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3] = rotation_from_vector(np.array([0.0, np.deg2rad(degrees), 0.0]))
        distance = np.linalg.norm(RIG_TARGET_MM)
        world_from_camera[:3, 3] = RIG_TARGET_MM - world_from_camera[:3, :3] @ np.array([0.0, 0.0, distance])
        cameras.append(
            Camera(
                name=f"cam{number}",
                K=COLOR_K,
                width=320,
                height=240,
                T_camera_world=invert_rigid(world_from_camera),
            )
        )
    return tuple(cameras)


def _spec(sequence: str, request: Request) -> SequenceSpec:
    return request.spec(
        sequence,
        cameras=(manifest_camera("dexter1", "tof", background="none"), *color_cameras()),
        sides=(RIGHT,),
        motion=MOTIONS[sequence],
        distance_mm=(340.0, 480.0),
    )


def _stamp(index: int) -> str:
    return f"{FIRST_STAMP + STAMP_STEP * index:012d}"


def _write_frame(root: Path, spec: SequenceSpec, index: int, frame: Frame) -> None:
    sequence = sequence_of(spec)
    folder, stamp = root / "data" / sequence, _stamp(index)
    for view in frame.views[1:]:
        name = view.camera.name
        write_picture(folder / f"multicam/{name}/{stamp}{index:06d}_{name}.png", view.image)
    write_picture(folder / f"tof/depth/{stamp}.png", invalid_depth(frame["tof"].depth, INVALID_MM))
    palm = [*frame.hands[0].palm_center_3d, 1.0]
    save_labels(root, sequence, index, np.vstack([tips_of(frame, "tof"), palm]))


def _write_labels(root: Path, counts: dict[str, int], seed: int) -> None:
    """Write both label files of each sequence, with their blocks too many."""
    for sequence, count in counts.items():
        labels = load_labels(root, sequence, count)
        tips = forget_tips(labels[:, : len(TIPS)], MISSING_SHARE, [seed, *sequence.encode()])
        points = np.concatenate([tips, labels[:, len(TIPS) :, :3]], axis=1)
        if UNLABELLED.get(sequence, count) < count:
            points[UNLABELLED[sequence]] = np.nan
        extra = BLOCKS_TOO_MANY.get(sequence, 0)
        pixels, clicked = click(np.concatenate([points, points[-1:].repeat(extra, axis=0)]))
        folder = root / "data" / sequence / "annotations"
        blank = "" if sequence == NO_BLANK_AT_END else "\n"
        write_text(folder / "Pos2D.txt", "\n".join(_block(frame, 2, "{:.0f}") for frame in pixels) + blank)
        write_text(folder / "Pos3D.txt", "\n".join(_block(frame, 3, "{:.6g}") for frame in clicked) + blank)


def click(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the ToF camera (..., 3) as an annotator gives them: whole pixels, whole mm of depth.

    Returns:
        (..., 2) pixels; (..., 3) native mm, x left and y up. NaN where missing.
    """
    facts = manifest.load("dexter1")
    K = facts.cameras["tof"].K
    pixels, z = np.rint(project(points, K)), np.rint(points[..., 2])
    native: NDArray[np.float64] = backproject(pixels, z, K) * np.array(facts.extra["label_axes"])
    return pixels, native


def _block(points: NDArray[np.float64], dims: int, number: str) -> str:
    lines = ([MISSING] * dims if np.isnan(p).any() else [number.format(value + 0.0) for value in p] for p in points)
    return "".join(f"{', '.join(line)}\n" for line in lines)


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    first, last = next(iter(counts)), next(reversed(counts))

    def mislabel() -> None:
        path = root / "data" / first / "annotations" / "Pos3D.txt"
        write_text(path, displace_first(path.read_text(encoding="utf-8")))

    return Victims(
        mislabel=mislabel,
        missing=root / f"data/{first}/tof/depth/{_stamp(counts[first] - 1)}.png",
        truncated=root / f"data/{last}/tof/depth/{_stamp(0)}.png",
        deeper=root,
        deeper_name="dexter1",
    )
