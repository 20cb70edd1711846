"""A z-buffer rasteriser in plain numpy: triangles to rows, rows to fragments, one integer maximum a pixel.

Within a triangle, barycentrics and 1 / z are affine in the pixel's x and y; so every row of a triangle has an exact span
of pixels. A fragment is a 64-bit key, the bits of its float32 1 / z above the number of its row, and the nearest fragment
of a pixel is the greatest key: deterministic, no sorting, and the same in torch (synth/batch.py).
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
    second: Floats  # (T, 3) constant, x and y slope of the second vertex' barycentric
    third: Floats
    inverse: Floats  # (T, 3) 1 / z of the three vertices


@dataclass(frozen=True)
class _Rows:
    """Spans of pixels; `second`, `third` and `inverse` are (R, 2): value at x = 0 of the triangle's box, and slope."""

    owner: Ints  # (R,) row of _Planes
    first: Ints  # first pixel, in the box
    count: Ints
    start: Ints  # flat index of the box' left edge in this row
    second: Floats
    third: Floats
    inverse: Floats


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
    inverse_z = rows.inverse[row, 0] + rows.inverse[row, 1] * x
    weights = np.empty((len(pixel), 3))
    weights[:, 1] = (rows.second[row, 0] + rows.second[row, 1] * x) * planes.inverse[owner, 1] / inverse_z
    weights[:, 2] = (rows.third[row, 0] + rows.third[row, 1] * x) * planes.inverse[owner, 2] / inverse_z
    weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
    triangle = np.full(width * height, -1, np.int32)
    depth = np.zeros(width * height)
    triangle[pixel] = planes.index[owner]
    depth[pixel] = 1 / inverse_z
    return Raster(triangle.reshape(height, width), depth.reshape(height, width), pixel, weights)


def _planes(uv: Floats, z: Floats, faces: NDArray[Any], width: int, height: int) -> _Planes:
    p0, p1, p2 = (uv[faces[:, k]] for k in range(3))
    a, b = p1 - p0, p2 - p0
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    limits = np.array([width - 1, height - 1])
    low = np.clip(np.ceil(np.minimum(np.minimum(p0, p1), p2)), 0, limits + 1).astype(np.int64)
    high = np.clip(np.floor(np.maximum(np.maximum(p0, p1), p2)), -1, limits).astype(np.int64)
    extent = high - low + 1
    depth = z[faces]
    index = np.flatnonzero((area < -EDGE) & (extent > 0).all(1) & (depth.min(1) > NEAR_MM))
    a, b, area, corner = a[index], b[index], area[index], low[index] - p0[index]
    ax, ay, bx, by = a[:, 0] / area, a[:, 1] / area, b[:, 0] / area, b[:, 1] / area
    return _Planes(
        index=index,
        left=low[index, 0],
        top=low[index, 1],
        width=extent[index, 0],
        height=extent[index, 1],
        second=np.stack([corner[:, 0] * by - corner[:, 1] * bx, by, -bx], 1),
        third=np.stack([corner[:, 1] * ax - corner[:, 0] * ay, -ay, ax], 1),
        inverse=1 / depth[index],
    )


def _rows(planes: _Planes, width: int) -> _Rows:
    owner = np.repeat(np.arange(len(planes.index)), planes.height)
    y = np.arange(len(owner)) - np.repeat(np.cumsum(planes.height) - planes.height, planes.height)
    second = planes.second[owner]
    third = planes.third[owner]
    second0 = second[:, 0] + second[:, 2] * y
    third0 = third[:, 0] + third[:, 2] * y
    second1, third1 = second[:, 1], third[:, 1]
    low, high = np.zeros(len(owner)), (planes.width[owner] - 1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        for value, slope in ((second0, second1), (third0, third1), (1 - second0 - third0, -second1 - third1)):
            crossing = -value / slope
            np.copyto(low, np.maximum(low, crossing), where=slope > 0)
            np.copyto(high, np.minimum(high, crossing), where=slope < 0)
            high[(slope == 0) & (value < 0)] = -1
    first = np.ceil(low - EDGE).astype(np.int64)
    count = np.floor(high + EDGE).astype(np.int64) - first + 1
    kept = np.flatnonzero(count > 0)
    owner, y = owner[kept], y[kept]
    second0, second1, third0, third1 = second0[kept], second1[kept], third0[kept], third1[kept]
    inverse = planes.inverse[owner]
    to_second, to_third = inverse[:, 1] - inverse[:, 0], inverse[:, 2] - inverse[:, 0]
    return _Rows(
        owner=owner,
        first=first[kept],
        count=count[kept],
        start=(planes.top[owner] + y) * width + planes.left[owner],
        second=np.stack([second0, second1], 1),
        third=np.stack([third0, third1], 1),
        inverse=np.stack(
            [
                inverse[:, 0] + second0 * to_second + third0 * to_third,
                second1 * to_second + third1 * to_third,
            ],
            1,
        ),
    )


def _nearest(rows: _Rows, num_pixels: int) -> Ints:
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
        inverse_z = (rows.inverse[row, 0] + rows.inverse[row, 1] * x).astype(np.float32)
        key = inverse_z.view(np.int32).astype(np.int64) << 32 | row
        np.maximum.at(keys, rows.start[row] + x, key)
        begin = end
    return keys
