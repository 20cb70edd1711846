"""Ctrl-C, once or twice, at any time: one line, exit code 130, no process is left, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest

LINE = "handdata: interrupted. Run the same command again to go on."
# presses Ctrl-C in the moment in which a module is looked for
AT_IMPORT = """
import os, runpy, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
sys.argv = ["handdata", *{arguments!r}]
runpy.run_module("handdata", run_name="__main__")
"""

# a command that presses Ctrl-C where no caller can catch it, and goes on
IN_A_DESTRUCTOR = """
import os, signal, sys, time
import handdata.cli
from handdata.__main__ import main

class Let:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

def command():
    let = Let()
    del let
    time.sleep(30)
    print("never stopped")

handdata.cli.main = command
main()
"""
# a command whose end is what HDF5 prints of a file it cannot let go of; another error is told as ever
AT_ITS_END = """
import handdata.cli
from handdata.__main__ import main

class Let:
    def __del__(self):
        raise RuntimeError({said!r})

def command():
    let = Let()
    del let

handdata.cli.main = command
main()
"""


@pytest.mark.parametrize("name", ["handdata.cli", "click", "handdata.paths", "handdata.cli.report"])
def test_while_the_command_line_is_imported(name):
    script = AT_IMPORT.format(name=name, arguments=["report", "--help"])
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 130
    assert ended.stderr.strip().splitlines() == [LINE]


def test_in_a_destructor():
    """Python drops an exception there and says so; the command went on as if nothing had been pressed."""
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_DESTRUCTOR], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 130
    assert ended.stdout == ""
    assert ended.stderr.strip().splitlines() == [LINE]


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        (
            "Can't decrement id ref count (file write failed: time = Sun Nov 29 2026\n, errno = 28, error message)",
            False,
        ),
        ("another", True),
    ],
)
def test_what_hdf5_says_of_a_file_it_cannot_let_go_of(said, is_told):
    """The line about the full disk says it; h5py's destructors say it again, with a traceback each."""
    script = AT_ITS_END.format(said=said)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0
    assert ("Traceback" in ended.stderr) == is_told


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_twice_while_many_processes_render(tmp_path):
    command = [sys.executable, "-m", "handdata", "synth", "rhd", "--frames", "60", "--size", "small"]
    command += ["--workers", "2", "--out", tmp_path]
    started = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not list(tmp_path.glob("rhd/training/color/*.png")) and time.monotonic() < limit:
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGINT)
    time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)

    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert errors.strip().splitlines()[-1] == LINE
    assert "Traceback" not in errors
    limit = time.monotonic() + 30
    while is_alive(started.pid) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not is_alive(started.pid)
