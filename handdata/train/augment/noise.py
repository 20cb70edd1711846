"""What a camera and the world add to a picture: sensor noise, and things in front of the hand. Torch, any device.

On a CPU training takes on_cpu.py's form of it.

Shape letters: B batch, 3 RGB, H W = n crop side. Images in 0..1.
"""

import functools

import numpy as np
import torch
from torch import Tensor

ROOM = 64  # px: noise is a window of one picture of noise, at one of 64 x 64 places


def cover(image_B3HW: Tensor, box_B4: Tensor, color_B3: Tensor) -> Tensor:
    """Lay a flat patch over every picture.

    Args:
        image_B3HW: 0..1.
        box_B4: centre x, centre y, width, height, in fractions of the crop; a width of 0 covers nothing.
        color_B3: of the patch, 0..1.
    """
    columns, rows = inside_box(box_B4, image_B3HW.shape[-1]).unbind(1)
    patch = rows[:, :, None] & columns[:, None, :]
    return torch.where(patch[:, None], color_B3[..., None, None], image_B3HW)


def inside_box(box_B4: Tensor, size: int) -> Tensor:
    """Say which columns and which rows of a crop of n = `size` px a box covers: (B, 2, n) bool."""
    middle = (torch.arange(size, device=box_B4.device) + 0.5) / size
    return (middle - box_B4[:, :2, None]).abs() < box_B4[:, 2:, None] / 2


def add_noise(image_B3HW: Tensor, deviation_B: Tensor, place_B2: Tensor) -> Tensor:
    """Add normal noise, the same numbers on every device; clipped to 0..1.

    Args:
        image_B3HW: 0..1.
        deviation_B: standard deviation, in the image's units.
        place_B2: (B, 2) int64 in 0..ROOM - 1, left and top of the window.
    """
    n = image_B3HW.shape[-1]
    index = torch.arange(n, device=image_B3HW.device)
    columns, rows = (place_B2[:, axis, None] + index for axis in (0, 1))
    noise = standard_noise(n + ROOM, image_B3HW.device)[:, rows[:, :, None], columns[:, None, :]]
    return torch.addcmul(image_B3HW, deviation_B[:, None, None, None], noise.transpose(0, 1)).clamp_(0, 1)


@functools.lru_cache(maxsize=8)
def standard_noise(side: int, device: torch.device) -> Tensor:
    """Return one (3, side, side) picture of standard normal numbers; sent to a device once."""
    drawn = np.random.default_rng(0).standard_normal((3, side, side), np.float32)
    return torch.from_numpy(drawn).to(device)
