"""Whether the points of a file are pixels of its pictures: what tells that they are of another unit or size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handdata.errors import ConfigError, DataError, HanddataError
from handdata.exchange.labels import Annotations, HandLabels, LabelRow

NORMALIZED = "normalized"
BESIDE = 4.0  # picture sizes that a point may lie outside of its picture
SHARE = 1.5  # no hand is as small as so many pixels; points over the picture's size are from 0 to 1, or a little beyond
LOOKED_AT = 64  # rows whose points are held against their picture
MOST = 0.5  # share of points beside their picture that is told
SEEN = 4  # visible points from which on a hand has a size
ASIDE = 0.25  # share of hands with hidden points far away that is told: real labels 0.09, with points put aside 0.43
FEW = 8  # hands with hidden points that tell nothing yet


def in_pixels(
    path: Path, table: Annotations, asked: str, size_of: Callable[[LabelRow], tuple[int, int] | None]
) -> Annotations:
    """Return labels whose points are pixels.

    Args:
        path: of the file.
        table: what is in it.
        asked: NORMALIZED where the user says that its points are shares of the picture.
        size_of: returns the (width, height) px of a row's picture, None if it is not known.

    Raises:
        ConfigError: the points are no shares, though the user says so.
        DataError: all points of all hands lie within a pixel or two of the first one, and nobody says why.
    """
    table = replace(table, rows=tuple(_scaled(row, size_of) if _is_share(row) else row for row in table.rows))
    found = _range(table.rows)
    if asked == NORMALIZED and not table.is_over_picture and found is not None:
        if found.largest > BESIDE:
            got = f"points up to {found.largest:.4g}, which are pixels"
            raise ConfigError("--coordinates", expected=f"points from 0 to 1 in {path}", got=got, fix="Leave it out.")
        table = replace(table, rows=tuple(_scaled(row, size_of) for row in table.rows))
    elif not table.is_over_picture and found is not None and found.largest <= SHARE and found.is_spread:
        raise DataError(
            path,
            expected="points in pixels",
            got=f"all {found.count} points from {found.low:.3g} to {found.high:.3g}, shares of the picture",
            fix="Pass --coordinates normalized, which multiplies each by the width or height of its picture.",
        )
    return table


@dataclass(frozen=True)
class _Range:
    """Between which numbers all positions of a file lie."""

    count: int
    low: float
    high: float
    is_spread: bool  # in both directions

    @property
    def largest(self) -> float:
        return max(abs(self.low), abs(self.high))


def _range(rows: Sequence[LabelRow]) -> _Range | None:
    hands = [row.hand.uv for row in rows if isinstance(row.hand, HandLabels)]
    known = np.concatenate([uv[np.isfinite(uv).all(1)] for uv in hands]) if hands else np.zeros((0, 2))
    if not len(known):
        return None
    return _Range(len(known), float(known.min()), float(known.max()), bool(np.ptp(known, axis=0).all()))


def _scaled(row: LabelRow, size_of: Callable[[LabelRow], tuple[int, int] | None]) -> LabelRow:
    """Return a row with its points, and a box of such numbers, as pixels; one without its picture stays."""
    hand, size = row.hand, size_of(row)
    if isinstance(hand, HanddataError) or size is None:
        return row
    is_share = np.abs(hand.bbox_xyxy).max() <= BESIDE  # False for NaN
    box = hand.bbox_xyxy * [*size, *size] if is_share else hand.bbox_xyxy
    return replace(row, hand=replace(hand, uv=hand.uv * size, bbox_xyxy=box, is_share=False))


def _is_share(row: LabelRow) -> bool:
    return isinstance(row.hand, HandLabels) and row.hand.is_share


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


def put_aside(rows: Sequence[LabelRow]) -> str:
    """Say in how many hands hidden points lie farther from the visible ones than these span; "" for few of them.

    Some annotators put the points that they cannot see beside the hand, and mark them as occluded.
    """
    judged = far = 0
    for hand in (row.hand for row in rows if isinstance(row.hand, HandLabels)):
        uv = hand.uv[: len(hand.visible)]
        known = np.isfinite(uv).all(1)
        seen, hidden = uv[known & (hand.visible == 1)], uv[known & (hand.visible == 0)]
        if len(seen) < SEEN or not len(hidden):
            continue
        low, high = seen.min(0), seen.max(0)
        away = np.linalg.norm(np.maximum(np.maximum(low - hidden, hidden - high), 0), axis=1)
        judged, far = judged + 1, far + int(away.max() > np.linalg.norm(high - low))
    if judged < FEW or far <= ASIDE * judged:
        return ""
    return (
        f"occluded: in {far} of {judged} hands with hidden points some lie farther from the visible ones than these "
        "span, as if put aside; --occluded missing leaves hidden points out"
    )
