"""Croissant: croissant.json, which tells any loader of ML data what lies in <split>.parquet, written beside it.

Format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html . `handdata import` reads the tables
themselves.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handdata import __version__
from handdata.exchange import parquet
from handdata.exchange.pictures import ExportView
from handdata.files.whole import write_text
from handdata.shards.schema import SPLITS

FILE = "croissant.json"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TEXT, _WHOLE, _NUMBER, _TRUTH, _PICTURE = "sc:Text", "sc:Integer", "sc:Float", "sc:Boolean", "sc:ImageObject"
# column -> type, shape of an array, what it is
_COLUMNS: dict[str, tuple[str, str, str]] = {
    "sample_id": (_TEXT, "", "Id of the hand, unique in its dataset"),
    "split": (_TEXT, "", "train, val or test"),
    "sequence": (_TEXT, "", "Recording; sequences are never divided between splits"),
    "camera": (_TEXT, "", "Camera that took the picture"),
    "frame": (_WHOLE, "", "Number of the picture in its recording"),
    "hand_side": (_TEXT, "", "left, right or unknown: the person's hand"),
    "has_object": (_TRUTH, "", "Whether the hand holds an object; null: not known"),
    "keypoints_2d": (_NUMBER, "21,2", "u, v in pixels of the picture, (0, 0) the centre of its first pixel"),
    "keypoints_3d": (_NUMBER, "21,3", "x, y, z in mm, camera axes: x right, y down, z forward"),
    "keypoints_3d_normalized": (_NUMBER, "21,3", "Middle MCP at the origin, the wrist at distance 1"),
    "visible": (_WHOLE, "21", "Of each keypoint: 1 visible, 0 hidden, -1 not known"),
    "K": (_NUMBER, "3,3", "Intrinsics of the picture, pixels"),
    "bbox_xyxy": (_NUMBER, "4", "Hand box: left, top, right, bottom; edges as in a slice"),
    "source_to_canvas": (_NUMBER, "2,3", "Affine map from pixels of the picture as shipped to those of this one"),
}


def write(view: ExportView, out: Path) -> None:
    """Write the table of one split, and croissant.json of all there are.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    parquet.write(view, out)
    there = [split for split in SPLITS if (out / _table(split)).is_file()]
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": view.data.name,
        "description": f"Pictures of hands with 21 keypoints, written by handdata {__version__}. See README.md.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        **({"license": view.licence} if view.licence else {}),
        **({"url": view.homepage} if view.homepage else {}),
        **({"citeAs": view.citation} if view.citation else {}),
        "version": "1.0.0",
        "distribution": [_file(out, split) for split in there],
        "recordSet": [_records(split) for split in there],
    }
    write_text(out / FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [FILE, *parquet.files(view)]


def _table(split: str) -> str:
    return f"{split}.parquet"


def _file(out: Path, split: str) -> dict[str, Any]:
    path = out / _table(split)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest,
    }


def _records(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"One record per labelled hand of {split}",
        "field": list(_fields(split)),
    }


def _fields(split: str) -> Iterator[dict[str, Any]]:
    picture = {"column": "image"}, {"transform": {"jsonPath": "bytes"}}
    yield _field(split, "image", _PICTURE, "The picture, PNG or JPEG", *picture)
    for name, (kind, shape, what) in _COLUMNS.items():
        array = {"isArray": True, "arrayShape": shape} if shape else {}
        yield {**_field(split, name, kind, what, {"column": name}, {}), **array}


def _field(
    split: str, name: str, kind: str, what: str, extract: dict[str, str], transform: dict[str, Any]
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "description": what,
        "dataType": kind,
        "source": {"fileObject": {"@id": _table(split)}, "extract": extract, **transform},
    }
