"""Read what the page of keypoints asks for: JSON becomes one call of the session, or a clear refusal. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.requests import is_number, of_stretch, read_edit, whole_of
from handdata.errors import ConfigError
from handdata.skeleton import NUM_KEYPOINTS

PointEdit = Callable[[PointSession], Any]


def parse_point_edit(body: bytes) -> tuple[PointEdit, int]:
    """Read an edit of keypoints; see `read_edit`."""
    return read_edit(body, READERS)


def _place(value: dict[str, Any]) -> PointEdit:
    frame, hand, points = whole_of(value, "frame"), whole_of(value, "hand"), value.get("points")
    if not isinstance(points, dict) or not 0 < len(points) <= NUM_KEYPOINTS:
        raise ConfigError("edit[points]", expected="keypoint numbers with u, v", got=str(points)[:80])
    places = {_keypoint(key): _place_of(place) for key, place in points.items()}
    return lambda session: session.place(frame, hand, places)


def _keypoint(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) < 3):
        raise ConfigError("edit[points]", expected="keypoint numbers", got=key[:40])
    return int(key)


def _place_of(place: Any) -> tuple[float, float]:
    if not isinstance(place, list) or len(place) != 2 or not all(map(is_number, place)):
        raise ConfigError("edit[points]", expected="two numbers u, v for each", got=str(place)[:80])
    return float(place[0]), float(place[1])


def _chosen(value: Mapping[str, Any]) -> list[int] | None:
    points = value.get("points")
    if points is None:
        return None
    if not isinstance(points, list) or not 0 < len(points) <= NUM_KEYPOINTS:
        raise ConfigError("edit[points]", expected="a list of keypoint numbers", got=str(points)[:80])
    return [whole_of({"points": k}, "points") for k in points]


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise ConfigError(f"edit[{name}]", expected="a word", got=str(text)[:40])
    return text


def _state(value: dict[str, Any]) -> PointEdit:
    frame, hand, chosen, state = (
        whole_of(value, "frame"),
        whole_of(value, "hand"),
        _chosen(value),
        _text(value, "state"),
    )
    return lambda session: session.set_state(frame, hand, range(NUM_KEYPOINTS) if chosen is None else chosen, state)


def _side(value: dict[str, Any]) -> PointEdit:
    frame, hand, side = whole_of(value, "frame"), whole_of(value, "hand"), _text(value, "side")
    return lambda session: session.set_side(frame, hand, side)


def _gone(value: dict[str, Any]) -> PointEdit:
    frame, hand = whole_of(value, "frame"), whole_of(value, "hand")
    return lambda session: session.gone(frame, hand)


def _begin(value: dict[str, Any]) -> PointEdit:
    frame, box = whole_of(value, "frame"), value.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise ConfigError("edit[box]", expected="left, top, right, bottom", got=str(box)[:80])
    left, top, right, bottom = (float(edge) for edge in box)
    side = _text(value, "side") if "side" in value else "unknown"
    return lambda session: session.begin(frame, (left, top, right, bottom), side)


def _clear(value: dict[str, Any]) -> PointEdit:
    frame, hand, chosen = whole_of(value, "frame"), whole_of(value, "hand"), _chosen(value)
    return lambda session: session.clear(frame, hand, chosen)


def _copy(value: dict[str, Any]) -> PointEdit:
    frame, hand, source = whole_of(value, "frame"), whole_of(value, "hand"), whole_of(value, "source")
    chosen = _chosen(value)
    return lambda session: session.copy(frame, hand, source, chosen)


def _interpolate(value: dict[str, Any]) -> PointEdit:
    frame, hand, chosen = whole_of(value, "frame"), whole_of(value, "hand"), _chosen(value)
    return lambda session: len(session.interpolate(frame, hand, chosen))


READERS: dict[str, Callable[[dict[str, Any]], PointEdit]] = {
    "place": _place,
    "state": _state,
    "side": _side,
    "gone": _gone,
    "begin": _begin,
    "clear": _clear,
    "accept": of_stretch(PointSession.accept),
    "release": of_stretch(PointSession.release),
    "copy": _copy,
    "interpolate": _interpolate,
    "undo": lambda _: PointSession.undo,
    "redo": lambda _: PointSession.redo,
}
