"""Shards: one HDF5 file of up to 4,096 samples, written whole or not at all, mapped for reading. Only h5py is here.

Every array is contiguous, allocated when the file is made and never filled, so it has an offset in the file: the
writer puts rows there with plain writes, the reader maps the pixels. Measured: mapping reads 3x faster than h5py
row by row and 30x faster than compressed chunks (docs/decisions.md).
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.mapped import map_file
from handdata.schema import FIELDS, KEYPOINT_PARENTS, LABELS, VERSION, Field
from handdata.skeleton import KEYPOINTS

ALIGNMENT = 4096  # bytes: a page, so that mapped canvases start on one
HEADER_ROOM = 256 * 1024  # bytes: HDF5's own structures (14 kB) and at most a page before each array
INDEX = "index.json"
PARTIAL = ".partial"
STATE = ".state"  # folder beside the shards: what each was made from (shard_state.py)
_HASH = "content_sha256"
_LABEL_NAMES = frozenset(field.name for field in LABELS)
_PENDING = b"0" * 64


class ShardWriter:
    """Writes one shard: rows in order, then `close`, which makes it appear under its name.

    Rows go to `<path>.<tag>.partial`; `close` adds the content hash, syncs and renames. Leaving the `with` block by an
    error removes the partial file.

    Args:
        path: the finished shard.
        num_samples: rows, fixed from the start.
        canvas: side S of the canvases, px; a multiple of 8.
        attributes: further file attributes (dataset, split, canvas_scale, options, ...): str, int or float.
        sequences: string table that `sequence` indexes.
        cameras: string table that `camera` indexes.
        optional: names of the optional arrays to hold ("foreground", "mask").
        tag: makes the partial file's name this run's own.
    """

    def __init__(
        self,
        path: Path,
        num_samples: int,
        *,
        canvas: int,
        attributes: Mapping[str, str | int | float],
        sequences: Sequence[str],
        cameras: Sequence[str],
        optional: Sequence[str] = (),
        tag: str = "",
    ) -> None:
        if num_samples < 1:
            raise ValueError("a shard holds at least one sample")
        self.path = path
        self.partial = path.with_name(path.name + (f".{tag}" if tag else "") + PARTIAL)
        self.fields = tuple(field for field in FIELDS if not field.optional or field.name in optional)
        self._canvas = canvas
        self._rows = 0
        self._pixels = [field for field in self.fields if field.name not in _LABEL_NAMES]
        # one record a row, in schema order, so that a row's labels are hashed at once; row_hash is no part of itself
        labels = [(f.name, f.dtype, f.shape_at(canvas)) for f in LABELS if f.name != "row_hash"]
        self._records = np.zeros(num_samples, labels)
        self._labels = {name: self._records[name] for name, *_ in labels}
        self._bytes = self._records.view(np.uint8).reshape(num_samples, -1)
        self._hashes = np.zeros(num_samples, np.uint64)
        self._expected = {field.name for field in self.fields} - {"row_hash"}
        self._content = hashlib.sha256()
        self._num_samples = num_samples
        path.parent.mkdir(parents=True, exist_ok=True)
        self.partial.unlink(missing_ok=True)
        _check_room(self.partial, sum(_nbytes(field, num_samples, canvas) for field in self.fields))
        self._offsets = _create(self.partial, self.fields, num_samples, canvas, attributes, sequences, cameras)
        self._file = os.open(self.partial, os.O_RDWR)
        try:
            os.posix_fallocate(self._file, 0, os.fstat(self._file).st_size)  # a full disk shows here, not half-way
        except OSError:
            self.abort()
            raise

    def append(self, row: Mapping[str, Any]) -> None:
        """Write the next row: every field of the shard but `row_hash`, which is computed here.

        Raises:
            ValueError: a field is missing, unknown or of the wrong shape, or the shard is full.
        """
        if self._rows == self._num_samples:
            raise ValueError(f"{self.path.name} is full")
        if row.keys() != self._expected:
            raise ValueError(f"row has {sorted(row.keys() ^ self._expected)} missing or in excess")
        digest = xxhash.xxh3_64()
        for field in self._pixels:
            array = np.asarray(row[field.name], dtype=field.dtype, order="C")
            self._check_shape(field.name, array.shape, field.shape_at(self._canvas))
            data = array.data
            digest.update(data)
            if field.name == "image":
                self._content.update(data)
            os.pwrite(self._file, data, self._offsets[field.name] + self._rows * data.nbytes)
        for name, column in self._labels.items():
            value = row[name]
            self._check_shape(name, np.shape(value), column.shape[1:])
            column[self._rows] = value
        digest.update(self._bytes[self._rows].data)
        self._hashes[self._rows] = digest.intdigest()
        self._rows += 1

    @staticmethod
    def _check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if got != expected:
            raise ValueError(f"{name} has shape {got}, expected {expected}")

    def close(self) -> None:
        """Finish the shard: labels, content hash, fsync, rename, fsync of the folder.

        Raises:
            ValueError: fewer rows were written than promised.
        """
        if self._rows != self._num_samples:
            raise ValueError(f"{self.path.name}: {self._rows} rows of {self._num_samples} written")
        for field in self.fields:
            if field.name in _LABEL_NAMES:
                os.pwrite(self._file, self._label(field.name), self._offsets[field.name])
            if field.name != "image":  # hashed row by row as it was written
                self._content.update(self._written(field))
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1
        with h5py.File(self.partial, "r+") as file:
            file.attrs.modify(_HASH, np.bytes_(self.content_sha256))
        _sync(self.partial)
        self.partial.rename(self.path)
        _sync(self.path.parent)

    @property
    def content_sha256(self) -> str:
        """Hash over all arrays in schema order; that of the whole shard once it is closed."""
        return self._content.hexdigest()

    def _label(self, name: str) -> bytes:
        return (self._hashes if name == "row_hash" else self._labels[name]).tobytes()

    def _written(self, field: Field) -> bytes | memoryview:
        if field.name in _LABEL_NAMES:
            return self._label(field.name)
        shape = (self._num_samples, *field.shape_at(self._canvas))
        offset = self._offsets[field.name]
        return np.memmap(self.partial, dtype=field.dtype, mode="r", offset=offset, shape=shape).data

    def abort(self) -> None:
        """Drop the shard: nothing of it stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class ShardReader:
    """Reads one shard; opens it where it is used and pickles as its path alone.

    Attributes:
        path: the file.
        attributes: its HDF5 attributes as plain Python values.

    Raises:
        MissingError: no such file.
        DataError: not a whole shard, or of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with h5py.File(path, "r") as file:
                self.attributes: dict[str, Any] = {key: _plain(value) for key, value in file.attrs.items()}
                layout = _layout(file)
                tables = {n: [item.decode() for item in file[n][:]] for n in ("sequences", "cameras")}
        except FileNotFoundError:
            raise MissingError(path, expected="a shard", got="no file", fix="Convert that dataset again.") from None
        except Exception as error:  # HDF5 and numpy have many ways to say that a header is nonsense
            got = f"a damaged file ({str(error).splitlines()[0][:80]})" if str(error) else "a damaged file"
            raise DataError(path, expected="a shard", got=got, fix="Convert that dataset again.") from error
        version = self.attributes.get("schema")
        if version != VERSION:
            raise DataError(path, expected=f"schema {VERSION}", got=str(version), fix="Convert that dataset again.")
        if fault := _layout_fault(layout, self.attributes):
            raise DataError(path, expected=f"schema {VERSION}", got=fault, fix="Convert that dataset again.")
        self._layout = layout
        self.sequences: list[str] = tables["sequences"]
        self.cameras: list[str] = tables["cameras"]
        self._cache: dict[str, NDArray[Any]] = {}
        self._whole: NDArray[np.uint8] | None = None
        self._check_size()

    def __len__(self) -> int:
        return int(self.attributes["num_samples"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a label array by field name, (N, ...); read once."""
        if name not in self._cache:
            self._cache[name] = np.array(self.view(name))
        return self._cache[name]

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, S, S, 3) uint8, mapped, read-only."""
        return self.view("image")

    @property
    def foreground(self) -> NDArray[np.uint8] | None:
        """(N, S, S/8) uint8 bits, mapped; None where the dataset has no segmentation."""
        return self.view("foreground") if "foreground" in self else None

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """(N, S, S) uint8, mapped; None without."""
        return self.view("mask") if "mask" in self else None

    def take(self, name: str, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Return some rows of a label array, reading no others: (len(rows), ...)."""
        return np.array(self._cache[name][rows] if name in self._cache else self.view(name)[rows])

    def __contains__(self, name: str) -> bool:
        return name in self._layout

    def __reduce__(self) -> tuple[type["ShardReader"], tuple[Path]]:
        return (ShardReader, (self.path,))

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields this shard holds, in schema order."""
        return tuple(field for field in FIELDS if field.name in self._layout)

    def offset(self, name: str) -> int:
        """Return the byte offset of an array in the file, for `posix_fadvise`."""
        return int(self._layout[name][0])

    def content_sha256(self) -> str:
        """Compute the content hash afresh, to compare with attributes["content_sha256"]."""
        digest = hashlib.sha256()
        for field in self.fields:
            digest.update(np.ascontiguousarray(self.view(field.name)).view(np.uint8).data)
        return digest.hexdigest()

    def row_hashes(self) -> NDArray[np.uint64]:
        """Compute xxh3-64 of every row afresh, (N,), to compare with `row_hash`."""
        arrays = [self.view(field.name) for field in self.fields if field.name != "row_hash"]
        hashes = np.empty(len(self), np.uint64)
        for row in range(len(self)):
            digest = xxhash.xxh3_64()
            for array in arrays:
                digest.update(array[row : row + 1].tobytes())
            hashes[row] = digest.intdigest()
        return hashes

    def view(self, name: str) -> NDArray[Any]:
        """Return an array of the file, (N, ...), mapped and read-only."""
        offset, shape, dtype = self._layout[name]
        if self._whole is None:
            self._whole = map_file(self.path)
        return np.ndarray(shape, dtype, buffer=self._whole.data, offset=offset)

    def _check_size(self) -> None:
        end = max(offset + int(np.prod(shape)) * dtype.itemsize for offset, shape, dtype in self._layout.values())
        size = self.path.stat().st_size
        if size < end:
            got = f"{size}: the shard is cut short"
            raise DataError(self.path, expected=f"at least {end} bytes", got=got, fix="Convert that dataset again.")


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write index.json, whose presence means the dataset is complete: partial, fsync, rename, fsync of the folder."""
    target = folder / INDEX
    partial = target.with_name(INDEX + PARTIAL)
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    _sync(partial)
    partial.rename(target)
    _sync(folder)


def _nbytes(field: Field, num_samples: int, canvas: int) -> int:
    return num_samples * int(np.prod(field.shape_at(canvas))) * np.dtype(field.dtype).itemsize


def _check_room(path: Path, arrays: int) -> None:
    """Find out whether the disk holds the arrays and the header, because HDF5 tells of a full disk by a RuntimeError.

    Raises:
        OSError: it does not; nothing is left.
    """
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, arrays + HEADER_ROOM)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _create(
    path: Path,
    fields: Sequence[Field],
    num_samples: int,
    canvas: int,
    attributes: Mapping[str, str | int | float],
    sequences: Sequence[str],
    cameras: Sequence[str],
) -> dict[str, int]:
    """Make the file with every array allocated; return the arrays' offsets."""
    with h5py.File(path, "w", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT) as file:
        offsets = {field.name: _allocate(file, field, (num_samples, *field.shape_at(canvas))) for field in fields}
        for name, strings in (("sequences", sequences), ("cameras", cameras)):
            table = np.array([text.encode("ascii") for text in strings] or [b""])
            file.create_dataset(name, data=table)
        constants = {"schema": VERSION, "num_samples": num_samples, "canvas_size": canvas}
        for key, value in {**constants, **attributes}.items():
            file.attrs[key] = value
        file.attrs["keypoint_names"] = list(KEYPOINTS)
        file.attrs["keypoint_parents"] = np.array(KEYPOINT_PARENTS, np.int32)
        file.attrs[_HASH] = np.bytes_(_PENDING)
        return offsets


def _allocate(file: h5py.File, field: Field, shape: tuple[int, ...]) -> int:
    """Make one array and return its offset in the file."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)  # the same input gives the same bytes
    # plain bytes for bool: HDF5 stores numpy's bool as an enum, which maps just as well and reads as bool again
    type_id = h5py.h5t.py_create(np.dtype(field.dtype), logical=True)
    space = h5py.h5s.create_simple(shape)
    dataset = h5py.Dataset(h5py.h5d.create(file.id, field.name.encode(), type_id, space, plist))
    dataset.attrs["unit"] = field.unit
    dataset.attrs["meaning"] = field.meaning
    return int(dataset.id.get_offset())


def _layout(file: h5py.File) -> dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]]:
    """Return offset, shape and dtype of every array, by HDF5's own calls: half the time of h5py's objects."""
    arrays = {name.decode(): h5py.h5d.open(file.id, name) for name in file.id}
    return {name: (array.get_offset(), array.shape, array.dtype) for name, array in arrays.items()}


def _layout_fault(
    layout: Mapping[str, tuple[int, tuple[int, ...], np.dtype[Any]]], attributes: Mapping[str, Any]
) -> str:
    """Tell which array is not of the schema's shape and kind, "" if all are."""
    rows, side = attributes.get("num_samples"), attributes.get("canvas_size")
    if not isinstance(rows, int) or not isinstance(side, int):
        return f"num_samples {rows!r} and canvas_size {side!r}"
    for field in FIELDS:
        if field.name not in layout:
            if not field.optional:
                return f"no array {field.name}"
            continue
        _, shape, dtype = layout[field.name]
        expected = (rows, *field.shape_at(side))
        if shape != expected or dtype != np.dtype(field.dtype):
            return f"{field.name} is {dtype} {shape}, expected {np.dtype(field.dtype)} {expected}"
    return ""


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | np.bytes_):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
