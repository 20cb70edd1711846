"""Open what is read, and look into folders: no pipe is waited for; what may not be read does not pass for absent."""

import errno
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from io import FileIO
from pathlib import Path

from handdata.errors import DataError

_OF_A_SHELL = ("/dev/", "/proc/")  # `<(command)`, `/dev/stdin`: named by the user, who means the pipe
_OF_A_DISK = "lost+found"  # root's alone; no data lie in it
_WILD = frozenset("*?[")


def open_plain(path: Path | str) -> FileIO:
    """Open a file to read its bytes, unbuffered.

    Raises:
        OSError: as of open; also ENXIO, "no plain file", of a pipe, which nobody may ever write to, a socket or a
            device, which may never end. Those of a shell are taken: `<(command)`.
    """
    if os.fspath(path).startswith(_OF_A_SHELL):
        return open(path, "rb", buffering=0)  # noqa: PTH123 - a Path's own way takes three times as long
    try:
        file = open(path, "rb", buffering=0, opener=_at_once)  # noqa: SIM115 - it is returned
    except OSError as error:
        if error.errno != errno.ENXIO:  # of a socket
            raise
        raise _not_plain(path) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _not_plain(path)
    return file


def is_file(path: Path, expected: str) -> bool:
    """Tell whether a file is there. One that nobody may look for, or that is something else, does not pass for absent.

    Raises:
        DataError: a folder on the way may not be looked into, or no plain file has that name.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a NUL in the name
        return False
    except OSError as error:
        raise DataError(path, expected=expected, got=str(error.strerror)) from None
    if not stat.S_ISREG(mode):
        raise DataError(path, expected=expected, got="a folder" if stat.S_ISDIR(mode) else "no plain file")
    return True


def require_readable(path: Path, expected: str) -> None:
    """Say why a file cannot be opened, before a library opens it by itself and waits, or tells it in its own words.

    Raises:
        DataError: it may not be read, or is no plain file.
    """
    try:
        open_plain(path).close()
    except OSError as error:
        raise DataError(path, expected=expected, got=str(error.strerror)) from None


def matching(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield what `folder.glob(pattern)` does, in no order; but a folder that may not be read is an error, not empty.

    Args:
        folder: there or not.
        pattern: as of Path.glob. Links to folders are not followed by `**`.

    Raises:
        PermissionError: it names a folder on the way.
    """
    first, _, rest = pattern.partition("/")
    if first == "**":
        yield from matching(folder, rest)
        for child in _entries(folder):
            if child.is_dir(follow_symlinks=False):
                yield from matching(folder / child.name, pattern)
        return
    wild = not _WILD.isdisjoint(first)
    for name in (e.name for e in _entries(folder) if fnmatchcase(e.name, first)) if wild else (first,):
        path = folder / name
        if rest and path.is_dir():
            yield from matching(path, rest)
        elif not rest and (wild or path.exists()):
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name != _OF_A_DISK]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as a pipe would for somebody who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _not_plain(path: Path | str) -> OSError:
    return OSError(errno.ENXIO, "no plain file", os.fspath(path))
