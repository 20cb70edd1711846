"""What published protocols do to points before they measure: alignments, wrists from palms, dominant hands. Pure NumPy.

Shapes: N samples, K keypoints (21). Points are (N, K, 3); masks (N, K) bool. Each alignment returns the prediction
moved into the truth's frame and unit, NaN for a sample that the protocol has to drop.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.metrics import is_labelled
from handdata.skeleton import INDEX, ROOT, WRIST

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Published ways from a palm centre to a wrist: wrist = M + k (palm - M), M the mean of these keypoints
# (docs/method.md 9.6; hand3d compares its wrist with the palm centre itself: k = 1).
PALM_CONVENTIONS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "palm": (("middle_mcp",), 1.0),
    "ring_mcp_2.0": (("ring_mcp",), 2.0),
    "middle_mcp_2.2": (("middle_mcp",), 2.2),
    "mean_mcp_2.25": (("index_mcp", "middle_mcp", "ring_mcp", "little_mcp"), 2.25),
}
MIN_TIPS = 2  # Minimal-Hand drops frames with fewer annotated tips (docs/method.md 9.6)
MIN_PROCRUSTES = 3  # fewer points fix no rotation in space


def root_relative(points: Array, root: int = ROOT) -> Floats:
    """Return points minus their own root keypoint; NaN for a sample without it."""
    return np.asarray(points, np.float64) - points[:, root : root + 1]


def align_root(prediction: Array, truth: Array, root: int = ROOT) -> Floats:
    """Move each predicted hand so that its root lies on the true root; unit and scale stay as predicted."""
    return root_relative(prediction, root) + truth[:, root : root + 1]


def align_root_and_scale(prediction: Array, truth: Array, scale: Array, root: int = ROOT) -> Floats:
    """Move each predicted hand onto the true root after multiplying it by a given scale.

    Args:
        prediction: (N, K, 3) in any unit.
        truth: (N, K, 3) mm.
        scale: (N,) mm per unit of the prediction, taken from ground truth.
        root: the keypoint that is laid on its truth.

    Returns:
        (N, K, 3) mm.
    """
    return root_relative(prediction, root) * np.asarray(scale, np.float64)[:, None, None] + truth[:, root : root + 1]


def true_scale(prediction: Array, truth: Array, scale_mm: Array | None) -> Floats:
    """Return the millimetres that one unit of each prediction stands for, by ground truth.

    Args:
        prediction: (N, 21, 3) in any unit.
        truth: (N, 21, 3) mm.
        scale_mm: (N,) true wrist-to-middle-MCP distance if the prediction is normalised by it (one unit of it IS that
            distance); None if it is not.

    Returns:
        (N,): scale_mm where known; else true over predicted length of the wrist-to-middle-MCP bone or, without a
        wrist (Stereo), of the middle finger's first phalanx. NaN where none of these is known.
    """
    scale = np.full(len(truth), np.nan) if scale_mm is None else np.array(scale_mm, np.float64)
    for start, end in ((WRIST, ROOT), (ROOT, ROOT + 1)):
        lengths = [
            np.linalg.norm(np.asarray(p[:, start] - p[:, end], np.float64), axis=-1) for p in (truth, prediction)
        ]
        scale = np.where(np.isfinite(scale), scale, lengths[0] / np.where(lengths[1] > 0, lengths[1], np.nan))
    return scale


def has_scale(truth: Array, scale_mm: Array) -> NDArray[np.bool_]:
    """Tell which samples' truth gives a scale by the rules of `true_scale`, whatever was predicted: (N,) bool."""
    labelled: NDArray[np.bool_] = np.asarray(is_labelled(truth))
    return np.asarray(np.isfinite(scale_mm) | labelled[:, ROOT] & (labelled[:, WRIST] | labelled[:, ROOT + 1]))


def align_procrustes(prediction: Array, truth: Array, mask: Array) -> Floats:
    """Lay each predicted hand on its truth by the best similarity: translation, rotation and scale, no reflection.

    Args:
        prediction: (N, K, 3) in any unit.
        truth: (N, K, 3) mm.
        mask: (N, K) the keypoints that are fitted; a sample with fewer than three is dropped.

    Returns:
        (N, K, 3) mm, all keypoints moved by the transform fitted on the masked ones.

    Source:
        Umeyama, Least-squares estimation of transformation parameters, PAMI 13(4), 1991, equations 40-42.
    """
    moved = np.full(truth.shape, np.nan)
    usable = mask & is_labelled(prediction) & is_labelled(truth)
    rows = np.flatnonzero(usable.sum(1) >= MIN_PROCRUSTES)
    if not rows.size:
        return moved
    weight = usable[rows].astype(np.float64)[..., None]
    from_mean, from_points = _centred(prediction[rows], weight)
    to_mean, to_points = _centred(truth[rows], weight)
    u, singular, vt = np.linalg.svd(np.einsum("nki,nkj->nij", to_points, from_points))
    sign = np.ones_like(singular)
    sign[:, -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None, :]) @ vt
    spread = np.einsum("nki,nki->n", from_points, from_points)
    scale = (singular * sign).sum(1) / np.where(spread > 0, spread, np.nan)
    turned = np.einsum("nij,nkj->nki", rotation, prediction[rows] - from_mean)
    moved[rows] = scale[:, None, None] * turned + to_mean
    return moved


def align_centroid_and_radius(prediction: Array, truth: Array, mask: Array) -> Floats:
    """Lay each predicted hand on the true centroid, at the true mean radius, of its labelled keypoints.

    What Minimal-Hand does for sets that label only fingertips (docs/method.md 9.6): both come from ground truth,
    and a frame with fewer than two labelled tips is dropped.
    """
    moved = np.full(truth.shape, np.nan)
    usable = mask & is_labelled(prediction) & is_labelled(truth)
    rows = np.flatnonzero(usable.sum(1) >= MIN_TIPS)
    if not rows.size:
        return moved
    weight = usable[rows].astype(np.float64)[..., None]
    from_mean, from_points = _centred(prediction[rows], weight)
    to_mean, to_points = _centred(truth[rows], weight)
    from_radius, to_radius = (np.linalg.norm(points, axis=-1).sum(1) for points in (from_points, to_points))
    scale = to_radius / np.where(from_radius > 0, from_radius, np.nan)
    moved[rows] = (prediction[rows] - from_mean) * scale[:, None, None] + to_mean
    return moved


def wrist_from_palm(keypoints: Array, palm: Array, convention: str) -> Floats:
    """Return keypoints whose wrist slot is filled from the palm centre by a published convention.

    Args:
        keypoints: (N, 21, D).
        palm: (N, D) palm centres, NaN where unknown: those wrists stay as they are.
        convention: a key of PALM_CONVENTIONS.

    Raises:
        ValueError: an unknown convention.
    """
    if convention not in PALM_CONVENTIONS:
        raise ValueError(f"unknown palm convention {convention!r}, not one of {', '.join(PALM_CONVENTIONS)}")
    names, factor = PALM_CONVENTIONS[convention]
    base = np.asarray(keypoints[:, [INDEX[name] for name in names]], np.float64).mean(1)
    wrist = np.asarray(palm, np.float64) if factor == 1.0 else base + factor * (palm - base)
    result = np.array(keypoints, np.float64)
    known = is_labelled(palm) & is_labelled(wrist)
    result[known, WRIST] = wrist[known]
    return result


def dominant_hands(picture: Array, is_left: Array, measure: Array) -> NDArray[np.bool_]:
    """Tell which samples show the dominant hand of their picture.

    The left hand is dominant if its measure is strictly the larger, else the right one; a hand alone in its picture is
    dominant. hand3d measures the area of the segmentation mask, others count visible keypoints (docs/method.md 9.6).

    Args:
        picture: (N,) an integer that samples of one picture share.
        is_left: (N,) bool.
        measure: (N,) mask area or number of visible keypoints.

    Returns:
        (N,) bool, exactly one True a picture if it has at most one hand a side.
    """
    names, index = np.unique(picture, return_inverse=True)
    best = {side: np.full(len(names), -np.inf) for side in (True, False)}
    for side, largest in best.items():
        np.maximum.at(largest, index[is_left == side], np.asarray(measure, np.float64)[is_left == side])
    left_wins = best[True] > best[False]
    return np.asarray(left_wins[index] == is_left.astype(bool))


def _centred(points: Array, weight: Array) -> tuple[Floats, Floats]:
    """Return (N, 1, 3) weighted means and (N, K, 3) points about them, zero where the weight is."""
    filled = np.where(weight > 0, points, 0.0).astype(np.float64)
    mean = filled.sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    return mean, (filled - mean) * weight
