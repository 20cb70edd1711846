"""Whose pictures shards hold, and under which terms: one part for each dataset that they are from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handdata import manifest
from handdata.errors import HanddataError
from handdata.files.text import Wanted, parse_json

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset

KEY = "provenance"  # in index.json, and in what an export writes
UNKNOWN_LICENCE = "not known"
_PUBLISHED, _RENDERED = "published", "rendered"
_TEXT = Wanted(what="a dataset, licence and origin of each part", fix="Convert or export that again.")


@dataclass(frozen=True, slots=True)
class Provenance:
    """One dataset that pictures are from.

    Attributes:
        dataset: its name.
        title: its full name, and of rendered hands what they are rendered like.
        licence: in words.
        homepage: "" where there is none.
        citation: "" where there is none.
        origin: "rendered", "published" or "own"; "" where it is not recorded.
    """

    dataset: str
    title: str
    licence: str
    homepage: str = ""
    citation: str = ""
    origin: str = ""

    @property
    def is_restricted(self) -> bool:
        """Whether somebody else says who may have the pictures."""
        return _PUBLISHED in self.origin


def provenance_of(data: "Dataset") -> tuple[Provenance, ...]:
    """Return what the hands of a dataset are from: what its folders record, else what is known of their names.

    Of joined datasets it is those that some of the hands are of.
    """
    from handdata.shards.index import folder_facts  # noqa: PLC0415 - which reads with this module

    folders = list(dict.fromkeys(data.shards.folders))
    if len(folders) > 1 and len(data):
        used = {data.shards.path(int(shard)).parent for shard in np.unique(data.locate(np.arange(len(data)))[0])}
        folders = [folder for folder in folders if folder in used]
    return tuple(dict.fromkeys(part for folder in folders for part in folder_facts(folder).provenance))


def known(name: str, origin: str) -> Provenance:
    """Return what is known of a dataset by its name; rendered hands have terms of their own."""
    facts = facts_of(name)
    title = facts.title if facts else name
    if origin == _RENDERED:
        return Provenance(name, f"Rendered in the layout of: {title}", "CC0 1.0", origin=origin)
    if facts is None:
        return Provenance(name, title, UNKNOWN_LICENCE, origin=origin)
    homepage = facts.homepage if facts.homepage.startswith("http") else ""
    return Provenance(name, title, facts.licence, homepage, facts.citation, origin)


def facts_of(name: str) -> manifest.Manifest | None:
    """Return the manifest of a dataset; None for one of the user's own."""
    try:
        return manifest.load(name)
    except HanddataError:
        return None


def as_json(parts: Iterable[Provenance]) -> list[dict[str, str]]:
    """Return what files record."""
    return [asdict(part) for part in parts]


def parse(recorded: Any, where: Path | str) -> list[Provenance]:
    """Return what a file records.

    Raises:
        DataError: it is not what `as_json` returns.
    """
    names = [one.name for one in fields(Provenance)]
    for part in recorded if isinstance(recorded, list | tuple) else [None]:
        if not isinstance(part, Mapping) or not all(isinstance(part.get(name), str) for name in names):
            raise _TEXT.fault(where, _TEXT.what, "another record")
    return [Provenance(**{name: part[name] for name in names}) for part in recorded]


def as_text(parts: Iterable[Provenance]) -> str:
    """Return what files record that have room for a text alone: one line of JSON, of ASCII."""
    return json.dumps(as_json(parts))


def parse_texts(texts: Iterable[Any], where: Path | str) -> tuple[Provenance, ...]:
    """Return what the records of a file say, each as `as_text` or `as_json` returns it; a part once, in their order.

    Raises:
        DataError: one is something else.
    """
    found: list[Provenance] = []
    seen: list[Any] = []  # one text after another is the same
    for text in texts:
        if text is not None and text not in seen:
            seen.append(text)
            found += parse(parse_json(text, where, _TEXT) if isinstance(text, str) else text, where)
    return tuple(dict.fromkeys(found))


def origin_of_all(parts: Iterable[Provenance]) -> str:
    """Return whose hands several parts show together, each origin once, those that are restricted first."""
    found = [origin for part in parts for origin in part.origin.split(", ") if origin]
    return ", ".join(sorted(dict.fromkeys(found), key=lambda origin: origin != _PUBLISHED))
