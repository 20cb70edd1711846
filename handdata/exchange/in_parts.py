"""An export's pictures and labels made a part at a time, by several processes if there are many; in order.

This process works too: until the others have started, which takes as long as 1,000 pictures, and while they do. Threads
would wait for each other: encoding a small picture takes no longer than what Python does around it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from handdata.exchange.pictures import ExportView
from handdata.files.whole import prepare_folder, sync_all
from handdata.progress import meter
from handdata.workers import Helpers, killed, one_core, result_of, shielded_start, start_worker, stop, widen_results

T = TypeVar("T")
Make = Callable[[ExportView, Path], list[T]]
PROCESSES_FROM = 1500  # hands: fewer are exported before further processes have started
AHEAD = 3  # parts per worker that are made before they are taken
_GIVEN = 2  # parts that a further process has at a time: one that it makes, and its next


def made(make: Make[T], view: ExportView, out: Path, parts: Sequence[ExportView] | None = None) -> Iterator[T]:
    """Yield what is made of the pictures, in order, the same for any number of workers.

    Args:
        make: of a part, in whichever process; takes and returns what can be pickled.
        view: all the pictures of a split.
        out: folder of the export.
        parts: of `view`; None: its usual ones.
    """
    parts = list(view.shares()) if parts is None else parts
    with meter(f"pictures of {view.split}", sum(len(part.data) for part in parts)) as gauge:
        for part, things in _run(make, parts, out, view):
            yield from things
            gauge.advance(len(part.data))


def made_with_pictures(make: Make[T], view: ExportView, out: Path, *folders: str) -> Iterator[T]:
    """Yield as `made` what is made by a `make` that writes into images/<split>/, and <folder>/<split>/ of others.

    They are on the disk when everything was taken: before the labels that name them.
    """
    for folder in ("images", *folders):
        prepare_folder(out / folder / view.split)
    yield from made(make, view, out)
    sync_all()


@contextmanager
def processes(workers: int, hands: int, out: Path) -> Iterator[Helpers | None]:
    """Hold further processes for an export of so many hands; None if it is done before they have started.

    Raises:
        DataError: one of them was killed.
    """
    if workers < 2 or hands < PROCESSES_FROM:
        yield None
        return
    pool = ProcessPoolExecutor(workers - 1, get_context("spawn"), start_worker, (None, os.getpid()))
    widen_results(pool)
    try:
        with shielded_start():
            started = tuple(pool.submit(_start) for _ in range(workers - 1))
        yield Helpers(pool=pool, started=started)
    except BrokenProcessPool as error:
        raise killed(out, "what is finished is kept.") from error
    finally:
        stop(pool)


def _start() -> None:
    """Do nothing: to find this function, a process imports what it will need."""


def _run(
    make: Make[T], parts: Sequence[ExportView], out: Path, view: ExportView
) -> Iterator[tuple[ExportView, list[T]]]:
    """Yield each part with what was made of it, in order."""
    waiting: deque[tuple[ExportView, Future[list[T]]]] = deque()
    left = deque(parts)
    while left or waiting:
        while left and view.helpers and _has_room(view.helpers, waiting):
            waiting.append((left[0], _given(view.helpers, make, left.popleft(), out)))
        is_first_there = bool(waiting) and waiting[0][1].done()
        if left and not is_first_there and len(waiting) < AHEAD * view.workers:
            waiting.append((left[0], _own(make, left.popleft(), out)))
        else:
            part, future = waiting.popleft()
            yield part, result_of(future, view.helpers.pool) if view.helpers else future.result()


def _has_room(helpers: Helpers, waiting: Iterable[tuple[ExportView, Future[list[T]]]]) -> bool:
    """Say whether a further process has started that has too little to do."""
    running = sum(one.done() for one in helpers.started)
    return sum(not future.done() for _, future in waiting) < _GIVEN * running


def _given(helpers: Helpers, make: Make[T], part: ExportView, out: Path) -> "Future[list[T]]":
    part = replace(part, data=part.data.compact())  # the other process opens all shards that the part comes with
    with shielded_start():  # a pool starts its workers as they are needed
        return helpers.pool.submit(_make, make, part, out)


def _own(make: Make[T], part: ExportView, out: Path) -> "Future[list[T]]":
    """Make a part in this process."""
    future: Future[list[T]] = Future()
    future.set_result(_make(make, part, out))
    return future


def _make(make: Make[T], part: ExportView, out: Path) -> list[T]:
    with one_core():
        return make(part, out)
