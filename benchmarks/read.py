"""Goal 1, delivering uint8 batches to the training process, random order: our loader against seven others.

    python benchmarks/read.py

Counted in samples a CPU second of all processes together. Also: a cold cache with and without hints.
"""

import os
from collections.abc import Callable, Iterator
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
    plain, hinted = cold_rates(cold, options.rounds)
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
    result.rows["cold: plain mapping"] = {"MB_per_s": plain}
    result.rows["cold: with hints"] = {"MB_per_s": hinted}
    result.aims.append(Aim("cold, hints / plain mapping", hinted / plain, 5))
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


def cold_rates(folder: Path, rounds: int) -> tuple[float, float]:
    """Read a quarter of the rows at random from a cold cache, over a plain mapping and as the loader does; median MB/s.

    The loader reads by `pread`, the rows hinted one batch ahead.
    """
    import statistics
    import time

    rates: dict[bool, list[float]] = {False: [], True: []}
    shards = sorted(folder.glob("*.h5"))
    for turn in range(rounds):
        for hints in (False, True):
            path = shards[turn % len(shards)]
            evict(path)
            shard, mapped = OpenShard(path), ShardReader(path).images
            if shard.resident:
                raise SystemExit(f"{path} stays in memory: this file system does not let go of pages")
            rows = np.random.default_rng(turn).permutation(len(shard))[: len(shard) // 4]
            batches = np.array_split(rows, max(1, len(rows) // 64))
            out = np.empty_like(mapped[0])
            start = time.perf_counter()
            for row in batches[0].tolist() if hints else ():
                shard.hint(row)
            for now, ahead in zip(batches, [*batches[1:], batches[0][:0]], strict=True):
                for row in ahead.tolist() if hints else ():
                    shard.hint(row)
                for row in now.tolist():
                    if hints:
                        shard.copy(row, out, None)
                    else:
                        out[...] = mapped[row]
            rates[hints].append(len(rows) * out.nbytes / 1e6 / (time.perf_counter() - start))
            del shard, mapped
    return statistics.median(rates[False]), statistics.median(rates[True])


def evict(path: Path) -> None:
    """Drop a file's pages from the cache; nothing may have it mapped."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


if __name__ == "__main__":
    main()
