"""What the page of keypoints shows of shards whose labels are mended, as workplace.py describes it."""

from collections.abc import Mapping
from typing import Any

from handdata.annotate.keypoints.mending import MendSession
from handdata.annotate.keypoints.page_state import PointPlace
from handdata.errors import ConfigError, HanddataError
from handdata.exchange.corrections import parse_corrections
from handdata.files.text import Wanted, parse_json

_FILE = Wanted(what="corrections", fix="Import another file.")
FORMATS = {"corrections": (".json", "application/json")}


class MendPlace(PointPlace):
    """A session of mending and its page."""

    formats: Mapping[str, tuple[str, str]] = FORMATS

    def __init__(self, session: MendSession) -> None:
        super().__init__(session)
        self._mending = session

    def sequence(self) -> dict[str, Any]:
        """Return what does not change; `mends` leaves out of the page what one hand per picture has no use for."""
        return {**super().sequence(), "name": self._mending.canvases.data.name, "mends": True}

    def import_text(self, kind: str, text: str) -> int:  # noqa: ARG002 - there is one
        """Replace everything by what a file of corrections says.

        Raises:
            ConfigError: it is none.
        """
        where = "the imported file"
        try:
            marks = self._mending.marks_of(parse_corrections(parse_json(text, where, _FILE), where))
        except HanddataError as error:
            raise ConfigError(where, expected="corrections", got=error.got, fix=_FILE.fix) from error
        return self._mending.import_marks(marks)
