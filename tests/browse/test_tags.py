"""Tags and notes: kept beside the shards, whole after any end of the process, also with two sessions at once."""

import json
import subprocess
import sys

import numpy as np
import pytest

from handdata.browse.browsing import Browsing
from handdata.browse.query import Query
from handdata.browse.tags import TagFile, tags_path
from handdata.errors import ConfigError, DataError, WriteError
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_shards

KILLED = """
import os, sys
from pathlib import Path
from handdata.browse.tags import TagFile, tags_path
from handdata.shards.dataset import open_dataset
data = open_dataset(sys.argv[1])
tags = TagFile(tags_path(data.folder), data)
for number in range(1000):
    tags.tag(f"t{number}", [data[number % len(data)].id], on=True)
    print(number, flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    return made_shards(tmp_path / "data" / "shards" / "synthhands", "synthhands")


@pytest.fixture
def browsing(folder):
    return Browsing(DataRoot(folder.parents[2]), [folder])


def tagged(browsing, *tags):
    return browsing.select(Query({"tags": list(tags)}))[0].tolist()


def test_a_tag_is_on_until_it_is_taken_off(browsing):
    browsing.tag("wrong", np.array([3, 5]), on=True)
    browsing.tag("blurred", np.array([5]), on=True)

    assert tagged(browsing, "wrong") == [3, 5]
    assert browsing.facts(5)["tags"] == ["blurred", "wrong"]
    assert browsing.state()["tags"] == {"blurred": 1, "wrong": 2}
    browsing.tag("wrong", np.array([3, 5]), on=False)
    assert tagged(browsing, "wrong", "blurred") == [5]
    assert browsing.state()["tags"] == {"blurred": 1}


def test_tags_and_notes_lie_beside_the_shards_by_id(browsing, folder):
    browsing.tag("wrong", np.array([3]), on=True)
    browsing.note(4, " thumb is swapped ")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    kept = json.loads((folder.parent / "synthhands.tags.json").read_text())
    assert kept["tags"] == {"wrong": ["S1/0003"]}
    assert kept["notes"] == {"S1/0004": "thumb is swapped"}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = Browsing(DataRoot(folder.parents[2]), [folder])
    assert (tagged(again, "wrong"), again.facts(4)["note"]) == ([3], "thumb is swapped")


def test_two_sessions_lose_nothing_of_each_other(browsing, folder):
    other = Browsing(DataRoot(folder.parents[2]), [folder])
    browsing.tag("wrong", np.array([1]), on=True)
    other.tag("wrong", np.array([2]), on=True)
    browsing.note(7, "here")
    other.tag("odd", np.array([7]), on=True)

    assert tagged(browsing, "wrong") == tagged(other, "wrong") == [1, 2]
    assert browsing.facts(7)["tags"], browsing.facts(7)["note"] == (["odd"], "here")


def test_what_was_acknowledged_is_there_after_a_kill(folder):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 12:
                process.kill()
                break
        said = [12, *map(int, process.stdout.read().split())]
    data = open_dataset(folder)
    counts = TagFile(tags_path(folder), data).counts()

    assert {f"t{number}" for number in range(said[-1] + 1)} <= counts.keys()
    assert len(counts) <= said[-1] + 2  # one more may have been written and not said


def test_a_refused_edit_changes_nothing(browsing, folder):
    browsing.tag("wrong", np.array([1]), on=True)
    path = folder.parent / "synthhands.tags.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(WriteError, match="expected a file to write, got a folder"):
        browsing.tag("wrong", np.array([2]), on=True)
    path.rmdir()

    for tag in ("", "   ", "x" * 41, 3):
        with pytest.raises(ConfigError, match="expected a text of at most 40 letters"):
            browsing.tag(tag, np.array([2]), on=True)
    with pytest.raises(ConfigError, match="note: expected a text of at most 2000 letters"):
        browsing.note(2, "x" * 2001)
    assert browsing.facts(2)["tags"] == []


@pytest.mark.parametrize(
    "text", ["{", '{"schema": "handdata-tags/0"}', '{"schema": "handdata-tags/1", "tags": {"a": 3}, "notes": {}}']
)
def test_a_damaged_file_of_tags_is_told_and_left(folder, text):
    path = tags_path(folder)
    path.write_text(text)

    with pytest.raises(DataError, match=r"synthhands.tags.json.*Move the file away"):
        Browsing(DataRoot(folder.parents[2]), [folder])
    assert path.read_text() == text


def test_a_subset_holds_the_hands_found_in_their_order(browsing, folder):
    browsing.tag("wrong", np.array([9, 3]), on=True)
    out = browsing.save_subset("chosen", browsing.select(Query({"tags": ["wrong"]}, "frame", descending=True))[0])

    assert out == folder.parent / "chosen"
    assert open_dataset(out)["id"].tolist() == ["S2/0009", "S1/0003"]
    with pytest.raises(ConfigError, match="expected a folder without shards"):
        browsing.save_subset("chosen", np.array([1]))
    for name in ("", "../x", "a/b", ".hidden", "-h", None, 5):
        with pytest.raises(ConfigError, match="name: expected letters, digits, dots and dashes"):
            browsing.save_subset(name, np.array([1]))
