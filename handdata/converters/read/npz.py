"""Read arrays of numbers from an .npz file, by name. No dataset names.

A header may claim any shape, and a member may unpack to any size: both are held against a limit before memory is taken.
Nothing pickled is read.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from handdata.converters.read.faults import unreadable
from handdata.errors import DataError, Fix, MissingError
from handdata.files.opening import open_plain

LARGEST = 64_000_000  # bytes of one array
_KINDS = "biuf"
_FIX = Fix("Unpack that file from the archive again", skips="it")
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError)


def read_arrays(path: Path, names: Sequence[str], kinds: str = _KINDS) -> list[NDArray[Any]]:
    """Read some arrays of an .npz file.

    Args:
        path: of it.
        names: of the arrays.
        kinds: of NumPy that they may have.

    Raises:
        MissingError: no such file.
        DataError: no .npz file, an array is absent, or something else than numbers.
    """
    try:
        with io.BufferedReader(open_plain(path)) as file, zipfile.ZipFile(file) as archive:
            return [_read(archive, path, name, kinds) for name in names]
    except FileNotFoundError:
        raise MissingError(path, expected="the label of a picture", got="no file", fix=_FIX) from None
    except OSError as error:  # the disk, or a member that would begin before the file
        raise unreadable(error, path) from None
    except _DAMAGED as error:
        got = f"a damaged one ({type(error).__name__}: {error})"
        raise DataError(path, expected="an .npz file of numbers", got=got, fix=_FIX) from None


def _read(archive: zipfile.ZipFile, path: Path, name: str, kinds: str) -> NDArray[Any]:
    where = f"{path}[{name}]"
    info = archive.NameToInfo.get(f"{name}.npy")
    if info is None:
        raise DataError(where, expected="an array", got="none of that name", fix=_FIX)
    size = max(info.file_size, info.compress_size)  # as it says; room for what is packed is taken as well
    if size > LARGEST:
        raise DataError(where, expected=f"at most {LARGEST / 1e6:g} MB", got=f"{size / 1e6:.0f} MB", fix=_FIX)
    data = archive.read(info)
    size = (
        10 + int.from_bytes(data[8:10], "little") if data[6:7] == b"\x01" else 12 + int.from_bytes(data[8:12], "little")
    )
    shape, fortran, dtype = _header(data[:size])
    if dtype.kind not in kinds or min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(data) - size:
        got = f"{dtype} of shape {shape}"
        raise DataError(where, expected=f"numbers in {len(data) - size} bytes", got=got, fix=_FIX)
    values = np.frombuffer(data, dtype, offset=size)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


@lru_cache(maxsize=64)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and kind of an array from its header; labels of one dataset have few of them."""
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of .npy")
    shape, fortran, dtype = read(file)
    return tuple(shape), bool(fortran), dtype
