"""The page of `handdata stats`: tables and plots in one file that needs nothing else."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from handdata.check.stats import Stats, summary
from handdata.files.whole import write_text
from handdata.skeleton import FINGER_COLORS, FINGER_OF, KEYPOINTS

INK, MUTED, BAR = "#1d2433", "#6b7280", "#3366cc"
BINS = 40
PLOT_COLUMNS = 3
KINDS = {
    "annotated_2d": "2D label",
    "annotated_3d": "3D label",
    "in_frame": "in the picture",
    "visible": "visible",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ stats.dataset }}: statistics</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2433; background: #fff; margin: 2rem auto; max-width: 1100px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { color: #4b5563; margin: .25rem 0 1rem; } img { max-width: 100%; height: auto; }
.tables { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: flex-start; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } caption { text-align: left; font-weight: 600;
  white-space: nowrap; }
td, th { padding: .15rem .6rem .15rem 0; text-align: right; border-bottom: 1px solid #e5e7eb; }
td:first-child, th:first-child { text-align: left; } th { font-weight: 500; color: #6b7280; }
.scroll { overflow-x: auto; } .tables > div { max-height: 24rem; overflow-y: auto; }
</style></head><body>
<h1>{{ stats.dataset }}</h1>
<p>{{ stats.num_samples }} samples{% if stats.origin %}, {{ stats.origin }} hands{% endif %}
{%- if stats.num_looked_at < stats.num_samples %}; labels of
{{ stats.num_looked_at }} of them, from evenly spaced shards{% endif %}.</p>
<h2>Counts</h2><div class="tables">
{% for what, values in stats.counts.items() %}<div><table><caption>{{ what.replace("_", " ") }}</caption>
{% for name, count in values.items() %}<tr><td>{{ name or "none" }}</td><td>{{ count }}</td></tr>{% endfor %}
</table></div>{% endfor %}</div>
<h2>Presence of each keypoint</h2><img alt="share of samples in which each keypoint is labelled" src="{{ presence }}">
<h2>Distributions</h2>{% if plots %}<img alt="histograms of pose and scale" src="{{ plots }}">{% endif %}
<div class="scroll"><table><tr><th>quantity</th><th>samples</th><th>mean</th>
{% for q in quantiles %}<th>{{ q }}</th>{% endfor %}</tr>
{% for name, row in rows.items() %}<tr><td>{{ name }}</td><td>{{ row.count }}</td>
<td>{{ "%.4g" | format(row.mean) }}</td>
{% for q in quantiles %}<td>{{ "%.4g" | format(row[q]) }}</td>{% endfor %}</tr>{% endfor %}
</table></div></body></html>
"""


def write_page(stats: Stats, path: Path) -> None:
    """Write the page; the file appears whole or not at all."""
    rows = {name: summary(values) for name, values in stats.distributions.items()}
    quantiles = [key for key in next(iter(rows.values()), {}) if key.startswith("p")]
    page = Environment(autoescape=True).from_string(_PAGE)
    html = page.render(
        stats=stats,
        presence=_svg(_presence_figure(stats)),
        plots=_svg(_histograms(stats)) if stats.distributions else "",
        rows=rows,
        quantiles=quantiles,
    )
    write_text(path, html)


def _presence_figure(stats: Stats) -> Figure:
    """Draw a row of bars a kind of presence, the keypoints side by side in their fingers' colours."""
    kinds = {kind: title for kind, title in KINDS.items() if any(p[kind] is not None for p in stats.presence.values())}
    figure = Figure(figsize=(11, 1.25 * len(kinds) + 1.1), layout="constrained")
    axes = np.atleast_1d(np.array(figure.subplots(len(kinds), 1, sharex=True), dtype=object))
    places = np.arange(len(KEYPOINTS))
    colors = ["#777777" if f < 0 else tuple(c / 255 for c in FINGER_COLORS[f]) for f in FINGER_OF]
    for ax, (kind, title) in zip(axes, kinds.items(), strict=True):
        shares = [stats.presence[name][kind] or 0.0 for name in KEYPOINTS]
        ax.bar(places, shares, color=colors, width=0.75)
        ax.set(ylim=(0, 1.05), yticks=(0, 0.5, 1), yticklabels=("0", "50 %", "100 %"))
        ax.set_title(title, loc="left", fontsize=9, color=INK)
        _tidy(ax)
    axes[-1].set_xticks(places, [name.replace("_", " ") for name in KEYPOINTS], rotation=50, ha="right", fontsize=8)
    return figure


def _histograms(stats: Stats) -> Figure:
    names = [name for name, values in stats.distributions.items() if np.ptp(values) > 0]  # a constant is no plot
    lines = max(1, -(-len(names) // PLOT_COLUMNS))
    figure = Figure(figsize=(11, 2.2 * lines), layout="constrained")
    axes = np.array(figure.subplots(lines, PLOT_COLUMNS, squeeze=False)).ravel()
    for ax, name in zip(axes, names, strict=False):
        values = stats.distributions[name]
        low, high = np.quantile(values, (0.001, 0.999))
        ax.hist(np.clip(values, low, high), bins=BINS, color=BAR)
        ax.axvline(float(np.median(values)), color=INK, linewidth=1)
        ax.set_title(name, loc="left", fontsize=9, color=INK)
        ax.set_yticks([])
        _tidy(ax)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    return figure


def _tidy(ax: Any) -> None:
    ax.tick_params(labelsize=8, colors=MUTED, length=2)
    for edge in ("top", "right", "left"):
        ax.spines[edge].set_visible(False)


def _svg(figure: Figure) -> str:
    """Return a figure as a data URL, the same for the same figure."""
    buffer = BytesIO()
    figure.canvas = FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": "handdata"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
