"""Long runs: memory, open handles and CPU time per item over a training, a conversion and a video, with their slopes.

    python benchmarks/long_runs.py                                    # a quarter of an hour to hours, by the machine
    python benchmarks/long_runs.py --only predict --minutes 60 --pictures 90000   # a smaller film

Each is the command itself in a process of its own, looked at from outside every few seconds: `train` of a tiny network
(checkpoint, log and validation every 100 steps), `convert` of the stand-in of convert.py --growth, whose every sample
is the same small picture, and `predict` with the weights that come along on a rendered film of four seconds that is
repeated. Slopes are least squares over what follows the first fifth, which fills caches; memory is what the process
has of its own (USS), so that pages of mapped shards, which are the kernel's, do not count.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import psutil
from machine import Aim, Result, arguments

from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.skeleton import LEFT, RIGHT

MIB = 2.0**20
EPOCH = 100  # steps between two checkpoints
WARM = 0.2  # share of a run whose figures are left out of the slopes
CANVAS = 32  # px
PERIOD_S = 4  # of the film before it is repeated
TINY = ("model.size=32", "model.width=0.125", "data.batch=8", f"loop.batches={EPOCH}", "loop.val_batches=1",
        "data.loader_threads=1", "start.weights=", "start.encoder=trained")  # fmt: skip
FASTEST_FPS = 70  # pictures of the film per second that is watched; a faster machine ends before
_PROGRESS = re.compile(r": (\d+)(?:/\d+)?, \d+ s")


@dataclass(frozen=True)
class Moment:
    """How far a run was, and what it held."""

    items: int
    cpu_s: float
    memory: float  # MiB
    handles: int


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("train", "convert", "predict"), action="append")
    parser.add_argument("--steps", type=int, default=10_000, help="of training")
    parser.add_argument("--samples", type=int, default=1_000_000, help="to convert")
    parser.add_argument("--minutes", type=float, default=20.0, help="of predict")
    parser.add_argument("--pictures", type=int, help="of the film [default: what a fast machine needs for --minutes]")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks")
    parser.add_argument("--convert-here", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    if options.convert_here:
        convert_stand_in(options.scratch, options.convert_here)
        return
    result = Result("long runs")
    for name in options.only or RUNS:
        moments = RUNS[name](options)
        result.rows[name], aims = figures(name, moments)
        result.aims += aims
    result.finish(as_json=options.json)


# ------------------------------------------------------------------------------------------------ the runs


def train(options: argparse.Namespace) -> list[Moment]:
    shards, run = options.scratch / "long-shards", options.scratch / "runs/long"
    if not (shards / "index.json").is_file():
        native = options.scratch / "long-native"
        for made in (
            ("synth", "rhd", "--frames", "64", "--size", "small", "--out", str(native)),
            ("convert", "rhd", "--root", str(native / "rhd"), "--out", str(shards), "--canvas", "64"),
        ):
            subprocess.run([sys.executable, "-m", "handdata", *made], check=True, capture_output=True)
    shutil.rmtree(run, ignore_errors=True)
    settings = [part for setting in TINY for part in ("--set", setting)]
    words = ["train", "--recipe", "best-smoke", "--name", "long", "--shards", str(shards), "--device", "cpu",
             "--no-evaluate", *settings, "--set", f"loop.epochs={options.steps // EPOCH}"]  # fmt: skip
    log = run / "log.jsonl"

    def done(_: str) -> int:
        return EPOCH * len(log.read_bytes().splitlines()) if log.is_file() else 0

    return watched(["-m", "handdata", "--data-root", str(options.scratch), *words], done, options)


def converted(options: argparse.Namespace) -> list[Moment]:
    words = [__file__, "--scratch", str(options.scratch), "--convert-here", str(options.samples)]
    return watched(words, last_count, options)


def convert_stand_in(scratch: Path, size: int) -> None:
    """Convert so many samples that are all the same, as one process does."""
    import convert as stand_ins

    root, out = scratch / "long-stand-in", scratch / "long-converted"
    root.mkdir(parents=True, exist_ok=True)
    (root / "picture").touch()
    CONVERTERS[stand_ins.STAND_IN] = stand_ins.stand_in(size)
    shutil.rmtree(out, ignore_errors=True)
    convert(stand_ins.STAND_IN, root, out, canvas=CANVAS)


def predict(options: argparse.Namespace) -> list[Moment]:
    film = options.scratch / "long.mp4"
    write_film(film, options.pictures or round(60 * options.minutes * FASTEST_FPS))
    words = ["-m", "handdata", "predict", str(film), "--out", str(options.scratch / "long-hands"), "--device", "cpu"]
    return watched(words, last_count, options, limit_s=60 * options.minutes)


def write_film(path: Path, frames: int) -> None:
    """Render two hands for some seconds, and repeat them forwards and backwards."""
    from video import FPS, SIZE, rendered

    images = rendered("gritty", (LEFT, RIGHT), round(PERIOD_S * FPS)).images
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for number in range(frames):
        turn = number % (2 * len(images))
        film.write(images[min(turn, 2 * len(images) - 1 - turn)][..., ::-1])
    film.release()


# ------------------------------------------------------------------------------------------------ watching


def watched(
    words: Sequence[str], done: Callable[[str], int], options: argparse.Namespace, limit_s: float = 1e9
) -> list[Moment]:
    """Run a command and look at it until it ends, or is interrupted as by Ctrl-C after so many seconds."""
    moments: list[Moment] = []
    said = options.scratch / "long.log"
    with said.open("wb") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = psutil.Popen(
            [sys.executable, *words], stdout=log, stderr=log, env=environment, preexec_fn=interruptible
        )
        began = time.monotonic()
        while process.poll() is None:
            text = said.read_text(errors="replace")[-10_000:]
            moments += look(process, done(text))
            if time.monotonic() - began > limit_s:
                process.send_signal(signal.SIGINT)
                limit_s = 1e9
            time.sleep(options.every)
    if process.returncode not in (0, 130):
        sys.exit(f"{' '.join(words)}: {said.read_text(errors='replace')[-2000:]}")
    return moments


def interruptible() -> None:
    """Take Ctrl-C again, which what is started in the background of a shell ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def look(process: psutil.Process, items: int) -> list[Moment]:
    """Return the moment, none where the process has ended meanwhile."""
    try:
        with process.oneshot():
            spent = process.cpu_times()
            memory = process.memory_full_info().uss / MIB
            return [Moment(items, spent.user + spent.system, memory, process.num_fds())]
    except psutil.Error:
        return []


def last_count(text: str) -> int:
    """Return the last count that a meter has said."""
    found = _PROGRESS.findall(text)
    return int(found[-1]) if found else 0


def figures(name: str, moments: Sequence[Moment]) -> tuple[dict[str, float], list[Aim]]:
    """Return the figures of a run, and what they should be."""
    changed = [b for a, b in pairwise(moments) if b.items > a.items]  # a look at each count
    kept = [moment for moment in changed if moment.items >= WARM * moments[-1].items]
    if len(kept) < 4:
        sys.exit(f"{name}: too short a run to tell a slope")
    items, cpu, memory, handles = (np.array([getattr(m, key) for m in kept], float) for key in Moment.__annotations__)
    span = (items[-1] - items[0]) / 1000
    middle = len(kept) // 2
    early = (cpu[middle] - cpu[0]) / (items[middle] - items[0])
    late = (cpu[-1] - cpu[middle]) / (items[-1] - items[middle])
    row = {
        "items": float(moments[-1].items),
        "looks": float(len(kept)),
        "MiB, middle": float(np.median(memory)),
        "MiB per 1,000": slope(items, memory),
        "MiB gained": slope(items, memory) * span,
        "handles": float(handles.max()),
        "handles per 1,000": slope(items, handles),
        "CPU ms per item": 1000 * (cpu[-1] - cpu[0]) / (items[-1] - items[0]),
        "later half over earlier": late / early,
    }
    share = row["MiB gained"] / row["MiB, middle"]
    return row, [
        Aim(f"{name}: memory gained over its last four fifths", 100 * share, 5, at_least=False, unit="%"),
        Aim(f"{name}: handles gained", row["handles per 1,000"] * span, 1, at_least=False, unit="handles"),
        Aim(f"{name}: CPU time per item, later half over earlier", late / early, 1.1, at_least=False),
    ]


def slope(items: np.ndarray, values: np.ndarray) -> float:
    """Return what values gain per 1,000 items, by least squares."""
    return float(np.polyfit(items / 1000, values, 1)[0])


RUNS = {"train": train, "convert": converted, "predict": predict}


if __name__ == "__main__":
    main()
