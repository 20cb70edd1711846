"""`handdata browse` over a million hands: time to the first page, and of a filter.

    python benchmarks/browse.py

The stand-in, named: 1,000,000 made hands in shards of 4,096, each with labels and an id of its own, and canvases of 16
px, so that they take 2 GB and not 110; the page reads the pixels of the 60 hands it shows. The command runs in a
process of its own; the first page is the time from its start to the sixtieth small picture, asked for as the page does.
Filters are timed twice: while `doubt` is computed in the background, as it is after every start, and when nothing is.
With --chromium the same page is opened in a running headless Chromium, which shares the machine's cores: until its rows
are there, and until sixty pictures are drawn, both from the start of the command.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import peers
import psutil
from annotate_page import CHROMIUM
from machine import Aim, Result, arguments
from playwright.sync_api import sync_playwright

from handdata.geometry import crop_affine
from handdata.pictures.crops import centered_square
from handdata.shards.writer import ShardWriter

ROWS, SIDE = 4096, 16
FIRST_S, FILTER_S = 5.0, 1.0  # issue 20
PAGE = 60
DRAWN = """(count) => [...document.querySelectorAll("#grid .cell img")]
  .filter((one) => one.complete && one.naturalWidth > 0).length >= count"""
FILTERS: dict[str, dict[str, Any]] = {
    "side": {"where": {"side": ["right"]}},
    "part of an id": {"where": {"id": "77/12"}},
    "scale of the hand": {"where": {"scale_mm": [80, 95]}},
    "tags": {"where": {"tags": ["wrong"]}},
    "sequence and flags": {"where": {"sequence": ["s3", "s5"], "flags": ["none"]}},
    "visible points, sorted by scale": {"where": {"visible": [15, None]}, "sort": "scale_mm", "descending": True},
    "all, sorted by id": {"sort": "id"},
    "all again": {},
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="hands")
    parser.add_argument("--chromium", action="store_true", help="time the page in a browser, and nothing else")
    options = parser.parse_args()
    folder = options.scratch / f"browse-{options.count}"
    if not (folder / "index.json").is_file():
        make(folder, options.count)
    result = Result("browse")
    if options.chromium:
        time_in_chromium(folder, options.rounds, result)
    else:
        time_what_is_asked_for(folder, options.count, options.rounds, result)
    result.finish(as_json=options.json)


def time_in_chromium(folder: Path, rounds: int, result: Result) -> None:
    rows, drawn = zip(*in_chromium(folder, rounds), strict=True)
    result.notes.append(f"rows on the page after {', '.join(f'{seconds:.1f}' for seconds in rows)} s")
    result.notes.append(f"all pictures after {', '.join(f'{seconds:.1f}' for seconds in drawn)} s")
    result.aims.append(Aim("first page in Chromium", statistics.median(drawn), FIRST_S, at_least=False, unit="s"))


def time_what_is_asked_for(folder: Path, count: int, rounds: int, result: Result) -> None:
    firsts, spent, filters = [], [], {name: {"busy": [], "idle": []} for name in FILTERS}
    for number in range(rounds):
        began = time.perf_counter()
        with opened(folder) as page:
            table, shown = first_page(page)
            firsts.append(time.perf_counter() - began)
            spent.append(page.cpu_seconds())
            assert table["total"] == count
            assert shown == PAGE
            page.get("/api/state")  # begins with doubt
            page.get("/api/tag", json.dumps({"tag": "wrong", "rows": list(range(0, count, 1999))}).encode())
            ask_all(page, filters, "busy")
            wait_for_doubt(page)
            ask_all(page, filters, "idle")
        result.notes.append(f"round {number + 1}: first page {firsts[-1]:.2f} s, {spent[-1]:.2f} s of CPU")
    for name, times in filters.items():
        result.rows[name] = {f"{kind}_s": statistics.median(values) for kind, values in times.items()}
    result.aims.append(Aim("first page", statistics.median(firsts), FIRST_S, at_least=False, unit="s"))
    for kind, said in (("busy", "while doubt is computed"), ("idle", "at rest")):
        worst = max(row[f"{kind}_s"] for row in result.rows.values())
        result.aims.append(Aim(f"slowest filter, {said}", worst, FILTER_S, at_least=False, unit="s"))


def first_page(page: "Page") -> tuple[dict[str, Any], int]:
    """Ask for what the page asks for first; return its table and how many pictures came."""
    page.get("/")
    table = json.loads(page.get("/api/table"))
    rows = page.query({})["rows"]
    with ThreadPoolExecutor(6) as together:  # connections of a browser to one server
        pictures = list(together.map(lambda row: page.get(f"/api/picture/labels/{row['number']}"), rows))
    return table, sum(data[:2] == b"\xff\xd8" for data in pictures)


def in_chromium(folder: Path, rounds: int) -> list[tuple[float, float]]:
    """Return the seconds from the start of the command to the rows on the page, and to all of its pictures."""
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            began = time.perf_counter()
            with opened(folder) as command:
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                page.goto(command.address)
                page.wait_for_selector(f"#grid li:nth-child({PAGE})", timeout=600_000)
                rows = time.perf_counter() - began
                page.wait_for_function(DRAWN, arg=PAGE, timeout=600_000)
                seconds.append((rows, time.perf_counter() - began))
                page.close()
        browser.close()
    return seconds


def ask_all(page: "Page", filters: dict[str, dict[str, list[float]]], kind: str) -> None:
    for name, asked in FILTERS.items():
        began = time.perf_counter()
        page.query(asked)
        filters[name][kind].append(time.perf_counter() - began)


def wait_for_doubt(page: "Page") -> None:
    while not json.loads(page.get("/api/state"))["ready"]["doubt"]:
        time.sleep(0.2)


class Page:
    """What a browser asks a running `handdata browse`."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self._base, _, self._token = address.partition("/#")
        self._process = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the command so far, s."""
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def get(self, path: str, body: bytes | None = None) -> bytes:
        asked = urllib.request.Request(self._base + path, body, {"x-handdata-token": self._token})
        with urllib.request.urlopen(asked, timeout=600) as answer:
            return answer.read()

    def query(self, asked: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/api/query", json.dumps({**asked, "count": PAGE}).encode()))
        return found


@contextmanager
def opened(folder: Path) -> Iterator[Page]:
    """Start the command; give its page; end it."""
    command = [sys.executable, "-m", "handdata", "browse", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = next(line for line in child.stderr if line.startswith("open "))
        try:
            yield Page(line.split()[1], child.pid)
        finally:
            child.terminate()


def make(folder: Path, count: int) -> None:
    """Write the hands, in processes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    numbers = range(-(-count // ROWS))
    with get_context("spawn").Pool(2) as pool:
        entries = pool.starmap(make_shard, [(folder, n, min(ROWS, count - n * ROWS)) for n in numbers])
    peers.write_entries(folder, entries)


def make_shard(folder: Path, number: int, size: int) -> dict[str, Any]:
    """Write one shard of made labels; return its entry of the index."""
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    facts = {"dataset": "synthhands", "split": "train", "canvas_scale": 1.5, "options": "{}"}
    names = [f"s{n}" for n in range(8)]
    base = peers.made_labels(rng)
    window = crop_affine(centered_square(640, 480) * 1.5 - np.array([160, 120, 160, 120]), SIDE)
    path = folder / f"train-{number:05d}.h5"
    with ShardWriter(path, size, canvas=SIDE, attributes=facts, sequences=names, cameras=["c"]) as shard:
        for i in range(size):
            xyz = base["keypoints_3d"] + rng.normal(0, 2, (21, 3)).astype(np.float32)
            shard.append(
                base
                | {
                    "image": images[i],
                    "source_to_canvas": window,
                    "crop_xyxy": centered_square(640, 480),
                    "sample_id": f"{number}/{i}".encode(),
                    "hand_side": np.uint8(i % 2),
                    "sequence": np.int32(i % 8),
                    "frame": np.int32(i),
                    "visible": rng.integers(0, 2, 21).astype(np.int8),
                    "scale_mm": np.float32(rng.uniform(70, 110)),
                    "keypoints_3d": xyz,
                }
            )
    entry: dict[str, Any] = shard.entry()
    return entry


if __name__ == "__main__":
    main()
