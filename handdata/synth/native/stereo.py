"""Stereo Tracking Benchmark, rendered: 12 sequences, one left hand, two camera systems, labels in MATLAB files.

    images/<sequence>/SK_color_<i>.png, SK_depth_<i>.png, BB_left_<i>.png, BB_right_<i>.png
    labels/<sequence>_SK.mat, <sequence>_BB.mat

The world is the SK depth camera's frame, in which the SK labels are given.
Layout: of the documents named in docs/datasets.md.
"""

from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from handdata import manifest
from handdata.files.whole import write_bytes
from handdata.geometry import invert_rigid, rotation_from_vector, transform
from handdata.skeleton import INDEX, LEFT
from handdata.synth.frame import Camera, Frame, SequenceSpec
from handdata.synth.native.recordings import frames_of, is_kept, sequence_of
from handdata.synth.native.tree import (
    Request,
    Victims,
    aim,
    load_labels,
    render_tree,
    save_labels,
    shares,
    write_picture,
)

# B1 (val) and B2 (train) first, so that few frames still fill both splits.
SEQUENCES = tuple(f"B{k}{scope}" for k in range(1, 7) for scope in ("Counting", "Random"))
ORDER = ("B1Counting", "B2Counting", "B1Random", "B2Random", *SEQUENCES[4:])
PICTURES = ("SK_color", "SK_depth", "BB_left", "BB_right")
BB_OFFSET_MM = (60.0, 20.0, 0.0)  # our rig: the BumbleBee pair stands about the SK, a little above it
AIM_FOCAL_PX = 1000.0  # of a 640 x 480 view down the middle: from 480 mm on, both systems see the hand there
FULL_SEQUENCE = 200  # frames; fewer are further apart in time, so that they show more than one instant
FPS, MIN_FPS = 25.0, 2.5
HEADER = b"MATLAB 5.0 MAT-file, rendered by handdata synth".ljust(116)  # scipy's holds the date


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` SK frames (and the BB pairs beside them) over the 12 sequences."""
    counts = {name: count for name, count in zip(ORDER, shares(request.frames, [1] * len(ORDER)), strict=True) if count}
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, counts[name], request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root),
        finish=lambda: _write_labels(root, counts),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _spec(sequence: str, count: int, request: Request) -> SequenceSpec:
    middle = np.array([[AIM_FOCAL_PX, 0.0, 319.5], [0.0, AIM_FOCAL_PX, 239.5], [0.0, 0.0, 1.0]])
    return request.spec(
        sequence,
        cameras=(aim(middle, 640, 480), *_cameras()),
        sides=(LEFT,),
        motion="count" if sequence.endswith("Counting") else "random",
        distance_mm=(480.0, 700.0),
        fps=float(np.clip(FPS * count / FULL_SEQUENCE, MIN_FPS, FPS)),
    )


def _cameras() -> tuple[Camera, ...]:
    """Return the four cameras, in the order of PICTURES; the SK depth camera is the world."""
    facts = manifest.load("stereo")
    depth_from_color = np.eye(4)
    depth_from_color[:3, :3] = rotation_from_vector(np.array(facts.extra["rotation"]["vector"]))
    depth_from_color[:3, 3] = facts.extra["rotation"]["translation_mm"]
    bb_left = np.eye(4)
    bb_left[:3, 3] = BB_OFFSET_MM
    poses = {
        "sk": invert_rigid(depth_from_color),
        "sk_depth": np.eye(4),
        "bb_left": bb_left,
        "bb_right": facts.cameras["bb_right"].T_camera_label @ bb_left,
    }
    return tuple(
        Camera(
            name=stem,
            K=facts.cameras[name].K,
            width=facts.cameras[name].size[0],
            height=facts.cameras[name].size[1],
            T_camera_world=pose,
            background="none" if name == "sk_depth" else "scene",
        )
        for stem, (name, pose) in zip(PICTURES, poses.items(), strict=True)
    )


def _write_frame(root: Path, spec: SequenceSpec, index: int, frame: Frame) -> None:
    sequence = sequence_of(spec)
    folder = root / "images" / sequence
    for stem in PICTURES:
        view = frame[stem]
        picture = encode_depth(view.depth) if stem == "SK_depth" else view.image
        write_picture(folder / f"{stem}_{index}.png", picture)
    hand = frame.hands[0]
    save_labels(root, sequence, index, np.vstack([hand.palm_center_3d, hand.keypoints_3d]))


def encode_depth(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB with mm = R + 256 G and B = 0; 0 where there is no surface."""
    mm = np.rint(depth).astype(np.uint16)
    return np.stack([mm & 255, mm >> 8, np.zeros_like(mm)], axis=-1).astype(np.uint8)


def _write_labels(root: Path, counts: dict[str, int]) -> None:
    """Write both label files of each sequence from the frames' points: palm centre, then our 21, world mm."""
    native = manifest.load("stereo").keypoints
    rows = [0 if name == "palm_center" else 1 + INDEX[name] for name in native]
    bb_left = np.eye(4)
    bb_left[:3, 3] = BB_OFFSET_MM
    for sequence, count in counts.items():
        points = load_labels(root, sequence, count)[:, rows]
        _write_mat(root / "labels" / f"{sequence}_SK.mat", points)
        _write_mat(root / "labels" / f"{sequence}_BB.mat", transform(bb_left, points))


def _write_mat(path: Path, points: NDArray[np.float64]) -> None:
    """Write (frames, 21, 3) mm as handPara (3, 21, frames), MATLAB v5, the same bytes every time."""
    stream = BytesIO()
    savemat(stream, {"handPara": np.ascontiguousarray(points.transpose(2, 1, 0))}, format="5", do_compression=False)
    write_bytes(path, HEADER + stream.getvalue()[len(HEADER) :])


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    first, last = next(iter(counts)), next(reversed(counts))

    def mislabel() -> None:
        path = root / "labels" / f"{first}_SK.mat"
        points = loadmat(path)["handPara"].transpose(2, 1, 0)
        points[0] = points[0] + [35.0, 20.0, 0.0]
        _write_mat(path, points)

    return Victims(
        mislabel=mislabel,
        missing=root / "images" / first / f"SK_color_{counts[first] - 1}.png",
        truncated=root / "images" / last / "SK_color_0.png",
        deeper=root / "images" / last,
        deeper_name=last,
    )
