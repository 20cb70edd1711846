"""A checkpoint over shards: the same bits for any batch, source pixels and axes as shipped, results beside the run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli.evaluate import evaluate_command
from handdata.errors import ConfigError, MissingError
from handdata.evaluation.predictions import read_predictions, to_crop_fractions
from handdata.evaluation.results import read_results
from handdata.evaluation.score import score_predictions
from handdata.files.whole import whole
from handdata.geometry import apply_affine, crop_affine
from handdata.model.families.family import Reading
from handdata.model.read_out import READ_OUTS
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from handdata.train import checkpoint, evaluate
from handdata.train.config import AugmentSetting
from handdata.train.evaluate import evaluate_run, predict
from handdata.train.loop import train
from handdata.train.selection import Selection
from tests.train.made_training import job_of, made_set, tiny

SAMPLES = 19  # no multiple of any batch used here


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    folder = made_set(root / "rhd", "rhd", train=8, val=SAMPLES)
    train(
        job_of(
            tiny("best-smoke", "augment.kind=published", "loop.epochs=1", "loop.val_batches=0"), [folder], root / "run"
        )
    )
    return root / "run", folder


@pytest.fixture
def saved(run):
    return checkpoint.load(run[0])


def arrays(predictions):
    return [*predictions.keypoints_2d.values(), predictions.keypoints_3d_normalized]


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_predictions_have_the_same_bits_for_any_batch(run, saved, batch):
    selection = Selection(folders=[run[1]], split="val")
    first = predict(saved, selection, device="cpu", batch=SAMPLES)
    second = predict(saved, selection, device="cpu", batch=batch)

    assert first.sample_id.tolist() == second.sample_id.tolist()
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_read_out_is_predicted_the_thresholded_one_first(run, saved):
    predictions = predict(saved, Selection(folders=[run[1]], split="val"), device="cpu")

    assert list(predictions.keypoints_2d) == ["thresholded", "expectation", "maximum"]
    assert set(predictions.keypoints_2d) == set(READ_OUTS)
    assert predictions.options["recipe"] == "best-smoke"


def test_predictions_are_source_pixels_of_the_stored_crop(run, saved, monkeypatch):
    """A network that always answers the middle of the map: every keypoint lands in the crop's middle."""
    maps = torch.zeros(32, 21, 32, 32)
    maps[:, :, 16, 8] = 1.0
    monkeypatch.setattr(evaluate, "forward", lambda _n, image, _c: (maps[: len(image)], torch.zeros(len(image), 21, 3)))
    predictions = predict(saved, Selection(folders=[run[1]], split="val"), device="cpu")

    back = apply_affine(crop_affine(predictions.crop_xyxy, 32), predictions.keypoints_2d["maximum"])
    np.testing.assert_allclose(back, np.broadcast_to([8.0, 16.0], back.shape), atol=1e-3)


def test_right_hands_are_predicted_as_shipped(tmp_path, saved):
    """Whatever the model saw, predictions lie in the crop of the picture as shipped."""
    left = made_set(tmp_path / "left", "rhd", train=0, val=4)
    right = made_set(tmp_path / "right", "rhd", train=0, val=4, hand_side=1)
    one, other = (predict(saved, Selection(folders=[f]), device="cpu") for f in (left, right))

    assert not np.allclose(one.keypoints_3d_normalized, other.keypoints_3d_normalized)
    inside = (other.keypoints_2d["maximum"] >= other.crop_xyxy[:, None, :2] - 1) & (
        other.keypoints_2d["maximum"] <= other.crop_xyxy[:, None, 2:]
    )
    assert inside.all()


def test_mirrored_pictures_give_mirrored_predictions(tmp_path, saved, monkeypatch):
    """The same input, told to be a right hand: u is mirrored about the crop, x changes its sign."""
    folder = made_set(tmp_path / "right", "rhd", train=0, val=2, hand_side=1)
    maps = torch.zeros(32, 21, 32, 32)
    maps[:, :, 16, 8] = 1.0
    pose = torch.ones(32, 21, 3)
    monkeypatch.setattr(evaluate, "forward", lambda _n, image, _c: (maps[: len(image)], pose[: len(image)]))
    predictions = predict(saved, Selection(folders=[folder]), device="cpu")

    in_crop = apply_affine(crop_affine(predictions.crop_xyxy, 32), predictions.keypoints_2d["maximum"])
    np.testing.assert_allclose(in_crop, np.broadcast_to([31.0 - 8.0, 16.0], in_crop.shape), atol=1e-3)
    np.testing.assert_allclose(predictions.keypoints_3d_normalized[0, 0], [-1.0, 1.0, 1.0])


def test_a_run_is_scored_into_its_folder(run):
    target, results = evaluate_run(run[0], Selection(folders=[run[1]], split="val"), device="cpu")

    assert target == run[0] / "results.json"
    assert read_results(target) == results
    assert results.sets[0].counts["samples"] == SAMPLES
    assert set(results.sets[0].readouts) == set(READ_OUTS)
    assert len(read_predictions(run[0] / "predictions.h5")) == SAMPLES
    with np.load(run[0] / "mosaic.npz") as mosaic:
        assert mosaic["heatmaps"].shape == (21, 32, 32)
        assert mosaic["image"].dtype == np.uint8


def test_two_kinds_of_evaluation_of_a_run_may_write_its_mosaic_at_once(run):
    with whole(run[0] / "mosaic.npz") as file:
        target, _ = evaluate_run(run[0], Selection(folders=[run[1]], split="val", augmented=True), device="cpu")
        file.write(b"of the other one")

    assert any(one.augmented for one in read_results(target).sets)
    assert (run[0] / "mosaic.npz").read_bytes() == b"of the other one"


def test_scores_agree_with_the_loops_own_validation(run, saved):
    """Two ways to the same error: the loop's in the crop, and the scoring's by source pixels."""
    log = json.loads((run[0] / "log.jsonl").read_text().splitlines()[-1])
    predictions = predict(saved, Selection(folders=[run[1]], split="val"), device="cpu")
    errors = score_predictions(predictions, [run[1]], splits=["val"]).sets[0].errors["all"]

    assert errors["2d"].total_micro == pytest.approx(log["val"]["error_2d"], rel=1e-4)
    assert errors["3d"].total_micro == pytest.approx(log["val"]["error_3d"], rel=1e-4)


def test_augmented_evaluation_is_seeded_and_repeated(run, saved):
    selection = Selection(folders=[run[1]], split="val", augmented=True, repeats=2)
    first, second = (predict(saved, selection, device="cpu", seed=3) for _ in range(2))
    other = predict(saved, selection, device="cpu", seed=4)

    assert len(first) == 2 * SAMPLES
    assert first.truth.repeat.tolist() == [0] * SAMPLES + [1] * SAMPLES
    np.testing.assert_array_equal(first.truth.keypoints_2d_crop, second.truth.keypoints_2d_crop)
    assert not np.array_equal(first.truth.keypoints_2d_crop, other.truth.keypoints_2d_crop)
    assert not np.array_equal(first.truth.keypoints_2d_crop[:SAMPLES], first.truth.keypoints_2d_crop[SAMPLES:])


def test_augmented_evaluation_draws_the_published_augmentation_whatever_the_run_was_trained_with(run, saved):
    """Table 4.6b scores e010, trained without augmentation, and e020, trained with it, on the same drawn views."""
    selection = Selection(folders=[run[1]], split="val", augmented=True, repeats=1)
    trained = {
        kind: replace(saved, config=replace(saved.config, augment=AugmentSetting(kind=kind)))
        for kind in ("none", "published", "strong")
    }
    trained["of its own"] = replace(saved, config=replace(saved.config, augment=AugmentSetting(every={"shift": 0.1})))
    shown = {kind: predict(one, selection, device="cpu", seed=3).truth for kind, one in trained.items()}
    plain = predict(saved, replace(selection, augmented=False), device="cpu")

    for truth in shown.values():
        np.testing.assert_array_equal(truth.keypoints_2d_crop, shown["published"].keypoints_2d_crop)
        np.testing.assert_array_equal(truth.keypoints_3d_normalized, shown["published"].keypoints_3d_normalized)
    labels = open_dataset(run[1], "val")["keypoints_2d"]
    unmoved = to_crop_fractions(labels, plain.crop_xyxy, plain.input_size)
    assert np.abs(shown["none"].keypoints_2d_crop - unmoved).max() > 0.1


def test_a_selection_without_samples_is_one_line(run, saved):
    with pytest.raises(MissingError, match="samples to predict"):
        predict(saved, Selection(folders=[run[1]], sequences=("none",)), device="cpu")
    with pytest.raises(MissingError, match="a split named test"):
        predict(saved, Selection(folders=[run[1]], split="test"), device="cpu")


def test_two_folders_with_a_sample_of_one_name_are_refused_before_anything_is_predicted(run, tmp_path):
    twin = made_set(tmp_path / "twin", "rhd", train=8, val=SAMPLES)

    with pytest.raises(ConfigError, match=r"expected each sample once, got rhd/.* in .*rhd and in .*twin"):
        evaluate_run(run[0], Selection(folders=[run[1], twin], split="val"), device="cpu")


def test_the_command_prints_only_the_kind_it_was_asked_for(run):
    """results.json keeps a plain and an augmented evaluation of one set; each has its own numbers."""
    command = ["--shards", str(run[1]), "--split", "val", "--device", "cpu", "--protocol", "thesis"]
    printed = {}
    for kind in ([], ["--augmented", "--repeats", "2"], []):
        result = CliRunner().invoke(evaluate_command, [str(run[0]), *command, *kind], obj=DataRoot(run[0].parent))
        assert result.exit_code == 0, result.output
        printed[bool(kind)] = result.stdout.splitlines()[:-1]

    stored = {one.augmented: one for one in read_results(run[0] / "results.json").sets}
    assert set(stored) == {False, True}
    for augmented, lines in printed.items():
        value = stored[augmented].protocols["thesis:error_2d"].value
        assert [line for line in lines if not line.startswith(" ")] == lines[:1]
        assert lines[1].split()[:2] == ["thesis:error_2d", f"{value:.4f}"]


def test_a_limited_evaluation_leaves_a_whole_one_as_it_is_and_a_whole_one_replaces_a_limited(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run[0] / "checkpoints", folder / "checkpoints")
    command = [str(folder), "--shards", str(run[1]), "--split", "val", "--device", "cpu"]

    def evaluate_with(*more):
        result = CliRunner().invoke(evaluate_command, [*command, *more], obj=DataRoot(tmp_path))
        assert result.exit_code == 0, result.output
        return result

    def samples(ending=""):
        stored = read_results(folder / f"results{ending}.json")
        assert len(read_predictions(folder / f"predictions{ending}.h5")) == stored.sets[0].counts["samples"]
        return stored.sets[0].counts["samples"], stored.options.get("limit")

    (folder / "results.json").write_text("{")  # a damaged one, which the report says to make again
    evaluate_with("--limit", "3")
    assert samples() == (3, 3)
    evaluate_with()
    assert samples() == (SAMPLES, None)
    result = evaluate_with("--limit", "4")

    assert samples() == (SAMPLES, None)
    assert samples("-limited") == (4, 4)
    assert result.stdout.splitlines()[-1] == str(folder / "results-limited.json")
    assert f"{folder / 'results.json'} keeps the whole evaluation" in result.stderr


def test_sides_are_said_by_families_that_tell_them_apart_whatever_the_labels_say(tmp_path, saved):
    """The same pictures, once labelled as left and once as right hands, are said to be of one side."""
    left, right = (made_set(tmp_path / str(side), "rhd", train=8, val=6, hand_side=side) for side in (0, 1))
    train(job_of(tiny("compact-smoke", "loop.epochs=1", "loop.val_batches=0"), [left], tmp_path / "run"))
    compact = checkpoint.load(tmp_path / "run")
    one, other = (predict(compact, Selection(folders=[f], split="val"), device="cpu") for f in (left, right))
    _, results = evaluate_run(tmp_path / "run", Selection(folders=[right], split="val"), device="cpu")

    np.testing.assert_array_equal(one.hand_side, other.hand_side)
    assert results.sets[0].protocols["side_accuracy"].value == pytest.approx((other.hand_side == 1).mean())
    assert predict(saved, Selection(folders=[left]), device="cpu").hand_side is None


def test_a_hand_is_of_the_side_whose_picture_looks_more_like_a_left_one():
    def said(*rights):
        nothing = torch.zeros(len(rights), 21, 1)
        return Reading(uv_BK2=nothing, xyz_BK3=nothing, confidence_BK=nothing[..., 0], right_B=torch.tensor(rights))

    shown, turned = said(0.2, 0.9, 0.2, 0.9), said(0.7, 0.4, 0.7, 0.4)
    assert evaluate.sides_of(shown, turned, np.array([False, False, True, True])).tolist() == [0, 1, 1, 0]
