"""The published ways to score a hand, each as one row: unit, alignment, thresholds, average, mask, hands, source.

Every area and share here is a mean over labels of what a single label adds (`metrics.window_credit`, `grid_credit`), so
one bootstrap serves all of them. A protocol that the labels or the predictions do not allow is reported as missing,
with the reason; nothing is put in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation import alignment, metrics
from handdata.skeleton import KEYPOINTS, LEFT, NUM_KEYPOINTS, ROOT, TIPS, WRIST

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Predictions beside their truth, sample by sample, in SOURCE pixels and millimetres of the camera frame.

    N samples; NaN where a value is missing. 2D prediction and truth share one pixel convention.
    """

    prediction_2d: Floats  # (N, 21, 2) px
    truth_2d: Floats  # (N, 21, 2) px
    crop_xyxy: Floats  # (N, 4) px, the square crop the model saw; its side is the unit of the thesis' 2D errors
    box_side: Floats  # (N,) px, the longer side of the hand box
    prediction_normalized: Floats  # (N, 21, 3) middle MCP at the origin, wrist at 1
    prediction_3d: Floats  # (N, 21, 3) mm
    truth_normalized: Floats  # (N, 21, 3)
    truth_3d: Floats  # (N, 21, 3) mm
    scale_mm: Floats  # (N,) true distance from wrist to middle MCP
    palm_3d: Floats  # (N, 3) mm
    annotated_2d: NDArray[np.bool_]  # (N, 21)
    in_crop: NDArray[np.bool_]  # (N, 21) the 2D label lies inside crop and picture as shipped (docs/method.md 3.4)
    annotated_3d: NDArray[np.bool_]  # (N, 21)
    visible: NDArray[np.int8]  # (N, 21) 1 visible, 0 occluded, -1 unknown
    sequence: NDArray[np.int64]  # (N,) any integers
    picture: NDArray[np.int64]  # (N,) samples of one picture share it
    hand_side: NDArray[np.uint8]  # (N,) 0 left, 1 right
    mask_area: Floats  # (N,) px of the hand in the source's segmentation, NaN where not kept

    def __len__(self) -> int:
        return len(self.truth_2d)

    @property
    def crop_side(self) -> Floats:
        """(N,) px."""
        return self.crop_xyxy[:, 2] - self.crop_xyxy[:, 0]

    def take(self, rows: Array | slice) -> "Comparison":
        """Return the chosen samples: a boolean mask, indices or a slice."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """One number that papers print, and everything that decides it."""

    name: str
    title: str
    quantity: str  # "2d" crop fraction, "2d_px", "2d_box", "3d" normalised, "3d_mm"
    statistic: str  # "mean", "median", "window" exact area, "grid" trapezoid on thresholds, "sum" 0.01 x sum, "share"
    source: str
    alignment: str = "none"  # "none", "root", "root+scale", "procrustes", "centroid+radius"
    root: int = ROOT  # the keypoint laid on its truth where the alignment has a root
    thresholds: tuple[float, ...] = ()  # the grid, or the ends of the window, or the one threshold of a share
    average: str = "pooled"  # or "per_keypoint": the mean of keypoint means
    mask: str = "annotated"  # or "visible": labels known to be occluded are left out; or "thesis": its own 2D rule
    hands: str = "all"  # or "dominant_count", "dominant_area": one hand a picture
    palm: str = ""  # how a palm centre stands in for an unlabelled wrist (alignment.PALM_CONVENTIONS)
    note: str = ""

    @property
    def family(self) -> str:
        """The name that `--protocol` takes: the part before the colon."""
        return self.name.split(":")[0]

    @property
    def measured(self) -> tuple[str | int, ...]:
        """What decides the distances: protocols that agree in it differ only in what they make of them."""
        return (self.quantity, self.alignment, self.root, self.mask, self.hands, self.palm)

    @property
    def unit(self) -> str:
        """The unit of the number; areas and shares have none."""
        units = {"2d": "crop", "2d_px": "px", "2d_box": "box", "3d": "normalised", "3d_mm": "mm"}
        return units[self.quantity] if self.statistic in ("mean", "median") else "1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One protocol's number for one set of samples, or why there is none."""

    value: float | None = None
    low: float | None = None  # 95 % interval over sequences; None with fewer than two
    high: float | None = None
    labels: int = 0
    unpredicted: int = 0  # labels without a prediction: wrong in a share or area, left out of a mean
    samples: int = 0
    sequences: int = 0
    missing: str = ""
    note: str = ""
    thresholds: tuple[float, ...] = field(default=())


BLOCK = 2048  # samples measured at a time: a few MB
THESIS = "docs/method.md 9.3 (O. Chernytska, master thesis, UCU 2019, and its code)"
_HAND3D_GRID = tuple(np.linspace(0.0, 50.0, 20)[8:].tolist())  # 21.05 .. 50: the last 12 of 20, printed as "20-50"
_GT = "root and scale from ground truth, as most published figures do"
_TABLE = (
    Protocol(name="thesis:error_2d", title="Mean distance, crop fractions", quantity="2d", statistic="mean",
             mask="thesis", source=THESIS,
             note="pooled over labels; equals the mean over keypoints on full labels (E16)"),
    Protocol(name="thesis:error_3d", title="Mean distance, normalised 3D", quantity="3d", statistic="mean",
             source=THESIS),
    Protocol(name="thesis:error_px", title="Mean distance, distance x crop side", quantity="2d_px", statistic="mean",
             mask="thesis", source=f"{THESIS}; Table 4.9"),
    Protocol(name="thesis:area_2d", title="0.01 x sum of PCK at 0.00..0.99, 2D", quantity="2d", statistic="sum",
             mask="thesis", thresholds=tuple(metrics.THESIS_THRESHOLDS.tolist()), source=THESIS,
             note="called ROC-AUC there (E14)"),
    Protocol(name="thesis:area_3d", title="0.01 x sum of PCK at 0.00..0.99, 3D", quantity="3d", statistic="sum",
             thresholds=tuple(metrics.THESIS_THRESHOLDS.tolist()), source=THESIS, note="called ROC-AUC there (E14)"),
    Protocol(name="auc_20_50", title="PCK area 20-50 mm, exact", quantity="3d_mm", statistic="window",
             alignment="root+scale", thresholds=(20.0, 50.0), source=f"docs/method.md 9.6; {_GT}"),
    Protocol(name="auc_hand3d", title="PCK area '20-50' as hand3d computes it: 12 points, 21.05-50 mm",
             quantity="3d_mm", statistic="grid", alignment="root+scale", root=WRIST, thresholds=_HAND3D_GRID,
             average="per_keypoint", mask="visible", hands="dominant_area", palm="palm",
             source="docs/method.md 9.6 (hand3d, Zimmermann & Brox 2017)"),
    Protocol(name="auc_minimal_hand", title="PCK area 20-50 mm, 15 points, fingertips by centroid and mean radius",
             quantity="3d_mm", statistic="grid", alignment="centroid+radius",
             thresholds=tuple(np.linspace(20.0, 50.0, 15).tolist()), source="docs/method.md 9.6 (Minimal-Hand)",
             note="centroid and radius from ground truth; frames with fewer than two labels dropped"),
    Protocol(name="auc_0_50", title="PCK area 0-50 mm, 101 points", quantity="3d_mm", statistic="grid",
             alignment="root+scale", thresholds=tuple(np.linspace(0.0, 50.0, 101).tolist()),
             source="docs/method.md 9.6 (hand_tracking_toolkit)"),
    Protocol(name="auc_0_100", title="PCK area 0-100 mm, exact", quantity="3d_mm", statistic="window",
             alignment="root+scale", thresholds=(0.0, 100.0),
             source="docs/method.md 9.6 (Dexter+Object figures of Mueller, Iqbal, Yang)"),
    Protocol(name="epe_mm:mean", title="Mean distance, root-aligned, predicted scale", quantity="3d_mm",
             statistic="mean", alignment="root", source="docs/method.md 9.6"),
    Protocol(name="epe_mm:median", title="Median distance, root-aligned, predicted scale", quantity="3d_mm",
             statistic="median", alignment="root", source="docs/method.md 9.6"),
    Protocol(name="epe_mm:mean_gt_scale", title="Mean distance, root-aligned, true scale", quantity="3d_mm",
             statistic="mean", alignment="root+scale", source=f"docs/method.md 9.6; {_GT}"),
    Protocol(name="epe_mm:median_gt_scale", title="Median distance, root-aligned, true scale", quantity="3d_mm",
             statistic="median", alignment="root+scale", source=f"docs/method.md 9.6; {_GT}"),
    Protocol(name="pa_mpjpe", title="Mean distance after Procrustes alignment", quantity="3d_mm", statistic="mean",
             alignment="procrustes", source="docs/method.md 9.6; Umeyama 1991"),
    Protocol(name="epe_px:mean", title="Mean distance in source pixels", quantity="2d_px", statistic="mean",
             source="docs/method.md 9.6"),
    Protocol(name="epe_px:median", title="Median distance in source pixels", quantity="2d_px", statistic="median",
             source="docs/method.md 9.6"),
    Protocol(name="pck_0.2_bbox", title="Share within 0.2 of the longer side of the hand box", quantity="2d_box",
             statistic="share", thresholds=(0.2,), source="docs/method.md 9.6 (mmpose)"),
    Protocol(name="auc_0_30_px", title="PCK area 0-30 source pixels, exact", quantity="2d_px", statistic="window",
             thresholds=(0.0, 30.0), source="docs/method.md 9.6 (mmpose)"),
)  # fmt: skip
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _TABLE}


def families() -> dict[str, tuple[Protocol, ...]]:
    """Return the protocols by the name that `--protocol` takes, in the order of the table."""
    names = dict.fromkeys(protocol.family for protocol in _TABLE)
    return {name: tuple(protocol for protocol in _TABLE if protocol.family == name) for name in names}


def score(protocol: Protocol, comparison: Comparison, *, seed: int = 0) -> Score:
    """Return one protocol's number with its interval over sequences.

    Args:
        protocol: a row of PROTOCOLS, or one of the caller's own.
        comparison: predictions beside truth.
        seed: of the bootstrap.
    """
    return score_all([protocol], comparison, seed=seed)[protocol.name]


def score_all(protocols: Sequence[Protocol], comparison: Comparison, *, seed: int = 0) -> dict[str, Score]:
    """Return the numbers of several protocols by name; what they measure alike is measured once."""
    scores = {}
    order = sorted(protocols, key=lambda protocol: repr(protocol.measured))
    for _, alike in groupby(order, key=lambda protocol: protocol.measured):
        members = list(alike)
        chosen, note = _choose_hands(members[0], comparison)
        values = protocol_distances(members[0], chosen)
        for protocol in members:
            scores[protocol.name] = _score(protocol, chosen, values, note, seed)
    return {protocol.name: scores[protocol.name] for protocol in protocols}


def _score(protocol: Protocol, chosen: Comparison, values: Floats, note: str, seed: int) -> Score:
    labelled = ~np.isnan(values)
    if not labelled.any():
        return Score(missing=_no_label(protocol, chosen), note=note)
    if not np.isfinite(values).any():
        return Score(missing=_no_prediction(protocol, chosen), labels=int(labelled.sum()), note=note)
    credit = label_credit(protocol, values)
    statistic = "median" if protocol.statistic == "median" else protocol.average
    interval = metrics.bootstrap_interval(credit, chosen.sequence, statistic, seed=seed)
    rows = labelled.any(1)
    return Score(
        value=_summary(credit, statistic),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        labels=int(labelled.sum()),
        unpredicted=int(np.isposinf(values).sum()),
        samples=int(rows.sum()),
        sequences=len(np.unique(chosen.sequence[rows])),
        note=note,
        thresholds=protocol.thresholds if protocol.statistic != "sum" else (),
    )


def label_credit(protocol: Protocol, distances_NK: Floats) -> Floats:
    """Return what each label adds to the protocol's mean: its distance, or its share of the area.

    Returns:
        (N, 21); NaN without a label. A label without a prediction is infinite in a mean and 0 in an area or share.
    """
    thresholds = np.array(protocol.thresholds)
    if protocol.statistic == "window":
        return metrics.window_credit(distances_NK, thresholds[0], thresholds[1])
    if protocol.statistic == "grid":
        return metrics.grid_credit(distances_NK, thresholds, metrics.trapezoid_weights(thresholds))
    if protocol.statistic == "sum":
        return metrics.grid_credit(distances_NK, thresholds, np.full(len(thresholds), 0.01))
    if protocol.statistic == "share":
        return metrics.grid_credit(distances_NK, thresholds, np.ones(1))
    return distances_NK


def protocol_distances(protocol: Protocol, comparison: Comparison) -> Floats:
    """Return the (N, 21) distances a protocol looks at: aligned, in its unit, NaN where it counts no label.

    Samples are measured a block at a time, so that what is between labels and distances stays in the processor's cache.
    """
    full_hands, normalized = has_full_hands(comparison), bool(np.isfinite(comparison.prediction_normalized).any())
    measured: Floats = np.empty((len(comparison), NUM_KEYPOINTS))
    for rows in (slice(start, start + BLOCK) for start in range(0, len(comparison), BLOCK)):
        measured[rows] = _measure(protocol, comparison.take(rows), full_hands=full_hands, normalized=normalized)
    return measured


def _measure(protocol: Protocol, comparison: Comparison, *, full_hands: bool, normalized: bool) -> Floats:
    hidden = comparison.visible == 0 if protocol.mask == "visible" else np.zeros_like(comparison.annotated_2d)
    if protocol.quantity.startswith("2d"):
        units = {"2d": comparison.crop_side, "2d_px": np.ones(len(comparison)), "2d_box": comparison.box_side}
        unit = units[protocol.quantity][:, None]
        inside_only = protocol.mask == "thesis" and not full_hands
        labels = comparison.annotated_2d & comparison.in_crop if inside_only else comparison.annotated_2d
        mask = labels & ~hidden & np.isfinite(unit)
        return np.asarray(metrics.distances(comparison.prediction_2d, comparison.truth_2d, mask) / unit)
    if protocol.quantity == "3d":
        mask = metrics.is_labelled(comparison.truth_normalized) & ~hidden
        return metrics.distances(comparison.prediction_normalized, comparison.truth_normalized, mask)
    return _millimetres(protocol, comparison, comparison.annotated_3d & ~hidden, normalized=normalized)


def has_full_hands(comparison: Comparison) -> bool:
    """Tell whether more than fingertips is labelled in 2D.

    The thesis scores full hands wherever their keypoints lie (D10) and makes a fingertip of Dexter+Object absent
    outside its box or the picture (docs/method.md 3.4).
    """
    others = [keypoint for keypoint in range(NUM_KEYPOINTS) if keypoint not in TIPS]
    return bool(comparison.annotated_2d[:, others].any())


def _millimetres(protocol: Protocol, comparison: Comparison, mask: NDArray[np.bool_], *, normalized: bool) -> Floats:
    """Align as the protocol says; a sample whose TRUTH does not allow that alignment is dropped."""
    truth = comparison.truth_3d
    if protocol.palm:
        truth = alignment.wrist_from_palm(truth, comparison.palm_3d, protocol.palm)
        stands_in = mask.any(1) & metrics.is_labelled(truth[:, WRIST]) & metrics.is_labelled(comparison.palm_3d)
        mask = mask.copy()
        mask[:, WRIST] |= stands_in
    prediction = comparison.prediction_normalized if normalized else comparison.prediction_3d
    labels = (mask & metrics.is_labelled(truth)).sum(1)
    if protocol.alignment == "procrustes":
        aligned, kept = alignment.align_procrustes(prediction, truth, mask), labels >= alignment.MIN_PROCRUSTES
    elif protocol.alignment == "centroid+radius":
        aligned, kept = alignment.align_centroid_and_radius(prediction, truth, mask), labels >= alignment.MIN_TIPS
    elif protocol.alignment == "root":
        aligned = alignment.align_root(comparison.prediction_3d, truth, protocol.root)
        kept = metrics.is_labelled(truth[:, protocol.root])
    else:
        given = comparison.scale_mm if normalized else None
        scale = alignment.true_scale(prediction, truth, given)
        aligned = alignment.align_root_and_scale(prediction, truth, scale, protocol.root)
        kept = metrics.is_labelled(truth[:, protocol.root]) & alignment.has_scale(truth, comparison.scale_mm)
    return metrics.distances(aligned, truth, mask & kept[:, None])


def _choose_hands(protocol: Protocol, comparison: Comparison) -> tuple[Comparison, str]:
    """Return the samples whose hand the protocol scores, and what was done where its rule cannot be followed."""
    if protocol.hands == "all" or len(np.unique(comparison.picture)) == len(comparison):
        return comparison, ""
    measure, note = (comparison.visible == 1).sum(1).astype(np.float64), ""
    if protocol.hands == "dominant_area":
        if np.isfinite(comparison.mask_area).all():
            measure = comparison.mask_area
        else:
            note = "dominant hand by count of visible keypoints: the shards keep no mask area of each hand"
    chosen = alignment.dominant_hands(comparison.picture, comparison.hand_side == LEFT, measure)
    return comparison.take(chosen), note


def _summary(credit: Floats, statistic: str) -> float | None:
    if statistic == "median":
        value = metrics.micro_median(credit)
    elif statistic == "per_keypoint":
        value = metrics.macro_mean(metrics.keypoint_means(credit)[0])
    else:
        value = metrics.micro_mean(credit)
    return value if np.isfinite(value) else None


def _no_label(protocol: Protocol, comparison: Comparison) -> str:
    """Say why a protocol counts no label, most telling cause first."""
    if protocol.quantity.startswith("2d") or not len(comparison):
        return "no 2D label" if len(comparison) else "no samples"
    if protocol.quantity == "3d":
        return "no normalised 3D label (it needs the wrist and the middle MCP)"
    if not comparison.annotated_3d.any():
        return "no 3D label in millimetres"
    if protocol.alignment.startswith("root") and not np.isfinite(comparison.truth_3d[:, protocol.root]).any():
        return f"the root of the alignment, {KEYPOINTS[protocol.root]}, is not labelled"
    if protocol.alignment == "root+scale":
        return "no true scale: neither wrist and middle MCP nor the middle finger's first phalanx is labelled"
    return "no sample has the labels this alignment needs"


def _no_prediction(protocol: Protocol, comparison: Comparison) -> str:
    """Say why no label has a prediction."""
    if protocol.quantity.startswith("2d"):
        some = np.isfinite(comparison.prediction_2d).any()
        return "the predictions hold 2D of no labelled keypoint" if some else "the predictions hold no 2D"
    millimetres = np.isfinite(comparison.prediction_3d).any()
    normalized = np.isfinite(comparison.prediction_normalized).any()
    if not (millimetres or normalized):
        return "the predictions hold no 3D"
    if protocol.alignment == "root" and not millimetres:
        return "the predictions hold no millimetres, only normalised 3D"
    if protocol.quantity == "3d" and not normalized:
        return "the predictions hold no normalised 3D, only millimetres"
    return "the predictions hold too few labelled keypoints in 3D"
