"""`handdata demo`: the whole job on a machine without any archive: render hands, convert, train, evaluate, report.

Two renderings that differ on purpose: the model learns on one, and is scored on parts of it that it has not seen and
on the other, which has another style and another seed; so the page shows what it learnt and what other looks cost.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.options import data_root_option
from handdata.paths import DataRoot
from handdata.progress import say

if TYPE_CHECKING:
    from handdata.synth.frame import Style
    from handdata.train.config import Config

NAME = "demo"


@dataclass(frozen=True, slots=True)
class Rendering:
    """One rendered dataset of the demo; `folder` is its name under native/ and shards/."""

    folder: str
    dataset: str
    frames: int
    seed: int
    style: "Style"


# Crops, so that a picture of 64 px shows a hand. Few frames lie in few partitions, many in ten: the last one, which
# tests, has another number in each rendering, so that no sample id is in both.
LEARN = Rendering("ganerated", "ganerated", frames=3200, seed=1, style="clean")
OTHER = Rendering("ganerated-gritty", "ganerated", frames=300, seed=2, style="gritty")


@click.command("demo")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes [default: all cores]")
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu or cuda.")
@data_root_option
@click.pass_obj
def demo_command(data_root: DataRoot, workers: int | None, device: str) -> None:
    """Render hands, convert, train a small model, evaluate it and print the path of the report.

    Needs no archive and no GPU; takes a few minutes on two cores. All numbers come from rendered hands.

    \b
    Example:
      handdata demo
    """
    click.echo(run_demo(data_root, workers=workers or os.cpu_count() or 1, device=device))


def run_demo(data_root: DataRoot, *, workers: int, device: str = "auto") -> Path:
    """Run every stage and return the path of the report's page.

    The rendered files lie under `runs/demo/data`, away from data/native, so that none is mistaken for a real archive's.
    A stage that is done already is kept.

    Args:
        data_root: where runs/ is.
        workers: processes to render and convert with.
        device: "auto", "cpu" or "cuda".
    """
    from handdata.conversion.run import convert
    from handdata.report.page import write_report
    from handdata.report.runs import find_runs
    from handdata.synth.native import write_native
    from handdata.train.config import load_config
    from handdata.train.evaluate import evaluate_run
    from handdata.train.selection import Selection

    run = data_root.runs / NAME
    own = DataRoot(run)
    for number, part in enumerate((LEARN, OTHER), start=1):
        say(f"{number}/5 render and convert {part.frames} {part.style} hands as {part.dataset}, seed {part.seed}")
        write_native(
            part.dataset,
            own.native(part.folder),
            part.frames,
            seed=part.seed,
            style=part.style,
            small=True,
            workers=workers,
        )
        convert(part.dataset, own.native(part.folder), own.shards(part.folder), workers=workers)
    say("3/5 train a small Model 1")
    train_small(run, own, load_config(NAME), device)
    say("4/5 evaluate on hands it has not seen, in its own style and in the other")
    folders = [own.shards(part.folder) for part in (LEARN, OTHER)]
    evaluate_run(run, Selection(folders=folders, split="test"), device=device)
    say("5/5 report")
    return write_report(find_runs(data_root, (NAME,)), data_root, run / "report", None)


def train_small(run: Path, own: DataRoot, config: "Config", device: str) -> None:
    """Train, or go on with a training that was ended; the same call does either.

    Raises:
        KeyboardInterrupt: it was asked to stop, and saved.
    """
    from handdata.train.chain import epochs_done
    from handdata.train.loop import Job, train

    done = epochs_done(run)
    if done is None or done < config.loop.epochs:
        job = Job(config=config, folders=[own.shards(LEARN.folder)], run=run, device=device, resume=done is not None)
        if not train(job):
            raise KeyboardInterrupt
