"""Find a dataset's own folder and the files in it; shared by every converter. No dataset names."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.read.numbers import check_near
from handdata.converters.read.packaging import is_litter, matches, what_lies
from handdata.errors import ConfigError, DataError, Fix, MissingError
from handdata.files.opening import matching, open_plain
from handdata.manifest import Manifest

_BYTE_ORDER_MARK = "\xef\xbb\xbf"  # of UTF-8, read as latin-1
_LARGEST = 1_000_000  # bytes of a label; what is longer has too many numbers
_SEPARATORS = str.maketrans(",;", "  ")


def data_folder(root: Path) -> Path:
    """Return `root`/data; `root` itself if that folder's content alone was kept or named."""
    return root / "data" if (root / "data").is_dir() else root


def locate(root: Path, manifest: Manifest, *alternatives: Sequence[str]) -> Path:
    """Return the dataset's own folder: `root` itself or a folder right below it.

    Args:
        root: what the user named.
        manifest: its `required` patterns must each match something.
        alternatives: further sets of patterns that are as good (zips unpacked in another way).

    Raises:
        PermissionError: neither fits, and a folder on the way may not be read.
        MissingError: neither fits; the message says what lies there and what to do, or where to get the data and how to
            render some.
    """
    layouts = (manifest.required, *alternatives)
    folders = root.iterdir() if root.is_dir() else ()
    below = sorted(path for path in folders if path.is_dir() and not is_litter(path.name))
    for candidate in (root, *below):
        if any(matches(candidate, patterns) for patterns in layouts):
            return candidate
    for pattern in {pattern for patterns in layouts for pattern in patterns}:
        for candidate in (root, *below):
            next(matching(candidate, pattern), None)  # what may not be read is no folder without them
    wanted = " or ".join(dict.fromkeys(" and ".join(patterns) for patterns in layouts))
    got = "a folder without them" if root.is_dir() else "a file: unpack it" if root.exists() else "no such folder"
    fix = f"Get the data at {manifest.homepage}, or render some with: handdata synth {manifest.name}"
    got, fix = (what_lies(root, layouts) if root.is_dir() else None) or (got, fix)
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
        DataError: two files have one number.
    """
    regex = re.compile(pattern)
    found = [(match, path) for path in folder.iterdir() if (match := regex.fullmatch(path.name))]
    return unique(sorted((int(match[1]), path) for match, path in found))


def unique(numbered_paths: Sequence[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """Return sorted files by number if each has its own.

    Raises:
        DataError: two files have one number: which of them belongs to its label, nobody can tell.
    """
    for (one, path), (other, second) in pairwise(numbered_paths):
        if one == other:
            got = f"{path.name} and {second.name}"
            fix = "Remove the one that is not of the archive."
            raise DataError(path.parent, expected=f"one file of number {one}", got=got, fix=fix)
    return list(numbered_paths)


def read_numbers(path: Path | str, count: int) -> NDArray[np.float64]:
    """Read a label file: numbers between commas, semicolons, spaces or line ends, with or without a byte order mark.

    Returns:
        (count,) finite numbers.

    Raises:
        MissingError: no such file.
        DataError: more or fewer numbers, or text that is not a number.
    """
    fix = Fix("Unpack that file from the archive again", skips="it")
    try:
        with open_plain(path) as file:
            text = file.read(_LARGEST).decode("latin-1").removeprefix(_BYTE_ORDER_MARK)
    except FileNotFoundError:
        raise MissingError(path, expected="the label of a picture", got="no file", fix=fix) from None
    cells = text.translate(_SEPARATORS).split()
    if len(cells) != count:
        raise DataError(f"{path}:1", expected=f"{count} numbers", got=str(len(cells)), fix=fix)
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise DataError(f"{path}:1", expected="numbers", got=str(error), fix=fix) from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}:1", expected="finite numbers", got="NaN or infinity", fix=fix)
    check_near(numbers, f"{path}:1")
    return numbers
