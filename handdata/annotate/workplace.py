"""What the server needs of whatever is annotated, boxes or keypoints: each is a place of work with its own page."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from handdata.annotate.pictures import Pictures
from handdata.annotate.sequences import Progress

Page = Mapping[str, str]  # name of a file -> its media type; "" is index.html


class Workplace(Protocol):
    """A session and its page.

    Attributes:
        pictures: the sequence.
        name: of the sequence.
        pages: of each package that has files of the page in its folder `page`, which.
        formats: what can be exported and imported: name -> (ending of the file, media type).
    """

    pictures: Pictures
    name: str
    pages: Sequence[tuple[str, Page]]
    formats: Mapping[str, tuple[str, str]]

    def sequence(self) -> dict[str, Any]:
        """Return what does not change while the sequence is open."""
        ...

    def changes(self, since: int, focus: int) -> dict[str, Any]:
        """Return what changed after version `since` (0: everything); `focus` is the frame in view."""
        ...

    def edit(self, body: bytes) -> tuple[Any, int]:
        """Make one edit; return its result, and the version that the page has."""
        ...

    def export(self, kind: str) -> str:
        """Return what there is in one of `formats`."""
        ...

    def import_text(self, kind: str, text: str) -> int:
        """Replace everything by what a file says; return how many frames it says something of."""
        ...

    def progress(self) -> Progress:
        """Return how far the sequence is."""
        ...


class BackgroundWork(Protocol):
    """What a session does while the person works."""

    @property
    def version(self) -> Any:
        """What changes with every edit, and with everything found."""
        ...

    def work(self, focus: int) -> bool:
        """Do a little; return whether there was anything to do."""
        ...

    def save(self) -> None:
        """Write the file."""
        ...


def scripts(*names: str) -> dict[str, str]:
    """Return scripts of a page by name."""
    return dict.fromkeys((f"{name}.js" for name in names), "text/javascript")
