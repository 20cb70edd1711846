"""COCO-WholeBody: hands of people in COCO's pictures, in 2D; both hands of a person are samples.

Native layout:
    {train2017,val2017}/<12 digits>.jpg     COCO's own pictures, of many sizes
    coco_wholebody_{train,val}_v1.0.json    beside these folders or in annotations/: images, and one record per person

A person's record has lefthand_kpts and righthand_kpts, 21 times (u, v, mark); lefthand_box and righthand_box, (left,
top, width, height); lefthand_valid and righthand_valid. Of a hand that is not valid, all numbers are 0. A mark is 1, or
2 for visible, or a number below 1: then a model made the label, and this is its confidence. Labels below --confidence
are dropped first; then records of crowds and hands with fewer than two labels are left out.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.json_stream import stream
from handdata.converters.read.layout import choose, locate
from handdata.converters.read.naming import ascii_id, below
from handdata.converters.read.packaging import no_label
from handdata.converters.read.sizes import require_size
from handdata.errors import DataError, MissingError
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import UNKNOWN, BoxSource, Sample
from handdata.skeleton import HAND_SIDES, LEFT, NUM_KEYPOINTS, RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_FACTOR = 1.5  # hands are 10 to 200 px wide: a margin in pixels would not fit them all
CROP_RULE = f"square round the hand's box and keypoints, {CROP_FACTOR:g} times as large"
CAMERA = "unknown"
MIN_POINTS = 2
BY_A_PERSON, VISIBLE = 1, 2  # marks
WIDEST, LATEST = 1 << 15, 1 << 31  # px of a side, and the number of a picture, below
_FIX = "Unpack the annotations again."


@dataclass(frozen=True, kw_only=True)
class WholeBodyOptions(Options):
    """What this dataset alone can be asked."""

    confidence: int = option(
        0,
        "Smallest confidence of keypoints that a model labelled, in percent; people's are kept. Hands that keep fewer "
        "than two are left out.",
        within=(0, 100),
    )


OPTIONS = WholeBodyOptions


@dataclass(frozen=True)
class LabelledHands:
    """The valid hands of a set, by picture and person, left before right.

    Attributes:
        pictures: name, width and height of the pictures by id.
        places: (N, 3) ids of picture and person, side.
        points: (N, 21, 3) px and mark.
        boxes: (N, 4) left, top, width, height, px.
        left_out: what is no sample, and how often.
    """

    pictures: Mapping[int, tuple[str, int, int]]
    places: NDArray[np.int64]
    points: NDArray[np.float64]
    boxes: NDArray[np.float64]
    left_out: Mapping[str, int]


def plan(root: Path, manifest: Manifest, options: WholeBodyOptions) -> Plan:
    """List the hands of both sets in the order of the pictures."""
    root = locate(root, manifest, *([f"{name}/*.jpg"] for members in manifest.sequences.values() for name in members))
    sets = {name: split for split, members in manifest.sequences.items() for name in members}
    wanted = choose(options.sequences, sets, "sequences")
    found = [name for name in wanted if (root / name).is_dir()]
    notes = [f"absent: {', '.join(name for name in wanted if name not in found)}"] if len(found) < len(wanted) else []
    items: list[Item] = []
    labels: list[str] = []
    for name in found:
        there = {path.name for path in (root / name).iterdir()}
        path = _label_path(root, name)
        if not path.exists():
            raise no_label(path, f"the labels of {name}", len(there), "Unpack the annotations beside the pictures.")
        labels.append(path.relative_to(root).as_posix())
        hands = read_hands(path)
        rows = np.flatnonzero(_kept(hands.points[..., 2], options.confidence).sum(axis=1) >= MIN_POINTS)
        here = [_item(name, sets[name], hands, row) for row in rows.tolist()]
        items += [item for item in here if item.image.partition("/")[2] in there]
        absent = len({item.image for item in here if item.image.partition("/")[2] not in there})
        notes += [f"absent: {absent} pictures of {name} with labelled hands"] if absent else []
        notes += [f"{count} {what} of {name} left out" for what, count in sorted(hands.left_out.items())]
        unsure = len(hands.places) - len(rows)
        notes += (
            [f"{unsure} hands of {name} left out: fewer than {MIN_POINTS} labels are sure enough"] if unsure else []
        )
    if not items:
        raise MissingError(root, expected="labelled pictures", got="none", fix="Unpack COCO's pictures again.")
    return Plan(root=root, items=tuple(items), label_files=tuple(labels), warnings=tuple(notes))


def reader(root: Path, manifest: Manifest, options: WholeBodyOptions) -> Reader:
    """Return a reader that keeps the last picture: its hands follow one another."""
    picture = lru_cache(maxsize=1)(read_image)

    def read(item: Item) -> Sample:
        hands = read_hands(_label_path(root, item.sequence))
        place, points, (left, top, width, height) = (of[item.ref] for of in (hands.places, hands.points, hands.boxes))
        points = to_canonical(points, manifest.keypoints)
        mark = points[:, 2]
        kept = _kept(mark, options.confidence)
        uv = np.where(kept[:, None], points[:, :2], np.nan)
        box = np.array([left, top, left + width, top + height]) if width > 0 < height else None
        image = picture(root / item.image)
        require_size(image, hands.pictures[int(place[0])][1:], root / item.image)
        return Sample(
            id=item.id,
            image=image,
            hand_side=int(place[2]),
            keypoints_2d=uv,
            keypoints_3d=np.full((NUM_KEYPOINTS, 3), np.nan),
            visible=np.where(kept & (mark == VISIBLE), 1, UNKNOWN).astype(np.int8),
            crop_xyxy=_crop(uv, box),
            bbox_xyxy=box,
            bbox_source=BoxSource.NONE if box is None else BoxSource.DATASET,
        )

    return read


def _kept(mark: NDArray[np.float64], confidence: int) -> NDArray[np.bool_]:
    """Tell which labels count: a person's, and a model's of at least so many percent."""
    return np.asarray((mark >= BY_A_PERSON) | ((mark > 0) & (mark * 100 >= confidence)))


def _label_path(root: Path, name: str) -> Path:
    file = f"coco_wholebody_{name.removesuffix('2017')}_v1.0.json"
    return next((path for path in (root / file, root / "annotations" / file) if path.exists()), root / file)


def _item(name: str, split: str, hands: LabelledHands, row: int) -> Item:
    picture, person, side = (int(value) for value in hands.places[row])
    file = hands.pictures[picture][0]
    return Item(
        id=ascii_id(f"{name}/{Path(file).stem}/{person}/{HAND_SIDES[side]}"),
        split=split,
        sequence=name,
        camera=CAMERA,
        frame=picture,
        image=f"{name}/{file}",
        ref=row,
    )


def _crop(uv: NDArray[np.float64], box: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return the square of `CROP_RULE`; None where there is neither a box nor a point."""
    corners = [uv[np.isfinite(uv).all(axis=1)] + 0.5, np.empty((0, 2)) if box is None else box.reshape(2, 2)]
    around = np.concatenate(corners)
    if len(around) < MIN_POINTS:
        return None
    square = crops.square_of(np.concatenate([around.min(axis=0), around.max(axis=0)]))
    return crops.scale_about_center(square, CROP_FACTOR)


# ------------------------------------------------------------------------------------------------ labels


def read_hands(path: Path) -> LabelledHands:
    """Read the labels of a set; once while the file stays as it is.

    Raises:
        MissingError: no such file.
        DataError: no JSON, a record that lacks something, or a person without a picture.
    """
    status = path.stat()
    return _read_hands(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_hands(path: Path, _size: int, _time_ns: int) -> LabelledHands:
    pictures: dict[int, tuple[str, int, int]] = {}
    hands: list[tuple[tuple[int, int, int], NDArray[np.float64], NDArray[np.float64]]] = []
    left_out: Counter[str] = Counter()
    for number, (key, record) in enumerate(stream(path)):
        try:
            if key == "images":
                pictures[_whole(record["id"], LATEST)] = (
                    below(record["file_name"]), _whole(record["width"], WIDEST), _whole(record["height"], WIDEST)
                )  # fmt: skip
            elif key == "annotations" and record.get("iscrowd"):
                left_out["crowds"] += 1
            elif key == "annotations":
                hands += _hands_of(record, left_out)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            got = f"{type(error).__name__}: {error}"
            expected = f"a record like the others, the {number}th"
            raise DataError(f"{path}[{key}]", expected=expected, got=got, fix=_FIX) from None
    for (picture, person, _), _, _ in hands:
        if picture not in pictures:
            where, got = f"{path}[annotations]", f"person {person} of picture {picture}"
            raise DataError(where, expected="people of the pictures in images", got=got, fix=_FIX)
    hands.sort(key=lambda hand: hand[0])
    return LabelledHands(
        pictures=pictures,
        places=np.array([place for place, _, _ in hands], np.int64).reshape(-1, 3),
        points=np.array([points for _, points, _ in hands], np.float64).reshape(-1, NUM_KEYPOINTS, 3),
        boxes=np.array([box for _, _, box in hands], np.float64).reshape(-1, 4),
        left_out=dict(left_out),
    )


def _hands_of(
    record: dict[str, Any], left_out: Counter[str]
) -> list[tuple[tuple[int, int, int], NDArray[np.float64], NDArray[np.float64]]]:
    """Return the labelled hands of one person: place, (21, 3) points, (4,) box."""
    hands = []
    for side in (LEFT, RIGHT):
        name = f"{HAND_SIDES[side]}hand"
        if not record[f"{name}_valid"]:
            continue
        points = np.array(record[f"{name}_kpts"], np.float64).reshape(NUM_KEYPOINTS, 3)
        box = np.array(record[f"{name}_box"], np.float64).reshape(4)
        if not (np.isfinite(points).all() and np.isfinite(box).all()):
            raise ValueError("NaN or infinity")
        if (points[:, 2] > 0).sum() < MIN_POINTS:
            left_out[f"hands with fewer than {MIN_POINTS} labels"] += 1
            continue
        place = _whole(record["image_id"], LATEST), _whole(record["id"], 1 << 62), side
        hands.append((place, points, box))
    return hands


def _whole(value: Any, end: int) -> int:
    """Return a whole number from 0 below an end.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"{value!r} where a whole number below {end} is wanted")
    return value
