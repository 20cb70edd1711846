"""Boxes in other programs' formats, out and in: CSV, CVAT for video 1.1, COCO, MOT."""

import json
from collections.abc import Sequence
from typing import Any

from handdata.annotate.cvat_video import from_cvat, to_cvat
from handdata.annotate.pictures import Pictures, numbers_of
from handdata.boxes import COLUMNS, PUBLISHED_COLUMNS, SOURCES, WITHOUT_BOX, Box, BoxRow, format_boxes, parse_boxes
from handdata.errors import ConfigError, DataError
from handdata.files.text import Wanted, as_object, parse_json

# format -> (ending of the file, media type)
FORMATS = {
    "csv": (".csv", "text/csv"),
    "csv5": (".5.csv", "text/csv"),
    "cvat": (".cvat.xml", "application/xml"),
    "coco": (".coco.json", "application/json"),
    "mot": (".mot.txt", "text/plain"),
}
_HAND = 1
_COCO = Wanted(what="COCO's images and annotations with bbox")


def export_text(kind: str, rows: Sequence[BoxRow], pictures: Pictures) -> str:
    """Return a sequence's boxes in one of FORMATS; "csv5" is the published file's five columns.

    Raises:
        ConfigError: no such format.
    """
    if kind in ("csv", "csv5"):
        return format_boxes(rows, COLUMNS if kind == "csv" else PUBLISHED_COLUMNS)
    if kind == "cvat":
        return to_cvat(rows, pictures)
    if kind == "coco":
        return json.dumps(_to_coco(rows, pictures), indent=1) + "\n"
    if kind == "mot":
        return "".join(_mot_lines(rows))
    raise _unknown(kind)


def import_text(kind: str, text: str, where: str, pictures: Pictures) -> list[BoxRow]:
    """Read boxes in one of FORMATS.

    Raises:
        ConfigError: no such format.
        DataError: the text is not in it, or not about these pictures.
    """
    if kind in ("csv", "csv5"):
        return parse_boxes(text, where)
    if kind == "cvat":
        return from_cvat(text, where, pictures)
    if kind == "coco":
        return _from_coco(text, where, pictures)
    if kind == "mot":
        return _from_mot(text, where, pictures)
    raise _unknown(kind)


def guess_format(file_name: str) -> str:
    """Return the format that a file's ending means."""
    endings = {".xml": "cvat", ".json": "coco", ".txt": "mot"}
    return next((kind for ending, kind in endings.items() if file_name.lower().endswith(ending)), "csv")


def _unknown(kind: str) -> ConfigError:
    return ConfigError("format", expected=f"one of {', '.join(FORMATS)}", got=kind)


def _to_coco(rows: Sequence[BoxRow], pictures: Pictures) -> dict[str, Any]:
    """Return COCO's detection format; what it has no field for goes in `attributes` and `hand`."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        image: dict[str, Any] = {
            "id": number,
            "file_name": row.img_name,
            "width": pictures.width,
            "height": pictures.height,
        }
        if row.box is None:
            image["hand"] = {"source": row.source, "reviewed": row.reviewed, "doubt": row.doubt}
        else:
            annotations.append(_coco_annotation(row, row.box, number, len(annotations) + 1))
        images.append(image)
    return {"images": images, "annotations": annotations, "categories": [{"id": _HAND, "name": "hand"}]}


def _coco_annotation(row: BoxRow, box: Box, image_id: int, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": _HAND,
        "bbox": list(box),
        "area": round(box[2] * box[3], 2),
        "iscrowd": 0,
        "attributes": {"source": row.source, "reviewed": row.reviewed, "doubt": row.doubt},
    }


def _from_coco(text: str, where: str, pictures: Pictures) -> list[BoxRow]:
    value = as_object(parse_json(text, where, _COCO), where, _COCO)
    try:
        rows = {image["id"]: _coco_empty(image) for image in value["images"]}
        boxed = set()
        for annotation in value["annotations"]:
            key = annotation["image_id"]
            if key in boxed:
                raise DataError(where, expected="one box per image", got=f"two on {rows[key].img_name}")
            boxed.add(key)
            rows[key] = _coco_row(annotation, rows[key].img_name)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        expected = "COCO's images and annotations with bbox"
        raise DataError(where, expected=expected, got=f"{type(error).__name__} {error}") from error
    return _of_these(list(rows.values()), pictures, where)


def _coco_empty(image: dict[str, Any]) -> BoxRow:
    said = image.get("hand", {})
    source = said.get("source", "absent")
    return BoxRow(str(image["file_name"]), None, source, bool(said.get("reviewed")), float(said.get("doubt", 0.0)))


def _coco_row(annotation: dict[str, Any], name: str) -> BoxRow:
    x, y, w, h = (float(value) for value in annotation["bbox"])
    said = annotation.get("attributes", {})
    source = said.get("source", "dataset")
    if w <= 0 or h <= 0 or source not in SOURCES or source in WITHOUT_BOX:
        raise ValueError(f"bbox {annotation['bbox']} by {source}")
    return BoxRow(name, (x, y, w, h), source, bool(said.get("reviewed")), float(said.get("doubt", 0.0)))


def _mot_lines(rows: Sequence[BoxRow]) -> list[str]:
    """Return MOT's ground truth: frame from 1, track 1, box, confidence 1, class 1 (a pedestrian's), visibility 1.

    TrackEval ignores boxes whose confidence is 0 and refuses classes it does not know; CVAT takes the class as the
    number of the label. Pixels as CVAT writes them, (0, 0) the picture's corner. Source: Milan et al., MOT16,
    arXiv 1603.00831, table 6.
    """
    lines = []
    for number, row in enumerate(rows, start=1):
        if row.box is not None:
            numbers = ",".join(repr(float(value)) for value in row.box)
            lines.append(f"{number},1,{numbers},1,1,1\n")
    return lines


def _from_mot(text: str, where: str, pictures: Pictures) -> list[BoxRow]:
    rows = {frame: BoxRow(name, None, "absent") for frame, name in enumerate(pictures.img_names, start=1)}
    seen: set[int] = set()
    for line, cells in enumerate((entry.split(",") for entry in text.splitlines()), start=1):
        if cells == [""]:
            continue
        try:
            frame, (x, y, w, h) = int(cells[0]), (float(cell) for cell in cells[2:6])
        except (ValueError, OverflowError) as error:
            expected = "frame,id,left,top,width,height,..."
            raise DataError(f"{where}:{line}", expected=expected, got=",".join(cells)[:60]) from error
        if frame not in rows or frame in seen or not (w > 0 and h > 0):
            expected = f"one box with a size on each of the frames 1 to {len(pictures)}"
            raise DataError(f"{where}:{line}", expected=expected, got=",".join(cells)[:60])
        seen.add(frame)
        doubt = round(1.0 - float(cells[6]), 3) if len(cells) > 6 and _is_share(cells[6]) else 0.0
        rows[frame] = BoxRow(rows[frame].img_name, (x, y, w, h), "tracker", doubt=doubt)
    if not seen:  # it would replace every box by none
        raise DataError(where, expected="at least one box", got="none", fix="Import another file.")
    return list(rows.values())


def _is_share(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False


def _of_these(rows: list[BoxRow], pictures: Pictures, where: str) -> list[BoxRow]:
    if not any(number is not None for number in numbers_of(pictures, [row.img_name for row in rows])):
        raise DataError(where, expected=f"images such as {pictures.img_names[0]}", got="none of them")
    return rows
