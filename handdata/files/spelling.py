"""Find files whose names are the same text in another normal form of Unicode: macOS writes é as e and an accent."""

import unicodedata
from collections.abc import Callable, Sequence
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


def finder(names: Sequence[str]) -> Callable[[str], int | None]:
    """Return what tells the number of a name among some: of that very name, or else of the one in another normal form.

    It says None of a name that is not among them, and of one that several have in another form.
    """
    exact = {name: number for number, name in enumerate(names)}
    alike: dict[str, list[int]] = {}
    for name, number in exact.items():
        if not name.isascii():
            alike.setdefault(composed(name), []).append(number)

    def number_of(name: str) -> int | None:
        found = [exact[name]] if name in exact else alike.get(composed(name), [])
        return found[0] if len(found) == 1 else None

    return number_of


def _spellings(folder: Path) -> dict[str, list[str]]:
    return _listed(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}


@lru_cache(maxsize=64)
def _listed(folder: Path, _time_ns: int) -> dict[str, list[str]]:
    """Return the names in a folder by their composed form."""
    names: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        names.setdefault(composed(name), []).append(name)
    return names
