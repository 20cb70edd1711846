"""Hands that somebody labelled, read row by row: what every reader of a foreign format returns. No files.

A row that cannot be read keeps its fault, so that it costs one sample and is named where that sample is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, Fix, HanddataError
from handdata.exchange.point_names import PALM
from handdata.shards.provenance import Provenance
from handdata.shards.schema import LAST_FRAME, SPLITS, UNKNOWN, BoxSource, Flag
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS, SIDE_NAMES

UNKNOWN_SIDE = SIDE_NAMES.index("unknown")  # the file says that nobody knows
UNSAID = -1  # of a side: the file does not say
MM_PER_UNIT = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
FIX = Fix("See docs/custom.md", skips="it")
_SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
FARTHEST = 1e6  # px or mm: no hand is labelled a kilometre away
FARTHEST_PX = 5e6  # of a point just before the camera's plane; RHD has one 1.2 million px away
Array = NDArray[np.float64]


def nan(*shape: int) -> Array:
    """Return an array of what is not known."""
    return np.full(shape, np.nan)


def _no_box() -> Array:
    return nan(4)


def _no_points() -> Array:
    return nan(PALM + 1, 3)


@dataclass(frozen=True, kw_only=True)
class HandLabels:
    """One labelled hand; NaN where the file does not say.

    Attributes:
        side: 0 left, 1 right, UNKNOWN_SIDE, UNSAID.
        uv: (22, 2) px, the 21 keypoints and the palm centre.
        xyz: (22, 3) in `unit`.
        unit: of `xyz`, a key of MM_PER_UNIT; "" where the file does not say.
        visible: (21,) 1, 0 or -1.
        K: (3, 3) px.
        bbox_xyxy: (4,) px.
        box_source: who made the box.
        crop_xyxy: (4,) px, the square that is to be cut; NaN leaves it to the rule.
        has_object: 1, 0 or -1.
        normalized: (21, 3) as shipped; None derives it.
        flags: of the schema.
        from_corner: whether positions count from the corner of the first pixel: half a pixel more than from its centre.
        is_share: whether `uv` are still from 0 to 1 over the picture, whose size neither the file nor its folder tells.
        size: (width, height) px of the picture that was labelled; None where the file does not say.
        slots: of each of the file's rows of points the slot it was put into, where there are 21.
    """

    uv: Array
    side: int = UNSAID
    xyz: Array = field(default_factory=_no_points)
    unit: str = ""
    visible: NDArray[np.int8] = field(default_factory=lambda: np.full(NUM_KEYPOINTS, UNKNOWN, np.int8))
    K: Array = field(default_factory=lambda: nan(3, 3))
    bbox_xyxy: Array = field(default_factory=_no_box)
    box_source: BoxSource = BoxSource.DATASET
    crop_xyxy: Array = field(default_factory=_no_box)
    has_object: int = UNKNOWN
    normalized: Array | None = None
    flags: Flag = Flag.NONE
    from_corner: bool = False
    is_share: bool = False
    size: tuple[int, int] | None = None
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One row of the file: where its picture is, and the hand or what is wrong with it.

    Attributes:
        image: path of the picture; "" where the row is so broken that whose it is cannot be told.
        split: "" where the file does not say.
        sequence: recording; the picture's folder where the file does not say.
        camera: that took the picture; "" where the file does not say.
        subject: person; "" where the file does not say.
        frame: number of the picture; None where the file does not say.
        key: the sample's id where the file has one, else "".
        where: names the row in errors.
        label: path of the picture's own file of labels, beside the picture's; "" where one file holds all.
        hand: the labels, or what is wrong with them.
    """

    image: str
    hand: HandLabels | HanddataError
    split: str = ""
    sequence: str = ""
    camera: str = ""
    subject: str = ""
    frame: int | None = None
    key: str = ""
    where: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """A file of labels.

    Attributes:
        rows: in file order.
        kind: which format it is, in words.
        sign: what it was known by.
        ignored: names of points that are not among our keypoints.
        others: annotations of categories without points of a hand, by category.
        left_out: what else holds no hand, in words, and how often: crowds, persons without a labelled hand.
        order: the known order of the rows of points, a key of `orders.ORDERS`; "" as the file names them.
        order_why: why it is that order, in words.
        dataset: the published one that such files are of, a name of manifests/ if there is one; "" for none.
        licence: as the file tells it.
        provenance: what its pictures are from, if handdata wrote it.
        is_over_picture: whether the format has positions from 0 to 1 over the picture, which were made pixels.
        is_exported: whether handdata wrote it, or what it was made of: its hands have ids.
        pictures: folder of the pictures, if the format says.
    """

    rows: tuple[LabelRow, ...]
    kind: str = ""
    sign: str = ""
    ignored: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    order: str = ""
    order_why: str = "as that format has it"
    dataset: str = ""
    licence: str = ""
    provenance: tuple[Provenance, ...] = ()
    is_over_picture: bool = False
    is_exported: bool = False
    pictures: Path | None = None


def make_row(
    image: str, facts: Mapping[str, Any], where: str, read: Callable[[Mapping[str, Any]], HandLabels]
) -> LabelRow:
    """Make a row of its picture and of what is said about it.

    Args:
        image: path of the picture, as the file names it.
        facts: what the file says: split, sequence, camera, subject, frame, sample_id, and whatever `read` takes.
        where: names the row in errors.
        read: turns the facts into labels; its ValueErrors are the row's fault.
    """
    path, split = Path(image.replace("\\", "/")), split_of(facts.get("split", ""))
    if not path.parts or ".." in path.parts:
        return broken_row(where, "a picture inside the folder, relative to --root", image or "none")
    if split and split not in SPLITS:
        return broken_row(where, f"a split out of {', '.join(SPLITS)}", split)
    frame: int | None = None
    hand: HandLabels | HanddataError
    try:
        frame = whole_number(facts["frame"]) if "frame" in facts else None
        hand = read(facts)
        _check_frame(frame)
        check(hand)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error)
        hand = DataError(where, expected="a labelled hand", got=got, fix=FIX)
    folder = "" if path.parent == Path() else path.parent.as_posix()
    return LabelRow(
        image=path.as_posix(),
        hand=hand,
        split=split,
        sequence=str(facts.get("sequence", folder)),
        camera=str(facts.get("camera", "")),
        subject=str(facts.get("subject", "")),
        frame=frame,
        key=str(facts.get("sample_id", "")),
        where=where,
        label=str(facts.get("label_file", "")),
    )


def split_of(name: object) -> str:
    """Return the split that a word stands for: val for "valid" and "Validation"; a word for none stays as it is."""
    word = str(name).strip().lower()
    word = _SPLIT_NAMES.get(word, word)
    return word if word in SPLITS else str(name)


def broken_row(where: str, expected: str, got: str) -> LabelRow:
    """Return a row of which nothing can be told but its fault."""
    return LabelRow(image="", hand=DataError(where, expected=expected, got=got, fix=FIX), where=where)


def said(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Join the facts of a file, its picture and its annotation, the last one first; null says nothing."""
    return {key: value for part in parts for key, value in part.items() if value is not None}


def check(hand: HandLabels) -> None:
    """Refuse what no camera takes of a hand.

    Raises:
        ValueError: says what.
    """
    if not np.isin(hand.visible, (-1, 0, 1)).all() or hand.has_object not in (-1, 0, 1):
        raise ValueError("a visibility or has_object that is not one of the allowed numbers")
    if np.any(hand.xyz[:, 2] <= 0):
        raise ValueError(f"z = {np.nanmin(hand.xyz[:, 2]):g} {hand.unit}, not in front of the camera")
    if np.nanmax(np.abs(hand.uv), initial=0) > FARTHEST_PX or np.nanmax(np.abs(hand.xyz), initial=0) > FARTHEST:
        raise ValueError(f"a coordinate beyond {FARTHEST_PX:g} px or {FARTHEST:g} mm")
    if np.isfinite(hand.K).any() and not (np.isfinite(hand.K).all() and (np.diag(hand.K) > 0).all()):
        raise ValueError("intrinsics without finite numbers and focal lengths above 0")
    if np.isfinite(hand.bbox_xyxy).any() and not (hand.bbox_xyxy[2:] > hand.bbox_xyxy[:2]).all():
        raise ValueError("a box without width and height")


def _check_frame(frame: int | None) -> None:
    if frame is not None and not 0 <= frame <= LAST_FRAME:
        raise ValueError(f"frame {frame}, not from 0 to {LAST_FRAME}")


def size_of(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return width and height of the labelled picture; None where they are not given."""
    width, height = (whole_number(facts.get(key, 0)) for key in ("width", "height"))
    return (width, height) if width and height else None


def whole_number(value: Any) -> int:
    """Read a whole number, which a table with gaps writes as 1.0.

    Raises:
        ValueError, OverflowError, TypeError: it is not a whole number.
    """
    number = float(value)
    if number != int(number):
        raise ValueError(f"{value}, no whole number")
    return int(number)


def box_source_of(name: Any) -> BoxSource:
    """Read who made a box; the dataset where it is not said.

    Raises:
        ValueError: nobody known.
    """
    source = str(name or "dataset").upper()
    if source not in BoxSource.__members__:
        raise ValueError(f"box_source {source.lower()[:40]!r}")
    return BoxSource[source]


def side_of(text: object) -> int:
    """Read a side from a word that may hold it: "left_hand".

    Returns:
        0 left, 1 right, UNKNOWN_SIDE for "unknown", UNSAID for an empty text.

    Raises:
        ValueError: another text, or both.
    """
    words = str(text).strip().lower()
    if words in ("", "unknown"):
        return UNKNOWN_SIDE if words else UNSAID
    found = {side for side in HAND_SIDES if re.search(rf"(^|[^a-z]){side}([^a-z]|$)", words)}
    if len(found) != 1:
        raise ValueError(f"no side: say left, right or unknown, not {str(text)[:40]!r}")
    return HAND_SIDES.index(found.pop())


def side_in(text: object) -> int:
    """Return the side that a name holds, UNSAID where it holds none or both."""
    try:
        return side_of(text)
    except ValueError:
        return UNSAID
