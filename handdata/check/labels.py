"""Do the label arrays keep the schema's own rules, and do the derived ones follow from the others?"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from handdata.check.findings import Finding, examples
from handdata.geometry import crop_affine, in_frame, normalize_pose
from handdata.shards.dataset import Dataset
from handdata.shards.schema import LABELS, Flag, row_faults
from handdata.skeleton import WRIST

ROUNDING = 2e-3  # relative, of poses shipped with four digits and of float32
CANVAS_TOLERANCE_PX = 0.05
ALL_FLAGS = int(sum(Flag))


def label_faults(rows: Dataset) -> Iterator[Finding]:
    """Yield every rule of the schema that rows break."""
    labels = {field.name: rows[field.name] for field in LABELS}
    faults = row_faults(labels) | {k: np.flatnonzero(bad) for k, bad in _derived(rows).items() if bad.any()}
    for what, bad in faults.items():
        yield Finding("schema", "labels", what, len(bad), len(rows), examples(rows.ids[bad]))


def beside_masks(rows: Dataset) -> Iterator[Finding]:
    """Name the hands whose labels lay beside the dataset's own segmentation when they were converted."""
    beside = _flagged(rows, Flag.BESIDE_MASK)
    if beside.any():
        what = "most labels of a hand lie beside its own segmentation: those of another picture, or a bad fit"
        yield Finding("segmentation", "keypoints_2d", what, int(beside.sum()), len(rows), examples(rows.ids[beside]))


def _derived(rows: Dataset) -> dict[str, NDArray[np.bool_]]:
    width, height = rows["image_size"].T
    uv = rows["keypoints_2d"].astype(np.float64)
    inside = np.stack([in_frame(uv[:, k], width, height) for k in range(uv.shape[1])], axis=1) & rows["annotated_2d"]
    normalized, scale = normalize_pose(rows["keypoints_3d"])
    stored, size = rows["keypoints_3d_normalized"].astype(np.float64), rows["scale_mm"].astype(np.float64)
    return {
        "in_frame is not where keypoints_2d lies in the image": (inside != rows["in_frame"]).any(-1),
        "keypoints_3d_normalized is not keypoints_3d normalised": _differ(stored, normalized, ROUNDING).any((1, 2)),
        "scale_mm is not the distance from wrist to middle MCP": _differ(size, scale, ROUNDING),
        "source_to_canvas does not show crop_xyxy in the middle of the canvas": _canvas_faults(rows),
        "image_size is not positive": (rows["image_size"] <= 0).any(-1),
        "flags has unknown bits": (rows["flags"] & ~np.uint32(ALL_FLAGS)) != 0,
        "sample_id is empty": rows.ids == b"",
        "sequence is no number of a name": _nameless(rows, "sequence", "sequences"),
        "camera is no number of a name": _nameless(rows, "camera", "cameras"),
        "wrist derived but not annotated": _flagged(rows, Flag.WRIST_DERIVED) & ~rows["annotated_3d"][:, WRIST],
        "a box of another source than 0 is NaN": (rows["bbox_source"] != 0) & np.isnan(rows["bbox_xyxy"]).any(-1),
    }  # fmt: skip


def _differ(a: NDArray[np.float64], b: NDArray[np.float64], relative: float) -> NDArray[np.bool_]:
    """Compare where both are known; the normalised pose may be shipped where 3D is not, and the other way round."""
    known = np.isfinite(a) & np.isfinite(b)
    difference = np.abs(np.where(known, a, 0) - np.where(known, b, 0))
    return np.asarray(difference > relative * np.maximum(1.0, np.abs(np.where(known, b, 0))))


def _nameless(rows: Dataset, name: str, table: str) -> NDArray[np.bool_]:
    shard, _ = rows.locate(np.arange(len(rows)))
    counts = np.array([len(getattr(rows.shards.reader(number), table)) for number in range(len(rows.shards))])
    return np.asarray(rows.shards.gather(name, rows.rows) >= counts[shard])


def _flagged(rows: Dataset, flag: Flag) -> NDArray[np.bool_]:
    return np.asarray((rows["flags"] & np.uint32(int(flag))) != 0)


def _canvas_faults(rows: Dataset) -> NDArray[np.bool_]:
    """Compare source_to_canvas with the crop's own window: crop_xyxy times canvas_scale about its centre."""
    crop, stored = rows["crop_xyxy"].astype(np.float64), rows["source_to_canvas"]
    shard, _ = rows.locate(np.arange(len(rows)))
    scales = np.array([float(reader.attributes["canvas_scale"]) for reader in rows.shards.readers])[shard]
    centre, half = (crop[:, :2] + crop[:, 2:]) / 2, (crop[:, 2:] - crop[:, :2]) / 2 * scales[:, None]
    usable = (half > 0).all(-1) & np.isfinite(crop).all(-1)
    half[~usable] = 1.0
    expected = crop_affine(np.concatenate([centre - half, centre + half], axis=1), rows.canvas)
    return np.asarray(~usable | ~(np.abs(expected - stored) < CANVAS_TOLERANCE_PX).all((1, 2)))
