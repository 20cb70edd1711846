"""One writer a folder: a lock that leaves no file and ends with its process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from handdata.errors import BusyError, ConfigError


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, which is made if need be and removed again if nothing was written into it.

    Network disks lock folders, if at all, among the processes of one machine only.

    Args:
        folder: what nobody else may write into meanwhile, of those who ask too.
        what: who holds it, a noun such as "rendering".

    Raises:
        BusyError: somebody else holds it.
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # as below /proc
        fix = "Choose another place."
        raise ConfigError(folder, expected="a folder that can be written", got=str(error.strerror), fix=fix) from None
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_NB | fcntl.LOCK_EX)
        except BlockingIOError:
            fix = "Wait for it to end, or choose another folder."
            raise BusyError(folder, expected="a folder of one's own", got=f"another {what} in it", fix=fix) from None
        except OSError:
            pass  # a file system that locks no folders
        try:
            yield
        finally:
            with suppress(OSError):  # it is not empty, most often
                folder.rmdir()
    finally:
        os.close(held)
