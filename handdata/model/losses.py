"""The two losses of a training step: (prediction, target, mask) -> a sum and what to divide it by.

Shape letters: B batch, K keypoints, H, W rows and columns of a map, D coordinates (2 or 3).

A loss is kept as sum and number, so that its mean runs over what is present in the whole batch, however many processes
share it. An absent keypoint adds to neither and its prediction gets no gradient; its target may be NaN.

Source: docs/method.md 7; L4, L6 and L7 of its section 12 say what was repaired.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from handdata.model.config import Loss2D, Loss3D, Over
from handdata.model.heatmaps import iou_per_map, profiles, render
from handdata.model.read_out import expectation

# Of the squared distance of the expectation beside the IoU. Ours: in the first thousands of samples blobs that do not
# overlap give the IoU nothing to follow; measured in docs/training.md.
PULL = 10.0


class Ratio(NamedTuple):
    """A mean not yet divided: two float32 scalars on the batch's device."""

    total: Tensor
    number: Tensor


def loss_2d(maps_BKHW: Tensor, uv_BK2: Tensor, present_BK: Tensor, kind: Loss2D, over: Over = "present") -> Ratio:
    """Compare heatmaps with 2D keypoints.

    Args:
        maps_BKHW: predicted heatmaps, square.
        uv_BK2: true positions, fractions of the crop.
        present_BK: bool, which of them count: annotated and inside the crop.
        kind: `iou` 1 - soft IoU with the blob (published for direct and tree); `iou_and_expectation` the same plus
            PULL times `coordinates`; `l2` squared difference from the
            blob, summed over the map and relative to the blob's own sum of squares; `coordinates` squared difference of
            the map's expectation, mean over u and v (published for latent).
        over: divide by the present keypoints, or by all 21 a sample as published (L4).
    """
    if kind == "coordinates":
        return masked(_off_square(maps_BKHW, uv_BK2, present_BK), present_BK, over)
    px, py = profiles(uv_BK2, maps_BKHW.shape[-1])
    if kind == "l2":
        target = render(px, py)
        energy = target.square().sum((-2, -1)).clamp(min=1.0)
        return masked((maps_BKHW - target).square().sum((-2, -1)) / energy, present_BK, over)
    per_keypoint = iou_per_map(maps_BKHW, px, py)
    if kind == "iou_and_expectation":
        per_keypoint = per_keypoint + PULL * _off_square(maps_BKHW, uv_BK2, present_BK)
    return masked(per_keypoint, present_BK, over)


def loss_3d(xyz_BK3: Tensor, true_BK3: Tensor, present_BK: Tensor, kind: Loss3D) -> Ratio:
    """Compare normalised coordinates.

    Args:
        xyz_BK3: predicted.
        true_BK3: true; NaN where absent.
        present_BK: bool, which of them count.
        kind: `mse` squared difference, mean over x, y, z (published); `bone_pairs` absolute difference of the vectors
            between all pairs of present keypoints (Sun et al., ICCV 2017), mean over x, y, z; `none` counts nothing.
    """
    if kind == "none":
        zero = torch.zeros((), device=xyz_BK3.device)
        return Ratio(zero, zero)
    difference = xyz_BK3 - _known(true_BK3, present_BK)
    if kind == "mse":
        return masked(difference.square().mean(-1), present_BK, "present")
    pairs = (difference[:, :, None] - difference[:, None]).abs().mean(-1)
    both = present_BK[:, :, None] & present_BK[:, None]
    return masked(pairs, both & ~torch.eye(both.shape[-1], dtype=torch.bool, device=both.device), "present")


def divide(ratio: Ratio) -> Tensor:
    """Return the mean; 0 where nothing is present, and then without gradient."""
    return ratio.total / ratio.number.clamp(min=1.0)


def _off_square(maps_BKHW: Tensor, uv_BK2: Tensor, present_BK: Tensor) -> Tensor:
    """Return the (B, K) squared distance of the expectation, mean over u and v."""
    return (expectation(maps_BKHW) - _known(uv_BK2, present_BK)).square().mean(-1)


def _known(values_BKD: Tensor, present_BK: Tensor) -> Tensor:
    return torch.where(present_BK[..., None], values_BKD, 0.0)


def masked(per_entry: Tensor, present: Tensor, over: Over = "present") -> Ratio:
    """Return the sum over what is present, and the number to divide it by; what is absent gets no gradient."""
    total = torch.where(present, per_entry, 0.0).sum()
    if over == "all":
        return Ratio(total, torch.full_like(total, present.numel()))  # filled there: a copy would make the host wait
    return Ratio(total, present.sum().float())
