"""Read pictures whole or not at all, and resample a square window of one. RGB, uint8.

OpenCV returns what it could decode of a broken file; here a file that is cut short or fails its checksum is refused.
"""

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handdata.errors import DataError, MissingError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_BMP = b"BM"
# Pillow shrinks by a whole factor first when that leaves this much to the filter: half the time, 0.4 levels apart.
REDUCING_GAP = 1.5
# Shrinking by less, smoothing the window and sampling it takes half of Pillow's time, 0.1-0.3 levels apart.
MAX_SMOOTHED = 4.0
_FIX = "Unpack that file from the archive again, or pass --skip-bad to leave it out."


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        MissingError: it is not there.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fix = "Unpack the archive again, or pass --skip-bad to leave it out."
        raise MissingError(path, expected="a picture", got="no file", fix=fix) from None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a colour picture.

    Returns:
        (H, W, 3) uint8 RGB; a grey picture has its channel three times.

    Raises:
        MissingError: no such file.
        DataError: not a whole PNG, JPEG or BMP file.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR_RGB), np.uint8)


def read_raw(path: Path) -> NDArray[Any]:
    """Read a picture as stored: depth (H, W) uint16, masks (H, W) uint8, or colour in OpenCV's order B, G, R."""
    return _decode(path, cv2.IMREAD_UNCHANGED)


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from the file's header without decoding it."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        raise MissingError(path, expected="a picture", got="no file") from None
    except (OSError, SyntaxError, ValueError):
        raise DataError(path, expected="a PNG, JPEG or BMP file", got="an unreadable header", fix=_FIX) from None


def resample_square(image: NDArray[np.uint8], box_xyxy: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Resize a square window of a picture once, antialiased; black outside the picture.

    Args:
        image: (H, W, 3) uint8.
        box_xyxy: edges of the window in source pixels, fractional or outside the picture as they may be.
        size: side of the result, px.

    Returns:
        (size, size, 3) uint8; pixel centres follow `geometry.crop_affine`.
    """
    padded, box = _pad(image, box_xyxy)
    return _resize(padded, box, size, size)


def resample_kept(
    image: NDArray[np.uint8], keep: NDArray[np.bool_], box_xyxy: NDArray[Any], size: int
) -> NDArray[np.uint8]:
    """Resize a square window like `resample_square`, but let no colour of the background run into what is kept.

    A pixel that the resized mask keeps takes its colour from kept source pixels only: shrinking a key-coloured picture
    otherwise leaves a fringe of the key along the hand, which no mask can take off again.

    Args:
        image: (H, W, 3) uint8.
        keep: (H, W) True where the pixel is not replaceable background.
        box_xyxy: edges of the window in source pixels.
        size: side of the result, px.

    Returns:
        (size, size, 3) uint8.
    """
    result = resample_square(image, box_xyxy, size)
    rows, columns = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
    if len(rows) == 0:
        return result
    edges = np.asarray(box_xyxy, np.float64)
    extent = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    scale = size / (edges[2] - edges[0])
    reach = (extent - np.tile(edges[:2], 2)) * scale + np.array([-1.5, -1.5, 1.5, 1.5])  # px the filter spreads
    left, top = np.clip(np.floor(reach[:2]), 0, size).astype(int)
    right, bottom = np.clip(np.ceil(reach[2:]), 0, size).astype(int)
    if left >= right or top >= bottom:
        return result
    part = np.tile(edges[:2], 2) + np.array([left, top, right, bottom]) / scale
    alpha, box = _pad(keep.astype(np.uint8) * np.uint8(255), part)
    colors = cv2.bitwise_and(_pad(image, part)[0], cv2.merge([alpha] * 3))
    planes = np.dstack([colors, alpha])
    weighed = _resize(planes, box, int(right - left), int(bottom - top)).astype(np.float32)
    kept = resample_mask(keep.astype(np.uint8), box_xyxy, size, 0)[top:bottom, left:right, None] > 0
    reached = kept & (weighed[..., 3:] > 0)
    pure = weighed[..., :3] * (255.0 / np.where(reached, weighed[..., 3:], 1.0))
    result = result.copy()
    window = result[top:bottom, left:right]
    window[...] = np.where(reached, np.clip(np.rint(pure), 0, 255).astype(np.uint8), window)
    return result


def resample_mask(mask: NDArray[np.uint8], box_xyxy: NDArray[Any], size: int, outside: int) -> NDArray[np.uint8]:
    """Resize a square window of a mask (H, W) to the nearest label; `outside` beyond the picture."""
    edges = np.asarray(box_xyxy, np.float64)
    side = (edges[2:] - edges[:2]) / size
    columns = np.floor(edges[0] + (np.arange(size) + 0.5) * side[0]).astype(np.intp)
    rows = np.floor(edges[1] + (np.arange(size) + 0.5) * side[1]).astype(np.intp)
    inside_x, inside_y = (columns >= 0) & (columns < mask.shape[1]), (rows >= 0) & (rows < mask.shape[0])
    result = np.full((size, size), outside, np.uint8)
    result[np.ix_(inside_y, inside_x)] = mask[np.ix_(rows[inside_y], columns[inside_x])]
    return result


def touches_outside(box_xyxy: NDArray[Any], width: int, height: int) -> bool:
    """Tell whether a window reaches beyond the picture."""
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    return left < 0 or top < 0 or right > width or bottom > height


def _decode(path: Path, flags: int) -> NDArray[Any]:
    data = read_bytes(path)
    fault = _fault(data)
    image = None if fault else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise DataError(path, expected="a whole PNG, JPEG or BMP picture", got=fault or "damaged pixels", fix=_FIX)
    return np.asarray(image)


def _fault(data: bytes) -> str:
    """Name what is wrong with a picture file's frame, "" if nothing is."""
    if data.startswith(_PNG):
        return _png_fault(data)
    if data.startswith(_JPEG):
        return "" if _JPEG_END in data[-64:] else f"a JPEG cut short at {len(data)} bytes"
    if data.startswith(_BMP):
        size = int.from_bytes(data[2:6], "little")
        return "" if len(data) >= size else f"a BMP cut short at {len(data)} of {size} bytes"
    return "an empty file" if not data else f"a file that begins with {data[:4]!r}"


def _png_fault(data: bytes) -> str:
    position = len(_PNG)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return f"a PNG whose checksum fails at byte {position}"
        if data[end - length - 4 : end + 4].endswith(_PNG_END):
            return ""
        position = end + 4
    return f"a PNG cut short at {len(data)} bytes"


def _triangle(scale: float) -> NDArray[np.float32]:
    """Return the weights that Pillow's bilinear filter has when it shrinks by `scale`, at whole pixels."""
    reach = int(np.ceil(scale))
    weights = np.clip(1 - np.abs(np.arange(-reach, reach + 1)) / scale, 0, None)
    return np.asarray(weights / weights.sum(), np.float32)


def _resize(
    padded: NDArray[np.uint8], box: tuple[float, float, float, float], width: int, height: int
) -> NDArray[np.uint8]:
    """Resize a window that lies inside a picture of three or four channels, with a triangle filter."""
    scale = (box[2] - box[0]) / width
    if scale > MAX_SMOOTHED:
        # four plain channels are CMYK to Pillow; it would round RGBA twice
        mode = "RGB" if padded.shape[2] == 3 else "CMYK"
        picture = Image.frombytes(mode, padded.shape[1::-1], padded.tobytes())
        resized = picture.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=REDUCING_GAP)
        return np.asarray(resized, np.uint8)
    if scale > 1:
        weights = _triangle(scale)
        padded = np.asarray(cv2.sepFilter2D(padded, -1, weights, weights, borderType=cv2.BORDER_REPLICATE), np.uint8)
    A = np.array([[scale, 0, box[0] + scale / 2 - 0.5], [0, scale, box[1] + scale / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(padded, A, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _pad(
    image: NDArray[np.uint8], box_xyxy: NDArray[Any]
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """Cut the window out with black where it leaves the picture; return it and the window's edges in it."""
    height, width = image.shape[:2]
    left, top = (int(np.floor(edge)) for edge in box_xyxy[:2])
    right, bottom = (int(np.ceil(edge)) for edge in box_xyxy[2:])
    cut = image[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
    if touches_outside(box_xyxy, width, height):
        padded = np.zeros((bottom - top, right - left, *image.shape[2:]), np.uint8)
        y, x = max(top, 0) - top, max(left, 0) - left
        padded[y : y + cut.shape[0], x : x + cut.shape[1]] = cut
        cut = padded
    x0, y0, x1, y1 = (float(edge) for edge in box_xyxy)
    return np.ascontiguousarray(cut), (x0 - left, y0 - top, x1 - left, y1 - top)
