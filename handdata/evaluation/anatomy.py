"""Whether predicted poses are hands at all, without asking where they lie. Pure NumPy.

Shape letters: N hands, of (21, 3) keypoints in any unit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import BONES, FINGERS, finger_indices

LEAST_BEND_DEG = 15.0  # below it a joint counts as straight, which has no direction


def bent_against(poses: NDArray[Any]) -> float:
    """Return the share of fingers whose two last joints bend against each other, which no hand can do; the thumb aside.

    Args:
        poses: (N, 21, 3); hands with NaN are left out.

    Returns:
        0..1; NaN without a hand.
    """
    xyz = _whole(poses)
    if not len(xyz):
        return float("nan")
    against = []
    for finger in FINGERS[1:]:
        bones = np.diff(xyz[:, finger_indices(finger)], axis=1)  # (N, 3, 3): proximal, middle and distal phalanx
        axes, along = np.cross(bones[:, :-1], bones[:, 1:]), (bones[:, :-1] * bones[:, 1:]).sum(-1)
        bend = np.degrees(np.arctan2(np.linalg.norm(axes, axis=-1), along))
        against.append(((axes[:, 0] * axes[:, 1]).sum(-1) < 0) & (bend > LEAST_BEND_DEG).all(1))
    return float(np.mean(against))


def bone_spread(poses: NDArray[Any]) -> float:
    """Return how much bones change their length from hand to hand: the sd of its logarithm, mean over the bones.

    Hands of one person would have 0, those of rendered people have 0.09.

    Args:
        poses: (N, 21, 3), normalised; hands with NaN are left out.

    Returns:
        NaN with fewer than two hands.
    """
    xyz = _whole(poses)
    if len(xyz) < 2:
        return float("nan")
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    lengths = np.linalg.norm(xyz[:, ends] - xyz[:, starts], axis=-1)
    return float(np.log(np.maximum(lengths, 1e-9)).std(0).mean())


def _whole(poses: NDArray[Any]) -> NDArray[np.float64]:
    xyz = np.asarray(poses, np.float64)
    return xyz[np.isfinite(xyz).all((1, 2))]
