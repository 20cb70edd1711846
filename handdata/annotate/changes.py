"""What a page is told of a session: every frame, sent only where it changed since the page last asked."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from handdata.errors import HanddataError

C = TypeVar("C")
MOST_NAMED = 3  # pictures that cannot be read


class Told(Protocol):
    """What every session can say of itself."""

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        ...

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to make again."""
        ...

    @property
    def broken(self) -> Mapping[int, HanddataError]:
        """Why frames cannot be read."""
        ...


class Changes(Generic[C]):
    """The frames of a session, each with the version in which it last became another.

    Args:
        read: returns all frames as they are.
        same: tells whether a frame is what it was; by default whether it equals that.
    """

    def __init__(self, read: Callable[[], Sequence[C]], same: Callable[[C, C], bool] | None = None) -> None:
        self._read, self._same = read, same or (lambda new, old: new == old)
        self._mutex = threading.Lock()  # requests are answered by several threads
        self._version = 1
        self._cells: list[C] = []
        self._since: list[int] = []

    def after(self, since: int) -> tuple[int, dict[int, C]]:
        """Return the version, and the frames that changed after version `since` (0: all of them)."""
        with self._mutex:
            self._note(list(self._read()))
            found = {f: self._cells[f] for f, version in enumerate(self._since) if version > since}
            return self._version, found

    def _note(self, cells: list[C]) -> None:
        if not self._cells:
            self._cells, self._since = cells, [self._version] * len(cells)
            return
        changed = [f for f, (new, old) in enumerate(zip(cells, self._cells, strict=True)) if not self._same(new, old)]
        if changed:
            self._version += 1
            for frame in changed:
                self._since[frame] = self._version
            self._cells = cells


def state_of(session: Told, version: int, frames: Mapping[int, Any], left: int) -> dict[str, Any]:
    """Return the state as the pages read it.

    Args:
        session: that is open.
        version: of the state.
        frames: that changed, packed.
        left: frames that the background work is not done with.
    """
    broken = session.broken
    return {
        "version": version,
        "frames": frames,
        "undo": session.can_undo,
        "redo": session.can_redo,
        "left": left,
        "unread": len(broken),
        "broken": [broken[frame].without_skipping for frame in sorted(broken)][:MOST_NAMED],
    }
