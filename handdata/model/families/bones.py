"""bones: Model 3's tree of bones, each in units of its own spread, compared bone by bone or pair by pair.

Shape letters: B batch, K the 21 keypoints, N the 20 bones.

A keypoint's error sums those of the bones that lead to it; comparing bones asks each joint for its own part, comparing
all pairs of keypoints asks for every sum along the tree. `loss.loss_3d = "bone_pairs"` chooses the pairs.

Source:
    Sun et al., Compositional Human Pose Regression, ICCV 2017.
"""

import torch
from torch import Tensor, nn

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families.family import Family, Labels, Term
from handdata.model.families.heatmaps import read
from handdata.model.losses import Ratio, loss_2d, masked
from handdata.model.networks import HandNet, Prediction, Ways
from handdata.model.read_out import READ_OUTS
from handdata.skeleton import BONES, NUM_KEYPOINTS

# Standard deviation of each bone's coordinates, in units of wrist to middle MCP, over 2,048 left hands of
# `handdata synth` in all orientations.
SPREAD = (
    0.239, 0.213, 0.227, 0.159, 0.554, 0.245, 0.169, 0.155, 0.522, 0.280, 0.198, 0.156, 0.507, 0.252, 0.166, 0.151,
    0.492, 0.202, 0.111, 0.113,
)  # fmt: skip


def make(model: ModelConfig, ways: Ways) -> nn.Module:
    """Return Model 3 whose last layer answers in spreads of the bones."""
    network = HandNet(
        "tree", size=model.size, width=model.width, decoder_init=model.decoder_init,
        logit_offset=model.logit_offset, ways=ways,
    )  # fmt: skip
    network.decoder.path.mul_(torch.tensor(SPREAD))
    return network


def sums(prediction: Prediction, labels: Labels, loss: LossConfig) -> tuple[Ratio, ...]:
    """Return the 2D loss that the recipe names, and the absolute differences of bones, or pairs, over their spreads."""
    flat = loss_2d(prediction.maps_BKHW, labels.uv_BK2, labels.present_2d_BK, loss.loss_2d, loss.over)
    present = labels.present_3d_BK
    off = prediction.xyz_BK3 - torch.where(present[..., None], labels.xyz_BK3, 0.0)
    if loss.loss_3d == "bone_pairs":
        first, second = torch.triu_indices(NUM_KEYPOINTS, NUM_KEYPOINTS, 1, device=off.device)
        spread = pair_spread().to(off)
        per_pair = (off[:, first] - off[:, second]).abs().mean(-1) / spread
        return flat, masked(per_pair, present[:, first] & present[:, second])
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    per_bone = (off[:, ends] - off[:, starts]).abs().mean(-1) / off.new_tensor(SPREAD)
    return flat, masked(per_bone, present[:, starts] & present[:, ends])


def pair_spread() -> Tensor:
    """Return the (210,) spreads of the vectors between all pairs, as if the bones on the way were independent."""
    first, second = torch.triu_indices(NUM_KEYPOINTS, NUM_KEYPOINTS, 1)
    path = torch.zeros(NUM_KEYPOINTS, len(BONES))
    for start, end in BONES:
        path[end] = path[start]
        path[end, end - 1] = 1.0
    return ((path[first] - path[second]).abs() @ torch.tensor(SPREAD).square()).sqrt()


FAMILY = Family(
    make=make,
    terms=(Term("loss_2d", "2D"), Term("loss_bones", "bones")),
    sums=sums,
    read=read,
    read_outs=lambda _: ("thresholded", *(rule for rule in READ_OUTS if rule != "thresholded")),
)
