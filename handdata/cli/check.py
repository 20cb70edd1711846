"""`handdata datasets`, `doctor`, `verify`, `stats` and `diff`: what there is, and whether it can be trusted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.options import data_root_option, json_option, print_json
from handdata.paths import DataRoot

if TYPE_CHECKING:
    from rich.console import Console

    from handdata.check.findings import Report


def shard_folder(data: DataRoot, path: str) -> Path:
    """Return the shards a word on the command line means: a folder, or the name of a converted dataset."""
    folder = Path(path)
    named = data.shards(path)
    return named if "/" not in path and not folder.is_dir() and named.is_dir() else folder


@click.command("verify")
@click.argument("path", required=False)
@click.option("--quick", is_flag=True, help="Read no pixels and the labels of at most 20,000 samples.")
@json_option
@data_root_option
@click.pass_obj
def verify_command(data: DataRoot, path: str | None, *, quick: bool, as_json: bool) -> None:
    """Check converted shards: files, index, labels, and whether the labels describe hands.

    PATH is a folder of shards or the name of a dataset; without it every dataset under data/shards is checked. Findings go
    to standard output; the exit code is 1 if there are any.

    \b
    Example:
      handdata verify stereo --quick
    """
    from handdata.check.verify import verify
    from handdata.errors import MissingError

    folders = data.all_shards() if path is None else [shard_folder(data, path)]
    if not folders:
        fix = "Run handdata convert, or name a folder."
        raise MissingError(data.shards(""), expected="converted datasets", got="none", fix=fix)
    reports = [verify(folder, quick=quick) for folder in folders]
    if as_json:
        print_json([report.as_json() for report in reports] if path is None else reports[0].as_json())
    else:
        for report in reports:
            _print_report(report)
    sys.exit(1 if any(report.findings for report in reports) else 0)


def _print_report(report: "Report") -> None:
    from rich.table import Table

    console = _console()
    looked = f"{report.num_looked_at} of {report.num_samples} samples' labels, {report.mode}"
    title = f"{report.dataset or report.path}: {looked}"
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result", overflow="fold")
    for name, state in report.checks.items():
        found = [f for f in report.findings if f.check == name]
        for finding in found:
            count = f" ({finding.count} of {finding.total})" if finding.total else ""
            sample = f"; e.g. {', '.join(finding.examples[:3])}" if finding.examples else ""
            table.add_row(name, f"FOUND {finding.where}: {finding.what}{count}{sample}")
        if not found:
            table.add_row(name, state)
    console.print(table, markup=False)
    total = len(report.findings)
    console.print(f"{report.path}: {'nothing found' if not total else f'{total} findings'}", markup=False)


def _console() -> "Console":
    """Return a console that prints plain, uncut lines where nobody looks at them."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False, soft_wrap=False)
