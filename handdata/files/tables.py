"""Plain tables -> frozen dataclasses, with every unknown key and wrong value told in one line."""

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from handdata.errors import ConfigError, DataError, HanddataError

T = TypeVar("T")


def read_tree(
    kind: type[T],
    table: Mapping[str, Any],
    *,
    where: str,
    path: str = "",
    error: type[HanddataError] = ConfigError,
) -> T:
    """Build a dataclass from a table whose keys are its fields, recursively.

    Args:
        kind: a dataclass.
        table: as read from TOML or JSON.
        where: the file or option that is blamed.
        path: dotted place of `table` in the whole tree.
        error: what is raised.

    Raises:
        HanddataError: a key that is no field (the nearest name is given), a field without default that is not there,
            or a value that is not of the field's kind.
    """
    return cast(T, _Reader(where, error).tree(kind, table, path))


def value_at(table: Mapping[str, Any], path: str, kind: Any, *, where: object, default: Any = None) -> Any:
    """Return the value at a dotted path of a table that nobody has checked, `default` if it is absent or null.

    Args:
        table: as read from JSON.
        path: "model.kind".
        kind: as a dataclass' field is declared: str, float, Mapping[str, Any], tuple[str, ...].
        where: the file that is blamed.
        default: for a place without a value.

    Raises:
        DataError: something else stands there, or on the way there.
    """
    reader, value, way = _Reader(str(where), DataError), table, ""
    for key in path.split("."):
        value = reader.read(Mapping[str, Any], value, way).get(key)
        way = f"{way}.{key}" if way else key
        if value is None:
            return default
    return reader.read(kind, value, path)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over`'s values on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


@dataclass(frozen=True)
class _Reader:
    """Reads values by the kind that a field is declared with.

    Attributes:
        where: the file or option that is blamed.
        error: what is raised.
    """

    where: str
    error: type[HanddataError]

    def tree(self, kind: Any, table: Any, path: str) -> Any:
        if not isinstance(table, Mapping):
            raise self._wrong(path.removesuffix("."), "a table", table)
        hints, known = get_type_hints(kind), fields(kind)
        names = [field.name for field in known]
        values = {}
        for key, value in table.items():
            if key not in names:
                raise self._unknown(str(key), names, path)
            values[key] = self.read(hints[key], value, f"{path}{key}")
        for field in known:
            if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
                raise self.error(f"{self.where}[{path}{field.name}]", expected="a value", got="none")
        return kind(**values)

    def read(self, hint: Any, value: Any, path: str) -> Any:
        if is_dataclass(hint) and isinstance(hint, type):
            return self.tree(hint, value, f"{path}.")
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Literal:
            return self._literal(arguments, value, path)
        if origin in (Union, types.UnionType):
            return self._union(arguments, value, path)
        if origin is tuple:
            return self._tuple(arguments, value, path)
        if origin in (dict, Mapping):
            if not isinstance(value, Mapping):
                raise self._wrong(path, "a table", value)
            return {k: self.read(arguments[1], v, f"{path}.{k}") for k, v in value.items()}
        return self._scalar(hint, value, path)

    def _literal(self, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
        if any(value == known and type(value) is type(known) for known in arguments):
            return value
        near = get_close_matches(str(value), [str(a) for a in arguments], n=1, cutoff=0.0)[0]
        expected = f"one of {', '.join(map(repr, arguments))}"
        raise self._wrong(path, expected, value, f"Did you mean {near}?")

    def _union(self, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
        if value is None and type(None) in arguments:
            return None
        inner = [a for a in arguments if a is not type(None)]
        return self.read(inner[0], value, path)

    def _tuple(self, arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self._wrong(path, "a list", value)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) != len(value):
            raise self._wrong(path, f"a list of {len(arguments)}", value)
        return tuple(self.read(a, v, f"{path}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True)))

    def _scalar(self, hint: Any, value: Any, path: str) -> Any:
        if hint is Any:
            return value
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
            names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
            raise self._wrong(path, names.get(hint, str(hint)), value)
        if hint is float and not math.isfinite(value):
            raise self._wrong(path, "a finite number", value)
        return value

    def _unknown(self, key: str, names: list[str], path: str) -> HanddataError:
        near = get_close_matches(key, names, n=1, cutoff=0.0)
        fix = f"The nearest name is {path}{near[0]}." if near else ""
        return self.error(f"{self.where}[{path}{key}]", expected=f"one of {', '.join(names)}", got=repr(key), fix=fix)

    def _wrong(self, path: str, expected: str, value: Any, fix: str = "") -> HanddataError:
        return self.error(f"{self.where}[{path}]", expected=expected, got=repr(value), fix=fix)
