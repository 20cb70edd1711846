"""Where the pictures of a dataset's sequences lie: a dataset with sequences says so in its manifest."""

from dataclasses import dataclass
from pathlib import Path

from handdata import manifest
from handdata.annotate.pictures import Pictures, list_pictures
from handdata.boxes import read_boxes
from handdata.converters import DATASETS
from handdata.errors import ConfigError, HanddataError, MissingError
from handdata.files.opening import matching
from handdata.pictures.kinds import SUFFIXES

MOST_NAMED = 20  # sequences, in a message
MOST_LEVELS = 4  # folders that name a sequence


@dataclass(frozen=True, slots=True)
class Layout:
    """The pictures of one dataset: `<parent>/<sequence>/<inside>/<pattern>` below its own folder.

    The table [annotate] of its manifest. A sequence is named by the folders that lead to it, as many as `levels`.
    """

    parent: str
    inside: str
    pattern: str
    levels: int = 1


def dataset_folder(dataset: str, native: Path, *, most_levels: int = MOST_LEVELS) -> Path:
    """Return the dataset's own folder: `native`, or a folder right below it.

    Args:
        dataset: its name.
        native: where it was unpacked.
        most_levels: folders that may name a sequence; 1 for boxes, which conversion finds by one name.

    Raises:
        ConfigError: a dataset without such sequences.
        MissingError: nothing like the dataset there.
    """
    layout = _layout(dataset)
    if layout is None or layout.levels > most_levels:
        layouts = {name: _layout(name) for name in DATASETS}
        known = ", ".join(name for name, one in layouts.items() if one is not None and one.levels <= most_levels)
        fix = "For other pictures: annotate-bbox --images DIR --out FILE.csv, or annotate DIR."
        raise ConfigError("annotate", expected=f"a dataset with sequences ({known})", got=dataset, fix=fix)
    below = sorted(path for path in native.iterdir() if path.is_dir()) if native.is_dir() else []
    for candidate in (native, *below):
        if _has_sequence(layout, candidate / layout.parent, layout.levels):
            return candidate
    folders = ["<sequence>"] if layout.levels == 1 else ["*"] * layout.levels
    wanted = "/".join(part for part in (layout.parent, *folders, layout.inside, layout.pattern) if part)
    got = "a folder without them" if native.is_dir() else "no such folder"
    fix = f"Unpack {dataset} there, or render some: handdata synth {dataset}."
    raise MissingError(native, expected=wanted, got=got, fix=fix)


def open_sequence(dataset: str, sequence: str, root: Path) -> Pictures:
    """List the pictures of one sequence of the dataset in folder `root`.

    Raises:
        MissingError: no such sequence; names those there are.
    """
    layout = _layout(dataset)
    if layout is None:
        raise ValueError(f"{dataset} has no sequences: `dataset_folder` refuses it")
    place, parts = root / layout.parent, [part for part in sequence.split("/") if part]
    for level in range(layout.levels):
        names = _inside(layout, place, level)
        part = parts[level] if level < len(parts) else ""
        if part not in names:
            got = "/".join(parts[: level + 1]) + (" alone" if parts and not part else "")
            raise MissingError(place, expected=f"one of {_named(names)}", got=got or "no sequence")
        place /= part
    if parts[layout.levels :]:
        raise MissingError(place, expected="/".join(parts[: layout.levels]), got=sequence)
    folder, sequence = place / layout.inside, "/".join(parts)
    prefix = "/".join(part for part in (sequence, layout.inside) if part) + "/"
    return list_pictures(folder, layout.pattern, prefix)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sequence is: its frames, and those of them that a person accepted, by its table of boxes."""

    name: str
    frames: int
    accepted: int


def progress(dataset: str, root: Path, sequence: str, tables: Path) -> list[Progress]:
    """Return how far the sequences beside one, itself among them, are.

    Args:
        dataset: its name.
        root: the dataset's own folder.
        sequence: one of them.
        tables: folder of the tables of boxes of those beside it.
    """
    layout = _layout(dataset)
    if layout is None:
        return []
    parent = (root / layout.parent / sequence).parent
    return [_progress_of(layout, parent, name, tables) for name in _inside(layout, parent, layout.levels - 1)]


def _progress_of(layout: Layout, parent: Path, name: str, tables: Path) -> Progress:
    folder, table = parent / name / layout.inside, tables / f"{name}.csv"
    try:
        frames = sum(path.suffix.lower() in SUFFIXES for path in matching(folder, layout.pattern))
    except PermissionError:
        return Progress(name, 0, 0)
    try:
        accepted = sum(row.reviewed for row in read_boxes(table)) if table.exists() else 0
    except HanddataError:
        accepted = 0  # a damaged table is named when its sequence is opened
    return Progress(name, frames, min(accepted, frames))


def _layout(dataset: str) -> Layout | None:
    facts = manifest.load(dataset).extra.get("annotate") if dataset in manifest.names() else None
    return Layout(**facts) if facts is not None else None


def _has_sequence(layout: Layout, folder: Path, levels: int) -> bool:
    """Say whether a sequence lies so many folders below one."""
    if levels == 0:
        return _has_pictures(layout, folder)
    return any(_has_sequence(layout, child, levels - 1) for child in _folders(folder))


def _inside(layout: Layout, folder: Path, level: int) -> list[str]:
    """Return the names of the folders that lead to sequences, or at the last level are some, in a folder."""
    last = level == layout.levels - 1
    return [path.name for path in _folders(folder) if not last or _has_pictures(layout, path)]


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _named(names: list[str]) -> str:
    """Return names for a message, not all of very many."""
    return ", ".join(names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], "..."])


def _has_pictures(layout: Layout, sequence: Path) -> bool:
    try:
        return next(matching(sequence / layout.inside, layout.pattern), None) is not None
    except PermissionError:  # told when it is opened
        return True
