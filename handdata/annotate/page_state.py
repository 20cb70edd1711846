"""What the page shows: every frame's box, sent only where it changed since the page last asked."""

import threading
from typing import Any

from handdata.annotate.session import Session
from handdata.annotate.timeline import FrameBox, misses_a_tip


class Feed:
    """The changes of a session, numbered by versions."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._mutex = threading.Lock()  # requests are answered by several threads
        self._version = 1
        self._cells: list[FrameBox] = []
        self._since: list[int] = []

    def sequence(self) -> dict[str, Any]:
        """Return what does not change: the pictures' names and size, and the labelled fingertips."""
        pictures = self._session.pictures
        return {
            "name": self._session.path.stem,
            "file": str(self._session.path),
            "names": list(pictures.img_names),
            "width": pictures.width,
            "height": pictures.height,
            "tips": self._session.tips,
        }

    def changes(self, since: int) -> dict[str, Any]:
        """Return the state, with the frames that changed after version `since` (0: all of them)."""
        with self._mutex:
            cells = self._session.cells()
            self._note(cells)
            tips = self._session.tips
            frames = {
                frame: _packed(cells[frame], misses_a_tip(cells[frame].box, tips[frame]))
                for frame, version in enumerate(self._since)
                if version > since
            }
            version = self._version
        broken = self._session.broken
        return {
            "version": version,
            "frames": frames,
            "undo": self._session.can_undo,
            "redo": self._session.can_redo,
            "left": self._session.left_to_track(),
            "broken": [str(broken[frame]) for frame in sorted(broken)][:3],
        }

    def _note(self, cells: list[FrameBox]) -> None:
        if not self._cells:
            self._cells, self._since = list(cells), [self._version] * len(cells)
            return
        changed = [frame for frame, cell in enumerate(cells) if cell != self._cells[frame]]
        if changed:
            self._version += 1
            for frame in changed:
                self._since[frame] = self._version
            self._cells = list(cells)


def _packed(cell: FrameBox, misses: bool) -> list[Any]:  # noqa: FBT001
    return [cell.box, cell.source, cell.doubt, cell.accepted, cell.kind, int(cell.settled), int(misses)]
