"""`handdata datasets`, `doctor`, `verify`, `stats` and `diff`: what there is, and whether it can be trusted."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.complete import complete_shards
from handdata.cli.dataset_options import DatasetCommand, options_of, refuse_foreign
from handdata.cli.options import (
    DATASETS,
    FiniteRange,
    NamedPath,
    data_root_option,
    json_option,
    print_json,
    shard_folder,
)
from handdata.paths import DataRoot
from handdata.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from handdata.check.diff import Diff
    from handdata.check.doctor import Diagnosis
    from handdata.check.findings import Report
    from handdata.check.stats import Stats


MAX_LISTED = 24  # sequences or cameras on one line; --json and the page have all


@click.command("verify")
@click.argument("path", required=False, shell_complete=complete_shards)
@click.option("--quick", is_flag=True, help="Check labels of at most 20,000 samples and no pixels.")
@json_option
@data_root_option
@click.pass_obj
def verify_command(data_root: DataRoot, path: str | None, *, quick: bool, as_json: bool) -> None:
    """Check converted shards: files, index, labels, and whether the labels describe hands.

    PATH is a folder of shards or the name of a dataset; without it every dataset under data/shards is checked. Findings go
    to standard output; with findings the exit code is 1.

    \b
    Example:
      handdata verify stereo --quick
    """
    from handdata.check.verify import verify
    from handdata.errors import MissingError

    folders = data_root.all_shards() if path is None else [shard_folder(data_root, path)]
    if not folders:
        fix = "Run handdata convert, or name a folder."
        raise MissingError(data_root.shards(""), expected="converted datasets", got="none", fix=fix)
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
    console.print(title, markup=False)
    table = Table(show_lines=False)
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
    said = "nothing wrong" if not total else f"{total} findings" if total > 1 else "1 finding"
    ran = sum(not state.startswith("not checked") for state in report.checks.values())
    console.print(f"{report.path}: {ran} of {len(report.checks)} checks ran, {said}", markup=False)


def _console() -> "Console":
    """Return a console that prints plain, uncut lines where nobody looks at them."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False, soft_wrap=False)


@click.command("stats")
@click.argument("path", shell_complete=complete_shards)
@click.option(
    "--html",
    type=NamedPath(dir_okay=False, endings=[".html", ".htm"], path_type=Path),
    help="Also write a page with plots.",
)
@json_option
@data_root_option
@click.pass_obj
def stats_command(data_root: DataRoot, path: str, *, html: Path | None, as_json: bool) -> None:
    """Count what converted shards hold; show the distribution of poses, orientations and sizes.

    PATH is a folder of shards or the name of a dataset.

    \b
    Example:
      handdata stats stereo --html stereo.html
    """
    from handdata.check.stats import collect

    stats = collect(shard_folder(data_root, path))
    if html is not None:
        from handdata.check.stats_page import write_page
        from handdata.progress import say

        write_page(stats, html)
        say(f"wrote {html}")
    if as_json:
        print_json(stats.as_json())
    else:
        _print_stats(stats)


def _print_stats(stats: "Stats") -> None:
    from rich.table import Table

    from handdata.check.stats import summary

    console = _console()
    looked = f"; labels of {stats.num_looked_at} looked at" if stats.num_looked_at < stats.num_samples else ""
    hands = f", {stats.origin} hands" if stats.origin else ""
    console.print(f"{stats.dataset}: {stats.num_samples} samples{hands}{looked}", markup=False)
    for what, values in stats.counts.items():
        listed = ", ".join(f"{name or 'none'} {count}" for name, count in list(values.items())[:MAX_LISTED])
        listed += f" and {len(values) - MAX_LISTED} more" if len(values) > MAX_LISTED else ""
        console.print(f"{what.replace('_', ' ')}: {listed}", markup=False)
    presence = Table(title="presence, % of samples", title_justify="left")
    kinds = list(next(iter(stats.presence.values())))
    for name in ("keypoint", *kinds):
        presence.add_column(name.replace("_", " "), justify="left" if name == "keypoint" else "right")
    for name, shares in stats.presence.items():
        presence.add_row(name, *("-" if share is None else f"{100 * share:.1f}" for share in shares.values()))
    console.print(presence)
    spread = Table(title="distributions", title_justify="left")
    for number, name in enumerate(("quantity", "samples", "mean", "5 %", "25 %", "median", "75 %", "95 %")):
        spread.add_column(name, justify="right" if number else "left")
    for name, measured in stats.distributions.items():
        row = summary(measured)
        spread.add_row(name, str(row.pop("count")), *(f"{value:.4g}" for value in row.values()))
    console.print(spread)


@click.command("diff")
@click.argument("a", shell_complete=complete_shards)
@click.argument("b", shell_complete=complete_shards)
@click.option(
    "--exported",
    is_flag=True,
    help="Compare in the pixels of the pictures that an export of A wrote, of which B was made: canvases, crops, or as shipped.",
)
@click.option(
    "--tolerance",
    type=FiniteRange(min=0),
    default=0.0,
    show_default=True,
    help="Largest difference that does not count.",
)
@click.option(
    "--only",
    metavar="ARRAY",
    multiple=True,
    help="Compare this array alone, such as keypoints_2d, as docs/schema.md names it; give it once for each.",
)
@json_option
@data_root_option
@click.pass_obj
def diff_command(
    data_root: DataRoot, a: str, b: str, *, exported: bool, tolerance: float, only: tuple[str, ...], as_json: bool
) -> None:
    """Compare two conversions by content, sample by sample; the exit code is 1 if they differ.

    A and B are folders of shards or names of datasets. The order of samples and the cut into shards do not matter.

    \b
    Example:
      handdata diff data/shards/stereo /tmp/stereo-again
      handdata diff stereo imported --exported --tolerance 0.001 --only keypoints_2d
    """
    from handdata.check.diff import COMPARED, compare

    folders = shard_folder(data_root, a), shard_folder(data_root, b)
    diff = compare(*folders, exported=exported, tolerance=tolerance, only=only or COMPARED)
    if as_json:
        print_json(diff.as_json())
    else:
        for line in _diff_lines(diff):
            click.echo(line)
    sys.exit(0 if diff.same else 1)


def _diff_lines(diff: "Diff") -> "Iterator[str]":
    for count, where, ids in (
        (diff.only_in_a, diff.a, diff.examples_only_in_a),
        (diff.only_in_b, diff.b, diff.examples_only_in_b),
    ):
        if count:
            yield f"{count} samples only in {where}: {', '.join(ids)}{', ...' if count > len(ids) else ''}"
    if diff.moved_split:
        yield f"{diff.moved_split} samples in another split"
    for name, found in diff.fields.items():
        how = f"largest {found.largest:.4g} {found.unit}, mean {found.mean:.4g}" if found.largest else found.unit
        missing = f", missing on one side in {found.missing}" if found.missing else ""
        yield f"{name}: differs in {found.samples} samples ({how}{missing}), e.g. {', '.join(found.examples[:3])}"
    yield f"{diff.identical} of {diff.common} common samples are identical"


@click.command("datasets")
@json_option
@data_root_option
@click.pass_obj
def datasets_command(data_root: DataRoot, *, as_json: bool) -> None:
    """List the datasets and show which of them are converted.

    \b
    Example:
      handdata datasets --json
    """
    from rich.table import Table

    from handdata.check.overview import UNREAD, overview

    entries = overview(data_root)
    if unread := [entry.name for entry in entries if entry.state.startswith(UNREAD)]:
        say(f"{data_root.shards('')}: {len(unread)} datasets not read: {', '.join(unread)}")
    if as_json:
        print_json([entry.as_json() for entry in entries])
        return
    table = Table(title="Datasets (R real, S synthetic; + not in the thesis)", title_justify="left", show_lines=True)
    for name in ("name", "", "frames", "keypoints", "hand", "view", "cameras", "comment", "converted"):
        table.add_column(name, justify="right" if name == "frames" else "left", overflow="fold")
    for e in entries:
        state = "\n".join(f"{split} {count}" for split, count in e.converted.items()) or e.state or "no"
        frames = f"{e.frames:,}" if e.frames else ""
        cameras = "\n".join(e.cameras)
        name = e.name if e.in_thesis or not e.frames else f"{e.name} +"
        table.add_row(name, e.kind[:1].upper(), frames, e.keypoints, e.hand, e.view, cameras, e.comment, state)
    _console().print(table, markup=False)


@click.command("doctor", cls=DatasetCommand, datasets=DATASETS)
@click.argument("dataset", required=False, type=click.Choice(DATASETS), metavar="[DATASET]")
@click.option("--root", type=NamedPath(path_type=Path), help="The dataset's folder [default: data/native/DATASET]")
@json_option
@data_root_option
@click.pass_obj
def doctor_command(data_root: DataRoot, /, dataset: str | None, root: Path | None, as_json: bool, **asked: Any) -> None:
    """Check this machine, or the unpacked archive of DATASET; the exit code is 1 if something is wrong.

    DATASET is one of DATASETS.

    \b
    Examples:
      handdata doctor
      handdata doctor stereo --root ~/data/STB
    """
    refuse_foreign(dataset, asked, DATASETS)
    if dataset is None:
        _print_machine(data_root, as_json=as_json)
        return
    from handdata.check.doctor import diagnose

    options = options_of(dataset, asked, boxes_default=data_root.boxes(dataset))
    diagnosis = diagnose(dataset, root or data_root.native(dataset), data_root.shards(dataset), options)
    if as_json:
        print_json(diagnosis.as_json())
    else:
        _print_diagnosis(diagnosis)
    sys.exit(1 if diagnosis.findings else 0)


def _print_machine(data_root: DataRoot, *, as_json: bool) -> None:
    from dataclasses import asdict

    from handdata.check.environment import examine

    checks = examine(data_root)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            fix = f"  {check.fix}" if check.fix else ""
            click.echo(f"{check.state:5}  {check.name:{width}}  {check.text}{fix}")
    sys.exit(1 if any(check.state == "found" for check in checks) else 0)


def _print_diagnosis(diagnosis: "Diagnosis") -> None:
    made = ", rendered by handdata synth" if diagnosis.rendered else ""
    click.echo(f"{diagnosis.dataset}: {diagnosis.root or diagnosis.given}{made}")
    _print_tree(diagnosis)
    for split, sequences in diagnosis.samples.items():
        listed = ", ".join(f"{name} {count}" for name, count in list(sequences.items())[:MAX_LISTED] if name)
        more = f" and {len(sequences) - MAX_LISTED} more" if len(sequences) > MAX_LISTED else ""
        click.echo(f"{split}: {sum(sequences.values())} samples{': ' if listed else ''}{listed}{more}")
    for what, reading in diagnosis.readings.items():
        click.echo(f"{what}: {reading}")
    for note in diagnosis.notes:
        click.echo(f"note: {note}")
    if diagnosis.sizes:
        click.echo(work_of(diagnosis))
    for finding in diagnosis.findings:
        click.echo(f"FOUND {finding}")
    if not diagnosis.findings:
        click.echo("nothing wrong")


def _print_tree(diagnosis: "Diagnosis") -> None:
    from rich.table import Table

    if not diagnosis.tree:
        return
    table = Table(title="files, by the end of their path", title_justify="left")
    table.add_column("pattern", no_wrap=True)
    table.add_column("whole archive", justify="right")
    table.add_column("found", justify="right")
    for line in diagnosis.tree:
        optional = " (not needed)" if line.optional else ""
        table.add_row(f"{line.pattern}{optional}", str(line.expected), str(line.found))
    _console().print(table, markup=False)


def work_of(diagnosis: "Diagnosis") -> str:
    """Say how large the pictures are and the shards get, and how long that takes."""
    sizes = ", ".join(f"{name} {_size(count)}" for name, count in diagnosis.sizes.items())
    return f"{sizes}{_duration(diagnosis.minutes)}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _duration(minutes: float) -> str:
    if math.isnan(minutes):
        return ""
    return f", {minutes:.0f} minutes to convert" if minutes >= 1 else f", {60 * minutes:.0f} seconds to convert"
