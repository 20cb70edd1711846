"""Predictions joined with shards and summed up: every number of results.json against a plain computation."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from handdata.errors import ConfigError, DataError
from handdata.evaluation.predictions import AugmentedTruth, Predictions
from handdata.evaluation.results import keep_other_kind, read_results, results_json
from handdata.evaluation.score import score_predictions
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS, ROOT, WRIST
from tests.made_runs import made_predictions, made_shards
from tests.resealed import reseal


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """SynthHands-like: 24 full hands of four sequences, every third a right one, every fifth on an exclusion list."""
    folder = tmp_path_factory.mktemp("shards") / "synthhands"
    return open_dataset(made_shards(folder, "synthhands", right_every=3, excluded_every=5))


@pytest.fixture(scope="module")
def tips(tmp_path_factory):
    return open_dataset(made_shards(tmp_path_factory.mktemp("shards") / "dexter", "dexter", tips_only=True))


def scored(dataset, predictions=None, **options):
    return score_predictions(predictions or made_predictions([dataset]), [dataset.folder], **options).sets[0]


def pixel_errors(dataset, predictions):
    uv = dataset["keypoints_2d"].astype(float)
    return np.sqrt(((predictions.keypoints_2d["expectation"].astype(float) - uv) ** 2).sum(-1))


def test_totals_and_keypoints_are_plain_means(full):
    predictions = made_predictions([full])
    result = scored(full, predictions)
    pixels = pixel_errors(full, predictions)
    crop = full["crop_xyxy"].astype(float)
    fractions = pixels / (crop[:, 2] - crop[:, 0])[:, None]

    assert result.errors["all"]["2d_px"].total_micro == pytest.approx(pixels.mean())
    np.testing.assert_allclose(result.errors["all"]["2d"].keypoint, fractions.mean(0))
    assert result.errors["all"]["2d"].groups["wrist"] == pytest.approx(fractions[:, 0].mean())
    assert result.protocols["thesis:error_2d"].value == pytest.approx(fractions.mean())


def test_millimetres_are_normalised_predictions_at_the_true_scale(full):
    predictions = made_predictions([full])
    pose, scale = predictions.keypoints_3d_normalized.astype(float), full["scale_mm"].astype(float)
    truth = full["keypoints_3d"].astype(float)
    ours = (pose - pose[:, ROOT : ROOT + 1]) * scale[:, None, None]
    errors = np.linalg.norm(ours - (truth - truth[:, ROOT : ROOT + 1]), axis=-1)
    assert scored(full, predictions).errors["all"]["3d_mm"].total_micro == pytest.approx(errors.mean())


@pytest.mark.parametrize(
    ("subset", "field", "wanted"),
    [("object", "has_object", 1), ("no_object", "has_object", 0), ("left", "hand_side", 0), ("right", "hand_side", 1)],
)
def test_subsets_of_samples(full, subset, field, wanted):
    predictions = made_predictions([full])
    rows = full[field] == wanted
    expected = pixel_errors(full, predictions)[rows].mean()
    assert scored(full, predictions).errors[subset]["2d_px"].total_micro == pytest.approx(expected)


@pytest.mark.parametrize(("subset", "wanted"), [("visible", 1), ("occluded", 0)])
def test_subsets_of_labels(full, subset, wanted):
    predictions = made_predictions([full])
    expected = pixel_errors(full, predictions)[full["visible"] == wanted].mean()
    assert scored(full, predictions).errors[subset]["2d_px"].total_micro == pytest.approx(expected)


def test_3d_is_also_scored_without_its_origin(full):
    errors = scored(full).errors
    assert errors["without_middle_mcp"]["3d"].keypoint[ROOT] is None
    others = [error for k, error in enumerate(errors["all"]["3d"].keypoint) if k != ROOT]
    assert errors["without_middle_mcp"]["3d"].total_macro == pytest.approx(np.mean(others))


def test_each_sequence_has_its_own_numbers(full):
    predictions = made_predictions([full])
    result = scored(full, predictions)
    rows = full["sequence"] == "S2"
    expected = pixel_errors(full, predictions)[rows].mean()

    assert result.sequences["S2"]["2d_px"] == pytest.approx(expected)
    assert result.errors["sequence:S2"]["2d_px"].total_micro == pytest.approx(expected)
    assert sum(one["samples"] for one in result.sequences.values()) == len(full)


def test_numbers_come_with_and_without_the_exclusion_list(full):
    predictions = made_predictions([full])
    result = scored(full, predictions)
    kept = pixel_errors(full, predictions)[(full["flags"] & 1) == 0]

    assert result.counts["on_exclusion_list"] == 5
    assert result.protocols_without_excluded["epe_px:mean"].value == pytest.approx(kept.mean())
    assert result.protocols_without_excluded["epe_px:mean"].value != result.protocols["epe_px:mean"].value


def test_a_set_without_an_exclusion_list_has_no_second_column(tips):
    assert scored(tips).protocols_without_excluded == {}


def test_fingertips_alone_leave_the_other_groups_empty(tips):
    errors = scored(tips).errors["all"]["2d"]
    assert errors.groups["wrist"] is None
    assert errors.groups["joint:MCP"] is None
    assert errors.groups["joint:fingertip"] == pytest.approx(errors.total_macro)
    assert scored(tips).errors["all"]["3d"].total_micro is None


def test_a_tip_beyond_the_picture_is_absent_for_the_thesis_though_the_crop_reaches_there(tmp_path):
    """docs/method.md 3.4, steps 2 and 8."""
    folder = made_shards(tmp_path / "dexter", "dexter", tips_only=True)
    before = scored(open_dataset(folder))
    tip = KEYPOINTS.index("thumb_tip")
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path, "r+") as file:
            in_frame = file["in_frame"][:]
            in_frame[:, tip] = False
            file["in_frame"][...] = in_frame
    reseal(folder)
    after = scored(open_dataset(folder))

    labels, samples = before.protocols["thesis:error_2d"].labels, before.counts["samples"]
    assert after.protocols["thesis:error_2d"].labels == labels - samples
    assert after.counts["labels_2d_outside_crop"] == before.counts["labels_2d_outside_crop"] + samples
    assert after.errors["all"]["2d"].labels[tip] == 0


def test_both_totals_are_given_and_differ_when_labels_are_uneven_e16(full):
    predictions = made_predictions([full])
    pixels = predictions.keypoints_2d["expectation"].copy()
    pixels[1:, WRIST] = np.nan
    pixels[0, WRIST] += 500
    errors = scored(full, replace(predictions, keypoints_2d={"expectation": pixels})).errors["all"]["2d_px"]
    assert errors.total_macro > errors.total_micro + 10


def test_every_readout_is_scored_and_one_is_used_for_the_tables(full):
    result = score_predictions(made_predictions([full]), [full.folder])
    assert set(result.sets[0].readouts) == {"expectation", "maximum"}
    assert result.readout == "expectation"
    other = score_predictions(made_predictions([full]), [full.folder], readout="maximum")
    assert other.sets[0].errors["all"]["2d"] == result.sets[0].readouts["maximum"]["2d"]
    with pytest.raises(ConfigError, match="expected one of expectation, maximum, got median"):
        scored(full, readout="median")


def test_the_result_does_not_depend_on_the_order_of_the_predictions(full):
    predictions = made_predictions([full])
    order = np.random.default_rng(9).permutation(len(predictions))
    shuffled = Predictions(
        dataset=predictions.dataset[order],
        sample_id=predictions.sample_id[order],
        keypoints_2d={name: points[order] for name, points in predictions.keypoints_2d.items()},
        crop_xyxy=predictions.crop_xyxy[order],
        input_size=predictions.input_size,
        keypoints_3d_normalized=predictions.keypoints_3d_normalized[order],
    )
    assert scored(full, shuffled) == scored(full, predictions)


def test_samples_without_a_prediction_are_counted_and_wrong_in_every_area(full):
    predictions = made_predictions([full])
    half = replace(
        predictions, dataset=predictions.dataset[:12], sample_id=predictions.sample_id[:12],
        keypoints_2d={"expectation": predictions.keypoints_2d["expectation"][:12]},
        crop_xyxy=predictions.crop_xyxy[:12], keypoints_3d_normalized=predictions.keypoints_3d_normalized[:12],
    )  # fmt: skip
    result = scored(full, half)
    assert result.counts["without_prediction"] == 12
    assert result.protocols["pck_0.2_bbox"].value <= 0.5
    assert result.protocols["pck_0.2_bbox"].unpredicted == 12 * 21


def test_predictions_of_a_selection_are_scored_on_that_selection(full):
    predictions = made_predictions([full])
    half = replace(
        predictions, dataset=predictions.dataset[:12], sample_id=predictions.sample_id[:12],
        keypoints_2d={"expectation": predictions.keypoints_2d["expectation"][:12]},
        crop_xyxy=predictions.crop_xyxy[:12], keypoints_3d_normalized=predictions.keypoints_3d_normalized[:12],
    )  # fmt: skip
    result = scored(full, half, whole=False)
    assert result.counts["samples"] == 12
    assert result.protocols["pck_0.2_bbox"].unpredicted == 0


def test_the_thesis_protocol_and_its_tables_keep_the_published_readout(full):
    predictions = made_predictions([full])
    two = {name: predictions.keypoints_2d[name] for name in ("maximum", "expectation")}
    result = score_predictions(replace(predictions, keypoints_2d=two), [full.folder])
    errors, readouts = result.sets[0].errors["all"], result.sets[0].readouts

    assert result.readout == "maximum"
    assert errors["2d"] == readouts["maximum"]["2d"]
    assert errors["2d_published"] == readouts["expectation"]["2d"]
    assert result.sets[0].protocols["thesis:error_2d"].value == pytest.approx(errors["2d_published"].total_micro)
    assert result.sets[0].protocols["epe_px:mean"].value == pytest.approx(errors["2d_px"].total_micro)


def test_plain_and_augmented_sets_of_the_same_weights_stand_side_by_side(full):
    plain = score_predictions(made_predictions([full], options={"epoch": 3}), [full.folder])
    plain = replace(plain, predictions="predictions.h5")
    augmented = replace(plain, sets=(replace(plain.sets[0], augmented=True),), predictions="predictions-augmented.h5")
    later = replace(augmented, options={"epoch": 4})

    assert [one.augmented for one in keep_other_kind(augmented, plain).sets] == [True, False]
    assert [one.augmented for one in keep_other_kind(plain, plain).sets] == [False]
    assert [one.augmented for one in keep_other_kind(later, plain).sets] == [True]
    assert keep_other_kind(plain, None) == plain
    for both in (keep_other_kind(augmented, plain), keep_other_kind(plain, augmented)):
        assert both.predictions == "predictions.h5"  # of the hands as stored, which `browse --errors` shows
    assert keep_other_kind(augmented, augmented).predictions == "predictions-augmented.h5"


def test_the_baseline_is_the_mean_pose_of_the_set(full):
    crop = full["crop_xyxy"].astype(float)
    side = (crop[:, 2] - crop[:, 0])[:, None, None]
    fractions = (full["keypoints_2d"] - crop[:, None, :2]) / side
    expected = np.linalg.norm(fractions - fractions.mean(0), axis=-1).mean()
    assert scored(full).baseline["2d"] == pytest.approx(expected, rel=1e-5)


def test_the_gallery_names_best_and_worst_by_3d_error(full):
    predictions = made_predictions([full])
    pose = full["keypoints_3d_normalized"].astype(float)
    errors = np.linalg.norm(predictions.keypoints_3d_normalized - pose, axis=-1).mean(1)
    gallery = scored(full, predictions).gallery
    ids = [value.decode() for value in full["sample_id"]]

    assert [item.kind for item in gallery] == ["best"] * 4 + ["median"] * 4 + ["worst"] * 4
    assert gallery[0].sample_id == ids[int(errors.argmin())]
    assert gallery[8].sample_id == ids[int(errors.argmax())]


def test_an_augmented_evaluation_is_scored_against_its_own_labels_with_the_spread_of_its_repeats_e17(full):
    predictions = made_predictions([full])
    fractions = np.random.default_rng(0).uniform(0.2, 0.8, (24, 21, 2)).astype(np.float32)
    side = (predictions.crop_xyxy[:, 2] - predictions.crop_xyxy[:, 0])[:, None, None]
    truth = AugmentedTruth(
        keypoints_2d_crop=fractions, keypoints_3d_normalized=predictions.keypoints_3d_normalized,
        annotated_2d=np.ones((24, 21), bool), repeat=np.arange(24, dtype=np.int32) % 2,
    )  # fmt: skip
    shown = (fractions + 0.5 / 64) * side + predictions.crop_xyxy[:, None, :2] - 0.5
    shown[truth.repeat == 1] += 0.1 * side[truth.repeat == 1] * [1.0, 0.0]
    result = scored(full, replace(predictions, keypoints_2d={"expectation": shown.astype(np.float32)}, truth=truth))

    assert (result.augmented, result.repeats) == (True, 2)
    np.testing.assert_allclose(result.spread["2d"], [0.0, 0.1], atol=1e-5)
    assert result.protocols["thesis:error_3d"].value == pytest.approx(0.0)
    assert set(result.protocols) == {name for name in result.protocols if name.startswith("thesis")}


@pytest.mark.parametrize(
    ("sequences", "note"),
    [
        (["S1"], "no interval: labels of 1 sequence, 3 are needed"),
        (["S1", "S2"], "no interval: labels of 2 sequences, 3 are needed"),
        (["S1", "S2", "S3"], ""),
    ],
)
def test_a_number_without_an_interval_says_why(full, sequences, note):
    chosen = made_predictions([full.where(sequence=sequences)])
    results = score_predictions(chosen, [full.folder], protocols=["epe_px", "oks_ap"])
    table = results.to_pandas().loc["synthhands"].droplevel("split")

    assert table.note["epe_px:mean"] == note
    assert np.isnan(table.low["epe_px:mean"]) == bool(note)
    assert table.note["oks_ap:50"] == "no interval: a number of the whole set at once"


def test_only_the_protocols_asked_for_are_scored(full):
    assert set(scored(full, protocols=["pa_mpjpe", "epe_px"]).protocols) == {
        "pa_mpjpe",
        *(f"epe_px:{name}" for name in ("mean", "median", "mean_of_keypoints")),
    }


def test_results_round_trip(full, tips, tmp_path):
    results = score_predictions(made_predictions([full, tips]), [full.folder, tips.folder])
    (tmp_path / "results.json").write_bytes(results_json(results))
    assert read_results(tmp_path / "results.json") == results


def test_an_unknown_protocol_is_named_with_the_known_ones(full):
    with pytest.raises(ConfigError, match=r"expected one of thesis, auc_20_50, .* got auc_20_60"):
        scored(full, protocols=["auc_20_60"])


def test_predictions_of_another_dataset_are_refused(full, tips):
    with pytest.raises(DataError, match="got other ids, such as"):
        score_predictions(made_predictions([tips]), [full.folder])


def test_a_damaged_results_file_is_told_in_one_line(tmp_path):
    (tmp_path / "results.json").write_text('{"schema": "handdata-results/0"}')
    with pytest.raises(DataError, match="expected schema handdata-results/1, got handdata-results/0"):
        read_results(tmp_path / "results.json")
