"""Several converted datasets as one source of samples, and the batch that comes out of it.

Shape letters: B batch, S canvas side.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from handdata.errors import ConfigError, DataError, MissingError
from handdata.shards.alike import same_labels
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.schema import FIELD
from handdata.train.loader.proportions import SlotMap, mix_weights, slot_map
from handdata.train.loader.shard_file import LABELS, OpenShard, handles_to_keep


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step, before augmentation.

    The pixels are on the loader's device; everything else stays on the host, where the geometry is worked out in
    float64 and sent in one copy (augment.prepare).

    Attributes:
        canvases: (B, S, S, 3) uint8.
        foreground: (B, S, S/8) uint8 bits; None if no dataset of the mixture has a mask.
        has_foreground: (B,) bool, host; where it is False the sample's bits mean nothing.
        labels: (B, ...) arrays by the schema's field names (opened.LABELS), host, as stored.
        dataset: (B,) int, number of the dataset in the mixture.
        sample: (B,) int, number of the sample in its dataset.
        position: (B,) int, place in the epoch: what augmentation is drawn by.
        epoch: counted from 0.
    """

    canvases: Tensor
    foreground: Tensor | None
    has_foreground: NDArray[np.bool_]
    labels: dict[str, NDArray[Any]]
    dataset: NDArray[np.int64]
    sample: NDArray[np.int64]
    position: NDArray[np.int64]
    epoch: int

    def __len__(self) -> int:
        return len(self.dataset)


@dataclass(frozen=True, slots=True)
class Places:
    """Where samples lie, (B,) each: number of the dataset, of the shard in it, and row in that."""

    dataset: NDArray[np.int64]
    shard: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, part: slice) -> "Places":
        return Places(self.dataset[part], self.shard[part], self.row[part])

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return zip(self.dataset.tolist(), self.shard.tolist(), self.row.tolist(), strict=True)


class Mixture:
    """Datasets to draw from. Pickles as folders and numbers; shards are opened where, and when, they are first read.

    Attributes:
        datasets: opened by their index alone.
        slots: how often each is drawn.
        canvas: S, px.
        has_foreground: whether any shard has masks.
    """

    def __init__(self, datasets: Sequence[Dataset], slots: SlotMap) -> None:
        self.datasets = list(datasets)
        self.slots = slots
        self._shards: list[list[OpenShard | None]] = [[None] * len(d.shards) for d in self.datasets]
        self._handles = handles_to_keep()
        self._lock = threading.Lock()
        firsts = [self.shard(d, 0) for d in range(len(self.datasets))]
        sides = {name: shard.canvas for name, shard in zip(self.names, firsts, strict=True)}
        if len(set(sides.values())) > 1:
            raise ConfigError(
                "shards",
                expected="one canvas side in a mixture",
                got=", ".join(f"{name} {side} px" for name, side in sides.items()),
                fix="Convert them with the same --canvas.",
            )
        self.canvas = firsts[0].canvas
        layouts = [[seal.layout for seal in dataset.shards.seals] for dataset in self.datasets]
        self._masked = np.array(["foreground" in layout.places for shards in layouts for layout in shards])
        self._starts = np.cumsum([0, *map(len, layouts)])
        self.has_foreground = bool(self._masked.any())

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Mixture, (self.datasets, self.slots))

    @property
    def names(self) -> list[str]:
        """What the datasets go by, in order: see `names_of`."""
        return names_of(self.datasets)

    def shard(self, dataset: int, shard: int) -> OpenShard:
        """Open a shard, once a process; beyond a quarter of the files allowed, none is kept open."""
        found = self._shards[dataset][shard]
        return self._open(dataset, shard) if found is None else found

    def _open(self, dataset: int, shard: int) -> OpenShard:
        with self._lock:
            found = self._shards[dataset][shard]
            if found is None:
                reader = self.datasets[dataset].shards.reader(shard)
                found = OpenShard(reader, keep_open=self._handles > 0)
                self._check(dataset, shard, found)
                self._shards[dataset][shard] = found
                self._handles -= 1
            return found

    def _check(self, dataset: int, shard: int, found: OpenShard) -> None:
        """Refuse a shard whose canvases have another side than those of the first."""
        shards, first = self.datasets[dataset].shards, self._shards[dataset][0]
        if first is not None and first.canvas != found.canvas:
            expected, fix = f"canvases of {first.canvas} px, as {shards.names[0]}", "Convert that dataset again."
            raise DataError(shards.path(shard), expected=expected, got=f"{found.canvas} px", fix=fix)

    def locate(self, dataset: NDArray[np.int64], sample: NDArray[np.int64]) -> Places:
        """Return where samples lie, given (B,) the number of the dataset and of the sample in it."""
        shard, row = np.empty_like(sample), np.empty_like(sample)
        for d in np.unique(dataset):
            here = dataset == d
            shard[here], row[here] = self.datasets[int(d)].locate(sample[here])
        return Places(dataset, shard, row)

    def masked(self, places: Places) -> NDArray[np.bool_]:
        """Return which samples have masks, (B,)."""
        return np.asarray(self._masked[self._starts[places.dataset] + places.shard])

    def labels(self, places: Places, names: Sequence[str] = LABELS) -> dict[str, NDArray[Any]]:
        """Gather the labels of samples, (B, ...) each: one indexing a field and shard, so ask for many at once."""
        order = np.lexsort((places.shard, places.dataset))
        keys, rows = np.stack([places.dataset, places.shard], axis=1)[order], places.row[order]
        cuts = (np.flatnonzero((keys[1:] != keys[:-1]).any(1)) + 1).tolist()
        shapes = {name: (len(places), *FIELD[name].shape_at(self.canvas)) for name in names}
        by_shard = {name: np.empty(shape, FIELD[name].dtype) for name, shape in shapes.items()}
        for first, end in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if end > first:
                self.shard(*keys[first].tolist()).gather(rows[first:end], by_shard, slice(first, end))
        back = np.argsort(order)
        return {name: array[back] for name, array in by_shard.items()}

    def hint(self, places: Places) -> None:
        """Ask the kernel to read these samples' pixels ahead, where their shards are not in memory."""
        for d, s, row in places:
            shard = self.shard(d, s)
            if not shard.resident:
                shard.hint(row)

    def copy_pixels(self, places: Places, images: NDArray[np.uint8], foreground: NDArray[np.uint8] | None) -> None:
        """Copy the samples' canvases, and their bits where they have any, into (B, S, S, 3) and (B, S, S/8)."""
        for i, (d, s, row) in enumerate(places):
            self.shard(d, s).copy(row, images[i], None if foreground is None else foreground[i])

    def sample_ids(self, dataset: NDArray[np.int64], sample: NDArray[np.int64]) -> list[str]:
        """Return "dataset/sample id" of samples, for a message or a table."""
        ids = []
        for d, s, row in self.locate(dataset, sample):
            raw = self.datasets[d].shards.reader(s)["sample_id"][row]
            ids.append(f"{self.datasets[d].name}/{bytes(raw).decode('ascii')}")
        return ids


def open_mixture(folders: Sequence[Path], split: str | None, mix: str | Mapping[str, float] | None = None) -> Mixture:
    """Open shard folders as one mixture. Costs one index read and one opened shard a folder.

    Args:
        folders: converted datasets.
        split: "train", "val" or "test"; None takes all.
        mix: "A", "B" or "C" of docs/method.md 9.1, weights by `names_of`, or None: every sample equally likely.

    Raises:
        MissingError: a folder is no complete dataset, or has no such split, or no samples at all.
        ConfigError: the mix does not fit the folders, two hold the same samples, or their canvases differ in side.
    """
    datasets = [open_dataset(folder, split) for folder in folders]
    check_apart(datasets)
    empty = [dataset.folder for dataset in datasets if not len(dataset)]
    if empty:
        raise MissingError(empty[0], expected="samples", got="none", fix="Convert that dataset again.")
    return Mixture(datasets, slot_map([len(dataset) for dataset in datasets], mix_weights(mix, names_of(datasets))))


def names_of(datasets: Sequence[Dataset]) -> list[str]:
    """Return what datasets go by in mixes, in `adapt.target` and in the log.

    That is each one's name; where several folders hold one dataset, such as two renderings, it is that of the folder.
    """
    folders = Counter(name for name, _ in {(dataset.name, dataset.folder) for dataset in datasets})
    return [dataset.folder.name if folders[dataset.name] > 1 else dataset.name for dataset in datasets]


def check_apart(datasets: Sequence[Dataset]) -> None:
    """Refuse what cannot be told apart, and the same samples twice: one copy could train, the other validate.

    Raises:
        ConfigError: nothing is given, or a set twice, or two folders of a dataset whose names are alike, or which hold
            a sample of the same id and the same labels, whatever their splits.
    """
    names = names_of(datasets)
    if not names or len(set(names)) < len(names):
        fix = "Name each set once; two folders of one dataset need names of their own."
        raise ConfigError("shards", expected="one folder for each dataset", got=", ".join(names) or "none", fix=fix)
    folders: dict[str, list[Path]] = {}
    for dataset in datasets:
        folders.setdefault(dataset.name, []).append(dataset.folder)
    for several in folders.values():
        for first, second in combinations(several, 2):
            _refuse_same_samples(open_dataset(first), open_dataset(second))


def _refuse_same_samples(first: Dataset, second: Dataset) -> None:
    ids, here, there = np.intersect1d(first.ids, second.ids, return_indices=True)
    same = same_labels(first[here], second[there])
    if same.any():
        got = f"{first.name}/{ids[same][0].decode()} in {first.folder} and in {second.folder}"
        raise ConfigError("shards", expected="each sample once", got=got, fix="Leave one of the two out.")
