"""The page: every part gathered, rendered from one template, written with its Markdown, CSV and LaTeX twins."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from handdata import __version__
from handdata.errors import HanddataError, WriteError
from handdata.evaluation import metrics
from handdata.evaluation.results import QUANTITIES, SetResult
from handdata.files.whole import write_text
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say
from handdata.report import figures, gallery, summaries
from handdata.report.cells import TABLES
from handdata.report.curves import AXES, Plots, pck_plots, series_of
from handdata.report.drawings import error_skeleton
from handdata.report.fits import fits_table
from handdata.report.folding import Folded, fold
from handdata.report.formats import to_latex, to_markdown, to_tidy_csv
from handdata.report.lead import hands_of, run_cards
from handdata.report.models import models_table
from handdata.report.published import CAVEATS
from handdata.report.reference import Reference
from handdata.report.runs import Run
from handdata.report.summaries import Scored
from handdata.report.tables import Table, thesis_table, tidy_rows
from handdata.shards.dataset import Dataset

TITLE = "handdata report"
_HEAD_BYTES = 4096  # within which a page's title stands
SHOWN_SETS = 4  # of a run's card; the others are folded
BONE_SAMPLES, BONE_SHARDS = 2000, 4  # of a dataset: plenty for a median
_SKELETON_SCALE = {"2d": 0.1, "3d": 0.5}  # the error drawn darkest; about three times the published totals


@dataclass(frozen=True, kw_only=True)
class DatasetPart:
    """What the page says of one dataset: curves on top, the rest below.

    Attributes:
        name: of the dataset.
        hands: whose hands its scored sets show, in words.
        lead: the PCK curves that the page opens with.
        curves: the others.
        anchors: published areas beside ours, "" where none is published.
        skeletons: error by keypoint: caption, drawing.
        tables: protocols, groups and subsets.
    """

    name: str
    hands: str
    lead: Plots
    curves: Plots
    anchors: str
    skeletons: list[tuple[str, str]]
    tables: tuple[Table, Table, Table]

    @property
    def folded(self) -> tuple[Folded, ...]:
        """Its tables as the page shows them."""
        return tuple(fold(table, rows=place == 0) for place, table in enumerate(self.tables))


def write_report(runs: Sequence[Run], data_root: DataRoot, out: Path, reference: Reference | None = None) -> Path:
    """Write index.html, report.md, tables.csv and tables.tex.

    Args:
        runs: as read; any number.
        data_root: where converted datasets are looked for.
        out: folder to write to; made if it is not there.
        reference: the thesis author's own results, shown as further columns.

    Returns:
        The page's path.

    Raises:
        WriteError: a file there of one of these names is somebody's own.
    """
    thesis = [thesis_table(number, runs, reference) for number in TABLES]
    datasets_table, datasets, unread = summaries.datasets_table(_shard_folders(runs, data_root))
    overview = summaries.overview(runs)
    extra = [
        models_table(runs),
        summaries.readout_table(runs),
        summaries.spread_table(runs),
        summaries.throughput_table(runs),
        fits_table(runs),
    ]
    sets = summaries.by_dataset(runs)
    parts = [_dataset_part(name, sets[name], runs, reference) for name in sets]
    lead = summary_lines(runs, reference)
    drawn, (mosaics, without) = gallery.galleries(sets), _mosaics(runs)
    unread = list(dict.fromkeys([*unread, *(one.fault for one in drawn if one.fault), *without]))
    missing = [*missing_lines(runs), *unread]
    context = {
        "title": TITLE,
        "drawing_side": gallery.DRAWING_SIDE,
        "lead": lead[0],
        "found": lead[1:],
        "rendered": any(one.origin == "rendered" for _, one in summaries.scored_sets(runs)),
        "cards": run_cards(runs),
        "shown_sets": SHOWN_SETS,
        "galleries": drawn,
        "overview": fold(overview),
        "datasets": fold(datasets_table),
        "thesis": [fold(table) for table in thesis],
        "parts": parts,
        "learning": figures.learning_figure(runs) if any(run.log for run in runs) else "",
        "extra": [fold(table) for table in extra if table.rows],
        "mosaics": mosaics,
        "bones": _bones(datasets),
        "definitions": fold(summaries.protocols_explained()),
        "caveats": CAVEATS,
        "provenance": [_provenance(run) for run in runs],
        "missing": missing,
        "version": __version__,
    }
    all_tables = [
        overview,
        datasets_table,
        *thesis,
        *(table for part in parts for table in part.tables),
        *extra,
    ]
    filled = [table for table in all_tables if table.rows]
    texts = {
        "report.md": to_markdown(TITLE, [*lead, *missing], filled),
        "tables.csv": to_tidy_csv(tidy_rows(runs, reference)),
        "tables.tex": to_latex(filled),
        "index.html": render(context),
    }
    for name, text in texts.items():
        _refuse_foreign(out / name, f"<title>{TITLE}" if name == "index.html" else text.partition("\n")[0])
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(out / name, text)
    for line in unread:
        say(line)
    if unread:
        say(f"left out: {_counted(len(unread), 'part')} that cannot be read, named above and on the page")
    return out / "index.html"


def render(context: Mapping[str, Any]) -> str:
    """Return the page's HTML; every text is escaped, an unknown name in the template is an error."""
    environment = Environment(
        loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["code"] = _code
    return environment.get_template("page.html").render(context)


def _template(name: str) -> str:
    return (resources.files("handdata.report") / name).read_text(encoding="utf-8")


def _code(text: str) -> Markup:
    """Return a text as HTML, what stands between backticks as code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts)


def summary_lines(runs: Sequence[Run], reference: Reference | None) -> list[str]:
    """Return what the page says first, in sentences."""
    scored = summaries.scored_sets(runs)
    names = sorted({one.dataset for _, one in scored})
    counted = (_counted(len(runs), "run"), _counted(len(scored), "scored set"), _counted(len(names), "dataset"))
    lines = [f"{counted[0]}, {counted[1]} of {counted[2]} ({', '.join(names) or 'none'})."]
    lines += [line for name in names if (line := _lowest(name, scored))]
    lines += [line for run, one in scored if (line := _not_held_out(run, one))]
    if reference:
        lines.append(f"The author's own files fill {len(reference.values)} cells of Tables 4.1 to 4.9.")
    return lines


def _lowest(dataset: str, scored: Sequence[summaries.Scored]) -> str:
    """Return who has the lowest 2D error on a dataset, "" if nobody.

    Who left samples out is not compared, nor who was trained on some.
    """
    known = [
        (error, run, one)
        for run, one in scored
        if one.dataset == dataset and not one.augmented and not run.has_seen(one) and "2d" in one.errors.get("all", {})
        if (error := one.errors["all"]["2d"].total_micro) is not None
    ]
    most: dict[str, int] = {}
    for _, _, one in known:
        most[one.split] = max(most.get(one.split, 0), one.counts.get("samples", 0))
    whole = [entry for entry in known if entry[2].counts.get("samples", 0) == most[entry[2].split]]
    if not whole:
        return ""
    error, run, one = min(whole, key=lambda entry: entry[0])
    what = f"{_counted(most[one.split], 'sample')} of {one.split}" + (", rendered" if one.origin == "rendered" else "")
    baseline = one.baseline.get("2d")
    against = f", {error / baseline:.2f} times the mean pose's {baseline:.3f}" if baseline else ""
    return f"Lowest 2D error on {dataset} ({what}): {error:.3f} of the crop side, run {run.name}{against}."


def _not_held_out(run: Run, one: SetResult) -> str:
    """Say that a set was trained on, "" if it was not."""
    if not run.has_seen(one):
        return ""
    counted = f"{one.trained_on} of {one.counts.get('samples', 0)} samples" if one.trained_on else "some samples"
    return f"Not held out: {run.name} was trained on {counted} of {one.dataset} {one.split}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def missing_lines(runs: Sequence[Run]) -> list[str]:
    """Name what the runs' folders lack."""
    lines = [f"{run.name} lacks {', '.join(run.missing)}" for run in runs if run.missing]
    return lines if runs else ["no runs: train one with `handdata train`, or start with `handdata demo`"]


def _dataset_part(name: str, sets: Sequence[Scored], runs: Sequence[Run], reference: Reference | None) -> DatasetPart:
    held = [quantity for quantity in AXES if any(quantity in one.curves for _, one in sets)]
    first = [quantity for quantity in ("2d", "3d_mm" if "3d_mm" in held else "3d") if quantity in held]
    drawings = []
    for run, one in sets:
        for quantity in ("2d", "3d"):
            table = one.errors["all"][quantity]
            if table.total_micro is not None:
                caption = f"{run.column(one)}: {quantity.upper()} error, {QUANTITIES[quantity]}"
                svg = error_skeleton(table, _SKELETON_SCALE[quantity], QUANTITIES[quantity], html.escape(caption))
                drawings.append((caption, svg))
    return DatasetPart(
        name=name,
        hands=" and ".join(dict.fromkeys(hands_of(one) for _, one in sets)),
        lead=pck_plots(first, sets, series_of(runs), reference),
        curves=pck_plots([quantity for quantity in held if quantity not in first], sets, series_of(runs), reference),
        anchors=figures.anchor_figure(name, sets),
        skeletons=drawings,
        tables=(
            summaries.protocol_table(name, sets),
            summaries.group_table(name, sets),
            summaries.subset_table(name, sets),
        ),
    )


def _shard_folders(runs: Sequence[Run], data_root: DataRoot) -> list[Path]:
    """Return data/shards/* and, for datasets that are not there, the folders that runs were scored on."""
    folders = {path.name: path for path in data_root.all_shards() if path.name != BACKGROUNDS}
    for _, one in summaries.scored_sets(runs):
        folders.setdefault(one.dataset, Path(one.shards))
    return [folders[name] for name in sorted(folders)]


def _bones(datasets: Sequence[Dataset]) -> str:
    """Draw the bone-length ratios of every dataset that labels full hands (thesis, Fig. 4.5); "" with none."""
    ratios = {}
    for dataset in datasets:
        points = _some_poses(dataset)
        values = metrics.bone_ratios(points)
        if np.isfinite(values).any():
            ratios[dataset.name] = values.tolist()
    return figures.bone_figure(ratios) if ratios else ""


def _some_poses(dataset: Dataset) -> NDArray[np.float64]:
    """Return about BONE_SAMPLES 3D poses from at most BONE_SHARDS shards, both evenly spread."""
    some = dataset.few_shards(BONE_SHARDS).spread(BONE_SAMPLES)
    millimetres, normalized = some["keypoints_3d"], some["keypoints_3d_normalized"]
    return np.where(np.isfinite(millimetres), millimetres, normalized).astype(np.float64)


def _mosaics(runs: Sequence[Run]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return name, drawing and caption of every run's heatmaps, and what cannot be read."""
    found, faults = [], []
    for run in runs:
        try:
            found.append((run.name, *gallery.mosaic(run.folder)))
        except HanddataError as error:
            found.append((run.name, "", str(error).removesuffix(".")))
            faults.append(str(error))
    return found, faults


def _provenance(run: Run) -> dict[str, Any]:
    command = run.environment.get("command", "")
    results = run.results
    return {
        "name": run.name,
        "command": " ".join(command) if isinstance(command, list) else str(command),
        "evaluate": json.dumps(dict(results.options), sort_keys=True) if results else "",
        "environment": {key: str(value) for key, value in run.environment.items() if key != "command"},
        "config": json.dumps(run.config, indent=1),
        "shards": [
            (
                str(facts.get("dataset", "")),
                str(facts.get("folder", "")),
                str(shard.get("file", "")),
                _short_hash(shard),
            )
            for facts in run.shards
            for shard in facts.get("shards", [])
        ],
        "seed": results.seed if results else "",
        "scored_by": results.handdata_version if results else "",
    }


def _short_hash(shard: Mapping[str, Any]) -> str:
    return str(shard.get("content_sha256") or shard.get("sha256") or "")[:16]


def _refuse_foreign(path: Path, begins: str) -> None:
    """Refuse to replace a file in whose beginning a line of a report is not."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if begins.encode() not in file.read(_HEAD_BYTES):
            raise WriteError(path, expected="no file, or a report's", got="somebody's own", fix="Give another --out.")


def _write(path: Path, text: str) -> None:
    write_text(path, text)
    say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
