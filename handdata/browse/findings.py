"""What `verify` finds in the shards that are open, each finding with the hands it was found in."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from handdata.check.findings import Finding
from handdata.shards.dataset import Dataset

THOROUGH = 20_000  # hands whose every byte is read; of more, what reads no pixels


class Findings:
    """Checks the folders of some datasets in the background and keeps what was found.

    Args:
        parts: whole datasets, of one folder each, one behind the other.
    """

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self._parts = parts
        self._thread: threading.Thread | None = None
        self._found: list[tuple[Finding, list[int]]] = []
        self._checks: list[dict[str, str]] = []
        self._trouble = ""
        self._is_done = False

    def begin(self) -> None:
        """Start checking, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._check, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until it is done."""
        if self._thread is not None:
            self._thread.join()

    def rows(self, number: int) -> list[int]:
        """Return the rows of the hands that a finding was found in."""
        return self._found[number][1]

    def as_json(self) -> dict[str, Any]:
        """Return how far it is and what was found."""
        found = [
            {"check": f.check, "where": f.where, "what": f.what, "count": f.count, "total": f.total, "rows": rows}
            for f, rows in list(self._found)
        ]
        state = "done" if self._is_done else "running" if self._thread else "not begun"
        return {"state": state, "trouble": self._trouble, "findings": found, "checks": list(self._checks)}

    def _check(self) -> None:
        from handdata.check.verify import verify  # noqa: PLC0415  # what it imports takes half a second

        start = 0
        try:
            for part in self._parts:
                report = verify(part.folder, quick=len(part) > THOROUGH)
                self._found += [(finding, _rows_of(part, finding, start)) for finding in report.findings]
                left_out = [(name, said) for name, said in report.checks.items() if said.startswith("not checked")]
                self._checks += [{"dataset": part.name, "check": name, "said": said} for name, said in left_out]
                start += len(part)
        except Exception as error:  # a thread has nobody who would see it otherwise
            self._trouble = str(error)
        self._is_done = True


def _rows_of(part: Dataset, finding: Finding, start: int) -> list[int]:
    """Return the rows of a finding's examples, equal ids side by side, in the order they are named."""
    wanted = [name.encode() for name in finding.examples if name.isascii()]
    if not wanted:
        return []
    order = {name: place for place, name in enumerate(dict.fromkeys(wanted))}
    rows = np.flatnonzero(np.isin(part.ids, np.array(wanted, dtype=part.ids.dtype)))
    placed = sorted(rows.tolist(), key=lambda row: (order.get(bytes(part.ids[row]), 0), row))
    return [start + row for row in placed]
