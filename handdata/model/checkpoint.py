"""A trained network as applying it needs it: weights, the model's settings and a few facts; nothing of training.

The layout of a checkpoint's folder is that of handdata.train.checkpoint, which writes it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from handdata.errors import DataError, MissingError
from handdata.files.tables import read_tree
from handdata.files.text import Wanted, read_object
from handdata.model.config import BEST, LAST, ModelConfig, Precision
from handdata.model.device import set_products
from handdata.model.families import family_of
from handdata.model.networks import PLAIN
from handdata.model.weights import fill

VERSION = "handdata-checkpoint/1"
STATE = Wanted(what="the state of a checkpoint")


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
    """

    path: Path
    model: ModelConfig
    weights: dict[str, Tensor]
    recipe: str = ""
    epoch: int = 0
    precision: Precision = "fp32"
    tf32: bool = False
    turn: bool = False


def read(path: Path) -> Trained:
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
        config, loop = state["config"], state["config"]["loop"]
        average = folder / "average.safetensors"
        return Trained(
            path=folder,
            model=read_tree(ModelConfig, config["model"], where=str(folder / "state.json"), path="model."),
            weights=load_file(average if average.is_file() else folder / "model.safetensors"),
            recipe=str(config["name"]),
            epoch=int(state["position"]["epoch"]),
            precision=loop["precision"],
            tf32=bool(loop["tf32"]),
            turn=bool(config.get("data", {}).get("turn", False)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(folder, expected="a checkpoint", got=f"a damaged one ({error})") from error


def find(path: Path) -> Path:
    """Return the checkpoint folder meant by a run, its `checkpoints`, or a checkpoint folder itself.

    Raises:
        MissingError: there is none.
    """
    for parent in (path, path / "checkpoints"):
        for folder in (parent, parent / BEST, parent / LAST, parent / f"{LAST}.old"):
            if (folder / "state.json").is_file():
                return folder
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
