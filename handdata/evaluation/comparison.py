"""Predictions laid beside their truth, sample by sample: what every protocol measures on. Pure NumPy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.metrics import is_labelled
from handdata.skeleton import LEFT, NUM_KEYPOINTS, RIGHT, ROOT, TIPS, WRIST, WRIST_FORMULAS, palm_from_wrist

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

HALFWAY = tuple(WRIST_FORMULAS).index("halfway")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Predictions beside their truth, in SOURCE pixels and millimetres of the camera frame.

    N samples; NaN where a value is missing. 2D prediction and truth share one pixel convention.
    """

    prediction_2d: Floats  # (N, 21, 2) px
    truth_2d: Floats  # (N, 21, 2) px
    crop_xyxy: Floats  # (N, 4) px, the square crop the model saw; its side is the unit of the thesis' 2D errors
    bbox_xyxy: Floats  # (N, 4) px, the hand box
    box_side: Floats  # (N,) px, the longer side of the hand box, or of the labels' extent where there is no box
    prediction_normalized: Floats  # (N, 21, 3) middle MCP at the origin, wrist at 1
    prediction_3d: Floats  # (N, 21, 3) mm
    prediction_palm_3d: Floats  # (N, 3) mm
    prediction_box: Floats  # (N, 4) px
    prediction_side: NDArray[np.int8]  # (N,) 0 left, 1 right, -1 not predicted
    prediction_score: Floats  # (N,) how certain its maker is; NaN: not said
    truth_normalized: Floats  # (N, 21, 3)
    truth_3d: Floats  # (N, 21, 3) mm
    scale_mm: Floats  # (N,) true distance from wrist to middle MCP
    palm_3d: Floats  # (N, 3) mm
    wrist_rule: NDArray[np.int8]  # (N,) the key of WRIST_FORMULAS that joins wrist and palm, by number
    annotated_2d: Mask  # (N, 21)
    in_crop: Mask  # (N, 21) the 2D label lies inside the crop and the picture as shipped (docs/method.md 3.4)
    annotated_3d: Mask  # (N, 21)
    visible: NDArray[np.int8]  # (N, 21) 1 visible, 0 occluded, -1 unknown
    sequence: NDArray[np.int64]  # (N,) any integers
    picture: NDArray[np.int64]  # (N,) samples of one picture share it
    track: NDArray[np.int64]  # (N,) samples of one hand in one camera and sequence share it
    frame: NDArray[np.int64]  # (N,) number of the picture in its track, as shipped
    hand_side: NDArray[np.uint8]  # (N,) 0 left, 1 right, 2 not known
    side_is_sure: Mask  # (N,) the dataset vouches for hand_side
    mask_area: Floats  # (N,) px of the hand in the source's segmentation, NaN where not kept
    # (N,) lists of (place in the program's order, (21, 2) px, score): all hands that it found, each beside one sample
    # of its picture; None: `prediction_2d` is all that it found
    found: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.truth_2d)

    @property
    def crop_side(self) -> Floats:
        """(N,) px."""
        return self.crop_xyxy[:, 2] - self.crop_xyxy[:, 0]

    def take(self, rows: Array | slice) -> "Comparison":
        """Return the chosen samples: a boolean mask, indices or a slice."""
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return replace(self, **{name: column[rows] for name, column in columns.items() if column is not None})

    @property
    def has_full_hands(self) -> bool:
        """Whether more than fingertips is labelled in 2D.

        The thesis scores full hands wherever their keypoints lie (D10) and makes a fingertip of Dexter+Object absent
        outside its box or the picture (docs/method.md 3.4).
        """
        return bool(self.annotated_2d[:, _NOT_TIPS].any())

    @property
    def has_fingertips_alone(self) -> bool:
        """Whether fingertips are labelled in 3D, and no other keypoint."""
        return bool(self.annotated_3d.any() and not self.annotated_3d[:, _NOT_TIPS].any())


_NOT_TIPS = [keypoint for keypoint in range(NUM_KEYPOINTS) if keypoint not in TIPS]


def dominant_hands(picture: Array, is_left: Array, measure: Array) -> Mask:
    """Tell which samples show the dominant hand of their picture.

    The left hand is dominant if its measure is strictly the larger, else the right one; a hand alone in its picture is
    dominant. hand3d measures the area of the segmentation mask, others count visible keypoints.

    Args:
        picture: (N,) an integer that samples of one picture share.
        is_left: (N,) bool.
        measure: (N,) mask area or number of visible keypoints.

    Returns:
        (N,) bool, exactly one True per picture if it has at most one hand per side.
    """
    names, index = np.unique(picture, return_inverse=True)
    best = {side: np.full(len(names), -np.inf) for side in (True, False)}
    for side, largest in best.items():
        np.maximum.at(largest, index[is_left == side], np.asarray(measure, np.float64)[is_left == side])
    left_wins = best[True] > best[False]
    return np.asarray(left_wins[index] == is_left.astype(bool))


def in_pairs(picture: Array, hand_side: Array) -> Mask:
    """Tell which samples share their picture with a hand of the other side.

    Args:
        picture: (N,) an integer that samples of one picture share.
        hand_side: (N,) 0 left, 1 right, 2 not known.

    Returns:
        (N,) bool.
    """
    with_left, with_right = (np.unique(picture[hand_side == side]) for side in (LEFT, RIGHT))
    return np.asarray(np.isin(picture, np.intersect1d(with_left, with_right)) & (hand_side <= RIGHT))


def with_palms(comparison: Comparison) -> Comparison:
    """Return the comparison with the palm centre in the wrist's slot, in labels and predictions, as hand3d has it.

    Where a palm is labelled or predicted it is taken. Elsewhere it lies halfway between wrist and middle MCP, as hand3d
    defines it for RHD; of a wrist that was extrapolated from a palm, where that palm was. It counts as occluded where
    wrist and middle MCP both do.
    """
    truth = _with_palm(comparison.truth_3d, comparison.palm_3d, np.full(len(comparison), HALFWAY))
    rule = comparison.wrist_rule
    annotated, visible = comparison.annotated_3d.copy(), comparison.visible.copy()
    labelled = is_labelled(comparison.palm_3d) & annotated.any(1)
    annotated[:, WRIST] = labelled | annotated[:, WRIST] & annotated[:, ROOT]
    visible[:, WRIST] = np.maximum(visible[:, WRIST], visible[:, ROOT])
    return replace(
        comparison,
        truth_3d=truth,
        prediction_3d=_with_palm(comparison.prediction_3d, comparison.prediction_palm_3d, rule),
        prediction_normalized=_with_palm(
            comparison.prediction_normalized, np.full_like(comparison.prediction_palm_3d, np.nan), rule
        ),
        annotated_3d=annotated,
        visible=visible,
    )


def _with_palm(points: Floats, palm: Floats, rule: Array) -> Floats:
    """Return points whose wrist slot holds the palm; where that is not known, what the rule makes of a wrist."""
    result = np.array(points, np.float64)
    for number, formula in enumerate(WRIST_FORMULAS):
        rows = np.flatnonzero(rule == number)
        if rows.size:
            result[rows, WRIST] = palm_from_wrist(points[rows], formula)
    known = is_labelled(palm)
    result[known, WRIST] = palm[known]
    return result
