"""Are the files of a dataset what its index says: there, whole, unchanged?"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.check.copies import picture_hashes
from handdata.check.findings import Finding, examples
from handdata.errors import DataError, HanddataError, MissingError
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import file_sha256
from handdata.progress import meter
from handdata.shards.index import index_fault, nearest
from handdata.shards.layout import ShardLayout, layout_of, seal_of, unpack
from handdata.shards.reader import INDEX, PARTIAL, ShardReader
from handdata.shards.schema import VERSION
from handdata.shards.shard_list import evenly

NOT_CONVERTED = "unfinished conversion: shards but no index.json"
_ENTRY = {"sha256": str, "content_sha256": str}
_INDEX = {"num_samples": int, "splits": dict, "options": dict}


def read_index(folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    """Read index.json as far as it can be read.

    Returns:
        the index, with "shards" that all have every entry, and what is wrong with it; ({}, findings) if unusable.
    """
    path = folder / INDEX
    try:
        index = read_object(path, Wanted(what="an index of shards", largest=LARGE))
    except MissingError:
        what = NOT_CONVERTED if any(folder.glob("*.h5")) or any(folder.glob(f"*{PARTIAL}")) else "no index.json"
        return {}, [Finding("index", str(path), what)]
    except DataError as error:
        return {}, [Finding("index", error.where, f"damaged index: expected {error.expected}, got {error.got}")]
    if index.get("schema") != VERSION or not isinstance(index.get("shards"), list):
        return {}, [Finding("index", str(path), f"not an index of {VERSION}")]
    index = unpack(index)
    fault = index_fault(index) or _own_fault(index)
    if fault:
        return {}, [Finding("index", str(path), f"damaged index: {fault}")]
    return index, list(_index_faults(folder, index))


def _fits(values: dict[str, Any], kinds: Mapping[str, type]) -> bool:
    return all(isinstance(values.get(key), kind) for key, kind in kinds.items())


def _own_fault(index: dict[str, Any]) -> str:
    """Tell what an index lacks that only a check needs, "" if nothing."""
    broken = [entry["file"] for entry in index["shards"] if not _fits(entry, _ENTRY)]
    if broken:
        return f"{broken[0]} without {' or '.join(_ENTRY)}"
    if not _fits(index, _INDEX) or not all(_is_split(facts) for facts in index["splits"].values()):
        return f"wrong kind of value in one of {', '.join(_INDEX)}"
    return ""


def _is_split(facts: Any) -> bool:
    if not isinstance(facts, dict):
        return False
    names = facts.get("sequences", [])
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _index_faults(folder: Path, index: dict[str, Any]) -> Iterator[Finding]:
    path, shards = str(folder / INDEX), index["shards"]
    total = sum(int(entry["num_samples"]) for entry in shards)
    if total != index.get("num_samples"):
        yield Finding("index", path, f"num_samples is {index.get('num_samples')}, its shards hold {total}")
    for split, facts in index.get("splits", {}).items():
        count = sum(int(entry["num_samples"]) for entry in shards if entry["split"] == split)
        if count != facts.get("num_samples"):
            yield Finding(
                "index", path, f"split {split} says {facts.get('num_samples')} samples, its shards hold {count}"
            )
    names = [entry["file"] for entry in shards]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        yield Finding("index", path, "shards listed twice", len(twice), len(names), examples(twice))
    stray = sorted({p.name for p in folder.glob("*.h5")} - set(names))
    if stray:
        yield Finding("index", str(folder), "shards that the index does not list", len(stray), 0, examples(stray))
    partial = sorted(p.name for p in folder.glob(f"*{PARTIAL}"))
    if partial:
        yield Finding("index", str(folder), "partial files of a stopped conversion", len(partial), 0, examples(partial))


def open_shards(
    folder: Path, index: dict[str, Any], limit: int | None = None
) -> tuple[list[ShardReader], list[Finding]]:
    """Compare the size of every shard with the index, open them and compare their headers.

    Args:
        folder: of the dataset.
        index: its index.
        limit: open only so many, evenly spaced.

    Returns:
        the shards that open, in index order, and what is wrong with the others or with headers.
    """
    readers: list[ShardReader] = []
    found: list[Finding] = []
    entries = index["shards"]
    opened = set(evenly(len(entries), limit or len(entries)))
    with meter("open shards", len(entries)) as gauge:
        for number, entry in enumerate(entries):
            gauge.advance()
            path = folder / entry["file"]
            fault = _size_fault(path, int(entry["size"]))
            if fault:
                found.append(Finding("files", entry["file"], fault, int(entry["num_samples"]), index["num_samples"]))
            if fault or number not in opened:
                continue
            try:
                reader = ShardReader(path, seal_of(entry, layout_of(entry["layout"]) or ShardLayout({})))
                reader.believe()
                found += _header_faults(reader, entry, index)
            except HanddataError as error:
                found.append(Finding("files", entry["file"], f"damaged shard: {error.got}"))
                continue
            readers.append(reader)
    return readers, found


def _size_fault(path: Path, expected: int) -> str:
    if not path.is_file():
        return "missing shard: the index lists it, the file is not there"
    size = path.stat().st_size
    if size < expected:
        return f"truncated shard: {size} of {expected} bytes"
    return f"shard of {size} bytes, expected {expected}" if size > expected else ""


def _header_faults(reader: ShardReader, entry: dict[str, Any], index: dict[str, Any]) -> Iterator[Finding]:
    expected = {
        "num_samples": entry["num_samples"],
        "split": entry["split"],
        "content_sha256": entry["content_sha256"],
        "dataset": index.get("dataset"),
        "canvas_size": index.get("canvas_size"),
        "canvas_scale": entry.get("canvas_scale", index.get("canvas_scale")),  # its own where several were merged
    }
    for key, value in expected.items():
        got = reader.attributes.get(key)
        if got != value:
            yield Finding("files", entry["file"], f"attribute {key} is {got}, the index says {value}")


def check_bytes(
    folder: Path, index: dict[str, Any], readers: Sequence[ShardReader]
) -> tuple[list[Finding], list[NDArray[np.uint64]]]:
    """Compare the checksums of every shard, of its contents and of its rows with what was noted when it was written.

    Returns:
        what is wrong, and the hash of every canvas, shard by shard.
    """
    entries = {entry["file"]: entry for entry in index["shards"]}
    found: list[Finding] = []
    hashes: list[NDArray[np.uint64]] = []

    def look(reader: ShardReader) -> tuple[list[Finding], NDArray[np.uint64]]:
        return _byte_faults(reader, entries[reader.path.name]), picture_hashes(reader)

    with meter(f"checksums of {folder.name}", len(readers)) as gauge, ThreadPoolExecutor(os.cpu_count()) as pool:
        for faults, pictures in pool.map(look, readers):
            found += faults
            hashes.append(pictures)
            gauge.advance()
    return found, hashes


def check_labels(readers: Sequence[ShardReader]) -> Iterator[Finding]:
    """Compare the hash of every label array: what can be told without reading pixels."""
    for reader in readers:
        wrong = [field.name for field in reader.seal.layout.labels if not reader.fits(field.name)]
        if wrong:
            what = f"changed bytes: arrays that fail their hash: {', '.join(wrong)}"
            yield Finding("checksums", reader.path.name, what, len(reader), len(reader))


def _byte_faults(reader: ShardReader, entry: dict[str, Any]) -> list[Finding]:
    """Name the rows a flipped byte lies in, or say that it lies in the header."""
    file_is_same = file_sha256(reader.path) == entry["sha256"]
    content_is_same = reader.content_sha256() == entry["content_sha256"]
    rows = np.flatnonzero(reader.row_hashes() != reader["row_hash"])
    name, total = entry["file"], len(reader)
    if len(rows):
        ids = examples(reader["sample_id"][rows])
        return [Finding("checksums", name, "changed bytes: rows that fail their row_hash", len(rows), total, ids)]
    if not content_is_same:
        return [Finding("checksums", name, "changed bytes: the arrays fail content_sha256, though every row_hash fits")]
    if not file_is_same:
        return [Finding("checksums", name, "changed bytes: sha256 of the file differs, its arrays are as written")]
    return []


def require_folder(path: Path) -> None:
    """Refuse what is no folder.

    Raises:
        DataError: it is not a folder.
    """
    if not path.is_dir():
        fix = "Name a folder of shards or a dataset that is converted; handdata datasets lists them."
        raise DataError(path, expected="a folder of shards", got="no such folder", fix=nearest(path) + fix)
