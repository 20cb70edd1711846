"""Each named protocol: the definition it claims, on cases computed by hand or by a plain loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handdata.evaluation.comparison import HALFWAY, Comparison
from handdata.evaluation.measure import measure
from handdata.evaluation.protocol import Protocol
from handdata.evaluation.protocols import PROTOCOLS, families
from handdata.evaluation.totals import label_credit, score
from handdata.skeleton import INDEX, LEFT, RIGHT, ROOT, TIPS, WRIST, WRIST_FORMULAS, wrist_from_palm

NAMED = {  # docs/evaluation.md, Protocols
    "thesis", "auc_20_50", "auc_hand3d", "auc_0_50", "auc_0_100", "epe_mm", "pa_mpjpe", "epe_px", "pck_0.2_bbox",
    "auc_0_30_px", "epe_abs_mm", "rigid_mpjpe", "n_mpjpe", "auc_pa_0_50", "f_score", "oks", "box_iou", "side_accuracy",
    "root_depth", "acceleration", "jitter", "interhand", "freihand", "ho3d", "auc_mmpose", "auc_minimal_hand",
}  # fmt: skip


def comparison_of(truth, said, side=0):
    """Full hands in millimetres, (N, 21, 3) each; nothing in 2D."""
    n, nothing = len(truth), np.full((len(truth), 21, 2), np.nan)
    scale = np.linalg.norm(truth[:, WRIST] - truth[:, ROOT], axis=-1)
    return replace(
        comparison(n), prediction_2d=nothing, truth_2d=nothing, annotated_2d=np.zeros((n, 21), bool),
        prediction_normalized=np.full(truth.shape, np.nan), prediction_3d=said, truth_3d=truth, scale_mm=scale,
        truth_normalized=(truth - truth[:, ROOT : ROOT + 1]) / scale[:, None, None],
        hand_side=np.full(n, side, np.uint8),
    )  # fmt: skip


def comparison(n=6, *, seed=0, error_mm=12.0):
    """Full labels; every predicted keypoint but the root is off by `error_mm` in z, and by 9 px in u."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 40, (n, 21, 3)) + np.array([0, 0, 400])
    scale = np.linalg.norm(truth[:, WRIST] - truth[:, ROOT], axis=-1)
    prediction = truth + np.array([0, 0, error_mm])
    prediction[:, ROOT] -= [0, 0, error_mm]
    uv = rng.uniform(100, 300, (n, 21, 2))
    unit = scale[:, None, None]
    return Comparison(
        prediction_2d=uv + np.array([9, 0]), truth_2d=uv, crop_xyxy=np.tile([100.0, 50, 300, 250], (n, 1)),
        box_side=np.full(n, 100.0), prediction_normalized=(prediction - truth[:, ROOT : ROOT + 1]) / unit,
        prediction_3d=prediction, truth_normalized=(truth - truth[:, ROOT : ROOT + 1]) / unit, truth_3d=truth,
        scale_mm=scale, palm_3d=np.full((n, 3), np.nan), annotated_2d=np.ones((n, 21), bool),
        in_crop=np.ones((n, 21), bool), annotated_3d=np.ones((n, 21), bool), visible=np.ones((n, 21), np.int8),
        sequence=np.arange(n) // 2, picture=np.arange(n), hand_side=np.zeros(n, np.uint8), mask_area=np.full(n, np.nan),
        side_is_sure=np.ones(n, bool),
        bbox_xyxy=np.tile([150.0, 100, 250, 200], (n, 1)), prediction_palm_3d=np.full((n, 3), np.nan),
        prediction_box=np.full((n, 4), np.nan), prediction_score=np.full(n, np.nan),
        prediction_side=np.full(n, -1, np.int8),
        wrist_rule=np.full(n, HALFWAY, np.int8), track=np.arange(n) // 2, frame=np.arange(n) % 2,
    )  # fmt: skip


def value(name, comp):
    return score(PROTOCOLS[name], comp).value


def only(comp, slots):
    """Keep the labels of some keypoints only."""
    hidden = ~np.isin(np.arange(21), slots)
    blank = {name: np.where(hidden[:, None], np.nan, getattr(comp, name)) for name in ("truth_2d", "truth_3d")}
    masks = {name: getattr(comp, name) & ~hidden for name in ("annotated_2d", "annotated_3d", "in_crop")}
    whole = not hidden[[WRIST, ROOT]].any()
    normalized = (
        np.where(hidden[:, None], np.nan, comp.truth_normalized) if whole else np.full_like(comp.truth_3d, np.nan)
    )
    scale = comp.scale_mm if whole else np.full(len(comp), np.nan)
    return replace(comp, **blank, **masks, truth_normalized=normalized, scale_mm=scale)


# ------------------------------------------------------------------------------------------------ the table


def test_every_protocol_of_the_specification_is_offered_by_its_name():
    assert set(families()) >= NAMED


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_protocol_says_where_it_is_from_and_what_it_measures(protocol):
    assert protocol.source
    assert protocol.title
    assert ".md" not in protocol.source  # nothing that does not come with handdata
    assert protocol.quantity.endswith("_mm") or protocol.alignment == "none"


@pytest.mark.parametrize("family", families())
def test_every_protocol_is_in_the_page_on_evaluation(family):
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page[page.index("## Protocols") : page.index("### Intervals")]
    for protocol in families()[family]:
        assert f"`{protocol.name}`" in table or f"`{protocol.name.partition(':')[2]}`" in table, protocol.name


@pytest.mark.parametrize(
    "wrong",
    [{"alignment": "umeyama"}, {"tips": "tips"}, {"quantity": "4d"}, {"statistic": "mode"}, {"average": "frames"},
     {"mask": "seen"}, {"hands": "left"}],
)  # fmt: skip
def test_a_protocol_that_names_nothing_known_is_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        replace(PROTOCOLS["epe_mm:mean"], **wrong)


def test_hand3d_keeps_the_last_12_of_20_thresholds_so_20_is_really_21_05():
    thresholds = PROTOCOLS["auc_hand3d"].thresholds
    assert len(thresholds) == 12
    assert thresholds[0] == pytest.approx(8 * 50 / 19)
    assert thresholds[-1] == 50.0


@pytest.mark.parametrize(
    ("name", "count", "ends"),
    [("auc_minimal_hand", 15, (20, 50)), ("auc_0_50", 101, (0, 50)), ("auc_20_50", 2, (20, 50)),
     ("auc_0_100", 2, (0, 100)), ("auc_0_30_px", 2, (0, 30))],
)  # fmt: skip
def test_thresholds_of_the_other_areas(name, count, ends):
    thresholds = PROTOCOLS[name].thresholds
    assert (len(thresholds), (thresholds[0], thresholds[-1])) == (count, ends)


# ------------------------------------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("thesis:error_2d", 9 / 200),  # 9 px of a crop of 200
        ("thesis:error_px", 9.0),
        ("thesis:area_2d", 0.95),  # 9/200 <= t for t = 0.05 .. 0.99, 95 thresholds, times 0.01
        ("epe_px:mean", 9.0),
        ("epe_px:median", 9.0),
        ("pck_0.2_bbox", 1.0),  # 9 <= 0.2 * 100
        ("auc_0_30_px", 0.7),  # (30 - 9) / 30
        ("epe_mm:mean", 12.0 * 20 / 21),  # the root itself is exact
        ("epe_mm:median", 12.0),
        ("epe_mm:mean_gt_scale", 12.0 * 20 / 21),
        ("auc_20_50", 1.0),  # 12 and 0 mm lie below the window
        ("auc_0_100", (20 * 0.88 + 1) / 21),
        ("epe_abs_mm:mean", 12.0 * 20 / 21),
        ("epe_abs_mm:median", 12.0),
        ("auc_0_100:absolute", (20 * 0.88 + 1) / 21),
        ("epe_mm:mean_of_keypoints", 12.0 * 20 / 21),
        ("epe_mm:mean_wrist", 12.0 / 21),  # the wrist is off like all others, so only the middle MCP is wrong
        ("oks", np.exp(-(9**2) / (2 * 100 * 100 * 0.1**2))),  # a box of 100 x 100 px, twice a sigma of 0.05
    ],
)
def test_a_hand_that_is_off_by_9_px_and_12_mm(name, expected):
    assert value(name, comparison()) == pytest.approx(expected, abs=1e-9)


def test_auc_0_50_is_the_trapezoid_of_101_points():
    """20 of 21 distances are 12.25 mm and count from t = 12.5 on: 75 of 100 trapezoids and half of the one before."""
    assert value("auc_0_50", comparison(error_mm=12.25)) == pytest.approx((20 * 75.5 + 100) / 2100, abs=1e-9)


def test_thesis_3d_error_is_in_units_of_wrist_to_middle_mcp():
    comp = comparison()
    expected = np.mean([[0 if k == ROOT else 12.0 / s for k in range(21)] for s in comp.scale_mm])
    assert value("thesis:error_3d", comp) == pytest.approx(expected)


def test_pa_mpjpe_forgives_pose_and_size_in_space():
    comp = comparison(error_mm=0.0)
    turned = replace(comp, prediction_normalized=-3 * comp.prediction_normalized[..., [1, 0, 2]])
    assert value("pa_mpjpe", turned) == pytest.approx(0.0, abs=1e-9)
    assert value("epe_mm:mean_gt_scale", turned) > 50


def test_true_scale_forgives_size_and_the_predicted_scale_does_not():
    comp = comparison(error_mm=0.0)
    shrunk = replace(comp, prediction_3d=comp.prediction_3d * 0.5,
                     prediction_normalized=np.full_like(comp.prediction_normalized, np.nan))  # fmt: skip
    assert value("epe_mm:mean_gt_scale", shrunk) == pytest.approx(0.0, abs=1e-9)
    assert value("epe_mm:mean", shrunk) > 10


# ------------------------------------------------------------------------------------------------ masks and hands


def in_units_of_its_own(comp):
    """Without the millimetres: hand3d scales what has no unit."""
    return replace(comp, prediction_3d=np.full_like(comp.prediction_3d, np.nan))


def test_mmpose_counts_what_lies_below_its_thresholds_and_0_is_one_of_them():
    """10 px lie below 10.5, 12 .. 28.5 px: 13 of 20 thresholds; nothing lies below 0."""
    comp = comparison()
    far, exact = (replace(comp, prediction_2d=comp.truth_2d + np.array([off, 0.0])) for off in (10.0, 0.0))
    assert value("auc_mmpose", far) == pytest.approx(13 / 20)
    assert value("auc_mmpose", exact) == pytest.approx(0.95)


def test_hand3d_leaves_out_occluded_keypoints_and_the_others_do_not():
    comp = comparison(error_mm=0.0)
    visible = comp.visible.copy()
    visible[:, INDEX["thumb_tip"]] = 0
    prediction = comp.prediction_normalized.copy()
    prediction[:, INDEX["thumb_tip"]] += 100
    spoilt = in_units_of_its_own(replace(comp, visible=visible, prediction_normalized=prediction))

    assert value("auc_hand3d", spoilt) == value("auc_hand3d", in_units_of_its_own(comp))
    assert value("auc_20_50", spoilt) == pytest.approx(20 / 21)


def test_hand3d_averages_keypoints_and_not_labels():
    """One keypoint, labelled in one sample of six, is 1 m off: that is 1 of 21 keypoints, 1 of 121 labels."""
    comp = comparison(error_mm=0.0)
    annotated = comp.annotated_3d.copy()
    annotated[1:, 4] = False
    prediction = comp.prediction_normalized.copy()
    prediction[:, 4] += 1000 / comp.scale_mm[:, None]
    spoilt = in_units_of_its_own(replace(comp, annotated_3d=annotated, prediction_normalized=prediction))

    assert value("auc_hand3d", spoilt) == pytest.approx(20 / 21)
    assert value("auc_20_50", spoilt) == pytest.approx(120 / 121)


def test_hand3d_scores_the_dominant_hand_and_says_when_it_had_to_count_keypoints():
    comp = comparison(4, error_mm=0.0)
    prediction = comp.prediction_normalized.copy()
    prediction[1::2, 1:] += 100  # the second hand of each picture is far off, and hidden but for two keypoints
    visible = comp.visible.copy()
    visible[1::2, 2:] = 0
    pairs = replace(comp, prediction_normalized=prediction, visible=visible, picture=np.array([0, 0, 1, 1]),
                    hand_side=np.array([0, 1, 0, 1], np.uint8))  # fmt: skip
    pairs = in_units_of_its_own(pairs)
    counted = score(PROTOCOLS["auc_hand3d"], pairs)
    measured = score(PROTOCOLS["auc_hand3d"], replace(pairs, mask_area=np.array([10.0, 99, 10, 99])))

    assert (counted.value, counted.samples) == (pytest.approx(1.0), 2)
    assert "count of visible keypoints" in counted.note
    assert measured.note == "no interval: labels of 2 sequences, 3 are needed"
    assert measured.value < 1.0


def test_hand3d_takes_millimetres_as_they_are_and_scales_what_has_no_unit():
    """A prediction a fifth too small; hand3d's network answers in units of the first phalanx."""
    comp = comparison(error_mm=0.0)
    small = replace(comp, prediction_3d=comp.prediction_3d * 0.8)
    unitless = in_units_of_its_own(replace(comp, prediction_normalized=comp.prediction_normalized * 0.8))
    far = value("epe_hand3d:mean", small)

    palm = (comp.truth_3d[:, WRIST] + comp.truth_3d[:, ROOT]) / 2
    lengths = np.linalg.norm(comp.truth_3d - palm[:, None], axis=-1)
    lengths[:, WRIST] = 0  # the palm itself
    assert far == pytest.approx(0.2 * lengths.mean())
    assert value("epe_hand3d:mean", unitless) == pytest.approx(0.0, abs=1e-9)
    only_mm = replace(small, prediction_normalized=np.full_like(comp.prediction_normalized, np.nan))
    assert value("auc_hand3d:rescaled", only_mm) == pytest.approx(1.0)
    assert value("auc_hand3d", only_mm) < 1.0


def test_hand3d_scores_the_palm_itself_on_stereo():
    comp = only(comparison(error_mm=0.0), [k for k in range(21) if k != WRIST])
    palm = comp.truth_3d[:, ROOT] + [0.0, 25.0, 0.0]
    stereo = replace(comp, palm_3d=palm)
    with_palm = measure(PROTOCOLS["auc_hand3d"], stereo)

    assert score(PROTOCOLS["auc_hand3d"], comp).missing == "the root of the alignment, the palm, is not labelled"
    assert np.isfinite(with_palm[:, WRIST]).all()
    exact = measure(PROTOCOLS["auc_hand3d"], replace(stereo, prediction_palm_3d=palm))
    np.testing.assert_allclose(exact, np.zeros((6, 21)), atol=1e-9)


@pytest.mark.parametrize("formula", WRIST_FORMULAS)
def test_a_wrist_that_was_extrapolated_from_a_palm_gives_that_palm_back(formula):
    comp = comparison(error_mm=0.0)
    palm = comp.truth_3d[:, ROOT] + [5.0, 25.0, 0.0]
    xyz = comp.truth_3d.copy()
    xyz[:, WRIST] = wrist_from_palm(xyz, palm, formula)
    rule = np.full(len(comp), list(WRIST_FORMULAS).index(formula), np.int8)
    stereo = replace(comp, truth_3d=xyz, prediction_3d=xyz, palm_3d=palm, wrist_rule=rule)
    assert value("epe_hand3d:mean", stereo) == pytest.approx(0.0, abs=1e-9)


def test_hand3d_makes_the_palm_of_rhd_halfway_between_wrist_and_middle_mcp():
    """One labelled point is off by 30 mm; it is the wrist, and so the palm is off by 15, and every point with it."""
    comp = comparison(error_mm=0.0)
    prediction = comp.prediction_3d.copy()
    prediction[:, WRIST] += [0.0, 0.0, 30.0]
    off = measure(PROTOCOLS["auc_hand3d"], replace(comp, prediction_3d=prediction))
    np.testing.assert_allclose(off, np.where(np.arange(21) == WRIST, 0.0, 15.0) * np.ones((6, 1)), atol=1e-9)


def test_the_palm_is_occluded_where_wrist_and_middle_mcp_are():
    comp = comparison()
    visible = comp.visible.copy()
    visible[0, WRIST] = visible[1, [WRIST, ROOT]] = 0
    labelled = np.isfinite(measure(PROTOCOLS["auc_hand3d"], replace(comp, visible=visible)))
    assert labelled[:, WRIST].tolist() == [True, False, True, True, True, True]


def test_fingertips_alone_are_scored_by_centroid_and_radius_only():
    comp = only(comparison(error_mm=0.0), TIPS)
    assert value("auc_minimal_hand", comp) == pytest.approx(1.0)
    assert score(PROTOCOLS["auc_20_50"], comp).missing == "the root of the alignment, middle_mcp, is not labelled"
    assert score(PROTOCOLS["thesis:error_3d"], comp).missing.startswith("no normalised 3D label")


def test_minimal_hand_packs_the_labelled_tips_of_a_frame_before_it_averages():
    """Two frames: four tips that are right, and the little finger's, which is not; and two tips, both right.

    By finger the little one is wrong in its only frame: 4 of 5 fingers are right. By place the wrong one is the only
    fifth tip there is: 4 of 5 again. Take the index tip of the first frame away: the wrong one is its fourth tip.
    """
    comp = only(comparison(2, error_mm=0.0), TIPS)
    annotated = comp.annotated_3d.copy()
    annotated[1] = False
    annotated[1, [INDEX["thumb_tip"], INDEX["index_tip"]]] = True
    annotated[0, INDEX["index_tip"]] = False
    spoilt = replace(comp, annotated_3d=annotated)
    credit = label_credit(PROTOCOLS["auc_minimal_hand"].on_tips(), np.where(annotated, 0.0, np.nan))

    assert np.isfinite(credit).sum(0).tolist() == [2, 2, 1, 1, *[0] * 17]
    assert score(PROTOCOLS["auc_minimal_hand"], spoilt).labels == 6


def test_dexter_gets_the_window_0_to_100_by_the_tips_own_alignment_and_says_so():
    comp = only(comparison(error_mm=0.0), TIPS)
    found = score(PROTOCOLS["auc_0_100"], replace(comp, prediction_3d=comp.prediction_3d + 7.0))
    moved = replace(comp, prediction_3d=comp.prediction_3d + np.array([7.0, 0, 0]))
    absolute = score(PROTOCOLS["auc_0_100:absolute"], moved)

    assert found.value == pytest.approx(1.0)
    assert found.note.startswith("fingertips alone, laid on their centroid and mean radius; no interval")
    assert absolute.value == pytest.approx(0.93)
    assert absolute.note == ""


def test_minimal_hand_drops_frames_with_fewer_than_two_tips():
    comp = only(comparison(error_mm=0.0), TIPS)
    annotated = comp.annotated_3d.copy()
    annotated[0, list(TIPS)[1:]] = False
    assert score(PROTOCOLS["auc_minimal_hand"], replace(comp, annotated_3d=annotated)).samples == len(comp) - 1


def test_the_thesis_drops_fingertips_outside_the_crop_and_keeps_full_hands_whole():
    comp = comparison()
    outside = comp.in_crop.copy()
    outside[:, INDEX["index_tip"]] = False
    assert score(PROTOCOLS["thesis:error_2d"], replace(comp, in_crop=outside)).labels == 6 * 21
    tips = only(replace(comp, in_crop=outside), TIPS)
    assert score(PROTOCOLS["thesis:error_2d"], tips).labels == 6 * 4
    assert score(PROTOCOLS["epe_px:mean"], tips).labels == 6 * 5


# ------------------------------------------------------------------------------------------------ what is not there


def test_a_label_without_a_prediction_is_wrong_in_an_area_and_counted():
    comp = comparison()
    prediction = comp.prediction_2d.copy()
    prediction[0] = np.nan
    result = score(PROTOCOLS["auc_0_30_px"], replace(comp, prediction_2d=prediction))
    assert result.value == pytest.approx(0.7 * 5 / 6)
    assert (result.labels, result.unpredicted) == (126, 21)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("epe_mm:mean", "the predictions hold no 3D"),
        ("pa_mpjpe", "the predictions hold no 3D"),
        ("epe_px:mean", "the predictions hold no 2D"),
    ],
)
def test_a_number_that_cannot_be_had_is_named_as_missing(name, missing):
    nothing = {key: np.full_like(getattr(comparison(), key), np.nan)
               for key in ("prediction_2d", "prediction_3d", "prediction_normalized")}  # fmt: skip
    result = score(PROTOCOLS[name], replace(comparison(), **nothing))
    assert (result.value, result.low, result.missing) == (None, None, missing)


@pytest.mark.parametrize(
    ("name", "kept", "missing"),
    [
        ("epe_px:mean", "prediction_2d", "the predictions hold 2D of no labelled keypoint"),
        ("auc_hand3d", "prediction_3d", "the predictions hold too few labelled keypoints in 3D"),
        ("thesis:error_3d", "prediction_3d", "the predictions hold no normalised 3D, only millimetres"),
        ("epe_mm:mean", "prediction_normalized", "the predictions hold no millimetres, only normalised 3D"),
    ],
)
def test_predictions_of_other_points_or_units_are_told_from_none(name, kept, missing):
    """Only the little finger's tip is predicted, and labelled are the others."""
    tip = np.arange(21) == INDEX["little_tip"]
    some = {key: np.where(tip[:, None] & (key == kept), getattr(comparison(), key), np.nan)
            for key in ("prediction_2d", "prediction_3d", "prediction_normalized")}  # fmt: skip
    result = score(PROTOCOLS[name], only(replace(comparison(), **some), np.flatnonzero(~tip)))
    assert (result.value, result.missing) == (None, missing)


def test_intervals_are_over_sequences_and_absent_for_one():
    rng = np.random.default_rng(5)
    comp = comparison(12)
    noisy = replace(comp, prediction_2d=comp.prediction_2d + rng.normal(0, 5, comp.prediction_2d.shape))
    result = score(PROTOCOLS["epe_px:mean"], noisy)
    alone = score(PROTOCOLS["epe_px:mean"], replace(noisy, sequence=np.zeros(12, np.int64)))

    assert result.low < result.value < result.high
    assert result.sequences == 6
    assert (alone.low, alone.high) == (None, None)


def test_interhand_averages_left_and_right_hands_apart_and_tells_single_from_interacting():
    """Five right hands are 10 mm off, one left hand 40: its 21 means count as much as theirs."""
    off = np.array([10.0, 10, 10, 10, 10, 40])
    hands = comparison(6)
    said = hands.truth_3d + np.array([0, 0, 1.0]) * off[:, None, None]
    said[:, WRIST] = hands.truth_3d[:, WRIST]
    sides = np.array([RIGHT] * 5 + [LEFT], np.uint8)
    hands = replace(hands, prediction_3d=said, hand_side=sides, picture=np.array([0, 1, 2, 3, 4, 4]))
    share = 20 / 21  # of the keypoints: the wrist is laid on its truth

    assert value("interhand:mpjpe", hands) == pytest.approx(25 * share)
    assert value("interhand:mpjpe_single", hands) == pytest.approx(10 * share)
    assert value("interhand:mpjpe_interacting", hands) == pytest.approx(25 * share)
    assert value("ho3d:root", hands) == pytest.approx(15 * share)  # one list per keypoint
    alone = score(PROTOCOLS["interhand:mpjpe_interacting"], comparison(4))
    assert (alone.value, alone.missing) == (None, "no picture with both hands labelled")


def test_a_side_that_the_set_does_not_vouch_for_is_not_scored():
    hands = replace(comparison(4), prediction_side=np.array([0, 1, 1, 1], np.int8))

    assert value("side_accuracy", hands) == 0.25
    assert value("side_accuracy", replace(hands, side_is_sure=np.array([True, True, False, False]))) == 0.5


def test_a_protocol_of_ones_own_needs_one_row():
    mine = Protocol(name="pck_5px", title="Share within 5 px", quantity="2d_px", statistic="share", thresholds=(5.0,),
                    source="this test")  # fmt: skip
    assert score(mine, comparison()).value == 0.0


@pytest.mark.parametrize("name", ["epe_mm:mean_wrist", "interhand:mpjpe", "ho3d:root", "dexycb:root_auc"])
def test_a_root_that_alone_is_labelled_scores_nothing(name):
    """HO-3D's evaluation gives wrists alone: laid on its truth a wrist is right whatever was predicted."""
    found = score(PROTOCOLS[name], only(comparison(4), [WRIST]))

    assert found.value is None
    assert found.missing == "nothing but the root of the alignment, wrist, is labelled"
