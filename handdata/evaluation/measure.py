"""What protocols measure of every label: distances above all, and what else is scored, as the part that is lacking.

Every function returns (N, K) values, NaN where there is no label to compare with, infinity where there is a label and
no prediction. Scores that grow with quality (overlaps, similarities) are returned as 1 minus themselves, so that one
kind of number serves all: 0 is perfect, and 1 minus it is averaged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation import metrics
from handdata.evaluation.alignment import Hands, align
from handdata.evaluation.comparison import Comparison, Floats, Mask, with_palms
from handdata.evaluation.protocol import Protocol
from handdata.evaluation.tracks import are_stills, middle_frames
from handdata.geometry import iou
from handdata.skeleton import LEFT, NUM_KEYPOINTS, RIGHT

BLOCK = 2048  # samples measured at a time: a few MB
RESOLUTION_MM = 1e-4  # float32 millimetres at a metre from the camera are 6e-5 apart
OKS_SIGMA = 0.05  # of all 21 keypoints, as DexYCB's COCO labels have it


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the predictions of a whole set hold: it decides which of two kinds is taken, in every block alike."""

    millimetres: bool
    normalized: bool
    full_hands: bool  # the labels of the set hold more than fingertips


Measure = Callable[[Protocol, Comparison, Kinds], Floats]


def kinds_of(comparison: Comparison) -> Kinds:
    """Look through a whole set."""
    return Kinds(
        bool(np.isfinite(comparison.prediction_3d).any()),
        bool(np.isfinite(comparison.prediction_normalized).any()),
        comparison.has_full_hands,
    )


def measure(protocol: Protocol, comparison: Comparison) -> Floats:
    """Return the (N, K) values a protocol looks at: aligned, in its unit, NaN where it counts no label.

    Samples are measured a block at a time, so that what is between labels and values stays in the processor's cache.
    """
    if protocol.quantity in _OF_SETS:
        return _OF_SETS[protocol.quantity](protocol, comparison, kinds_of(comparison))
    kinds, function = kinds_of(comparison), _OF_SAMPLES[protocol.quantity]
    starts = range(0, max(len(comparison), 1), BLOCK)
    return np.concatenate([function(protocol, comparison.take(slice(start, start + BLOCK)), kinds) for start in starts])


# ------------------------------------------------------------------------------------------------ distances


def _in_2d(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> Floats:
    """Distances in 2D, in the unit of the quantity."""
    units = {"2d": comparison.crop_side, "2d_px": np.ones(len(comparison)), "2d_box": comparison.box_side}
    unit = units[protocol.quantity][:, None]
    inside_only = protocol.mask == "thesis" and not kinds.full_hands
    labels = comparison.annotated_2d & comparison.in_crop if inside_only else comparison.annotated_2d
    mask = labels & _seen(protocol, comparison) & np.isfinite(unit)
    return np.asarray(metrics.distances(comparison.prediction_2d, comparison.truth_2d, mask) / unit)


def _normalized(protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Distances in units of wrist to middle MCP."""
    mask = metrics.is_labelled(comparison.truth_normalized) & _seen(protocol, comparison)
    return metrics.distances(comparison.prediction_normalized, comparison.truth_normalized, mask)


def _in_millimetres(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> Floats:
    """Distances after the protocol's alignment; a sample whose TRUTH does not allow it is left out."""
    aligned, truth, mask = aligned_hands(protocol, comparison, kinds)
    distances = metrics.distances(aligned, truth, mask)
    distances[distances < RESOLUTION_MM] = 0.0  # a grid that begins at 0 would call a perfect prediction wrong there
    return distances


def hands_of(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> Hands:
    """Return what the protocol's alignment is given of some samples."""
    if protocol.palm:
        comparison = with_palms(comparison)
    return Hands(
        millimetres=comparison.prediction_3d,
        normalized=comparison.prediction_normalized,
        truth=comparison.truth_3d,
        mask=comparison.annotated_3d & _seen(protocol, comparison),
        scale_mm=comparison.scale_mm,
        root=protocol.root,
        use_normalized=kinds.normalized,
        keep_millimetres=kinds.millimetres,
    )


def aligned_hands(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> tuple[Floats, Floats, Mask]:
    """Return predictions moved onto the truth, the truth, and the labels that count."""
    hands = hands_of(protocol, comparison, kinds)
    moved, kept = align(protocol.alignment, hands)
    return moved, hands.truth, hands.labelled & kept[:, None]


def _seen(protocol: Protocol, comparison: Comparison) -> Mask:
    """Return (N, 21) the labels that the protocol does not leave out as occluded."""
    return comparison.visible != 0 if protocol.mask == "visible" else np.ones(comparison.visible.shape, bool)


# ------------------------------------------------------------------------------------------------ other scores


def _points_found(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> Floats:
    """Return (N, 1) lack of the F-score of a sample's points: FreiHAND's formula, which scores vertices of a mesh.

    Precision is the share of predicted points with a labelled one nearer than the threshold, recall the share of
    labelled points with a predicted one; the score is their harmonic mean.
    """
    moved, truth, labels = aligned_hands(protocol, comparison, kinds)
    given = labels & metrics.is_labelled(moved)
    apart = np.linalg.norm(moved[:, :, None] - truth[:, None, :], axis=-1)  # (N, predicted, labelled)
    apart = np.where(given[:, :, None] & labels[:, None, :], apart, np.inf)
    near = protocol.thresholds[0]
    with np.errstate(invalid="ignore"):
        precision = ((apart.min(2) < near) & given).sum(1) / given.sum(1)
        recall = ((apart.min(1) < near) & labels).sum(1) / labels.sum(1)
        score = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1.0)
    return _lack(score, labels.any(axis=1), given.any(axis=1))


def _similarity(protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1) lack of COCO's object keypoint similarity: the mean over labels of exp(-d² / (2 A (2 sigma)²)).

    A is the area of the hand box in px².
    """
    sides = comparison.bbox_xyxy[:, 2:] - comparison.bbox_xyxy[:, :2]
    area = np.where((sides > 0).all(1), sides.prod(1), np.nan)
    mask = comparison.annotated_2d & _seen(protocol, comparison) & np.isfinite(area)[:, None]
    off = metrics.distances(comparison.prediction_2d, comparison.truth_2d, mask)
    similar = np.exp(-(off**2) / (2 * np.where(np.isfinite(area), area, 1.0)[:, None] * (2 * OKS_SIGMA) ** 2))
    return _lack(metrics.keypoint_means(similar.T)[0], mask.any(1), np.isfinite(off).any(1))


def _box_overlap(_protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1) lack of overlap (intersection over union) of predicted and true hand boxes."""
    return _overlap(comparison.prediction_box, comparison.bbox_xyxy)


def _extent_overlap(_protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1) lack of overlap of the extents that the labelled keypoints have as predicted and as labelled."""
    labels = comparison.annotated_2d & metrics.is_labelled(comparison.truth_2d)
    return _overlap(_extent(comparison.prediction_2d, labels), _extent(comparison.truth_2d, labels))


def _wrong_side(_protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1): 1 where the wrong hand was said."""
    known = (comparison.hand_side <= RIGHT) & comparison.side_is_sure  # another number is unknown
    right = comparison.prediction_side == comparison.hand_side
    return _lack(right.astype(np.float64), known, comparison.prediction_side >= 0)


def _lack(score_N: Floats, labelled_N: Any, predicted_N: Any) -> Floats:
    """Return (N, 1) 1 - score; NaN without a label, infinity without a prediction."""
    lack = np.where(predicted_N, 1.0 - score_N, np.inf)
    return np.where(labelled_N, lack, np.nan)[:, None]


def _overlap(predicted: Floats, true: Floats) -> Floats:
    known, given = (np.isfinite(box).all(1) & (box[:, 2:] > box[:, :2]).all(1) for box in (true, predicted))
    return _lack(iou(predicted, true), known, given)


def _extent(points: Floats, labels: Mask) -> Floats:
    """Return (N, 4) the box of the chosen points, edges half a pixel beyond their centres; NaN where one is missing."""
    chosen = np.where(labels[..., None], points, np.inf).min(1), np.where(labels[..., None], points, -np.inf).max(1)
    box = np.concatenate([chosen[0], chosen[1] + 1.0], axis=1)
    return np.where(np.isfinite(box), box, np.nan)


def _depth(protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1) how far the root's depth is off: mm, or as a part of the true depth."""
    true, said = (points[:, protocol.root, 2] for points in (comparison.truth_3d, comparison.prediction_3d))
    known = comparison.annotated_3d[:, protocol.root] & np.isfinite(true) & (true > 0)
    unit = np.where(known, true, 1.0) if protocol.quantity == "depth_part" else 1.0
    off = np.where(np.isfinite(said), np.abs(said - true) / unit, np.inf)
    return np.where(known, off, np.nan)[:, None]


# ------------------------------------------------------------------------------------------------ pairs and tracks


def _between_hands(protocol: Protocol, comparison: Comparison, _kinds: Kinds) -> Floats:
    """Return (N, 1) mm, at the left hand of a picture with both: the error of the way from its root to the right's."""
    values = np.full((len(comparison), 1), np.nan)
    root, pictures = protocol.root, comparison.picture
    labelled = metrics.is_labelled(comparison.truth_3d[:, root]) & comparison.annotated_3d[:, root]
    lefts, rights = (
        np.flatnonzero(labelled & is_side) for is_side in (comparison.hand_side == LEFT, comparison.hand_side == RIGHT)
    )
    _, left, right = np.intersect1d(pictures[lefts], pictures[rights], return_indices=True)
    left, right = lefts[left], rights[right]
    true, said = (
        points[right, root] - points[left, root] for points in (comparison.truth_3d, comparison.prediction_3d)
    )
    values[left] = metrics.distances(said[:, None], true[:, None], np.ones((len(left), 1), bool))
    return values


def filmed_frames(comparison: Comparison) -> NDArray[np.int64]:
    """Return (M, 3) labelled samples that follow one another in recordings; none of numbered stills."""
    three = labelled_frames(comparison)
    is_flat = bool((comparison.annotated_2d & metrics.is_labelled(comparison.truth_2d)).any())
    points = comparison.truth_2d if is_flat else comparison.truth_3d
    return three[:0] if are_stills(points, comparison.track, three) else three


def labelled_frames(comparison: Comparison) -> NDArray[np.int64]:
    """Return (M, 3) samples that follow one another at the step of the labels: EgoDexter's are not in every frame."""
    rows = np.flatnonzero((comparison.annotated_2d | comparison.annotated_3d).any(1))
    return rows[middle_frames(comparison.track[rows], comparison.frame[rows])]


def _change(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> Floats:
    """Return (N, 21) of each middle frame: lengths of second differences, per frame².

    Of the prediction's error for "acceleration", of the prediction alone for "jitter", of the truth for
    "jitter_of_labels".
    """
    values = np.full((len(comparison), NUM_KEYPOINTS), np.nan)
    three = filmed_frames(comparison)
    for start in range(0, len(three), BLOCK):
        rows = three[start : start + BLOCK]
        parts = [_positions(protocol, comparison.take(rows[:, k]), kinds) for k in range(3)]
        labels = np.logical_and.reduce([part[2] for part in parts])
        said, true = (parts[0][i] - 2 * parts[1][i] + parts[2][i] for i in range(2))
        values[rows[:, 1]] = metrics.distances(*_compared(protocol.quantity, said, true), labels)
    return values


def _compared(quantity: str, said: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Return whose second differences are compared with which."""
    still = np.zeros_like(true)
    if quantity.startswith("acceleration"):
        return said, true
    return (true, still) if "labels" in quantity else (said, still)


def _positions(protocol: Protocol, comparison: Comparison, kinds: Kinds) -> tuple[Floats, Floats, Mask]:
    """Return predicted and true positions and the labels of some samples, in px or aligned mm."""
    if protocol.quantity.endswith("_px"):
        labels = comparison.annotated_2d & metrics.is_labelled(comparison.truth_2d)
        return comparison.prediction_2d, comparison.truth_2d, labels
    moved, truth, labels = aligned_hands(protocol, comparison, kinds)
    root = truth[:, protocol.root : protocol.root + 1]
    return moved - root, truth - root, labels  # the hand's own motion: the root's is the truth's after alignment


_OF_SAMPLES: Mapping[str, Measure] = {
    "2d": _in_2d,
    "2d_px": _in_2d,
    "2d_box": _in_2d,
    "3d": _normalized,
    "3d_mm": _in_millimetres,
    "f_mm": _points_found,
    "oks": _similarity,
    "box": _box_overlap,
    "box_of_keypoints": _extent_overlap,
    "side": _wrong_side,
    "depth_mm": _depth,
    "depth_part": _depth,
}
_OF_SETS: Mapping[str, Measure] = {
    "pair_mm": _between_hands,
    "acceleration_px": _change,
    "acceleration_mm": _change,
    "jitter_px": _change,
    "jitter_mm": _change,
    "jitter_of_labels_px": _change,
    "jitter_of_labels_mm": _change,
}
