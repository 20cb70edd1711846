"""Ids of the hands in files of rows that have no place for them: in labels/<split>.ids.json, beside their folder.

Programs that read the rows of each picture do not look at it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from handdata.errors import DataError
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import write_text

_SUFFIX = ".ids.json"
_FIX = "Delete it: then the hands get new ids."
_WANTED = Wanted(what="ids of hands by picture", fix=_FIX, largest=LARGE)


def ids_file(folder: str) -> str:
    """Return the name of the file with the ids of the rows in a folder."""
    return f"{folder}{_SUFFIX}"


def write_ids(path: Path, ids: Mapping[str, Sequence[str]]) -> None:
    """Write the ids of each picture's rows, in their order.

    Args:
        path: of `ids_file`.
        ids: by the name of the picture's file of rows, without its suffix.
    """
    write_text(path, json.dumps(ids, indent=1) + "\n")


def read_ids(folder: Path) -> dict[str, list[str]]:
    """Read the ids of the rows in a folder; those of pictures that moved there from a folder beside it are kept.

    Returns:
        As `write_ids` takes them; nothing where no such file is.

    Raises:
        DataError: a file is no such file.
    """
    found: dict[str, list[str]] = {}
    own = folder.with_name(ids_file(folder.name))
    for path in (*sorted(folder.parent.glob(f"*{_SUFFIX}")), *([own] if own.is_file() else [])):
        for picture, ids in read_object(path, _WANTED).items():
            if not (isinstance(ids, list) and all(isinstance(one, str) for one in ids)):
                raise DataError(f"{path}[{picture}]", expected="a list of ids", got=str(ids)[:40], fix=_FIX)
            found[picture] = ids
    return found
