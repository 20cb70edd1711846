"""One hand box per frame of a sequence, as a table in a text file.

    img_name,x,y,w,h,source,reviewed,doubt
    Grasp2/color/Color_0001.bmp,275.0,126.0,248.0,248.0,person,1,0.0
    Grasp2/color/Color_0002.bmp,,,,,absent,1,0.0

One row per picture, in name order (numbers by their value); x, y, w, h in pixels of the picture, edges as in a slice,
empty where there is no box. The first five columns are those of the published `bbox_dexter+object.csv`, which holds
all sequences in one file and reads as it is.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.files.opening import matching
from handdata.files.text import Wanted, parse_csv, parse_number, read_text
from handdata.files.whole import write_text
from handdata.geometry import xywh_to_xyxy

PUBLISHED_COLUMNS = ("img_name", "x", "y", "w", "h")
COLUMNS = (*PUBLISHED_COLUMNS, "source", "reviewed", "doubt")
WITHOUT_BOX = ("absent", "lost")
# source in the file -> the schema's bbox_source
SOURCES = {"absent": 0, "lost": 0, "dataset": 2, "person": 3, "tracker": 4, "interpolated": 5}
TABLE = Wanted(what="a table of boxes", fix="Save it as CSV in UTF-8.")
PUBLISHED_SOURCE = "tracker"  # the published boxes are a tracker's with restarts by hand; the file does not say which

Box = tuple[float, float, float, float]  # x, y, w, h in px


@dataclass(frozen=True, slots=True)
class BoxRow:
    """One row: a picture and the hand's box on it.

    Attributes:
        img_name: `<sequence>/<folders>/<file>`, or the bare file name.
        box: (x, y, w, h) px, or None where the hand is absent or the tracker lost it.
        source: a key of SOURCES.
        reviewed: whether a person has looked at this box and accepted it.
        doubt: 0 sure .. 1 very doubtful.
    """

    img_name: str
    box: Box | None
    source: str
    reviewed: bool = False
    doubt: float = 0.0

    def __post_init__(self) -> None:
        if (self.box is None) != (self.source in WITHOUT_BOX):
            raise ValueError(f"{self.img_name}: source {self.source} does not go with box {self.box}")

    @property
    def bbox_xyxy(self) -> NDArray[np.float64]:
        """The edges (left, top, right, bottom), (4,) px; NaN without a box."""
        return np.full(4, np.nan) if self.box is None else xywh_to_xyxy(self.box)


@dataclass(frozen=True)
class BoxTable:
    """The boxes of one or more sequences, looked up by sequence and picture."""

    rows: dict[tuple[str, str], BoxRow]
    where: str

    @property
    def sequences(self) -> tuple[str, ...]:
        """The names of the sequences, in file order."""
        return tuple(dict.fromkeys(sequence for sequence, _ in self.rows))

    def find(self, sequence: str, file_name: str) -> BoxRow | None:
        """Return the row of one picture by its file name (`Color_0001.bmp`), None if the table has none."""
        return self.rows.get((sequence, file_name))

    def lookup(self, sequence: str, file_name: str) -> tuple[NDArray[np.float64], int]:
        """Return a picture's box for a converter.

        Returns:
            (4,) edges in px, NaN without a box; the schema's bbox_source, 0 without a box.
        """
        row = self.find(sequence, file_name)
        return (np.full(4, np.nan), SOURCES["absent"]) if row is None else (row.bbox_xyxy, SOURCES[row.source])


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that orders the numbers in a name by value: `a2` before `a10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def sequence_of(img_name: str) -> str:
    """Return the sequence in an img_name: its first folder, "" for a bare file name."""
    parts = PurePosixPath(img_name).parts
    return parts[0] if len(parts) > 1 else ""


def read_boxes(path: Path) -> list[BoxRow]:
    """Read a table of boxes, with the five published columns or with all eight.

    Raises:
        MissingError: no such file.
        DataError: not such a table; says the line.
    """
    if not path.is_file():
        raise MissingError(path, expected="a table of boxes", got="no such file", fix="Check the path.")
    return parse_boxes(read_text(path, TABLE), str(path))


def parse_boxes(text: str, where: str) -> list[BoxRow]:
    """Read a table of boxes from text; `where` names it in errors."""
    lines = parse_csv(text, where, TABLE)
    _, columns = next(lines, (1, []))
    if tuple(columns) not in (PUBLISHED_COLUMNS, COLUMNS):
        raise DataError(
            f"{where}:1",
            expected=f"the columns {','.join(COLUMNS)}, or the first five of them",
            got=",".join(columns)[:120] or "an empty file",
            fix="Give the file this first line.",
        )
    rows: dict[str, BoxRow] = {}
    for number, cells in lines:
        row = _parse_row(cells, len(columns), f"{where}:{number}")
        if row.img_name in rows:
            got, fix = f"a second row of {row.img_name}", "Delete one of them."
            raise DataError(f"{where}:{number}", expected="one row per picture", got=got, fix=fix)
        rows[row.img_name] = row
    return list(rows.values())


def _parse_row(cells: list[str], num_columns: int, where: str) -> BoxRow:
    if len(cells) != num_columns:
        raise DataError(where, expected=f"{num_columns} values", got=str(len(cells)), fix="Repair the line.")
    name = _valid_name(cells[0], where)
    box = None if not any(cells[1:5]) else _parse_box(cells[1:5], where)
    if num_columns == len(PUBLISHED_COLUMNS):
        return BoxRow(name, box, PUBLISHED_SOURCE if box else "absent")
    source, reviewed, doubt = cells[5:]
    if source not in SOURCES or (box is None) != (source in WITHOUT_BOX):
        kinds = WITHOUT_BOX if box is None else tuple(s for s in SOURCES if s not in WITHOUT_BOX)
        given = "a box" if box else "no box"
        raise DataError(f"{where}[source]", expected=f"{' or '.join(kinds)} with {given}", got=source or "nothing")
    if reviewed not in ("0", "1"):
        raise DataError(f"{where}[reviewed]", expected="0 or 1", got=reviewed or "nothing")
    share = parse_number(doubt, f"{where}[doubt]", TABLE)
    if not 0 <= share <= 1:
        raise DataError(f"{where}[doubt]", expected="a number from 0 to 1", got=doubt)
    return BoxRow(name, box, source, reviewed == "1", share)


def _valid_name(name: str, where: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name:
        fix = "Write it as in Grasp1/color/Color_0001.bmp."
        raise DataError(f"{where}[img_name]", expected="a picture inside its dataset", got=name or "nothing", fix=fix)
    return name


def _parse_box(cells: Sequence[str], where: str) -> Box:
    x, y, w, h = (parse_number(cell, f"{where}[{column}]", TABLE) for cell, column in zip(cells, "xywh", strict=True))
    if w <= 0 or h <= 0:
        raise DataError(where, expected="w and h above 0", got=f"{w} x {h}", fix="Leave all four empty for no box.")
    return x, y, w, h


def format_boxes(rows: Iterable[BoxRow], columns: Sequence[str] = COLUMNS) -> str:
    """Return the table as text; PUBLISHED_COLUMNS gives the published file's five columns, byte for byte."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_cells(row)[: len(columns)] for row in rows)
    return out.getvalue()


def _cells(row: BoxRow) -> list[str]:
    numbers = ["", "", "", ""] if row.box is None else [repr(float(value)) for value in row.box]
    return [row.img_name, *numbers, row.source, str(int(row.reviewed)), repr(float(row.doubt))]


def write_boxes(path: Path, rows: Iterable[BoxRow], columns: Sequence[str] = COLUMNS) -> None:
    """Write the table whole or not at all."""
    write_text(path, format_boxes(rows, columns))


def validate_boxes(rows: Sequence[BoxRow], img_names: Sequence[str], where: object) -> None:
    """Check that there is one row per picture, in the pictures' order.

    Raises:
        DataError: names the first row that differs.
    """
    fix = "Annotate again, or give the pictures the table was made on."
    for number, (row, name) in enumerate(zip(rows, img_names, strict=False), start=2):
        if row.img_name != name:
            raise DataError(f"{where}:{number}", expected=name, got=row.img_name, fix=fix)
    if len(rows) != len(img_names):
        raise DataError(where, expected=f"{len(img_names)} rows", got=str(len(rows)), fix=fix)


def has_tables(path: Path) -> bool:
    """Return whether there is a table at `path`, or in that folder: the annotator leaves other files there too."""
    return path.is_file() or next(matching(path, "*.csv"), None) is not None


def load_boxes(path: Path) -> BoxTable:
    """Read one table, or every `*.csv` of a folder, for looking boxes up.

    A bare file name belongs to the sequence that its table is called after (`Grasp2.csv`).

    Raises:
        MissingError: no file, or no table in the folder.
        DataError: a malformed table, or a picture in two tables.
    """
    if not path.exists():
        raise MissingError(
            path,
            expected="a table of boxes, or a folder of them",
            got="no such path",
            fix="Make one: handdata annotate-bbox <dataset>/<sequence>.",
        )
    files = sorted(matching(path, "*.csv"), key=lambda file: natural_key(file.name)) if path.is_dir() else [path]
    if not files:
        raise MissingError(path, expected="tables of boxes (*.csv)", got="none in the folder")
    found: dict[tuple[str, str], BoxRow] = {}
    for file in files:
        for key, row in _keyed(read_boxes(file), file.stem):
            if key in found:
                raise DataError(
                    file,
                    expected="each picture in one table",
                    got=f"{row.img_name} again ({found[key].img_name})",
                    fix="Keep one of the tables in the folder.",
                )
            found[key] = row
    return BoxTable(found, str(path))


def _keyed(rows: Iterable[BoxRow], stem: str) -> Iterator[tuple[tuple[str, str], BoxRow]]:
    for row in rows:
        yield (sequence_of(row.img_name) or stem, PurePosixPath(row.img_name).name), row
