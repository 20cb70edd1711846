"""From what was measured of every label to one number with its interval, or the reason why there is none."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from handdata.evaluation import alignment, metrics
from handdata.evaluation.comparison import Comparison, Floats, dominant_hands, in_pairs
from handdata.evaluation.intervals import interval, why_none
from handdata.evaluation.measure import filmed_frames, hands_of, kinds_of, labelled_frames, measure
from handdata.evaluation.precision import score_precision
from handdata.evaluation.protocol import Protocol, Score
from handdata.skeleton import LEFT


def score(protocol: Protocol, comparison: Comparison) -> Score:
    """Return one protocol's number with its interval over sequences.

    Args:
        protocol: a row of PROTOCOLS, or one of the caller's own.
        comparison: predictions beside truth.
    """
    return score_all([protocol], comparison)[protocol.name]


def score_all(protocols: Sequence[Protocol], comparison: Comparison) -> dict[str, Score]:
    """Return the numbers of several protocols by name; what they measure alike is measured once."""
    tips = comparison.has_fingertips_alone
    names, notes = (
        [one.name for one in protocols],
        {one.name: one.on_tips().note for one in protocols if one.tips and tips},
    )
    protocols = [one.on_tips() for one in protocols] if tips else protocols
    scores: dict[str, Score] = {}
    for protocol in protocols:
        if protocol.quantity == "oks_ap":
            scores[protocol.name] = score_precision(protocol, comparison)
    protocols = [protocol for protocol in protocols if protocol.name not in scores]
    for _, alike in groupby(sorted(protocols, key=lambda one: repr(one.measured)), key=lambda one: one.measured):
        members = list(alike)
        chosen, note = _choose_hands(members[0], comparison)
        values = measure(members[0], chosen)
        for protocol in members:
            said = "; ".join(filter(None, (note, notes.get(protocol.name))))
            scores[protocol.name] = _score(protocol, chosen, values, said)
    return {name: scores[name] for name in names}


def _score(protocol: Protocol, chosen: Comparison, values: Floats, note: str) -> Score:
    labelled = ~np.isnan(values)
    if not labelled.any():
        return Score(missing=_no_label(protocol, chosen), note=note)
    if not np.isfinite(values).any():
        return Score(missing=_no_prediction(protocol, chosen), labels=int(labelled.sum()), note=note)
    credit = label_credit(protocol, values)
    if protocol.average == "per_side":
        credit = metrics.by_side(credit, chosen.hand_side == LEFT)
    statistic = _statistic(protocol)
    ends = interval(credit, chosen.sequence, statistic, share=protocol.is_share)
    rows = labelled.any(1)
    return Score(
        value=_finished(protocol, _summary(credit, statistic)),
        low=_finished(protocol, ends[0]) if ends else None,
        high=_finished(protocol, ends[1]) if ends else None,
        labels=int(labelled.sum()),
        unpredicted=int(np.isposinf(values).sum()),
        samples=int(rows.sum()),
        sequences=len(np.unique(chosen.sequence[rows])),
        note=note if ends else "; ".join(filter(None, (note, why_none(credit, chosen.sequence)))),
        thresholds=protocol.thresholds if protocol.statistic != "sum" else (),
    )


def label_credit(protocol: Protocol, values_NK: Floats) -> Floats:
    """Return what each label adds to the protocol's mean: its distance, or its share of the area.

    Returns:
        (N, K); NaN without a label. A label without a prediction is infinite in a mean and 0 in an area or share.
    """
    credit, thresholds = values_NK, np.array(protocol.thresholds)
    if protocol.statistic == "window":
        credit = metrics.window_credit(values_NK, thresholds[0], thresholds[1])
    elif protocol.statistic == "score":
        credit = metrics.window_credit(values_NK, 0.0, 1.0)
    elif protocol.statistic in ("grid", "sum", "share"):
        is_grid = protocol.statistic == "grid"
        weights = metrics.trapezoid_weights(thresholds) if is_grid else np.full(len(thresholds), 1 / len(thresholds))
        credit = metrics.grid_credit(values_NK, thresholds, weights, strict=protocol.strict)
    elif protocol.statistic == "rms":
        credit = values_NK**2
    return metrics.packed(credit) if protocol.average == "per_slot" else credit


def _statistic(protocol: Protocol) -> str:
    """Return the name under which `intervals` and `_summary` know it."""
    by_keypoint = protocol.average in ("per_keypoint", "per_side", "per_slot")
    if protocol.statistic == "median":
        return "keypoint_medians" if by_keypoint else "median"
    return "per_keypoint" if by_keypoint else "pooled"


def _summary(credit: Floats, statistic: str) -> float:
    if statistic == "median":
        return metrics.micro_median(credit)
    if statistic == "keypoint_medians":
        return metrics.macro_mean(np.array([metrics.micro_median(column) for column in credit.T]))
    if statistic == "per_keypoint":
        return metrics.macro_mean(metrics.keypoint_means(credit)[0])
    return metrics.micro_mean(credit)


def _finished(protocol: Protocol, value: float) -> float | None:
    value = float(np.sqrt(value)) if protocol.statistic == "rms" else value
    return value if np.isfinite(value) else None


# ------------------------------------------------------------------------------------------------ whose hands


def _choose_hands(protocol: Protocol, comparison: Comparison) -> tuple[Comparison, str]:
    """Return the samples whose hand the protocol scores, and what was done where its rule cannot be followed."""
    if protocol.hands in _CHOSEN:
        both = in_pairs(comparison.picture, comparison.hand_side)
        return comparison.take(both if protocol.hands == "interacting" else ~both), ""
    if protocol.hands == "all" or len(np.unique(comparison.picture)) == len(comparison):
        return comparison, ""
    sizes, note = (comparison.visible == 1).sum(1).astype(np.float64), ""
    if protocol.hands == "dominant_area":
        if np.isfinite(comparison.mask_area).all():
            sizes = comparison.mask_area
        else:
            note = "dominant hand by count of visible keypoints: the shards keep no mask area of each hand"
    return comparison.take(dominant_hands(comparison.picture, comparison.hand_side == LEFT, sizes)), note


# ------------------------------------------------------------------------------------------------ why there is none

_CHOSEN = {  # hands -> why there is none of them
    "single": "no picture with one labelled hand alone",
    "interacting": "no picture with both hands labelled",
}
_LABELS = {  # quantity -> why there is no label of it
    "box": "no hand box",
    "side": "no side of the hand",
    "pair_mm": "no picture with the root of both hands labelled in 3D",
    "depth_mm": "the middle MCP is not labelled in 3D",
    "depth_part": "the middle MCP is not labelled in 3D",
    "3d": "no normalised 3D label (it needs the wrist and the middle MCP)",
}
_PREDICTIONS = {  # quantity -> why there is no prediction of it
    "box": "the predictions hold no hand box",
    "side": "the predictions hold no side of the hand",
}


def _is_flat(protocol: Protocol) -> bool:
    """Tell whether a protocol looks at 2D."""
    return protocol.quantity.endswith("_px") or protocol.quantity in ("2d", "2d_box", "oks", "box_of_keypoints")


def _is_motion(protocol: Protocol) -> bool:
    return protocol.quantity.startswith(("acceleration", "jitter"))


def _no_motion(comparison: Comparison) -> str:
    if len(labelled_frames(comparison)) and not len(filmed_frames(comparison)):
        return "the labels jump from frame to frame as those of unrelated pictures: no recording"
    return "no three frames of one hand follow one another"


def _no_label(protocol: Protocol, comparison: Comparison) -> str:
    """Say why a protocol counts no label, most telling cause first."""
    hands = hands_of(protocol, comparison, kinds_of(comparison))
    reasons = (
        (not len(comparison), _CHOSEN.get(protocol.hands, "no samples")),
        (protocol.quantity in _LABELS, _LABELS.get(protocol.quantity, "")),
        (_is_flat(protocol) and not comparison.annotated_2d.any(), "no 2D label"),
        (not _is_flat(protocol) and not comparison.annotated_3d.any(), "no 3D label in millimetres"),
        (_is_motion(protocol), _no_motion(comparison)),
        (_is_flat(protocol), "no hand box"),
    )
    return next((text for holds, text in reasons if holds), alignment.why_none(protocol.alignment, hands))


def _no_prediction(protocol: Protocol, comparison: Comparison) -> str:
    """Say why no label has a prediction."""
    kinds = kinds_of(comparison)
    needs_millimetres = protocol.quantity == "pair_mm" or alignment.ALIGNMENTS[protocol.alignment].takes == "mm"
    some_2d = bool(np.isfinite(comparison.prediction_2d).any())
    reasons = (
        (protocol.quantity in _PREDICTIONS, _PREDICTIONS.get(protocol.quantity, "")),
        (_is_flat(protocol) and not some_2d, "the predictions hold no 2D"),
        (protocol.quantity == "box_of_keypoints", "no sample has all of its labelled keypoints predicted in 2D"),
        (_is_flat(protocol), "the predictions hold 2D of no labelled keypoint"),
        (not (kinds.millimetres or kinds.normalized), "the predictions hold no 3D"),
        (protocol.quantity == "3d" and not kinds.normalized, "the predictions hold no normalised 3D, only millimetres"),
        (
            protocol.quantity != "3d" and needs_millimetres and not kinds.millimetres,
            "the predictions hold no millimetres, only normalised 3D",
        ),
    )
    return next((text for holds, text in reasons if holds), "the predictions hold too few labelled keypoints in 3D")
