"""A conversion on a Dask cluster gives the same shards, though a worker dies on the way."""

import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.conversion.dask import dask_executor
from handdata.conversion.run import convert
from handdata.errors import ConfigError

distributed = pytest.importorskip("distributed")
FRAMES = 700  # three shards: one more than workers
TIPS = "-10, -20, 400; 0, -30, 410; 10, -30, 420; 20, -25, 430; 30, -15, 440"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A sequence of Dexter+Object whose pictures are one file under many names."""
    folder = tmp_path / "native/data/Rigid"
    (folder / "color").mkdir(parents=True)
    (folder / "annotations").mkdir()
    (folder / "annotations/Rigid3D.txt").write_text(f"{TIPS}\n" * FRAMES)
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    cv2.imwrite(str(folder / "color/Color_0001.bmp"), picture)
    for number in range(2, FRAMES + 1):
        os.link(folder / "color/Color_0001.bmp", folder / f"color/Color_{number:04d}.bmp")
    return tmp_path / "native"


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as local:
        yield local


def kill_one_when(condition, pids: list[int], killed: list[int]) -> None:
    """Kill the first process as soon as the condition holds."""
    while not condition():
        time.sleep(0.01)
    os.kill(pids[0], signal.SIGKILL)
    killed.append(pids[0])


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(tree, cluster, tmp_path):
    out = tmp_path / "out"
    with distributed.Client(cluster, set_as_default=False) as client:
        pids = list(client.run(os.getpid).values())
    killed: list[int] = []

    def both_write() -> bool:
        return len(list(out.glob("*.partial"))) == 2

    killer = threading.Thread(target=kill_one_when, args=(both_write, pids, killed), daemon=True)
    killer.start()
    with dask_executor(cluster.scheduler_address) as executor:
        result = convert("dexter", tree, out, executor=executor)
    killer.join()

    assert killed == pids[:1]
    assert len(pids) == 2
    assert result.complete
    assert result.num_samples == FRAMES
    assert not list(out.glob("*.partial"))
    convert("dexter", tree, tmp_path / "alone")
    for name in ("index.json", *(f"test-{i:05d}.h5" for i in range(3))):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_nobody_at_the_address_is_one_clear_line(monkeypatch):
    monkeypatch.setattr("handdata.conversion.dask.CONNECT_S", 0.2)

    with (
        pytest.raises(ConfigError, match="--scheduler: expected a Dask scheduler at tcp://127"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
