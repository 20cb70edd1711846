"""Where labels that are imported are from: licence and origin, of exports of handdata and of published files.

An export notes it in handdata-export.json, and in every file of labels, for those that are moved. Other programs may
leave it out when they write such a file again; that is said.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handdata.exchange.labels import Annotations
from handdata.exchange.record import RECORD
from handdata.files.text import LARGE, Wanted, read_object
from handdata.paths import RENDERED_MARK
from handdata.shards.provenance import KEY, UNKNOWN_LICENCE, Provenance, known, parse

_DEEPEST = 3  # folders of an export that its files may lie in: images/train/...
_RECORD = Wanted(
    what="the record of an export",
    fix="Restore it, or move it away: the origin is then what the labels say themselves.",
    largest=LARGE,
)
_OWN = "custom"
_UNSAID = Provenance(_OWN, "Exported by handdata, of a dataset that is not said", UNKNOWN_LICENCE)


def carried(files: Sequence[Path], tables: Sequence[Annotations], pictures: Sequence[Path]) -> tuple[Provenance, ...]:
    """Return what files of labels and their pictures are from; nothing where all are the user's own.

    Args:
        files: of labels.
        tables: what is in each.
        pictures: the folder of each one's pictures.

    Raises:
        DataError: an export's record of it is damaged.
    """
    found: list[Provenance] = []
    for file, table, folder in zip(files, tables, pictures, strict=True):
        parts = [*_beside(file.parent), *_beside(folder), *table.provenance]
        own = known(_OWN, "own")
        if not parts and table.dataset and not _is_rendered(folder):
            own = known(table.dataset, "published")
        elif not parts and table.licence:
            own = Provenance(_OWN, own.title, table.licence, origin="own")
        elif not parts and table.is_exported:
            own = _UNSAID
        found += parts or [own]
    distinct = tuple(dict.fromkeys(found))
    return () if distinct == (known(_OWN, "own"),) else distinct


def _is_rendered(folder: Path) -> bool:
    """Say whether handdata rendered the pictures of a folder, in a dataset's own layout."""
    whole = folder.absolute()
    return any((above / RENDERED_MARK).is_file() for above in (whole, *whole.parents[: _DEEPEST - 1]))


def unsaid(parts: Sequence[Provenance]) -> str:
    """Return a warning of labels whose origin was lost on their way, "" if there are none."""
    return (
        "origin and licence: not known. handdata exported these hands, and what wrote the file since left out what "
        f"they are from; {RECORD} of that export, laid beside, tells it"
        if _UNSAID in parts
        else ""
    )


def _beside(folder: Path) -> list[Provenance]:
    """Return what the export says that wrote into a folder, or into one above and so into this one."""
    below = ""
    for above in (folder.absolute(), *folder.absolute().parents[: _DEEPEST - 1]):
        if (above / RECORD).is_file():
            record = read_object(above / RECORD, _RECORD)
            if not below or any(name.startswith(below) for name in _files(record)):
                return parse(record.get(KEY, ()), above / RECORD)
        below = f"{above.name}/{below}"
    return []


def _files(record: dict[str, Any]) -> list[str]:
    splits = record.get("splits")
    facts = splits.values() if isinstance(splits, dict) else ()
    listed = (one.get("files") for one in facts if isinstance(one, dict))
    return [str(name) for names in listed if isinstance(names, list) for name in names]
