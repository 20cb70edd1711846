"""From heatmaps to coordinates, three ways.

Shape letters: B batch, K keypoints, H, W rows and columns of a map. Coordinates are fractions of the crop: map index
i of n is u = i / n (docs/method.md, Conventions), so the range is [0, (n - 1) / n].

    expectation   mean position weighted by the map (published); any background pulls it to the centre
    maximum       position of the largest cell; whole cells only
    thresholded   expectation over the cells above half of the largest: neither pulled nor rounded
"""

from typing import Literal, get_args

import torch
from torch import Tensor

ReadOut = Literal["expectation", "maximum", "thresholded"]
READ_OUTS: tuple[ReadOut, ...] = get_args(ReadOut)
# Which one a model is read by: a latent map is trained through its expectation alone and need not have one peak.
READ_OUT_OF: dict[str, ReadOut] = {"direct": "thresholded", "latent": "expectation", "tree": "thresholded"}
THRESHOLD = 0.5  # of the map's largest cell; keeps the 3.5 px round a blob of sigma 3, drops any lower background


def read_out(maps_BKHW: Tensor, rule: ReadOut) -> Tensor:
    """Return (B, K, 2) positions (u, v) of non-negative heatmaps, by one of `READ_OUTS`.

    Raises:
        ValueError: an unknown rule.
    """
    if rule == "expectation":
        return expectation(maps_BKHW)
    if rule == "maximum":
        return maximum(maps_BKHW)
    if rule == "thresholded":
        return thresholded(maps_BKHW)
    raise ValueError(f"the read-out must be one of {READ_OUTS}, got {rule!r}")


def expectation(maps_BKHW: Tensor) -> Tensor:
    """Return the weighted mean position; a flat map gives (n - 1) / 2 n. Source: docs/method.md 6.5."""
    height, width = maps_BKHW.shape[-2:]
    maps = maps_BKHW.float()
    columns = torch.arange(width, device=maps.device, dtype=maps.dtype) / width
    rows = torch.arange(height, device=maps.device, dtype=maps.dtype) / height
    total = maps.sum((-2, -1))
    u = (maps.sum(-2) * columns).sum(-1) / total
    v = (maps.sum(-1) * rows).sum(-1) / total
    return torch.stack((u, v), -1)


def maximum(maps_BKHW: Tensor) -> Tensor:
    """Return the position of the largest cell, the first in reading order if several are equal."""
    height, width = maps_BKHW.shape[-2:]
    index = maps_BKHW.flatten(-2).argmax(-1)
    row = torch.div(index, width, rounding_mode="floor")
    return torch.stack(((index % width) / width, row / height), -1).float()


def thresholded(maps_BKHW: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return the weighted mean position over the cells of at least `threshold` times the largest."""
    maps = maps_BKHW.float()
    peak = maps.amax((-2, -1), keepdim=True)
    return expectation(torch.where(maps >= threshold * peak, maps, torch.zeros_like(maps)))
