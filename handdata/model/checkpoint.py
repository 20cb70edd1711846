"""A trained network as applying it needs it: weights, the model's settings and a few facts; nothing of training.

The layout of a checkpoint's folder is that of handdata.train.checkpoint, which writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from handdata.errors import DataError, MissingError
from handdata.evaluation.absolute import TRAINED, Size
from handdata.files.tables import read_tree
from handdata.files.text import Wanted, read_object
from handdata.files.whole import file_sha256, json_sha256
from handdata.model.config import BEST, LAST, ModelConfig, Precision
from handdata.model.device import set_products
from handdata.model.families import check_model, family_of
from handdata.model.halves import check_finite
from handdata.model.networks import PLAIN
from handdata.model.weights import fill
from handdata.progress import say

VERSION = "handdata-checkpoint/1"
STATE_FILE, WEIGHTS, AVERAGE = "state.json", "model.safetensors", "average.safetensors"
STATE = Wanted(what="the state of a checkpoint")
ANOTHER = "Take another checkpoint of that run, or train it again."


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network; tensors on the CPU.

    Attributes:
        path: of the checkpoint.
        model: what makes the network.
        weights: the running average where there is one, else the weights.
        recipe: that trained it.
        epoch: after which it was saved.
        precision: in which it was trained.
        tf32: whether it was trained with TF32 products.
        turn: whether its 3D is in the axes of the view through the crop's middle.
        size: of the hands that it was trained on; None where their millimetres were not known, or not noted.
    """

    path: Path
    model: ModelConfig
    weights: dict[str, Tensor]
    recipe: str = ""
    epoch: int = 0
    precision: Precision = "fp32"
    tf32: bool = False
    turn: bool = False
    size: Size | None = None


def read(path: Path) -> Trained:
    """Read a checkpoint folder, or the best (else the last) of a run folder.

    Raises:
        MissingError: there is no checkpoint.
        DataError: it is damaged or of another schema.
    """
    folder = find(path)
    state = read_state(folder)
    try:
        config, loop = state["config"], state["config"]["loop"]
        where, tensors = str(folder / STATE_FILE), AVERAGE if has_average(folder, state) else WEIGHTS
        weights = read_tensors(folder, tensors, state)
        check_finite(weights, folder / tensors, "the tensors that were saved")
        return Trained(
            path=folder,
            model=check_model(read_tree(ModelConfig, config["model"], where=where, path="model."), where=where),
            weights=weights,
            recipe=str(config["name"]),
            epoch=int(state["position"]["epoch"]),
            precision=loop["precision"],
            tf32=bool(loop["tf32"]),
            turn=bool(config.get("data", {}).get("turn", False)),
            size=size_noted(state),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(folder, expected="a checkpoint", got=f"a damaged one ({error})", fix=ANOTHER) from error


def read_state(folder: Path) -> dict[str, Any]:
    """Read state.json of a checkpoint; says so where it is of an older handdata, which noted no hashes.

    Raises:
        DataError: it is damaged, or of another schema.
    """
    path = folder / STATE_FILE
    state = read_object(path, STATE, finite=False)
    if state.get("schema") != VERSION:
        raise DataError(path, expected=f"schema {VERSION}", got=str(state.get("schema")), fix=ANOTHER)
    if "sha256" not in state:
        say(f"{folder}: of an older handdata, without hashes: damage to it would not be noticed")
    elif not isinstance(state["sha256"], dict) or state.get("state_sha256") != state_sha256(state):
        raise DataError(
            path, expected="the state that was written", got="another one: the file is damaged", fix=ANOTHER
        )
    return state


def read_size(path: Path) -> Size | None:
    """Return the size of the hands that a run or checkpoint was trained on; None where it is not noted.

    Raises:
        MissingError: there is no checkpoint.
        DataError: it is damaged or of another schema.
    """
    folder = find(path)
    try:
        return size_noted(read_state(folder))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(folder, expected="a checkpoint", got=f"a damaged one ({error})", fix=ANOTHER) from error


def size_noted(facts: Mapping[str, Any]) -> Size | None:
    """Return the hand size that facts of weights hold as `hand_size`."""
    noted = facts.get("hand_size")
    return None if noted is None else Size(float(noted["mm"]), float(noted["sd_mm"]), TRAINED)


def size_facts(size: Size | None) -> dict[str, Any]:
    """Return what `size_noted` reads; nothing where no size is known."""
    return {} if size is None else {"hand_size": {"mm": size.mm, "sd_mm": size.sd_mm}}


def state_sha256(state: Mapping[str, Any]) -> str:
    """Hash what state.json holds, its own hash aside."""
    rest = {key: value for key, value in state.items() if key != "state_sha256"}
    return json_sha256(rest)


def has_average(folder: Path, state: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint has a running average."""
    return AVERAGE in state.get("sha256", ()) or (folder / AVERAGE).is_file()


def read_tensors(folder: Path, name: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read a tensor file of a checkpoint, once its hash fits.

    Args:
        folder: of the checkpoint.
        name: of the file.
        state: of `read_state`.

    Raises:
        DataError: it is not there, cannot be read, or is not what was written.
    """
    path = folder / name
    try:
        if "sha256" in state and file_sha256(path) != state["sha256"].get(name):
            got = "other bytes than were written: the file is damaged"
            raise DataError(path, expected="the tensors that were saved", got=got, fix=ANOTHER)
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        said = error.strerror if isinstance(error, OSError) else None  # with neither number nor path
        got = "no such file" if isinstance(error, FileNotFoundError) else said or str(error)
        raise DataError(path, expected="the tensors that were saved", got=got, fix=ANOTHER) from error


def find(path: Path) -> Path:
    """Return the checkpoint folder meant by a run, its `checkpoints`, or a checkpoint folder itself.

    Raises:
        MissingError: no checkpoint is there.
    """
    for parent in (path, path / "checkpoints"):
        for folder in (parent, parent / BEST, parent / LAST, parent / f"{LAST}.old"):
            if (folder / STATE_FILE).is_file():
                return folder
    if (path / "config.json").is_file():  # written before the first step
        fix = (
            "The first one comes at the end of the first epoch: wait for it, or train again if the training has ended."
        )
        raise MissingError(path, expected="a checkpoint in this run", got="none yet", fix=fix)
    raise MissingError(
        path, expected="a run or a checkpoint", got="none", fix="Run `handdata runs` to see what is there."
    )


def load_network(trained: Trained, device: torch.device) -> nn.Module:
    """Return the network with its weights, ready to predict."""
    network = family_of(trained.model.kind).make(trained.model, PLAIN)
    fill(network, trained.weights, where=trained.path)
    if device.type == "cuda":
        set_products(tf32=trained.tf32, device=device)  # PyTorch's own choice is TF32 for convolutions
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device).eval()
