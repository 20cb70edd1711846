"""Goal 1, delivering uint8 batches to the training process, random order: our loader against seven others.

    python benchmarks/read.py

Counted in samples a CPU second of all processes together. Also: a cold cache with and without hints.
"""

import gc
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

from handdata.shards.index import open_shard
from handdata.shards.reader import ShardReader
from handdata.train.loader.shard_file import OpenShard

WORKERS = 2
AHEAD = 2 * WORKERS + 1  # batches that a loader may hold ready


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4096, help="samples")
    parser.add_argument("--side", type=int, default=192, help="px")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--share", type=float, default=0.25, help="cold cache: part of the rows that are read")
    add_peers_python(parser)
    options = parser.parse_args()
    paths = peers.write_all(options.scratch / "layouts", options.count, options.side)
    result = Result("1 (reading)")
    folder = options.scratch / "cold"
    if not folder.is_dir():
        peers.write_shards(folder, options.count // 2, options.side, rows=options.count // 4)
    cold = cold_rates(folder, 3 * options.rounds, options.share)
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
    result.rows |= cold
    plain, hinted = (cold[name]["MB_per_s"] for name in ("cold: plain mapping", "cold: with hints"))
    result.aims.append(Aim("cold, hints / plain mapping", hinted / plain, 5))
    most = max(row["disk_MB_per_s"] for row in cold.values()) / plain
    result.notes.append(f"cold, the most this disk delivered in any of the three ways / plain mapping: {most:.2f} x")
    for name in ("FFCV raw", "MDS raw", "MDS JPEG") if options.peers_python else ():
        result.notes.append(f"ours / {name}: {ratio(result.rows, us, name):.3g} x")
    result.finish(as_json=options.json)


def open_readers(paths: dict[str, Path], count: int, batch: int) -> dict[str, tuple[Iterator[Any], int]]:
    """Return name -> (endless batches, batches a turn)."""

    def picked(opener: Callable[..., Any], key: str) -> Iterator[Any]:
        return peers.with_workers(peers.Picked(opener, paths[key], count), batch, WORKERS)

    return {
        "handdata: threads and ring": (peers.ours(paths["shards"], batch, WORKERS), 300),
        "DataLoader over our shards": (peers.with_workers(peers.PlainDataset(paths["shards"]), batch, WORKERS), 60),
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


def cold_rates(folder: Path, rounds: int, share: float) -> dict[str, dict[str, float]]:
    """Read a share of a shard's rows at random from a cold cache, files open before; medians of each way.

    "MB_per_s" is what was asked for, "disk_MB_per_s" what the disk delivered for it, with what the kernel read ahead.

    Over a plain mapping; as the loader does (`pread`, hinted one batch ahead); and, for what the disk itself can do,
    by direct I/O from 16 threads. The same rows for all three in a round.
    """
    ways = {
        "cold: plain mapping": mapped_rows,
        "cold: with hints": hinted_rows,
        "cold: the disk, direct I/O": direct_rows,
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    shards = sorted(folder.glob("*.h5"))
    for turn in range(rounds):
        path = shards[turn % len(shards)]
        for name, read in ways.items():
            evict(path)
            reader = open_shard(path)
            shard = OpenShard(reader)
            rows = np.random.default_rng(turn).permutation(len(reader))[: int(share * len(reader))].tolist()
            size = reader.images[0].nbytes
            start, before = time.perf_counter(), disk_bytes()
            read(reader, shard, rows)
            seconds = time.perf_counter() - start
            rates[name].append((len(rows) * size / 1e6 / seconds, (disk_bytes() - before) / 1e6 / seconds))
            del reader, shard
    columns = ("MB_per_s", "disk_MB_per_s")
    return {
        name: dict(zip(columns, map(statistics.median, zip(*found, strict=True)), strict=True))
        for name, found in rates.items()
    }


def disk_bytes() -> int:
    """Return what storage delivered for this process so far."""
    return int(Path("/proc/self/io").read_text().split("\nread_bytes:")[1].split()[0])


def mapped_rows(reader: ShardReader, _: OpenShard, rows: list[int]) -> None:
    images = reader.images
    out = np.empty_like(images[0])
    for row in rows:
        out[...] = images[row]


def hinted_rows(reader: ShardReader, shard: OpenShard, rows: list[int], batch: int = 64) -> None:
    out = np.empty(reader.images.shape[1:], np.uint8)
    for place in range(-batch, len(rows), batch):
        for row in rows[place + batch : place + 2 * batch]:
            shard.hint(row)
        for row in rows[max(place, 0) : place + batch]:
            shard.copy(row, out, None)


def direct_rows(reader: ShardReader, _: OpenShard, rows: list[int], threads: int = 16, block: int = 4096) -> None:
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


def evict(path: Path, tries: int = 20) -> None:
    """Drop a file's pages from the cache; nothing may have it mapped. Pages in flight stay, so it is tried again."""
    for _ in range(tries):
        gc.collect()
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        if not OpenShard(open_shard(path)).resident:
            return
        time.sleep(0.2)
    raise SystemExit(f"{path} stays in memory: this file system does not let go of pages")


if __name__ == "__main__":
    main()
