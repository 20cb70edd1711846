"""Where points of one depth picture lie in another that is like it: optical flow, then patches compared. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.crops import REACH_MM, DepthCrop
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]

PATCH = 9  # px of a crop: half a side of a patch
WORST_MATCH = 0.5  # correlation below which a patch was not found
BEST_PX, WORST_PX = 1.5, 6.0  # px of a crop that a place is off by, where the patches agree fully and hardly


def grey(crop: DepthCrop) -> NDArray[np.uint8]:
    """Return a crop as 8 bits, near ones bright."""
    return np.asarray((REACH_MM - crop.relative) * (255 / (2 * REACH_MM)), np.uint8)


def flow_between(source: DepthCrop, target: DepthCrop) -> NDArray[np.float32]:
    """Return the optical flow of depth, (S, S, 2) px of the crops."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(grey(source), grey(target), None), np.float32)  # type: ignore[call-overload]


def follow(flow: NDArray[np.float32], at: Floats) -> Floats:
    """Return where the flow takes (21, 2) px of the crop."""
    side = flow.shape[0]
    x, y = (np.nan_to_num(at[:, i]).clip(0, side - 1).astype(np.float32) for i in (0, 1))
    moved = cv2.remap(flow, x[:, None], y[:, None], cv2.INTER_LINEAR)[:, 0]
    return np.asarray(at + moved, np.float64)


def agreement(
    source: DepthCrop, at: Floats, target: DepthCrop, places: Floats, chosen: NDArray[np.bool_]
) -> Floats:  # fmt: skip
    """Return how alike two crops are about points: the correlation of the patches, (21,), 1 for the same; NaN unknown.

    Args:
        source: a crop.
        at: (21, 2) px of it.
        target: another one.
        places: (21, 2) px of that.
        chosen: (21,) the points to compare.
    """
    agree = np.full(NUM_KEYPOINTS, np.nan)
    for k in np.flatnonzero(chosen & np.isfinite(at).all(axis=1) & np.isfinite(places).all(axis=1)):
        one, other = _cut(source.relative, at[k], PATCH), _cut(target.relative, places[k], PATCH)
        if one.std() >= 1.0 and other.std() >= 1.0:
            agree[k] = float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    return agree


def deviation(agree: Floats) -> Floats:
    """Return how far off places are whose patches agree so well, px of the crop; infinite below WORST_MATCH."""
    share = (1 - agree) / (1 - WORST_MATCH)
    return np.where(agree >= WORST_MATCH, BEST_PX + (WORST_PX - BEST_PX) * share, np.inf)


def _cut(image: NDArray[np.float32], at: Floats, half: int) -> NDArray[np.float32]:
    """Return the square about a place, between pixels if need be."""
    side = 2 * half + 1
    return np.asarray(cv2.getRectSubPix(image, (side, side), (float(at[0]), float(at[1]))), np.float32)
