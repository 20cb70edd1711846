"""lifting: 2D heatmaps are lifted to a pose in the hand's own frame, and to the view of that frame.

Shape letters: B batch, K the 21 keypoints, H, W rows and columns of a map, n side of the input.

The canonical frame of a left hand (right ones are shown mirrored): y from the middle MCP to the wrist, x across the
knuckles to the index finger, z out of the palm. With R its rows, canonical = N R^T and N = canonical R. Two streams see
the maps alone: one answers the canonical pose, the other nine numbers whose nearest rotation is R, or, as
`model.rotation` says, six: y, and x once its part along y is taken off.

Source:
    Zimmermann and Brox, Learning to Estimate 3D Hand Pose from Single RGB Images, ICCV 2017, section 4.3; Zhou et al.,
    On the Continuity of Rotation Representations in Neural Networks, CVPR 2019, for the six numbers.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import Encoder, scaled
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.families.pyramid import Pyramid
from handdata.model.heatmaps import iou_per_map, profiles
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.model.read_out import READ_OUTS, ReadOut, read_out
from handdata.skeleton import INDEX, NUM_KEYPOINTS, WRIST

STREAM = (32, 64, 128)  # channels
HIDDEN = 512
STRIDE = 4  # of the maps
LEAST = 0.2  # across the knuckles, in units of wrist to middle MCP: below it the frame means nothing


class LiftingPrediction(NamedTuple):
    """What the network says of a batch.

    Attributes:
        maps_BKHW: float32 heatmaps at n / 4, each cell in (0, 1).
        xyz_BK3: float32 pose: canonical pose times view.
        canonical_BK3: float32, in the hand's own frame.
        view_B33: float32 rotations, rows the frame's axes.
    """

    maps_BKHW: Tensor
    xyz_BK3: Tensor
    canonical_BK3: Tensor
    view_B33: Tensor


class LiftingNet(nn.Module):
    """Heatmaps at a quarter of the side, and two streams over them."""

    def __init__(self, model: ModelConfig, ways: Ways) -> None:
        super().__init__()
        self.size, self.logit_offset = model.size, model.logit_offset
        self.pyramid = Pyramid(model.width, ways)
        self.logits = nn.Conv2d(self.encoder.channels[1], NUM_KEYPOINTS, 3, padding=1)
        self.pose = _stream(model, 3 * NUM_KEYPOINTS)
        self.from_vectors = model.rotation == "6d"
        # their rotation is the identity; equal singular values would have no gradient
        begin = torch.eye(3)[[1, 0]] if self.from_vectors else torch.diag(torch.tensor([3.0, 2.0, 1.0]))
        self.view = _stream(model, begin.numel())
        with torch.no_grad():
            cast(nn.Linear, self.view[-1]).weight.mul_(0.1)
            cast(nn.Linear, self.view[-1]).bias.copy_(begin.flatten())

    @property
    def encoder(self) -> Encoder:
        """What published weights fill, and what a recipe may freeze."""
        return self.pyramid.encoder

    def forward(self, image_B3HW: Tensor) -> LiftingPrediction:
        """Return maps, pose and view of (B, 3, n, n) normalised images."""
        maps = torch.sigmoid(self.logits(self.pyramid(image_B3HW).up3).float() + self.logit_offset)
        seen = maps.detach()  # as published: lifting does not bend the maps
        canonical = self.pose(seen).float().unflatten(1, (NUM_KEYPOINTS, 3))
        rotation = rotation_of_vectors if self.from_vectors else nearest_rotation
        view = rotation(self.view(seen).float().unflatten(1, (-1, 3)))
        return LiftingPrediction(maps, (canonical[..., None] * view[:, None]).sum(2), canonical, view)


def _stream(model: ModelConfig, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    before, cells = NUM_KEYPOINTS, model.size // STRIDE
    for channels in STREAM:
        own = scaled(channels, model.width)
        layers += [
            nn.Conv2d(before, own, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(own, own, 3, stride=2, padding=1),
            nn.ReLU(),
        ]
        before, cells = own, cells // 2
    hidden = scaled(HIDDEN, model.width)
    layers += [nn.Flatten(), nn.Linear(before * cells**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))


def nearest_rotation(M_B33: Tensor) -> Tensor:
    """Return the rotations nearest to (B, 3, 3) matrices: U diag(1, 1, det U V^T) V^T, in float32 whatever autocast."""
    with torch.autocast(M_B33.device.type, enabled=False):
        U, _, Vt = torch.linalg.svd(M_B33.float())
        sign = torch.linalg.det(U @ Vt)
        last = torch.stack((torch.ones_like(sign), torch.ones_like(sign), sign), -1)
        rotation: Tensor = (U * last[:, None]) @ Vt
        return rotation


def rotation_of_vectors(a_B23: Tensor) -> Tensor:
    """Return the rotations whose y is along the first of two vectors and whose x is the second's part across it."""
    with torch.autocast(a_B23.device.type, enabled=False):
        y, other = nn.functional.normalize(a_B23[:, 0].float(), dim=-1), a_B23[:, 1].float()
        x = nn.functional.normalize(other - (other * y).sum(-1, keepdim=True) * y, dim=-1)
        return torch.stack((x, y, torch.linalg.cross(x, y)), 1)


def view_of(xyz_BK3: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, 3, 3) frames of poses, and (B,) whether they mean anything; the identity where they do not."""
    down = nn.functional.normalize(xyz_BK3[:, WRIST], dim=-1)
    across = xyz_BK3[:, INDEX["index_mcp"]] - xyz_BK3[:, INDEX["little_mcp"]]
    across = across - (across * down).sum(-1, keepdim=True) * down
    width = torch.linalg.vector_norm(across, dim=-1)
    x = nn.functional.normalize(across, dim=-1)
    frame = torch.stack((x, down, torch.linalg.cross(x, down)), 1)
    good = width >= LEAST
    return torch.where(good[:, None, None], frame, torch.eye(3, device=frame.device, dtype=frame.dtype)), good


def sums(prediction: LiftingPrediction, labels: Labels, loss: LossConfig) -> tuple[Ratio, ...]:
    """Return the losses of maps, canonical pose, view and pose."""
    flat, deep = labels.present_2d_BK, labels.present_3d_BK
    px, py = profiles(labels.uv_BK2, prediction.maps_BKHW.shape[-1], 1.0)
    true = torch.where(deep[..., None], labels.xyz_BK3, 0.0)
    view, good = view_of(true)
    good = good & deep[:, [WRIST, INDEX["index_mcp"], INDEX["little_mcp"]]].all(1)
    canonical = (true[..., None, :] * view[:, None]).sum(-1)
    return (
        masked(iou_per_map(prediction.maps_BKHW, px, py), flat, loss.over),
        masked((prediction.canonical_BK3 - canonical).square().sum(-1), deep & good[:, None]),
        masked((prediction.view_B33 - view).square().sum((1, 2)), good),
        masked((prediction.xyz_BK3 - true).square().mean(-1), deep),
    )


def read(prediction: LiftingPrediction, _: ModelConfig, rule: str) -> Reading:
    """Return positions of the maps and the lifted pose."""
    maps = prediction.maps_BKHW
    uv = read_out(maps, cast(ReadOut, rule))
    return Reading(uv_BK2=uv, xyz_BK3=prediction.xyz_BK3, confidence_BK=maps.amax((2, 3)), maps_BKHW=maps)


FAMILY = Family(
    make=LiftingNet,
    terms=(
        Term("loss_2d", "2D"),
        Term("loss_canonical", "canonical"),
        Term("loss_view", "view"),
        Term("loss_3d", "3D"),
    ),
    sums=sums,
    read=read,
    read_outs=lambda _: ("thresholded", *(rule for rule in READ_OUTS if rule != "thresholded")),
)
