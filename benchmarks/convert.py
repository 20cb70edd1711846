"""Goal 4, conversion against decoding the source pictures alone; goal 7, cost a sample from 1,000 to a million.

    python benchmarks/convert.py                 # goal 4
    python benchmarks/convert.py --growth        # goal 7

Goal 4 converts rendered trees, each picture many times: planning, decoding, cropping, writing and hashing are real.
"Decoding alone" reads the same pictures, and no label, by the functions and in the process that convert them, from the
page cache. Two workers are judged beside what two processes that only decode gain on this machine.
Goal 7 replaces what takes the same time for every sample by stand-ins, named in the output.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from machine import Aim, Result, arguments, interleave, no_gc, ratio
from repeat import decode, repeat_items, repeated, sources

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Item, Plan
from handdata.evaluation.predictions import Predictions
from handdata.evaluation.score import score_predictions
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Sample
from handdata.synth.native import write_native
from handdata.train.loader.mixture import open_mixture
from handdata.workers import one_core

SETS = ("stereo", "synthhands", "ganerated", "rhd", "dexter", "egodexter", "dexter1")
AIMED = ("stereo", "synthhands", "ganerated")  # nine tenths of all pictures of the seven
RENDERED = 24  # frames a set
PUBLISHED = 330_000  # samples of the two large sets, half of each
MEMORY_MB = 1024
STAND_IN = "backgrounds"  # the name the stand-in for a dataset goes by
GROWTH_CANVAS = 32


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--growth", action="store_true", help="goal 7 instead of goal 4")
    parser.add_argument("--sets", default=",".join(SETS), help="goal 4: datasets, A,B")
    parser.add_argument("--copies", type=int, default=32, help="goal 4: times every rendered frame")
    parser.add_argument("--largest", type=int, default=1_000_000, help="goal 7: samples")
    options = parser.parse_args()
    if options.growth:
        growth(options.scratch, options.largest).finish(as_json=options.json)
    conversion(options.scratch, options.sets.split(","), options.copies, options.rounds).finish(as_json=options.json)


# ------------------------------------------------------------------------------------------------ goal 4


def conversion(scratch: Path, names: list[str], copies: int, rounds: int) -> Result:
    result = Result("4 (conversion)")
    for name in names:
        root = scratch / "native" / name
        write_native(name, root, RENDERED, seed=0)
        alone, whole = f"{name}: decoding alone", f"{name}: convert"
        plain = f"{name}: cv2.imread alone, which checks less"
        cases = {
            alone: partial(decoded, name, root, copies),
            plain: partial(imread, name, root, copies),
            whole: Converting(name, root, scratch / "out", copies),
        }
        result.rows |= interleave(cases, rounds)
        share = ratio(result.rows, whole, alone)
        if name in AIMED:
            result.aims.append(Aim(f"{name}: convert / decoding alone", share, 0.8))
        else:
            result.notes.append(f"{name}: convert / decoding alone: {share:.2f} x, no aim")
        result.notes.append(f"{name}: convert / cv2.imread alone: {ratio(result.rows, whole, plain):.2f} x")
    if "stereo" in names:
        scaling(result, scratch, 4 * copies, rounds)
    return result


def scaling(result: Result, scratch: Path, copies: int, rounds: int) -> None:
    root, found = scratch / "native/stereo", []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for turn in range(rounds + 1):
            found.append(
                {
                    "1 decodes": sum(pool.map(speed, ["stereo"], [root], [copies // 4])),
                    "2 decode": sum(pool.map(speed, ["stereo"] * 2, [root] * 2, [copies // 4] * 2)),
                    "1 worker": converted("stereo", root, scratch / "out", copies, 1)["per_s"],
                    "2 workers": converted("stereo", root, scratch / "out", copies, 2)["per_s"],
                }
            )
            if not turn:
                found.clear()
    rows = {f"stereo: {case}": {"per_s": median(turn[case] for turn in found)} for case in found[0]}
    result.rows |= rows
    gain = ratio(rows, "stereo: 2 workers", "stereo: 1 worker", "per_s")
    most = ratio(rows, "stereo: 2 decode", "stereo: 1 decodes", "per_s")
    result.aims.append(Aim("stereo: 2 workers / 1", gain, 1.8))
    result.notes.append(f"two processes that only decode / one, the ceiling of this machine: {most:.2f} x")
    few, many = (
        max(converted("stereo", root, scratch / "out", count, workers)["memory_mb"] for workers in (1, 2))
        for count in (copies // 4, copies)
    )
    result.rows["most memory of a converting process, MB"] = {
        f"{copies // 4 * RENDERED}": few,
        f"{copies * RENDERED}": many,
    }
    result.aims.append(Aim("most memory of a converting process", many, MEMORY_MB, at_least=False, unit="MB"))
    hours = PUBLISHED / result.rows["stereo: convert"]["per_cpu_s"] / 3600
    result.notes.append(f"{PUBLISHED:,} samples like Stereo's at this slope: {hours:.2f} CPU hours")


def decoded(name: str, root: Path, copies: int) -> int:
    return decode(name, root, copies)[0]


def speed(name: str, root: Path, copies: int) -> float:
    samples, seconds = decode(name, root, copies)
    return samples / seconds


def imread(name: str, root: Path, copies: int) -> int:
    plan = repeat_items(CONVERTERS[name].plan(root, manifest.load(name), CONVERTERS[name].OPTIONS()), copies)
    with one_core():
        for item in plan.items:
            for picture in sources(plan.root, item):
                cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    return len(plan.items)


@dataclass
class Converting:
    """A case that converts a dataset. Deleting the turn before takes 3 % of a turn, so it is done beforehand."""

    name: str
    root: Path
    out: Path
    copies: int

    def before(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def __call__(self) -> int:
        with repeated(self.name, self.copies):
            return convert(self.name, self.root, self.out).num_samples


def converted(name: str, root: Path, out: Path, copies: int, workers: int) -> dict[str, float]:
    """Measure in a process of its own: workers import what the script imports that starts them, here torch."""
    shutil.rmtree(out, ignore_errors=True)
    script = Path(__file__).with_name("repeat.py")
    command = [sys.executable, str(script), name, str(root), str(out), str(copies), str(workers)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


# ------------------------------------------------------------------------------------------------ goal 7


def growth(scratch: Path, largest: int) -> Result:
    result = Result("7 (cost growth)")
    sizes = [10**e for e in range(3, 7) if 10**e < largest] + [largest]
    costs: dict[str, list[float]] = {}
    for size in sizes:
        for what, seconds in costs_at(scratch / "growth", size).items():
            costs.setdefault(what, []).append(1e6 * seconds / size)
    for what, micros in costs.items():
        result.rows[f"{what}, us a sample"] = {f"{size:,}": cost for size, cost in zip(sizes, micros, strict=True)}
        growing = micros[-1] / min(micros[:-1])
        result.aims.append(Aim(f"{what}: {largest:,} over the cheapest smaller size", growing, 1.1, at_least=False))
    result.notes += [
        "stand-ins: reading a sample returns one made 48 px picture with all labels, canvases have 32 px; "
        "so convert is planning, cropping, writing, hashing and the index",
        "stand-ins: predictions are the labels with noise; so evaluate is opening, joining and scoring",
        "train start is opening the index, mapping and the labels of the first batch",
    ]
    shutil.rmtree(scratch / "growth")
    return result


def costs_at(out: Path, size: int) -> dict[str, float]:
    """Return CPU seconds of each step at one size."""
    shutil.rmtree(out, ignore_errors=True)
    root = out.with_name("growth-native")
    root.mkdir(parents=True, exist_ok=True)
    (root / "picture").touch()
    before = CONVERTERS[STAND_IN]
    CONVERTERS[STAND_IN] = stand_in(size)
    try:
        costs = {"convert": timed(lambda: convert(STAND_IN, root, out, canvas=GROWTH_CANVAS))}
    finally:
        CONVERTERS[STAND_IN] = before
    costs["train start"] = timed(lambda: start_training(out))
    predictions = predicted(out)
    costs["evaluate"] = timed(lambda: score_predictions(predictions, [out], protocols=[]))
    return costs


def timed(action: Callable[[], Any]) -> float:
    with no_gc():
        begin = time.process_time()
        action()
        return time.process_time() - begin


def stand_in(size: int) -> SimpleNamespace:
    """A dataset whose every sample is the same, in sequences of a thousand frames."""
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 40, (21, 3)) + np.array([0.0, 0, 500])
    K = np.array([[60.0, 0, 24], [0, 60, 24], [0, 0, 1]])
    uv = (xyz @ K.T)[:, :2] / xyz[:, 2:]
    image = rng.integers(0, 255, (48, 48, 3), np.uint8)
    facts = {"hand_side": 0, "keypoints_2d": uv, "keypoints_3d": xyz, "K": K, "image": image}

    def plan(root: Path, *_: object) -> Plan:
        items = (Item(f"{i:07d}", "train", f"s{i // 1000 % 100:04d}", "", i, "picture") for i in range(size))
        return Plan(root=root, items=tuple(items))

    def reader(*_: object) -> Callable[[Item], Sample]:
        return lambda item: Sample(id=item.id, crop_xyxy=np.array([8, 8, 40, 40]), **facts)

    options = CONVERTERS[STAND_IN].OPTIONS
    return SimpleNamespace(plan=plan, reader=reader, OPTIONS=options, CANVAS_SCALE=1.5, CROP_RULE="stand-in")


def start_training(folder: Path) -> None:
    mixture = open_mixture([folder], "train")
    first = np.arange(64)
    mixture.labels(mixture.locate(np.zeros(64, np.int64), first))


def predicted(folder: Path) -> Predictions:
    dataset = open_dataset(folder, "train")
    uv = dataset["keypoints_2d"]
    noise = np.random.default_rng(0).normal(0, 1, uv.shape).astype(np.float32)
    return Predictions(
        dataset=np.full(len(uv), dataset.name),
        sample_id=dataset["sample_id"].astype("U"),
        keypoints_2d={"argmax": uv + noise},
        crop_xyxy=dataset["crop_xyxy"],
        keypoints_3d_normalized=dataset["keypoints_3d_normalized"],
    )


if __name__ == "__main__":
    main()
