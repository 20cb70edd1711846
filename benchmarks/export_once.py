"""One export in a process of its own, as the command runs it; prints its seconds, and the CPU seconds of each process.

A further worker imports what its parent's main module imports: of a benchmark that would be torch, for two seconds.
"""

import json
import os
import sys
import time


def main(folder: str, count: str, out: str, kind: str, picture: str, workers: str) -> None:
    from handdata.exchange.export import export  # here, so that a worker does not import it
    from handdata.shards.dataset import open_dataset

    data = open_dataset(folder)[: int(count)]
    before, start = os.times(), time.perf_counter()
    export(data, out, kind, picture=picture, workers=int(workers))
    seconds, after = time.perf_counter() - start, os.times()
    here = after.user + after.system - before.user - before.system
    other = after.children_user + after.children_system
    sys.stdout.write(json.dumps({"s": seconds, "cpu_s": here, "cpu_s_other": other}))


if __name__ == "__main__":
    main(*sys.argv[1:])
