"""Pickle numpy arrays as Python 2 did, which is how RHD's labels are: read today they need encoding="latin1"."""

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

_PROTOCOL = 2
_NUMPY_1, _NUMPY_2 = b"cnumpy.core.", b"cnumpy._core."  # how the two name the module of their arrays


class _Python2Pickler(pickle._Pickler):
    """Writes bytes and text as the `str` of Python 2; the standard pickler spells bytes as a call of _codecs.encode."""

    write: Callable[[bytes], Any]
    memoize: Callable[[Any], None]
    dispatch: ClassVar[dict[type, Callable[..., None]]] = dict(pickle._Pickler.dispatch)

    def _save_bytes(self, value: bytes) -> None:
        self._save_string(value, value)

    def _save_text(self, value: str) -> None:
        self._save_string(value.encode("ascii"), value)

    def _save_string(self, data: bytes, value: object) -> None:
        short = len(data) < 256
        size = struct.pack("<B" if short else "<i", len(data))
        self.write((pickle.SHORT_BINSTRING if short else pickle.BINSTRING) + size + data)
        self.memoize(value)

    dispatch[bytes] = _save_bytes
    dispatch[str] = _save_text


def dumps(value: Any) -> bytes:
    """Return protocol 2 with strings and array bytes as Python 2 strings, and numpy under its old name."""
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=_PROTOCOL).dump(value)
    return stream.getvalue().replace(_NUMPY_2, _NUMPY_1)
