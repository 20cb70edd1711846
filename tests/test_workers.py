"""Converting uses one core a process, leaves the caller's settings as they were, and keeps Ctrl-C from its workers."""

import errno
import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import cv2
import pytest

from handdata.workers import (
    count_of,
    count_step,
    new_counter,
    one_core,
    shielded_start,
    start_worker,
    stop,
    widen_results,
)


def test_opencv_uses_one_thread_inside_and_as_many_as_before_outside():
    before = cv2.getNumThreads()
    with one_core():
        assert cv2.getNumThreads() == 1

    assert cv2.getNumThreads() == before


def test_an_error_inside_gives_the_threads_back():
    before = cv2.getNumThreads()
    with pytest.raises(ValueError, match="inside"), one_core():
        raise ValueError("inside")

    assert cv2.getNumThreads() == before


COUNT_FAULTS = """
import resource, sys
import numpy as np
from handdata.workers import one_core

def held_and_freed():
    pictures = [np.empty(2**20, np.uint8) for _ in range(3)]
    for picture in pictures:
        picture.fill(1)

with one_core():
    held_and_freed()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(40):
        held_and_freed()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_the_memory_of_freed_pictures_serves_the_next():
    """In a process of its own: what a process freed before decides how glibc goes on. Else it is 29,000 faults."""
    run = subprocess.run([sys.executable, "-c", COUNT_FAULTS], check=True, capture_output=True, text=True)

    assert int(run.stdout) < 256  # the pages of one picture


def test_ctrl_c_does_not_reach_a_worker_from_its_first_moment_on():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with shielded_start():
            asked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        assert signal.SIGINT in asked.result()

    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_ctrl_c_while_workers_start_comes_afterwards():
    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append("inside"))
    try:
        with shielded_start():
            signal.raise_signal(signal.SIGINT)
            assert caught == []
        assert caught == ["inside"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_worker_that_ends_while_another_is_started_is_a_broken_pool():
    """The pool has closed its pipes by then, 1 of 500 times; what is closed cannot be given to the next worker."""
    context = get_context("spawn")
    reader, writer = context.Pipe()
    reader.close()
    writer.close()
    with pytest.raises(BrokenProcessPool, match="handle is closed"), shielded_start():
        context.Process(target=print, args=(reader,)).start()


def test_workers_that_the_system_refuses_are_no_broken_pool():
    with pytest.raises(BlockingIOError), shielded_start():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="Linux alone sets the size of a pipe")
def test_a_worker_hands_over_a_megabyte_that_nobody_reads_yet():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        widen_results(pool)
        held = fcntl.fcntl(pool._result_queue._reader.fileno(), fcntl.F_GETPIPE_SZ)
        assert pool.submit(bytes, 2**21).result() == bytes(2**21)

    assert held == 2**20


def test_a_pool_that_was_stopped_has_no_thread_that_closes_what_python_writes_to_at_its_end():
    """At its end Python wakes the threads of pools; one that closed its pipe just then made a traceback of it."""
    for _ in range(5):
        pool = ProcessPoolExecutor(2, get_context("fork"))
        running = [pool.submit(time.sleep, 60) for _ in range(4)]
        manager = pool._executor_manager_thread
        stop(pool)

        assert not manager.is_alive()
        assert all(one.done() for one in running)


CUT_OFF = """
import os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context
from pathlib import Path
from handdata.workers import result_of, stop

def cut_off(ending):
    def send(pipe, data, *_):
        os.write(pipe.fileno(), bytes(data)[:500])
        Path("begun").touch()
        os.kill(os.getpid(), ending)
    connection.Connection._send = send
    return bytes(100_000)

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    try:
        future = pool.submit(cut_off, signal.{ending})
        while not Path("begun").exists():
            time.sleep(0.01)
        if "{ending}" == "SIGKILL":
            result_of(future, pool)
    except BrokenProcessPool:
        print("killed")
    finally:
        stop(pool)
        print("stopped")
"""


@pytest.mark.parametrize(("ending", "said"), [("SIGKILL", "killed\nstopped\n"), ("SIGTERM", "stopped\n")])
def test_a_worker_that_ends_in_the_midst_of_a_long_result_is_not_waited_for(tmp_path, ending, said):
    """1 of 20 exports hung whose second process was killed; as did Python at its end when one was stopped then."""
    (tmp_path / "script.py").write_text(CUT_OFF.format(ending=ending))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == said


def count_and_be_killed_with_the_lock(counter):
    start_worker(counter, os.getppid())
    count_step()
    counter.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_count_can_be_read_though_a_worker_was_killed_while_it_counted():
    """The parent would wait for its lock, and never look whether its workers live."""
    counter = new_counter()
    worker = get_context("spawn").Process(target=count_and_be_killed_with_the_lock, args=(counter,))
    worker.start()
    worker.join()
    assert not counter.get_lock().acquire(block=False)

    assert count_of(counter) == 1


def test_a_script_that_calls_at_its_top_is_told_so_and_by_a_guard_it_works(tmp_path):
    call = 'on_many_cores(["one", "two"], print, workers=2, title="words")'
    script = tmp_path / "script.py"

    def run(text):
        script.write_text(f"from handdata.synth.render_many import on_many_cores\n{text}\n")
        return subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, timeout=60)

    refused = run(call)
    assert refused.returncode == 1
    assert f"ConfigError: {script}: expected the call with 2 workers below `if __name__" in refused.stderr
    assert 'Make the call below `if __name__ == "__main__":`, or run it' in refused.stderr.splitlines()[-1]
    assert sorted(run(f'if __name__ == "__main__":\n    {call}').stdout.split()) == ["one", "two"]
