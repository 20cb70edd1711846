"""The bytes of a picture's file: what its header says, whether it is whole, its pixels. Limits before any work.

OpenCV returns what it could decode of a broken file, and tells of it on standard error alone; here that is heard, and a
file that is cut short, fails its checksum or has damaged pixels is refused.
"""

import errno
import os
import re
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, Fix, MissingError
from handdata.files.opening import open_plain
from handdata.pictures.orientation import as_held, is_on_its_side, orientation

LARGEST = 300_000_000  # bytes of a file
MEGAPIXELS = 64  # of a picture: twenty times the largest of any archive
FIX = Fix("Unpack that file from the archive again", skips="it")
_OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)  # not of the disk or the machine
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_CHUNK = struct.Struct(">I4s")  # length of what follows, kind
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of JPEG that tell the size
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_BMP = b"BM"
_DECODERS = re.compile(
    rb"libpng |libjpeg|Corrupt JPEG|Premature end|Invalid |Inconsistent |Unsupported |\[ ?(ERROR|WARN)|> |\s*$"
)
_DAMAGE = re.compile(rb"libpng error: ([^\n]*)|((?:Corrupt JPEG|Premature end|Invalid |Inconsistent )[^\n]*)")
_HARMLESS = re.compile(rb"extraneous bytes before marker 0xd9")  # behind the last pixel: many cameras write them
_TURNS_WEBP = tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 13)  # OpenCV; JPEG and PNG it has turned for long
_listening: Final = threading.Lock()


def read_bytes(path: Path | str) -> bytes:
    """Read a picture's file.

    Raises:
        MissingError: it is not there.
        DataError: it is no plain file, may not be read, or is larger than any picture.
    """
    try:
        with open_plain(path) as file:
            data = file.read() if os.fstat(file.fileno()).st_size <= LARGEST else b""
    except FileNotFoundError:
        fix = Fix("Unpack the archive again", skips="it")
        raise MissingError(path, expected="a picture", got="no file", fix=fix) from None
    except IsADirectoryError:
        raise DataError(path, expected="a picture", got="a folder") from None
    except OSError as error:
        if error.errno not in _OF_THE_FILE:
            raise
        raise DataError(path, expected="a picture that can be read", got=str(error.strerror), fix=FIX) from None
    if not data and Path(path).stat().st_size:
        raise DataError(path, expected=f"a picture of at most {LARGEST / 1e6:g} MB", got="a larger file", fix=FIX)
    return data


def check_name(path: Path) -> None:
    """Refuse a picture whose name no table and no file of labels can hold.

    Raises:
        DataError: its bytes are no UTF-8.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError:
        got, fix = "one of other bytes", "Rename it."
        raise DataError(path, expected="a picture with a name in UTF-8", got=got, fix=fix) from None


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return the width and height that a PNG, JPEG, BMP or WebP file has once decoded to colours; None if it says none.

    That is what its header says, turned as the orientation in its Exif says: a phone held upright stores pictures so.
    """
    size = _stored_size(data)
    return size[::-1] if size is not None and is_on_its_side(data) else size


def _stored_size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
    elif data.startswith(_JPEG):
        return _jpeg_size(data)
    elif data.startswith(_BMP) and len(data) >= 26:
        old = int.from_bytes(data[14:18], "little") == 12  # the header of OS/2
        width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    elif _is_webp(data):
        width, height = _webp_size(data)
    else:
        return None
    return (width, abs(height)) if width > 0 and height else None


def decode(path: Path | str, data: bytes, flags: int, *, exact: bool = False) -> NDArray[Any]:
    """Return the pixels of a file's bytes.

    Args:
        path: the file, for errors.
        data: its bytes.
        flags: of cv2.imdecode.
        exact: refuse a JPEG, which has other values than were stored.

    Raises:
        DataError: not a whole PNG, JPEG, BMP or WebP file, or one of more than MEGAPIXELS.
    """
    fault = _frame_fault(data)
    size = None if fault else _stored_size(data)
    if size is None:
        fault = fault or "a header without a size"
    elif size[0] * size[1] > MEGAPIXELS * 1_000_000:
        got = f"{size[0]} x {size[1]} px"
        raise DataError(path, expected=f"a picture of at most {MEGAPIXELS} megapixels", got=got, fix=FIX)
    if not fault and exact and data.startswith(_JPEG):
        got, fix = "a JPEG, which changes values", "Take the archive's own file."
        raise DataError(path, expected="a picture without losses", got=got, fix=fix)
    image: NDArray[Any] | None = None
    if not fault:
        image, heard = hear(lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flags))
        fault = _damage(heard) or ("damaged pixels" if image is None else "")
    if image is None or fault:
        raise DataError(path, expected="a whole PNG, JPEG, BMP or WebP picture", got=fault, fix=FIX)
    is_turned = flags >= 0 and not flags & cv2.IMREAD_IGNORE_ORIENTATION
    return image if _TURNS_WEBP or not is_turned or not _is_webp(data) else as_held(image, orientation(data))


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a byte to fill with
            position += 1
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return (width, height) if width and height else None
        elif marker in _BARE:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height by the first part, lossy, lossless or extended: RFC 9649, 2.5 to 3.4; 0, 0 by none."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _frame_fault(data: bytes) -> str:
    """Name what is wrong with a picture file's frame, "" if nothing is."""
    if data.startswith(_PNG):
        return _png_fault(data)
    if data.startswith(_JPEG):
        return "" if _JPEG_END in data[-64:] else f"a JPEG cut short at {len(data)} bytes"
    if data.startswith(_BMP):
        size = int.from_bytes(data[2:6], "little")
        return "" if len(data) >= size else f"a BMP cut short at {len(data)} of {size} bytes"
    if _is_webp(data):
        size = int.from_bytes(data[4:8], "little") + 8
        return "" if len(data) >= size else f"a WebP cut short at {len(data)} of {size} bytes"
    return "an empty file" if not data else f"a file that begins with {data[:4]!r}"


def _png_fault(data: bytes) -> str:
    view, position = memoryview(data), len(_PNG)
    while position + 12 <= len(data):
        length, kind = _CHUNK.unpack_from(data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return f"a PNG whose checksum fails at byte {position}"
        if kind == _PNG_END:
            return ""
        position = end + 4
    return f"a PNG cut short at {len(data)} bytes"


# ------------------------------------------------------------------------------------------------ what decoders say


def hear(work: Callable[[], Any]) -> tuple[Any, bytes]:
    """Return what `work` returns, None if OpenCV refuses it, and what decoders meanwhile wrote to standard error.

    What others wrote there is passed on.
    """
    result, heard = _heard(work)
    lines = heard.splitlines(keepends=True)
    for line in lines:
        if not _DECODERS.match(line):
            sys.stderr.write(line.decode(errors="backslashreplace"))
    return result, b"".join(line for line in lines if _DECODERS.match(line))


def hush(work: Callable[[], Any]) -> Any:
    """Return what `work` returns, None if OpenCV refuses it; what is meanwhile written to standard error is dropped.

    For what may fail and is then said in words of our own: opening a camera, trying a codec.
    """
    return _heard(work)[0]


def _heard(work: Callable[[], Any]) -> tuple[Any, bytes]:
    with _listening:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            return _unless_refused(work), b""
        ear = _ear()
        os.dup2(ear, 2)
        try:
            result = _unless_refused(work)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        size = os.fstat(ear).st_size
        if not size:
            return result, b""
        heard = os.pread(ear, size, 0)
        os.ftruncate(ear, 0)
        os.lseek(ear, 0, os.SEEK_SET)
    return result, heard


def _unless_refused(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except cv2.error:
        return None


_ears: dict[int, int] = {}  # process -> a file in memory; a forked process needs its own


def _ear() -> int:
    if os.getpid() not in _ears:
        _ears.clear()
        _ears[os.getpid()] = os.memfd_create("heard") if sys.platform == "linux" else os.open(os.devnull, os.O_RDWR)
    return _ears[os.getpid()]


def _damage(heard: bytes) -> str:
    """Name the damage that decoders spoke of, "" if they spoke of none."""
    found = next((match for match in _DAMAGE.finditer(heard) if not _HARMLESS.search(match[0])), None)
    return f"damaged pixels ({(found[1] or found[2]).decode(errors='replace').strip()})" if found else ""
