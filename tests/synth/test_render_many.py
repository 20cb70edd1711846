"""Many processes: the same files whatever their number, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from handdata.errors import DataError
from handdata.synth.frame import SequenceSpec
from handdata.synth.render_many import render_frames


def save(folder: Path, spec: SequenceSpec, index: int, frame) -> None:
    (folder / f"{spec.name}{index}.bin").write_bytes(
        frame.views[0].image.tobytes() + frame.hands[0].keypoints_3d.tobytes()
    )


def fail(spec: SequenceSpec, index: int, frame) -> None:
    if index == 2:
        raise DataError(f"frame {index}", expected="room on the disk", got="none")


def die(spec: SequenceSpec, index: int, frame) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tasks(camera, count):
    spec = SequenceSpec(seed=1, name="a", cameras=(camera,), small=True, motion="still")
    return [(spec, index) for index in range(count)]


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_any_number_of_workers_writes_the_same_bytes(camera, tmp_path):
    before = dict(os.environ)
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        render_frames(tasks(camera, 5), partial(save, tmp_path / str(workers)), workers=workers, title="test")
    one, two = read(tmp_path / "1"), read(tmp_path / "2")
    assert len(one) == 5
    assert one == two
    assert dict(os.environ) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_a_worker_reaches_the_caller(camera, workers):
    with pytest.raises(DataError, match="room on the disk"):
        render_frames(tasks(camera, 4), fail, workers=workers, title="test")


def test_a_killed_worker_is_told_in_one_line(camera):
    with pytest.raises(DataError, match="expected running workers, got a killed one"):
        render_frames(tasks(camera, 4), die, workers=2, title="test")


def test_no_tasks_is_no_work():
    render_frames([], fail, workers=4, title="test")


PARENT = """
import time
from pathlib import Path
import numpy as np
from handdata.synth.render_many import render_frames
from handdata.synth.frame import Camera, SequenceSpec
from tests.synth.test_render_many import linger

if __name__ == "__main__":
    camera = Camera(name="a", K=np.array([[50.0, 0, 15], [0, 50, 15], [0, 0, 1]]), width=32, height=32)
    spec = SequenceSpec(seed=1, name="a", cameras=(camera,), small=True)
    render_frames([(spec, index) for index in range(8)], linger, workers=2, title="test")
"""


def linger(spec: SequenceSpec, index: int, frame) -> None:
    Path(f"{os.environ['FOLDER']}/{os.getpid()}").touch()
    time.sleep(60)


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    pids = tmp_path / "pids"
    pids.mkdir()
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "FOLDER": str(pids), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while len(list(pids.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [int(path.name) for path in pids.iterdir()]
        assert len(workers) == 2
        assert all(alive(pid) for pid in workers)
        parent.kill()
        parent.wait()
        until = time.monotonic() + 10
        while any(alive(pid) for pid in workers) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(alive(pid) for pid in workers)
    finally:
        parent.kill()
        parent.wait()
