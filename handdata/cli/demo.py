"""handdata demo: the main job, from nothing to a page."""

import os

import click

from handdata.cli.options import data_root_option
from handdata.paths import DataRoot


@click.command("demo")
@click.option("--workers", type=click.IntRange(min=1), help="Processes [default: all cores]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@data_root_option
@click.pass_obj
def demo_command(data: DataRoot, workers: int | None, device: str) -> None:
    """Render hands, convert, train a small model, evaluate it and print the path of the report.

    Needs no archive and no GPU; a few minutes on two cores. The numbers are of rendered hands.

    \b
    Example:
      handdata demo
    """
    from handdata.cli.demo_job import run_demo

    click.echo(run_demo(data, workers=workers or os.cpu_count() or 1, device=device))
