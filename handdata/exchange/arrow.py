"""Rows as a table of Arrow, without `pyarrow.array`.

That imports pandas where it is installed: half a second in every process, as long as exporting a thousand pictures.
The layout of its arrays: https://arrow.apache.org/docs/format/Columnar.html
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray


def table_of(pa: Any, rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Return rows as a `pyarrow.Table`.

    Args:
        pa: the module pyarrow.
        rows: the value of each column by name; null where it is None or absent.
        schema: of structs, lists, strings, binary, booleans, int64 and float64.
    """
    columns = [_array(pa, field.type, [row.get(field.name) for row in rows]) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(pa: Any, kind: Any, values: Sequence[Any]) -> Any:
    buffers: list[Any] = []
    children: list[Any] | None = None
    is_whole = False  # None is looked for only where a quicker look has not said that there is none
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
        is_whole, numbers = _numbers(values, kind.to_pandas_dtype())
        buffers = [numbers]
    elif pa.types.is_list(kind):
        is_whole = all(values)
        there = values if is_whole else [value or () for value in values]
        buffers = [_offsets(there)]
        children = [_array(pa, kind.value_type, list(chain.from_iterable(there)))]
    elif pa.types.is_struct(kind):
        children = [_array(pa, one.type, [(value or {}).get(one.name) for value in values]) for one in kind]
    elif pa.types.is_boolean(kind):
        buffers = [_bits(values)]
    else:
        data = [value.encode() if isinstance(value, str) else value or b"" for value in values]
        buffers = [_offsets(data), b"".join(data)]
    is_whole = is_whole or None not in values
    buffers = [None if is_whole else _bits([value is not None for value in values]), *buffers]
    held = [None if buffer is None else pa.py_buffer(buffer) for buffer in buffers]
    return pa.Array.from_buffers(kind, len(values), held, children=children)


def _numbers(values: Sequence[Any], kind: type[np.number[Any]]) -> tuple[bool, NDArray[Any]]:
    """Return whether none of them can be None, which numpy reads as NaN, and the numbers."""
    try:
        numbers = np.fromiter(values, kind, len(values))
    except TypeError:  # there is no NaN among whole numbers
        return False, np.array([value or 0 for value in values], kind)
    return not np.isnan(numbers).any(), numbers


def _bits(values: Sequence[Any]) -> NDArray[np.uint8]:
    return np.packbits(np.array(values, bool), bitorder="little")


def _offsets(values: Sequence[Any]) -> NDArray[np.int32]:
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    return np.concatenate([np.zeros(1, np.int32), lengths.cumsum(dtype=np.int32)])
