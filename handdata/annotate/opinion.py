"""The doubt of tracked boxes by what is in them: their colours, and where a model of keypoints sees the hand. Pure.

Arrays over frames are (T,).
"""

from collections.abc import Sequence

import numpy as np

from handdata.annotate.blend import overlap
from handdata.annotate.guided import SURE, Floats, SeenHand, laid
from handdata.boxes import Box

NEAR = 1  # frames before and after, whose opinions count too: what the model is off by changes, a slipped box stays
COLORS_COUNT = 0.2  # of the doubt by colours, that is left where a model was asked


def agreement(boxes: Sequence[Box | None], seen: Sequence[SeenHand | None], around: Sequence[Floats]) -> Floats:
    """Return how far the model agrees with boxes: 0 not at all .. 1; NaN where it was not asked, or has no say.

    It is the IoU with the box that lies round the points as the drawn one did, less where the model is unsure of a
    hand, averaged over the frames near by.

    Args:
        boxes: (T,) of the frames.
        seen: (T,) what the model sees round each.
        around: how the drawn boxes next to these frames lie round the points, as `guided.around_of` says it.
    """
    own = np.full(len(boxes), np.nan)
    for i, (box, hand) in enumerate(zip(boxes, seen, strict=True)):
        if box is not None and hand is not None and around:
            best = max(overlap(box, laid(hand.box, way)) for way in around)
            own[i] = best * min(hand.sure / SURE, 1.0)
    near = np.stack([np.pad(own, NEAR, constant_values=np.nan)[i : i + len(own)] for i in range(2 * NEAR + 1)])
    asked = np.isfinite(near)
    mean = np.nan_to_num(near).sum(0) / np.maximum(asked.sum(0), 1)
    return np.asarray(np.where(np.isfinite(own), mean, np.nan))


def doubts(unlike: Floats, agrees: Floats) -> dict[str, Floats]:
    """Return the doubts (T,) by reason: "looks" where the colours say most of it, "model" where the model does.

    Args:
        unlike: (T,) doubt by the colours.
        agrees: (T,) as `agreement` gives it.
    """
    asked = np.isfinite(agrees)
    by_model = np.where(asked, 1.0 - np.nan_to_num(agrees), 0.0)
    by_colors = np.where(asked, COLORS_COUNT, 1.0) * unlike
    both = np.clip(by_model + by_colors, 0.0, 1.0)
    model_says = by_model > by_colors
    return {"model": np.where(model_says, both, 0.0), "looks": np.where(model_says, 0.0, both)}


def weighed(jumps: Floats, agrees: Floats) -> Floats:
    """Return the doubts (T,) of jumps where a model was asked: less where it sees the hand there; those of 1 stay."""
    return np.where(np.isfinite(agrees) & (jumps < 1.0), jumps * (1.0 - np.nan_to_num(agrees)), jumps)
