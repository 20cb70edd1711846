"""CVAT for images 1.1, written: images/<split>/ and <split>.xml, one skeleton per hand. Read: cvat_read.py.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/ .
"""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.pictures import ExportedPicture, ExportView, picture_files, write_pictures
from handdata.files.whole import whole
from handdata.shards.provenance import KEY, as_text
from handdata.shards.schema import BoxSource
from handdata.skeleton import BONES, FINGER_COLORS, FINGER_OF, HAND_SIDES, KEYPOINTS

LABELS = {**{side: f"{side}_hand" for side in HAND_SIDES}, "unknown": "hand"}  # label by side
ID = "sample_id"  # attribute of a skeleton
BOX, SOURCE = "hand_box", "bbox_source"  # label of the box in a hand's group, and its attribute
# where CVAT's form shows the points of a hand, in per cent of its field: fingers side by side
_FORM = ((50, 92), *((10 + 20 * finger, 62 - 16 * joint) for finger in range(5) for joint in range(4)))


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
