"""How a camera was held: the orientation in the Exif of a JPEG, PNG or WebP file, by which OpenCV turns pictures."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAG = 0x0112  # Exif 2.32, 4.6.4 A: of orientation, the first row and column of what is stored, 1 to 8
_UPRIGHT = 1
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}  # byte orders
_JPEG, _JPEG_EXIF, _APP1, _SCAN = b"\xff\xd8", b"Exif\0\0", 0xE1, 0xDA
_PNG, _PNG_EXIF, _WEBP_EXIF = b"\x89PNG\r\n\x1a\n", b"eXIf", b"EXIF"


def is_on_its_side(data: bytes) -> bool:
    """Say whether width and height of a picture are exchanged when its file is decoded to colours."""
    return orientation(data) >= 5


def orientation(data: bytes) -> int:
    """Return the orientation of a picture's file, 1 to 8; 1, upright, if it says none."""
    if data.startswith(_JPEG):
        return _of_tiff(_in_jpeg(data))
    if data.startswith(_PNG):
        return _of_tiff(_in_chunks(data, len(_PNG), ">I4s", _PNG_EXIF, extra=4))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_tiff(_in_chunks(data, 12, "<4sI", _WEBP_EXIF))
    return _UPRIGHT


def as_held(image: NDArray[Any], held: int) -> NDArray[Any]:
    """Turn the stored pixels of a picture, (H, W) or (H, W, C), as its orientation of 1 to 8 says."""
    turned = image.swapaxes(0, 1) if held >= 5 else image
    rows = slice(None, None, -1 if held in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if held in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(turned[rows, columns])


def _in_jpeg(data: bytes) -> bytes:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _SCAN:
        marker = data[position + 1]
        if marker == 0xFF:  # a byte to fill with
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            position += 2
            continue
        start, end = position + 4, position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _APP1 and data.startswith(_JPEG_EXIF, start):
            return data[start + len(_JPEG_EXIF) : end]
        position = max(end, start)
    return b""


def _in_chunks(data: bytes, position: int, head: str, wanted: bytes, extra: int = 0) -> bytes:
    """Return the chunk of a kind; PNG has a checksum of 4 bytes behind each, WebP fills up to even lengths."""
    while position + 8 <= len(data):
        parts = struct.unpack_from(head, data, position)
        kind, length = parts if isinstance(parts[0], bytes) else parts[::-1]
        if kind == wanted:
            return data[position + 8 : position + 8 + length]
        position += 8 + length + (extra or length % 2)
    return b""


def _of_tiff(tiff: bytes) -> int:
    order = _TIFF.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return _UPRIGHT
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    count = struct.unpack_from(f"{order}H", tiff, first)[0] if first + 2 <= len(tiff) else 0
    for entry in range(first + 2, min(first + 2 + 12 * count, len(tiff) - 11), 12):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _TAG:
            return value if 1 <= value <= 8 else _UPRIGHT
    return _UPRIGHT
