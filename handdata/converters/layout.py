"""Find a dataset's own folder and the files in it; shared by every converter. No dataset names."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError, MissingError
from handdata.manifest import Manifest


def matches(root: Path, patterns: Sequence[str]) -> bool:
    """Tell whether a folder holds something for every glob pattern."""
    return root.is_dir() and all(next(root.glob(pattern), None) is not None for pattern in patterns)


def locate(root: Path, manifest: Manifest, *alternatives: Sequence[str]) -> Path:
    """Return the dataset's own folder: `root` itself or a folder right below it.

    Args:
        root: what the user named.
        manifest: its `required` patterns must each match something.
        alternatives: further sets of patterns that are as good (zips unpacked in another way).

    Raises:
        MissingError: neither fits; the message says where to get the data and how to render some.
    """
    layouts = (manifest.required, *alternatives)
    below = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for candidate in (root, *below):
        if any(matches(candidate, patterns) for patterns in layouts):
            return candidate
    wanted = " or ".join(" and ".join(patterns) for patterns in layouts)
    got = "a folder without them" if root.is_dir() else "no such folder"
    fix = f"Get the data at {manifest.homepage}, or render some with: handdata synth {manifest.name}"
    raise MissingError(root, expected=f"{manifest.title} ({wanted})", got=got, fix=fix)


def choose(wanted: Sequence[str], available: Iterable[str], what: str) -> list[str]:
    """Keep the wanted names, in the order available; all when none is wanted.

    Raises:
        ConfigError: a wanted name is not there.
    """
    names = list(available)
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise ConfigError(f"--{what}", expected=f"some of {', '.join(names)}", got=", ".join(unknown))
    return [name for name in names if name in wanted] if wanted else names


def numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    """List a folder's files whose whole name matches a regular expression with one group, by that number.

    Raises:
        ValueError: the pattern has no group.
    """
    regex = re.compile(pattern)
    found = [(match, path) for path in folder.iterdir() if (match := regex.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def read_numbers(path: Path, count: int) -> NDArray[np.float64]:
    """Read a label file of one line: numbers between commas or spaces.

    Returns:
        (count,) finite numbers.

    Raises:
        MissingError: no such file.
        DataError: another number of lines or of numbers, or one that is none; says the line.
    """
    fix = "Unpack that file from the archive again, or pass --skip-bad to leave it out."
    try:
        lines = path.read_text(encoding="latin-1").split("\n")
    except FileNotFoundError:
        raise MissingError(path, expected="the label of a picture", got="no file", fix=fix) from None
    cells = lines[0].replace(",", " ").split()
    if len(cells) != count or any(line.strip() for line in lines[1:]):
        got = f"{len(cells)}" if len(cells) != count else "more lines"
        raise DataError(f"{path}:1", expected=f"{count} numbers in one line", got=got, fix=fix)
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise DataError(f"{path}:1", expected="numbers", got=str(error), fix=fix) from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}:1", expected="finite numbers", got="NaN or infinity", fix=fix)
    return numbers
