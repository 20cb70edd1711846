"""A small part of tools/torture: whatever ends a command or fails under it, the same command makes it good."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.made_training import made_set

TOOL = Path(__file__).resolve().parents[2] / "tools/torture"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="steps are caught below the C library: Linux and cc"
)


def test_ends_and_failing_disks_of_a_subset_and_an_export(tmp_path):
    """In one process, which imports everything once; the commands read shards that are there already."""
    made_set(tmp_path / "inputs/shards", "rhd", train=8, val=6)
    (tmp_path / "inputs/native").mkdir()  # nothing to convert, which is told in a line
    ways = ["kill,steps,power,system,pairs,pages", "--commands", "subset,export coco,browse the page"]
    words = [sys.executable, TOOL, *ways, "--times", "1", "--home", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]

    assert {row["command"] for row in rows} == {"subset", "export coco", "browse, the page"}, done.stderr[-2000:]
    assert len(rows) == 2 * (1 + 4 + 2 + 9) + 3 + 3 + 5
    assert [(row["command"], row["what"], row["faults"]) for row in rows if row["faults"]] == []
    assert all(row["tried"] == 1 for row in rows)
    assert all(row["hit"] == 1 for row in rows if row["what"].startswith("kill at") and "hit" in row)
