"""Goal 7, training: CPU time a delivered sample from 2,048 samples to a million, and the time to the first batch.

    python benchmarks/growth.py

The stand-in, named: one shard of 2,048 made samples under as many names (hard links), so the pixels are the same rows
of one cached file whatever the size; drawing, finding, label gathering and copying are the real ones.
"""

import os
import shutil
import time
from pathlib import Path

import peers
from machine import Aim, Result, arguments, interleave

from handdata.shards.reader import write_index
from handdata.train.loader.loaders import Loader, open_mixture

ROWS = 2048
SHARDS = (1, 5, 49, 489)  # 2,048 to 1,001,472 samples


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=512, help="batches of a turn")
    options = parser.parse_args()
    result = Result("7 (training)")
    folders = {count: linked(options.scratch / "growth-train", count) for count in SHARDS}
    cases, starts = {}, {}
    for count, folder in folders.items():
        begin = time.perf_counter()
        loader = Loader(open_mixture([folder], "train"), options.batch, threads=0)
        next(loader.epoch(0))
        starts[count] = time.perf_counter() - begin
        cases[f"{count * ROWS:,} samples"] = epochs_of(loader, options.steps, options.batch)
    result.rows = interleave(cases, options.rounds)
    for count, row in zip(SHARDS, result.rows.values(), strict=True):
        row["us_per_sample"] = 1e6 / row["per_cpu_s"]
        row["first_batch_s"] = starts[count]
    costs = [row["us_per_sample"] for row in result.rows.values()]
    result.aims.append(Aim("time a sample, a million / two thousand", costs[-1] / costs[0], 1.1, at_least=False))
    result.finish(as_json=options.json)


def epochs_of(loader: Loader, steps: int, batch: int):
    """Return a turn: the batches of one epoch, another one each time."""
    epoch = iter(range(1, 10**6))

    def turn() -> int:
        for _ in loader.epoch(next(epoch), batches=steps):
            pass
        return steps * batch

    return turn


def linked(scratch: Path, shards: int) -> Path:
    """Return a dataset of `shards` names for one shard."""
    first = scratch / "one"
    if not (first / "index.json").is_file():
        peers.write_shards(first, ROWS, 192, rows=ROWS)
    folder = scratch / f"{shards}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    entries = [{"file": f"train-{n:05d}.h5", "split": "train", "num_samples": ROWS} for n in range(shards)]
    for entry in entries:
        os.link(first / "train-00000.h5", folder / str(entry["file"]))
    write_index(folder, {"schema": "handdata/1", "dataset": "synthhands", "shards": entries})
    return folder


if __name__ == "__main__":
    main()
