"""Plain tables -> frozen dataclasses, with every unknown key and wrong value told in one line."""

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from handdata.errors import ConfigError

T = TypeVar("T")


def read_tree(kind: type[T], table: Mapping[str, Any], *, where: str, path: str = "") -> T:
    """Build a dataclass from a table whose keys are its fields, recursively.

    Args:
        kind: a dataclass whose fields all have defaults.
        table: as read from TOML or JSON.
        where: the file or option that is blamed.
        path: dotted place of `table` in the whole tree.

    Raises:
        ConfigError: a key that is no field (the nearest name is given), or a value that is not of the field's kind.
    """
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key not in names:
            raise _unknown(key, names, where=where, path=path)
        values[key] = _read(hints[key], value, where=where, path=f"{path}{key}")
    return kind(**values)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over`'s values on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _unknown(key: str, names: list[str], *, where: str, path: str) -> ConfigError:
    near = get_close_matches(key, names, n=1, cutoff=0.0)
    fix = f"The nearest name is {path}{near[0]}." if near else ""
    return ConfigError(f"{where}[{path}{key}]", expected=f"one of {', '.join(names)}", got=repr(key), fix=fix)


def _read(hint: Any, value: Any, *, where: str, path: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise _wrong(where, path, "a table", value)
        return read_tree(hint, value, where=where, path=f"{path}.")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _read_literal(arguments, value, where=where, path=path)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where=where, path=path)
    if origin is tuple:
        return _read_tuple(arguments, value, where=where, path=path)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, path, "a table", value)
        return {k: _read(arguments[1], v, where=where, path=f"{path}.{k}") for k, v in value.items()}
    return _read_scalar(hint, value, where=where, path=path)


def _read_literal(arguments: tuple[Any, ...], value: Any, *, where: str, path: str) -> Any:
    if value in arguments:
        return value
    near = get_close_matches(str(value), [str(a) for a in arguments], n=1, cutoff=0.0)[0]
    raise _wrong(where, path, f"one of {', '.join(map(repr, arguments))}", value, f"Did you mean {near}?")


def _read_union(arguments: tuple[Any, ...], value: Any, *, where: str, path: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    inner = [a for a in arguments if a is not type(None)]
    return _read(inner[0], value, where=where, path=path)


def _read_tuple(arguments: tuple[Any, ...], value: Any, *, where: str, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, path, "a list", value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise _wrong(where, path, f"a list of {len(arguments)}", value)
    return tuple(
        _read(a, v, where=where, path=f"{path}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True))
    )


def _read_scalar(hint: Any, value: Any, *, where: str, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any:
        return value
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise _wrong(where, path, names.get(hint, str(hint)), value)
    if hint is float and not math.isfinite(value):
        raise _wrong(where, path, "a finite number", value)
    return value


def _wrong(where: str, path: str, expected: str, value: Any, fix: str = "") -> ConfigError:
    return ConfigError(f"{where}[{path}]", expected=expected, got=repr(value), fix=fix)
