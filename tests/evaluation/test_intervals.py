"""Intervals: by hand, and in simulations that count how often they hold the number they are about."""

import numpy as np
import pytest

from handdata.evaluation import metrics
from handdata.evaluation.intervals import (
    MAX_UNITS,
    MIN_SEQUENCES,
    STATISTICS,
    _sum_table,
    effective_number,
    interval,
    why_none,
)

T_5 = 2.5705818  # 97.5 % point of Student's t with 5 degrees of freedom, as printed in tables


def sequence_errors(sequences=12, frames=30, seed=0, noise=0.3):
    """Frames of one sequence share most of their error: (distances, sequence)."""
    rng = np.random.default_rng(seed)
    shared = rng.gamma(4.0, 2.0, sequences).repeat(frames)[:, None]
    return shared + rng.gamma(1.0, noise, (sequences * frames, 21)), np.arange(sequences).repeat(frames)


CENTERS = {
    "pooled": metrics.micro_mean,
    "median": metrics.micro_median,
    "per_keypoint": lambda d: metrics.macro_mean(metrics.keypoint_means(d)[0]),
    "keypoint_medians": lambda d: metrics.macro_mean(np.array([metrics.micro_median(column) for column in d.T])),
}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_holds_the_statistic_and_is_the_same_every_time(statistic):
    distances, sequence = sequence_errors()
    first, again = (interval(distances, sequence, statistic) for _ in range(2))

    assert first == again
    assert first[0] < CENTERS[statistic](distances) < first[1]


def test_an_interval_of_equal_sequences_is_students_on_a_logarithmic_scale():
    """Six sequences of one label each: the standard error is s / sqrt(6), five degrees of freedom."""
    values = np.array([8.0, 9.0, 10.0, 10.0, 11.0, 12.0])[:, None]
    reach = T_5 * values.std(ddof=1) / np.sqrt(6) / 10
    np.testing.assert_allclose(interval(values, np.arange(6)), [10 * np.exp(-reach), 10 * np.exp(reach)], rtol=1e-6)


def test_sequences_that_do_not_differ_are_told():
    values = np.ones((6, 21))

    assert interval(values, np.arange(6)) is None
    assert why_none(values, np.arange(6)) == "no interval: the 6 sequences do not differ"
    values[2:] = np.nan
    assert why_none(values, np.arange(6)) == "no interval: labels of 2 sequences, 3 are needed"


def test_an_interval_of_a_share_stays_within_0_and_1():
    values = np.array([0.99, 0.9999, 0.97, 1.0, 0.999])[:, None]
    low, high = interval(values, np.arange(5), share=True)
    assert 0 < low < values.mean() < high < 1


@pytest.mark.parametrize("statistic", ["pooled", "per_keypoint"])
def test_the_spread_is_that_of_a_plain_loop_that_leaves_out_a_sequence_at_a_time(statistic):
    distances, sequence = sequence_errors(sequences=6, frames=8, noise=5.0)
    distances[sequence == 2, 5:] = np.nan
    without = np.array([CENTERS[statistic](distances[sequence != s]) for s in range(6)])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    labels = np.array([np.isfinite(distances[sequence == s]).sum() for s in range(6)], float)
    low, high = interval(distances, sequence, statistic)
    value = CENTERS[statistic](distances)

    assert low * high == pytest.approx(value**2)
    assert np.log(high / value) * value / error == pytest.approx(T_5, rel=0.2)
    assert np.log(high / value) * value / error > T_5  # fewer than five degrees: one sequence has fewer labels
    assert effective_number(labels) < 6


def test_one_long_sequence_among_short_ones_is_hardly_more_than_one():
    assert effective_number(np.array([50.0, 50.0, 50.0, 50.0])) == 4
    assert effective_number(np.array([1000.0, 10.0, 10.0, 10.0])) < 1.1


def test_sequences_give_a_wider_interval_than_frames():
    distances, sequence = sequence_errors()
    by_sequence, by_frame = (np.ptp(interval(distances, names)) for names in (sequence, np.arange(len(distances))))
    assert by_sequence > 3 * by_frame


@pytest.mark.parametrize("count", range(1, MIN_SEQUENCES))
def test_too_few_sequences_give_no_interval(count):
    distances, sequence = sequence_errors(sequences=count)
    assert interval(distances, sequence) is None


def test_sequences_without_labels_are_none_and_those_that_do_not_differ_say_nothing():
    distances, sequence = sequence_errors(sequences=4)
    distances[sequence > 1] = np.nan
    assert interval(distances, sequence) is None
    assert interval(np.ones((6, 21)), np.arange(6), share=True) is None
    assert interval(np.zeros((6, 21)), np.arange(6)) is None


def test_many_sequences_are_merged_and_keep_the_width_of_the_interval():
    rng = np.random.default_rng(3)
    distances = rng.gamma(2.0, 1.0, (3 * MAX_UNITS, 1))
    low, high = interval(distances, np.arange(len(distances)))
    standard_error = distances.std() / np.sqrt(len(distances))
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="unknown statistic 'mode'"):
        interval(np.ones((2, 21)), np.arange(2), "mode")


def test_sums_by_sequence_are_those_of_one_pass_over_everything():
    rng = np.random.default_rng(0)
    distances = rng.gamma(2.0, 10.0, (2 * metrics._BLOCK + 17, 21))
    distances[rng.random(distances.shape) < 0.1] = np.nan
    distances[rng.random(distances.shape) < 0.01] = np.inf
    sequence = rng.integers(0, 300, len(distances))
    finite = np.isfinite(distances)
    cells = (sequence[:, None] * 21 + np.arange(21)).ravel()
    labels = np.bincount(cells, weights=finite.ravel())
    sums = np.bincount(cells, weights=np.where(finite, distances, 0.0).ravel())

    table = _sum_table(distances, sequence)

    np.testing.assert_array_equal(table, np.stack([labels.reshape(-1, 21), sums.reshape(-1, 21)], axis=1))


# ------------------------------------------------------------------------------------------------ coverage

SETS = 500  # simulated for each case: the share has a standard error of 1 % about 95 %


def distances_of(rng, sizes, kind):
    """Distances of sequences: `shared` by their frames, or `mixed` with as much within a sequence as between."""
    rows = int(sizes.sum())
    if kind == "shared":
        return rng.gamma(4.0, 2.5, len(sizes)).repeat(sizes)[:, None] + rng.gamma(1.0, 0.5, (rows, 2))
    return rng.gamma(6.0, 0.5, len(sizes)).repeat(sizes)[:, None] * rng.gamma(2.0, 2.0, (rows, 2))


def shares_of(rng, sizes, kind):
    """Credits in 0..1 about a share of each sequence: `good` ones near 1, `fair` ones in the middle."""
    mean = rng.beta(*{"good": (19.0, 1.0), "fair": (6.0, 2.0)}[kind], len(sizes)).repeat(sizes)[:, None]
    return (rng.random((int(sizes.sum()), 2)) < mean).astype(float)


def sizes_of(rng, count, how):
    return np.full(count, 30) if how == "equal" else rng.integers(10, 60, count)


def coverage(make, kind, statistic, count, how, *, share):
    """Return how often an interval holds the number of four thousand sequences of the same kind."""
    rng = np.random.default_rng(count)
    truth = CENTERS[statistic](make(rng, sizes_of(rng, 4000, how), kind))
    held = 0
    for _ in range(SETS):
        sizes = sizes_of(rng, count, how)
        ends = interval(make(rng, sizes, kind), np.arange(count).repeat(sizes), statistic, share=share)
        held += bool(ends and ends[0] <= truth <= ends[1])
    return held / SETS


def as_promised(held):
    """95 % are promised: 90 to 97 % held, and two standard errors of the simulation."""
    error = np.sqrt(0.05 * 0.95 / SETS)
    return 0.90 - 2 * error <= held <= 0.97 + 2 * error


@pytest.mark.parametrize("count", [MIN_SEQUENCES, 20])
def test_intervals_of_few_and_of_many_sequences_hold_what_they_say(count):
    """The ends of what the slow simulations below go through; two sequences have no interval at all."""
    assert as_promised(coverage(distances_of, "shared", "pooled", count, "uneven", share=False))
    assert as_promised(coverage(shares_of, "fair", "pooled", count, "equal", share=True))


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4, 6, 10, 20])
@pytest.mark.parametrize("how", ["equal", "uneven"])
@pytest.mark.parametrize(
    ("make", "kind", "statistic"),
    [(distances_of, "shared", "pooled"), (distances_of, "mixed", "pooled"), (distances_of, "shared", "median"),
     (distances_of, "mixed", "median"), (distances_of, "mixed", "per_keypoint"),
     (distances_of, "mixed", "keypoint_medians"), (shares_of, "good", "pooled"), (shares_of, "fair", "pooled")],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_intervals_hold_what_they_say(make, kind, statistic, count, how):
    assert as_promised(coverage(make, kind, statistic, count, how, share=make is shares_of))
