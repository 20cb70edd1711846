"""Read a pickle of plain containers and numpy arrays without running anything that stands in it.

A pickle names functions to call while it is read. Here only the few names that numpy gives its arrays are known, in
the spelling of numpy 1 (numpy.core) and 2 (numpy._core), and each stands for one of our own inert classes below; the
arrays are made afterwards from their raw bytes. Any other name is refused before anything is called.
"""

import gc
import math
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from handdata.converters.read.pickle_machine import ForbiddenError, Machine, Name
from handdata.errors import DataError
from handdata.files.text import Wanted, read_bytes

_FILE = Wanted(what="a pickle", fix="Unpack the archive again.", largest=400_000_000)
_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")  # bool, integer, unsigned, float: nothing that holds objects
MOST_PARTS = 1_000_000  # lists, tables and arrays: six times those of RHD
_SPARE = 1_000_000  # bytes of arrays beyond those of the file: a few may share theirs
_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    MemoryError, RecursionError, struct.error,
)  # fmt: skip


@lru_cache(maxsize=100)
def _dtype(name: Any, order: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
        raise pickle.UnpicklingError(f"an array of {name}")
    dtype = np.dtype(name)
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype


class _Dtype:
    """Stands for numpy.dtype: a letter and a size, then a byte order."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = name, "|"

    def set_state(self, state: Any) -> None:
        self.order = state[1]
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a structured dtype")

    def resolve(self) -> np.dtype[Any]:
        return _dtype(self.name, self.order)


class _Array:
    """Stands for an array until everything is read."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def set_state(self, state: Any) -> None:
        self.state = tuple(state)[-4:]  # an older numpy's state has no version in front

    def resolve(self) -> Any:
        shape, dtype, fortran, raw = self.state
        if not isinstance(raw, str | bytes) or type(shape) is not tuple or type(dtype) is not _Dtype:
            raise pickle.UnpicklingError("an array without a shape, a type or bytes")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        array = np.frombuffer(data, dtype.resolve())
        if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) != len(array):
            raise pickle.UnpicklingError(f"{len(array)} numbers for the shape {shape}")
        return array.reshape(shape, order="F" if fortran else "C")


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array(shape, dtype, order == "F", raw)


def _scalar(dtype: Any, raw: Any) -> _Array:
    return _from_buffer(raw, dtype, (), "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for _codecs.encode, by which protocol 2 spells bytes on Python 3."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding}")
    return text.encode("latin1")


class _Tensor:
    """Stands for a tensor of PyTorch and for its parts, whatever they hold: none of it is made."""

    def __init__(self, *_: Any) -> None:
        """Keep nothing."""

    def set_state(self, state: Any) -> None:
        """Keep nothing."""


def _refuse(*_: Any) -> None:
    raise ForbiddenError("a call of numpy.ndarray")


_ALLOWED = {
    ("numpy", "ndarray"): Name(_refuse),  # an argument of _reconstruct
    ("numpy", "dtype"): Name(_Dtype),
    ("_codecs", "encode"): Name(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Name(lambda *_: _Array()) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Name(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Name(_from_buffer) for core in ("core", "_core")},
}

TENSOR = "a tensor of PyTorch"
TENSORS = {
    ("torch._utils", "_rebuild_tensor_v2"): Name(_Tensor),
    ("torch.storage", "_load_from_bytes"): Name(_Tensor),
    ("collections", "OrderedDict"): Name(_Tensor),  # of the tensor's hooks, which are none
}


def load(path: Path, *, beside: Mapping[tuple[str, str], Name] = MappingProxyType({})) -> Any:
    """Read a pickle of dicts, lists, tuples, numbers, strings and numpy arrays of numbers.

    Python 2 pickles are read as latin1, as their arrays need. What a pickle holds twice is one object.

    Args:
        path: of the file.
        beside: what else it may name: TENSORS, each of which is read as the text TENSOR.

    Returns:
        What was pickled; arrays are read-only, numpy scalars are arrays of no dimension.

    Raises:
        MissingError: no such file.
        DataError: the file is damaged, or names anything but numpy arrays; nothing in it was run.
    """
    data = read_bytes(path, _FILE)
    try:
        with _no_collection():
            return _Resolver(len(data) + _SPARE).resolve(Machine(data, {**_ALLOWED, **beside}, _plain_key).run())
    except ForbiddenError as error:
        fix = "Do not use this file: it is not the dataset's own. Nothing in it was run."
        raise DataError(path, expected="a pickle of numpy arrays alone", got=str(error), fix=fix) from None
    except _DAMAGED as error:
        got = f"a damaged pickle ({type(error).__name__}: {error})"
        raise DataError(path, expected="a pickle of numpy arrays", got=got, fix="Unpack the archive again.") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: it would look through a million new containers again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _plain_key(key: Any) -> Any:
    """Return a plain key: a numpy number is the number it holds."""
    return key.resolve().item() if isinstance(key, _Array) else key


class _Resolver:
    """Turns what was read into plain values, each once however often it is held."""

    def __init__(self, room: int) -> None:
        self._room = room  # bytes of arrays
        self._count = 0
        self._done: dict[int, Any] = {}

    def resolve(self, value: Any) -> Any:
        if value is None or isinstance(value, int | float | str | bytes):
            return value
        if id(value) not in self._done:
            self._count += 1
            if self._count > MOST_PARTS:
                raise pickle.UnpicklingError(f"more than {MOST_PARTS} lists, tables and arrays")
            self._done[id(value)] = self._made(value)
        return self._done[id(value)]

    def _made(self, value: Any) -> Any:
        if isinstance(value, _Array):
            array = value.resolve()
            self._room -= array.nbytes
            if self._room < 0:
                raise pickle.UnpicklingError("arrays of more bytes than the file has")
            return array
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([self.resolve(item) for item in value])
        if isinstance(value, _Tensor):
            return TENSOR
        raise ForbiddenError(f"a bare {type(value).__name__.strip('_')}")
