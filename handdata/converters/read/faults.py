"""Errors while reading, with the name of the file. No dataset names."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from handdata.errors import DataError, Fix, HanddataError

T = TypeVar("T")
_MEND = "Unpack it from the archive again"


def unreadable(error: OSError, path: Path | str, *, skippable: bool = True) -> DataError:
    """Return the fault of a file or folder that the system cannot read.

    Args:
        error: what the system said.
        path: of the file, where the error does not name one.
        skippable: whether `--skip-bad` leaves a sample out for it.
    """
    got = "a folder" if error.errno == errno.EISDIR else error.strerror or type(error).__name__
    where = Path(error.filename or path)
    what = "folder" if error.errno != errno.EISDIR and os.path.isdir(where) else "file"  # noqa: PTH112 - never raises
    fix = Fix(_MEND, skips="it") if skippable else f"{_MEND}."
    return DataError(where, expected=f"a {what} that can be read", got=got, fix=fix)


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
