"""What index.json says of a shard's bytes: where its arrays lie, and hashes of all else and of each label array.

A shard is read from this alone: its header, which HDF5 would believe whatever it holds, is hashed first. Pixels have
the hashes of their rows (`row_hash`), so no byte of a shard is without one.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from handdata.shards.schema import FIELDS, LABELS, Field

TABLES = ("sequences", "cameras")  # of names; they belong to the header
FAR = 2**62  # bytes: nothing lies beyond


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies: `offset` in bytes, contiguous, native byte order."""

    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"offset": self.offset, "shape": list(self.shape), "dtype": self.dtype}


@dataclass(frozen=True)
class ShardLayout:
    """Where all arrays of a shard lie, by name; most shards of a dataset share one."""

    places: Mapping[str, Place]

    def __reduce__(self) -> tuple[type["ShardLayout"], tuple[Mapping[str, Place]]]:
        return (ShardLayout, (self.places,))

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the shard, in schema order."""
        return tuple(field for field in FIELDS if field.name in self.places)

    @cached_property
    def labels(self) -> tuple[Field, ...]:
        """Those with a hash of the whole array: all but pixels."""
        return tuple(field for field in self.fields if field in LABELS)

    @property
    def num_samples(self) -> int:
        """N."""
        return self.places["image"].shape[0]

    @property
    def canvas(self) -> int:
        """S, px."""
        return self.places["image"].shape[1]

    def gaps(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of the header's parts in a file of `size` bytes: all that is no array of the schema."""
        position = 0
        for place in sorted((self.places[field.name] for field in self.fields), key=lambda place: place.offset):
            if place.offset > position:
                yield position, place.offset
            position = max(position, place.offset + place.nbytes)
        if size > position:
            yield position, size

    @cached_property
    def label_spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of the parts of a file that hold the labels, with what lies between them but pixels."""
        spans: list[tuple[int, int]] = []
        pixels = True
        for field in sorted(self.fields, key=lambda field: self.places[field.name].offset):
            place = self.places[field.name]
            if field in LABELS:
                start = place.offset if pixels else spans.pop()[0]
                spans.append((start, place.offset + place.nbytes))
            pixels = field not in LABELS
        return tuple(spans)

    def fault(self, size: int) -> str:
        """Tell what keeps it from being the layout of a shard of `size` bytes, "" if nothing does."""
        image = self.places.get("image")
        if image is None or len(image.shape) != 4:
            return "no array image"
        for field in FIELDS:
            place = self.places.get(field.name)
            if place is None:
                if not field.optional:
                    return f"no array {field.name}"
                continue
            expected = (self.num_samples, *field.shape_at(self.canvas))
            if place.shape != expected or place.dtype != _name(field.dtype):
                return f"{field.name} is {place.dtype} {place.shape}, expected {_name(field.dtype)} {expected}"
        for name in TABLES:
            if name not in self.places or len(self.places[name].shape) != 1 or self.places[name].dtype[:2] != "|S":
                return f"no table {name}"
        late = [name for name, place in self.places.items() if place.offset + place.nbytes > size]
        return f"{late[0]} beyond the end" if late else ""

    def as_json(self) -> dict[str, Any]:
        """Return plain data, of `layout_of`."""
        return {name: place.as_json() for name, place in self.places.items()}


@dataclass(frozen=True)
class Seal:
    """What index.json says of the bytes of one shard.

    Attributes:
        size: of the file.
        header_sha256: of all bytes that are no array of the schema, one part behind the other.
        label_hashes: xxh3-64 of each label array, in schema order, 16 hex digits each, blanks between them.
        layout: where the arrays lie.
    """

    size: int
    header_sha256: str
    label_hashes: str
    layout: ShardLayout

    def as_json(self) -> dict[str, Any]:
        """Return the keys of a shard's entry, of `seal_of`."""
        return {
            "size": self.size,
            "header_sha256": self.header_sha256,
            "label_hashes": self.label_hashes,
            "layout": self.layout.as_json(),
        }


def layout_of(value: Any) -> ShardLayout | None:
    """Return the layout that plain data describes, None if it describes none."""
    if not isinstance(value, dict):
        return None
    places = {name: _place(each) for name, each in value.items()}
    known = {field.name for field in FIELDS} | set(TABLES)
    if None in places.values() or not places.keys() <= known:
        return None
    return ShardLayout({name: place for name, place in places.items() if place is not None})


def is_sealed(entry: Mapping[str, Any]) -> bool:
    """Tell whether a shard's entry has what `seal_of` takes, its layout aside."""
    size, header, labels = entry.get("size"), entry.get("header_sha256"), entry.get("label_hashes")
    return type(size) is int and isinstance(header, str) and isinstance(labels, str)


def seal_of(entry: Mapping[str, Any], layout: ShardLayout) -> Seal:
    """Return what a shard's entry says of its bytes."""
    return Seal(entry["size"], entry["header_sha256"], entry["label_hashes"], layout)


def header_sha256(handle: int, layout: ShardLayout, size: int) -> str:
    """Hash the header of an open file; 0.1 ms.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    for start, end in layout.gaps(size):
        digest.update(os.pread(handle, end - start, start))
    return digest.hexdigest()


def array_hash(array: NDArray[Any]) -> str:
    """Hash a label array."""
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(array).view(np.uint8).data)


def pack(entries: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries with the number of their layout, and the layouts: a thousand shards have two or three."""
    layouts: list[dict[str, Any]] = []
    packed = []
    for entry in entries:
        layout, own = entry.get("layout"), dict(entry)
        if isinstance(layout, dict):
            if layout not in layouts:
                layouts.append(layout)
            own["layout"] = layouts.index(layout)
        packed.append(own)
    return packed, layouts


def unpack(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return an index with each entry's layout in it, as far as it has one: the reverse of `pack`."""
    layouts, entries = index.get("layouts"), index.get("shards")
    if not isinstance(layouts, list) or not isinstance(entries, list):
        return dict(index)

    def unpacked(entry: Any) -> Any:
        number = entry.get("layout") if isinstance(entry, dict) else None
        if type(number) is not int or not 0 <= number < len(layouts):
            return entry
        return {**entry, "layout": layouts[number]}

    rest = {key: value for key, value in index.items() if key != "layouts"}
    return {**rest, "shards": [unpacked(entry) for entry in entries]}


def _place(value: Any) -> Place | None:
    if not isinstance(value, dict):
        return None
    offset, shape, dtype = value.get("offset"), value.get("shape"), value.get("dtype")
    if not isinstance(offset, int) or not isinstance(shape, list):
        return None
    if not all(type(n) is int and 0 <= n < FAR for n in [offset, *shape]):
        return None
    if prod(shape) > FAR or not isinstance(dtype, str) or not (dtype in _DTYPES or _is_text(dtype)):
        return None
    return Place(offset, tuple(shape), str(dtype))


def _is_text(dtype: str) -> bool:
    return dtype[:2] == "|S" and dtype[2:].isascii() and dtype[2:].isdigit() and len(dtype) < 9


def _name(dtype: str) -> str:
    return np.dtype(dtype).str


_DTYPES = {_name(field.dtype) for field in FIELDS}
