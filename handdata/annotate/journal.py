"""The journal of one sequence's edits: every line is on the disk before the edit is acknowledged.

    {"journal": 1, "pictures": 648, "first": ..., "last": ..., "width": 640, "height": 480}
    {"op": "keyframe", "set": {"0": {"kind": "person", "box": [275.0, 126.0, 248.0, 248.0]}}}
    {"op": "undo", "count": 1}

One JSON object per line. A last line that was cut off by a crash was never acknowledged and is dropped.
"""

import errno
import json
import os
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from handdata.annotate.pictures import Pictures
from handdata.errors import DataError
from handdata.files.text import Wanted, as_object, decode, parse_json, read_bytes
from handdata.files.whole import sync_folder

VERSION = 1
_LINE = Wanted(
    what="an edit", fix="Restore the journal from a copy, or cut it off before this line.", largest=500_000_000
)


class Journal:
    """The edits of one sequence, read back at once and then appended to.

    Args:
        path: the journal's file; made if it is not there.
        pictures: what the edits are about; a journal of other pictures is refused.

    Raises:
        DataError: a line that is no journal's, or other pictures.
    """

    def __init__(self, path: Path, pictures: Pictures) -> None:
        self.path = path
        header = _header(pictures)
        self.entries = _read(path, header) if path.exists() else []
        fresh = not path.exists() or path.stat().st_size == 0
        self._file: FileIO = path.open("ab", buffering=0)
        if fresh:
            self._write(header)
            sync_folder(path.parent)

    def append(self, entry: dict[str, Any]) -> None:
        """Add one edit and wait until it is on the disk."""
        self._write(entry)
        self.entries.append(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            os.truncate(self.path, end)  # a half-written line must not stand before the next one
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _header(pictures: Pictures) -> dict[str, Any]:
    return {
        "journal": VERSION,
        "pictures": len(pictures),
        "first": pictures.img_names[0],
        "last": pictures.img_names[-1],
        "width": pictures.width,
        "height": pictures.height,
    }


def _read(path: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    data = read_bytes(path, _LINE)
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    lines = [_parse(line, f"{path}:{number}") for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1)]
    if lines and lines[0] != header:
        for key, value in header.items():
            if lines[0].get(key) != value:
                fix = "Open the pictures it was made on, or move the journal away to start again."
                raise DataError(f"{path}:1[{key}]", expected=str(value), got=str(lines[0].get(key)), fix=fix)
    return lines[1:]


def _parse(line: bytes, where: str) -> dict[str, Any]:
    return as_object(parse_json(decode(line, where, _LINE), where, _LINE), where, _LINE)
