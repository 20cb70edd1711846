"""Wherever a shard is damaged, what reads it says so in one line, and `convert` again makes the same bytes.

Damage came from the cases that hung HDF5 or crashed it: sectors that a disk lost, programs that wrote the file again.
"""

import json
import os

import cv2
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.check.verify import verify
from handdata.cli import group
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.errors import DataError
from handdata.shards.dataset import open_dataset
from handdata.shards.reader import INDEX, STATE
from handdata.train.loader.loaders import Loader, open_mixture
from tests.reliability.refusals import refused

SECTOR = 512
NAME = "train-00000.h5"
CANVAS = 32


@pytest.fixture
def mine(tmp_path):
    """Four labelled pictures and their shard."""
    root = tmp_path / "mine"
    (root / "native").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["image,side,wrist_u,wrist_v,index_tip_u,index_tip_v"]
    for i in range(4):
        cv2.imwrite(str(root / f"native/{i}.png"), rng.integers(1, 255, (120, 160, 3)).astype(np.uint8))
        lines.append(f"{i}.png,{'left' if i % 2 else 'right'},{60 + i},50,{90 + i},{70 + i}")
    (root / "native/labels.csv").write_text("\n".join(lines) + "\n")
    converted(root)
    return root


def converted(root, **options):
    asked = CustomOptions(annotations=root / "native/labels.csv")
    return convert("custom", root / "native", root / "out", options=asked, splits=["train"], canvas=CANVAS, **options)


def lost_sectors(path):
    """Yield the file with one sector after the other lost; whole again at the end."""
    whole = path.read_bytes()
    for start in range(0, len(whole), SECTOR):
        end = min(start + SECTOR, len(whole))
        if any(whole[start:end]):
            path.write_bytes(whole[:start] + bytes(end - start) + whole[end:])
            yield start
    path.write_bytes(whole)


def read_batches(folder):
    with Loader(open_mixture([folder], "train"), 4, threads=0) as loader:
        list(loader.epoch(0))


# ------------------------------------------------------------------------------------------------ every sector


def test_verify_finds_every_lost_sector(mine):
    for start in lost_sectors(mine / "out" / NAME):
        found = verify(mine / "out").findings

        assert any(finding.where == NAME for finding in found), start
    assert verify(mine / "out").findings == []


def test_training_and_whoever_reads_hands_name_every_lost_sector(mine):
    for _ in lost_sectors(mine / "out" / NAME):
        for read in (read_batches, lambda folder: list(open_dataset(folder))):
            with pytest.raises(DataError, match=NAME):
                read(mine / "out")


def test_columns_are_whole_or_named(mine):
    whole = open_dataset(mine / "out")
    columns = ("id", "side", "sequence", "keypoints_2d", "visible", "K", "flags", "frame")
    expected = {name: whole[name].tobytes() for name in columns}
    named = 0
    for _ in lost_sectors(mine / "out" / NAME):
        for name in columns:
            try:
                found = open_dataset(mine / "out")[name].tobytes()
            except DataError:
                named += 1
            else:
                assert found == expected[name]
    assert named > 5 * len(columns)  # the header's sectors, and each column's own


@pytest.mark.parametrize("command", ["stats", "export", "verify"])
def test_a_command_that_reads_what_is_lost_is_one_line(mine, tmp_path, command):
    """At the start, in HDF5's own structures, in labels and in pixels; the others are read above."""
    path = mine / "out" / NAME
    places = open_dataset(mine / "out").shards.reader(0).seal.layout.places
    whole = path.read_bytes()
    pixels = places["image"].offset + CANVAS * CANVAS * 3 // 2  # of the first hand
    for start in (0, whole.index(b"canvas_scale"), places["keypoints_2d"].offset, pixels):
        path.write_bytes(whole[:start] + bytes(16) + whole[start + 16 :])
        asked = {
            "stats": ("stats", mine / "out"),
            "export": ("export", mine / "out", "--format", "coco", "--out", tmp_path / "coco"),
            "verify": ("verify", mine / "out"),
        }[command]
        if command == "verify":
            result = CliRunner().invoke(group, [str(part) for part in asked])
            assert result.exit_code == 1
            assert NAME in result.output
        elif command == "export" or start != pixels:  # stats reads no pixels
            assert NAME in refused(*asked)
    path.write_bytes(whole)


def test_converting_again_mends_every_lost_sector_to_the_same_bytes(mine, capsys):
    path = mine / "out" / NAME
    whole, index = path.read_bytes(), (mine / "out" / INDEX).read_bytes()
    for start in lost_sectors(path):
        done = converted(mine)

        assert done.num_kept == 0, start
        assert path.read_bytes() == whole, start
    assert (mine / "out" / INDEX).read_bytes() == index
    assert f"{NAME}: damaged" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ what is kept


def test_what_a_disk_changed_by_itself_is_mended_on_request(mine):
    """The time of the file tells nothing then."""
    path = mine / "out" / NAME
    whole, times = path.read_bytes(), path.stat()
    path.write_bytes(whole[:9000] + bytes([whole[9000] ^ 4]) + whole[9001:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert converted(mine).num_kept == 1
    assert converted(mine, check=True).num_kept == 0
    assert path.read_bytes() == whole
    assert converted(mine, check=True).num_kept == 1


def test_a_copied_folder_is_kept(mine, tmp_path):
    for path in (mine / "out").glob("*.h5"):
        os.utime(path)

    assert converted(mine).num_kept == 1


@pytest.mark.parametrize("state", ["[]", "{", '{"fingerprint": 5}', '{"entry": []}'])
def test_a_state_that_is_none_makes_the_shard_again(mine, state):
    whole = (mine / "out" / NAME).read_bytes()
    (mine / "out" / STATE / f"{NAME}.json").write_text(state)

    assert converted(mine).num_kept == 0
    assert (mine / "out" / NAME).read_bytes() == whole


def test_shards_of_an_older_handdata_are_made_anew_by_the_same_command(mine):
    whole, index_path = (mine / "out" / NAME).read_bytes(), mine / "out" / INDEX
    index = json.loads(index_path.read_text())
    del index["layouts"]
    entry = {
        key: index["shards"][0][key] for key in ("file", "split", "num_samples", "size", "sha256", "content_sha256")
    }
    index_path.write_text(json.dumps(index | {"schema": "handdata/1", "shards": [entry]}))
    state = {"fingerprint": "0" * 64, "entry": entry | {"skipped": {}}}
    (mine / "out" / STATE / f"{NAME}.json").write_text(json.dumps(state))

    assert "expected schema handdata/2, got schema handdata/1. Convert that dataset again" in refused(
        "stats", mine / "out"
    )
    assert converted(mine).num_kept == 0
    assert (mine / "out" / NAME).read_bytes() == whole
    assert len(open_dataset(mine / "out")) == len(open_dataset(mine / "out")["frame"])


# ------------------------------------------------------------------------------------------------ other programs


def repack(path):
    with h5py.File(path) as old, h5py.File(path.with_suffix(".new"), "w") as new:
        for name in old:
            packed = {"compression": "gzip"} if old[name].ndim > 1 else {}
            new.create_dataset(name, data=old[name][...], **packed)
        for key, value in old.attrs.items():
            new.attrs[key] = value
    path.with_suffix(".new").replace(path)


def forget_attribute(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["canvas_scale"]


def spoil_id(path):
    with h5py.File(path, "r+") as file:
        file["sample_id"][1] = b"caf\xe9"


def lengthen(path):
    path.write_bytes(path.read_bytes() + bytes(100))


@pytest.mark.parametrize("change", [repack, forget_attribute, spoil_id, lengthen])
def test_a_shard_that_another_program_wrote_is_named(mine, change):
    change(mine / "out" / NAME)

    found = verify(mine / "out").findings
    assert any(finding.where == NAME for finding in found)
    assert any(finding.where == NAME for finding in verify(mine / "out", quick=True).findings)
    assert NAME in refused("export", mine / "out", "--format", "coco", "--out", mine / "coco")
    with pytest.raises(DataError, match=NAME):
        read_batches(mine / "out")


@pytest.mark.parametrize(
    ("split", "told"),
    [({"sequences": None}, "damaged index"), ({"sequences": [["a"]]}, "damaged index"), (None, "damaged index")],
)
def test_an_index_whose_splits_are_none_is_a_finding(mine, split, told):
    index = json.loads((mine / "out" / INDEX).read_text())
    index["splits"]["train"] = split if split is None else index["splits"]["train"] | split
    (mine / "out" / INDEX).write_text(json.dumps(index))

    (finding,) = verify(mine / "out").findings
    assert finding.what.startswith(told)
