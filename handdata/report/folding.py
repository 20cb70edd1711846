"""Tables as the page shows them: columns and rows that hold no number folded away, and one plain line of what is in."""

from dataclasses import dataclass, replace

from handdata.report.tables import DASH, MISSING, Table

EMPTY = frozenset({MISSING, DASH, ""})
_FULL_NAMES = {"published": "published numbers", "author's files": "the author's files"}


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A table without what holds no number.

    Attributes:
        table: what is left; as it was if nothing would be left.
        columns: names of the columns that are folded away.
        rows: what the rows are called that are folded away.
        about: one line for the reader who decides whether to open it.
    """

    table: Table
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    about: str

    @property
    def hidden(self) -> str:
        """How many columns and rows are folded away, "" if none is."""
        counts = ((len(self.columns), "column"), (len(self.rows), "row"))
        named = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
        return f"{' and '.join(named)} without a number" if named else ""


def fold(table: Table, *, rows: bool = False) -> Folded:
    """Fold away the columns of which every cell is missing, and such rows if asked.

    Args:
        table: as Markdown and LaTeX print it; left as it is.
        rows: fold rows too.
    """
    numbers = range(table.stubs, len(table.header))
    full = [place for place in numbers if any(row[place] not in EMPTY for row in table.rows)]
    whole = Folded(table=table, columns=(), rows=(), about=_about(table, len(table.rows)))
    if not full:
        return whole
    kept = [*range(table.stubs), *full]
    left = [row for row in table.rows if not rows or any(row[place] not in EMPTY for place in full)]
    shown = replace(
        table,
        header=tuple(table.header[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in left),
        spans=_spans(table, full),
    )
    return replace(
        whole,
        table=shown,
        columns=tuple(table.header[place] for place in numbers if place not in full),
        about=_about(table, len(left)),
        rows=tuple(", ".join(row[: table.stubs]) for row in table.rows if row not in left),
    )


def _spans(table: Table, full: list[int]) -> tuple[tuple[str, int], ...]:
    start, spans = table.stubs, []
    for name, width in table.spans:
        left = sum(start <= place < start + width for place in full)
        spans += [(name, left)] if left else []
        start += width
    return tuple(spans)


def _about(table: Table, shown: int) -> str:
    """Say whose numbers a table of the thesis holds, by the names of its columns; how long another one is."""
    if not table.spans:
        return f"{shown} row{'' if shown == 1 else 's'}"
    whose = [name.split(": ", 1)[1] for name in table.header[table.stubs :]]
    ours = dict.fromkeys(name[len("ours (") : -1] for name in whose if name.startswith("ours ("))
    others = [text for name, text in _FULL_NAMES.items() if name in whose]
    if not ours:
        return f"{' and '.join(others)}; no run here repeats it"
    return f"{', '.join(others)}, ours: {'; '.join(ours)}"
