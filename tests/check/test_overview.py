"""The overview: the thesis' Table 2.1 from the manifests, and what is converted."""

import json

import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.cli.options import DATASETS
from tests.check.made_dataset import make_dataset


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def entries(tmp_path):
    make_dataset(tmp_path / "data" / "shards" / "stereo", count=30)
    make_dataset(tmp_path / "data" / "shards" / "mine", count=30)
    (tmp_path / "data" / "shards" / "rhd" / ".state").mkdir(parents=True)
    (tmp_path / "data" / "native" / "dexter").mkdir(parents=True)
    return {entry["name"]: entry for entry in json.loads(run("--data-root", tmp_path, "datasets", "--json").stdout)}


@pytest.mark.parametrize(
    ("name", "kind", "frames", "keypoints", "view"),
    [  # published/thesis_tables.csv, Table 2.1; frames as the archives hold them (formats/)
        ("egodexter", "real", 3190, "5 fingertips", "egocentric"),
        ("dexter", "real", 3145, "5 fingertips and 3 points of the object", "third person"),
        ("dexter1", "real", 3161, "5 fingertips and the palm centre", "third person"),
        ("stereo", "real", 18000, "20 (no wrist) and the palm centre", "third person"),
        ("synthhands", "synthetic", 185634, "21", "egocentric"),
        ("rhd", "synthetic", 43986, "21 of each hand", "third person"),
        ("ganerated", "synthetic", 331499, "21", "egocentric"),
    ],
)
def test_the_columns_of_table_2_1(entries, name, kind, frames, keypoints, view):
    entry = entries[name]

    assert (entry["kind"], entry["frames"], entry["keypoints"], entry["view"]) == (kind, frames, keypoints, view)
    assert entry["comment"]
    assert entry["cameras"]


def test_what_is_converted(entries):
    assert entries["stereo"]["converted"] == {"train": 20, "val": 10}
    assert entries["stereo"]["state"] == "converted"
    assert entries["rhd"]["state"] == "unfinished"
    assert entries["ganerated"]["state"] == ""
    assert entries["dexter"]["native"]
    assert not entries["stereo"]["native"]


def test_the_users_own_datasets_are_listed_too(entries):
    assert entries["mine"]["converted"] == {"train": 20, "val": 10}
    assert entries["mine"]["comment"] == "the user's own"


def test_the_table_names_every_dataset(tmp_path):
    result = run("datasets", "--data-root", tmp_path)

    assert result.exit_code == 0
    assert all(name in result.stdout for name in DATASETS)


@pytest.mark.usefixtures("not_as_root")
@pytest.mark.parametrize("mode", [0, 0o444])
def test_shards_that_may_not_be_read_do_not_hide_the_others(entries, tmp_path, mode):
    shards = tmp_path / "data" / "shards"
    (shards / "dexter").touch()
    (shards / "mine").chmod(mode)
    result = run("datasets", "--json", "--data-root", tmp_path)
    (shards / "mine").chmod(0o755)
    found = {entry["name"]: entry["state"] for entry in json.loads(result.stdout)}

    assert found["stereo"] == entries["stereo"]["state"] == "converted"
    assert found["mine"] == "not read: Permission denied"
    assert found["dexter"] == "not read: a file, not a folder"
    assert result.stderr == f"{shards}: 2 datasets not read: dexter, mine\n"
