"""Settle what a file of labels leaves open: the side, the order of the points, the unit of 3D. Asked, or from evidence.

Everything that was decided is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from handdata.errors import ConfigError, DataError, HanddataError
from handdata.exchange.labels import (
    FIX,
    MM_PER_UNIT,
    UNKNOWN_SIDE,
    UNSAID,
    Annotations,
    Array,
    HandLabels,
    LabelRow,
    check,
)
from handdata.exchange.orders import ORDERS, base_first, best_order, evidence, path_lengths, slots_of
from handdata.exchange.plausible import put_aside
from handdata.shards.schema import UNKNOWN
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS, ROOT, WRIST

FROM_FILE, AUTO, OURS = "file", "auto", "base-first"
SIDES = (FROM_FILE, *HAND_SIDES, "unknown")
HIDDEN, MISSING = "hidden", "missing"
UNITS = (FROM_FILE, AUTO, *MM_PER_UNIT)
_PALM_MM = (50.0, 140.0)  # from wrist to middle MCP, of a child to a large man
_SPAN_MM = (40.0, 260.0)  # between the farthest two labelled points
_FEW_FINGERS = 8  # fewer tell nothing yet
_FEW_HANDS = 5  # of which paths are asked
_SURE_HANDS = 10  # whole ones, of which no set was taken for another order; of single hands many (docs/custom.md)
_BASE_FIRST = (
    0.25  # least share of fingers whose first bone is the longer one; of real labels of tiny hands half have it
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user says of the labels; FROM_FILE leaves it to the file.

    Attributes:
        side: of hands whose side the file does not say: "left", "right" or "unknown".
        order: of the rows of points, a name in ORDERS, or AUTO.
        unit: of 3D, where the file does not say: a name in MM_PER_UNIT, or AUTO.
        occluded: what points marked as hidden are: HIDDEN, or MISSING where annotators marked what they do not know.
    """

    side: str = FROM_FILE
    order: str = FROM_FILE
    unit: str = FROM_FILE
    occluded: str = HIDDEN


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Labels in our order, in mm, each with a side of the schema; and what was decided and what is odd, in words."""

    rows: tuple[LabelRow, ...]
    readings: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def settle(found: Annotations, asked: Asked) -> Settled:
    """Settle one file.

    Raises:
        ConfigError: an order was asked for, and the file does not list 21 points per hand.
    """
    found = replace(found, rows=tuple(map(_from_center, found.rows)))
    rows, order, doubt = _ordered(found, asked.order)
    rows, unit = _in_mm(rows, asked.unit)
    rows, side = _sided(rows, asked.side, is_exported=found.is_exported)
    if asked.occluded == MISSING:
        rows = tuple(_without_hidden(row) for row in rows)
    elif aside := put_aside(rows):
        doubt.append(aside)
    rows = tuple(_checked(row) for row in rows)
    doubt += [*_twice(rows), *_without_use(_hands(found.rows), asked)]
    parts = (("format", f"{found.kind} ({found.sign})"), ("sides", side), ("order of points", order), ("unit", unit))
    return Settled(rows=rows, readings=tuple(part for part in parts if part[1]), warnings=tuple(doubt))


def _twice(rows: Sequence[LabelRow]) -> Iterator[str]:
    """Tell of hands that are labelled more than once."""
    hands = [
        (row.image, row.hand.uv.tobytes()) for row in rows if isinstance(row.hand, HandLabels) and _is_told(row.hand)
    ]
    if again := len(hands) - len(set(hands)):
        yield f"twice: {again} of {len(hands)} hands have the very points of another one in their picture"


def _is_told(hand: HandLabels) -> bool:
    return int(np.isfinite(hand.uv).all(-1).sum()) > 1


def _without_use(hands: Sequence[HandLabels], asked: Asked) -> Iterator[str]:
    """Tell of what was asked and the labels have no use for."""
    if asked.side != FROM_FILE and not any(hand.side in (UNSAID, UNKNOWN_SIDE) for hand in hands):
        counts = ", ".join(f"{sum(hand.side == n for hand in hands)} {side}" for n, side in enumerate(HAND_SIDES))
        mend = "; --corrections mends wrong ones"
        yield f"--side {asked.side} changes nothing: the file says the side of every hand, {counts}{mend}"
    if asked.unit in MM_PER_UNIT and not any(np.isfinite(hand.xyz).any() and not hand.unit for hand in hands):
        yield f"--unit {asked.unit} changes nothing: the file has no 3D without a unit"
    if asked.occluded == MISSING and not any((hand.visible == 0).any() for hand in hands):
        yield f"--occluded {MISSING} changes nothing: the file marks no point as hidden"


def _from_center(row: LabelRow) -> LabelRow:
    """Return a row whose positions count from the centre of the first pixel."""
    if isinstance(row.hand, HanddataError) or not row.hand.from_corner:
        return row
    return replace(row, hand=replace(row.hand, uv=row.hand.uv - 0.5, from_corner=False))


def _hands(rows: Sequence[LabelRow]) -> list[HandLabels]:
    return [row.hand for row in rows if isinstance(row.hand, HandLabels)]


# ------------------------------------------------------------------------------------------------ order


def _ordered(found: Annotations, asked: str) -> tuple[tuple[LabelRow, ...], str, list[str]]:
    listed = [hand for hand in _hands(found.rows) if len(hand.slots) == NUM_KEYPOINTS]
    if not listed:
        if asked not in (FROM_FILE, AUTO):
            got = "a file whose points are named, or already in a known order"
            raise ConfigError("--order", expected="a file that lists 21 points per hand", got=got)
        return found.rows, "", []
    points = _in_file_order(listed)
    lengths = path_lengths(points)
    own = found.order or OURS
    best = best_order(lengths, own)
    name = asked if asked in ORDERS else best if asked == AUTO else own
    rows = found.rows if name == OURS else tuple(_reordered(row, name) for row in found.rows)
    why = "as asked" if asked in ORDERS else "from evidence" if name != own else found.order_why
    said = f"{name} ({why})" if found.order or name != own or asked in ORDERS else "as its names say"
    is_open = bool(lengths) and not found.is_exported
    shown = (
        f"; paths along fingers + from the wrist (to the thumb), in hand sizes: {evidence(lengths)}" if is_open else ""
    )
    doubts = list(_doubts(rows))
    whole = int(np.isfinite(points).all((1, 2)).sum())
    if asked == AUTO and whole < _SURE_HANDS:
        few = f"order: --order auto is not sure with {whole} whole hands, fewer than {_SURE_HANDS}"
        doubts.append(f"{few}: it chose {name}. Look at the points, or name the order")
    elif best != name and not doubts and len(listed) >= _FEW_HANDS and not found.is_exported:
        doubts.append(f"order: the points lie as in the order {best}, not {name}; see --order")
    return rows, said + shown, doubts


def _in_file_order(hands: Sequence[HandLabels]) -> Array:
    """Return the points of hands as the rows of their file, (N, 21, 3 or 2): 3D where all have it, else 2D."""
    solid = all(np.isfinite(hand.xyz[:NUM_KEYPOINTS]).all() for hand in hands)
    return np.stack([(hand.xyz if solid else hand.uv)[list(hand.slots)] for hand in hands])


def _reordered(row: LabelRow, name: str) -> LabelRow:
    hand = row.hand
    if isinstance(hand, HanddataError) or len(hand.slots) != NUM_KEYPOINTS:
        return row
    given, wanted = list(hand.slots), slots_of(name)
    uv, xyz, visible = hand.uv.copy(), hand.xyz.copy(), hand.visible.copy()
    uv[wanted], xyz[wanted], visible[wanted] = hand.uv[given], hand.xyz[given], hand.visible[given]
    return replace(row, hand=replace(hand, uv=uv, xyz=xyz, visible=visible, slots=tuple(wanted.tolist())))


def _doubts(rows: Sequence[LabelRow]) -> Iterator[str]:
    """Warn of fingers that look stored from the tip."""
    points = np.stack([hand.uv[:NUM_KEYPOINTS] for hand in _hands(rows)])
    base, count = base_first(points)
    if count >= _FEW_FINGERS and base < _BASE_FIRST * count:
        yield f"order: {count - base} of {count} fingers have the longer bone at the tip, as if listed so; see --order"


# ------------------------------------------------------------------------------------------------ unit


def _in_mm(rows: Sequence[LabelRow], asked: str) -> tuple[tuple[LabelRow, ...], str]:
    solid = [hand for hand in _hands(rows) if np.isfinite(hand.xyz).any()]
    if not solid:
        return tuple(rows), ""
    unsaid = [hand for hand in solid if not hand.unit]
    unit, why = asked if asked in MM_PER_UNIT else "", "as asked"
    if unsaid and asked == AUTO:
        unit, why = guess_unit(np.stack([hand.xyz for hand in unsaid]))
    words = "" if not unsaid else f"{unit} ({why})" if unit else "not said"
    stated = ", ".join(sorted({hand.unit for hand in solid if hand.unit}))
    return tuple(_scaled(row, unit) for row in rows), "; ".join(part for part in (stated, words) if part)


def guess_unit(xyz_NK3: Array) -> tuple[str, str]:
    """Return the unit in which hands have the size of hands, "" for none of them, and the evidence."""
    palm = np.linalg.norm(xyz_NK3[:, WRIST] - xyz_NK3[:, ROOT], axis=-1)
    what, size, (low, high) = "wrist to middle MCP", palm, _PALM_MM
    if not np.isfinite(palm).any():
        reach = np.fmax.reduce(xyz_NK3, axis=1) - np.fmin.reduce(xyz_NK3, axis=1)
        what, size, (low, high) = "the farthest points", np.linalg.norm(reach, axis=-1), _SPAN_MM
    median = float(np.nanmedian(size))
    fitting = [unit for unit, factor in MM_PER_UNIT.items() if low <= median * factor <= high]
    return fitting[0] if fitting else "", f"median of {what}: {median:.3g}"


def _scaled(row: LabelRow, unit: str) -> LabelRow:
    hand = row.hand
    if isinstance(hand, HanddataError) or not np.isfinite(hand.xyz).any():
        return row
    unit = hand.unit or unit
    if unit not in MM_PER_UNIT:
        given = f", not {unit!r}" if unit else ""
        got = f"3D without its unit: say mm, cm or m in the file or with --unit, or --unit auto{given}"
        return replace(row, hand=DataError(row.where, expected="a labelled hand", got=got, fix=FIX))
    return replace(row, hand=replace(hand, xyz=hand.xyz * MM_PER_UNIT[unit], unit="mm"))


# ------------------------------------------------------------------------------------------------ side


def _sided(rows: Sequence[LabelRow], asked: str, *, is_exported: bool) -> tuple[tuple[LabelRow, ...], str]:
    sides = [hand.side for hand in _hands(rows)]
    known = [side for side in sides if side not in (UNSAID, UNKNOWN_SIDE)]
    counts = [f"{known.count(number)} {side}" for number, side in enumerate(HAND_SIDES) if number in known]
    if asked == FROM_FILE and known and not is_exported:  # a row without what its neighbours have is a fault
        rows = tuple(map(_without_side, rows))
    side = HAND_SIDES.index(asked) if asked in HAND_SIDES else UNKNOWN_SIDE
    count = sum(hand.side in (UNSAID, UNKNOWN_SIDE) for hand in _hands(rows))
    if count:
        why = " (not in the file; see --side)" if sides == [UNSAID] * len(sides) else ""
        counts.append(f"{count} unknown{why}" if asked == FROM_FILE else f"{count} {asked} (as asked)")
    filled = (
        replace(row, hand=replace(row.hand, side=side))
        if isinstance(row.hand, HandLabels) and row.hand.side in (UNSAID, UNKNOWN_SIDE)
        else row
        for row in rows
    )
    return tuple(filled), ("; " if asked != FROM_FILE else ", ").join(counts)


def _without_side(row: LabelRow) -> LabelRow:
    if isinstance(row.hand, HanddataError) or row.hand.side != UNSAID:
        return row
    got = "no side, which other rows have: say left, right or unknown there, or pass --side"
    return replace(row, hand=DataError(row.where, expected="a labelled hand", got=got, fix=FIX))


def _without_hidden(row: LabelRow) -> LabelRow:
    if isinstance(row.hand, HanddataError):
        return row
    hidden = np.append(row.hand.visible == 0, False)
    uv = np.where(hidden[:, None], np.nan, row.hand.uv)
    visible = np.where(row.hand.visible == 0, UNKNOWN, row.hand.visible).astype(np.int8)
    return replace(row, hand=replace(row.hand, uv=uv, visible=visible))


def _checked(row: LabelRow) -> LabelRow:
    """Check again what was multiplied."""
    if isinstance(row.hand, HanddataError):
        return row
    try:
        if row.hand.is_share:
            raise ValueError(f"positions over the picture {row.image}, whose size is not known: it was not found")
        check(row.hand)
    except ValueError as error:
        return replace(row, hand=DataError(row.where, expected="a labelled hand", got=str(error), fix=FIX))
    return row
