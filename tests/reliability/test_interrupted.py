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


@pytest.mark.parametrize("name", ["handdata.cli", "click", "handdata.paths", "handdata.cli.report"])
def test_while_the_command_line_is_imported(name):
    script = AT_IMPORT.format(name=name, arguments=["report", "--help"])
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 130
    assert ended.stderr.strip().splitlines() == [LINE]


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
