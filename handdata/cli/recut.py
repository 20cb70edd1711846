"""`handdata subset`, `merge` and `split`: shards cut anew; nothing is converted again."""

from pathlib import Path
from typing import Any

import click

from handdata.cli.complete import complete_results, complete_shards
from handdata.cli.options import NamedPath, data_root_option, run_path, shard_folder
from handdata.paths import DataRoot

_OUT = click.option(
    "--out", type=NamedPath(file_okay=False, path_type=Path), required=True, help="Folder to write shards to."
)
_SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draw.")


@click.command("subset")
@click.argument("path", shell_complete=complete_shards)
@_OUT
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="Split to keep.")
@click.option("--side", type=click.Choice(["left", "right", "unknown"]), help="Side to keep.")
@click.option("--sequence", "sequences", multiple=True, help="Sequence to keep; give it once for each.")
@click.option("--camera", "cameras", multiple=True, help="Camera to keep; give it once for each.")
@click.option("--object/--no-object", "has_object", default=None, help="Keep hands with an object, or without.")
@click.option(
    "--ids",
    type=NamedPath(exists=True, dir_okay=False, path_type=Path),
    help="File with one sample id per line to keep.",
)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Condition on any column of Dataset.where that holds one value per hand, such as 'scale_mm<70',"
    " 'has_object=unknown', 'frame>=100' or 'split!=test'; give it once for each, and all must hold.",
)
@click.option("--sample", type=click.IntRange(min=1), help="Number of hands to draw from those that are left.")
@click.option(
    "--errors",
    type=NamedPath(path_type=Path),
    shell_complete=complete_results,
    help="Run, or the results.json of an evaluation: keep the hands that it got worst, by --worst.",
)
@click.option("--worst", type=click.IntRange(min=1), help="Number of hands to keep, worst first, with --errors.")
@_SEED
@data_root_option
@click.pass_obj
def subset_command(data_root: DataRoot, /, path: str, *, out: Path, ids: Path | None, **asked: Any) -> None:
    """Write some hands of converted shards as shards of their own.

    PATH is a folder of shards or the name of a dataset. Rows are copied; their hashes stay.

    \b
    Example:
      handdata subset rhd --side left --split train --sample 500 --out data/shards/rhd-left
      handdata subset rhd --where 'scale_mm<70' --where has_object=unknown --out data/shards/rhd-small
      handdata subset rhd --errors runs/best/results.json --worst 200 --out data/shards/rhd-worst
    """
    from handdata.conversion.recut import recut
    from handdata.shards.conditions import read_condition, read_ids
    from handdata.shards.dataset import open_dataset

    data = open_dataset(shard_folder(data_root, path))
    wanted: dict[str, Any] = {
        "split": list(asked["splits"]),
        "side": asked["side"],
        "sequence": list(asked["sequences"]),
        "camera": list(asked["cameras"]),
    }
    wanted = {key: value for key, value in wanted.items() if value}
    if asked["has_object"] is not None:
        wanted["has_object"] = asked["has_object"]
    if ids is not None:
        wanted["id"] = read_ids(ids, set(data["id"].tolist()))
    data = data.where(**wanted)
    for condition in asked["conditions"]:
        data = data[read_condition(data, condition)]
    if (asked["errors"] is None) != (asked["worst"] is None):
        raise click.UsageError("Give --errors and --worst together.")
    if asked["errors"] is not None:
        data = _worst(data, run_path(data_root, asked["errors"]), asked["worst"])
    if asked["sample"] is not None and asked["sample"] < len(data):
        data = data.sample(asked["sample"], seed=asked["seed"])
    click.echo(f"{len(recut(data, out))} samples -> {out}")


def _worst(data: Any, path: Path, count: int) -> Any:
    """Return the hands of a dataset that an evaluation got worst; say by what."""
    from handdata.conversion.other_results import predictions_behind
    from handdata.evaluation.results import read_results, results_file
    from handdata.evaluation.worst import refuse_other_hands, worst
    from handdata.progress import say

    path = results_file(path)
    results = read_results(path)
    predictions = predictions_behind(results, path)
    refuse_other_hands(results, predictions, data, path)
    found, what = worst(data, predictions, count, readout=results.readout)
    say(f"{len(found)} of {len(data)} hands, those with the largest mean error in {what}, worst first")
    return found


@click.command("merge")
@click.argument("paths", nargs=-1, required=True, shell_complete=complete_shards)
@_OUT
@click.option("--name", help="Name of the new dataset [default: that of all of them]")
@data_root_option
@click.pass_obj
def merge_command(data_root: DataRoot, paths: tuple[str, ...], *, out: Path, name: str | None) -> None:
    """Write several converted datasets as one; their canvases have one size.

    PATHS are folders of shards or names of datasets.

    \b
    Example:
      handdata merge data/shards/mine-monday data/shards/mine-tuesday --out data/shards/mine
    """
    from handdata.conversion.recut import recut
    from handdata.shards.concat import concat
    from handdata.shards.dataset import open_dataset

    parts = [open_dataset(shard_folder(data_root, path)) for path in paths]
    click.echo(f"{len(recut(concat(parts), out, name=name))} samples -> {out}")


@click.command("split")
@click.argument("path", shell_complete=complete_shards)
@_OUT
@click.option(
    "--by",
    required=True,
    help="Way: sequence, subject or random, with shares as in random:0.1/0.1; or one split for all.",
)
@click.option(
    "--subject",
    default="",
    metavar="PATTERN",
    help="Regular expression that finds the subject in a sequence's name, for --by subject.",
)
@_SEED
@data_root_option
@click.pass_obj
def split_command(data_root: DataRoot, path: str, *, out: Path, by: str, subject: str, seed: int) -> None:
    """Write converted shards with other splits: by whole sequences, whole subjects, or pictures at random.

    PATH is a folder of shards or the name of a dataset.

    \b
    Examples:
      handdata split data/shards/custom --by sequence:0.1/0.1 --out data/shards/mine
      handdata split dexycb --by subject:0.2/0.2 --subject 'subject-\\d+' --out data/shards/mine
    """
    from handdata.conversion.recut import recut, resplit
    from handdata.converters.read.picture_splits import SplitBy, parse_split_by
    from handdata.shards.dataset import open_dataset

    asked = parse_split_by(by, "--by") or SplitBy("random")
    if subject and asked.way != "subject":
        raise click.UsageError("--subject is for --by subject.")
    data = open_dataset(shard_folder(data_root, path))
    new = recut(data, out, split_of=resplit(data, asked, seed, subject))
    counts = ", ".join(f"{split} {int((new['split'] == split).sum())}" for split in ("train", "val", "test"))
    click.echo(f"{len(new)} samples -> {out}: {counts}")
