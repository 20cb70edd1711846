"""The local pages under clients that mean them no good: slow ones, a thousand requests, large headers and bodies.

    python benchmarks/servers.py

Each page is its command in a process of its own, on loopback. 100 clients send a part of a request and no more; beside
them a thousand requests are answered and timed, and every kind of spoiled request must get an answer of 4xx or a
closed connection. Memory is the process's own (USS) after a first 200 requests and at the end.
"""

import argparse
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from machine import Aim, Result, arguments

MIB = 2.0**20
SLOW = 100  # clients
PART = b"POST /api/edit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
ASKED = "/api/state"
POSTED = {"browse": "/api/note"}  # the others: /api/edit


@dataclass
class Page:
    """A page that is served."""

    process: psutil.Popen
    port: int
    token: str

    @property
    def memory(self) -> float:
        """MiB of its own."""
        return self.process.memory_full_info().uss / MIB

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> int:
        """Return the status of an answer; 0 where the connection was closed without one."""
        own = {"X-Handdata-Token": self.token, "Host": f"127.0.0.1:{self.port}"} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, own)
            answer = connection.getresponse()
            answer.read()
        except (ConnectionError, http.client.HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    result = Result("servers")
    for name, words in commands(options.scratch / "servers").items():
        with served(words, options.scratch / "servers") as page:
            result.rows[name], aims = measured(name, page, options)
            result.aims += aims
    result.finish(as_json=options.json)


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the command of each page, on what it needs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for words in (
        ("synth", "rhd", "--frames", "12", "--size", "small", "--out", "native"),
        ("convert", "rhd", "--root", "native/rhd", "--out", "shards", "--canvas", "64"),
        ("synth", "dexter", "--frames", "12", "--size", "small", "--out", "native"),
    ):
        subprocess.run([sys.executable, "-m", "handdata", *words], cwd=folder, check=True, capture_output=True)
    pictures = str(next(folder.glob("native/rhd/*/color")).relative_to(folder))
    return {
        "annotate-bbox": [
            "annotate-bbox",
            "--images",
            pictures,
            "--out",
            "boxes.csv",
            "--no-model",
        ],  # it is loaded meanwhile
        "annotate": ["annotate", pictures, "--out", "points.json", "--no-proposals", "--stills"],
        "annotate, shards": ["annotate", "shards"],
        "annotate-depth": ["annotate-depth", "dexter/Rotate", "--root", "native/dexter", "--out", "d.json"],
        "browse": ["browse", "shards"],
    }


@contextmanager
def served(words: list[str], folder: Path) -> Iterator[Page]:
    """Serve a page until the end of the block."""
    log = folder / f"{words[0]}.log"
    with log.open("wb") as said:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        whole = [sys.executable, "-m", "handdata", *words, "--port", "0"]
        process = psutil.Popen(whole, cwd=folder, stdout=said, stderr=said, env=environment)
    found = None
    late = time.monotonic() + 60
    while found is None and time.monotonic() < late:
        time.sleep(0.1)
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", log.read_text())
    if found is None:
        process.kill()
        sys.exit(f"{' '.join(words)}: {log.read_text()[-2000:]}")
    try:
        yield Page(process, int(found[1]), found[2])
    finally:
        process.send_signal(2)
        process.wait(20)


def measured(name: str, page: Page, options: argparse.Namespace) -> tuple[dict[str, float], list[Aim]]:
    """Return the figures of a page, and what they should be."""
    statuses = {page.ask(ASKED) for _ in range(200)}
    before, handles = page.memory, page.process.num_fds()
    with ExitStack() as stack:
        for number in range(SLOW):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", page.port)))
            slow.sendall(PART[: 20 + number] if number % 2 else PART + b"\r\nx")
        times = []
        for _ in range(options.requests):
            began = time.perf_counter()
            statuses.add(page.ask(ASKED))
            times.append(1000 * (time.perf_counter() - began))
        answers = spoiled(page, POSTED.get(name, "/api/edit"))
        during = page.process.num_fds()
    time.sleep(1)
    after = page.memory
    row = {
        "ms per request, median": statistics.median(times),
        "slowest ms": max(times),
        "MiB before": before,
        "MiB after": after,
        "handles before": float(handles),
        "handles, 100 slow clients": float(during),
        "handles after": float(page.process.num_fds()),
        "still answers": float(page.ask(ASKED)),
    }
    wrong = [what for what, status in answers.items() if status != 0 and not 400 <= status < 500]
    print(name, answers, file=sys.stderr)
    return row, [
        Aim(f"{name}: requests answered other than 200", len(statuses - {200}), 0, at_least=False, unit=""),
        Aim(f"{name}: spoiled requests taken", len(wrong), 0, at_least=False, unit=f"of {len(answers)}"),
        Aim(f"{name}: slowest answer", max(times), 1000, at_least=False, unit="ms"),
        Aim(f"{name}: memory gained", after - before, 8, at_least=False, unit="MiB"),
        Aim(f"{name}: handles gained", row["handles after"] - handles, 2, at_least=False, unit="handles"),
    ]


def spoiled(page: Page, posted: str) -> dict[str, int]:
    """Return what requests are answered that nobody should send."""
    long = "x" * 1_000_000
    return {
        "header of 1 MB": page.ask("/api/state", Cookie=long),
        "path of 1 MB": page.ask(f"/api/{long}"),
        "body of 100 MB": page.ask(posted, "POST", b" " * 100_000_000),
        "body that is no JSON": page.ask(posted, "POST", b"\xff\x00{["),
        "deep JSON": page.ask(posted, "POST", b"[" * 60_000),
        "no such path": page.ask("/api/nothing"),
        "path out of the folder": page.ask("/../../etc/passwd"),
        "other method": page.ask("/api/state", "DELETE"),
        "no token": page.ask("/api/state", **{"X-Handdata-Token": "x"}),
        "other host": page.ask("/api/state", Host="evil.example"),
        "other origin": page.ask("/api/state", Origin="http://evil.example"),
        "no HTTP": raw(page, b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03" + bytes(500)),
        "two lengths": raw(page, PART + b"Content-Length: 5\r\n\r\nabcde"),
    }


def raw(page: Page, data: bytes) -> int:
    """Return the status of the answer to bytes, 0 where the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as connection:
        connection.sendall(data)
        try:
            answer = connection.recv(1000)
        except ConnectionError:
            return 0
    found = re.match(rb"HTTP/1\.1 (\d+)", answer)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
