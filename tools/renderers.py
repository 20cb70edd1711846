"""Processes that render beside a training, for the tools that make the release weights."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from handdata.workers import start_worker, stop


@contextmanager
def renderers(workers: int, *, alone: bool) -> Iterator[ProcessPoolExecutor]:
    """Hold rendering processes: until all is rendered if nothing else is done, else as long as the training lasts."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, start_worker, (None, os.getpid())) as pool:
        try:
            yield pool
        finally:
            if not alone:
                stop(pool)


def check(rendering: Sequence[Future[Any]]) -> None:
    """Raise what a rendering process raised."""
    for future in rendering:
        if future.done() and not future.cancelled():
            future.result()
