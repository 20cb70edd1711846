"""The page of keypoints over 5,000 frames in headless Chromium: time to the next frame, of an edit, to open again.

    python benchmarks/annotate_page.py

The stand-in, named: 5,000 pictures of 640 x 480, a textured patch before a textured ground. The command runs in a
process of its own, without a model (`--no-proposals`); optical flow follows the points of one hand in the background,
as it does for a person. `next frame` is the time from the key to the picture and its points on the screen, at the pace
of a person who looks at each (ten per second) and with the key held down (thirty per second).
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import Aim, Result, arguments
from playwright.sync_api import sync_playwright

from handdata.annotate.keypoints.template import in_box

NEXT_MS, WIDTH, HEIGHT, PATCH = 50.0, 640, 480, 260
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
PRESS = """async ([key, count, pause]) => {
  const stage = document.getElementById("stage"), times = [];
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let i = 0; i < count; i++) {
    const wanted = String(Number(stage.dataset.index) + 1);
    const begun = performance.now();
    window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    while (stage.dataset.drawn !== wanted) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - begun);
    await sleep(Math.max(0, pause - times.at(-1)));
  }
  return times;
}"""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--presses", type=int, default=200)
    options = parser.parse_args()
    folder = options.scratch / f"frames-{options.frames}"
    if not (folder / f"{options.frames - 1:05d}.jpg").is_file():
        write_frames(folder, options.frames)
    for path in folder.glob("keypoints.*"):
        path.unlink()
    result = Result("annotate page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        with opened(folder) as (address, seconds):
            result.rows["open, nothing said"] = {"command_s": seconds, "page_s": show(browser, address)[1]}
            edits = place_hands(address, options.frames)
            result.rows["edit, on the disk"] = {
                "median_ms": statistics.median(edits) * 1e3,
                "slowest_ms": max(edits) * 1e3,
            }
            page, _ = show(browser, address)
            for name, pause in (("ten per second", 100), ("held down", 33)):
                times = page.evaluate(PRESS, ["f", options.presses, pause])
                row = {"median_ms": statistics.median(times), "p90_ms": float(np.percentile(times, 90))}
                result.rows[f"next frame, {name}"] = row
            jump = time.perf_counter()
            page.keyboard.press("End")
            page.wait_for_selector(f'#stage[data-drawn="{options.frames - 1}"]')
            result.rows["to the last frame"] = {"ms": (time.perf_counter() - jump) * 1e3}
            page.close()
        with opened(folder) as (address, seconds):
            result.rows["open again"] = {"command_s": seconds, "page_s": show(browser, address)[1]}
        browser.close()
    figure = result.rows["next frame, ten per second"]["median_ms"]
    result.aims.append(Aim("next frame, median", figure, NEXT_MS, at_least=False, unit="ms"))
    result.finish(as_json=options.json)


def show(browser: Any, address: str) -> tuple[Any, float]:
    """Open the page; return it and the time until its first frame is drawn, s."""
    page, began = browser.new_page(viewport={"width": 1400, "height": 900}), time.perf_counter()
    page.goto(address)
    page.wait_for_selector('#stage[data-drawn="0"]', timeout=120_000)
    return page, time.perf_counter() - began


def place_hands(address: str, frames: int) -> list[float]:
    """Place a hand on every hundredth frame as the page does; return the time of each edit, s."""
    base, _, token = address.partition("/#")
    times, number = [], 0
    for frame in range(0, frames, 100):
        left, top = corner(frame)
        box = (left + 20, top + 20, left + PATCH - 20, top + PATCH - 20)
        points = {str(k): [round(float(u), 2), round(float(v), 2)] for k, (u, v) in enumerate(in_box(box, "left"))}
        begin = {"op": "begin", "frame": frame, "box": list(box), "side": "left"}
        place = {"op": "place", "frame": frame, "hand": number, "points": points}
        for edit in (begin, place) if frame == 0 else (place,):
            body = json.dumps({**edit, "since": 2**40}).encode()
            asked = urllib.request.Request(base + "/api/edit", body, {"x-handdata-token": token})
            began = time.perf_counter()
            with urllib.request.urlopen(asked, timeout=60) as answer:
                json.load(answer)
            times.append(time.perf_counter() - began)
    return times


def corner(frame: int) -> tuple[int, int]:
    """Return where the patch's left top corner is in a frame, px."""
    return int(180 + 150 * np.sin(frame / 40)), int(110 + 90 * np.cos(frame / 55))


def write_frames(folder: Path, count: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    ground, patch = cv2.GaussianBlur(noise, (0, 0), 6) // 2, cv2.GaussianBlur(noise, (0, 0), 2)[:PATCH, :PATCH]
    for frame in range(count):
        image, (left, top) = ground.copy(), corner(frame)
        image[top : top + PATCH, left : left + PATCH] = patch
        cv2.imwrite(str(folder / f"{frame:05d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])


@contextmanager
def opened(folder: Path) -> Iterator[tuple[str, float]]:
    """Start the command; give its address and the time until it says that; end it."""
    command = [sys.executable, "-m", "handdata", "annotate", str(folder), "--no-proposals", "--port", "0"]
    began = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = next(line for line in child.stderr if line.startswith("open "))
        try:
            yield line.split()[1], time.perf_counter() - began
        finally:
            child.terminate()


if __name__ == "__main__":
    main()
