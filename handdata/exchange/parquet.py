"""Parquet as Hugging Face's `datasets` reads it: <split>.parquet with the pictures in it, written and read.

The column `image` holds the encoded picture; the features are in the file's metadata, so that `load_dataset("parquet")`
gives pictures. https://huggingface.co/docs/datasets/image_dataset
A table of labels beside its pictures, with the columns of a CSV, is read too.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from itertools import accumulate, islice
from math import isnan
from pathlib import Path
from textwrap import shorten
from typing import Any

from handdata.errors import ConfigError, DataError
from handdata.exchange.arrow import table_of
from handdata.exchange.csv_table import labels_of
from handdata.exchange.in_parts import made
from handdata.exchange.label_table import IMAGES, LabelTable
from handdata.exchange.labels import Annotations, make_row
from handdata.exchange.pictures import ExportView
from handdata.exchange.plain import OWN, hand_of_plain
from handdata.files.text import Wanted, parse_json
from handdata.files.whole import whole
from handdata.shards.provenance import KEY, as_json, parse

KIND, SIGN = "Parquet as handdata exports it", "columns image and sample_id"
_TABLE, _COLUMNS = "Parquet", "a column `image` of names and columns of points, as of a CSV"
ROWS_PER_GROUP = 100
_TOLD = Wanted(what="what its metadata say of handdata")
_TEXTS = ("sample_id", "split", "sequence", "camera", "hand_side", "bbox_source")
_WHOLES = ("frame", "flags")
_LISTS = ("visible", "source_size")
_POINTS = {"keypoints_2d": 2, "keypoints_3d": 3, "keypoints_3d_normalized": 3}
_ROWS = ("palm_center_2d", "palm_center_3d", "bbox_xyxy", "crop_xyxy")
_MATRICES = ("K", "source_to_canvas")


def _arrow(path: Path) -> Any:
    try:
        import pyarrow  # noqa: PLC0415  # an extra
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        fix = 'Run pip install "handdata[parquet]".'
        raise ConfigError(path, expected="pyarrow, for Parquet", got="not installed", fix=fix) from None
    return pyarrow


def write(view: ExportView, out: Path) -> None:
    """Write one split, a few rows at a time; a picture with two hands is in two rows.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    path = out / f"{view.split}.parquet"
    if view.is_done(path):  # the same export was killed after it
        return
    pa = _arrow(path)
    schema = _schema(pa, view)
    with whole(path) as file, pa.parquet.ParquetWriter(file, schema, compression=_compression(pa, schema)) as table:
        for rows in made(_part, view, out):
            table.write_table(rows.table)


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [f"{view.split}.parquet"]


@dataclass(frozen=True)
class _Group:
    """A few rows as a table of Arrow; another process gets them as Arrow's stream, which is read where it lies.

    Pickled column by column they would take four times as long.
    """

    table: Any

    def __reduce__(self) -> tuple[Callable[[bytes], "_Group"], tuple[bytes]]:
        pa = _arrow(Path())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as stream:
            stream.write_table(self.table)
        return _received, (sink.getvalue().to_pybytes(),)


def _received(stream: bytes) -> _Group:
    return _Group(_arrow(Path()).ipc.open_stream(stream).read_all())


def _part(view: ExportView, out: Path) -> list[_Group]:
    """Return the rows of a part, a few in each group."""
    pa = _arrow(out)
    schema = _schema(pa, view)
    rows = _rows(view)
    groups = []
    while some := list(islice(rows, ROWS_PER_GROUP)):
        groups.append(_Group(table_of(pa, some, schema)))
    return groups


def _rows(view: ExportView) -> Iterator[dict[str, Any]]:
    for picture in view:
        data = picture.data()
        for labels in picture.labels:
            yield {"image": {"bytes": data, "path": picture.name}, **labels}


def _schema(pa: Any, view: ExportView) -> Any:
    numbers = pa.list_(pa.float64())
    fields = {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_WHOLES, pa.int64()),
        "has_object": pa.bool_(),
        **dict.fromkeys(_LISTS, pa.list_(pa.int64())),
        **dict.fromkeys((*_POINTS, *_MATRICES), pa.list_(numbers)),
        **dict.fromkeys(_ROWS, numbers),
    }
    told = {"huggingface": json.dumps({"info": {"features": _features()}}, sort_keys=True)}
    told["handdata"] = json.dumps({KEY: as_json(view.provenance)})
    return pa.schema(list(fields.items()), metadata=told)


def _compression(pa: Any, schema: Any) -> dict[str, str]:
    """Return how each column of the file is compressed: the pictures, which are already, are not once more."""
    empty = BytesIO()
    pa.parquet.ParquetWriter(empty, schema).close()
    return {one.path: "none" if one.path == "image.bytes" else "zstd" for one in pa.parquet.ParquetFile(empty).schema}


def _features() -> dict[str, Any]:
    """Return the columns in the words of `datasets.Features`."""

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    def several(what: Any) -> dict[str, Any]:
        return {"feature": what, "_type": "Sequence"}

    return {
        "image": {"_type": "Image"},
        **dict.fromkeys(_TEXTS, value("string")),
        **dict.fromkeys(_WHOLES, value("int64")),
        "has_object": value("bool"),
        **dict.fromkeys(_LISTS, several(value("int64"))),
        **dict.fromkeys((*_POINTS, *_MATRICES), several(several(value("float64")))),
        **dict.fromkeys(_ROWS, several(value("float64"))),
    }


def read(path: Path, content: Any) -> Annotations:  # noqa: ARG001 - read by pyarrow
    """Read the labels of one file; its pictures stay in it.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: it is no such file.
    """
    file = _open(path)
    names = file.schema_arrow.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(path, expected="columns, each once", got=f"{', '.join(twice)[:120]} twice")
    if table := _table(path, file):
        return replace(labels_of(table, str(path)), kind=_TABLE, sign=_COLUMNS)
    if OWN not in names or "image" not in names:
        got = shorten(", ".join(names), 120, placeholder=" ...")
        raise DataError(path, expected=f"{SIGN}, or {_COLUMNS}", got=got, fix="See docs/custom.md.")
    columns = [name for name in names if name != "image"]
    rows = []
    for number, facts in enumerate(_told(path, lambda: file.read(columns=columns).to_pylist())):
        said = {name: value for name, value in facts.items() if value is not None}
        rows.append(make_row(f"{path.name}/{number}", said, f"{path}[{number}]", hand_of_plain))
    told = (file.schema_arrow.metadata or {}).get(b"handdata", b"{}")
    recorded = parse_json(told.decode(errors="replace"), path, _TOLD)
    provenance = parse(recorded.get(KEY, ()) if isinstance(recorded, dict) else (), path)
    return Annotations(rows=tuple(rows), kind=KIND, sign=SIGN, provenance=tuple(provenance), is_exported=True)


def _table(path: Path, file: Any) -> LabelTable | None:
    """Return the single values of each row as a CSV would hold them; None where no column names pictures by words."""
    types = _arrow(path).types
    columns = tuple(field.name for field in file.schema_arrow if not types.is_nested(field.type))
    words = (types.is_string, types.is_large_string, types.is_dictionary)
    image = next((name for name in IMAGES if name in columns), "")
    if not image or not any(is_it(file.schema_arrow.field(image).type) for is_it in words):
        return None
    rows = _told(path, lambda: file.read(columns=list(columns)).to_pylist())
    told = [{name: _cell(value) for name, value in row.items()} for row in rows]
    cells = [{name: cell for name, cell in row.items() if cell} for row in told]
    return LabelTable(
        columns=columns, image=image, rows=tuple((f"{path}[{number}]", row) for number, row in enumerate(cells))
    )


def _cell(value: Any) -> str:
    """Return a value as a CSV holds it: "" for none and NaN, which is how pandas writes that it has no number."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    is_whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if is_whole else str(value)


def picture_bytes(path: Path, row: int) -> bytes:
    """Return the encoded picture of one row."""
    file_time = path.stat().st_mtime_ns
    starts = _starts(path, file_time)
    group = bisect_right(starts, row) - 1
    pictures = _pictures(path, file_time, group)
    place = row - starts[group]
    data: Mapping[str, Any] | None = pictures[place] if place < len(pictures) else None
    if data is None or not data.get("bytes"):
        raise DataError(f"{path}[{row}]", expected="a picture in the table", got="none", fix="Export it again.")
    return bytes(data["bytes"])


@lru_cache(maxsize=2)
def _pictures(path: Path, _changed: int, group: int) -> list[Any]:
    file = _open(path)

    def read() -> list[Any]:
        pictures: list[Any] = file.read_row_group(group, columns=["image"]).column("image").to_pylist()
        return pictures

    return list(_told(path, read))


@lru_cache(maxsize=8)
def _starts(path: Path, _changed: int) -> list[int]:
    """Return the first row of each group of rows: other programs cut tables otherwise."""
    facts = _open(path).metadata
    return [0, *accumulate(facts.row_group(number).num_rows for number in range(facts.num_row_groups))][:-1] or [0]


def _open(path: Path) -> Any:
    return _told(path, lambda: _arrow(path).parquet.ParquetFile(path))


def _told(path: Path, read: Callable[[], Any]) -> Any:
    """Return what pyarrow reads; what it finds wrong with the file is a DataError."""
    pa = _arrow(path)
    try:
        return read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(path, expected="a Parquet file", got=str(error)[:120], fix="Export it again.") from None
