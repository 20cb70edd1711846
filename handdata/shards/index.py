"""index.json: what a folder of shards holds. It is written last, so its presence means that the dataset is complete."""

import os
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from handdata.errors import DataError, MissingError
from handdata.files.opening import is_file
from handdata.files.text import LARGE, Wanted, read_object
from handdata.paths import find_root
from handdata.shards.layout import is_sealed, layout_of, seal_of, unpack
from handdata.shards.provenance import KEY, Provenance, known, parse
from handdata.shards.reader import AGAIN, INDEX, STATE, ShardReader
from handdata.shards.schema import VERSION

_FORM = Wanted(what="an index of shards", fix=AGAIN, largest=LARGE)


def has_index(folder: Path) -> bool:
    """Tell whether a folder holds a converted dataset.

    Raises:
        DataError: it may not be looked into, or no plain file has that name.
    """
    return is_file(folder / INDEX, _FORM.what)


def read_index(folder: Path) -> dict[str, Any]:
    """Read a folder's index.json; each shard's entry holds its layout itself.

    Raises:
        MissingError: no folder, or no index.json in it: the conversion did not finish.
        DataError: the index is damaged or of another schema.
    """
    path = folder / INDEX
    if not has_index(folder):
        raise _not_converted(folder)
    index = unpack(read_object(path, _FORM))
    if index.get("schema") != VERSION:
        fix = "Convert that dataset again: the same command makes new shards of the same samples."
        raise DataError(path, expected=f"schema {VERSION}", got=f"schema {index.get('schema')}", fix=fix)
    if fault := index_fault(index):
        raise DataError(path, expected="a dataset's name and its shards", got=fault, fix=AGAIN)
    return index


def open_shard(path: Path) -> ShardReader:
    """Open one shard of a folder by the index beside it.

    Raises:
        MissingError, DataError: of `read_index` and `ShardReader`; also a file that the index does not list.
    """
    for entry in read_index(path.parent)["shards"]:
        layout = layout_of(entry["layout"])
        if entry["file"] == path.name and layout is not None:
            return ShardReader(path, seal_of(entry, layout))
    raise DataError(path, expected=f"a shard that {INDEX} lists", got="one that it does not list")


def _not_converted(folder: Path) -> MissingError:
    """Return what to say of a folder without an index."""
    fix = "`handdata datasets` shows what is converted, `handdata convert NAME` converts."
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        fix = nearest(folder) + fix
    elif any(folder.glob("*.h5")) or (folder / STATE).is_dir():
        got, fix = "an unfinished conversion: shards but no index", "Run the same conversion again: it goes on."
    else:
        got = "a folder without shards"
        if within := sorted(path.parent.name for path in folder.glob(f"*/{INDEX}")):
            fix = f"Name one of the datasets in it: {', '.join(within[:8])}."
    return MissingError(folder / INDEX, expected="a converted dataset", got=got, fix=fix)


def nearest(folder: Path) -> str:
    """Name the converted dataset that may be meant by a folder that is not there, as the begin of an advice, or ""."""
    there = {
        path.name for path in (*find_root().all_shards(), *folder.parent.glob("*/")) if os.access(path / INDEX, os.R_OK)
    }
    near = get_close_matches(folder.name, sorted(there), n=1)
    return f"The nearest is {near[0]!r}. " if near else ""


def index_fault(index: dict[str, Any]) -> str:
    """Tell what an index lacks that every reader of it needs, "" if nothing."""
    shards = index.get("shards")
    if not isinstance(index.get("dataset"), str) or not isinstance(shards, list):
        return "an index without them"
    if others := [key for key in ("options", "splits") if not isinstance(index.get(key, {}), dict)]:
        return f"[{others[0]}] that is no table"
    layouts: dict[int, bool] = {}
    for number, entry in enumerate(shards):
        if not isinstance(entry, dict) or not _names_samples(entry):
            return f"[shards][{number}] without a file, split or count"
        if "/" in entry["file"] or not entry["file"].endswith(".h5"):
            return f"a shard outside the folder, {entry['file']!r}"
        layout = entry.get("layout")
        if id(layout) not in layouts:
            layouts[id(layout)] = layout_of(layout) is not None
        if not layouts[id(layout)] or not is_sealed(entry):
            return f"{entry['file']} without its size, hashes and layout"
    return ""


def _names_samples(entry: dict[str, Any]) -> bool:
    count = entry.get("num_samples")
    named = isinstance(entry.get("file"), str) and isinstance(entry.get("split"), str)
    return named and type(count) is int and count > 0


@dataclass(frozen=True)
class FolderFacts:
    """What is told of all hands of a folder: whose they are ("" where it is not recorded), and what they are from."""

    origin: str = ""
    provenance: tuple[Provenance, ...] = ()


def folder_facts(folder: Path) -> FolderFacts:
    """Return what the index of a folder tells of its hands, nothing where there is none.

    Quick: an index is read again only when its file is another.
    """
    try:
        state = (folder / INDEX).stat()
    except OSError:
        return FolderFacts()
    return _facts(folder, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _facts(folder: Path, *_state: int) -> FolderFacts:
    index = read_index(folder)
    origin = str(index.get("origin", ""))
    recorded = tuple(parse(index.get(KEY, ()), folder))
    return FolderFacts(origin, recorded or (known(str(index["dataset"]), origin),))
