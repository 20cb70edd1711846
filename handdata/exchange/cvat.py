"""CVAT for images 1.1: images/<split>/ and <split>.xml, one skeleton per picture.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/ .
"""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from handdata.exchange.pictures import file_key, plain_labels, write_pictures
from handdata.files.whole import whole
from handdata.shards.dataset import Dataset
from handdata.skeleton import KEYPOINTS


def write(data: Dataset, split: str, out: Path, picture: str) -> None:
    """Write one split."""
    write_pictures(data, split, out, picture)
    with whole(out / f"{split}.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        for number, hand in enumerate(data):
            name = f"{split}/{file_key(hand.id)}.{picture}"
            file.write(image_element(plain_labels(hand), number, name, data.canvas).encode())
        file.write(b"</annotations>\n")


def image_element(labels: dict[str, Any], number: int, name: str, side: int) -> str:
    """Return a sample as CVAT's <image>; CVAT counts positions from the picture's edge: a pixel u lies at u + 0.5."""
    uv = labels["keypoints_2d"] or [None] * len(KEYPOINTS)
    lines = [f'  <image id="{number}" name={quoteattr(name)} width="{side}" height="{side}">']
    lines.append(f'    <skeleton label="{labels["hand_side"]}_hand" source="file" z_order="0">')
    for keypoint, point, visible in zip(KEYPOINTS, uv, labels["visible"], strict=True):
        place = "0.00,0.00" if point is None else ",".join(f"{c + 0.5:.2f}" for c in point)
        flags = f'outside="{int(point is None)}" occluded="{int(visible == 0)}"'
        lines.append(f'      <points label="{keypoint}" {flags} source="file" points="{place}"></points>')
    lines += ["    </skeleton>", "  </image>", ""]
    return "\n".join(lines)
