"""A checkpoint as one ONNX file, for programs without PyTorch: a crop's bytes in, keypoints out.

Input `image` (batch, n, n, 3) uint8 RGB: the square crop of a LEFT hand, n the model's side; a right hand mirrored.
Outputs   `keypoints_2d` (batch, 21, 2) float32, fractions of the crop's side: pixel-centre x of the crop is u n;
          `keypoints_3d` (batch, 21, 3) float32, in units of wrist to middle MCP, the middle MCP at the origin;
          `heatmaps` (batch, 21, n, n) float32.

Colour normalisation and read-out are part of the graph; the batch is free. The file's metadata repeats all of this.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handdata import __version__
from handdata.errors import ConfigError
from handdata.files.whole import write_bytes
from handdata.model.checkpoint import Trained, load_network
from handdata.model.networks import HandNet
from handdata.model.pixels import MEAN, STD
from handdata.model.read_out import READ_OUT_OF, ReadOut, read_out
from handdata.skeleton import KEYPOINTS

OPSET = 18  # of 2022; ONNX Runtime 1.14 and later read it
INPUTS, OUTPUTS = ("image",), ("keypoints_2d", "keypoints_3d", "heatmaps")


class Portable(nn.Module):
    """From a crop's bytes to keypoints.

    Args:
        network: ready to predict.
        rule: read-out of the heatmaps.
    """

    def __init__(self, network: HandNet, rule: ReadOut) -> None:
        super().__init__()
        self.network, self.rule = network, rule
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(MEAN))
        self.register_buffer("std", 255 * torch.tensor(STD))

    def forward(self, image_BHW3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, 21, 2), (B, 21, 3) and (B, 21, n, n) of (B, n, n, 3) uint8."""
        image = (image_BHW3.float() - self.mean) / self.std
        maps, xyz = self.network(image.permute(0, 3, 1, 2))
        return read_out(maps, self.rule), xyz, maps


def write_onnx(path: Path, trained: Trained, rule: ReadOut | None = None) -> Path:
    """Write a checkpoint's network, with its averaged weights where it has any, in float32.

    Args:
        path: the file.
        trained: the checkpoint, as read.
        rule: read-out; None takes the model's own.

    Raises:
        ConfigError: the packages that write ONNX are not installed.
    """
    chosen = rule or READ_OUT_OF[trained.model.kind]
    network = load_network(trained, torch.device("cpu"))
    model = _export(Portable(network, chosen).eval(), network.size)
    for key, value in _facts(trained, chosen).items():
        model.metadata_props.add(key=key, value=value)
    write_bytes(path, model.SerializeToString())
    return path


def _export(portable: Portable, size: int) -> Any:
    try:
        import onnx  # noqa: F401, PLC0415  # extras
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            "--onnx", expected="onnx and onnxscript", got="not installed", fix='Run pip install "handdata[onnx]".'
        ) from error
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)  # two, so that the batch is not taken for a constant
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            portable,
            (example,),
            input_names=INPUTS,
            output_names=OUTPUTS,
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101  # only None when a file is given
    return program.model_proto


def _facts(trained: Trained, rule: ReadOut) -> dict[str, str]:
    """Return what a reader of the file must know, as ONNX's text metadata."""
    model = trained.model
    return {
        "handdata": __version__,
        "recipe": trained.recipe,
        "epoch": str(trained.epoch),
        "model": model.kind,
        "read_out": rule,
        "image": f"(batch, {model.size}, {model.size}, 3) uint8 RGB, square crop of a left hand; mirror a right one",
        "keypoints_2d": "(batch, 21, 2) fractions of the crop's side; times its pixels: pixel-centre coordinates",
        "keypoints_3d": "(batch, 21, 3) in units of wrist to middle MCP, the middle MCP at the origin; camera axes",
        "keypoint_names": json.dumps(list(KEYPOINTS)),
    }
