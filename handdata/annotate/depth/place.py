"""What the page of keypoints shows of a recording that is labelled in 3D, as workplace.py describes it."""

from collections.abc import Callable, Mapping
from typing import Any

from handdata.annotate.depth.session import DepthSession
from handdata.annotate.keypoints.cells import FrameCell
from handdata.annotate.keypoints.page_state import PointPlace
from handdata.annotate.keypoints.requests import READERS, PointEdit
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.requests import read_edit, whole_of
from handdata.annotate.sequences import Progress
from handdata.errors import ConfigError

FORMATS = {"json": (".json", "application/json")}
REFERENCE = "reference"  # why a frame is to be looked at
LEAST_PRESSING = 0.6  # doubt of the reference that helps least; that of the first is 1


class DepthPlace(PointPlace):
    """A session of a recording and its page."""

    formats: Mapping[str, tuple[str, str]] = FORMATS

    def __init__(self, session: DepthSession) -> None:
        super().__init__(session)
        self._depth = session
        self.name = f"{session.recording.dataset}/{session.recording.sequence}"
        self._references = {frame: rank for rank, frame in enumerate(session.survey.references)}

    def sequence(self) -> dict[str, Any]:
        """Return what does not change; `depth` brings what the page has for nearer ends."""
        return {**super().sequence(), "depth": True}

    def packed(self, frame: int, cell: FrameCell) -> list[Any]:
        """Return a frame as the timeline draws it, open references as frames to look at; and its hands."""
        head, hands = super().packed(frame, cell)
        if frame in self._references and not cell.accepted:
            share = self._references[frame] / len(self._references)
            head[0], head[2], head[8] = True, round(1 - (1 - LEAST_PRESSING) * share, 3), REFERENCE
        return [head, [[*packed, list(hand.nearer)] for packed, hand in zip(hands, cell.hands, strict=True)]]

    def edit(self, body: bytes) -> tuple[Any, int]:
        """Make one edit; return its result, and the version that the page has."""
        edit, since = read_edit(body, _READERS)
        return edit(self._depth), since

    def import_text(self, kind: str, text: str) -> int:
        """Refuse what a file says: depth is labelled here alone.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("import", expected="clicks on this page", got=f"a {kind[:20]} file of {len(text)} characters")

    def progress(self) -> Progress:
        """Return how far the references are."""
        marks = self._depth.marks
        done = sum(frame in marks and marks[frame].accepted for frame in self._references)
        return Progress(self.name, len(self._references), done)


def _nearer(value: dict[str, Any]) -> PointEdit:
    frame, hand, k, end = whole_of(value, "frame"), whole_of(value, "hand"), whole_of(value, "point"), value.get("end")
    if not isinstance(end, str):
        raise ConfigError("edit[end]", expected="start, end or unknown", got=str(end)[:40])

    def call(session: PointSession) -> None:
        if isinstance(session, DepthSession):
            session.tell_nearer(frame, hand, k, end)

    return call


_READERS: dict[str, Callable[[dict[str, Any]], PointEdit]] = {**READERS, "nearer": _nearer}
