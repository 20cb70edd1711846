"""DexYCB: a hand that grasps an object, seen by eight cameras, labelled in 2D and 3D.

Native layout:
    <date>-subject-<number>/<sequence>/meta.yml      the hand's side, the objects, which of them is grasped
    <subject>/<sequence>/<serial>/color_<6 digits>.jpg     640 x 480
    <subject>/<sequence>/<serial>/labels_<6 digits>.npz    joint_2d px; joint_3d m, in the frame of that camera; seg
    calibration/intrinsics/<serial>_640x480.yml      of the colour camera, under `color`

A picture whose joint_3d is -1 throughout has no label, and one with no point inside shows no hand: both are left out.
The splits of the setups s0 to s3 are the archive's own: by subject, by camera, by grasped object, or by the rank of a
sequence among the hundred of its subject. MANO parameters are not read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option, with_segmentation_option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.layout import choose, locate, numbered
from handdata.converters.read.npz import read_arrays
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.files.simple_yaml import read_keys
from handdata.files.text import Wanted
from handdata.geometry import in_frame
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import MASK_BACKGROUND, MASK_HAND, MASK_OBJECT, Sample
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "square round the hand's keypoints + 40 px"
HAS_OBJECT = 1  # every sequence is a grasp
NO_LABEL = -1.0
HAND_IN_SEG = 255  # of seg; 1 to 21 are objects
PICTURE = r"color_(\d{6})\.jpg"
READERS = 8  # threads that read labels to see whether there is one: it is unpacking and waiting for the disk
SUBJECT = re.compile(r"\d{8}-subject-(\d{2})")
SETUPS = ("default", "s0", "s1", "s2", "s3")
_FIX = "Unpack that subject's archive again."


@dataclass(frozen=True, kw_only=True)
class DexYCBOptions(Options):
    """What this dataset alone can be asked."""

    split_scheme: str = option(
        "default",
        "Setup of the archive: s0 (seen all), s1 (unseen subjects, the default), s2 (views) or s3 (objects).",
        choices=SETUPS,
    )
    with_segmentation: bool = with_segmentation_option()


OPTIONS = DexYCBOptions


@dataclass(frozen=True)
class Recording:
    """One sequence: its folder, its side, what is grasped (None: not known), its rank among its subject's."""

    folder: Path
    subject: int
    side: int
    grasped: int | None
    rank: int


def plan(root: Path, manifest: Manifest, options: DexYCBOptions) -> Plan:
    """List the labelled pictures by subject, sequence, camera and frame."""
    root = locate(root, manifest)
    setup = "s1" if options.split_scheme == "default" else options.split_scheme
    folders = {f"{path.parent.name}/{path.name}": path for path in _sequence_folders(root, manifest)}
    wanted = choose(options.sequences, folders, "sequences")
    ranks = _ranks(folders)
    if setup == "s0":
        _require_all(folders, manifest.extra["sequences_per_subject"])
    items: list[Item] = []
    left_out: Counter[str] = Counter()
    absent = 0
    faults: dict[str, HanddataError] = {}
    for name in wanted:
        said, unknown = tried(partial(_recording, folders[name], ranks[name]), folders[name])
        recording = said or Recording(folders[name], _subject(folders[name]), 0, None, ranks[name])
        absent += sum(map(_without_picture, _camera_folders(recording, manifest)))
        candidates = list(_pictures(root, recording, manifest, manifest.extra["setups"][setup]))
        with ThreadPoolExecutor(READERS) as pool:
            states = list(pool.map(partial(_state, root, manifest), candidates))
        for item, state in zip(candidates, states, strict=True):
            if isinstance(state, str) and state:
                left_out[state] += 1
                continue
            items.append(item)
            fault = unknown or state
            if isinstance(fault, HanddataError):
                faults[item.id] = fault
    if not items:
        raise MissingError(root, expected="labelled pictures", got="none", fix=_FIX)
    notes = [f"{count} pictures left out: {why}" for why, count in sorted(left_out.items()) if count]
    notes += [f"absent: {absent} pictures beside their label"] if absent else []
    return Plan(
        root=root,
        items=tuple(items),
        label_files=tuple(sorted({f"{item.sequence}/meta.yml" for item in items})),
        labels_of=lambda item: (_label_name(item), _intrinsics_name(item.camera)),
        has_mask=True,
        warnings=tuple(notes),
        readings=(("setup", setup),),
        faults=faults,
    )


def reader(root: Path, manifest: Manifest, options: DexYCBOptions) -> Reader:
    """Return a reader that keeps the cameras and the last sequence."""
    recording = lru_cache(maxsize=4)(lambda name: _recording(root / name, 0))
    intrinsics = lru_cache(maxsize=16)(lambda camera: _intrinsics(root / _intrinsics_name(camera)))

    def read(item: Item) -> Sample:
        path = root / _label_name(item)
        uv, xyz = _points(path)
        image = read_image(root / item.image)
        return Sample(
            id=item.id,
            image=image,
            hand_side=recording(item.sequence).side,
            keypoints_2d=to_canonical(uv, manifest.keypoints),
            keypoints_3d=to_canonical(xyz * manifest.mm_per_unit, manifest.keypoints),
            K=intrinsics(item.camera),
            has_object=HAS_OBJECT,
            mask=_mask(path, image.shape[:2]) if options.with_segmentation else None,
        )

    return read


# ------------------------------------------------------------------------------------------------ what there is


def _sequence_folders(root: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield the folders that describe a sequence or have a camera's pictures: one without the other is a fault."""
    parts = ("meta.yml", *manifest.cameras)
    subjects = sorted(path for path in root.iterdir() if SUBJECT.fullmatch(path.name) and path.is_dir())
    for subject in subjects:
        yield from sorted(path for path in subject.iterdir() if any((path / part).exists() for part in parts))


def _ranks(folders: Mapping[str, Path]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    ranks = {}
    for name, folder in folders.items():
        ranks[name] = counts[folder.parent.name]
        counts[folder.parent.name] += 1
    return ranks


def _require_all(folders: Mapping[str, Path], expected: int) -> None:
    """Refuse subjects that are there in part: ranks among the others would be wrong.

    Raises:
        ConfigError: so it is.
    """
    counts = Counter(folder.parent.name for folder in folders.values())
    for subject, count in counts.items():
        if count != expected:
            got = f"{count} of {subject}"
            fix = "Unpack the subject whole, or choose --split-scheme s1, s2 or s3."
            raise ConfigError("--split-scheme s0", expected=f"all {expected} sequences of a subject", got=got, fix=fix)


def _recording(folder: Path, rank: int) -> Recording:
    """Read what a sequence says of itself.

    Raises:
        DataError: it does not.
    """
    path = folder / "meta.yml"
    wanted = Wanted(what="the description of a sequence", fix=_FIX)
    facts = read_keys(path, ("ycb_ids", "ycb_grasp_ind", "mano_sides"), wanted)
    try:
        (side,) = facts["mano_sides"]
        grasped = int(facts["ycb_ids"][facts["ycb_grasp_ind"]])
        return Recording(folder, _subject(folder), HAND_SIDES.index(side), grasped, rank)
    except (TypeError, ValueError, IndexError):
        expected = "one side, and which of the objects is grasped"
        raise DataError(path, expected=expected, got=str(facts)[:120], fix=_FIX) from None


def _subject(folder: Path) -> int:
    match = SUBJECT.fullmatch(folder.parent.name)
    return int(match[1]) if match else 0


def _pictures(
    root: Path, recording: Recording, manifest: Manifest, setup: Mapping[str, Mapping[str, Sequence[Any]]]
) -> Iterator[Item]:
    """Yield the pictures of a sequence that are in some split, by camera and frame."""
    sequence = recording.folder.relative_to(root).as_posix()
    for camera in (folder.name for folder in _camera_folders(recording, manifest)):
        facts = {
            "subjects": recording.subject,
            "cameras": camera,
            "objects": recording.grasped,
            "places": recording.rank % manifest.extra["sequences_per_object"],
        }
        split = next((s for s, rule in setup.items() if all(facts[key] in (None, *rule[key]) for key in rule)), None)
        if split is None:
            continue
        for number, path in numbered(recording.folder / camera, PICTURE):
            item_id = f"{sequence}/{camera}/{number:06d}"
            yield Item(item_id, split, sequence, camera, number, path.relative_to(root).as_posix())


def _camera_folders(recording: Recording, manifest: Manifest) -> list[Path]:
    folders = (recording.folder / name for name in manifest.cameras)
    return [folder for folder in folders if folder.is_dir()]


def _without_picture(folder: Path) -> int:
    """Return how many labels of a camera have no picture."""
    labels, pictures = (
        {number for number, _ in numbered(folder, pattern)} for pattern in (r"labels_(\d{6})\.npz", PICTURE)
    )
    return len(labels - pictures)


def _label_name(item: Item) -> str:
    return f"{item.sequence}/{item.camera}/labels_{item.frame:06d}.npz"


def _intrinsics_name(camera: str) -> str:
    return f"calibration/intrinsics/{camera}_640x480.yml"


# ------------------------------------------------------------------------------------------------ labels


def _state(root: Path, manifest: Manifest, item: Item) -> str | HanddataError:
    """Return "" for a picture with a hand, why it is left out, or why its label cannot be read."""
    path = root / _label_name(item)
    points, fault = tried(partial(_points, path), path)
    if points is None:
        return fault or ""
    uv, xyz = points
    if (xyz == NO_LABEL).all():
        return "no label"
    width, height = manifest.cameras[item.camera].size
    return "" if in_frame(uv, width, height).any() else "the hand lies outside"


def _points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (21, 2) px and (21, 3) m of a label, in native order.

    Raises:
        MissingError: no such file.
        DataError: it holds something else.
    """
    found = read_arrays(path, ("joint_2d", "joint_3d"))
    for name, values, size in zip(("joint_2d", "joint_3d"), found, (2, 3), strict=True):
        if values.shape != (1, NUM_KEYPOINTS, size) or not np.isfinite(values).all():
            got = f"shape {values.shape}" if values.shape != (1, NUM_KEYPOINTS, size) else "NaN or infinity"
            raise DataError(f"{path}[{name}]", expected=f"numbers of shape (1, 21, {size})", got=got, fix=_FIX)
    return found[0][0].astype(np.float64), found[1][0].astype(np.float64)


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the segmentation as 0 background, 1 hand, 2 object; an arm is in the background.

    Raises:
        DataError: it is of another size than the picture.
    """
    (seg,) = read_arrays(path, ("seg",))
    if seg.shape != tuple(shape):
        raise DataError(f"{path}[seg]", expected=f"shape {tuple(shape)}", got=f"shape {seg.shape}", fix=_FIX)
    objects = np.where(seg == 0, MASK_BACKGROUND, MASK_OBJECT)
    return np.where(seg == HAND_IN_SEG, MASK_HAND, objects).astype(np.uint8)


def _intrinsics(path: Path) -> NDArray[np.float64]:
    """Return (3, 3) px of the colour camera.

    Raises:
        MissingError: no such file.
        DataError: it holds something else.
    """
    color = read_keys(path, ("color",), Wanted(what="intrinsics of a camera", fix="Unpack calibration.tar.gz."))[
        "color"
    ]
    try:
        fx, fy, cx, cy = (float(color[key]) for key in ("fx", "fy", "ppx", "ppy"))
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}[color]", expected="fx, fy, ppx and ppy", got=str(color)[:120], fix=_FIX) from None
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
