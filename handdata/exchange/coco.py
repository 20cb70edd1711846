"""COCO keypoints: images/<split>/ and annotations/<split>.json, written and read.

Format: https://cocodataset.org/#format-data . Read are a user's own file (docs/custom.md), what `write` wrote, and the
published files of hands that call themselves COCO, which differ (handdata/exchange/coco_kinds.py).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.exchange.coco_kinds import (
    OPEN,
    OWN_KIND,
    PLAIN,
    SURE,
    UNSEEN,
    CocoKind,
    fault_of,
    find_kind,
    four_numbers,
    licence_of,
    shows_published,
    unnamed,
)  # fmt: skip
from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.labels import (
    Annotations,
    Array,
    HandLabels,
    LabelRow,
    broken_row,
    make_row,
    nan,
    said,
    side_in,
    side_of,
    size_of,
    whole_number,
)
from handdata.exchange.pictures import ExportView, picture_files, write_pictures
from handdata.exchange.plain import OWN, SLOTS, hand_of_plain, lies_in, listed_points
from handdata.exchange.point_names import PALM, WHY_COUNTED, match_names, names_a_hand, numbered_slots
from handdata.files.text import Wanted, as_object
from handdata.files.whole import whole
from handdata.geometry import xywh_to_xyxy, xyxy_to_xywh
from handdata.shards.provenance import KEY, as_json, parse
from handdata.shards.schema import UNKNOWN
from handdata.skeleton import BONES, KEYPOINTS, NUM_KEYPOINTS

CATEGORY = 1  # the only one: a hand
NOT_LABELLED, LABELLED, VISIBLE = 0, 1, 2  # of a keypoint in COCO
_PIXELS = "pixels of the exported picture, (0, 0) the centre of its first pixel"
_FILE = Wanted(what="annotations", fix="See docs/custom.md.")
_OF_FILE = ("unit", "K", "pixel_origin", "side", "split", "has_object")  # what `info` may say for every hand
_IDS = '{"id": 0, "image_id": 0, '  # that the JSON of a hand begins with
_FEW = 21  # labelled points: a file of so few may have hidden ones alone


def write(view: ExportView, out: Path) -> None:
    """Write images/<split>/ and annotations/<split>.json, some pictures at a time."""
    head = {
        "info": {
            "description": view.title,
            "url": view.homepage,
            "pixels": _PIXELS,
            "unit": "mm",
            KEY: as_json(view.provenance),
        },
        "licenses": [{"id": 1, "name": view.licence, "url": view.homepage}] if view.licence else [],
        "categories": [category()],
    }
    with whole(out / "annotations" / f"{view.split}.json") as file:
        file.write((json.dumps(head)[:-1] + ',\n"annotations": [\n').encode())
        images: list[str] = []
        number = 0
        for image, hands in made_with_pictures(_part, view, out):
            images.append(f'{{"id": {len(images) + 1}, {image}')
            for hand in hands:
                number += 1
                head_of_hand = f'{{"id": {number}, "image_id": {len(images)}, '
                file.write(((",\n" if number > 1 else "") + head_of_hand + hand).encode())
        file.write(b'\n],\n"images": [\n' + ",\n".join(images).encode() + b"\n]}\n")


def _part(view: ExportView, out: Path) -> list[tuple[str, list[str]]]:
    """Write the pictures of a part; return the JSON of each and of its hands, without the ids that it begins with."""
    licence = {"license": 1} if view.licence else {}
    found = []
    for picture in write_pictures(view, out):
        width, height = picture.size
        image = {"file_name": f"{view.split}/{picture.name}", "width": width, "height": height, **licence}
        hands = [json.dumps(annotation(labels, 0, 0, picture.size))[len(_IDS) :] for labels in picture.labels]
        found.append((json.dumps(image)[1:], hands))
    return found


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [f"annotations/{view.split}.json", *picture_files(view)]


def category() -> dict[str, Any]:
    """Return the one category: a hand with its 21 keypoints and 20 bones (COCO counts keypoints from 1)."""
    return {
        "id": CATEGORY,
        "name": "hand",
        "supercategory": "person",
        "keypoints": list(KEYPOINTS),
        "skeleton": [[a + 1, b + 1] for a, b in BONES],
    }


def annotation(labels: dict[str, Any], number: int, image: int, size: tuple[int, int]) -> dict[str, Any]:
    """Return a sample as a COCO annotation: keypoints as (u, v, flag), and our own fields beside.

    The flag is 2 for a visible keypoint or where the dataset does not say, 1 for a hidden one or one outside the
    picture, 0 for one that is not labelled. The box is the dataset's, else that of the labelled keypoints.
    """
    uv = labels["keypoints_2d"] or [None] * len(KEYPOINTS)
    keypoints: list[float] = []
    for point, visible in zip(uv, labels["visible"], strict=True):
        if point is None:
            keypoints += [0, 0, NOT_LABELLED]
            continue
        keypoints += [*point, VISIBLE if visible != 0 and lies_in(point, size) else LABELLED]
    known = np.array([point for point in uv if point is not None]).reshape(-1, 2)
    box = labels["bbox_xyxy"]
    if box is None:
        box = [*(known.min(0) + 0.5), *(known.max(0) + 0.5)] if len(known) else [0.0, 0.0, *map(float, size)]
    left, top, width, height = xyxy_to_xywh(box).tolist()
    own = {key: value for key, value in labels.items() if key != "keypoints_2d"}
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORY,
        "iscrowd": 0,
        "num_keypoints": len(known),
        "keypoints": keypoints,
        "bbox": [left, top, width, height],
        "area": width * height,
        **own,
    }


# ------------------------------------------------------------------------------------------------ read

Slots = tuple[int | None, ...]


def read(path: Path, content: Any) -> Annotations:
    """Read a file of annotations, whose content is given as parsed.

    Raises:
        DataError: it is no such file.
    """
    content = as_object(content, path, _FILE)
    try:
        reading = _Reading(path, content)
        annotations = list(content["annotations"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise fault_of(path, error, content.get("images")) from None
    rows = [row for number, given in enumerate(annotations) for row in reading.rows(given, number)]
    kind = reading.kind
    if kind is PLAIN and _never_visible(rows):
        rows = [_with_open_visibility(row) for row in rows]
    return Annotations(
        rows=tuple(rows),
        kind=kind.name,
        sign=kind.sign,
        ignored=reading.ignored,
        others=reading.others,
        left_out=reading.left_out,
        order=reading.order,
        order_why=WHY_COUNTED if reading.is_counted else Annotations.order_why,
        provenance=tuple(parse(_recorded(content.get("info")), path)),
        is_exported=kind is OWN_KIND,
        dataset=kind.dataset if not kind.is_person or shows_published(content["images"]) else "",
        licence=licence_of(content.get("licenses")),
    )


def _recorded(info: Any) -> Any:
    """Return what an export noted of where its pictures are from."""
    return info.get(KEY, ()) if isinstance(info, Mapping) else ()


class _Reading:
    """What a file says for all of its annotations, and what was met on the way."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._images = {image["id"]: image for image in content["images"]}
        self._shared = _shared_ids(content["images"])
        self._categories = {c["id"]: c for c in content.get("categories") or []}
        info = dict(content.get("info") or {})
        if not any(category.get("keypoints") for category in self._categories.values()):
            self._categories |= unnamed(content["annotations"], self._categories)
        self.kind: CocoKind = find_kind(info, list(self._images.values()), content["annotations"])
        self._of_file = {key: info[key] for key in _OF_FILE if info.get(key) is not None}
        self._slots: dict[Any, Slots] = {}
        self.ignored: tuple[str, ...] = ()
        self.is_counted = False
        if not self.kind.order:
            self._match()
        self.others: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def _match(self) -> None:
        """Find the slots of the points that the categories name."""
        named = {k: [str(name) for name in c["keypoints"]] for k, c in self._categories.items() if c.get("keypoints")}
        names = {key: these for key, these in named.items() if names_a_hand(these)}
        where = f"{self._path}[categories]"
        if not names:
            shown = (
                f"{c.get('name', k)} ({', '.join(named.get(k, ['no keypoints'])[:8])})"
                for k, c in self._categories.items()
            )
            expected = "a category with hand keypoints (wrist, thumb_mcp, ..., little_tip, or 21 counted from 0)"
            raise DataError(where, expected=expected, got="; ".join(shown)[:200] or "none", fix="See docs/custom.md.")
        self.is_counted = any(numbered_slots(these) is not None for these in names.values())
        self._slots = {key: tuple(match_names(these, where)) for key, these in names.items()}
        pairs = [pair for key, these in names.items() for pair in zip(these, self._slots[key], strict=True)]
        self.ignored = tuple(sorted({name for name, slot in pairs if slot is None}))

    @property
    def order(self) -> str:
        """The known order of the rows of points; "" as the categories name them."""
        return "base-first" if self.is_counted else self.kind.order

    def rows(self, given: Any, number: int) -> Iterator[LabelRow]:
        """Yield the hands of one annotation."""
        where = f"{self._path}[annotations][{number}]"
        fault = self._fault(given)
        if fault:
            yield broken_row(where, *fault)
            return
        try:
            image, group = self._images[given["image_id"]], self._group(given)
            if group is None:
                return
            found = ["crowds"] if given.get("iscrowd") == 1 else list(self.kind.hands(given, image))
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            yield broken_row(where, "image_id and category_id that the file holds", self._unknown(given))
            return
        for hand in found:
            if isinstance(hand, str) or _is_empty(hand):
                self.left_out[hand if isinstance(hand, str) else "hands without a labelled point"] += 1
                continue
            facts = said({"category": str(group.get("name", ""))}, self._of_file, image, hand)
            if self.kind.is_person:
                facts[OWN] = f"{image.get('file_name')}/{given.get('id', number)}/{hand['side']}"
            slots = self._slots.get(given.get("category_id"), SLOTS)
            yield make_row(str(image.get("file_name") or ""), facts, where, partial(self._hand, slots=slots))

    def _fault(self, given: Any) -> tuple[str, str] | None:
        """Return what an annotation's image_id should be and is, where it is not that of one image."""
        try:
            wanted = given["image_id"]
            if wanted in self._shared:
                return "the id of one image", f"image_id {wanted!r}, which {self._shared[wanted]} share"
            if wanted in self._images:
                return None
        except (KeyError, TypeError):
            return None  # named where the annotation is read
        like = next((one for one in self._images if _plain_id(one) == _plain_id(wanted)), None)
        known = f"; one has {like!r}" if like is not None else ""
        return "image_id and category_id that the file holds", f"image_id {wanted!r}, which no image has{known}"

    def _unknown(self, given: Any) -> str:
        """Return what is wrong with an annotation of a known image that cannot be read."""
        wanted = given.get("category_id") if isinstance(given, Mapping) else None
        if not self.kind.order and isinstance(wanted, int | str) and wanted not in self._categories:
            return f"category_id {wanted!r}, which no category has"
        return str(given)[:80]

    def _group(self, given: Any) -> Mapping[str, Any] | None:
        """Return the category of an annotation; None, counted, for one without points of a hand."""
        if self.kind.order:
            return self._categories.get(given.get("category_id")) or {}
        group: Mapping[str, Any] = self._categories[given["category_id"]]
        if group["id"] in self._slots:
            return group
        self.others[str(group.get("name", group["id"]))] += 1
        return None

    def _hand(self, facts: Mapping[str, Any], slots: Slots) -> HandLabels:
        return _own_hand(facts) if self.kind is OWN_KIND else _hand(facts, slots, self.kind.flags)


def _shared_ids(images: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """Return the files of each id that several images have."""
    files_of: dict[Any, list[str]] = {}
    for image in images:
        name = str(image.get("file_name"))
        names = files_of.setdefault(image["id"], [])
        if name not in names:
            names.append(name)
    return {key: " and ".join(names[:3]) for key, names in files_of.items() if len(names) > 1}


def is_it(content: Any) -> bool:
    """Say whether the content of a JSON file has a part of COCO's."""
    return isinstance(content, Mapping) and any(part in content for part in ("images", "annotations", "categories"))


def _plain_id(value: Any) -> str:
    """Return an id as a text that is the same for 3, 3.0 and "3"."""
    text = str(value).strip()
    return text.removesuffix(".0")


def _is_empty(hand: Mapping[str, Any]) -> bool:
    """Say whether an annotation holds a hand's box at most."""
    points = hand.get("keypoints")
    if OWN in hand or hand.get("keypoints_3d") or not isinstance(points, list | type(None)):
        return False
    if points and len(points) % 3:
        return False
    return all(isinstance(flag, int | float) and not flag > 0 for flag in (points or [])[2::3])  # NaN is not above 0


def _own_hand(facts: Mapping[str, Any]) -> HandLabels:
    """Return the hand of an annotation that `annotation` made, or an earlier version of it."""
    points = np.array(facts["keypoints"], np.float64).reshape(NUM_KEYPOINTS, 3)
    rows = [point[:2].tolist() if point[2] > 0 else None for point in points]
    hand = hand_of_plain({**facts, "keypoints_2d": rows})
    if "bbox_source" not in facts:
        hand = replace(hand, bbox_xyxy=xywh_to_xyxy(four_numbers(facts["bbox"])))
    return replace(hand, size=size_of(facts))


def _hand(facts: Mapping[str, Any], slots: Slots, flags: str) -> HandLabels:
    rows = [row for row, slot in enumerate(slots) if slot is not None]
    targets = [slot for slot in slots if slot is not None]
    uv, visible = nan(PALM + 1, 2), np.full(PALM + 1, UNKNOWN, np.int8)
    if facts.get("keypoints"):
        points = listed_points(facts["keypoints"], len(slots))[rows]
        labelled = points[:, 2] > 0
        uv[targets] = np.where(labelled[:, None], points[:, :2], np.nan)
        visible[targets] = np.where(labelled, _shown(points, labelled, flags), UNKNOWN)
    xyz = nan(PALM + 1, 3)
    if facts.get("keypoints_3d"):
        missing = [None] * 3
        points = np.array([p or missing for p in facts["keypoints_3d"]], np.float64).reshape(len(slots), 3)[rows]
        xyz[targets] = points
    K = np.array(facts["K"], np.float64).reshape(3, 3) if facts.get("K") else nan(3, 3)
    if facts.get("K") and not np.isfinite(K).any():
        raise ValueError("intrinsics that are not 3 x 3 numbers")
    box = four_numbers(facts["bbox"]) if facts.get("bbox") else nan(4)
    return HandLabels(
        side=side_of(facts["side"]) if facts.get("side") else side_in(facts["category"]),
        uv=uv,
        xyz=xyz,
        unit=str(facts.get("unit", "")),
        visible=visible[:NUM_KEYPOINTS],
        K=K,
        bbox_xyxy=xywh_to_xyxy(box),
        has_object=whole_number(facts.get("has_object", UNKNOWN)),
        from_corner=str(facts.get("pixel_origin", "center")) == "corner",
        size=size_of(facts),
        slots=tuple(targets) if len(targets) == NUM_KEYPOINTS and PALM not in targets else (),
    )


def _shown(points: Array, labelled: NDArray[np.bool_], flags: str) -> NDArray[np.int8]:
    """Return what the flags of points, (N, 3), say of the labelled ones: 1 visible, 0 hidden, -1 not known."""
    if not np.isfinite(points[labelled]).all():
        raise ValueError("a labelled point that is no number")
    if flags == SURE:
        exact = points[:, 2] == VISIBLE
        return np.where(exact, 1, UNKNOWN).astype(np.int8)
    if flags == OPEN:
        return np.full(len(points), UNKNOWN, np.int8)
    if not np.isin(points[labelled, 2], (LABELLED, VISIBLE)).all():
        raise ValueError("a visibility other than 0, 1 or 2")
    if flags == UNSEEN:
        return np.where(points[:, 2] == LABELLED, 0, UNKNOWN).astype(np.int8)
    return np.where(labelled, points[:, 2] - 1, UNKNOWN).astype(np.int8)


def _never_visible(rows: Sequence[LabelRow]) -> bool:
    """Say whether no point of a file is visible though many are labelled: then its flag says no more than that."""
    hands = [row.hand for row in rows if isinstance(row.hand, HandLabels)]
    hidden = sum(int((hand.visible == 0).sum()) for hand in hands)
    return hidden > _FEW and not any((hand.visible == 1).any() for hand in hands)


def _with_open_visibility(row: LabelRow) -> LabelRow:
    if not isinstance(row.hand, HandLabels):
        return row
    return replace(row, hand=replace(row.hand, visible=np.full(NUM_KEYPOINTS, UNKNOWN, np.int8)))
