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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # classes double, single and the integers; not cell, struct, object, char, sparse
_FIX = "Unpack that file from the archive again."

Element = tuple[int, bytes]


def load(path: Path) -> dict[str, NDArray[Any] | None]:
    """Return the variables of a file by name.

    Returns:
        Arrays in the type they are stored in, the real part of complex ones; None for what holds no plain numbers.

    Raises:
        MissingError: no such file.
        DataError: no MATLAB v5 or v7 file, or a damaged one.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(path, expected="a MATLAB file", got="no such file", fix=_FIX) from None
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
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            yield from _matrices(zlib.decompress(content), order)
        elif kind == _MATRIX:
            yield content


def _elements(data: bytes, order: str) -> Iterator[Element]:
    position = 0
    while position + 8 <= len(data):
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
