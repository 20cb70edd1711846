"""Goal 5: start of training, `stats` and `verify --quick` over 1,000 shards, and of the library, from fresh processes.

python benchmarks/start.py
"""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import peers
from machine import Aim, Result, arguments

from handdata.shards.index import read_index

LIMIT_S = 5.0
FIRST_BATCH = """
import sys
from pathlib import Path
from handdata.train.loader.loaders import Loader, open_mixture
with Loader(open_mixture([Path(sys.argv[1])], "train"), 64, threads=2) as loader:
    batch = next(loader.epoch(0))
print(len(batch))
"""

# in the process itself: what importing and opening add to Python's own start
LIBRARY = """
import sys, time
start = time.perf_counter()
import handdata as hd
imported = time.perf_counter()
hand = hd.open(sys.argv[1])
print(imported - start, time.perf_counter() - start)
"""
LIBRARY_LIMITS_S = {"import handdata": 0.05, "import handdata and hd.open": 0.3}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=16, help="samples of a shard")
    options = parser.parse_args()
    folder = options.scratch / f"start-{options.shards}-{options.rows}" / "synthhands"
    if not (folder / "index.json").is_file():
        write_many(folder, options.shards, options.rows)
    handdata = [sys.executable, "-m", "handdata"]
    commands = {
        "import torch alone": [sys.executable, "-c", "import torch"],
        "first batch of a training": [sys.executable, "-c", FIRST_BATCH, str(folder)],
        "stats": [*handdata, "stats", str(folder)],
        "verify --quick": [*handdata, "verify", "--quick", str(folder)],
    }
    result = Result("5")
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            times[name].append(time.perf_counter() - start)
            # the made copies repeat each other's ids, which verify tells; it must have come as far as all labels
            every = f"{options.shards * options.rows} samples' labels"
            found = name == "verify --quick" and done.returncode == 1 and every in done.stdout
            if done.returncode and not found:
                raise SystemExit(f"{name}: {done.stderr.strip() or done.stdout.strip()[-300:]}")
    for name, seconds in times.items():
        result.rows[name] = {"s": statistics.median(seconds)}
        if name != "import torch alone":
            result.aims.append(Aim(name, statistics.median(seconds), LIMIT_S, at_least=False, unit="s"))
    measured = [library_times(folder) for _ in range(max(5, options.rounds))]
    for (name, limit), seconds in zip(LIBRARY_LIMITS_S.items(), zip(*measured, strict=True), strict=True):
        result.rows[name] = {"s": statistics.median(seconds)}
        result.aims.append(Aim(name, statistics.median(seconds), limit, at_least=False, unit="s"))
    result.finish(as_json=options.json)


def library_times(folder: Path) -> tuple[float, float]:
    """Seconds until handdata is imported, and until a dataset is open, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", LIBRARY, str(folder)], capture_output=True, text=True, check=True)
    imported, opened = (float(word) for word in done.stdout.split())
    return imported, opened


def write_many(folder: Path, shards: int, rows: int) -> None:
    """Write the shards once for real, then by copying one of them under the other names."""
    shutil.rmtree(folder, ignore_errors=True)
    peers.write_shards(folder, rows, 32, rows=rows)
    first = folder / "train-00000.h5"
    (entry,) = read_index(folder)["shards"]
    entries = [entry | {"file": f"train-{number:05d}.h5"} for number in range(shards)]
    for entry in entries[1:]:
        shutil.copy(first, folder / entry["file"])
    peers.write_entries(folder, entries)


if __name__ == "__main__":
    main()
