"""Your own pictures: a folder of them and one file of labels, COCO keypoints or CSV. docs/custom.md tells the format.

Native layout:
    <root>/<any path>.png | .jpg | .bmp       as the file of labels names them
    the file of labels, named by --annotations, anywhere
"""

from collections import Counter
from pathlib import Path

import numpy as np

from handdata.converters.annotations import Annotations, read_annotations
from handdata.converters.layout import choose
from handdata.converters.naming import ascii_id
from handdata.converters.point_names import PALM
from handdata.converters.protocol import Item, Options, Plan, Reader
from handdata.crops import square_of
from handdata.errors import ConfigError, HanddataError, MissingError
from handdata.geometry import project
from handdata.images import read_image
from handdata.manifest import Manifest
from handdata.schema import BoxSource, Sample

CANVAS_SCALE = 1.5
CROP_RULE = "a square round the annotated keypoints; with fewer than two the given box, else the centre"


def plan(root: Path, manifest: Manifest, options: Options) -> Plan:  # noqa: ARG001 - nothing is known beforehand
    """List the labelled hands whose picture is there, in the order of the file."""
    table = _table(options)
    root = root if root.is_dir() else _annotations(options).parent
    wanted = set(choose(options.sequences, dict.fromkeys(row.sequence for row in table.rows), "sequences"))
    of_picture = Counter(row.image for row in table.rows)
    seen: Counter[str] = Counter()
    in_sequence: Counter[str] = Counter()
    items: list[Item] = []
    absent: list[str] = []
    for number, row in enumerate(table.rows):
        name = row.image if of_picture[row.image] == 1 else f"{row.image}/{seen[row.image]}"
        frame = in_sequence[row.sequence] if row.frame is None else row.frame
        seen[row.image] += 1
        in_sequence[row.sequence] += 1
        if not (root / row.image).is_file():
            absent.append(row.image)
        elif row.sequence in wanted:
            items.append(Item(ascii_id(name), row.split, ascii_id(row.sequence), "", frame, row.image, number))
    if not items:
        got = f"none of {len(table.rows)}, the first would be {absent[0]}" if absent else "a file without rows"
        raise MissingError(root, expected="the labelled pictures", got=got, fix="Name their folder with --root.")
    notes = [f"ignored points, none of the 21: {', '.join(table.ignored)}"] if table.ignored else []
    if absent:
        notes.append(f"absent: {len(absent)} of {len(table.rows)} labelled pictures, the first {absent[0]}")
    return Plan(root=root, items=tuple(items), warnings=tuple(notes))


def reader(root: Path, manifest: Manifest, options: Options) -> Reader:  # noqa: ARG001
    """Return a reader that keeps the file of labels."""
    table = _table(options)

    def read(item: Item) -> Sample:
        hand = table.rows[item.ref].hand
        if isinstance(hand, HanddataError):
            raise hand
        uv = hand.uv
        if not np.isfinite(uv).any() and np.isfinite(hand.K).all():
            uv = project(hand.xyz, hand.K)
        has_box = bool(np.isfinite(hand.box).all())
        few = np.isfinite(uv[:PALM]).all(axis=1).sum() < 2
        return Sample(
            id=item.id,
            image=read_image(root / item.image),
            hand_side=hand.side,
            keypoints_2d=uv[:PALM],
            keypoints_3d=hand.xyz[:PALM],
            palm_center_2d=uv[PALM],
            palm_center_3d=hand.xyz[PALM],
            visible=hand.visible,
            K=hand.K if np.isfinite(hand.K).all() else None,
            bbox_xyxy=hand.box if has_box else None,
            bbox_source=BoxSource.DATASET if has_box else BoxSource.NONE,
            crop_xyxy=square_of(hand.box) if has_box and few else None,
            has_object=hand.has_object,
        )

    return read


def _annotations(options: Options) -> Path:
    if options.annotations is None:
        fix = "Write your labels as in docs/custom.md and name the file."
        raise ConfigError("--annotations", expected="a COCO keypoint file or a CSV", got="nothing", fix=fix)
    return options.annotations


def _table(options: Options) -> Annotations:
    return read_annotations(_annotations(options))
