"""A folder of shards as one list of samples; opening costs one index read."""

import json
import pickle

import numpy as np
import pytest
from test_shards import ATTRIBUTES, made_row, write

from handdata.errors import DataError, MissingError
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.reader import INDEX, write_index
from handdata.shards.schema import VERSION


@pytest.fixture
def folder(tmp_path):
    entries = []
    for number, (split, count) in enumerate([("train", 3), ("train", 2), ("val", 4)]):
        name = f"{split}-{number:05d}.h5"
        rows = [made_row(10 * number + k) | {"sequence": k % 2, "camera": 0} for k in range(count)]
        write(tmp_path / name, rows, attributes=ATTRIBUTES | {"split": split})
        entries.append({"file": name, "split": split, "num_samples": count})
    write_index(tmp_path, {"schema": VERSION, "dataset": "made", "shards": entries})
    return tmp_path


@pytest.mark.parametrize(("split", "count"), [(None, 9), ("train", 5), ("val", 4)])
def test_a_split_has_its_samples(folder, split, count):
    assert len(open_dataset(folder, split)) == count


def test_samples_are_found_in_shard_order(folder):
    dataset = open_dataset(folder)

    assert [dataset.locate(i) for i in (0, 2, 3, 4, 5, 8)] == [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0), (2, 3)]
    assert dataset.labels("sample_id").tolist() == [
        f"made/{seed:04d}".encode() for seed in (0, 1, 2, 10, 11, 20, 21, 22, 23)
    ]
    np.testing.assert_array_equal(dataset.image(4), made_row(11)["image"].astype(np.uint8))


@pytest.mark.parametrize("sample", [-1, 9])
def test_there_is_no_other_sample(folder, sample):
    with pytest.raises(IndexError):
        open_dataset(folder).locate(sample)


def test_sequences_and_cameras_by_name(folder):
    dataset = open_dataset(folder, "val")

    assert dataset.strings("sequence") == ["a", "b", "a", "b"]
    assert dataset.strings("camera") == ["main"] * 4


def test_opening_reads_no_shard(folder):
    for path in folder.glob("*.h5"):
        path.unlink()

    assert len(open_dataset(folder)) == 9


def test_a_dataset_pickles_without_its_data(folder):
    dataset = open_dataset(folder, "train")
    dataset.labels("keypoints_3d")

    again = pickle.loads(pickle.dumps(dataset))

    assert isinstance(again, Dataset)
    assert len(pickle.dumps(dataset)) < 2000
    np.testing.assert_array_equal(again.labels("visible"), dataset.labels("visible"))


def test_an_unfinished_conversion_is_told(folder):
    (folder / INDEX).unlink()

    with pytest.raises(MissingError, match="an unfinished conversion: shards but no index"):
        open_dataset(folder)


def test_no_folder_is_told(tmp_path):
    with pytest.raises(MissingError, match="got no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_folder_without_shards_or_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MissingError, match="got a folder without shards"):
        open_dataset(tmp_path)
    with pytest.raises(MissingError, match="got a file"):
        open_dataset(tmp_path / "file")


@pytest.mark.parametrize("damage", ["dataset", "shards", "file"])
def test_an_index_that_lacks_what_its_readers_need_is_told(folder, damage):
    index = json.loads((folder / INDEX).read_text())
    del (index["shards"][0] if damage == "file" else index)[damage]
    (folder / INDEX).write_text(json.dumps(index))

    with pytest.raises(DataError, match=r"index\.json: expected a dataset's name and its shards"):
        open_dataset(folder)


@pytest.mark.parametrize(
    "entry",
    [{"num_samples": 0}, {"num_samples": -3}, {"num_samples": "2"}, {"num_samples": None}, {"file": 3}, {"split": 3}],
    ids=str,
)
def test_an_index_of_values_that_mean_nothing_is_told(folder, entry):
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0] |= entry
    (folder / INDEX).write_text(json.dumps(index))

    with pytest.raises(DataError, match=r"index\.json: expected a dataset's name and its shards"):
        open_dataset(folder)


def test_a_shard_of_another_length_than_the_index_says_is_told(folder):
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["num_samples"] += 1
    (folder / INDEX).write_text(json.dumps(index))
    count = index["shards"][0]["num_samples"]

    with pytest.raises(DataError, match=rf"\.h5: expected {count} samples, as index\.json says, got {count - 1}\."):
        open_dataset(folder).labels("K")


@pytest.mark.parametrize("text", ["{", "[1]", json.dumps({"schema": "handdata/0"})], ids=["cut", "list", "older"])
def test_a_damaged_index_is_told(folder, text):
    (folder / INDEX).write_text(text)

    with pytest.raises(DataError, match=r"index\.json: expected"):
        open_dataset(folder)


def test_a_split_that_is_not_there_is_told(folder):
    with pytest.raises(MissingError, match="expected a split named test, got train, val"):
        open_dataset(folder, "test")
