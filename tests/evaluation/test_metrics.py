"""Distances, groups, curves, areas and intervals: the author's own outputs, hand calculation, brute force."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handdata.evaluation import metrics
from handdata.skeleton import INDEX

EXACT = {"rtol": 0, "atol": 1e-9}
FLOAT32 = {"rtol": 0, "atol": 1e-6}  # what the golden files were stored in


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())["metrics"]


def golden_distances(golden, dimension, mask=None):
    prediction, truth = (np.array(golden[f"{kind}_{dimension}"]) for kind in ("pred", "gt"))
    return metrics.distances(prediction, truth, np.ones(truth.shape[:2], bool) if mask is None else mask)


# ------------------------------------------------------------------------------------------------ the author's outputs


@pytest.mark.parametrize("dimension", ["2d", "3d"])
def test_keypoint_error_and_total_are_the_authors(golden, dimension):
    distances = golden_distances(golden, dimension)
    keypoint, _ = metrics.keypoint_means(distances)
    full = golden["full"]

    np.testing.assert_allclose(keypoint, full[f"error_keypoint_{dimension}"], **FLOAT32)
    np.testing.assert_allclose(metrics.macro_mean(keypoint), full[f"error_total_{dimension}"], **FLOAT32)
    np.testing.assert_allclose(metrics.micro_mean(distances), full[f"error_total_{dimension}"], **FLOAT32)


@pytest.mark.parametrize("dimension", ["2d", "3d"])
def test_threshold_curve_and_area_are_the_authors(golden, dimension):
    distances = golden_distances(golden, dimension)
    curve = metrics.accuracy_curve(distances, metrics.THESIS_THRESHOLDS)

    np.testing.assert_allclose(curve, golden["full"][f"acc_{dimension}"], **EXACT)
    np.testing.assert_allclose(curve.sum() * 0.01, golden["full"][f"area_{dimension}"], **EXACT)
    credit = metrics.grid_credit(distances, metrics.THESIS_THRESHOLDS, np.full(100, 0.01))
    np.testing.assert_allclose(metrics.micro_mean(credit), golden["full"][f"area_{dimension}"], **EXACT)


def test_partial_labels_count_and_average_as_the_authors(golden):
    distances = golden_distances(golden, "2d", np.array(golden["present"], bool))
    keypoint, labels = metrics.keypoint_means(distances)
    masked = golden["masked_2d"]

    np.testing.assert_array_equal(labels, masked["present_count"])
    np.testing.assert_allclose(np.nansum(distances, 0), masked["error_sum"], **FLOAT32)
    np.testing.assert_allclose(keypoint, masked["error_keypoint"], **FLOAT32)
    np.testing.assert_allclose(metrics.micro_mean(distances), masked["error_total"], **FLOAT32)


def test_thresholds_are_the_floats_of_the_authors_files(shared):
    stored = json.loads((shared / "golden" / "e010__synth_hands_all_valuation.json").read_text())["thres_range"]
    assert metrics.THESIS_THRESHOLDS.tolist() == stored


# ------------------------------------------------------------------------------------------------ by hand


def test_distance_of_a_3_4_5_triangle_is_5():
    prediction = np.zeros((1, 21, 2))
    truth = np.full((1, 21, 2), [3.0, 4.0])
    np.testing.assert_array_equal(metrics.distances(prediction, truth, np.ones((1, 21), bool)), np.full((1, 21), 5.0))


def test_an_absent_label_enters_no_mean_and_a_missing_prediction_no_mean_but_every_share_e14():
    truth = np.zeros((1, 3, 2))
    prediction = np.array([[[0.0, 1.0], [np.nan, np.nan], [0.0, 9.0]]])
    distances = metrics.distances(prediction, truth, np.array([[True, True, False]]))

    np.testing.assert_array_equal(distances, [[1.0, np.inf, np.nan]])
    assert metrics.micro_mean(distances) == 1.0
    assert metrics.accuracy_curve(distances, [0.5, 1.0]).tolist() == [0.0, 0.5]
    assert metrics.micro_mean(metrics.window_credit(distances, 0.0, 2.0)) == 0.25


def test_macro_and_micro_totals_differ_when_labels_are_uneven():
    distances = np.array([[1.0, 3.0], [1.0, np.nan], [1.0, np.nan]])
    assert metrics.macro_mean(metrics.keypoint_means(distances)[0]) == 2.0
    assert metrics.micro_mean(distances) == 1.5


def test_groups_average_keypoints_and_skip_unlabelled_ones():
    keypoint = np.full(21, np.nan)
    keypoint[INDEX["thumb_tip"]], keypoint[INDEX["index_tip"]] = 0.2, 0.4
    groups = metrics.group_means(keypoint)

    assert groups["joint:fingertip"] == pytest.approx(0.3)
    assert groups["finger:thumb"] == 0.2
    assert np.isnan(groups["wrist"])
    assert np.isnan(groups["joint:MCP"])


def test_every_keypoint_is_in_one_joint_group_and_one_finger_group_or_is_the_wrist():
    for prefix in ("joint:", "finger:"):
        members = [k for name, indices in metrics.GROUPS.items() if name.startswith(prefix) for k in indices]
        assert sorted([*members, *metrics.GROUPS["wrist"]]) == list(range(21))


def test_root_mean_square_of_3_and_4_is_sqrt_12_5():
    assert metrics.root_mean_square(np.array([[3.0, 4.0]])) == pytest.approx(np.sqrt(12.5))


def test_pooled_and_per_keypoint_curves_differ_when_labels_are_uneven():
    distances = np.array([[1.0, 9.0], [1.0, np.nan], [1.0, np.nan]])
    assert metrics.accuracy_curve(distances, [5.0]).tolist() == [0.75]
    assert keypoint_curve(distances, [5.0]).tolist() == [0.5]


def test_a_distance_of_30_covers_two_thirds_of_the_window_20_to_50():
    credit = metrics.window_credit(np.array([[10.0, 30.0, 60.0]]), 20.0, 50.0)
    np.testing.assert_allclose(credit, [[1.0, 2 / 3, 0.0]])


def test_bone_ratios_of_a_stretched_hand_do_not_change():
    rng = np.random.default_rng(0)
    hands = np.repeat(rng.normal(size=(1, 21, 3)), 5, 0) * np.arange(1.0, 6.0)[:, None, None]
    first = metrics.bone_lengths(hands[:1])[0]
    np.testing.assert_allclose(metrics.bone_ratios(hands), first / first[9], rtol=1e-12)  # bone 9: middle MCP to PIP


# ------------------------------------------------------------------------------------------------ brute force


def keypoint_curve(distances, thresholds):
    """The mean of each keypoint's own PCK curve, keypoints without labels left out."""
    columns = [column[~np.isnan(column)] for column in distances.T]
    return np.mean([[(column <= t).mean() for t in thresholds] for column in columns if column.size], axis=0)


def trapezoid(curve, thresholds):
    return np.trapezoid(curve, thresholds) / (thresholds[-1] - thresholds[0])


def uneven_distances(seed=0, n=40):
    rng = np.random.default_rng(seed)
    distances = rng.gamma(2.0, 15.0, (n, 21))
    distances[rng.random((n, 21)) < 0.3] = np.nan
    distances[rng.random((n, 21)) < 0.02] = np.inf
    return distances


GRIDS = [np.linspace(0, 50, 20)[8:], np.linspace(20, 50, 15), np.linspace(0, 50, 101)]


@pytest.mark.parametrize("grid", GRIDS, ids=["hand3d", "minimal_hand", "toolkit"])
def test_mean_credit_of_a_grid_is_the_trapezoid_area_under_its_curve(grid):
    distances = uneven_distances()
    labels = [d for d in distances.ravel() if not np.isnan(d)]
    curve = [sum(d <= t for d in labels) / len(labels) for t in grid]
    area = sum((curve[i] + curve[i + 1]) / 2 * (grid[i + 1] - grid[i]) for i in range(len(grid) - 1)) / (
        grid[-1] - grid[0]
    )
    credit = metrics.grid_credit(distances, grid, metrics.trapezoid_weights(grid))

    assert metrics.micro_mean(credit) == pytest.approx(area, abs=1e-12)
    assert trapezoid(metrics.accuracy_curve(distances, grid), grid) == pytest.approx(area, abs=1e-12)


def test_mean_keypoint_credit_is_the_area_under_the_mean_of_keypoint_curves():
    distances, grid = uneven_distances(1), np.linspace(0, 50, 20)[8:]
    credit = metrics.grid_credit(distances, grid, metrics.trapezoid_weights(grid))
    curve = keypoint_curve(distances, grid)
    assert metrics.macro_mean(metrics.keypoint_means(credit)[0]) == pytest.approx(trapezoid(curve, grid))


def test_exact_window_is_the_limit_of_ever_finer_grids():
    distances = uneven_distances(2)
    exact = metrics.micro_mean(metrics.window_credit(distances, 20.0, 50.0))
    fine = np.linspace(20.0, 50.0, 300_001)
    assert trapezoid(metrics.accuracy_curve(distances, fine), fine) == pytest.approx(exact, abs=1e-5)


@given(arrays(np.float64, (4, 21), elements=st.floats(0, 1e3)))
def test_accuracy_rises_with_the_threshold(distances):
    assert (np.diff(metrics.accuracy_curve(distances, np.linspace(0, 1e3, 50))) >= 0).all()


@given(arrays(np.float64, (3, 21, 3), elements=st.floats(-1e3, 1e3)))
def test_distance_is_zero_for_equal_points_and_symmetric(points):
    mask, other = np.ones((3, 21), bool), points[::-1]
    assert not metrics.distances(points, points, mask).any()
    np.testing.assert_array_equal(metrics.distances(points, other, mask), metrics.distances(other, points, mask))


# ------------------------------------------------------------------------------------------------ windows


def test_the_wrong_window_flatters_a_curve_by_more_than_methods_differ():
    """The same distances under four published windows; by calculus, for distances uniform on 0-60 mm, PCK(t) = t / 60.

    20-50: 35/60; 21.05-50: (21.0526 + 50) / 120; 0-50: 25/60; 0-100: (60 * 0.5 + 40) / 100.
    """
    distances = (np.arange(600_000).reshape(-1, 1) + 0.5) / 10_000
    hand3d = np.linspace(0, 50, 20)[8:]
    scores = {
        "20-50": metrics.micro_mean(metrics.window_credit(distances, 20, 50)),
        "21.05-50": metrics.micro_mean(metrics.grid_credit(distances, hand3d, metrics.trapezoid_weights(hand3d))),
        "0-50": metrics.micro_mean(metrics.window_credit(distances, 0, 50)),
        "0-100": metrics.micro_mean(metrics.window_credit(distances, 0, 100)),
    }
    assert hand3d[0] == pytest.approx(21.0526, abs=1e-4)
    assert scores["20-50"] == pytest.approx(0.583333, abs=1e-5)
    assert scores["21.05-50"] == pytest.approx(0.592105, abs=1e-5)
    assert scores["0-50"] == pytest.approx(0.416667, abs=1e-5)
    assert scores["0-100"] == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize(
    ("window_20_50", "hand3d_gain", "window_0_50"),
    [(0.9955, 0.0008, 0.858), (0.9388, 0.0044, 0.740)],
    ids=["STB", "RHD"],
)
def test_a_gamma_distribution_fitted_to_two_published_areas_shows_the_published_third(
    window_20_50, hand3d_gain, window_0_50
):
    """docs/method.md 9.6: 0.9963 / 0.9955 / 0.858 on STB and 0.9432 / 0.9388 / 0.740 on RHD, by window.

    A gamma distribution of distances is fitted to the last two; the first must follow to a tenth of a percent.
    """
    from scipy import optimize, stats

    quantiles = (np.arange(200_000) + 0.5) / 200_000

    def areas(log_parameters):
        shape, scale = np.exp(log_parameters)
        distances = stats.gamma.ppf(quantiles, shape, scale=scale)[:, None]
        windows = (metrics.window_credit(distances, low, 50.0) for low in (20.0, 0.0))
        return distances, [metrics.micro_mean(credit) for credit in windows]

    fit = optimize.root(lambda p: np.subtract(areas(p)[1], (window_20_50, window_0_50)), np.log([2.0, 5.0]), tol=1e-7)
    assert fit.success
    grid = np.linspace(0, 50, 20)[8:]
    credit = metrics.grid_credit(areas(fit.x)[0], grid, metrics.trapezoid_weights(grid))
    gain = metrics.micro_mean(credit) - window_20_50
    assert gain == pytest.approx(hand3d_gain, abs=0.001)
    assert gain > 0


def many_distances():
    """Return more samples than one block, some labels missing and some without a prediction, and their sequences."""
    rng = np.random.default_rng(0)
    distances = rng.gamma(2.0, 10.0, (2 * metrics._BLOCK + 17, 21))
    distances[rng.random(distances.shape) < 0.1] = np.nan
    distances[rng.random(distances.shape) < 0.01] = np.inf
    return distances, rng.integers(0, 300, len(distances))


def test_credits_of_many_samples_are_those_of_each_alone():
    distances, _ = many_distances()
    grid = np.linspace(20.0, 50.0, 15)
    some = np.array([0, metrics._BLOCK - 1, metrics._BLOCK, len(distances) - 1])

    for credit in (
        lambda rows: metrics.grid_credit(rows, grid, metrics.trapezoid_weights(grid)),
        lambda rows: metrics.window_credit(rows, 20.0, 50.0),
    ):
        np.testing.assert_array_equal(
            credit(distances)[some], np.concatenate([credit(distances[i : i + 1]) for i in some])
        )


def test_the_curve_of_many_samples_counts_every_label_once():
    distances, _ = many_distances()
    grid = np.linspace(0.0, 50.0, 11)
    labelled = distances[~np.isnan(distances)]

    np.testing.assert_array_equal(
        metrics.accuracy_curve(distances, grid), [(labelled <= threshold).sum() / labelled.size for threshold in grid]
    )


def test_a_strict_share_leaves_out_what_equals_its_threshold():
    distances, weights = np.array([[4.9, 5.0, 5.1]]), np.ones(1)
    assert metrics.grid_credit(distances, np.array([5.0]), weights).tolist() == [[1.0, 1.0, 0.0]]
    assert metrics.grid_credit(distances, np.array([5.0]), weights, strict=True).tolist() == [[1.0, 0.0, 0.0]]


def test_packed_values_keep_their_order():
    values = np.array([[np.nan, 2.0, np.nan, np.inf], [1.0, np.nan, 3.0, 4.0]])
    np.testing.assert_array_equal(metrics.packed(values), [[2.0, np.inf, np.nan, np.nan], [1.0, 3.0, 4.0, np.nan]])
