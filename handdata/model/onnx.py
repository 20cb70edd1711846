"""A checkpoint as one ONNX file, for programs without PyTorch: a crop's bytes in, keypoints out.

Input `image` (batch, n, n, 3) uint8 RGB: the square crop of a LEFT hand, n the model's side; a right hand mirrored.
Outputs   `keypoints_2d` (batch, 21, 2) float32, fractions of the crop's side: pixel-centre x of the crop is u n;
          `keypoints_3d` (batch, 21, 3) float32, in units of wrist to middle MCP, the middle MCP at the origin;
          `heatmaps` (batch, 21, m, m) float32, m = n in Models 1 to 3;
          `presence`, `right` (batch,) float32, 0..1, of families that say whether a hand is there, and a right one;
          `confidence` (batch, 21) float32, 0..1.

Colour normalisation and read-out are part of the graph; the batch is free. The file's metadata repeats all of this, and
holds the settings by which `handdata predict FILE` asks it in place of the checkpoint (handdata.model.onnx_read).
"""

import json
import re
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handdata import __version__
from handdata.errors import ConfigError
from handdata.files.whole import write_bytes
from handdata.model.checkpoint import Trained, load_network, size_facts
from handdata.model.config import ModelConfig
from handdata.model.families import family_of
from handdata.model.families.family import Reading
from handdata.model.onnx_read import OUTPUTS, SETTINGS
from handdata.model.pixels import MEAN, STD
from handdata.skeleton import KEYPOINTS

OPSET = 18  # of 2022; ONNX Runtime 1.14 and later read it
INPUTS = ("image",)
_OPERATION = re.compile(r"aten[.:]+_?(\w+)")  # as PyTorch names them


class Portable(nn.Module):
    """From a crop's bytes to keypoints.

    Args:
        network: ready to predict.
        model: its settings.
        rule: read-out of its prediction; None takes the family's own.
    """

    def __init__(self, network: nn.Module, model: ModelConfig, rule: str | None = None) -> None:
        super().__init__()
        self.network, self.model = network, model
        self.family = family_of(model.kind)
        self.rule = rule or self.family.read_outs(model)[0]
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(MEAN))
        self.register_buffer("std", 255 * torch.tensor(STD))

    def forward(self, image_BHW3: Tensor) -> tuple[Tensor, ...]:
        """Return what `OUTPUTS` names, as far as the family says it, of (B, n, n, 3) uint8."""
        image = (image_BHW3.float() - self.mean) / self.std
        reading = self.family.read(self.network(image.permute(0, 3, 1, 2)), self.model, self.rule)
        return tuple(value for value in _values(reading) if value is not None)

    def names(self) -> list[str]:
        """Return the names of what `forward` returns."""
        size = self.model.size
        with torch.no_grad():
            prediction = self.network(torch.zeros(1, 3, size, size))
        values = _values(self.family.read(prediction, self.model, self.rule))
        return [name for name, value in zip(OUTPUTS, values, strict=True) if value is not None]


def _values(reading: Reading) -> tuple[Tensor | None, ...]:
    return tuple(getattr(reading, name) for name in OUTPUTS.values())


def write_onnx(path: Path, trained: Trained, rule: str | None = None) -> Path:
    """Write a checkpoint's network, with its averaged weights where it has any, in float32.

    Args:
        path: the file.
        trained: the checkpoint, as read.
        rule: read-out; None takes the model's own.

    Raises:
        ConfigError: the packages that write ONNX are not installed.
    """
    network = load_network(trained, torch.device("cpu"))
    portable = Portable(network, trained.model, rule).eval()
    model = _export(portable)
    for key, value in _facts(trained, portable).items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(path, model.SerializeToString())
    return path


def _export(portable: Portable) -> Any:
    try:
        import onnx  # noqa: F401, PLC0415  # extras
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            "--onnx", expected="onnx and onnxscript", got="not installed", fix='Run pip install "handdata[onnx]".'
        ) from error
    size = portable.model.size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)  # two, so that the batch is not taken for a constant
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter about itself
        try:
            program = torch.onnx.export(
                portable,
                (example,),
                input_names=INPUTS,
                output_names=portable.names(),
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise _not_in_onnx(portable.model.kind, str(_innermost(error)).strip()) from error
    assert program is not None  # noqa: S101  # only None when a file is given
    return program.model_proto


def _not_in_onnx(kind: str, said: str) -> ConfigError:
    """Return what to say of a family that ONNX cannot hold.

    Args:
        kind: of the model.
        said: by PyTorch, perhaps with the name of the operation.
    """
    operation = _OPERATION.search(said)
    need = f"which needs {operation[1]}" if operation else said.splitlines()[0][:160] if said else "which has others"
    rotates = operation is not None and "svd" in operation[1]
    fix = 'Train it with --set model.rotation="6d", which needs no singular values.' if rotates else ""
    return ConfigError("--onnx", expected="a family whose operations ONNX has", got=f"{kind}, {need}", fix=fix)


def _innermost(error: BaseException) -> BaseException:
    """Return what an error came from: its cause says which operation is not there, the exporter how to report that."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _facts(trained: Trained, portable: Portable) -> dict[str, str]:
    """Return what a reader of the file must know, as ONNX's text metadata."""
    model = trained.model
    settings = {
        "model": asdict(model),
        "recipe": trained.recipe,
        "epoch": trained.epoch,
        "turn": trained.turn,
        **size_facts(trained.size),
    }
    return {
        SETTINGS: json.dumps(settings),
        "handdata": __version__,
        "recipe": trained.recipe,
        "epoch": str(trained.epoch),
        "model": model.kind,
        "read_out": portable.rule,
        "image": f"(batch, {model.size}, {model.size}, 3) uint8 RGB, square crop of a left hand; mirror a right one",
        "zoom": f"{model.zoom:g}: of the picture over the square of 1.3 times the keypoints, about its middle",
        "keypoints_2d": "(batch, 21, 2) fractions of the crop's side; times its pixels: pixel-centre coordinates",
        "keypoints_3d": "(batch, 21, 3) in units of wrist to middle MCP, the middle MCP at the origin; camera axes",
        "confidence": "(batch, 21), 0..1, of each keypoint",
        "keypoint_names": json.dumps(list(KEYPOINTS)),
    }
