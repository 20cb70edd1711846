"""Landmarks as MediaPipe's users store them: 21 points from 0 to 1 over the picture, as JSON or CSV; written as JSON.

One record per picture: {"image", "hand_landmarks": [[{x, y, z}, ...21]], "handedness": [[{category_name}]]}; the older
`multi_hand_landmarks` and `multi_handedness` are read too. MediaPipe names the side for mirrored pictures
(https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker): in others "Left" is a right hand.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.label_table import IMAGES, read_label_table
from handdata.exchange.labels import Annotations, HandLabels, LabelRow, box_source_of, broken_row, make_row, side_of
from handdata.exchange.pictures import ExportedPicture, ExportView, picture_files, write_pictures
from handdata.exchange.plain import SLOTS, array_of, plain, with_palm
from handdata.exchange.plausible import BESIDE
from handdata.files.whole import whole
from handdata.pictures.decode import image_size
from handdata.shards.dataset import Dataset
from handdata.shards.hand import Hand
from handdata.shards.provenance import KEY, as_json, parse_texts
from handdata.shards.schema import BoxSource
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS, WRIST

JSON_KIND, JSON_SIGN = "MediaPipe's landmarks", "records with hand_landmarks, from 0 to 1"
CSV_KIND, CSV_SIGN = "landmarks in CSV", "21 numbered columns x and y"
_HANDS = ("hand_landmarks", "handLandmarks", "multi_hand_landmarks", "landmarks")
_SIDES = ("handedness", "handednesses", "multi_handedness")
_BOXES = ("bbox_xyxy", "bbox_source")  # of ours: one for each hand, px of the picture
_NUMBERED = re.compile(r"(?:landmark|hand|point|kp|lm)?_?(\d+)_?([xyz])|([xyz])_?(\d+)", re.IGNORECASE)


def write(view: ExportView, out: Path) -> None:
    """Write images/<split>/ and <split>.json; only hands with all 21 points have landmarks."""
    with whole(out / f"{view.split}.json") as file:
        for number, record in enumerate(made_with_pictures(_part, view, out)):
            file.write(((",\n" if number else "[\n") + record).encode())
        file.write(b"\n]\n")


def _part(view: ExportView, out: Path) -> list[str]:
    """Write the pictures of a part, and return the JSON of their records."""
    origin = {KEY: as_json(view.provenance)}
    return [json.dumps({**_record(picture, view.split), **origin}) for picture in write_pictures(view, out)]


def holds(data: Dataset) -> NDArray[np.bool_]:
    """Return which hands have landmarks, (N,): MediaPipe has no word for a missing point."""
    whole_hands: NDArray[np.bool_] = np.isfinite(data["keypoints_2d"]).all((1, 2))
    return whole_hands


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [f"{view.split}.json", *picture_files(view)]


def _record(picture: ExportedPicture, split: str) -> dict[str, Any]:
    """Return one picture's record; MediaPipe has no word for a missing point, nor for a side that is not known."""
    whole_hands = [hand for hand in picture.hands if np.isfinite(hand.keypoints_2d).all()]
    made = [_box(hand) for hand in whole_hands]
    named = [[{"category_name": _mirrored(hand.side)}] if hand.side in HAND_SIDES else [] for hand in whole_hands]
    return {
        "image": f"images/{split}/{picture.name}",
        "width": picture.size[0],
        "height": picture.size[1],
        "split": split,
        "ids": [hand.id for hand in whole_hands],
        **{name: [labels[name] for labels in made] for name in _BOXES},
        "hand_landmarks": [_landmarks(hand) for hand in whole_hands],
        "handedness": named,
    }


def _box(hand: Hand) -> dict[str, Any]:
    """Return the box of a hand and who made it, None for one that follows from the points."""
    follows = hand.box_source == BoxSource.KEYPOINTS
    values = (None, None) if follows else (plain(hand.box), hand.box_source.name.lower())
    return dict(zip(_BOXES, values, strict=True))


def _landmarks(hand: Hand) -> list[dict[str, float]]:
    points = [{"x": float(x), "y": float(y)} for x, y in hand.keypoints_2d / hand.size]
    if np.isfinite(hand.keypoints_3d).all() and np.isfinite(hand.K).all():
        depth = hand.keypoints_3d[:, 2]
        for point, z in zip(points, (depth - depth[WRIST]) * hand.K[0, 0] / depth[WRIST] / hand.size[0], strict=True):
            point["z"] = float(z)
    return points


def _mirrored(side: str) -> str:
    return {"left": "Right", "right": "Left"}[side]


# ------------------------------------------------------------------------------------------------ JSON


def is_it(content: Any) -> bool:
    """Say whether the content of a JSON file holds such records."""
    return any(any(key in record for key in _HANDS) for record, _ in _records(content))


def _records(content: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the records of a file, and the picture that a record stands under if it names none."""
    if isinstance(content, list):
        yield from ((record, "") for record in content if isinstance(record, dict))
    elif isinstance(content, dict) and any(key in content for key in _HANDS):
        yield content, ""
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, dict):
                yield value, key
            elif isinstance(value, list) and key in ("images", "frames", "results", "annotations"):
                yield from ((record, "") for record in value if isinstance(record, dict))


def read(path: Path, content: Any) -> Annotations:
    """Read records, whose content is given as parsed."""
    rows: list[LabelRow] = []
    empty = 0
    records = list(_records(content))
    for number, (record, name) in enumerate(records):
        image = str(next((record[key] for key in IMAGES if isinstance(record.get(key), str)), name))
        hands: list[Any] = next((record[key] for key in _HANDS if isinstance(record.get(key), list)), [])
        if hands and isinstance(hands[0], dict) and "x" in hands[0]:
            hands = [hands]  # the points of one hand
        sides: list[Any] = next((record[key] for key in _SIDES if isinstance(record.get(key), list)), [])
        empty += not hands
        if hands and not image:
            rows.append(broken_row(f"{path}[{number}]", "the name of the picture", "none"))
            continue
        for place, points in enumerate(hands):
            facts = _facts(record, image, path)
            for key, fact in (("ids", "sample_id"), *zip(_BOXES, _BOXES, strict=True)):
                if isinstance(said := record.get(key), list) and len(said) == len(hands):
                    facts[fact] = said[place]
            facts |= {"points": points, "handed": sides[place] if place < len(sides) else None}
            rows.append(make_row(image, facts, f"{path}[{number}][{place}]", _hand))
    left_out = {"pictures without a hand": empty}
    sign = f"{JSON_SIGN}; sides are named for mirrored pictures, and exchanged"
    is_ours = any("ids" in record for record, _ in records)
    return Annotations(
        rows=tuple(rows),
        kind=JSON_KIND,
        sign=sign,
        left_out=left_out,
        order="base-first",
        provenance=parse_texts((record.get(KEY) for record, _ in records), path) if is_ours else (),
        is_exported=is_ours,
        is_over_picture=True,
    )


def _facts(record: Mapping[str, Any], image: str, path: Path) -> dict[str, Any]:
    facts = {key: record[key] for key in ("width", "height", "split", "sequence", "subject") if key in record}
    return facts | {"near": path.parent, "image": image}


def _hand(facts: Mapping[str, Any]) -> HandLabels:
    points = facts["points"]
    if isinstance(points, dict):
        points = points.get("landmark", points.get("landmarks"))
    if not isinstance(points, Sequence) or len(points) != NUM_KEYPOINTS:
        raise ValueError("a hand of other than 21 landmarks")
    rows = [(point["x"], point["y"]) if isinstance(point, dict) else point[:2] for point in points]
    return _hand_of(rows, _side(facts["handed"]), facts)


def _hand_of(rows: Any, side: int, facts: Mapping[str, Any]) -> HandLabels:
    """Return a hand of positions over the picture's size; larger numbers are pixels already."""
    uv = np.array(rows, np.float64).reshape(NUM_KEYPOINTS, 2)
    if not np.isfinite(uv).all():
        raise ValueError("a position that is not finite")
    is_share = bool(np.abs(uv).max() <= BESIDE)
    if is_share and (size := _size(facts)) is not None:
        uv, is_share = uv * size, False
    return HandLabels(
        side=side,
        uv=with_palm(uv),
        is_share=is_share,
        bbox_xyxy=array_of([facts.get("bbox_xyxy")], 1, 4)[0],
        box_source=box_source_of(facts.get("bbox_source")),
        slots=SLOTS,
    )


def _size(facts: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the size of a picture, px; None if the record does not say and the picture is elsewhere."""
    said = tuple(float(facts.get(key) or 0) for key in ("width", "height"))
    near = facts["near"] / facts["image"]
    return said if all(said) else image_size(near) if near.is_file() else None


def _side(handed: Any) -> int:
    """Return the person's side of a hand of a picture that is not mirrored."""
    while isinstance(handed, list) and handed:
        handed = handed[0]
    if isinstance(handed, dict):
        inner = handed.get("classification")
        if inner:
            return _side(inner)
        handed = next((handed[key] for key in ("category_name", "categoryName", "label") if handed.get(key)), "")
    side = side_of(handed or "")
    return 1 - side if side in (0, 1) else side


# ------------------------------------------------------------------------------------------------ CSV


def columns_of(columns: Sequence[str]) -> dict[tuple[int, str], str] | None:
    """Return the column of each number of each landmark; None unless there are x and y of 21."""
    found: dict[tuple[int, str], str] = {}
    for column in columns:
        match = _NUMBERED.fullmatch(column)
        if match:
            found[int(match[1] or match[4]), str(match[2] or match[3]).lower()] = column
    numbers = sorted(number for number, axis in found if axis == "x")
    whole_hand = len(numbers) == NUM_KEYPOINTS and all((number, "y") in found for number in numbers)
    first = numbers[0] if numbers else 0
    return {(number - first, axis): column for (number, axis), column in found.items()} if whole_hand else None


def is_csv(columns: Any) -> bool:
    """Say whether a table has such columns."""
    return columns is not None and columns_of(columns) is not None


def read_table(path: Path, content: Any) -> Annotations:  # noqa: ARG001 - read here
    """Read a table of one hand per row.

    Raises:
        DataError: no column names the picture.
    """
    table = read_label_table(path)
    places = columns_of(table.columns) or {}
    rows: list[LabelRow] = []
    for where, said in table.rows:
        if isinstance(said, LabelRow):
            rows.append(said)
            continue
        image = said.get(table.image, "")
        points = [[said.get(places[k, axis], "nothing") for axis in "xy"] for k in range(NUM_KEYPOINTS)]
        facts = {**_facts(said, image, path), "points": points, "side": said.get("side", "")}
        facts["handed"] = next((said[name] for name in (*_SIDES, "hand", "label") if name in said), None)
        rows.append(make_row(image, facts, where, _row_hand))
    sign = "; ".join(part for part in (CSV_SIGN, table.how) if part)
    return Annotations(rows=tuple(rows), kind=CSV_KIND, sign=sign, order="base-first", is_over_picture=True)


def _row_hand(facts: Mapping[str, Any]) -> HandLabels:
    side = side_of(facts["side"]) if facts["side"] else _side(facts["handed"])
    return _hand_of(facts["points"], side, facts)
