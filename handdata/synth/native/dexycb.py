"""DexYCB, rendered: a hand that grasps something, seen by eight cameras at once.

    <subject>/<sequence>/{meta.yml,pose.npz}
    <subject>/<sequence>/<serial>/{color_<6 digits>.jpg,aligned_depth_to_color_<6 digits>.png,labels_<6 digits>.npz}
    calibration/{intrinsics/<serial>_640x480.yml,extrinsics_<date>/extrinsics.yml}

The world is the master camera's frame. A rendered hand has no MANO parameters: pose_m is zeros but for the wrist's
place, and zeros throughout where there is no label. Cameras that were not asked for see the last frame without a label.
"""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.converters.read.npz import read_arrays
from handdata.files.whole import write_bytes, write_text
from handdata.geometry import rotation_from_vector
from handdata.skeleton import HAND_SIDES, INDEX, LEFT, RIGHT, WRIST
from handdata.synth.frame import Camera, Frame, SequenceSpec, View, project_world
from handdata.synth.native.recordings import frames_of, is_kept, sequence_of
from handdata.synth.native.tree import Request, Victims, aim, render_tree, save_labels, shares, write_picture

# subject, sequence, side, class of what is grasped; of every split of s1
SEQUENCES = (
    ("20200709-subject-01", "20200709_150001", RIGHT, 1),
    ("20201002-subject-08", "20201002_150001", LEFT, 4),
    ("20200928-subject-07", "20200928_150001", RIGHT, 8),
    ("20200813-subject-02", "20200813_150001", LEFT, 6),
    ("20201015-subject-09", "20201015_150001", RIGHT, 12),
    ("20200820-subject-03", "20200820_150001", RIGHT, 21),
)
TURNS = (
    (0, 0),
    (24, 0),
    (0, 0),
    (-24, 0),
    (0, 18),
    (0, -18),
    (34, 12),
    (-34, 12),
)  # degrees across and down, by camera
MASTER = 2  # of the cameras
MIDDLE_MM, AIM = 750.0, 2.4  # where the cameras look; how much narrower hands stay than what they see
OTHER_OBJECT = 21  # lies in no picture: its pose is zeros
PARTS = 17  # of View.part that a hand has, the last of them the forearm
MAX_DEPTH_MM = 65535


def write(root: Path, request: Request, workers: int) -> int:
    """Write `request.frames` labelled pictures, eight of each frame; the last frame may be labelled for some alone."""
    cameras = _cameras()
    instants = -(-request.frames // len(cameras))
    spread = shares(instants, [1] * len(SEQUENCES))
    counts = {f"{s[0]}/{s[1]}": n for s, n in zip(SEQUENCES, spread, strict=True) if n}
    last = request.frames - len(cameras) * (instants - 1)
    return render_tree(
        root,
        request,
        tasks=frames_of(counts, lambda name: _spec(name, request)),
        is_done=partial(is_kept, root),
        write=partial(_write_frame, root, counts, last),
        finish=lambda: _write_notes(root, counts, request),
        victims=lambda: _victims(root, counts),
        workers=workers,
    )


def _cameras() -> list[Camera]:
    """Return the eight cameras, which stand round the hand; the master's frame is the world."""
    cameras = []
    middle = np.array([0.0, 0.0, MIDDLE_MM])
    for number, name in enumerate(manifest.load("dexycb").cameras):
        across, down = TURNS[number]
        shift = 90.0 if number == 0 else 0.0  # or the first one would be the master's twin
        T = np.eye(4)
        T[:3, :3] = rotation_from_vector(np.radians([down, across, shift]))
        T[:3, 3] = middle - T[:3, :3] @ middle
        fx = 610.0 + 1.7 * number
        K = np.array([[fx, 0, 312.0 + number], [0, fx - 0.4, 248.5 - number], [0, 0, 1]])
        cameras.append(Camera(name=name, K=K, width=640, height=480, T_camera_world=T))
    return cameras


def _spec(name: str, request: Request) -> SequenceSpec:
    cameras = _cameras()
    narrow = cameras[MASTER].K * np.array([[AIM], [AIM], [1]])
    narrow[:2, 2] = 240.0
    side = next(s[2] for s in SEQUENCES if name == f"{s[0]}/{s[1]}")
    return request.spec(
        name,
        cameras=(aim(narrow, 480, 480), *cameras),
        sides=(side,),
        objects="any",
        motion="grasp",
        distance_mm=(680.0, 820.0),
        fps=30.0,
    )


def _write_frame(root: Path, counts: dict[str, int], last: int, spec: SequenceSpec, index: int, frame: Frame) -> None:
    name = sequence_of(spec)
    grasped = next(s[3] for s in SEQUENCES if name == f"{s[0]}/{s[1]}")
    is_last = name == next(reversed(counts)) and index == counts[name] - 1
    for number, camera in enumerate(_cameras()):
        view, folder = frame[camera.name], root / name / camera.name
        write_picture(folder / f"color_{index:06d}.jpg", view.image)
        depth = np.clip(np.rint(view.depth), 0, MAX_DEPTH_MM).astype(np.uint16)
        write_picture(folder / f"aligned_depth_to_color_{index:06d}.png", depth)
        arrays = _label(frame, view, grasped, is_labelled=not is_last or number < last)
        write_bytes(folder / f"labels_{index:06d}.npz", _packed(arrays))
    save_labels(root, name, index, frame.hands[0].keypoints_3d)


def _label(frame: Frame, view: View, grasped: int, *, is_labelled: bool) -> dict[str, NDArray[Any]]:
    """Return the arrays of one picture's label."""
    facts = manifest.load("dexycb")
    T = view.camera.T_camera_world
    world = frame.hands[0].keypoints_3d[[INDEX[name] for name in facts.keypoints]]
    xyz = (world @ T[:3, :3].T + T[:3, 3]) / facts.mm_per_unit
    hand = (view.part > 0) & ((view.part - 1) % PARTS < PARTS - 1)
    seg = np.where(hand, 255, np.where(view.mask == 2, grasped, 0)).astype(np.uint8)
    pose_y = np.zeros((2, 3, 4), np.float32)
    pose_y[0] = np.hstack([np.eye(3), xyz[[INDEX["middle_mcp"]]].T])
    pose_m = np.zeros((1, 51), np.float32)
    pose_m[0, 48:] = xyz[WRIST]
    uv = project_world(world, view.camera)
    if not is_labelled:
        pose_m[:], xyz, uv = 0, np.full_like(xyz, -1), np.full_like(uv, -1)
    return {
        "seg": seg,
        "pose_y": pose_y,
        "pose_m": pose_m,
        "joint_3d": xyz[None].astype(np.float32),
        "joint_2d": uv[None].astype(np.float32),
    }


def _packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


# ------------------------------------------------------------------------------------------------ notes


def _write_notes(root: Path, counts: dict[str, int], request: Request) -> None:
    cameras = _cameras()
    for camera in cameras:
        (fx, _, cx), (_, fy, cy) = camera.K[:2].tolist()
        numbers = f"  fx: {fx}\n  fy: {fy}\n  ppx: {cx}\n  ppy: {cy}\n"
        text = f"color:\n{numbers}depth:\n{numbers}extrinsics: !!python/tuple\n{_dashes(np.eye(3, 4))}"
        write_text(root / f"calibration/intrinsics/{camera.name}_640x480.yml", text)
    poses = "".join(f"  '{c.name}': !!python/tuple\n{_dashes(_to_master(c), '  ')}" for c in cameras)
    for name, count in counts.items():
        date = name.partition("/")[2]
        _, _, side, grasped = next(s for s in SEQUENCES if name == f"{s[0]}/{s[1]}")
        text = f"extrinsics:\n{poses}master: '{cameras[MASTER].name}'\n"
        write_text(root / f"calibration/extrinsics_{date}/extrinsics.yml", text)
        lines = ["serials:", *(f"- '{camera.name}'" for camera in cameras), f"num_frames: {count}"]
        lines += [f"extrinsics: '{date}'", "ycb_ids:", f"- {grasped}", f"- {OTHER_OBJECT}", "ycb_grasp_ind: 0"]
        lines += [
            "mano_sides:",
            f"- {HAND_SIDES[side]}",
            "mano_calib:",
            f"- '{date}_{name.partition('/')[0][9:]}_none'",
        ]
        write_text(root / name / "meta.yml", "\n".join(lines) + "\n")
        _write_poses(root / name, cameras[MASTER].name, count)
    note = f"Rendered by handdata synth in the layout of DexYCB: {request.frames} labels, seed {request.seed}.\n"
    note += "A rendered hand has no MANO parameters: pose_m holds the place of the wrist alone.\n"
    write_text(root / "README.txt", note)


def _dashes(values: NDArray[np.float64], indent: str = "") -> str:
    return "".join(f"{indent}- {value!r}\n" for value in values.ravel().tolist())


def _to_master(camera: Camera) -> NDArray[np.float64]:
    """Return (3, 4) [R | t], t in metres: from a camera's frame to the master's."""
    pose = np.linalg.inv(camera.T_camera_world)[:3]
    pose[:, 3] /= manifest.load("dexycb").mm_per_unit
    return np.asarray(pose, np.float64)


def _write_poses(folder: Path, master: str, count: int) -> None:
    labels = [read_arrays(folder / master / f"labels_{i:06d}.npz", ("pose_m", "pose_y")) for i in range(count)]
    pose_y = np.zeros((count, 2, 7), np.float32)
    pose_y[:, 0, 3] = 1  # no rotation: x, y, z, w, then the place
    pose_y[:, :, 4:] = np.stack([y[:, :, 3] for _, y in labels])
    write_bytes(folder / "pose.npz", _packed({"pose_m": np.stack([m for m, _ in labels]), "pose_y": pose_y}))


def _victims(root: Path, counts: dict[str, int]) -> Victims:
    names, cameras = list(counts), _cameras()

    def mislabel() -> None:
        path = root / names[0] / cameras[0].name / "labels_000000.npz"
        keys: Sequence[str] = ("seg", "pose_y", "pose_m", "joint_3d", "joint_2d")
        arrays = dict(zip(keys, read_arrays(path, keys), strict=True))
        arrays["joint_3d"] = arrays["joint_3d"] + np.array([0.06, 0, 0], np.float32)
        write_bytes(path, _packed(arrays))

    return Victims(
        mislabel=mislabel,
        missing=root / names[-1] / cameras[1].name / f"color_{counts[names[-1]] - 1:06d}.jpg",
        truncated=root / names[0] / cameras[-1].name / "color_000000.jpg",
        deeper=root,
        deeper_name="dex-ycb-20210415",
    )
