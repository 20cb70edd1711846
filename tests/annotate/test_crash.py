"""kill -9 after any edit loses nothing that was acknowledged."""

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.annotate.conftest import NUM_FRAMES

ROOT = Path(__file__).resolve().parents[2]
NUM_EDITS = 100


class Lives:
    """A server that is killed and started again on the same table."""

    def __init__(self, folder: Path, table: Path) -> None:
        command = [sys.executable, "-m", "tests.annotate.forked_server", str(folder), str(table)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
        )
        self._pid = 0

    def start(self) -> None:
        """Start a server and connect to it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._pid = int(self._process.stdout.readline())
        said = self._process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", said)
        assert address, said
        self._connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
        self._headers = {"x-handdata-token": address[2]}

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        assert self._process.stdout is not None
        os.kill(self._pid, signal.SIGKILL)
        assert self._process.stdout.readline() == "dead\n"
        self._connection.close()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make one call; its answer is the acknowledgement."""
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        self._connection.request(method, path, data, self._headers)
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        assert response.status == 200, answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


@pytest.fixture
def lives(made_folder: Path, table: Path) -> Iterator[Lives]:
    with Lives(made_folder, table) as opened:
        yield opened


def fixed(answer: dict[str, Any]) -> tuple[Any, ...]:
    """What a person has said, as the server states it: every mark, and whether there is something to undo and redo.

    Without the doubt of a frame, which is not said but found: it rises when the tracker contradicts a box that is kept.
    """
    marks = {frame: [*cell[:2], *cell[3:5]] for frame, cell in answer["frames"].items() if cell[4]}
    return marks, answer["undo"], answer["redo"]


def random_edit(rng: random.Random) -> dict[str, Any]:
    frame, end = sorted(rng.sample(range(NUM_FRAMES), 2))
    box = [rng.uniform(-10, 110), rng.uniform(-10, 80), rng.uniform(20, 60), rng.uniform(20, 60)]
    stretch = {"first": frame, "last": end}
    return rng.choice(
        [
            {"op": "keyframe", "frame": frame, "box": box},
            {"op": "keyframe", "frame": end, "box": box},
            {"op": "absent", "frame": frame},
            {"op": "clear", "frame": frame},
            {"op": "watch", **stretch},
            {"op": "review", **stretch},
            {"op": "release", **stretch},
            {"op": "undo"},
            {"op": "redo"},
        ]
    )


@pytest.mark.slow
def test_kill_after_each_of_100_random_edits_restores_exactly_what_was_acknowledged(lives: Lives) -> None:
    rng = random.Random(8)
    acknowledged: tuple[Any, ...] = ({}, False, False)
    changed = 0
    for _ in range(NUM_EDITS):
        lives.start()
        assert fixed(lives.ask("/api/state?since=0")) == acknowledged
        before = acknowledged
        acknowledged = fixed(lives.ask("/api/edit", {**random_edit(rng), "since": 0}))
        changed += acknowledged != before
        lives.kill()
    lives.start()
    assert fixed(lives.ask("/api/state?since=0")) == acknowledged
    assert changed > NUM_EDITS // 2  # the edits were not idle
    lives.kill()


def test_undo_reaches_back_over_a_kill(lives: Lives) -> None:
    lives.start()
    lives.ask("/api/edit", {"op": "keyframe", "frame": 0, "box": [10, 20, 40, 40]})
    lives.ask("/api/edit", {"op": "absent", "frame": 5})
    lives.kill()

    lives.start()
    assert set(fixed(lives.ask("/api/edit", {"op": "undo", "since": 0}))[0]) == {"0"}
    assert fixed(lives.ask("/api/edit", {"op": "undo", "since": 0})) == ({}, False, True)
    assert set(fixed(lives.ask("/api/edit", {"op": "redo", "since": 0}))[0]) == {"0"}
    lives.kill()
