"""Heatmap targets as outer products of two profiles, and an IoU loss that never builds them.

Shape letters: B batch, K keypoints, N = H = W side of the map. Maps are indexed [y, x]; map index i, crop pixel i and
u = i / N are one place.

The published target (docs/method.md 4) is one impulse blurred by a separable Gaussian with the border mirrored without
repeating the edge pixel (reflect-101), then divided by its maximum. Blurring, mirroring and dividing all separate, so a
map is py (outer) px exactly. What the 61-tap kernel cuts off is below exp(-50) and is left in.
"""

import functools

import torch
from torch import Tensor

SIGMA_PER_SIDE = 3.0 / 128.0  # sigma 3 px at 128 px, docs/method.md 4 and Conventions
IOU_EPSILON = 1e-6  # docs/method.md 7, in the published code only


def inside(uv_BK2: Tensor, size: int) -> Tensor:
    """Say which keypoints lie on the map: the half-open rule -0.5 <= size u < size - 0.5 (docs/method.md 4, D11).

    Args:
        uv_BK2: (..., 2) fractions of the crop side; NaN is outside.
        size: N.

    Returns:
        (...) bool.
    """
    xy = uv_BK2 * size
    return ((xy >= -0.5) & (xy < size - 0.5)).all(dim=-1)


def profiles(uv_BK2: Tensor, size: int, sigma: float | None = None) -> tuple[Tensor, Tensor]:
    """Return the two 1-D factors of every target, mirrored terms included, maximum 1.

    Args:
        uv_BK2: (B, K, 2) float, fractions of the crop side. Rounded to the nearest map index, halves to even.
        size: N.
        sigma: of the Gaussian, map px; None for the published 3 px of 128.

    Returns:
        (px_BKN, py_BKN), float32 in [0, 1]; both all zero where the keypoint is outside the map or NaN.
    """
    table_of = _make_table if torch.compiler.is_compiling() else _table  # a compiled graph makes it, none is kept
    table = table_of(size, SIGMA_PER_SIDE * size if sigma is None else sigma, uv_BK2.device)
    # row N of the table is empty: where a keypoint off the map goes
    at = torch.where(inside(uv_BK2, size)[..., None], torch.round(uv_BK2.float() * size).clamp(0, size - 1), size)
    line = table[at.long()]  # (B, K, 2, N)
    return line[..., 0, :], line[..., 1, :]


def _make_table(size: int, sigma: float, device: torch.device) -> Tensor:
    """Return the profile of a keypoint at every map index, (N + 1, N); the last row is zero."""
    index = torch.arange(size, device=device, dtype=torch.float32)
    last = float(size - 1)

    def blob(center: Tensor) -> Tensor:
        return torch.exp((index - center[:, None]) ** 2 * (-0.5 / sigma**2))

    mirrored = blob(-index) * (index > 0)[:, None] + blob(2 * last - index) * (index < last)[:, None]
    line = blob(index) + mirrored
    return torch.cat([line / line.amax(dim=1, keepdim=True), line.new_zeros(1, size)])


_table = functools.lru_cache(maxsize=16)(_make_table)


def render(px_BKN: Tensor, py_BKN: Tensor) -> Tensor:
    """Multiply profiles out into maps (B, K, H, W)."""
    return py_BKN[..., :, None] * px_BKN[..., None, :]


def targets(uv_BK2: Tensor, present_BK: Tensor, size: int, sigma: float | None = None) -> Tensor:
    """Return the target maps.

    Args:
        uv_BK2: (B, K, 2) fractions of the crop side.
        present_BK: (B, K) bool; an absent keypoint's map is all zero.
        size: N.
        sigma: map px; None for the published 3 px of 128.

    Returns:
        (B, K, N, N) float32 in [0, 1]; zero maps stay zero.
    """
    px, py = profiles(uv_BK2, size, sigma)
    return render(px, py * present_BK[..., None])


def iou_per_map(pred_BKHW: Tensor, px_BKN: Tensor, py_BKN: Tensor) -> Tensor:
    """Return 1 - soft IoU of every map against the target that the profiles stand for.

    sum(pred t) is taken along x, then along y; sum(t^2) is the product of the profiles' own sums: the target itself is
    never written (docs/method.md 7). A product of matrices is quicker on a CPU; on a GPU it would round the overlap to
    ten bits where TF32 is on, and a compiled graph takes all sums over the map in one pass.

    Args:
        pred_BKHW: (B, K, H, W) predicted maps, any float; summed in float32.
        px_BKN: (B, K, W) from `profiles`.
        py_BKN: (B, K, H).

    Returns:
        (B, K) float32.
    """
    pred = pred_BKHW.float()
    if pred.device.type == "cpu" and not torch.compiler.is_compiling():
        rows = torch.matmul(pred, px_BKN[..., None]).squeeze(-1)
    else:
        rows = (pred * px_BKN[..., None, :]).sum(-1)
    overlap = (rows * py_BKN).sum(-1)
    target_energy = px_BKN.square().sum(-1) * py_BKN.square().sum(-1)
    union = pred.square().sum((-2, -1)) + target_energy - overlap
    return 1.0 - (overlap + IOU_EPSILON) / (union + IOU_EPSILON)
