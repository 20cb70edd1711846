"""Worker processes: they ignore Ctrl-C (the parent decides) and end with their parent."""

import ctypes
import errno
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from operator import index
from pathlib import Path
from typing import Any, TypeVar

import cv2

from handdata.errors import ConfigError, DataError

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST = 32 * 2**20  # bytes of one block, the most that glibc accepts on 64 bits: more than any picture
_LOOK_S = 1.0  # between two looks at whether the workers are alive
_PATIENCE_S = 5.0  # with the thread of a pool whose workers are gone
_PIPE = 2**20  # bytes that a pipe of results holds: the most that Linux gives to anybody
_KEPT = 32 * 2**20  # bytes freed and not given back: more than the few pictures that a row takes
_GUARD = '`if __name__ == "__main__":`'
_counter: "Synchronized[int] | None" = None


@dataclass(frozen=True, kw_only=True)
class Helpers:
    """Processes beside this one, which works too.

    Attributes:
        pool: runs what is submitted in them.
        started: one for each, done when it has started.
    """

    pool: Executor
    started: tuple["Future[None]", ...]


def new_counter() -> "Synchronized[int]":
    """Make a counter that workers can add to; `count_of` reads it."""
    context = multiprocessing.get_context("spawn")
    value: Synchronized[int] = context.Value("q", 0)
    return value


def count_of(counter: "Synchronized[int]") -> int:
    """Return how far workers have counted, without the lock: one that was killed may hold it for ever."""
    count: int = counter.get_obj().value
    return count


@contextmanager
def shielded_start() -> Iterator[None]:
    """Start worker processes meanwhile: Ctrl-C does not reach them before they can ignore it, and us only afterwards.

    What is blocked stays blocked in the processes that are started. A worker that was hit while it still imported
    would print a traceback of its own.

    Raises:
        BrokenProcessPool: a worker ended while another was started. The pool closes its pipes then, and says only that.
    """
    resource_tracker.ensure_running()  # starting it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EPIPE):  # "handle is closed", a pipe that nobody reads
            raise BrokenProcessPool(f"a worker ended while it was started: {error}") from error
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(counter: "Synchronized[int] | None", parent: int) -> None:
    """Initialise a worker process: `initializer` of a process pool.

    Args:
        counter: shared count of finished steps, for `count_step`.
        parent: process id of the parent; a worker whose parent is already gone ends at once.
    """
    global _counter  # noqa: PLW0603 - a pool's initializer can leave its word only here
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def result_of(future: "Future[T]", pool: Executor) -> T:
    """Return what a worker of a pool made, when it is there.

    Raises:
        BrokenProcessPool: a worker was killed.
    """
    while not wait([future], timeout=_LOOK_S).done:
        check_workers(pool)
    return future.result()


def check_workers(pool: Executor) -> None:
    """Refuse to wait for a pool of which a worker is gone.

    The pool finds that by itself, unless the worker was killed in the midst of a result larger than a pipe holds: it
    waits for the rest then.

    Raises:
        BrokenProcessPool: a worker was killed.
    """
    if any(process.exitcode is not None for process in _processes_of(pool)):
        raise BrokenProcessPool("a worker ended while it was needed")


def _processes_of(pool: Executor) -> list[BaseProcess]:
    return list((getattr(pool, "_processes", None) or {}).values())


def stop(pool: Executor) -> None:
    """End the workers of a pool at once, whatever they are doing; nothing is left, even if Ctrl-C comes meanwhile."""
    processes = _processes_of(pool)
    manager = getattr(pool, "_executor_manager_thread", None)
    results = getattr(pool, "_result_queue", None)
    for process in processes:
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.join()
    if results is not None:
        results._writer.close()  # the last one: of a result that was cut off, the thread waits for the rest until then
    if (
        manager is not None
    ):  # Python, when it ends, writes to a pipe that this thread closes: a traceback, if it is late
        manager.join(_PATIENCE_S)


def widen_results(pool: Executor) -> None:
    """Let a worker hand over a large result without waiting until this process, busy itself, has read it all.

    A pipe holds 64 KiB otherwise; where it cannot be made wider, it stays as it is.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    reader = getattr(getattr(pool, "_result_queue", None), "_reader", None)
    if reader is not None and hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
        with suppress(OSError):
            fcntl.fcntl(reader.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def count_step() -> None:
    """Count one finished step, if somebody watches."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += 1


def keep_freed_memory(most: int) -> None:
    """Have glibc keep up to `most` freed bytes for what comes next, in blocks of up to 32 MiB.

    It returns large blocks to the system otherwise, which hands out zeroed pages for the next ones of the same size.
    Elsewhere than on glibc nothing changes.
    """
    if sys.platform == "linux":
        mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)  # not every libc has it
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, _LARGEST)
            mallopt(_M_TRIM_THRESHOLD, most)


@contextmanager
def one_core() -> Iterator[None]:
    """Work on pictures with one core and without giving memory back after each.

    A picture's memory that came anew each time would cost 500 page faults and a fifth of the time of decoding.
    OpenCV's threads wait for each other longer than small pictures take.
    """
    keep_freed_memory(_KEPT)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def check_counts(limit: int | None, workers: int) -> None:
    """Refuse numbers of samples and of processes below 1: a negative limit would leave out as many from the end.

    Raises:
        ValueError: so one is.
        TypeError: one is no whole number.
        ConfigError: as `refuse_at_the_top`.
    """
    if index(workers) < 1 or (limit is not None and index(limit) < 1):
        raise ValueError(f"limit and workers are 1 or more, got {limit} and {workers}")
    refuse_at_the_top(workers)


def refuse_at_the_top(workers: int) -> None:
    """Refuse to start processes from what they import: a script's call that is not guarded.

    Raises:
        ConfigError: this process is being started for such a call, and comes upon it in the script that it imports.
    """
    if workers > 1 and getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing asks
        expected, got = f"the call with {workers} workers below {_GUARD}", "one that each of them makes anew"
        raise ConfigError(sys.argv[0], expected=expected, got=got)


def killed(what: Path | str, kept: str) -> DataError:
    """Return what to raise when a worker has ended by itself; `kept` says what need not be done again."""
    fix = f"Run the same command again, with fewer --workers; {kept}"
    if "handdata.cli" not in sys.modules:
        fix = f"Make the call below {_GUARD}, or run it again with fewer workers; {kept}"
    return DataError(what, expected="running workers", got="a killed one, most often for lack of memory", fix=fix)
