"""Read the thesis author's own result files and regroup them into every cell of Tables 4.1 to 4.9 that they allow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handdata.errors import DataError, MissingError
from handdata.evaluation.metrics import group_means
from handdata.files.text import Wanted, read_object
from handdata.report.cells import EXPERIMENTS, TOTAL, Cell, Source, thesis_cells
from handdata.skeleton import NUM_KEYPOINTS

_NAME = re.compile(r"(e\d{3})__(.+)_valuation\.json")
_FIX = "Take the author's file as it is: <experiment>__<name>_valuation.json."
_FILE = Wanted(what="named results", fix=_FIX)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One of the author's result files.

    Attributes:
        keypoint: "2d" and "3d" -> (21,) mean distances, NaN where no sample labels the keypoint; only what it holds.
        total: "2d" and "3d" -> the total as stored, NaN if nothing is labelled.
        curves: "2d" and "3d" -> thresholds and accuracies of the PCK curve; only what it holds.
    """

    keypoint: Mapping[str, NDArray[np.float64]]
    total: Mapping[str, float]
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A folder of the author's result files.

    Attributes:
        folder: where they lie.
        evaluations: (experiment, evaluation) -> the file's content.
        values: every cell whose file is there, in the order of the tables; None for a group without labels.
        ignored: names of files that are no result of these experiments.
    """

    folder: Path
    evaluations: Mapping[tuple[str, str], Evaluation]
    values: Mapping[Cell, float | None]
    ignored: tuple[str, ...]


def read_reference(folder: Path) -> Reference:
    """Read all result files of a folder; any subset of the experiments will do.

    Raises:
        MissingError: no folder, or none of its files is one of the author's results.
        DataError: a file is not JSON or holds something else.
    """
    if not folder.is_dir():
        raise MissingError(folder, expected="a folder of result files", got="no folder", fix=_FIX)
    evaluations: dict[tuple[str, str], Evaluation] = {}
    ignored = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and match[1] in EXPERIMENTS:
            evaluations[match[1], match[2]] = read_evaluation(path)
        else:
            ignored.append(path.name)
    if not evaluations:
        raise MissingError(folder, expected="files such as e010__stereo_valuation.json", got="none", fix=_FIX)
    values = {
        cell: _value(evaluations[source.experiment, source.evaluation], source)
        for cell, source in thesis_cells().items()
        if _allows(evaluations.get((source.experiment, source.evaluation)), source)
    }
    return Reference(folder, evaluations, values, tuple(ignored))


def read_evaluation(path: Path) -> Evaluation:
    """Read one result file; a keypoint's -1 means that no sample labels it and becomes NaN (docs/method.md E15).

    Raises:
        DataError: not JSON, or an entry is not of the shape it should have.
    """
    content = read_object(path, _FILE, finite=False)
    dimensions = [name for name in ("2d", "3d") if f"error_keypoint_{name}" in content]
    return Evaluation(
        keypoint={name: _keypoints(path, f"error_keypoint_{name}", content) for name in dimensions},
        total={name: _total(path, f"error_total_{name}", content) for name in dimensions},
        curves={
            name: _curve(path, f"acc_range_{name}", content) for name in dimensions if f"acc_range_{name}" in content
        },
    )


def to_csv(values: Mapping[Cell, float | None]) -> str:
    """Return the cells as tidy CSV: table,dataset,model,group,metric,value; 9 decimals, an empty cell's field empty."""
    names = ["table", "dataset", "model", "group", "metric"]
    rows = [[*(getattr(cell, name) for name in names), value] for cell, value in values.items()]
    table = pd.DataFrame(rows, columns=[*names, "value"])
    return table.to_csv(index=False, float_format="%.9f", lineterminator="\n")


def _allows(evaluation: Evaluation | None, source: Source) -> bool:
    return evaluation is not None and source.dimension in evaluation.keypoint


def _value(evaluation: Evaluation, source: Source) -> float | None:
    if source.group == TOTAL:
        value = evaluation.total[source.dimension]
    else:
        value = group_means(evaluation.keypoint[source.dimension])[source.group]
    return value * source.factor if np.isfinite(value) else None


def _keypoints(path: Path, key: str, content: Mapping[str, Any]) -> NDArray[np.float64]:
    try:
        values = np.array(content[key], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}[{key}]", expected="21 numbers", got=str(error), fix=_FIX) from error
    if values.shape != (NUM_KEYPOINTS,):
        raise DataError(f"{path}[{key}]", expected="21 numbers", got=f"shape {values.shape}", fix=_FIX)
    return np.where(values == -1, np.nan, values)


def _curve(path: Path, key: str, content: Mapping[str, Any]) -> tuple[Sequence[float], Sequence[float]]:
    thresholds, accuracy = (_list(path, name, content) for name in ("thres_range", key))
    if len(accuracy) != len(thresholds):
        got = f"{len(accuracy)} of {len(thresholds)}"
        raise DataError(f"{path}[{key}]", expected="as many numbers as thres_range", got=got, fix=_FIX)
    return thresholds, accuracy


def _list(path: Path, key: str, content: Mapping[str, Any]) -> list[float]:
    values = content.get(key)
    if not isinstance(values, list) or not all(map(_is_number, values)):
        raise DataError(f"{path}[{key}]", expected="a list of numbers", got=repr(values)[:40], fix=_FIX)
    return values


def _total(path: Path, key: str, content: Mapping[str, Any]) -> float:
    value = content.get(key)
    if not _is_number(value):
        raise DataError(f"{path}[{key}]", expected="a number", got=repr(value), fix=_FIX)
    return float("nan") if value == -1 else float(value)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
