"""The 21 keypoints: names, order, fingers, bones, colours. No cameras, no pixels.

Order: `wrist`, then four keypoints a finger from the knuckle to the tip; joint j = 1..4 of finger f = 0..4 has the
index 4 f + j. The thumb's four are anatomically CMC, MCP, IP and TIP; the datasets call them mcp..tip and so do we.
A palm centre is not a wrist and has no index here.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINTS = ("mcp", "pip", "dip", "tip")
KEYPOINTS: tuple[str, ...] = ("wrist", *(f"{finger}_{joint}" for finger in FINGERS for joint in JOINTS))
NUM_KEYPOINTS = len(KEYPOINTS)
INDEX: dict[str, int] = {name: index for index, name in enumerate(KEYPOINTS)}

WRIST = INDEX["wrist"]
ROOT = INDEX["middle_mcp"]  # the origin of normalised 3D
TIPS = tuple(INDEX[f"{finger}_tip"] for finger in FINGERS)

PARENTS: tuple[int, ...] = (-1, *(0 if joint == "mcp" else INDEX[f"{finger}_{joint}"] - 1
                                  for finger in FINGERS for joint in JOINTS))  # fmt: skip
BONES: tuple[tuple[int, int], ...] = tuple((PARENTS[child], child) for child in range(1, NUM_KEYPOINTS))
FINGER_OF: tuple[int, ...] = (-1, *(f for f in range(len(FINGERS)) for _ in JOINTS))

# RGB. Hues by finger as in the thesis' figures: thumb green, index cyan, middle blue, ring magenta, little red.
WRIST_COLOR = (245, 245, 245)
FINGER_COLORS: tuple[tuple[int, int, int], ...] = (
    (46, 204, 64),
    (0, 206, 209),
    (51, 102, 255),
    (233, 64, 200),
    (235, 59, 47),
)
LEFT, RIGHT, SIDE_UNKNOWN = 0, 1, 2
HAND_SIDES = ("left", "right")
SIDE_NAMES = (*HAND_SIDES, "unknown")  # where a dataset does not say which hand it is

# Published ways from a palm centre to a wrist: wrist = base + factor (palm - base), base the mean of these keypoints.
# "ring", "middle" and "fingers" are what other readers of Stereo do; "halfway" is hand3d's palm of RHD.
WRIST_FORMULAS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "ring": (("ring_mcp",), 2.0),
    "middle": (("middle_mcp",), 2.2),
    "fingers": (("index_mcp", "middle_mcp", "ring_mcp", "little_mcp"), 2.25),
    "halfway": (("middle_mcp",), 2.0),
}


def finger_indices(finger: str) -> tuple[int, int, int, int]:
    """Return the indices of one finger's four keypoints, knuckle first."""
    first = INDEX[f"{finger}_mcp"]
    return (first, first + 1, first + 2, first + 3)


def joint_indices(joint: str) -> tuple[int, ...]:
    """Return the indices of one joint type (`mcp`, `pip`, `dip`, `tip`) over the five fingers, thumb first."""
    return tuple(INDEX[f"{finger}_{joint}"] for finger in FINGERS)


def to_canonical(points: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
    """Put natively ordered points into the 21 slots; slots no name fills are NaN.

    Args:
        points: (..., P, D) floats, one row a name.
        names: P names; those that are no keypoint (`palm_center`, object corners) are left out.

    Returns:
        (..., 21, D) of the same dtype.

    Raises:
        ValueError: the number of names and rows differ, or a keypoint is named twice.
    """
    if points.shape[-2] != len(names):
        raise ValueError(f"{points.shape[-2]} points but {len(names)} names")
    rows, slots = _slots(tuple(names))
    if len(slots) == NUM_KEYPOINTS:
        return points[..., rows, :]
    result = np.full((*points.shape[:-2], NUM_KEYPOINTS, points.shape[-1]), np.nan, dtype=points.dtype)
    result[..., slots, :] = points[..., rows, :]
    return result


@lru_cache(maxsize=64)
def _slots(names: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of `names` that are keypoints, and the slots they fill, in the order of the slots."""
    known = sorted((INDEX[name], row) for row, name in enumerate(names) if name in INDEX)
    slots = [slot for slot, _ in known]
    if len(set(slots)) != len(slots):
        raise ValueError(f"a keypoint is named twice in {list(names)}")
    return np.array([row for _, row in known], np.intp), np.array(slots, np.intp)


def wrist_from_palm(keypoints_NKD: NDArray[Any], palm_ND: NDArray[Any], formula: str) -> NDArray[np.float64]:
    """Extrapolate wrists from palm centres.

    Args:
        keypoints_NKD: (..., 21, D), of which the wrist is not read.
        palm_ND: (..., D) palm centres, NaN where unknown.
        formula: a key of WRIST_FORMULAS.

    Returns:
        (..., D) wrists; NaN where the palm or a keypoint of the formula is.

    Example:
        >>> hand = np.zeros((21, 3))  # the middle MCP at the origin
        >>> wrist_from_palm(hand, np.array([0.0, 40.0, 0.0]), "middle").tolist()
        [0.0, 88.0, 0.0]
    """
    names, factor = WRIST_FORMULAS[formula]
    base = _mean_of(keypoints_NKD, names)
    wrist: NDArray[np.float64] = base + factor * (np.asarray(palm_ND, np.float64) - base)
    return wrist


def palm_from_wrist(keypoints_NKD: NDArray[Any], formula: str) -> NDArray[np.float64]:
    """Return the (..., D) palm centres that `wrist_from_palm` makes these wrists of: its inverse.

    Example:
        >>> hand = np.zeros((21, 3))
        >>> hand[WRIST] = [0.0, 88.0, 0.0]
        >>> palm_from_wrist(hand, "halfway").tolist()
        [0.0, 44.0, 0.0]
    """
    names, factor = WRIST_FORMULAS[formula]
    base = _mean_of(keypoints_NKD, names)
    palm: NDArray[np.float64] = base + (np.asarray(keypoints_NKD[..., WRIST, :], np.float64) - base) / factor
    return palm


def _mean_of(keypoints_NKD: NDArray[Any], names: tuple[str, ...]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.asarray(keypoints_NKD[..., [INDEX[name] for name in names], :], np.float64).mean(
        axis=-2
    )
    return mean
