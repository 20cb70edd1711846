"""Hands that a user labelled: a COCO keypoint file or a CSV table, read row by row. docs/custom.md tells the format.

A row that cannot be read keeps its fault, so that it costs one sample and is named where that sample is read.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.read.point_names import PALM, match_names, names_a_point
from handdata.errors import DataError, HanddataError, MissingError
from handdata.files.text import LARGE, Wanted, read_csv, read_object
from handdata.geometry import xywh_to_xyxy
from handdata.shards.schema import SPLITS, UNKNOWN
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS

MM_PER_UNIT = {"mm": 1.0, "m": 1000.0}
_FIX = "See docs/custom.md, or pass --skip-bad to leave it out."
_FILE = Wanted(what="annotations", fix="See docs/custom.md.", largest=LARGE)
FARTHEST = 1e6  # px or mm: no hand is labelled a kilometre away
_POINT_COLUMNS = ("u", "v", "x", "y", "z", "visible")
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HandLabels:
    """One labelled hand; NaN where the file does not say.

    Attributes:
        side: 0 left, 1 right.
        uv: (22, 2) px, the 21 keypoints and the palm centre.
        xyz: (22, 3) mm.
        visible: (21,) 1, 0 or -1.
        K: (3, 3) px.
        bbox_xyxy: (4,) px.
        has_object: 1, 0 or -1.
        size: (width, height) px of the picture that was labelled; None where the file does not say.
    """

    side: int
    uv: Array
    xyz: Array
    visible: NDArray[np.int8]
    K: Array
    bbox_xyxy: Array
    has_object: int
    size: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One row of the file: where its picture is, and the hand or what is wrong with it.

    `image` is "" where the row is so broken that whose it is cannot be told.
    """

    image: str
    split: str
    sequence: str
    frame: int | None
    hand: HandLabels | HanddataError


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """A file of labels.

    Attributes:
        rows: in file order.
        ignored: names of points that are none of ours.
        others: annotations of categories without points of a hand, by category.
    """

    rows: tuple[LabelRow, ...]
    ignored: tuple[str, ...]
    others: Mapping[str, int]


def read_annotations(path: Path) -> Annotations:
    """Read a file by its suffix: .json or .csv; once while it stays as it is.

    Raises:
        MissingError: no such file.
        DataError: not such a file.
    """
    if not path.is_file():
        raise MissingError(path, expected="annotations (.json or .csv)", got="no such file")
    return _read(path, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int, _size: int) -> Annotations:
    if path.suffix.lower() not in (".json", ".csv"):
        raise DataError(path, expected="annotations (.json or .csv)", got=path.suffix or "no suffix")
    return (_read_coco if path.suffix.lower() == ".json" else _read_csv)(path)


# ------------------------------------------------------------------------------------------------ COCO


def _read_coco(path: Path) -> Annotations:
    content = read_object(path, _FILE, finite=False)
    try:
        images = {image["id"]: image for image in content["images"]}
        categories = {c["id"]: c for c in content["categories"]}
        info, annotations = dict(content.get("info") or {}), list(content["annotations"])
        named = {key: [str(name) for name in c["keypoints"]] for key, c in categories.items() if c.get("keypoints")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "See docs/custom.md for the parts it needs."
        raise DataError(
            path, expected="a COCO keypoint file", got=f"{type(error).__name__}: {error}", fix=fix
        ) from None
    names = {key: these for key, these in named.items() if names_a_point(these)} or named
    if not names:
        raise DataError(f"{path}[categories]", expected="one with keypoints", got="none", fix="See docs/custom.md.")
    slots = {key: match_names(these, f"{path}[categories]") for key, these in names.items()}
    ignored = {n for k, these in names.items() for n, slot in zip(these, slots[k], strict=True) if slot is None}
    rows: list[LabelRow] = []
    others: Counter[str] = Counter()
    for number, annotation in enumerate(annotations):
        where = f"{path}[annotations][{number}]"
        try:
            image, category = images[annotation["image_id"]], categories[annotation["category_id"]]
            if category["id"] not in slots:
                others[str(category.get("name", category["id"]))] += 1
                continue
            facts = _said({"category": str(category.get("name", ""))}, info, image, annotation)
        except (KeyError, TypeError, IndexError, AttributeError):
            expected = "image_id and category_id that the file holds"
            rows.append(_broken(where, expected, str(annotation)[:80]))
            continue
        read = partial(_coco_hand, slots=slots[category["id"]])
        rows.append(_row(str(image.get("file_name") or ""), facts, where, read))
    return Annotations(rows=tuple(rows), ignored=tuple(sorted(ignored)), others=others)


def _said(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Join the facts of a file, its picture and its annotation, the last one first; null says nothing."""
    return {key: value for part in parts for key, value in part.items() if value is not None}


def _coco_hand(facts: Mapping[str, Any], slots: Sequence[int | None]) -> HandLabels:
    rows = [row for row, slot in enumerate(slots) if slot is not None]
    targets = [slot for slot in slots if slot is not None]
    uv, visible = np.full((PALM + 1, 2), np.nan), np.full(PALM + 1, UNKNOWN, np.int8)
    if facts.get("keypoints"):
        points = np.array(facts["keypoints"], np.float64).reshape(len(slots), 3)[rows]
        labelled = points[:, 2] > 0
        if not np.isfinite(points[labelled]).all():
            raise ValueError("a labelled point that is no number")
        if not np.isin(points[labelled, 2], (1, 2)).all():
            raise ValueError("a visibility that is none of 0, 1, 2")
        uv[targets] = np.where(labelled[:, None], points[:, :2], np.nan)
        visible[targets] = np.where(labelled, points[:, 2] - 1, UNKNOWN)
    xyz = np.full((PALM + 1, 3), np.nan)
    if facts.get("keypoints_3d"):
        missing = [None] * 3
        points = np.array([p or missing for p in facts["keypoints_3d"]], np.float64).reshape(len(slots), 3)[rows]
        xyz[targets] = points * _mm_per_unit(facts.get("unit"))
    if str(facts.get("pixel_origin", "center")) == "corner":
        uv -= 0.5
    K = np.array(facts["K"], np.float64).reshape(3, 3) if facts.get("K") else np.full((3, 3), np.nan)
    if facts.get("K") and not np.isfinite(K).any():
        raise ValueError("intrinsics that are none")
    box = np.array(facts["bbox"], np.float64).reshape(4) if facts.get("bbox") else np.full(4, np.nan)
    return HandLabels(
        side=_side(facts.get("side") or facts["category"]),
        uv=uv,
        xyz=xyz,
        visible=visible[:NUM_KEYPOINTS],
        K=K,
        bbox_xyxy=xywh_to_xyxy(box),
        has_object=_whole(facts.get("has_object", UNKNOWN)),
        size=_size(facts),
    )


# ------------------------------------------------------------------------------------------------ CSV


def _read_csv(path: Path) -> Annotations:
    lines = read_csv(path, _FILE)
    _, columns = next(lines, (1, []))
    if "image" not in columns or len(set(columns)) < len(columns):
        got = ", ".join(columns)[:120] or "an empty file"
        raise DataError(
            f"{path}:1", expected="columns, each once, `image` among them", got=got, fix="See docs/custom.md."
        )
    parts = (column.rpartition("_") for column in columns)
    names = list(dict.fromkeys(name for name, _, last in parts if last in _POINT_COLUMNS and name not in ("", "box")))
    points = dict(zip(names, match_names(names, f"{path}:1"), strict=True))
    rows = []
    for number, cells in lines:
        where = f"{path}:{number}"
        if len(cells) != len(columns):
            rows.append(_broken(where, f"{len(columns)} cells", str(len(cells))))
            continue
        facts = {key: value for key, value in zip(columns, cells, strict=True) if value}
        rows.append(_row(facts.get("image", ""), facts, where, partial(_csv_hand, points=points)))
    ignored = tuple(name for name, slot in points.items() if slot is None)
    return Annotations(rows=tuple(rows), ignored=ignored, others={})


def _csv_hand(facts: Mapping[str, str], points: Mapping[str, int | None]) -> HandLabels:
    uv, xyz = np.full((PALM + 1, 2), np.nan), np.full((PALM + 1, 3), np.nan)
    visible = np.full(PALM + 1, UNKNOWN, np.int8)
    for name, slot in points.items():
        if slot is not None:
            uv[slot] = _numbers(facts, [f"{name}_u", f"{name}_v"])
            xyz[slot] = _numbers(facts, [f"{name}_x", f"{name}_y", f"{name}_z"])
            visible[slot] = _whole(facts.get(f"{name}_visible", UNKNOWN))
    if np.isfinite(xyz).any():
        xyz *= _mm_per_unit(facts.get("unit"))
    fx, fy, cx, cy = _numbers(facts, ["fx", "fy", "cx", "cy"])
    box = _numbers(facts, ["box_x", "box_y", "box_w", "box_h"])
    return HandLabels(
        side=_side(facts.get("side", "")),
        uv=uv,
        xyz=xyz,
        visible=visible[:NUM_KEYPOINTS],
        K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) if np.isfinite(fx) else np.full((3, 3), np.nan),
        bbox_xyxy=xywh_to_xyxy(box),
        has_object=_whole(facts.get("has_object", UNKNOWN)),
        size=_size(facts),
    )


def _numbers(facts: Mapping[str, str], keys: Sequence[str]) -> Array:
    """Read cells that belong together: all of them or none.

    Raises:
        ValueError: some are empty, or one is no finite number.
    """
    cells = [facts.get(key) for key in keys]
    if all(cell is None for cell in cells):
        return np.full(len(keys), np.nan)
    if None in cells:
        raise ValueError(f"{keys[cells.index(None)]} empty beside its neighbours")
    numbers = np.array([float(cell) for cell in cells if cell is not None])
    if not np.isfinite(numbers).all():
        raise ValueError(f"{keys[0]} = {cells[0]}")
    return numbers


# ------------------------------------------------------------------------------------------------ both


def _row(image: str, facts: Mapping[str, Any], where: str, read: Callable[[Mapping[str, Any]], HandLabels]) -> LabelRow:
    path, split = Path(image), str(facts.get("split", "test"))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        return _broken(where, "a picture inside the folder, relative to --root", image or "none")
    if split not in SPLITS:
        return _broken(where, f"a split out of {', '.join(SPLITS)}", split)
    frame: int | None = None
    hand: HandLabels | HanddataError
    try:
        frame = _whole(facts["frame"]) if "frame" in facts else None
        hand = read(facts)
        _check(hand, frame)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error)
        hand = DataError(where, expected="a labelled hand", got=got, fix=_FIX)
    folder = "" if path.parent == Path() else path.parent.as_posix()
    return LabelRow(
        image=path.as_posix(), split=split, sequence=str(facts.get("sequence", folder)), frame=frame, hand=hand
    )


def _broken(where: str, expected: str, got: str) -> LabelRow:
    fault = DataError(where, expected=expected, got=got, fix=_FIX)
    return LabelRow(image="", split="test", sequence="", frame=None, hand=fault)


def _check(hand: HandLabels, frame: int | None) -> None:
    """Refuse what no camera takes of a hand.

    Raises:
        ValueError: says what.
    """
    if not np.isin(hand.visible, (-1, 0, 1)).all() or hand.has_object not in (-1, 0, 1):
        raise ValueError("a visibility or has_object that is none of the allowed numbers")
    if np.any(hand.xyz[:, 2] <= 0):
        raise ValueError(f"z = {np.nanmin(hand.xyz[:, 2]):g} mm, not in front of the camera")
    if np.nanmax(np.abs(hand.uv), initial=0) > FARTHEST or np.nanmax(np.abs(hand.xyz), initial=0) > FARTHEST:
        raise ValueError(f"a coordinate beyond {FARTHEST:g}")
    if np.isfinite(hand.K).any() and not (np.isfinite(hand.K).all() and (np.diag(hand.K) > 0).all()):
        raise ValueError("intrinsics that are none: numbers, and focal lengths above 0")
    if frame is not None and not 0 <= frame < 2**31:
        raise ValueError(f"frame {frame}, not from 0 to 2147483647")
    if np.isfinite(hand.bbox_xyxy).any() and not (hand.bbox_xyxy[2:] > hand.bbox_xyxy[:2]).all():
        raise ValueError("a box without width and height")


def _size(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = (_whole(facts.get(key, 0)) for key in ("width", "height"))
    return (width, height) if width and height else None


def _whole(value: Any) -> int:
    """Read a whole number, which a table with gaps writes as 1.0.

    Raises:
        ValueError, OverflowError, TypeError: it is none.
    """
    number = float(value)
    if number != int(number):
        raise ValueError(f"{value}, no whole number")
    return int(number)


def _side(text: object) -> int:
    found = {side for side in HAND_SIDES if re.search(rf"(^|[^a-z]){side}([^a-z]|$)", str(text).lower())}
    if len(found) != 1:
        raise ValueError(f"no side: say left or right, not {str(text)[:40]!r}")
    return HAND_SIDES.index(found.pop())


def _mm_per_unit(unit: object) -> float:
    if unit not in MM_PER_UNIT:
        raise ValueError(f"3D without its unit: say mm or m, not {unit!r}")
    return MM_PER_UNIT[str(unit)]
