"""The labels of many rows at once, from all shards or from an even sample of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.shards.reader import ShardReader
from handdata.shards.schema import LABELS

MAX_SAMPLED_SHARDS = 128  # opened where a sample of the rows is enough
_TEXT_TABLES = {"sequence": "sequences", "camera": "cameras"}


@dataclass(frozen=True)
class Rows:
    """Label arrays of N rows by field name, (N, ...), and where each row is from.

    Attributes:
        labels: by field name; `sequence` and `camera` are numbers into the tables here.
        sequences: names.
        cameras: names.
        split: (N,) text.
        shard: (N,) number of the shard among `readers`.
        row: (N,) row in that shard.
        readers: the shards.
    """

    labels: dict[str, NDArray[Any]]
    sequences: list[str]
    cameras: list[str]
    split: NDArray[np.str_]
    shard: NDArray[np.intp]
    row: NDArray[np.intp]
    readers: Sequence[ShardReader]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.labels[name]

    @property
    def ids(self) -> NDArray[np.bytes_]:
        """The sample ids, (N,)."""
        return self.labels["sample_id"]

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return the canvas of row `index`, mapped."""
        canvas: NDArray[np.uint8] = self.readers[int(self.shard[index])].images[int(self.row[index])]
        return canvas


def gather(readers: Sequence[ShardReader], limit: int | None = None, names: Sequence[str] = ()) -> Rows:
    """Read the labels of all rows, or of about `limit` evenly spaced rows.

    Args:
        readers: the shards.
        limit: number of rows that is enough; None reads all.
        names: label fields wanted; empty reads all of them.

    Raises:
        ValueError: no shards.
    """
    if not readers:
        raise ValueError("no shards")
    wanted = [field.name for field in LABELS if not names or field.name in {*names, "sample_id", "sequence", "camera"}]
    chosen = _choose(readers, limit)
    tables = {n: sorted({text for r in readers for text in getattr(r, table)}) for n, table in _TEXT_TABLES.items()}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
    places: dict[tuple[str, ...], NDArray[np.intp]] = {}  # of a shard's table, in which few shards differ
    for number, rows in chosen:
        reader = readers[number]
        for name in wanted:
            values = reader.take(name, rows)
            if name in _TEXT_TABLES:
                table = tuple(getattr(reader, _TEXT_TABLES[name]))
                if (name, *table) not in places:
                    order = {text: place for place, text in enumerate(tables[name])}
                    places[name, *table] = np.array([order[text] for text in table], np.intp)
                place = places[name, *table]
                values = place[np.clip(values, 0, len(place) - 1)]
            parts[name].append(values)
    return Rows(
        labels={name: np.concatenate(values) for name, values in parts.items()},
        sequences=tables["sequence"],
        cameras=tables["camera"],
        split=np.concatenate([np.full(len(rows), str(readers[n].attributes.get("split"))) for n, rows in chosen]),
        shard=np.concatenate([np.full(len(rows), n, np.intp) for n, rows in chosen]),
        row=np.concatenate([rows for _, rows in chosen]),
        readers=readers,
    )


def spread(count: int, limit: int) -> list[int]:
    """Return up to `limit` of 0 .. count - 1, evenly spaced, the first and the last among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, limit)).round())]


def _choose(readers: Sequence[ShardReader], limit: int | None) -> list[tuple[int, NDArray[np.intp]]]:
    """Choose rows: all, or as many evenly spaced ones of each shard as make `limit`."""
    total = sum(len(reader) for reader in readers)
    if limit is None or total <= limit:
        return [(number, np.arange(len(reader))) for number, reader in enumerate(readers)]
    each = max(1, limit // len(readers))
    return [(number, np.array(spread(len(reader), each), np.intp)) for number, reader in enumerate(readers)]
