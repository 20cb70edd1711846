"""A hand's labels as plain data, and back: what every format of ours carries beside its own fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.exchange.labels import UNSAID, Array, HandLabels, box_source_of, nan, side_of, whole_number
from handdata.exchange.point_names import PALM
from handdata.geometry import apply_affine
from handdata.pictures.crops import square_of
from handdata.shards.dataset import Dataset
from handdata.shards.hand import Hand, boxes_through
from handdata.shards.schema import UNKNOWN, BoxSource, Flag
from handdata.shards.stored_hand import check_stored
from handdata.skeleton import NUM_KEYPOINTS

OWN = "sample_id"  # a record that has it is ours
SLOTS = tuple(range(NUM_KEYPOINTS))


# in the order in which they are written
FIELDS = (
    "sample_id",
    "split",
    "sequence",
    "camera",
    "frame",
    "hand_side",
    "has_object",
    "keypoints_2d",
    "keypoints_3d",
    "keypoints_3d_normalized",
    "visible",
    "palm_center_2d",
    "palm_center_3d",
    "K",
    "bbox_xyxy",
    "bbox_source",
    "crop_xyxy",
    "source_to_canvas",
    "source_size",
    "flags",
)


def plain_labels(hand: Hand) -> dict[str, Any]:
    """Return a hand's labels as plain data, in pixels of its picture and mm; None where the dataset gives nothing."""
    return {
        "sample_id": hand.id,
        "split": hand.split,
        "sequence": hand.sequence,
        "camera": hand.camera,
        "frame": hand.frame,
        "hand_side": hand.side,
        "has_object": hand.has_object,
        "keypoints_2d": plain(hand.keypoints_2d),
        "keypoints_3d": plain(hand.keypoints_3d),
        "keypoints_3d_normalized": plain(hand.keypoints_3d_normalized),
        "visible": [int(v) for v in hand.visible],
        "palm_center_2d": plain(hand.palm_center_2d),
        "palm_center_3d": plain(hand.palm_center_3d),
        "K": plain(hand.K),
        "bbox_xyxy": plain(hand.box),
        "bbox_source": hand.box_source.name.lower(),
        "crop_xyxy": plain(hand.crop_box),
        "source_to_canvas": plain(hand.source_to_image),
        "source_size": list(hand.source.size),
        "flags": int(hand.flags),
    }


def labels_on_canvas(data: Dataset) -> Iterator[dict[str, Any]]:
    """Yield `plain_labels` of every hand in the pixels of its canvas: the same, but of all hands at once.

    Raises:
        DataError: a stored number names nothing.
    """
    check_stored(data)
    A = np.asarray(data["source_to_canvas"], np.float64)
    square = np.concatenate([A, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(A), 1, 3))], 1)
    center = np.asarray(data["palm_center_2d"], np.float64)[:, None]
    arrays = {
        "keypoints_2d": apply_affine(A, data["keypoints_2d"]),
        "keypoints_3d": np.asarray(data["keypoints_3d"], np.float64),
        "keypoints_3d_normalized": np.asarray(data["keypoints_3d_normalized"], np.float64),
        "palm_center_2d": apply_affine(A, center)[:, 0],
        "palm_center_3d": np.asarray(data["palm_center_3d"], np.float64),
        "K": square @ np.asarray(data["K"], np.float64),
        "bbox_xyxy": boxes_through(A, data["bbox_xyxy"]),
        "crop_xyxy": square_of(boxes_through(A, data["crop_xyxy"])),
        "source_to_canvas": A,
    }
    has_object = {1: True, 0: False}
    told = {
        "sample_id": data["id"].tolist(),
        "split": data["split"].tolist(),
        "sequence": data["sequence"].tolist(),
        "camera": data["camera"].tolist(),
        "frame": data["frame"].tolist(),
        "hand_side": data["side"].tolist(),
        "has_object": [has_object.get(value) for value in data["has_object"].tolist()],
        "visible": data["visible"].tolist(),
        "bbox_source": [BoxSource(value).name.lower() for value in data["bbox_source"].tolist()],
        "source_size": data["image_size"].tolist(),
        "flags": data["flags"].tolist(),
        **{name: _all_plain(values) for name, values in arrays.items()},
    }
    for cells in zip(*(told[name] for name in FIELDS), strict=True):
        yield dict(zip(FIELDS, cells, strict=True))


def _all_plain(values: NDArray[Any]) -> list[Any]:
    """Return `plain` of each of (N, ...) arrays."""
    whole = np.isfinite(values).reshape(len(values), -1).all(1)
    rows: list[Any] = values.tolist()
    for number in np.flatnonzero(~whole).tolist():
        rows[number] = plain(values[number])
    return rows


def lies_in(point: Sequence[float], size: tuple[int, int]) -> bool:
    """Say whether a point, px, lies in a picture of a width and a height."""
    return -0.5 <= point[0] < size[0] - 0.5 and -0.5 <= point[1] < size[1] - 0.5


def plain(values: NDArray[Any]) -> Any:
    """Return nested lists; None in place of a row that is not known."""
    known = np.isfinite(values)
    if known.all():
        return values.tolist()
    if values.ndim == 1 or not known.all(1).any():
        return None
    return [row if is_known else None for row, is_known in zip(values.tolist(), known.all(1).tolist(), strict=True)]


def hand_of_plain(facts: Mapping[str, Any]) -> HandLabels:
    """Return the labels that `plain_labels` wrote; what is missing is not known.

    Raises:
        ValueError, TypeError: a field of another shape or kind.
    """
    visible = facts.get("visible")
    normalized = facts.get("keypoints_3d_normalized")
    thing = facts.get("has_object")
    return HandLabels(
        side=side_of(facts["hand_side"]) if facts.get("hand_side") else UNSAID,
        uv=np.vstack([array_of(facts.get("keypoints_2d"), 21, 2), array_of([facts.get("palm_center_2d")], 1, 2)]),
        xyz=np.vstack([array_of(facts.get("keypoints_3d"), 21, 3), array_of([facts.get("palm_center_3d")], 1, 3)]),
        unit="mm",
        visible=np.full(NUM_KEYPOINTS, UNKNOWN, np.int8) if visible is None else _shown(visible),
        K=array_of(facts.get("K"), 3, 3),
        bbox_xyxy=array_of([facts.get("bbox_xyxy")], 1, 4)[0],
        box_source=box_source_of(facts.get("bbox_source")),
        crop_xyxy=array_of([facts.get("crop_xyxy")], 1, 4)[0],
        has_object=UNKNOWN if thing is None else whole_number(thing),
        normalized=None if normalized is None else array_of(normalized, 21, 3),
        flags=Flag(whole_number(facts.get("flags", 0))),
        slots=SLOTS,
    )


def _shown(visible: Any) -> NDArray[np.int8]:
    values = np.array(visible, np.float64).reshape(NUM_KEYPOINTS)
    if not np.isin(values, (UNKNOWN, 0, 1)).all():
        raise ValueError(f"a visibility that is not 1, 0 or {UNKNOWN}")
    return values.astype(np.int8)


def array_of(rows: Sequence[Any] | None, count: int, width: int) -> Array:
    """Return rows of numbers, (count, width); NaN for a row that is None, or for all of them.

    Raises:
        ValueError: another number of rows or numbers, or a number that is not finite.
    """
    if rows is None:
        return nan(count, width)
    missing = [np.nan] * width
    given = [row is not None for row in rows]
    values = np.array([missing if row is None else row for row in rows], np.float64)
    if values.shape != (count, width):
        raise ValueError(f"{count} rows of {width} numbers, found {values.shape}")
    if not np.isfinite(values[given]).all():
        raise ValueError("a number that is not finite")
    return values


def listed_points(numbers: Any, count: int) -> Array:
    """Return points that a file lists one number after the other, (count, 3).

    Raises:
        ValueError: another number of numbers, or something else than numbers.
    """
    values = np.array(numbers, np.float64).ravel()
    if values.size != 3 * count:
        raise ValueError(f"{values.size} numbers, not 3 for each of {count} keypoints")
    return values.reshape(-1, 3)


def with_palm(points_21: Array) -> Array:
    """Return (21, D) points with the slot of the palm centre, not known: (22, D)."""
    return np.vstack([points_21, nan(PALM + 1 - NUM_KEYPOINTS, points_21.shape[1])])
