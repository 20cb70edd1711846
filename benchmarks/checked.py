"""What it costs that nothing is believed before it is checked: hashes of headers and rows, on and off, in one run.

    python benchmarks/checked.py

Opening: every shard of a dataset, with the hash of its header compared and not, and by HDF5 as before there were
hashes. Training: steps of recipe `demo` whose rows are read for the first time, with their hash compared and not. What
a check costs is also timed alone, since 2 % is less than the steps of one run differ.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import peers
import torch
from machine import Aim, Result, arguments, cpu_seconds, interleave
from start import FIRST_BATCH, write_many

import handdata as hd
from handdata.shards import reader as shard_reader
from handdata.shards.dataset import Dataset
from handdata.train.augment.views import make_views
from handdata.train.config import load_config
from handdata.train.loader.loaders import Loader, open_mixture
from handdata.train.loop import step
from handdata.train.state import build

MOST = 1.02  # times the cost without
BATCH = 32
TIMES = 5  # that what is quick is done


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1024, help="samples to train on, in two shards")
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    many = options.scratch / f"start-{options.shards}-16" / "synthhands"
    if not (many / "index.json").is_file():
        write_many(many, options.shards, 16)
    rows = options.scratch / f"checked-{options.rows}"
    if not (rows / "index.json").is_file():
        peers.write_shards(rows, options.rows, 192, rows=options.rows // 2)
    result = Result("15 (checks)")
    result.rows = interleave(opening(many) | training(rows, options.steps), options.rounds)
    opened = {name: result.rows[f"open, {name}"]["per_cpu_s"] for name in ("hashed", "not hashed", "HDF5")}
    header_s = 1 / opened["hashed"] - 1 / opened["not hashed"]
    start_s = first_batch(many)
    row_s, trained = row_hash(rows), result.rows["train, rows not hashed"]["per_cpu_s"]
    seconds = {"a header": header_s, "a row": row_s, "first batch of a training, whole process": start_s}
    result.rows |= {name: {"cpu_ms": 1000 * value} for name, value in seconds.items()}
    in_steps = trained / result.rows["train, rows hashed"]["per_cpu_s"]
    result.aims += [
        Aim("open, hashed / HDF5", opened["HDF5"] / opened["hashed"], MOST, at_least=False),
        Aim("start of a training, hashed / not", start_s / (start_s - header_s * options.shards), MOST, at_least=False),
        Aim("training, rows hashed / not, hash alone", 1 + row_s * trained, MOST, at_least=False),
    ]
    result.notes += [
        f"open, hashed / not: {opened['not hashed'] / opened['hashed']:.3g} x",
        f"training, rows hashed / not, by its steps, which differ by more: {in_steps:.3g} x",
    ]
    result.finish(as_json=options.json)


def opening(folder: Path) -> dict[str, Callable[[], int]]:
    """Return turns that open every shard."""

    def ours() -> int:
        return sum(len(hd.open(folder).shards.readers) for _ in range(TIMES))

    def unhashed() -> int:
        with without_header_hash():
            return ours()

    def hdf5() -> int:
        files = hd.open(folder).shards.files
        for file in files:
            with h5py.File(file) as opened:
                dict(opened.attrs)
                [opened[name].id.get_offset() for name in opened]
        return len(files)

    return {"open, hashed": ours, "open, not hashed": unhashed, "open, HDF5": hdf5}


@contextmanager
def without_header_hash() -> Iterator[None]:
    """Believe that a header is what the index says."""

    class Same:
        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = None

    real, shard_reader.header_sha256 = shard_reader.header_sha256, lambda *_: Same()
    try:
        yield
    finally:
        shard_reader.header_sha256 = real


def training(folder: Path, steps: int) -> dict[str, Callable[[], int]]:
    """Return turns of so many steps, the rows unread before, or taken for read."""
    config = load_config("demo", [f"data.batch={BATCH}", "loop.epochs=1000", f"loop.batches={steps}"])
    mixture, device = open_mixture([folder], "train"), torch.device("cpu")
    state, views = build(config, device), make_views(config, mixture, device, train=True)
    loader, epochs = Loader(mixture, BATCH, threads=0), iter(range(10**6))
    state.train_mode()

    def turn(*, known: bool) -> int:
        mark(mixture.datasets, known=known)
        for batch in loader.epoch(next(epochs), batches=steps):
            step(state, views.inputs(batch), config)
        return steps * BATCH

    return {"train, rows hashed": lambda: turn(known=False), "train, rows not hashed": lambda: turn(known=True)}


def mark(datasets: list[Dataset], *, known: bool) -> None:
    """Make all rows unread, or read."""
    for dataset in datasets:
        for reader in dataset.shards.readers:
            reader.known_rows[:] = known


def row_hash(folder: Path) -> float:
    """CPU seconds of comparing the hash of a row, alone."""
    data, spent = hd.open(folder), []
    for _ in range(TIMES):
        mark([data], known=False)
        begin = time.process_time()
        for reader in data.shards.readers:
            for row in range(len(reader)):
                reader.check_row(row)
        spent.append((time.process_time() - begin) / len(data))
    return float(np.median(spent))


def first_batch(folder: Path) -> float:
    """CPU seconds from a process' start to the first batch of a training."""
    spent = []
    for _ in range(TIMES):
        begin = cpu_seconds()
        subprocess.run([sys.executable, "-c", FIRST_BATCH, str(folder)], capture_output=True, check=True)
        spent.append(cpu_seconds() - begin)
    return float(np.median(spent))


if __name__ == "__main__":
    main()
