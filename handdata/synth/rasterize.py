"""A z-buffer rasteriser in plain numpy: triangles to rows, rows to fragments, one integer maximum per pixel.

Within a triangle, barycentrics and 1 / z are affine in the pixel's x and y; so every row of a triangle has an exact
span of pixels. A fragment is a 64-bit key, the bits of its float32 1 / z above the number of its row, and the nearest
fragment of a pixel is the greatest key: deterministic, no sorting.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.synth.mesh import Floats, Ints

NEAR_MM = 1.0  # triangles that come closer to the camera's plane are left out
FRAGMENTS_AT_ONCE = 2_000_000  # bounds the memory: 16 bytes each
EDGE = 1e-9  # px; a pixel centre this far outside an edge still counts, so that neighbours leave no gap


@dataclass(frozen=True)
class Raster:
    """What the pixels of an (H, W) picture hit first.

    Attributes:
        triangle: (H, W) int32, -1 where nothing is.
        depth: (H, W) float64 z, 0 where nothing is.
        pixel: (N,) flat indices of the covered pixels, ascending.
        weights: (N, 3) perspective-correct barycentrics of the covered pixels.
    """

    triangle: NDArray[np.int32]
    depth: Floats
    pixel: Ints
    weights: Floats


@dataclass(frozen=True)
class _Planes:
    """Triangles that face the camera: box corner and size, and affine functions of (x, y) counted from the corner."""

    index: Ints  # (T,) in the caller's faces
    left: Ints
    top: Ints
    width: Ints
    height: Ints
    second: tuple[Floats, Floats, Floats]  # constant, x and y slope of the second vertex' barycentric, (T,) each
    third: tuple[Floats, Floats, Floats]
    inverse: Floats  # (3, T) 1 / z of the vertices


@dataclass(frozen=True)
class _Spans:
    """Spans of pixels; `second`, `third` and `inverse` hold the value at x = 0 of the triangle's box, and the slope."""

    owner: Ints  # (R,) row of _Planes
    first: Ints  # first pixel, in the box
    count: Ints
    start: Ints  # flat index of the box' left edge in this row
    second: tuple[Floats, Floats]
    third: tuple[Floats, Floats]
    inverse: tuple[Floats, Floats]


def rasterize(uv: Floats, z: Floats, faces: NDArray[Any], width: int, height: int) -> Raster:
    """Find the nearest triangle of every pixel centre.

    Args:
        uv: (V, 2) projected vertices, px; (0, 0) is the centre of the top-left pixel.
        z: (V,) depths; triangles not wholly beyond 1 mm are left out, and so are those seen from behind.
        faces: (F, 3), outward by the right-hand rule in a frame with x right, y down, z forward.
        width: of the picture, px.
        height: of the picture, px.
    """
    planes = _planes(uv, z, faces, width, height)
    rows = _rows(planes, width)
    keys = _nearest(rows, width * height)
    pixel = np.flatnonzero(keys)
    row = keys[pixel] & 0xFFFFFFFF
    x = pixel - rows.start[row]
    owner = rows.owner[row]
    inverse_z = rows.inverse[0][row] + rows.inverse[1][row] * x
    weights = np.empty((len(pixel), 3))
    weights[:, 1] = (rows.second[0][row] + rows.second[1][row] * x) * planes.inverse[1, owner] / inverse_z
    weights[:, 2] = (rows.third[0][row] + rows.third[1][row] * x) * planes.inverse[2, owner] / inverse_z
    weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
    triangle = np.full(width * height, -1, np.int32)
    depth = np.zeros(width * height)
    triangle[pixel] = planes.index[owner]
    depth[pixel] = 1 / inverse_z
    return Raster(triangle.reshape(height, width), depth.reshape(height, width), pixel, weights)


def _planes(uv: Floats, z: Floats, faces: NDArray[Any], width: int, height: int) -> _Planes:
    corners = np.ascontiguousarray(faces.T)
    u, v = (np.ascontiguousarray(column)[corners] for column in uv.T)
    area = (u[1] - u[0]) * (v[2] - v[0]) - (v[1] - v[0]) * (u[2] - u[0])
    front = np.flatnonzero(area < -EDGE)
    u, v, area = u[:, front], v[:, front], area[front]
    left, right = _pixel_range(u, width)
    top, bottom = _pixel_range(v, height)
    depth = z[corners[:, front]]
    nearest = np.minimum(np.minimum(depth[0], depth[1]), depth[2])
    kept = np.flatnonzero((right >= left) & (bottom >= top) & (nearest > NEAR_MM))
    u, v, area, left, top = u[:, kept], v[:, kept], area[kept], left[kept], top[kept]
    ax, ay, bx, by = (u[1] - u[0]) / area, (v[1] - v[0]) / area, (u[2] - u[0]) / area, (v[2] - v[0]) / area
    x, y = left - u[0], top - v[0]
    return _Planes(
        index=front[kept],
        left=left,
        top=top,
        width=right[kept] - left + 1,
        height=bottom[kept] - top + 1,
        second=(x * by - y * bx, by, -bx),
        third=(y * ax - x * ay, -ay, ax),
        inverse=1 / depth[:, kept],
    )


def _pixel_range(positions: Floats, size: int) -> tuple[Ints, Ints]:
    """Return the first and last pixel of a row of `size` that each column of (3, T) coordinates may cover."""
    low = np.minimum(np.minimum(positions[0], positions[1]), positions[2])
    high = np.maximum(np.maximum(positions[0], positions[1]), positions[2])
    first = np.ceil(np.clip(low, 0, size)).astype(np.int64)
    last = np.floor(np.clip(high, -1, size - 1)).astype(np.int64)
    return first, last


def _rows(planes: _Planes, width: int) -> _Spans:
    owner = np.repeat(np.arange(len(planes.index)), planes.height)
    y = np.arange(len(owner)) - np.repeat(np.cumsum(planes.height) - planes.height, planes.height)
    second, second_x, second_y = (plane[owner] for plane in planes.second)
    third, third_x, third_y = (plane[owner] for plane in planes.third)
    second += second_y * y
    third += third_y * y
    low, high = np.zeros(len(owner)), (planes.width[owner] - 1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        for value, slope in ((second, second_x), (third, third_x), (1 - second - third, -second_x - third_x)):
            crossing = -value / slope
            np.maximum(low, crossing, out=low, where=slope > 0)
            np.minimum(high, crossing, out=high, where=slope < 0)
            high[(slope == 0) & (value < 0)] = -1
    first = np.ceil(low - EDGE).astype(np.int64)
    count = np.floor(high + EDGE).astype(np.int64) - first + 1
    kept = np.flatnonzero(count > 0)
    owner, y = owner[kept], y[kept]
    second, second_x, third, third_x = second[kept], second_x[kept], third[kept], third_x[kept]
    inverse = planes.inverse[:, owner]
    to_second, to_third = inverse[1] - inverse[0], inverse[2] - inverse[0]
    return _Spans(
        owner=owner,
        first=first[kept],
        count=count[kept],
        start=(planes.top[owner] + y) * width + planes.left[owner],
        second=(second, second_x),
        third=(third, third_x),
        inverse=(inverse[0] + second * to_second + third * to_third, second_x * to_second + third_x * to_third),
    )


def _nearest(rows: _Spans, num_pixels: int) -> Ints:
    """Return (num_pixels,) keys; 0 where nothing is, else the row's number in the low 32 bits."""
    keys = np.zeros(num_pixels, np.int64)
    ends = np.cumsum(rows.count)
    begin = 0
    while begin < len(ends):  # in pieces that fit in memory
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + FRAGMENTS_AT_ONCE, "right")))
        count = rows.count[begin:end]
        row = np.repeat(np.arange(begin, end), count)
        x = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - rows.first[begin:end], count)
        inverse_z = (rows.inverse[0][row] + rows.inverse[1][row] * x).astype(np.float32)
        key = inverse_z.view(np.int32).astype(np.int64) << 32 | row
        np.maximum.at(keys, rows.start[row] + x, key)
        begin = end
    return keys
