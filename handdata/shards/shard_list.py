"""Shards one behind the other: where a row lies, and label arrays read from many of them at once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.shards.layout import Seal, ShardLayout, layout_of, seal_of
from handdata.shards.reader import AGAIN, INDEX, ShardReader
from handdata.shards.schema import FIELD, LABELS

MAX_SAMPLED_SHARDS = 128  # opened where a sample of the rows is enough


@dataclass(frozen=True, eq=False)
class ShardList:
    """Shards of one or several folders. Each is opened when it is first read; pickles without what is open.

    Attributes:
        files: of the shards, as text: a path of each, made at once, is what opening would then cost most for.
        seals: what the index says of the bytes of each.
        counts: samples of each.
        splits: of each.
        datasets: name of each shard's dataset.
    """

    files: tuple[str, ...]
    seals: tuple[Seal, ...]
    counts: tuple[int, ...]
    splits: tuple[str, ...]
    datasets: tuple[str, ...]
    home: tuple[Path, ...] = ()  # the folders, also where they hold no shard
    _open: dict[int, ShardReader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        starts = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)
        object.__setattr__(self, "_starts", starts)

    @classmethod
    def of_index(cls, folder: Path, index: dict[str, Any]) -> "ShardList":
        """Return the shards that an index, of `read_index`, lists, in its order."""
        chosen = index["shards"]
        within = f"{folder}{os.sep}"
        layouts: dict[int, ShardLayout] = {}  # by the object that describes it: most shards share one
        for entry in chosen:
            if id(entry["layout"]) not in layouts:
                layouts[id(entry["layout"])] = layout_of(entry["layout"]) or ShardLayout({})
        return cls(
            files=tuple(within + entry["file"] for entry in chosen),
            seals=tuple(seal_of(entry, layouts[id(entry["layout"])]) for entry in chosen),
            counts=tuple(int(entry["num_samples"]) for entry in chosen),
            splits=tuple(str(entry["split"]) for entry in chosen),
            datasets=(str(index["dataset"]),) * len(chosen),
            home=(folder,),
        )

    @classmethod
    def of_readers(cls, readers: Sequence[ShardReader]) -> "ShardList":
        """Return shards that are open."""
        return cls(
            files=tuple(str(reader.path) for reader in readers),
            seals=tuple(reader.seal for reader in readers),
            counts=tuple(len(reader) for reader in readers),
            splits=tuple(str(reader.attributes.get("split", "")) for reader in readers),
            datasets=tuple(str(reader.attributes.get("dataset", "")) for reader in readers),
            home=tuple(dict.fromkeys(reader.path.parent for reader in readers)),
            _open=dict(enumerate(readers)),
        )

    @classmethod
    def join(cls, lists: Sequence["ShardList"]) -> "ShardList":
        """Return several lists as one."""
        return cls(
            files=tuple(file for part in lists for file in part.files),
            seals=tuple(seal for part in lists for seal in part.seals),
            counts=tuple(count for part in lists for count in part.counts),
            splits=tuple(split for part in lists for split in part.splits),
            datasets=tuple(name for part in lists for name in part.datasets),
            home=tuple(dict.fromkeys(folder for part in lists for folder in part.folders)),
        )

    def select(self, numbers: Sequence[int]) -> "ShardList":
        """Return some of the shards."""
        return ShardList(
            files=tuple(self.files[i] for i in numbers),
            seals=tuple(self.seals[i] for i in numbers),
            counts=tuple(self.counts[i] for i in numbers),
            splits=tuple(self.splits[i] for i in numbers),
            datasets=tuple(self.datasets[i] for i in numbers),
            home=self.home,
            _open={place: self._open[i] for place, i in enumerate(numbers) if i in self._open},
        )

    def __len__(self) -> int:
        return len(self.files)

    def __reduce__(self) -> tuple[type["ShardList"], tuple[Any, ...]]:
        return (ShardList, (self.files, self.seals, self.counts, self.splits, self.datasets, self.home))

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [PurePath(file).name for file in self.files]

    def path(self, shard: int) -> Path:
        """Return where a shard lies."""
        return Path(self.files[shard])

    @property
    def total(self) -> int:
        """Samples of all shards."""
        return sum(self.counts)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that the shards lie in."""
        return self.home

    @property
    def readers(self) -> list[ShardReader]:
        """All shards, opened."""
        return [self.reader(shard) for shard in range(len(self))]

    def reader(self, shard: int) -> ShardReader:
        """Open a shard, once.

        Raises:
            MissingError, DataError: no such file, or a damaged one, or not what the index says.
        """
        if shard not in self._open:
            reader = ShardReader(self.path(shard), self.seals[shard])
            self.check_count(shard, len(reader))
            self._open[shard] = reader
        return self._open[shard]

    def check_count(self, shard: int, count: int) -> None:
        """Refuse a shard that holds more or fewer samples than the index says: its rows would be others.

        Raises:
            DataError: it does.
        """
        if count != self.counts[shard]:
            raise DataError(
                self.path(shard),
                expected=f"{self.counts[shard]} samples, as {INDEX} says",
                got=str(count),
                fix=AGAIN,
            )

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shard, and the row in it, of rows counted through all shards; (M,) each."""
        starts: NDArray[np.int64] = self._starts  # type: ignore[attr-defined]
        shard = np.searchsorted(starts, rows, side="right") - 1
        return shard, rows - starts[shard]

    def gather(self, name: str, rows: NDArray[np.int64] | None) -> NDArray[Any]:
        """Return an array of some rows, (M, ...), in their order; None reads all. Other rows are not read.

        Raises:
            DataError: a shard does not hold the array.
        """
        if not self.files:
            return np.zeros((0, *FIELD[name].shape_at(0)), FIELD[name].dtype)
        if rows is None:
            rows = np.arange(self.total) if name in {"image", "foreground", "mask"} else None
        if rows is None:
            return np.concatenate([self._array(shard, name) for shard in range(len(self))])
        if not len(rows):
            return self._array(0, name)[:0]
        shard, row = self.locate(rows)
        order = np.argsort(shard, kind="stable")
        present, firsts = np.unique(shard[order], return_index=True)
        ends = [*firsts[1:].tolist(), len(order)]
        parts = [
            self._array(int(number), name, row[order[first:end]])
            for number, first, end in zip(present, firsts.tolist(), ends, strict=True)
        ]
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) > 1:
            got = ", ".join(sorted(f"{shape}" for shape in shapes))
            fix = "Convert the datasets with the same --canvas, or read them one by one."
            raise DataError(f"column {name}", expected="arrays of one shape", got=got, fix=fix)
        gathered = np.concatenate(parts)
        result = np.empty_like(gathered)
        result[order] = gathered
        return result

    def codes(self, table: str, numbers: NDArray[Any], shard: NDArray[np.int64]) -> tuple[NDArray[np.intp], list[str]]:
        """Turn numbers into the shards' own tables of names into numbers into one sorted table of all names.

        Args:
            table: "sequences" or "cameras".
            numbers: (M,) as stored.
            shard: (M,) the shard of each.
        """
        tables = [tuple(getattr(self.reader(number), table)) for number in range(len(self))]
        names = sorted({text for each in tables for text in each})
        if not len(numbers):
            return np.zeros(0, np.intp), names
        place = {text: number for number, text in enumerate(names)}
        kinds = {each: number for number, each in enumerate(dict.fromkeys(tables))}  # few shards differ in their table
        places = np.zeros((len(kinds), max(map(len, kinds))), np.intp)
        for each, number in kinds.items():
            places[number, : len(each)] = [place[text] for text in each]
        kind = np.array([kinds[each] for each in tables], np.intp)[shard]
        last = np.array([len(each) - 1 for each in kinds], np.intp)[kind]
        return places[kind, np.clip(numbers, 0, last)], names

    def _array(self, shard: int, name: str, rows: NDArray[np.intp] | None = None) -> NDArray[Any]:
        """Return an array of a shard, or some rows of it, checked."""
        reader = self.reader(shard)
        if name not in reader:
            fix = f"Convert that dataset again if it should have {name}."
            raise DataError(reader.path, expected=f"an array {name}", got="a shard without it", fix=fix)
        if rows is not None:
            return reader.take(name, rows)
        return reader.array(name) if FIELD[name] in LABELS else reader.view(name)


def evenly(count: int, limit: int) -> list[int]:
    """Return up to `limit` of 0 .. count - 1, evenly spaced, the first and the last among them.

    Raises:
        TypeError: no whole number.
    """
    limit = index(limit)
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, limit)).round())]
