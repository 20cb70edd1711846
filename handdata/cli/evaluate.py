"""handdata evaluate: predictions of a run, or of another program, under every protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handdata.cli.columns import columns
from handdata.cli.complete import complete_protocol, complete_run, complete_shards
from handdata.cli.lens import LENS, lens_of, lens_options, said_size
from handdata.cli.options import (
    INDEX,
    NamedPath,
    data_root_option,
    json_option,
    names_given,
    print_json,
    refuse_to_replace,
    refuse_unused,
    renamed_option,
    run_path,
    shard_folder,
)
from handdata.cli.train import ManyValues
from handdata.errors import MissingError
from handdata.files.opening import is_file, matching
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say

if TYPE_CHECKING:
    from handdata.evaluation.protocol import Protocol
    from handdata.evaluation.results import SetResult
    from handdata.train.placing import Placing

RESULTS = "results.json"
# options that make no sense with --predictions, and with a run
_WITH_RUN = ("sequences", "limit", "augmented", "repeats", "batch", "device", "fit", *LENS)
_WITH_PREDICTIONS = ("out", "annotations")
_UNITS = {"crop": "of the crop side", "normalised": "of wrist to middle MCP"}  # areas and shares have none


@click.command("evaluate", cls=ManyValues)
@click.argument("run", required=False, shell_complete=complete_run)
@click.option(
    "--predictions",
    "given",
    type=NamedPath(path_type=Path),
    help="Score this .h5, .csv or .json file of any program, COCO results or mmpose's .pkl; no model is run. See docs/evaluation.md.",
)
@click.option(
    "--annotations",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="COCO file whose pictures and hands the --predictions count by: the one imported, or one that `export` wrote.",
)
@click.option(
    "--shards",
    multiple=True,
    metavar="[PATH...]",
    shell_complete=complete_shards,
    help="Converted datasets, by name or folder, or a folder of them [default: every complete one under data/shards]",
)
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), help="Score only this split [default: all but train]"
)
@click.option("--sequences", callback=names_given, help="Score only these sequences: A,B.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many samples of each dataset.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    shell_complete=complete_protocol,
    help="Print only this protocol (repeatable); all are stored.",
)
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
@lens_options
@click.option(
    "--fit",
    is_flag=True,
    help="Fit a hand of 26 degrees of freedom to each picture's keypoints, if its camera is known.",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the augmentation.")
@click.option(
    "--out",
    type=NamedPath(dir_okay=False, endings=[".json"], path_type=Path),
    help="File for the scores of --predictions.",
)
@data_root_option
@json_option
@click.pass_obj
def evaluate_command(
    data_root: DataRoot,
    run: str | None,
    given: Path | None,
    annotations: Path | None,
    shards: tuple[str, ...],
    split: str | None,
    sequences: str | None,
    limit: int | None,
    protocols: tuple[str, ...],
    read_out: str | None,
    augmented: bool,
    repeats: int,
    batch: int,
    focal: float | None,
    fov: float | None,
    camera: Path | None,
    hand_size: str | None,
    fit: bool,
    device: str,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score RUN (a name or folder, or `compact`, which comes with the package) on converted datasets, each sample once.

    Writes predictions.h5 and results.json into the run, or results.json beside --predictions. With --limit the scores
    go to results-limited.json where the run has a whole evaluation, which stays as it is.
    With --hand-size, --focal, --fov or --camera the pose is placed in millimetres and absolute errors are scored; without a
    camera each picture's own is taken.
    With --fit the files are predictions-fitted.h5 and results-fitted.json: those without it stay, to compare.

    \b
    Examples:
      handdata evaluate demo
      handdata evaluate e010 --shards stereo --split val --protocol thesis
      handdata evaluate e020 --augmented --repeats 5
      handdata evaluate best --hand-size adult --protocol epe_abs_mm
      handdata evaluate --predictions theirs.csv --shards rhd --protocol auc_hand3d
      handdata evaluate --predictions results.json --annotations val.json --shards mine --protocol oks_ap
    """
    if (run is None) == (given is None):
        raise click.UsageError("Give a RUN, or --predictions FILE.")
    if fit and augmented:
        raise click.UsageError("--augmented takes no --fit: its views have no camera.")
    unused, other = (_WITH_PREDICTIONS, "--predictions") if given is None else (_WITH_RUN, "a RUN")
    refuse_unused(unused, f"goes with {other} only")
    from handdata.conversion.other_results import as_imported, read_any_predictions
    from handdata.evaluation.protocols import choose_protocols
    from handdata.evaluation.results import results_json
    from handdata.evaluation.score import score_predictions
    from handdata.evaluation.seen import seen_by
    from handdata.files.whole import whole

    chosen = choose_protocols(protocols)
    folders = _folders(data_root, shards, split)
    splits = [split] if split else None
    if given is not None:
        target = out or given.with_name(f"{given.stem}.{RESULTS}")
        refuse_to_replace(target, predictions=given, annotations=annotations)
        with whole(target) as file:  # held from the start: a second evaluation of these is refused at once
            read_as = as_imported(annotations, folders) if annotations else {}
            predictions = read_any_predictions(given, annotations, read_as=read_as)
            results = score_predictions(
                predictions, folders, splits=splits, readout=read_out, seed=seed, source=str(given),
                seen=seen_by(predictions.options),
            )  # fmt: skip
            file.write(results_json(results))
    else:
        from handdata.train.evaluate import evaluate_run
        from handdata.train.selection import Selection

        folder = _run_folder(data_root, str(run))
        selection = Selection(folders=folders, split=split, held_out=True, sequences=sequences.split(",") if sequences else (),
                              limit=limit or 0, augmented=augmented, repeats=repeats, fit=fit,
                              placing=_placing(folder, focal, fov, camera, hand_size, augmented=augmented))  # fmt: skip
        target, results = evaluate_run(folder, selection, device=device, batch=batch, seed=seed, readout=read_out)
        if target.name != RESULTS and limit:
            say(f"{folder / RESULTS} keeps the whole evaluation; the scores of --limit {limit} lie apart, in no report")
    asked = [one for one in results.sets if given or one.augmented == augmented]  # a run keeps its other kind beside
    if as_json:
        rows = [row for one in asked for row in _rows(one, chosen)]
        sets = [_sets(one) for one in asked]
        print_json({"results": str(target), "readout": results.readout, "sets": sets, "scores": rows})
        return
    for one in asked:
        for line in _lines(one, results.folder_of(one), _rows(one, chosen), results.readout):
            click.echo(line)
    click.echo(target)


def _placing(
    run: Path, focal: float | None, fov: float | None, camera: Path | None, hand_size: str | None, *, augmented: bool
) -> "Placing | None":
    """Return what millimetres are to rest on, None where none are asked for; say what they do."""
    from handdata.model.released import hand_size_of
    from handdata.train.placing import Placing

    if {focal, fov, camera, hand_size} == {None}:
        return None
    if augmented:
        raise click.UsageError("--augmented gives no millimetres: its views have no camera.")
    lens, size = lens_of(focal, fov, camera), said_size(hand_size, hand_size_of(run))
    by = "the camera given" if lens else "each picture's own camera"
    say(f"millimetres rest on {by} and {size.mm:g} +- {size.sd_mm:g} mm from wrist to middle knuckle: {size.source}")
    return Placing(size=size, lens=lens)


def _folders(data_root: DataRoot, shards: Sequence[str], split: str | None) -> list[Path]:
    """Return the named shard folders and those in a named folder; else every dataset here that has the split."""
    from handdata.shards.dataset import open_dataset

    if shards:
        named = [shard_folder(data_root, name) for name in shards]
        return [folder for path in named for folder in _complete(path) or [path]]
    found = [path for path in data_root.all_shards() if path.name != BACKGROUNDS and _complete(path)]
    found = [path for path in found if split in (None, *open_dataset(path).splits)]
    if not found:
        fix = "Convert a dataset first, `handdata convert NAME`, or name its folder with --shards."
        what = "converted datasets" + (f" with a split {split}" if split else "")
        raise MissingError(data_root.root / "data" / "shards", expected=what, got="none", fix=fix)
    return found


def _complete(path: Path) -> list[Path]:
    """Return a folder that holds an index, or those of its folders that do, in name order."""
    if is_file(path / INDEX, "an index of shards"):
        return [path]
    return sorted(index.parent for index in matching(path, f"*/{INDEX}"))


def _run_folder(data_root: DataRoot, run: str) -> Path:
    from handdata.model.released import released_names

    folder = run_path(data_root, Path(run))
    if folder.is_dir():
        return folder
    if run in released_names():
        return data_root.runs / run
    got = "a file" if folder.is_file() else "no such folder"
    raise MissingError(run, expected="the name or folder of a run", got=got, fix="`handdata runs` lists them.")


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


def _lines(one: "SetResult", folder: str, rows: Sequence[dict[str, object]], readout: str) -> list[str]:
    """Return one set's scores as aligned text under its name; what is missing last, by reason."""
    hands = f", {one.origin} hands" if one.origin != "unknown" else ""
    sequences = one.counts["sequences"]
    what = f"{one.counts['samples']} samples of {sequences} sequence{'' if sequences == 1 else 's'}"
    what = f"augmented, {one.repeats} repeats" if one.augmented else what
    own_rule = ", thesis by expectation" if "2d_published" in one.errors.get("all", {}) else ""
    head = f"{one.dataset} {one.split}{f', {folder}' if folder else ''}: {what}{hands}, 2D by {readout or 'none'}{own_rule}"
    found = [row for row in rows if row["value"] is not None]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            reasons.setdefault(str(row["missing"]), []).append(str(row["protocol"]))
    said = (part for row in found for part in str(row["note"]).split("; "))
    no_interval = dict.fromkeys(part for part in said if part.startswith("no interval: labels"))
    return [
        head,
        *(f"  {line}" for line in one.gaps()),
        *(columns([(str(row["protocol"]), *_cells(row)) for row in found], right=(1, 4), indent="  ") if found else []),
        *(f"  {reason}" for reason in no_interval),
        *(f"  missing, {reason}: {', '.join(names)}" for reason, names in reasons.items()),
    ]


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    """Return a score's number, unit, interval, labels, and how many of them were not predicted."""
    unit = "" if row["unit"] == "1" else _UNITS.get(str(row["unit"]), str(row["unit"]))
    interval = f"[{row['low']:.4f}, {row['high']:.4f}]" if row["low"] is not None else ""
    lacking = f"labels, {row['unpredicted']} not predicted" if row["unpredicted"] else "labels"
    return (f"{row['value']:.4f}", unit, interval, str(row["labels"]), lacking)
