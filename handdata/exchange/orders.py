"""Orders in which tools list the 21 points of a hand, and which of them a set of hands fits. Pure functions on arrays.

The evidence is the length of paths: the true order has the shortest ones along the fingers, and of an order and its
reverse the one that begins nearer to the wrist. Orders that differ in the fingers' places alone have the same paths;
of them it is the one whose thumb begins nearer to the wrist.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.exchange.labels import Array
from handdata.skeleton import FINGERS, INDEX, KEYPOINTS

_MANO = ("index", "middle", "little", "ring", "thumb")


def _mano() -> tuple[str, ...]:
    joints = [f"{finger}_{joint}" for finger in _MANO for joint in ("mcp", "pip", "dip")]
    return ("wrist", *joints, *(f"{finger}_tip" for finger in FINGERS))


def _tip_first() -> tuple[str, ...]:
    return tuple(f"{finger}_{joint}" for finger in FINGERS for joint in ("tip", "dip", "pip", "mcp"))


# name -> the keypoint in each row
ORDERS: Mapping[str, tuple[str, ...]] = {
    "base-first": KEYPOINTS,  # handdata, MediaPipe, OpenPose, COCO-WholeBody, FreiHAND
    "rhd": ("wrist", *_tip_first()),
    "interhand": (*_tip_first(), "wrist"),
    "mano": _mano(),
    "little-first": ("wrist", *(f"{finger}_{j}" for finger in FINGERS[::-1] for j in ("mcp", "pip", "dip", "tip"))),
}
CLEAR = 1.05  # times the shortest path, beyond which an order does not fit
CLEAR_THUMB = 1.25  # the same of a thumb: of real hands it begins at 0.3 to 0.9 of the way to the little finger


def slots_of(name: str) -> NDArray[np.intp]:
    """Return the slot of each row of an order, (21,)."""
    return np.array([INDEX[keypoint] for keypoint in ORDERS[name]])


@dataclass(frozen=True, slots=True)
class Paths:
    """Lengths of a hand's paths under one order, in hand sizes: along fingers, from the wrist to all, to the thumb."""

    fingers: float
    wrist: float
    thumb: float

    def __str__(self) -> str:
        return f"{self.fingers:.2f} + {self.wrist:.2f} ({self.thumb:.2f})"


def path_lengths(points_NKD: Array) -> dict[str, Paths]:
    """Return the median lengths of paths under each order.

    Args:
        points_NKD: (N, 21, D) points in the order of the file; hands with a missing point say nothing.

    Returns:
        By order; empty where no hand is whole.
    """
    whole = points_NKD[np.isfinite(points_NKD).all((1, 2))]
    size = np.linalg.norm(whole.max(1) - whole.min(1), axis=-1) if len(whole) else np.zeros(0)
    whole, size = whole[size > 0], size[size > 0]
    lengths = {}
    for name in ORDERS if len(whole) else ():
        ordered = np.empty_like(whole)
        ordered[:, slots_of(name)] = whole
        fingers = ordered[:, 1:].reshape(-1, 5, 4, points_NKD.shape[-1])
        along = np.linalg.norm(np.diff(fingers, axis=2), axis=-1).sum((1, 2))
        base = np.linalg.norm(fingers[:, :, 0] - ordered[:, None, 0], axis=-1)
        lengths[name] = Paths(*(float(np.median(part / size)) for part in (along, base.sum(1), base[:, 0])))
    return lengths


def best_order(lengths: Mapping[str, Paths], own: str) -> str:
    """Return the order that fits: short paths along fingers, from the wrist, then to the thumb; `own` if in doubt."""
    if not lengths:
        return own
    shortest = min(paths.fingers for paths in lengths.values())
    fitting = {name: paths for name, paths in lengths.items() if paths.fingers <= CLEAR * shortest}
    near = CLEAR * min(paths.wrist for paths in fitting.values())
    alike = {name: paths.thumb for name, paths in fitting.items() if paths.wrist <= near}
    best = min(alike, key=lambda name: (alike[name], name != own))
    return own if own in alike and alike[own] <= CLEAR_THUMB * alike[best] else best


def base_first(points_NKD: Array) -> tuple[int, int]:
    """Count fingers whose first bone is the longer one, as from the knuckle on, and all of them; thumbs left out.

    Args:
        points_NKD: (N, 21, D) points in our order.
    """
    fingers = points_NKD[:, 5:].reshape(-1, 4, points_NKD.shape[-1])
    bones = np.linalg.norm(np.diff(fingers, axis=1), axis=-1)
    known = np.isfinite(bones).all(-1)
    return int((bones[known, 0] > bones[known, 2]).sum()), int(known.sum())


def evidence(lengths: Mapping[str, Paths]) -> str:
    """Say the lengths of paths, the shortest first."""
    ordered = sorted(lengths.items(), key=lambda pair: pair[1].fingers + pair[1].wrist)
    return ", ".join(f"{name} {paths}" for name, paths in ordered)
