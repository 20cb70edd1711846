"""A table of labels, one hand per row, as text: its columns, and what each row says. Commas, semicolons or tabs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handdata.errors import DataError
from handdata.exchange.labels import LabelRow, broken_row
from handdata.files.text import LARGE, Wanted, parse_csv, read_text, separator_of

IMAGES = ("image", "file_name", "filename", "file", "image_path", "frame", "path")  # columns that name the picture
_FILE = Wanted(what="annotations", fix="See docs/custom.md.", largest=LARGE)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """A table.

    Attributes:
        columns: in order, each once.
        image: the column that names the picture.
        rows: where each is, for errors, and its cells by column, empty ones left out; or what is wrong with it.
        how: what separates the columns if it is no comma, in words.
    """

    columns: tuple[str, ...]
    image: str
    rows: tuple[tuple[str, Mapping[str, str] | LabelRow], ...]
    how: str = ""


def columns_in(path: Path) -> list[str]:
    """Return the columns of a table, [] for an empty file."""
    text = read_text(path, _FILE)
    _, columns = next(parse_csv(text, path, _FILE, separator=separator_of(text)), (1, []))
    return columns


def read_label_table(path: Path) -> LabelTable:
    """Read a table. With semicolons or tabs between columns, a comma in a number is a decimal one.

    Raises:
        DataError: a column is there twice, or none names the picture.
    """
    text = read_text(path, _FILE)
    separator = separator_of(text)
    lines = parse_csv(text, path, _FILE, separator=separator)
    _, columns = next(lines, (1, []))
    image = next((name for name in IMAGES if name in columns), "")
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice or not image:
        expected = f"columns, each once, one of them {', '.join(IMAGES[:-1])} or {IMAGES[-1]}"
        got = f"{', '.join(twice)} twice" if twice else ", ".join(columns)[:120] or "an empty file"
        raise DataError(f"{path}:1", expected=expected, got=got, fix=_FILE.fix)
    rows: list[tuple[str, Mapping[str, str] | LabelRow]] = []
    for number, cells in lines:
        where = f"{path}:{number}"
        if len(cells) != len(columns):
            rows.append((where, broken_row(where, f"{len(columns)} cells", str(len(cells)))))
            continue
        given = cells if separator == "," else map(_with_point, cells)
        rows.append((where, {name: cell for name, cell in zip(columns, given, strict=True) if cell}))
    names = {";": "semicolons", "\t": "tabs"}
    how = f"columns separated by {names[separator]}" if separator in names else ""
    return LabelTable(columns=tuple(columns), image=image, rows=tuple(rows), how=how)


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell
