"""A checkpoint's network over pictures, in batches of one size.

Shape letters: B batch, H, W pixels.
"""

from typing import Any

import torch
from torch import Tensor, nn

from handdata.model.device import autocast
from handdata.model.families import family_of
from handdata.train.checkpoint import Checkpoint
from handdata.train.config import Config

FORWARD = 32  # samples the network sees at a time


def rules(saved: Checkpoint) -> tuple[str, ...]:
    """Return the names of the read-outs of a checkpoint's family, its own first."""
    return family_of(saved.config.model.kind).read_outs(saved.config.model)


def forward(network: nn.Module, image_B3HW: Tensor, config: Config) -> Any:
    """Run the network on batches of one size and return its prediction of all samples."""
    predictions = []
    for image in torch.split(image_B3HW, FORWARD):
        missing = FORWARD - len(image)
        whole = torch.cat([image, image.new_zeros(missing, *image.shape[1:])]) if missing else image
        with autocast(config.loop.precision, image.device):
            prediction = network(whole)
        predictions.append([values[: len(image)] for values in prediction])
    return type(prediction)(*(torch.cat(parts) for parts in zip(*predictions, strict=True)))
