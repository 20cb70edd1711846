"""How far a number would be off with other sequences: 95 % intervals that hold what they say. Pure NumPy.

Frames of one sequence resemble each other, so a set of few sequences says little however many frames it has. The spread
of the number is taken from leaving out one sequence at a time (jackknife; for medians, which that does not suit, from
drawing sequences with replacement), on the scale where it is symmetric: the logarithm of a distance, the logit of a
share. It is multiplied by Student's t for the EFFECTIVE number of sequences, which a few long ones among many short
ones lower (Kish). tests/evaluation/test_intervals.py measures the coverage.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from handdata.evaluation.metrics import blocks

Array = NDArray[Any]
Floats = NDArray[np.float64]

MIN_SEQUENCES = 3  # two would give 12.7 standard errors of one degree of freedom: a tenth to ten times the number
MAX_UNITS = 2000  # more sequences than this are first merged at random into so many units, for time and memory
RESAMPLES = 500  # of the medians' draws
_BINS = 512  # resampled medians are read from counts of labels in so many bins of about equal counts
_BINS_PER_KEYPOINT = 128
_SAMPLE = 65536  # values that the bins' edges are taken from
NO_INTERVAL = "no interval:"  # how the note of a number begins that has none
STATISTICS = ("pooled", "per_keypoint", "median", "keypoint_medians")


def interval(
    values_NK: Floats, sequence_N: Array, statistic: str = "pooled", *, share: bool = False, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of a statistic over sequences.

    Args:
        values_NK: (N, K) distances or credits; NaN and infinity are left out.
        sequence_N: (N,) the sequence of each sample, any integers.
        statistic: `pooled` mean over labels, `per_keypoint` mean of keypoint means, `median` over labels, or
            `keypoint_medians`, the mean of keypoint medians.
        share: the values lie in 0..1; otherwise they are 0 or more without a bound.
        level: how often the interval holds the number of all sequences there could be.

    Returns:
        (low, high), or None with fewer than MIN_SEQUENCES that have a value, or where they do not differ at all.

    Raises:
        ValueError: an unknown statistic.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"unknown statistic {statistic!r}, not one of {', '.join(STATISTICS)}")
    unit = _units(sequence_N)
    table = _sum_table(values_NK, unit)
    used = table[:, 0].sum(-1) > 0  # a sequence without labels is no observation
    weights = table[used, 0].sum(-1)
    if len(weights) < MIN_SEQUENCES:
        return None
    if statistic in ("pooled", "per_keypoint"):
        value, error = _jackknife(table[used], statistic)
    else:
        value, error = _resampled(values_NK, unit, used, statistic)
    reach = error * _student(weights, level)
    return _around(value, reach, share=share) if error > 0 else None


def why_none(values_NK: Floats, sequence_N: Array) -> str:
    """Say why `interval` gives none."""
    count = len(np.unique(sequence_N[np.isfinite(values_NK).any(1)]))
    if count < MIN_SEQUENCES:
        return f"{NO_INTERVAL} labels of {count} sequence{'' if count == 1 else 's'}, {MIN_SEQUENCES} are needed"
    return f"{NO_INTERVAL} the {count} sequences do not differ"


def effective_number(weights_S: Floats) -> float:
    """Return how many sequences of equal size would say as much (Kish 1965): (sum of weights)² / sum of squares."""
    return float(weights_S.sum() ** 2 / (weights_S**2).sum())


def _student(weights_S: Floats, level: float) -> float:
    freedom = max(effective_number(weights_S) - 1, 0.5)
    return float(special.stdtrit(freedom, (1 + level) / 2))


def _around(value: float, reach: float, *, share: bool) -> tuple[float, float] | None:
    """Return value -+ reach, straight on the logit of a share or the logarithm of a distance."""
    if share and 0 < value < 1:
        middle, step = special.logit(value), reach / (value * (1 - value))
        return float(special.expit(middle - step)), float(special.expit(middle + step))
    if not share and value > 0:
        factor = float(np.exp(min(reach / value, 700.0)))
        return value / factor, value * factor
    return None


def _jackknife(table_S2K: Floats, statistic: str) -> tuple[float, float]:
    """Return a mean and its standard error by leaving out one sequence at a time."""
    total = table_S2K.sum(0)
    value = float(_mean(total[None], statistic)[0])
    without = _mean(total - table_S2K, statistic)
    count = len(table_S2K)
    return value, float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def _mean(sums_B2K: Floats, statistic: str) -> Floats:
    """Return the statistic of (B, 2, K) counts and sums."""
    if statistic == "pooled":
        return np.asarray(sums_B2K[:, 1].sum(1) / sums_B2K[:, 0].sum(1))
    labelled = sums_B2K[:, 0] > 0.5
    means = np.where(labelled, sums_B2K[:, 1] / np.where(labelled, sums_B2K[:, 0], 1.0), 0.0)
    return np.asarray(means.sum(1) / np.maximum(labelled.sum(1), 1))


def _resampled(values_NK: Floats, unit: Array, used_S: Array, statistic: str) -> tuple[float, float]:
    """Return a median, or the mean of keypoint medians, and its standard error by drawing sequences."""
    per_keypoint = statistic == "keypoint_medians"
    columns = range(values_NK.shape[1]) if per_keypoint else [slice(None)]
    bins = _BINS_PER_KEYPOINT if per_keypoint else _BINS
    times = np.vstack([np.ones(int(used_S.sum())), _draws(int(used_S.sum()))])  # the first row: each sequence once
    medians = []
    for column in columns:
        values = values_NK[:, column].reshape(len(values_NK), -1)
        if np.isfinite(values).any():
            edges = _edges(values, bins)
            medians.append(_binned_medians(times @ _bin_table(values, unit, edges)[used_S], edges))
    found = np.nanmean(medians, axis=0)
    return float(found[0]), float(np.nanstd(found[1:]))


@lru_cache(maxsize=4)
def _draws(count: int) -> Floats:
    """Return (B, S) how often each unit is drawn; the same for every statistic, so that intervals can be compared."""
    generator = np.random.default_rng(0)
    return generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)


def _units(sequence_N: Array) -> NDArray[np.int64]:
    names, unit = np.unique(sequence_N, return_inverse=True)
    if len(names) <= MAX_UNITS:
        return np.asarray(unit, np.int64)
    shuffled = np.random.default_rng(0).permutation(len(names)) % MAX_UNITS
    return np.asarray(shuffled[unit], np.int64)


def _sum_table(values_NK: Floats, unit: NDArray[np.int64]) -> Floats:
    """Return (S, 2, K): how many labels each unit has of each keypoint, and their sum."""
    count, keypoints = int(unit.max(initial=-1)) + 1, values_NK.shape[1]
    labels, sums = np.zeros((2, count * keypoints))
    for block, owner in zip(blocks(values_NK), blocks(unit), strict=True):
        finite = np.isfinite(block)
        cells = (owner[:, None] * keypoints + np.arange(keypoints))[finite]
        np.add.at(labels, cells, 1.0)
        np.add.at(sums, cells, block[finite])
    return np.stack([labels.reshape(count, keypoints), sums.reshape(count, keypoints)], axis=1)


def _edges(values_NK: Floats, bins: int) -> Floats:
    """Return the edges of bins that hold about equally many of the values."""
    finite = values_NK[np.isfinite(values_NK)]
    sample = finite[:: max(1, finite.size // _SAMPLE)]
    edges = np.quantile(sample, np.linspace(0, 1, bins + 1))
    edges[0], edges[-1] = finite.min(), finite.max()
    return edges


def _bin_table(values_NK: Floats, unit: NDArray[np.int64], edges: Floats) -> Floats:
    """Return (S, bins): how many labels of each unit lie in each bin."""
    count, bins = int(unit.max(initial=-1)) + 1, len(edges) - 1
    labels = np.zeros(count * bins)
    for block, owner in zip(blocks(values_NK), blocks(unit), strict=True):
        finite = np.isfinite(block)
        owners = np.broadcast_to(owner[:, None], finite.shape)[finite]
        np.add.at(labels, owners * bins + np.searchsorted(edges[1:-1], block[finite], side="right"), 1.0)
    return labels.reshape(count, bins)


def _binned_medians(counts_BR: Floats, edges: Floats) -> Floats:
    """Return the value at which half of each row's labels is reached, straight lines inside a bin; NaN without any."""
    cumulative = np.cumsum(counts_BR, axis=1)
    half = cumulative[:, -1] / 2
    bins = np.minimum((cumulative < half[:, None]).sum(axis=1), len(edges) - 2)
    rows = np.arange(len(counts_BR))
    before = cumulative[rows, bins] - counts_BR[rows, bins]
    with np.errstate(invalid="ignore"):
        share = (half - before) / np.where(half > 0, counts_BR[rows, bins], np.nan)
    return np.asarray(edges[bins] + share * (edges[bins + 1] - edges[bins]))
