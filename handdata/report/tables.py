"""The report's tables as rows of text: published, the author's files, ours, difference. Computes no metric."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from handdata import manifest
from handdata.evaluation.results import SetResult
from handdata.report.cells import EXPERIMENTS, TABLES, TOTAL, Cell, Source, thesis_cells
from handdata.report.published import CAVEATS, DERIVED, TABLE_CAVEATS, published_cells
from handdata.report.reference import Reference
from handdata.report.runs import Run

DASH = "–"  # nothing is published, or no keypoint of the group is labelled
MISSING = "missing"
_DIGITS = {"pixel_error_2d": 3}
_DATASETS = {"synth_hands": "synthhands", "ganerated": "ganerated", "stereo": "stereo", "dexter+object": "dexter"}
_PREFERRED = {
    "test": ("test", "val", "train")
}  # which split stands for the author's evaluation set, first choice first
_OTHERWISE = ("val", "test", "train")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table, ready for HTML, Markdown or LaTeX.

    Attributes:
        key: its number in the thesis, or a short name.
        title: one line.
        header: of the columns.
        rows: text; the first `stubs` columns say what the row is.
        stubs: how many columns are labels rather than numbers.
        notes: what a reader has to know: runs used, caveats, what is missing.
        spans: what the numbers' columns belong to and how many each has; their names in `header` begin with it.
    """

    key: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    stubs: int
    notes: tuple[str, ...] = ()
    spans: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Ours:
    """One of our numbers and where it is from."""

    value: float | None
    run: Run
    result: SetResult


def thesis_table(number: str, runs: Sequence[Run], reference: Reference | None) -> Table:
    """Return one of Tables 4.1 to 4.9 with our columns, and the author's, beside the published one."""
    sources = {cell: source for cell, source in thesis_cells().items() if cell.table == number}
    printed = {cell: text for cell, text in published_cells().items() if cell.table == number}
    models = list(dict.fromkeys(cell.model for cell in (*sources, *printed)))
    keys = dict.fromkeys((cell.dataset, cell.group, cell.metric) for cell in (*sources, *printed))
    order = list(dict.fromkeys(dataset for dataset, _, _ in keys))
    rows = sorted(keys, key=lambda key: order.index(key[0]))
    ours = {cell: ours_for(source, runs) for cell, source in sources.items()}
    theirs = reference.values if reference else {}
    columns = {model: _columns(model, sources, theirs, ours) for model in models}
    header = ["dataset", "group", *(["error"] if len({metric for *_, metric in rows}) > 1 else [])]
    stubs = len(header)
    body = []
    for dataset, group, metric in rows:
        label = (dataset, _group_title(group), *([metric.split("_")[1].upper()] if stubs > 2 else []))
        cells = [Cell(number, dataset, model, group, metric) for model in models]
        body.append((*label, *(text for cell in cells for text in _texts(cell, columns[cell.model], theirs, ours))))
    header += [f"{model}: {column}" for model in models for column in columns[model]]
    return Table(
        key=number,
        title=TABLES[number],
        header=tuple(header),
        rows=tuple(body),
        stubs=stubs,
        spans=tuple((model, len(columns[model])) for model in models),
        notes=(*_origins(ours), *_gaps(sources, ours), *(f"{e}: {CAVEATS[e]}" for e in TABLE_CAVEATS[number])),
    )


def cells_of_runs(runs: Sequence[Run]) -> dict[Cell, float | None]:
    """Return the cells of Tables 4.1 to 4.9 that our runs fill, in the order of the tables."""
    ours = {cell: ours_for(source, runs) for cell, source in thesis_cells().items()}
    return {cell: found.value for cell, found in ours.items() if found}


def tidy_rows(runs: Sequence[Run], reference: Reference | None) -> list[tuple[str, ...]]:
    """Return tables.csv: every cell with its published, author's and own value, the run and the difference."""
    sources, printed, theirs = thesis_cells(), published_cells(), reference.values if reference else {}
    rows: list[tuple[str, ...]] = [
        ("table", "dataset", "model", "group", "metric", "published", "author", "ours", "difference", "run", "origin")
    ]
    for cell in dict.fromkeys((*sources, *(cell for cell in printed if cell.table != "2.1"))):
        found = ours_for(sources[cell], runs) if cell in sources else None
        value = found.value if found else None
        rows.append(
            (cell.table, cell.dataset, cell.model, cell.group, cell.metric, printed.get(cell, ""),
             _nine(theirs.get(cell)), _nine(value), _nine(_difference(value, printed.get(cell, ""))),
             found.run.name if found else "", found.result.origin if found else "")
        )  # fmt: skip
    return rows


def ours_for(source: Source, runs: Sequence[Run]) -> Ours | None:
    """Return our number for a cell: from the run of its experiment, on the set that stands for the author's."""
    run = run_for(source, runs)
    if run is None:
        return None
    chosen = _set_for(run, _DATASETS[source.archive], source.part)
    if chosen is None:
        return None
    in_pixels = source.part.endswith("mm") or source.factor != 1.0
    subset, quantity = _subset(chosen, source.part), "2d_px" if in_pixels else source.dimension
    tables = chosen.errors.get(subset, {})
    table = tables.get(f"{quantity}_published", tables.get(quantity))  # the thesis' own read-out, where it differs
    if table is None:
        return None
    value = table.total_micro if source.group == TOTAL else table.groups[source.group]
    return Ours(value, run, chosen)


def run_for(source: Source, runs: Sequence[Run]) -> Run | None:
    """Return the run that stands for a published experiment.

    The experiment itself first, full size before smoke size; else, for the three models and for training with
    augmentation, the first run of that model. The table's notes name the run, so nobody takes one for the other.
    """
    scored = [run for run in runs if run.results]
    repeats = [run for run in scored if run.experiment == source.experiment]
    if source.experiment == "e022":  # trained twice: on all but Grasp2, and on all but Rotate
        held_out = source.part.removesuffix("_mm")
        repeats = [run for run in repeats if held_out in run.recipe]
    if repeats:
        return min(repeats, key=lambda run: "smoke" in run.recipe)
    stand_ins = {"e010": (1, False), "e012": (2, None), "e013": (3, None), "e020": (1, True)}
    if source.experiment not in stand_ins:
        return None
    model, augmented = stand_ins[source.experiment]
    others = [run for run in scored if not run.experiment and run.model == model]
    return next((run for run in others if augmented in (None, run.augmented)), None)


def plain_table(
    key: str,
    title: str,
    header: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    stubs: int = 1,
    notes: Iterable[str] = (),
) -> Table:
    """Return a table from text that is ready."""
    return Table(key=key, title=title, header=tuple(header), rows=tuple(tuple(row) for row in rows), stubs=stubs,
                 notes=tuple(notes))  # fmt: skip


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as the tables print it."""
    return MISSING if value is None else f"{value:.{digits}f}"


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Return a number and, where there is one, its 95 % interval."""
    interval = f" [{low:.{digits}f}, {high:.{digits}f}]" if low is not None and high is not None else ""
    return number(value, digits) + interval


def _set_for(run: Run, dataset: str, part: str) -> SetResult | None:
    augmented = part == "val_augment"
    order = _PREFERRED.get(part, _OTHERWISE)
    sets = [one for one in run.sets if one.dataset == dataset and one.augmented == augmented]
    sets = [one for one in sets if _subset(one, part) in one.errors and not run.has_seen(one)]
    return min(sets, key=lambda one: order.index(one.split), default=None)


def _subset(result: SetResult, part: str) -> str:
    """Return the subset of our results that the author's evaluation name means."""
    if part in ("noobject", "object"):
        return {"noobject": "no_object", "object": "object"}[part]
    if result.dataset == "dexter":
        return f"sequence:{part.removesuffix('_mm').capitalize()}"
    return "all"


def _columns(
    model: str, sources: Mapping[Cell, Source], theirs: Mapping[Cell, float | None], ours: Mapping[Cell, Ours | None]
) -> list[str]:
    names = ["published"]
    if any(cell in theirs for cell in sources if cell.model == model):
        names.append("author's files")
    found = [own for cell, own in ours.items() if own and cell.model == model]
    runs = "; ".join(dict.fromkeys(f"{own.run.name}, {own.result.origin} hands{_also_real(own)}" for own in found))
    return names + ([f"ours ({runs})", "difference"] if runs else [])


def _also_real(own: Ours) -> str:
    """Say of a stand-in on real data that it was trained on such data: the published experiments were not."""
    real = own.run.real_sets
    is_told = real and not own.run.experiment and manifest.load(own.result.dataset).kind == "real"
    return f", trained on {' and '.join(real)} too" if is_told else ""


def _texts(
    cell: Cell, columns: Sequence[str], theirs: Mapping[Cell, float | None], ours: Mapping[Cell, Ours | None]
) -> list[str]:
    """Return one model's texts of a row: published, the author's, ours, the difference."""
    printed = published_cells().get(cell, "")
    digits = _DIGITS.get(cell.metric, 3)
    mark = " †" if cell.dataset.startswith("Dexter") and cell.model in DERIVED and printed else ""
    texts = [(printed or DASH) + mark]
    if "author's files" in columns:
        value = theirs.get(cell)
        texts.append(f"{value:.{digits}f}" if value is not None else DASH if cell in theirs else MISSING)
    if "difference" in columns:
        found = ours.get(cell)
        value = found.value if found else None
        texts.append(f"{value:.{digits}f}" if value is not None else DASH if found else MISSING)
        difference = _difference(value, printed)
        texts.append("" if difference is None else f"{difference:+.{digits}f}")
    return texts


def _origins(ours: Mapping[Cell, Ours | None]) -> list[str]:
    """Say which run and set each of our columns is, and whether its hands are real."""
    lines: dict[str, None] = {}
    for cell, found in ours.items():
        if found:
            recipe = f"recipe {found.run.recipe or DASH}"
            role = recipe if found.run.experiment else f"{recipe}, no published experiment: it stands in"
            where = f"{found.result.dataset} {found.result.split}, {found.result.counts.get('samples', 0)} samples"
            hands = origin_text(found.result.origin)
            lines[f"{cell.model} on {cell.dataset}, ours: run {found.run.name} ({role}); {where}, {hands}."] = None
    return list(lines)


def _gaps(sources: Mapping[Cell, Source], ours: Mapping[Cell, Ours | None]) -> list[str]:
    wanted: dict[str, dict[str, None]] = {}
    for cell, found in ours.items():
        if found is None:
            wanted.setdefault(sources[cell].experiment, {})[sources[cell].evaluation] = None
    lines = [f"{experiment} ({EXPERIMENTS[experiment]}) on {', '.join(sets)}" for experiment, sets in wanted.items()]
    return [f"Missing, no run of ours: {'; '.join(lines)}."] if lines else []


def origin_text(origin: str) -> str:
    """Return what kind of hands a set shows, in words."""
    words = {
        "rendered": "RENDERED hands, no real ones",
        "published": "the published dataset",
        "own": "the user's own pictures",
    }
    return words.get(origin, "hands of unrecorded origin")


def _group_title(group: str) -> str:
    return group.split(":")[1] if ":" in group else group


def _difference(value: float | None, printed: str) -> float | None:
    return value - float(printed) if value is not None and printed else None


def _nine(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}"
