"""Boxes from a first box and keyframes, without a browser: the same tracking as the page's."""

import math
from collections.abc import Mapping
from pathlib import Path

from handdata.annotate.guided import AskHand
from handdata.annotate.marks import ABSENT, Mark, person
from handdata.annotate.pictures import Pictures, numbers_of
from handdata.annotate.tracker import TrackerSettings, can_follow
from handdata.annotate.tracking import SequenceTracks
from handdata.boxes import COLUMNS, PUBLISHED_COLUMNS, TABLE, Box, BoxRow, parse_boxes
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.files.text import read_text
from handdata.progress import meter, say

MOST_NAMED = 5  # pictures that cannot be read
BY_NUMBER = ("frame", *PUBLISHED_COLUMNS[1:])


def track_sequence(
    pictures: Pictures, marks: dict[int, Mark], settings: TrackerSettings | None = None, ask: AskHand | None = None
) -> list[BoxRow]:
    """Track a sequence from its keyframes and return one row per picture; one that cannot be read is named and lost."""
    board = SequenceTracks(pictures, settings or TrackerSettings(), ask)
    with meter("tracking", board.left_to_track(marks)) as gauge:
        while (job := board.next_job(marks, 0)) is not None:
            board.do(job)
            gauge.advance(job.num_frames)
    say_broken(board.broken)
    cells = zip(pictures.img_names, board.cells(marks, 0), strict=True)
    return [BoxRow(name, cell.box, cell.source, cell.accepted != "", cell.doubt) for name, cell in cells]


def say_broken(broken: Mapping[int, HanddataError]) -> None:
    """Name the pictures that could not be read, each in a line; the first ones if they are many."""
    for frame in sorted(broken)[:MOST_NAMED]:
        say(f"skipped: {broken[frame].without_skipping}")
    if len(broken) > MOST_NAMED:
        say(f"skipped: {len(broken) - MOST_NAMED} more pictures that cannot be read")


def keyframes(pictures: Pictures, init: Box | None, path: Path | None) -> dict[int, Mark]:
    """Return the keyframes that a script gives: a box on the first picture that can be read, and a table of more.

    Args:
        pictures: the sequence.
        init: x, y, w, h px on the first picture.
        path: a table with the columns of boxes.py, or `frame,x,y,w,h` with frames counted from 0; an empty box says
            that the hand is absent from there on.

    Raises:
        ConfigError: no keyframe at all, or one that is not on the picture.
        MissingError, DataError: the table is not there, or is not a table of boxes.
    """
    marks: dict[int, Mark] = {}
    if init is not None:
        marks[pictures.first] = person(_on_picture(pictures, init, "--init"))
    if path is not None:
        for frame, box in _read(pictures, path).items():
            where = f"{path}: {pictures.img_names[frame]}"
            marks[frame] = ABSENT if box is None else person(_on_picture(pictures, box, where))
    if not any(mark.box for mark in marks.values()):
        fix = "Give --init X,Y,W,H or --keyframes FILE."
        raise ConfigError("--headless", expected="at least one box", got="none", fix=fix)
    return marks


def refuse_to_lose(path: Path, pictures: Pictures, marks: Mapping[int, Mark]) -> None:
    """Refuse to replace a table that holds what these keyframes do not give again.

    A table that headless work wrote holds its keyframes alone, and what follows from them.

    Args:
        path: the table, there or not.
        pictures: the sequence.
        marks: the keyframes.

    Raises:
        ConfigError: it is another program's, or a person drew or accepted other boxes of it.
        DataError: it is no table of boxes.
    """
    if not path.exists():
        return
    text = read_text(path, TABLE)
    given = {pictures.img_names[frame]: (mark.box, mark.source) for frame, mark in marks.items()}
    others = [row.img_name for row in parse_boxes(text, str(path)) if row.reviewed or row.source == "dataset"
              if given.get(row.img_name) != (row.box, row.source)]  # fmt: skip
    foreign = text.partition("\n")[0] == ",".join(PUBLISHED_COLUMNS)
    if foreign or others:
        got = "another program's" if foreign else f"{len(others)}, the first on {others[0]}"
        fix = "Pass --overwrite to replace it, give another --out, or go on from it with --import."
        raise ConfigError(path, expected="no boxes of a person but these keyframes", got=got, fix=fix)


def parse_box(text: str, where: str) -> Box:
    """Return the box that an option gives as X,Y,W,H.

    Raises:
        ConfigError: it is not four finite numbers.
    """
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        x = y = w = h = math.nan
    if not all(math.isfinite(value) for value in (x, y, w, h)):
        raise ConfigError(where, expected="four numbers X,Y,W,H in pixels", got=text)
    return x, y, w, h


def _read(pictures: Pictures, path: Path) -> dict[int, Box | None]:
    if not path.is_file():
        raise MissingError(path, expected="a table of keyframes", got="no such file", fix="Check the path.")
    first, _, rest = read_text(path, TABLE).partition("\n")
    by_number = tuple(name.strip() for name in first.split(",")) == BY_NUMBER
    head = ",".join(PUBLISHED_COLUMNS) if by_number else first
    rows = parse_boxes(f"{head}\n{rest}", str(path))
    names = [row.img_name for row in rows]
    numbers = [_number(name) for name in names] if by_number else numbers_of(pictures, names)
    for line, (number, row) in enumerate(zip(numbers, rows, strict=True), start=2):
        if number is None or not 0 <= number < len(pictures):
            last = f"{len(pictures) - 1}" if by_number else pictures.img_names[-1]
            columns = ",".join(BY_NUMBER), ",".join(COLUMNS)
            fix = f"The columns are {columns[0]} or {columns[1]}."
            raise DataError(f"{path}:{line}", expected=f"a picture up to {last}", got=row.img_name, fix=fix)
    return {number: row.box for number, row in zip(numbers, rows, strict=True) if number is not None}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _on_picture(pictures: Pictures, box: Box, where: str) -> Box:
    if box[2] <= 0 or box[3] <= 0 or not can_follow(box, pictures.width, pictures.height):
        expected = f"a box on the picture of {pictures.width} x {pictures.height} px"
        got = ",".join(f"{value:g}" for value in box)
        raise ConfigError(where, expected=expected, got=got, fix="x,y is its top left corner, then width and height.")
    return box
