"""The part of export.py that sets two workers against one: what a second process gains an export, by the wall clock.

One and two workers take turns, and beside them one and two running processes that only encode pictures of the same
data: what two gain there is the most that this machine gives, as its cores share memory, caches and a clock. The least
of each over the rounds counts. Beside it stand the CPU seconds of each process: beside other work, too, one worker's
over the larger one of two is what an idle machine would gain at most.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import Aim, Result

from handdata.exchange.export import export
from handdata.exchange.pictures import encoded
from handdata.shards.dataset import Dataset

AIM = 1.8
CANVASES = 64
CALLS = {"png": 16, "jpg": 64}  # a second or two for one process
HELD: list[Any] = []  # canvases of a process that only encodes: sent along with each call they would be what it does


def two_against_one(
    data: Dataset, kinds: Sequence[str], pictures: Sequence[str], out: Path, rounds: int, result: Result
) -> None:
    """Add what two workers gain for each kind of file and picture, and print a line of each as it is found."""
    canvases = [np.array(hand.image) for hand in data[:CANVASES]]
    with encoders(1, canvases) as one, encoders(2, canvases) as two:
        for picture in pictures:
            for kind in kinds:
                if kind == "parquet" and find_spec("pyarrow") is None:
                    note = f"{kind} {picture}: not measured, as pyarrow is not installed"
                    result.notes.append(note)
                    print(note, file=sys.stderr, flush=True)
                    continue
                name = f"{kind} {picture}: two workers / one"
                row = gain(data, kind, picture, out, rounds, (one, two))
                result.rows[name] = row
                result.aims.append(Aim(name, row["gain"], AIM))
                line = f"{name}: " + "  ".join(f"{key} {value:.2f}" for key, value in row.items())
                print(line, file=sys.stderr, flush=True)


def gain(
    data: Dataset, kind: str, picture: str, out: Path, rounds: int, encoding: tuple[ProcessPoolExecutor, ...]
) -> dict[str, float]:
    """Return the least seconds of one worker and of two, their ratio, that of encoding alone, and CPU seconds."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    alone: dict[int, list[float]] = {1: [], 2: []}
    spent: dict[int, tuple[float, float]] = {}
    for _ in range(rounds):
        for workers, pool in zip(seconds, encoding, strict=True):
            shutil.rmtree(out, ignore_errors=True)
            os.sync()  # what the last turn left to the disk is not this one's
            before = shares()
            seconds[workers].append(timed(lambda w=workers: export(data, out, kind, picture=picture, workers=w)))
            here, others = (after - earlier for after, earlier in zip(shares(), before, strict=True))
            spent[workers] = here, others
            alone[workers].append(timed(lambda p=pool: list(p.map(encode_all, [picture] * CALLS[picture]))))
    shutil.rmtree(out, ignore_errors=True)
    one, (here, others) = spent[1][0], spent[2]
    gained, most = (min(of[1]) / min(of[2]) for of in (seconds, alone))
    return {
        "gain": gained,
        "of_encoding": most,
        "part_of_it": gained / most,
        "s_one": min(seconds[1]),
        "s_two": min(seconds[2]),
        "cpu_s_one": one,
        "cpu_s_two": here,
        "cpu_s_other": others,
        "by_cpu": one / max(here, others),
    }


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def shares() -> tuple[float, float]:
    """Return the CPU seconds of this process so far, and those of its children that have ended."""
    now = os.times()
    return now.user + now.system, now.children_user + now.children_system


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
