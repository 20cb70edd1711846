"""What the three fingertip sets of MPI share: tables of points as text, one row per frame. No dataset names.

A table is read as bare rows; a row is parsed where its sample is read, so that one damaged row costs one sample.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.read.numbers import check_near
from handdata.converters.read.packaging import no_label
from handdata.errors import DataError, Fix, MissingError
from handdata.files.text import Wanted, read_text

NUM_TIPS = 5
LARGEST = 1e9  # mm or px: the largest sentinel is 3.2e7, and squares of more are no numbers
FAR_PX = 10.0  # of the depth picture; annotators click whole pixels, so more is a wrong label or another camera's
_FIX = Fix("Unpack that file from the archive again", skips="the frame")
_TABLE = Wanted(what="a table of points as text", fix=_FIX, largest=100_000_000)
Points = NDArray[np.float64]


def read_lines(path: Path) -> tuple[str, ...]:
    """Read the lines of a label file, LF or CRLF; once while it stays as it is.

    Raises:
        MissingError: no such file.
        DataError: not text.
    """
    if not path.exists():
        fix = "Unpack the annotations beside the pictures."
        raise MissingError(path, expected="the labels of a sequence", got="no such file", fix=fix)
    return _read_lines(path, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=32)
def _read_lines(path: Path, _changed: int, _size: int) -> tuple[str, ...]:
    return tuple(read_text(path, _TABLE).splitlines())


def parse_point(text: str, dims: int, where: object) -> list[float]:
    """Parse "x, y, z" or "u, v".

    Raises:
        DataError: not `dims` numbers, or one that no label and no sentinel can be.
    """
    try:
        point = [float(number) for number in text.split(",")]
    except ValueError:
        point = []
    if len(point) != dims or not all(abs(number) <= LARGEST for number in point):
        got = repr(text.strip()[:60]) if text.strip() else "nothing"
        raise DataError(where, expected=f"{dims} numbers with commas between", got=got, fix=_FIX)
    return point


def parse_row(line: str, dims: int, most: int, where: object) -> Points:
    """Parse one frame: points with semicolons between, with or without one at the end.

    Args:
        line: e.g. "72.5, -75.1, 434; 18, -80.1, 373;".
        dims: numbers a point.
        most: points a row has at most.
        where: names the line in errors.

    Returns:
        (P, dims), P <= most; (0, dims) for an empty line or one of fewer than five points: nothing is annotated.

    Raises:
        DataError: a point that is not `dims` numbers, or more points than `most`.
    """
    cells = line.split(";")
    while cells and not cells[-1].strip():
        cells.pop()
    points = [parse_point(cell, dims, where) for cell in cells]
    if len(points) > most:
        raise DataError(where, expected=f"at most {most} points", got=str(len(points)), fix=_FIX)
    return np.array(points if len(points) >= NUM_TIPS else [], np.float64).reshape(-1, dims)


def missing_points(xyz: Points, missing_mm: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which points are not annotated: by the sentinel, and by being 0, 0, 0 (-0 too).

    Args:
        xyz: (P, 3) native mm.
        missing_mm: a coordinate at or above it is the sentinel.

    Returns:
        Two (P,) masks.
    """
    return np.asarray((xyz >= missing_mm).any(axis=1)), np.asarray((xyz == 0).all(axis=1))


def check_in_front(xyz: Points, where: object) -> None:
    """Refuse an annotated point that is not in front of the camera, or farther than any hand.

    Args:
        xyz: (P, 3) native mm, NaN where not annotated; z forward in every one of these sets.
        where: names the row in errors.

    Raises:
        DataError: z <= 0, or a coordinate beyond `check_near`.
    """
    check_near(xyz, where)
    z = xyz[:, 2]
    if np.any(z <= 0):
        raise DataError(where, expected="a point in front of the camera", got=f"z = {np.nanmin(z):g} mm", fix=_FIX)


def pair(
    sequence: str, pictures: Mapping[int, Path], num_labels: int | None, what: str
) -> tuple[dict[int, Path], list[str]]:
    """Pair pictures with label rows by index, up to the shorter.

    Args:
        sequence: its name, for the notes.
        pictures: by the index of their row, from 0.
        num_labels: rows of the label file; None, where it cannot be read, keeps every picture.
        what: a row, e.g. "label lines".

    Returns:
        Pictures that have a row, by row, in order; what is left over, a sentence each.
    """
    if num_labels is None:
        return dict(sorted(pictures.items())), []
    paired = {row: pictures[row] for row in sorted(pictures) if 0 <= row < num_labels}
    notes = []
    if len(paired) < len(pictures):
        over = len(pictures) - len(paired)
        notes.append(f"{sequence}: {over} of {len(pictures)} pictures left out: only {num_labels} {what}")
    last = max(paired, default=-1)
    gaps = [row for row in range(last) if row not in paired]
    if gaps:
        notes.append(f"{sequence}: {len(gaps)} pictures absent before {paired[last].name}, the first for row {gaps[0]}")
    if last + 1 < num_labels:
        notes.append(f"{sequence}: {num_labels - last - 1} of {num_labels} {what} have no picture")
    return paired, notes


def say_agreement(distances: Mapping[str, Sequence[float]]) -> str:
    """Say how far 2D labels lie from where the 3D labels project, both in the depth picture.

    Args:
        distances: px, by sequence; NaN where a tip lacks one of them.
    """
    known = {name: np.array(values)[np.isfinite(values)] for name, values in distances.items()}
    every = np.concatenate([*known.values(), np.empty(0)])
    if not len(every):
        return "not checked: no tip has both"
    far = {name: int((values > FAR_PX).sum()) for name, values in known.items()}
    where = ", ".join(f"{name} {count}" for name, count in far.items() if count)
    said = f"median {np.median(every):.1f} px apart, {sum(far.values())} of {len(every)} tips more than {FAR_PX:g} px"
    return f"{said}: {where}" if where else said


def require_both(sequence: str, num_pictures: int, pictures: Path, labels: Sequence[Path]) -> bool:
    """Tell whether a sequence is there: its pictures and its labels, or neither.

    Raises:
        MissingError: one without the other.
    """
    there = [path.exists() for path in labels]
    if not num_pictures and not any(there):
        return False
    if not num_pictures:
        fix = f"Unpack {sequence} whole."
        raise MissingError(pictures, expected="the pictures of labelled frames", got="none", fix=fix)
    if not all(there):
        absent = labels[there.index(False)]
        raise no_label(absent, "the labels of a sequence", num_pictures, f"Unpack {sequence} whole.")
    return True
