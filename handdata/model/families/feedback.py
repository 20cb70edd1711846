"""feedback: the answer is drawn onto the picture and corrected, in bounded steps from the mean pose.

Shape letters: B batch, K the 21 keypoints, T steps, H, W rows and columns, n side of the input.

x_t = picture and 21 Gaussians at y_t; y_(t+1) = y_t + u_t min(1, L / |u_t|) for each keypoint, y = (uv, pose). A step
is compared with the bounded one towards the truth from where the answer then is. Published training draws the answers
of a fixed path instead; here they are the network's own, without a gradient from one step to the next.

Source:
    Carreira et al., Human Pose Estimation with Iterative Error Feedback, CVPR 2016.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from handdata.model.config import LossConfig, ModelConfig
from handdata.model.encoder import Encoder, scaled
from handdata.model.families.family import Family, Labels, Reading, Term
from handdata.model.losses import Ratio, masked
from handdata.model.networks import Ways
from handdata.skeleton import NUM_KEYPOINTS

STEPS = 4
LONGEST_2D, LONGEST_3D = 0.10, 0.25  # of the crop side; of wrist to middle MCP
SIGMA = 3 / 128  # of the drawn Gaussians, crop sides
HIDDEN = 200
# Mean of 2,048 left hands of `handdata synth` in crops of 1.29 times their keypoints' square.
MEAN_UV = (
    (0.500, 0.678), (0.500, 0.639), (0.499, 0.605), (0.497, 0.557), (0.495, 0.518), (0.503, 0.461), (0.504, 0.401),
    (0.504, 0.400), (0.500, 0.413), (0.504, 0.455), (0.506, 0.384), (0.505, 0.394), (0.502, 0.415), (0.505, 0.465),
    (0.506, 0.404), (0.505, 0.413), (0.503, 0.432), (0.505, 0.492), (0.507, 0.447), (0.507, 0.450), (0.505, 0.459),
)  # fmt: skip
MEAN_XYZ = (
    (0, 0.418, 0.091), (0, 0.343, 0.085), (0, 0.276, 0.077), (0, 0.184, 0.063), (0, 0.109, 0.047), (0, 0.010, 0.011),
    (0, -0.110, -0.008), (0, -0.123, -0.008), (0, -0.107, -0.005), (0, 0, 0), (0, -0.139, -0.028), (0, -0.132, -0.021),
    (0, -0.102, -0.013), (0, 0.019, -0.002), (0, -0.102, -0.030), (0, -0.093, -0.026), (0, -0.065, -0.017),
    (0, 0.069, 0.004), (0, -0.020, -0.020), (0, -0.020, -0.020), (0, -0.008, -0.018),
)  # fmt: skip


class Steps(NamedTuple):
    """What the network says of a batch.

    Attributes:
        uv_BTK2: float32 answers before each step, and the last one: T + 1 of them.
        xyz_BTK3: float32, the same in 3D.
    """

    uv_BTK2: Tensor
    xyz_BTK3: Tensor


class FeedbackNet(nn.Module):
    """Model 1's encoder over the picture and the answer so far, and a linear head of steps."""

    def __init__(self, model: ModelConfig, _ways: Ways) -> None:
        super().__init__()
        self.size = model.size
        self.encoder = Encoder(model.width)
        channels = self.encoder.channels
        self.drawn = nn.Conv2d(NUM_KEYPOINTS, channels[0], 7, stride=2, padding=3, bias=False)
        hidden = scaled(HIDDEN, model.width)
        self.step = nn.Sequential(
            nn.Linear(channels[4] + 5 * NUM_KEYPOINTS, hidden), nn.ReLU(), nn.Linear(hidden, 5 * NUM_KEYPOINTS)
        )
        self.mean: Tensor
        mean = torch.cat((torch.tensor(MEAN_UV), torch.tensor(MEAN_XYZ, dtype=torch.float32)), -1)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, image_B3HW: Tensor) -> Steps:
        """Return the answers of all steps on (B, 3, n, n) normalised images."""
        answer = self.mean.expand(image_B3HW.shape[0], -1, -1)  # len() would fix the batch of an exported network
        found = [answer]
        for _ in range(STEPS):
            before = answer.detach()
            wanted = self.step(torch.cat((self._seen(image_B3HW, before[..., :2]), before.flatten(1)), 1)).float()
            answer = before + bounded(wanted.unflatten(1, (NUM_KEYPOINTS, 5)))
            found.append(answer)
        steps = torch.stack(found, 1)
        return Steps(steps[..., :2], steps[..., 2:])

    def _seen(self, image_B3HW: Tensor, uv_BK2: Tensor) -> Tensor:
        """Return pooled features of the picture with the answer drawn on: another stem's maps are added to its own."""
        encoder = self.encoder
        x = encoder.conv1(image_B3HW) + self.drawn(draw(uv_BK2, self.size).to(image_B3HW.dtype))
        x = encoder.maxpool(encoder.relu(encoder.bn1(x)))
        pooled: Tensor = encoder.layer4(encoder.layer3(encoder.layer2(encoder.layer1(x)))).mean((2, 3))
        return pooled


def bounded(step_BK5: Tensor) -> Tensor:
    """Return steps no longer than LONGEST_2D in uv and LONGEST_3D in the pose, each keypoint's for itself."""
    parts = []
    for part, longest in ((step_BK5[..., :2], LONGEST_2D), (step_BK5[..., 2:], LONGEST_3D)):
        length = torch.linalg.vector_norm(part, dim=-1, keepdim=True)
        parts.append(part * (longest / length.clamp(min=longest)))
    return torch.cat(parts, -1)


def draw(uv_BK2: Tensor, size: int) -> Tensor:
    """Return (B, K, n, n) Gaussians at positions, fractions of the side."""
    at = torch.arange(size, device=uv_BK2.device, dtype=torch.float32) / size
    profile = torch.exp(-0.5 * ((at - uv_BK2[..., None]) / SIGMA) ** 2)
    return profile[:, :, 1, :, None] * profile[:, :, 0, None, :]


def sums(prediction: Steps, labels: Labels, _: LossConfig) -> tuple[Ratio, ...]:
    """Return the squared differences of all steps from the bounded ones towards the truth, in units of the longest."""
    flat, deep = labels.present_2d_BK, labels.present_3d_BK
    uv = torch.where(flat[..., None], labels.uv_BK2, 0.0)
    xyz = torch.where(deep[..., None], labels.xyz_BK3, 0.0)
    true = torch.cat((uv, xyz), -1)[:, None]
    answers = torch.cat(prediction, -1)
    before = answers[:, :-1].detach()
    off = answers[:, 1:] - before - bounded(true - before)
    per_2d = (off[..., :2] / LONGEST_2D).square().mean((1, 3))
    per_3d = (off[..., 2:] / LONGEST_3D).square().mean((1, 3))
    return masked(per_2d, flat), masked(per_3d, deep)


def read(prediction: Steps, _model: ModelConfig, _rule: str) -> Reading:
    """Return the last answer; its confidence falls with the length of the last step."""
    uv, before = prediction.uv_BTK2[:, -1], prediction.uv_BTK2[:, -2]
    last = torch.linalg.vector_norm(uv - before, dim=-1)
    return Reading(uv_BK2=uv, xyz_BK3=prediction.xyz_BTK3[:, -1], confidence_BK=(1 - last / LONGEST_2D).clamp(min=0.0))


FAMILY = Family(
    make=FeedbackNet,
    terms=(Term("loss_2d", "2D"), Term("loss_3d", "3D")),
    sums=sums,
    read=read,
    read_outs=lambda _: ("last",),
)
