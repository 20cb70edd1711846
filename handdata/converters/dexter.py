"""Dexter+Object: 6 sequences, a left hand and a cuboid, five fingertips labelled on depth, colour pictures beside it.

Native layout:
    data/<Seq>/color/Color_<NNNN>.bmp           from 0001
    data/<Seq>/depth/Depth_<NNNN>.png           not read
    data/<Seq>/annotations/<Seq>3D.txt          line NNNN - 1: "x, y, z; ..." five tips, then three cuboid corners, mm
    data/<Seq>/annotations/<Seq>2D.txt          depth pixels, only compared with the 3D

Labels are in the depth camera with x to the left and y up. The corners of the cuboid are no keypoints: they only tell
whether an object is there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.boxes import BoxTable
from handdata.converters.options import Options, boxes_option, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.fingertips import (
    NUM_TIPS,
    Points,
    check_in_front,
    missing_points,
    pair,
    parse_row,
    read_lines,
    require_both,
    say_agreement,
)
from handdata.converters.read.layout import choose, data_folder, locate, numbered
from handdata.converters.read.made_boxes import made_boxes
from handdata.converters.read.packaging import no_sequence
from handdata.errors import ConfigError, DataError, HanddataError
from handdata.geometry import project, transform
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import UNKNOWN, Flag, Sample
from handdata.skeleton import LEFT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "the box of a person or a tracker, squared; else a square round the annotated tips; else the centre"
CAMERA = "color"
PROJECTIONS = ("calibrated", "compat")


@dataclass(frozen=True, kw_only=True)
class DexterOptions(Options):
    """What this dataset alone can be asked."""

    split_scheme: str = option(
        "default",
        "Split: leak-free, or one of the two published ones, which validate on Grasp2 or Rotate.",
        choices=("default", "reference", "reference-rotate"),
    )
    boxes: Path | None = boxes_option()
    projection: str = option("calibrated", "Projection: by the calibration, or as in the thesis.", choices=PROJECTIONS)


OPTIONS = DexterOptions


def plan(root: Path, manifest: Manifest, options: DexterOptions) -> Plan:
    """List the colour pictures that have a label line, sequence by sequence."""
    root = locate(root, manifest, ("*/color/Color_*.bmp",))
    choose((options.projection,), PROJECTIONS, "projection")
    split_of = _splits(manifest, options.split_scheme)
    items: list[Item] = []
    notes: list[str] = []
    absent: list[str] = []
    faults: dict[str, HanddataError] = {}
    for sequence in choose(options.sequences, split_of, "sequences"):
        pictures = _pictures(root, sequence)
        label = _label_path(root, sequence)
        if not require_both(sequence, len(pictures), _color_folder(root, sequence), (label,)):
            absent.append(sequence)
            continue
        lines, fault = tried(partial(read_lines, label), label)
        paired, leftover = pair(sequence, pictures, None if lines is None else len(lines), "label lines")
        notes += leftover
        for row, path in paired.items():
            image = path.relative_to(root).as_posix()
            items.append(Item(f"{sequence}/{row + 1:04d}", split_of[sequence], sequence, CAMERA, row + 1, image, row))
            if fault is not None:
                faults[items[-1].id] = fault
    if not items:
        raise no_sequence(data_folder(root), list(split_of), "pictures Color_<NNNN>.bmp with a label line each")
    if absent:
        notes.insert(0, f"absent: {', '.join(absent)}")
    boxes = made_boxes(options)
    notes += _check_boxes(boxes, root, manifest, options, items) if boxes else []
    boxed = boxes is not None and any(boxes.find(item.sequence, Path(item.image).name) for item in items)
    readable = [item for item in items if item.id not in faults]
    readings = (
        ("missing tips", _count_missing(root, manifest, readable)),
        ("2D against 3D labels", _compare_2d(root, manifest, readable)),
        ("crops", "from hand boxes" if boxed else "round the fingertips: no box of these pictures"),
    )
    labels = tuple(sorted({_label_path(root, item.sequence).relative_to(root).as_posix() for item in items}))
    return Plan(
        root=root, items=tuple(items), label_files=labels, warnings=tuple(notes), readings=readings, faults=faults
    )


def reader(root: Path, manifest: Manifest, options: DexterOptions) -> Reader:
    """Return a reader that keeps the label lines it has opened."""

    def read(item: Item) -> Sample:
        native, has_object = read_points(root, manifest, item)
        return Sample(
            id=item.id,
            image=read_image(root / item.image),
            hand_side=LEFT,
            keypoints_2d=to_canonical(_project(native, manifest, options), manifest.keypoints[:NUM_TIPS]),
            keypoints_3d=to_canonical(to_color(native, manifest), manifest.keypoints[:NUM_TIPS]),
            K=manifest.cameras[CAMERA].K,
            has_object=has_object,
            flags=Flag.PROJECTION_APPROXIMATE,
        )

    return read


def read_points(root: Path, manifest: Manifest, item: Item) -> tuple[Points, int]:
    """Return the five tips (5, 3) as labelled, mm, NaN where missing; and 1 if a corner of the cuboid is labelled.

    Raises:
        DataError: the label line is damaged.
    """
    label = _label_path(root, item.sequence)
    where = f"{label}:{item.ref + 1}"
    points = parse_row(read_lines(label)[item.ref], 3, len(manifest.keypoints), where)
    sentinel, zero = missing_points(points, manifest.extra["missing_mm"])
    points[sentinel | zero] = np.nan
    tips = points[:NUM_TIPS] if len(points) else np.full((NUM_TIPS, 3), np.nan)
    check_in_front(tips, where)
    has_object = 1 if np.isfinite(points[NUM_TIPS:]).any() else UNKNOWN
    return tips, has_object


def to_color(native: NDArray[np.float64], manifest: Manifest) -> Points:
    """Move labelled points (..., 3) to the colour camera: (x, y, z) -> (-x, -y, z), then the calibration."""
    return transform(manifest.cameras[CAMERA].T_camera_label, native * np.array(manifest.extra["label_axes"]))


def project_compat(native: NDArray[np.float64], manifest: Manifest) -> Points:
    """Project labelled points (..., 3) as the thesis does: axes as they are, then u -> 720 - u, v -> 480 - v.

    Returns:
        (..., 2) px of the thesis, 51 - 22380 / z px to the right of the calibrated projection (docs/method.md 2.4, D7).
    """
    camera = manifest.cameras[CAMERA]
    width, height = camera.size
    uv = project(transform(camera.T_camera_label, native), camera.K)
    return np.array([width + 80, height]) - uv


def _project(native: Points, manifest: Manifest, options: DexterOptions) -> Points:
    if options.projection == "compat":
        return project_compat(native, manifest)
    return project(to_color(native, manifest), manifest.cameras[CAMERA].K)


def _splits(manifest: Manifest, scheme: str) -> dict[str, str]:
    """Return the split of every sequence."""
    if scheme == "default":
        return {name: split for split, members in manifest.sequences.items() for name in members}
    validation = manifest.extra["validation_sequences"]
    if scheme not in validation:
        expected = f"one of default, {', '.join(validation)}"
        raise ConfigError("--split-scheme", expected=expected, got=scheme)
    names = [name for members in manifest.sequences.values() for name in members]
    return {name: "val" if name == validation[scheme] else "train" for name in names}


def _label_path(root: Path, sequence: str, dims: int = 3) -> Path:
    return data_folder(root) / sequence / "annotations" / f"{sequence}{dims}D.txt"


def _color_folder(root: Path, sequence: str) -> Path:
    return data_folder(root) / sequence / "color"


def _pictures(root: Path, sequence: str) -> dict[int, Path]:
    folder = _color_folder(root, sequence)
    found = numbered(folder, r"Color_(\d+)\.bmp") if folder.is_dir() else []
    return {number - 1: path for number, path in found}


def _readable(root: Path, manifest: Manifest, items: Iterable[Item]) -> Iterator[tuple[Item, Points]]:
    """Yield the labelled tips of every line that can be read; the reader names the others."""
    for item in items:
        try:
            yield item, read_points(root, manifest, item)[0]
        except (DataError, OSError):
            continue


def _compare_2d(root: Path, manifest: Manifest, items: Sequence[Item]) -> str:
    """Say whether the 2D labels lie where the 3D labels project: x left, y up rests on two plots (formats)."""
    K, axes = manifest.cameras["depth"].K, np.array(manifest.extra["label_axes"])
    distances: dict[str, list[float]] = {}
    for item, native in _readable(root, manifest, items):
        label = _label_path(root, item.sequence, 2)
        lines = tried(partial(read_lines, label), label)[0] if label.is_file() else None
        try:
            uv = parse_row((lines or ())[item.ref], 2, len(manifest.keypoints), label)[:NUM_TIPS]
        except (DataError, IndexError):
            continue  # nothing is made from it
        if len(uv):
            off = np.linalg.norm(project(native * axes, K) - uv, axis=1)
            distances.setdefault(item.sequence, []).extend(off.tolist())
    return say_agreement(distances)


def _check_boxes(
    boxes: BoxTable, root: Path, manifest: Manifest, options: DexterOptions, items: Sequence[Item]
) -> list[str]:
    """Count frames without a box, boxes nobody has seen, and boxes that leave an annotated fingertip outside."""
    without, unseen, misses = 0, 0, []
    for item, native in _readable(root, manifest, items):
        box, source = boxes.lookup(item.sequence, Path(item.image).name)
        row = boxes.find(item.sequence, Path(item.image).name)
        unseen += row is not None and row.box is not None and not row.reviewed
        position = _project(native, manifest, options) + 0.5
        without += not source
        if source and ((position < box[:2]) | (position >= box[2:])).any():
            misses.append(item.id)
    notes = [f"{without} of {len(items)} pictures have no hand box"] if without else []
    if unseen:
        notes.append(f"{unseen} of {len(items)} pictures have a box that no person is known to have seen")
    if misses:
        some = ", ".join(misses[:3])
        notes.append(f"the box leaves an annotated fingertip outside in {len(misses)} of {len(items)} pictures: {some}")
    return notes


def _count_missing(root: Path, manifest: Manifest, items: Sequence[Item]) -> str:
    """Say how the files mark missing tips."""
    sentinels = zeros = short = 0
    for item in items:
        line = read_lines(_label_path(root, item.sequence))[item.ref]
        try:
            points = parse_row(line, 3, len(manifest.keypoints), item.id)
        except DataError:
            continue
        sentinel, zero = missing_points(points[:NUM_TIPS], manifest.extra["missing_mm"])
        sentinels, zeros, short = sentinels + int(sentinel.sum()), zeros + int(zero.sum()), short + (len(points) == 0)
    return f"{sentinels} by the sentinel, {zeros} by 0, 0, 0; {short} lines without points"
