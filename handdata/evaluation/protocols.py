"""The ways to score a hand by name: the published ones, exactly as their sources compute them, and ours.

Every area and share is a mean over labels of what a single label adds (`metrics.window_credit`, `grid_credit`), so one
kind of interval serves all of them. A protocol that the labels or the predictions do not allow is reported as missing,
with the reason; nothing is put in its place. A name that carries a peer's means that peer's number:
tests/evaluation/test_peers.py holds their definitions as plain loops.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from handdata.errors import ConfigError
from handdata.evaluation import metrics
from handdata.evaluation.protocol import Protocol
from handdata.skeleton import WRIST

THESIS = "O. Chernytska, master thesis, UCU 2019, and its code"
HAND3D = "hand3d's evaluation, Zimmermann & Brox, ICCV 2017"
MINIMAL_HAND = "Minimal-Hand, Zhou and others, CVPR 2020, as its PyTorch edition evaluates"
MMPOSE = "mmpose's metrics of 2D keypoints"
HO3D = "HO-3D's evaluation, Hampali and others, CVPR 2020"
INTERHAND = "InterHand2.6M's evaluation, Moon and others, ECCV 2020"
FREIHAND = "FreiHAND's evaluation, Zimmermann and others, ICCV 2019"
_THESIS_STEPS = tuple(metrics.THESIS_THRESHOLDS.tolist())
_HAND3D_GRID = tuple(np.linspace(0.0, 50.0, 20)[8:].tolist())  # 21.05 .. 50: the last 12 of 20, printed as "20-50"
_TO_50_BY_100 = tuple(np.linspace(0.0, 50.0, 100).tolist())
COCO = "COCO's evaluation of keypoints, pycocotools; sigma 0.05 of every keypoint, as DexYCB's COCO labels"
_OKS_STEPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
_MMPOSE_STEPS = tuple(1.5 * step for step in range(20))  # px: 0/20 .. 19/20 of 30
_GT = "root and scale from ground truth, as most published figures do"

_GIVEN_WRIST = "published as the raw error: entrants put the wrist that evaluation gives in its place"
_OF_42 = "the mean over the 42 keypoints of a right and a left hand"
_WHOSE = f"{_OF_42}; by the labels, where the archive goes by the name of the recording"

_THESIS = (
    Protocol(name="thesis:error_2d", title="Mean distance, crop fractions", quantity="2d", statistic="mean",
             mask="thesis", source=THESIS,
             note="pooled over labels; equals the mean over keypoints on full labels (E16)"),
    Protocol(name="thesis:error_3d", title="Mean distance, normalised 3D", quantity="3d", statistic="mean",
             source=THESIS),
    Protocol(name="thesis:error_px", title="Mean distance, distance x crop side", quantity="2d_px", statistic="mean",
             mask="thesis", source=f"{THESIS}; Table 4.9"),
    Protocol(name="thesis:area_2d", title="0.01 x sum of PCK at 0.00..0.99, 2D", quantity="2d", statistic="sum",
             mask="thesis", thresholds=_THESIS_STEPS, source=THESIS, note="called ROC-AUC there (E14)"),
    Protocol(name="thesis:area_3d", title="0.01 x sum of PCK at 0.00..0.99, 3D", quantity="3d", statistic="sum",
             thresholds=_THESIS_STEPS, source=THESIS, note="called ROC-AUC there (E14)"),
)  # fmt: skip
_AREAS = (
    Protocol(name="auc_20_50", title="PCK area 20-50 mm, exact", quantity="3d_mm", statistic="window",
             alignment="root+scale", thresholds=(20.0, 50.0), source=_GT),
    Protocol(name="auc_hand3d", title="PCK area '20-50' as hand3d computes it: 12 points, 21.05-50 mm",
             quantity="3d_mm", statistic="grid", alignment="hand3d", root=WRIST, palm=True, thresholds=_HAND3D_GRID,
             average="per_keypoint", mask="visible", hands="dominant_area", source=HAND3D,
             note="palm as root; millimetres as given, other units by the true first phalanx"),
    Protocol(name="auc_hand3d:rescaled", title="The same, millimetres too scaled by the true first phalanx",
             quantity="3d_mm", statistic="grid", alignment="root+phalanx", root=WRIST, palm=True,
             thresholds=_HAND3D_GRID, average="per_keypoint", mask="visible", hands="dominant_area", source=HAND3D),
    Protocol(name="auc_minimal_hand", title="PCK area 20-50 mm, 15 points, root and its bone to the wrist from truth",
             quantity="3d_mm", statistic="grid", alignment="root+bone", tips="centroid+radius", tips_average="per_slot",
             thresholds=tuple(np.linspace(20.0, 50.0, 15).tolist()), average="per_keypoint", hands="dominant_count",
             source=MINIMAL_HAND,
             note="on fingertips by centroid and mean radius from truth, frames with fewer than two dropped; the mean "
                  "of the means of each frame's first, second, .. labelled tip"),
    Protocol(name="auc_minimal_hand:visible", title="The same over keypoints that are not occluded",
             quantity="3d_mm", statistic="grid", alignment="root+bone", tips="centroid+radius", tips_average="per_slot",
             thresholds=tuple(np.linspace(20.0, 50.0, 15).tolist()), average="per_keypoint", mask="visible",
             hands="dominant_count", source=MINIMAL_HAND),
    Protocol(name="auc_tips_20_50", title="PCK area 20-50 mm, 15 points, by centroid and mean radius, pooled",
             quantity="3d_mm", statistic="grid", alignment="centroid+radius",
             thresholds=tuple(np.linspace(20.0, 50.0, 15).tolist()), source="ours: Minimal-Hand's rule, labels pooled"),
    Protocol(name="auc_0_50", title="PCK area 0-50 mm, 101 points", quantity="3d_mm", statistic="grid",
             alignment="root+scale", thresholds=tuple(np.linspace(0.0, 50.0, 101).tolist()),
             source="the grid of hand_tracking_toolkit; " + _GT),
    Protocol(name="auc_0_50:absolute", title="PCK area 0-50 mm, exact, millimetres as given", quantity="3d_mm",
             statistic="window", thresholds=(0.0, 50.0), source="ours"),
    Protocol(name="auc_0_100", title="PCK area 0-100 mm, exact", quantity="3d_mm", statistic="window",
             alignment="root+scale", tips="centroid+radius", thresholds=(0.0, 100.0),
             source="the window of Mueller, Iqbal and Yang on Dexter+Object; " + _GT),
    Protocol(name="auc_0_100:absolute", title="PCK area 0-100 mm, exact, millimetres as given", quantity="3d_mm",
             statistic="window", thresholds=(0.0, 100.0), source="ours"),
    Protocol(name="auc_pa_0_50", title="PCK area 0-50 mm after Procrustes alignment, exact", quantity="3d_mm",
             statistic="window", alignment="procrustes", thresholds=(0.0, 50.0), source="ours; Umeyama 1991"),
)  # fmt: skip
_MILLIMETRES = (
    Protocol(name="epe_mm:mean", title="Mean distance, root-aligned, predicted scale", quantity="3d_mm",
             statistic="mean", alignment="root", source="MPJPE"),
    Protocol(name="epe_mm:median", title="Median distance, root-aligned, predicted scale", quantity="3d_mm",
             statistic="median", alignment="root", source="MPJPE"),
    Protocol(name="epe_mm:mean_gt_scale", title="Mean distance, root-aligned, true scale", quantity="3d_mm",
             statistic="mean", alignment="root+scale", source=_GT),
    Protocol(name="epe_mm:median_gt_scale", title="Median distance, root-aligned, true scale", quantity="3d_mm",
             statistic="median", alignment="root+scale", source=_GT),
    Protocol(name="epe_mm:mean_of_keypoints", title="Mean of keypoint means, root-aligned, predicted scale",
             quantity="3d_mm", statistic="mean", alignment="root", average="per_keypoint", source="MPJPE"),
    Protocol(name="epe_mm:mean_wrist", title="Mean distance, wrist-aligned, predicted scale", quantity="3d_mm",
             statistic="mean", alignment="root", root=WRIST, source="MPJPE by the wrist"),
    Protocol(name="epe_abs_mm:mean", title="Mean distance of millimetres as given", quantity="3d_mm",
             statistic="mean", source="absolute MPJPE"),
    Protocol(name="epe_abs_mm:median", title="Median distance of millimetres as given", quantity="3d_mm",
             statistic="median", source="absolute MPJPE"),
    Protocol(name="root_depth:mm", title="Mean error of the middle MCP's depth", quantity="depth_mm", statistic="mean",
             source="ours"),
    Protocol(name="root_depth:part", title="Mean error of the middle MCP's depth as a part of it",
             quantity="depth_part", statistic="mean", source="ours"),
    Protocol(name="pa_mpjpe", title="Mean distance after Procrustes alignment", quantity="3d_mm", statistic="mean",
             alignment="procrustes", source="Umeyama 1991"),
    Protocol(name="rigid_mpjpe", title="Mean distance after rotation and translation, predicted scale",
             quantity="3d_mm", statistic="mean", alignment="rigid", source="Umeyama 1991, without its scale"),
    Protocol(name="n_mpjpe", title="Mean distance, root-aligned, best scale", quantity="3d_mm", statistic="mean",
             alignment="root+best_scale", source="N-MPJPE, Rhodin and others, CVPR 2018"),
    Protocol(name="epe_hand3d:mean", title="Mean of keypoint means as hand3d computes it", quantity="3d_mm",
             statistic="mean", alignment="hand3d", root=WRIST, palm=True, average="per_keypoint", mask="visible",
             hands="dominant_area", source=HAND3D),
    Protocol(name="epe_hand3d:median", title="Mean of keypoint medians as hand3d computes it", quantity="3d_mm",
             statistic="median", alignment="hand3d", root=WRIST, palm=True, average="per_keypoint", mask="visible",
             hands="dominant_area", source=HAND3D),
    Protocol(name="freihand:mean", title="Mean of keypoint means of millimetres as given", quantity="3d_mm",
             statistic="mean", average="per_keypoint", source=FREIHAND),
    Protocol(name="freihand:auc", title="PCK area 0-50 mm, 100 points, millimetres as given", quantity="3d_mm",
             statistic="grid", average="per_keypoint", thresholds=_TO_50_BY_100, source=FREIHAND),
    Protocol(name="freihand:aligned_mean", title="Mean of keypoint means after Procrustes, reflection allowed",
             quantity="3d_mm", statistic="mean", alignment="procrustes+reflection", average="per_keypoint",
             source=FREIHAND, note="a mirrored hand scores like the right one: pa_mpjpe allows no reflection"),
    Protocol(name="freihand:aligned_auc", title="PCK area 0-50 mm, 100 points, after Procrustes, reflection allowed",
             quantity="3d_mm", statistic="grid", alignment="procrustes+reflection", average="per_keypoint",
             thresholds=_TO_50_BY_100, source=FREIHAND),
    Protocol(name="freihand:f_5mm", title="F-score of the 21 points at 5 mm, millimetres as given", quantity="f_mm",
             statistic="score", thresholds=(5.0,), source=FREIHAND),
    Protocol(name="freihand:f_15mm", title="F-score of the 21 points at 15 mm, millimetres as given", quantity="f_mm",
             statistic="score", thresholds=(15.0,), source=FREIHAND),
    Protocol(name="freihand:aligned_f_5mm", title="F-score of the 21 points at 5 mm, Procrustes, reflection allowed",
             quantity="f_mm", statistic="score", alignment="procrustes+reflection", thresholds=(5.0,),
             source=FREIHAND),
    Protocol(name="freihand:aligned_f_15mm", title="F-score of the 21 points at 15 mm, Procrustes, reflection allowed",
             quantity="f_mm", statistic="score", alignment="procrustes+reflection", thresholds=(15.0,),
             source=FREIHAND),
    Protocol(name="ho3d:root", title="Mean of keypoint means, wrist-aligned, predicted scale", quantity="3d_mm",
             statistic="mean", alignment="root", root=WRIST, average="per_keypoint", source=HO3D, note=_GIVEN_WRIST),
    Protocol(name="ho3d:root_auc", title="PCK area 0-50 mm, 100 points, wrist-aligned, predicted scale",
             quantity="3d_mm", statistic="grid", alignment="root", root=WRIST, average="per_keypoint",
             thresholds=_TO_50_BY_100, source=HO3D, note=_GIVEN_WRIST),
    Protocol(name="ho3d:scale_translation", title="Mean of keypoint means, wrist-aligned, wrist to middle MCP true",
             quantity="3d_mm", statistic="mean", alignment="root+bone", root=WRIST, average="per_keypoint",
             source=HO3D),
    Protocol(name="ho3d:scale_translation_auc", title="PCK area 0-50 mm, 100 points, wrist to middle MCP true",
             quantity="3d_mm", statistic="grid", alignment="root+bone", root=WRIST, average="per_keypoint",
             thresholds=_TO_50_BY_100, source=HO3D),
    Protocol(name="dexycb:root_auc", title="PCK area 0-50 mm, 100 points, wrist-aligned, pooled", quantity="3d_mm",
             statistic="grid", alignment="root", root=WRIST, thresholds=_TO_50_BY_100,
             source="DexYCB's evaluation, Chao and others, CVPR 2021"),
    Protocol(name="interhand:mpjpe", title="Mean of keypoint means, wrist-aligned", quantity="3d_mm", statistic="mean",
             alignment="root", root=WRIST, average="per_side", source=INTERHAND, note=_OF_42),
    Protocol(name="interhand:mpjpe_single", title="The same of pictures with one labelled hand", quantity="3d_mm",
             statistic="mean", alignment="root", root=WRIST, average="per_side", hands="single", source=INTERHAND,
             note=_WHOSE),
    Protocol(name="interhand:mpjpe_interacting", title="The same of pictures with both hands labelled",
             quantity="3d_mm", statistic="mean", alignment="root", root=WRIST, average="per_side", hands="interacting",
             source=INTERHAND, note=_WHOSE),
    Protocol(name="interhand:mrrpe", title="Mean error of the way from the left wrist to the right one",
             quantity="pair_mm", statistic="mean", root=WRIST, source=INTERHAND),
    Protocol(name="f_score:5mm", title="F-score of the 21 points at 5 mm, root-aligned", quantity="f_mm",
             statistic="score", alignment="root", thresholds=(5.0,), source="FreiHAND's formula, on points"),
    Protocol(name="f_score:15mm", title="F-score of the 21 points at 15 mm, root-aligned", quantity="f_mm",
             statistic="score", alignment="root", thresholds=(15.0,), source="FreiHAND's formula, on points"),
    Protocol(name="f_score:pa_5mm", title="F-score of the 21 points at 5 mm after Procrustes", quantity="f_mm",
             statistic="score", alignment="procrustes", thresholds=(5.0,), source="FreiHAND's formula, on points"),
    Protocol(name="f_score:pa_15mm", title="F-score of the 21 points at 15 mm after Procrustes", quantity="f_mm",
             statistic="score", alignment="procrustes", thresholds=(15.0,), source="FreiHAND's formula, on points"),
)  # fmt: skip
_PICTURES = (
    Protocol(name="epe_px:mean", title="Mean distance in source pixels", quantity="2d_px", statistic="mean",
             source="2D EPE, mmpose's too"),
    Protocol(name="epe_px:median", title="Median distance in source pixels", quantity="2d_px", statistic="median",
             source="2D EPE"),
    Protocol(name="epe_px:mean_of_keypoints", title="Mean of keypoint means in source pixels", quantity="2d_px",
             statistic="mean", average="per_keypoint", source="2D EPE"),
    Protocol(name="epe_px_hand3d:mean", title="Mean of keypoint means in source pixels, as hand3d computes it",
             quantity="2d_px", statistic="mean", average="per_keypoint", mask="visible", hands="dominant_area",
             source=HAND3D),
    Protocol(name="epe_px_hand3d:median", title="Mean of keypoint medians in source pixels, as hand3d computes it",
             quantity="2d_px", statistic="median", average="per_keypoint", mask="visible", hands="dominant_area",
             source=HAND3D),
    Protocol(name="pck_0.2_bbox", title="Share below 0.2 of the longer side of the hand box", quantity="2d_box",
             statistic="share", thresholds=(0.2,), strict=True, average="per_keypoint", source=MMPOSE),
    Protocol(name="auc_0_30_px", title="PCK area 0-30 source pixels, exact", quantity="2d_px", statistic="window",
             thresholds=(0.0, 30.0), source="ours"),
    Protocol(name="auc_mmpose", title="Mean of PCK below 0, 1.5 .. 28.5 source pixels", quantity="2d_px",
             statistic="sum", thresholds=_MMPOSE_STEPS, strict=True, average="per_keypoint", source=MMPOSE,
             note="at most 0.95: nothing lies below the first threshold, 0"),
    Protocol(name="oks", title="Object keypoint similarity, sigma 0.05", quantity="oks", statistic="score",
             thresholds=(0.0, 1.0), source="COCO's formula over the hand box; sigma as DexYCB's labels"),
    Protocol(name="oks_ap:50_95", title="Average precision at similarities of 0.50, 0.55 .. 0.95", quantity="oks_ap",
             statistic="precision", thresholds=_OKS_STEPS, source=COCO),
    Protocol(name="oks_ap:50", title="Average precision at a similarity of 0.50", quantity="oks_ap",
             statistic="precision", thresholds=(0.5,), source=COCO),
    Protocol(name="oks_ap:75", title="Average precision at a similarity of 0.75", quantity="oks_ap",
             statistic="precision", thresholds=(0.75,), source=COCO),
    Protocol(name="oks_ap:recall", title="Average recall at similarities of 0.50, 0.55 .. 0.95", quantity="oks_ap",
             statistic="recall", thresholds=_OKS_STEPS, source=COCO),
    Protocol(name="box_iou:predicted", title="Overlap of predicted and true hand box", quantity="box",
             statistic="score", source="intersection over union"),
    Protocol(name="box_iou:keypoints", title="Overlap of the extents of predicted and labelled keypoints",
             quantity="box_of_keypoints", statistic="score", source="intersection over union"),
    Protocol(name="side_accuracy", title="Share of hands whose side is said right", quantity="side",
             statistic="score", source="InterHand2.6M's handedness accuracy"),
)  # fmt: skip
_MOTION = (
    Protocol(name="acceleration:mm", title="Mean error of second differences, root-aligned, true scale",
             quantity="acceleration_mm", statistic="mean", alignment="root+scale", source="acceleration error"),
    Protocol(name="acceleration:px", title="Mean error of second differences in source pixels",
             quantity="acceleration_px", statistic="mean", source="acceleration error"),
    Protocol(name="jitter:mm", title="Root mean square of predicted second differences, root-relative, true scale",
             quantity="jitter_mm", statistic="rms", alignment="root+scale", source="ours"),
    Protocol(name="jitter:px", title="Root mean square of predicted second differences in source pixels",
             quantity="jitter_px", statistic="rms", source="ours"),
    Protocol(name="jitter:labels_mm", title="The same of the labels: what the motion itself has",
             quantity="jitter_of_labels_mm", statistic="rms", alignment="root+scale", source="ours"),
    Protocol(name="jitter:labels_px", title="The same of the labels in source pixels",
             quantity="jitter_of_labels_px", statistic="rms", source="ours"),
)  # fmt: skip
_TABLE = (*_THESIS, *_AREAS, *_MILLIMETRES, *_PICTURES, *_MOTION)
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _TABLE}


def families() -> dict[str, tuple[Protocol, ...]]:
    """Return the protocols by the name that `--protocol` takes, in the order of the table."""
    names = dict.fromkeys(protocol.family for protocol in _TABLE)
    return {name: tuple(protocol for protocol in _TABLE if protocol.family == name) for name in names}


def choose_protocols(names: Sequence[str] | str | None) -> list[Protocol]:
    """Return the named protocols, one name or several, whole or before the colon; all of them without names.

    Raises:
        ConfigError: an unknown name.
    """
    if not names:
        return list(PROTOCOLS.values())
    wanted, known = {names} if isinstance(names, str) else set(names), families()
    unknown = sorted(wanted - {*known, *PROTOCOLS})
    if unknown:
        raise ConfigError("protocol", expected=f"one of {', '.join(known)}", got=", ".join(unknown))
    return [one for one in PROTOCOLS.values() if not wanted.isdisjoint((one.name, one.family))]
