"""Compare two conversions sample by sample: which are missing, which labels differ and by how much, which pixels."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.check.findings import MAX_EXAMPLES, examples
from handdata.errors import ConfigError, DataError
from handdata.geometry import apply_affine, compose_affine, crop_affine, crop_intrinsics
from handdata.pictures.crops import square_of
from handdata.progress import track
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.schema import FIELDS, Flag

_NO_LABELS = {
    "image",
    "foreground",
    "mask",
    "row_hash",
    "sample_id",
}  # compared otherwise, or following from the others
_PIXELS = ("image", "foreground", "mask")
COMPARED = tuple(field_.name for field_ in FIELDS if field_.name not in _NO_LABELS) + _PIXELS
_OF_SOURCE = {"source_to_canvas", "image_size", "in_frame"}  # that other pictures have otherwise


@dataclass(slots=True)
class Difference:
    """How one array differs between two conversions.

    Attributes:
        samples: in how many samples.
        largest: largest difference of two numbers, in the array's unit; 0 where it is only that one is missing.
        missing: samples in which one of them is NaN where the other is not.
        mean: mean difference over the samples that differ.
        examples: ids of the first few.
    """

    samples: int = 0
    largest: float = 0.0
    missing: int = 0
    mean: float = 0.0
    unit: str = ""
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class Diff:
    """What two conversions have in common and what not."""

    a: str
    b: str
    common: int = 0
    identical: int = 0
    only_in_a: int = 0
    only_in_b: int = 0
    moved_split: int = 0
    examples_only_in_a: tuple[str, ...] = ()
    examples_only_in_b: tuple[str, ...] = ()
    fields: dict[str, Difference] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether the two hold the same samples with the same content in the same splits."""
        return not (self.only_in_a or self.only_in_b or self.moved_split or self.fields)

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"same": self.same}


def compare(
    a: Path, b: Path, *, exported: bool = False, tolerance: float = 0.0, only: Collection[str] = COMPARED
) -> Diff:
    """Compare two converted datasets by sample id, whatever their shards and their order.

    Args:
        a: a folder of shards.
        b: another.
        exported: `b` was made of an export of `a`: its pictures are those that `export` wrote, a's canvases, crops or
            pictures as shipped, in whose pixels labels are compared. Their sizes say which.
        tolerance: largest difference of two numbers that counts as none, in the array's unit.
        only: names of the arrays that are compared; the formats of others hold some of them alone.

    Raises:
        ConfigError: a name in `only` is none of COMPARED.
        HanddataError: one of them is no converted dataset.
        DataError: `b` has pictures of other sizes than an export of `a` has.
    """
    if unknown := [name for name in only if name not in COMPARED]:
        raise ConfigError("--only", expected=f"one of {', '.join(COMPARED)}", got=unknown[0])
    first, second = open_dataset(a), open_dataset(b)
    ids_a, ids_b = first["sample_id"], second["sample_id"]
    common, rows_a, rows_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    only_a, only_b = np.setdiff1d(ids_a, ids_b), np.setdiff1d(ids_b, ids_a)
    diff = Diff(
        a=str(a),
        b=str(b),
        common=len(common),
        only_in_a=len(only_a),
        only_in_b=len(only_b),
        examples_only_in_a=examples(only_a[:MAX_EXAMPLES]),
        examples_only_in_b=examples(only_b[:MAX_EXAMPLES]),
    )
    if not len(common):
        return diff
    diff.moved_split = int(np.sum(first["split"][rows_a] != second["split"][rows_b]))
    changed = np.zeros(len(common), bool)
    to_b = _affines_of_export(first, second, rows_a, rows_b) if exported else None
    for name, rows, difference in _label_differences(first, second, rows_a, rows_b, to_b, tolerance):
        if name not in only:
            continue
        changed[rows] = True
        diff.fields[name] = difference
        difference.examples = examples(common[rows[:MAX_EXAMPLES]])
    for name in () if exported else [name for name in _PIXELS if name in only]:
        found = _pixel_difference(first, second, rows_a, rows_b, name)
        if found is not None:
            rows, difference = found
            changed[rows] = True
            diff.fields[name] = difference
            difference.examples = examples(common[rows[:MAX_EXAMPLES]])
    diff.identical = int(np.sum(~changed))
    return diff


def _label_differences(
    a: Dataset,
    b: Dataset,
    rows_a: NDArray[np.intp],
    rows_b: NDArray[np.intp],
    to_b: NDArray[np.float64] | None,
    tolerance: float,
) -> Iterator[tuple[str, NDArray[np.intp], Difference]]:
    """Yield the label arrays that differ, the rows where they do, and how.

    `to_b`, (N, 2, 3), leads from a's pictures to those of an export that b has; None: they have the same.
    """
    for field_ in FIELDS:
        if field_.name in _NO_LABELS or (to_b is not None and field_.name in _OF_SOURCE):
            continue
        left, right = a[field_.name][rows_a], b[field_.name][rows_b]
        if to_b is not None:
            left = _through(to_b, field_.name, left)
        if to_b is not None and field_.name == "flags":
            left, right = left & ~np.uint32(Flag.IMAGE_PADDED), right & ~np.uint32(Flag.IMAGE_PADDED)
        if left.dtype.kind == "U":
            rows = np.flatnonzero(left != right)
            if len(rows):
                yield field_.name, rows, Difference(samples=len(rows), unit="name")
            continue
        found = _difference(left.astype(np.float64), right.astype(np.float64), field_.unit, tolerance)
        if found is not None:
            yield field_.name, *found


def _affines_of_export(
    a: Dataset, b: Dataset, rows_a: NDArray[np.intp], rows_b: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the affines from a's pictures as shipped to the pictures of its export that b was made of, (N, 2, 3).

    Raises:
        DataError: no export of a has pictures of these sizes.
    """
    sizes, to_canvas = b["image_size"][rows_b], np.asarray(a["source_to_canvas"][rows_a], np.float64)
    crop = round(a.canvas / a.canvas_scale)
    squares = square_of(_through(to_canvas, "crop_xyxy", a["crop_xyxy"][rows_a]))
    to_crop = [compose_affine(*pair) for pair in zip(crop_affine(squares, crop), to_canvas, strict=True)]
    written = (  # size, affines
        (a.canvas, to_canvas),
        (crop, np.stack(to_crop)),
        (a["image_size"][rows_a], np.broadcast_to(np.eye(2, 3), to_canvas.shape)),
    )
    fitting = [affines for size, affines in written if (sizes == size).all()]
    if not fitting:
        got = " and ".join(f"{width} x {height} px" for width, height in np.unique(sizes, axis=0)[:3].tolist())
        raise DataError(
            b.folder,
            expected=f"pictures that `export` writes of {a.folder}: {a.canvas} or {crop} px wide, or as shipped",
            got=got,
            fix="Leave --exported out, or name the shards that were exported.",
        )
    points = a["keypoints_2d"][rows_a], b["keypoints_2d"][rows_b]

    def apart(affines: NDArray[np.float64]) -> float:
        distance = np.abs(_through(affines, "keypoints_2d", points[0]) - points[1])
        return float(np.nan_to_num(distance).sum())

    return min(fitting, key=apart)  # canvases may be as large as the pictures as shipped


def _through(A: NDArray[Any], name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return the values of a label column in the pixels to which affines, (N, 2, 3), lead."""
    if name in ("keypoints_2d", "palm_center_2d"):
        points = values.reshape(len(values), -1, 2).astype(np.float64)
        return apply_affine(A, points).reshape(values.shape)
    if name in ("bbox_xyxy", "crop_xyxy"):
        return apply_affine(A, values.reshape(-1, 2, 2).astype(np.float64) - 0.5).reshape(-1, 4) + 0.5
    if name == "K":
        return np.stack([crop_intrinsics(*pair) for pair in zip(values, A, strict=True)])
    return values


def _difference(
    left: NDArray[np.float64], right: NDArray[np.float64], unit: str, tolerance: float
) -> tuple[NDArray[np.intp], Difference] | None:
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    missing = (np.isnan(left) != np.isnan(right)).any(-1)
    distance = np.abs(np.nan_to_num(left - right)).max(-1)
    rows = np.flatnonzero(missing | (distance > tolerance))
    if not len(rows):
        return None
    apart = distance[rows][distance[rows] > tolerance]
    mean = float(apart.mean()) if len(apart) else 0.0
    difference = Difference(
        samples=len(rows), largest=float(distance.max()), missing=int(missing.sum()), mean=mean, unit=unit
    )
    return rows, difference


def _pixel_difference(
    a: Dataset, b: Dataset, rows_a: NDArray[np.intp], rows_b: NDArray[np.intp], name: str
) -> tuple[NDArray[np.intp], Difference] | None:
    """Compare canvases in levels, masks in pixels that differ."""
    first, second = a.shards.reader(0), b.shards.reader(0)
    if (name in first) != (name in second):
        rows = np.arange(len(rows_a))
        return rows, Difference(samples=len(rows), missing=len(rows), unit="only one of them has it")
    if name not in first:
        return None
    sides = [dataset.canvas for dataset in (a, b)]
    if sides[0] != sides[1]:  # they have no pixel in common
        rows = np.arange(len(rows_a))
        return rows, Difference(samples=len(rows), unit=f"canvases of {sides[0]} and {sides[1]} px")
    changed: list[int] = []
    sizes: list[float] = []
    means: list[float] = []
    pairs = track(zip(rows_a, rows_b, strict=True), f"compare {name}", len(rows_a))
    for row, (i, j) in enumerate(pairs):
        left, right = _pixels(a, int(i), name), _pixels(b, int(j), name)
        if np.array_equal(left, right):
            continue
        changed.append(row)
        apart = _apart(left, right, name)
        sizes.append(float(apart.max()))
        means.append(float(apart.mean()))
    if not changed:
        return None
    unit = "levels" if name == "image" else "pixels changed, share"
    largest = max(sizes) if name == "image" else max(means)
    return np.array(changed), Difference(samples=len(changed), largest=largest, mean=float(np.mean(means)), unit=unit)


def _pixels(dataset: Dataset, sample: int, name: str) -> NDArray[np.uint8]:
    pixels = dataset.pixels(name, sample)
    if pixels is None:
        return np.zeros((0,), np.uint8)
    return np.unpackbits(pixels, axis=-1) if name == "foreground" else pixels


def _apart(left: NDArray[np.uint8], right: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    if name == "image":
        return np.abs(left.astype(np.float64) - right)
    return np.asarray(left != right, np.float64)
