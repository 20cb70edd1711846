"""A family for the tests: one module. Its network is one layer that answers the mean position and nothing in 3D."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from handdata.model.families.family import Family, Reading, Term
from handdata.model.losses import masked


class ToyPrediction(NamedTuple):
    uv_BK2: Tensor


class ToyNet(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size, self.mean = size, nn.Parameter(torch.full((21, 2), 0.3))

    def forward(self, image_B3HW):
        return ToyPrediction(self.mean.expand(len(image_B3HW), 21, 2) + 0 * image_B3HW.mean((1, 2, 3))[:, None, None])


def sums(prediction, labels, _):
    off = (prediction.uv_BK2 - labels.uv_BK2).square().mean(-1)
    size = (prediction.uv_BK2.mean((1, 2)) - labels.scale_B).square()
    return masked(off, labels.present_2d_BK), masked(size, labels.scale_B.isfinite() & labels.right_B)


def read(prediction, _model, _rule):
    uv = prediction.uv_BK2
    return Reading(uv_BK2=uv, xyz_BK3=uv.new_zeros(*uv.shape[:2], 3), confidence_BK=torch.ones_like(uv[..., 0]))


FAMILY = Family(
    make=lambda model, _ways: ToyNet(model.size),
    terms=(Term("place", "place", 2.0), Term("size", "size")),
    sums=sums,
    read=read,
    read_outs=lambda _model: ("given",),
)
