"""What the page asks for: which hands, in which order. JSON from the network becomes row numbers, or a clear refusal.

A query is `{"where": {column: wanted}, "sort": column, "descending": true}`. Wanted is a list of values for a column of
few values, for `flags` and for `tags` (any of them), `[least, most]` for numbers (null: open), a text for `id`, and row
numbers for `rows`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.browse.columns import FLAG_WORDS, NO_FLAG, Choice, Columns
from handdata.errors import ConfigError
from handdata.files.text import Wanted, as_object, decode, parse_json
from handdata.shards.conditions import order_of

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
TagMask = Callable[[list[str]], Mask]  # names -> (N,) rows that have any of them
MOST_PAGE = 500  # rows of one answer
_FORM = Wanted(what="a query", error=ConfigError)


@dataclass(frozen=True, slots=True)
class Query:
    """Which hands, in which order.

    Attributes:
        where: column -> what is wanted of it.
        sort: column to sort by; "" leaves the order of the shards.
        descending: the largest first.
    """

    where: Mapping[str, Any] = field(default_factory=dict)
    sort: str = ""
    descending: bool = False


def parse_query(text: bytes) -> tuple[Query, int, int]:
    """Read a query.

    Returns:
        the query; the first row wanted; how many.

    Raises:
        ConfigError: it is not a query.
    """
    value = as_object(parse_json(decode(text, "query", _FORM), "query", _FORM), "query", _FORM)
    where, sort = value.get("where", {}), value.get("sort", "")
    if not isinstance(where, dict) or not isinstance(sort, str):
        raise ConfigError("query", expected="where as an object and sort as a name", got=str(value)[:80])
    offset, count = _whole(value, "offset", 2**40), _whole(value, "count", MOST_PAGE)
    return Query(where, sort, value.get("descending") is True), offset, count


def select(columns: Columns, query: Query, tagged: TagMask) -> tuple[Rows, dict[str, list[int]]]:
    """Find the rows that a query asks for.

    Args:
        columns: of all rows.
        query: what is asked.
        tagged: tells which rows have some tags.

    Returns:
        (M,) row numbers in order; and, per column of few values, how many rows have each value under the filters on
        the other columns.

    Raises:
        ConfigError: no such column or value, or a column that is not ready.
    """
    masks = {name: _mask(columns, name, wanted, tagged) for name, wanted in query.where.items() if name != "rows"}
    rows = np.flatnonzero(_both(masks.values(), len(columns)))
    if "rows" in query.where:
        listed = _row_numbers(query.where["rows"], len(columns))
        rows = listed[np.isin(listed, rows)]
    counts = _counts(columns, masks, rows)
    if query.sort:
        rows = rows[order_of(_sortable(columns, query.sort)[rows], descending=query.descending)]
    return rows.astype(np.int64), counts


def _counts(columns: Columns, masks: Mapping[str, Mask], rows: NDArray[np.intp]) -> dict[str, list[int]]:
    found = {}
    for name, choice in columns.choices.items():
        chosen = rows
        if name in masks:
            chosen = np.flatnonzero(_both([mask for key, mask in masks.items() if key != name], len(columns)))
        found[name] = np.bincount(choice.codes[chosen], minlength=len(choice.names)).tolist()
    return found


def _both(masks: Any, count: int) -> Mask:
    kept = np.ones(count, bool)
    for mask in masks:
        kept &= mask
    return kept


def _mask(columns: Columns, name: str, wanted: Any, tagged: TagMask) -> Mask:
    if name == "id" and isinstance(wanted, str):
        return columns.ids_with(wanted)
    if name in columns.numbers:
        return _between(_ready(columns, name), wanted, name)
    words = _words(wanted, name)
    if name == "flags":
        return _flagged(columns, words)
    if name == "tags":
        return tagged(words)
    if name in columns.choices:
        return _one_of(columns.choices[name], words, name)
    raise ConfigError("query[where]", expected="a column", got=name[:80])


def _one_of(choice: Choice, words: list[str], name: str) -> Mask:
    place = {word: code for code, word in enumerate(choice.names)}
    for word in words:
        if word not in place:
            raise ConfigError(f"query[where][{name}]", expected="values of that column", got=word[:80])
    wanted = np.zeros(len(choice.names) or 1, bool)
    wanted[[place[word] for word in words]] = True
    return wanted[choice.codes]


def _flagged(columns: Columns, words: list[str]) -> Mask:
    bits = {text: int(flag) for flag, text in FLAG_WORDS.items()}
    known = np.zeros(len(columns), bool)
    for word in words:
        if word != NO_FLAG and word not in bits:
            raise ConfigError("query[where][flags]", expected="flags", got=word[:80])
        known |= columns.flags == 0 if word == NO_FLAG else (columns.flags & bits[word]) != 0
    return known


def _between(values: NDArray[np.float32], wanted: Any, name: str) -> Mask:
    ends: list[Any] = wanted if isinstance(wanted, list) and len(wanted) == 2 else [""]
    if not all(end is None or (isinstance(end, int | float) and not isinstance(end, bool)) for end in ends):
        raise ConfigError(f"query[where][{name}]", expected="[least, most], numbers or null", got=str(wanted)[:80])
    kept = np.isfinite(values)
    if ends[0] is not None:
        kept &= values >= ends[0]
    if ends[1] is not None:
        kept &= values <= ends[1]
    return kept


def _ready(columns: Columns, name: str) -> NDArray[np.float32]:
    values = columns.numbers[name].values
    if values is None:
        title = columns.numbers[name].title
        raise ConfigError(name, expected="a column that is computed", got=f"{title}, in work", fix="Wait a moment.")
    return values


def _sortable(columns: Columns, name: str) -> NDArray[Any]:
    if name in columns.numbers:
        return _ready(columns, name)
    if name in columns.choices:
        return columns.choices[name].codes
    if name == "id":
        return columns.id_ranks
    raise ConfigError("query[sort]", expected="a column", got=name[:80])


def _words(wanted: Any, name: str) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(word, str) for word in wanted):
        raise ConfigError(f"query[where][{name}]", expected="a list of values", got=str(wanted)[:80])
    return wanted


def _row_numbers(wanted: Any, total: int) -> NDArray[np.int64]:
    fits = isinstance(wanted, list) and all(type(row) is int and 0 <= row < total for row in wanted)
    if not fits:
        raise ConfigError("query[where][rows]", expected=f"row numbers below {total}", got=str(wanted)[:80])
    return np.array(wanted, np.int64)


def _whole(value: dict[str, Any], name: str, most: int) -> int:
    number = value.get(name, 0)
    if type(number) is not int or not 0 <= number <= most:
        raise ConfigError(f"query[{name}]", expected=f"a number from 0 to {most}", got=str(number)[:40])
    return number
