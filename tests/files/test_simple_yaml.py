"""Calibration files are read without making any object; what is no YAML of their kind is one clear line."""

import pytest

from handdata.errors import DataError, MissingError
from handdata.files.simple_yaml import read_keys
from handdata.files.text import Wanted
from tests.converters import real

WANTED = Wanted(what="a calibration")


def test_maps_lists_and_the_tag_of_a_tuple(stored):
    text = b"""# a camera
color:
  fx: 616.640869140625
  ppx: -3.5e2   # px
depth: {fx: 1, 'name': "a: b"}
extrinsics: !!python/tuple
- 0.5
- -1
master: '841412060263'
serials:
  - 'a'
  -
    - 1
    - 2
ids: [1, 5, [], {a: 2}]
wrapped: [1,
  2, 3]
nothing:
yes_no: true
date: 20200709_141754
"""
    keys = ["color", "depth", "extrinsics", "master", "serials", "ids", "wrapped", "nothing", "yes_no", "date"]

    assert read_keys(stored(text), keys, WANTED) == {
        "color": {"fx": 616.640869140625, "ppx": -350.0},
        "depth": {"fx": 1, "name": "a: b"},
        "extrinsics": [0.5, -1],
        "master": "841412060263",
        "serials": ["a", [1, 2]],
        "ids": [1, 5, [], {"a": 2}],
        "wrapped": [1, 2, 3],
        "nothing": None,
        "yes_no": True,
        "date": "20200709_141754",
    }


def test_maps_in_maps_hold_lists_at_their_own_indent(stored):
    text = b"extrinsics:\n  '1': !!python/tuple\n  - 1.0\n  - 2.0\n  '2': !!python/tuple\n  - 3.0\nmaster: '1'\n"

    assert read_keys(stored(text), ["extrinsics"], WANTED) == {"extrinsics": {"1": [1.0, 2.0], "2": [3.0]}}


def test_what_stands_under_other_keys_is_not_looked_at(stored):
    text = b"a: 1\nevil: !!python/object/apply:os.system ['true']\nb: 2\n"

    assert read_keys(stored(text), ["a", "b"], WANTED) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: !!python/object/apply:os.system ['true']\n", "which makes an object"),
        (b"a:\n- !!python/name:os.system\n", "which makes an object"),
        (b"a: &x 1\n", "of a kind that is not read"),
        (b"a: *x\n", "of a kind that is not read"),
        (b"a: |\n  text\n", "after '|'"),
        (b"a: 'text\n", "without its end"),
        (b"a: 1e400\n", "a number beyond every other"),
        (b"a: [1, 2\n", "without its end"),
        (b"a: [1 2: 3]\n", "where ',' is wanted"),
        (b"a: {1}\n", "where ':' is wanted"),
        (b"a: [1] [2]\n", "after the end"),
        (b"- 1\n", "where a key is wanted"),
        (b"a:\n  - 1\n - 2\n", "where a dash is wanted"),
        (b"a: 1\n  b: 2\n", "after '1'"),
        (b"b: 1\n", "no such key"),
        (b"", "no such key"),
        (b"\xff\xfea", "UTF-16"),
        (b"a: " + b"[" * 5000, "more than 64 levels"),
        (b"a:\n" + b"".join(b" " * n + b"-\n" for n in range(1, 200)), "more than 64 levels"),
    ],
)
def test_what_is_none_is_one_clear_line(stored, text, says, refused):
    assert says in refused(DataError, lambda: read_keys(stored(text), ["a"], WANTED))


def test_a_file_that_is_not_there(tmp_path, refused):
    refused(MissingError, lambda: read_keys(tmp_path / "none.yml", ["a"], WANTED))


def test_real_calibration_and_the_description_of_a_sequence():
    """Of a recording in DexYCB's layout: eight poses under a Python tag, lists of lists beside them."""
    folder = real.samples("dexycb_layout")
    poses = read_keys(next(folder.rglob("extrinsics.yml")), ["extrinsics", "master"], WANTED)
    facts = read_keys(next(folder.rglob("meta.yml")), ["serials", "num_frames", "mano_sides", "pcnn_init"], WANTED)

    assert set(facts["serials"]) <= set(poses["extrinsics"])
    assert all(len(pose) == 12 and isinstance(pose[0], float) for pose in poses["extrinsics"].values())
    assert poses["extrinsics"][poses["master"]] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert (facts["num_frames"], facts["mano_sides"], facts["pcnn_init"][0]) == (148, ["right"], [0, 2, 1])
