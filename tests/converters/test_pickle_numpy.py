"""A pickle may hold numpy arrays and nothing that runs."""

import os
import pickle
import resource
import subprocess
import time
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest

from handdata.converters.read import pickle_machine, pickle_numpy
from handdata.errors import DataError, MissingError
from handdata.synth.native.python2_pickle import dumps

TABLE = {
    7: {"xyz": np.arange(126, dtype=np.float32).reshape(42, 3) / 7, "K": np.diag([299.0, 299.0, 1.0])},
    11: {"xyz": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "K": np.arange(4, dtype=">i2")},
}


class Touches:
    """Unpickled as the standard library does, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def same(read, expected) -> bool:
    return all(
        read[key].keys() == expected[key].keys()
        and all(np.array_equal(read[key][k], expected[key][k]) and read[key][k].dtype == expected[key][k].dtype
                for k in expected[key])
        for key in expected
    )  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_this_numpy_are_read_in_every_protocol(stored, protocol):
    read = pickle_numpy.load(stored(pickle.dumps(TABLE, protocol)))

    assert read.keys() == TABLE.keys()
    assert same(read, TABLE)


def test_arrays_of_python_2_and_numpy_1_are_read(stored):
    data = dumps(TABLE)
    assert b"cnumpy.core.multiarray\n_reconstruct" in data
    assert b"_codecs" not in data

    assert same(pickle_numpy.load(stored(data)), TABLE)


def test_the_standard_library_reads_our_python_2_pickles():
    read = pickle.loads(dumps(TABLE).replace(b"numpy.core", b"numpy._core"), encoding="latin1")

    assert all(np.array_equal(read[key][k], TABLE[key][k]) for key in TABLE for k in TABLE[key])


def test_a_numpy_scalar_is_an_array_without_dimension(stored):
    read = pickle_numpy.load(stored(pickle.dumps([np.float64(2.5), np.int32(3)])))

    assert [float(value) for value in read] == [2.5, 3.0]


def test_a_key_that_is_a_numpy_scalar_is_a_plain_number(stored):
    read = pickle_numpy.load(stored(pickle.dumps({np.int64(7): np.arange(3), (1, "a"): 2}, 2)))

    assert list(read) == [7, (1, "a")]
    assert type(next(iter(read))) is int


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_is_refused_and_nothing_in_it_runs(stored, tmp_path, protocol):
    target = tmp_path / "ran"
    data = pickle.dumps({111: {"xyz": Touches(target)}}, protocol)

    with pytest.raises(DataError, match=r"expected a pickle of numpy arrays alone, got posix\.mkdir"):
        pickle_numpy.load(stored(data))
    assert not target.exists()

    pickle.loads(data)  # the same bytes do run where nobody looks
    assert target.is_dir()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"cbuiltins\neval\n(V__import__('os').mkdir('ran')\ntR.", "builtins.eval"),
        (b"cos\nsystem\n(Vtouch ran\ntR.", "os.system"),
        (b"cnumpy\nload\n(Vevil.npy\ntR.", "numpy.load"),
        (b"cnumpy.core.multiarray\nfromfile\n(Vevil\ntR.", "fromfile"),
        (b"cnumpy._core.multiarray\n_reconstruct.__globals__\n.", "_reconstruct.__globals__"),
        (b"Vevil\nQ.", "persistent object"),
        (pickle.dumps(subprocess.Popen), "subprocess.Popen"),
        (pickle.dumps(OrderedDict(a=1)), "collections.OrderedDict"),
        (pickle.dumps(Fraction(1, 2)), "fractions.Fraction"),
        (b"cnumpy\nndarray\n.", "a bare"),
        (b"cnumpy\nndarray\n((K\x02K\x03ttR.", "a call of numpy.ndarray"),
        (b"cnumpy\ndtype\n}V__defaults__\nK\x01sb.", "a name with a state"),
    ],
)
def test_any_name_but_those_of_arrays_is_refused(stored, data, named):
    with pytest.raises(DataError) as caught:
        pickle_numpy.load(stored(data))
    assert named in str(caught.value)
    assert "Nothing in it was run" in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [np.array([Fraction(1, 2), None], object), np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), np.array(["text"])],
    ids=["objects", "records", "text"],
)
def test_arrays_of_anything_but_numbers_are_refused(stored, array):
    with pytest.raises(DataError):
        pickle_numpy.load(stored(pickle.dumps({1: array})))


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_damaged_pickle_is_one_clear_line(stored, cut):
    with pytest.raises(DataError, match="a damaged pickle"):
        pickle_numpy.load(stored(pickle.dumps(TABLE, 2)[:cut]))


def test_an_array_whose_bytes_do_not_fill_its_shape_is_refused(stored):
    data = pickle.dumps(np.zeros((4, 4)), 2).replace(b"K\x04K\x04\x86", b"K\x04K\x05\x86")

    with pytest.raises(DataError, match="a damaged pickle"):
        pickle_numpy.load(stored(data))


def test_a_pickle_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError):
        pickle_numpy.load(tmp_path / "none.pickle")


# ------------------------------------------------------------------------------------------------ limits


def scalar(dtype: bytes, raw: bytes = b"U\x00") -> bytes:
    """A number of NumPy in protocol 2: its dtype as an operation that pushes it, and its bytes likewise."""
    return b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + dtype + b"K\x00K\x01\x87R" + raw + b"\x86R"


def array(shape: bytes, raw: bytes) -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return made + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"


SHARED = b"\x80\x02]q\x00" + b"".join(b"]q%c(h%ch%ce" % (i + 1, i, i) for i in range(60)) + b"."
HOSTILE = {
    "a type that numpy would parse": (b"\x80\x02" + scalar(b"U\x0a(1 2)f4,f4") + b".", "an array of (1 2)f4,f4"),
    "a type of 1 MB": (b"\x80\x02" + scalar(b"X\x40\x42\x0f\x00" + b"f" * 1_000_000) + b".", "an array of ffff"),
    "a number for bytes": (b"\x80\x02" + array(b"K\x01\x85", b"K\x08") + b".", "an array without"),
    "a shape that is none": (b"\x80\x02" + array(b"J\xff\xff\xff\xff\x85", b"U\x00") + b".", "0 numbers for"),
    "a shape of millions": (b"\x80\x02" + array(b"J\xff\xff\xff\x7f\x85", b"U\x00") + b".", "0 numbers for"),
    "a memo of gigabytes": (b"\x80\x02Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.", "KeyError"),
    "a text of gigabytes": (b"\x80\x02X\xff\xff\xff\x7f.", "2147483647 bytes of 1"),
    "a number of many digits": (b"I" + b"9" * 50_000 + b"\n.", "ValueError"),
    "a number of many bytes": (b"\x80\x02\x8b\xe8\x03\x00\x00" + bytes(1000) + b".", "a whole number of 1000 bytes"),
    "lists in each other": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "RecursionError"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", "RecursionError"),
    "a key of tuples": (b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.", "a key that is neither a number nor a text"),
    "a key that takes for ever": (
        b"\x80\x02)q\x000" + b"".join(b"h%ch%c\x86q%c0" % (i, i, i + 1) for i in range(60)) + b"}h\x3cNs.",
        "a key that is neither",
    ),
    "the bytes of one for many": (
        b"\x80\x02U\x08" + b"T" * 8 + b"q\x01(T\x00\x12\x7a\x00" + bytes(8_000_000) + b"q\x02"
        + array(b"J\x40\x42\x0f\x00\x85", b"h\x02") * 30 + b"l.",
        "arrays of more bytes than the file has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_one_short_line_at_once(stored, name):
    data, told = HOSTILE[name]
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(DataError) as caught:
        pickle_numpy.load(stored(data))

    assert told in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.process_time() - begin < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # kB


@pytest.mark.parametrize(
    ("module", "limit", "told"),
    [(pickle_machine, "MOST_STEPS", "more than 1000 steps"), (pickle_numpy, "MOST_PARTS", "more than 1000 lists")],
)
def test_steps_and_parts_are_counted(stored, monkeypatch, module, limit, told):
    monkeypatch.setattr(module, limit, 1000)

    assert pickle_numpy.load(stored(b"(" + b"]" * 900 + b"l.")) == [[]] * 900
    with pytest.raises(DataError, match=told):
        pickle_numpy.load(stored(b"(" + b"]" * 1100 + b"l."))


def test_lists_that_share_others_stay_shared(stored):
    read = pickle_numpy.load(stored(SHARED))

    for _ in range(60):
        assert len(read) == 2
        assert read[0] is read[1]
        read = read[0]
