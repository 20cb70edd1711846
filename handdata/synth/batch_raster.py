"""The rasteriser of rasterize.py for many pictures at once in torch: any device, the same float64 arithmetic.

The pictures of a batch lie one after another in one flat row of pixels; a fragment's key is the same 64-bit integer,
and `scatter_reduce` with amax keeps the nearest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from handdata.synth.rasterize import EDGE, NEAR_MM


@dataclass(frozen=True)
class BatchRaster:
    """What the pixels of B pictures hit first; see `rasterize.Raster`.

    Attributes:
        triangle: (B, H, W) int64, -1 where nothing is.
        depth: (B, H, W) float64 z, 0 where nothing is.
        pixel: (N,) flat indices over the batch of the covered pixels, ascending.
        weights: (N, 3) perspective-correct barycentrics of the covered pixels.
    """

    triangle: Tensor
    depth: Tensor
    pixel: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Planes:
    index: Tensor
    left: Tensor
    width: Tensor
    height: Tensor
    start: Tensor  # flat index of the box' first pixel
    second: tuple[Tensor, Tensor, Tensor]
    third: tuple[Tensor, Tensor, Tensor]
    inverse: Tensor  # (3, T)


@dataclass(frozen=True)
class _Rows:
    owner: Tensor
    first: Tensor
    count: Tensor
    start: Tensor
    second: tuple[Tensor, Tensor]
    third: tuple[Tensor, Tensor]
    inverse: tuple[Tensor, Tensor]


def rasterize_batch(
    uv: Tensor, z: Tensor, faces: Tensor, picture: Tensor, size: tuple[int, int], count: int
) -> BatchRaster:
    """Find the nearest triangle of every pixel centre of every picture.

    Args:
        uv: (V, 2) float64 projected vertices of all pictures, px.
        z: (V,) float64 depths.
        faces: (F, 3) int64.
        picture: (F,) int64 number of the picture that a triangle belongs to.
        size: width and height of the pictures, px.
        count: B.
    """
    width, height = size
    planes = _planes(uv, z, faces, picture, width, height)
    rows = _rows(planes, width)
    row = torch.repeat_interleave(torch.arange(len(rows.owner), device=uv.device), rows.count)
    x = torch.arange(len(row), device=uv.device) - (_starts(rows.count) - rows.first)[row]
    nearness = (rows.inverse[0][row] + rows.inverse[1][row] * x).to(torch.float32)
    keys = torch.zeros(count * height * width, dtype=torch.int64, device=uv.device)
    key = (nearness.view(torch.int32).to(torch.int64) << 32) | row
    keys.scatter_reduce_(0, rows.start[row] + x, key, "amax")

    pixel = torch.nonzero(keys)[:, 0]
    row = keys[pixel] & 0xFFFFFFFF
    x, owner = pixel - rows.start[row], rows.owner[row]
    inverse_z = rows.inverse[0][row] + rows.inverse[1][row] * x
    second = (rows.second[0][row] + rows.second[1][row] * x) * planes.inverse[1, owner] / inverse_z
    third = (rows.third[0][row] + rows.third[1][row] * x) * planes.inverse[2, owner] / inverse_z
    triangle = torch.full((count * height * width,), -1, dtype=torch.int64, device=uv.device)
    depth = torch.zeros(count * height * width, dtype=torch.float64, device=uv.device)
    triangle[pixel], depth[pixel] = planes.index[owner], 1 / inverse_z
    weights = torch.stack([1 - second - third, second, third], 1)
    shape = (count, height, width)
    return BatchRaster(triangle.reshape(shape), depth.reshape(shape), pixel, weights)


def _rows(planes: _Planes, width: int) -> _Rows:
    device = planes.index.device
    owner = torch.repeat_interleave(torch.arange(len(planes.index), device=device), planes.height)
    y = torch.arange(len(owner), device=device) - _starts(planes.height)[owner]
    second, second_x, second_y = (plane[owner] for plane in planes.second)
    third, third_x, third_y = (plane[owner] for plane in planes.third)
    second, third = second + second_y * y, third + third_y * y
    first, count = _spans(planes.width[owner], (second, second_x), (third, third_x))
    kept = torch.nonzero(count > 0)[:, 0]
    owner, y = owner[kept], y[kept]
    second, second_x, third, third_x = second[kept], second_x[kept], third[kept], third_x[kept]
    corner = planes.inverse[:, owner]
    to_second, to_third = corner[1] - corner[0], corner[2] - corner[0]
    return _Rows(
        owner=owner,
        first=first[kept],
        count=count[kept],
        start=planes.start[owner] + y * width,
        second=(second, second_x),
        third=(third, third_x),
        inverse=(corner[0] + second * to_second + third * to_third, second_x * to_second + third_x * to_third),
    )


def _starts(lengths: Tensor) -> Tensor:
    return torch.cumsum(lengths, 0) - lengths


def _planes(uv: Tensor, z: Tensor, faces: Tensor, picture: Tensor, width: int, height: int) -> _Planes:
    u, v = uv[:, 0][faces].T, uv[:, 1][faces].T
    area = (u[1] - u[0]) * (v[2] - v[0]) - (v[1] - v[0]) * (u[2] - u[0])
    left, right = _pixel_range(u, width)
    top, bottom = _pixel_range(v, height)
    depth = z[faces].T
    seen = (area < -EDGE) & (right >= left) & (bottom >= top) & (depth.amin(0) > NEAR_MM)
    index = torch.nonzero(seen)[:, 0]
    u, v, area, left, top = u[:, index], v[:, index], area[index], left[index], top[index]
    ax, ay, bx, by = (u[1] - u[0]) / area, (v[1] - v[0]) / area, (u[2] - u[0]) / area, (v[2] - v[0]) / area
    x, y = left - u[0], top - v[0]
    return _Planes(
        index=index,
        left=left,
        width=right[index] - left + 1,
        height=bottom[index] - top + 1,
        start=(picture[index] * height + top) * width + left,
        second=(x * by - y * bx, by, -bx),
        third=(y * ax - x * ay, -ay, ax),
        inverse=1 / depth[:, index],
    )


def _pixel_range(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    first = torch.ceil(positions.amin(0).clamp(0, size)).to(torch.int64)
    last = torch.floor(positions.amax(0).clamp(-1, size - 1)).to(torch.int64)
    return first, last


def _spans(width: Tensor, second: tuple[Tensor, Tensor], third: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return first pixel and length of every row, where all three barycentrics are at least 0."""
    low, high = torch.zeros_like(second[0]), (width - 1).to(torch.float64)
    for value, slope in (second, third, (1 - second[0] - third[0], -second[1] - third[1])):
        crossing = -value / slope
        low = torch.where(slope > 0, torch.maximum(low, crossing), low)
        high = torch.where(slope < 0, torch.minimum(high, crossing), high)
        high = torch.where((slope == 0) & (value < 0), -1.0, high)
    first = torch.ceil(low - EDGE).to(torch.int64)
    return first, torch.floor(high + EDGE).to(torch.int64) - first + 1
