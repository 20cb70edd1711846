"""Read some keys of a YAML file: maps, lists, numbers and text, as calibrations and lists of pictures have them.

A YAML loader may make any Python object that a tag names; here a tag is passed over if it is that of a tuple, and
refused otherwise. What stands under other keys is not looked at.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handdata.errors import DataError
from handdata.files.text import DEEPEST, Wanted, read_text

_KEY = re.compile(r"""('[^']*'|"[^"]*"|[^\s'"#:-][^:]*|-?\d[^:]*):(?:\s+(.*))?""")
_TAG = re.compile(r"!\S*\s*")
_TUPLE = "!!python/tuple"
_WHOLE, _NUMBER = re.compile(r"[-+]?\d{1,18}"), re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_TOKEN = re.compile(r"""\s*('[^']*'|"(?:[^"\\]|\\.)*"|[\[\]{},]|:(?=\s)|[^\s\[\]{},:'"][^\[\]{},:]*)""")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}
_CLOSING = {"[": "]", "{": "}"}
_GO_ON = ("- ", "-", "]", "}")  # begin lines of a value that need not be indented


class _NotYamlError(ValueError):
    """Something that is no YAML of the kinds read here."""


def read_keys(path: Path, keys: Sequence[str], wanted: Wanted, *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """Read some keys of the map that a YAML file is.

    Args:
        path: of the file.
        keys: at the top level.
        wanted: what the file is to be, for its errors.
        optional: further keys, left out where they are absent.

    Returns:
        The value of each key: a dict, a list, a number, text, a truth or None.

    Raises:
        MissingError: no such file.
        DataError: a key is absent, or is something else than YAML of these kinds.
    """
    lines = [line for line in map(_uncommented, read_text(path, wanted).split("\n")) if line and line != "---"]
    try:
        found = {key: (rest, block) for key, rest, block in _entries(lines)}
        absent = [key for key in keys if key not in found]
        if absent:
            raise DataError(f"{path}[{absent[0]}]", expected=wanted.what, got="no such key", fix=wanted.fix)
        return {key: _value(*found[key], depth=0) for key in (*keys, *(one for one in optional if one in found))}
    except _NotYamlError as error:
        raise DataError(path, expected=f"{wanted.what} in YAML", got=str(error), fix=wanted.fix) from None


def _uncommented(line: str) -> str:
    """Return a line without its comment: what follows a # behind a blank, outside quotes."""
    quote = ""
    for at, mark in enumerate(line) if "#" in line else ():
        before = line[at - 1 : at] or " "
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"" and before in " [{,:":
            quote = mark
        elif mark == "#" and before.isspace():
            return line[:at].rstrip()
    return line.rstrip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the entries of a map: key, what follows it on its line, and the lines that belong to it."""
    at, indent = 0, _indent(lines[0]) if lines else 0
    while at < len(lines):
        match = _KEY.fullmatch(lines[at].strip())
        if match is None or _indent(lines[at]) != indent:
            raise _NotYamlError(f"{lines[at].strip()[:60]!r} where a key is wanted")
        end = at + 1
        while end < len(lines) and (_indent(lines[end]) > indent or lines[end].strip()[:2] in _GO_ON):
            if _indent(lines[end]) < indent:
                break
            end += 1
        yield str(_scalar(match[1], key=True)), match[2] or "", list(lines[at + 1 : end])
        at = end


def _value(rest: str, block: Sequence[str], depth: int) -> Any:
    """Return the value of what follows a key, or the dash of a list."""
    if depth > DEEPEST:
        raise _NotYamlError(f"more than {DEEPEST} levels")
    rest = _untagged(rest)
    if rest[:1] in _CLOSING:
        return _flow(" ".join([rest, *block]))
    if rest:
        if block:
            raise _NotYamlError(f"{block[0].strip()[:60]!r} after {rest[:60]!r}")
        return _scalar(rest)
    if not block:
        return None
    if block[0].strip()[:2] in ("- ", "-"):
        return [_value(text, inner, depth + 1) for text, inner in _elements(block)]
    return {key: _value(text, inner, depth + 1) for key, text, inner in _entries(block)}


def _elements(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the elements of a list: what follows the dash, and the lines that belong to it."""
    at, indent = 0, _indent(lines[0])
    while at < len(lines):
        if _indent(lines[at]) != indent or lines[at].strip()[:2] not in ("- ", "-"):
            raise _NotYamlError(f"{lines[at].strip()[:60]!r} where a dash is wanted")
        end = at + 1
        while end < len(lines) and _indent(lines[end]) > indent:
            end += 1
        yield lines[at].strip()[1:].strip(), list(lines[at + 1 : end])
        at = end


def _untagged(text: str) -> str:
    tag = _TAG.match(text)
    if tag is None:
        return text
    if tag[0].strip() != _TUPLE:
        raise _NotYamlError(f"the tag {tag[0].strip()[:60]}, which makes an object")
    return text[tag.end() :]


def _scalar(text: str, *, key: bool = False) -> Any:
    if text[:1] in "'\"" and text:
        if len(text) < 2 or text[-1] != text[0]:
            raise _NotYamlError(f"{text[:60]!r}, a text without its end")
        return _quoted(text)
    if text[:1] in ("!", "&", "*", "|", ">", "%", "@", "`", "?") and text:
        raise _NotYamlError(f"{text[:60]!r}, of a kind that is not read")
    if key:
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        return _WORDS.get(text, text)
    number = float(text)
    if not math.isfinite(number):
        raise _NotYamlError(f"{text[:60]!r}, a number beyond every other")
    return number


def _quoted(text: str) -> str:
    """Return what quotes hold; in double ones a backslash means what it means in JSON."""
    if text[0] == "'" or "\\" not in text:
        return text[1:-1]
    try:
        held = str(json.loads(text))
    except ValueError:
        held = "\0"
    if not held.isprintable():
        raise _NotYamlError(f"{text[:60]!r}, with a backslash that means nothing, or nothing that can be printed")
    return held


def _flow(text: str) -> Any:
    """Return the value of `[a, b]` or `{a: 1}`, nested as they may be."""
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _NotYamlError(f"{text[at : at + 60]!r} in a list or map")
        tokens.append(match[1].strip())
        at = match.end()
    value, rest = _flow_value(tokens, 0, 0)
    if rest != len(tokens):
        raise _NotYamlError(f"{tokens[rest][:60]!r} after the end of a list or map")
    return value


def _flow_value(tokens: Sequence[str], at: int, depth: int) -> tuple[Any, int]:
    """Return the value that begins at a token, and the token after it."""
    token = _token(tokens, at)
    if depth > DEEPEST:
        raise _NotYamlError(f"more than {DEEPEST} levels")
    if token not in _CLOSING:
        return _scalar(_untagged(token)), at + 1
    closing, at = _CLOSING[token], at + 1
    items: list[Any] = []
    pairs: dict[str, Any] = {}
    while _token(tokens, at) != closing:
        value, at = _flow_value(tokens, at, depth + 1)
        if closing == "}":
            at = _passed(tokens, at, ":")
            pairs[str(value)], at = _flow_value(tokens, at, depth + 1)
        else:
            items.append(value)
        if _token(tokens, at) != closing:
            at = _passed(tokens, at, ",")
    return (pairs if closing == "}" else items), at + 1


def _token(tokens: Sequence[str], at: int) -> str:
    if at >= len(tokens):
        raise _NotYamlError("a list or map without its end")
    return tokens[at]


def _passed(tokens: Sequence[str], at: int, wanted: str) -> int:
    if _token(tokens, at) != wanted:
        raise _NotYamlError(f"{tokens[at][:60]!r} where {wanted!r} is wanted")
    return at + 1
