"""Progress of long work on standard error: a bar with time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from handdata.errors import visible

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
PLAIN_INTERVAL_S = 10.0


def say(message: str) -> None:
    """Print one line to standard error; what a terminal would obey is escaped: names of files may hold anything."""
    sys.stderr.write(visible(message.rstrip("\n")) + "\n")
    sys.stderr.flush()


class Meter:
    """Counts steps of one task; made by `meter`."""

    def __init__(self, title: str, total: int | None, bar: "Progress | None") -> None:
        self.done = 0
        self._title = title
        self._total = total
        self._bar = bar
        self._task = bar.add_task(title, total=total) if bar else None
        self._start = self._last = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more; `note` is shown after the title."""
        self.done += steps
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=steps, description=f"{self._title} {note}".rstrip())
            return
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            say(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        spent = now - self._start
        if not self._total:
            return f"{self._title}: {self.done}, {spent:.0f} s {note}".rstrip()
        left = spent / max(self.done, 1) * max(self._total - self.done, 0)
        return f"{self._title}: {self.done}/{self._total}, {spent:.0f} s, {left:.0f} s left {note}".rstrip()


@contextmanager
def meter(title: str, total: int | None = None) -> Iterator[Meter]:
    """Show the progress of one task.

    Args:
        title: what is being done, a few words.
        total: the number of steps, if known.
    """
    from rich.console import Console  # noqa: PLC0415  # a tenth of the start of a worker, which shows none

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Meter(title, total, None)
        return
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False) as bar:
        yield Meter(title, total, bar)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while showing how far along they are."""
    with meter(title, total) as gauge:
        for item in items:
            yield item
            gauge.advance()
