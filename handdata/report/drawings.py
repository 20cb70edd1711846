"""Small SVG drawings made by hand: error on a hand's skeleton, keypoints over a picture, a pose from three sides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.results import ErrorTable
from handdata.skeleton import BONES, FINGER_COLORS, KEYPOINTS, WRIST, WRIST_COLOR

# A spread left hand seen from its back, in units of the drawing; a scheme, not a measurement.
_FINGER_ROOTS = ((52, 152), (80, 110), (109, 103), (138, 110), (165, 128))
_FINGER_STEPS = ((-14, -21), (-9, -25), (1, -27), (10, -25), (17, -20))
SCHEME: NDArray[np.float64] = np.array(
    [(110, 205)] + [(x + j * dx, y + j * dy) for (x, y), (dx, dy) in zip(_FINGER_ROOTS, _FINGER_STEPS, strict=True)
                   for j in range(4)], float)  # fmt: skip
_VIEWS = (("front", 0, 1), ("side", 2, 1), ("top", 0, 2))  # which camera axes lie to the right and down
_PANEL = 110.0  # px, side of one view


def error_skeleton(table: ErrorTable, scale: float, unit: str, title: str) -> str:
    """Draw a hand whose keypoints are as large and dark as their error; the number stands beside each.

    Args:
        table: mean errors by keypoint.
        scale: the error that is drawn darkest.
        unit: for the reader of the tooltip.
        title: what the drawing shows.
    """
    parts = [
        f'<line x1="{a[0]:.0f}" y1="{a[1]:.0f}" x2="{b[0]:.0f}" y2="{b[1]:.0f}" class="bone"/>'
        for a, b in ((SCHEME[start], SCHEME[end]) for start, end in BONES)
    ]
    for (x, y), error, name in zip(SCHEME, table.keypoint, KEYPOINTS, strict=True):
        if error is None:
            parts.append(
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" class="unlabelled"><title>{name}: no label</title></circle>'
            )
            continue
        share = min(error / scale, 1.0) if scale > 0 else 0.0
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{3 + 5 * share:.1f}" fill="{_heat(share)}" class="error">'
            f"<title>{name}: {error:.3f} {unit}</title></circle>"
            f'<text x="{x + 9:.0f}" y="{y + 3:.0f}" class="number">{_short(error)}</text>'
        )
    return f'<svg viewBox="0 10 250 210" class="scheme" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def skeleton_overlay(points: NDArray[Any]) -> str:
    """Return the bones and keypoints of one hand in the coordinates of the drawing, a colour a finger; NaN is left out.

    Two paths a finger keep a page of hundreds of hands small: one for the bones, one of zero-length strokes for dots.
    """
    fingers = []
    for finger, color in enumerate(FINGER_COLORS):
        own = [4 * finger + joint for joint in range(1, 5)]
        stroke = _hex(color)
        bones, dots = _line(points[[WRIST, *own]]), _dots(points[own])
        fingers += [f'<path d="{bones}" stroke="{stroke}"/>'] if bones else []
        fingers += [f'<path d="{dots}" stroke="{stroke}" class="dots"/>'] if dots else []
    wrist = _dots(points[[WRIST]])
    fingers += [f'<path d="{wrist}" stroke="{_hex(WRIST_COLOR)}" class="dots"/>'] if wrist else []
    return f'<g class="skeleton">{"".join(fingers)}</g>'


def three_views(truth: NDArray[Any], prediction: NDArray[Any], title: str) -> str:
    """Draw a pose from the front, the side and above: truth in grey, the prediction in the fingers' colours.

    Args:
        truth: (21, 3) normalised or mm, NaN where not labelled.
        prediction: (21, 3) in the same unit and frame.
        title: what it shows.
    """
    both = np.concatenate([truth, prediction])
    finite = both[np.isfinite(both).all(-1)]
    if not len(finite):
        return ""
    center = (finite.max(0) + finite.min(0)) / 2
    reach = float(np.abs(finite - center).max()) or 1.0
    panels = []
    for place, (name, right, down) in enumerate(_VIEWS):
        shift = np.array([_PANEL * (place + 0.5), _PANEL * 0.5])
        flat = [(p - center)[:, [right, down]] * (_PANEL * 0.42 / reach) + shift for p in (truth, prediction)]
        panels.append(f'<g class="truth">{_truth(flat[0])}</g>{skeleton_overlay(flat[1])}')
        panels.append(f'<text x="{_PANEL * (place + 0.5):.0f}" y="{_PANEL + 9:.0f}" class="axis">{name}</text>')
    box = f"0 0 {_PANEL * 3:.0f} {_PANEL + 14:.0f}"
    return f'<svg viewBox="{box}" class="views" role="img" aria-label="{title}">{"".join(panels)}</svg>'


def _truth(points: NDArray[Any]) -> str:
    chains = [points[[WRIST, *range(4 * finger + 1, 4 * finger + 5)]] for finger in range(len(FINGER_COLORS))]
    lines, dots = "".join(_line(chain) for chain in chains), _dots(points)
    return f'<path d="{lines}"/><path d="{dots}" class="dots"/>'


def _line(points: NDArray[Any]) -> str:
    """Return path data through the points in order, broken where one is missing."""
    known = np.isfinite(points).all(-1)
    ends = zip(points[:-1], points[1:], known[:-1] & known[1:], strict=True)
    return "".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b, both in ends if both)


def _dots(points: NDArray[Any]) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points if np.isfinite((x, y)).all())


def _heat(share: float) -> str:
    """Return a colour from pale yellow (0) over orange to dark red (1)."""
    stops: Sequence[tuple[int, int, int]] = ((254, 217, 118), (252, 78, 42), (128, 0, 38))
    place = share * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    return _hex([round(a + (b - a) * (place - first)) for a, b in zip(stops[first], stops[first + 1], strict=True)])


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _short(error: float) -> str:
    return f"{error:.3f}".removeprefix("0") if error < 1 else f"{error:.1f}"
