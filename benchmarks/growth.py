"""Goal 7, training: CPU time a delivered sample from 2,048 samples to a million, and the time to the first batch.

    python benchmarks/growth.py

The stand-in, named: one shard of 2,048 made samples under as many names (hard links), so the pixels are the same rows
of one cached file whatever the size; drawing, finding, label gathering and copying are the real ones. A row's hash is
compared when it is first read, which a million samples spread over the whole first epoch: so first and later reads are
timed apart, at every size.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import peers
from machine import Aim, Result, arguments, interleave

from handdata.shards.index import read_index
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION
from handdata.train.loader.loaders import Loader, open_mixture
from handdata.train.loader.mixture import Mixture

ROWS = 2048
SHARDS = (1, 5, 49, 489)  # 2,048 to 1,001,472 samples
READS = {"later reads": True, "first reads": False}


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
        mixture = open_mixture([folder], "train")
        loader = Loader(mixture, options.batch, threads=0)
        next(loader.epoch(0))
        starts[count] = time.perf_counter() - begin
        for name, known in READS.items():
            piece = min(options.steps, count * ROWS // options.batch)
            cases[f"{count * ROWS:,} samples, {name}"] = epochs_of(loader, mixture, piece, options, known=known)
    result.rows = interleave(cases, options.rounds)
    for (count, _), row in zip(product(SHARDS, READS), result.rows.values(), strict=True):
        row["us_per_sample"] = 1e6 / row["per_cpu_s"]
        row["first_batch_s"] = starts[count]
    costs = [row["us_per_sample"] for row in result.rows.values()]
    for number, name in enumerate(READS):
        ratio = costs[number - len(READS)] / costs[number]
        result.aims.append(Aim(f"time a sample, a million / two thousand, {name}", ratio, 1.1, at_least=False))
    result.finish(as_json=options.json)


def epochs_of(
    loader: Loader, mixture: Mixture, piece: int, options: argparse.Namespace, *, known: bool
) -> Callable[[], int]:
    """Return a turn: so many batches, in epochs of `piece`; before each, all rows are made unread, or read."""
    epoch = iter(range(1, 10**6))

    def turn() -> int:
        for _ in range(options.steps // piece):
            for dataset in mixture.datasets:
                for reader in dataset.shards.readers:
                    reader.known_rows[:] = known
            for _ in loader.epoch(next(epoch), batches=piece):
                pass
        return options.steps // piece * piece * options.batch

    return turn


def linked(scratch: Path, shards: int) -> Path:
    """Return a dataset of `shards` names for one shard."""
    first = scratch / "one"
    if not (first / "index.json").is_file():
        peers.write_shards(first, ROWS, 192, rows=ROWS)
    folder = scratch / f"{shards}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (entry,) = read_index(first)["shards"]
    entries = [entry | {"file": f"train-{n:05d}.h5"} for n in range(shards)]
    for entry in entries:
        os.link(first / "train-00000.h5", folder / str(entry["file"]))
    write_index(folder, {"schema": VERSION, "dataset": "synthhands", "shards": entries})
    return folder


if __name__ == "__main__":
    main()
