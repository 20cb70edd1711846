"""Hands sent to the annotator: their ids beside the shards, and a command that opens them."""

import shlex

import numpy as np
import pytest

from handdata.annotate.keypoints.mending import corrections_path, hands_to_mend
from handdata.browse import sending
from handdata.browse.browsing import Browsing
from handdata.errors import ConfigError
from handdata.paths import DataRoot
from handdata.shards.conditions import read_ids
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_shards


@pytest.fixture
def browsing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = DataRoot(tmp_path)
    folders = [made_shards(root.shards(name), name) for name in ("synthhands", "dexter")]
    return Browsing(root, folders)


def test_the_command_opens_the_hands_in_their_order(browsing):
    (sent,) = browsing.send(np.array([7, 3, 5]))

    words = shlex.split(sent.command)
    assert words == ["handdata", "annotate", "data/shards/synthhands", "--ids", "data/shards/synthhands.mend.txt"]
    data = open_dataset(words[2])
    ids = read_ids(sent.file, set(data["id"].tolist()))
    canvases = hands_to_mend(data, ids, corrections_path(data.folder))
    assert list(canvases.img_names) == data["id"][[7, 3, 5]].tolist()


def test_hands_of_two_folders_are_two_commands(browsing):
    sent = browsing.send(np.array([30, 1, 25]))

    assert [(one.hands, one.file.name) for one in sent] == [(1, "synthhands.mend.txt"), (2, "dexter.mend.txt")]
    assert sent[1].file.read_text().splitlines() == browsing.ids(np.array([30, 25]))


@pytest.mark.parametrize(("rows", "got"), [((), "0"), (range(5), "5")])
def test_too_many_are_refused_in_one_line(browsing, monkeypatch, rows, got):
    monkeypatch.setattr(sending, "MOST", 4)
    with pytest.raises(ConfigError, match=f"expected 1 to 4 hands, got {got}"):
        browsing.send(np.array(list(rows), np.int64))
