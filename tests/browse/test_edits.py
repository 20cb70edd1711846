"""The server of the page over shards, asked as another program asks it: what it does not understand changes nothing."""

import http.client
import json

import numpy as np
import pytest

from handdata.browse.browsing import Browsing
from handdata.browse.server import make_server
from handdata.errors import ConfigError
from handdata.paths import DataRoot
from tests.made_runs import made_shards
from tests.served import served


@pytest.fixture
def browsing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = DataRoot(tmp_path)
    opened = Browsing(root, [made_shards(root.shards("synthhands"), "synthhands")])
    yield opened
    opened.close()


@pytest.fixture
def post(browsing):
    with served(make_server(browsing, "a-token")) as port:

        def call(name, edit):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", f"/api/{name}", json.dumps(edit), {"x-handdata-token": "a-token"})
            answer = connection.getresponse()
            told = answer.status, json.loads(answer.read())
            connection.close()
            return told

        yield call


@pytest.mark.parametrize(
    "which", [{}, {"row": [3]}, {"query": {}}, {"query": {"were": {"hand": ["left"]}}}, {"query": None}]
)
@pytest.mark.parametrize(("name", "what"), [("tag", {"tag": "odd"}), ("mend", {}), ("subset", {"name": "chosen"})])
def test_an_edit_that_does_not_say_which_hands_is_refused(browsing, post, tmp_path, name, what, which):
    status, answer = post(name, {**what, **which})

    assert status == 400
    assert answer["error"].startswith("edit: expected the hands that are meant: rows, or a query with where")
    assert browsing.state()["tags"] == {}
    assert [path.name for path in (tmp_path / "data" / "shards").iterdir()] == ["synthhands"]


def test_all_hands_are_meant_where_the_query_says_so(browsing, post):
    status, answer = post("tag", {"tag": "odd", "query": {"where": {}}})

    assert (status, answer["changed"]) == (200, len(browsing.data))


def test_a_subset_of_two_datasets_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = DataRoot(tmp_path)
    browsing = Browsing(root, [made_shards(root.shards(name), name) for name in ("synthhands", "dexter")])

    with pytest.raises(ConfigError, match=r"got dexter and synthhands\. Filter by dataset, and save each under a name"):
        browsing.save_subset("mixed", np.arange(len(browsing.data)))
    browsing.close()


def test_a_note_without_its_text_leaves_the_note(browsing, post):
    post("note", {"number": 3, "text": "blurred"})
    status, answer = post("note", {"number": 3})

    assert (status, answer["error"]) == (400, "note: expected a text of at most 2000 letters, got None.")
    assert browsing.facts(3)["note"] == "blurred"
