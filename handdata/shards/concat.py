"""Several datasets as one."""

from collections.abc import Iterable, Mapping

import numpy as np

from handdata.errors import DataError
from handdata.shards.dataset import Dataset
from handdata.shards.shard_list import ShardList

_OTHERS = (
    "They are other hands: `import` label files of pictures that are called alike in one command, which tells them"
    " apart by their folders; `train --shards` takes several datasets as they are."
)


def concat(*datasets: Dataset | Iterable[Dataset]) -> Dataset:
    """Join datasets, one behind the other; `a + b` does the same.

    Args:
        datasets: the datasets, or one list of them.

    Raises:
        TypeError: something else, such as a name, which is not opened by itself.
        ValueError: none is given.

    Example:
        >>> import handdata as hd
        >>> data = hd.open(EXAMPLE)
        >>> len(hd.concat(data, data[:2])), len(hd.concat([data, data[:2]])) - len(data)
        (34, 2)
    """
    parts = [part for given in datasets for part in ([given] if isinstance(given, Dataset) else _listed(given))]
    if not parts:
        raise ValueError("no datasets to join")
    starts = np.cumsum([0, *(data.shards.total for data in parts)])
    rows = [
        start + (np.arange(len(data)) if data.rows is None else data.rows)
        for start, data in zip(starts[:-1], parts, strict=True)
    ]
    return Dataset(ShardList.join([data.shards for data in parts]), np.concatenate(rows))


def _listed(given: object) -> list[Dataset]:
    """Return the datasets that somebody gave as a list, a tuple, or what a loop yields; errors as of `concat`."""
    parts = list(given) if isinstance(given, Iterable) and not isinstance(given, str | Mapping) else [given]
    datasets = [part for part in parts if isinstance(part, Dataset)]
    if len(datasets) < len(parts):
        other = next(part for part in parts if not isinstance(part, Dataset))
        raise TypeError(f"concat takes datasets: concat(hd.open('a'), hd.open('b')), got {str(other)[:60]!r}")
    return datasets


def refuse_twice(data: Dataset, where: object) -> None:
    """Refuse hands of one id, which what is written into a folder tells its hands apart by.

    Raises:
        DataError: so it is; `where` is blamed.
    """
    ids, counts = np.unique(data["id"], return_counts=True)
    if (counts > 1).any():
        twice = ids[counts > 1][0]
        same = len(set(data[data["id"] == twice]["row_hash"].tolist())) == 1
        fix = "Leave out one of the two datasets." if same else _OTHERS
        raise DataError(where, expected="each id once", got=f"{twice} twice", fix=fix)
