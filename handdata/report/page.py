"""The page: every part gathered, rendered from one template, written with its Markdown, CSV and LaTeX twins."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from handdata import __version__
from handdata.evaluation import metrics
from handdata.evaluation.results import QUANTITIES, SetResult
from handdata.files.whole import write_text
from handdata.paths import BACKGROUNDS, DataRoot
from handdata.progress import say, track
from handdata.report import figures, gallery, summaries
from handdata.report.cells import TABLES
from handdata.report.drawings import error_skeleton
from handdata.report.fits import fits_table
from handdata.report.formats import to_latex, to_markdown, to_tidy_csv
from handdata.report.models import models_table
from handdata.report.published import CAVEATS
from handdata.report.reference import Reference
from handdata.report.runs import Run
from handdata.report.summaries import Scored
from handdata.report.tables import Table, thesis_table, tidy_rows
from handdata.shards.dataset import Dataset

TITLE = "handdata report"
BONE_SAMPLES, BONE_SHARDS = 2000, 4  # of a dataset: plenty for a median
_SKELETON_SCALE = {"2d": 0.1, "3d": 0.5}  # the error drawn darkest; about three times the published totals


@dataclass(frozen=True, kw_only=True)
class DatasetPart:
    """What the page says of one dataset."""

    name: str
    protocols: Table
    groups: Table
    subsets: Table
    curves: list[Markup]
    anchors: Markup
    skeletons: list[tuple[str, Markup]]  # caption, drawing
    galleries: list[tuple[str, str, list[gallery.Card], str]]  # run and split, origin, cards, what is missing


def write_report(runs: Sequence[Run], data_root: DataRoot, out: Path, reference: Reference | None = None) -> Path:
    """Write index.html, report.md, tables.csv and tables.tex.

    Args:
        runs: as read; any number.
        data_root: where converted datasets are looked for.
        out: folder to write to; made if it is not there.
        reference: the thesis author's own results, shown as further columns.

    Returns:
        The page's path.
    """
    thesis = [thesis_table(number, runs, reference) for number in TABLES]
    datasets_table, datasets, unopened = summaries.datasets_table(_shard_folders(runs, data_root))
    overview = summaries.overview(runs)
    extra = [
        models_table(runs),
        summaries.readout_table(runs),
        summaries.spread_table(runs),
        summaries.throughput_table(runs),
        fits_table(runs),
    ]
    sets = summaries.by_dataset(runs)
    parts = [_dataset_part(name, sets[name], _each(sets), reference) for name in track(sets, "drawing datasets")]
    lead = summary_lines(runs, reference)
    context = {
        "title": TITLE,
        "drawing_side": gallery.DRAWING_SIDE,
        "lead": lead,
        "rendered": any(one.origin == "rendered" for _, one in summaries.scored_sets(runs)),
        "overview": overview,
        "thesis": [datasets_table, *thesis],
        "parts": parts,
        "learning": Markup(figures.learning_figure(runs)) if any(run.log for run in runs) else "",  # noqa: S704 our own SVG
        "extra": [table for table in extra if table.rows],
        "mosaics": [(run.name, *gallery.mosaic(run.folder)) for run in runs],
        "bones": _bones(datasets),
        "definitions": summaries.protocols_explained(),
        "caveats": CAVEATS,
        "provenance": [_provenance(run) for run in runs],
        "missing": [*missing_lines(runs), *unopened],
        "version": __version__,
    }
    all_tables = [
        overview,
        datasets_table,
        *thesis,
        *(t for p in parts for t in (p.protocols, p.groups, p.subsets)),
        *extra,
    ]
    filled = [table for table in all_tables if table.rows]
    texts = {
        "report.md": to_markdown(TITLE, [*lead, *missing_lines(runs)], filled),
        "tables.csv": to_tidy_csv(tidy_rows(runs, reference)),
        "tables.tex": to_latex(filled),
        "index.html": render(context),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(out / name, text)
    return out / "index.html"


def render(context: Mapping[str, Any]) -> str:
    """Return the page's HTML; every text is escaped, an unknown name in the template is an error."""
    source = (resources.files("handdata.report") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(context)


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


def _dataset_part(name: str, sets: Sequence[Scored], each: int, reference: Reference | None) -> DatasetPart:
    quantities = [q for q in ("2d", "3d", "3d_mm", "2d_px") if any(q in one.curves for _, one in sets)]
    drawings = []
    for run, one in sets:
        for quantity in ("2d", "3d"):
            table = one.errors["all"][quantity]
            if table.total_micro is not None:
                caption = f"{run.column(one)}: {quantity.upper()} error, {QUANTITIES[quantity]}"
                svg = error_skeleton(table, _SKELETON_SCALE[quantity], QUANTITIES[quantity], html.escape(caption))
                drawings.append((caption, Markup(svg)))  # noqa: S704 our own SVG
    galleries = [(run.column(one), one.origin, *gallery.cards(run, one, each)) for run, one in sets]
    return DatasetPart(
        name=name,
        protocols=summaries.protocol_table(name, sets),
        groups=summaries.group_table(name, sets),
        subsets=summaries.subset_table(name, sets),
        curves=[Markup(figures.pck_figure(quantity, sets, reference)) for quantity in quantities],  # noqa: S704
        anchors=Markup(figures.anchor_figure(name, sets)),  # noqa: S704
        skeletons=drawings,
        galleries=galleries,
    )


def _shard_folders(runs: Sequence[Run], data_root: DataRoot) -> list[Path]:
    """Return data/shards/* and, for datasets that are not there, the folders that runs were scored on."""
    folders = {path.name: path for path in data_root.all_shards() if path.name != BACKGROUNDS}
    for _, one in summaries.scored_sets(runs):
        folders.setdefault(one.dataset, Path(one.shards))
    return [folders[name] for name in sorted(folders)]


def _each(sets: Mapping[str, Sequence[Scored]]) -> int:
    """Return how many samples of each kind a gallery shows, so that the page stays small."""
    galleries = sum(len(scored) for scored in sets.values())
    return min(4, max(1, gallery.MAX_CARDS // (3 * max(galleries, 1))))


def _bones(datasets: Sequence[Dataset]) -> Markup:
    """Draw the bone-length ratios of every dataset that labels full hands (thesis, Fig. 4.5); "" with none."""
    ratios = {}
    for dataset in datasets:
        points = _some_poses(dataset)
        values = metrics.bone_ratios(points)
        if np.isfinite(values).any():
            ratios[dataset.name] = values.tolist()
    return Markup(figures.bone_figure(ratios)) if ratios else Markup("")  # noqa: S704 our own SVG


def _some_poses(dataset: Dataset) -> NDArray[np.float64]:
    """Return about BONE_SAMPLES 3D poses from at most BONE_SHARDS shards, both evenly spread."""
    some = dataset.few_shards(BONE_SHARDS).spread(BONE_SAMPLES)
    millimetres, normalized = some["keypoints_3d"], some["keypoints_3d_normalized"]
    return np.where(np.isfinite(millimetres), millimetres, normalized).astype(np.float64)


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


def _write(path: Path, text: str) -> None:
    write_text(path, text)
    say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
