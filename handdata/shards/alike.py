"""Whether hands of one id in two folders are one hand: imports of pictures that are called alike hold others."""

import numpy as np
from numpy.typing import NDArray

from handdata.shards.dataset import Dataset

Mask = NDArray[np.bool_]
NEAR = 0.1  # of the hand's size, between points of one hand that two people labelled
RESIZED = 0.02  # of the hand's size, between the shapes of one label in pictures of two sizes


def same_labels(first: Dataset, second: Dataset) -> Mask:
    """Tell which hands have the same 2D labels, within 1e-3 px: (N,) bool, hand by hand of both."""
    one, other = first["keypoints_2d"], second["keypoints_2d"]
    return np.asarray(np.isclose(one, other, rtol=0, atol=1e-3, equal_nan=True).all((1, 2)))


def same_hands(first: Dataset, second: Dataset) -> Mask:
    """Tell which hands can be one hand: its labels mended, made anew, or in pictures of another size.

    Returns:
        (N,) bool, hand by hand of both; true where no two points are labelled in both.
    """
    one, other = (data["keypoints_2d"].astype(np.float64) for data in (first, second))
    both = np.isfinite(one[..., 0] + other[..., 0])
    enough: Mask = np.asarray(both.sum(1) >= 2)
    one, other = (np.where(both[..., None], uv, np.nan)[enough] for uv in (one, other))
    shapes = [uv - np.nanmean(uv, axis=1, keepdims=True) for uv in (one, other)]
    sizes = [np.sqrt(np.nanmean((uv**2).sum(2), axis=1))[:, None, None] for uv in shapes]
    largest = np.maximum(sizes[0], sizes[1])
    apart = np.nanmedian(np.linalg.norm((one - other) / largest, axis=2), axis=1)
    bent = np.nanmax(np.linalg.norm(shapes[0] / sizes[0] - shapes[1] / sizes[1], axis=2), axis=1)
    found = np.ones(len(first), bool)
    found[enough] = (apart < NEAR) | (bent < RESIZED)
    return found
