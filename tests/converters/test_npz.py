"""Arrays of an .npz file are read by name; nothing in it is run, and no header makes us take memory."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

from handdata.converters.read import npz
from handdata.converters.read.npz import read_arrays
from handdata.errors import DataError, MissingError


def packed(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def archive(data, name="a.npy"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
    return stream.getvalue()


def header(shape, descr="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_arrays_come_as_they_were_stored(stored):
    a, b = np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.asfortranarray(np.arange(6, dtype=np.int8).reshape(2, 3))

    found = read_arrays(stored(packed(a=a, b=b, c=np.array(["text"]))), ("b", "a"))

    assert [array.dtype for array in found] == [np.int8, np.float32]
    assert np.array_equal(found[0], b)
    assert np.array_equal(found[1], a)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        packed(a=np.arange(9))[:-30],
        packed(b=np.arange(9)),
        archive(b"no array"),
        archive(header((10**12,)) + b"\0" * 8),
        archive(header((-1,)) + b"\0" * 8),
        archive(header((4,)) + b"\0" * 8),
        archive(header((1,), "|O") + b"\0" * 8),
        packed(a=np.array([{"a": 1}], dtype=object)),
        packed(a=np.array(["text"])),
        packed(a=np.arange(9))[:-6] + (1000).to_bytes(4, "little") + b"\0\0",
    ],
    ids=[
        "empty",
        "cut",
        "cut-end",
        "other-name",
        "no-array",
        "huge",
        "negative",
        "short",
        "object",
        "pickled",
        "text",
        "before",
    ],
)
def test_what_is_none_is_one_clear_line(stored, data, refused):
    refused(DataError, lambda: read_arrays(stored(data), ("a",)))


def test_what_unpacks_to_more_than_a_label_is_refused(stored, monkeypatch, refused):
    monkeypatch.setattr(npz, "LARGEST", 1000)

    assert "at most 0.001 MB" in refused(DataError, lambda: read_arrays(stored(packed(a=np.zeros(1000))), ("a",)))


def test_what_says_to_be_packed_into_more_than_a_label_takes_no_memory(stored, refused):
    """Python takes room for as much as the table of contents says: 2.9 GB of a file of 6 kB, found by the fuzzer."""
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(1000))
    data = bytearray(file.getvalue())
    at = data.index(b"PK\x01\x02") + 20  # of the first member, its packed size: APPNOTE 4.3.12
    data[at : at + 4] = struct.pack("<I", 2_897_360_640)

    assert "at most 64 MB, got 2897 MB" in refused(DataError, lambda: read_arrays(stored(bytes(data)), ("a",)))


def test_a_file_that_is_not_there(tmp_path, refused):
    refused(MissingError, lambda: read_arrays(tmp_path / "none.npz", ("a",)))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"expected a file that can be read, got no plain file\. Unpack it"):
        read_arrays(tmp_path / "a.npz", ["a"])
