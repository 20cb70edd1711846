"""What lies in a folder where a dataset was expected: another level, an unopened archive, other names.

Copies of a dataset are packed in many ways. Each finder looks for one of them and says what is there and what to do.
No dataset names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from handdata.errors import MissingError

ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz")
LEVELS_UP, LEVELS_DOWN = 4, 3  # from a folder of pictures, of the deepest layout at the most
MAX_FOLDERS = 2000  # looked into when searching
MAX_NAMED = 3
_COPY = re.compile(r"\s*\(\d+\)|[\s_-]+copy\b.*?(?=\.|$)|~$|\.bak$|\.orig$", re.IGNORECASE)

Misplaced = tuple[str, str]  # what lies there, and what to do


def is_litter(name: str) -> bool:
    """Tell whether an operating system or an archiver left a file or folder of this name: .DS_Store, __MACOSX, ._x."""
    return name.startswith((".", "__MACOSX"))


def matches(root: Path, patterns: Sequence[str]) -> bool:
    """Tell whether a folder holds something for every glob pattern."""
    return root.is_dir() and all(next(root.glob(pattern), None) is not None for pattern in patterns)


def what_lies(root: Path, layouts: Sequence[Sequence[str]]) -> Misplaced | None:
    """Say what lies in a folder that holds none of the layouts; None if it is nothing of theirs.

    Args:
        root: a folder.
        layouts: sets of glob patterns; of one set, each must match something.
    """
    lacking = [[pattern for pattern in patterns if not matches(root, [pattern])] for patterns in layouts]
    finders = (partial(_other_level, root, layouts), *(partial(f, root, lacking) for f in _FINDERS))
    return next((found for find in finders if (found := find()) is not None), None) or _in_part(layouts, lacking)


def near_names(folder: Path, names: Iterable[str]) -> str:
    """Say which entries of a folder differ in case alone from what it should hold; "none" if none do.

    Args:
        folder: that was looked into, there or not.
        names: as the archive has them; of numbered files, a regular expression each.
    """
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    near = [n for n in there if any(re.fullmatch(p, n, re.IGNORECASE) and not re.fullmatch(p, n) for p in names)]
    return f"{_some(near)}, in another case" if near else "none"


def no_label(label: Path, what: str, num_pictures: int, fix: str) -> MissingError:
    """Return the fault of pictures without their label file.

    Args:
        label: that should be there.
        what: it holds, a phrase.
        num_pictures: there are; 0 if nobody counted.
        fix: what to do, where no file of nearly that name lies there.
    """
    near = near_names(label.parent, [re.escape(label.name)])
    if near != "none":
        return MissingError(label, expected=what, got=near, fix=f"Name it {label.name}.")
    got = f"{num_pictures} pictures and no such file" if num_pictures else "no such file"
    return MissingError(label, expected=what, got=got, fix=fix)


def no_sequence(folder: Path, names: Sequence[str], expected: str) -> MissingError:
    """Return the fault of a folder in which no sequence was found.

    Args:
        folder: that should hold the sequences.
        names: of the sequences, as the archive has them.
        expected: what was looked for, a phrase.
    """
    got = near_names(folder, names)
    fix = f"Name them as the archive does: {', '.join(names)}." if got != "none" else ""
    return MissingError(folder, expected=expected, got=got, fix=fix)


def ignored(used: Iterable[str], there: Iterable[str], *, folders: bool, own: bool = False) -> list[str]:
    """Return the names that are nearly those that are used, and so are passed over: another number, case, or a copy.

    Args:
        used: names that were read.
        there: all names of the same folder.
        folders: whether a folder of another number is one of them; of files it may be one without a label.
        own: labels of somebody's own: of files a number of more or fewer digits is none of them either.
    """
    known = set(used)
    shapes = {_shape(name) for name in known}
    numbers = r"\d+" if own else r"\d"
    exact = {re.sub(numbers, "0", name) for name in known}
    return sorted(
        name
        for name in set(there) - known
        if _shape(name) in shapes and not is_litter(name) and (folders or re.sub(numbers, "0", name) not in exact)
    )


def _shape(name: str) -> str:
    """Return a name without its number, case and marks of a copy."""
    return re.sub(r"\d+", "0", re.sub(r"\s", "", _COPY.sub("", name).casefold()))


# ------------------------------------------------------------------------------------------------ finders


def _other_level(root: Path, layouts: Sequence[Sequence[str]]) -> Misplaced | None:
    parents = root.absolute().parents[:LEVELS_UP]
    above = [path for patterns in layouts for path in parents if matches(path, patterns)]
    if above:
        return f"a folder inside it: the dataset's own folder is {above[0]}", f"Use --root {above[0]}."
    below = next((path for path in _folders(root) if any(matches(path, some) for some in layouts)), None)
    return None if below is None else (f"the dataset's own folder further down, {below}", f"Use --root {below}.")


def _other_case(root: Path, layouts: Sequence[Sequence[str]]) -> Misplaced | None:
    for pattern in (pattern for patterns in layouts for pattern in patterns):
        wanted = pattern.split("/")
        found = next(_like(root, [part.casefold() for part in wanted]), None)
        if found is not None:
            there = found.relative_to(root).parts
            wrong = [f"{a} to {_renamed(a, b)}" for a, b in zip(there, wanted, strict=True) if not fnmatchcase(a, b)]
            return f"{found.relative_to(root).as_posix()}, in another case", f"Rename {', '.join(wrong)}."
    return None


def _elsewhere(root: Path, layouts: Sequence[Sequence[str]]) -> Misplaced | None:
    for pattern in (pattern for patterns in layouts for pattern in patterns):
        parent, _, name = pattern.rpartition("/")
        if not re.search(r"[a-z]{3}", re.sub(r"\*\.", ".", name), re.IGNORECASE) or "*" in parent:
            continue
        for folder in (root, *_folders(root)):
            here = sorted(path.name for path in folder.glob(name) if not is_litter(path.name))
            if here:
                place = "the folder itself" if folder == root else folder.relative_to(root).as_posix()
                return f"{_some(here)} in {place}", f"Move such files to {root / parent}."
    return None


def _unopened(root: Path, _: Sequence[Sequence[str]]) -> Misplaced | None:
    there = sorted(path.name for path in root.iterdir() if path.suffix.lower() in ARCHIVES)
    return (f"{_some(there)}, not unpacked", f"Unpack it in {root}.") if there else None


_FINDERS = (_other_case, _elsewhere, _unopened)  # given the patterns that nothing matches


def _in_part(layouts: Sequence[Sequence[str]], lacking: Sequence[Sequence[str]]) -> Misplaced | None:
    """Say what alone is missing of a layout that is there in part."""
    for patterns, missing in zip(layouts, lacking, strict=True):
        if len(missing) < len(patterns):
            return f"no {' and no '.join(missing)}", "Unpack that part of the archive too, beside the rest."
    return None


def _like(root: Path, wanted: Sequence[str]) -> Iterator[Path]:
    """Yield what matches a pattern, part by part, whatever the case."""
    entries = sorted(root.iterdir()) if root.is_dir() else []
    for path in (path for path in entries if fnmatchcase(path.name.casefold(), wanted[0])):
        if len(wanted) == 1:
            yield path
        else:
            yield from _like(path, wanted[1:])


def _renamed(name: str, pattern: str) -> str:
    """Return a name in the case of the pattern it should match."""
    if "*" not in pattern:
        return pattern
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{suffix.lower()}" if fnmatchcase(f"{stem}.{suffix.lower()}", pattern) else pattern


def _folders(root: Path) -> Iterator[Path]:
    layer, looked = [root], 0
    for _ in range(LEVELS_DOWN):
        layer = [p for f in layer for p in sorted(f.iterdir()) if p.is_dir() and not is_litter(p.name)]
        for folder in layer:
            looked += 1
            if looked > MAX_FOLDERS:
                return
            yield folder


def _some(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
