"""Where things lie when no path is named."""

from pathlib import Path

import pytest

from handdata.paths import DataRoot, find_root


def test_default_folders():
    data = DataRoot(Path("/d"))

    assert data.native("rhd") == Path("/d/data/native/rhd")
    assert data.shards("rhd") == Path("/d/data/shards/rhd")
    assert data.boxes("rhd") == Path("/d/data/boxes/rhd")
    assert data.runs == Path("/d/runs")


@pytest.mark.parametrize(
    ("given", "variable", "root"),
    [(Path("/a"), "/b", "/a"), (None, "/b", "/b"), (None, "", "."), (None, None, ".")],
    ids=["option wins", "variable", "empty variable", "neither"],
)
def test_the_option_goes_before_the_variable_before_the_current_folder(monkeypatch, given, variable, root):
    monkeypatch.delenv("HANDDATA_ROOT", raising=False)
    if variable is not None:
        monkeypatch.setenv("HANDDATA_ROOT", variable)

    assert find_root(given).root == Path(root)


def test_all_shard_folders_in_name_order(tmp_path):
    for name in ("stereo", "dexter"):
        (tmp_path / "data" / "shards" / name).mkdir(parents=True)
    (tmp_path / "data" / "shards" / "note.txt").write_text("")

    assert [path.name for path in DataRoot(tmp_path).all_shards()] == ["dexter", "stereo"]


def test_no_shards_yet(tmp_path):
    assert DataRoot(tmp_path).all_shards() == []
