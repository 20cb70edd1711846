"""Files as arrays over memory: mapped for reading, without keeping them open."""

import ctypes
import mmap
import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value  # MAP_FAILED of mmap(2)


def map_file(path: Path) -> NDArray[np.uint8]:
    """Map a whole file for reading.

    `mmap.mmap` and `np.memmap` keep a file handle for as long as they live (Python 3.13 can be told not to), and a
    thousand shards are more than the 1,024 files that most shells allow a process.

    Returns:
        (size,) uint8, read-only; unmapped when the last view of it is gone. The file must not shrink meanwhile.

    Raises:
        OSError: no such file, or it is empty.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    memory = (ctypes.c_uint8 * size).from_address(address)
    weakref.finalize(memory, _LIBC.munmap, address, size).atexit = False  # at the end threads may still read
    array: NDArray[np.uint8] = np.frombuffer(memoryview(memory), np.uint8)
    array.flags.writeable = False
    return array
