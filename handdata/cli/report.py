"""handdata report: runs, shards and published numbers on one page."""

from pathlib import Path

import click

from handdata.cli.complete import complete_run_folder
from handdata.cli.options import NamedPath, data_root_option
from handdata.paths import DataRoot
from handdata.progress import say

FORMATS = ("html", "csv")


@click.command("report")
@click.argument("runs", nargs=-1, shell_complete=complete_run_folder)
@click.option(
    "--out", type=NamedPath(file_okay=False, path_type=Path), help="Folder of the page [default: runs/report]"
)
@click.option("--reference", type=NamedPath(path_type=Path), help="Folder of the thesis author's own result files.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="html",
    show_default=True,
    help="Output: a page, or the table cells as csv (of --reference if given, else of the runs).",
)
@data_root_option
@click.pass_obj
def report_command(
    data_root: DataRoot, runs: tuple[str, ...], out: Path | None, reference: Path | None, form: str
) -> None:
    """Compare RUNS (names or folders; default: all) with the published numbers, on one page that works offline.

    Writes index.html, report.md, tables.csv and tables.tex and prints the page's path.

    \b
    Example:
      handdata report
      handdata report demo e010 --out /tmp/report
      handdata report --reference ~/thesis/results --format csv > cells.csv
    """
    from handdata.report.reference import read_reference, to_csv
    from handdata.report.runs import find_runs
    from handdata.report.tables import cells_of_runs

    given = read_reference(reference) if reference else None
    if given and given.ignored:
        say(f"left out, not results of an experiment: {', '.join(given.ignored)}")
    if form == "csv":
        values = given.values if given else cells_of_runs(find_runs(data_root, runs))
        click.echo(to_csv(values), nl=False)
        return
    from handdata.report.page import write_report

    chosen = find_runs(data_root, runs, needed=given is None)
    page = write_report(chosen, data_root, out or data_root.runs / "report", given)
    click.echo(page)
