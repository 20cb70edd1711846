"""Models 1 to 3, of kinds direct, latent and tree: full-size heatmaps and 3D coordinates, as published.

networks.py has the networks, losses.py the losses, read_out.py the three ways from maps to positions.
"""

from typing import cast

from torch import nn

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.kinds import Kind
from handdata.model.losses import Ratio, loss_2d, loss_3d
from handdata.model.networks import HandNet, Prediction, Ways
from handdata.model.read_out import READ_OUT_OF, READ_OUTS, ReadOut, read_out


def make(model: ModelConfig, ways: Ways) -> nn.Module:
    """Return the network with random weights."""
    return HandNet(
        cast(Kind, model.kind),
        size=model.size,
        width=model.width,
        decoder_init=model.decoder_init,
        logit_offset=model.logit_offset,
        ways=ways,
    )


def sums(prediction: Prediction, labels: Labels, loss: LossConfig) -> tuple[Ratio, ...]:
    """Return the 2D and the 3D loss as the recipe names them."""
    flat = loss_2d(prediction.maps_BKHW, labels.uv_BK2, labels.present_2d_BK, loss.loss_2d, loss.over)
    deep = loss_3d(prediction.xyz_BK3, labels.xyz_BK3, labels.present_3d_BK, loss.loss_3d)
    return flat, deep


def read(prediction: Prediction, _: ModelConfig, rule: str) -> Reading:
    """Return positions by one of the read-outs; the confidence is the highest cell of each map."""
    maps, xyz = prediction
    uv, peaks = read_out(maps, cast(ReadOut, rule)), maps.amax((2, 3))
    return Reading(uv_BK2=uv, xyz_BK3=xyz, confidence_BK=peaks, maps_BKHW=maps)


def read_outs(model: ModelConfig) -> tuple[str, ...]:
    """Return all read-outs, the one that the kind is read by first."""
    own = READ_OUT_OF[model.kind]
    return own, *(rule for rule in READ_OUTS if rule != own)


FAMILY = Family(
    make=make,
    terms=(Term("loss_2d", "2D", setting="weight_2d"), Term("loss_3d", "3D", setting="weight_3d")),
    sums=sums,
    read=read,
    read_outs=read_outs,
)
