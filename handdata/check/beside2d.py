"""What 2D labels say of each other: one hand called both left and right, one split a pixel beside another."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from handdata.check.findings import Finding, examples
from handdata.shards.dataset import Dataset
from handdata.shards.schema import BoxSource
from handdata.skeleton import LEFT, RIGHT

Floats = NDArray[np.float64]

MOST_HANDS = 32  # of one picture; more share the number of a frame that nobody gave
SAME_HAND_PX = 1.0  # mean distance of the keypoints of two labels of one hand
TIGHT_ROWS, TIGHT_SHARE, TIGHT_PX = 10, 0.8, 0.05  # boxes that follow from the points, up to a constant margin
LEAST_SHIFT, MOST_SHIFT = 0.4, 1.6  # px: from half a pixel, another centre of the first one, to one pixel counted twice


def called_both(uv_NK2: Floats, rows: Dataset) -> tuple[bool, list[Finding]]:
    """Find hands that two labels of one picture call left and right; say too whether any picture has both sides."""
    side = rows["hand_side"]
    picture = _pictures(rows)
    order = np.argsort(picture, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(picture[order])) + 1)
    wrong: list[int] = []
    both = False
    for group in [group for group in groups if 1 < len(group) <= MOST_HANDS]:
        for one, other in combinations(group.tolist(), 2):
            if {int(side[one]), int(side[other])} == {LEFT, RIGHT}:
                both = True
                apart = np.linalg.norm(uv_NK2[one] - uv_NK2[other], axis=-1)
                if np.isfinite(apart).any() and np.nanmean(apart) < SAME_HAND_PX:
                    wrong += [one, other]
    if not wrong:
        return both, []
    what = "one hand of a picture is labelled both left and right"
    ids = examples(rows.ids[wrong])
    return both, [Finding("sides 2D", "hand_side", what, len(wrong), len(rows), ids)]


def _pictures(rows: Dataset) -> NDArray[np.intp]:
    code = np.zeros(len(rows), np.intp)
    for name in ("sequence", "camera"):
        numbers, names = rows.codes(name)
        code = code * (len(names) + 1) + numbers
    return np.unique(np.stack([code, rows["frame"].astype(np.intp)]), axis=1, return_inverse=True)[1].ravel()


def shifted_splits(uv_NK2: Floats, rows: Dataset) -> tuple[int, Iterator[Finding]]:
    """Compare the margins of boxes that follow from the points, split by split.

    Returns:
        How many splits have such boxes, and what is found: points that lie half a pixel to one and a half beside where
        another split has them in its boxes.
    """
    margins = {}
    for split in sorted(set(rows["split"].tolist())):
        margin = _margin(uv_NK2, rows, rows["split"] == split)
        if margin is not None:
            margins[split] = margin
    return len(margins), _compared(margins, rows)


def _margin(uv: Floats, rows: Dataset, chosen: NDArray[np.bool_]) -> Floats | None:
    """Return (4,) px between the outermost points and their box, where most hands of a split have the same."""
    box = rows["bbox_xyxy"].astype(np.float64)
    chosen = chosen & np.isfinite(uv).all((1, 2)) & (rows["bbox_source"] == int(BoxSource.DATASET))
    if chosen.sum() < TIGHT_ROWS:
        return None
    low, high = uv[chosen].min(1) + 0.5, uv[chosen].max(1) + 0.5
    margin = np.concatenate([low - box[chosen, :2], box[chosen, 2:] - high], axis=1)
    middle: Floats = np.median(margin, axis=0)
    is_constant = (np.abs(margin - middle) < TIGHT_PX).all(1).mean() >= TIGHT_SHARE
    return middle if is_constant else None


def _compared(margins: dict[str, Floats], rows: Dataset) -> Iterator[Finding]:
    for one, other in combinations(margins, 2):
        change = margins[other] - margins[one]
        shift = (change[:2] - change[2:]) / 2  # points that move right gain on the left and lose on the right
        if LEAST_SHIFT <= np.abs(shift).max() <= MOST_SHIFT:
            what = f"points of {other} lie {shift[0]:+.2f}, {shift[1]:+.2f} px beside those of {one}, by their boxes"
            count = int((rows["split"] == other).sum())
            yield Finding("shift 2D", other, what, count, len(rows), examples(rows.ids[rows["split"] == other]))
