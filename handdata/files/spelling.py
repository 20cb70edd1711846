"""Find files whose names are the same text in another normal form of Unicode: macOS writes é as e and an accent."""

import unicodedata
from functools import lru_cache
from pathlib import Path, PurePosixPath


def composed(name: str) -> str:
    """Return a name with each letter and its accents as one character, where there is such a one."""
    return unicodedata.normalize("NFC", name)


def as_spelled(folder: Path, name: str) -> str:
    """Return a name as the disk spells it.

    Args:
        folder: from which the file is named.
        name: of a file, with / between its folders.

    Returns:
        The name of the one file there that has it in another normal form; `name` where a file has exactly that one,
        and where none or several have it in another form.
    """
    if name.isascii() or PurePosixPath(name).is_absolute() or (folder / name).exists():
        return name
    found = ""
    for part in PurePosixPath(name).parts:
        place = folder / found
        alike = [part] if (place / part).exists() else _spellings(place).get(composed(part), ())
        if len(alike) != 1:
            return name
        found = f"{found}/{alike[0]}" if found else alike[0]
    return found


def _spellings(folder: Path) -> dict[str, list[str]]:
    return _listed(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}


@lru_cache(maxsize=64)
def _listed(folder: Path, _time_ns: int) -> dict[str, list[str]]:
    """Return the names in a folder by their composed form."""
    names: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        names.setdefault(composed(name), []).append(name)
    return names
