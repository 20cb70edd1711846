"""Errors of predicted keypoints as numbers: distances, groups, curves, areas. Pure NumPy, no files.

Shapes: N samples, K keypoints (21), D coordinates (2 or 3), T thresholds.
Distances are (N, K) float64 in the unit of their points: NaN where there is no label to compare with, infinity where
there is a label and no prediction. A mean leaves infinities out (and says how many labels it covers); a share of
keypoints counts them as wrong. A keypoint that no sample labels is NaN in every result and enters no mean, so the
-1 of the thesis' result files has no place here (docs/method.md E15).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import BONES, FINGERS, JOINTS, ROOT, WRIST, finger_indices, joint_indices

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Groups of the thesis' tables (docs/method.md 9.4), in the order of their rows; it writes MCP, PIP, DIP, fingertip.
_JOINT_TITLES = {"mcp": "MCP", "pip": "PIP", "dip": "DIP", "tip": "fingertip"}
GROUPS: Mapping[str, tuple[int, ...]] = {
    "wrist": (WRIST,),
    **{f"joint:{_JOINT_TITLES[joint]}": joint_indices(joint) for joint in JOINTS},
    **{f"finger:{finger}": finger_indices(finger) for finger in FINGERS},
}
# 0.00, 0.01 .. 0.99 in crop fractions or normalised units (docs/method.md 9.3): i * 0.01, the author's floats.
THESIS_THRESHOLDS: Floats = np.arange(100, dtype=np.float64) * 0.01
_BLOCK = 8192  # samples summed at a time


def is_labelled(points: Array) -> NDArray[np.bool_]:
    """Tell which points have all their coordinates: (..., D) -> (...) bool. Twice as fast as isfinite(...).all(-1)."""
    return np.asarray(np.isfinite(np.einsum("...d->...", points)))


def distances(prediction: Array, truth: Array, mask: Array) -> Floats:
    """Return the Euclidean distance of every labelled keypoint.

    Args:
        prediction: (N, K, D); NaN where nothing was predicted.
        truth: (N, K, D) in the same unit and frame; NaN where not labelled.
        mask: (N, K) bool, the labels that count.

    Returns:
        (N, K) float64: NaN without a label, infinity with a label but no prediction.

    Raises:
        ValueError: the shapes do not fit each other.

    Source:
        docs/method.md 9.3; NOT the root of a mean square, whatever the thesis' text says (E1).
    """
    if prediction.shape != truth.shape or mask.shape != truth.shape[:-1]:
        raise ValueError(f"shapes differ: {prediction.shape}, {truth.shape}, mask {mask.shape}")
    difference = np.asarray(prediction, np.float64) - np.asarray(truth, np.float64)
    result: Floats = np.sqrt(np.einsum("nkd,nkd->nk", difference, difference))
    labelled = mask & is_labelled(truth)
    result[~np.isfinite(result)] = np.inf
    result[~labelled] = np.nan
    return result


def keypoint_means(values_NK: Floats) -> tuple[Floats, Floats]:
    """Return each keypoint's mean over the samples that have a finite value, and how many those are.

    Args:
        values_NK: (N, K), NaN or infinite where there is nothing to average.

    Returns:
        (K,) means, NaN where nothing counts, and (K,) counts.
    """
    sums, counts = _finite_sums(values_NK)
    with np.errstate(invalid="ignore"):
        return sums / np.where(counts > 0, counts, np.nan), counts


def _finite_sums(values_NK: Floats, power: int = 1) -> tuple[Floats, Floats]:
    """Return (K,) sums of the finite values' powers and (K,) counts; a block at a time, which stays in the cache."""
    sums, counts = np.zeros(values_NK.shape[1]), np.zeros(values_NK.shape[1])
    for block in blocks(values_NK):
        finite = np.isfinite(block)
        sums += (np.where(finite, block, 0.0) ** power).sum(0)
        counts += finite.sum(0)
    return sums, counts


def blocks(array: Array) -> Iterator[Array]:
    """Yield views of a few samples each, so that what is made of them stays in the cache."""
    return (array[start : start + _BLOCK] for start in range(0, len(array), _BLOCK))


def group_means(keypoint_K: Floats) -> dict[str, float]:
    """Return the mean of each group of keypoints over those that have a value; NaN for a group without any.

    Args:
        keypoint_K: (21,) means by keypoint.
    """
    return {name: macro_mean(keypoint_K[list(indices)]) for name, indices in GROUPS.items()}


def macro_mean(keypoint_K: Floats) -> float:
    """Return the mean over keypoints, each counting once; NaN if there is none (the thesis' total on full labels)."""
    present = keypoint_K[np.isfinite(keypoint_K)]
    return float(present.mean()) if present.size else float("nan")


def micro_mean(values_NK: Floats) -> float:
    """Return the mean over labels, each counting once; NaN if there is none (the thesis' total on partial labels)."""
    sums, counts = _finite_sums(values_NK)
    return float(sums.sum() / counts.sum()) if counts.any() else float("nan")


def micro_median(values_NK: Floats) -> float:
    """Return the median over labels; NaN if there is none."""
    present = values_NK[np.isfinite(values_NK)]
    return float(np.median(present, overwrite_input=True)) if present.size else float("nan")  # a copy already


def root_mean_square(distances_NK: Floats) -> float:
    """Return the root of the mean squared distance over labels: what the thesis' text names, an extra (E1)."""
    sums, counts = _finite_sums(distances_NK, power=2)
    return float(np.sqrt(sums.sum() / counts.sum())) if counts.any() else float("nan")


def accuracy_curve(distances_NK: Floats, thresholds: Array) -> Floats:
    """Return the share of labels whose distance is at most each threshold: the PCK curve, all labels pooled.

    On full labels this is the thesis' mean over samples of each sample's share of 21 keypoints (docs/method.md 9.3). On
    partial labels it counts the labelled ones only (E14).

    Args:
        distances_NK: (N, K).
        thresholds: (T,) rising, in the unit of the distances.

    Returns:
        (T,) shares 0..1, NaN without any label.
    """
    passing = np.zeros(len(thresholds) + 1, np.int64)
    for block in blocks(distances_NK):
        labelled = block[~np.isnan(block)]
        passed_from = np.searchsorted(thresholds, labelled, side="left")  # first threshold t with distance <= t
        passing += np.bincount(passed_from, minlength=len(thresholds) + 1)
    if not passing.any():
        return np.full(len(thresholds), np.nan)
    return np.asarray(np.cumsum(passing[:-1]) / passing.sum())


def trapezoid_weights(thresholds: Array) -> Floats:
    """Return the weights (T,) with which the trapezoid rule averages a curve over its window; they add up to 1."""
    steps = np.diff(thresholds)
    return np.asarray((np.append(steps, 0.0) + np.insert(steps, 0, 0.0)) / (2.0 * steps.sum()))


def grid_credit(distances_NK: Floats, thresholds: Array, weights: Array, *, strict: bool = False) -> Floats:
    """Return what each label adds to a weighted sum of its PCK curve: the weight of the thresholds it passes.

    The mean of these credits over labels is the area under the curve, which makes an area a mean like any other.

    Args:
        distances_NK: (N, K).
        thresholds: (T,) rising.
        weights: (T,) of each.
        strict: a threshold is passed below it only, not at it.

    Returns:
        (N, K); NaN without a label, 0 without a prediction.
    """
    tail = np.append(np.cumsum(np.asarray(weights)[::-1])[::-1], 0.0)
    credit = np.empty(distances_NK.shape)
    for block, part in zip(blocks(distances_NK), blocks(credit), strict=True):
        passed_from = np.searchsorted(thresholds, block, side="right" if strict else "left")  # first that is passed
        part[...] = np.where(np.isnan(block), np.nan, tail[np.minimum(passed_from, len(thresholds))])
    return credit


def window_credit(distances_NK: Floats, low: float, high: float) -> Floats:
    """Return what each label adds to the exact area under the PCK curve over [low, high], divided by its width.

    A distance e is counted right from the threshold e on, so it covers clip((high - e) / (high - low), 0, 1) of the
    window; no grid of thresholds is involved.

    Returns:
        (N, K) in 0..1; NaN without a label, 0 without a prediction.
    """
    credit = np.empty(distances_NK.shape)
    for block, part in zip(blocks(distances_NK), blocks(credit), strict=True):
        np.clip((high - block) / (high - low), 0.0, 1.0, out=part)
    return credit


def by_side(values_NK: Floats, is_left_N: Array) -> Floats:
    """Return (N, 2K): a left hand's values in the first K columns, any other's in the last; NaN elsewhere."""
    is_left = np.asarray(is_left_N, bool)[:, None]
    return np.hstack([np.where(is_left, values_NK, np.nan), np.where(is_left, np.nan, values_NK)])


def packed(values_NK: Floats) -> Floats:
    """Return each sample's values that are there moved to the front, in their order, NaN behind them."""
    order = np.argsort(np.isnan(values_NK), axis=1, kind="stable")
    return np.take_along_axis(values_NK, order, axis=1)


def bone_lengths(keypoints: Array) -> Floats:
    """Return the length of each of the 20 bones of `skeleton.BONES`.

    Args:
        keypoints: (N, 21, D); NaN where missing.

    Returns:
        (N, 20) in the unit of the points, NaN where an end is missing.
    """
    starts, ends = np.array(BONES).T
    return np.asarray(np.linalg.norm(keypoints[:, ends] - keypoints[:, starts], axis=-1), np.float64)


def bone_ratios(keypoints_3d: Array) -> Floats:
    """Return the median length of each bone in units of the middle finger's first phalanx (MCP to PIP).

    That bone exists wherever a full hand is labelled, with or without a wrist, so datasets can be compared whatever
    they call a joint (thesis Fig. 4.5).

    Returns:
        (20,), NaN for a bone no sample has.
    """
    lengths = bone_lengths(keypoints_3d)
    unit = lengths[:, BONES.index((ROOT, ROOT + 1))]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = lengths / np.where(unit > 0, unit, np.nan)[:, None]
    return np.array([micro_median(ratios[:, bone]) for bone in range(len(BONES))])
