"""Read what the page asks for: JSON from the network becomes one call of the session, or a clear refusal. Pure."""

from collections.abc import Callable
from typing import Any

from handdata.annotate.session import Session
from handdata.errors import ConfigError
from handdata.files.text import Wanted, as_object, decode, parse_json

_EDIT = Wanted(what="an edit", error=ConfigError)
Edit = Callable[[Session], Any]


def parse_edit(body: bytes) -> tuple[Edit, int]:
    """Read an edit, `{"op": ..., "since": version, ...}`.

    Returns:
        the call to make; the version of the state that the page has.

    Raises:
        ConfigError: it is none.
    """
    value = as_object(parse_json(decode(body, "edit", _EDIT), "edit", _EDIT), "edit", _EDIT)
    op = value.get("op")
    if not isinstance(op, str) or op not in _READERS:
        raise ConfigError("edit[op]", expected=f"one of {', '.join(_READERS)}", got=str(op)[:80])
    return _READERS[op](value), _whole(value, "since") if "since" in value else 0


def parse_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number of a query within limits.

    Raises:
        ConfigError: it is none, or beyond them.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 18) or not least <= int(text) <= most:
        raise ConfigError(name, expected=f"a number from {least} to {most}", got=text[:40] or "nothing")
    return int(text)


def _keyframe(value: dict[str, Any]) -> Edit:
    frame, box = _whole(value, "frame"), value.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(side) for side in box):
        raise ConfigError("edit[box]", expected="four numbers x, y, w, h", got=str(box)[:80])
    x, y, w, h = (float(side) for side in box)
    return lambda session: session.keyframe(frame, (x, y, w, h))


def _absent(value: dict[str, Any]) -> Edit:
    frame = _whole(value, "frame")
    return lambda session: session.absent(frame)


def _clear(value: dict[str, Any]) -> Edit:
    frame = _whole(value, "frame")
    return lambda session: session.clear(frame)


def _watch(value: dict[str, Any]) -> Edit:
    first, last = _whole(value, "first"), _whole(value, "last")
    return lambda session: session.watch(first, last)


def _review(value: dict[str, Any]) -> Edit:
    first, last = _whole(value, "first"), _whole(value, "last")
    return lambda session: session.review(first, last)


def _release(value: dict[str, Any]) -> Edit:
    first, last = _whole(value, "first"), _whole(value, "last")
    return lambda session: session.release(first, last)


def _undo(_: dict[str, Any]) -> Edit:
    return lambda session: session.undo()


def _redo(_: dict[str, Any]) -> Edit:
    return lambda session: session.redo()


_READERS: dict[str, Callable[[dict[str, Any]], Edit]] = {
    "keyframe": _keyframe,
    "absent": _absent,
    "clear": _clear,
    "watch": _watch,
    "review": _review,
    "release": _release,
    "undo": _undo,
    "redo": _redo,
}


def _whole(value: dict[str, Any], name: str) -> int:
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
        raise ConfigError(f"edit[{name}]", expected="a whole number", got=str(number)[:40])
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
