"""Checkpoints: safetensors and JSON in a folder, no pickle.

    checkpoints/<name>/model.safetensors       weights and buffers
                       average.safetensors     their running average, where the recipe keeps one
                       optimizer.safetensors   the optimiser's tensors and the random states; not in `best`
                       head.safetensors        of `adapt`: the head that tells domains apart and its optimiser; the same
                       state.json              config, position, schedule, losses so far, version, the files' sha256

A checkpoint replaces the one before it whole: written beside it as `<name>.partial` and synced, then renamed, with the
one before it as `<name>.old` until that is on the disk too.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.optim import Optimizer

from handdata import __version__
from handdata.errors import DataError, WriteError
from handdata.evaluation.absolute import Size
from handdata.files.tables import read_tree
from handdata.files.whole import sync_folder, write_error
from handdata.model.checkpoint import (
    ANOTHER,
    AVERAGE,
    STATE_FILE,
    VERSION,
    WEIGHTS,
    Trained,
    find,
    has_average,
    read_state,
    read_tensors,
    size_facts,
    size_noted,
    state_sha256,
)
from handdata.model.weights import fill
from handdata.train.config import Config
from handdata.train.runs import settle

OPTIMIZER, HEAD = "optimizer.safetensors", "head.safetensors"


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
    size: Size | None = None

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
            size=self.size,
        )


def save(
    path: Path,
    config: Config,
    position: Position,
    network: nn.Module,
    *,
    average: dict[str, Tensor] | None = None,
    optimizer: Optimizer | None = None,
    head: tuple[nn.Module, Optimizer] | None = None,
    size: Size | None = None,
) -> None:
    """Write a checkpoint folder, replacing the one at `path`.

    Args:
        path: the folder.
        config: resolved; it is stored inside.
        position: where the training stands.
        network: whose weights and buffers are stored.
        average: values of the running average.
        optimizer: stored with the random states, for `restore`; leave out what is not to be resumed.
        head: of `adapt` and its optimiser, stored beside `optimizer`.
        size: of the hands that are trained on.

    Raises:
        WriteError: it could not be written, most often for want of room, or because somebody removed the run.
    """
    try:
        _save(path, config, position, network, average, optimizer, head, size)
    except OSError as error:
        raise write_error(Path(error.filename or path), error) from error
    finally:
        settle(path.parent)


def _save(
    path: Path,
    config: Config,
    position: Position,
    network: nn.Module,
    average: dict[str, Tensor] | None,
    optimizer: Optimizer | None,
    head: tuple[nn.Module, Optimizer] | None,
    size: Size | None,
) -> None:
    partial, old = path.with_name(path.name + ".partial"), path.with_name(path.name + ".old")
    settle(path.parent)
    partial.mkdir()
    tensors = {WEIGHTS: network.state_dict()}
    if average is not None:
        tensors[AVERAGE] = average
    if optimizer is not None:
        tensors[OPTIMIZER] = {**_optimizer_tensors(optimizer, network), **_random_state()}
        if head is not None:
            tensors[HEAD] = {**head[0].state_dict(), **_optimizer_tensors(head[1], head[0])}
    hashes = {name: _write_tensors(partial / name, values) for name, values in tensors.items()}
    state: dict[str, Any] = {
        "schema": VERSION,
        "handdata_version": __version__,
        "position": _plain(vars(position)),
        "config": config.to_dict(),
        **size_facts(size),
        "sha256": hashes,
    }
    state["state_sha256"] = state_sha256(state)
    write_text(partial / STATE_FILE, json.dumps(state, indent=1, allow_nan=False) + "\n")
    sync_folder(partial)
    if path.exists():
        path.rename(old)
    partial.rename(path)
    sync_folder(path.parent)  # `settle` removes the old one afterwards


def load(path: Path) -> Checkpoint:
    """Read a checkpoint folder, or the best (else the last) of a run folder.

    Raises:
        MissingError: there is no checkpoint.
        DataError: it is damaged or of another schema.
    """
    folder = find(path)
    state = read_state(folder)
    try:
        return Checkpoint(
            path=folder,
            config=read_tree(Config, state["config"], where=str(folder / STATE_FILE)),
            position=Position(**{key: _numbers(value) for key, value in state["position"].items()}),
            weights=read_tensors(folder, WEIGHTS, state),
            average=read_tensors(folder, AVERAGE, state) if has_average(folder, state) else None,
            size=size_noted(state),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(folder, expected="a checkpoint", got=f"a damaged one ({error})", fix=ANOTHER) from error


def restore(folder: Path, network: nn.Module, optimizer: Optimizer) -> None:
    """Put the optimiser's tensors and the random states back; the weights are `weights.fill`'s.

    Raises:
        DataError: what was stored is damaged.
    """
    tensors = read_tensors(folder, OPTIMIZER, read_state(folder))
    torch.set_rng_state(tensors.pop("random.cpu"))
    cuda = tensors.pop("random.cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    _fill_optimizer(optimizer, network, tensors)


def restore_head(folder: Path, head: nn.Module, optimizer: Optimizer) -> None:
    """Put the head of `adapt` and its optimiser's tensors back.

    Raises:
        DataError: what was stored is damaged.
    """
    tensors = read_tensors(folder, HEAD, read_state(folder))
    fill(head, {name: value for name, value in tensors.items() if not name.startswith("optimizer.")}, where=folder)
    _fill_optimizer(optimizer, head, tensors)


def _fill_optimizer(optimizer: Optimizer, network: nn.Module, tensors: dict[str, Tensor]) -> None:
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
    _write(path, text.encode())


def _plain(value: Any) -> Any:
    """Return plain data that JSON can hold: infinity and NaN as the words that `float` reads."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(value: Any) -> Any:
    """Return what `_plain` made plain."""
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    return float(value) if isinstance(value, str) else value


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


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors and return the hash of the file, as it is in memory.

    safetensors' own writing of files is not used: it goes through a file of another name, which a killed process
    leaves, and tells of a full disk without its number.
    """
    data = packed({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    try:
        _write(path, data)
    except OSError as error:
        fix = "Make room, and go on with --resume where there is a checkpoint."
        got = error.strerror or str(error)
        raise WriteError(path, expected="a checkpoint written whole", got=got, fix=fix) from error
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
