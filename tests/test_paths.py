"""Where things lie when no path is named."""

from pathlib import Path

import numpy as np
import pytest

import handdata as hd
from handdata.paths import DataRoot, find_root, path_of


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


@pytest.fixture(scope="module")
def one_hand(tmp_path_factory):
    """A dataset of one hand."""
    image, uv = np.zeros((240, 320, 3), np.uint8), np.linspace(50, 150, 42).reshape(21, 2)
    hands = [{"image": image, "side": "left", "keypoints_2d": uv}]
    return hd.write_dataset(tmp_path_factory.mktemp("data") / "mine", hands, name="mine")


NO_NAMES = {"long": "x" * 256, "long in UTF-8": "ä" * 128, "deep": "p/" * 2001, "NUL": "a\0b", "surrogate": "a\ud800b"}
TAKE_NAMES = {
    "open": lambda name, _: hd.open(name),
    "load_model": lambda name, _: hd.load_model(name),
    "verify": lambda name, _: hd.verify(name),
    "evaluate": lambda name, data: hd.evaluate(name, [data]),
    "evaluate on": lambda name, data: hd.evaluate("compact", [name]),
    "datasets": lambda name, _: hd.datasets(name),
    "convert from": lambda name, data: hd.convert("rhd", name, "out"),
    "convert to": lambda name, data: hd.convert("rhd", "native", name),
    "export": lambda name, data: hd.export(name, "out", "coco"),
    "export to": lambda name, data: hd.export(data, name, "coco"),
    "recut": lambda name, data: hd.recut(data, name),
    "write_dataset": lambda name, data: hd.write_dataset(name, []),
    "to_parquet": lambda name, data: data.to_parquet(name),
    "a model": lambda name, data: hd.load_model("compact", device="cpu")(name),
    "draw": lambda name, data: data[0].draw(image=name),
}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
@pytest.mark.parametrize("call", TAKE_NAMES.values(), ids=TAKE_NAMES)
def test_a_name_that_no_file_can_have_is_refused_in_one_line(call, name, one_hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(hd.HanddataError) as refused:
        call(name, one_hand)

    assert str(refused.value).startswith(f"{name[:40]!a}: expected a path of names of at most 255 bytes, got ")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_that_a_file_can_have_is_taken():
    assert path_of("x" * 255) == Path("x" * 255)
