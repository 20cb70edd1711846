"""How protocols move predicted hands onto true ones before they measure: one table of functions. Pure NumPy.

Shapes: N samples, K keypoints (21). Points are (N, K, 3); masks (N, K) bool. Each alignment returns the predictions
moved into the truth's frame and unit, NaN where a prediction does not allow it, and which samples' TRUTH allows it: the
protocol leaves out the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.metrics import is_labelled
from handdata.skeleton import KEYPOINTS, ROOT, WRIST

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_TIPS = 2  # Minimal-Hand drops frames with fewer annotated tips
MIN_PROCRUSTES = 3  # fewer points fix no rotation in space
PHALANX = ROOT + 1  # middle PIP: with the middle MCP the bone that exists wherever a full hand is labelled
FREIHAND_EPSILON = 1e-5  # mm; FreiHAND adds 1e-8 m to the norms that it divides by


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """What an alignment is given.

    Attributes:
        millimetres: (N, K, 3) predictions in camera millimetres, NaN where there are none.
        normalized: (N, K, 3) predictions in units of wrist to middle MCP, NaN where there are none.
        truth: (N, K, 3) mm.
        mask: (N, K) labels that count.
        scale_mm: (N,) true distance from wrist to middle MCP, NaN where unknown.
        root: the keypoint laid on its truth.
        use_normalized: take the normalised predictions where either kind would do.
        keep_millimetres: some sample of the set is predicted in millimetres.
    """

    millimetres: Floats
    normalized: Floats
    truth: Floats
    mask: Mask
    scale_mm: Floats
    root: int = ROOT
    use_normalized: bool = False
    keep_millimetres: bool = True

    @property
    def predicted(self) -> Floats:
        """(N, K, 3) predictions of either kind."""
        return self.normalized if self.use_normalized else self.millimetres

    @property
    def labelled(self) -> Mask:
        """(N, K) labels that count and are there."""
        return self.mask & is_labelled(self.truth)

    @property
    def has_root(self) -> Mask:
        """(N,) samples whose root is labelled, and more than it: a root laid on its truth is right by itself."""
        labelled = np.asarray(is_labelled(self.truth))
        return np.asarray(labelled[:, self.root] & (labelled.sum(1) > 1))


Aligned = tuple[Floats, Mask]


class Alignment(NamedTuple):
    """One row of ALIGNMENTS."""

    move: Callable[[Hands], Aligned]
    takes: Literal["mm", "any"]  # predictions in millimetres only, or of either kind
    needs: str  # what a sample's labels must hold, for the message where none does


# ------------------------------------------------------------------------------------------------ the functions


def as_given(hands: Hands) -> Aligned:
    """Leave millimetres as they were predicted: absolute positions."""
    return hands.millimetres, np.ones(len(hands.truth), bool)


def on_root(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth; unit and scale stay as predicted."""
    return _placed(hands, hands.millimetres, np.ones(len(hands.truth))), hands.has_root


def on_root_and_scale(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth, in the true scale (`true_scale`)."""
    given = hands.scale_mm if hands.use_normalized else None
    scale = true_scale(hands.predicted, hands.truth, given)
    return _placed(hands, hands.predicted, scale), hands.has_root & has_scale(hands.truth, hands.scale_mm)


def on_root_and_bone(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth, the wrist-to-middle-MCP bone as long as its truth."""
    scale, known = _bone_ratio(hands, WRIST, ROOT)
    return _placed(hands, hands.predicted, scale), hands.has_root & known


def on_root_and_phalanx(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth, the middle finger's first phalanx as long as its truth."""
    scale, known = _bone_ratio(hands, ROOT, PHALANX)
    return _placed(hands, hands.predicted, scale), hands.has_root & known


def as_hand3d(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth; millimetres keep their scale, other units get that of the first phalanx.

    hand3d's network answers in units of that bone, and its evaluation multiplies by the true one.
    """
    if hands.keep_millimetres:
        return on_root(hands)
    return on_root_and_phalanx(hands)


def on_root_and_best_scale(hands: Hands) -> Aligned:
    """Lay each predicted root on its truth, in the scale that brings the labels closest by least squares."""
    usable = hands.labelled & is_labelled(hands.predicted)
    moved, truth = (root_relative(points, hands.root) for points in (hands.predicted, hands.truth))
    moved, truth = (np.where(usable[..., None], points, 0.0) for points in (moved, truth))
    spread = np.einsum("nki,nki->n", moved, moved)
    scale = np.einsum("nki,nki->n", moved, truth) / np.where(spread > 0, spread, np.nan)
    return _placed(hands, hands.predicted, scale), hands.has_root


def rigid(hands: Hands) -> Aligned:
    """Lay each predicted hand on its truth by the best rotation and translation; the scale stays as predicted."""
    return _fitted(hands, hands.millimetres, scaled=False)


def procrustes(hands: Hands) -> Aligned:
    """Lay each predicted hand on its truth by the best similarity: translation, rotation and scale, no reflection."""
    return _fitted(hands, hands.predicted)


def as_freihand(hands: Hands) -> Aligned:
    """Lay each predicted hand on its truth by the best similarity, REFLECTION ALLOWED: a mirrored hand scores alike.

    FreiHAND fits orthogonal matrices of either sign and adds 1e-8 m to the norms that it divides by.
    """
    return _fitted(hands, hands.predicted, reflect=True, epsilon=FREIHAND_EPSILON)


def on_centroid(hands: Hands) -> Aligned:
    """Lay the centroid of each hand's labelled keypoints on its truth; the scale stays as predicted."""
    return _by_centroid(hands, hands.millimetres, scaled=False)


def on_centroid_and_radius(hands: Hands) -> Aligned:
    """Lay each predicted hand on the true centroid, at the true mean radius, of its labelled keypoints.

    What Minimal-Hand does for sets that label only fingertips: both come from ground truth.
    """
    return _by_centroid(hands, hands.predicted, scaled=True)


ALIGNMENTS: Mapping[str, Alignment] = {
    "none": Alignment(as_given, "mm", "a 3D label"),
    "root": Alignment(on_root, "mm", "the root"),
    "root+scale": Alignment(
        on_root_and_scale, "any", "a true scale: wrist and middle MCP, or the middle finger's first phalanx"
    ),
    "root+bone": Alignment(on_root_and_bone, "any", "wrist and middle MCP"),
    "root+phalanx": Alignment(on_root_and_phalanx, "any", "the middle finger's first phalanx"),
    "hand3d": Alignment(as_hand3d, "any", "the palm, and the first phalanx for predictions without a unit"),
    "root+best_scale": Alignment(on_root_and_best_scale, "any", "the root"),
    "rigid": Alignment(rigid, "mm", "three labels"),
    "procrustes": Alignment(procrustes, "any", "three labels"),
    "procrustes+reflection": Alignment(as_freihand, "any", "three labels"),
    "centroid": Alignment(on_centroid, "mm", "two labels"),
    "centroid+radius": Alignment(on_centroid_and_radius, "any", "two labels"),
}  # fmt: skip


def align(name: str, hands: Hands) -> Aligned:
    """Move predicted hands by an alignment of the table.

    Raises:
        ValueError: no such alignment.
    """
    check_name(name)
    return ALIGNMENTS[name].move(hands)


def check_name(name: str) -> None:
    """Refuse the name of an alignment that is not in the table.

    Raises:
        ValueError: it is not.
    """
    if name not in ALIGNMENTS:
        raise ValueError(f"unknown alignment {name!r}, not one of {', '.join(ALIGNMENTS)}")


def why_none(name: str, hands: Hands) -> str:
    """Say why no sample's labels allow an alignment."""
    if name.startswith(("root", "hand3d")) and not hands.has_root.any():
        root = "the palm" if name == "hand3d" and hands.root == WRIST else KEYPOINTS[hands.root]
        if np.asarray(is_labelled(hands.truth[:, hands.root])).any():
            return f"nothing but the root of the alignment, {root}, is labelled"
        return f"the root of the alignment, {root}, is not labelled"
    if name == "root+scale":
        return "no true scale: neither wrist and middle MCP nor the middle finger's first phalanx is labelled"
    return f"no sample has the labels this alignment needs: {ALIGNMENTS[name].needs}"


# ------------------------------------------------------------------------------------------------ parts of them


def root_relative(points: Array, root: int = ROOT) -> Floats:
    """Return points minus their own root keypoint; NaN for a sample without it."""
    return np.asarray(points, np.float64) - points[:, root : root + 1]


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
    for start, end in ((WRIST, ROOT), (ROOT, PHALANX)):
        scale = np.where(np.isfinite(scale), scale, _ratio(prediction, truth, start, end))
    return scale


def has_scale(truth: Array, scale_mm: Array) -> Mask:
    """Tell which samples' truth gives a scale by the rules of `true_scale`, whatever was predicted: (N,) bool."""
    labelled: Mask = np.asarray(is_labelled(truth))
    return np.asarray(np.isfinite(scale_mm) | labelled[:, ROOT] & (labelled[:, WRIST] | labelled[:, PHALANX]))


def _placed(hands: Hands, prediction: Array, scale: Array) -> Floats:
    return align_root_and_scale(prediction, hands.truth, scale, hands.root)


def _bone_ratio(hands: Hands, start: int, end: int) -> tuple[Floats, Mask]:
    """Return (N,) true over predicted length of a bone, and which samples' truth has it."""
    known = is_labelled(hands.truth[:, start]) & is_labelled(hands.truth[:, end])
    return _ratio(hands.predicted, hands.truth, start, end), known


def _ratio(prediction: Array, truth: Array, start: int, end: int) -> Floats:
    true, predicted = (
        np.linalg.norm(np.asarray(points[:, start] - points[:, end], np.float64), axis=-1)
        for points in (truth, prediction)
    )
    return np.asarray(true / np.where(predicted > 0, predicted, np.nan))


def _fitted(
    hands: Hands, prediction: Array, *, scaled: bool = True, reflect: bool = False, epsilon: float = 0.0
) -> Aligned:
    """Lay each predicted hand on its truth by the best rotation, and scale where asked for.

    Args:
        hands: their labels are fitted; all keypoints are moved by what fits those that are labelled and predicted.
        prediction: (N, K, 3) in any unit.
        scaled: fit the scale too.
        reflect: allow a mirror image.
        epsilon: mm, added to the prediction's norm before dividing by it.

    Source:
        Umeyama, Least-squares estimation of transformation parameters, PAMI 13(4), 1991, equations 40-42.
    """
    moved = np.full(hands.truth.shape, np.nan)
    kept: Mask = hands.labelled.sum(1) >= MIN_PROCRUSTES
    usable = hands.labelled & is_labelled(prediction)
    rows = np.flatnonzero(usable.sum(1) >= MIN_PROCRUSTES)
    if not rows.size:
        return moved, kept
    weight = usable[rows].astype(np.float64)[..., None]
    from_mean, from_points = _centred(prediction[rows], weight)
    to_mean, to_points = _centred(hands.truth[rows], weight)
    u, singular, vt = np.linalg.svd(np.einsum("nki,nkj->nij", to_points, from_points))
    sign = np.ones_like(singular)
    if not reflect:
        sign[:, -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None, :]) @ vt
    scale = np.ones(len(rows))
    if scaled:
        size, true = (np.sqrt(np.einsum("nki,nki->n", points, points)) for points in (from_points, to_points))
        if hands.use_normalized:  # what is added is millimetres
            epsilon = epsilon * size / np.where(true > 0, true, np.nan)
        spread = (size + epsilon) ** 2
        scale = (singular * sign).sum(1) / np.where(spread > 0, spread, np.nan)
    turned = np.einsum("nij,nkj->nki", rotation, prediction[rows] - from_mean)
    moved[rows] = scale[:, None, None] * turned + to_mean
    return moved, kept


def _by_centroid(hands: Hands, prediction: Array, *, scaled: bool) -> Aligned:
    moved = np.full(hands.truth.shape, np.nan)
    kept: Mask = hands.labelled.sum(1) >= MIN_TIPS
    usable = hands.labelled & is_labelled(prediction)
    rows = np.flatnonzero(usable.sum(1) >= MIN_TIPS)
    if not rows.size:
        return moved, kept
    weight = usable[rows].astype(np.float64)[..., None]
    from_mean, from_points = _centred(prediction[rows], weight)
    to_mean, to_points = _centred(hands.truth[rows], weight)
    scale = np.ones(len(rows))
    if scaled:
        from_radius, to_radius = (np.linalg.norm(points, axis=-1).sum(1) for points in (from_points, to_points))
        scale = to_radius / np.where(from_radius > 0, from_radius, np.nan)
    moved[rows] = (prediction[rows] - from_mean) * scale[:, None, None] + to_mean
    return moved, kept


def _centred(points: Array, weight: Array) -> tuple[Floats, Floats]:
    """Return (N, 1, 3) weighted means and (N, K, 3) points about them, zero where the weight is."""
    filled = np.where(weight > 0, points, 0.0).astype(np.float64)
    mean = filled.sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    return mean, (filled - mean) * weight
