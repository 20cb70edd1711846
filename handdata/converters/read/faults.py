"""Faults of reading, told of the file that was read. No dataset names."""

import errno
from pathlib import Path

from handdata.errors import DataError

_FOUND = {
    errno.EISDIR: "a folder",
    errno.EACCES: "a file that may not be read",
    errno.EPERM: "a file that may not be read",
}
_FIX = "Unpack it from the archive again, or pass --skip-bad to leave it out."


def unreadable(error: OSError, path: Path | str) -> DataError:
    """Return the fault of a file that the system cannot read.

    Args:
        error: what the system said.
        path: of the file, where the error does not name one.
    """
    got = _FOUND.get(error.errno or 0, error.strerror or type(error).__name__)
    return DataError(error.filename or path, expected="a file that can be read", got=got, fix=_FIX)
