"""Rendered Hand Pose Dataset: 43,986 pictures of rendered people, both hands labelled, visible or not.

Native layout:
    training/anno_training.pickle, evaluation/anno_evaluation.pickle
        {number: {"xyz": (42, 3) m, "uv_vis": (42, 3) px and flag, "K": (3, 3)}}; 0-20 left hand, 21-41 right;
        px counted from the corner of the first pixel
    training/color/<5 digits>.png    320 x 320
    training/mask/<5 digits>.png     0 background, 1 person, 2-17 left hand, 18-33 right hand
    training/depth/<5 digits>.png    not read

One picture gives a sample for each hand that `--hands` asks for. Both hands are labelled in every picture, also where
one is out of sight or behind the camera: points behind it have no 2D, points far outside do not widen the crop.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option, with_segmentation_option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read import pickle_numpy
from handdata.converters.read.faults import tried
from handdata.converters.read.layout import choose, locate, numbered
from handdata.converters.read.numbers import check_near
from handdata.converters.read.packaging import near_names, no_label
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.exchange.labels import FARTHEST, FARTHEST_PX
from handdata.geometry import in_frame, project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image, read_raw
from handdata.shards.schema import MASK_BACKGROUND, MASK_HAND, MASK_UNKNOWN, Sample
from handdata.skeleton import HAND_SIDES, LEFT, RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "square round the hand's keypoints + 40 px, those more than a picture's side outside left out"
HANDS = ("visible", "dominant", "all")
POINTS = 21  # of one hand
SHAPES = {"xyz": (2 * POINTS, 3), "uv_vis": (2 * POINTS, 3), "K": (3, 3)}
PROBES = 400  # pictures of a set whose labels are compared
OFF_PX = 0.5  # of 2D labels inside a picture from where their 3D projects: numbers of four digits give 0.12 px
MAX_NAMED = 5  # hands behind the camera
READERS = 8  # threads that read masks for --hands dominant: it is decoding and waiting for the disk

Annotation = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class RHDOptions(Options):
    """What this dataset alone can be asked."""

    hands: str = option(
        "visible", "Hands to convert: those with visible keypoints, the larger one, or both.", choices=HANDS
    )
    with_segmentation: bool = with_segmentation_option()


OPTIONS = RHDOptions


def plan(root: Path, manifest: Manifest, options: RHDOptions) -> Plan:
    """List the hands of both sets, in the order of the pictures, left before right."""
    root = locate(root, manifest, ["training/color"], ["evaluation/color"])
    if options.hands not in HANDS:
        raise ConfigError("--hands", expected=f"one of {', '.join(HANDS)}", got=options.hands)
    sets = {name: split for split, members in manifest.sequences.items() for name in members}
    items: list[Item] = []
    warnings: list[str] = []
    faults: dict[str, HanddataError] = {}
    found = [name for name in choose(options.sequences, sets, "sequences") if (root / name).is_dir()]
    for name in found:
        numbers, notes, fault = _pictures(root, name)
        warnings += notes
        if fault is None:
            hands = _hands(root, name, numbers, options.hands, manifest.extra["mask"])
        else:
            hands = [(LEFT, RIGHT)] * len(numbers)
        without = sum(not sides for sides in hands)
        if without:
            warnings.append(f"{without} of {len(numbers)} pictures of {name} show no hand by their flags: no sample")
        here = [
            Item(
                f"{name}/{number:05d}/{HAND_SIDES[side]}", sets[name], name, "color", number, _color(name, number), side
            )
            for number, sides in zip(numbers, hands, strict=True)
            for side in sides
        ]
        items += here
        faults |= {item.id: fault for item in here if fault is not None}
    if not items:
        fix = "Unpack RHD_v1-1.zip again, or choose other --sequences or --hands."
        raise MissingError(root, expected="labelled pictures that match the request", got="none", fix=fix)
    absent = [name for name in sets if name not in found and (not options.sequences or name in options.sequences)]
    warnings += [f"absent: {', '.join(absent)}"] if absent else []
    readable = [name for name in found if tried(partial(_annotations, root / _anno(name)), root)[1] is None]
    behind = [
        item.id
        for item in items
        if item.sequence in readable and _is_behind(_annotations(root / _anno(item.sequence))[item.frame], item.ref)
    ]
    if behind:
        some = ", ".join(behind[:MAX_NAMED]) + (", ..." if len(behind) > MAX_NAMED else "")
        warnings.append(f"{len(behind)} hands lie wholly behind the camera and have no 2D: {some}")
    without_mask = [name for name in found if not (root / name / "mask").is_dir()]
    if without_mask:
        warnings.append(f"no foreground: {', '.join(f'{name}/mask' for name in without_mask)} absent")
    return Plan(
        root=root,
        items=tuple(items),
        label_files=tuple(_anno(name) for name in found),
        labels_of=lambda item: (_mask_name(item.sequence, item.frame),),
        has_foreground=not without_mask,
        warnings=tuple(warnings),
        faults=faults,
        readings=(("hands", options.hands), ("2D against 3D labels", _agreement(root, readable, manifest))),
    )


def reader(root: Path, manifest: Manifest, options: RHDOptions) -> Reader:  # noqa: ARG001 - none concerns it
    """Return a reader that keeps the last picture: both its hands follow one another."""
    masked = {name for name in _sets(manifest) if (root / name / "mask").is_dir()}

    @lru_cache(maxsize=1)
    def picture(sequence: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        image = read_image(root / _color(sequence, number))
        if sequence not in masked:
            return image, None
        return image, _mask(root / _mask_name(sequence, number), image.shape[:2])

    def read(item: Item) -> Sample:
        where = f"{root / _anno(item.sequence)}[{item.frame}]"
        annotation = _checked(_annotations(root / _anno(item.sequence)).get(item.frame), where)
        rows = slice(item.ref * POINTS, (item.ref + 1) * POINTS)
        native = np.hstack([annotation["xyz"][rows] * manifest.mm_per_unit, annotation["uv_vis"][rows]])
        points = to_canonical(native.astype(np.float64), manifest.keypoints)
        uv = np.where(points[:, 2:3] > 0, points[:, 3:5] - manifest.origin_px, np.nan)
        image, mask = picture(item.sequence, item.frame)
        return Sample(
            id=item.id,
            image=image,
            hand_side=item.ref,
            keypoints_2d=uv,
            keypoints_3d=points[:, :3],
            visible=(points[:, 5] > 0.5).astype(np.int8),
            K=_intrinsics(annotation, manifest),
            crop_xyxy=_crop(uv, image.shape[1], image.shape[0]),
            mask=mask,
            foreground=None if mask is None else mask != MASK_BACKGROUND,
        )

    return read


def _intrinsics(annotation: Annotation, manifest: Manifest) -> NDArray[np.float64]:
    K = annotation["K"].astype(np.float64)
    K[:2, 2] -= manifest.origin_px
    return K


def _crop(uv: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Return a square round the points within a picture's side of the picture; its middle if no point is there.

    A point just in front of the camera projects thousands of pixels away.
    """
    size = np.array([width, height])
    near = ((uv >= -size) & (uv < 2 * size)).all(axis=1)
    around = crops.keypoint_square(uv[near])
    return crops.centered_square(width, height) if around is None else around


def _is_behind(entry: Any, side: int) -> bool:
    """Tell whether every point of a hand is at or behind the camera; False where the labels cannot be read."""
    xyz = entry.get("xyz") if isinstance(entry, dict) else None
    if not isinstance(xyz, np.ndarray) or xyz.shape != SHAPES["xyz"]:
        return False
    return bool((xyz[side * POINTS : (side + 1) * POINTS, 2] <= 0).all())


def _sets(manifest: Manifest) -> list[str]:
    return [name for members in manifest.sequences.values() for name in members]


def _anno(name: str) -> str:
    return f"{name}/anno_{name}.pickle"


def _color(name: str, number: int) -> str:
    return f"{name}/color/{number:05d}.png"


def _mask_name(name: str, number: int) -> str:
    return f"{name}/mask/{number:05d}.png"


def _pictures(root: Path, name: str) -> tuple[list[int], list[str], HanddataError | None]:
    """Return the numbers of the labelled pictures that are there, what is absent, and why labels cannot be read.

    Raises:
        MissingError: no labels, no pictures, or a picture without a label.
    """
    folder, label = root / name / "color", root / _anno(name)
    there = {number for number, _ in numbered(folder, r"(\d{5})\.png")} if folder.is_dir() else set()
    fix = "Unpack RHD_v1-1.zip again."
    if not label.exists():
        raise no_label(label, "the labels of a set", len(there), fix)
    table, fault = tried(partial(_annotations, label), label)
    labelled = there if table is None else set(table)
    if not there:
        near = near_names(folder, [r"\d+\.png"])
        got = f"{len(labelled)} labels and no picture" if near == "none" else near
        fix = fix if near == "none" else "Name them <5 digits>.png."
        raise MissingError(folder, expected="the pictures <5 digits>.png", got=got, fix=fix)
    if there - labelled:
        first = min(there - labelled)
        raise MissingError(label, expected=f"a label for color/{first:05d}.png", got=f"{len(labelled)} others", fix=fix)
    gaps = sorted(labelled - there)
    note = [f"absent: {len(gaps)} of {len(labelled)} pictures of {name}, the first {gaps[0]:05d}.png"] if gaps else []
    return sorted(there), note, fault


def _annotations(path: Path) -> dict[int, Any]:
    """Read a label pickle, once while it stays as it is; its entries are checked one by one when they are used.

    Raises:
        DataError: no dict by picture number.
    """
    status = path.stat()
    return _read_annotations(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_annotations(path: Path, _size: int, _time_ns: int) -> dict[int, Any]:
    table = pickle_numpy.load(path)
    if not isinstance(table, dict) or not all(isinstance(key, int) for key in table):
        got = type(table).__name__ if not isinstance(table, dict) else "a dict with other keys"
        raise DataError(path, expected="a dict by picture number", got=got, fix="Unpack the archive again.")
    return table


def _checked(entry: Any, where: str) -> Annotation:
    """Return one picture's labels if they have the right shapes and numbers.

    Raises:
        DataError: they do not.
    """
    for key, shape in SHAPES.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, np.ndarray) or value.shape != shape:
            got = "none" if value is None else f"shape {getattr(value, 'shape', type(value).__name__)}"
            raise DataError(f"{where}[{key}]", expected=f"an array of shape {shape}", got=got)
        if not np.isfinite(value).all():
            raise DataError(f"{where}[{key}]", expected="finite numbers", got="NaN or infinity")
        check_near(value, f"{where}[{key}]", FARTHEST_PX if key == "uv_vis" else FARTHEST)
    checked: Annotation = entry
    return checked


def _agreement(root: Path, names: Sequence[str], manifest: Manifest) -> str:
    """Say how far 2D labels lie from where their 3D projects, inside the picture."""
    distances: list[NDArray[np.float64]] = []
    for name in names:
        table = _annotations(root / _anno(name))
        for number in sorted(table)[:: max(1, len(table) // PROBES)]:
            try:
                entry = _checked(table[number], "")
            except DataError:
                continue  # the reader names it
            uv, projected = entry["uv_vis"][:, :2], project(entry["xyz"] * manifest.mm_per_unit, entry["K"])
            near = in_frame(uv - manifest.origin_px, *manifest.cameras["color"].size)
            near &= np.isfinite(projected).all(axis=1)
            distances.append(np.abs(uv - projected)[near].max(axis=1))
    off = np.concatenate([*distances, np.empty(0)])
    if not len(off):
        return "not checked: no label inside a picture could be read"
    far = int((off > OFF_PX).sum())
    if far:
        return f"{far} of {len(off)} keypoints looked at are more than {OFF_PX:g} px apart, the largest {off.max():.1f}"
    return f"{len(off)} keypoints looked at, all within {OFF_PX:g} px"


def _hands(
    root: Path, name: str, numbers: Sequence[int], hands: str, parts: Mapping[str, Any]
) -> list[tuple[int, ...]]:
    """Return the sides wanted of each picture. A label that cannot be read gives both: its reader names the fault."""
    if hands == "all":
        return [(LEFT, RIGHT)] * len(numbers)
    table = _annotations(root / _anno(name))
    if hands == "visible":
        return [_visible(table[number]) for number in numbers]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda number: (_dominant(root / _mask_name(name, number), parts),), numbers))


def _visible(entry: Any) -> tuple[int, ...]:
    try:
        flags = _checked(entry, "")["uv_vis"][:, 2] > 0.5
    except DataError:
        return LEFT, RIGHT
    return tuple(side for side in (LEFT, RIGHT) if flags[side * POINTS : (side + 1) * POINTS].any())


def _dominant(path: Path, parts: Mapping[str, Any]) -> int:
    """Return the hand with more pixels in the segmentation, the right one if equal, as hand3d does.

    Raises:
        MissingError: there is no segmentation to decide by.
    """
    try:
        mask = read_raw(path)
    except MissingError:
        fix = "Unpack the mask pictures, or choose --hands visible."
        raise MissingError(path, expected="the segmentation, to find the dominant hand", got="none", fix=fix) from None
    except (HanddataError, OSError):
        return RIGHT  # damaged: the reader names it
    left, right = (((mask >= first) & (mask <= last)).sum() for first, last in (parts["left"], parts["right"]))
    return LEFT if left > right else RIGHT


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the segmentation as 0 background, 1 hand (of either side), 255 the person, who is neither.

    Raises:
        DataError: no single-channel picture of the right size.
    """
    parts = read_raw(path)
    if parts.shape != shape:
        got = "x".join(str(side) for side in parts.shape)
        raise DataError(path, expected=f"a one-channel picture of {shape[1]}x{shape[0]}", got=got)
    mask = np.where(parts > 1, MASK_HAND, MASK_UNKNOWN).astype(np.uint8)
    mask[parts == 0] = MASK_BACKGROUND
    return mask
