"""Read a pickle of plain containers and numpy arrays without running anything that stands in it.

A pickle names functions to call while it is read. Here only the few names that numpy gives its arrays are known, in
the spelling of numpy 1 (numpy.core) and 2 (numpy._core), and each stands for one of our own inert classes below; the
arrays are made afterwards from their raw bytes. Any other name is refused before anything is called.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handdata.errors import DataError, MissingError

_KINDS = "biuf"  # bool, integer, unsigned, float: nothing that holds objects
_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip


class _ForbiddenError(Exception):
    """The pickle names something that is no numpy array."""


class _Dtype:
    """Stands for numpy.dtype: a letter and a size, then a byte order."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = str(name), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a structured dtype")

    def resolve(self) -> np.dtype[Any]:
        dtype = np.dtype(self.name)
        if dtype.kind not in _KINDS:
            raise pickle.UnpicklingError(f"an array of {self.name}")
        if self.order not in ("<", ">"):
            return dtype
        return dtype.newbyteorder("<" if self.order == "<" else ">")


class _Array:
    """Stands for an array until everything is read."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = tuple(state)[-4:]  # an older numpy's state has no version in front

    def resolve(self) -> Any:
        shape, dtype, fortran, raw = self.state
        data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        return np.frombuffer(data, dtype.resolve()).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, dtype: _Dtype, shape: Any, order: str) -> _Array:
    array = _Array()
    array.state = (shape, dtype, order == "F", raw)
    return array


def _scalar(dtype: _Dtype, raw: Any) -> _Array:
    array = _Array()
    array.state = ((), dtype, False, raw)
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for _codecs.encode, by which protocol 2 spells bytes on Python 3."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding}")
    return text.encode("latin1")


class _Name:
    """Stands for a name a pickle may hold: it can be called, but neither changed nor kept."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise _ForbiddenError("a name with a state")


def _refuse(*_: Any) -> None:
    raise _ForbiddenError("a call of numpy.ndarray")


_ALLOWED = {
    ("numpy", "ndarray"): _Name(_refuse),  # an argument of _reconstruct
    ("numpy", "dtype"): _Name(_Dtype),
    ("_codecs", "encode"): _Name(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Name(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Name(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Name(_from_buffer) for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenError(f"persistent object {pid!r}")


def load(path: Path) -> Any:
    """Read a pickle of dicts, lists, tuples, numbers, strings and numpy arrays of numbers.

    Python 2 pickles are read as latin1, as their arrays need.

    Returns:
        What was pickled; arrays are read-only, numpy scalars are arrays of no dimension.

    Raises:
        MissingError: no such file.
        DataError: the file is damaged, or names anything but numpy arrays; nothing in it was run.
    """
    try:
        with path.open("rb") as file:
            return _resolve(_Unpickler(file, encoding="latin1").load())
    except FileNotFoundError:
        raise MissingError(path, expected="a pickle", got="no file", fix="Unpack the archive again.") from None
    except _ForbiddenError as error:
        fix = "Do not use this file: it is not the dataset's own. Nothing in it was run."
        raise DataError(path, expected="a pickle of numpy arrays alone", got=str(error), fix=fix) from None
    except _DAMAGED as error:
        got = f"a damaged pickle ({type(error).__name__}: {error})"
        raise DataError(path, expected="a pickle of numpy arrays", got=got, fix="Unpack the archive again.") from None


def _key(key: Any) -> Any:
    """Return a plain key: a numpy number is the number it holds."""
    return key.resolve().item() if isinstance(key, _Array) else _resolve(key)


def _resolve(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.resolve()
    if isinstance(value, dict):
        return {_key(key): _resolve(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolve(item) for item in value)
    if value is not None and not isinstance(value, int | float | str | bytes):
        raise _ForbiddenError(f"a bare {type(value).__name__.strip('_')}")
    return value
