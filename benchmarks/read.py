"""Goal 1, delivering uint8 batches to the training process, random order: our loader against seven others.

    python benchmarks/read.py

Counted in samples a CPU second of all processes together. Also: a cold cache with and without hints.
"""

import mmap
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import peers
from elsewhere import Elsewhere, add_peers_python
from machine import Aim, Batches, Result, arguments, interleave, ratio
from samples import webdataset

from handdata.shards import ShardReader
from handdata.train.opened import OpenShard

WORKERS = 2
AHEAD = 2 * WORKERS + 1  # batches that a loader may hold ready


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4096, help="samples")
    parser.add_argument("--side", type=int, default=192, help="px")
    parser.add_argument("--batch", type=int, default=64)
    add_peers_python(parser)
    options = parser.parse_args()
    paths = peers.write_all(options.scratch / "layouts", options.count, options.side)
    result = Result("1 (reading)")
    cold = options.scratch / "cold"
    if not cold.is_dir():
        peers.write_shards(cold, options.count // 2, options.side, rows=options.count // 4)
    cold_mb = cold_rates(cold, 3 * options.rounds)
    readers = open_readers(paths, options.count, options.batch)
    cases = {name: Batches(reader, steps, options.batch, AHEAD) for name, (reader, steps) in readers.items()}
    if options.peers_python:
        there = {"ffcv_raw": 300, "mds_raw": 60, "mds_jpeg": 30}
        for kind, steps in there.items():
            case = Elsewhere(
                options.peers_python, kind, paths["npy"], steps=steps, batch=options.batch, workers=WORKERS
            )
            cases[case.name] = case
            result.notes.append(f"{case.name}: {case.software}, in an environment of its own")
    else:
        result.notes.append("not measured: FFCV, MDS (need --peers-python, see elsewhere.py)")
    result.rows = interleave(cases, options.rounds)
    us = "handdata: threads and ring"
    for name, aim in (
        ("WebDataset JPEG", 25),
        ("LMDB JPEG", 15),
        ("LMDB raw", 1),
        ("DataLoader over our shards", 5),
    ):
        result.aims.append(Aim(f"ours / {name}", ratio(result.rows, us, name), aim))
    result.rows |= {name: {"MB_per_s": rate} for name, rate in cold_mb.items()}
    result.aims.append(
        Aim("cold, hints / plain mapping", cold_mb["cold: with hints"] / cold_mb["cold: plain mapping"], 5)
    )
    for name in ("FFCV raw", "MDS raw", "MDS JPEG") if options.peers_python else ():
        result.notes.append(f"ours / {name}: {ratio(result.rows, us, name):.3g} x")
    result.finish(as_json=options.json)


def open_readers(paths: dict[str, Path], count: int, batch: int) -> dict[str, tuple[Iterator[Any], int]]:
    """Return name -> (endless batches, batches a turn)."""

    def picked(opener: Callable[..., Any], key: str) -> Iterator[Any]:
        return peers.with_workers(peers.Picked(opener, paths[key], count), batch, WORKERS)

    return {
        "handdata: threads and ring": (peers.ours(paths["shards"], batch, WORKERS), 300),
        "DataLoader over our shards": (peers.with_workers(peers.plain_dataset(paths["shards"]), batch, WORKERS), 60),
        "DataLoader over .npy": (picked(peers.open_npy, "npy"), 60),
        "LMDB raw": (picked(peers.open_lmdb_raw, "lmdb_raw"), 60),
        "LMDB JPEG": (picked(peers.open_lmdb_jpeg, "lmdb_jpeg"), 30),
        "WebDataset JPEG": (webdataset(paths["wds"], batch, WORKERS), 30),
        "HF datasets JPEG": (picked(peers.open_huggingface, "hf"), 20),
        "JPEG files, PIL": (picked(peers.open_files, "jpeg_files"), 20),
        "PNG files, PIL": (picked(peers.open_files, "png_files"), 10),
        "bare .npy in this process": (bare(paths["npy"], count, batch), 300),
    }


def bare(path: Path, count: int, batch: int) -> Iterator[Any]:
    """The floor: copy mapped rows in this process, no loader at all."""
    array = np.load(path / "images.npy", mmap_mode="r")
    out = np.empty((batch, *array.shape[1:]), np.uint8)
    rng = np.random.default_rng(0)
    while True:
        for i, row in enumerate(rng.integers(0, count, batch).tolist()):
            out[i] = array[row]
        yield out


def cold_rates(folder: Path, rounds: int) -> dict[str, float]:
    """Read a quarter of a shard's rows at random from a cold cache; median MB/s of each way.

    Over a plain mapping; as the loader does (`pread`, hinted one batch ahead); and, for what the disk itself can do,
    by direct I/O from 16 threads. The same rows for all three in a round.
    """
    ways = {
        "cold: plain mapping": mapped_rows,
        "cold: with hints": hinted_rows,
        "cold: the disk, direct I/O": direct_rows,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    shards = sorted(folder.glob("*.h5"))
    for turn in range(rounds):
        path = shards[turn % len(shards)]
        for name, read in ways.items():
            evict(path)
            if OpenShard(path).resident:
                raise SystemExit(f"{path} stays in memory: this file system does not let go of pages")
            reader = ShardReader(path)
            rows = np.random.default_rng(turn).permutation(len(reader))[: len(reader) // 4].tolist()
            start = time.perf_counter()
            read(reader, rows)
            rates[name].append(len(rows) * reader.images[0].nbytes / 1e6 / (time.perf_counter() - start))
            del reader
    return {name: statistics.median(found) for name, found in rates.items()}


def mapped_rows(reader: ShardReader, rows: list[int]) -> None:
    images = reader.images
    out = np.empty_like(images[0])
    for row in rows:
        out[...] = images[row]


def hinted_rows(reader: ShardReader, rows: list[int], batch: int = 64) -> None:
    shard, out = OpenShard(reader.path), np.empty_like(reader.images[0])
    for place in range(-batch, len(rows), batch):
        for row in rows[place + batch : place + 2 * batch]:
            shard.hint(row)
        for row in rows[max(place, 0) : place + batch]:
            shard.copy(row, out, None)


def direct_rows(reader: ShardReader, rows: list[int], threads: int = 16, block: int = 4096) -> None:
    size, handle = reader.images[0].nbytes, os.open(reader.path, os.O_RDONLY | os.O_DIRECT)
    free = [mmap.mmap(-1, size + 2 * block) for _ in range(threads)]  # direct I/O wants whole blocks in aligned memory

    def read(row: int) -> None:
        buffer, start = free.pop(), reader.offset("image") + row * size
        end = -(-(start + size) // block) * block
        os.preadv(handle, [memoryview(buffer)[: end - start // block * block]], start // block * block)
        free.append(buffer)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, rows))
    os.close(handle)


def evict(path: Path) -> None:
    """Drop a file's pages from the cache; nothing may have it mapped."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


if __name__ == "__main__":
    main()
