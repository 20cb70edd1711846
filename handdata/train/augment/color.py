"""Brightness, contrast, saturation and blur of a batch. Torch, any device; images in 0..1.

On a CPU training takes on_cpu.py's form of all of it.

Shape letters: B batch, 3 channels RGB, H W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from handdata.model.pixels import constant

GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, which Pillow's enhancers use
BLUR_REACH = 3  # px: three boxes of three taps
# the six orders of brightness (0), contrast (1), saturation (2)
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def jitter(image_B3HW: Tensor, factors_B3: Tensor, order_B: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, each sample in its own order; clipped to 0..1 after each.

    Every step is a blend f image + (1 - f) base; base is black, the mean grey of the picture, or its grey values.

    Args:
        image_B3HW: 0..1.
        factors_B3: brightness, contrast, saturation; 1 leaves the picture as it is.
        order_B: int, a row of ORDERS.
    """
    steps_B3 = constant(ORDERS, image_B3HW.device)[order_B].long()
    for step_B in steps_B3.unbind(1):
        factor = factors_B3.gather(1, step_B[:, None])[..., None, None]
        red, green, blue = (image_B3HW[:, i : i + 1] for i in range(3))
        gray = GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue  # no matrix product: a GPU would round it to TF32
        contrast, saturation = ((step_B == kind).to(gray.dtype)[:, None, None, None] for kind in (1, 2))
        base = contrast * gray.mean((2, 3), keepdim=True) + saturation * gray
        image_B3HW = torch.lerp(base, image_B3HW, factor).clamp_(0, 1)
    return image_B3HW


def blur(image_B3HW: Tensor, sigma_B: Tensor) -> Tensor:
    """Blur every sample as Pillow's GaussianBlur does: three boxes of three taps, edge pixels repeated.

    Up to a radius of 1.41 px Pillow's extended box is [w, 1 - 2 w, w] with w = sigma^2 / 6, which keeps the Gaussian's
    variance; three of them in a row are one kernel of seven taps.

    Args:
        image_B3HW: any values.
        sigma_B: Pillow's radius, px, 0 to 1.41; 0 leaves the picture as it is.
    """
    taps_B7 = blur_taps(sigma_B)
    batch, channels, height, width = image_B3HW.shape
    kernel = taps_B7.repeat_interleave(channels, 0)[:, None]  # (B * 3, 1, 7)
    image = F.pad(image_B3HW, (BLUR_REACH,) * 4, mode="replicate").reshape(1, batch * channels, height + 6, width + 6)
    image = F.conv2d(image, kernel[:, :, None, :], groups=batch * channels)
    image = F.conv2d(image, kernel[:, :, :, None], groups=batch * channels)
    return image.reshape(batch, channels, height, width)


def blur_taps(sigma_B: Tensor) -> Tensor:
    """Return the kernel of every sample's `blur` along one axis, (B, 7)."""
    w = sigma_B.square() / 6
    c = 1 - 2 * w
    half = [w**3, 3 * w**2 * c, 3 * w * c**2 + 3 * w**3]
    return torch.stack([*half, c**3 + 6 * w**2 * c, *half[::-1]], dim=1)
