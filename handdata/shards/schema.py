"""The shard schema, `handdata/2`: the only place that says which arrays a shard holds.

The HDF5 layout, the validation and docs/schema.md are derived from FIELDS. Conventions: keypoints in the order of
`skeleton.KEYPOINTS`; pixels with (0, 0) at the centre of the top-left pixel; camera axes x right, y down, z forward,
mm; missing is NaN and a false flag; hands are stored as shipped, not mirrored.
"""

import math
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import in_frame, normalize_pose
from handdata.skeleton import NUM_KEYPOINTS as K21
from handdata.skeleton import PARENTS, ROOT, SIDE_UNKNOWN, WRIST

VERSION = "handdata/2"
DEFAULT_CANVAS = 192
SHARD_SAMPLES = 4096
SAMPLE_ID_BYTES = 96
LAST_FRAME = 2**31 - 1  # an int32
SQUARE = 0.01  # px by which the sides of a square may differ
SPLITS = ("train", "val", "test")
ORIGINS = ("rendered", "published", "own")  # whose hands: of `handdata synth`, of a published dataset, a user's
UNKNOWN = -1  # of `visible` and `has_object`: the dataset does not say
MASK_BACKGROUND, MASK_HAND, MASK_OBJECT, MASK_UNKNOWN = 0, 1, 2, 255


class BoxSource(IntEnum):
    """Who made a hand box."""

    NONE = 0
    KEYPOINTS = 1
    DATASET = 2
    PERSON = 3
    TRACKER = 4
    INTERPOLATED = 5


class Flag(IntFlag):
    """Bits of `flags`."""

    NONE = 0
    LABEL_WRONG = 1  # on a published exclusion list
    WRIST_DERIVED = 2
    PROJECTION_APPROXIMATE = 4
    IMAGE_PADDED = 8
    POINT_LEFT_OUT = 16  # a single label known to be wrong, not annotated here
    SIDE_UNSURE = 32  # the dataset does not vouch for the side: no accuracy of sides is scored by it
    BESIDE_MASK = 64  # most labels lie beside the dataset's own segmentation of the hand
    CORRECTED = 128  # a person mended labels: `convert --corrections`
    DERIVED = 256  # nobody placed these points: computed from other frames, `annotate-depth`


@dataclass(frozen=True, slots=True)
class Field:
    """One per-sample array of a shard. `shape` may hold "S", the canvas side, and "S/8"."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    unit: str
    meaning: str
    optional: bool = False

    def shape_at(self, canvas: int) -> tuple[int, ...]:
        """Return the shape of one sample's entry for a canvas side."""
        sides = {"S": canvas, "S/8": canvas // 8}
        return tuple(sides[side] if isinstance(side, str) else side for side in self.shape)

    def nbytes_at(self, canvas: int) -> int:
        """Return the bytes of one sample's entry for a canvas side."""
        return math.prod(self.shape_at(canvas)) * np.dtype(self.dtype).itemsize


FIELDS: tuple[Field, ...] = (
    Field("image", ("S", "S", 3), "uint8", "RGB", "The canvas: a square window about the centre of crop_xyxy, canvas_scale times its side, resampled once; black outside the source"),
    Field("foreground", ("S", "S/8"), "uint8", "bits", "1 where the pixel is not replaceable background (hand, object, unknown); numpy.packbits along a row, most significant first", optional=True),
    Field("mask", ("S", "S"), "uint8", "label", "0 background, 1 hand, 2 object, 255 unknown; only with --with-segmentation", optional=True),
    Field("row_hash", (), "uint64", "", "xxh3-64 of the sample's bytes in all other arrays, in this order"),
    Field("source_to_canvas", (2, 3), "float64", "px", "Affine from source pixels to canvas pixels"),
    Field("crop_xyxy", (4,), "float32", "px", "The tight square training crop in source pixels; its rule is in the attribute `options`"),
    Field("bbox_xyxy", (4,), "float32", "px", "Hand box in source pixels; NaN if there is no box"),
    Field("bbox_source", (), "uint8", "enum", "0 none, 1 keypoints, 2 dataset, 3 person, 4 tracker, 5 interpolated"),
    Field("keypoints_2d", (K21, 2), "float32", "px", "In source pixels; NaN where not annotated; may lie outside the image"),
    Field("keypoints_3d", (K21, 3), "float32", "mm", "In the frame of the camera that took `image`; NaN where not annotated"),
    Field("keypoints_3d_normalized", (K21, 3), "float32", "1", "(P - P[middle_mcp]) / abs(P[wrist] - P[middle_mcp]); NaN where it cannot be derived"),
    Field("scale_mm", (), "float32", "mm", "abs(P[wrist] - P[middle_mcp]); NaN if unknown; with keypoints_3d[9] it inverts the normalisation"),
    Field("annotated_2d", (K21,), "bool", "", "A 2D label exists"),
    Field("annotated_3d", (K21,), "bool", "", "A 3D label exists"),
    Field("in_frame", (K21,), "bool", "", "annotated_2d and -0.5 <= u < W - 0.5 and -0.5 <= v < H - 0.5"),
    Field("visible", (K21,), "int8", "", "1 visible, 0 occluded, -1 the dataset does not say; the attribute visibility_rule names the source's own rule"),
    Field("palm_center_2d", (2,), "float32", "px", "Palm centre, which is not a wrist; NaN where not given"),
    Field("palm_center_3d", (3,), "float32", "mm", "Palm centre, which is not a wrist; NaN where not given"),
    Field("K", (3, 3), "float64", "px", "Intrinsics of the image's camera for source pixels; NaN if unknown"),
    Field("image_size", (2,), "int32", "px", "Width and height of the source image"),
    Field("hand_side", (), "uint8", "enum", "0 left, 1 right: the person's hand; 2 where the dataset does not say which"),
    Field("has_object", (), "int8", "", "1 with an object, 0 without, -1 unknown"),
    Field("sequence", (), "int32", "", "Index into the file's string table `sequences`"),
    Field("camera", (), "int32", "", "Index into the file's string table `cameras`"),
    Field("frame", (), "int32", "", "Frame number as shipped"),
    Field("sample_id", (), f"S{SAMPLE_ID_BYTES}", "ASCII", "Unique in its dataset and the same in every run"),
    Field("flags", (), "uint32", "bits", "1 label published as wrong, 2 wrist derived, 4 projection approximate, 8 image padded, 16 a label known to be wrong left out, 32 the dataset does not vouch for hand_side, 64 most labels beside the dataset's own segmentation"),
)  # fmt: skip
FIELD = {field.name: field for field in FIELDS}
LABELS = tuple(field for field in FIELDS if field.name not in {"image", "foreground", "mask"})
KEYPOINT_PARENTS = PARENTS


# what a sample does not give, by shape; rows are copied from these, never written into them
_MISSING: dict[int | tuple[int, int], NDArray[np.float64]] = {
    shape: np.full(shape, np.nan) for shape in (2, 3, 4, (3, 3))
}
_UNSAID = np.full(K21, UNKNOWN, np.int8)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One hand in one source image, as a converter reads it. NaN marks what the dataset does not give.

    Attributes:
        id: unique in its dataset and the same in every run, e.g. "B1Counting/SK/0042"; printable ASCII.
        image: (H, W, 3) uint8 RGB, as shipped.
        hand_side: 0 left, 1 right: the person's hand; 2 where the dataset does not say which.
        keypoints_2d: (21, 2) source px.
        keypoints_3d: (21, 3) mm, camera frame of `image`.
        keypoints_3d_normalized: (21, 3) where the dataset ships it; None derives it from keypoints_3d.
        visible: (21,) int8 1, 0 or -1; None: the dataset does not say.
        K: (3, 3) px for source pixels.
        crop_xyxy: (4,) square from the dataset's own rule; None leaves it to the next rule of docs/method.md 3.6.
        bbox_xyxy: (4,) hand box; None: none given.
        bbox_source: who made the box.
        foreground: (H, W) bool, True where the pixel must stay; None: no segmentation.
        mask: (H, W) uint8 0, 1, 2, 255; None: no segmentation.
    """

    id: str
    image: NDArray[np.uint8]
    hand_side: int
    keypoints_2d: NDArray[Any]
    keypoints_3d: NDArray[Any]
    keypoints_3d_normalized: NDArray[Any] | None = None
    visible: NDArray[np.int8] | None = None
    palm_center_2d: NDArray[Any] | None = None
    palm_center_3d: NDArray[Any] | None = None
    K: NDArray[np.float64] | None = None
    crop_xyxy: NDArray[Any] | None = None
    bbox_xyxy: NDArray[Any] | None = None
    bbox_source: BoxSource = BoxSource.NONE
    has_object: int = UNKNOWN
    foreground: NDArray[np.bool_] | None = None
    mask: NDArray[np.uint8] | None = None
    flags: Flag = Flag.NONE


def label_row(sample: Sample) -> dict[str, Any]:
    """Derive the label entries of a shard row from a sample; the canvas and its entries are `convert`'s.

    Masks follow from NaN: annotated_2d, annotated_3d; in_frame by `geometry.in_frame`; the normalised pose and its
    scale from the 3D keypoints unless the dataset ships it.
    """
    height, width = sample.image.shape[:2]
    uv, xyz = np.asarray(sample.keypoints_2d, np.float32), np.asarray(sample.keypoints_3d, np.float64)
    annotated_2d: NDArray[np.bool_] = np.asarray(np.isfinite(uv).all(axis=1))
    annotated_3d: NDArray[np.bool_] = np.asarray(np.isfinite(xyz).all(axis=1))
    normalized, scale = normalize_pose(xyz)
    if sample.keypoints_3d_normalized is not None:
        normalized = np.asarray(sample.keypoints_3d_normalized, np.float64)
    return {
        "bbox_xyxy": _MISSING[4] if sample.bbox_xyxy is None else sample.bbox_xyxy,
        "bbox_source": int(sample.bbox_source),
        "keypoints_2d": np.where(annotated_2d[:, None], uv, np.nan),
        "keypoints_3d": np.where(annotated_3d[:, None], xyz, np.nan),
        "keypoints_3d_normalized": normalized,
        "scale_mm": scale,
        "annotated_2d": annotated_2d,
        "annotated_3d": annotated_3d,
        "in_frame": annotated_2d & in_frame(uv, width, height),
        "visible": _UNSAID if sample.visible is None else sample.visible,
        "palm_center_2d": _MISSING[2] if sample.palm_center_2d is None else sample.palm_center_2d,
        "palm_center_3d": _MISSING[3] if sample.palm_center_3d is None else sample.palm_center_3d,
        "K": _MISSING[3, 3] if sample.K is None else sample.K,
        "image_size": (width, height),
        "hand_side": sample.hand_side,
        "has_object": sample.has_object,
        "flags": int(sample.flags),
    }


def row_faults(labels: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.intp]]:
    """Check label arrays against the schema's own rules.

    Args:
        labels: label arrays by field name, first axis N.

    Returns:
        What is wrong -> indices of the rows where it is. Empty when all is well.
    """
    uv, xyz = labels["keypoints_2d"], labels["keypoints_3d"]
    normalized, crop = labels["keypoints_3d_normalized"], labels["crop_xyxy"]
    reach = np.linalg.norm(normalized[:, WRIST], axis=-1)
    checks = {
        "annotated_2d is not where keypoints_2d is finite": (np.isfinite(uv).all(-1) != labels["annotated_2d"]).any(-1),
        "annotated_3d is not where keypoints_3d is finite": (np.isfinite(xyz).all(-1) != labels["annotated_3d"]).any(-1),
        "a keypoint is half NaN": (np.isnan(uv).any(-1) != np.isnan(uv).all(-1)).any(-1),
        "in_frame where nothing is annotated": (labels["in_frame"] & ~labels["annotated_2d"]).any(-1),
        "visible is not one of 1, 0, -1": ~np.isin(labels["visible"], (-1, 0, 1)).all(-1),
        "hand_side is not one of 0, 1, 2": labels["hand_side"] > SIDE_UNKNOWN,
        "bbox_source is unknown": labels["bbox_source"] > max(BoxSource),
        "middle MCP of the normalised pose is off the origin": np.abs(normalized[:, ROOT]).max(-1) > 1e-4,
        "wrist of the normalised pose is not at distance 1": np.abs(reach - 1) > 1e-3,
        "crop_xyxy is no square": np.abs(np.ptp(crop[:, ::2], -1) - np.ptp(crop[:, 1::2], -1)) > SQUARE,
        "depth at or behind the camera where 2D is annotated": ((xyz[..., 2] <= 0) & labels["annotated_2d"]).any(-1),
    }  # fmt: skip
    return {fault: np.flatnonzero(rows) for fault, rows in checks.items() if rows.any()}
