"""CVAT 1.1 for images and for video, read: skeletons, 21 single points, or one shape of 21 points, per hand.

`outside` is a point that is not there; `occluded` one that is hidden. Positions count from the picture's edge. The
names of the annotator and of the server stand in <meta>, which is read for frame numbers alone, and for the origin that
an export of handdata noted there.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from handdata.errors import DataError, HanddataError
from handdata.exchange.cvat import ID, SOURCE
from handdata.exchange.labels import UNSAID, Annotations, HandLabels, LabelRow, box_source_of, make_row, nan, side_in
from handdata.exchange.point_names import PALM, match_names
from handdata.files.opening import matching
from handdata.files.text import LARGE, Wanted, read_text
from handdata.pictures.kinds import SUFFIXES
from handdata.shards.provenance import KEY, parse_texts
from handdata.shards.schema import SPLITS
from handdata.skeleton import NUM_KEYPOINTS

KIND, SIGN = "CVAT 1.1", "<annotations> of images or tracks"
_FILE = Wanted(what="CVAT's XML", fix="Export it from CVAT again.", largest=LARGE)
_OTHER_SHAPES = ("box", "polygon", "polyline", "mask", "ellipse", "cuboid")
Points = dict[str, ET.Element]  # the points of one hand by label


@dataclass(frozen=True)
class _Task:
    """Where the frames of one task begin in a file of several, and their step."""

    name: str
    first: int
    start: int
    step: int

    def own_frame(self, frame: int) -> int:
        """Return the number of a frame within the task."""
        return (frame - self.first - self.start) // self.step


def read(path: Path, content: Any) -> Annotations:  # noqa: ARG001 - read here
    """Read a file.

    Raises:
        DataError: no XML of CVAT, or points whose names are unknown.
    """
    text = read_text(path, _FILE)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(path, expected="CVAT's XML", got="a document type declaration", fix=_FILE.fix)
    try:
        root = ET.fromstring(text)  # noqa: S314 - no declarations, so no entities
    except ET.ParseError as error:
        raise DataError(path, expected="CVAT's XML", got=str(error), fix=_FILE.fix) from None
    if root.tag != "annotations":
        raise DataError(path, expected="<annotations>", got=f"<{root.tag}>", fix=_FILE.fix)
    try:
        return _read(root, path)
    except (ValueError, KeyError) as error:  # a number that is none
        raise DataError(path, expected="CVAT's XML", got=str(error), fix=_FILE.fix) from None


def _read(root: ET.Element, path: Path) -> Annotations:
    others: Counter[str] = Counter()
    rows = list(_of_images(root, path, others))
    folder: Path | None = None
    if root.find("track") is not None:
        tasks = _tasks(root)
        near = (path.parent, path.parent.parent)
        folder = next((f for f in near if any((f / task.name).is_dir() for task in tasks.values())), None)
        rows += _of_tracks(root, path, tasks, folder)
    return Annotations(
        rows=tuple(rows),
        kind=KIND,
        sign=SIGN,
        pictures=folder,
        others=others,
        provenance=parse_texts([root.findtext(f"meta/{KEY}")], path),
        is_exported=any(row.key for row in rows),
    )


# ------------------------------------------------------------------------------------------------ images


def _of_images(root: ET.Element, path: Path, others: Counter[str]) -> Iterator[LabelRow]:
    """Yield the hands of all pictures; shapes that are none, and no box of one, are counted in `others`."""
    for image in root.findall("image"):
        facts: dict[str, Any] = {"width": image.get("width", 0), "height": image.get("height", 0)}
        subset = image.get("subset", "").lower()
        if subset in SPLITS:
            facts["split"] = subset
        tags = " ".join(tag.get("label", "") for tag in image.findall("tag"))
        name = image.get("name", "")
        hands = list(_hands(image))
        boxes = _boxes(image, hands)
        taken = list(boxes.values())
        others.update(f"<{shape.tag}>" for shape in image if shape.tag in _OTHER_SHAPES and shape not in taken)
        for number, (shape, points) in enumerate(hands):
            attributes = _attributes(shape)
            side = _side([shape.get("label", ""), *attributes.values(), tags])
            own = {ID: attributes[ID]} if attributes.get(ID) else {}
            where = f"{path}[{name}][{number}]"
            said = {**facts, **own, "side": side, "box": boxes.get(shape.get("group_id", ""))}
            yield make_row(name, said, where, partial(_hand, points=points))


def _boxes(image: ET.Element, hands: Sequence[tuple[ET.Element, Points]]) -> dict[str, ET.Element]:
    """Return by group the box that is grouped with one hand: of a hand by its label, and upright."""
    alone = {group for group, count in Counter(shape.get("group_id", "") for shape, _ in hands).items() if count == 1}
    of_hands = [box for box in image.findall("box") if "hand" in box.get("label", "").lower()]
    times = Counter(box.get("group_id", "") for box in of_hands)
    found = {box.get("group_id", ""): box for box in of_hands if not float(box.get("rotation") or 0)}
    return {
        group: box for group, box in found.items() if group not in ("", "0") and group in alone and times[group] == 1
    }


def _hands(image: ET.Element) -> Iterator[tuple[ET.Element, Points]]:
    """Yield each hand of a picture: a skeleton, a shape of several points, or single points of one group."""
    for skeleton in image.findall("skeleton"):
        yield skeleton, {point.get("label", ""): point for point in skeleton.findall("points")}
    groups: dict[str, Points] = {}
    first: dict[str, ET.Element] = {}
    for shape in image.findall("points"):
        if ";" in shape.get("points", ""):
            yield shape, _split_shape(shape)
            continue
        group = shape.get("group_id", "")
        first.setdefault(group, shape)
        groups.setdefault(group, {})[shape.get("label", "")] = shape
    yield from ((first[group], points) for group, points in groups.items())


def _split_shape(shape: ET.Element) -> Points:
    """Return a shape of several points as points numbered from 0."""
    pairs = shape.get("points", "").split(";")
    same = {key: shape.get(key, "0") for key in ("outside", "occluded")}
    return {str(number): ET.Element("points", {**same, "points": pair}) for number, pair in enumerate(pairs)}


# ------------------------------------------------------------------------------------------------ video


def _tasks(root: ET.Element) -> dict[str, _Task]:
    """Return the tasks of a file by id; in an export of a project the frames run on from task to task."""
    found: dict[str, _Task] = {}
    passed: dict[str, int] = {}
    for task in root.findall("meta/task") + root.findall("meta/project/tasks/task"):
        subset = task.findtext("subset") or ""
        match = re.search(r"step=(\d+)", task.findtext("frame_filter") or "")
        start, step, size = (
            int(task.findtext("start_frame") or 0),
            int(match[1]) if match else 1,
            int(task.findtext("size") or 0),
        )
        first = passed.get(subset, 0)
        found[task.findtext("id") or ""] = _Task(task.findtext("name") or "", first, start, step)
        passed[subset] = first + start + step * size
    return found or {"": _Task("", 0, 0, 1)}


def _of_tracks(root: ET.Element, path: Path, tasks: Mapping[str, _Task], folder: Path | None) -> Iterator[LabelRow]:
    hands: dict[tuple[str, int, str], Points] = {}
    labels: dict[tuple[str, str], str] = {}
    for number, track in enumerate(root.findall("track")):
        task = track.get("task_id") or next(iter(tasks))
        skeletons = track.findall("skeleton")
        group = track.get("group_id", "") if not skeletons else f"track {number}"
        labels.setdefault((task, group), track.get("label", "") if skeletons else "")
        for shape in skeletons or track.findall("points"):
            hand = hands.setdefault((task, int(shape.get("frame", 0)), group), {})
            parts = shape.findall("points") if skeletons else [shape]
            hand.update({part.get("label") or track.get("label") or "": part for part in parts})
    for (key, frame, group), points in sorted(hands.items(), key=lambda pair: pair[0]):
        task_ = tasks.get(key) or next(iter(tasks.values()))
        own = task_.own_frame(frame)
        if all(point.get("outside") == "1" for point in points.values()):
            continue
        facts = {"frame": own, "sequence": task_.name, "side": _side([labels[key, group], task_.name])}
        image = _frame(folder, task_.name, own) or f"{task_.name or 'frames'}/{own:06d}.png"
        yield make_row(image, facts, f"{path}[{task_.name} frame {frame}]", partial(_hand, points=points))


def _frame(folder: Path | None, task: str, number: int) -> str:
    """Return the picture of a frame in the task's folder: the one that ends in that number."""
    return "" if folder is None else _numbered(folder, task).get(number, "")


def _numbered(folder: Path, task: str) -> dict[int, str]:
    key = (str(folder), task)
    if key not in _FRAMES:
        names = sorted(p.name for p in matching(folder / task, "*") if p.suffix.lower() in SUFFIXES)
        matches = ((re.search(r"(\d+)$", Path(name).stem), name) for name in names)
        _FRAMES[key] = {int(match[1]): f"{task}/{name}" for match, name in matches if match}
    return _FRAMES[key]


_FRAMES: dict[tuple[str, str], dict[int, str]] = {}


# ------------------------------------------------------------------------------------------------ both


def _attributes(shape: ET.Element) -> dict[str, str]:
    return {a.get("name", ""): a.text or "" for a in shape.findall("attribute")}


def _side(texts: Sequence[str]) -> int:
    return next((side for side in map(side_in, texts) if side != UNSAID), UNSAID)


def _slots(names: Sequence[str], where: str) -> dict[str, int | None]:
    """Return the slot of each name: ours under many spellings, or numbers from 0 or from 1."""
    if all(name.strip().isdigit() for name in names):
        numbers = [int(name) for name in names]
        first = 0 if 0 in numbers or max(numbers) < NUM_KEYPOINTS else 1
        return {
            name: number - first if number - first < NUM_KEYPOINTS else None
            for name, number in zip(names, numbers, strict=True)
        }
    return dict(zip(names, match_names(names, where), strict=True))


def _hand(facts: Mapping[str, Any], points: Points) -> HandLabels:
    try:
        slots = _slots(list(points), "points")
    except HanddataError as error:
        raise ValueError(f"points named {error.got}") from None
    uv, visible = nan(PALM + 1, 2), np.full(PALM + 1, -1, np.int8)
    for name, point in points.items():
        slot = slots[name]
        if slot is None or point.get("outside") == "1":
            continue
        uv[slot] = [float(cell) - 0.5 for cell in point.get("points", "").split(",")]
        visible[slot] = 0 if point.get("occluded") == "1" else 1
    if not np.isfinite(uv[visible >= 0]).all():
        raise ValueError("a position that is not finite")
    box = facts.get("box")
    width, height = (int(float(facts.get(key) or 0)) for key in ("width", "height"))
    return HandLabels(
        side=facts["side"],
        uv=uv,
        visible=visible[:NUM_KEYPOINTS],
        bbox_xyxy=nan(4)
        if box is None
        else np.array([float(box.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")]),
        box_source=box_source_of(None if box is None else _attributes(box).get(SOURCE)),
        size=(width, height) if width and height else None,
        slots=tuple(range(NUM_KEYPOINTS))
        if all(name.isdigit() for name in points) and len(points) == NUM_KEYPOINTS
        else (),
    )
