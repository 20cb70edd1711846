"""How a training looks at its batches: augmentation by dataset, backgrounds, size. From a recipe to `prepare`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from handdata.train.augment import AugmentConfig, Inputs, prepare
from handdata.train.backgrounds import BackgroundPool, open_backgrounds, procedural_backgrounds
from handdata.train.config import Config
from handdata.train.data import Batch, Mixture

MADE_TILES = 64  # of a procedural pool; each takes about 70 ms to paint
VAL_SEED_OFFSET = 1  # validation's procedural pool is another one than training's


@dataclass(frozen=True, kw_only=True)
class Views:
    """Turns batches of one mixture into inputs.

    Attributes:
        augment: of each dataset of the mixture.
        backgrounds: what masked samples are put on; None leaves them as they are.
        size: side of the input, px.
        seed: what the draws hang on, with the epoch and the position in it.
        train: draw what `augment` says, afresh every epoch; otherwise the stored crop, the same every time.
    """

    augment: Sequence[AugmentConfig]
    backgrounds: BackgroundPool | None
    size: int
    seed: int
    train: bool

    def inputs(self, batch: Batch) -> Inputs:
        """Return the network's input and what it is compared with."""
        return prepare(
            batch,
            self.augment,
            seed=self.seed,
            epoch=batch.epoch if self.train else 0,
            train=self.train,
            backgrounds=self.backgrounds,
            size=self.size,
        )


def make_views(config: Config, mixture: Mixture, device: torch.device, *, train: bool) -> Views:
    """Return how `mixture` is looked at."""
    return Views(
        augment=config.augment.of(mixture.names),
        backgrounds=make_backgrounds(config, mixture, device, split="train" if train else "val"),
        size=config.model.size,
        seed=config.loop.seed,
        train=train,
    )


def make_backgrounds(config: Config, mixture: Mixture, device: torch.device, *, split: str) -> BackgroundPool | None:
    """Return the pool that masked samples are put on; None where nothing has a mask or the recipe wants none.

    Args:
        config: `data.backgrounds` is a folder of pictures, "" for made ones, "none" for none.
        mixture: whose samples they are for.
        device: where the pool goes.
        split: "train", "val" or "test"; each has pictures of its own.
    """
    if config.data.backgrounds == "none" or not mixture.has_foreground.any():
        return None
    if config.data.backgrounds:
        return open_backgrounds(Path(config.data.backgrounds), split, size=config.model.size).to(device)
    seed = config.loop.seed + (0 if split == "train" else VAL_SEED_OFFSET)
    return procedural_backgrounds(seed, size=config.model.size, count=MADE_TILES).to(device)
