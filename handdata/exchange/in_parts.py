"""An export's pictures and labels made a part at a time, by several processes if there are many; in order.

Threads would wait for each other: encoding a small picture takes no longer than what Python does around it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from handdata.errors import DataError
from handdata.exchange.pictures import ExportView
from handdata.files.whole import prepare_folder, sync_all
from handdata.progress import meter
from handdata.workers import one_core, shielded_start, start_worker, stop

T = TypeVar("T")
Make = Callable[[ExportView, Path], list[T]]
PROCESSES_FROM = 3000  # hands: fewer are exported before further processes have started
AHEAD = 3  # parts per worker that are made before they are taken


def made(make: Make[T], view: ExportView, out: Path, parts: Sequence[ExportView] | None = None) -> Iterator[T]:
    """Yield what is made of the pictures, in order, the same for any number of workers.

    Args:
        make: of a part, in whichever process; takes and returns what can be pickled.
        view: all the pictures of a split.
        out: folder of the export.
        parts: of `view`; None: its usual ones.
    """
    parts = list(view.parts()) if parts is None else parts
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
def processes(workers: int, hands: int) -> Iterator[Executor | None]:
    """Hold worker processes for an export of so many hands; None if it is done before they have started."""
    if workers < 2 or hands < PROCESSES_FROM:
        yield None
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), start_worker, (None, os.getpid()))
    try:
        yield pool
    finally:
        stop(pool)


def _run(
    make: Make[T], parts: Sequence[ExportView], out: Path, view: ExportView
) -> Iterator[tuple[ExportView, list[T]]]:
    if view.pool is None:
        for part in parts:
            yield part, _make(make, part, out)
        return
    waiting: deque[tuple[ExportView, Future[list[T]]]] = deque()
    left = deque(parts)
    try:
        while left or waiting:
            with shielded_start():  # a pool starts its workers as they are needed
                while left and len(waiting) < AHEAD * view.workers:
                    part = left.popleft()
                    waiting.append((part, view.pool.submit(_make, make, part, out)))
            part, future = waiting.popleft()
            yield part, future.result()
    except BrokenProcessPool as error:
        fix = "Run the same command again, with fewer --workers; what is finished is kept."
        raise DataError(out, expected="running workers", got="a killed one", fix=fix) from error


def _make(make: Make[T], part: ExportView, out: Path) -> list[T]:
    with one_core():
        return make(part, out)
