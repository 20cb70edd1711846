"""Shards to other programs' formats: canvases, and labels in their pixels. A format is a module and a line here."""

from collections.abc import Callable
from pathlib import Path

from handdata.errors import ConfigError, MissingError
from handdata.exchange import coco, cvat, webdataset
from handdata.exchange.pictures import ENCODINGS
from handdata.files.locks import alone
from handdata.shards.dataset import Dataset

# name -> what writes one split: (data, split, folder, "png" or "jpg")
FORMATS: dict[str, Callable[[Dataset, str, Path, str], None]] = {
    "coco": coco.write,
    "webdataset": webdataset.write,
    "cvat": cvat.write,
}


def export(data: Dataset, out: Path | str, kind: str, *, picture: str = "png", limit: int | None = None) -> int:
    """Write hands in another format; their splits are kept apart.

    Args:
        data: the hands.
        out: a folder; files of the same names in it are replaced.
        kind: one of FORMATS.
        picture: "png" (exact) or "jpg".
        limit: samples of each split, from the first.

    Returns:
        The number of samples written.

    Raises:
        ConfigError: no such format.
        BusyError: somebody else exports to `out`.
        WriteError: `out` cannot be written to.
        MissingError: there are no samples.

    Example:
        >>> import handdata as hd
        >>> hd.export(hd.open(EXAMPLE, split="val"), FOLDER, "coco", limit=2)
        2
        >>> sorted(path.name for path in FOLDER.iterdir())
        ['annotations', 'images']
    """
    if kind not in FORMATS or picture not in ENCODINGS:
        raise ConfigError("--format", expected=f"one of {', '.join(FORMATS)}", got=f"{kind} with {picture}")
    if not len(data):
        raise MissingError(data.folder, expected="samples", got="none", fix="Convert that dataset again.")
    folder, written = Path(out), 0
    with alone(folder, "export"):
        for split in sorted(set(data["split"].tolist())):
            part = data.split(split)[:limit]
            FORMATS[kind](part, split, folder, picture)
            written += len(part)
    return written
