"""Write one shard: every array allocated first, rows put into it one by one, its name given last."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import xxhash

from handdata.errors import ConfigError
from handdata.files.whole import file_sha256
from handdata.shards.layout import TABLES, Place, Seal, ShardLayout, array_hash, header_sha256
from handdata.shards.reader import PARTIAL, sync
from handdata.shards.schema import FIELDS, KEYPOINT_PARENTS, LABELS, VERSION, Field
from handdata.skeleton import KEYPOINTS

ALIGNMENT = 4096  # bytes: a page, so that mapped canvases start on one
HEADER_ROOM = 256 * 1024  # bytes: HDF5's own structures (14 kB) and at most a page before each array
LONGEST_ATTRIBUTE = 60_000  # bytes: HDF5 keeps attributes in blocks of 64 KiB
_HASH = "content_sha256"
_LABEL_NAMES = frozenset(field.name for field in LABELS)
_PENDING = b"0" * 64
_ERRNO = re.compile(r"errno = (\d+)")  # in what HDF5 says of a write that failed


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
        _check_room(self.partial, num_samples * sum(field.nbytes_at(canvas) for field in self.fields))
        self._split = str(attributes.get("split", ""))
        try:
            self._layout = _create(self.partial, self.fields, num_samples, canvas, attributes, sequences, cameras)
        except OSError:
            self.partial.unlink(missing_ok=True)
            raise
        self._offsets = {name: place.offset for name, place in self._layout.places.items()}
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
        with _opened(self.partial, "r+") as file:
            file.attrs.modify(_HASH, np.bytes_(self.content_sha256))
        sync(self.partial)
        self.partial.rename(self.path)
        sync(self.path.parent)

    @property
    def content_sha256(self) -> str:
        """Hash over all arrays in schema order; that of the whole shard once it is closed."""
        return self._content.hexdigest()

    def entry(self) -> dict[str, Any]:
        """Describe the shard, once it is closed, as index.json does."""
        facts = {"file": self.path.name, "split": self._split, "num_samples": self._num_samples}
        hashes = {"sha256": file_sha256(self.path), "content_sha256": self.content_sha256}
        return facts | hashes | self._seal().as_json()

    def _seal(self) -> Seal:
        hashes = [array_hash(np.frombuffer(self._label(field.name), np.uint8)) for field in self._layout.labels]
        handle = os.open(self.path, os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size
            return Seal(size, header_sha256(handle, self._layout, size), " ".join(hashes), self._layout)
        finally:
            os.close(handle)

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
) -> ShardLayout:
    """Make the file with every array allocated; return where they lie."""
    constants: dict[str, str | int | float] = {"schema": VERSION, "num_samples": num_samples, "canvas_size": canvas}
    with _opened(path, "w", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT) as file:
        places = {}
        for field in fields:
            shape = (num_samples, *field.shape_at(canvas))
            places[field.name] = Place(_allocate(file, field, shape), shape, np.dtype(field.dtype).str)
        for name, strings in zip(TABLES, (sequences, cameras), strict=True):
            table = np.array([text.encode() for text in strings] or [b""])
            offset = file.create_dataset(name, data=table).id.get_offset()
            places[name] = Place(int(offset), table.shape, table.dtype.str)
        for key, value in {**constants, **attributes}.items():
            _note(file, key, value)
        file.attrs["keypoint_names"] = np.array([name.encode() for name in KEYPOINTS])
        file.attrs["keypoint_parents"] = np.array(KEYPOINT_PARENTS, np.int32)
        file.attrs[_HASH] = np.bytes_(_PENDING)
        return ShardLayout(places)


@contextmanager
def _opened(path: Path, mode: str, **options: Any) -> Iterator[h5py.File]:
    """Open a file in HDF5, whose RuntimeError of a write that failed is raised as the OSError that it was.

    Raises:
        OSError: the disk is full, or fails.
    """
    try:
        with h5py.File(path, mode, **options) as file:
            yield file
    except (RuntimeError, OSError) as error:
        found = _ERRNO.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None


def _note(item: h5py.File | h5py.Dataset, key: str, value: str | int | float) -> None:
    """Set an attribute; text as UTF-8 of its own length: damaged text of any length hangs HDF5, or crashes it.

    Raises:
        ConfigError: the text is longer than HDF5 takes.
    """
    if not isinstance(value, str):
        item.attrs[key] = value
        return
    text = value.encode()
    if len(text) > LONGEST_ATTRIBUTE:
        expected = f"at most {LONGEST_ATTRIBUTE:,} bytes of text"
        raise ConfigError(f"{item.file.filename}[{key}]", expected=expected, got=f"{len(text):,}")
    item.attrs.create(key, text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))


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
    for key, text in (("unit", field.unit), ("meaning", field.meaning)):
        _note(dataset, key, text)
    return int(dataset.id.get_offset())
