"""Weights from elsewhere: ImageNet for the encoder, a run's for a whole network. No pickle is ever executed."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from handdata.errors import ConfigError, DataError, MissingError
from handdata.files.opening import require_readable
from handdata.model.encoder import Encoder

OFFLINE = "Give a file of them instead, e.g. --weights resnet34.pth (torchvision's ResNet-34 state dict)."


def load_encoder(encoder: Encoder, weights: str) -> None:
    """Fill an encoder with published weights.

    Args:
        encoder: the trunk; filled in place.
        weights: a .pth or .safetensors file of ResNet-34 (a classifier in it is left aside), or torchvision's name
            for it, such as `ResNet34_Weights.IMAGENET1K_V1`.

    Raises:
        ConfigError: the name is unknown, or the weights are of another network or width.
        MissingError: the file is not there, or the weights cannot be had from here.
        DataError: the file is no file of weights.
    """
    is_file = weights.endswith((".pth", ".pt", ".safetensors"))
    state = read_weights(Path(weights)) if is_file else _from_torchvision(weights)
    trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
    fill(encoder, trunk, where=weights)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, or from .pth with nothing but tensors allowed.

    Raises:
        MissingError: no such file.
        DataError: it holds something else, or is damaged.
    """
    if not path.is_file():
        raise MissingError(path, expected="a file of weights", got="nothing there")
    require_readable(path, "a file of tensors")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch and pickle have many ways to say that a file is damaged
        got = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(path, expected="a file of tensors", got=got) from error
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise DataError(path, expected="a state dict: name -> tensor", got=type(state).__name__)
    return state


def fill(module: nn.Module, state: dict[str, Tensor], *, where: object) -> None:
    """Load a state dict that must fit name by name and shape by shape.

    Raises:
        ConfigError: the first names that are missing, too many, or of another shape. The module stays as it was.
    """
    own = module.state_dict()
    # counts of batches seen came to batch norm later than the first published weights
    missing = sorted(name for name in own.keys() - state.keys() if not name.endswith("num_batches_tracked"))
    extra = sorted(state.keys() - own.keys())
    other = sorted(n for n in own.keys() & state.keys() if own[n].shape != state[n].shape)
    for kind, names in (("no", missing), ("unknown", extra), ("otherwise shaped", other)):
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise ConfigError(
                where,
                expected=f"weights of this network ({len(own)} tensors)",
                got=f"{len(names)} {kind}: {shown}",
                fix="Use the recipe, model.kind, model.size and model.width that the weights were trained with.",
            )
    module.load_state_dict(state, strict=False)


def _from_torchvision(name: str) -> dict[str, Tensor]:
    try:
        from torchvision.models import get_weight  # noqa: PLC0415  # may be built for another torch than is here
    except (ImportError, RuntimeError, OSError) as error:
        got = f"torchvision does not import here ({str(error).splitlines()[0]})"
        raise MissingError(f"--weights {name}", expected="weights by name", got=got, fix=OFFLINE) from error
    full = name if "." in name else f"ResNet34_Weights.{name}"
    try:
        weights = get_weight(full)
    except (ValueError, AttributeError, KeyError) as error:
        raise ConfigError(
            f"--weights {name}", expected="ResNet34_Weights.IMAGENET1K_V1 or a file", got="an unknown name", fix=OFFLINE
        ) from error
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, or a damaged download
        raise MissingError(f"--weights {name}", expected="a download", got=str(error), fix=OFFLINE) from error
    return state
