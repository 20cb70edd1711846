"""Goal 1, memory: what the loader holds beyond torch and its ring, and what it gains over thousands of batches.

    python benchmarks/memory.py

Private memory plus this process' share of shared memory, mapped shards left out (those pages are the kernel's cache).
"""

import gc
from multiprocessing import get_context
from pathlib import Path

import peers
from machine import Aim, Result, arguments

MIB = 2.0**20


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8192, help="samples")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=6000)
    options = parser.parse_args()
    folder = options.scratch / "memory"
    if not (folder / "index.json").is_file():
        write = get_context("spawn").Process(target=peers.write_shards, args=(folder, options.count, 192, 2048))
        write.start()  # in a process of its own: what it leaves in the heap would count as the loader's
        write.join()
    from handdata.train.loader.loaders import Loader, open_mixture

    gc.collect()
    before = held()
    loader = Loader(open_mixture([folder], "train"), options.batch, threads=2)
    epochs = (batch for epoch in range(10**6) for batch in loader.epoch(epoch))
    for _ in range(500):
        next(epochs)
    ring = loader._feeder._source.ring
    early, ring_mib = held(), ring.made * ring.num_bytes / MIB
    for _ in range(options.batches):
        next(epochs)
    late = held()
    result = Result("1 (memory)")
    result.rows["MiB"] = {"torch": before, "ring": ring.made * ring.num_bytes / MIB, "early": early, "late": late}
    result.aims += [
        Aim("beyond torch and ring", early - before - ring_mib, 64, at_least=False, unit="MiB"),
        Aim("drift per 1,000 batches", (late - early) / options.batches * 1000, 2, at_least=False, unit="MiB"),
    ]
    result.finish(as_json=options.json)


def held() -> float:
    """Return MiB of private and shared memory, mapped .h5 files left out."""
    total, counts = 0, True
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key = line.split()[0]
        if not key.endswith(":"):
            counts = not line.endswith(".h5")
        elif key == "Pss:" and counts:
            total += int(line.split()[1])
    return total / 1024


if __name__ == "__main__":
    main()
