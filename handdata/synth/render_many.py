"""Render many frames on many cores: one task per frame, written by the worker that rendered it.

The result never depends on the number of workers, since a frame is a function of its spec and index alone. Workers
are spawned, not forked: safe beside torch and OpenCV threads; `write` must be picklable (a module-level function or a
`functools.partial` of one).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing.connection import wait as wait_for_any
from typing import TypeVar

import cv2

from handdata.progress import meter
from handdata.synth.frame import Frame, SequenceSpec
from handdata.synth.sequence import render_frame
from handdata.workers import killed, refuse_at_the_top, shielded_start, stop

T = TypeVar("T")
Task = tuple[SequenceSpec, int]
Write = Callable[[SequenceSpec, int, Frame], None]
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
QUEUED_PER_WORKER = 4  # enough to keep a worker busy, few enough to stop at once


def render_frames(tasks: Sequence[Task], write: Write, *, workers: int, title: str) -> None:
    """Render every task and hand its frame to `write`, in the process that rendered it.

    Args:
        tasks: (spec, index) of every frame wanted; leave out those whose files are complete already.
        write: called as write(spec, index, frame); picklable; writes that frame's files and nothing shared.
        workers: processes; 1 or less renders in this one.
        title: what is being rendered, for the progress line.

    Raises:
        DataError: a worker was killed (out of memory, most often).
        ConfigError: a script's call that its workers would make again.
        Exception: the first one `write` or the renderer raised, in task order of completion.
    """
    on_many_cores(tasks, partial(_render_one, write), workers=workers, title=title)


def on_many_cores(tasks: Sequence[T], work: Callable[[T], None], *, workers: int, title: str) -> None:
    """Do `work` for every task, in as many processes; picklable, as of `render_frames`, with the same errors."""
    workers = min(workers, len(tasks))
    refuse_at_the_top(workers)
    with meter(title, len(tasks)) as gauge:
        if workers <= 1:
            for task in tasks:
                work(task)
                gauge.advance()
            return
        for done in _done_in_pool(tasks, work, workers, title):
            gauge.advance(done)


def _done_in_pool(tasks: Sequence[T], work: Callable[[T], None], workers: int, title: str) -> Iterator[int]:
    """Yield how many tasks were finished since the last time."""
    context = multiprocessing.get_context("spawn")
    waiting = iter(tasks)
    running: set[Future[None]] = set()
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_enter_worker)
        try:
            while True:
                room = workers * QUEUED_PER_WORKER - len(running)
                with shielded_start():
                    running |= {pool.submit(work, task) for task in islice(waiting, room)}
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                yield len(finished)
        except BrokenProcessPool as error:
            raise killed(title, "finished frames are kept.") from error
        finally:
            stop(pool)


def _render_one(write: Write, task: Task) -> None:
    spec, index = task
    write(spec, index, render_frame(spec, index))


def _enter_worker() -> None:
    """Leave interrupts to the parent, use one thread, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Start children whose linear algebra uses one thread: faster side by side, and the same bits everywhere."""
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
