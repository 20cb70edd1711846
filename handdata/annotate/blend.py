"""Boxes between two boxes that are known: tracked from both sides, corrected for drift, blended. Pure.

A box is worked on as (centre x, centre y, log w, log h), so that positions blend in pixels and sizes in ratio.
Arrays over frames are (T, 4); a frame where a direction is lost is NaN in all four.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.boxes import Box
from handdata.geometry import iou, xywh_to_xyxy

Array = NDArray[np.float64]

LOST_ONE_WAY = 0.5  # doubt where only one direction still follows
SMALL_JUMP, LARGE_JUMP = 0.1, 0.5  # of the box's side in one frame: doubt goes from 0 to 1


@dataclass(frozen=True)
class Blend:
    """What became of a stretch of T frames.

    Attributes:
        boxes: (T, 4) x, y, w, h px; NaN where there is none.
        tracked: (T,) whether a tracker saw the hand there; otherwise the box is interpolated, or missing.
        doubt: (T,) 0 sure .. 1 very doubtful.
    """

    boxes: Array
    tracked: NDArray[np.bool_]
    doubt: Array


def blend(forward_T4: Array, backward_T4: Array, left: Box | None, right: Box | None) -> Blend:
    """Blend the two directions of a stretch; frame 0 is the left known box's, frame T - 1 the right one's.

    Each direction is shifted, linearly over time, so that it meets the known boxes at both ends; then the two are
    weighed by nearness in time to where they started. Where both are lost, the known boxes are interpolated.

    Args:
        forward_T4: (T, 4) x, y, w, h px, tracked from the left; NaN where lost, all NaN if it was not tracked.
        backward_T4: the same from the right.
        left: the known box at frame 0, None if the stretch has no beginning.
        right: the known box at frame T - 1, None if the stretch has no end.
    """
    forward, backward = to_center(forward_T4), to_center(backward_T4)
    share = np.linspace(0.0, 1.0, len(forward)) if len(forward) > 1 else np.zeros(len(forward))
    ends = (_known(left), _known(right))
    line = _line(*ends, share)
    forward, backward = _corrected(forward, ends, share, line), _corrected(backward, ends, share, line)
    seen = np.stack([np.isfinite(forward).all(1), np.isfinite(backward).all(1)])
    weights = np.stack([1.0 - share, share]) + 1e-9  # so that one direction alone counts fully at its far end
    weights = np.where(seen, weights, 0.0)
    total = weights.sum(0)
    parts = np.stack([np.nan_to_num(forward), np.nan_to_num(backward)])
    mixed = (parts * weights[:, :, None]).sum(0) / np.where(total > 0, total, 1.0)[:, None]
    tracked = np.asarray(seen.any(0))
    both_ways = left is not None and right is not None
    boxes = from_center(np.where(tracked[:, None], mixed, line))
    return Blend(boxes, tracked, _disagreement(forward, backward, seen, both_ways=both_ways))


def _known(box: Box | None) -> Array:
    return np.full(4, np.nan) if box is None else to_center(np.array([box], np.float64))[0]


def _line(left: Array, right: Array, share: Array) -> Array:
    """Interpolate between the known ends; NaN where one of them is missing."""
    return left + (right - left) * share[:, None]


def _corrected(track: Array, ends: tuple[Array, Array], share: Array, line: Array) -> Array:
    """Shift a direction so that it meets what is known at the ends it reaches; else only its size follows the line."""
    if not len(track):
        return track
    misses = [track[i] - end for i, end in zip((0, -1), ends, strict=True)]
    reached = [bool(np.isfinite(miss).all()) for miss in misses]
    if all(reached):
        return track - _line(misses[0], misses[1], share)
    corrected = track - next((miss for miss, there in zip(misses, reached, strict=True) if there), np.zeros(4))
    has_line = np.isfinite(line).all(1) & np.isfinite(track).all(1)
    corrected[has_line, 2:] = line[has_line, 2:]
    return corrected


def _disagreement(forward: Array, backward: Array, seen: NDArray[np.bool_], *, both_ways: bool) -> Array:
    """Return 1 - IoU of the two directions; half for one direction lost, 1 for both (T,)."""
    doubt = np.where(seen.any(0), 0.0, 1.0)
    if both_ways:
        overlap = iou(*(xywh_to_xyxy(from_center(way)) for way in (forward, backward)))
        doubt = np.where(seen.all(0), 1.0 - overlap, np.where(seen.any(0), LOST_ONE_WAY, 1.0))
    return doubt


def motion_doubt(boxes_T4: Array, width: int, height: int) -> Array:
    """Return the doubt (T,) that comes from jumps between neighbours and from leaving the picture."""
    centers = to_center(boxes_T4)
    step = np.zeros(len(boxes_T4))
    step[1:] = np.linalg.norm(np.diff(centers[:, :2], axis=0), axis=1)
    side = np.exp(centers[:, 2:].mean(1))
    jump = np.clip((step / side - SMALL_JUMP) / (LARGE_JUMP - SMALL_JUMP), 0.0, 1.0)
    x, y, w, h = boxes_T4.T
    inside_w = np.clip(np.minimum(x + w, width) - np.maximum(x, 0), 0, None)
    inside_h = np.clip(np.minimum(y + h, height) - np.maximum(y, 0), 0, None)
    outside = 1.0 - inside_w * inside_h / (w * h)
    return np.asarray(np.nan_to_num(np.maximum(jump, outside)))


def to_center(boxes_T4: Array) -> Array:
    """Return (x, y, w, h) as (centre x, centre y, log w, log h)."""
    sizes = boxes_T4[:, 2:]
    return np.concatenate([boxes_T4[:, :2] + sizes / 2, np.log(sizes)], axis=1)


def from_center(centers_T4: Array) -> Array:
    """Undo `to_center`."""
    sizes = np.exp(centers_T4[:, 2:])
    return np.concatenate([centers_T4[:, :2] - sizes / 2, sizes], axis=1)
