"""Random plausible poses: synergies, key poses, independent fingers; limits, couplings, no hand through itself.

The mixture and the couplings are those of docs/method.md 13; the key poses whose thumb touches something (pinch, ok,
tripod, lateral, fists, point, horns, peace, three) were fitted on the mean hand so that it does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handdata.synth.collision import TOLERANCE_MM, Capsules, load_capsules
from handdata.synth.hand import HandModel
from handdata.synth.keypoints import keypoint_bones, rotation_centres
from handdata.synth.kinematics import (
    ABD,
    CUP,
    DIP,
    HAND,
    HIGH,
    LOW,
    MCP,
    PIP,
    WRIST,
    Skeleton,
    carry,
    forward,
    skeleton_of,
)
from handdata.synth.mesh import Floats

Draw = Callable[[np.random.Generator, int], Floats]  # (count, 22) angles
NUM_HAND_ANGLES = 22
SYNERGIES, KEY_POSES = 0.33, 0.47  # shares of the mixture; the rest moves every finger by itself
CANDIDATES = 6  # poses drawn at once
MAX_ROUNDS = 7
MCP_GAP, PIP_GAP = np.array([85.0, 75.0, 73.0]), np.array([120.0, 105.0, 100.0])  # degrees between neighbours


def _key(
    mcp: ArrayLike,
    pip: ArrayLike,
    dip: ArrayLike | None = None,
    *,
    abd: tuple[float, ...] = (0, 0, 0, 0),
    cup: tuple[float, ...] = (0, 0),
    thumb: tuple[float, ...] = (0, 5, 10, 15),
) -> Floats:
    """Build 22 angles: index, middle, ring, little for the fingers; flexion, abduction, MCP, IP for the thumb."""
    bent = np.broadcast_to(pip, 4)
    last = 0.6 * bent if dip is None else np.broadcast_to(dip, 4)
    return np.concatenate([np.broadcast_to(mcp, 4), bent, last, abd, cup, thumb]).astype(float)


# fmt: off
KEY_ANGLES: dict[str, Floats] = {
    "flat": _key(0, 3, 2),
    "spread": _key(-3, 3, 2, abd=(11, 3, -8, -14), thumb=(-22, -5, 0, 0)),
    "together": _key(2, 4, 3, abd=(-9, -1, 6, 11), thumb=(12, -8, 5, 5)),
    "relaxed": _key((18, 24, 28, 32), (25, 28, 30, 30)),
    "cup": _key((35, 32, 34, 38), (25, 26, 28, 30), cup=(5, 9), thumb=(12, 18, 15, 15)),
    "fist": _key((78, 80, 84, 85), (101, 95, 97, 93), (57, 56, 59, 55), cup=(5, 9), thumb=(23, 26, 37, 52)),
    "loose_fist": _key((57, 60, 62, 62), (84, 80, 81, 74), (47, 46, 48, 45), cup=(4, 7), thumb=(9, 9, 25, 33)),
    "point": _key((4, 73, 79, 80), (6, 92, 92, 88), (4, 53, 55, 52), cup=(4, 7), thumb=(21, 24, 34, 42)),
    "gun": _key((3, 74, 80, 82), (4, 92, 94, 88), thumb=(-22, 0, 0, 0)),
    "peace": _key((2, 2, 74, 78), (4, 4, 90, 86), (3, 3, 55, 52), abd=(10, -9, 0, 0), cup=(3, 6),
                  thumb=(29, 26, 37, 41)),
    "three": _key((0, 0, 0, 73), (3, 3, 5, 87), (2, 2, 3, 53), abd=(9, 0, -9, 0), thumb=(38, 20, 40, 43)),
    "four": _key(0, 3, 2, abd=(9, 2, -6, -11), thumb=(34, 8, 40, 45)),
    "thumbs_up": _key((78, 76, 82, 82), (89, 102, 96, 90), (53, 61, 57, 54), thumb=(-24, -12, -3, -8)),
    "horns": _key((3, 76, 76, 4), (5, 91, 90, 6), (3, 54, 54, 4), thumb=(25, 20, 32, 39)),
    "ily": _key((3, 74, 76, 4), (5, 90, 90, 6), thumb=(-20, -5, 0, 0)),
    "shaka": _key((73, 72, 78, 4), (83, 100, 90, 6), (50, 59, 54, 4), abd=(0, 0, 0, -12), thumb=(-24, -8, 0, -5)),
    "pinch": _key((55, 40, 32, 26), (47, 38, 32, 28), (30, 20, 18, 16), thumb=(17, 30, 19, 22)),
    "ok": _key((55, 14, 8, 4), (48, 12, 8, 6), (32, 8, 6, 5), abd=(0, 2, -4, -9), thumb=(14, 31, 21, 26)),
    "tripod": _key((50, 55, 60, 62), (42, 53, 64, 66), (28, 27, 38, 40), thumb=(15, 25, 27, 26)),
    "lateral": _key((47, 56, 60, 62), (70, 78, 78, 74), (43, 46, 46, 44), thumb=(20, -6, 9, 29)),
    "hook": _key((4, 5, 6, 8), (88, 90, 90, 86), (50, 52, 52, 50), thumb=(5, 0, 5, 8)),
    "claw": _key((-6, -6, -5, -5), (62, 62, 62, 60), (42, 42, 42, 40), abd=(7, 2, -5, -9), thumb=(-8, 22, 18, 38)),
    "table": _key(78, 6, 4, thumb=(5, 30, 10, 10)),
    "large_cylinder": _key((36, 36, 36, 38), (36, 38, 38, 38), abd=(4, 1, -3, -6), thumb=(8, 34, 10, 12)),
    "small_cylinder": _key((60, 62, 64, 66), (70, 72, 70, 66), cup=(4, 8), thumb=(20, 33, 22, 26)),
    "sphere": _key((28, 28, 28, 30), (34, 34, 34, 34), abd=(9, 2, -6, -12), cup=(4, 8), thumb=(2, 34, 10, 14)),
    "beak": _key((70, 66, 68, 72), (38, 38, 30, 14), (14, 8, 8, 4), abd=(-4, 0, 3, 6), cup=(6, 11),
                 thumb=(25, 34, 28, 16)),
}
# fmt: on
COUNTING = ("fist", "point", "peace", "three", "four", "spread")  # zero to five
_KEY_MATRIX = np.stack(list(KEY_ANGLES.values()))
_KEY_NOISE = np.array([6.0] * 4 + [7] * 4 + [5] * 4 + [2.5] * 4 + [2, 3, 5, 5, 6, 8])  # standard deviations, degrees


def constrain(angles: Floats) -> Floats:
    """Return (B, 22) or (B, 24) angles brought within limits and couplings."""
    low, high = LOW[: angles.shape[1]], HIGH[: angles.shape[1]]
    result = np.clip(angles, low, high)
    mcp, pip, dip = result[:, MCP], result[:, PIP], result[:, DIP]
    for values, gaps in ((mcp, MCP_GAP), (pip, PIP_GAP)):  # the juncturae tendinum tie neighbours
        for i in (2, 1, 0):
            difference = values[:, i] - values[:, i + 1]
            excess = np.sign(difference) * np.maximum(np.abs(difference) - gaps[i], 0) / 2
            values[:, i] -= excess
            values[:, i + 1] += excess
    dip[:] = np.clip(dip, 0.35 * pip - 6, 0.95 * pip + 10)  # one tendon flexes both
    result[:, ABD] *= np.clip(1 - mcp / 100, 0.12, 1)  # collateral ligaments: bent knuckles do not spread
    result[:, CUP] = np.clip(result[:, CUP], 0, np.maximum(mcp[:, 2:], 0) * [0.14, 0.24] + [3, 5])
    return np.clip(result, low, high)


def sample_angles(rng: np.random.Generator, count: int) -> Floats:
    """Draw (count, 22) angles from the mixture, constrained, not yet tested for collisions."""
    choice = rng.random(count)
    drawn = (_synergies(rng, count), _key_poses(rng, count), _independent(rng, count))
    kind = np.searchsorted([SYNERGIES, SYNERGIES + KEY_POSES], choice, side="right")
    return constrain(np.stack(drawn)[kind, np.arange(count)])


def _synergies(rng: np.random.Generator, count: int) -> Floats:
    """Overall closing, MCP against PIP, a gradient from index to little, thumb opposing as the hand closes."""
    closing = rng.beta(1.0, 1.25, (count, 1))
    contrast, gradient = rng.normal(0, 0.28, (count, 1)), rng.normal(0, 22, (count, 1)) * np.linspace(-0.5, 0.5, 4)
    wobble = rng.normal(0, 7, (count, 4))
    mcp = 85 * np.clip(closing + contrast, 0, 1) + gradient + wobble + 0.6 * np.roll(wobble, 1, 1) - 4
    pip = 104 * np.clip(closing - contrast, 0, 1) + gradient + rng.normal(0, 8, (count, 4))
    dip = 0.62 * pip + rng.normal(0, 7, (count, 4))
    abd = rng.normal(0, 0.6, (count, 1)) * [9, 2, -7, -12] + rng.normal(0, 2.5, (count, 4))
    opposing = np.clip(0.25 + 0.6 * closing + rng.normal(0, 0.25, (count, 1)), 0, 1)
    thumb = [
        -18 + 48 * opposing,
        -12 + 44 * np.clip(opposing + rng.normal(0, 0.2, (count, 1)), 0, 1),
        45 * opposing * rng.random((count, 1)) + 3,
        rng.normal(22, 16, (count, 1)),
    ]
    return np.concatenate([mcp, pip, dip, abd, closing * [8, 13], *thumb], 1)


def _key_poses(rng: np.random.Generator, count: int) -> Floats:
    first, second = _KEY_MATRIX[rng.integers(len(_KEY_MATRIX), size=(2, count))]
    share = rng.beta(0.35, 0.35, (count, 1))
    result: Floats = (1 - share) * first + share * second + rng.normal(0, 1, (count, NUM_HAND_ANGLES)) * _KEY_NOISE
    return result


def _independent(rng: np.random.Generator, count: int) -> Floats:
    closing, contrast = rng.beta(0.7, 0.8, (count, 4)), rng.normal(0, 0.22, (count, 4))
    mcp = -6 + 92 * np.clip(closing + contrast, 0, 1)
    pip = 105 * np.clip(closing - contrast, 0, 1)
    rest = rng.uniform([0, 0, -24, -20, -3, -10], [8, 14, 36, 34, 50, 70], (count, 6))
    return np.concatenate([mcp, pip, 0.62 * pip + rng.normal(0, 8, (count, 4)), rng.normal(0, 6, (count, 4)), rest], 1)


def sample_wrist(rng: np.random.Generator, count: int) -> Floats:
    """Draw (count, 2) wrist flexions and deviations, degrees."""
    return np.clip(rng.normal([0, 2], [22, 9], (count, 2)), LOW[WRIST], HIGH[WRIST])


@dataclass(frozen=True)
class Body:
    """One person's hand, ready to be posed: rest mesh and joints, scale, capsules."""

    hand: HandModel
    vertices: Floats  # (1842, 3) at rest
    skeleton: Skeleton
    centres: Floats  # (21, 3) at rest
    scale: float
    capsules: Capsules

    def posed_centres(self, angles: Floats) -> Floats:
        """Return the (B, 21, 3) rotation centres of (B, 24) angles."""
        return carry(forward(self.hand, self.skeleton, angles), keypoint_bones(), self.centres)

    def penetration(self, angles: Floats) -> Floats:
        """Return the (B,) depths, mm, to which the worst capsules overlap."""
        return self.capsules.penetration(self.posed_centres(angles), self.scale)


def body_of(hand: HandModel, beta: Floats, scale: float) -> Body:
    """Prepare the hand of a person given by shape components and size."""
    vertices, joints = hand.shape(beta, scale)
    return Body(
        hand=hand,
        vertices=vertices,
        skeleton=skeleton_of(hand, joints),
        centres=rotation_centres(hand, joints),
        scale=scale,
        capsules=load_capsules(),
    )


def sample_pose(rng: np.random.Generator, body: Body, draw: Draw = sample_angles) -> Floats:
    """Draw (24,) angles of a pose that does not run through itself; the least bad of 42 should all fail."""
    best, least = np.zeros(len(LOW)), np.inf
    for _ in range(MAX_ROUNDS):
        angles = np.concatenate([draw(rng, CANDIDATES), sample_wrist(rng, CANDIDATES)], 1)
        depth = body.penetration(angles)
        free = np.flatnonzero(depth < TOLERANCE_MM)
        chosen = int(free[0]) if len(free) else int(depth.argmin())
        if depth[chosen] < least:
            best, least = angles[chosen], float(depth[chosen])
        if len(free):
            break
    return best


def free_pose(body: Body, angles: NDArray[Any], steps: int = 12) -> Floats:
    """Open (24,) angles just far enough, towards a relaxed hand, that nothing overlaps."""
    relaxed = np.concatenate([KEY_ANGLES["spread"] * 0.5, angles[WRIST]])
    shares = np.linspace(0, 1, steps)[:, None]
    path = (1 - shares) * angles + shares * relaxed
    free = body.penetration(path) < TOLERANCE_MM
    result: Floats = path[int(free.argmax())] if free.any() else path[-1]
    return result


def hand_angles(key: str) -> Floats:
    """Return (24,) angles of a key pose with a straight wrist."""
    angles = np.zeros(len(LOW))
    angles[HAND] = KEY_ANGLES[key]
    return angles
