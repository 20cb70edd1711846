"""Your own pictures: a folder of them and one file of labels, COCO keypoints or CSV. docs/custom.md tells the format.

Native layout:
    <root>/<any path>.png | .jpg | .bmp       as the file of labels names them
    the file of labels, named by --annotations, anywhere
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.annotations import Annotations, read_annotations
from handdata.converters.read.layout import choose
from handdata.converters.read.naming import ascii_id
from handdata.converters.read.point_names import PALM
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures.crops import square_of
from handdata.pictures.decode import read_image
from handdata.shards.schema import BoxSource, Sample

CANVAS_SCALE = 1.5
CROP_RULE = "a square round the annotated keypoints; with fewer than two the given box, else the centre"


@dataclass(frozen=True, kw_only=True)
class CustomOptions(Options):
    """What this dataset alone can be asked."""

    annotations: Path | None = option(None, "Labels: COCO JSON or CSV.")


OPTIONS = CustomOptions


def plan(root: Path, manifest: Manifest, options: CustomOptions) -> Plan:  # noqa: ARG001 - nothing is known beforehand
    """List the labelled hands whose picture is there, in the order of the file."""
    table = _table(options)
    root = root if root.is_dir() else _annotations(options).parent
    wanted = set(choose(options.sequences, dict.fromkeys(row.sequence for row in table.rows if row.image), "sequences"))
    of_picture = Counter(row.image for row in table.rows)
    seen: Counter[str] = Counter()
    numbers: dict[str, dict[str, int]] = {}  # of the pictures of a sequence
    items: list[Item] = []
    absent: list[str] = []
    faults: dict[str, HanddataError] = {}
    for number, row in enumerate(table.rows):
        name, image, sequence, frame = row.image, row.image, ascii_id(row.sequence), row.frame
        if image:
            name = image if of_picture[image] == 1 else f"{image}/{seen[image]}"
            seen[image] += 1
            pictures = numbers.setdefault(row.sequence, {})
            counted = pictures.setdefault(image, len(pictures))
            frame = counted if frame is None else frame
            if not (root / image).is_file():
                absent.append(image)
                continue
            if row.sequence not in wanted:
                continue
        elif isinstance(row.hand, HanddataError):  # of which picture, nobody can tell
            name = image = Path(row.hand.where).name
        item = Item(ascii_id(name), row.split, sequence, "", frame or 0, image, number)
        items.append(item)
        if isinstance(row.hand, HanddataError):
            faults[item.id] = row.hand
    if not items:
        got = f"none of {len(table.rows)}, the first would be {absent[0]}" if absent else "a file without rows"
        raise MissingError(root, expected="the labelled pictures", got=got, fix="Name their folder with --root.")
    return Plan(root=root, items=tuple(items), warnings=tuple(_notes(table, absent)), faults=faults)


def _notes(table: Annotations, absent: Sequence[str]) -> Iterator[str]:
    if table.ignored:
        yield f"ignored points, not among the 21: {', '.join(table.ignored)}"
    if table.others:
        names = ", ".join(table.others)
        yield f"left out: {sum(table.others.values())} annotations of other things than hands: {names}"
    if absent:
        yield f"absent: {len(absent)} of {len(table.rows)} labelled pictures, the first {absent[0]}"


def reader(root: Path, manifest: Manifest, options: CustomOptions) -> Reader:  # noqa: ARG001
    """Return a reader that keeps the file of labels."""
    table = _table(options)

    def read(item: Item) -> Sample:
        hand = table.rows[item.ref].hand
        if isinstance(hand, HanddataError):
            raise hand
        uv = hand.uv
        if not np.isfinite(uv).any() and np.isfinite(hand.K).all():
            uv = project(hand.xyz, hand.K)
        image = read_image(root / item.image)
        if hand.size not in (None, (image.shape[1], image.shape[0])):
            raise _other_size(root / item.image, image, hand.size)
        has_box = bool(np.isfinite(hand.bbox_xyxy).all())
        few = np.isfinite(uv[:PALM]).all(axis=1).sum() < 2
        return Sample(
            id=item.id,
            image=image,
            hand_side=hand.side,
            keypoints_2d=uv[:PALM],
            keypoints_3d=hand.xyz[:PALM],
            palm_center_2d=uv[PALM],
            palm_center_3d=hand.xyz[PALM],
            visible=hand.visible,
            K=hand.K if np.isfinite(hand.K).all() else None,
            bbox_xyxy=hand.bbox_xyxy if has_box else None,
            bbox_source=BoxSource.DATASET if has_box else BoxSource.NONE,
            crop_xyxy=square_of(hand.bbox_xyxy) if has_box and few else None,
            has_object=hand.has_object,
        )

    return read


def _other_size(path: Path, image: NDArray[np.uint8], labelled: tuple[int, int] | None) -> DataError:
    width, height = labelled or (0, 0)
    fix = "Take the pictures that were labelled; one whose EXIF turns it counts as it is shown."
    expected, got = f"{width} x {height} px, as its labels say", f"{image.shape[1]} x {image.shape[0]}"
    return DataError(path, expected=expected, got=got, fix=fix)


def _annotations(options: CustomOptions) -> Path:
    if options.annotations is None:
        fix = "Write your labels as in docs/custom.md and name the file."
        raise ConfigError("--annotations", expected="a COCO keypoint file or a CSV", got="nothing", fix=fix)
    return options.annotations


def _table(options: CustomOptions) -> Annotations:
    return read_annotations(_annotations(options))
