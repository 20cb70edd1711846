"""What a family is: a network, its losses by name, and how its prediction is read.

Shape letters: B batch, K the 21 keypoints, H, W rows and columns of a map. All tensors lie on the batch's device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from handdata.errors import ConfigError
from handdata.model.config import LossConfig, ModelConfig
from handdata.model.losses import Ratio
from handdata.model.networks import Ways


class Labels(NamedTuple):
    """What losses compare a prediction with; all of it belongs to the crop as shown, turned and mirrored with it.

    Attributes:
        uv_BK2: float32 fractions of the crop side; 0 where not labelled.
        present_2d_BK: bool, labelled and inside the picture and the crop.
        xyz_BK3: float32, units of wrist to middle MCP; 0 where not labelled.
        present_3d_BK: bool.
        K_B33: float32, intrinsics of the crop, px; NaN where not known.
        turn_B33: float32, the turn from the crop camera's axes to those of `xyz_BK3`; the identity without one.
        scale_B: float32, wrist to middle MCP, mm; NaN where not known.
        hand_B: bool, a hand is there: something of it is labelled.
        right_B: bool, it is a right one, as shown; False where its side is not known.
        side_known_B: bool, the dataset says its side.
        domain_B: int64, number of the dataset in the mixture.
    """

    uv_BK2: Tensor
    present_2d_BK: Tensor
    xyz_BK3: Tensor
    present_3d_BK: Tensor
    K_B33: Tensor
    turn_B33: Tensor
    scale_B: Tensor
    hand_B: Tensor
    right_B: Tensor
    side_known_B: Tensor
    domain_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A prediction as positions.

    Attributes:
        uv_BK2: fractions of the crop side, x_n / n.
        xyz_BK3: units of wrist to middle MCP, the middle MCP at the origin, axes as trained.
        confidence_BK: 0..1.
        presence_B: 0..1, a hand is there; None where the family does not say.
        right_B: 0..1, it is a right one, as shown; None where the family does not say.
        maps_BKHW: heatmaps; None without.
    """

    uv_BK2: Tensor
    xyz_BK3: Tensor
    confidence_BK: Tensor
    presence_B: Tensor | None = None
    right_B: Tensor | None = None
    maps_BKHW: Tensor | None = None


class Term(NamedTuple):
    """One loss of a family.

    Attributes:
        name: in the log and in `loss.weights`.
        label: on the line of an epoch.
        weight: by default.
        setting: field of LossConfig that is its default weight instead; "" none.
    """

    name: str
    label: str
    weight: float = 1.0
    setting: str = ""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
        make: (config, ways) -> the network; it maps (B, 3, n, n) to a NamedTuple of batched tensors.
        terms: its losses, in the order of `sums`.
        sums: (prediction, labels, config) -> one masked sum a term.
        read: (prediction, config, read-out) -> positions.
        read_outs: config -> names of the read-outs, its own first.
        deep: name of the module whose output, (B, C, H, W), holds most of what it knows; `adapt` acts there.
        depths: its pose is 2D and one depth per keypoint, which a known camera turns into one in perspective.
    """

    make: Callable[[ModelConfig, Ways], nn.Module]
    terms: tuple[Term, ...]
    sums: Callable[[Any, Labels, LossConfig], tuple[Ratio, ...]]
    read: Callable[[Any, ModelConfig, str], Reading]
    read_outs: Callable[[ModelConfig], tuple[str, ...]]
    deep: str = "encoder.layer4"
    depths: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in order."""
        return tuple(term.name for term in self.terms)

    def weights(self, loss: LossConfig) -> dict[str, float]:
        """Return each term's weight.

        Raises:
            ConfigError: `loss.weights` names a term that the family does not have.
        """
        for name in loss.weights:
            if name not in self.names:
                expected = f"terms of this family: {', '.join(self.names)}"
                raise ConfigError("loss.weights", expected=expected, got=repr(name))
        own = ((t.name, getattr(loss, t.setting) if t.setting else t.weight) for t in self.terms)
        return {name: loss.weights.get(name, default) for name, default in own}
