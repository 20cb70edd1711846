"""A dataset as a pandas table: one row per hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.files.whole import whole
from handdata.shards.dataset import Dataset
from handdata.shards.schema import LABELS

_LEFT_OUT = ("row_hash", "sample_id", "hand_side")  # the id is the index, `side` says the last in words
_WORDS = ("dataset", "split", "sequence", "camera", "side")


def to_pandas(data: Dataset, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row per hand; see `Dataset.to_pandas`."""
    chosen = [columns] if isinstance(columns, str) else columns
    if chosen is None:
        chosen = ("dataset", "split", "side", *(field.name for field in LABELS if field.name not in _LEFT_OUT))
    index = pd.Index(data["id"].astype(object), name="id")
    return pd.DataFrame({name: _series(data, name, index) for name in chosen}, index=index)


def _series(data: Dataset, name: str, index: pd.Index) -> Any:
    if not isinstance(name, str):  # a number would be a hand
        raise TypeError(f"columns are named by text, got {name!r}")
    values = data[name]
    if name in _WORDS:
        return pd.Series(pd.Categorical(values), index=index)
    if name == "has_object":
        known = pd.array(values == 1, dtype="boolean")
        known[np.asarray(values < 0)] = pd.NA
        return pd.Series(known, index=index)
    if values.ndim > 1:
        return pd.Series(_objects(values), index=index)
    return pd.Series(np.array(values), index=index)


def _objects(values: NDArray[Any]) -> NDArray[np.object_]:
    """Return one array per hand, views of `values`."""
    column = np.empty(len(values), object)
    for number, value in enumerate(values):
        column[number] = value
    return column


def to_parquet(data: Dataset, path: Path, columns: Sequence[str] | None = None) -> None:
    """Write the table as Parquet; see `Dataset.to_parquet`."""
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        fix = 'Run pip install "handdata[parquet]".'
        raise ConfigError(path, expected="pyarrow, to write Parquet", got="not installed", fix=fix) from None
    table = to_pandas(data, columns)
    for name in table.columns:
        if table[name].dtype == object:
            table[name] = [value.tolist() if isinstance(value, np.ndarray) else value for value in table[name]]
    with whole(path) as file:
        pq.write_table(pa.Table.from_pandas(table), file)


def summary(data: Dataset) -> pd.DataFrame:
    """Return one row per dataset and split; see `Dataset.summary`."""
    with_2d, with_3d = (data[f"annotated_{kind}"].sum(-1) for kind in ("2d", "3d"))
    frame = pd.DataFrame(
        {
            "dataset": data["dataset"],
            "split": data["split"],
            "sequence": data["sequence"],
            "left": data["hand_side"] == 0,
            "right": data["hand_side"] == 1,
            "with object": data["has_object"] == 1,
            "keypoints in 2D": with_2d,
            "keypoints in 3D": with_3d,
            "visible": np.where(data["visible"] >= 0, data["visible"] == 1, np.nan).mean(-1),
        }
    )
    grouped = frame.groupby(["dataset", "split"])
    totals = grouped[["left", "right", "with object"]].sum()
    means = grouped[["keypoints in 2D", "keypoints in 3D", "visible"]].mean()
    counts = pd.DataFrame({"hands": grouped.size(), "sequences": grouped["sequence"].nunique()})
    return pd.concat([counts, totals, means.round(2)], axis=1).reset_index()
