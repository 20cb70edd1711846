"""Do the labels lie on the hand in the picture? Told from colours alone, over many samples at once.

A hand is of one colour more than its surroundings are: the colours under the labelled fingers differ less from each
other than those under the mirrored labels, or under the labels of other samples. For a single picture that is weak
evidence, over forty it is not. Mirrored pixels with labels that are mirrored too can not be seen here: the side to
which fingers bend tells those (`anatomy.bend_to_palm`), and where only tips are labelled nothing does.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.check.anatomy import Floats
from handdata.check.findings import Finding, Report, examples
from handdata.geometry import apply_affine, mirror_pixels
from handdata.shards.dataset import Dataset
from handdata.skeleton import BONES, WRIST

MAX_PICTURES = 400
MIN_PICTURES = 40
MIN_POINTS = 3  # labelled, of a picture
MIRROR_WINS = 0.6  # share of pictures whose mirrored labels fit better; rendered data 0.2, mirrored 0.8
OWN_RANK = 0.4  # mean share of other samples' labels that fit better than a picture's own; chance 0.5, mirrored 0.42 up
RENDERED_RANK = 0.27  # the highest of seven rendered sets, that of the tips of EgoDexter and of Dexter+Object
ON_FOREGROUND = 0.75  # share of labelled points that lie on the segmentation; rendered data 0.97
OTHERS = 8  # labels of other samples that each picture is tried with
STEPS = np.linspace(0.0, 1.0, 5)[:, None]  # along a bone
SIGMAS = 3.0
NOTHING = 255.0  # difference in colour of a point where the picture is black: no depth, or outside of the source


def check_pictures(rows: Dataset, report: Report, limit: int = MAX_PICTURES) -> None:
    """Look at up to `limit` evenly spaced pictures."""
    chosen = np.flatnonzero(rows["in_frame"].sum(-1) >= MIN_POINTS)
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(limit, len(chosen))).round().astype(int))]
    if len(chosen) < MIN_PICTURES:
        for check in ("pictures", "segmentation"):
            report.leave_out(check, f"fewer than {MIN_PICTURES} pictures with a hand in them")
        return
    points = [_points(rows, int(i)) for i in chosen]
    report.record("pictures", _color_faults(rows, chosen, points))
    if rows.shards.reader(0).foreground is not None:
        report.record("segmentation", _foreground_faults(rows, chosen, points))
    else:
        report.leave_out("segmentation", "the dataset has none")


def _points(rows: Dataset, index: int) -> Floats:
    """Return source pixels along the fingers, or the tips where nothing else is labelled: (P, 2)."""
    uv = np.where(rows["in_frame"][index][:, None], rows["keypoints_2d"][index], np.nan).astype(np.float64)
    bones = [uv[a] + (uv[b] - uv[a]) * STEPS for a, b in BONES if a != WRIST and np.isfinite(uv[[a, b]]).all()]
    return np.concatenate(bones) if bones else uv[np.isfinite(uv).all(-1)]


def _color_faults(rows: Dataset, chosen: NDArray[np.intp], points: list[Floats]) -> Iterator[Finding]:
    canvases = [_lab(rows.image(int(i))) for i in chosen]
    affines, widths = rows["source_to_canvas"][chosen], rows["image_size"][chosen, 0]
    own = [apply_affine(A, p) for A, p in zip(affines, points, strict=True)]
    scores = np.array([_spread(*pair) for pair in zip(canvases, own, strict=True)])
    off = _own_fit_no_better(canvases, own, scores)
    size = canvases[0].shape[0]
    wins = [_wins(canvases, scores, [mirror_pixels(p, size) for p in own])]
    if off:  # points mirrored about the source leave the hand, and a plain ground is of one colour as well
        about_source = [apply_affine(A, mirror_pixels(p, w)) for A, p, w in zip(affines, points, widths, strict=True)]
        wins.append(_wins(canvases, scores, about_source))
    share, count = max(wins)
    if share:
        what = f"mirrored image: the labels fit the mirrored picture better in {share:.0%} of {count} pictures"
        yield Finding("pictures", "image", what, len(rows), len(rows), examples(rows.ids[chosen]))
    elif off:
        what = "labels do not lie on the hands (mirrored image, wrong camera or another frame's labels): those of other"
        what += f" samples fit a picture as well as its own ({off:.0%})"
        yield Finding("pictures", "image", what, len(rows), len(rows), examples(rows.ids[chosen]))


def _wins(canvases: list[Floats], scores: Floats, mirrored: list[Floats]) -> tuple[float, int]:
    """Return the share of the pictures that mirrored labels fit better, 0 where it is no clear one, and of how many."""
    others = np.array([_spread(*pair) for pair in zip(canvases, mirrored, strict=True)])
    known = np.isfinite(scores) & np.isfinite(others)
    count = int(known.sum())
    share = float(np.mean(others[known] < scores[known])) if count >= MIN_PICTURES else 0.0
    return (share if share > max(MIRROR_WINS, 0.5 + SIGMAS * 0.5 / np.sqrt(max(count, 1))) else 0.0), count


def _own_fit_no_better(canvases: list[Floats], own: list[Floats], scores: Floats) -> float:
    """Return the mean share of other samples' labels whose colours differ less than those of a picture's own labels.

    0 where the own ones fit better, or where there are too few pictures to tell.
    """
    rng = np.random.default_rng(0)
    ranks = []
    for i, (canvas, score) in enumerate(zip(canvases, scores, strict=True)):
        others = (i + 1 + rng.integers(0, len(own) - 1, OTHERS)) % len(own)
        tried = np.array([_spread(canvas, own[int(j)]) for j in others])
        known = np.isfinite(tried)
        if known.any() and np.isfinite(score):
            ranks.append(float(np.mean([tried[known] < score, tried[known] <= score])))
    if len(ranks) < MIN_PICTURES:
        return 0.0
    rank, error = float(np.mean(ranks)), float(np.std(ranks)) / np.sqrt(len(ranks))
    return rank if rank > max(OWN_RANK, RENDERED_RANK + SIGMAS * error) else 0.0


def _spread(canvas: Floats, points: Floats) -> float:
    """Return the mean difference of the colours at the points from their median; NaN with half of them outside."""
    places = np.round(points).astype(int)
    inside = ((places >= 0) & (places < canvas.shape[0])).all(-1)
    if inside.sum() < max(MIN_POINTS, len(points) / 2):
        return float("nan")
    colors = canvas[places[inside, 1], places[inside, 0]]
    shown = colors[:, 0] > 0
    if not shown.any():
        return NOTHING
    differences = np.abs(colors - np.median(colors[shown], axis=0)).mean(-1)
    return float(np.where(shown, differences, NOTHING).mean())


def _lab(canvas: NDArray[np.uint8]) -> Floats:
    smooth = cv2.blur(np.ascontiguousarray(canvas), (3, 3))
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float64)


def _foreground_faults(rows: Dataset, chosen: NDArray[np.intp], points: list[Floats]) -> Iterator[Finding]:
    """Find labels beside the segmentation."""
    shares = []
    for i, uv in zip(chosen, points, strict=True):
        bits = rows.pixels("foreground", int(i))
        if bits is None:
            continue
        kept = np.unpackbits(bits, axis=-1)
        places = np.round(apply_affine(rows["source_to_canvas"][i], uv)).astype(int)
        places = places[((places >= 0) & (places < kept.shape[0])).all(-1)]
        if len(places):
            shares.append(float(kept[places[:, 1], places[:, 0]].mean()))
    share = float(np.mean(shares)) if shares else 1.0
    if share < ON_FOREGROUND:
        what = f"labels beside the segmentation: {share:.0%} of the points along the fingers lie on it"
        yield Finding("segmentation", "foreground", what, len(rows), len(rows), examples(rows.ids[chosen]))
