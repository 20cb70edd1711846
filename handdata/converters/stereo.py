"""Stereo Hand Pose Tracking Benchmark: 12 sequences of 1500 frames, one actor's left hand, two camera systems.

Native layout (zips of B1-B3 have no top folder, so sequences may also lie at the root):
    images/<sequence>/SK_color_<i>.png, BB_left_<i>.png, BB_right_<i>.png    i counts from 0, no padding
    labels/<sequence>_SK.mat, <sequence>_BB.mat    handPara, (3, 21, frames), mm

SK labels are in the depth camera's frame, BB labels in the left BumbleBee's. Slot 0 is the palm centre, not the wrist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, boxes_option, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read import mat5
from handdata.converters.read.faults import tried
from handdata.converters.read.layout import choose, locate, numbered
from handdata.converters.read.packaging import near_names, no_label, no_sequence
from handdata.errors import ConfigError, DataError, Fix, HanddataError, MissingError
from handdata.geometry import invert_rigid, project, rotation_from_vector, transform
from handdata.manifest import Manifest
from handdata.pictures.crops import CANVAS_SCALE_STEREO, stereo_square
from handdata.pictures.decode import read_image
from handdata.shards.schema import Flag, Sample
from handdata.skeleton import LEFT, WRIST, WRIST_FORMULAS, to_canonical, wrist_from_palm

CANVAS_SCALE = CANVAS_SCALE_STEREO
CROP_RULE = "keypoints and palm centre + 40 px, clipped, squared (docs/method.md 3.3)"
FAMILIES = {"sk": ("SK", "SK_color"), "bb_left": ("BB", "BB_left"), "bb_right": ("BB", "BB_right")}
PALM = 0  # column of handPara


@dataclass(frozen=True, kw_only=True)
class StereoOptions(Options):
    """What this dataset alone can be asked."""

    camera: str = option("", "Camera [default: sk]", choices=(*FAMILIES, "all"))
    boxes: Path | None = boxes_option()
    derive_wrist: str = option(
        "", "Derive the wrist from the palm; such samples are flagged.", choices=tuple(WRIST_FORMULAS)
    )


OPTIONS = StereoOptions


def plan(root: Path, manifest: Manifest, options: StereoOptions) -> Plan:
    """List the frames of the chosen cameras, split by split, in the manifest's order of sequences."""
    root = locate(root, manifest)
    if options.derive_wrist and options.derive_wrist not in WRIST_FORMULAS:
        known = ", ".join(WRIST_FORMULAS)
        raise ConfigError("--derive-wrist", expected=f"one of {known}", got=options.derive_wrist)
    cameras = choose(() if options.camera == "all" else (options.camera or "sk",), FAMILIES, "camera")
    every = [sequence for members in manifest.sequences.values() for sequence in members]
    wanted = set(choose(options.sequences, every, "sequences"))
    items: list[Item] = []
    labels: set[str] = set()
    absent: list[str] = []
    faults: dict[str, HanddataError] = {}
    for split, members in manifest.sequences.items():
        for sequence in (name for name in members if name in wanted):
            for camera in cameras:
                found, missing, why = _frames(root, sequence, camera, split)
                items += found
                absent += missing
                faults |= why
                labels |= {_label_path(sequence, camera)} if found else set()
    if not items:
        raise _no_pictures(root, cameras, every)
    warnings = (f"absent: {', '.join(dict.fromkeys(absent))}",) if absent else ()
    label_files = tuple(sorted(labels))
    return Plan(root=root, items=tuple(items), label_files=label_files, warnings=warnings, faults=faults)


def reader(root: Path, manifest: Manifest, options: StereoOptions) -> Reader:
    """Return a reader that keeps the label tables it has opened."""
    depth_from_color = np.eye(4)
    depth_from_color[:3, :3] = rotation_from_vector(np.array(manifest.extra["rotation"]["vector"]))
    depth_from_color[:3, 3] = manifest.extra["rotation"]["translation_mm"]
    camera_from_label = {name: facts.T_camera_label for name, facts in manifest.cameras.items()}
    camera_from_label["sk"] = invert_rigid(depth_from_color)  # exact, docs/method.md D16

    @lru_cache(maxsize=4)
    def labels_of(sequence: str, camera: str) -> _Labels:
        columns = _hand_para(root / _label_path(sequence, camera))
        with np.errstate(invalid="ignore", over="ignore"):  # a frame that is no number is refused when it is read
            native = transform(camera_from_label[camera], columns * manifest.mm_per_unit)
            xyz, uv = to_canonical(native, manifest.keypoints), project(native, manifest.cameras[camera].K)
            keypoints_2d = to_canonical(uv, manifest.keypoints)
            if options.derive_wrist:
                xyz[:, WRIST] = wrist_from_palm(xyz, native[:, PALM], options.derive_wrist)
                keypoints_2d = project(xyz, manifest.cameras[camera].K)
            finite, nearest = np.isfinite(columns.sum(axis=(1, 2))), native[..., 2].min(axis=1)
        return _Labels(native, uv, xyz, keypoints_2d, finite, nearest)

    def read(item: Item) -> Sample:
        labels, frame = labels_of(item.sequence, item.camera), item.ref
        if frame >= len(labels.xyz):
            raise _unlabelled(root / _label_path(item.sequence, item.camera), item, len(labels.xyz))
        if not (labels.finite[frame] and labels.nearest[frame] > 0):
            where = f"{root / _label_path(item.sequence, item.camera)}[handPara][{frame}]"
            raise _impossible(float(labels.nearest[frame]), where, finite=bool(labels.finite[frame]))
        image = read_image(f"{root}/{item.image}")
        left, top, side = stereo_square(labels.uv[frame], image.shape[1], image.shape[0])
        return Sample(
            id=item.id,
            image=image,
            hand_side=LEFT,
            keypoints_2d=labels.keypoints_2d[frame],
            keypoints_3d=labels.xyz[frame],
            palm_center_2d=labels.uv[frame, PALM],
            palm_center_3d=labels.native[frame, PALM],
            K=manifest.cameras[item.camera].K,
            crop_xyxy=np.array([left, top, left + side, top + side]) if side > 0 else None,  # the hand left the picture
            flags=Flag.WRIST_DERIVED if options.derive_wrist else Flag.NONE,
        )

    return read


def _no_pictures(root: Path, cameras: Sequence[str], sequences: Sequence[str]) -> MissingError:
    """Return the fault of a tree without pictures of the cameras asked for; it may hold another family alone."""
    others = {
        camera: count
        for camera, (family, stem) in FAMILIES.items()
        if (count := sum(1 for _ in root.glob(f"**/{stem}_*.png"))) and any(root.glob(f"labels/*_{family}.mat"))
    }
    expected = f"pictures named {', '.join(FAMILIES[c][1] + '_<i>.png' for c in cameras)} with labels"
    if others:
        got = "only " + ", ".join(f"{count} of {camera}" for camera, count in others.items())
        return MissingError(root, expected=expected, got=got, fix=f"Convert with --camera {next(iter(others))}.")
    folder = root / "images" if (root / "images").is_dir() else root
    fault = no_sequence(folder, sequences, expected)
    fix = fault.fix or "Unpack B*.zip and labels.zip, or choose --camera."
    return MissingError(root, expected=expected, got=fault.got, fix=fix)


class _Labels(NamedTuple):
    """One sequence in one camera, all F frames at once: between two pictures a call costs more than its sums."""

    native: NDArray[np.float64]  # (F, 21, 3) mm, native order
    uv: NDArray[np.float64]  # (F, 21, 2) px, native order
    xyz: NDArray[np.float64]  # (F, 21, 3) mm
    keypoints_2d: NDArray[np.float64]  # (F, 21, 2) px
    finite: NDArray[np.bool_]  # (F)
    nearest: NDArray[np.float64]  # (F) mm, the smallest z


def _impossible(nearest: float, where: str, *, finite: bool) -> DataError:
    """Refuse what the cameras cannot have seen; the benchmark has no missing points."""
    fix = Fix("Unpack labels.zip again", skips="the frame")
    if not finite:
        return DataError(where, expected="finite numbers", got="NaN or infinity", fix=fix)
    return DataError(where, expected="points in front of the camera", got=f"z = {nearest:g} mm", fix=fix)


def _label_path(sequence: str, camera: str) -> str:
    return f"labels/{sequence}_{FAMILIES[camera][0]}.mat"


def _frames(
    root: Path, sequence: str, camera: str, split: str
) -> tuple[list[Item], list[str], dict[str, HanddataError]]:
    """List one sequence of one camera; name what is absent of it, and why items cannot be read by their id.

    Raises:
        MissingError: pictures without the label, or an empty picture folder.
    """
    stem = FAMILIES[camera][1]
    places = [root / "images" / sequence, root / sequence]
    places = [folder for place in places for folder in (place / sequence, place)]  # a zip unpacked into its own name
    found = [(place, numbered(place, rf"{stem}_(\d+)\.png")) for place in places if place.is_dir()]
    if not found:
        return [], [f"{sequence} (no pictures)"], {}
    folder, frames = next((pair for pair in found if pair[1]), found[0])
    label = root / _label_path(sequence, camera)
    if not frames:
        if not any(numbered(folder, rf"{other}_(\d+)\.png") for _, other in FAMILIES.values()):
            got = near_names(folder, [rf"{stem}_\d+\.png"])
            fix = f"Unpack {sequence}.zip." if got == "none" else f"Name them {stem}_<i>.png."
            raise MissingError(folder, expected=f"the pictures {stem}_<i>.png", got=got, fix=fix)
        return [], [f"{sequence}/{stem}"], {}
    if not label.exists():
        raise no_label(label, "the labels of a sequence", len(frames), "Unpack labels.zip beside images/.")
    para, fault = tried(partial(_hand_para, label), label)
    count = len(para) if para is not None else 0
    gaps = sorted(set(range(count)) - {number for number, _ in frames})
    note = [f"{len(gaps)} of {count} pictures of {sequence}/{stem}, the first {stem}_{gaps[0]}.png"] if gaps else []
    relative, name = folder.relative_to(root).as_posix(), stem.removesuffix("_color")
    items = [
        Item(f"{sequence}/{name}/{i:04d}", split, sequence, camera, i, f"{relative}/{path.name}", i)
        for i, path in frames
    ]
    past = (item for item in items if item.ref >= count)
    return items, note, {item.id: fault or _unlabelled(label, item, count) for item in past}


def _unlabelled(label: Path, item: Item, count: int) -> MissingError:
    fix = Fix("Unpack labels.zip again", skips="the picture")
    name = Path(item.image).name
    return MissingError(f"{label}[handPara]", expected=f"a column for {name}", got=f"{count} frames", fix=fix)


def _hand_para(path: Path) -> NDArray[np.float64]:
    """Read handPara as (frames, 21, 3), native order and unit; read once while the file stays as it is.

    Raises:
        DataError: no MATLAB file, no such variable, or of another shape.
    """
    status = path.stat()
    return _read_hand_para(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_hand_para(path: Path, _size: int, _time_ns: int) -> NDArray[np.float64]:
    fix = "Unpack labels.zip again; the file is not one of the benchmark's."
    variables = mat5.load(path)
    para = variables.get("handPara")
    if para is None:
        found = ", ".join(sorted(variables)) or "nothing"
        raise DataError(path, expected="a variable handPara of numbers", got=found, fix=fix)
    if para.ndim != 3 or para.shape[:2] != (3, 21):
        raise DataError(f"{path}[handPara]", expected="shape (3, 21, frames)", got=str(para.shape), fix=fix)
    return para.transpose(2, 1, 0).astype(np.float64)
