"""Shards cut anew hold the same rows: nothing is converted again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import handdata as hd
from handdata.check.diff import compare
from handdata.check.verify import verify
from handdata.cli import group
from handdata.conversion.recut import recut, resplit
from handdata.converters.read.picture_splits import SplitBy
from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation.predictions import Predictions, write_predictions
from handdata.pictures.decode import image_size
from handdata.shards.concat import concat
from handdata.shards.dataset import open_dataset
from tests.check.made_dataset import make_dataset
from tests.train.made_shards import made_hand


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "made", count=30)


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)


def hashes(data):
    return dict(zip(data["id"].tolist(), data["row_hash"].tolist(), strict=True))


def test_the_ways_to_split_that_are_named_are_those_taken(shards, tmp_path):
    with pytest.raises(ConfigError, match=r"expected sequence, subject, random, with or without shares .*, got foo"):
        recut(open_dataset(shards), tmp_path / "out", by="foo")


def test_everything_cut_anew_is_the_same_dataset(shards, tmp_path):
    recut(open_dataset(shards), tmp_path / "out")

    assert compare(shards, tmp_path / "out").same
    assert hashes(open_dataset(tmp_path / "out")) == hashes(open_dataset(shards))
    assert verify(tmp_path / "out").findings == verify(shards).findings


def test_a_subset_keeps_rows_and_their_hashes(shards, tmp_path):
    result = run("subset", shards, "--split", "train", "--sample", 7, "--seed", 3, "--out", tmp_path / "out")

    some = open_dataset(tmp_path / "out")
    assert result.stdout == f"7 samples -> {tmp_path / 'out'}\n"
    assert set(some["split"]) == {"train"}
    assert hashes(some).items() <= hashes(open_dataset(shards)).items()


def test_a_damaged_row_is_named_and_not_copied_with_a_hash_of_its_own(shards, tmp_path):
    made = shutil.copytree(shards, tmp_path / "made")
    shard = open_dataset(made).shards.reader(0)
    with shard.path.open("r+b") as file:
        file.seek(shard.offset("image") + 5000)
        file.write(bytes(512))

    with pytest.raises(DataError, match=rf"{shard.path.name}\[0\]: expected the row of that hash"):
        recut(open_dataset(made), tmp_path / "out")
    assert not (tmp_path / "out/index.json").exists()


def test_a_subset_of_listed_ids(shards, tmp_path):
    wanted = open_dataset(shards)["id"][[3, 11, 29]].tolist()
    (tmp_path / "ids.txt").write_text("\n".join(wanted) + "\n")

    run("subset", shards, "--ids", tmp_path / "ids.txt", "--out", tmp_path / "out")

    assert sorted(open_dataset(tmp_path / "out")["id"].tolist()) == sorted(wanted)


def test_an_id_that_is_not_there_is_named(shards, tmp_path):
    (tmp_path / "ids.txt").write_text("nobody\n")

    with pytest.raises(DataError, match=r"ids\.txt:1: expected an id of that dataset, got nobody"):
        run("subset", shards, "--ids", tmp_path / "ids.txt", "--out", tmp_path / "out")


def test_parts_merged_are_the_whole(shards, tmp_path):
    data = open_dataset(shards)
    recut(data[:11], tmp_path / "a")
    recut(data[11:], tmp_path / "b")

    run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "whole")

    assert compare(shards, tmp_path / "whole").same


@pytest.fixture
def two(tmp_path):
    """Two datasets of other scales, the second one with masks."""
    hands = [replace(made_hand(i, foreground=i > 4), id=f"made/{i}") for i in range(9)]
    hd.write_dataset(tmp_path / "wide", hands[:5], name="wide", canvas=64, canvas_scale=2.2)
    hd.write_dataset(tmp_path / "near", hands[5:], name="near", canvas=64)
    return tmp_path / "wide", tmp_path / "near"


def test_datasets_of_two_scales_are_merged_and_each_hand_keeps_its_own(two, tmp_path):
    run("merge", *two, "--name", "both", "--out", tmp_path / "both")

    both = open_dataset(tmp_path / "both")
    assert hashes(both) == hashes(open_dataset(two[0])) | hashes(open_dataset(two[1]))
    assert both.canvas_scale == both.index["canvas_scale"] == 1.5
    assert [shard.attributes["canvas_scale"] for shard in both.shards.readers] == [2.2, 1.5]
    told = {finding.check for finding in verify(tmp_path / "both").findings}
    assert told <= {finding.check for folder in two for finding in verify(folder).findings}


def test_a_shard_of_merged_ones_with_another_scale_than_its_entry_is_found(two, tmp_path):
    recut(concat([open_dataset(folder) for folder in two]), tmp_path / "both", name="both")
    index = json.loads((tmp_path / "both/index.json").read_text())
    index["shards"][0].pop("canvas_scale")
    (tmp_path / "both/index.json").write_text(json.dumps(index))

    assert any(
        "attribute canvas_scale is 2.2, the index says 1.5" in f.what for f in verify(tmp_path / "both").findings
    )


def test_merged_hands_are_cut_to_one_size_of_crop(two, tmp_path):
    for number, parts in enumerate((two, two[::-1])):
        data = concat([open_dataset(folder) for folder in parts])
        hd.export(data, tmp_path / f"{number}", "coco", pictures="crop", picture="jpg")

        sizes = {image_size(path) for path in (tmp_path / f"{number}/images/train").iterdir()}
        assert sizes == {(43, 43)}  # 64 / 1.5


def test_canvases_of_two_sizes_are_told_apart(shards, two, tmp_path):
    with pytest.raises(ConfigError, match=r"expected canvases of one size, got \S+wide 64 px; \S+made \d+ px"):
        run("merge", two[0], shards, "--name", "both", "--out", tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_datasets_of_two_names_need_a_new_one(shards, tmp_path):
    other = recut(open_dataset(shards)[:3], tmp_path / "other", name="other")

    with pytest.raises(ConfigError, match="--name"):
        recut(concat([open_dataset(shards)[3:], other]), tmp_path / "out")
    assert recut(concat([open_dataset(shards)[3:], other]), tmp_path / "out", name="both").name == "both"


def test_a_sample_in_two_datasets_is_refused(shards, tmp_path):
    data = open_dataset(shards)

    with pytest.raises(DataError, match="each id once"):
        recut(concat([data, data[:1]]), tmp_path / "out")


def test_other_hands_of_one_id_are_told_from_the_same_ones(tmp_path):
    for number in range(2):
        hd.write_dataset(tmp_path / f"{number}", [replace(made_hand(number), id="a.jpg")], name="custom", canvas=64)

    with pytest.raises(DataError, match=r"got a\.jpg twice\. They are other hands: `import` label files"):
        run("merge", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "out")
    with pytest.raises(DataError, match=r"got a\.jpg twice\. Leave out one"):
        run("merge", tmp_path / "0", tmp_path / "0", "--out", tmp_path / "out")


def test_new_splits_hold_whole_sequences(shards, tmp_path):
    result = run("split", shards, "--by", "sequence:0.3/0.3", "--out", tmp_path / "out")

    new = open_dataset(tmp_path / "out")
    assert result.exit_code == 0
    homes = {}
    for sequence, split in zip(new["sequence"].tolist(), new["split"].tolist(), strict=True):
        homes.setdefault(sequence, set()).add(split)
    assert all(len(found) == 1 for found in homes.values())
    assert hashes(new) == hashes(open_dataset(shards))


def test_new_splits_hold_whole_subjects_that_the_names_of_sequences_tell(shards, tmp_path):
    """Sequences a and b show one person: the group of the pattern is empty in both."""
    splits = []
    for seed in range(8):
        out = tmp_path / str(seed)
        words = ("--by", "subject:0.5/0", "--subject", "^[ab]?(c?)$", "--seed", seed)
        result = run("split", shards, *words, "--out", out)
        assert result.exit_code == 0, result.output
        new, homes = open_dataset(out), {}
        for sequence, split in zip(new["sequence"].tolist(), new["split"].tolist(), strict=True):
            homes.setdefault(sequence, set()).add(split)
        assert homes["a"] == homes["b"] != homes["c"]
        assert hashes(new) == hashes(open_dataset(shards))
        splits.append(homes["a"].pop())

    assert set(splits) == {"train", "val"}


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("", "--by subject: expected the subject of each sequence, got shards without them"),
        ("(", "--subject: expected a regular expression"),
        ("nobody", "--subject: expected nobody in the name of each sequence, got "),
        ("^", "--by: expected several subjects, got one"),
    ],
)
def test_subjects_that_no_name_tells_are_asked_for(shards, tmp_path, subject, told):
    with pytest.raises(ConfigError) as refusal:
        recut(open_dataset(shards), tmp_path / "out", by="subject", subject=subject)

    assert str(refusal.value).startswith(told)
    assert not (tmp_path / "out").exists()


def test_a_subject_without_effect_is_refused(shards, tmp_path):
    result = run("split", shards, "--by", "random", "--subject", "a", "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "--subject is for --by subject." in result.output


def test_new_splits_at_random_are_the_same_for_the_same_seed(shards):
    data, by = open_dataset(shards), SplitBy("random", 0.2, 0.2)

    first = resplit(data, by, 0)

    assert (first == resplit(data, by, 0)).all()
    assert (first != resplit(data, by, 1)).any()
    assert [int((first == split).sum()) for split in ("train", "val", "test")] == [18, 6, 6]


def test_shards_whose_run_was_ended_before_their_card_get_it(shards, tmp_path):
    whole = recut(open_dataset(shards), tmp_path / "whole")
    recut(open_dataset(shards), tmp_path / "out")
    (tmp_path / "out/README.md").unlink()

    with pytest.raises(ConfigError, match="expected a folder without shards"):
        recut(open_dataset(shards), tmp_path / "out")

    assert len(whole) == 30
    assert (tmp_path / "out/README.md").read_bytes() == (tmp_path / "whole/README.md").read_bytes()


def test_a_folder_with_shards_is_not_written_over(shards, tmp_path):
    with pytest.raises(ConfigError, match="a folder without shards"):
        recut(open_dataset(shards), shards)
    with pytest.raises(MissingError, match="hands to write"):
        recut(open_dataset(shards)[np.zeros(0, int)], tmp_path / "out")


# -------------------------------------------------------------------------------------------- any condition


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        (["frame<3"], {"frame": lambda frame: frame < 3}),
        (["frame >= 3", "frame<=7"], {"frame": lambda frame: (frame >= 3) & (frame <= 7)}),
        (["scale_mm>84.7"], {"scale_mm": lambda mm: mm > 84.7}),
        (["scale_mm!=unknown", "frame=1,3"], {"frame": [1, 3]}),
        (["has_object=unknown,1", "sequence=a,c"], {"has_object": [None, True], "sequence": ["a", "c"]}),
        (["split!=val", "frame!=4"], {"split": "train", "frame": lambda frame: frame != 4}),
    ],
)
def test_a_condition_keeps_what_where_keeps(shards, tmp_path, conditions, wanted):
    typed = [word for one in conditions for word in ("--where", one)]
    kept = open_dataset(shards).where(**wanted)["id"].tolist()

    assert run("subset", shards, *typed, "--out", tmp_path / "out").exit_code == 0
    assert open_dataset(tmp_path / "out")["id"].tolist() == kept
    assert 0 < len(kept) < 30


@pytest.mark.parametrize(
    ("condition", "line"),
    [
        ("frame", "expected a column, =, !=, <, <=, > or >=, and a value, got 'frame'"),
        ("fram<3", r"expected a column, got 'fram'. The nearest is 'frame'"),
        ("frame<three", "expected a number in 'frame<three', got 'three'"),
        ("flags=unknown", "that column has no unknown values"),
        ("side<left", "expected = or != for side, which holds words"),
        ("side=lift", "got 'lift'. The nearest is 'left'"),
        ("visible=1", r"expected a column of one value per hand, got visible, an array. In Python, where\(visible="),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(shards, tmp_path, condition, line):
    with pytest.raises(ConfigError, match=line):
        run("subset", shards, "--where", condition, "--out", tmp_path / "out")


# ------------------------------------------------------------------------------------------------ the worst


@pytest.fixture
def scored(shards, tmp_path):
    """Return results.json of predictions that are off by per cents of the crop, its number; three have none."""
    data = open_dataset(shards)
    sides = data["crop_xyxy"][:, 2] - data["crop_xyxy"][:, 0]
    off = np.arange(len(data)) / 100 * sides
    given = Predictions(
        dataset=np.array([data.name] * 27),
        sample_id=data["id"][:27],
        keypoints_2d={"given": (data["keypoints_2d"] + off[:, None, None])[:27]},
        crop_xyxy=np.full((27, 4), np.nan, np.float32),
    )
    write_predictions(tmp_path / "mine.h5", given)
    made = run(
        "evaluate", "--predictions", tmp_path / "mine.h5", "--shards", shards, "--out", tmp_path / "results.json"
    )
    assert made.exit_code == 0, made.output
    return tmp_path / "results.json"


def test_the_worst_of_an_evaluation_come_first(shards, scored, tmp_path):
    result = run("subset", shards, "--errors", scored, "--worst", 4, "--split", "train", "--out", tmp_path / "out")

    data = open_dataset(shards)
    train = [name for name, split in zip(data["id"], data["split"], strict=True) if split == "train"]
    assert open_dataset(tmp_path / "out")["id"].tolist() == train[:-5:-1]
    assert result.stdout == f"4 samples -> {tmp_path / 'out'}\n"
    assert "4 of 20 hands, those with the largest mean error in 2D, worst first" in result.stderr


def test_the_worst_of_a_run_are_found_by_its_name(shards, scored, tmp_path):
    run_folder = tmp_path / "runs/mine"
    run_folder.mkdir(parents=True)
    for name in ("results.json", "mine.h5"):
        shutil.copy(tmp_path / name, run_folder / name)
    worst = ("--worst", 4, "--data-root", tmp_path)

    for number, word in enumerate(("mine", run_folder, run_folder / "results.json")):
        assert run("subset", shards, "--errors", word, *worst, "--out", tmp_path / f"out{number}").exit_code == 0

    assert len({tuple(open_dataset(tmp_path / f"out{number}")["id"]) for number in range(3)}) == 1


def test_the_worst_are_found_where_results_and_predictions_moved_together(shards, scored, tmp_path):
    (tmp_path / "moved").mkdir()
    for name in ("results.json", "mine.h5"):
        (tmp_path / name).rename(tmp_path / "moved" / name)

    result = run(
        "subset", shards, "--errors", tmp_path / "moved/results.json", "--worst", 90, "--out", tmp_path / "out"
    )

    assert result.exit_code == 0
    assert len(open_dataset(tmp_path / "out")) == 27  # the others have no prediction


def test_the_worst_need_both_options_and_the_predictions(shards, scored, tmp_path):
    assert "together" in run("subset", shards, "--worst", 3, "--out", tmp_path / "out").stderr
    (tmp_path / "mine.h5").unlink()

    with pytest.raises(MissingError, match=r"mine\.h5: expected the predictions behind the results, got no file"):
        run("subset", shards, "--errors", scored, "--worst", 3, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("asked", "kind", "line"),
    [
        ({"split_of": ["nope"] * 30}, ValueError, "one of train, val, test for each of 30 hands"),
        ({"split_of": ["train"] * 3}, ValueError, "one of train, val, test for each of 30 hands"),
        ({"split_of": ["train"] * 30, "by": "sequence"}, ValueError, "no `by` beside it"),
        ({"subject": "s"}, ValueError, "subject goes with by='subject'"),
        ({"seed": 1.5}, TypeError, "cannot be interpreted as an integer"),
        ({"seed": None}, TypeError, "cannot be interpreted as an integer"),
        ({"name": 5}, TypeError, "recut takes a Dataset and a name, got Dataset and 5"),
    ],
)
def test_what_would_give_no_dataset_or_change_nothing_is_refused(shards, tmp_path, asked, kind, line):
    with pytest.raises(kind, match=line):
        recut(open_dataset(shards), tmp_path / "out", **asked)

    assert not (tmp_path / "out").exists()


def test_splits_may_be_a_list(shards, tmp_path):
    assert recut(open_dataset(shards), tmp_path / "out", split_of=["test"] * 30).splits == ("test",)


def test_a_camera_of_hands_without_one_is_told(tmp_path):
    import handdata as hd

    hands = [{"image": np.zeros((64, 64, 3), np.uint8), "side": "left"}]
    hd.write_dataset(tmp_path / "in", hands, name="mine")
    with pytest.raises(ConfigError, match=r"^camera of mine: expected no choice: none has a name, got 'c'\.$"):
        run("subset", tmp_path / "in", "--camera", "c", "--out", tmp_path / "out")
