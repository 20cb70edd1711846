"""A folder of shards as one list of samples; opening costs one index read."""

import json
import pickle
import shutil

import numpy as np
import pytest

import handdata as hd
from handdata.errors import ConfigError, DataError, MissingError
from handdata.shards.concat import concat
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.reader import INDEX, write_index
from handdata.shards.schema import VERSION
from tests.shards.test_shards import ATTRIBUTES, ENTRIES, made_row, write


@pytest.fixture
def folder(tmp_path):
    entries = []
    for number, (split, count) in enumerate([("train", 3), ("train", 2), ("val", 4)]):
        name = f"{split}-{number:05d}.h5"
        plain = {"camera": 0, "bbox_source": 0, "flags": 0}
        rows = [
            made_row(10 * number + k)
            | plain
            | {"sequence": k % 2, "hand_side": k % 2, "has_object": k % 3 - 1, "scale_mm": 80 + k}
            for k in range(count)
        ]
        path = write(tmp_path / name, rows, attributes=ATTRIBUTES | {"split": split})
        entries.append(ENTRIES[path])
    write_index(tmp_path, {"schema": VERSION, "dataset": "made", "shards": entries})
    return tmp_path


@pytest.mark.parametrize(("split", "count"), [(None, 9), ("train", 5), ("val", 4)])
def test_a_split_has_its_samples(folder, split, count):
    assert len(open_dataset(folder, split)) == count


def test_samples_are_found_in_shard_order(folder):
    dataset = open_dataset(folder)

    assert np.stack(dataset.locate(np.array([0, 2, 3, 4, 5, 8])), 1).tolist() == [
        [0, 0],
        [0, 2],
        [1, 0],
        [1, 1],
        [2, 0],
        [2, 3],
    ]
    assert dataset["sample_id"].tolist() == [f"made/{seed:04d}".encode() for seed in (0, 1, 2, 10, 11, 20, 21, 22, 23)]
    np.testing.assert_array_equal(dataset.image(4), made_row(11)["image"].astype(np.uint8))


def test_datasets_are_joined_however_it_is_written(folder):
    a, b = open_dataset(folder, "train"), open_dataset(folder, "val")[::-1]
    wanted = [*a["id"], *b["id"]]

    for joined in (a + b, concat(a, b), concat([a, b]), concat((a, b)), concat(part for part in (a, b))):
        assert joined["id"].tolist() == wanted
    with pytest.raises(TypeError, match="unsupported operand"):
        a + "somewhere"
    with pytest.raises(ValueError, match="no datasets"):
        concat()


@pytest.mark.parametrize("sample", [-10, 9])
def test_there_is_no_other_sample(folder, sample):
    with pytest.raises(IndexError):
        open_dataset(folder)[sample]


def test_sequences_and_cameras_by_name(folder):
    dataset = open_dataset(folder, "val")

    assert dataset["sequence"].tolist() == ["a", "b", "a", "b"]
    assert dataset["camera"].tolist() == ["main"] * 4


def test_opening_reads_no_shard(folder):
    for path in folder.glob("*.h5"):
        path.unlink()

    assert len(open_dataset(folder)) == 9


def test_a_dataset_pickles_without_its_data(folder):
    dataset = open_dataset(folder, "train")
    dataset["keypoints_3d"]

    again = pickle.loads(pickle.dumps(dataset))

    assert isinstance(again, Dataset)
    assert len(pickle.dumps(dataset)) < 4000
    np.testing.assert_array_equal(again["visible"], dataset["visible"])


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


def test_a_folder_of_datasets_names_them(folder, tmp_path_factory):
    parent = tmp_path_factory.mktemp("shards")
    for name in ("two", "one"):
        (parent / name).symlink_to(folder)

    with pytest.raises(MissingError, match=r"got a folder without shards\. Name one of the datasets in it: one, two\."):
        open_dataset(parent)


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
        open_dataset(folder)["K"]


@pytest.mark.parametrize("text", ["{", "[1]", json.dumps({"schema": "handdata/0"})], ids=["cut", "list", "older"])
def test_a_damaged_index_is_told(folder, text):
    (folder / INDEX).write_text(text)

    with pytest.raises(DataError, match=r"index\.json(:1)?: expected"):
        open_dataset(folder)


def test_a_split_that_is_not_there_is_told(folder):
    with pytest.raises(MissingError, match="expected a split named test, got train, val"):
        open_dataset(folder, "test")


# ------------------------------------------------------------------------------------------------ views


def numbers(data):
    """The seeds that the rows were made of."""
    return [int(name.removeprefix("made/")) for name in data["id"]]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (slice(2, 5), [2, 10, 11]),
        (slice(None, None, -4), [23, 11, 0]),
        ([0, -1, 0], [0, 23, 0]),
        (np.array([8, 1]), [23, 1]),
        (np.arange(9) % 3 == 0, [0, 10, 21]),
        ([], []),
    ],
    ids=str,
)
def test_some_of_the_hands(folder, key, expected):
    data = open_dataset(folder)

    assert numbers(data[key]) == expected
    assert numbers(data[::-1][::-1][key]) == expected  # the same of a view of a view
    assert [hand.id for hand in data[key]] == data[key]["id"].tolist()


@pytest.mark.parametrize("key", [[1.0], 1.5, None, ["side", "id"], [[0, 1]], {"a"}], ids=str)
def test_what_chooses_no_hands_is_told(folder, key):
    with pytest.raises(TypeError, match="hands are chosen by a number, the name of one column, a slice, a mask or"):
        open_dataset(folder)[key]


def test_a_mask_of_another_length_is_told(folder):
    with pytest.raises(ValueError, match="a mask of 9 values is needed, got 2"):
        open_dataset(folder)[[True, False]]


def test_a_column_holds_the_rows_of_the_view_in_its_order(folder):
    data = open_dataset(folder)
    everything = np.concatenate([reader["keypoints_3d"] for reader in data.shards.readers])

    np.testing.assert_array_equal(data["keypoints_3d"], everything)
    np.testing.assert_array_equal(data[[7, 0, 4]]["keypoints_3d"], everything[[7, 0, 4]])
    assert data[[7]]["image"].shape == (1, *data.image(7).shape)
    with pytest.raises(ValueError, match="read-only"):
        data["keypoints_3d"][0] = 0


def test_where_by_value_by_several_and_by_function(folder):
    data = open_dataset(folder)

    assert numbers(data.where(sequence="b")) == [1, 11, 21, 23]
    assert numbers(data.where(sequence=["a", "b"], split="val")) == [20, 21, 22, 23]
    assert numbers(data.where(id=["made/0001", "made/0022"])) == [1, 22]
    wide = data.where(scale_mm=lambda mm: mm > np.median(data["scale_mm"]))
    assert 0 < len(wide) < 9
    most = data.where(annotated_2d=lambda known: known.sum(1) >= 10)
    assert len(most) == (data["annotated_2d"].sum(1) >= 10).sum()
    assert len(data.where(side="left")) + len(data.where(side="right")) == 9


def test_hands_of_unknown_side_are_found_by_that_word(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    hands = [{"image": image, "side": side, "keypoints_2d": np.full((21, 2), 30.0)} for side in ("left", "unknown")]
    data = hd.write_dataset(tmp_path / "mine", hands, name="mine", canvas=32)

    assert data.where(side="unknown")[0].side == "unknown"
    assert data["hand_side"].tolist() == [0, 2]


def test_where_by_whether_there_is_an_object(folder):
    data = open_dataset(folder)
    counts = [len(data.where(has_object=value)) for value in (True, False, None, [True, None])]

    expected = [int((data["has_object"] == value).sum()) for value in (1, 0, -1)]
    assert counts == [*expected, expected[0] + expected[2]]


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"seq": "a"}, r"got 'seq'\. The nearest is 'sequence'"),
        ({"sequences": "a"}, r"columns of made: expected a column, got 'sequences'\. The nearest is 'sequence'"),
        ({"sequence": "c"}, r"sequence of made: expected a value in the dataset \(.*\), got 'c'\."),
        ({"side": "Left"}, r"\(left, right, unknown\), got 'Left'\. The nearest is 'left'"),
        ({"split": ["val", "test"]}, r"expected a value in the dataset \(train, val\), got 'test'"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(folder, wanted, line):
    with pytest.raises(ConfigError, match=line):
        open_dataset(folder).where(**wanted)


def test_an_array_is_no_condition(folder):
    with pytest.raises(ValueError, match="K is an array per hand"):
        open_dataset(folder).where(K=1)
    with pytest.raises(ValueError, match="must return a mask of 9 values"):
        open_dataset(folder).where(scale_mm=lambda mm: mm[:3] > 0)


def test_sorted_either_way_nan_last(folder):
    data = open_dataset(folder)
    up, down = data.sort("scale_mm")["scale_mm"], data.sort("scale_mm", descending=True)["scale_mm"]

    np.testing.assert_array_equal(up, np.sort(data["scale_mm"]))
    known = np.isfinite(down)
    assert np.all(np.diff(down[known]) <= 0)
    assert not known[known.sum() :].any()


def test_a_sample_is_drawn_without_repeats_and_the_same_again(folder):
    data = open_dataset(folder)
    first, again, other = (numbers(data.sample(6, seed=seed)) for seed in (1, 1, 2))

    assert first == again != other
    assert len(set(first)) == 6
    assert sorted(numbers(data.sample(9))) == numbers(data)
    with pytest.raises(ValueError, match="10 hands of 9 cannot be drawn"):
        data.sample(10)


def test_one_split(folder):
    assert numbers(open_dataset(folder).split("val")) == [20, 21, 22, 23]
    with pytest.raises(MissingError, match="expected a split named test, got train, val"):
        open_dataset(folder).split("test")


def test_joined_datasets_keep_their_order(folder):
    data = open_dataset(folder)
    joined = concat([data[::-2], open_dataset(folder, "train")])

    assert numbers(joined) == [23, 21, 11, 2, 0, 0, 1, 2, 10, 11]
    assert joined["sequence"].tolist()[:3] == ["b", "b", "b"]
    assert joined[0].id == "made/0023"
    again = pickle.loads(pickle.dumps(joined[3:7]))
    assert numbers(again) == [2, 0, 0, 1]
    assert numbers(joined[[9, 1]].compact()) == [11, 21]


def test_a_table_has_a_row_for_each_hand(folder):
    data = open_dataset(folder)
    table = data.to_pandas()

    assert table.index.name == "id"
    assert table.index.tolist() == data["id"].tolist()
    assert set(table.sequence) == {"a", "b"}
    np.testing.assert_allclose(table.scale_mm, data["scale_mm"])
    np.testing.assert_array_equal(table.keypoints_2d.iloc[3], data["keypoints_2d"][3])
    assert table.groupby("sequence", observed=True).scale_mm.median().index.tolist() == ["a", "b"]
    assert list(data.to_pandas(["side", "frame"])) == ["side", "frame"]
    assert list(data.to_pandas("side")) == ["side"]
    with pytest.raises(TypeError, match="columns are named by text, got 3"):
        data.to_pandas([3])


def test_parquet_reads_back(folder, tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    data = open_dataset(folder)
    data.to_parquet(tmp_path / "t.parquet", ["side", "scale_mm", "keypoints_3d"])

    back = pandas.read_parquet(tmp_path / "t.parquet")
    assert back.index.tolist() == data["id"].tolist()
    np.testing.assert_allclose(np.stack([np.stack(v) for v in back.keypoints_3d]), data["keypoints_3d"])


def test_a_summary_counts_by_split(folder):
    table = open_dataset(folder).summary()

    assert table.split.tolist() == ["train", "val"]
    assert table.hands.tolist() == [5, 4]
    assert (table.left + table.right).tolist() == [5, 4]


@pytest.mark.parametrize("value", [1.5, 1j, np.complex128(2), "1", None, np.array(1.0)])
def test_hands_are_counted_by_whole_numbers(folder, value):
    data = open_dataset(folder)
    for ask in (data.image, data.spread, data.few_shards, lambda number: data.pixels("mask", number)):
        with pytest.raises(TypeError, match="integer"):
            ask(value)


def test_its_text_says_what_it_is(folder):
    assert repr(open_dataset(folder)[:6]) == "<Dataset made: 6 hands (train 5, val 1); canvas 32 px>"
    assert repr(open_dataset(folder)[:1]) == "<Dataset made: 1 hand (train 1); canvas 32 px>"


def test_words_for_a_column_of_numbers_are_told(folder):
    with pytest.raises(ValueError, match="hand_side holds numbers; `side` holds words, got 'left'"):
        open_dataset(folder).where(hand_side="left")
    with pytest.raises(ValueError, match="scale_mm holds numbers, got 'big'"):
        open_dataset(folder).where(scale_mm="big")
    with pytest.raises(ValueError, match=r"scale_mm holds no complex numbers, got \(60\+1j\)"):
        open_dataset(folder).where(scale_mm=60 + 1j)


def test_a_name_stands_for_its_folder_under_the_data_root(folder, tmp_path, monkeypatch):
    (tmp_path / "root" / "data" / "shards").mkdir(parents=True)
    (tmp_path / "root" / "data" / "shards" / "made").symlink_to(folder)
    monkeypatch.setenv("HANDDATA_ROOT", str(tmp_path / "root"))

    assert len(open_dataset("made")) == 9


def test_a_name_that_is_nearly_right_is_told_the_nearest_one(folder, tmp_path, monkeypatch):
    (tmp_path / "root/data/shards").mkdir(parents=True)
    (tmp_path / "root/data/shards/synthhands").symlink_to(folder)
    monkeypatch.setenv("HANDDATA_ROOT", str(tmp_path / "root"))

    with pytest.raises(MissingError, match=r"got no such folder\. The nearest is 'synthhands'\."):
        open_dataset("synthand")
    with pytest.raises(MissingError, match=r"got no such folder\. `handdata datasets`"):
        open_dataset("other")


def test_one_shard_opens_by_itself(folder):
    whole, one = hd.open(folder, split="val"), hd.open(folder / "val-00002.h5")

    assert one.splits == ("val",)
    assert list(one["id"]) == list(whole["id"][: len(one)])
    assert one[0].dataset == whole[0].dataset
    with pytest.raises(MissingError, match="a split named train"):
        hd.open(folder / "val-00002.h5", split="train")


def test_a_shard_that_the_index_does_not_list_is_told(folder):
    shutil.copy(folder / "val-00002.h5", folder / "other.h5")

    with pytest.raises(DataError, match="a shard that index"):
        hd.open(folder / "other.h5")


def test_joining_takes_datasets(folder):
    for wrong in (["somewhere"], "somewhere", 3, {"a": 1}, [open_dataset(folder), None]):
        with pytest.raises(TypeError, match="concat takes datasets"):
            concat(wrong)


# ------------------------------------------------------------------------------------------------ an index that is none


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file": "../other/train-00000.h5"}, "got a shard outside the folder, '../other/train-00000.h5'"),
        ({"file": "/etc/passwd"}, "got a shard outside the folder"),
        ({"file": ".."}, "got a shard outside the folder"),
        ({"num_samples": True}, "without a file, split or count"),
        ({"layout": 7}, "train-00000.h5 without its size, hashes and layout"),
        ({"layout": {"image": {"offset": -1, "shape": [3, 32, 32, 3], "dtype": "|u1"}}}, "without its size"),
        ({"header_sha256": None}, "without its size"),
        ({"size": 1e9}, "without its size"),
    ],
)  # fmt: skip
def test_an_index_that_does_not_say_where_its_shards_lie(folder, change, told):
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0] |= change
    (folder / INDEX).write_text(json.dumps(index))

    with pytest.raises(DataError) as error:
        open_dataset(folder)
    assert told in str(error.value)


@pytest.mark.parametrize("damage", ["offset", "shape", "dtype", "no table"])
def test_a_layout_of_another_shard_is_told_before_anything_is_mapped(folder, damage):
    index = json.loads((folder / INDEX).read_text())
    for layout in index["layouts"]:
        changes = {"offset": {"offset": 10**15}, "shape": {"shape": [10**9, 21]}, "dtype": {"dtype": "<f8"}}
        layout["visible"] |= changes.get(damage, {})
        if damage == "no table":
            del layout["sequences"]
    (folder / INDEX).write_text(json.dumps(index))

    with pytest.raises(DataError, match=r"index\.json: expected the arrays of a shard, got (visible|no table)"):
        open_dataset(folder)["frame"]


def test_shards_of_an_older_schema_are_refused_with_what_to_do(folder):
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | {"schema": "handdata/1"}))

    line = r"expected schema handdata/2, got schema handdata/1\. Convert that dataset again: the same command makes new"
    with pytest.raises(DataError, match=line):
        open_dataset(folder)


def test_a_damaged_label_array_is_named_by_whoever_reads_it(folder):
    reader = open_dataset(folder).shards.reader(1)
    data = bytearray(reader.path.read_bytes())
    data[reader.offset("visible") + 5] ^= 1
    reader.path.write_bytes(data)

    data = open_dataset(folder)
    assert len(data["frame"]) == 9
    with pytest.raises(
        DataError, match=r"train-00001\.h5\[visible\]: expected the array of the index, got other bytes"
    ):
        data["visible"]
    assert data[0].visible.shape == (21,)
    with pytest.raises(DataError, match=r"train-00001\.h5\[0\]: expected the row of that hash"):
        data[3]


@pytest.mark.parametrize("asked", [{"n": 2.5}, {"n": 0.1}, {"n": 2, "seed": None}, {"n": 2, "seed": 1.5}])
def test_hands_are_drawn_by_whole_numbers(folder, asked):
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        open_dataset(folder).sample(**asked)


def test_no_side_is_none_of_the_sides_and_is_told_as_it_was_asked(folder):
    with pytest.raises(ConfigError, match=r"expected a value in the dataset \(.*\), got None\.$"):
        open_dataset(folder).where(side=None)


@pytest.mark.parametrize("key", ["options", "splits"])
def test_an_index_whose_parts_are_no_tables_is_refused(folder, key):
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**index, key: None}))

    with pytest.raises(DataError, match=rf"got \[{key}\] that is no table"):
        open_dataset(folder)
