"""Read numeric arrays of a MATLAB v5 or v7 file (.mat), whatever is wrong with it. No dataset names.

scipy.io.loadmat reads the same files, but a damaged header makes it end the process; here every size is checked
against the bytes there are.

Layout, little or big endian: 128 bytes of header, then elements. An element is a type and a byte count (4 bytes each,
or both in the first 4 where the data fit the other 4), its data, and padding to 8 bytes. A variable is one element of
elements (flags, dimensions, name, numbers in Fortran order), deflated as a whole in v7.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.files.text import Wanted, read_bytes

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # classes double, single and the integers; not cell, struct, object, char, sparse
_LARGEST = 64_000_000  # bytes, of a file and of all that is inflated; Stereo's have 0.8 MB
_MOST = 10_000  # parts in each other or side by side; a variable has four
_FIX = "Unpack that file from the archive again."
_FILE = Wanted(what="a MATLAB file", fix=_FIX, largest=_LARGEST)

Element = tuple[int, bytes]


def load(path: Path) -> dict[str, NDArray[Any] | None]:
    """Return the variables of a file by name.

    Returns:
        Arrays in the type they are stored in, the real part of complex ones; None for what holds no plain numbers.

    Raises:
        MissingError: no such file.
        DataError: no MATLAB v5 or v7 file, or a damaged one.
    """
    data = read_bytes(path, _FILE)
    order = _ORDERS.get(data[126:_HEADER])
    if order is None or b"\x89HDF" in data[:1024]:
        got = "version 7.3, which is HDF5" if b"\x89HDF" in data[:1024] else f"{len(data)} other bytes"
        raise DataError(path, expected="a MATLAB v5 file", got=got, fix=_FIX)
    try:
        return dict(_variable(content, order) for content in _matrices(data[_HEADER:], order))
    except (ValueError, struct.error, zlib.error) as error:
        got = f"a damaged one ({error})"
        raise DataError(path, expected="a MATLAB v5 file", got=got, fix=_FIX) from None


def _matrices(data: bytes, order: str) -> Iterator[bytes]:
    room = _LARGEST
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            inflated = _inflated(content, room)
            room -= len(inflated)
            yield from (inner for kind, inner in _elements(inflated, order) if kind == _MATRIX)  # never deflated twice
        elif kind == _MATRIX:
            yield content


def _inflated(content: bytes, room: int) -> bytes:
    """Return what was deflated, of at most `room` bytes."""
    stream = zlib.decompressobj()
    data = stream.decompress(content, room + 1)
    if len(data) > room:
        raise ValueError(f"more than {_LARGEST / 1e6:g} MB inflated")
    if not stream.eof:
        raise ValueError("a deflated part cut short")
    return data


def _elements(data: bytes, order: str) -> Iterator[Element]:
    position = 0
    for number in count():
        if position + 8 > len(data):
            return
        if number == _MOST:
            raise ValueError(f"more than {_MOST} parts")
        kind, size = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if kind >> 16:  # both numbers in four bytes, the data in the next four
            kind, size, start = kind & 0xFFFF, min(kind >> 16, 4), position + 4
        if start + size > len(data):
            raise ValueError(f"cut short after {_HEADER + len(data)} bytes")
        yield kind, data[start : start + size]
        padded = size if kind == _COMPRESSED else -(-size // 8) * 8
        position += 8 if start < position + 8 else 8 + padded


def _variable(content: bytes, order: str) -> tuple[str, NDArray[Any] | None]:
    parts = _elements(content, order)
    flags, shape, name = (next(parts, (0, b""))[1] for _ in range(3))
    text = name.decode("latin-1")
    if struct.unpack_from(f"{order}I", flags)[0] & 0xFF not in _NUMERIC:
        return text, None
    dims = [int(side) for side in np.frombuffer(shape, f"{order}i4")]
    kind, numbers = next(parts, (0, b""))
    if kind not in _DTYPES:
        raise ValueError(f"numbers of the unknown type {kind}")
    array = np.frombuffer(numbers, f"{order}{_DTYPES[kind]}")
    if min(dims, default=0) < 0 or math.prod(dims) != len(array):
        raise ValueError(f"{len(array)} numbers for the shape {tuple(dims)}")
    return text, array.reshape(dims, order="F")
