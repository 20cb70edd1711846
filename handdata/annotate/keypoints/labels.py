"""Keypoints as files, out and in: handdata's own JSON, which is COCO's with more fields, plain COCO, CVAT.

Written is what a person placed or accepted. A point that is only proposed is not a label.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from handdata.annotate.keypoints.marks import (
    MOST_HANDS,
    NO_POINTS,
    SOURCES,
    STATES,
    FrameMark,
    HandMark,
    Marks,
    PointMark,
    is_place,
)
from handdata.annotate.pictures import Pictures, numbers_of
from handdata.errors import ConfigError, DataError, HanddataError
from handdata.exchange.coco import CATEGORY, LABELLED, NOT_LABELLED, VISIBLE, category
from handdata.exchange.cvat import meta_element, skeleton_lines
from handdata.exchange.labels import HandLabels, LabelRow
from handdata.exchange.plain import lies_in
from handdata.exchange.reading import read_annotations
from handdata.exchange.settle import Asked, settle
from handdata.files.spelling import finder
from handdata.files.text import LARGE, Wanted, as_object, read_json
from handdata.files.whole import write_text
from handdata.skeleton import NUM_KEYPOINTS, SIDE_NAMES

# format -> (ending of the file, media type)
FORMATS = {
    "json": (".json", "application/json"),
    "coco": (".coco.json", "application/json"),
    "cvat": (".cvat.xml", "application/xml"),
}
OWN = "handdata keypoints"  # of `info`, by which our own file is known
_EXTRA = ("side", "hand", "states", "sources", "accepted")  # fields of ours that plain COCO has not
_FILE = Wanted(what="keypoints", fix="See docs/custom.md.", largest=LARGE)


def export_text(kind: str, marks: Marks, pictures: Pictures, title: str) -> str:
    """Return the labels of a sequence in one of FORMATS.

    Raises:
        ConfigError: no such format.
    """
    if kind == "cvat":
        return _to_cvat(marks, pictures, title)
    if kind not in FORMATS:
        raise ConfigError("format", expected=f"one of {', '.join(FORMATS)}", got=kind[:40])
    content = _to_coco(marks, pictures, title)
    if kind == "coco":
        for part in (content["images"], content["annotations"]):
            for one in part:
                for name in _EXTRA:
                    one.pop(name, None)
        content["info"].pop("kind")
    head = json.dumps({key: content[key] for key in ("info", "categories")})[:-1]
    lists = (f'"{key}": [\n' + ",\n".join(map(json.dumps, content[key])) + "\n]" for key in ("images", "annotations"))
    return ",\n".join([head, *lists]) + "}\n"


def labels_of(mark: FrameMark) -> dict[int, tuple[HandMark, dict[int, PointMark]]]:
    """Return the hands of a frame that have a label, with their labelled points."""
    there = {number: hand for number, hand in sorted(mark.hands.items()) if not hand.gone}
    found = {number: (hand, hand.fixed(accepted=mark.accepted)) for number, hand in there.items()}
    return {number: (hand, points) for number, (hand, points) in found.items() if points}


def _to_coco(marks: Marks, pictures: Pictures, title: str) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame, name in enumerate(pictures.img_names):
        width, height = pictures.size_of(frame)
        mark = marks.get(frame, FrameMark())
        image = {"id": frame + 1, "file_name": name, "width": width, "height": height}
        images.append(image | ({"accepted": True} if mark.accepted else {}))
        for number, (hand, points) in labels_of(mark).items():
            numbers = {"id": len(annotations) + 1, "image_id": frame + 1}
            annotations.append(numbers | _annotation(number, hand.side, points))
    info = {"description": title, "kind": OWN, "pixels": "(0, 0) is the centre of the first pixel"}
    return {"info": info, "categories": [category()], "images": images, "annotations": annotations}


def _annotation(number: int, side: str, points: Mapping[int, PointMark]) -> dict[str, Any]:
    keypoints: list[float] = []
    for k in range(NUM_KEYPOINTS):
        point = points.get(k)
        if point is None or not point.is_placed:
            keypoints += [0, 0, NOT_LABELLED]
        else:
            keypoints += [point.u, point.v, VISIBLE if point.state == "visible" else LABELLED]
    placed = np.array([(p.u, p.v) for p in points.values() if p.is_placed]).reshape(-1, 2)
    box: dict[str, Any] = {}
    if len(placed) > 1 and (placed.max(0) > placed.min(0)).all():
        sides = (placed.max(0) - placed.min(0)).tolist()
        box = {"bbox": [*(placed.min(0) + 0.5).tolist(), *sides], "area": sides[0] * sides[1]}
    return {
        "category_id": CATEGORY,
        "iscrowd": 0,
        "num_keypoints": len(placed),
        "keypoints": keypoints,
        **box,
        "side": side,
        "hand": number,
        "states": [points[k].state if k in points else None for k in range(NUM_KEYPOINTS)],
        "sources": [points[k].source if k in points else None for k in range(NUM_KEYPOINTS)],
    }


def _to_cvat(marks: Marks, pictures: Pictures, title: str) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n']
    lines.append(meta_element(title, len(pictures), "train"))
    for frame, name in enumerate(pictures.img_names):
        width, height = pictures.size_of(frame)
        lines.append(f'  <image id="{frame}" name={quoteattr(name)} width="{width}" height="{height}">\n')
        for number, (hand, points) in labels_of(marks.get(frame, FrameMark())).items():
            placed = [points[k] if k in points and points[k].is_placed else None for k in range(NUM_KEYPOINTS)]
            facts = {
                "keypoints_2d": [None if point is None else (point.u, point.v) for point in placed],
                "visible": [0 if point is not None and point.state != "visible" else 1 for point in placed],
                "hand_side": hand.side,
                "sample_id": f"{name}/{number}",
            }
            lines += [line + "\n" for line in skeleton_lines(facts)]
        lines.append("  </image>\n")
    return "".join([*lines, "</annotations>\n"])


# ------------------------------------------------------------------------------------------------ in


def read_labels(path: Path, pictures: Pictures) -> dict[int, FrameMark]:
    """Read the labels of these pictures from a file of any format that handdata reads.

    Returns:
        What the file says, by frame: of our own file what a person said, of another one proposals to be accepted.

    Raises:
        MissingError: no such file.
        DataError: it is no file of labels, or of none of these pictures.
    """
    own = own_content(path)
    found = _of_others(path, pictures) if own is None else _of_own(own, path, pictures)
    if not found:
        expected = f"labels of pictures such as {pictures.img_names[0]}"
        raise DataError(path, expected=expected, got="none of these pictures", fix="Import another file.")
    return found


def read_uploaded(name: str, text: str, pictures: Pictures) -> dict[int, FrameMark]:
    """Read labels that a page sent, as `read_labels` does; `name` says the format by its ending."""
    suffix = Path(name).suffix.lower()
    with TemporaryDirectory(prefix="handdata-") as folder:
        path = Path(folder) / f"imported{suffix if suffix in ('.json', '.xml', '.csv') else '.json'}"
        write_text(path, text)
        try:
            return read_labels(path, pictures)
        except HanddataError as error:
            raise ConfigError(
                "the imported file", expected=error.expected, got=error.got, fix="Import another file."
            ) from error


def shows_no_hand(path: Path, pictures: Pictures) -> bool:
    """Tell whether a file says that there is no hand: one that was begun, or of a model that found none."""
    content = read_json(path, _FILE, finite=False) if path.suffix.lower() == ".json" else None
    if not isinstance(content, dict) or content.get("annotations") != []:
        return False
    images = content.get("images")
    names = [str(one.get("file_name")) for one in images if isinstance(one, dict)] if isinstance(images, list) else []
    return not names or any(number is not None for number in numbers_of(pictures, names))


def own_content(path: Path) -> Mapping[str, Any] | None:
    """Return what a file of ours holds, None of another file.

    Raises:
        DataError: it is no JSON.
    """
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    content = read_json(path, _FILE, finite=False)
    info = content.get("info") if isinstance(content, dict) else None
    return content if isinstance(info, dict) and info.get("kind") == OWN else None


def _of_own(content: Mapping[str, Any], path: Path, pictures: Pictures) -> dict[int, FrameMark]:
    hands: dict[int, dict[int, HandMark]] = {}
    accepted: set[int] = set()
    try:
        images = {image["id"]: image for image in content["images"]}
        names = [str(image["file_name"]) for image in images.values()]
        frames = dict(zip(images, numbers_of(pictures, names), strict=True))
        accepted = {frame for key, frame in frames.items() if frame is not None and images[key].get("accepted") is True}
        for number, one in enumerate(content["annotations"]):
            where = f"{path}[annotations][{number}]"
            frame = frames[as_object(one, where, _FILE)["image_id"]]
            if frame is not None:
                hands.setdefault(frame, {})[_hand_number(one)] = HandMark(_side(one), _own_points(one))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            path, expected="keypoints as handdata wrote them", got=str(error)[:120], fix=_FILE.fix
        ) from None
    return {frame: FrameMark(hands.get(frame, {}), frame in accepted) for frame in sorted({*hands, *accepted})}


def _hand_number(one: Mapping[str, Any]) -> int:
    number = one["hand"]
    if not isinstance(number, int) or not 0 <= number < MOST_HANDS:
        raise ValueError(f"hand {number!r}")
    return number


def _side(one: Mapping[str, Any]) -> str:
    if one["side"] not in SIDE_NAMES:
        raise ValueError(f"side {str(one['side'])[:40]!r}")
    return str(one["side"])


def _own_points(one: Mapping[str, Any]) -> tuple[PointMark | None, ...]:
    flat, points = one["keypoints"], list[PointMark | None]()
    for k, (state, source) in enumerate(zip(one["states"], one["sources"], strict=True)):
        u, v, flag = flat[3 * k : 3 * k + 3]
        if state is None:
            points.append(None)
            continue
        if state not in STATES or source not in SOURCES or not (is_place(u) and is_place(v)):
            raise ValueError(f"point {state!r}, {source!r}")
        placed = (float(u), float(v)) if flag else (math.nan, math.nan)
        points.append(PointMark(*placed, state, source))
    if len(points) != NUM_KEYPOINTS:
        raise ValueError(f"{len(points)} points")
    return tuple(points)


def _of_others(path: Path, pictures: Pictures) -> dict[int, FrameMark]:
    rows = settle(read_annotations(path), Asked(side="unknown")).rows
    found: dict[int, dict[int, HandMark]] = {}
    numbers: dict[tuple[str, int], int] = {}  # (side, how many of it before in the picture) -> number
    for row, frame in zip(rows, _frames_of(rows, pictures), strict=True):
        if frame is None or isinstance(row.hand, HanddataError):
            continue
        there = found.setdefault(frame, {})
        side = SIDE_NAMES[row.hand.side]
        before = sum(hand.side == side for hand in there.values())
        number = numbers.setdefault((side, before), len(numbers))
        if number < MOST_HANDS:
            there[number] = HandMark(side, _points_of(row.hand, pictures.size_of(frame)))
    return {frame: FrameMark(hands) for frame, hands in sorted(found.items())}


def _frames_of(rows: Sequence[LabelRow], pictures: Pictures) -> list[int | None]:
    by_name = finder(pictures.img_names)
    by_file = numbers_of(pictures, [row.image for row in rows])
    whole = (by_name(row.image) for row in rows)
    return [other if number is None else number for number, other in zip(whole, by_file, strict=True)]


def _points_of(hand: HandLabels, size: tuple[int, int]) -> tuple[PointMark | None, ...]:
    points: list[PointMark | None] = list(NO_POINTS)
    for k in range(NUM_KEYPOINTS):
        u, v = (round(float(value), 4) for value in hand.uv[k])
        if math.isfinite(u):
            state = "occluded" if hand.visible[k] == 0 else "visible"
            points[k] = PointMark(u, v, "visible" if state == "visible" else "occluded", "imported")
            if not lies_in((u, v), size):
                points[k] = PointMark(u, v, "outside", "imported")
    return tuple(points)
