"""What changes while training: made from a recipe, filled from weights or a checkpoint, saved again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from handdata.errors import ConfigError
from handdata.evaluation.absolute import Size
from handdata.model.encoder import Encoder
from handdata.model.families import family_of
from handdata.model.families.family import Family
from handdata.model.networks import Ways
from handdata.model.released import find_trained
from handdata.model.weights import fill, load_encoder
from handdata.train import checkpoint
from handdata.train.config import Config
from handdata.train.distributed import spread, world
from handdata.train.epoch_losses import STEPS
from handdata.train.objective import Objective, choose_mode
from handdata.train.optim import Average, Schedule, make_optimizer
from handdata.train.reversal import TERM, Reversal, deep_module
from handdata.train.runs import last_of

FROZEN_COMPAT = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.")  # what the published code froze, docs/method.md 9.2


@dataclass(kw_only=True)
class State:
    """Everything of a training that a checkpoint holds, and the network as it is called.

    `weights` are those of the terms, `network` is the plain one, `trained` the same spread over processes;
    `objective` calls that, compiled where wanted; `size` is that of the hands that are trained on, by `measure_size`
    when it is first saved, since that reads a label of every hand.
    """

    family: Family
    weights: tuple[float, ...]
    network: nn.Module
    trained: nn.Module
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    scaler: GradScaler
    average: Average | None
    frozen: bool
    reversal: Reversal | None = None
    size: Size | None = None
    measure_size: Callable[[], Size | None] | None = None
    position: checkpoint.Position = field(default_factory=checkpoint.Position)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names: the family's, and that of the domains with `adapt`."""
        return self.family.names if self.reversal is None else (*self.family.names, TERM)

    def train_mode(self) -> None:
        """Switch to training; a frozen encoder keeps its statistics (L2)."""
        self.trained.train()
        if self.frozen:
            encoder_of(self.network).eval()

    def save(self, path: Path, config: Config, *, resumable: bool) -> None:
        """Write a checkpoint folder."""
        if self.measure_size is not None:
            self.size, self.measure_size = self.measure_size() or self.size, None
        self.position.schedule = self.schedule.state()
        self.position.scaler = dict(self.scaler.state_dict())
        self.position.average_steps = self.average.steps if self.average else 0
        checkpoint.save(
            path,
            config,
            self.position,
            self.network,
            average=self.average.values if self.average else None,
            optimizer=self.optimizer if resumable else None,
            head=None if self.reversal is None else (self.reversal.head, self.reversal.optimizer),
            size=self.size,
        )


def build(
    config: Config, device: torch.device, init_from: Path | None = None, *, datasets: Sequence[str] = ()
) -> State:
    """Make the state before the first step; the same on every process.

    Args:
        config: resolved recipe.
        device: of this process.
        init_from: run or checkpoint whose weights it starts from.
        datasets: names of those that are trained on, in order; `adapt` finds its target among them.

    Raises:
        ConfigError, MissingError, DataError: weights that are not there or do not fit.
    """
    torch.manual_seed(config.loop.seed)
    family = family_of(config.model.kind)
    weights = tuple(family.weights(config.loss).values())
    network = family.make(config.model, Ways(config.loop.split, config.loop.indices, config.loop.pad))
    if config.start.weights and init_from is None:
        load_encoder(encoder_of(network), config.start.weights)
    start = None if init_from is None else find_trained(init_from)
    if start is not None:
        fill(network, start.weights, where=f"--init-from {start.path}")
    freeze(network, config.start.encoder)
    network.to(device)
    if config.loop.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = spread(network, device, partly_used=config.loss.loss_3d == "none" or 0.0 in weights)
    reversal = _reversal(network, family, config, device, datasets)
    return State(
        family=family,
        weights=weights if reversal is None else (*weights, 1.0),
        network=network,
        trained=trained,
        objective=Objective(trained, config, choose_mode(config, device, world())),
        optimizer=make_optimizer(network, config.optim, device),
        schedule=Schedule(config.optim, config.loop.epochs * config.loop.batches),
        scaler=GradScaler(device.type, enabled=config.loop.precision == "fp16"),
        average=Average(network, config.optim.ema_decay) if config.optim.ema_decay else None,
        frozen=config.start.encoder == "frozen",
        reversal=reversal,
        size=None if start is None else start.size,
    )


def _reversal(
    network: nn.Module, family: Family, config: Config, device: torch.device, datasets: Sequence[str]
) -> Reversal | None:
    if not config.adapt.target:
        return None
    if world() > 1:
        raise ConfigError("adapt.target", expected="one process", got=f"{world()}", fix="Start one, or leave it out.")
    deep = deep_module(network, family.deep)
    return Reversal(deep, config.adapt, config.optim, device, datasets, config.loop.seed)


def resume(state: State, run: Path, config: Config) -> None:
    """Put a run's last checkpoint into a state, exactly: weights, optimiser, schedule, average, random states.

    Raises:
        MissingError: the run has no checkpoint.
        ConfigError: the run was made with other settings.
    """
    folder = last_of(run)
    saved = checkpoint.load(folder)
    _check_same(config, saved.config, run)
    fill(state.network, saved.weights, where=folder)
    checkpoint.restore(folder, state.network, state.optimizer)
    if state.reversal is not None:
        checkpoint.restore_head(folder, state.reversal.head, state.reversal.optimizer)
    state.position = saved.position
    for name in state.names if saved.position.sums else ():  # checkpoints of older versions counted no steps
        state.position.sums.setdefault(name + STEPS, saved.position.batch)
    state.schedule.restore(saved.position.schedule)
    if saved.position.scaler:
        state.scaler.load_state_dict(saved.position.scaler)
    if state.average is not None and saved.average is not None:
        state.average.load(saved.average, saved.position.average_steps)


def encoder_of(network: nn.Module) -> Encoder:
    """Return the part that published weights fill and that a recipe may freeze.

    Raises:
        ConfigError: the network has none.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise ConfigError(
            "start", expected="a family with a ResNet-34 encoder", got=type(network).__name__,
            fix='Set start.encoder = "trained" and start.weights = "".',
        )  # fmt: skip
    return encoder


def freeze(network: nn.Module, encoder: str) -> None:
    """Stop what a recipe freezes from learning: `frozen`, `frozen-compat` or `trained`.

    `frozen-compat` leaves layer4 to train and every statistic to move, as the published code did (L1, L2).
    """
    if encoder == "trained":
        network.requires_grad_()
        return
    for name, parameter in encoder_of(network).named_parameters():
        held = encoder == "frozen" or (encoder == "frozen-compat" and name.startswith(FROZEN_COMPAT))
        parameter.requires_grad_(not held)


def _check_same(now: Config, saved: Config, run: Path) -> None:
    """Refuse to resume with settings that would make another training; only its length may grow."""
    new, old = now.to_dict(), saved.to_dict()
    new["loop"]["epochs"] = old["loop"]["epochs"]
    if json.dumps(new) == json.dumps(old):
        return
    parts = [
        f"{part}.{key}" if isinstance(value, dict) else part
        for part, value in new.items()
        for key in (value if isinstance(value, dict) else [part])
        if (value[key] != old[part][key] if isinstance(value, dict) else value != old[part])
    ]
    raise ConfigError(
        f"--resume {run}",
        expected="the settings it was started with",
        got=f"other {', '.join(parts)}",
        fix="Leave out --recipe and --set to go on with its own, or start a new run with --init-from.",
    )
