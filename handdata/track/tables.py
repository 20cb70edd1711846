"""What was found in a video as text: a line of JSON per picture, a table with a row per hand."""

import io
from collections.abc import Sequence
from typing import IO, Any, Literal

import pandas as pd

from handdata.errors import ConfigError
from handdata.model.found import rounded
from handdata.shards.hand import Hand
from handdata.skeleton import KEYPOINTS
from handdata.track.tracker import TrackedHand
from handdata.track.video import VideoFrame

TableKind = Literal["csv", "parquet"]
Placed = tuple[Hand, float]  # a hand with millimetres, and the standard deviation of its depth

PIECE = 1024  # rows that wait until they are written together
# of the columns that hold no fractions; pandas writes whole numbers as such where some are missing only if it is told
_TYPES = {"frame": "int64", "image": "string", "track": "Int64", "state": "string", "side": "string"}
_HEAD = ["frame", "image", "seconds", "track", "state", "side", "confidence", "left", "top", "right", "bottom"]


def line_of(picture: VideoFrame, found: Sequence[TrackedHand], placed: Sequence[Placed]) -> dict[str, Any]:
    """Return a picture's line; `placed` is empty without a camera."""
    hands = [_hand(one) for one in found]
    for hand, (in_mm, depth_sd) in zip(hands, placed, strict=False):
        known = in_mm.annotated_3d.all()
        hand["keypoints_3d"] = in_mm.keypoints_3d.round(2).tolist() if known else None
        hand["depth_sd_mm"] = round(depth_sd, 1) if known else None
    name = {"image": picture.name} if picture.name else {}
    return {"frame": picture.number, **name, "seconds": round(picture.seconds, 4), "hands": hands}


def _hand(one: TrackedHand) -> dict[str, Any]:
    return {
        "track": one.track,
        "state": one.state,
        "side": one.hand.side,
        "confidence": round(one.confidence, 4),
        "presence": rounded(one.hand.presence),
        "crop_xyxy": one.hand.crop_box.round(2).tolist(),
        "keypoints_2d": one.hand.keypoints_2d.round(2).tolist(),
        "keypoints_2d_smoothed": one.smoothed.keypoints_2d.round(2).tolist(),
        "keypoints_3d_normalized": one.hand.keypoints_3d_normalized.round(5).tolist(),
        "keypoints_3d_normalized_smoothed": one.smoothed.keypoints_3d_normalized.round(5).tolist(),
        "peaks": [] if one.hand.peaks is None else one.hand.peaks.round(4).tolist(),
    }


def columns(*, in_mm: bool) -> list[str]:
    """Return the columns of the table: smoothed keypoints in px, and in mm with a camera; confidences last."""
    points = [f"{name}_{axis}" for name in KEYPOINTS for axis in "uv"]
    if in_mm:
        points += [f"{name}_{axis}" for name in KEYPOINTS for axis in "xyz"] + ["depth_sd_mm"]
    return _HEAD + points + [f"{name}_confidence" for name in KEYPOINTS]


def rows_of(picture: VideoFrame, found: Sequence[TrackedHand], placed: Sequence[Placed]) -> list[list[Any]]:
    """Return a row per hand, in the order of `columns`; of a picture without a hand one that says no more than that."""
    if not found:
        return [[picture.number, picture.name, picture.seconds]]
    return [_row_of(picture, one, placed[i] if placed else None) for i, one in enumerate(found)]


def _row_of(picture: VideoFrame, one: TrackedHand, placed: Placed | None) -> list[Any]:
    head = [picture.number, picture.name, picture.seconds, one.track, one.state, one.hand.side, one.confidence]
    row = [*head, *one.hand.crop_box, *one.smoothed.keypoints_2d.ravel()]
    in_mm = [] if placed is None else [*placed[0].keypoints_3d.ravel(), placed[1]]
    return [*row, *in_mm, *([None] * len(KEYPOINTS) if one.hand.peaks is None else one.hand.peaks)]


class TableWriter:
    """Writes rows to a file while they come, so that a long video needs no more memory than a short one.

    CSV is written piece by piece; Parquet, which is compressed by columns, at the end.
    """

    def __init__(self, file: IO[bytes], names: Sequence[str], kind: TableKind) -> None:
        self._file, self._names, self._kind = file, list(names), kind
        self._waiting: list[Sequence[Any]] = []
        self._parts: list[pd.DataFrame] = []
        if kind == "csv":
            file.write(table_bytes([], names, kind))

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take some rows, in the order of the columns."""
        self._waiting += rows
        if len(self._waiting) >= PIECE:
            self._put()

    def end(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._put()
        if self._kind != "csv":
            whole = pd.concat(self._parts, ignore_index=True) if self._parts else self._frame([])
            self._file.write(_encoded(whole, self._kind))

    def _put(self) -> None:
        part, self._waiting = self._frame(self._waiting), []
        if self._kind == "csv":
            self._file.write(_encoded(part, self._kind, header=False))
        else:
            self._parts.append(part)

    def _frame(self, rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
        return _table(rows, self._names)


def table_bytes(rows: Sequence[Sequence[Any]], names: Sequence[str], kind: TableKind) -> bytes:
    """Return the table as a file.

    Raises:
        ConfigError: Parquet, and pyarrow is not installed.
    """
    return _encoded(_table(rows, names), kind)


def _table(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    filled = [[*row, *[None] * (len(names) - len(row))] for row in rows]
    return pd.DataFrame(filled, columns=list(names)).astype({name: _TYPES.get(name, "float64") for name in names})


def _encoded(table: pd.DataFrame, kind: TableKind, *, header: bool = True) -> bytes:
    if kind == "csv":
        return table.to_csv(index=False, header=header, float_format="%.3f").encode()
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError:
        fix = "pip install 'handdata[parquet]', or give --table csv."
        raise ConfigError("--table", expected="pyarrow, for Parquet", got="not installed", fix=fix) from None
    return buffer.getvalue()
