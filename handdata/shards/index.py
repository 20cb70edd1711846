"""index.json: what a folder of shards holds. It is written last, so its presence means that the dataset is complete."""

from pathlib import Path
from typing import Any

from handdata.errors import DataError, MissingError
from handdata.files.text import LARGE, Wanted, read_object
from handdata.shards.reader import INDEX, STATE
from handdata.shards.schema import VERSION


def read_index(folder: Path) -> dict[str, Any]:
    """Read a folder's index.json.

    Raises:
        MissingError: no folder, or no index.json in it: the conversion did not finish.
        DataError: the index is damaged or of another schema.
    """
    path = folder / INDEX
    fix = "Convert that dataset again."
    if not path.is_file():
        raise _not_converted(folder)
    index = read_object(path, Wanted(what="an index of shards", fix=fix, largest=LARGE))
    if index.get("schema") != VERSION:
        raise DataError(path, expected=f"schema {VERSION}", got=f"schema {index.get('schema')}", fix=fix)
    if not _lists_shards(index):
        raise DataError(path, expected="a dataset's name and its shards", got="an index without them", fix=fix)
    return index


def _not_converted(folder: Path) -> MissingError:
    """Return what to say of a folder without an index."""
    fix = "`handdata datasets` shows what is converted, `handdata convert NAME` converts."
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
    elif any(folder.glob("*.h5")) or (folder / STATE).is_dir():
        got, fix = "an unfinished conversion: shards but no index", "Run the same conversion again: it goes on."
    else:
        got = "a folder without shards"
    return MissingError(folder / INDEX, expected="a converted dataset", got=got, fix=fix)


def _lists_shards(index: dict[str, Any]) -> bool:
    """Return whether an index has what every reader of it needs."""
    shards = index.get("shards")
    return (
        isinstance(index.get("dataset"), str)
        and isinstance(shards, list)
        and all(isinstance(entry, dict) and _names_samples(entry) for entry in shards)
    )


def _names_samples(entry: dict[str, Any]) -> bool:
    count = entry.get("num_samples")
    named = isinstance(entry.get("file"), str) and isinstance(entry.get("split"), str)
    return named and isinstance(count, int) and count > 0
