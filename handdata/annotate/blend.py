"""Boxes between two boxes that are known: tracked from both sides, corrected for drift, blended or chosen. Pure.

A box is worked on as (centre x, centre y, log w, log h), so that positions blend in pixels and sizes in ratio.
Arrays over frames are (T, 4); a frame where a direction is lost is NaN in all four.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.boxes import Box
from handdata.geometry import iou, xywh_to_xyxy

Array = NDArray[np.float64]

LOST_ONE_WAY = 0.5  # doubt where only one direction still follows
AGREE = 0.5  # IoU from which on two boxes are of the same hand; below it the mean of both is a box where neither is
ARRIVES = 0.25  # IoU with the known box at its far end, below which a direction has lost the hand without saying so
SMALL_JUMP, LARGE_JUMP = 0.1, 0.5  # of the box's side, in one frame, or of its logarithm: doubt goes from 0 to 1


@dataclass(frozen=True)
class Blend:
    """What became of a stretch of T frames.

    Attributes:
        boxes: (T, 4) x, y, w, h px; NaN if there is no box.
        tracked: (T,) whether a tracker saw the hand there; otherwise the box is interpolated, or missing.
        doubt: (T,) 0 sure .. 1 very doubtful.
    """

    boxes: Array
    tracked: NDArray[np.bool_]
    doubt: Array


def blend(
    forward_T4: Array, backward_T4: Array, left: Box | None, right: Box | None, *, both_ways: bool = True
) -> Blend:
    """Blend the two directions of a stretch; frame 0 is the left known box's, frame T - 1 the right one's.

    Each direction is shifted, linearly over time, so that it meets the known boxes at the ends that it arrives at; then
    the two are weighed by nearness in time to where they started. Where they are apart, one of them is chosen: the mean
    of a box on the hand and one elsewhere is on neither. Where both are lost, the known boxes are interpolated.

    Args:
        forward_T4: (T, 4) x, y, w, h px, tracked from the left; NaN where lost or not tracked.
        backward_T4: the same from the right.
        left: the known box at frame 0, None if the stretch has no beginning.
        right: the known box at frame T - 1, None if the stretch has no end.
        both_ways: whether both directions were tracked; one that was not disagrees with nothing.
    """
    forward, backward = to_center(forward_T4), to_center(backward_T4)
    share = np.linspace(0.0, 1.0, len(forward)) if len(forward) > 1 else np.zeros(len(forward))
    ends = (_known(left), _known(right))
    line = _line(*ends, share)
    arrives = _arrives(forward_T4, -1, right), _arrives(backward_T4, 0, left)
    forward = _corrected(forward, (ends[0], ends[1] if arrives[0] else _known(None)), share, line)
    backward = _corrected(backward, (ends[0] if arrives[1] else _known(None), ends[1]), share, line)
    seen = np.stack([np.isfinite(forward).all(1), np.isfinite(backward).all(1)])
    weights = np.stack([1.0 - share, share]) + 1e-9  # so that one direction alone counts fully at its far end
    weights = np.where(seen, _chosen(weights, _overlap(forward, backward), arrives), 0.0)
    total = weights.sum(0)
    parts = np.stack([np.nan_to_num(forward), np.nan_to_num(backward)])
    mixed = (parts * weights[:, :, None]).sum(0) / np.where(total > 0, total, 1.0)[:, None]
    tracked = np.asarray(seen.any(0))
    boxes = from_center(np.where(tracked[:, None], mixed, line))
    return Blend(boxes, tracked, _disagreement(forward, backward, seen, both_ways=both_ways))


def _arrives(track_T4: Array, end: int, box: Box | None) -> bool:
    """Say whether a direction is still on the hand at its far end."""
    return bool(box is not None and len(track_T4) and overlap(tuple(track_T4[end]), box) >= ARRIVES)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the IoU of two boxes x, y, w, h px; 0 if one is NaN."""
    return float(np.nan_to_num(iou(xywh_to_xyxy(np.array(a, float)), xywh_to_xyxy(np.array(b, float)))))


def _overlap(forward: Array, backward: Array) -> Array:
    """Return the IoU (T,) of two directions; NaN where one of them is lost."""
    lost = ~np.isfinite(forward + backward).all(1)
    return np.where(lost, np.nan, iou(*(xywh_to_xyxy(from_center(way)) for way in (forward, backward))))


def _chosen(weights: Array, overlaps: Array, arrives: tuple[bool, bool]) -> Array:
    """Give all weight to one direction where the two are apart.

    A direction that meets the other again, or the known box at its far end, was on the hand all the way there; where
    that tells nothing, the direction that started nearer in time is taken.

    Args:
        weights: (2, T) forward's and backward's, by nearness in time.
        overlaps: (T,) IoU of the two, NaN where one is lost.
        arrives: whether forward is on the hand at the right end, backward at the left end.
    """
    agree = np.flatnonzero(overlaps >= AGREE)
    weights = weights.copy()
    for frame in np.flatnonzero(overlaps < AGREE):
        forward_meets = arrives[0] or bool((agree > frame).any())
        backward_meets = arrives[1] or bool((agree < frame).any())
        forward = forward_meets if forward_meets != backward_meets else weights[0, frame] >= weights[1, frame]
        weights[:, frame] = (1.0, 0.0) if forward else (0.0, 1.0)
    return weights


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
        apart = 1.0 - _overlap(forward, backward)
        doubt = np.where(seen.all(0), apart, np.where(seen.any(0), LOST_ONE_WAY, 1.0))
    return doubt


def motion_doubts(boxes_T4: Array, width: int, height: int) -> dict[str, Array]:
    """Return the doubts (T,) that come from jumps of place or size between neighbours and from leaving the picture."""
    centers = to_center(boxes_T4)
    step = np.zeros(len(boxes_T4))
    step[1:] = np.linalg.norm(np.diff(centers[:, :2], axis=0), axis=1)
    side = np.exp(centers[:, 2:].mean(1))
    jump = np.clip((step / side - SMALL_JUMP) / (LARGE_JUMP - SMALL_JUMP), 0.0, 1.0)
    x, y, w, h = boxes_T4.T
    inside_w = np.clip(np.minimum(x + w, width) - np.maximum(x, 0), 0, None)
    inside_h = np.clip(np.minimum(y + h, height) - np.maximum(y, 0), 0, None)
    outside = 1.0 - inside_w * inside_h / (w * h)
    growth = np.zeros(len(boxes_T4))
    growth[1:] = np.abs(np.diff(centers[:, 2:].mean(1)))
    size = np.clip((growth - SMALL_JUMP) / (LARGE_JUMP - SMALL_JUMP), 0.0, 1.0)
    return {"jump": np.nan_to_num(jump), "outside": np.nan_to_num(outside), "size": np.nan_to_num(size)}


def to_center(boxes_T4: Array) -> Array:
    """Return (x, y, w, h) as (centre x, centre y, log w, log h)."""
    sizes = boxes_T4[:, 2:]
    return np.concatenate([boxes_T4[:, :2] + sizes / 2, np.log(sizes)], axis=1)


def from_center(centers_T4: Array) -> Array:
    """Undo `to_center`."""
    sizes = np.exp(centers_T4[:, 2:])
    return np.concatenate([centers_T4[:, :2] - sizes / 2, sizes], axis=1)
