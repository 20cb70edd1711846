"""Made datasets with a training and a validation split, and small configs, for the tests of the loop."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handdata.shards import INDEX, write_index
from handdata.train.config import Config, load_config
from handdata.train.loop import Job
from tests.train.made_shards import write_dataset

TINY = ("model.size=32", "model.width=0.125", "data.batch=4", "loop.batches=3", "loop.epochs=2", "loop.val_batches=1",
        "data.loader_threads=0", "start.weights=")  # fmt: skip


def made_set(folder: Path, name: str, *, train: int = 12, val: int = 6, **options: Any) -> Path:
    """Write a dataset of made hands with the splits train and val."""
    shards = []
    for split, count, seed in (("train", train, 0), ("val", val, 1)):
        if count:
            write_dataset(folder, name, (count,), split=split, seed=seed, canvas=48, **options)
            shards += json.loads((folder / INDEX).read_text())["shards"]
    index = json.loads((folder / INDEX).read_text())
    write_index(folder, {**index, "shards": shards})
    return folder


def tiny(recipe: str = "e010", *settings: str) -> Config:
    """Return a recipe at the smallest size that is still whole."""
    return load_config(recipe, [*TINY, *settings])


def job_of(config: Config, folders: Sequence[Path], run: Path, **options: Any) -> Job:
    """Return a job on the CPU."""
    return Job(config=config, folders=folders, run=run, device="cpu", **options)
