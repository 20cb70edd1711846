"""Gradient reversal: a head learns to tell two domains apart, and the network unlearns what the head does it by.

Shape letters: B batch, C channels, H, W rows and columns of a feature map.

The target domain is given by `adapt.target`: datasets whose pictures are drawn, half of the samples, and whose keypoint
labels count in no loss. The head sees the network's deepest features, pooled and normalised over the batch; its
gradient goes on into the network times -lambda, lambda = strength (2 / (1 + exp(-10 p)) - 1) at share p of the steps.
Without the batch norm, and at the network's own learning rate, the head stays near chance while the domains can still
be told apart. So judge an adaptation by the target's error and by a new head on frozen features, not by this one.

Source:
    Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Optimizer

from handdata.errors import ConfigError
from handdata.train.augment.prepare import Inputs
from handdata.train.config import AdaptConfig, OptimConfig
from handdata.train.optim import make_optimizer

TERM = "loss_domain"  # in the log
HIDDEN = 256
STEEPNESS = 10.0  # of the schedule, published


class _Reversed(torch.autograd.Function):
    """The identity; its gradient is turned round."""

    @staticmethod
    def forward(context: Any, x: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradient, None


def reverse(x: Tensor, strength: float) -> Tensor:
    """Return x; what learns from the result teaches the opposite, times `strength`, to what made x."""
    result: Tensor = _Reversed.apply(x, strength)  # type: ignore[no-untyped-call]
    return result


def strength_at(share: float, largest: float) -> float:
    """Return lambda when a share of the steps is done.

    Example:
        >>> [round(strength_at(share, 1.0), 3) for share in (0, 0.1, 0.25, 0.5)]
        [0.0, 0.462, 0.848, 0.987]
    """
    return largest * (2 / (1 + math.exp(-STEEPNESS * share)) - 1)


class DomainHead(nn.Module):
    """From pooled features to the logit of the target domain.

    Args:
        channels: C of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(channels, affine=False), nn.Linear(channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(), nn.Linear(HIDDEN, 1),
        )  # fmt: skip

    def forward(self, features_BC: Tensor) -> Tensor:
        """Return (B,) logits."""
        logits: Tensor = self.layers(features_BC)[:, 0]
        return logits


class Reversal:
    """The head of one training, its optimiser, and the ear at the network's features.

    Args:
        deep: module of the network whose output is listened to.
        config: `adapt` of the recipe.
        optim: of the recipe; the head has an optimiser of the same kind.
        device: of the training.
        datasets: names of those that are trained on, in the order of their numbers.
        seed: of the head's first weights; no other random number is drawn.
    """

    def __init__(
        self, deep: nn.Module, config: AdaptConfig, optim: OptimConfig, device: torch.device,
        datasets: Sequence[str], seed: int,
    ) -> None:  # fmt: skip
        self._config = config
        self._seen: Tensor | None = None
        deep.register_forward_hook(self._hear)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = DomainHead(_channels(deep)).to(device)
        self.optimizer: Optimizer = make_optimizer(self.head, optim, device)
        numbers = [number for number, name in enumerate(datasets) if name in config.target]
        self._targets = torch.tensor(numbers, dtype=torch.int64, device=device)

    def set_rate(self, rate: float) -> None:
        """Set the head's learning rate from the network's."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self._config.rate

    def is_target(self, inputs: Inputs) -> Tensor:
        """Return (B,) bool."""
        return torch.isin(inputs.domain_B, self._targets)

    def masked(self, inputs: Inputs) -> Inputs:
        """Return the inputs without the keypoint labels of the target domain."""
        known = ~self.is_target(inputs)[:, None]
        return replace(
            inputs, present_2d_BK=inputs.present_2d_BK & known, present_3d_BK=inputs.present_3d_BK & known
        )  # fmt: skip

    def join(self, sums: Tensor, inputs: Inputs, share: float) -> Tensor:
        """Return (2 T + 2,): the (2 T,) sums and counts of the other terms with those of the domains.

        Args:
            sums: of a batch that the network has just seen.
            inputs: the batch.
            share: of the steps that are done, 0..1.
        """
        features, self._seen = self._seen, None
        assert features is not None  # noqa: S101  # the network has just been called
        pooled = features.float().mean((2, 3)) if features.ndim == 4 else features.float()
        truth = self.is_target(inputs).float()
        logits = self.head(reverse(pooled, strength_at(share, self._config.strength)))
        total = binary_cross_entropy_with_logits(logits, truth, reduction="sum")
        totals, counts = sums.chunk(2)
        return torch.cat([totals, total[None], counts, counts.new_full((1,), len(truth))])

    def _hear(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled():
            self._seen = output


def deep_module(network: nn.Module, name: str) -> nn.Module:
    """Return a family's deepest module.

    Raises:
        ConfigError: the network has none of that name.
    """
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        expected = f"a family with {name}, whose features are compared"
        raise ConfigError("adapt.target", expected=expected, got=type(network).__name__) from error


def _channels(deep: nn.Module) -> int:
    """Return the channels of what a module gives: those of its last batch norm."""
    norms = [module for module in deep.modules() if isinstance(module, nn.BatchNorm2d)]
    return norms[-1].num_features
