"""What the page of keypoints shows, as workplace.py describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handdata.annotate.changes import Changes, state_of
from handdata.annotate.keypoints.cells import FrameCell, HandCell
from handdata.annotate.keypoints.doubts import REASONS
from handdata.annotate.keypoints.labels import FORMATS, read_uploaded
from handdata.annotate.keypoints.marks import SOURCES, STATES
from handdata.annotate.keypoints.requests import parse_point_edit
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.keypoints.sources import OUT
from handdata.annotate.sequences import Progress
from handdata.annotate.workplace import Page, scripts
from handdata.skeleton import BONES, FINGER_COLORS, FINGER_OF, KEYPOINTS, WRIST_COLOR

SHARED = {
    "page.css": "text/css",
    **scripts("bar", "dialogs", "picture_view", "pictures", "queue", "says", "server", "talk", "timeline"),
}
OWN = {
    "": "text/html",
    "points.css": "text/css",
    **scripts("points", "hands", "hand_view", "magnifier", "spatial", "pace", "verbs"),
}
# what the timeline calls who made a frame's points
_SHOWN_AS = {
    "flow": "tracker",
    "straight": "interpolated",
    "interpolated": "interpolated",
    "model": "dataset",
    "imported": "dataset",
    "stored": "dataset",
}


class PointPlace:
    """A session of keypoints and its page, as workplace.py describes them."""

    pages: Sequence[tuple[str, Page]] = (("handdata.annotate.keypoints", OWN), ("handdata.annotate", SHARED))
    formats: Mapping[str, tuple[str, str]] = FORMATS

    def __init__(self, session: PointSession) -> None:
        self.pictures = session.pictures
        path = session.path.resolve()
        self.name = path.parent.name if path.name == OUT else path.stem
        self._session = session
        self._focus = 0
        self._changes = Changes(lambda: session.shown(self._focus), same=lambda new, old: new is old)

    def sequence(self) -> dict[str, Any]:
        """Return what does not change while the sequence is open."""
        pictures = self.pictures
        return {
            "name": self.name,
            "file": str(self._session.path),
            "names": list(pictures.img_names),
            "width": pictures.width,
            "height": pictures.height,
            "sizes": [list(size) for size in pictures.sizes],
            "linked": self._session.linked,
            "keypoints": list(KEYPOINTS),
            "bones": [list(bone) for bone in BONES],
            "colors": [list(WRIST_COLOR if finger < 0 else FINGER_COLORS[finger]) for finger in FINGER_OF],
            "states": list(STATES),
            "sources": list(SOURCES),
            "reasons": list(REASONS),
        }

    def changes(self, since: int, focus: int) -> dict[str, Any]:
        """Return the state, with the frames that changed after version `since`, and the fit of the frame in view."""
        self._focus = focus
        version, cells = self._changes.after(since)
        frames = {frame: self.packed(frame, cell) for frame, cell in cells.items()}
        fit = {"frame": focus, "hands": self._session.fitted(focus)}
        return state_of(self._session, version, frames, self._session.left()) | {"fit": fit}

    def packed(self, frame: int, cell: FrameCell) -> list[Any]:  # noqa: ARG002 - whoever extends this needs it
        """Return a frame as the timeline draws it, and its hands."""
        return _packed(cell)

    def edit(self, body: bytes) -> tuple[Any, int]:
        """Make one edit; return its result, and the version that the page has."""
        edit, since = parse_point_edit(body)
        return edit(self._session), since

    def export(self, kind: str) -> str:
        """Return the labels in one of `formats`."""
        return self._session.text(kind)

    def import_text(self, kind: str, text: str) -> int:
        """Replace everything by what a file says; `kind` is the ending of its name."""
        return self._session.import_marks(read_uploaded(f"labels.{kind}", text, self.pictures))

    def progress(self) -> Progress:
        """Return how far the sequence is."""
        cells = self._session.cells()
        return Progress(self.name, len(cells), sum(cell.accepted for cell in cells))


def _packed(cell: FrameCell) -> list[Any]:
    """Return a frame as the timeline draws it, and its hands."""
    worst = max(cell.hands, key=lambda hand: float(hand.doubts.max()), default=None)
    k = int(np.argmax(worst.doubts)) if worst is not None else 0
    reason = worst.reasons[k] if worst is not None else ""
    drawn = any(hand.drawn for hand in cell.hands)
    accepted = "reviewed" if cell.accepted else ""
    head = [
        bool(cell.hands),
        _maker(cell),
        cell.doubt,
        accepted,
        "person" if drawn else "",
        int(cell.settled),
        0,
        0,
        reason,
    ]
    return [head, [_packed_hand(hand) for hand in cell.hands]]


def _maker(cell: FrameCell) -> str:
    if not cell.hands:
        return "absent"
    if any(hand.drawn for hand in cell.hands):
        return "person"
    made = [_SHOWN_AS[source] for hand in cell.hands for source in hand.sources if source in _SHOWN_AS]
    return max(sorted(set(made)), key=made.count) if made else "person"


def _packed_hand(hand: HandCell) -> list[Any]:
    uv = [[round(float(u), 2), round(float(v), 2)] if np.isfinite(u) else None for u, v in hand.uv]
    states = [STATES.index(state) for state in hand.states]
    sources = [SOURCES.index(source) for source in hand.sources]
    doubts = [round(float(doubt), 2) for doubt in hand.doubts]
    reasons = [REASONS.index(reason) if reason else -1 for reason in hand.reasons]
    return [hand.number, hand.side, uv, states, sources, doubts, reasons]
