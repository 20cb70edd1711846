"""Read pictures whole or not at all, and resample a square window of one. RGB, uint8."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.pictures.picture_file import FIX, decode, read_bytes, size_of

HALVED_FROM = 3.6  # a window that shrinks by so much is averaged over 2x2 pixels first, and again if it still does
# px of a canvas beyond a picture's edge that the filter still reaches: one of the triangle, one of the sampling
_SPREAD = 2.0


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read a colour picture.

    Returns:
        (H, W, 3) uint8 RGB; a grey picture has its channel three times.

    Raises:
        MissingError: no such file.
        DataError: not a whole PNG, JPEG, BMP or WebP file.
    """
    return np.asarray(decode(path, read_bytes(path), cv2.IMREAD_COLOR_RGB), np.uint8)


def read_raw(path: Path | str) -> NDArray[Any]:
    """Read a picture as stored: depth (H, W) uint16, masks (H, W) uint8, or colour in OpenCV's order B, G, R.

    Raises:
        MissingError: no such file.
        DataError: not a whole PNG or BMP file; a JPEG has other values than were stored.
    """
    return decode(path, read_bytes(path), cv2.IMREAD_UNCHANGED, exact=True)


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from the file's header without decoding it.

    Raises:
        MissingError: no such file.
        DataError: no PNG, JPEG, BMP or WebP file.
    """
    size = size_of(read_bytes(path))
    if size is None:
        raise DataError(path, expected="a PNG, JPEG, BMP or WebP file", got="an unreadable header", fix=FIX)
    return size


def resample_square(image: NDArray[np.uint8], box_xyxy: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Resize a square window of a picture once, antialiased; black outside the picture.

    Args:
        image: (H, W, 3) uint8.
        box_xyxy: edges of the window in source pixels, fractional or outside the picture as they may be.
        size: side of the result, px.

    Returns:
        (size, size, 3) uint8; pixel centres follow `geometry.crop_affine`.
    """
    edges = np.asarray(box_xyxy, np.float64)
    height, width = image.shape[:2]
    left, top, right, bottom = _reached((0, 0, width, height), edges, size)
    if (left, top, right, bottom) == (0, 0, size, size):
        return _resize(*_pad(image, edges), size, size)
    canvas = np.zeros((size, size, 3), np.uint8)
    if left < right and top < bottom:
        part = _part(edges, size, left, top, right, bottom)
        canvas[top:bottom, left:right] = _resize(*_pad(image, part), right - left, bottom - top)
    return canvas


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
    canvas = resample_square(image, box_xyxy, size)
    mask = keep.view(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    edges = np.asarray(box_xyxy, np.float64)
    left, top, right, bottom = _reached((x, y, x + width, y + height), edges, size)
    if not width or left >= right or top >= bottom:
        return canvas
    part = _part(edges, size, left, top, right, bottom)
    alpha, box = _pad(mask, part)
    colors = _pad(image, part)[0]
    planes = cv2.cvtColor(cv2.bitwise_and(colors, colors, mask=alpha), cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(alpha * np.uint8(255), planes, 3)
    weighed = _resize(np.asarray(planes, np.uint8), box, right - left, bottom - top)
    weight = cv2.extractChannel(weighed, 3)
    pure = cv2.divide(cv2.cvtColor(weighed, cv2.COLOR_RGBA2RGB), cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB), scale=255)
    reached = cv2.bitwise_and(weight, weight, mask=_nearest(mask, edges, size, (left, top, right, bottom), 0))
    cv2.copyTo(pure, reached, canvas[top:bottom, left:right])
    return canvas


def resample_mask(mask: NDArray[np.uint8], box_xyxy: NDArray[Any], size: int, outside: int) -> NDArray[np.uint8]:
    """Resize a square window of a mask (H, W) to the nearest label; `outside` beyond the picture."""
    return _nearest(mask, np.asarray(box_xyxy, np.float64), size, (0, 0, size, size), outside)


def touches_outside(box_xyxy: NDArray[Any], width: int, height: int) -> bool:
    """Tell whether a window reaches beyond the picture."""
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    return left < 0 or top < 0 or right > width or bottom > height


def _triangle(width: float) -> NDArray[np.float32]:
    """Return weights at whole pixels that blur, with sampling between two pixels, like a triangle of that half width.

    That is exact for whole widths, where the variance is (width^2 - 1) / 6; between two they are mixed to have it too.
    """
    narrow = int(np.ceil(width)) - 1
    share = (width**2 - narrow**2) / (2 * narrow + 1)
    steps = np.abs(np.arange(-narrow, narrow + 1))
    low, high = (np.maximum(1 - steps / half, 0) / half for half in (narrow, narrow + 1))
    return np.asarray(low + share * (high - low), np.float32)


def _resize(
    padded: NDArray[np.uint8], box: tuple[float, float, float, float], width: int, height: int
) -> NDArray[np.uint8]:
    """Resize a window that lies inside a picture of three or four channels, with a triangle filter.

    That is Pillow's bilinear filter in steps OpenCV has fast code for: average 2x2 pixels, smooth, sample. Variances
    add, so smoothing gives what averaging leaves of the triangle's.
    """
    scale, edges = (box[2] - box[0]) / width, np.asarray(box)
    squared = scale**2  # of the triangle's half width: six times its variance
    while scale >= HALVED_FROM:
        padded = _halved(padded)
        scale, edges, squared = scale / 2, edges / 2, (squared - 1.5) / 4  # two pixels have a variance of 1/4
    if squared > 1:
        weights = _triangle(np.sqrt(squared))
        padded = np.asarray(cv2.sepFilter2D(padded, -1, weights, weights, borderType=cv2.BORDER_REPLICATE), np.uint8)
    left, top, right, bottom = (int(edge) for edge in edges)
    if (left, top, right, bottom) == tuple(edges):  # OpenCV has faster code for windows of whole pixels
        return np.asarray(cv2.resize(padded[top:bottom, left:right], (width, height)), np.uint8)
    A = np.array([[scale, 0, edges[0] + scale / 2 - 0.5], [0, scale, edges[1] + scale / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # OpenCV samples four channels in 40 % of the time of three, to the same values
    four = padded if padded.shape[2] == 4 else cv2.cvtColor(padded, cv2.COLOR_RGB2RGBA)
    warped = cv2.warpAffine(four, A, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped if padded.shape[2] == 4 else cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.uint8)


def _nearest(
    mask: NDArray[np.uint8], edges: NDArray[np.float64], size: int, part: tuple[int, int, int, int], outside: int
) -> NDArray[np.uint8]:
    """Sample the part (left, top, right, bottom) of a canvas from a mask, to the nearest label."""
    step = (edges[2:] - edges[:2]) / size
    columns = np.floor(edges[0] + (np.arange(part[0], part[2]) + 0.5) * step[0]).astype(np.intp)
    rows = np.floor(edges[1] + (np.arange(part[1], part[3]) + 0.5) * step[1]).astype(np.intp)
    left, right = np.searchsorted(columns, (0, mask.shape[1]))
    top, bottom = np.searchsorted(rows, (0, mask.shape[0]))
    result = np.full((len(rows), len(columns)), outside, np.uint8)
    result[top:bottom, left:right] = mask.take(rows[top:bottom], axis=0)[:, columns[left:right]]
    return result


def _halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average 2x2 pixels; an odd last row or column is repeated."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
        height, width = image.shape[:2]
    return np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _reached(extent: tuple[int, int, int, int], edges: NDArray[np.float64], size: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the canvas pixels into which the source pixels of `extent` run."""
    scale = float(edges[2] - edges[0]) / size
    spread = _SPREAD + 1 / scale
    low = [int(np.floor((extent[axis] - edges[axis]) / scale - spread)) for axis in (0, 1)]
    high = [int(np.ceil((extent[axis + 2] - edges[axis]) / scale + spread)) for axis in (0, 1)]
    left, top, right, bottom = (min(max(edge, 0), size) for edge in (*low, *high))
    return left, top, right, bottom


def _part(edges: NDArray[np.float64], size: int, *part: int) -> NDArray[np.float64]:
    """Return the edges in the source of a part (left, top, right, bottom) of a canvas."""
    scale = (edges[2] - edges[0]) / size
    corner: NDArray[np.float64] = np.tile(edges[:2], 2) + np.array(part) * scale
    return corner


def _pad(
    image: NDArray[np.uint8], box_xyxy: NDArray[Any]
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """Cut the window out with black where it leaves the picture; return it and the window's edges in it."""
    height, width = image.shape[:2]
    left, top = (int(np.floor(edge)) for edge in box_xyxy[:2])
    right, bottom = (int(np.ceil(edge)) for edge in box_xyxy[2:])
    cut = image[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if cut.size == 0:
        cut = np.zeros((bottom - top, right - left, *image.shape[2:]), np.uint8)
    elif any(margins):
        cut = np.asarray(cv2.copyMakeBorder(cut, *margins, cv2.BORDER_CONSTANT), np.uint8)
    x0, y0, x1, y1 = (float(edge) for edge in box_xyxy)
    return cut, (x0 - left, y0 - top, x1 - left, y1 - top)
