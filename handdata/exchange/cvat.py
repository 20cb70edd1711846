"""CVAT 1.1, written and read.

Written "for images": images/<split>/ and <split>.xml, one skeleton per hand. Read for images and for video: skeletons,
21 single points, or one shape of 21 points, per hand. `outside` is a point that is not there; `occluded` one that is
hidden. Positions count from the picture's edge. The names of the annotator and of the server stand in <meta>, which is
read for frame numbers alone, and for the origin that an export of handdata noted there.
Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/ .
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from handdata.errors import DataError, HanddataError
from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.labels import UNSAID, Annotations, HandLabels, LabelRow, box_source_of, make_row, nan, side_in
from handdata.exchange.pictures import ExportedPicture, ExportView, picture_files, write_pictures
from handdata.exchange.point_names import PALM, match_names
from handdata.files.opening import matching
from handdata.files.text import LARGE, Wanted, read_text
from handdata.files.whole import whole
from handdata.pictures.kinds import SUFFIXES
from handdata.shards.provenance import KEY, as_text, parse_texts
from handdata.shards.schema import SPLITS, BoxSource
from handdata.skeleton import BONES, FINGER_COLORS, FINGER_OF, HAND_SIDES, KEYPOINTS, NUM_KEYPOINTS

LABELS = {**{side: f"{side}_hand" for side in HAND_SIDES}, "unknown": "hand"}  # label by side
ID = "sample_id"  # attribute of a skeleton
BOX, SOURCE = "hand_box", "bbox_source"  # label of the box in a hand's group, and its attribute
# where CVAT's form shows the points of a hand, in per cent of its field: fingers side by side
_FORM = ((50, 92), *((10 + 20 * finger, 62 - 16 * joint) for finger in range(5) for joint in range(4)))
KIND, SIGN = "CVAT 1.1", "<annotations> of images or tracks"
_FILE = Wanted(what="CVAT's XML", fix="Export it from CVAT again.", largest=LARGE)
_OTHER_SHAPES = ("box", "polygon", "polyline", "mask", "ellipse", "cuboid")
Points = dict[str, ET.Element]  # the points of one hand by label


def write(view: ExportView, out: Path) -> None:
    """Write one split."""
    with whole(out / f"{view.split}.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        parts = made_with_pictures(_part, view, out)
        images = [f'  <image id="{number}"{rest}' for number, rest in enumerate(parts)]
        origin = as_text(view.provenance)
        file.write(meta_element(view.title, len(images), view.split, origin).encode())
        file.write("".join(images).encode())
        file.write(b"</annotations>\n")


def _part(view: ExportView, out: Path) -> list[str]:
    """Write the pictures of a part, and return their elements behind the number that each begins with."""
    return [image_element(picture, view.split) for picture in write_pictures(view, out)]


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    return [f"{view.split}.xml", *picture_files(view)]


def meta_element(name: str, size: int, subset: str, origin: str = "") -> str:
    """Return what CVAT is told of the task: its labels, each a skeleton of the 21 points. Nobody's name is in it.

    Args:
        name: of the task.
        size: number of its pictures.
        subset: of the task.
        origin: `as_text` of what the pictures are from; CVAT passes over it, and does not write it again.
    """
    lines = [f"  <meta>\n    <task>\n      <name>{escape(name)}</name>\n      <size>{size}</size>"]
    lines += ["      <mode>annotation</mode>", f"      <subset>{subset}</subset>", "      <labels>"]
    edges = "".join(
        f'<line x1="{_FORM[a][0]}" y1="{_FORM[a][1]}" x2="{_FORM[b][0]}" y2="{_FORM[b][1]}" data-type="edge"'
        f' data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in BONES
    )
    for label in LABELS.values():
        nodes = "".join(
            f'<circle r="1.5" cx="{x}" cy="{y}" data-type="element node" data-element-id="{k + 1}"'
            f' data-node-id="{k + 1}" data-label-name="{KEYPOINTS[k]}"></circle>'
            for k, (x, y) in enumerate(_FORM)
        )
        lines.append(f"        <label><name>{label}</name><color>#33ddff</color><type>skeleton</type>")
        lines.append(
            f"          <attributes>{_attribute(ID)}</attributes>\n          <svg>{escape(edges + nodes)}</svg></label>"
        )
        for k, keypoint in enumerate(KEYPOINTS):
            lines.append(f"        <label><name>{keypoint}</name><color>{_color(k)}</color><type>points</type>")
            lines.append(f"          <attributes></attributes><parent>{label}</parent></label>")
    lines.append(f"        <label><name>{BOX}</name><color>#ffcc33</color><type>rectangle</type>")
    lines.append(f"          <attributes>{_attribute(SOURCE)}</attributes></label>")
    lines += ["      </labels>", "    </task>"]
    lines += [f"    <{KEY}>{escape(origin)}</{KEY}>"] if origin else []
    lines += ["  </meta>", ""]
    return "\n".join(lines)


def _attribute(name: str) -> str:
    return (
        f"<attribute><name>{name}</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
    )


def _color(keypoint: int) -> str:
    finger = FINGER_OF[keypoint]
    return "#{:02x}{:02x}{:02x}".format(*((245, 245, 245) if finger < 0 else FINGER_COLORS[finger]))


def image_element(picture: ExportedPicture, split: str) -> str:
    """Return a picture as CVAT's <image> behind its number; CVAT counts from the edge: pixel u lies at u + 0.5."""
    size = f'width="{picture.size[0]}" height="{picture.size[1]}" subset={quoteattr(split)}'
    lines = [f" name={quoteattr(f'{split}/{picture.name}')} {size}>"]
    for number, labels in enumerate(picture.labels, start=1):
        lines += skeleton_lines(labels, number)
    return "\n".join([*lines, "  </image>", ""])


def skeleton_lines(labels: dict[str, Any], group: int = 0) -> list[str]:
    """Return a hand as the lines of a <skeleton>; a box that does not follow from its points as a <box> of its group.

    Args:
        labels: of `plain_labels`; without a box where that is not known.
        group: of the hand and its box, not 0 for both to have one.
    """
    uv = labels["keypoints_2d"] or [None] * len(KEYPOINTS)
    box = labels.get("bbox_xyxy") if group and labels.get(SOURCE) != BoxSource.KEYPOINTS.name.lower() else None
    same = 'source="file" z_order="0"' + (f' group_id="{group}"' if box else "")
    lines = []
    if box:
        sides = " ".join(f'{name}="{edge:.4f}"' for name, edge in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
        lines.append(f'    <box label="{BOX}" occluded="0" {sides} {same}>')
        lines += [f'      <attribute name="{SOURCE}">{labels[SOURCE]}</attribute>', "    </box>"]
    lines.append(f'    <skeleton label="{LABELS[labels["hand_side"]]}" {same}>')
    for keypoint, point, visible in zip(KEYPOINTS, uv, labels["visible"], strict=True):
        place = "0.00,0.00" if point is None else ",".join(f"{c + 0.5:.4f}" for c in point)
        flags = f'outside="{int(point is None)}" occluded="{int(visible == 0)}"'
        lines.append(f'      <points label="{keypoint}" {flags} source="file" points="{place}"></points>')
    return [*lines, f'      <attribute name="{ID}">{escape(labels[ID])}</attribute>', "    </skeleton>"]


# ------------------------------------------------------------------------------------------------ read


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
