"""Some hands of converted datasets, as one immutable list. Opening costs one index read; shards open when first read.

Columns (`data["keypoints_2d"]`, `to_pandas`) are the stored arrays, in pixels of the pictures as shipped; a `Hand`
counts in the pixels of its own `image`.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handdata.errors import ConfigError, DataError, MissingError
from handdata.paths import path_of, shards_named
from handdata.shards.conditions import mask_of, numbers_of, order_of
from handdata.shards.hand import Hand
from handdata.shards.index import open_shard, read_index
from handdata.shards.provenance import origin_of_all, provenance_of
from handdata.shards.reader import AGAIN, INDEX, ShardReader
from handdata.shards.sampling import permute
from handdata.shards.schema import FIELDS
from handdata.shards.shard_list import ShardList, evenly
from handdata.shards.stored_hand import read_hand
from handdata.skeleton import SIDE_NAMES, SIDE_UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

    from handdata.train.loader.torch_view import TorchView

Rows = NDArray[np.int64]

_NAMES = {"sequence": "sequences", "camera": "cameras"}  # columns that number a shard's own table of names
_PIXELS = ("image", "foreground", "mask")
COLUMNS = ("id", "side", "split", "dataset", *(field.name for field in FIELDS))  # the first four are text of ours


class Dataset:
    """Some hands of one or several converted datasets, in an order.

    It is a view: choosing, sorting and joining copy no pixels and give another `Dataset`. It pickles as paths and row
    numbers, so that worker processes open the shards for themselves.

    Example:
        >>> import handdata as hd
        >>> data = hd.open(EXAMPLE)
        >>> left = data.where(side="left").sort("scale_mm")
        >>> left[0].side, left["keypoints_3d"].shape[1:], len(data[2:5])
        ('left', (21, 3), 3)
    """

    def __init__(self, shards: ShardList, rows: Rows | None = None) -> None:
        self.shards = shards
        self.rows = rows  # positions among all rows of `shards`; None: all of them in order
        self._columns: dict[str, NDArray[Any]] = {}
        self._codes: dict[str, tuple[NDArray[np.intp], list[str]]] = {}

    def __len__(self) -> int:
        return self.shards.total if self.rows is None else len(self.rows)

    @property
    def name(self) -> str:
        """The name of the dataset; several are joined by a plus."""
        return " + ".join(dict.fromkeys(self.shards.datasets))

    @property
    def folder(self) -> Path:
        """The folder of the shards; of several, the first."""
        return self.shards.folders[0]

    @cached_property
    def index(self) -> dict[str, Any]:
        """index.json of `folder`."""
        return read_index(self.folder)

    @property
    def origin(self) -> str:
        """Whose hands it shows: "rendered", "published" or "own"; "" where its conversion did not record it."""
        return origin_of_all(provenance_of(self))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits its shards are of."""
        return tuple(sorted(set(self.shards.splits)))

    @property
    def ids(self) -> NDArray[np.bytes_]:
        """The sample ids as stored, (N,); `data["id"]` has them as text."""
        return self.column("sample_id")

    @property
    def canvas(self) -> int:
        """Side of the canvases, px; 0 without a sample."""
        return self.shards.reader(0).canvas if len(self.shards) else 0

    @cached_property
    def canvas_scale(self) -> float:
        """Side of the canvases over that of the hands' crops; the smallest where datasets of several are joined."""
        return min(float(read_index(folder)["canvas_scale"]) for folder in self.shards.folders)

    def __repr__(self) -> str:
        from handdata.shards.description import describe  # noqa: PLC0415  # reads manifests, only to print

        return describe(self)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Hand: ...
    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: "slice | Sequence[int] | NDArray[Any]") -> "Dataset": ...
    def __getitem__(self, key: Any) -> Any:
        """Return one hand by number, a column by name, or some of the hands by slice, mask or numbers.

        Raises:
            IndexError: there is no such hand.
            ConfigError: there is no such column.
            ValueError: a mask of another length.
            TypeError: something else.
        """
        if isinstance(key, str):
            return self.column(key)
        if isinstance(key, int | np.integer):
            return self._hand(self._position(int(key)))
        return self.take(numbers_of(key, len(self)))

    def __iter__(self) -> Iterator[Hand]:
        return (self[number] for number in range(len(self)))

    def __add__(self, other: "Dataset") -> "Dataset":
        from handdata.shards.concat import concat  # noqa: PLC0415  # it needs this class

        return concat(self, other) if isinstance(other, Dataset) else NotImplemented

    def take(self, numbers: NDArray[Any]) -> "Dataset":
        """Return the hands of some numbers, (M,) int, in that order; negative ones count from the end.

        Raises:
            IndexError: there is no such hand.
        """
        total = len(self)
        outside = numbers[(numbers < -total) | (numbers >= total)]
        if len(outside):
            raise IndexError(f"sample {outside[0]} of {total}")
        numbers = np.where(numbers < 0, numbers + total, numbers).astype(np.int64)
        return Dataset(self.shards, numbers if self.rows is None else self.rows[numbers])

    def where(self, **wanted: Any) -> "Dataset":
        """Return the hands whose columns are as wanted.

        Args:
            wanted: column -> a value, several values, or a function of the column, (N, ...), that returns a mask (N).
                `side="left"` (or "unknown"), `sequence=["Grasp1", "Grasp2"]`, `has_object=True` (None: not known),
                `scale_mm=lambda mm: mm > 80`.

        Raises:
            ConfigError: no such column, or no such sequence, camera, side, split or dataset.
            ValueError: a function that returns no mask, or a value for a column of arrays.
        """
        keep = np.ones(len(self), bool)
        for name, value in wanted.items():
            keep &= mask_of(self, name, value)
        return self.take(np.flatnonzero(keep))

    def split(self, name: str) -> "Dataset":
        """Return the hands of one split, "train", "val" or "test".

        Raises:
            MissingError: there is no such split.
        """
        if name not in self.splits:
            got = ", ".join(self.splits) or "no samples"
            raise MissingError(self.folder / INDEX, expected=f"a split named {name}", got=got)
        return self.take(np.flatnonzero(self["split"] == name))

    def sort(self, column: str | ArrayLike, *, descending: bool = False) -> "Dataset":
        """Return the hands in the order of a column, or of values of your own, (N,); equal ones stay, NaN comes last.

        Raises:
            ConfigError: no such column.
            ValueError: a column of arrays, or not a value for each hand.
        """
        values = self.column(column) if isinstance(column, str) else np.asarray(column)
        if values.shape != (len(self),):
            what = f"{column} is an array per hand" if isinstance(column, str) else f"got the shape {values.shape}"
            raise ValueError(f"sort by a column of single values, or by {len(self)} of your own: {what}")
        return self.take(order_of(values, descending=descending))

    def sample(self, n: int, *, seed: int = 0) -> "Dataset":
        """Return `n` hands drawn at random, each at most once; the same ones for the same seed.

        Raises:
            ValueError: there are fewer.
            TypeError: no whole number; a share of them is `int(share * len(data))`.
        """
        n, seed = index(n), index(seed)
        if not 0 <= n <= len(self):
            raise ValueError(f"{n} hands of {len(self)} cannot be drawn")
        return self.take(permute(seed, 0, 0, np.arange(n), len(self)))

    def spread(self, n: int) -> "Dataset":
        """Return up to `n` hands, evenly spaced, the first and the last among them."""
        return self.take(np.array(evenly(len(self), n), np.int64))

    def compact(self) -> "Dataset":
        """Return the same hands over no other shards than those they lie in."""
        shard, row = self._places()
        used, place = np.unique(shard, return_inverse=True)
        shards = self.shards.select(used.tolist())
        starts = np.cumsum([0, *shards.counts])
        return Dataset(shards, starts[place] + row)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, (N, ...), read-only: a stored array (docs/schema.md), or `id`, `side`, `split`, `dataset`.

        `sequence` and `camera` are names here. Only the rows of this view are read; what was read is kept, pixels not.

        Raises:
            ConfigError: no such column, or these shards do not hold it.
        """
        if name not in self._columns:
            array = self._read_column(name)
            array.flags.writeable = False
            if name in _PIXELS:
                return array
            self._columns[name] = array
        return self._columns[name]

    def _read_column(self, name: str) -> NDArray[Any]:
        words: NDArray[Any]
        if name in _NAMES:
            codes, names = self.codes(name)
            words = np.array(names or [""])[codes]
        elif name == "id":
            words = self._decoded_ids()
        elif name == "side":
            words = np.array(SIDE_NAMES)[np.minimum(self.column("hand_side"), SIDE_UNKNOWN)]
        elif name in ("split", "dataset"):
            per_shard = self.shards.splits if name == "split" else self.shards.datasets
            words = np.array(per_shard or ("",))[self._places()[0]]
        elif name in COLUMNS:
            return self.shards.gather(name, self.rows)
        else:
            longer = [column for column in COLUMNS if name and column.startswith(name)]
            near = (longer or get_close_matches(name, COLUMNS, n=1, cutoff=0.0))[0]
            fix = f"The nearest is {near!r}."
            raise ConfigError(f"columns of {self.name}", expected="a column", got=repr(name), fix=fix)
        return words

    def _decoded_ids(self) -> NDArray[Any]:
        try:
            return np.char.decode(self.ids, "ascii")
        except UnicodeDecodeError as error:
            raise DataError(self.folder, expected="ids in ASCII", got=repr(error.object), fix=AGAIN) from None

    def codes(self, name: str) -> tuple[NDArray[np.intp], list[str]]:
        """Return the sequence or the camera of every hand as a number, (N,), and the names that these count."""
        if name not in self._codes:
            self._codes[name] = self.shards.codes(_NAMES[name], self.shards.gather(name, self.rows), self._places()[0])
        return self._codes[name]

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.locate(np.arange(len(self)))

    def locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shard and the row in it of hands given by number, (M,) each."""
        return self.shards.locate(numbers if self.rows is None else self.rows[numbers])

    def image(self, number: int) -> NDArray[np.uint8]:
        """Return one canvas, (S, S, 3) uint8, mapped: it changes if the shard does."""
        shard, row = self.locate(np.array([self._position(number)]))
        return self.shards.reader(int(shard[0])).row("image", int(row[0]))

    def pixels(self, name: str, number: int) -> NDArray[np.uint8] | None:
        """Return one hand's `image`, `foreground` (bits) or `mask` as stored, mapped: it changes if the shard does.

        None where its shard has none.
        """
        shard, row = self.locate(np.array([self._position(number)]))
        reader = self.shards.reader(int(shard[0]))
        return reader.row(name, int(row[0])) if name in reader else None

    def few_shards(self, n: int) -> "Dataset":
        """Return the hands that lie in `n` evenly spaced shards: a look at many shards opens no more.

        Raises:
            ValueError: this is a choice of hands, not whole shards.
        """
        if self.rows is not None:
            raise ValueError("few_shards is for a dataset as opened")
        return Dataset(self.shards.select(evenly(len(self.shards), n)))

    def to_pandas(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return a table, one row per hand, indexed by id.

        Args:
            columns: those wanted; None takes every column but pixels and hashes. Columns of arrays hold one array per
                hand; `side` says `hand_side` in words, `has_object` is a truth value.
        """
        from handdata.shards.table import to_pandas  # noqa: PLC0415  # pandas takes half a second to import

        return to_pandas(self, columns)

    def to_parquet(self, path: Path | str, columns: Sequence[str] | None = None) -> None:
        """Write the table of `to_pandas` as Parquet, arrays as nested lists.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        from handdata.shards.table import to_parquet  # noqa: PLC0415

        to_parquet(self, path_of(path), columns)

    def summary(self) -> "pd.DataFrame":
        """Return a small table, one row per dataset and split: hands, sequences, sides, objects, labelled keypoints."""
        from handdata.shards.table import summary  # noqa: PLC0415

        return summary(self)

    def torch(
        self, *, size: int = 128, augment: str | None = None, seed: int = 0, normalize: bool = True, mirror: bool = True
    ) -> "TorchView":
        """Return the hands as a torch Dataset of (image, targets), for `torch.utils.data.DataLoader`.

        Args:
            size: side of the crops, px.
            augment: "published", "strong", or None for the stored crop as it is.
            seed: of the augmentation, which is a function of (seed, epoch, number); see `TorchView.set_epoch`.
            normalize: subtract ImageNet's mean and divide by its deviation, as our models and torchvision's expect;
                False leaves levels in 0..1.
            mirror: show right hands as left ones, labels too, as our models expect.

        Raises:
            ConfigError: no such augmentation.
        """
        from handdata.train.loader.torch_view import TorchView  # noqa: PLC0415  # torch takes seconds to import

        return TorchView(self, size=size, augment=augment, seed=seed, normalize=normalize, mirror=mirror)

    def __reduce__(self) -> tuple[type["Dataset"], tuple[ShardList, Rows | None]]:
        return (Dataset, (self.shards, self.rows))

    def _position(self, number: int) -> int:
        number = index(number)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        return number % len(self)

    def _hand(self, number: int) -> Hand:
        shard, row = (int(place[0]) for place in self.locate(np.array([number])))
        return read_hand(
            self.shards.reader(shard), row, dataset=self.shards.datasets[shard], split=self.shards.splits[shard]
        )


def open_dataset(folder: Path | str, split: str | None = None) -> Dataset:
    """Open a converted dataset.

    Args:
        folder: holds the shards and index.json; or a name, for data/shards/NAME under HANDDATA_ROOT or here; or one
            of the shards, for what it holds alone.
        split: "train", "val" or "test"; None opens all.

    Raises:
        MissingError: no folder, or no index.json in it: the conversion did not finish. Or no such split.
        DataError: the index is damaged or of another schema, or does not list the shard.
        ConfigError: no file can have that name.

    Example:
        >>> import handdata as hd
        >>> data = hd.open(EXAMPLE, split="train")
        >>> data[0].keypoints_2d.shape, data[-1].image.shape[2]
        ((21, 2), 3)
    """
    path = shards_named(folder)
    one = path.suffix == ".h5" and path.is_file()
    found = ShardList.of_readers([open_shard(path)]) if one else ShardList.of_index(path, read_index(path))
    splits = sorted(set(found.splits))
    if split is not None and split not in splits:
        where = path if one else path / INDEX
        raise MissingError(where, expected=f"a split named {split}", got=", ".join(splits) or "no samples")
    chosen = [number for number, name in enumerate(found.splits) if split in (None, name)]
    return Dataset(found.select(chosen))


def of_readers(readers: Sequence[ShardReader]) -> Dataset:
    """Return the samples of shards that are open already, as far as their own attributes say what they are."""
    return Dataset(ShardList.of_readers(readers))
