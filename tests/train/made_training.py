"""Made datasets with a training and a validation split, and small configs, for the tests of the loop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handdata.train.augment.prepare import Inputs
from handdata.train.config import Config, load_config
from handdata.train.loop import Job
from tests.train.made_shards import write_dataset

TINY = ("model.size=32", "model.width=0.125", "data.batch=4", "loop.batches=3", "loop.epochs=2", "loop.val_batches=1",
        "data.loader_threads=0", "start.weights=")  # fmt: skip


def made_set(folder: Path, name: str, *, train: int = 12, val: int = 6, **options: Any) -> Path:
    """Write a dataset of made hands with the splits train and val."""
    for split, count, seed in (("train", train, 0), ("val", val, 1)):
        if count:
            write_dataset(folder, name, (count,), split=split, seed=seed, canvas=48, **options)
    return folder


def tiny(recipe: str = "e010", *settings: str) -> Config:
    """Return a recipe at the smallest size that is still whole."""
    return load_config(recipe, [*TINY, *settings])


def job_of(config: Config, folders: Sequence[Path], run: Path, **options: Any) -> Job:
    """Return a job on the CPU."""
    return Job(config=config, folders=folders, run=run, device="cpu", **options)


def made_inputs(
    batch: int = 4, size: int = 32, *, present_2d: float = 1.0, present_3d: float = 1.0, seed: int = 0
) -> Inputs:
    """Random inputs; the shares say how many keypoints are labelled, the absent ones hold garbage."""
    generator = torch.Generator().manual_seed(seed)
    here = torch.rand(batch, 21, generator=generator) < present_2d
    deep = torch.rand(batch, 21, generator=generator) < present_3d
    return Inputs(
        image_B3HW=torch.randn(batch, 3, size, size, generator=generator),
        uv_BK2=torch.rand(batch, 21, 2, generator=generator) * 0.9,
        present_2d_BK=here,
        labelled_2d_BK=here,
        xyz_BK3=torch.randn(batch, 21, 3, generator=generator),
        present_3d_BK=deep,
        side_B=torch.full((batch,), 100.0),
        camera_B33=torch.eye(3).repeat(batch, 1, 1),
        turn_B33=torch.eye(3).repeat(batch, 1, 1),
        scale_B=torch.full((batch,), 80.0),
        hand_B=here.any(1),
        right_B=torch.zeros(batch, dtype=torch.bool),
        side_known_B=torch.ones(batch, dtype=torch.bool),
        domain_B=torch.zeros(batch, dtype=torch.int64),
        source_to_crop_B33=np.tile(np.eye(3), (batch, 1, 1)),
        rotation_B33=np.tile(np.eye(3), (batch, 1, 1)),
        K_B33=np.tile(np.eye(3), (batch, 1, 1)),
        mirrored_B=np.zeros(batch, np.bool_),
    )
