"""simcc: the compact network read as two distributions a keypoint, over columns and over rows, finer than pixels.

Shape letters: B batch, K the 21 keypoints, H, W rows and columns of a map, N bins along a side, n side of the input.

    bins      two a pixel, so N = 2 n; each keypoint's map at an eighth, flattened, gives its bins by one linear layer a
              side, which all keypoints share
    target    a Gaussian of 5.66 px of an input of 256, the same share of the crop at other sizes
    loss      Kullback-Leibler divergence of the target from each distribution

Source:
    Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022; Jiang et al.,
    RTMPose, 2023, for bins and Gaussian of its hand model.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families.compact import STRIDE, CompactNet, binary
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways

BINS_PER_PX = 2
SIGMA = 5.66 / 256  # of the target, crop sides
NEAR = 3 * STRIDE  # px of the window whose mass is a confidence, as wide as that of `compact`
READ_OUTS = ("maximum", "expectation")


class SimccPrediction(NamedTuple):
    """What the network says of a batch.

    Attributes:
        columns_BKN: float32 logarithms of the probabilities of the bins along x.
        rows_BKN: the same along y.
        xyz_BK3: float32, units of wrist to middle MCP, the middle MCP at the origin.
        seen_B2: float32 logits: a hand is there; it is a right one, as shown.
    """

    columns_BKN: Tensor
    rows_BKN: Tensor
    xyz_BK3: Tensor
    seen_B2: Tensor


class SimccNet(nn.Module):
    """The compact network and a linear layer a side.

    Args:
        compact: the network; its own maps are not used.
    """

    def __init__(self, compact: CompactNet) -> None:
        super().__init__()
        self.compact = compact
        cells, bins = (compact.size // STRIDE) ** 2, BINS_PER_PX * compact.size
        self.to_columns, self.to_rows = nn.Linear(cells, bins), nn.Linear(cells, bins)

    def forward(self, image_B3HW: Tensor) -> SimccPrediction:
        """Return distributions, coordinates and logits of (B, 3, n, n) normalised images."""
        seen = self.compact.look(image_B3HW)
        cells = seen.logits_BKHW.flatten(2)
        columns, rows = (side(cells).float().log_softmax(-1) for side in (self.to_columns, self.to_rows))
        xyz = seen.xyz_BK3
        if self.compact.lift is not None:
            uv, spread = _moments(columns.detach().exp(), rows.detach().exp())
            xyz = self.compact.lift(seen.features_BF, uv, spread, xyz)
        return SimccPrediction(columns, rows, xyz, seen.seen_B2)


def places(bins: int, device: torch.device | None = None) -> Tensor:
    """Return the (N,) middles of the bins as fractions x / n of the crop side, where pixel 0 has its middle at 0."""
    return ((torch.arange(bins, device=device) + 0.5) / BINS_PER_PX - 0.5) * (BINS_PER_PX / bins)


def _moments(columns_BKN: Tensor, rows_BKN: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, K, 2) means and standard deviations of the distributions, crop sides."""
    at = places(columns_BKN.shape[-1], columns_BKN.device)
    means, spreads = [], []
    for p in (columns_BKN, rows_BKN):
        mean = (p * at).sum(-1)
        means.append(mean)
        spreads.append(((p * at.square()).sum(-1) - mean.square()).clamp(min=1e-8).sqrt())
    return torch.stack(means, -1), torch.stack(spreads, -1)


# ------------------------------------------------------------------------------------------------ losses and read-out


def sums(prediction: SimccPrediction, labels: Labels, _: LossConfig) -> tuple[Ratio, ...]:
    """Return the losses; a hand shown as a right one teaches presence and side alone: it is to be shown mirrored."""
    left = ~labels.right_B[:, None]
    flat, deep = labels.present_2d_BK & left, labels.present_3d_BK & left
    uv = torch.where(flat[..., None], labels.uv_BK2, 0.5)
    both = zip((prediction.columns_BKN, prediction.rows_BKN), uv.unbind(-1), strict=True)
    off_2d = torch.stack([divergence(log, place) for log, place in both]).mean(0)
    off_3d = (prediction.xyz_BK3 - torch.where(deep[..., None], labels.xyz_BK3, 0.0)).abs().mean(-1)
    return (
        masked(off_2d, flat),
        masked(off_3d, deep),
        masked(binary(prediction.seen_B2[:, 0], labels.hand_B), torch.ones_like(labels.hand_B)),
        masked(binary(prediction.seen_B2[:, 1], labels.right_B), labels.hand_B & labels.side_known_B),
    )


def divergence(log_BKN: Tensor, place_BK: Tensor) -> Tensor:
    """Return the (B, K) divergence of Gaussians about places, fractions of the crop side, from log distributions."""
    off = (places(log_BKN.shape[-1], log_BKN.device) - place_BK[..., None]) / SIGMA
    target = (-0.5 * off.square()).log_softmax(-1)
    return (target.exp() * (target - log_BKN)).sum(-1)


def read(prediction: SimccPrediction, _: ModelConfig, rule: str) -> Reading:
    """Return positions; the confidence of one is the mass near the peak along x times that along y."""
    columns, rows = prediction.columns_BKN.exp(), prediction.rows_BKN.exp()
    at = places(columns.shape[-1], columns.device)
    if rule == "maximum":
        uv = torch.stack([at[p.argmax(-1)] for p in (columns, rows)], -1)
    else:
        uv = _moments(columns, rows)[0]
    window = BINS_PER_PX * NEAR + 1
    mass = [(avg_pool1d(p, window, stride=1, padding=window // 2) * window).amax(-1) for p in (columns, rows)]
    seen = torch.sigmoid(prediction.seen_B2)
    return Reading(
        uv_BK2=uv,
        xyz_BK3=prediction.xyz_BK3,
        confidence_BK=(mass[0] * mass[1]).clamp(max=1.0),
        presence_B=seen[:, 0],
        right_B=seen[:, 1],
    )


def make(model: ModelConfig, _: Ways) -> nn.Module:
    """Return the network with random weights."""
    return SimccNet(CompactNet(model.size, model.width, model.lift_width))


FAMILY = Family(
    make=make,
    terms=(
        Term("loss_2d", "2D"),
        Term("loss_3d", "3D", 1.0),
        Term("loss_presence", "presence", 0.1),
        Term("loss_side", "side", 0.1),
    ),
    sums=sums,
    read=read,
    read_outs=lambda _: READ_OUTS,
    deep="compact.stages.3",
)
