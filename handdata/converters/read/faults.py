"""Errors while reading, with the name of the file. No dataset names."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from handdata.errors import DataError, Fix, HanddataError

T = TypeVar("T")
_FOUND = {
    errno.EISDIR: "a folder",
    errno.EACCES: "a file that may not be read",
    errno.EPERM: "a file that may not be read",
}
_FIX = Fix("Unpack it from the archive again", skips="it")


def unreadable(error: OSError, path: Path | str) -> DataError:
    """Return the fault of a file that the system cannot read.

    Args:
        error: what the system said.
        path: of the file, where the error does not name one.
    """
    got = _FOUND.get(error.errno or 0, error.strerror or type(error).__name__)
    return DataError(error.filename or path, expected="a file that can be read", got=got, fix=_FIX)


def tried(read: Callable[[], T], path: Path | str) -> tuple[T | None, HanddataError | None]:
    """Read something, or return why it cannot be read.

    Args:
        read: may raise.
        path: of the file, where the system's error does not name one.
    """
    try:
        return read(), None
    except HanddataError as error:
        return None, error
    except OSError as error:
        return None, unreadable(error, path)
