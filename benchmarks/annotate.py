"""Goal 6, annotating: how many boxes a person must draw, and how long the next frame takes to show.

A simulated person watches and corrects: a frame whose box has IoU < t with the truth gets the true box, and tracking
goes on from there. The same person watches a box that never moves, linear interpolation (given with foresight: each
keyframe as late as all frames before it allow), OpenCV's default KCF one way, its CSRT, and ours. Unattended, a
keyframe every S frames is given and nobody watches.

Sequences: ../shared/samples/tracking where it is there (real video), and rendered ones at 25 frames a second. Frames
without a true box do not count. Boxes are as labelled (tight) or the thesis' loose squares (longest side times 1.1).
Judged are tight boxes at IoU 0.5, all sequences of hands together, against the better of default KCF primed and as the
thesis ran it, and against the best of PEERS at both limits. The interval is over sequences. The tracker's constants
were chosen on rendered numbers below 200 (`--first 200` renders others).
"""

import argparse
import csv
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.guided import GuidedFollower
from handdata.annotate.marks import person
from handdata.annotate.pictures import list_pictures
from handdata.annotate.tracker import Follower, TrackerSettings
from handdata.annotate.tracking import SequenceTracks
from handdata.boxes import Box
from handdata.geometry import iou, xywh_to_xyxy
from handdata.synth.frame import Camera, Motion, SequenceSpec
from handdata.synth.sequence import render_frame
from handdata.track.ask import ask_compact

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT.parent / "shared" / "samples" / "tracking"
CHROMIUM = Path("/usr/bin/chromium")
LIMITS = (0.5, 0.7)
NO_HANDS = ("vot_bag",)  # a bag that is carried: shown apart
SPACINGS = (10, 20, 30, 50)
MOTIONS: tuple[Motion, ...] = ("random", "grasp", "swipe")
MOST_OF_DEFAULT = 0.55  # of default KCF's boxes
LEAST_SHARE = 0.92  # of frames at IoU 0.5 with a keyframe every 30
MOST_MS = 50.0
FOREARM = 16  # handdata/synth/frame.py: part labels are 1 + 17 h + p
SEEN_FIRST = 20  # frames, of those that the page is shown when it has to search
PEERS = (
    "default KCF, one way, primed",
    "CSRT, one way, primed",
    "MedianFlow, one way",
    "linear interpolation, foresight",
)
MOST_OF_BEST = 0.65  # of the boxes of the best of them
SMALLEST_PX = 24  # a hand seen with a shorter side than this counts as absent

ASK = ask_compact()

Image = NDArray[np.uint8]
Step = Callable[[Image], Box | None]
Begin = Callable[[Image, Box], Step]


@dataclass
class Sequence:
    """Pictures with their true boxes; None where there is no label."""

    name: str
    folder: Path
    truth: list[Box | None]
    images: list[Image] = field(repr=False)

    @property
    def labelled(self) -> list[int]:
        return [frame for frame, box in enumerate(self.truth) if box is not None]

    def squared(self) -> "Sequence":
        return Sequence(self.name, self.folder, [box and square(box) for box in self.truth], self.images)


def square(box: Box) -> Box:
    x, y, w, h = box
    side = 1.1 * max(w, h)
    return x + (w - side) / 2, y + (h - side) / 2, side, side


def real_sequences() -> Iterator[Sequence]:
    for folder in sorted(path.parent for path in SAMPLES.glob("*/boxes.csv")):
        yield read_sequence(folder)


def read_sequence(folder: Path) -> Sequence:
    with (folder / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = [tuple(float(row[side]) for side in "xywh") if row["x"] else None for row in rows]
    pictures = list_pictures(folder / "frames")
    return Sequence(folder.name, folder / "frames", truth, [pictures.read(i) for i in range(len(pictures))])


def rendered_sequences(folder: Path, numbers: Iterable[int], frames: int) -> Iterator[Sequence]:
    """Render a hand in front of scenes, with the noise and blur of a webcam, and box what is seen of it.

    A number is as good as a seed. What `folder` holds already is read.
    """
    for motion, number in itertools.product(MOTIONS, numbers):
        target = folder / f"rendered_{motion}_{number}_{frames}"
        if not (target / "boxes.csv").exists():
            render(target, motion, number, frames)
        sequence = read_sequence(target)
        sequence.name = f"rendered_{motion}_{number}"
        yield sequence


def add_rendered(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which sequences to render."""
    parser.add_argument("--rendered", type=int, default=2, help="rendered sequences of each motion")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--scratch", type=Path, help="keep rendered pictures here")


def asked_sequences(asked: argparse.Namespace, folder: Path, frames: int) -> Iterator[Sequence]:
    """Return the rendered sequences of those options, kept in `folder` unless they name another one."""
    return rendered_sequences(asked.scratch or folder, range(asked.first, asked.first + asked.rendered), frames)


def render(target: Path, motion: Motion, number: int, frames: int) -> None:
    K = np.array([[587.0, 0.0, 320.0], [0.0, 587.0, 240.0], [0.0, 0.0, 1.0]])
    camera = Camera(name="color", K=K, width=640, height=480)
    spec = SequenceSpec(
        seed=80 + number, name=f"rendered_{motion}_{number}", cameras=(camera,), motion=motion, fps=25.0,
        style="gritty", small=True,
    )  # fmt: skip
    (target / "frames").mkdir(parents=True, exist_ok=True)
    lines = ["frame,x,y,w,h"]
    for i in range(frames):
        view = render_frame(spec, i).views[0]
        cv2.imwrite(str(target / "frames" / f"{i:04}.png"), view.image[:, :, ::-1])
        lines.append(",".join(map(str, [i, *(seen_box(view.part) or [""] * 4)])))
    (target / "boxes.csv").write_text("\n".join(lines) + "\n")  # last, so that it says that all is there


def seen_box(part: NDArray[np.uint8]) -> Box | None:
    hand = (part > 0) & ((part.astype(int) - 1) % 17 != FOREARM)
    rows, columns = np.flatnonzero(hand.any(1)), np.flatnonzero(hand.any(0))
    if len(rows) < SMALLEST_PX or len(columns) < SMALLEST_PX:
        return None
    x, y = float(columns[0]), float(rows[0])
    return x, y, columns[-1] + 1 - x, rows[-1] + 1 - y


# ---- the methods


def ours(settings: TrackerSettings | None = None) -> Begin:
    """Ours without the model."""

    def begin(image: Image, box: Box) -> Step:
        return Follower(image, box, settings).follow

    return begin


def guided(image: Image, box: Box) -> Step:
    """Ours as it comes: MedianFlow guided by the weights `compact`."""
    return GuidedFollower(image, box, TrackerSettings(), ASK).follow


def inside(image: Image, box: Box) -> tuple[int, int, int, int]:
    """The part of a box inside the picture, x, y, w, h in whole px: what OpenCV's trackers start with."""
    height, width = image.shape[:2]
    x, y = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    return x, y, right - x, bottom - y


def default_kcf(*, primed: bool) -> Begin:
    """OpenCV's KCF as it comes, at full size."""

    def begin(image: Image, box: Box) -> Step:
        x, y, w, h = inside(image, box)
        tracker = cv2.TrackerKCF.create()
        tracker.init(image, (x, y, w, h))
        if primed:
            tracker.update(image)

        def step(later: Image) -> Box | None:
            found, place = tracker.update(later)
            if not found:
                return None
            return box[0] + place[0] - x, box[1] + place[1] - y, box[2], box[3]  # the overhang put back, as for ours

        return step

    return begin


def csrt(image: Image, box: Box) -> Step:
    """OpenCV's CSRT as it comes, primed as KCF; it follows size."""
    tracker = cv2.TrackerCSRT.create()
    tracker.init(image, inside(image, box))
    tracker.update(image)

    def step(later: Image) -> Box | None:
        found, place = tracker.update(later)
        return tuple(float(side) for side in place) if found and min(place[2:]) > 0 else None

    return step


def medianflow(image: Image, box: Box) -> Step:
    """OpenCV's MedianFlow as it comes, at full size; its `init` learns the first picture."""
    tracker = cv2.legacy.TrackerMedianFlow_create()
    tracker.init(image, inside(image, box))

    def step(later: Image) -> Box | None:
        try:
            found, place = tracker.update(later)
        except cv2.error:  # it fails on what it has grown beyond
            return None
        return tuple(float(side) for side in place) if found and min(place[2:]) > 0 else None

    return step


def still(_: Image, box: Box) -> Step:
    return lambda _image: box


WATCHED: dict[str, Begin] = {
    "box that never moves": still,
    "default KCF, one way (thesis)": default_kcf(primed=False),
    "default KCF, one way, primed": default_kcf(primed=True),
    "CSRT, one way, primed": csrt,
    "MedianFlow, one way": medianflow,
    "ours": guided,
    "ours without the model": ours(),
    "ours, KCF": ours(TrackerSettings("kcf")),
    "ours, KCF, size as drawn": ours(TrackerSettings("kcf", follow_size=False)),
}


def overlap(a: Box | None, b: Box) -> float:
    return 0.0 if a is None else float(iou(xywh_to_xyxy(a), xywh_to_xyxy(b)))


def watch(sequence: Sequence, begin: Begin, limit: float) -> int:
    """Return how many boxes the person draws, watching."""
    drawn, step = 0, None
    for image, truth in zip(sequence.images, sequence.truth, strict=True):
        found = step(image) if step else None
        if truth is not None and overlap(found, truth) < limit:
            step, drawn = begin(image, truth), drawn + 1
    return drawn


def interpolate_with_foresight(sequence: Sequence, limit: float) -> int:
    """Return how many keyframes linear interpolation needs, each placed as late as possible."""
    labelled, truth = sequence.labelled, sequence.truth
    drawn, at = 1, 0
    while at < len(labelled) - 1:
        reach = at + 1
        for end in range(at + 2, len(labelled)):
            inner = [labelled[i] for i in range(at + 1, end)]
            if all(overlap(between(truth, labelled[at], labelled[end], i), truth[i]) >= limit for i in inner):
                reach = end
            elif end > reach + 30:
                break
        at, drawn = reach, drawn + 1
    return drawn


def between(truth: list[Box | None], left: int, right: int, frame: int) -> Box:
    share = (frame - left) / (right - left)
    x, y, w, h = (a + (b - a) * share for a, b in zip(truth[left], truth[right], strict=True))
    return x, y, w, h


def unattended(sequence: Sequence, spacing: int, method: str) -> list[float]:
    """Return the IoU of every labelled frame between keyframes `spacing` apart, nobody watching."""
    labelled, truth = sequence.labelled, sequence.truth
    keys = sorted({*labelled[::spacing], labelled[-1]})
    if method == "ours":
        board = SequenceTracks(list_pictures(sequence.folder), TrackerSettings(), ASK)
        marks = {frame: person(truth[frame]) for frame in keys}
        while (job := board.next_job(marks, 0)) is not None:
            board.do(job)
        boxes = [cell.box for cell in board.cells(marks, 0)]
    elif method == "linear interpolation":
        boxes = [None] * len(truth)
        for left, right in itertools.pairwise(keys):
            boxes[left:right] = [between(truth, left, right, frame) for frame in range(left, right)]
    else:
        boxes = one_way(sequence, keys, WATCHED[method])
    return [overlap(boxes[frame], truth[frame]) for frame in labelled if frame not in keys]


def one_way(sequence: Sequence, keys: list[int], begin: Begin) -> list[Box | None]:
    boxes: list[Box | None] = [None] * len(sequence.truth)
    for left, right in itertools.pairwise(keys):
        step = begin(sequence.images[left], sequence.truth[left])
        for frame in range(left + 1, right):
            boxes[frame] = step(sequence.images[frame])
    return boxes


# ---- the page


def next_frame_ms(folder: Path, box: Box, frames: int) -> dict[str, float]:
    """Return how long the next frame takes to show in the page while tracking runs behind it: median, 95 %, worst.

    Args:
        folder: the pictures.
        box: of the hand on the first one, which is drawn there.
        frames: to step through, ten a second.
    """
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch:
        given = Path(scratch, "given.csv")
        first = list_pictures(folder).img_names[0]
        given.write_text(f"img_name,x,y,w,h\n{first},{','.join(f'{side:.2f}' for side in box)}\n")
        command = [sys.executable, "-m", "handdata", "annotate-bbox", "--images", str(folder)]
        command += ["--out", f"{scratch}/boxes.csv", "--import", str(given), "--port", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert server.stderr is not None
        address = next(found for line in server.stderr if (found := re.search(r"http://\S+", line)))
        try:
            with sync_playwright() as playwright:
                options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
                browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(address[0])
                page.wait_for_selector('#stage[data-drawn="0"][data-kind="imported"]')
                page.keyboard.press("k")  # the box becomes a drawn one: tracking starts and keeps a core busy
                page.wait_for_selector("#tracking")
                busy = 0
                for _ in range(frames):
                    page.keyboard.press("f")
                    busy += page.locator("#tracking").is_visible()
                    time.sleep(0.1)
                taken = page.evaluate("performance.getEntriesByName('frame shown').map((entry) => entry.duration)")
                browser.close()
        finally:
            server.terminate()
            server.wait(20)
    taken.sort()
    return {
        "frames": len(taken),
        "while tracking": busy,
        "median ms": statistics.median(taken),
        "p95 ms": taken[int(0.95 * len(taken))],
        "worst ms": taken[-1],
    }


def page_latency(sequence: Sequence) -> dict[str, dict[str, float]]:
    """Measure the page while the hand is tracked, and while it is gone and searched for in the whole picture."""
    box, frames = sequence.truth[0], min(150, len(sequence.truth) - 1)
    assert box is not None
    with tempfile.TemporaryDirectory() as folder:
        for i, image in enumerate(sequence.images):
            shown = image if i < SEEN_FIRST else cv2.GaussianBlur(image, (0, 0), 40)
            cv2.imwrite(f"{folder}/{i:04}.png", shown)
        return {
            "tracking": next_frame_ms(sequence.folder, box, frames),
            "searching": next_frame_ms(Path(folder), box, frames),
        }


# ---- all of it


def pooled(counts: dict[str, int], sequences: list[Sequence]) -> float:
    """Return boxes per 1,000 labelled frames."""
    return 1000 * sum(counts[one.name] for one in sequences) / sum(len(one.labelled) for one in sequences)


def measure_watching(sequences: list[Sequence], *, squares: bool) -> dict[str, Any]:
    methods: dict[str, Callable[[Sequence, float], int]] = {
        name: (lambda one, limit, begin=begin: watch(one, begin, limit)) for name, begin in WATCHED.items()
    }
    methods["linear interpolation, foresight"] = interpolate_with_foresight
    found: dict[str, Any] = {}
    shapes = {"tight": sequences} | ({"square": [one.squared() for one in sequences]} if squares else {})
    for shape, chosen in shapes.items():
        for name, method in methods.items():
            for limit in LIMITS:
                found.setdefault(f"{shape}@{limit}", {})[name] = {one.name: method(one, limit) for one in chosen}
    return found


def measure_unattended(sequences: list[Sequence]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for spacing in SPACINGS:
        for method in ("box that never moves", "linear interpolation", "default KCF, one way (thesis)", "ours"):
            per = {one.name: unattended(one, spacing, method) for one in sequences}
            everything = [value for values in per.values() for value in values]
            shares = {str(limit): float(np.mean(np.array(everything) >= limit)) for limit in LIMITS}
            found.setdefault(str(spacing), {})[method] = shares | {
                "by sequence at 0.5": {name: float(np.mean(np.array(values) >= 0.5)) for name, values in per.items()}
            }
    return found


def of_best(methods: dict[str, dict[str, Any]], group: str) -> float:
    """Return the share of our boxes in those of the best peer."""
    return float(methods["ours"][group] / min(methods[peer][group] for peer in PEERS))


def groups(sequences: list[Sequence]) -> dict[str, list[Sequence]]:
    bag = [one for one in sequences if one.name in NO_HANDS]
    rendered = [one for one in sequences if one.name.startswith("rendered")]
    real = [one for one in sequences if one not in bag and one not in rendered]
    named = {"real": real, "rendered": rendered, "hands": real + rendered, "no hand": bag}
    return {name: members for name, members in named.items() if members}


def interval(counts: dict[str, int], sequences: list[Sequence]) -> list[float]:
    """Return the 95 % interval of boxes per 1,000 frames over the sequences, by 2,000 draws with seed 0."""
    rng = np.random.default_rng(0)
    drawn = [
        pooled(counts, [sequences[i] for i in rng.integers(len(sequences), size=len(sequences))]) for _ in range(2000)
    ]
    return [round(float(value), 1) for value in np.percentile(drawn, [2.5, 97.5])]


def report(sequences: list[Sequence], page: Sequence | None, *, squares: bool) -> dict[str, Any]:
    watching, keys = measure_watching(sequences, squares=squares), measure_unattended(sequences)
    per_1000 = {
        case: {
            method: {name: round(pooled(counts, members), 1) for name, members in groups(sequences).items()}
            | {"95 %": interval(counts, groups(sequences)["hands"])}
            for method, counts in methods.items()
        }
        for case, methods in watching.items()
    }
    latency = page_latency(page) if page else None
    judged = per_1000["tight@0.5"]
    against = min(judged["default KCF, one way (thesis)"]["hands"], judged["default KCF, one way, primed"]["hands"])
    figures = {
        "boxes against default KCF": judged["ours"]["hands"] / against,
        "frames at 0.5, keyframe every 30": keys["30"]["ours"]["0.5"],
        "next frame, median ms": latency and max(row["median ms"] for row in latency.values()),
    }
    met = figures["boxes against default KCF"] <= MOST_OF_DEFAULT
    met = met and figures["frames at 0.5, keyframe every 30"] >= LEAST_SHARE
    met = met and (latency is None or figures["next frame, median ms"] <= MOST_MS)
    best = {group: {case: of_best(methods, group) for case, methods in per_1000.items()} for group in groups(sequences)}
    met = met and max(best["hands"].values()) <= MOST_OF_BEST
    return {
        "frames": {one.name: len(one.labelled) for one in sequences},
        "boxes drawn": watching,
        "boxes per 1,000 frames": per_1000,
        "unattended": keys,
        "against the best peer": best,
        "page": latency,
        "figures": figures,
        "met": met,
    }


def print_report(result: dict[str, Any]) -> None:
    print("sequences: " + ", ".join(f"{name} {count}" for name, count in result["frames"].items()))
    for case, methods in result["boxes per 1,000 frames"].items():
        print(f"human boxes per 1,000 frames, {case.replace('@', ', IoU >= ')}:")
        for method, by_group in methods.items():
            print(f"  {method:34}" + "".join(f"  {name} {value}" for name, value in by_group.items()))
    for spacing, methods in result["unattended"].items():
        for method, shares in methods.items():
            values = "  ".join(f"IoU >= {limit}: {100 * shares[str(limit)]:5.1f} %" for limit in LIMITS)
            print(f"keyframe every {spacing:>2}, nobody watching, {method:30}  {values}")
    for group, shares in result["against the best peer"].items():
        print(f"of the best peer's boxes, {group}: " + ", ".join(f"{c} {100 * v:.0f} %" for c, v in shares.items()))
    for doing, row in (result["page"] or {}).items():
        print(f"next frame in the page, {doing}: " + ", ".join(f"{name} {value:.3g}" for name, value in row.items()))
    if not result["page"]:
        print(f"next frame in the page: not measured, no Chromium at {CHROMIUM}")
    boxes, share, taken = result["figures"].values()
    shown = "page not measured" if taken is None else f"{taken:.1f} ms to the next frame"
    figures = f"{100 * boxes:.0f} % of default KCF's boxes, {100 * share:.1f} % at a keyframe every 30, {shown}"
    print(f"goal 6: {figures} (aim 55 %, 92 %, 50 ms; 65 % of the best) {'met' if result['met'] else 'missed'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--squares", action="store_true", help="measure the thesis' loose squares too")
    add_rendered(parser)
    parser.add_argument("--frames", type=int, default=200, help="frames of a rendered sequence")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        rendered = list(asked_sequences(asked, Path(folder), asked.frames))
        sequences = [*real_sequences(), *rendered]
        if not sequences:
            parser.error("nothing to measure: no ../shared/samples/tracking, and --rendered 0")
        result = report(sequences, (rendered or sequences)[0] if CHROMIUM.exists() else None, squares=asked.squares)
    if asked.json:
        print(json.dumps(result, indent=1))
    else:
        print_report(result)
    sys.exit(0 if result["met"] else 1)


if __name__ == "__main__":
    main()
