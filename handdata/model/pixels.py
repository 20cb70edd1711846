"""Pixels as networks see them: RGB levels normalised by the statistics of ImageNet.

Shape letters: B batch, 3 channels RGB, H, W pixels.
"""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, of pictures in 0..1
STD = (0.229, 0.224, 0.225)


def normalize(image_B3HW: Tensor) -> Tensor:
    """Return (image - mean) / std of a picture in 0..1."""
    mean, std = (constant(values, image_B3HW.device)[:, None, None] for values in (MEAN, STD))
    return torch.addcmul(-mean / std, image_B3HW, 1 / std)


def denormalize(image_B3HW: Tensor) -> Tensor:
    """Invert `normalize`, clipped to 0..1, for display."""
    mean, std = (constant(values, image_B3HW.device)[:, None, None] for values in (MEAN, STD))
    return (image_B3HW * std + mean).clamp(0, 1)


def to_pictures(image_B3HW: Tensor) -> NDArray[np.uint8]:
    """Return what a network is shown as pictures to look at, (B, H, W, 3) uint8 RGB."""
    return (denormalize(image_B3HW) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


@functools.lru_cache(maxsize=32)
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Return numbers as a float32 tensor; sent to a device once, since sending anew would make the host wait for it."""
    return torch.tensor(values, dtype=torch.float32, device=device)
