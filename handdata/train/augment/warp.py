"""Cut the crop out of the canvas in one warp, and put a background where the mask allows. Torch, any device.

On a CPU training takes on_cpu.py's form of it.

Shape letters: B batch, S canvas side, H W = n crop side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def unpack_bits(bits_BSs: Tensor) -> Tensor:
    """Unpack numpy.packbits rows, most significant first: (B, S, S/8) uint8 -> (B, S, S) uint8 of 0 and 1."""
    shifts = torch.arange(7, -1, -1, device=bits_BSs.device, dtype=torch.uint8)
    return ((bits_BSs[..., None] >> shifts) & 1).flatten(-2)


def warp(canvas_BSS3: Tensor, affine_B23: Tensor, size: int) -> Tensor:
    """Sample uint8 canvases bilinearly.

    Args:
        canvas_BSS3: uint8.
        affine_B23: from `crop_window.sampling_affine`.
        size: n, side of the result.

    Returns:
        (B, 3, n, n) float32 in 0..1; black outside the canvas.
    """
    planes = canvas_BSS3.permute(0, 3, 1, 2).contiguous().float()  # in this order: 0.6 of the time on a CPU
    return _sample(planes, _grid(affine_B23, size), "bilinear").mul_(1 / 255)


def warp_over(
    canvas_BSS3: Tensor, bits_BSs: Tensor, composite_B: Tensor, affine_B23: Tensor, background_B3HW: Tensor
) -> Tensor:
    """Sample canvases over a background: the mask to the nearest pixel, colours from kept pixels only.

    Colours are weighted by the mask before they are blended, so no key colour leaks in at the hand's edge, and where
    all four neighbours are kept the result is plain bilinear (docs/method.md D19, D20).

    Args:
        canvas_BSS3: uint8.
        bits_BSs: (B, S, S/8) uint8, 1 where the pixel stays, 0 where the background shows.
        composite_B: bool; a sample without is sampled as `warp` does, its bits and background ignored.
        affine_B23: from `crop_window.sampling_affine`.
        background_B3HW: (B, 3, n, n) 0..1.

    Returns:
        (B, 3, n, n) float32 in 0..1; the background also where the window leaves the canvas.
    """
    grid = _grid(affine_B23, background_B3HW.shape[-1])
    composite = composite_B[:, None, None, None]
    batch, side = canvas_BSS3.shape[:2]
    weighted = torch.empty((batch, 4, side, side), dtype=torch.float32, device=canvas_BSS3.device)
    weighted[:, 3] = unpack_bits(bits_BSs.masked_fill(~composite_B[:, None, None], 255))
    keep = weighted[:, 3:]
    torch.mul(canvas_BSS3.permute(0, 3, 1, 2), keep, out=weighted[:, :3])
    sampled = _sample(weighted, grid, "bilinear")
    shown = (_sample(keep, grid, "nearest") > 0.5) | ~composite
    weight = torch.where(composite, sampled[:, 3:].clamp(min=1e-3), 1.0)
    return torch.where(shown, sampled[:, :3] * ((1 / 255) / weight), background_B3HW)


def _grid(affine_B23: Tensor, size: int) -> Tensor:
    """Return `affine_grid`'s (B, n, n, 2), as sums of a column and a row, x and y apart: 30 times as fast on a CPU."""
    unit = (2 * torch.arange(size, device=affine_B23.device, dtype=affine_B23.dtype) + 1) / size - 1
    x, y, shift = (affine_B23[:, :, i, None] for i in range(3))
    planes_B2HW = (y * unit + shift)[..., None] + (x * unit)[:, :, None]
    return planes_B2HW.permute(0, 2, 3, 1)


def _sample(planes_BCSS: Tensor, grid_BHW2: Tensor, mode: str) -> Tensor:
    return F.grid_sample(planes_BCSS, grid_BHW2, mode=mode, padding_mode="zeros", align_corners=False)
