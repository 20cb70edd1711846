"""InterHand2.6M: one or two hands, interacting, in a dome of cameras; both hands of a picture are samples.

Native layout:
    images/<split>/Capture<N>/<sequence>/cam<camera>/image<frame>.jpg     512 x 334 or 334 x 512
    annotations/<split>/InterHand2.6M_<split>_data.json        pictures, sizes, points that lie inside
    annotations/<split>/InterHand2.6M_<split>_camera.json      by capture: position mm, rotation, focal length, middle
    annotations/<split>/InterHand2.6M_<split>_joint_3d.json    by capture and frame: (42, 3) mm of the world, and which

Older releases have annotations/all/ instead of a folder per split. A hand is a sample where at least two of its points
are labelled and one lies in the picture. Both hands of a picture have its sequence, camera and frame, and ids that
differ in the side alone. The world is moved into the camera: X = rotation (P - position). Archives of 5 and of 30
frames per second differ in the steps of their frame numbers alone. What the manifest knows to be wrong is left out and
counted: hands by frame, pictures of another size than their record by camera.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.json_stream import stream
from handdata.converters.read.layout import choose, locate
from handdata.converters.read.naming import ascii_id, below
from handdata.converters.read.packaging import no_label
from handdata.converters.read.sizes import require_size
from handdata.errors import DataError, Fix, HanddataError, MissingError
from handdata.files.text import LARGE, Wanted, read_object
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import image_size, read_image
from handdata.shards.schema import Flag, Sample
from handdata.skeleton import HAND_SIDES, LEFT, NUM_KEYPOINTS, RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "square round the hand's keypoints + 40 px"
KINDS = ("data", "camera", "joint_3d")
POINTS = 2 * NUM_KEYPOINTS
MIN_POINTS = 2  # labelled, of a hand
ROWS = {RIGHT: slice(0, NUM_KEYPOINTS), LEFT: slice(NUM_KEYPOINTS, POINTS)}
NO_OBJECT = 0
TRAIN, HELD = "train", "val"
WIDEST, LATEST = 1 << 15, 1 << 31  # px of a side, and the number of a frame, below
_FIX = Fix("Unpack the annotations again", skips="it")


@dataclass(frozen=True, kw_only=True)
class InterHandOptions(Options):
    """What this dataset alone can be asked."""

    split_scheme: str = option(
        "default",
        "As published; or one in eight subjects of train validates as well.",
        choices=("default", "reference", "subjects"),
    )


OPTIONS = InterHandOptions


class Shot(NamedTuple):
    """One record of a picture."""

    name: str
    subject: str
    width: int
    height: int
    capture: str
    sequence: str
    camera: str
    frame: int
    is_sure: bool = True  # hand_type_valid: the archive vouches for which hands it shows


Shown = tuple[Shot, NDArray[np.bool_]]  # and which of its 42 points lie inside


@dataclass(frozen=True)
class Joints:
    """The points of a split: (F, 42, 3) mm of the world, (F, 42) which are labelled, rows by capture and frame."""

    xyz: NDArray[np.float64]
    valid: NDArray[np.bool_]
    rows: dict[tuple[str, str], int]
    faults: dict[tuple[str, str], str]


def plan(root: Path, manifest: Manifest, options: InterHandOptions) -> Plan:
    """List the hands of every split, in the order of the records, right before left."""
    root = locate(root, manifest)
    splits = [split for split in manifest.sequences if (root / "images" / split).is_dir()]
    items: list[Item] = []
    notes = [f"absent: {', '.join(s for s in manifest.sequences if s not in splits)}"] if len(splits) < 3 else []
    labels: list[str] = []
    faults: dict[str, HanddataError] = {}
    readings: list[tuple[str, str]] = []
    for split in splits:
        _require_labels(root, split)
        pictures = list(_pictures(_label_path(root, split, "data")))
        found, said, why = _hands(root, split, pictures, manifest)
        if options.split_scheme == "subjects" and split == TRAIN:
            found = _hold_out(found, pictures, manifest.extra["validation"]["one_in"])
        items += found
        notes += said
        faults |= why
        readings += _rate(split, pictures, manifest.extra["rate"])
        labels += [_label_path(root, split, kind).relative_to(root).as_posix() for kind in KINDS]
    if options.sequences:
        wanted = set(choose(options.sequences, dict.fromkeys(item.sequence for item in items), "sequences"))
        items = [item for item in items if item.sequence in wanted]
    if not items:
        raise MissingError(root, expected="labelled pictures", got="none", fix="Unpack the archive again.")
    return Plan(
        root=root,
        items=tuple(items),
        label_files=tuple(labels),
        warnings=tuple(notes),
        readings=tuple(readings),
        faults=faults,
    )


def reader(root: Path, manifest: Manifest, options: InterHandOptions) -> Reader:  # noqa: ARG001 - nothing to choose
    """Return a reader that keeps the last picture: both its hands follow one another."""
    picture = lru_cache(maxsize=1)(read_image)

    def read(item: Item) -> Sample:
        capture, camera = item.sequence.split("/")[1].removeprefix("Capture"), item.camera.removeprefix("cam")
        shipped = item.sequence.partition("/")[0]  # as the archive splits: a subject held out keeps its own files
        R, position, K = _camera(_label_path(root, shipped, "camera"), capture, camera)
        side, size, is_sure = unpack(item.ref)
        native = _hand(_label_path(root, shipped, "joint_3d"), capture, str(item.frame), side)
        xyz = to_canonical((native - position) @ R.T, manifest.keypoints)
        image = picture(root / item.image)
        require_size(image, size, root / item.image)
        return Sample(
            id=item.id,
            image=image,
            hand_side=side,
            keypoints_2d=project(xyz, K),
            keypoints_3d=xyz,
            K=K,
            has_object=NO_OBJECT,
            flags=Flag.NONE if is_sure else Flag.SIDE_UNSURE,
        )

    return read


def pack(side: int, width: int, height: int, *, is_sure: bool) -> int:
    """Return the number an item keeps: its hand, the record's size of its picture, and if its side is vouched for."""
    return side | width << 1 | height << 16 | (not is_sure) << 31


def unpack(ref: int) -> tuple[int, tuple[int, int], bool]:
    """Invert `pack`: the side, (width, height), and whether the side is vouched for."""
    return ref & 1, ((ref >> 1) & 0x7FFF, (ref >> 16) & 0x7FFF), not ref >> 31


def _require_labels(root: Path, split: str) -> None:
    for kind in KINDS:
        path = _label_path(root, split, kind)
        if not path.exists():
            raise no_label(path, f"the labels of {split}", 0, "Unpack the annotations beside images/.")


def _label_path(root: Path, split: str, kind: str) -> Path:
    name = f"InterHand2.6M_{split}_{kind}.json"
    places = (root / "annotations" / folder / name for folder in (split, "all", "machine_annot", "human_annot"))
    return next((path for path in places if path.exists()), root / "annotations" / split / name)


# ------------------------------------------------------------------------------------------------ plan


def _hands(
    root: Path, split: str, pictures: Sequence[Shown], manifest: Manifest
) -> tuple[list[Item], list[str], dict[str, HanddataError]]:
    """List the hands of one split; say what is left out, and why hands cannot be read by their item's id."""
    joint_3d = _label_path(root, split, "joint_3d")
    joints, fault = tried(partial(read_joints, joint_3d), joint_3d)
    _, camera_fault = tried(partial(_cameras, _label_path(root, split, "camera")), root)
    fault = fault or camera_fault
    folders: dict[Path, set[str]] = {}
    counts: Counter[str] = Counter()
    items: list[Item] = []
    faults: dict[str, HanddataError] = {}
    for picture, inside in pictures:
        image = root / "images" / split / picture.name
        if image.name not in folders.setdefault(image.parent, _names(image.parent)):
            counts["absent"] += 1
            continue
        if picture.camera in manifest.extra["wrong_sizes"] and _is_of_another_size(image, picture):
            counts[picture.camera] += 1
            continue
        valid = _valid(joints, picture)
        why = fault or (None if valid is not None else _no_joints(joint_3d, picture, joints))
        labelled = [side for side, rows in ROWS.items() if valid is None or valid[rows].sum() >= MIN_POINTS]
        shown = [side for side in labelled if inside[ROWS[side]].any()]
        counts["outside"] += len(labelled) - len(shown)
        sound = [side for side in shown if not _is_wrong(split, picture, side, manifest)]
        counts["wrong"] += len(shown) - len(sound)
        here = [_item(root, split, picture, side) for side in sound]
        items += here
        faults |= {item.id: why for item in here if why is not None}
    return items, _notes(split, counts, manifest), faults


def _notes(split: str, counts: Mapping[str, int], manifest: Manifest) -> list[str]:
    """Say what of a split is not there or left out."""
    said = {
        "absent": f"absent: {{}} pictures of {split}",
        "outside": f"{{}} hands of {split} left out: outside their picture",
        "wrong": f"{{}} hands of {split} left out: known to be labelled wrongly",
    } | {
        camera: f"{{}} pictures of {split} left out: camera {camera} is known for other sizes than its records"
        for camera in manifest.extra["wrong_sizes"]
    }
    return [text.format(counts[key]) for key, text in said.items() if counts[key]]


def _is_of_another_size(image: Path, picture: Shot) -> bool:
    """Tell whether a picture's file has another size than its record; its reader names one that cannot be read."""
    size, _ = tried(partial(image_size, image), image)
    return size is not None and size != (picture.width, picture.height)


def _is_wrong(split: str, picture: Shot, side: int, manifest: Manifest) -> bool:
    """Tell whether the manifest knows a hand to be labelled wrongly."""
    hand = {"split": split, "capture": picture.capture, "frame": picture.frame, "side": HAND_SIDES[side]}
    return hand in manifest.extra["wrong_hands"]


def _item(root: Path, split: str, picture: Shot, side: int) -> Item:
    sequence = f"{split}/Capture{picture.capture}/{picture.sequence}"
    image = root / "images" / split / picture.name
    return Item(
        id=ascii_id(f"{sequence}/cam{picture.camera}/{image.stem}/{HAND_SIDES[side]}"),
        split=split,
        sequence=sequence,
        camera=f"cam{picture.camera}",
        frame=picture.frame,
        image=image.relative_to(root).as_posix(),
        ref=pack(side, picture.width, picture.height, is_sure=picture.is_sure),
    )


def _hold_out(items: Sequence[Item], pictures: Sequence[Shown], one_in: int) -> list[Item]:
    """Let one in so many subjects of a split validate, with every picture of theirs."""
    held = set(sorted({picture.subject for picture, _ in pictures})[::one_in])
    sequences = {(p.capture, p.sequence) for p, _ in pictures if p.subject in held}
    names = {f"{TRAIN}/Capture{capture}/{sequence}" for capture, sequence in sequences}
    return [replace(item, split=HELD) if item.sequence in names else item for item in items]


def _rate(split: str, pictures: Sequence[Shown], captured: Mapping[str, int]) -> list[tuple[str, str]]:
    """Say how many frames per second a split has, by the smallest step between frame numbers of a sequence."""
    frames: dict[tuple[str, str], set[int]] = {}
    for picture, _ in pictures:
        frames.setdefault((picture.capture, picture.sequence), set()).add(picture.frame)
    steps = [int(np.diff(sorted(numbers)).min()) for numbers in frames.values() if len(numbers) > 1]
    return [(f"frames per second of {split}", f"{captured[split] / min(steps):g}")] if steps else []


def _pictures(path: Path) -> Iterator[Shown]:
    """Yield the records of the pictures with which points lie inside, (42,), in the order of the file.

    Raises:
        DataError: a record lacks something, or a picture its points.
    """
    pictures: dict[int, Shot] = {}
    inside: dict[int, bytes] = {}
    unsure: set[int] = set()
    for number, (key, record) in enumerate(stream(path)):
        try:
            if key == "images":
                name, width, height, capture = (record[k] for k in ("file_name", "width", "height", "capture"))
                sequence, camera, frame = (record[k] for k in ("seq_name", "camera", "frame_idx"))
                if not (0 < width < WIDEST and 0 < height < WIDEST and 0 <= frame < LATEST):
                    raise ValueError(f"{width} x {height} px, frame {frame}")
                subject = str(record.get("subject", ""))
                pictures[int(record["id"])] = Shot(
                    below(name), subject, int(width), int(height), str(capture), str(sequence), str(camera), int(frame)
                )
            elif key == "annotations":
                flags = np.array(record["joint_valid"], bool).reshape(POINTS)
                inside[int(record["image_id"])] = flags.tobytes()
                if not record.get("hand_type_valid", 1):
                    unsure.add(int(record["image_id"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            got = f"{type(error).__name__}: {error}"
            raise DataError(f"{path}[{key}]", expected=f"a record like the others, the {number}th", got=got) from None
    for image_id, picture in pictures.items():
        yield picture._replace(is_sure=image_id not in unsure), np.frombuffer(inside.get(image_id, bytes(POINTS)), bool)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _valid(joints: Joints | None, picture: Shot) -> NDArray[np.bool_] | None:
    row = None if joints is None else joints.rows.get((picture.capture, str(picture.frame)))
    return None if joints is None or row is None else np.asarray(joints.valid[row])


def _no_joints(path: Path, picture: Shot, joints: Joints | None) -> DataError:
    place = picture.capture, str(picture.frame)
    got = joints.faults.get(place, "none") if joints is not None else "none"
    return DataError(f"{path}[{place[0]}][{place[1]}]", expected="the points of a frame", got=got, fix=_FIX)


# ------------------------------------------------------------------------------------------------ labels


def read_joints(path: Path) -> Joints:
    """Read the points of a split; once while the file stays as it is.

    Raises:
        DataError: no JSON object of captures.
    """
    status = path.stat()
    return _read_joints(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=3)
def _read_joints(path: Path, _size: int, _time_ns: int) -> Joints:
    captures = read_object(path, Wanted(what="points by capture and frame", fix=_FIX, largest=LARGE))
    xyz: list[NDArray[np.float64]] = []
    valid: list[NDArray[np.bool_]] = []
    rows: dict[tuple[str, str], int] = {}
    faults: dict[tuple[str, str], str] = {}
    for capture, frames in captures.items():
        for frame, label in frames.items() if isinstance(frames, dict) else ():
            try:
                points = np.array(label["world_coord"], np.float64).reshape(POINTS, 3)
                is_valid = np.array(label["joint_valid"], bool).reshape(POINTS)
                if not np.isfinite(points[is_valid]).all():
                    raise ValueError("NaN or infinity")
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                faults[capture, frame] = f"{type(error).__name__}: {error}"
                continue
            rows[capture, frame] = len(xyz)
            xyz.append(points)
            valid.append(is_valid)
    return Joints(np.reshape(xyz, (-1, POINTS, 3)), np.reshape(valid, (-1, POINTS)).astype(bool), rows, faults)


def _hand(path: Path, capture: str, frame: str, side: int) -> NDArray[np.float64]:
    """Return one hand's points, (21, 3) mm of the world in native order, NaN where not labelled.

    Raises:
        DataError: the frame has none.
    """
    joints = read_joints(path)
    row = joints.rows.get((capture, frame))
    if row is None:
        raise DataError(f"{path}[{capture}][{frame}]", expected="the points of a frame", got="none", fix=_FIX)
    return np.where(joints.valid[row][:, None], joints.xyz[row], np.nan)[ROWS[side]]


def _cameras(path: Path) -> dict[str, Any]:
    status = path.stat()
    return _read_cameras(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=3)
def _read_cameras(path: Path, _size: int, _time_ns: int) -> dict[str, Any]:
    return read_object(path, Wanted(what="cameras by capture", fix=_FIX, largest=LARGE))


def _camera(path: Path, capture: str, camera: str) -> tuple[NDArray[np.float64], ...]:
    """Return the rotation (3, 3), the position (3,) mm and the intrinsics (3, 3) px of a camera.

    Raises:
        DataError: it is not there, or something else.
    """
    try:
        facts = _cameras(path)[capture]
        R, position = (np.array(facts[key][camera], np.float64) for key in ("camrot", "campos"))
        (fx, fy), (cx, cy) = facts["focal"][camera], facts["princpt"][camera]
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        if R.shape != (3, 3) or position.shape != (3,) or not np.isfinite([*R.flat, *position, *K.flat]).all():
            raise ValueError("numbers of another shape")
    except (KeyError, TypeError, ValueError) as error:
        where, got = f"{path}[{capture}][{camera}]", f"{type(error).__name__}: {error}"
        raise DataError(where, expected="rotation, position and intrinsics of a camera", got=got, fix=_FIX) from None
    return R, position, K
