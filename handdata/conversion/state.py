"""What each finished shard was made from, so that a conversion that was stopped goes on where it was.

`<out>/.state/<shard>.json` holds the shard's entry for index.json and a fingerprint of its sources. Whoever writes the
shard leaves `<shard>.begun` there before it, which says whose the shard is, and writes this right after it; a shard
without it, or with another fingerprint, is made again. A file that has neither is somebody else's and stays as it is.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from handdata.errors import HanddataError
from handdata.files.tables import value_at
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import write_text
from handdata.shards.reader import PARTIAL, STATE
from handdata.shards.schema import SPLITS

_STATE = Wanted(what="what a shard was made from", largest=LARGE)
_ENTRY: Mapping[str, Any] = {
    "file": str,
    "split": str,
    "num_samples": int,
    "size": int,
    "sha256": str,
    "content_sha256": str,
    "skipped": Mapping[str, str],
}
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


def remember(shard: Path, made_from: str, entry: dict[str, Any]) -> None:
    """Note that a shard is finished."""
    write_text(_path(shard), json.dumps({"fingerprint": made_from, "entry": entry}))


def finished(shard: Path, made_from: str) -> dict[str, Any] | None:
    """Return the entry of a shard that was finished from the same sources, else None."""
    try:
        state = read_object(_path(shard), _STATE)
        entry: dict[str, Any] = value_at(state, "entry", Mapping[str, Any], where=_path(shard), default={})
        for key, kind in _ENTRY.items():
            value_at(entry, key, kind, where=_path(shard))
    except HanddataError:
        return None
    if state.get("fingerprint") != made_from or not _ENTRY.keys() <= entry.keys():
        return None
    there = entry["num_samples"] == 0 or (shard.is_file() and shard.stat().st_size == entry["size"])
    return entry if there else None


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
