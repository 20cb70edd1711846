"""Whether the points of a file are pixels of its pictures: what tells that they are of another unit or size."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from handdata.errors import DataError
from handdata.exchange.labels import HandLabels, LabelRow

SHARE = 1.5  # no hand is as small as so many pixels; points over the picture's size are from 0 to 1, or a little beyond
LOOKED_AT = 64  # rows whose points are held against their picture
MOST = 0.5  # share of points beside their picture that is told


def refuse_shares(path: Path, rows: Sequence[LabelRow]) -> None:
    """Refuse points that are shares of the picture where pixels are expected.

    Raises:
        DataError: all points of all hands lie within a pixel or two of the first one.
    """
    hands = [row.hand.uv for row in rows if isinstance(row.hand, HandLabels)]
    known = np.concatenate([uv[np.isfinite(uv).all(1)] for uv in hands]) if hands else np.zeros((0, 2))
    if not len(known) or np.abs(known).max() > SHARE or not np.ptp(known, axis=0).all():
        return
    low, high = known.min(), known.max()
    raise DataError(
        path,
        expected="points in pixels",
        got=f"all {len(known)} points from {low:.3g} to {high:.3g}, shares of the picture",
        fix="Multiply each by the width or height of its picture.",
    )


def beside(rows: Sequence[LabelRow], size_of: Callable[[LabelRow], tuple[int, int] | None]) -> str:
    """Say how many points lie beside their picture if most do, else "".

    Args:
        rows: of a file or several; some of them, evenly spread, are looked at.
        size_of: returns the (width, height) px of a row's picture, None if it is not known.
    """
    count = out = 0
    farthest, seen = 0.0, 0
    for row in rows[:: max(1, -(-len(rows) // LOOKED_AT))]:
        size = size_of(row) if isinstance(row.hand, HandLabels) else None
        if size is None or not isinstance(row.hand, HandLabels):
            continue
        uv = row.hand.uv[np.isfinite(row.hand.uv).all(1)]
        is_out = ((uv < -0.5) | (uv > np.array(size) - 0.5)).any(1)
        count, out, seen = count + len(uv), out + int(is_out.sum()), seen + 1
        farthest = max(farthest, float((np.abs(uv) / size).max(initial=0)))
    if out <= MOST * count:
        return ""
    return (
        f"points: {out} of {count} lie outside their picture, up to {farthest:.1f} times its size ({seen} hands were "
        "looked at); were they labelled at another size?"
    )
