"""Read what the page asks for: JSON from the network becomes one call of the session, or a clear refusal. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from handdata.annotate.session import Session
from handdata.errors import ConfigError
from handdata.files.text import Wanted, as_object, decode, parse_json

_EDIT = Wanted(what="an edit", error=ConfigError)
MOST_SEEN = 5000  # frames of one edit
Edit = Callable[[Session], Any]
R = TypeVar("R")
S = TypeVar("S")


def parse_edit(body: bytes) -> tuple[Edit, int]:
    """Read an edit of boxes; see `read_edit`."""
    return read_edit(body, _READERS)


def read_edit(body: bytes, readers: Mapping[str, Callable[[dict[str, Any]], R]]) -> tuple[R, int]:
    """Read an edit, `{"op": ..., "since": version, ...}`.

    Args:
        body: of the request.
        readers: what reads each kind of edit.

    Returns:
        the call to make; the version of the state that the page has, 0 if the edit does not say.

    Raises:
        ConfigError: it is no edit, or of no kind that there is.
    """
    value = as_object(parse_json(decode(body, "edit", _EDIT), "edit", _EDIT), "edit", _EDIT)
    op = value.get("op")
    if not isinstance(op, str) or op not in readers:
        raise ConfigError("edit[op]", expected=f"one of {', '.join(readers)}", got=str(op)[:80])
    return readers[op](value), whole_of(value, "since") if "since" in value else 0


def of_frame(call: Callable[[S, int], Any]) -> Callable[[dict[str, Any]], Callable[[S], Any]]:
    """Return what reads an edit of one frame."""

    def read(value: dict[str, Any]) -> Callable[[S], Any]:
        frame = whole_of(value, "frame")
        return lambda session: call(session, frame)

    return read


def of_stretch(call: Callable[[S, int, int], Any]) -> Callable[[dict[str, Any]], Callable[[S], Any]]:
    """Return what reads an edit of the frames from `first` to `last`."""

    def read(value: dict[str, Any]) -> Callable[[S], Any]:
        first, last = whole_of(value, "first"), whole_of(value, "last")
        return lambda session: call(session, first, last)

    return read


def parse_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number of a query within limits.

    Raises:
        ConfigError: it is not a whole number, or beyond them.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 18) or not least <= int(text) <= most:
        raise ConfigError(name, expected=f"a number from {least} to {most}", got=text[:40] or "nothing")
    return int(text)


def _keyframe(value: dict[str, Any]) -> Edit:
    frame, box = whole_of(value, "frame"), value.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(side) for side in box):
        raise ConfigError("edit[box]", expected="four numbers x, y, w, h", got=str(box)[:80])
    x, y, w, h = (float(side) for side in box)
    return lambda session: session.keyframe(frame, (x, y, w, h))


def _see(value: dict[str, Any]) -> Edit:
    frames = value.get("frames")
    if not isinstance(frames, list) or len(frames) > MOST_SEEN:
        raise ConfigError("edit[frames]", expected=f"a list of at most {MOST_SEEN} frames", got=str(frames)[:40])
    seen = [whole_of({"frames": frame}, "frames") for frame in frames]
    return lambda session: session.see(seen)


_READERS: dict[str, Callable[[dict[str, Any]], Edit]] = {
    "keyframe": _keyframe,
    "absent": of_frame(Session.absent),
    "clear": of_frame(Session.clear),
    "watch": of_stretch(Session.watch),
    "seen": _see,
    "review": of_stretch(Session.review),
    "confirm": of_stretch(Session.confirm),
    "release": of_stretch(Session.release),
    "undo": lambda _: Session.undo,
    "redo": lambda _: Session.redo,
}


def whole_of(value: Mapping[str, Any], name: str) -> int:
    """Read a whole number of an edit.

    Raises:
        ConfigError: it is none.
    """
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
        raise ConfigError(f"edit[{name}]", expected="a whole number", got=str(number)[:40])
    return number


def is_number(value: Any) -> bool:
    """Say whether a value of JSON is a number that a picture can have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
