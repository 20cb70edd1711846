"""One run of a command: a fork of a process that has imported everything already, watched to its end."""

import contextlib
import ctypes
import errno
import gc
import hashlib
import importlib
import json
import math
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path

from handdata.__main__ import INTERRUPTED
from handdata.__main__ import main as command

FAULTS = {"kill": 0, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES, "EROFS": errno.EROFS,
          "ENOTCONN": errno.ENOTCONN}  # fmt: skip
ONCE, FROM_THEN_ON, GONE = range(3)  # of steps.c
PATIENCE_S = 300
LIBRARY = "HANDDATA_TORTURE_LIBRARY"

Digest = dict[str, str]
atexit_of_fork: list[Callable[[], object]] = []


def fork(words: tuple[str, ...], work: Path, log: Path, arm: Callable[[], None] | None = None) -> int:
    """Start a command in a process and session of its own; return its number."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # in the fork, until the command can take it
    gc.freeze()  # so that a collection in the fork does not copy all memory
    process = os.fork()
    if process:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        while os.getpgid(process) != process:  # it has not got its own session yet, by which it is signalled
            time.sleep(0.0002)
        return process
    code = 70
    try:
        os.setsid()
        os.chdir(work)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.argv = ["handdata", *words]
        if arm:
            arm()
        code = _main()
        for do in atexit_of_fork:
            do()
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does at its end: threads are waited for,
        util._exit_function()  # type: ignore[attr-defined]  # semaphores go
    finally:
        os._exit(code)


def import_as(words: tuple[str, ...], work: Path, log: Path) -> int | None:
    """Run a command to its end and import here what it has imported, so that later forks have it.

    Their moments then fall into the command's work and not into its imports.
    """
    with tempfile.TemporaryFile("w+") as file:
        there = set(sys.modules)

        def tell() -> None:
            atexit_of_fork.append(lambda: json.dump(sorted(set(sys.modules) - there), file))
            atexit_of_fork.append(file.flush)

        code = end_of(fork(words, work, log, tell))
        file.seek(0)
        for name in json.loads(file.read() or "[]"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    return code


def _main() -> int:
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    except KeyboardInterrupt:  # before the command took it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("handdata: interrupted before it began", flush=True)
        return INTERRUPTED
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def armed(
    work: Path, *, at: int = -1, error: int = 0, manner: int = ONCE, names: int = -1, record: int = -1
) -> Callable[[], None]:
    """Return what has steps.c watch a folder in the process that calls it.

    Args:
        work: the folder.
        at: number of the step that is hit, -1 none.
        error: what it fails with; 0 ends the process.
        manner: ONCE, FROM_THEN_ON or GONE.
        names: descriptor that steps are named on, -1 none.
        record: descriptor that steps are written to with their bytes, -1 none.
    """

    def arm() -> None:
        library = ctypes.CDLL(os.environ[LIBRARY])
        library.torture_arm(str(work).encode() + b"/", ctypes.c_long(at), error, manner, names, record)

    return arm


def cpu_of(process: int) -> float:
    """Return the CPU seconds of a process of ours that has not been waited for."""
    return time.clock_gettime((~process << 3) | 2)  # its CPU clock: clock_getcpuclockid of Linux


def code_within(process: int, limit: float, cpu_s: float = math.inf) -> int | None:
    """Return the exit code of a process, None if it still runs after so many seconds, or CPU seconds of its own."""
    late = time.monotonic() + limit
    while time.monotonic() < late and cpu_of(process) < cpu_s:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def end_of(process: int, limit: float = PATIENCE_S) -> int | None:
    """Return the exit code of a process, None if it had to be ended for taking too long."""
    code = code_within(process, limit)
    if code is None:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return code


def end_and_cpu(process: int) -> tuple[int, float]:
    """Return the exit code of a process and its CPU seconds."""
    _, status, used = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def orphans(session: int, limit: float = 10) -> bool:
    """Tell whether processes of a session go on when its first one is gone; they are ended."""
    late = time.monotonic() + limit
    while time.monotonic() < late:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.01)
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:  # they have just ended by themselves
        return False
    return True


def workers(process: int) -> list[int]:
    """Return the worker processes of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == process and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError):
            continue
    return found


def run_whole(base: Path) -> Callable[..., None]:
    """Return what runs a command to its end and wants it to end well."""

    def run(*words: object) -> None:
        process = fork(tuple(map(str, words)), base, base / "log")
        if end_of(process) != 0:
            raise SystemExit(f"{' '.join(map(str, words))}: {(base / 'log').read_text()[-2000:]}")

    base.mkdir(parents=True, exist_ok=True)
    return run


def digest(folder: Path) -> Digest:
    """Return the hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
