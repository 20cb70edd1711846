"""Labelled fingertips in the pictures being boxed: a box that misses one is wrong, which is found without looking."""

import re
from pathlib import Path

import numpy as np

from handdata import manifest
from handdata.annotate.pictures import Pictures
from handdata.annotate.timeline import Tips
from handdata.converters import dexter
from handdata.converters.protocol import Item
from handdata.converters.read.fingertips import read_lines
from handdata.errors import DataError
from handdata.geometry import project
from handdata.progress import say


def dexter_tips(root: Path, sequence: str, pictures: Pictures) -> Tips:
    """Return the fingertips in each picture of a Dexter+Object sequence, px, those annotated only.

    A sequence without labels has none; a line that cannot be read is counted, named and left out.

    Args:
        root: the folder that holds `data/`.
        sequence: its name.
        pictures: its colour pictures; `Color_<NNNN>.bmp` belongs to line NNNN.
    """
    label = root / "data" / sequence / "annotations" / f"{sequence}3D.txt"
    if not label.is_file():
        return [[] for _ in pictures.paths]
    facts = manifest.load("dexter")
    camera = facts.cameras[dexter.CAMERA]
    num_lines, tips, damaged = len(read_lines(label)), [], []
    for path in pictures.paths:
        number = re.fullmatch(r"Color_(\d+)\.bmp", path.name)
        line = int(number[1]) - 1 if number else -1
        found: list[tuple[float, float]] = []
        if 0 <= line < num_lines:
            item = Item(f"{sequence}/{line + 1:04d}", "", sequence, dexter.CAMERA, line + 1, path.name, line)
            try:
                native, _ = dexter.read_points(root, facts, item)
            except DataError as error:
                damaged.append(str(error.where))
            else:
                uv = project(dexter.to_color(native, facts), camera.K)
                found = [(round(float(u), 2), round(float(v), 2)) for u, v in uv if np.isfinite(u)]
        tips.append(found)
    if damaged:
        say(f"{len(damaged)} label lines cannot be read, their fingertips are not shown: {', '.join(damaged[:3])}")
    return tips
