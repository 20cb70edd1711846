"""The journal of one sequence's edits: every line is on the disk before the edit is acknowledged.

    {"journal": 2, "folder": "Grasp2/color/", "width": 640, "height": 480}
    {"op": "keyframe", "set": {"Color_0001.bmp": ["person", [275.0, 126.0, 248.0, 248.0], "person", "reviewed", 0.0]}}
    {"op": "undo", "count": 1}

One JSON object per line; a journal of keypoints says so in its first line, `"of": "keypoints"`,
or "corrections" of labels of shards. Pictures go by their
file names, so that some may come and others go; what is said of one that is not there stays in the journal. The first
edit of each picture notes by what its file is known again, `"files": {"Color_0001.bmp": "9f86d081"}`. A last line
that was cut off by a crash was never acknowledged and is dropped.
Journals of version 1 counted the pictures; one is written anew by name when it is opened.
"""

import errno
import json
import os
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from handdata.annotate.history import History
from handdata.annotate.pictures import Pictures, numbers_of, sign_of
from handdata.errors import DataError, HanddataError
from handdata.files.spelling import finder
from handdata.files.text import Wanted, as_object, decode, parse_json, read_bytes
from handdata.files.whole import sync_folder, write_text
from handdata.progress import say

VERSION = 2
LOOKED = 20  # pictures that are held against the journal when it is opened
BOXES, KEYPOINTS, CORRECTIONS = "boxes", "keypoints", "corrections"
_LINE = Wanted(
    what="an edit", fix="Restore the journal from a copy, or cut it off before this line.", largest=500_000_000
)


class Journal:
    """The edits of one sequence, read back at once and then appended to.

    Args:
        path: the journal's file; made if it is not there.
        pictures: what the edits are about; a journal of other pictures is refused.
        of: what of the pictures is edited: BOXES, KEYPOINTS or CORRECTIONS.

    Raises:
        DataError: a line that is no journal's, or other pictures.
    """

    def __init__(self, path: Path, pictures: Pictures, of: str = BOXES) -> None:
        self.path = path
        self._pictures = pictures
        header = _header(pictures, of)
        self.entries = _read(path, header, pictures, mends=True) if path.exists() else []
        self._known = set(_signs(self.entries))
        self._number_of = finder(pictures.names)
        fresh = not path.exists() or path.stat().st_size == 0
        self._file: FileIO = path.open("ab", buffering=0)
        if fresh:
            self._write(header)
            sync_folder(path.parent)

    def replay(self, history: History[Any]) -> None:
        """Make the edits again that the journal holds; errors as of `replayed`."""
        _replay(self.entries, history, self.path)
        require_some(self.entries, self._pictures, self.path)
        tell_replaced(self.entries, self._pictures, self.path)

    def append(self, entry: dict[str, Any]) -> None:
        """Add one edit and wait until it is on the disk."""
        names = [name for name in entry.get("set", ()) if name not in self._known]
        found = {name: sign for name in names if (sign := self._sign(name)) is not None}
        entry = {**entry, "files": found} if found else entry
        self._write(entry)
        self.entries.append(entry)
        self._known.update(names)

    def _sign(self, name: str) -> str | None:
        number = self._number_of(name)
        return None if number is None else sign_of(self._pictures.paths[number])

    def _write(self, entry: dict[str, Any]) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            line = _line(entry)
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


def replayed(path: Path, pictures: Pictures, of: str, history: History[Any]) -> None:
    """Make the edits again that a journal holds, which stays as it is; whoever works on it may go on meanwhile.

    Raises:
        DataError: one that does not fit, or a journal that says something, but of none of the pictures.
    """
    entries = _read(path, _header(pictures, of), pictures, mends=False)
    _replay(entries, history, path)
    require_some(entries, pictures, path)
    tell_replaced(entries, pictures, path)


def _replay(entries: list[dict[str, Any]], history: History[Any], path: Path) -> None:
    for number, entry in enumerate(entries, start=2):
        try:
            history.apply(entry)
        except (ValueError, TypeError) as error:
            where, fix = f"{path}:{number}", "Restore the journal from a copy."
            raise DataError(where, expected="an edit of this sequence", got=str(error), fix=fix) from error


def _header(pictures: Pictures, of: str) -> dict[str, Any]:
    size = {} if pictures.sizes else {"width": pictures.width, "height": pictures.height}
    return {"journal": VERSION, **({} if of == BOXES else {"of": of}), "folder": pictures.folder, **size}


def _counted_header(pictures: Pictures) -> dict[str, Any]:
    """Return the header that version 1 had of these pictures."""
    return {
        "journal": 1,
        "pictures": len(pictures),
        "first": pictures.img_names[0],
        "last": pictures.img_names[-1],
        "width": pictures.width,
        "height": pictures.height,
    }


def _read(path: Path, header: dict[str, Any], pictures: Pictures, *, mends: bool) -> list[dict[str, Any]]:
    """Return the entries of a journal, by file name; if it `mends`, half a last line and version 1 go from the file.

    Raises:
        DataError: a line that is no edit, or a journal of other pictures.
    """
    data = read_bytes(path, _LINE)
    whole = data.rfind(b"\n") + 1
    if mends and whole < len(data):
        os.truncate(path, whole)
    lines = [_parse(line, f"{path}:{number}") for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1)]
    if not lines:
        return []
    counted = lines[0].get("journal") == 1
    stated = {"of": BOXES, **lines[0]}
    for key, value in {"of": BOXES, **(_counted_header(pictures) if counted else header)}.items():
        if stated.get(key) != value:
            fix = "Open the pictures it was made on, or move the journal away to start again."
            raise DataError(f"{path}:1[{key}]", expected=str(value), got=str(stated.get(key)), fix=fix)
    if counted:
        lines = [header, *(_by_name(line, pictures, f"{path}:{n}") for n, line in enumerate(lines[1:], start=2))]
        if mends:
            write_text(path, "".join(_line(line).decode() for line in lines))
    return lines[1:]


def _by_name(entry: dict[str, Any], pictures: Pictures, where: str) -> dict[str, Any]:
    """Return an entry of version 1 with file names in place of numbers."""
    patch = entry.get("set")
    if not isinstance(patch, dict):
        return entry
    for key in patch:
        if not (key.isdecimal() and len(key) < 10 and int(key) < len(pictures)):
            expected = "an edit of this sequence"
            raise DataError(where, expected=expected, got=f"frame {key} of {len(pictures)}", fix=_LINE.fix)
    return {**entry, "set": {pictures.names[int(key)]: mark for key, mark in patch.items()}}


def require_some(entries: list[dict[str, Any]], pictures: Pictures, path: Path) -> None:
    """Refuse a journal that says something, but of none of the pictures.

    Raises:
        DataError: it is of others.
    """
    said = {name for entry in entries if isinstance(entry.get("set"), dict) for name in entry["set"]}
    if said and not any(number is not None for number in numbers_of(pictures, sorted(said))):
        fix = "Open the pictures it was made on, or move the journal away to start again."
        raise DataError(path, expected=f"edits of pictures such as {pictures.names[0]}", got=min(said), fix=fix)


def tell_replaced(entries: list[dict[str, Any]], pictures: Pictures, path: Path) -> None:
    """Say so where pictures of the same names are other files than those that the edits were made on.

    They may be the same pictures written anew, so this is no error; at most LOOKED of them are read.
    """
    signs = _signs(entries)
    told = {number: signs[name] for name, number in zip(signs, numbers_of(pictures, list(signs)), strict=True)
            if number is not None}  # fmt: skip
    some = sorted(told)[:: -(-len(told) // LOOKED) or 1]
    others = [number for number in some if sign_of(pictures.paths[number]) not in (None, told[number])]
    if others:
        first = f"the first {pictures.names[others[0]]}"
        say(
            f"{path}: {len(others)} of {len(some)} pictures that were looked at are other files than when this was "
            f"begun, {first}. If they show something else, end this and move the journal and what it made away."
        )


def _signs(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return by what the file of each picture is known again, as the edits say; a journal of before says nothing."""
    found: dict[str, str] = {}
    for entry in entries:
        files = entry.get("files")
        if isinstance(files, dict):
            found |= {name: sign for name, sign in files.items() if isinstance(sign, str)}
    return found


def names_said(path: Path) -> set[str]:
    """Return the names of the pictures that a journal says something of; of one that cannot be read, none."""
    try:
        entries = [_parse(line, str(path)) for line in read_bytes(path, _LINE).split(b"\n")[1:-1]]
    except HanddataError:
        return set()  # a damaged one is named when it is opened
    patches = [entry.get("set") for entry in entries]
    return {name for patch in patches if isinstance(patch, dict) for name in patch}


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _parse(line: bytes, where: str) -> dict[str, Any]:
    return as_object(parse_json(decode(line, where, _LINE), where, _LINE), where, _LINE)
