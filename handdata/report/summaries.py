"""Tables that are ours alone: runs at a glance, datasets, protocols, subsets, read-outs, throughput.

Numbers are picked out of results.json, log.jsonl and the shards' index; none is computed but a median over epochs.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median

from handdata import manifest
from handdata.errors import HanddataError
from handdata.evaluation.intervals import NO_INTERVAL
from handdata.evaluation.metrics import GROUPS
from handdata.evaluation.protocols import PROTOCOLS
from handdata.evaluation.results import QUANTITIES, SetResult
from handdata.report.cells import Cell
from handdata.report.published import ERROR_ANCHORS, published_cells
from handdata.report.runs import Run
from handdata.report.tables import DASH, Table, number, origin_text, plain_table, with_interval
from handdata.shards.dataset import Dataset, open_dataset

Scored = tuple[Run, SetResult]
MOST_NAMED = 6  # protocols without an interval that a note names
_SUBSET_ORDER = ("all", "without_middle_mcp", "no_object", "object", "left", "right", "visible", "occluded",
                 "fingertips", "inside_crop", "without_excluded")  # fmt: skip


def overview(runs: Sequence[Run]) -> Table:
    """Return the first table of the page: one row per run and set."""
    rows = []
    for run, one in scored_sets(runs):
        errors = one.errors.get("all", {})
        error_2d, error_3d = (one.protocols.get(f"thesis:error_{d}") for d in ("2d", "3d"))
        rows.append(
            (run.name, run.recipe or DASH, _set_name(run, one),
             one.origin, str(one.counts.get("samples", 0)),
             _total(errors, "2d", 3), with_interval(error_2d.value, error_2d.low, error_2d.high) if error_2d else DASH,
             _total(errors, "2d_px", 1), _total(errors, "2d_box", 3),
             DASH if error_3d is None or error_3d.value is None
             else with_interval(error_3d.value, error_3d.low, error_3d.high),
             _total(errors, "3d_mm", 1), number(one.baseline.get("2d")), _or_dash(one.baseline.get("3d"), 3))
        )  # fmt: skip
    header = ("run", "recipe", "set", "hands", "samples", "2D error, crop side",
              "2D, published read-out", "2D, px", "2D, hand box", "3D error, normalised", "3D, mm", "mean pose 2D",
              "mean pose 3D")  # fmt: skip
    readouts = sorted({run.results.readout for run in runs if run.results})
    notes = (
        f"2D positions are read from heatmaps by: {', '.join(readouts) or 'none'}. The column beside it and Tables 4.1 "
        "to 4.9 use the published rule, the expectation over the whole map, where there is one.",
        "Mean Euclidean distances over labels; in brackets the 95 % interval over sequences, where there are two.",
        "3D in mm: the middle MCP and the scale are laid on ground truth. Mean pose: the error of always answering "
        "with the mean pose of the set itself, the baseline.",
        "Fractions of the crop side cannot be compared between datasets (E13); fractions of the hand box can, roughly.",
    )
    return plain_table("overview", "All runs on all sets", header, rows, stubs=4, notes=notes)


def datasets_table(folders: Sequence[Path]) -> tuple[Table, list[Dataset], list[str]]:
    """Return Table 2.1: what was published about each dataset beside what the shards here hold.

    Returns:
        The table, the datasets that could be opened, and what is missing.
    """
    opened, missing = {}, []
    for folder in folders:
        try:
            dataset = open_dataset(folder)
            opened[dataset.name] = dataset
        except HanddataError as error:
            missing.append(str(error))
    rows = [_dataset_row(name, opened.get(name)) for name in dict.fromkeys((*manifest.in_order(), *opened))]
    header = ("dataset", "pictures", "size, published", "samples here", "keypoints, published",
              "labelled here (2D / 3D)", "view", "shards here hold")  # fmt: skip
    notes = (
        "SynthHands' 63.5k counts frames of motion; its archive holds about 186k pictures (docs/method.md D12).",
        "+: not in the thesis.",
    )
    table = plain_table("2.1", "The datasets", header, rows, stubs=len(header), notes=notes)
    return table, list(opened.values()), missing


def _dataset_row(name: str, here: Dataset | None) -> tuple[str, ...]:
    size, keypoints = (published_cells().get(Cell("2.1", name, "", "", metric), "") or DASH
                       for metric in ("dataset_size", "number_of_keypoints"))  # fmt: skip
    facts = manifest.load(name) if name in manifest.names() else None
    title, kind, view = (facts.title, facts.kind, facts.view) if facts else (name, DASH, DASH)
    title += " +" if facts and not facts.in_thesis else ""
    ours, labelled, holds = _here(here) if here else ("no shards here", DASH, DASH)
    return (title, kind, size, ours, keypoints, labelled, view, holds)


def protocol_table(dataset: str, sets: Sequence[Scored]) -> Table:
    """Return every protocol's number for each run on one dataset; a number that cannot be had says why below."""
    names = [name for name in PROTOCOLS if any(name in one.protocols for _, one in sets)]
    excluded = any(one.protocols_without_excluded for _, one in sets)
    header = ["protocol", "unit"]
    reasons: dict[str, dict[str, list[str]]] = {}
    for run, one in sets:
        header.append(run.column(one))
        header += [f"{run.column(one)} without excluded labels"] if one.protocols_without_excluded else []
    rows = []
    for name in names:
        row = [name, PROTOCOLS[name].unit]
        for run, one in sets:
            for scores in (
                one.protocols,
                *([one.protocols_without_excluded] if one.protocols_without_excluded else []),
            ):
                score = scores.get(name)
                digits = 4 if PROTOCOLS[name].unit == "1" else 3
                row.append(
                    with_interval(score.value, score.low, score.high, digits) if score and not score.missing else DASH
                )
                if score and (score.missing or score.note):
                    reasons.setdefault(score.missing or score.note, {}).setdefault(name, []).append(run.name)
        rows.append(row)
    notes = [
        f"{_named(who, reason)}: {reason} ({', '.join(dict.fromkeys(run for runs in who.values() for run in runs))})."
        for reason, who in reasons.items()
    ]
    notes += [f"Published, {who}: {what} {value}." for who, what, value in ERROR_ANCHORS.get(dataset, ())]
    notes += [line for run, one in sets for line in _coverage(run, one)]
    notes += ["Labels on the published exclusion list are wrong as shipped (docs/method.md 9.6)."] if excluded else []
    return plain_table(f"protocols-{dataset}", f"{dataset}: every protocol", header, rows, stubs=2, notes=notes)


def _named(protocols: Collection[str], reason: str) -> str:
    """Name the protocols that a reason is for; where many lack an interval, how many."""
    many = len(protocols) > MOST_NAMED and reason.startswith(NO_INTERVAL)
    return f"{len(protocols)} protocols" if many else ", ".join(protocols)


def group_table(dataset: str, sets: Sequence[Scored]) -> Table:
    """Return the errors of each keypoint group in the layout of Tables 4.1 and 4.3, whatever the dataset."""
    columns = [(run, one, quantity) for run, one in sets for quantity in ("2d", "3d")]
    tables = [one.errors["all"][quantity] for _, one, quantity in columns]
    rows = [[group.split(":")[-1], *(_or_dash(table.groups[group], 3) for table in tables)] for group in GROUPS]
    rows.append(["total", *(_or_dash(table.total_micro, 3) for table in tables)])
    header = ["group", *(f"{run.column(one)}: {quantity.upper()}" for run, one, quantity in columns)]
    notes = ("2D in fractions of the crop side, 3D normalised; the total is a mean over labels.",)
    return plain_table(f"groups-{dataset}", f"{dataset}: error by keypoint group", header, rows, notes=notes)


def subset_table(dataset: str, sets: Sequence[Scored]) -> Table:
    """Return the totals of each subset: objects, hand side, visibility, sequences."""
    rows, quantities = [], [name for name in QUANTITIES if not name.endswith("published")]
    for run, one in sets:
        for subset in sorted(one.errors, key=_subset_rank):
            tables = one.errors[subset]
            labels = sum(tables["2d"].labels)
            totals = [_total(tables, quantity, 1 if quantity in ("2d_px", "3d_mm") else 3) for quantity in quantities]
            macro = [_or_dash(tables[quantity].total_macro, 3) for quantity in ("2d", "3d")]
            square = [_or_dash(tables[quantity].rmse, 3) for quantity in ("2d", "3d")]
            rows.append((run.column(one), subset.replace("_", " "), str(labels), *totals, *macro, *square))
    units = [f"{name}, {QUANTITIES[name]}" for name in quantities]
    header = ("run", "subset", "2D labels", *units, "2d macro", "3d macro", "2d RMSE", "3d RMSE")
    notes = (
        "Totals are means over labels (micro); macro are means over keypoints (E16), RMSE roots of mean squares (E1).",
        "Without middle mcp: the origin of 3D, where Model 3 is exact by construction (L20).",
    )
    return plain_table(f"subsets-{dataset}", f"{dataset}: subsets", header, rows, stubs=2, notes=notes)


def readout_table(runs: Sequence[Run]) -> Table:
    """Return the 2D error of each way to read a heatmap (docs/method.md 6.5)."""
    rows = [
        (run.name, _set_name(run, one), readout, _total(tables, "2d", 4), _total(tables, "2d_px", 2))
        for run, one in scored_sets(runs)
        for readout, tables in one.readouts.items()
    ]
    header = ("run", "set", "read-out", "2D error, crop side", "2D error, px")
    notes = ("The expectation over the whole map is the published rule; a uniform background pulls it to the centre.",)
    return plain_table("readouts", "From heatmaps to coordinates", header, rows, stubs=3, notes=notes)


def throughput_table(runs: Sequence[Run]) -> Table:
    """Return how fast each run went and how long it waited for data."""
    rows = []
    for run in runs:
        speed = [entry["samples_per_s"] for entry in run.log if entry.get("samples_per_s")]
        wait = [entry["data_wait"] for entry in run.log if entry.get("data_wait") is not None]
        rate, share = f"{median(speed):.1f}" if speed else DASH, f"{100 * median(wait):.1f} %" if wait else DASH
        rows.append((run.name, str(run.environment.get("device", DASH)), str(len(run.log)), rate, share))
    header = ("run", "device", "epochs", "samples/s, median epoch", "waiting for data, median epoch")
    return plain_table("throughput", "Throughput and data wait", header, rows, stubs=2)


def spread_table(runs: Sequence[Run]) -> Table:
    """Return the totals of every repeat of augmented evaluations (E17)."""
    rows = [
        (run.name, run.set_name(one), quantity, *(number(value, 4) for value in values))
        for run, one in scored_sets(runs)
        for quantity, values in one.spread.items()
    ]
    longest = max((len(row) - 3 for row in rows), default=0)
    padded = [(*row, *[""] * (longest + 3 - len(row))) for row in rows]
    header = ("run", "set", "error", *(f"repeat {place + 1}" for place in range(longest)))
    return plain_table("spread", "Augmented validation, repeat by repeat", header, padded, stubs=3)


def protocols_explained() -> Table:
    """Return what each protocol is, from the table that computes them."""
    rows = [
        (one.name, one.title, one.alignment, one.average.replace("_", " "), one.mask, one.hands.replace("_", " "),
         one.source) for one in PROTOCOLS.values()
    ]  # fmt: skip
    header = ("protocol", "what", "alignment", "average over", "labels", "hands", "source")
    return plain_table("definitions", "What each protocol is", header, rows, stubs=len(header))


def scored_sets(runs: Sequence[Run]) -> list[Scored]:
    """Return every run with each of its sets."""
    return [(run, one) for run in runs for one in run.sets]


def by_dataset(runs: Sequence[Run]) -> dict[str, list[Scored]]:
    """Return the scored sets of each dataset, augmented ones left out, in name order."""
    plain = [(run, one) for run, one in scored_sets(runs) if not one.augmented]
    names = sorted({one.dataset for _, one in plain})
    return {name: [(run, one) for run, one in plain if one.dataset == name] for name in names}


def _set_name(run: Run, one: SetResult) -> str:
    return f"{run.set_name(one)}{' (augmented)' if one.augmented else ''}"


def _coverage(run: Run, one: SetResult) -> list[str]:
    """Say what was trained on, what lies outside the crop and what was not predicted, if anything."""
    outside, labels = one.counts.get("labels_2d_outside_crop", 0), one.counts.get("labels_2d", 0)
    gaps = [f"{run.name}: {line}." for line in one.gaps()]
    return gaps + ([f"{run.name}: {outside} of {labels} 2D labels lie outside the crop (D10)."] if outside else [])


def _here(dataset: Dataset) -> tuple[str, str, str]:
    """Return the samples of each split, how many keypoints the first shard labels in 2D and 3D, and whose hands."""
    sizes: dict[str, int] = {}
    for entry in dataset.index["shards"]:
        sizes[entry["split"]] = sizes.get(entry["split"], 0) + int(entry["num_samples"])
    labelled = [str(int(dataset.shards.reader(0)[name].any(0).sum())) for name in ("annotated_2d", "annotated_3d")]
    counts = ", ".join(f"{count} {split}" for split, count in sizes.items())
    return counts, " / ".join(labelled), origin_text(dataset.origin)


def _subset_rank(subset: str) -> tuple[int, str]:
    return (_SUBSET_ORDER.index(subset) if subset in _SUBSET_ORDER else len(_SUBSET_ORDER), subset)


def _total(tables: object, quantity: str, digits: int) -> str:
    table = tables.get(quantity) if isinstance(tables, dict) else None
    return _or_dash(table.total_micro if table else None, digits)


def _or_dash(value: float | None, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f}"
