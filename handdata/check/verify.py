"""Check a converted dataset: its files, its index, its labels, and whether what they say can be a hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.check.cameras import check_projection
from handdata.check.copies import copy_faults, is_by_sequence, picture_faults, split_faults
from handdata.check.files import check_bytes, check_labels, open_shards, read_index, require_folder
from handdata.check.findings import Report, joined
from handdata.check.handsense import check_hands
from handdata.check.labels import beside_masks, label_faults
from handdata.check.pictures import check_pictures
from handdata.check.sense2d import check_points
from handdata.manifest import Manifest
from handdata.paths import shards_named
from handdata.shards.dataset import Dataset, of_readers
from handdata.shards.reader import ShardReader
from handdata.shards.shard_list import MAX_SAMPLED_SHARDS

Chosen = dict[str, NDArray[np.int64]]  # file name -> rows

QUICK_ROWS = 20_000  # labels looked at by --quick; enough for every statistic, few enough for five seconds
ID_ROWS = 500_000  # ids compared by --quick


def verify(data: Dataset | Path | str, *, quick: bool = False) -> Report:
    """Check converted hands as `handdata verify` does: files, index, labels, and whether these can be a hand.

    Args:
        data: the name or folder of a converted dataset; or hands: theirs are the labels and pictures that are looked
            at, and the shards that they lie in are compared byte by byte.
        quick: leave out what reads every byte (checksums, pixels); of more than 128 shards open 128, and look at the
            labels of a sample of the rows.

    Returns:
        What ran and what it found; `findings` name their hands by id. Reading goes on after a damaged shard.

    Raises:
        DataError: there is no such folder.
        ConfigError: no file can have that name.
        ValueError: no hands.

    Example:
        >>> import handdata as hd
        >>> report = hd.verify(hd.open(EXAMPLE, split="val"), quick=True)
        >>> report.num_looked_at, report.checks["index"], sorted(report.to_pandas().columns)
        (8, 'ok', ['check', 'count', 'examples', 'total', 'what', 'where'])
    """
    if not isinstance(data, Dataset):
        return _verify_folder(shards_named(data), None, quick=quick)
    if not len(data):
        raise ValueError("no hands to verify")
    return joined([_verify_folder(folder, only, quick=quick) for folder, only in _by_folder(data).items()])


def _by_folder(data: Dataset) -> dict[Path, Chosen]:
    """Return which rows of which shards a dataset shows, each once, by folder and file."""
    shards = data.shards
    shard, row = shards.locate(np.arange(shards.total) if data.rows is None else np.unique(data.rows))
    chosen: dict[Path, Chosen] = {}
    for rows in np.split(np.arange(len(row)), np.flatnonzero(np.diff(shard)) + 1):
        path, here = shards.path(int(shard[rows[0]])), row[rows]
        known = chosen.setdefault(path.parent, {})
        known[path.name] = np.union1d(known[path.name], here) if path.name in known else here
    return chosen


def _verify_folder(folder: Path, only: Chosen | None, *, quick: bool) -> Report:
    """Check a folder, or some rows of some of its shards."""
    require_folder(folder)
    report = Report(path=str(folder), mode="quick" if quick else "full")
    index, found = read_index(folder)
    report.record("index", found)
    if not index:
        return report
    report.dataset, report.num_samples = str(index.get("dataset", "")), int(index.get("num_samples", 0))
    if only is not None:
        index["shards"] = [entry for entry in index["shards"] if entry["file"] in only]
        report.num_samples = sum(map(len, only.values()))
    readers, found = open_shards(folder, index, MAX_SAMPLED_SHARDS if quick else None)
    report.record("files", found)
    report.record("splits", split_faults(index))
    if not readers:
        return report
    chosen = [np.arange(len(reader)) if only is None else _within(reader, only) for reader in readers]
    opened = of_readers(readers)
    if only is not None:
        starts = np.cumsum([0, *opened.shards.counts])[:-1]
        opened = opened.take(np.concatenate([start + rows for start, rows in zip(starts, chosen, strict=True)]))
    _check_rows(opened, index, report, quick=quick)
    if quick:
        _finish_quick(readers, len(index["shards"]), report)
        return report
    faults, hashes = check_bytes(folder, index, readers)
    report.record("checksums", faults)
    hashes = [each[rows] for each, rows in zip(hashes, chosen, strict=True)]
    faults = list(picture_faults(opened, hashes))
    for check in ("splits", "duplicates"):
        report.record(check, [finding for finding in faults if finding.check == check])
    return report


def _within(reader: ShardReader, only: Chosen) -> NDArray[np.int64]:
    """Return the chosen rows of a shard, as far as it has them: it may have been written again since."""
    rows = only[reader.path.name]
    return rows[rows < len(reader)]


def _finish_quick(readers: Sequence[ShardReader], num_shards: int, report: Report) -> None:
    """Compare what can be compared without reading pixels, and say what was not."""
    report.record("checksums", check_labels(readers))
    for check in ("checksums", "pictures", "duplicates"):
        if report.checks.get(check) != "found":
            report.leave_out(check, "--quick reads no pixels")
    if len(readers) < num_shards:
        report.checks["files"] += f" (every size; {len(readers)} of {num_shards} shards opened)"


def _check_rows(opened: Dataset, index: dict[str, Any], report: Report, *, quick: bool) -> None:
    rows = opened.spread(QUICK_ROWS) if quick else opened
    report.num_looked_at = len(rows)
    report.record("schema", label_faults(rows))
    facts = _facts(report.dataset)
    check_hands(rows, report)
    check_points(rows, report)
    check_projection(rows, facts, index.get("options", {}), report)
    if not quick:
        check_pictures(rows, report)
    beside = list(beside_masks(rows))
    if beside:
        report.record("segmentation", beside)
    if len(opened) > ID_ROWS and quick:
        report.leave_out("duplicates", f"--quick compares the ids of up to {ID_ROWS:,} samples")
        return
    copies = list(copy_faults(opened, by_sequence=is_by_sequence(index)))
    for check in ("splits", "duplicates"):
        report.record(check, [finding for finding in copies if finding.check == check])


def _facts(dataset: str) -> Manifest | None:
    """Return the dataset's manifest; None for a dataset of the user's own."""
    return manifest.load(dataset) if dataset in manifest.names() else None
