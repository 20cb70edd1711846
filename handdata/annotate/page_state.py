"""What the page of boxes shows, as workplace.py describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from handdata.annotate.box_formats import FORMATS, export_text, import_text
from handdata.annotate.changes import Changes, state_of
from handdata.annotate.requests import parse_edit
from handdata.annotate.sequences import Progress
from handdata.annotate.session import Session
from handdata.annotate.timeline import FrameBox, misses_a_tip
from handdata.annotate.workplace import Page, scripts

PAGE = {
    "": "text/html",
    "page.css": "text/css",
    **scripts(
        "bar", "dialogs", "page", "picture_view", "pictures", "queue", "says", "server", "talk", "timeline", "view"
    ),
}


class BoxPlace:
    """A session of boxes and its page, as workplace.py describes them."""

    pages: Sequence[tuple[str, Page]] = (("handdata.annotate", PAGE),)
    formats: Mapping[str, tuple[str, str]] = FORMATS

    def __init__(self, session: Session) -> None:
        self.pictures = session.pictures
        self.name = session.path.stem
        self._session = session
        self._changes = Changes(session.cells)

    def sequence(self) -> dict[str, Any]:
        """Return what does not change: the pictures' names and size, and the labelled fingertips."""
        pictures = self.pictures
        return {
            "name": self.name,
            "file": str(self._session.path),
            "names": list(pictures.img_names),
            "width": pictures.width,
            "height": pictures.height,
            "tips": self._session.tips,
        }

    def changes(self, since: int, focus: int) -> dict[str, Any]:  # noqa: ARG002 - nothing here is of one frame alone
        """Return the state, with the frames that changed after version `since` (0: all of them)."""
        version, cells = self._changes.after(since)
        tips = self._session.tips
        frames = {frame: _packed(cell, misses_a_tip(cell.box, tips[frame])) for frame, cell in cells.items()}
        return state_of(self._session, version, frames, self._session.left_to_track())

    def edit(self, body: bytes) -> tuple[Any, int]:
        """Make one edit; return its result, and the version that the page has."""
        edit, since = parse_edit(body)
        return edit(self._session), since

    def export(self, kind: str) -> str:
        """Return the boxes in one of `formats`."""
        return export_text(kind, self._session.rows(), self.pictures)

    def import_text(self, kind: str, text: str) -> int:
        """Replace all boxes by a file's."""
        where = "the imported file"
        return self._session.import_rows(import_text(kind, text, where, self.pictures), where)

    def progress(self) -> Progress:
        """Return how far the sequence is."""
        cells = self._session.cells()
        return Progress(self.name, len(cells), sum(cell.accepted != "" for cell in cells))


def _packed(cell: FrameBox, misses: bool) -> list[Any]:  # noqa: FBT001
    flags = int(cell.settled), int(misses), int(cell.disputed), cell.reason
    return [cell.box, cell.source, cell.doubt, cell.accepted, cell.kind, *flags]
