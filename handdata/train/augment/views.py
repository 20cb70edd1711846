"""How a training looks at its batches: augmentation by dataset, backgrounds, size. From a recipe to `prepare`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from handdata.train.augment.backgrounds import BackgroundPool, load_backgrounds
from handdata.train.augment.prepare import Inputs, prepare
from handdata.train.augment.settings import AugmentConfig
from handdata.train.config import Config
from handdata.train.loader.loaders import Batch, Mixture


@dataclass(frozen=True, kw_only=True)
class Views:
    """Turns batches of one mixture into inputs.

    Attributes:
        augment: of each dataset of the mixture.
        backgrounds: what masked samples are put on; None leaves them as they are.
        size: side of the input, px.
        seed: what the draws hang on, with the epoch and the position in it.
        turn: 3D in the axes of the view through the crop's middle.
        zoom: how much closer than the crop the network looks.
        train: draw what `augment` says, afresh every epoch; otherwise the stored crop, the same every time.
    """

    augment: Sequence[AugmentConfig]
    backgrounds: BackgroundPool | None
    size: int
    seed: int
    turn: bool
    zoom: float
    train: bool

    def inputs(self, batch: Batch, epoch: int | None = None) -> Inputs:
        """Return the network's input and what it is compared with; `epoch` replaces the batch's own in the draws."""
        return prepare(
            batch,
            self.augment,
            seed=self.seed,
            epoch=(batch.epoch if epoch is None else epoch) if self.train else 0,
            train=self.train,
            backgrounds=self.backgrounds,
            size=self.size,
            turn=self.turn,
            zoom=self.zoom,
        )


def make_views(
    config: Config, mixture: Mixture, device: torch.device, *, train: bool, seed: int | None = None
) -> Views:
    """Return how `mixture` is looked at; `seed` replaces the recipe's."""
    return Views(
        augment=config.augment.of([dataset.name for dataset in mixture.datasets]),
        backgrounds=make_backgrounds(config, mixture, device, split="train" if train else "val"),
        size=config.model.size,
        seed=config.loop.seed if seed is None else seed,
        turn=config.data.turn,
        zoom=config.model.zoom,
        train=train,
    )


def make_backgrounds(config: Config, mixture: Mixture, device: torch.device, *, split: str) -> BackgroundPool | None:
    """Return the pool that masked samples are put on; None where nothing has a mask or the recipe wants none.

    Args:
        config: `data.backgrounds` is what `handdata convert backgrounds` wrote, "" for painted ones, "none" for none.
        mixture: whose samples they are for.
        device: where the pool goes.
        split: "train", "val" or "test"; each has pictures of its own.
    """
    folder = config.data.backgrounds
    if folder == "none" or not mixture.has_foreground:
        return None
    return load_backgrounds(Path(folder) if folder else None, split, size=config.model.size, device=device)
