"""Which hands `Dataset[...]` and `Dataset.where` keep, and in which order `Dataset.sort` puts them."""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, DataError
from handdata.files.text import Wanted, read_text
from handdata.shards.schema import UNKNOWN
from handdata.skeleton import SIDE_NAMES

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset

FEW = 5  # names that are all listed
_COMPARED: Mapping[str, Callable[[Any, float], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(\S.*?)\s*")
_HOW = "Write one such as scale_mm<70, has_object=unknown or sequence=A,B."


def numbers_of(key: Any, total: int) -> NDArray[np.int64]:
    """Return the numbers of the hands that a slice, a mask or numbers choose, (M,); errors as of `Dataset`."""
    if isinstance(key, slice):
        return np.arange(total)[key]
    chosen = np.asarray(key)
    if chosen.ndim == 1 and chosen.dtype == np.bool_:
        if len(chosen) != total:
            raise ValueError(f"a mask of {total} values is needed, got {len(chosen)}")
        return np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        one = "a number, the name of one column, a slice, a mask or a list of whole numbers"
        raise TypeError(f"hands are chosen by {one}, got {str(key)[:60]}")
    return chosen.astype(np.int64)


def mask_of(data: "Dataset", name: str, value: Any) -> NDArray[np.bool_]:
    """Return which hands have a column as wanted, (N,); errors as of `Dataset.where`."""
    column = data.column(name)
    if callable(value):
        mask = np.asarray(value(column))
        if mask.shape != (len(data),) or mask.dtype != np.bool_:
            raise ValueError(f"{name}: the function must return a mask of {len(data)} values, got {mask.shape}")
        return mask
    if column.ndim > 1:
        raise ValueError(f"{name} is an array per hand: give a function of it that returns a mask")
    several = isinstance(value, Collection) and not isinstance(value, str | bytes)
    values = [UNKNOWN if item is None else item for item in (value if several else [value])]
    if column.dtype.kind == "U" and name != "id":
        _check_names(data, name, value if several else [value])
    elif any(isinstance(item, str) for item in values) and column.dtype.kind not in "US":
        hint = "; `side` holds words" if name == "hand_side" else ""
        raise ValueError(f"{name} holds numbers{hint}, got {value!r}")
    if any(np.iscomplexobj(item) for item in values):  # no hand has one
        raise ValueError(f"{name} holds no complex numbers, got {value!r}")
    if column.dtype.kind == "S":
        values = [item.encode() if isinstance(item, str) else item for item in values]
    return np.isin(column, np.array(values) if values else np.zeros(0, column.dtype))


def read_condition(data: "Dataset", text: str) -> NDArray[np.bool_]:
    """Return which hands meet a condition as one types it, (N,): a column, =, !=, <, <=, > or >=, and a value.

    = and != take several values between commas. "unknown" is the missing value: -1, or NaN, and a side of that name.

    Raises:
        ConfigError: no such condition, column or name, or a column of arrays.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConfigError("--where", expected="a column, =, !=, <, <=, > or >=, and a value", got=repr(text), fix=_HOW)
    name, sign, said = found.groups()
    column = data.column(name)
    if column.ndim > 1:
        fix = f"In Python, where({name}=FUNCTION) takes a function of it."
        raise ConfigError("--where", expected="a column of one value per hand", got=f"{name}, an array", fix=fix)
    is_text = column.dtype.kind in "US"
    if sign in _COMPARED:
        if is_text:
            raise ConfigError("--where", expected=f"= or != for {name}, which holds words", got=repr(text), fix=_HOW)
        mask: NDArray[np.bool_] = _COMPARED[sign](column, _number(said, text))
        return mask
    values = said.split(",")
    if is_text:
        mask = mask_of(data, name, values)
    else:
        mask = np.zeros(len(data), bool)
        for value in values:
            mask |= _is_unknown(column, text) if value == "unknown" else column == _number(value, text)
    return np.logical_not(mask) if sign == "!=" else mask


def _number(said: str, text: str) -> float:
    try:
        return float(said)
    except ValueError:
        raise ConfigError("--where", expected=f"a number in {text!r}", got=repr(said), fix=_HOW) from None


def _is_unknown(column: NDArray[Any], text: str) -> NDArray[np.bool_]:
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column), bool)
    if column.dtype.kind != "i":
        raise ConfigError("--where", expected="a number: that column has no unknown values", got=repr(text), fix=_HOW)
    return np.asarray(column == UNKNOWN, bool)


def _check_names(data: "Dataset", name: str, values: Collection[Any]) -> None:
    """Refuse a name that occurs nowhere in the shards: it would choose nothing, in silence."""
    fixed = {"side": SIDE_NAMES, "split": data.shards.splits, "dataset": data.shards.datasets}
    known = set(fixed[name] if name in fixed else data.codes(name)[1])
    for value in values:
        if value not in known:
            near = [] if value is None else get_close_matches(str(value), sorted(known), n=1, cutoff=0.0)
            fix = f"The nearest is {near[0]!r}." if near else ""
            if known <= {""}:
                raise ConfigError(f"{name} of {data.name}", expected="no choice: none has a name", got=repr(value))
            listed = f" ({', '.join(sorted(known))})" if len(known) <= FEW else ""
            expected = f"a value in the dataset{listed}"
            raise ConfigError(f"{name} of {data.name}", expected=expected, got=repr(value), fix=fix)


def order_of(values: NDArray[Any], *, descending: bool) -> NDArray[np.intp]:
    """Return the order of some values, (N,); equal ones stay in order, NaN comes last."""
    if not descending:
        return np.argsort(values, kind="stable")
    order = len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]
    if values.dtype.kind != "f":
        return order
    missing = np.isnan(values[order])
    return np.concatenate([order[~missing], order[missing]])


def read_ids(path: Path, known: frozenset[str] | set[str]) -> list[str]:
    """Read a file of sample ids, one per line.

    Raises:
        MissingError, DataError: no such file, or an id that is not in the dataset.
    """
    ids = [line.strip() for line in read_text(path, Wanted(what="sample ids")).split("\n")]
    for number, name in enumerate(ids, start=1):
        if name and name not in known:
            raise DataError(f"{path}:{number}", expected="an id of that dataset", got=name[:120])
    return [name for name in ids if name]
