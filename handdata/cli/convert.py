"""handdata convert: native files to shards."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handdata.cli.complete import complete_dataset
from handdata.cli.dataset_options import ALL, DatasetCommand, options_of, refuse_foreign
from handdata.cli.options import NamedPath, data_root_option, json_option, names_given, print_json, renamed_option
from handdata.converters import CONVERTERS, DATASETS
from handdata.errors import MissingError
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say

if TYPE_CHECKING:
    from handdata.converters.options import Options


@click.command("convert", cls=DatasetCommand, datasets=tuple(CONVERTERS))
@click.argument("dataset", shell_complete=complete_dataset)
@click.option(
    "--root", type=NamedPath(path_type=Path), help="Folder of the native files [default: data/native/DATASET]"
)
@click.option(
    "--out",
    type=NamedPath(file_okay=False, path_type=Path),
    help="Folder to write shards to [default: data/shards/DATASET]",
)
@click.option(
    "--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="Convert only this split."
)
@click.option("--sequences", callback=names_given, help="Convert only these sequences: A,B.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many samples.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes [default: all cores]")
@click.option("--canvas", type=int, default=192, show_default=True, help="Side of the stored canvases, px.")
@click.option("--skip-bad", is_flag=True, help="Leave out samples that cannot be read; they are counted and named.")
@click.option("--check", is_flag=True, help="Compare every byte of shards from before; make damaged ones again.")
@renamed_option(
    "--num-jobs", "--num-shards", type=click.IntRange(min=1), help="Number of jobs in a job array [default: 1]"
)
@renamed_option("--job", "--shard-index", type=click.IntRange(min=0), help="Number of this job, from 0.")
@click.option("--scheduler", help="Address of a Dask scheduler to run on (pip install 'handdata[dask]').")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
@json_option
@data_root_option
@click.pass_obj
def convert_command(data_root: DataRoot, /, dataset: str, as_json: bool, **asked: Any) -> None:
    """Convert DATASET's native files to shards.

    DATASET is one of DATASETS; custom (your own pictures, with --annotations); backgrounds (a folder of pictures); or
    all (every dataset under data/native). `handdata convert DATASET --help` shows that dataset's options alone.

    \b
    Examples:
      handdata convert stereo
      handdata convert rhd --root ~/data/RHD_published_v2 --out shards/rhd --workers 8
      handdata convert dexter --boxes bbox_dexter+object.csv
    """
    names = (*CONVERTERS, ALL)
    if dataset not in names:
        raise click.BadParameter(f"{dataset!r} is not one of {', '.join(names)}.", param_hint="DATASET")
    _check_options(dataset, asked)
    if dataset == BACKGROUNDS:
        _paint_backgrounds(data_root, asked)
    results = [convert_one(name, data_root, asked) for name in (_present(data_root) if dataset == ALL else [dataset])]
    for result in results:
        if not as_json:
            click.echo(result.pop("line"))
    if as_json:
        print_json([{key: value for key, value in result.items() if key != "line"} for result in results])


def _check_options(dataset: str, asked: dict[str, Any]) -> None:
    """Refuse options that do not fit one another or the dataset, instead of ignoring them."""
    if (asked["job"] or 0) >= (asked["num_jobs"] or 1):
        raise click.BadParameter("must be below --num-jobs", param_hint="--job")
    if (asked["num_jobs"] or 1) > 1 and asked["job"] is None:
        raise click.BadParameter("needs --job, this job's number from 0", param_hint="--num-jobs")
    if dataset == ALL and (asked["root"] or asked["out"]):
        raise click.BadParameter("takes its folders from --data-root, not --root or --out", param_hint="all")
    if dataset != ALL:
        refuse_foreign(dataset, asked, tuple(CONVERTERS))


def _present(data_root: DataRoot) -> list[str]:
    """Return the datasets that lie under data/native; name those that do not."""
    present = [name for name in DATASETS if data_root.native(name).is_dir()]
    absent = ", ".join(name for name in DATASETS if name not in present)
    say(f"convert all: {', '.join(present) or 'nothing'}" + (f"; absent: {absent}" if absent else ""))
    if not present:
        fix = "Unpack the archives there, or render some with: handdata synth all"
        raise MissingError(data_root.native("<dataset>"), expected="native files", got="none", fix=fix)
    return present


def convert_one(name: str, data_root: DataRoot, asked: dict[str, Any]) -> dict[str, Any]:
    """Plan or convert one dataset; return the record that `--json` prints and its line."""
    from handdata.conversion.carded import convert

    if asked["scheduler"]:  # its workers may run in another folder
        data_root = DataRoot(data_root.root.absolute())
        asked = {key: _absolute(value) for key, value in asked.items()}
    root, out = asked["root"] or data_root.native(name), asked["out"] or data_root.shards(name)
    options = _options(name, data_root, asked)
    if asked["dry_run"]:
        return _preview(name, root, out, options, asked)
    with _executor(asked["scheduler"]) as executor:
        result = convert(
            name,
            root,
            out,
            options=options,
            splits=asked["splits"],
            limit=asked["limit"],
            workers=asked["workers"] or os.cpu_count() or 1,
            canvas=asked["canvas"],
            skip_bad=asked["skip_bad"],
            check=asked["check"],
            job=(asked["job"] or 0, asked["num_jobs"] or 1),
            executor=executor,
        )
    for line in _skipped_lines(result.skipped):
        say(f"{name}: skipped {line}")
    notes = [f", {len(result.skipped)} skipped" if result.skipped else ""]
    notes.append(f", {result.num_kept} kept from before" if result.num_kept else "")
    notes.append("" if result.complete else "; other jobs of the array still have shards to write")
    shards = "1 shard" if result.num_shards == 1 else f"{result.num_shards} shards"
    samples = "1 sample" if result.num_samples == 1 else f"{result.num_samples} samples"
    line = f"{name}: {samples} in {shards} -> {out}{''.join(notes)}"
    return {
        "line": line,
        "dataset": name,
        "root": str(result.plan.root),
        "out": str(out),
        "num_samples": result.num_samples,
        "num_shards": result.num_shards,
        "skipped": result.skipped,
        "warnings": list(result.plan.warnings),
        "readings": dict(result.plan.readings),
        "complete": result.complete,
    }


def _absolute(value: Any) -> Any:
    """Return a path, or each of several, as one that means the same in any folder."""
    if isinstance(value, tuple):
        return tuple(map(_absolute, value))
    return value.absolute() if isinstance(value, Path) else value


def _skipped_lines(skipped: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each cause: a label file that cannot be read costs all its samples."""
    by_cause: dict[str, list[str]] = {}
    for sample, why in skipped.items():
        by_cause.setdefault(why, []).append(sample)
    for why, samples in by_cause.items():
        yield f"{samples[0]}: {why}" if len(samples) == 1 else f"{len(samples)}, {samples[0]} to {samples[-1]}: {why}"


def _preview(name: str, root: Path, out: Path, options: "Options", asked: dict[str, Any]) -> dict[str, Any]:
    """Plan one dataset and write nothing; return the record that `--json` prints and its line."""
    from handdata.check.doctor import preview
    from handdata.cli.check import work_of
    from handdata.conversion.mended import told_of
    from handdata.conversion.plan import check_canvas, make_plan
    from handdata.shards.schema import SPLITS

    check_canvas(asked["canvas"])
    plan = make_plan(name, root, options, asked["splits"], asked["limit"], skip_bad=asked["skip_bad"])
    counts = {s: count for s in SPLITS if (count := sum(i.split == s for i in plan.items))}
    readings = (*plan.readings, *told_of(plan.corrections))
    for line in (*plan.warnings, *(f"{what}: {found}" for what, found in readings)):
        say(f"{name}: {line}")
    seen = preview(name, plan, options, out, asked["canvas"])
    short = [f"{part.pattern} {part.found} of {part.expected}" for part in seen.tree if part.found < part.expected]
    if short:
        say(f"{name}: files of the whole archive: {', '.join(short)}")
    for line in (*seen.findings, work_of(seen)):
        say(f"{name}: {line}")
    line = f"{name}: {len(plan.items)} samples ({', '.join(f'{s} {n}' for s, n in counts.items())}) -> {out}"
    record = {"dataset": name, "root": str(plan.root), "out": str(out), "splits": counts}
    said = {"warnings": list(plan.warnings), "readings": dict(plan.readings)}
    foreseen = {key: value for key, value in seen.as_json().items() if key in ("tree", "findings", "sizes", "minutes")}
    return {"line": line, **record, **said, **foreseen}


def _options(name: str, data_root: DataRoot, asked: dict[str, Any]) -> "Options":
    sequences = tuple(part for part in (asked["sequences"] or "").split(",") if part)
    return options_of(name, asked, sequences=sequences, boxes_default=data_root.boxes(name))


@contextmanager
def _executor(scheduler: str | None) -> Iterator[Executor | None]:
    """Connect to a Dask scheduler, if one is named."""
    if scheduler is None:
        yield None
        return
    from handdata.conversion.dask import dask_executor

    with dask_executor(scheduler) as executor:
        yield executor


def _paint_backgrounds(data_root: DataRoot, asked: dict[str, Any]) -> None:
    """Paint pictures to convert where the user has none."""
    from handdata.shards.backgrounds import write_painted

    folder = data_root.native(BACKGROUNDS)
    if asked["root"] is None and not folder.is_dir() and not asked["dry_run"]:
        say(f"backgrounds: no --root and no {folder}: {len(write_painted(folder))} pictures painted there")
