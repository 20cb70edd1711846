"""Rows of text as lines of aligned columns, for every command that prints a table."""

from collections.abc import Collection, Sequence


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), indent: str = "") -> list[str]:
    """Return one line per row, two spaces between columns as wide as their longest text; no space at the end.

    Args:
        rows: of text; all have as many columns.
        right: columns whose text stands at the right, as numbers do.
        indent: what every line begins with.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        [
            text.rjust(width) if place in right else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return [(indent + "  ".join(row)).rstrip() for row in cells]
