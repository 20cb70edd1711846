"""Hold labels against the dataset's own segmentation of the hand. No dataset names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import in_frame
from handdata.shards.schema import Flag

REACH = 0.05  # of the hand's extent: labels lie inside the skin, so a little beside a mask is nothing
FEWEST = 0.25  # share of the labels on the mask; rendered hands have 1.0, labels of another frame 0.05 to 0.1


def beside_flag(uv: NDArray[Any], image: NDArray[np.uint8], hand: NDArray[np.bool_] | None) -> Flag:
    """Return the flag of a hand by its segmentation, if the dataset has one; arguments as of `lies_beside`."""
    height, width = image.shape[:2]
    return Flag.BESIDE_MASK if hand is not None and lies_beside(uv, (width, height), hand) else Flag.NONE


def lies_beside(uv: NDArray[Any], size: tuple[int, int], hand: NDArray[np.bool_]) -> bool:
    """Tell whether most labels of a hand lie beside its segmentation: those of another picture, or a bad fit.

    Args:
        uv: (21, 2) px of the picture, NaN where not labelled; those outside the picture do not count.
        size: width and height of the picture, px.
        hand: (h, w) True where the hand is, or what hides it; of the picture's size or smaller.

    Returns:
        False where no label lies in the picture, or nothing is segmented.
    """
    inside = uv[in_frame(uv, *size)]
    if not len(inside) or not hand.any():
        return False
    scale = np.array(hand.shape[::-1]) / size
    reach = np.ceil(REACH * np.ptp(inside, axis=0).max() * scale.max())
    corners = np.stack([(inside + 0.5) * scale - 0.5 - reach, (inside + 0.5) * scale + 0.5 + reach], axis=1)
    low, high = np.maximum(np.rint(corners), 0).astype(int).transpose(1, 0, 2)
    near = [hand[v0:v1, u0:u1].any() for (u0, v0), (u1, v1) in zip(low, high, strict=True)]
    return bool(np.mean(near) < FEWEST)
