"""Recipes that start from other recipes' runs: e010 -> e020 -> e022 or e023, trained in order."""

from collections.abc import Callable, Sequence
from pathlib import Path

from handdata.errors import ConfigError
from handdata.model.config import LAST
from handdata.progress import say
from handdata.train import checkpoint
from handdata.train.config import Config, load_config
from handdata.train.loop import Job, train
from handdata.train.runs import RunFolder, last_of


def chain_of(recipe: str, settings: Sequence[str] = ()) -> list[Config]:
    """Return the resolved recipes that lead to one, the first first and itself last.

    Raises:
        ConfigError: the recipes lead round in a circle.
    """
    configs = [load_config(recipe, settings)]
    names = [recipe]
    while configs[0].start.recipe:
        before = configs[0].start.recipe
        if before in names:
            raise ConfigError(f"recipe {names[0]}[start.recipe]", expected="a chain with an end", got=before)
        names.insert(0, before)
        configs.insert(0, load_config(before, settings))
    return configs


def train_chain(
    configs: Sequence[Config], runs: Path, make_job: Callable[[Config, Path, Path | None, bool], Job]
) -> bool:
    """Train each recipe from the last weights of the one before; return whether all are done.

    A run that is finished is taken as it is, one that was stopped goes on.

    Args:
        configs: from `chain_of`.
        runs: folder of runs; each is named after its recipe.
        make_job: (config, run, init_from, resume) -> what to do.
    """
    start: Path | None = None
    for config in configs:
        path = runs / config.name
        done = epochs_done(path)
        if done is not None and done >= config.loop.epochs:
            say(f"{path}: done already, taken as it is")
        elif not train(make_job(config, path, start, done is not None)):
            return False
        start = path / "checkpoints" / LAST
    return True


def epochs_done(run: Path) -> int | None:
    """Return the epochs of a run's last checkpoint; None if there is no checkpoint to go on from."""
    if not RunFolder(run).is_resumable:
        return None
    return checkpoint.load(last_of(run)).position.epoch
