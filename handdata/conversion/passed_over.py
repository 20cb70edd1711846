"""Files and folders that are not read although their names are nearly right: they are reported."""

import os
from collections.abc import Mapping
from pathlib import Path

from handdata.converters import OWN
from handdata.converters.options import Options
from handdata.converters.protocol import Plan
from handdata.converters.read.packaging import ignored
from handdata.manifest import Manifest

MAX_FOLDERS = 64  # whose files are looked at; of folders all are
MAX_NAMED = 5


def passed_over(plan: Plan, options: Options, facts: Manifest) -> str:
    """Name what is passed over though its name is nearly right, e.g. `seq08` or `seq01 (1)` beside `seq01`.

    Only where everything was asked for: what is left out on purpose is named alike.

    Returns:
        A warning, "" if there is nothing.
    """
    if options.sequences or getattr(options, "camera", "") not in ("", "all"):
        return ""
    known = {part for names in facts.sequences.values() for name in names for part in name.split("/")} | {
        *facts.cameras
    }
    folders, pictures = _used(plan)
    own = facts.name in OWN
    found = [
        f"{folder}/{name}".lstrip("/")
        for folder, used in sorted(folders.items())
        for name in ignored(used, _names(plan.root / folder, folders=True) - known, folders=True)
    ]
    chosen = sorted(pictures)[:: max(1, len(pictures) // MAX_FOLDERS)]
    found += [
        f"{folder}/{name}".lstrip("/")
        for folder in chosen
        if (plan.root / folder).is_dir()  # else a file that pictures are packed in
        for name in ignored(pictures[folder], _names(plan.root / folder, folders=False), folders=False, own=own)
    ]
    if not found:
        return ""
    some = ", ".join(found[:MAX_NAMED]) + (", ..." if len(found) > MAX_NAMED else "")
    those = "labelled pictures and their folders" if own else "the archive"
    return f"ignored: {len(found)} names that are nearly those of {those}: {some}"


def _used(plan: Plan) -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
    """Return the names that a plan reads of each folder below its root: of folders, and of pictures."""
    folders: dict[str, set[str]] = {}
    pictures: dict[str, set[str]] = {}
    for item in plan.items:
        folder, _, name = item.image.rpartition("/")
        pictures.setdefault(folder, set()).add(name)
    for path in pictures:
        folder = path
        while folder:
            folder, _, name = folder.rpartition("/")
            folders.setdefault(folder, set()).add(name)
    return folders, pictures


def _names(folder: Path, *, folders: bool) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir() == folders}
