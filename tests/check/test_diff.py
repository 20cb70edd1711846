"""Two conversions are compared by what they hold, not by their files."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from handdata.check.diff import compare
from handdata.cli import group
from handdata.conversion.run import convert
from handdata.errors import ConfigError
from handdata.shards.index import open_shard
from handdata.shards.reader import INDEX, write_index
from tests.check.made_dataset import index_of, make_dataset, read_rows, rewrite, write_shard


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "one", count=30)


@pytest.fixture
def other(one, tmp_path):
    return shutil.copytree(one, tmp_path / "other")


def test_a_copy_is_the_same(one, other):
    diff = compare(one, other)

    assert diff.same
    assert diff.identical == diff.common == 30


def test_cuts_and_order_of_shards_do_not_matter(one, other):
    rows, names = [], ["c", "b", "a"]
    for entry in json.loads((one / INDEX).read_text())["shards"]:
        rows += [(entry["split"], row) for row in read_rows(one / entry["file"], names)]
        (other / entry["file"]).unlink()
    rows.reverse()
    entries = [
        write_shard(other / f"{split}-00000.h5", [row for s, row in rows if s == split], names, split)
        for split in ("train", "val")
    ]
    write_index(other, index_of(entries, {"train": ["a", "b"], "val": ["c"]}))

    assert compare(one, other).same


def test_labels_that_moved_are_told_with_their_distance(one, other):
    def move(rows, split):
        if split == "val":
            rows[3]["keypoints_2d"] = rows[3]["keypoints_2d"] + np.float32(4)
            rows[3]["keypoints_3d"] = np.where(np.arange(21)[:, None] == 4, np.nan, rows[3]["keypoints_3d"])

    rewrite(other, move)

    diff = compare(one, other)

    assert set(diff.fields) == {"keypoints_2d", "keypoints_3d"}
    assert diff.fields["keypoints_2d"].largest == pytest.approx(4, abs=1e-3)
    assert diff.fields["keypoints_2d"].examples == ("c/0023",)
    assert (diff.fields["keypoints_3d"].missing, diff.fields["keypoints_3d"].largest) == (1, 0.0)
    assert (diff.common, diff.identical) == (30, 29)


def test_arrays_that_were_not_asked_for_do_not_count(one, other):
    def move(rows, split):
        if split == "val":
            rows[3]["keypoints_2d"] = rows[3]["keypoints_2d"] + np.float32(4)

    rewrite(other, move)

    def told(*names):
        only = [word for name in names for word in ("--only", name)]
        return CliRunner().invoke(group, ["diff", str(one), str(other), *only])

    assert told("hand_side", "image").exit_code == 0
    assert told("hand_side", "keypoints_2d").output.startswith("keypoints_2d: differs in 1 samples")
    wrong = told("keypoints")
    assert isinstance(wrong.exception, ConfigError)
    assert str(wrong.exception).startswith("--only: expected one of ")


def test_pixels_are_compared_in_levels(one, other):
    def brighten(rows, split):
        if split == "val":
            rows[0]["image"][10, 10] = np.where(rows[0]["image"][10, 10] > 100, rows[0]["image"][10, 10] - 7, 7)

    before = open_shard(one / "val-00000.h5").images[0][10, 10].astype(int)
    rewrite(other, brighten)

    found = compare(one, other).fields["image"]

    expected = max(7 if value > 100 else abs(7 - value) for value in before)
    assert (found.samples, found.largest, found.unit) == (1, expected, "levels")


def test_missing_samples_and_moved_splits_are_told(one, other):
    rewrite(other, lambda rows, split: rows[2:] if split == "val" else None)
    moved = json.loads((other / INDEX).read_text())

    diff = compare(one, other)

    assert (diff.only_in_a, diff.only_in_b, diff.examples_only_in_a) == (2, 0, ("c/0020", "c/0021"))
    assert moved["num_samples"] == 28
    assert not diff.same


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_the_command_ends_with_0_for_the_same(one, other):
    result = run("diff", one, other)

    assert (result.exit_code, result.stdout) == (0, "30 of 30 common samples are identical\n")


def test_the_command_ends_with_1_and_tells_how_much(one, other):
    def move(rows, split):
        for row in rows[:2]:
            row["scale_mm"] = row["scale_mm"] + np.float32(2)

    rewrite(other, move)

    result = run("diff", one, other)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith("scale_mm: differs in 6 samples (largest 2 mm, mean 2)")
    assert result.stdout.splitlines()[-1] == "24 of 30 common samples are identical"


def test_the_command_prints_json(one, other):
    found = json.loads(run("diff", one, other, "--json").stdout)

    assert found["same"]
    assert found["identical"] == 30


def test_canvases_of_two_sizes_are_called_so_and_not_compared(native_tree, tmp_path):
    for canvas in (64, 128):
        convert("ganerated", native_tree("ganerated"), tmp_path / str(canvas), canvas=canvas)
    result = CliRunner().invoke(group, ["diff", str(tmp_path / "64"), str(tmp_path / "128")])
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("image: ")]

    assert re.fullmatch(r"image: differs in \d+ samples \(canvases of 64 and 128 px\), e\.g\. .*", line)
