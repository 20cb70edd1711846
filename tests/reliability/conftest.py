"""What the tests of reliability share: a small trained run over small shards."""

from pathlib import Path
from typing import NamedTuple

import pytest

from handdata.train.loop import train
from tests.train.made_training import job_of, made_set, tiny


class Trained(NamedTuple):
    """A run and the shards that it was trained on."""

    run: Path
    shards: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An epoch of the smallest model; copy the run before you write into it."""
    root = tmp_path_factory.mktemp("trained")
    shards = made_set(root / "rhd", "rhd", train=8, val=6)
    config = tiny("best-smoke", "augment.kind=published", "loop.epochs=1", "loop.val_batches=0")
    train(job_of(config, [shards], root / "run"))
    return Trained(root / "run", shards)
