"""handdata train, handdata runs: fit a recipe to shards, list what was fitted."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from handdata.cli import INTERRUPTED
from handdata.cli.columns import columns
from handdata.cli.complete import complete_recipe, complete_run, complete_run_folder, complete_shards
from handdata.cli.options import NamedPath, data_root_option, json_option, print_json, run_path, shard_folder
from handdata.errors import ConfigError
from handdata.model.families import FAMILIES
from handdata.paths import DataRoot
from handdata.progress import say
from handdata.train.mixes import mix_names

MIX_LETTERS = ("A", "B", "C")  # the thesis' own
RECIPE = "best"  # that is trained where none is named
MANY = ("--shards", "--mix")  # take all that follows, up to the next option


class ManyValues(click.Command):
    """A command whose options in MANY take any number of values: `--shards A B`, `--mix a=2 b=1`, a bare `--shards`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values, then parse as usual."""
        spread: list[str] = []
        option = ""
        for token in args:
            if token.startswith("-"):
                option = token if token in MANY else ""
                spread += [] if option else [token]
            else:
                spread += [option, token] if option else [token]
        return super().parse_args(ctx, spread)


@click.command("train", cls=ManyValues)
@click.option(
    "--shards",
    multiple=True,
    metavar="[PATH...]",
    shell_complete=complete_shards,
    help="Converted datasets, by name or folder, or a folder of them [default: every complete one under data/shards; with --resume, the run's]",
)
@click.option(
    "--recipe",
    show_default="best; with --resume, the run's own settings",
    shell_complete=complete_recipe,
    help=f"Name of a recipe, or a .toml file. Families of models (model.kind): {', '.join(FAMILIES)}; those from two_and_half on have a recipe of their name.",
)
@click.option(
    "--mix",
    multiple=True,
    metavar="|".join((*MIX_LETTERS, *mix_names(), "NAME=WEIGHT...")),
    help="Mixture: how often each dataset is drawn.",
)
@click.option(
    "--name", shell_complete=complete_run_folder, help="Name of the run, under runs/ [default: the recipe's name]"
)
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs [default: the recipe's]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed [default: the recipe's]")
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option(
    "--cache", type=click.Choice(["none", "device"]), help="Memory for the training set; device: the GPU's, if it fits."
)
@click.option(
    "--weights", help="Weights of the encoder: ResNet34_Weights.IMAGENET1K_V1, a .pth or .safetensors file, or none."
)
@click.option(
    "--init-from",
    type=NamedPath(path_type=Path),
    shell_complete=complete_run,
    help="Run (name or folder) or checkpoint to take all weights from; they must fit.",
)
@click.option("--resume", is_flag=True, help="Continue exactly from the run's last checkpoint.")
@click.option("--chain", is_flag=True, help="First train the recipes that this one starts from.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe, e.g. optim.lr=0.01."
)
@click.option(
    "--evaluate/--no-evaluate",
    default=True,
    show_default=True,
    help="Score the run on the splits it was not trained on.",
)
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard files too.")
@data_root_option
@click.pass_obj
def train_command(
    data_root: DataRoot,
    shards: tuple[str, ...],
    recipe: str | None,
    mix: tuple[str, ...],
    name: str | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    cache: str | None,
    weights: str | None,
    init_from: Path | None,
    settings: tuple[str, ...],
    resume: bool,
    chain: bool,
    evaluate: bool,
    tensorboard: bool,
) -> None:
    """Train a model on converted datasets and score it on their val and test splits.

    \b
    Examples:
      handdata train --shards
      handdata train --recipe e010 --weights ResNet34_Weights.IMAGENET1K_V1
      handdata train --recipe e023-smoke --chain
      handdata train --shards rhd stereo --mix rhd=2 stereo=1
      torchrun --nproc-per-node 4 -m handdata train --recipe best
    """
    from handdata.train.chain import chain_of, train_chain
    from handdata.train.config import Config
    from handdata.train.distributed import is_first
    from handdata.train.loader.sources import shard_folders
    from handdata.train.loop import Job, train
    from handdata.train.runs import RunFolder

    if name is not None and (name in ("", ".", "..") or "/" in name):
        raise click.BadParameter(f"the name of a folder under runs/, not {name!r}", param_hint="--name")
    given = [*settings, *_settings(mix, epochs, seed, cache, weights)]
    going_on = RunFolder(data_root.runs / (name or _free_name(data_root.runs, recipe or RECIPE, resume=True)))
    own = going_on.own_config(given) if resume and recipe is None else None
    configs = [own] if own else chain_of(recipe or RECIPE, given)
    config = configs[-1]
    known = going_on.own_shards() if resume and not shards else []
    folders = known or shard_folders([shard_folder(data_root, word) for word in shards], data_root)
    init_from = run_path(data_root, init_from) if init_from else None

    def job(config: Config, run: Path, start: Path | None, go_on: bool) -> Job:
        return Job(
            config=config,
            folders=folders,
            run=run,
            device=device,
            init_from=start,
            resume=go_on,
            tensorboard=tensorboard,
        )

    if chain:
        if name or resume or init_from:
            raise click.UsageError("--chain names, resumes and starts its runs by itself.")
        run = data_root.runs / config.name
        with _ended_by_ctrl_c():
            finished = train_chain(configs, data_root.runs, job)
    else:
        if len(configs) > 1 and not init_from and not resume:
            before = config.start.recipe
            raise ConfigError(
                f"recipe {config.name}",
                expected=f"weights of a run of {before}",
                got="none",
                fix=f"Give --init-from runs/{before}, or --chain to train {before} first.",
            )
        run = (
            going_on.path if own else data_root.runs / (name or _free_name(data_root.runs, config.name, resume=resume))
        )
        with _ended_by_ctrl_c():
            finished = train(job(config, run, init_from, resume))
    if finished and is_first():
        if evaluate:
            with _ended_by_ctrl_c(f"{run} is trained, not scored; score it with handdata evaluate {run.name}"):
                _evaluate(run, folders, device, config.data.val_sequences)
        click.echo(run)


@contextmanager
def _ended_by_ctrl_c(line: str = "") -> Iterator[None]:
    """Exit as interrupted, with a line unless the training has said how to go on: the same command would begin anew.

    SIGTERM comes from a scheduler and is no failure: 0.
    """
    try:
        yield
    except KeyboardInterrupt:
        if line:
            say(line)
        sys.exit(INTERRUPTED)


@click.command("runs")
@json_option
@data_root_option
@click.pass_obj
def runs_command(data_root: DataRoot, as_json: bool) -> None:
    """List the training runs.

    \b
    Example:
      handdata runs
    """
    from handdata.train.runs import list_runs

    rows = list_runs(data_root.runs)
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no runs in {data_root.runs}", err=True)
        return
    table = [("name", "recipe", "model", "epochs", "best val", "last val", "scored")]
    for row in rows:
        best, last = (_number(row[key]) for key in ("val_best", "val_last"))
        scored = "yes" if row["scored"] else "no"
        table.append((row["name"], row["recipe"], row["model"], f"{row['epochs']}/{row['of']}", best, last, scored))
    for line in columns(table, right=(3, 4, 5)):
        click.echo(line)


def _evaluate(run: Path, folders: Sequence[Path], device: str, sequences: Sequence[str]) -> None:
    """Score a finished run on what it was not trained on, so that `handdata report` has its numbers.

    A training that left sequences out is scored on these.
    """
    from handdata.train.evaluate import evaluate_run
    from handdata.train.selection import Selection, has_held_out

    selection = Selection(folders=folders, held_out=True, sequences=sequences)
    if has_held_out(run, selection):
        try:
            evaluate_run(run, selection, device=device)
        except ConfigError as error:  # folders that train together but cannot be scored together
            say(f"{run} is trained, not scored; score it with handdata evaluate {run.name}. {error}")
    else:
        say(f"{run}: not scored: all samples of these shards were trained on")


def _settings(
    mix: Sequence[str], epochs: int | None, seed: int | None, cache: str | None, weights: str | None
) -> list[str]:
    """Turn options into settings of the recipe."""
    found: list[str] = []
    if mix and not any("=" in part for part in mix):
        if len(mix) > 1:
            named = ", ".join((*MIX_LETTERS, *mix_names()))
            raise click.UsageError(f"--mix takes one of {named}, or NAME=WEIGHT for every dataset.")
        found.append(f'data.mix="{mix[0]}"')
    elif mix:
        pairs = [part.partition("=") for part in mix]
        found += ["data.mix=", *(f"data.weights.{name}={weight}" for name, _, weight in pairs)]
        found.append(f"data.datasets={[name for name, _, _ in pairs]}")
    options: dict[str, Any] = {"loop.epochs": epochs, "loop.seed": seed, "data.cache": cache}
    found += [f"{key}={value}" for key, value in options.items() if value is not None]
    if weights is not None:
        found.append(f'start.weights="{"" if weights == "none" else weights}"')
    return found


def _free_name(runs: Path, name: str, *, resume: bool) -> str:
    """Return the next free run name; to resume, the last one taken."""
    names = [name]
    while (runs / names[-1] / "config.json").exists():
        names.append(f"{name}-{len(names) + 1}")
    return names[-2] if resume and len(names) > 1 else names[-1]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
