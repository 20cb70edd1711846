"""Benchmarks that need no peer's packages run to their last line, on little data; their figures mean nothing here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SMALL = {
    "apply": ("--kinds", "compact", "--rounds", 2),
    "checked": ("--shards", 3, "--rows", 64, "--steps", 1, "--rounds", 1),
    "convert": ("--sets", "ganerated", "--copies", 1, "--rounds", 1),
    "convert --growth": ("--growth", "--largest", 1500),
    "memory": ("--count", 256, "--batches", 1200),
    "long_runs": ("--only", "train", "--steps", 1000, "--every", 0.1),
    "score": ("--most", 10_000),
    "servers": ("--requests", 20),
    "start": ("--shards", 3, "--rounds", 1),
    "video": ("--frames", 24, "--desk", "none"),
    "train_gpu": ("--device", "cpu", "--width", 0.25, "--size", 64, "--steps", 2, "--count", 512, "--batches", 8),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_ends_with_its_goal_line(name, tmp_path):
    script = FOLDER / f"{name.split()[0]}.py"
    command = [sys.executable, str(script), "--scratch", str(tmp_path), *map(str, SMALL[name])]
    run = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )

    assert run.returncode in (0, 1), run.stderr[-3000:]  # 1 is an aim missed
    assert run.stdout.splitlines()[-1].startswith("goal "), run.stderr[-3000:]
