"""Checkpoints: safetensors and JSON in a folder, no pickle.

    checkpoints/<name>/model.safetensors       weights and buffers
                       average.safetensors     their running average, where the recipe keeps one
                       optimizer.safetensors   the optimiser's tensors and the random states; not in `best`
                       state.json              config, position, schedule, losses so far, version

A checkpoint replaces the one before it whole: written beside it as `<name>.partial`, then renamed.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from handdata import __version__
from handdata.errors import DataError, WriteError
from handdata.files.tables import read_tree
from handdata.files.text import read_object
from handdata.model.checkpoint import STATE, VERSION, Trained, find
from handdata.train.config import Config


@dataclass(kw_only=True)
class Position:
    """Where a training stands; plain values.

    Attributes:
        epoch: the one in work, from 0.
        batch: its next batch, from 0.
        step: steps taken since the first.
        sums: of the epoch's losses so far, by name.
        best_loss: lowest validation total so far; None before the first.
        best_epoch: when that was.
        schedule: the learning rate's state.
        scaler: the fp16 gradient scaler's state.
        average_steps: updates of the running average.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_loss: float | None = None
    best_epoch: int | None = None
    schedule: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)
    average_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint as read; tensors on the CPU."""

    path: Path
    config: Config
    position: Position
    weights: dict[str, Tensor]
    average: dict[str, Tensor] | None

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The running average where there is one, else the weights: what is validated, scored and applied."""
        return self.weights if self.average is None else self.average

    @property
    def trained(self) -> Trained:
        """What applying it needs."""
        return Trained(
            path=self.path,
            model=self.config.model,
            weights=self.best_weights,
            recipe=self.config.name,
            epoch=self.position.epoch,
            precision=self.config.loop.precision,
            tf32=self.config.loop.tf32,
            turn=self.config.data.turn,
        )


def save(
    path: Path,
    config: Config,
    position: Position,
    network: nn.Module,
    *,
    average: dict[str, Tensor] | None = None,
    optimizer: Optimizer | None = None,
) -> None:
    """Write a checkpoint folder, replacing the one at `path`.

    Args:
        path: the folder.
        config: resolved; it is stored inside.
        position: where the training stands.
        network: whose weights and buffers are stored.
        average: values of the running average.
        optimizer: stored with the random states, for `restore`; leave out what is not to be resumed.

    Raises:
        WriteError: it could not be written, most often for want of room.
    """
    partial, old = path.with_name(path.name + ".partial"), path.with_name(path.name + ".old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_tensors(partial / "model.safetensors", network.state_dict())
    if average is not None:
        _write_tensors(partial / "average.safetensors", average)
    if optimizer is not None:
        _write_tensors(partial / "optimizer.safetensors", {**_optimizer_tensors(optimizer, network), **_random_state()})
    state = {
        "schema": VERSION,
        "handdata_version": __version__,
        "position": vars(position),
        "config": config.to_dict(),
    }
    write_text(partial / "state.json", json.dumps(state, indent=1) + "\n")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint folder, or the best (else the last) of a run folder.

    Raises:
        MissingError: there is no checkpoint.
        DataError: it is damaged or of another schema.
    """
    folder = find(path)
    try:
        state = read_object(folder / "state.json", STATE, finite=False)
        if state.get("schema") != VERSION:
            raise DataError(folder / "state.json", expected=f"schema {VERSION}", got=str(state.get("schema")))
        average = folder / "average.safetensors"
        return Checkpoint(
            path=folder,
            config=read_tree(Config, state["config"], where=str(folder / "state.json")),
            position=Position(**state["position"]),
            weights=load_file(folder / "model.safetensors"),
            average=load_file(average) if average.is_file() else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(folder, expected="a checkpoint", got=f"a damaged one ({error})") from error


def restore(folder: Path, network: nn.Module, optimizer: Optimizer) -> None:
    """Put the optimiser's tensors and the random states back; the weights are `weights.fill`'s.

    Raises:
        DataError: the optimiser stored is of other parameters.
    """
    path = folder / "optimizer.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(path, expected="an optimiser's state", got=str(error)) from error
    torch.set_rng_state(tensors.pop("random.cpu"))
    cuda = tensors.pop("random.cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            prefix = f"optimizer.{names[id(parameter)]}."
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            if own:
                counts_there = bool(group.get("fused"))  # a fused kernel reads the number of steps on the device
                optimizer.state[parameter] = {
                    key: (value.to(parameter.device) if counts_there else value)
                    if key == "step"
                    else torch.empty_like(parameter).copy_(
                        value
                    )  # in the parameter's memory format, as kernels want it
                    for key, value in own.items()
                }


def write_text(path: Path, text: str) -> None:
    """Write a text file and wait until it is on the disk."""
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _optimizer_tensors(optimizer: Optimizer, network: nn.Module) -> dict[str, Tensor]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"optimizer.{names[id(parameter)]}.{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def _random_state() -> dict[str, Tensor]:
    state = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        fix = "Make room, and go on with --resume where there is a checkpoint."
        raise WriteError(path, expected="a checkpoint written whole", got=str(error), fix=fix) from error
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
