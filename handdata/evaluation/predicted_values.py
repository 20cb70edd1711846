"""The numbers and words in predictions that other programs wrote: shapes, sides, and what is refused."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.files.text import LARGE, Wanted, parse_number
from handdata.skeleton import LEFT, NUM_KEYPOINTS, RIGHT

OPTIONAL: Mapping[str, tuple[tuple[int, ...], type[np.generic]]] = {  # array -> shape of a sample's, type
    "keypoints_3d_normalized": ((NUM_KEYPOINTS, 3), np.float32),
    "keypoints_3d": ((NUM_KEYPOINTS, 3), np.float32),
    "palm_center_3d": ((3,), np.float32),
    "bbox_xyxy": ((4,), np.float32),
    "hand_side": ((), np.int8),
    "score": ((), np.float64),
}
SHAPES: Mapping[str, tuple[int, ...]] = {
    "keypoints_2d": (NUM_KEYPOINTS, 2),
    **{name: shape for name, (shape, _) in OPTIONAL.items()},
}
SIDES = {"left": LEFT, "right": RIGHT}
Floats = NDArray[np.floating[Any]]  # float32 of our files; what others write keeps its digits
FARTHEST = 1e9  # px or mm: beyond it, a number is no position, and sums of its squares are no numbers
FORM = Wanted(what="predictions", fix="docs/evaluation.md has the layouts of predictions.", largest=LARGE)


def value_of(value: Any, name: str, where: str) -> Floats:
    """Return one entry of a JSON sample in the shape of its array."""
    if name == "hand_side":
        return side_of(value, where)
    if name == "score":
        return np.array(number_of(str(value), where))
    shape = SHAPES[name]
    what = f"{shape[0]} lists of {shape[1]} numbers or null" if len(shape) > 1 else f"{shape[0]} numbers"
    try:
        rows = [[np.nan] * shape[1] if row is None else row for row in value] if len(shape) > 1 else [value]
        array = np.array([[np.nan if x is None else x for x in row] for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise fault(where, what, str(error)) from error
    array = array if len(shape) > 1 else array[0]
    if array.shape != shape:
        raise fault(where, f"shape {shape}", str(array.shape))
    if np.nanmax(np.abs(array), initial=0) > FARTHEST:
        raise fault(where, f"numbers up to {FARTHEST:g}", f"{np.nanmax(np.abs(array)):g}")
    return array


def side_of(text: Any, where: str) -> Floats:
    """Return the number of a side's name."""
    if not isinstance(text, str) or text not in SIDES:
        raise fault(where, f"one of {', '.join(SIDES)}", repr(text))
    return np.array(SIDES[text])


def number_of(text: str, where: str) -> float:
    """Return the number of a cell, NaN of an empty one or of one that says so."""
    if not text or text.lower() == "nan":
        return math.nan
    number = parse_number(text, where, FORM)
    if abs(number) > FARTHEST:
        raise fault(where, f"numbers up to {FARTHEST:g}", text)
    return number


def fault(where: object, expected: str, got: str) -> DataError:
    """Return the error of a value that cannot be."""
    return DataError(where, expected=expected, got=got, fix="See docs/evaluation.md for the layouts of predictions.")
