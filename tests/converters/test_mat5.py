"""A MATLAB file gives its arrays or one clear line, whatever its bytes are."""

import struct
import time
import zlib
from io import BytesIO

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from handdata.converters.read import mat5
from handdata.errors import DataError, MissingError

POINTS = np.arange(3 * 21 * 4).reshape(3, 21, 4) - 100


def packed(variables, **how) -> bytes:
    stream = BytesIO()
    savemat(stream, variables, **how)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("deflated", [False, True])
def test_arrays_read_as_they_are_stored(stored, dtype, deflated):
    expected = POINTS.astype(dtype)

    read = mat5.load(stored(packed({"handPara": expected, "fps": 25.0}, do_compression=deflated)))

    assert set(read) == {"handPara", "fps"}
    np.testing.assert_array_equal(read["handPara"], expected)
    assert read["fps"] == [[25]]


def test_a_big_endian_file_reads_too(stored):
    """By the published layout, by hand: a 2 x 1 array of doubles called x."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    flags = bytes.fromhex("00000006 00000008 00000006 00000000")
    shape = bytes.fromhex("00000005 00000008 00000002 00000001")
    name = bytes.fromhex("00010001") + b"x\0\0\0"  # small element: one byte of type 1
    numbers = bytes.fromhex("00000009 00000010") + np.array([1.5, -2.0], ">f8").tobytes()
    content = flags + shape + name + numbers

    read = mat5.load(stored(header + bytes.fromhex("0000000e") + len(content).to_bytes(4, "big") + content))

    np.testing.assert_array_equal(read["x"], [[1.5], [-2.0]])


def test_what_holds_no_numbers_is_named_and_left(stored):
    read = mat5.load(stored(packed({"text": "hand", "cells": np.array([[1, "a"]], object), "parts": {"a": 1.0}})))

    assert read == {"text": None, "cells": None, "parts": None}


@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(stored, deflated):
    """scipy's reader ends the process on some of these."""
    whole = packed({"handPara": POINTS.astype(float)}, do_compression=deflated)
    rng = np.random.default_rng(0)
    cuts = [whole[:size] for size in range(0, len(whole), 7)]
    flips = []
    for places in rng.integers(0, 300, (600, 2)):
        damaged = bytearray(whole)
        for place in places:
            damaged[place] = rng.integers(256)
        flips.append(bytes(damaged))

    outcomes = []
    for data in cuts + flips:
        try:
            outcomes.append("handPara" in mat5.load(stored(data)))
        except DataError:
            outcomes.append(False)

    assert not any(outcomes[: len(cuts)])
    assert len(outcomes) == len(cuts) + len(flips)


def test_version_7_3_and_no_file_are_told(stored, tmp_path, refused):
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["handPara"] = POINTS
    data = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + (tmp_path / "new.mat").read_bytes()[128:]

    assert "got version 7.3, which is HDF5" in refused(DataError, lambda: mat5.load(stored(data)))
    assert "no such file" in refused(MissingError, lambda: mat5.load(tmp_path / "none.mat"))


def deflated(data: bytes) -> bytes:
    packed = zlib.compress(data, 9)
    return struct.pack("<II", 15, len(packed)) + packed


HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (deflated(bytes(80_000_000)), "more than 64 MB inflated"),
        (deflated(bytes(40_000_000)) * 2, "more than 10000 parts"),
        (deflated(struct.pack("<II", 1, 40_000_000) + bytes(40_000_000)) * 2, "more than 64 MB inflated"),
        (bytes(1_000_000), "more than 10000 parts"),
        (deflated(bytes(100))[:-3], "cut short"),
    ],
)
def test_a_file_that_grows_beyond_all_bounds_is_refused_at_once(stored, content, told):
    begin = time.process_time()

    with pytest.raises(DataError, match=told):
        mat5.load(stored(HEADER + content))
    assert time.process_time() - begin < 10


def test_what_is_deflated_twice_is_not_looked_into(stored):
    assert mat5.load(stored(HEADER + deflated(deflated(deflated(bytes(60_000_000)))))) == {}
