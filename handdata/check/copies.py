"""Is a sample there twice, or in two splits: by id, by frame, by sequence, by its pixels?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from handdata.check.findings import Finding, examples
from handdata.converters.read.picture_splits import BY_PICTURES
from handdata.shards.dataset import Dataset
from handdata.shards.reader import ShardReader


def split_faults(index: Mapping[str, Any]) -> Iterator[Finding]:
    """Find sequences that the index puts into two splits, though whole sequences were asked for."""
    if not is_by_sequence(index):
        return
    home: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for split, facts in sorted(index.get("splits", {}).items()):
        for sequence in facts.get("sequences", ()):
            if sequence and sequence in home:
                shared.setdefault((home[sequence], split), []).append(sequence)
            home[sequence] = split
    for (first, second), sequences in shared.items():
        what = f"split leak: sequences both in {first} and {second}"
        yield Finding("splits", "index.json", what, len(sequences), len(home), examples(sequences))


def is_by_sequence(index: Mapping[str, Any]) -> bool:
    """Tell whether the splits were asked to hold whole sequences, as they do unless published ones were chosen.

    Your own pictures may also be split by themselves.
    """
    options = index.get("options", {})
    by_pictures = str(options.get("readings", {}).get("split", "")).startswith(BY_PICTURES)
    return bool(options.get("split_scheme", "default") == "default") and not by_pictures


def copy_faults(rows: Dataset, *, by_sequence: bool = True) -> Iterator[Finding]:
    """Find ids that repeat, and frames of a camera that are in two splits.

    Args:
        rows: of all shards.
        by_sequence: splits hold whole sequences; else frames are not looked at, because cameras of a sequence
            (SynthHands) count each their own.
    """
    ids = rows.ids
    _, first, keys, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    keys = keys.reshape(-1)
    leaked = _in_two_splits(keys, rows["split"])
    if leaked:
        what = "split leak: the same sample in two splits"
        yield Finding("splits", "sample_id", what, len(leaked), len(rows), examples(ids[leaked]))
    repeated = np.setdiff1d(first[counts > 1], first[keys[leaked]])
    if len(repeated):
        found = examples(ids[repeated])
        yield Finding("duplicates", "sample_id", "sample ids that repeat", len(repeated), len(rows), found)
    if not by_sequence:
        return
    once = counts[keys] == 1
    frames = _frame_keys(rows)
    leaked = [i for i in _in_two_splits(frames, rows["split"]) if once[i]]
    if leaked:
        what = "split leak: hands of the same picture in two splits"
        yield Finding("splits", "frame", what, len(leaked), len(rows), examples(ids[_side_by_side(frames, leaked)]))


def _frame_keys(rows: Dataset) -> NDArray[np.int64]:
    """Number the source pictures, (N): sequence, camera, frame; where there is no sequence, every sample its own."""
    sequence, names = rows.codes("sequence")
    named = np.array([bool(name) for name in names])[sequence]
    columns = np.stack([sequence, rows.codes("camera")[0], rows["frame"]], axis=1).astype(np.int64)
    _, keys = np.unique(columns, axis=0, return_inverse=True)
    keys = keys.reshape(-1)
    return np.where(named, keys, len(keys) + np.arange(len(keys)))


def _side_by_side(keys: NDArray[Any], rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Return all rows that have the key of some rows, equal keys side by side, in the order of their first ones."""
    wanted = np.flatnonzero(np.isin(keys, keys[rows]))
    _, first, place = np.unique(keys[wanted], return_index=True, return_inverse=True)
    return wanted[np.lexsort((wanted, first[place.reshape(-1)]))]


def _in_two_splits(keys: NDArray[Any], splits: NDArray[np.str_]) -> list[int]:
    """Return one row of every key that occurs in more than one split."""
    order = np.lexsort((splits, keys))
    sorted_keys, sorted_splits = keys[order], splits[order]
    changes = (sorted_keys[1:] == sorted_keys[:-1]) & (sorted_splits[1:] != sorted_splits[:-1])
    rows = order[1:][changes]
    _, first = np.unique(keys[rows], return_index=True)
    return [int(row) for row in rows[first]]


def picture_hashes(reader: ShardReader) -> NDArray[np.uint64]:
    """Hash every canvas of a shard, (N)."""
    return np.array([xxhash.xxh3_64_intdigest(reader.images[row].data) for row in range(len(reader))], np.uint64)


def picture_faults(rows: Dataset, hashes: Sequence[NDArray[np.uint64]]) -> Iterator[Finding]:
    """Find identical pixels under different samples: across splits, and within one.

    Args:
        rows: in shard order.
        hashes: of their canvases, shard by shard.
    """
    flat = np.concatenate(hashes).view(np.int64)  # NumPy 2.0 cannot look for large unsigned numbers with isin
    values, counts = np.unique(flat, return_counts=True)
    suspects = np.flatnonzero(np.isin(flat, values[counts > 1]))
    suspects = np.array([i for i in suspects if np.ptp(rows.image(int(i))) > 0], np.intp)  # plain black says nothing
    if not len(suspects):
        return
    keys, splits, frames = flat[suspects], rows["split"][suspects], _frame_keys(rows)[suspects]
    leaked = _in_two_splits(keys, splits)
    if leaked:
        what = "split leak: the same picture in two splits"
        copies = suspects[_side_by_side(keys, leaked)]
        yield Finding("splits", "image", what, len(leaked), len(rows), examples(rows.ids[copies]))
    pairs = np.unique(np.stack([keys, frames], axis=1), axis=0)
    values, counts = np.unique(pairs[:, 0], return_counts=True)
    twice = np.isin(keys, values[counts > 1]) & ~np.isin(keys, keys[leaked])
    if twice.any():
        what = "duplicate pictures: the same pixels under different samples"
        copies = suspects[_side_by_side(keys, np.flatnonzero(twice))]
        yield Finding("duplicates", "image", what, int(twice.sum()), len(rows), examples(rows.ids[copies]))
