"""A contact sheet of what training makes of a converted dataset: augmented crops with the labels that count."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handdata.model.pixels import to_pictures
from handdata.pictures.overlay import captioned, contact_sheet, draw_skeleton
from handdata.shards.dataset import Dataset, open_dataset
from handdata.train.augment.backgrounds import load_backgrounds
from handdata.train.augment.prepare import Inputs, prepare
from handdata.train.augment.settings import AugmentConfig, published_configs
from handdata.train.config import load_config
from handdata.train.loader.loaders import Batch, Mixture
from handdata.train.loader.prefetch import BatchRequest, Chunk, ShardSource
from handdata.train.loader.proportions import slot_map

COLUMNS = 6
CROP_SIZE = 128  # px; drawn twice as large


def draw_augmented_sheet(
    folder: Path, split: str | None, count: int, *, recipe: str = "", seed: int = 0
) -> NDArray[np.uint8]:
    """Draw evenly spread samples of a dataset as the network sees them.

    Args:
        folder: a converted dataset.
        split: "train", "val" or "test"; None takes all.
        count: samples, at most all there are.
        recipe: whose augmentation to use; "" the published ranges of that dataset.
        seed: of the augmentation.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MissingError: no complete dataset there, or no such split.
        ConfigError: no such recipe.
    """
    data = open_dataset(folder, split).spread(count)
    drawn = draw_augmented(data, np.arange(len(data)), recipe=recipe, seed=seed)
    captions = [bytes(name).decode("ascii", "replace") for name in data.ids]
    return contact_sheet([captioned(*pair) for pair in zip(drawn, captions, strict=True)], COLUMNS)


def draw_augmented(
    data: Dataset, numbers: NDArray[np.int64], *, recipe: str = "", seed: int = 0
) -> list[NDArray[np.uint8]]:
    """Draw hands as the network sees them in the first epoch of a training on these data.

    Args:
        data: of one dataset.
        numbers: (M,) which of its hands.
        recipe: whose augmentation to use; "" the published ranges of that dataset.
        seed: of the augmentation.

    Returns:
        M pictures, (2 * CROP_SIZE, 2 * CROP_SIZE, 3) uint8 RGB.

    Raises:
        ConfigError: no such recipe.
    """
    mixture = Mixture([data], slot_map([len(data)]))
    batch = _read(mixture, numbers)
    config = load_config(recipe).augment.of(mixture.names)[0] if recipe else published_configs(mixture.names)[0]
    return draw_inputs(_augmented(batch, config, seed), batch)


def draw_inputs(inputs: Inputs, batch: Batch) -> list[NDArray[np.uint8]]:
    """Draw what the network sees, twice as large, with the labels that count on top."""
    images = to_pictures(inputs.image_B3HW)
    uv = inputs.uv_BK2.cpu().numpy() * images.shape[1]
    uv[~inputs.present_2d_BK.cpu().numpy()] = np.nan
    visible = batch.labels["visible"]
    return [draw_skeleton(images[i], uv[i], visible[i], scale=2) for i in range(len(images))]


def _read(mixture: Mixture, sample: NDArray[np.int64]) -> Batch:
    """Read samples of the only dataset of a mixture."""
    chunk = Chunk(mixture, np.zeros_like(sample), sample, sample, 0)
    return ShardSource(mixture, len(sample), torch.device("cpu")).make(BatchRequest(chunk, slice(0, len(sample))))


def _augmented(batch: Batch, config: AugmentConfig, seed: int) -> Inputs:
    pool = load_backgrounds(None, "train", size=CROP_SIZE) if batch.has_foreground.any() else None
    return prepare(batch, config, seed=seed, epoch=0, train=True, backgrounds=pool, size=CROP_SIZE)
