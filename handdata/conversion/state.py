"""What each finished shard was made from, so that a conversion that was stopped goes on where it was.

`<out>/.state/<shard>.json` holds the shard's entry for index.json, a fingerprint of its sources, and a hash of both, as
the index takes the entry as it is. Whoever writes the shard leaves `<shard>.begun` there before it, which says whose
the shard is, and writes this right after it; a shard without it, or with another fingerprint, is made again. A file
that has neither is somebody else's and stays as it is.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from handdata.errors import BusyError, HanddataError, MissingError
from handdata.files.tables import value_at
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import file_sha256, json_sha256, write_text
from handdata.progress import say
from handdata.shards.layout import is_sealed, layout_of, seal_of
from handdata.shards.reader import PARTIAL, STATE, ShardReader
from handdata.shards.schema import SPLITS

_STATE = Wanted(what="what a shard was made from", largest=LARGE)
_MADE_OF, _CUT = "made_of.json", "cut_anew"
_ENTRY: Mapping[str, Any] = {"file": str, "split": str, "num_samples": int, "skipped": Mapping[str, str]}
_WRITTEN: Mapping[str, Any] = {"sha256": str, "content_sha256": str}
_OWN_PARTIAL = re.compile(rf"({'|'.join(SPLITS)})-\d{{5}}\.h5(\.\d+)?{re.escape(PARTIAL)}")


def fingerprint(request: str, files: Iterable[str]) -> str:
    """Identify what a shard is made from.

    Args:
        request: everything asked for, as text.
        files: its pictures and label files; their sizes and times count, not their bytes.
    """
    digest = hashlib.sha256(request.encode())
    for path in files:
        digest.update(_stat(path).encode())
    return digest.hexdigest()


def begin(shard: Path) -> None:
    """Note that a shard is about to be written: from now on the file of that name is the conversion's own."""
    _begun(shard).parent.mkdir(parents=True, exist_ok=True)
    _begun(shard).touch()


def own_shards(out: Path) -> list[Path]:
    """Return the shards, there or not, that conversions into `out` wrote or began, in name order."""
    return sorted({out / path.stem for path in (out / STATE).glob("*.h5.*") if path.suffix in (".json", ".begun")})


def own_partials(out: Path) -> list[Path]:
    """Return the unfinished shards that dead conversions left in `out`."""
    return sorted(path for path in out.glob(f"*{PARTIAL}") if _OWN_PARTIAL.fullmatch(path.name))


def note_made_of(out: Path, files: Sequence[Path], root: Path) -> None:
    """Note the files of labels that a folder's shards are made of, and the folder of native files that was named.

    Both by their paths and as seen from the folder of shards.
    """
    _note(out, {"files": _named(out, files), "root": _named(out, [root])})


def _note(out: Path, made_of: Mapping[str, Any]) -> None:
    if _read_note(out) != made_of:
        with suppress(BusyError):  # another job of an array notes the same
            write_text(out / STATE / _MADE_OF, json.dumps(made_of))


def _read_note(out: Path) -> Mapping[str, Any]:
    """Return what is noted of a folder's shards; nothing where that is not there or damaged."""
    try:
        return read_object(out / STATE / _MADE_OF, _STATE)
    except HanddataError:
        return {}


def made_of_others(out: Path, files: Sequence[Path]) -> list[str]:
    """Return the files of labels that a folder's shards are made of if they lack among these; [] where none is noted.

    A folder that moved together with its labels is still made of them.
    """
    now = {name for pair in _named(out, files) for name in pair}
    return [path for path, seen in _noted(out) if now.isdisjoint((path, seen))] if files else []


def made_of(out: Path) -> list[Path]:
    """Return the files of labels that a folder's shards are made of, where they are now; [] where one is not there."""
    found = [next((place for place in pair if place.is_file()), None) for pair in _places(out, "files")]
    return [path for path in found if path is not None] if None not in found else []


def root_of(out: Path) -> Path | None:
    """Return the folder of native files that a folder's shards are made of, where it is now; None if not there."""
    return next((place for pair in _places(out, "root") for place in pair if place.is_dir()), None)


def note_made_of_those(out: Path, folders: Sequence[Path]) -> None:
    """Note of shards that were cut of those of other folders what these are made of.

    No files are noted where one of the folders does not know, or their native files lie in different places.
    """
    files, roots = [made_of(folder) for folder in folders], {root_of(folder) for folder in folders}
    are_known = all(files) and len(roots) == 1
    known = list(dict.fromkeys(file for some in files for file in some)) if are_known else []
    root = [folder for folder in roots if folder is not None] if are_known else []
    _note(out, {"files": _named(out, known), "root": _named(out, root), _CUT: True})


def was_cut(out: Path) -> bool:
    """Say whether a folder's shards were cut of others, so that no conversion makes them again."""
    return _read_note(out).get(_CUT) is True


def _places(out: Path, what: str) -> list[tuple[Path, Path]]:
    """Return where each noted file or folder was, and where it is now if it moved together with the shards."""
    return [(Path(path), Path(os.path.normpath(out.absolute() / seen))) for path, seen in _noted(out, what)]


def _noted(out: Path, what: str = "files") -> list[tuple[str, str]]:
    """Return the path of each noted file, and the one as seen from the folder."""
    noted = _read_note(out).get(what)
    pairs = [pair for pair in noted if isinstance(pair, list) and len(pair) == 2] if isinstance(noted, list) else []
    return [(str(path), str(seen)) for path, seen in pairs]


def _named(out: Path, files: Sequence[Path]) -> list[list[str]]:
    return [[str(path.absolute()), os.path.relpath(path.absolute(), out.absolute())] for path in files]


def remember(shard: Path, made_from: str, entry: dict[str, Any]) -> None:
    """Note that a shard is finished, and when its file was last written."""
    note = {"fingerprint": made_from, "entry": entry, "written": _written(shard)}
    write_text(_path(shard), json.dumps({**note, "sha256": _sha256(note)}))


def _sha256(note: Mapping[str, Any]) -> str:
    """Hash what is noted of a shard, the hash aside."""
    rest = {key: value for key, value in note.items() if key != "sha256"}
    return json_sha256(rest)


def finished(shard: Path, made_from: str, *, whole: bool = False) -> dict[str, Any] | None:
    """Return the entry of a shard that was finished from the same sources, else None.

    A file whose size, header or, where it was written since, bytes are others than were noted is named and not taken;
    so is one of which the note itself is damaged.

    Args:
        shard: its path.
        made_from: fingerprint of its sources.
        whole: compare all bytes in any case.
    """
    state = _note_of(shard)
    if state is None or state.get("fingerprint") != made_from:
        return None
    entry: dict[str, Any] = state["entry"]
    if entry["num_samples"] == 0:
        return entry
    fault = _fault(shard, entry, whole=whole or state.get("written") != _written(shard))
    if fault:
        _say_made_again(shard, fault)
        return None
    if state.get("written") != _written(shard):  # a copy, or touched: the same bytes
        with suppress(HanddataError):  # another job notes the same, or nothing can be written there
            remember(shard, made_from, entry)
    return entry


def _note_of(shard: Path) -> dict[str, Any] | None:
    """Return what is noted of a shard, None where nothing is, or what cannot be believed, which is said."""
    path = _path(shard)
    try:
        note = read_object(path, _STATE)
        entry = value_at(note, "entry", Mapping[str, Any], where=path, default={})
        kinds = {**_ENTRY, **(_WRITTEN if entry.get("num_samples") else {})}
        for key, kind in kinds.items():
            value_at(entry, key, kind, where=path)
    except MissingError:
        return None
    except HanddataError:
        _say_made_again(shard, "what was noted of it is damaged")
        return None
    if note.get("sha256") == _sha256(note) and kinds.keys() <= entry.keys():
        return note
    _say_made_again(shard, "what was noted of it is damaged, or of an older handdata")
    return None


def _say_made_again(shard: Path, why: str) -> None:
    say(f"{shard.name}: {why}: made again")


def _fault(shard: Path, entry: dict[str, Any], *, whole: bool) -> str:
    """Tell what a shard's file is not that its entry says, "" if nothing."""
    layout = layout_of(entry.get("layout"))
    if layout is None or not is_sealed(entry):
        return "of an older handdata"
    if not shard.is_file():
        return "not there"
    try:
        ShardReader(shard, seal_of(entry, layout))
    except HanddataError as error:
        return f"damaged, {error.got}"
    if whole and file_sha256(shard) != entry["sha256"]:
        return "damaged, other bytes than were written"
    return ""


def forget(shard: Path) -> None:
    """Remove a shard and what is known of it."""
    shard.unlink(missing_ok=True)
    _path(shard).unlink(missing_ok=True)
    _begun(shard).unlink(missing_ok=True)


def _begun(shard: Path) -> Path:
    return shard.parent / STATE / f"{shard.name}.begun"


def _path(shard: Path) -> Path:
    return shard.parent / STATE / f"{shard.name}.json"


def _stat(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - a million files: a Path each doubles the time
    except OSError:
        return "absent "
    return f"{status.st_size} {status.st_mtime_ns} "


def _written(shard: Path) -> int:
    return shard.stat().st_mtime_ns if shard.is_file() else 0
