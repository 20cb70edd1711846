"""Pictures shown from fewer pixels than the crop has, as hands far away are. Torch, any device.

On a CPU training takes on_cpu.py's form of it.

Shape letters: B batch, 3 RGB, H W = n crop side.
"""

import functools
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def coarsen(image_B3HW: Tensor, pixels_B: Tensor) -> Tensor:
    """Make pictures smaller by area and as large again bilinearly.

    Args:
        image_B3HW: 0..1.
        pixels_B: int64, side in between; 0, or n and more, leaves a picture as it is.
    """
    n = image_B3HW.shape[-1]
    there_and_back = _by_side(n, image_B3HW.device)[pixels_B.clamp(0, n)]  # (B, n, n): the same for rows and columns
    rows = torch.einsum("bij,bcjx->bcix", there_and_back, image_B3HW)
    return torch.einsum("bij,bcxj->bcxi", there_and_back, rows)


@functools.lru_cache(maxsize=8)
def _by_side(n: int, device: torch.device) -> Tensor:
    """Return (n + 1, n, n): the matrix that takes a column of n pixels through each side in between."""
    unit = np.eye(n, dtype=np.float32)
    made = [unit, *(through(unit, side, n) for side in range(1, n)), unit]
    return torch.from_numpy(np.stack(made)).to(device)


def through(picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Make a picture smaller by area, and as large again bilinearly."""
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
