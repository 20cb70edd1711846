"""Plots as inline SVG: small, sharp in print, and in the page's own colours by day and by night."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from handdata.evaluation.results import SetResult
from handdata.report.published import ANCHORS, LEARNING_CURVES
from handdata.report.runs import Run
from handdata.skeleton import BONES, KEYPOINTS

INK = "#123456"  # stands for the page's text colour; replaced by currentColor
# Okabe & Ito, Color Universal Design (2008), without black and yellow: for the colour-blind, on white and on dark.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLES = ("-", "--", ":", "-.")
_SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "handdata", "font.size": 9.0, "axes.grid": True, "grid.alpha": 0.25,
    "axes.spines.top": False, "axes.spines.right": False, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK, "legend.frameon": False,
    "axes.facecolor": "none", "figure.facecolor": "none", "font.family": "sans-serif",
}  # fmt: skip
_DECIMALS = re.compile(r"(\d+\.\d\d)\d+")
_PATH_POINTS = 200  # of a curve: finer than a pixel of the figure


def anchor_figure(dataset: str, sets: Sequence[tuple[Run, SetResult]]) -> str:
    """Draw published areas under the PCK curve as dots and ours with their intervals; "" if none is published."""
    rows: list[tuple[str, float, float | None, float | None]] = [
        (f"{method} ({protocol})", area, None, None)
        for protocol, areas in ANCHORS.get(dataset, {}).items()
        for method, area in areas
    ]
    if not rows:
        return ""
    for run, result in sets:
        for protocol in ANCHORS[dataset]:
            score = result.protocols.get(protocol)
            if score and score.value is not None:
                rows.append(
                    (f"ours: {run.name}, {result.origin} hands ({protocol})", score.value, score.low, score.high)
                )
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(4.6, 0.6 + 0.2 * len(rows)))
        axes = figure.subplots()
        for place, (name, value, low, high) in enumerate(rows):
            ours = name.startswith("ours")
            color = SERIES[1] if ours else SERIES[0]
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=color, linewidth=2, alpha=0.6)
            axes.plot([value], [place], marker="D" if ours else "o", color=color, markersize=5)
            axes.annotate(f"{value:.3f}", (value, place), xytext=(6, -3), textcoords="offset points", fontsize=7)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=7)
        axes.set(xlim=(0, 1.12), xlabel="area under the PCK curve")
        axes.invert_yaxis()
        return _svg(figure, f"anchors-{dataset}", f"Published and own areas under the PCK curve on {dataset}")


def learning_figure(runs: Sequence[Run]) -> str:
    """Draw training (thin) and validation (thick) losses of all runs, with their experiments' published points."""
    with mpl.rc_context(_SETTINGS):
        logged = {place: run for place, run in enumerate(runs) if run.log}  # a run has its colour on all the page
        named = dict.fromkeys(name for run in logged.values() for name in run.log[0]["train"] if name != "total")
        losses = list(named) or ["loss_2d", "loss_3d"]
        figure = Figure(figsize=(3.8 * len(losses), 3.0))
        for axes, loss in zip(np.atleast_1d(figure.subplots(1, len(losses))), losses, strict=True):
            column = {"loss_2d": 3, "loss_3d": 4}.get(loss)
            for place, run in logged.items():
                epochs = [entry["epoch"] for entry in run.log]
                for part, width, alpha in (("train", 0.8, 0.6), ("val", 1.8, 1.0)):
                    found = [(entry.get(part) or {}).get(loss) for entry in run.log]
                    values = [np.nan if value is None else value for value in found]
                    title = run.name if part == "train" else None
                    _line(axes, epochs, values, place, title, linewidth=width, alpha=alpha)
                for row in LEARNING_CURVES.get(run.experiment, ()) if column else ():
                    if column and row[0] <= epochs[-1]:
                        axes.plot(row[0], row[column], "x", color=SERIES[place % len(SERIES)], markersize=5)
            axes.set(xlabel="epoch", title=f"{loss.replace('_', ' ').replace('d', 'D')}, train thin, validation thick")
            axes.title.set_fontsize(9)
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for handle in axes.legend(fontsize=7).legend_handles:
            handle.set(linewidth=1.8, alpha=1.0)
        return _svg(figure, "learning", "Learning curves: training and validation losses by epoch")


def bone_figure(ratios: Mapping[str, Sequence[float]]) -> str:
    """Draw each dataset's bone lengths in units of the middle finger's first phalanx: who calls what a joint."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.6, 3.2))
        axes = figure.subplots()
        for place, (dataset, values) in enumerate(ratios.items()):
            shift = (place - (len(ratios) - 1) / 2) * 0.1
            axes.plot(np.arange(len(BONES)) + shift, values, "os^vDPX"[place % 7], markersize=4, label=dataset,
                      color=SERIES[place % len(SERIES)])  # fmt: skip
        axes.set_xticks(
            range(len(BONES)), [f"{KEYPOINTS[end]}" for _, end in BONES], rotation=60, ha="right", fontsize=7
        )
        axes.set(ylabel="length / middle MCP-PIP")
        axes.legend(fontsize=7, ncols=4)
        return _svg(
            figure, "bones", "Median bone lengths of each dataset relative to the middle finger's first phalanx"
        )


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], place: int, title: str | None, **style: Any) -> None:
    step = max(1, len(x) // _PATH_POINTS)
    color, dash = SERIES[place % len(SERIES)], STYLES[place // len(SERIES) % len(STYLES)]
    marker = "o" if len(x) == 1 else ""  # a line needs two points
    look = {"linewidth": 1.5, "marker": marker, "markersize": 4, **style}
    axes.plot(x[::step], y[::step], color=color, linestyle=dash, label=title, **look)


def _svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element for the page: its ids made its own, its ink the page's."""
    figure.set_layout_engine("constrained")
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # text is drawn by the browser, which has the letters
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    for place, color in enumerate(SERIES):
        text = text.replace(color, f"var(--series-{place})")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', rf"\1{name}-\2", text)
    text = re.sub(r' (?:d|x|y|points|transform)="[^"]*"', lambda found: _DECIMALS.sub(r"\1", found[0]), text)
    head, body = text.split(">", 1)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', head)[:2]
    box = f'viewBox="0 0 {width} {height}" style="max-width:{float(width) * 1.34:.0f}px"'
    return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box} role="img" aria-label="{title}">{body}'
