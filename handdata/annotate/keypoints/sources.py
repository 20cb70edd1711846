"""Where pictures to place keypoints on come from: a folder, or the file of labels that names them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from handdata.annotate.pictures import Pictures, list_pictures
from handdata.errors import DataError, HanddataError, MissingError
from handdata.exchange.labels import LabelRow
from handdata.exchange.reading import SUFFIXES as LABEL_SUFFIXES
from handdata.exchange.reading import read_annotations
from handdata.files.spelling import as_spelled, composed

OUT = "keypoints.json"  # in the folder of the pictures, so that `handdata import` finds them


@dataclass(frozen=True, slots=True)
class PointTask:
    """Pictures, and where their labels go.

    Attributes:
        pictures: the sequence.
        out: the file of labels.
        labels: a file to begin with; None without one.
    """

    pictures: Pictures
    out: Path
    labels: Path | None = None


def of_folder(folder: Path) -> PointTask:
    """Return the pictures of a folder.

    Raises:
        MissingError, DataError: there are none, or none that can be read.
    """
    return PointTask(_listed(folder), folder / OUT)


def of_labels(path: Path) -> PointTask:
    """Return the pictures that a file of labels names; they must lie in one folder.

    Raises:
        MissingError, DataError: no labels, or no pictures of theirs, or in several folders.
    """
    table = read_annotations(path)
    named = [str(Path(row.image).parent) for row in table.rows if row.image]
    folders = {composed(name): name for name in named}
    if len(folders) != 1:
        got = f"{len(folders)} folders" if folders else "no picture"
        raise DataError(path, expected="labels of pictures in one folder", got=got, fix="Split the file by folder.")
    near = (path.parent, *([table.pictures] if table.pictures is not None else []), path.parent.parent)
    folder = next((base for base in near if _holds(base, table.rows)), None)
    if folder is None:
        expected = f"the pictures it names, such as {table.rows[0].image}"
        raise MissingError(path, expected=expected, got="none beside it", fix="Put the file beside its pictures.")
    name = as_spelled(folder, named[0])
    out = path.with_name(OUT)
    return PointTask(_listed(folder / name, "" if name == "." else f"{name}/"), out, None if out == path else path)


def is_labels(path: Path) -> bool:
    """Say whether a file is one of labels, by its ending."""
    return path.is_file() and path.suffix.lower() in LABEL_SUFFIXES


def accepted_in(path: Path) -> int:
    """Return how many pictures of a file of keypoints are accepted, 0 if it cannot be read."""
    from handdata.annotate.keypoints.labels import own_content  # noqa: PLC0415 - a page asks for it seldom

    try:
        content = own_content(path)
    except HanddataError:
        return 0  # a damaged file is named when it is opened
    images = content.get("images") if content is not None else None
    rows = images if isinstance(images, list) else []
    return sum(isinstance(one, dict) and one.get("accepted") is True for one in rows)


def _holds(base: Path, rows: Iterable[LabelRow]) -> bool:
    return any((base / as_spelled(base, row.image)).is_file() for row in rows if row.image)


def _listed(folder: Path, prefix: str = "") -> Pictures:
    return list_pictures(folder, prefix=prefix, any_size=True)
