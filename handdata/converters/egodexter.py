"""EgoDexter: 4 sequences seen from the head, five fingertips of a left hand labelled on depth, half of the frames.

Native layout:
    data/<Seq>/color/image_<NNNNN>_color.png                        from 00000
    data/<Seq>/color_on_depth/image_<NNNNN>_color_on_depth.png      colour as the depth camera sees it
    data/<Seq>/depth/image_<NNNNN>_depth.png                        not read
    data/<Seq>/annotation.txt           line NNNNN: "u, v; " five tips and a semicolon at the end, depth pixels
    data/<Seq>/annotation.txt_3D.txt    line NNNNN: "x, y, z; " the same tips, mm, depth camera

A missing tip is -1, -1 in 2D or 0, 0, 0 (printed -0 too) in 3D; a tip counts where both exist. Every picture is a
sample, with or without tips.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, boxes_option, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.fingertips import (
    NUM_TIPS,
    Points,
    check_in_front,
    pair,
    parse_row,
    read_lines,
    require_both,
    say_agreement,
)
from handdata.converters.read.layout import choose, data_folder, locate, numbered
from handdata.converters.read.packaging import no_sequence
from handdata.errors import DataError, HanddataError
from handdata.geometry import project, transform
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import Sample
from handdata.skeleton import LEFT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "a square round the annotated tips; the centre with fewer than two"
COLOR, COLOR_ON_DEPTH = "color", "color_on_depth"
PROBES = 4  # pictures of a sequence that are looked at
BLACK = 0.1  # share of pixels of no colour at all, which only registered pictures have
ZERO_MM = 1e-6  # -0 as other readers test it
INVALID_MM = 32001  # the sensor's mark for no depth in MPI's other sets, and in the authors' own demo
LABELS_2D, LABELS_3D = "annotation.txt", "annotation.txt_3D.txt"


@dataclass(frozen=True, kw_only=True)
class EgoDexterOptions(Options):
    """What this dataset alone can be asked."""

    camera: str = option("", "Camera [default: color]", choices=(COLOR, COLOR_ON_DEPTH, "all"))
    boxes: Path | None = boxes_option()


OPTIONS = EgoDexterOptions


def plan(root: Path, manifest: Manifest, options: EgoDexterOptions) -> Plan:
    """List the pictures that have a label line, of the chosen camera, sequence by sequence."""
    pictures = [f"*/{camera}/image_*_{camera}.png" for camera in (COLOR, COLOR_ON_DEPTH)]
    root = locate(root, manifest, (f"data/{pictures[1]}",), *((pattern,) for pattern in pictures))
    wanted = () if options.camera == "all" else (options.camera or COLOR,)
    cameras = choose(wanted, (COLOR, COLOR_ON_DEPTH), "camera")
    split_of = {name: split for split, members in manifest.sequences.items() for name in members}
    items: list[Item] = []
    notes: list[str] = []
    absent: list[str] = []
    faults: dict[str, HanddataError] = {}
    for sequence in choose(options.sequences, split_of, "sequences"):
        for camera in cameras:
            found, leftover, fault = _frames(root, sequence, camera, split_of[sequence])
            items += found
            faults |= {item.id: fault for item in found if fault is not None}
            notes += leftover
            absent += [] if found else [f"{sequence}/{camera}"]
    if not items:
        raise no_sequence(data_folder(root), list(split_of), f"pictures of {', '.join(cameras)} with labels")
    if absent:
        notes.insert(0, f"absent: {', '.join(absent)}")
    sequences = sorted({item.sequence for item in items})
    base = data_folder(root).relative_to(root)
    labels = tuple((base / sequence / name).as_posix() for sequence in sequences for name in (LABELS_2D, LABELS_3D))
    _require_color(root, items)
    readings = _look_at_tips(root, manifest, [item for item in items if item.id not in faults])
    return Plan(
        root=root, items=tuple(items), label_files=labels, warnings=tuple(notes), readings=readings, faults=faults
    )


def reader(root: Path, manifest: Manifest, options: EgoDexterOptions) -> Reader:  # noqa: ARG001 - the item names its camera
    """Return a reader that keeps the label lines it has opened."""

    def read(item: Item) -> Sample:
        _, native = read_tips(data_folder(root) / item.sequence, item.ref)
        camera = manifest.cameras[item.camera]
        xyz = transform(camera.T_camera_label, native)
        return Sample(
            id=item.id,
            image=read_image(root / item.image),
            hand_side=LEFT,
            keypoints_2d=to_canonical(project(xyz, camera.K), manifest.keypoints),
            keypoints_3d=to_canonical(xyz, manifest.keypoints),
            K=camera.K,
        )

    return read


def _require_color(root: Path, items: list[Item]) -> None:
    """Refuse pictures of color_on_depth that lie in color/: their labels would miss the hands by 40 px.

    They are of one size, but black where the depth camera measures nothing.

    Raises:
        DataError: so it is in every picture of a sequence that was looked at.
    """
    by_folder: dict[str, list[str]] = {}
    for item in items:
        if item.camera == COLOR:
            by_folder.setdefault(item.image.rpartition("/")[0], []).append(item.image)
    for folder, pictures in by_folder.items():
        some = pictures[:: max(1, len(pictures) // PROBES)][:PROBES]
        images = [image for name in some if (image := tried(partial(read_image, root / name), name)[0]) is not None]
        if images and all(_black(image) > BLACK for image in images):
            got = f"{len(images)} of {len(images)} looked at black where the depth camera measures nothing"
            fix = f"Name them {COLOR_ON_DEPTH}/image_<NNNNN>_{COLOR_ON_DEPTH}.png and pass --camera {COLOR_ON_DEPTH}."
            raise DataError(root / folder, expected="the colour camera's pictures", got=got, fix=fix)


def _black(image: NDArray[np.uint8]) -> float:
    """Return the share of pixels of no colour at all."""
    return cv2.countNonZero(cv2.inRange(image, np.zeros(3), np.zeros(3))) / image[..., 0].size


def read_tips(folder: Path, row: int) -> tuple[Points, Points]:
    """Return one frame's tips as labelled, (5, 2) depth px and (5, 3) mm; NaN in both where either is missing.

    Args:
        folder: of the sequence.
        row: of both label files, from 0.

    Raises:
        DataError: a label line is damaged.
    """
    tips = []
    for name, dims in ((LABELS_2D, 2), (LABELS_3D, 3)):
        where = f"{folder / name}:{row + 1}"
        points = parse_row(read_lines(folder / name)[row], dims, NUM_TIPS, where)
        tips.append(points if len(points) else np.full((NUM_TIPS, dims), np.nan))
    uv, xyz = tips
    labelled = (np.abs(xyz) >= ZERO_MM).any(axis=1) & (xyz < INVALID_MM).all(axis=1)
    present = np.isfinite(uv).all(axis=1) & (uv != -1).all(axis=1) & labelled
    uv[~present], xyz[~present] = np.nan, np.nan
    check_in_front(xyz, f"{folder / LABELS_3D}:{row + 1}")
    return uv, xyz


def _frames(root: Path, sequence: str, camera: str, split: str) -> tuple[list[Item], list[str], HanddataError | None]:
    """List one sequence through one camera; say what is left over, and why its labels cannot be read if so."""
    folder = data_folder(root) / sequence
    pictures = _pictures(folder, camera)
    labels = (folder / LABELS_2D, folder / LABELS_3D)
    if not pictures and any(_pictures(folder, other) for other in (COLOR, COLOR_ON_DEPTH)):
        return [], [], None
    if not require_both(sequence, len(pictures), folder / camera, labels):
        return [], [], None
    read = [tried(partial(read_lines, path), path) for path in labels]
    fault = next((why for _, why in read if why is not None), None)
    counts = [len(lines) for lines, _ in read if lines is not None]
    name = f"{sequence}/{camera}"
    paired, notes = pair(name, pictures, min(counts) if fault is None else None, "label lines")
    if fault is None and counts[0] != counts[1]:
        notes.append(f"{name}: {counts[0]} lines in {LABELS_2D}, {counts[1]} in {LABELS_3D}")
    items = [
        Item(f"{name}/{row:05d}", split, sequence, camera, row, path.relative_to(root).as_posix(), row)
        for row, path in paired.items()
    ]
    return items, notes, fault


def _pictures(folder: Path, camera: str) -> dict[int, Path]:
    found = numbered(folder / camera, rf"image_(\d+)_{camera}\.png") if (folder / camera).is_dir() else []
    return dict(found)


def _look_at_tips(root: Path, manifest: Manifest, items: list[Item]) -> tuple[tuple[str, str], ...]:
    """Say how many frames carry labels, and whether 2D and 3D are of the same point."""
    K = manifest.cameras[COLOR_ON_DEPTH].K
    counts: list[int] = []
    distances: dict[str, list[float]] = {}
    for sequence, row in dict.fromkeys((item.sequence, item.ref) for item in items):  # two cameras, one label
        try:
            uv, xyz = read_tips(data_folder(root) / sequence, row)
        except DataError:
            continue  # the reader names it
        counts.append(int(np.isfinite(xyz).all(axis=1).sum()))
        distances.setdefault(sequence, []).extend(np.linalg.norm(project(xyz, K) - uv, axis=1).tolist())
    whole, partial = counts.count(NUM_TIPS), sum(0 < count < NUM_TIPS for count in counts)
    tips = f"all five in {whole} frames, some in {partial}, none in {len(counts) - whole - partial}"
    return ("annotated tips", tips), ("2D against 3D labels", say_agreement(distances))
