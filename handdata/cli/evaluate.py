"""handdata evaluate: predictions of a run, or of another program, under every protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.columns import columns
from handdata.cli.options import (
    INDEX,
    data_root_option,
    json_option,
    print_json,
    renamed_option,
    run_path,
    shard_folder,
)
from handdata.cli.train import ManyValues
from handdata.errors import MissingError
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say

if TYPE_CHECKING:
    from handdata.evaluation.protocol import Protocol
    from handdata.evaluation.results import SetResult

RESULTS = "results.json"
# options that make no sense with --predictions, and with a run
_WITH_RUN = ("sequences", "limit", "augmented", "repeats", "batch", "device")
_WITH_PREDICTIONS = ("out",)
_UNITS = {"crop": "of the crop side", "normalised": "of wrist to middle MCP"}  # areas and shares have none


@click.command("evaluate", cls=ManyValues)
@click.argument("run", required=False)
@click.option(
    "--predictions",
    "given",
    type=click.Path(path_type=Path),
    help="Score this .h5, .csv or .json file of any program; no model is run. See docs/evaluation.md.",
)
@click.option(
    "--shards",
    multiple=True,
    metavar="[PATH...]",
    help="Converted datasets, by name or folder, or a folder of them [default: every complete one under data/shards]",
)
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), help="Score only this split [default: all but train]"
)
@click.option("--sequences", help="Score only these sequences: A,B.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many samples of each dataset.")
@click.option("--protocol", "protocols", multiple=True, help="Print only this protocol (repeatable); all are stored.")
@renamed_option(
    "--read-out", "--readout", help="Read-out from heatmaps to 2D positions [default: the first in the predictions]"
)
@click.option(
    "--augmented",
    is_flag=True,
    help="Apply the published augmentation (Table 4.6b), whatever the run was trained with.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Repeats of an augmented evaluation."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Samples per batch; the scores do not depend on it.",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the augmentation.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the scores of --predictions.")
@data_root_option
@json_option
@click.pass_obj
def evaluate_command(
    data: DataRoot,
    run: str | None,
    given: Path | None,
    shards: tuple[str, ...],
    split: str | None,
    sequences: str | None,
    limit: int | None,
    protocols: tuple[str, ...],
    read_out: str | None,
    augmented: bool,
    repeats: int,
    batch: int,
    device: str,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score RUN (a name or folder) on converted datasets, each sample once, in a fixed order.

    Writes predictions.h5 and results.json into the run, or results.json beside --predictions. With --limit the scores
    go to results-limited.json where the run has a whole evaluation, which stays as it is.

    \b
    Examples:
      handdata evaluate demo
      handdata evaluate e010 --shards stereo --split val --protocol thesis
      handdata evaluate e020 --augmented --repeats 5
      handdata evaluate --predictions theirs.csv --shards rhd --protocol auc_hand3d
    """
    if (run is None) == (given is None):
        raise click.UsageError("Give a RUN, or --predictions FILE.")
    _refuse_unused(_WITH_RUN if given is not None else _WITH_PREDICTIONS)
    from handdata.evaluation.predictions import read_predictions
    from handdata.evaluation.protocols import choose_protocols
    from handdata.evaluation.results import write_results
    from handdata.evaluation.score import score_predictions
    from handdata.evaluation.seen import seen_by

    chosen = choose_protocols(protocols)
    folders = _folders(data, shards, split)
    splits = [split] if split else None
    if given is not None:
        target = out or given.with_name(f"{given.stem}.{RESULTS}")
        predictions = read_predictions(given)
        results = score_predictions(
            predictions, folders, splits=splits, readout=read_out, seed=seed, source=str(given),
            seen=seen_by(predictions.options),
        )  # fmt: skip
        write_results(target, results)
    else:
        from handdata.train.evaluate import evaluate_run
        from handdata.train.selection import Selection

        folder = _run_folder(data, str(run))
        selection = Selection(folders=folders, split=split, held_out=True, sequences=sequences.split(",") if sequences else (),
                              limit=limit or 0, augmented=augmented, repeats=repeats)  # fmt: skip
        target, results = evaluate_run(folder, selection, device=device, batch=batch, seed=seed, readout=read_out)
        if target.name != RESULTS:
            say(f"{folder / RESULTS} keeps the whole evaluation; the scores of --limit {limit} lie apart, in no report")
    asked = [one for one in results.sets if given or one.augmented == augmented]  # a run keeps its other kind beside
    if as_json:
        rows = [row for one in asked for row in _rows(one, chosen)]
        sets = [_sets(one) for one in asked]
        print_json({"results": str(target), "readout": results.readout, "sets": sets, "scores": rows})
        return
    for one in asked:
        for line in _lines(one, _rows(one, chosen), results.readout):
            click.echo(line)
    click.echo(target)


def _refuse_unused(options: Sequence[str]) -> None:
    """Refuse options that would change nothing, instead of ignoring them."""
    context = click.get_current_context()
    for option in options:
        if context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            other = "a RUN" if options is _WITH_RUN else "--predictions"
            raise click.BadParameter(f"goes with {other} only", param_hint=f"--{option}")


def _folders(data: DataRoot, shards: Sequence[str], split: str | None) -> list[Path]:
    """Return the named shard folders and those in a named folder; else every dataset here that has the split."""
    from handdata.shards.dataset import open_dataset

    if shards:
        named = [shard_folder(data, name) for name in shards]
        return [folder for path in named for folder in _complete(path) or [path]]
    found = [path for path in data.all_shards() if path.name != BACKGROUNDS and _complete(path)]
    found = [path for path in found if split in (None, *open_dataset(path).splits)]
    if not found:
        fix = "Convert a dataset first, `handdata convert NAME`, or name its folder with --shards."
        what = "converted datasets" + (f" with a split {split}" if split else "")
        raise MissingError(data.root / "data" / "shards", expected=what, got="none", fix=fix)
    return found


def _complete(path: Path) -> list[Path]:
    """Return a folder that holds an index, or those of its folders that do, in name order."""
    if (path / INDEX).is_file():
        return [path]
    return sorted(index.parent for index in path.glob(f"*/{INDEX}"))


def _run_folder(data: DataRoot, run: str) -> Path:
    folder = run_path(data, Path(run))
    if folder.is_dir():
        return folder
    raise MissingError(
        run, expected="the name or folder of a run", got="no such folder", fix="`handdata runs` lists them."
    )


def _rows(one: "SetResult", protocols: "Sequence[Protocol]") -> list[dict[str, object]]:
    """Return one set's scores as plain values, in the order of the protocols."""
    scores = [(protocol, one.protocols[protocol.name]) for protocol in protocols if protocol.name in one.protocols]
    return [
        {
            "dataset": one.dataset,
            "split": one.split,
            "augmented": one.augmented,
            "protocol": protocol.name,
            "unit": protocol.unit,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "labels": score.labels,
            "unpredicted": score.unpredicted,
            "samples": score.samples,
            "sequences": score.sequences,
            "missing": score.missing,
            "note": score.note,
        }
        for protocol, score in scores
    ]


def _sets(one: "SetResult") -> dict[str, object]:
    """Return what was scored of one set, as plain values."""
    facts = ("dataset", "split", "shards", "origin", "augmented", "repeats", "trained_on", "left_out")
    return {**{name: getattr(one, name) for name in facts}, "counts": dict(one.counts)}


def _lines(one: "SetResult", rows: Sequence[dict[str, object]], readout: str) -> list[str]:
    """Return one set's scores as aligned text under its name; what is missing last, by reason."""
    hands = f", {one.origin} hands" if one.origin != "unknown" else ""
    sequences = one.counts["sequences"]
    what = f"{one.counts['samples']} samples of {sequences} sequence{'' if sequences == 1 else 's'}"
    what = f"augmented, {one.repeats} repeats" if one.augmented else what
    own_rule = ", thesis by expectation" if "2d_published" in one.errors.get("all", {}) else ""
    head = f"{one.dataset} {one.split}: {what}{hands}, 2D by {readout or 'none'}{own_rule}"
    found = [row for row in rows if row["value"] is not None]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            reasons.setdefault(str(row["missing"]), []).append(str(row["protocol"]))
    return [
        head,
        *(f"  {line}" for line in one.gaps()),
        *(columns([(str(row["protocol"]), *_cells(row)) for row in found], right=(1, 4), indent="  ") if found else []),
        *(f"  missing, {reason}: {', '.join(names)}" for reason, names in reasons.items()),
    ]


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    """Return a score's number, unit, interval, labels, and how many of them were not predicted."""
    unit = "" if row["unit"] == "1" else _UNITS.get(str(row["unit"]), str(row["unit"]))
    interval = f"[{row['low']:.4f}, {row['high']:.4f}]" if row["low"] is not None else ""
    lacking = f"labels, {row['unpredicted']} not predicted" if row["unpredicted"] else "labels"
    return (f"{row['value']:.4f}", unit, interval, str(row["labels"]), lacking)
