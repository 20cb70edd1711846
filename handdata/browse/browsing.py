"""All that the page over shards does, without HTTP: which hands are open, what is known of them, what a person did."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handdata.browse.columns import Columns
from handdata.browse.findings import Findings
from handdata.browse.hand_facts import facts_of
from handdata.browse.query import Query, Rows, select
from handdata.browse.sending import Sending, send
from handdata.browse.shipped import ShippedPictures
from handdata.browse.slow import SlowColumns
from handdata.browse.tags import TagFile, tags_path
from handdata.conversion.recut import recut
from handdata.errors import ConfigError, MissingError
from handdata.paths import DataRoot
from handdata.shards.concat import concat
from handdata.shards.dataset import open_dataset
from handdata.shards.hand import Hand
from handdata.skeleton import BONES, FINGER_COLORS, FINGER_OF, KEYPOINTS, WRIST_COLOR

if TYPE_CHECKING:
    from handdata.browse.runs import RunErrors

NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Browsing:
    """Hands of some folders of shards, and what is known of them and was done to them.

    Args:
        data_root: where subsets are written and native files are looked for.
        folders: of shards.
        split: "train", "val" or "test"; None opens all.
        runs: folders or results.json of runs whose errors become columns; the page compares two.

    Raises:
        MissingError, DataError, ConfigError: of the shards, the runs or the tags.
    """

    def __init__(
        self, data_root: DataRoot, folders: Sequence[Path], split: str | None = None, runs: Sequence[Path] = ()
    ) -> None:
        self.parts = [open_dataset(folder, split) for folder in folders]
        self.data = self.parts[0] if len(self.parts) == 1 else concat(self.parts)
        if not len(self.data):
            raise MissingError(folders[0], expected="hands to show", got="none")
        self.columns = Columns(self.data)
        self.runs: list[RunErrors] = []
        if runs:
            from handdata.browse.runs import error_columns, read_run  # noqa: PLC0415  # SciPy takes a second to import

            self.runs = [read_run(path, self.parts) for path in runs]
            self.columns.numbers |= error_columns(self.runs)
        self.slow = SlowColumns(self.columns)
        self.findings = Findings(self.parts)
        self.tags = [TagFile(tags_path(part.folder), part) for part in self.parts]
        self.shipped = ShippedPictures(data_root)
        self._root = data_root
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])
        self._last: tuple[Query, tuple[Any, ...], Rows, dict[str, list[int]]] | None = None

    @property
    def name(self) -> str:
        """The names of the datasets, for a title."""
        return self.data.name

    def described(self) -> dict[str, Any]:
        """Return what the page needs once: columns, skeleton, runs."""
        colors = [WRIST_COLOR if finger < 0 else FINGER_COLORS[finger] for finger in FINGER_OF]
        return {
            "name": self.name,
            "total": len(self.data),
            **self.columns.described(),
            "runs": [run.name for run in self.runs],
            "skeleton": {"names": list(KEYPOINTS), "bones": [list(bone) for bone in BONES], "colors": colors},
            "tags_file": str(self.tags[0].path),
            **self.state(),
        }

    def state(self) -> dict[str, Any]:
        """Return what changes while the page is open: tags, columns that become ready."""
        tags: dict[str, int] = {}
        for file in self.tags:
            for tag, count in file.counts().items():
                tags[tag] = tags.get(tag, 0) + count
        ready = {name: column.values is not None for name, column in self.columns.numbers.items()}
        return {"tags": tags, "ready": ready, "shares": dict(self.slow.shares), "troubles": dict(self.slow.troubles)}

    def select(self, query: Query) -> tuple[Rows, dict[str, list[int]]]:
        """Return the rows a query asks for, and the counts of `query.select`; the last answer is kept for its pages."""
        stamp = tuple(tuple(sorted(file.counts().items())) for file in self.tags) if "tags" in query.where else ()
        if self._last is None or self._last[:2] != (query, stamp):
            self._last = (query, stamp, *select(self.columns, query, self._tagged))
        return self._last[2], self._last[3]

    def page(self, query: Query, offset: int, count: int) -> dict[str, Any]:
        """Return `count` rows of an answer from the `offset`th on, with what the grid shows of each."""
        rows, counts = self.select(query)
        return {
            "found": len(rows), "offset": offset, "rows": self.rows_shown(rows[offset : offset + count]),
            "counts": counts,
        }  # fmt: skip

    def rows_shown(self, rows: Rows) -> list[dict[str, Any]]:
        """Return what the grid shows of some rows."""
        shown = self.columns.values_of(rows)
        for row in shown:
            row["tags"], row["note"] = self._file(row["number"])[0].of(row["id"])
        return shown

    def hand(self, number: int) -> Hand:
        """Return one hand."""
        return self.data[number]

    def facts(self, number: int) -> dict[str, Any]:
        """Return all that is shown of one hand."""
        facts = facts_of(self.data, number, self.runs)
        facts["tags"], facts["note"] = self._file(number)[0].of(facts["id"])
        return facts

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of some rows."""
        return [bytes(name).decode("ascii", "replace") for name in self.data.take(rows)["sample_id"]]

    def tag(self, tag: str, rows: Rows, *, on: bool) -> int:
        """Put a tag on hands, or take it off; return how many hands that were. Errors as of `TagFile.tag`."""
        for place, mine in self._by_folder(rows):
            self.tags[place].tag(tag, self.ids(mine), on=on)
        return len(rows)

    def send(self, rows: Rows) -> list[Sending]:
        """Send hands to the annotator of keypoints, those of each folder by themselves; errors as of `send`."""
        return [send(self.parts[place].folder, self.ids(mine)) for place, mine in self._by_folder(rows) or [(0, rows)]]

    def note(self, number: int, text: Any) -> None:
        """Write the note of a hand; errors as of `TagFile.note`."""
        self._file(number)[0].note(self.ids(np.array([number]))[0], text)

    def save_subset(self, name: Any, rows: Rows) -> Path:
        """Write some hands as shards of their own under data/shards, as `handdata subset` does.

        Raises:
            ConfigError: a name that is none, or hands of several datasets or canvases.
            HanddataError: of `recut`.
        """
        if not isinstance(name, str) or not name or not set(name) <= NAME_LETTERS or name[0] in ".-":
            expected = "letters, digits, dots and dashes, no dot or dash first"  # a dash begins an option of commands
            raise ConfigError("name", expected=expected, got=str(name)[:80] or "nothing")
        chosen = self.data.take(rows).compact()
        names = sorted(set(chosen["dataset"].tolist()))
        if len(names) > 1:
            fix = "Filter by dataset, and save each under a name of its own."
            raise ConfigError("subset", expected="hands of one dataset", got=" and ".join(names), fix=fix)
        out = self._root.shards(name)
        recut(chosen, out)
        return out

    def close(self) -> None:
        """End what is in work."""
        self.slow.stop()

    def _by_folder(self, rows: Rows) -> list[tuple[int, Rows]]:
        """Return the number of each folder that some rows lie in, and its rows, in their order."""
        places = np.searchsorted(self._starts, rows, side="right") - 1
        return [(int(place), rows[places == place]) for place in np.unique(places)]

    def _tagged(self, tags: list[str]) -> NDArray[np.bool_]:
        return np.concatenate([file.mask(tags) for file in self.tags])

    def _file(self, number: int) -> tuple[TagFile, int]:
        """Return the tags of the folder that a row lies in, and the row's number there."""
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.tags[place], number - int(self._starts[place])
