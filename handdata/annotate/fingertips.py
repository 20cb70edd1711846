"""Labelled fingertips in the pictures being boxed: a box that leaves one out is wrong, and that costs nobody a look."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.geometry import project, transform

NUM_TIPS = 5
MISSING_MM = 32001.0  # formats/dexter_object.md: z of a fingertip that is not annotated
# formats/dexter_object.md: Creative Senz3D colour camera, px, and depth camera -> colour camera, mm
K_COLOR = np.array([[587.45209, 0.0, 325.0], [0.0, 600.67456, 249.0], [0.0, 0.0, 1.0]])
T_COLOR_DEPTH = np.array(
    [
        [0.9999, 0.0034, 0.0161, 19.0473],
        [-0.0033, 1.0000, -0.0079, -1.8514],
        [-0.0162, 0.0079, 0.9998, -4.7501],
        [0.0, 0.0, 0.0, 1.0],
    ]
)

Tips = list[list[tuple[float, float]]]


def dexter_tips(root: Path, sequence: str, num_pictures: int) -> Tips:
    """Return the fingertips of each picture of a Dexter+Object sequence, px, those annotated only.

    Line k of `<Seq>3D.txt` belongs to picture k; a sequence without the file, or pictures past its end, have none.

    Args:
        root: the folder that holds `data/`.
        sequence: its name.
        num_pictures: how many pictures there are.

    Raises:
        DataError: a line that is not `x, y, z; ...` with five fingertips first.
    """
    path = root / "data" / sequence / "annotations" / f"{sequence}3D.txt"
    if not path.is_file():
        return [[] for _ in range(num_pictures)]
    lines = path.read_text(encoding="utf-8").splitlines()[:num_pictures]
    tips = [_project(_parse(line, f"{path}:{number}")) for number, line in enumerate(lines, start=1)]
    return tips + [[] for _ in range(num_pictures - len(tips))]


def _parse(line: str, where: str) -> NDArray[np.float64]:
    entries = [entry for entry in line.split(";") if entry.strip()][:NUM_TIPS]
    try:
        xyz = np.array([[float(cell) for cell in entry.split(",")] for entry in entries], np.float64)
    except ValueError as error:
        raise DataError(where, expected="x, y, z; five times and more", got=line[:60]) from error
    if entries and xyz.shape != (NUM_TIPS, 3):
        raise DataError(where, expected="five fingertips of x, y, z", got=line[:60])
    return xyz.reshape(-1, 3)


def _project(xyz: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Project depth-camera mm, x left and y up, into the colour picture."""
    present = xyz[(xyz[:, 2] < MISSING_MM) & (xyz[:, 2] > 0)] * np.array([-1.0, -1.0, 1.0])
    uv = project(transform(T_COLOR_DEPTH, present), K_COLOR)
    return [(round(float(u), 2), round(float(v), 2)) for u, v in uv]
