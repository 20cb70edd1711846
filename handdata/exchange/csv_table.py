"""A table of hands as CSV: one row per hand, written and read; docs/custom.md tells the columns.

Parquet of the same columns is read here too (parquet.py).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.label_table import LabelTable, read_label_table
from handdata.exchange.labels import (
    Annotations,
    Array,
    HandLabels,
    LabelRow,
    box_source_of,
    make_row,
    nan,
    side_of,
    size_of,
    whole_number,
)
from handdata.exchange.pictures import ExportView, picture_files, write_pictures
from handdata.exchange.plain import OWN
from handdata.exchange.plausible import SHARE
from handdata.exchange.point_names import PALM, WHY_COUNTED, match_names, numbered_slots
from handdata.files.whole import whole
from handdata.geometry import xywh_to_xyxy, xyxy_to_xywh
from handdata.shards.hand import Hand
from handdata.shards.provenance import KEY, as_text, parse_texts
from handdata.shards.schema import UNKNOWN, Flag
from handdata.skeleton import KEYPOINTS, NUM_KEYPOINTS

KIND, SIGN = "CSV", "a column `image` and columns of points"
_POINT_COLUMNS = ("u", "v", "x", "y", "z", "visible")
_NO_POINTS = ("", "box", "crop")  # though their columns end in _x and _y
_SOLID, _FLAT = ("uv", "xyz"), ("xy", "")  # ends of the columns of 2D and 3D
_RELATIVE = "<point>_x and <point>_y are of the picture, <point>_z is relative to the wrist and left out"
_HEAD = ("image", "width", "height", "sample_id", "split", "sequence", "camera", "frame", "side", "has_object", "flags")
_BOX, _CROP = (tuple(f"{what}_{cell}" for cell in "xywh") for what in ("box", "crop"))
_CAMERA = ("unit", "fx", "fy", "cx", "cy", "skew")


def write(view: ExportView, out: Path) -> None:
    """Write images/<split>/ and <split>.csv."""
    points = [f"{name}_{what}" for name in (*KEYPOINTS, "palm_center") for what in _POINT_COLUMNS]
    with whole(out / f"{view.split}.csv") as file:
        file.write(_line([*_HEAD, *_BOX, "box_source", *_CROP, *_CAMERA, *points, KEY]))
        for line in made_with_pictures(_part, view, out):
            file.write(line)


def _part(view: ExportView, out: Path) -> list[bytes]:
    """Write the pictures of a part, and return the lines of their hands."""
    origin = as_text(view.provenance)
    pictures = ((picture, f"images/{view.split}/{picture.name}") for picture in write_pictures(view, out))
    return [_line([*_cells(hand, name), origin]) for picture, name in pictures for hand in picture.hands]


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [f"{view.split}.csv", *picture_files(view)]


def _line(cells: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _cells(hand: Hand, image: str) -> list[Any]:
    thing = UNKNOWN if hand.has_object is None else int(hand.has_object)
    head = [
        image,
        *hand.size,
        hand.id,
        hand.split,
        hand.sequence,
        hand.camera,
        hand.frame,
        hand.side,
        thing,
        int(hand.flags),
    ]
    box, crop = (_shown(xyxy_to_xywh(box)) for box in (hand.box, hand.crop_box))
    K = hand.K
    camera = [K[0, 0], K[1, 1], K[0, 2], K[1, 2], K[0, 1]] if np.isfinite(K).all() else [""] * 5
    uv, xyz = np.vstack([hand.keypoints_2d, hand.palm_center_2d]), np.vstack([hand.keypoints_3d, hand.palm_center_3d])
    visible = [*hand.visible.tolist(), UNKNOWN]
    points = [[*_shown(uv[k]), *_shown(xyz[k]), visible[k]] for k in range(PALM + 1)]
    return [
        *head,
        *box,
        hand.box_source.name.lower(),
        *crop,
        "mm",
        *camera,
        *(cell for point in points for cell in point),
    ]


def _shown(point: Array) -> list[Any]:
    return point.tolist() if np.isfinite(point).all() else [""] * len(point)


def read(path: Path, content: Any = None) -> Annotations:  # noqa: ARG001 - read here
    """Read a table.

    Raises:
        DataError: it is no such table.
    """
    return labels_of(read_label_table(path), f"{path}:1")


def labels_of(table: LabelTable, head: str) -> Annotations:
    """Return the labels of a table.

    Args:
        table: as read.
        head: where its columns are named, for errors.

    Raises:
        DataError: its columns make no points.
    """
    flat = _why_flat(table)
    axes = _FLAT if flat else _SOLID
    parts = (column.rpartition("_") for column in table.columns)
    names = list(dict.fromkeys(name for name, _, last in parts if last in _POINT_COLUMNS and name not in _NO_POINTS))
    points = dict(zip(names, match_names(names, head), strict=True))
    rows: list[LabelRow] = []
    origins: dict[str, str] = {}  # what the rows record of where they are from, and the first that does
    for where, said in table.rows:
        if isinstance(said, LabelRow):
            rows.append(said)
            continue
        facts = {key: value for key, value in said.items() if key != table.image}
        if OWN in facts:  # ours: an empty cell says that there is no recording
            facts.setdefault("sequence", "")
            origins.setdefault(facts.get(KEY, ""), where)
        rows.append(make_row(said.get(table.image, ""), facts, where, partial(_hand, points=points, axes=axes)))
    ignored = tuple(name for name, slot in points.items() if slot is None)
    provenance = [part for text, where in origins.items() if text for part in parse_texts([text], where)]
    found = Annotations(
        rows=tuple(rows),
        kind=KIND,
        sign="; ".join(part for part in (SIGN, table.how, flat) if part),
        ignored=ignored,
        provenance=tuple(dict.fromkeys(provenance)),
        is_exported=OWN in table.columns,
    )
    return replace(found, order="base-first", order_why=WHY_COUNTED) if numbered_slots(names) else found


def _why_flat(table: LabelTable) -> str:
    """Return why the columns <point>_x and <point>_y are of the picture, in words; "" where they are of 3D."""
    axes: dict[str, list[str]] = {axis: [name for name in table.columns if name.endswith(f"_{axis}")] for axis in "uxz"}
    axes["x"] = [name for name in axes["x"] if name.rpartition("_")[0] not in _NO_POINTS]
    if axes["u"] or not axes["x"]:
        return ""
    if not axes["z"]:
        return "<point>_x and <point>_y without _z are of the picture"
    return _RELATIVE if _is_relative([said for _, said in table.rows if isinstance(said, Mapping)], axes) else ""


def _is_relative(rows: Sequence[Mapping[str, str]], axes: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether x and y are shares of the picture, and z is about 0, as MediaPipe gives them."""
    try:
        x, z = ([float(said[name]) for said in rows for name in axes[axis] if name in said] for axis in "xz")
    except ValueError:  # named where the row is read
        return False
    return bool(x and z) and max(map(abs, x)) <= SHARE and min(z) < 0


def _hand(facts: Mapping[str, str], points: Mapping[str, int | None], axes: tuple[str, str]) -> HandLabels:
    uv, xyz = nan(PALM + 1, 2), nan(PALM + 1, 3)
    visible = np.full(PALM + 1, UNKNOWN, np.int8)
    for name, slot in points.items():
        if slot is not None:
            uv[slot] = _numbers(facts, [f"{name}_{axis}" for axis in axes[0]])
            xyz[slot] = _numbers(facts, [f"{name}_{axis}" for axis in axes[1]]) if axes[1] else np.nan
            visible[slot] = whole_number(facts.get(f"{name}_visible", UNKNOWN))
    fx, fy, cx, cy = _numbers(facts, ["fx", "fy", "cx", "cy"])
    skew = float(facts.get("skew", 0))
    slots = tuple(slot for slot in points.values() if slot is not None)
    return HandLabels(
        side=side_of(facts.get("side", "")),
        uv=uv,
        xyz=xyz,
        unit=facts.get("unit", ""),
        visible=visible[:NUM_KEYPOINTS],
        K=np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1]]) if np.isfinite(fx) else nan(3, 3),
        bbox_xyxy=xywh_to_xyxy(_numbers(facts, list(_BOX))),
        box_source=box_source_of(facts.get("box_source")),
        crop_xyxy=xywh_to_xyxy(_numbers(facts, list(_CROP))),
        flags=Flag(whole_number(facts.get("flags", 0))),
        has_object=whole_number(facts.get("has_object", UNKNOWN)),
        size=size_of(facts),
        slots=slots if len(slots) == NUM_KEYPOINTS and PALM not in slots else (),
    )


def _numbers(facts: Mapping[str, str], keys: Sequence[str]) -> Array:
    """Read cells that belong together: all of them or none.

    Raises:
        ValueError: some are empty, or one is no finite number.
    """
    cells = [facts.get(key) for key in keys]
    if all(cell is None for cell in cells):
        return nan(len(keys))
    if None in cells:
        there = ", ".join(key for key, cell in zip(keys, cells, strict=True) if cell is not None)
        raise ValueError(f"{there} without {keys[cells.index(None)]}")
    numbers = np.array([float(cell) for cell in cells if cell is not None])
    if not np.isfinite(numbers).all():
        raise ValueError(f"{keys[0]} = {cells[0]}")
    return numbers
