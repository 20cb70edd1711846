"""Nothing trained on is scored as held out: for every recipe, for several sets at once, for the runs before a run."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import handdata as hd
from handdata.cli import group
from handdata.errors import ConfigError, MissingError
from handdata.evaluation.predictions import read_predictions
from handdata.evaluation.results import read_results
from handdata.evaluation.score import score_predictions
from handdata.evaluation.seen import Seen, read_seen
from handdata.model.released import records_behind
from handdata.shards.dataset import open_dataset
from handdata.train.chain import chain_of
from handdata.train.config import load_config, recipe_names
from handdata.train.evaluate import evaluate_run
from handdata.train.loader.sources import open_sources
from handdata.train.loop import train
from handdata.train.runs import RunFolder
from handdata.train.selection import Selection, has_held_out, say_left_out, select
from tests.train.made_shards import made_hand
from tests.train.made_training import job_of, tiny

# split -> sequences, as the converters split the seven
SETS = {
    "synthhands": {"train": ("seq01", "seq02"), "val": ("seq06",), "test": ("seq07",)},
    "ganerated": {"train": ("0001", "0002"), "val": ("0003",), "test": ("0004",)},
    "rhd": {"train": ("training",), "test": ("evaluation",)},
    "stereo": {"train": ("B2Counting", "B2Random"), "val": ("B1Counting", "B1Random")},
    "dexter": {"test": ("Grasp1", "Grasp2", "Occlusion", "Rotate")},
    "dexter1": {"test": ("adbadd", "flexex1")},
    "egodexter": {"test": ("Desk", "Fruits")},
}


def write_set(root, name, splits, *, seed=0, origin="published"):
    """Write four hands a sequence; ids and pictures are its own."""
    for split, sequences in splits.items():
        hands = []
        for place, sequence in enumerate(sequences):
            for frame in range(4):
                hand = made_hand(frame, sequence=sequence, seed=seed + hash_of(name, split, place))
                hands.append(hd.Hand(**{**fields_of(hand), "id": f"{sequence}/{frame:04d}"}))
        hd.write_dataset(root / name, hands, name=name, split=split, canvas=48, origin=origin)
    return root / name


def hash_of(*parts):
    return sum(ord(letter) for letter in "".join(map(str, parts)))


def fields_of(hand):
    names = ("image", "side", "keypoints_2d", "keypoints_3d", "palm_center_2d", "K", "has_object", "crop_box",
             "sequence", "camera", "frame")  # fmt: skip
    return {name: getattr(hand, name) for name in names}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("held_out") / "shards"
    return [write_set(root, name, splits) for name, splits in SETS.items()]


def ids(datasets):
    return {f"{part.name}/{sample.decode()}" for part in datasets for sample in part.ids}


def started(run, config, folders, start=None):
    """Record what a training of a recipe sees, as it does before its first step; return its sample ids."""
    train_set, val_set = open_sources(folders, config)
    held = val_set.datasets if val_set else []
    RunFolder(run).start(config, train_set.datasets, held, {}, [] if start is None else records_behind(start))
    return ids(train_set.datasets)


def scored(run, folders):
    """Return the ids of a run's default evaluation."""
    mixtures = select(Selection(folders=folders, held_out=True, seen=read_seen(run)))
    return ids(part for mixture in mixtures for part in mixture.datasets)


@pytest.mark.parametrize("recipe", recipe_names())
def test_no_trained_sample_is_in_the_default_evaluation_of_a_recipe(recipe, folders, tmp_path):
    """Of the runs it starts from neither."""
    trained, start = set(), None
    for config in chain_of(recipe, ["start.weights="]):
        trained |= started(tmp_path / config.name, config, folders, start)
        start = tmp_path / config.name
    found = scored(start, folders)

    assert trained & found == set()
    everything = ids(open_dataset(folder) for folder in folders)
    unused = {name for name in everything - trained if not in_train_split(name)}
    assert found == unused  # and all that is held out is scored


def in_train_split(name):
    dataset, sequence, _ = name.split("/")
    return sequence in SETS[dataset].get("train", ())


@pytest.mark.parametrize("sequence", ["Grasp2", "B2Random", "evaluation"])
def test_sequences_left_out_of_several_sets_are_all_that_is_scored(sequence, folders, tmp_path):
    """Training by sequence takes every other one, whatever its split: B1 and RHD's evaluation among them."""
    config = load_config("best-smoke", [f'data.val_sequences=["{sequence}"]'])
    trained = started(tmp_path / "run", config, folders)
    found = scored(tmp_path / "run", folders)

    assert {name.split("/")[1] for name in found} == {sequence}
    assert trained | found == ids(open_dataset(folder) for folder in folders)


def test_a_resumed_run_keeps_what_it_has_seen(folders, tmp_path):
    config = load_config("best-smoke")
    stereo, rhd = (next(folder for folder in folders if folder.name == name) for name in ("stereo", "rhd"))
    started(tmp_path / "first", load_config("best-smoke", ['data.val_sequences=["B1Random"]']), [stereo])
    started(tmp_path / "run", config, [rhd], tmp_path / "first")
    started(tmp_path / "run", config, [rhd])  # goes on without --init-from

    assert {one.dataset for one in read_seen(tmp_path / "run").sets} == {"rhd", "stereo"}
    assert scored(tmp_path / "run", [stereo]) == {f"stereo/B1Random/{frame:04d}" for frame in range(4)}


def test_another_conversion_of_real_pictures_is_told_by_its_sequences(folders, tmp_path):
    """The same pictures with other canvases, and in one split that the training did not call train."""
    stereo = next(folder for folder in folders if folder.name == "stereo")
    started(tmp_path / "run", load_config("best-smoke"), [stereo])
    again = write_set(tmp_path / "again", "stereo", {"test": ("B1Counting", "B2Counting", "B3Counting")}, seed=5)
    assert {name.split("/")[1] for name in scored(tmp_path / "run", [again])} == {"B1Counting", "B3Counting"}


def test_two_imports_of_pictures_without_sequences_keep_what_each_holds_out(tmp_path):
    """Both are called custom, and no hand of theirs has a sequence."""
    first, second = (write_set(tmp_path / str(seed), "custom", {"train": ("",), "val": ("",)}, seed=seed, origin="own")
                     for seed in (1, 2))  # fmt: skip
    second = second.rename(tmp_path / "other")
    started(tmp_path / "run", load_config("best-smoke"), [first, second])

    seen = read_seen(tmp_path / "run")
    for folder in (first, second):
        assert seen.rows(open_dataset(folder, "train")).all()
        assert not seen.rows(open_dataset(folder, "val")).any()


def test_another_import_of_own_pictures_is_told_by_its_ids_while_the_trained_ones_are_there(tmp_path):
    hands = [replace(made_hand(number, sequence=""), id=f"{number}.jpg") for number in range(5)]
    for split, some in {"train": hands[:3], "val": hands[3:4]}.items():
        hd.write_dataset(tmp_path / "trained", some, name="custom", split=split, canvas=48, origin="own")
    hd.write_dataset(tmp_path / "again", hands[2:], name="custom", split="train", canvas=40, origin="own")
    started(tmp_path / "run", load_config("best-smoke"), [tmp_path / "trained"])

    again = open_dataset(tmp_path / "again")
    assert read_seen(tmp_path / "run").rows(again).tolist() == [True, False, False]
    image, uv = hands[2].image.repeat(2, 0).repeat(2, 1), hands[2].keypoints_2d * 2  # the picture in another size
    moved = [hd.Hand(id="2.jpg", image=image, keypoints_2d=uv, side=hands[2].side)]
    hd.write_dataset(tmp_path / "resized", moved, name="custom", split="train", canvas=40, origin="own")
    assert read_seen(tmp_path / "run").rows(open_dataset(tmp_path / "resized")).all()
    shutil.rmtree(tmp_path / "trained")
    assert read_seen(tmp_path / "run").rows(again).all()  # perhaps the same pictures


def called_alike(root):
    """Two folders of own pictures, two of which are called as others are."""
    for name, (first, rest) in {"monday": ("0", "123"), "tuesday": ("01", "67")}.items():
        for split, ids in {"train": first, "val": rest}.items():
            hands = [replace(made_hand(int(one), sequence="", seed=len(name)), id=f"{one}.jpg") for one in ids]
            hd.write_dataset(root / name, hands, name="custom", split=split, canvas=48, origin="own")
    return root / "monday", root / "tuesday"


def test_another_picture_called_as_one_that_was_trained_on_is_held_out(tmp_path):
    monday, tuesday = called_alike(tmp_path)
    started(tmp_path / "run", load_config("best-smoke"), [monday])

    assert read_seen(tmp_path / "run").rows(open_dataset(monday)).tolist() == [True, False, False, False]
    assert not read_seen(tmp_path / "run").rows(open_dataset(tuesday)).any()


def test_no_prediction_is_scored_by_the_label_of_another_hand_of_its_id(tmp_path):
    """Monday's `1.jpg` is scored, Tuesday's is in the split that nobody asked to predict: it has no prediction."""
    monday, tuesday = called_alike(tmp_path)
    train(job_of(tiny("best-smoke", "loop.epochs=1", "loop.val_batches=0"), [monday], tmp_path / "run"))
    expected = r"expected each id once, got custom/1\.jpg in .*monday and, another label, in .*tuesday"

    with pytest.raises(ConfigError, match=expected):
        evaluate_run(tmp_path / "run", Selection(folders=[monday, tuesday], held_out=True), device="cpu")
    assert not (tmp_path / "run" / "predictions.h5").exists()
    evaluate_run(tmp_path / "run", Selection(folders=[monday], held_out=True), device="cpu")
    predictions = read_predictions(tmp_path / "run" / "predictions.h5")
    with pytest.raises(ConfigError, match=expected):
        score_predictions(predictions, [monday, tuesday])
    assert len(score_predictions(predictions, [monday, tuesday], splits=["val"]).sets) == 1


def test_errors_of_another_folders_hands_are_not_taken_for_those_that_are_called_alike(tmp_path):
    monday, tuesday = called_alike(tmp_path)
    train(job_of(tiny("compact-smoke", "loop.epochs=1", "loop.val_batches=0"), [monday], tmp_path / "run"))
    evaluate_run(tmp_path / "run", Selection(folders=[monday], held_out=True), device="cpu")
    hd.recut(hd.open(monday), tmp_path / "copy")

    def asked(folder):
        errors = ["--errors", str(tmp_path / "run")]
        return [
            CliRunner().invoke(group, ["subset", str(folder), *errors, "--worst", "1", "--out", f"{folder}-worst"]),
            CliRunner().invoke(group, ["browse", str(folder), *errors, "--static", f"{folder}.html"]),
        ]

    assert [result.exit_code for folder in (monday, tmp_path / "copy") for result in asked(folder)] == [0, 0, 0, 0]
    for result in asked(tuesday):
        assert result.exit_code == 1
        assert re.search(r"got those of .*monday, where 1\.jpg is another hand\. Evaluate on", str(result.exception))


def test_folders_that_train_together_but_are_not_scored_together_end_in_a_line(tmp_path):
    folders = map(str, called_alike(tmp_path))
    small = [part for one in ("loop.epochs=1", "loop.batches=1", "loop.val_batches=0") for part in ("--set", one)]
    asked = ["--recipe", "compact-smoke", "--name", "both", "--device", "cpu", *small, "--shards", *folders]

    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), "train", *asked])

    assert result.exit_code == 0, result.exception
    assert "is trained, not scored; score it with handdata evaluate both. --shards: expected each id" in result.stderr
    assert result.stdout.strip() == str(tmp_path / "runs/both")


def test_sets_called_alike_are_headed_by_their_folders(tmp_path):
    monday = called_alike(tmp_path)[0]
    hd.write_dataset(tmp_path / "apart", [replace(made_hand(3, sequence=""), id="9.jpg")], name="custom", split="val",
                     canvas=48, origin="own")  # fmt: skip
    train(job_of(tiny("best-smoke", "loop.epochs=1", "loop.val_batches=0"), [monday], tmp_path / "run"))
    shards = ["--shards", str(monday), str(tmp_path / "apart"), "--protocol", "epe_px"]

    result = CliRunner().invoke(group, ["evaluate", str(tmp_path / "run"), "--device", "cpu", *shards])

    assert result.exit_code == 0, result.output
    heads = [line.partition(":")[0] for line in result.stdout.splitlines() if "2D by" in line]
    assert heads == ["custom val, monday", "custom val, apart"]


def test_another_rendering_is_new_and_a_rendered_set_is_not_the_published_one(tmp_path):
    first, second = (write_set(tmp_path / str(seed), "stereo", {"train": ("B2Random",), "test": ("B3Random",)},
                               seed=seed, origin="rendered") for seed in (1, 2))  # fmt: skip
    real = write_set(tmp_path / "real", "stereo", {"train": ("B2Random",), "val": ("B1Random",)}, seed=3)
    started(tmp_path / "run", load_config("best-smoke"), [first])

    assert scored(tmp_path / "run", [second]) == ids([open_dataset(second, "test")])
    assert not read_seen(tmp_path / "run").rows(open_dataset(real)).any()


@pytest.mark.parametrize(("origin", "is_seen"), [("rendered", False), ("own", True)])
def test_a_new_rendering_is_told_by_itself_where_the_record_does_not_say_what_was_trained_on(tmp_path, origin, is_seen):
    """The weights that come along record no origin, and every rendered hand is of the sequence "still"."""
    first = write_set(tmp_path / "1", "rendered", {"train": ("still",)}, seed=1, origin="rendered")
    started(tmp_path / "run", load_config("best-smoke"), [first])
    record = json.loads((tmp_path / "run/shards.json").read_text())
    record["trained"][0] |= {"origin": "", "folder": ""}
    (tmp_path / "run/shards.json").write_text(json.dumps(record))
    second = write_set(tmp_path / "2", "rendered", {"train": ("still",), "val": ("still",)}, seed=2, origin=origin)

    seen = read_seen(tmp_path / "run")
    assert seen.rows(open_dataset(second, "train")).all()
    assert seen.rows(open_dataset(second, "val")).any() == is_seen


def test_records_of_older_runs_are_understood(folders, tmp_path):
    """They held training and validation sets in one list, without the sequences."""
    stereo = next(folder for folder in folders if folder.name == "stereo")
    for name, left_out in (("plain", []), ("by-sequence", ["B1Random"])):
        run = tmp_path / name
        started(run, load_config("best-smoke", [f"data.val_sequences={json.dumps(left_out)}"]), [stereo])
        record = json.loads((run / "shards.json").read_text())
        (run / "shards.json").write_text(json.dumps({"datasets": record["datasets"]}))
    assert scored(tmp_path / "plain", [stereo]) == ids([open_dataset(stereo, "val")])
    assert scored(tmp_path / "by-sequence", [stereo]) == {f"stereo/B1Random/{frame:04d}" for frame in range(4)}


@pytest.fixture(scope="module")
def run(tmp_path_factory, folders):
    """e022 on a dataset without a training split: trained on all of it but Grasp2."""
    root = tmp_path_factory.mktemp("run")
    dexter = next(folder for folder in folders if folder.name == "dexter")
    config = tiny("e022-grasp2-smoke", "loop.epochs=1", "start.recipe=")
    train(job_of(config, [dexter], root / "runs" / "fine"))
    return root, dexter


def evaluate(root, *arguments):
    result = CliRunner().invoke(group, ["--data-root", str(root), "evaluate", "fine", "--device", "cpu", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_evaluate_leaves_out_what_was_trained_on_and_names_it(run):
    root, dexter = run
    result = evaluate(root, "--shards", str(dexter), "--protocol", "epe_px")
    (one,) = read_results(root / "runs/fine/results.json").sets

    assert "dexter: 12 of 16 samples were trained on and are left out: Grasp1, Occlusion, Rotate" in result.stderr
    assert (one.counts["samples"], one.trained_on, one.left_out) == (4, 0, 12)
    assert "  left out: 12 samples that were trained on" in result.stdout.splitlines()


def test_two_imports_without_sequences_are_named_by_their_folders(tmp_path, capsys):
    hands = [replace(made_hand(number, sequence=""), id=f"{number}.jpg") for number in range(4)]
    for name, some in {"monday": hands[:2], "tuesday": hands[2:]}.items():
        hd.write_dataset(tmp_path / name, some, name="custom", split="train", canvas=48, origin="own")
    folders = [tmp_path / "monday", tmp_path / "tuesday"]
    started(tmp_path / "run", load_config("best-smoke"), folders)

    say_left_out(Selection(folders=folders, held_out=True, seen=read_seen(tmp_path / "run")))

    told = "2 of 2 samples were trained on and are left out"
    assert capsys.readouterr().err.splitlines() == [f"monday: {told}", f"tuesday: {told}"]


def test_a_train_split_that_nobody_trained_on_is_named_where_it_is_not_scored(tmp_path, capsys):
    stereo = write_set(tmp_path, "stereo", SETS["stereo"])

    say_left_out(Selection(folders=[stereo], held_out=True))
    assert capsys.readouterr().err == "stereo: 8 of 16 samples are of its split train: --split train scores them\n"
    say_left_out(Selection(folders=[stereo], held_out=True, split="val"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("asked", [("--split", "test"), ("--sequences", "Grasp1,Grasp2")])
def test_what_is_asked_for_by_name_is_scored_and_called_trained_on(run, asked, tmp_path):
    root, dexter = run
    shutil.copytree(root / "runs", tmp_path / "runs")
    result = evaluate(tmp_path, "--shards", str(dexter), *asked, "--json")
    printed = json.loads(result.stdout)["sets"][0]
    text = evaluate(tmp_path, "--shards", str(dexter), *asked).stdout.splitlines()

    expected = (12, 16) if asked[0] == "--split" else (4, 8)
    assert (printed["trained_on"], printed["counts"]["samples"]) == expected
    assert f"  TRAINED ON: {expected[0]} of {expected[1]} samples" in text


def test_predictions_of_a_run_are_held_against_its_record_too(run, tmp_path):
    root, dexter = run
    shutil.copytree(root / "runs", tmp_path / "runs")
    evaluate(tmp_path, "--shards", str(dexter), "--split", "test")
    given = tmp_path / "runs" / "fine" / "predictions.h5"
    result = CliRunner().invoke(group, ["evaluate", "--predictions", str(given), "--shards", str(dexter), "--json"])
    assert json.loads(result.stdout)["sets"][0]["trained_on"] == 12


def test_a_run_that_has_seen_everything_is_not_scored(run, tmp_path):
    root, _ = run
    everything = write_set(tmp_path, "dexter", {"test": ("Grasp1", "Rotate")})
    fine = root / "runs" / "fine"
    selection = Selection(folders=[everything], held_out=True)

    assert not has_held_out(fine, selection)
    with pytest.raises(MissingError, match="samples to predict, got none"):
        evaluate_run(fine, selection, device="cpu")


def test_weights_of_nobodys_record_are_known_to_have_seen_nothing(tmp_path, folders):
    assert read_seen(tmp_path) == Seen()
    assert not np.any(Seen().rows(open_dataset(folders[0])))
