"""The optimiser, its learning rate, and the running average of the weights."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from handdata.train.config import OptimConfig


def make_optimizer(network: nn.Module, config: OptimConfig, device: torch.device) -> Optimizer:
    """Return the optimiser of the parameters that train; frozen ones are left out.

    Weight decay, where the recipe has any, spares batch norm and biases (tensors of one dimension). One kernel updates
    many parameters: on two CPU cores AdamW takes 9 % of a step of the recipe `demo` otherwise.
    """
    fused = True if device.type in ("cpu", "cuda") else None
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.kind == "sgd":
        return SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused)
    return AdamW(groups, lr=config.lr, betas=config.betas, fused=fused)


class Schedule:
    """The learning rate of every step: warm-up times a constant, a cosine, or a plateau's drops.

    Args:
        config: the recipe's.
        total_steps: of the whole training; the cosine ends there.
    """

    def __init__(self, config: OptimConfig, total_steps: int) -> None:
        self._config, self._total = config, total_steps
        self.drops = 0
        self.best = math.inf
        self.bad_epochs = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ... ."""
        config = self._config
        rate = config.lr * config.plateau_factor**self.drops
        if config.schedule == "cosine":
            done = min(1.0, max(0, step - config.warmup_steps) / max(1, self._total - config.warmup_steps))
            rate = config.lr * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))
        return rate * min(1.0, (step + 1) / (config.warmup_steps + 1))

    def epoch_ended(self, loss: float) -> None:
        """Count an epoch; after `plateau_patience` of them without a better loss, drop the rate (L3)."""
        if self._config.schedule != "plateau":
            return
        if loss < self.best * (1 - self._config.plateau_threshold):
            self.best, self.bad_epochs = loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self._config.plateau_patience:
            self.drops += 1
            self.bad_epochs = 0

    def state(self) -> dict[str, float]:
        """Return what `restore` needs."""
        return {"drops": self.drops, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from `state`."""
        self.drops, self.bad_epochs = int(state["drops"]), int(state["bad_epochs"])
        self.best = float(state["best"])


class Average:
    """An exponential moving average of a network's parameters and buffers, which must stay the tensors that they are.

    The decay rises with the steps taken, (1 + n) / (10 + n) up to `decay`, so that a short run averages too.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        live = network.state_dict()  # the tensors themselves: training changes them in place
        self.values = {name: value.detach().clone() for name, value in live.items()}
        floats = [name for name, value in live.items() if value.is_floating_point()]
        counts = [name for name in live if name not in floats]
        self._floats = [self.values[name] for name in floats], [live[name] for name in floats]
        self._counts = [self.values[name] for name in counts], [live[name] for name in counts]

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the network's present values."""
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(*self._floats, weight)
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

    def load(self, values: dict[str, Tensor], steps: int) -> None:
        """Go on from saved values."""
        self.steps = steps
        for name, mean in self.values.items():
            mean.copy_(values[name])


def clip(parameters: Iterable[Tensor], limit: float) -> None:
    """Scale all gradients together so that their norm is at most `limit`; 0 leaves them."""
    if limit > 0:
        torch.nn.utils.clip_grad_norm_(parameters, limit)
