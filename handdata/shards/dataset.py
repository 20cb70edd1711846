"""A converted dataset: a folder of shards and the index.json that says it is complete. Opening costs one index read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.shards.reader import INDEX, STATE, ShardReader
from handdata.shards.schema import VERSION


class Dataset:
    """The shards of one dataset, or of some of its splits, as one list of samples.

    Attributes:
        folder: where the shards lie.
        index: index.json as read.
        name: of the dataset.
        shard_paths: the shards of the chosen splits, in index order.
        counts: samples of each.
    """

    def __init__(self, folder: Path, index: dict[str, Any], splits: Sequence[str]) -> None:
        self.folder = folder
        self.index = index
        self.name: str = index["dataset"]
        self.splits = tuple(splits)
        chosen = [entry for entry in index["shards"] if entry["split"] in splits]
        self.shard_paths = [folder / entry["file"] for entry in chosen]
        self.counts = [int(entry["num_samples"]) for entry in chosen]
        self._starts = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)
        self._readers: dict[int, ShardReader] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def reader(self, shard: int) -> ShardReader:
        """Open shard number `shard` of `shard_paths`, once.

        Raises:
            MissingError, DataError: no such file, or a damaged one, or not what the index says.
        """
        if shard not in self._readers:
            reader = ShardReader(self.shard_paths[shard])
            self.check_count(shard, len(reader))
            self._readers[shard] = reader
        return self._readers[shard]

    def check_count(self, shard: int, count: int) -> None:
        """Refuse a shard that holds more or fewer samples than the index says: its rows would be others.

        Raises:
            DataError: it does.
        """
        if count != self.counts[shard]:
            raise DataError(
                self.shard_paths[shard],
                expected=f"{self.counts[shard]} samples, as {INDEX} says",
                got=str(count),
                fix="Convert that dataset again.",
            )

    @property
    def readers(self) -> list[ShardReader]:
        """All shards, opened."""
        return [self.reader(shard) for shard in range(len(self.shard_paths))]

    def locate(self, sample: int) -> tuple[int, int]:
        """Return (shard, row) of a sample.

        Raises:
            IndexError: there is no such sample.
        """
        if not 0 <= sample < len(self):
            raise IndexError(f"sample {sample} of {len(self)}")
        shard = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return shard, sample - int(self._starts[shard])

    def labels(self, name: str) -> NDArray[Any]:
        """Return a label array of all samples, (N, ...), by field name.

        Raises:
            ValueError: no samples.
        """
        if not self.shard_paths:
            raise ValueError(f"{self.folder} has no samples in {self.splits}")
        return np.concatenate([reader[name] for reader in self.readers])

    def image(self, sample: int) -> NDArray[np.uint8]:
        """Return one canvas, (S, S, 3) uint8, mapped."""
        shard, row = self.locate(sample)
        canvas: NDArray[np.uint8] = self.reader(shard).images[row]
        return canvas

    def strings(self, name: str) -> list[str]:
        """Return every sample's `sequence` or `camera` as text."""
        tables = {"sequence": "sequences", "camera": "cameras"}
        return [getattr(r, tables[name])[i] for r in self.readers for i in r[name]]

    def __reduce__(self) -> tuple[type["Dataset"], tuple[Path, dict[str, Any], tuple[str, ...]]]:
        return (Dataset, (self.folder, self.index, self.splits))


def open_dataset(folder: Path, split: str | None = None) -> Dataset:
    """Open a converted dataset.

    Args:
        folder: holds index.json.
        split: "train", "val" or "test"; None opens all.

    Raises:
        MissingError: no folder, or no index.json in it: the conversion did not finish. Or no such split.
        DataError: the index is damaged or of another schema.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _not_converted(folder) from None
    except ValueError as error:
        raise DataError(path, expected="JSON", got=str(error), fix="Convert that dataset again.") from None
    if not isinstance(index, dict) or index.get("schema") != VERSION:
        got = f"schema {index.get('schema')}" if isinstance(index, dict) else "a list"
        raise DataError(path, expected=f"schema {VERSION}", got=got, fix="Convert that dataset again.")
    if not _lists_shards(index):
        got = "an index without them"
        raise DataError(path, expected="a dataset's name and its shards", got=got, fix="Convert that dataset again.")
    splits = sorted({entry["split"] for entry in index["shards"]})
    if split is not None and split not in splits:
        raise MissingError(path, expected=f"a split named {split}", got=", ".join(splits) or "no samples")
    return Dataset(folder, index, splits if split is None else [split])


def _not_converted(folder: Path) -> MissingError:
    """Return what to say of a folder without an index."""
    fix = "`handdata datasets` shows what is converted, `handdata convert NAME` converts."
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
    elif any(folder.glob("*.h5")) or (folder / STATE).is_dir():
        got, fix = "an unfinished conversion: shards but no index", "Run the same conversion again: it goes on."
    else:
        got = "a folder without shards"
    return MissingError(folder / INDEX, expected="a converted dataset", got=got, fix=fix)


def _lists_shards(index: dict[str, Any]) -> bool:
    """Return whether an index has what every reader of it needs."""
    shards = index.get("shards")
    return (
        isinstance(index.get("dataset"), str)
        and isinstance(shards, list)
        and all(isinstance(entry, dict) and _names_samples(entry) for entry in shards)
    )


def _names_samples(entry: dict[str, Any]) -> bool:
    count = entry.get("num_samples")
    named = isinstance(entry.get("file"), str) and isinstance(entry.get("split"), str)
    return named and isinstance(count, int) and count > 0
