"""What a run predicted of the hands of a dataset, and how far off it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.browse.columns import Number
from handdata.conversion.other_results import predictions_behind
from handdata.errors import MissingError
from handdata.evaluation.join import match_samples
from handdata.evaluation.predictions import Predictions
from handdata.evaluation.results import RESULTS, read_results, results_file
from handdata.evaluation.worst import hand_errors, refuse_augmented, refuse_other_hands
from handdata.shards.dataset import Dataset
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]
_SHOWN = {"2D": ("2D error", "% of the crop side", 100.0), "3D": ("3D error", "of wrist to middle MCP", 1.0)}


@dataclass(frozen=True, kw_only=True)
class RunErrors:
    """One run beside the labels.

    Attributes:
        name: of the run.
        predictions: as it wrote them.
        readout: which of its 2D positions count.
        row_of: (N,) its row for each hand, -1 where it predicted nothing.
        errors: "2D", "3D" -> (N,) mean distance of each hand, NaN without; those of `thesis:error_2d` and `_3d`.
    """

    name: str
    predictions: Predictions
    readout: str
    row_of: NDArray[np.int64]
    errors: dict[str, Floats]

    def predicted(self, number: int) -> tuple[Floats, Floats]:
        """Return what it predicted of a hand: (21, 2) px of the picture as shipped, (21, 3) normalised; NaN without."""
        row, pixels, pose = int(self.row_of[number]), _nan(2), _nan(3)
        if row >= 0 and self.readout:
            pixels = self.predictions.keypoints_2d[self.readout][row].astype(np.float64)
        if row >= 0 and self.predictions.keypoints_3d_normalized is not None:
            pose = self.predictions.keypoints_3d_normalized[row].astype(np.float64)
        return pixels, pose


def read_run(path: Path, parts: Sequence[Dataset]) -> RunErrors:
    """Read what a run predicted of some datasets.

    Args:
        path: its folder, or its results.json.
        parts: whole datasets, of one folder each.

    Raises:
        MissingError: no results, or it predicted none of these hands.
        ConfigError: it was evaluated on augmented pictures, or on other hands that are called alike.
    """
    file = results_file(path)
    results = read_results(file)
    given = predictions_behind(results, file)
    refuse_augmented(given, file)
    for part in parts:
        refuse_other_hands(results, given, part, file)
    readout = results.readout if results.readout in given.keypoints_2d else next(iter(given.keypoints_2d), "")
    found = [hand_errors(part, given, readout) for part in parts]
    rows = np.concatenate([match_samples(part, given)[0] for part in parts])
    if not (rows >= 0).any():
        names = ", ".join(part.name for part in parts)
        raise MissingError(file, expected=f"predictions of hands of {names}", got="none", fix="Name its results.")
    name = file.parent.name if file.name == RESULTS else file.stem
    errors = {what: np.concatenate([part[what] for part in found]) for what in found[0]}
    return RunErrors(name=name, predictions=given, readout=readout, row_of=rows, errors=errors)


def error_columns(runs: Sequence[RunErrors]) -> dict[str, Number]:
    """Return the errors of runs as columns; of two runs also how much larger those of the first are."""
    columns = {}
    for run in runs:
        for what, values in run.errors.items():
            if np.isfinite(values).any():
                title, unit, factor = _SHOWN[what]
                columns[f"error_{what}_{run.name}"] = _column(f"{title}, {run.name}", unit, values * factor)
    if len(runs) == 2:
        first, second = runs
        for what, values in first.errors.items():
            difference = (values - second.errors[what]) * _SHOWN[what][2]
            if np.isfinite(difference).any():
                title, unit, _ = _SHOWN[what]
                said = f"{title}, {first.name} minus {second.name}"
                columns[f"difference_{what}"] = _column(said, unit, difference)
    return columns


def _column(title: str, unit: str, values: Any) -> Number:
    return Number(title, unit, np.asarray(values, np.float32), 2)


def _nan(dimensions: int) -> Floats:
    return np.full((NUM_KEYPOINTS, dimensions), np.nan)
