"""The part of export.py that sets two workers against one: what a second process gains an export, by the wall clock.

One and two workers take turns, and beside them one and two running processes that only encode pictures of the same
data: what two gain there is the most that this machine gives, as its cores share memory, caches and a clock. The least
of each over the rounds counts. Beside it stand the CPU seconds of each process: beside other work, too, one worker's
over the larger one of two is what an idle machine would gain at most.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import Aim, Result

from handdata.exchange.pictures import encoded
from handdata.shards.dataset import Dataset

ONCE = Path(__file__).with_name("export_once.py")
AIM = 1.8
CANVASES = 64
EXPORTED = {"png": 14400, "jpg": 38400}  # 12 to 24 s for one worker each: of fewer, a start of the other is much
CALLS = {"png": 16, "jpg": 64}  # a second or two for one process
HELD: list[Any] = []  # canvases of a process that only encodes: sent along with each call they would be what it does


def two_against_one(
    data: Dataset, kinds: Sequence[str], pictures: Sequence[str], out: Path, rounds: int, result: Result
) -> None:
    """Add what two workers gain for each kind of file and picture, and print a line of each as it is found."""
    canvases = [np.array(hand.image) for hand in data[:CANVASES]]
    with encoders(1, canvases) as one, encoders(2, canvases) as two:
        for picture in pictures:
            some = data[: EXPORTED[picture]]
            for kind in kinds:
                if kind == "parquet" and find_spec("pyarrow") is None:
                    note = f"{kind} {picture}: not measured, as pyarrow is not installed"
                    result.notes.append(note)
                    print(note, file=sys.stderr, flush=True)
                    continue
                name = f"{kind} {picture}: two workers / one"
                row = gain(some, kind, picture, out, rounds, (one, two))
                result.rows[name] = row
                result.aims.append(Aim(name, row["gain"], AIM))
                line = f"{name}, {len(some)} pictures: " + "  ".join(f"{key} {value:.2f}" for key, value in row.items())
                print(line, file=sys.stderr, flush=True)


def gain(
    data: Dataset, kind: str, picture: str, out: Path, rounds: int, encoding: tuple[ProcessPoolExecutor, ...]
) -> dict[str, float]:
    """Return the least seconds of one worker and of two, their ratio, that of encoding alone, and CPU seconds."""
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    alone: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, pool in zip(found, encoding, strict=True):
            shutil.rmtree(out, ignore_errors=True)
            os.sync()  # what the last turn left to the disk is not this one's
            found[workers].append(exported(data, out, kind, picture, workers))
            start = time.perf_counter()
            list(pool.map(encode_all, [picture] * CALLS[picture]))
            alone[workers].append(time.perf_counter() - start)
    shutil.rmtree(out, ignore_errors=True)
    one, two = (min(turns, key=lambda turn: turn["s"]) for turns in found.values())
    gained, most = one["s"] / two["s"], min(alone[1]) / min(alone[2])
    return {
        "gain": gained,
        "of_encoding": most,
        "part_of_it": gained / most,
        "s_one": one["s"],
        "s_two": two["s"],
        "cpu_s_one": one["cpu_s"],
        "cpu_s_two": two["cpu_s"],
        "cpu_s_other": two["cpu_s_other"],
        "by_cpu": one["cpu_s"] / max(two["cpu_s"], two["cpu_s_other"]),
    }


def exported(data: Dataset, out: Path, kind: str, picture: str, workers: int) -> dict[str, float]:
    """Return what export_once.py says of an export."""
    command = [sys.executable, str(ONCE), str(data.folder), str(len(data)), str(out), kind, picture, str(workers)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def encoders(workers: int, canvases: list[Any]) -> ProcessPoolExecutor:
    """Return so many running processes that hold canvases."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"), hold, (canvases,))
    list(pool.map(time.sleep, [2.0] * workers))  # long enough that each takes one: all have started
    return pool


def hold(canvases: list[Any]) -> None:
    cv2.setNumThreads(1)
    HELD[:] = canvases


def encode_all(picture: str) -> None:
    for image in HELD:
        encoded(image, picture)
