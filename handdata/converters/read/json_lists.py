"""Labels in one JSON list a file, an entry per picture or frame: read once, each entry checked where it is used."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.read.numbers import check_near
from handdata.errors import DataError
from handdata.files.text import LARGE, Wanted, read_json

_FIX = "Unpack that file from the archive again."


def read_list(path: Path) -> list[Any]:
    """Read a JSON file that holds a list; once while it stays as it is.

    Raises:
        MissingError: no such file.
        DataError: no list, or no JSON.
    """
    wanted = Wanted(what="a list of labels", fix=_FIX, largest=LARGE)
    if path.is_dir():
        raise DataError(path, expected="a list of labels", got="a folder", fix=_FIX)
    status = path.stat() if path.exists() else None
    return _read(path, wanted, status and status.st_size, status and status.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, wanted: Wanted, _size: int | None, _time_ns: int | None) -> list[Any]:
    content = read_json(path, wanted)
    if not isinstance(content, list):
        raise DataError(path, expected="a list of labels", got=type(content).__name__, fix=_FIX)
    return content


def entry(path: Path, index: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one entry of a list as an array of a shape.

    Raises:
        DataError: there is no such entry, it has another shape, or numbers that no label has.
    """
    entries, where = read_list(path), f"{path}[{index}]"
    if index >= len(entries):
        raise DataError(where, expected="a label", got=f"{len(entries)} of them", fix=_FIX)
    try:
        values = np.array(entries[index], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(where, expected=f"numbers of shape {shape}", got="something else", fix=_FIX) from None
    if values.shape != shape or not np.isfinite(values).all():
        got = f"shape {values.shape}" if values.shape != shape else "NaN or infinity"
        raise DataError(where, expected=f"numbers of shape {shape}", got=got, fix=_FIX)
    check_near(values, where)
    return values
