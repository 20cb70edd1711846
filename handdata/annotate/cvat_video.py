"""CVAT for video 1.1: one track called "hand". Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/ ."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

import numpy as np

from handdata.annotate.pictures import Pictures
from handdata.boxes import Box, BoxRow
from handdata.errors import DataError

LABEL = "hand"


def to_cvat(rows: Sequence[BoxRow], pictures: Pictures) -> str:
    """Return the rows as a track. Every frame is a keyframe, or CVAT would interpolate over the tracker's boxes."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    _meta(root, pictures, len(rows))
    track = ET.SubElement(root, "track", id="0", label=LABEL, source="semi-auto")
    last: Box | None = None
    for frame, row in enumerate(rows):
        last = row.box or last
        if last is not None:  # the track begins with its first box
            ET.SubElement(track, "box", _box_attributes(frame, last, outside=row.box is None))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _box_attributes(frame: int, box: Box, *, outside: bool) -> dict[str, str]:
    x, y, w, h = box
    edges = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
    cells = {name: repr(round(float(value), 2)) for name, value in edges.items()}
    flags = {"frame": str(frame), "keyframe": "1", "outside": str(int(outside)), "occluded": "0"}
    return {**flags, **cells, "z_order": "0"}


def _meta(root: ET.Element, pictures: Pictures, num_frames: int) -> None:
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    for name, value in (("name", pictures.img_names[0].split("/")[0]), ("size", str(num_frames))):
        ET.SubElement(task, name).text = value
    ET.SubElement(task, "mode").text = "interpolation"
    ET.SubElement(ET.SubElement(ET.SubElement(task, "labels"), "label"), "name").text = LABEL
    size = ET.SubElement(task, "original_size")
    ET.SubElement(size, "width").text = str(pictures.width)
    ET.SubElement(size, "height").text = str(pictures.height)


def from_cvat(text: str, where: str, pictures: Pictures) -> list[BoxRow]:
    """Read the one track of a CVAT file.

    Frames between two of the file's are interpolated, as CVAT does. Its keyframes are a person's boxes, unless every
    frame is one: then a tracker wrote the file.

    Raises:
        DataError: no XML, not one track, or a frame the sequence has not.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(
            where, expected="CVAT's XML", got="a document type declaration", fix="Export it from CVAT again."
        )
    try:
        root = ET.fromstring(text)  # noqa: S314 - no declarations, so no entities
    except ET.ParseError as error:
        raise DataError(where, expected="CVAT for video 1.1, XML", got=str(error)) from error
    tracks = root.findall("track")
    if root.tag != "annotations" or len(tracks) != 1:
        got = f"<{root.tag}> with {len(tracks)} tracks"
        raise DataError(
            where, expected="<annotations> with one track", got=got, fix="Export a task with one hand track."
        )
    shown, keys = _boxes(tracks[0], where, len(pictures))
    made_by_tracker = len(keys) == len(shown) == len(pictures)
    return [_row(frame, name, shown, keys, made_by_tracker) for frame, name in enumerate(pictures.img_names)]


def _boxes(track: ET.Element, where: str, num_frames: int) -> tuple[dict[int, Box | None], set[int]]:
    shown: dict[int, Box | None] = {}
    keys = set()
    for box in track.findall("box"):
        try:
            frame = int(box.attrib["frame"])
            left, top, right, bottom = (float(box.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        except (KeyError, ValueError) as error:
            raise DataError(where, expected="box with frame, xtl, ytl, xbr, ybr", got=str(error)) from error
        if not 0 <= frame < num_frames or not (np.isfinite([left, top, right, bottom]).all()):
            raise DataError(f"{where}[frame {frame}]", expected=f"a box on frames 0 to {num_frames - 1}", got="another")
        outside = box.attrib.get("outside") == "1"
        if not outside and (right <= left or bottom <= top):
            raise DataError(f"{where}[frame {frame}]", expected="xbr > xtl and ybr > ytl", got="an empty box")
        shown[frame] = None if outside else (left, top, round(right - left, 2), round(bottom - top, 2))
        if box.attrib.get("keyframe", "1") == "1":
            keys.add(frame)
    return shown, keys


def _row(frame: int, name: str, shown: Mapping[int, Box | None], keys: set[int], made_by_tracker: bool) -> BoxRow:  # noqa: FBT001
    if frame in shown:
        box = shown[frame]
        if box is None:
            return BoxRow(name, None, "absent", reviewed=frame in keys and not made_by_tracker)
        if frame in keys:
            return BoxRow(name, box, "tracker") if made_by_tracker else BoxRow(name, box, "person", reviewed=True)
        return BoxRow(name, box, "interpolated")
    before, after = _neighbours(frame, shown)
    left = None if before is None else shown[before]
    if before is None or left is None:
        return BoxRow(name, None, "absent")
    right = None if after is None else shown[after]
    if after is None or right is None:
        return BoxRow(name, left, "interpolated")
    share = (frame - before) / (after - before)
    x, y, w, h = (round(a + (b - a) * share, 2) for a, b in zip(left, right, strict=True))
    return BoxRow(name, (x, y, w, h), "interpolated")


def _neighbours(frame: int, shown: Mapping[int, Box | None]) -> tuple[int | None, int | None]:
    before = max((other for other in shown if other < frame), default=None)
    return before, min((other for other in shown if other > frame), default=None)
