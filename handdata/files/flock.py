"""Locks on open files, which end with their process; a system without them is one on which nothing can be locked."""

import errno
from io import IOBase
from typing import IO, Any


def take(opened: IOBase | IO[Any] | int, *, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file or folder for as long as it is open.

    Args:
        opened: a file, or the descriptor of one or of a folder.
        shared: with others who share it, not alone.
        wait: until it is free.

    Raises:
        BlockingIOError: somebody else holds it.
        OSError: nothing can be locked there: some network disks, and Windows.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none, and importing handdata is no reason to need it
    except ImportError:
        raise OSError(errno.ENOTSUP, "Operation not supported") from None
    fcntl.flock(opened, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
