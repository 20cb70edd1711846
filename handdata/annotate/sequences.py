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


@dataclass(frozen=True, slots=True)
class Layout:
    """The pictures of one dataset: `<parent>/<sequence>/<inside>/<pattern>` below its own folder.

    The table [annotate] of its manifest.
    """

    parent: str
    inside: str
    pattern: str


def dataset_folder(dataset: str, native: Path) -> Path:
    """Return the dataset's own folder: `native`, or a folder right below it.

    Raises:
        ConfigError: a dataset without sequences.
        MissingError: nothing like the dataset there.
    """
    layout = _layout(dataset)
    if layout is None:
        known = ", ".join(name for name in DATASETS if _layout(name) is not None)
        fix = "For other pictures: annotate-bbox --images DIR --out FILE.csv, or annotate DIR."
        raise ConfigError("annotate", expected=f"a dataset with sequences ({known})", got=dataset, fix=fix)
    below = sorted(path for path in native.iterdir() if path.is_dir()) if native.is_dir() else []
    for candidate in (native, *below):
        if _sequences(layout, candidate):
            return candidate
    wanted = "/".join(part for part in (layout.parent, "<sequence>", layout.inside, layout.pattern) if part)
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
    names = _sequences(layout, root)
    if sequence not in names:
        raise MissingError(root / layout.parent, expected=f"one of {', '.join(names)}", got=sequence or "no sequence")
    folder = root / layout.parent / sequence / layout.inside
    prefix = "/".join(part for part in (sequence, layout.inside) if part) + "/"
    return list_pictures(folder, layout.pattern, prefix)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sequence is: its frames, and those of them that a person accepted, by its table of boxes."""

    name: str
    frames: int
    accepted: int


def progress(dataset: str, root: Path, tables: Path) -> list[Progress]:
    """Return how far each sequence of the dataset in folder `root` is, by the tables in folder `tables`."""
    layout = _layout(dataset)
    return [] if layout is None else [_progress_of(layout, root, name, tables) for name in _sequences(layout, root)]


def _progress_of(layout: Layout, root: Path, name: str, tables: Path) -> Progress:
    folder, table = root / layout.parent / name / layout.inside, tables / f"{name}.csv"
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


def _sequences(layout: Layout, root: Path) -> list[str]:
    parent = root / layout.parent
    if not parent.is_dir():
        return []
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    return [path.name for path in folders if _has_pictures(layout, path)]


def _has_pictures(layout: Layout, sequence: Path) -> bool:
    try:
        return next(matching(sequence / layout.inside, layout.pattern), None) is not None
    except PermissionError:  # told when it is opened
        return True
