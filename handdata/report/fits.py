"""What a kinematic fit changed: the same run before and after `evaluate --fit`, side by side."""

import math
from collections.abc import Sequence

from handdata.evaluation.anatomy import bent_against, bone_spread
from handdata.evaluation.predictions import read_predictions
from handdata.evaluation.results import Results, read_results
from handdata.report.runs import Run
from handdata.report.tables import DASH, Table, number, plain_table

_SCORES = (("jitter, mm", "jitter:mm", 1), ("3D error, mm", "epe_mm:mean_gt_scale", 1), ("PA, mm", "pa_mpjpe", 1))
_HEADER = ("run", "set", *(name for name, _, _ in _SCORES), "joints bent against each other", "spread of bones")
_NOTES = (
    "Before -> after the fit of `evaluate --fit`. Jitter: root mean square of second differences, of recordings alone.",
    "Joints bent against each other: share of fingers whose two last joints do, which no hand can. Spread of bones: "
    "standard deviation of the logarithm of their lengths over all hands of the run, people included.",
)


def fits_table(runs: Sequence[Run]) -> Table:
    """Return the runs that were evaluated with a fit too, a row per set; without rows where there is none."""
    rows = [row for run in runs for row in _rows(run)]
    return plain_table("fits", "Before and after the kinematic fit", _HEADER, rows, stubs=2, notes=_NOTES)


def _rows(run: Run) -> list[tuple[str, ...]]:
    paths = [run.folder / f"{name}-fitted.{ending}" for name, ending in (("results", "json"), ("predictions", "h5"))]
    if run.results is None or not all(path.is_file() for path in (*paths, run.folder / "predictions.h5")):
        return []
    after = read_results(paths[0])
    hands = read_predictions(run.folder / "predictions.h5"), read_predictions(paths[1])
    found, fitted = (one.keypoints_3d_normalized for one in hands)
    if found is None or fitted is None:
        return []
    shapes = [_change(measure(found), measure(fitted), 3) for measure in (bent_against, bone_spread)]
    return [
        (run.name, f"{dataset} {split}",
         *(_change(_score(run.results, key, name), _score(after, key, name), digits) for _, name, digits in _SCORES),
         *shapes)
        for key in _sets(run.results) if key in _sets(after)
        for dataset, split, _ in (key,)
    ]  # fmt: skip


def _sets(results: Results) -> list[tuple[str, str, str]]:
    return [(one.dataset, one.split, one.shards) for one in results.sets if not one.augmented]


def _score(results: Results, key: tuple[str, str, str], name: str) -> float | None:
    one = next(one for one in results.sets if (one.dataset, one.split, one.shards) == key and not one.augmented)
    score = one.protocols.get(name)
    return None if score is None else score.value


def _change(before: float | None, after: float | None, digits: int) -> str:
    if before is None or after is None or math.isnan(before + after):
        return DASH
    return f"{number(before, digits)} -> {number(after, digits)}"
