"""Text files, read once and checked before anything believes them: plain text, JSON, JSON lines, TOML and CSV.

What comes out is whole and harmless: UTF-8 without a byte-order mark, one kind of line end, no control character (which
a terminal would obey where a name is printed), nothing nested deeper than DEEPEST, every key once, every number finite
and below 2^63. Whatever else a file holds is one error that names the file
and, where one can be told, the line.
"""

import csv
import io
import json
import math
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from handdata.errors import DataError, Fix, HanddataError, MissingError
from handdata.files.opening import open_plain

SMALL, LARGE = 16_000_000, 2_000_000_000  # bytes: settings and tables of one sequence; labels of a dataset
DEEPEST = 64  # levels of lists and tables in each other
_PIECE = 1 << 20  # bytes
LARGEST_WHOLE = 2**63  # whole numbers lie below it, as NumPy holds them
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a character outside the first 65,536
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r"}) + b"\x7f"
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f]")
_SPELLED = re.compile(r"\\b|\\u00(?:0[0-8EeFf]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])")  # a control character in JSON
_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a text is to be, as its errors say it.

    Attributes:
        what: a noun, "a table of boxes".
        fix: what to do about a fault, a sentence.
        largest: bytes.
        error: what is raised.
    """

    what: str
    fix: str | Fix = ""
    largest: int = SMALL
    error: type[HanddataError] = DataError

    def fault(self, where: object, expected: str, got: str) -> HanddataError:
        """Return the error of one fault."""
        return self.error(where, expected=expected, got=got, fix=self.fix)


# ------------------------------------------------------------------------------------------------ text


def read_bytes(path: Path, wanted: Wanted) -> bytes:
    """Read a file, but no more of it than it may hold.

    Raises:
        MissingError: no such file.
        HanddataError: it cannot be read, or is larger; of the kind that is wanted.
    """
    try:
        with io.BufferedReader(open_plain(path)) as file:
            data = _read(file, wanted.largest + 1)
    except FileNotFoundError:
        raise MissingError(path, expected=wanted.what, got="no such file", fix=wanted.fix) from None
    except OSError as error:
        raise wanted.fault(path, wanted.what, error.strerror or str(error)) from None
    except ValueError:  # a NUL in the name
        raise MissingError(path, expected=wanted.what, got="no name of a file", fix=wanted.fix) from None
    if len(data) > wanted.largest:
        raise wanted.fault(path, f"{wanted.what} of at most {wanted.largest / 1e6:g} MB", "a larger file")
    return data


def _read(file: IO[bytes], most: int) -> bytes:
    """Read so many bytes at most; room is taken for those that are there, where Python takes it for all."""
    room = min(most, os.fstat(file.fileno()).st_size + 1)
    data = file.read(room)
    while len(data) == room < most:  # it grows, or tells no size, as a pipe
        room = min(most, room + _PIECE)
        data += file.read(room - len(data))
    return data


def read_text(path: Path, wanted: Wanted) -> str:
    """Read a text file; errors as of `read_bytes` and `decode`."""
    return decode(read_bytes(path, wanted), path, wanted)


def decode(data: bytes, where: object, wanted: Wanted) -> str:
    """Return the text of UTF-8 bytes, with or without a byte-order mark, its lines ended by a line feed alone.

    Raises:
        HanddataError: another encoding, or no text.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            raise wanted.fault(where, "text in UTF-8", f"text in {name}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"a byte 0x{data[error.start]:02x} of another encoding"
        raise wanted.fault(f"{where}:{line}", "text in UTF-8", got) from None
    if len(data.translate(None, _CONTROLS)) < len(data) or b"\xc2" in data:
        _refuse_controls(text, where, wanted, lines=True)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _refuse_controls(text: str, where: object, wanted: Wanted, *, lines: bool = False) -> None:
    found = _CONTROL.search(text)
    if found:
        place = f"{where}:{text.count(chr(10), 0, found.start()) + 1}" if lines else where
        got = "a NUL character" if found[0] == "\0" else f"the control character 0x{ord(found[0]):02x}"
        raise wanted.fault(place, "text in UTF-8", got)


def check_characters(text: str, value: Any, where: object, wanted: Wanted) -> None:
    """Refuse control characters and halves of characters that the JSON text of a value spells.

    Raises:
        HanddataError: so it does.
    """
    if _SPELLED.search(text):
        for part in _texts(value):
            _refuse_controls(part, where, wanted)
    if _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise wanted.fault(where, "JSON of characters", "half of one") from None


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, keys too."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, list):
            waiting += part


# ------------------------------------------------------------------------------------------------ JSON


def read_json(path: Path, wanted: Wanted, *, finite: bool = True) -> Any:
    """Read a JSON file; errors as of `read_text` and `parse_json`."""
    return parse_json(read_text(path, wanted), path, wanted, finite=finite)


def read_object(path: Path, wanted: Wanted, *, finite: bool = True) -> dict[str, Any]:
    """Read a JSON file that holds an object; errors as of `read_json`, and for anything else."""
    return as_object(read_json(path, wanted, finite=finite), path, wanted)


def read_json_lines(path: Path, wanted: Wanted) -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; errors as of `read_json`."""
    return [
        as_object(parse_json(line, f"{path}:{number}", wanted), f"{path}:{number}", wanted)
        for number, line in enumerate(read_text(path, wanted).split("\n"), start=1)
        if line.strip()
    ]


def as_object(value: Any, where: object, wanted: Wanted) -> dict[str, Any]:
    """Return a JSON value if it is an object.

    Raises:
        HanddataError: it is something else.
    """
    if not isinstance(value, dict):
        raise wanted.fault(where, f"{wanted.what}, a JSON object", f"a {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """Return what JSON calls a value: object, list, text, number, true or false, null."""
    names = {dict: "object", list: "list", str: "text", int: "number", float: "number", type(None): "null"}
    return "true or false" if isinstance(value, bool) else names.get(type(value), type(value).__name__)


def parse_json(text: str, where: object, wanted: Wanted, *, finite: bool = True) -> Any:
    """Return the value of a JSON text.

    Args:
        text: as `decode` gives it.
        where: names it in errors.
        wanted: what it is to be.
        finite: refuse NaN and infinity, which are no JSON, but which Python writes; if not, the caller does.

    Raises:
        HanddataError: it is no JSON, or more than it may be: see the top of this file.
    """
    try:
        value = json.loads(text, parse_constant=_no_number if finite else float, object_pairs_hook=_once)
        _check_plain(value, finite=finite)
        check_characters(text, value, where, wanted)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise wanted.fault(where, "JSON", "an empty file") from None
        got = "an end too early" if ends_early(error) else error.msg
        raise wanted.fault(_line(where, error.lineno), "JSON", f"{got} at column {error.colno}") from None
    except RecursionError:
        raise wanted.fault(where, f"JSON nested at most {DEEPEST} deep", "a deeper one") from None
    except _NotPlainError as error:
        raise wanted.fault(where, error.expected, error.got) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise wanted.fault(where, "a whole number below 2^63", "a larger one") from None
    return value


def ends_early(error: json.JSONDecodeError) -> bool:
    """Tell whether a JSON text is right as far as it goes, but ends before its last value does: a file cut off."""
    rest = error.doc[error.pos :].strip()
    is_cut = any(word.startswith(rest) for word in ("true", "false", "null"))
    return bool(error.doc.strip()) and (is_cut or error.msg.startswith("Unterminated string"))


class _NotPlainError(ValueError):
    """A value that is no plain one."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(got)
        self.expected, self.got = expected, got


def _line(where: object, number: int) -> str:
    """Name a line of a file; a line that was parsed by itself has its number already."""
    return str(where) if number == 1 and re.search(r":\d+$", str(where)) else f"{where}:{number}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _NotPlainError("each key once", f"{twice} twice")
    return table


def _no_number(name: str) -> NoReturn:
    raise _NotPlainError("a finite number", name)


def _number(text: str) -> float:
    return _no_number(text) if math.isnan(number := float(text)) else number


def _check_plain(value: Any, *, finite: bool) -> None:
    """Refuse infinite and large numbers, and lists and tables nested too deep; without recursion of our own.

    Raises:
        RecursionError: too deep.
        _NotPlainError: such a number.
    """
    level: list[Any] = [[value]]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for whole in level:
            parts = whole.values() if isinstance(whole, dict) else whole
            kinds = set(map(type, parts))
            if finite and float in kinds and (math.inf in parts or -math.inf in parts):
                raise _NotPlainError("a finite number", "inf")
            if int in kinds:
                _check_whole(parts)
            if dict in kinds or list in kinds:
                inner += [part for part in parts if type(part) in (dict, list)]
        if not inner:
            return
        level = inner
    raise RecursionError


def _check_whole(parts: Iterable[Any]) -> None:
    for part in parts:
        if type(part) is int and not -LARGEST_WHOLE <= part < LARGEST_WHOLE:
            got = f"{part:.2e}" if abs(part) < 10**300 else "a larger one"
            raise _NotPlainError("a whole number below 2^63", got)


# ------------------------------------------------------------------------------------------------ TOML


def read_toml(path: Path, wanted: Wanted) -> dict[str, Any]:
    """Read a TOML file; errors as of `read_text` and `parse_toml`."""
    return parse_toml(read_text(path, wanted), path, wanted)


def parse_toml(text: str, where: object, wanted: Wanted, *, finite: bool = True) -> dict[str, Any]:
    """Return the table of a TOML text; `finite` as in `parse_json`.

    Raises:
        HanddataError: it is no TOML, or more than it may be: see the top of this file.
    """
    try:
        table = tomllib.loads(text, parse_float=_number if finite else float)
        _check_plain(table, finite=finite)
    except RecursionError:
        raise wanted.fault(where, f"TOML nested at most {DEEPEST} deep", "a deeper one") from None
    except _NotPlainError as error:
        raise wanted.fault(where, error.expected, error.got) from None
    except ValueError as error:  # no TOML; a whole number of 5,000 digits; an impossible date
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        last = text.rstrip().count("\n") + 1
        line = f":{place[1] or last}" if place else ""
        raise wanted.fault(f"{where}{line}", "TOML", str(error)) from None
    return table


# ------------------------------------------------------------------------------------------------ CSV


def read_csv(path: Path, wanted: Wanted) -> Iterator[tuple[int, list[str]]]:
    """Read a CSV file; errors as of `read_text` and `parse_csv`."""
    return parse_csv(read_text(path, wanted), path, wanted)


def separator_of(text: str) -> str:
    """Return what separates the columns of a table: a comma, or a semicolon or tab that cuts its first line finer."""
    head = text.lstrip("\n").partition("\n")[0]

    def cells(mark: str) -> int:
        try:
            return len(next(csv.reader([head], delimiter=mark), []))
        except csv.Error:  # a cell without end; who parses the text tells of it
            return 0

    return max(",;\t", key=cells)


def parse_csv(text: str, where: object, wanted: Wanted, *, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line of a CSV text; empty lines are left out, spaces around cells too.

    Raises:
        HanddataError: a line that is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise wanted.fault(f"{where}:{reader.line_num}", "comma-separated text", str(error)) from None


def parse_number(cell: str, where: object, wanted: Wanted) -> float:
    """Return the finite number of a cell.

    Raises:
        HanddataError: it is not a finite number.
    """
    try:
        value = float(cell)
    except ValueError:
        raise wanted.error(where, expected="a number", got=cell or "nothing") from None
    if not math.isfinite(value):
        raise wanted.error(where, expected="a finite number", got=cell)
    return value
