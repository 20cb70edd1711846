"""Read files of labels of any format: which one a file is is found out and said."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from handdata.errors import DataError, MissingError
from handdata.exchange import interhand
from handdata.exchange.formats import FORMATS
from handdata.exchange.label_table import columns_in
from handdata.exchange.labels import Annotations, LabelRow
from handdata.files.opening import matching
from handdata.files.text import LARGE, Wanted, kind_of, read_json

_FILE = Wanted(what="annotations", fix="See docs/custom.md.", largest=LARGE)
_READ = tuple(one for one in FORMATS.values() if one.read or one.read_others)
SUFFIXES = tuple(dict.fromkeys(suffix for one in _READ for suffix in one.suffixes))
_KNOWN_JSON = (
    "labels of a known format: COCO (images, annotations, categories), MediaPipe (records with hand_landmarks) or "
    "InterHand2.6M (joints by capture)"
)
_LISTED = ", ".join(SUFFIXES)
_UNPACK = "Unpack it, and name the file of labels in it."
_INSTEAD = {**dict.fromkeys((".zip", ".gz", ".tgz", ".7z", ".rar"), _UNPACK), ".txt": "Of YOLO, name its data.yaml."}
_WHERE = (".", "annotations")  # folders of an export that may hold its files of labels
NOT_LABELS = ("handdata-export.json", "croissant.json")  # that an export writes beside them


def label_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of labels that names stand for: themselves, or those in the folder that an export wrote.

    Files that are read with another one of them, beside which they lie, are left out.

    Raises:
        MissingError: no such file, or none in the folder.
    """
    files = [file for path in paths for file in _files_of(path)]
    read_with_others = {beside for one in files for beside in interhand.beside(one)}
    return [one for one in files if one not in read_with_others]


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingError(path, expected=f"annotations ({_LISTED})", got="no such file")
    for name in _WHERE:
        found = sorted(p for p in matching(path / name, "*") if _may_hold(p))
        if found:
            return found
    raise MissingError(path, expected=f"a file of labels in it ({_LISTED})", got="none", fix="Name the file itself.")


def _may_hold(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES and path.name not in NOT_LABELS


def read_annotations(path: Path, root: Path | None = None) -> Annotations:
    """Read a file by its suffix and its content; once while it stays as it is.

    Args:
        path: of the file.
        root: folder where a file that names others may find them.

    Raises:
        MissingError: no such file.
        DataError: not such a file.
    """
    if not path.is_file():
        raise MissingError(path, expected=f"annotations ({_LISTED})", got="no such file")
    for one in _READ:
        if one.read_others and path.suffix.lower() in one.suffixes:  # what it names may change while it does not
            return _from_one_folder(one.read_others(path, root))
    stats = [part.stat() for part in (path, *interhand.beside(path)) if part.is_file()]
    return _read_once(path, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))


@lru_cache(maxsize=8)
def _read_once(path: Path, _as_it_is: tuple[tuple[int, int], ...]) -> Annotations:
    return _read(path)


def _read(path: Path) -> Annotations:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        fix = _INSTEAD.get(suffix, "See docs/custom.md.")
        raise DataError(path, expected=f"annotations ({_LISTED})", got=path.suffix or "no suffix", fix=fix)
    content: Any = None
    if suffix == ".json":
        content = read_json(path, _FILE, finite=False)
    elif suffix == ".csv":
        content = columns_in(path)
    for one in _READ:
        if one.read is not None and suffix in one.suffixes and one.is_it(content):
            return _from_one_folder(one.read(path, content))
    got = f"a JSON {kind_of(content)}"
    if isinstance(content, dict):
        got += f" of {', '.join(map(repr, content))[:80] or 'nothing'}"
    raise DataError(path, expected=_KNOWN_JSON, got=got, fix="See docs/custom.md.")


def is_absolute(image: str) -> bool:
    """Say whether a picture is named from the root of a disk, on this or another kind of machine."""
    return image.startswith("/") or re.match(r"[A-Za-z]:/", image) is not None


def _from_one_folder(found: Annotations) -> Annotations:
    """Name pictures that a file names from the root of a disk from the folder that holds all of these."""
    absolute = [row.image for row in found.rows if is_absolute(row.image)]
    if not absolute:
        return found
    drives = {image.partition("/")[0].lower() for image in absolute}
    top = os.path.commonpath([PurePosixPath(image).parent for image in absolute]) if len(drives) == 1 else "/"
    rows = tuple(_below(row, top, found.pictures) if is_absolute(row.image) else row for row in found.rows)
    pictures = Path(top) if Path(top).is_dir() else found.pictures
    return replace(found, rows=rows, pictures=pictures)


def _below(row: LabelRow, top: str, labels: Path | None) -> LabelRow:
    """Return a row whose picture, sequence, id and own file of labels are named from a folder."""

    def named(text: str) -> str:
        return text.removeprefix(top.rstrip("/")).lstrip("/")

    folder = PurePosixPath(row.image).parent.as_posix()
    label = os.path.relpath((labels or Path()).absolute() / row.label, top) if row.label else ""
    sequence = named(row.sequence) if row.sequence == folder else row.sequence
    return replace(row, image=named(row.image), sequence=sequence, key=named(row.key), label=label)


def short_names(files: Sequence[Path]) -> list[str]:
    """Return what to call several files: their names, with as many folders before as tell them from each other."""
    for count in range(1, max((len(file.parts) for file in files), default=1)):
        names = ["/".join(file.parts[-count:]) for file in files]
        if len(set(names)) == len(set(files)):
            return names
    return [str(file) for file in files]


def split_in(names: Sequence[Path]) -> dict[Path, str]:
    """Return the split that each of several files is named after; nothing unless every one is, and they differ."""
    found: dict[Path, str] = {}
    for path in names:
        words = set(re.findall(r"train|val|test", path.stem.lower()))
        if len(words) == 1:
            found[path] = words.pop()
    return found if len(found) == len(names) and len(set(found.values())) > 1 else {}
