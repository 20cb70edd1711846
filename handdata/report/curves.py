"""PCK curves as small SVG drawings made by hand: sharp on a phone, coloured by the page, a colour for each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from handdata.evaluation.results import Curve, SetResult
from handdata.report.reference import Reference
from handdata.report.runs import Run

SERIES, DASHES = 6, 4  # colours and dashes that the page's style sheet knows
AUTHOR = -1  # the series of a curve that is not ours
_WIDTH, _HEIGHT = 380.0, 250.0  # units of the drawing; text of 12 of them is readable at 366 px
_LEFT, _TOP, _RIGHT, _BOTTOM = 42.0, 10.0, 368.0, 206.0
_POINTS = 120  # of a curve: finer than a pixel of the drawing


@dataclass(frozen=True, kw_only=True)
class Axis:
    """How a quantity's thresholds are drawn.

    Attributes:
        title: below the axis.
        unit: of the thresholds, for the legend.
        ticks: thresholds that are named; the last one ends the axis.
        mark: the threshold whose share stands in the legend; None for the area.
        shaded: ends of a window that is shaded.
        area: the protocol whose number is the area of that window, "" for none.
    """

    title: str
    unit: str
    ticks: tuple[float, ...]
    mark: float | None = None
    shaded: tuple[float, float] | None = None
    area: str = ""


AXES: Mapping[str, Axis] = {
    "2d": Axis(title="2D error, part of the crop side", unit="of crop", ticks=(0.0, 0.1, 0.2, 0.3), mark=0.1),
    "3d_mm": Axis(
        title="3D error, mm", unit="mm", ticks=(0.0, 20.0, 50.0, 100.0), shaded=(20.0, 50.0), area="auc_20_50"
    ),
    "3d": Axis(
        title="3D error, wrist to middle MCP = 1", unit="normalised", ticks=(0.0, 0.25, 0.5, 0.75, 1.0), mark=0.25
    ),
    "2d_px": Axis(title="2D error, px of the source picture", unit="px", ticks=(0.0, 10.0, 20.0, 30.0), mark=10.0),
}


@dataclass(frozen=True, kw_only=True)
class LegendRow:
    """One curve's entry in the legend.

    Attributes:
        series: which colour, or AUTHOR.
        dash: which dash.
        name: the run and the split.
        values: what the curve of each plot says at its mark, or its area; "" without.
    """

    series: int
    dash: int
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plots:
    """The curves of several runs on one dataset, by one or more thresholds, with one legend.

    Attributes:
        drawings: SVG elements.
        read: what stands in each column of the legend.
        lines: the legend's rows.
    """

    drawings: tuple[str, ...]
    read: tuple[str, ...]
    lines: tuple[LegendRow, ...]


def series_of(runs: Sequence[Run]) -> dict[str, int]:
    """Return the number of each run's colour, the same all over the page."""
    return {run.name: place for place, run in enumerate(runs)}


def pck_plots(
    quantities: Sequence[str],
    sets: Sequence[tuple[Run, SetResult]],
    series: Mapping[str, int],
    reference: Reference | None = None,
) -> Plots:
    """Draw the PCK curves of several runs on one dataset.

    Args:
        quantities: keys of AXES, a drawing each.
        sets: run and its result on that dataset; those without any of the curves are left out.
        series: the number of each run's colour.
        reference: the author's curves are drawn beside ours where her files hold them.
    """
    dataset = sets[0][1].dataset
    paths: dict[str, list[str]] = {quantity: [] for quantity in quantities}
    lines = []
    place: dict[str, int] = {}  # of each run's sets
    for run, result in sets:
        number = place[run.name] = place.get(run.name, -1) + 1
        color, dash = series[run.name] % SERIES, (series[run.name] // SERIES + number) % DASHES
        values = []
        for quantity in quantities:
            curve, axis = result.curves.get(quantity), AXES[quantity]
            if curve:
                line = _path(curve.thresholds, curve.accuracy, axis)
                paths[quantity].append(f'<path d="{line}" class="curve s{color} d{dash}"/>')
            values.append(_value(axis, curve, result) if curve else "")
        if any(quantity in result.curves for quantity in quantities):
            lines.append(LegendRow(series=color, dash=dash, name=run.column(result), values=tuple(values)))
    authors: dict[str, None] = {}
    for quantity in quantities:
        for name, thresholds, accuracy in _authors_curves(quantity, dataset, reference):
            paths[quantity].append(f'<path d="{_path(thresholds, accuracy, AXES[quantity])}" class="curve author"/>')
            authors[name] = None
    nothing = ("",) * len(quantities)
    return Plots(
        drawings=tuple(_drawing(dataset, quantity, paths[quantity]) for quantity in quantities),
        read=tuple(_read(AXES[quantity]) for quantity in quantities),
        lines=(*lines, *(LegendRow(series=AUTHOR, dash=1, name=name, values=nothing) for name in authors)),
    )


def _drawing(dataset: str, quantity: str, paths: Sequence[str]) -> str:
    axis = AXES[quantity]
    label = f"PCK curves on {dataset}: {axis.title}"
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return f'<svg viewBox="{box}" class="plot" role="img" aria-label="{label}">{_frame(axis)}{"".join(paths)}</svg>'


def _read(axis: Axis) -> str:
    """Say what the legend reads from a curve."""
    return (
        f"area {axis.shaded[0]:g}-{axis.shaded[1]:g} {axis.unit}"
        if axis.shaded
        else f"within {axis.mark:g} {axis.unit}"
    )


def _frame(axis: Axis) -> str:
    parts = []
    if axis.shaded:
        left, right = (_across(axis, end) for end in axis.shaded)
        parts.append(f'<rect x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}"/>')
        parts.append(f'<text x="{(left + right) / 2:.1f}" y="{_BOTTOM - 6}" class="mid soft">area</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path d="M{_LEFT} {_up(share):.1f}H{_RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{_up(share) + 4:.1f}" class="end">{100 * share:.0f} %</text>')
    for tick in axis.ticks:
        x = _across(axis, tick)
        look = ' class="mark"' if tick == axis.mark else ""
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_BOTTOM}"{look}/>')
        parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 17}" class="mid">{tick:g}</text>')
    parts.append(f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 37}" class="mid">{axis.title}</text>')
    return f'<g class="axes">{"".join(parts)}</g>'


def _path(thresholds: Sequence[float], accuracy: Sequence[float], axis: Axis) -> str:
    """Return path data of the part of a curve that the axis shows."""
    end = axis.ticks[-1]
    shown = sum(threshold <= end for threshold in thresholds)
    step = max(1, shown // _POINTS)
    points = [(_across(axis, t), _up(a)) for t, a in zip(thresholds[:shown:step], accuracy[:shown:step], strict=True)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _across(axis: Axis, threshold: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * threshold / axis.ticks[-1]


def _up(share: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * share


def _value(axis: Axis, curve: Curve, result: SetResult) -> str:
    if axis.area:
        score = result.protocols.get(axis.area)
        return f"{score.value:.3f}" if score and score.value is not None else ""
    share = _share_at(curve, axis.mark or 0.0)
    return "" if share is None else f"{100 * share:.0f} %"


def _share_at(curve: Curve, threshold: float) -> float | None:
    """Return the curve's share at a threshold between two of its own, None outside of them."""
    ends = zip(pairwise(curve.thresholds), pairwise(curve.accuracy), strict=True)
    for (low, high), (first, last) in ends:
        if low <= threshold <= high:
            return first + (last - first) * (threshold - low) / (high - low) if high > low else last
    return None


def _authors_curves(
    quantity: str, dataset: str, reference: Reference | None
) -> list[tuple[str, Sequence[float], Sequence[float]]]:
    if reference is None or quantity not in ("2d", "3d"):
        return []
    archive = {"synthhands": "synth_hands_all", "ganerated": "ganerated_all"}.get(dataset)
    return [
        (f"author's {experiment}", *evaluation.curves[quantity])
        for (experiment, name), evaluation in reference.evaluations.items()
        if name == archive and quantity in evaluation.curves
    ]
