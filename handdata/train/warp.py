"""Cut the crop out of the canvas in one warp, and put a background where the mask allows. Torch, any device.

Shape letters: B batch, S canvas side, H W = n crop side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_of(affine_B23: Tensor, size: int) -> Tensor:
    """Return the sampling grid (B, size, size, 2) of `windows.sampling_grid`'s affines."""
    index = torch.arange(size, device=affine_B23.device, dtype=affine_B23.dtype)
    along_x = affine_B23[:, None, None, :, 0] * index[None, None, :, None]
    along_y = affine_B23[:, None, None, :, 1] * index[None, :, None, None]
    return along_x + along_y + affine_B23[:, None, None, :, 2]


def unpack_bits(bits_BSs: Tensor) -> Tensor:
    """Unpack numpy.packbits rows, most significant first: (B, S, S/8) uint8 -> (B, S, S) uint8 of 0 and 1."""
    shifts = torch.arange(7, -1, -1, device=bits_BSs.device, dtype=torch.uint8)
    return ((bits_BSs[..., None] >> shifts) & 1).flatten(-2)


def warp(canvas_BSS3: Tensor, grid_BHW2: Tensor) -> Tensor:
    """Sample uint8 canvases bilinearly.

    Returns:
        (B, 3, H, W) float32 in 0..1; black outside the canvas.
    """
    planes = canvas_BSS3.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    sampled = F.grid_sample(planes, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid_BHW2.abs() <= 1).all(-1)[:, None]  # half a pixel beyond the rim's centres: whole pixels are black
    return sampled * inside * (1 / 255)


def warp_over(canvas_BSS3: Tensor, keep_BSS: Tensor, grid_BHW2: Tensor, background_B3HW: Tensor) -> Tensor:
    """Sample canvases over a background: the mask to the nearest pixel, colours from kept pixels only.

    Colours are weighted by the mask before they are blended, so no key colour leaks in at the hand's edge, and where
    all four neighbours are kept the result is plain bilinear (method.md D19, D20).

    Args:
        canvas_BSS3: uint8.
        keep_BSS: uint8, 1 where the pixel stays, 0 where the background shows.
        grid_BHW2: from `grid_of`.
        background_B3HW: 0..1.

    Returns:
        (B, 3, H, W) float32 in 0..1; the background also where the grid leaves the canvas.
    """
    batch, side = keep_BSS.shape[:2]
    weighted = torch.empty((batch, 4, side, side), dtype=torch.float32, device=canvas_BSS3.device)
    weighted[:, 3] = keep_BSS
    keep = weighted[:, 3:]
    torch.mul(canvas_BSS3.permute(0, 3, 1, 2), keep, out=weighted[:, :3])
    sampled = F.grid_sample(weighted, grid_BHW2, mode="bilinear", padding_mode="zeros", align_corners=False)
    kept = F.grid_sample(keep, grid_BHW2, mode="nearest", padding_mode="zeros", align_corners=False) > 0.5
    colors = sampled[:, :3] / sampled[:, 3:].clamp(min=1e-3) * (1 / 255)
    return torch.where(kept, colors, background_B3HW)
