"""Who may write where: locks that end with their process, however that ends.

Network disks lock, if at all, among the processes of one machine only, and folders seldom; a line says where nothing
could be locked, and the work goes on.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import IOBase
from pathlib import Path

from handdata.errors import BusyError, WriteError
from handdata.files.flock import take
from handdata.progress import say

_TRIES = 20


def hold(opened: IOBase | int, busy: BusyError, *, shared: bool = False) -> bool:
    """Lock an open file or folder for as long as it is open; return whether it could be, and say so if not.

    Args:
        opened: a file, open to read and write: NFS shares a lock only if it can be read, and grants one to a single
            holder only if it can be written. Or the descriptor of a folder, which most network disks cannot lock.
        busy: raised where somebody else holds it; says which place it is.
        shared: with others who share it, not alone.

    Raises:
        BusyError: somebody else holds it.
    """
    try:
        _take(opened, busy, shared=shared)
    except OSError as error:
        say(f"{busy.where}: not locked ({error.strerror}): make sure that nobody else uses it meanwhile")
        return False
    return True


def _take(opened: IOBase | int, busy: BusyError, *, shared: bool) -> None:
    try:
        take(opened, shared=shared)
    except BlockingIOError:
        raise busy from None


@contextmanager
def beside(folder: Path, busy: BusyError, *, shared: bool = False) -> Iterator[None]:
    """Hold a folder, which is there, against those who take it `alone`; for who has a lock file in it besides.

    Args:
        folder: what is written into.
        busy: raised where somebody else holds it.
        shared: with others who share it; quietly not at all where folders cannot be locked.

    Raises:
        BusyError: somebody else holds it.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network disks; the lock file says what it could not do
            _take(held, busy, shared=shared)
        yield
    finally:
        os.close(held)


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, which is made if need be and removed again if nothing was written into it; no file is left.

    Args:
        folder: what nobody else may write into meanwhile, of those who ask too.
        what: who holds it, a noun such as "rendering".

    Raises:
        BusyError: somebody else holds it.
        WriteError: it cannot be made.
    """
    try:
        held = _opened(folder)
    except OSError as error:
        fix = "Choose another place."
        raise WriteError(folder, expected="a folder that can be written", got=str(error.strerror), fix=fix) from None
    try:
        fix = "Wait for it to end, or choose another folder."
        hold(held, BusyError(folder, expected="a folder that is not in use", got=f"another {what} in it", fix=fix))
        try:
            yield
        finally:
            with suppress(OSError):  # it is not empty, most often
                folder.rmdir()
    finally:
        os.close(held)


def _opened(folder: Path) -> int:
    """Make a folder if need be and open it; somebody who held it may remove it in between, empty as it was."""
    for _ in range(_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return os.open(folder, os.O_RDONLY)
    return os.open(folder, os.O_RDONLY)


def lock_of(path: Path) -> Path:
    """Return the file through which `signed` holds another."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def signed(path: Path) -> Iterator[None]:
    """Hold a file of a person's work through `<path>.lock`, which tells the next one who holds it.

    The lock stays, or who holds it removes it with what else is left of no work.

    Raises:
        BusyError: somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        with lock_of(path).open("a+", encoding="utf-8") as note:
            note.seek(0)
            holder = note.read().strip() or "another process"
            fix = "Close that one first, or take another sequence."
            hold(note, BusyError(path, expected="a sequence that is not in use", got=holder, fix=fix))
            if not _is_at(note.fileno(), lock_of(path)):
                continue  # who held it removed it before it was held here
            note.truncate(0)
            note.write(f"process {os.getpid()} on {platform.node()}")
            note.flush()
            yield
            return
    raise BusyError(path, expected="a sequence that is not in use", got="others that come and go", fix=fix)


def _is_at(opened: int, path: Path) -> bool:
    """Tell whether an open file is the one that has its name now."""
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False
