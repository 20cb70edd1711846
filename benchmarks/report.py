"""Goal 6, reporting: the page of 10 runs on 7 datasets in at most 30 s and 15 MB.

Shards are made, their pictures full of noise, so harder to compress than real ones; predictions are labels plus noise,
scored for real before the clock starts. The clock runs from reading the runs' folders to the last file of the report.
"""

import shutil
import sys
import time
from pathlib import Path

from machine import Aim, Result, arguments

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from made_runs import made_run, made_shards

from handdata.manifest import names
from handdata.paths import DataRoot
from handdata.report.page import write_report
from handdata.report.runs import find_runs
from handdata.shards.dataset import open_dataset

RUNS, SAMPLES, EPOCHS = 10, 400, 400
MOST_S, MOST_MB = 30.0, 15.0
RECIPES = ("e010", "e012", "e013", "e020", "e022-grasp2", "e022-rotate", "e023", "demo", "best", "own")
TIPS_ONLY, NO_WRIST = ("dexter", "dexter1", "egodexter"), ("stereo", "dexter", "dexter1", "egodexter")


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    root = DataRoot(options.scratch / "report")
    shutil.rmtree(root.root, ignore_errors=True)
    datasets = [
        open_dataset(
            made_shards(root.shards(name), name, samples=SAMPLES, sequences=6, seed=seed, canvas=192, grain=20.0,
                        tips_only=name in TIPS_ONLY, wrist=name not in NO_WRIST)
        )
        for seed, name in enumerate(names())
    ]  # fmt: skip
    for seed, recipe in enumerate(RECIPES[:RUNS]):
        made_run(root.root, recipe, datasets, recipe=recipe, seed=seed, epochs=EPOCHS)
    start = time.perf_counter()
    page = write_report(find_runs(root, ()), root, root.runs / "report")
    spent = time.perf_counter() - start
    size = page.stat().st_size / 1e6
    result = Result(goal="6 (report)")
    result.rows["report"] = {"runs": RUNS, "datasets": len(datasets), "seconds": spent, "page MB": size}
    result.aims = [
        Aim("10 runs x 7 datasets", spent, MOST_S, at_least=False, unit="s"),
        Aim("size of the page", size, MOST_MB, at_least=False, unit="MB"),
    ]
    shutil.rmtree(root.root)
    result.finish(as_json=options.json)


if __name__ == "__main__":
    main()
