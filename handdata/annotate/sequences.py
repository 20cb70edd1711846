"""Where the pictures of a dataset's sequences lie. A dataset with sequences is one line here."""

from dataclasses import dataclass
from pathlib import Path

from handdata.annotate.pictures import Pictures, list_pictures
from handdata.errors import ConfigError, MissingError


@dataclass(frozen=True, slots=True)
class Layout:
    """The pictures of one dataset: `<parent>/<sequence>/<inside>/<pattern>` below its own folder."""

    parent: str
    inside: str
    pattern: str


# formats/*.md: the trees as the datasets' own archives unpack
LAYOUTS = {
    "dexter": Layout("data", "color", "*.bmp"),
    "egodexter": Layout("data", "color", "*.png"),
    "dexter1": Layout("data", "tof/depth", "*.png"),
    "stereo": Layout("images", "", "SK_color_*.png"),
}


def dataset_folder(dataset: str, native: Path) -> Path:
    """Return the dataset's own folder: `native`, or a folder right below it.

    Raises:
        ConfigError: a dataset without sequences.
        MissingError: nothing like the dataset there.
    """
    if dataset not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        fix = "For any other folder of pictures: --images DIR --out FILE.csv."
        raise ConfigError("annotate-bbox", expected=f"a dataset with sequences ({known})", got=dataset, fix=fix)
    below = sorted(path for path in native.iterdir() if path.is_dir()) if native.is_dir() else []
    for candidate in (native, *below):
        if _sequences(LAYOUTS[dataset], candidate):
            return candidate
    layout = LAYOUTS[dataset]
    wanted = "/".join(part for part in (layout.parent, "<sequence>", layout.inside, layout.pattern) if part)
    got = "a folder without them" if native.is_dir() else "no such folder"
    fix = f"Unpack {dataset} there, or render some: handdata synth {dataset}."
    raise MissingError(native, expected=wanted, got=got, fix=fix)


def open_sequence(dataset: str, sequence: str, root: Path) -> Pictures:
    """List the pictures of one sequence of the dataset in folder `root`.

    Raises:
        MissingError: no such sequence; names those there are.
    """
    layout = LAYOUTS[dataset]
    names = _sequences(layout, root)
    if sequence not in names:
        raise MissingError(root / layout.parent, expected=f"one of {', '.join(names)}", got=sequence or "no sequence")
    folder = root / layout.parent / sequence / layout.inside
    prefix = "/".join(part for part in (sequence, layout.inside) if part) + "/"
    return list_pictures(folder, layout.pattern, prefix)


def _sequences(layout: Layout, root: Path) -> list[str]:
    parent = root / layout.parent
    if not parent.is_dir():
        return []
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    return [path.name for path in folders if next((path / layout.inside).glob(layout.pattern), None) is not None]
