"""Forward kinematics and skinning of many poses at once.

A pose is 24 angles in degrees, `ANGLES`; zero is the flat hand. The wrist is the root and stands still: the forearm
hangs off it with the inverse wrist rotation. Letters: B poses, N bones (21), V vertices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.synth.hand import HandModel
from handdata.synth.mesh import Floats, cross, unit

# The four fingers are index, middle, ring, little. Limits: docs/method.md 13.
ANGLES = (
    *(f"{name}_{finger}" for name in ("mcp", "pip", "dip", "abd") for finger in ("index", "middle", "ring", "little")),
    "cup_ring",
    "cup_little",
    "cmc_flexion",
    "cmc_abduction",
    "thumb_mcp",
    "thumb_ip",
    "wrist_flexion",
    "wrist_deviation",
)
NUM_ANGLES = len(ANGLES)
MCP, PIP, DIP, ABD = (slice(4 * k, 4 * k + 4) for k in range(4))
CUP, THUMB, WRIST = slice(16, 18), slice(18, 22), slice(22, 24)
HAND = slice(0, 22)
LOW = np.array([-10.0] * 4 + [0.0] * 8 + [-15.0] * 4 + [0, 0, -25, -25, -5, -15, -60, -20])
HIGH = np.array([90.0] * 4 + [110.0] * 4 + [80.0] * 4 + [15.0] * 4 + [10, 18, 40, 35, 60, 80, 60, 30])

CONVERGENCE = np.array([0.25, 0.0, 0.35, 0.42])  # share of the rest yaw that a bent finger loses: fingertips meet
STRAIGHT_TO_BENT_DEG = 70.0  # MCP flexion at which no rest spread is left
PRONATION = (0.45, 0.35)  # of the thumb's metacarpal, degrees a degree of CMC flexion and abduction


@dataclass(frozen=True)
class Skeleton:
    """One person's rest pose, prepared for `forward`: joints, hinges and the angles the asset is modelled with."""

    joints: Floats  # (24, 3)
    finger_chain: Floats  # (4, 4, 3) mcp, pip, dip, end
    carpals: Floats  # (4, 3) where the metacarpals turn
    hinges: Floats  # (4, 3) flexion axes
    cup_axes: Floats  # (4, 3)
    rest_flexion: Floats  # (3, 4) mcp, pip, dip, degrees
    rest_yaw: Floats  # (4,)
    thumb_chain: Floats  # (4, 3) cmc, mcp, ip, end
    thumb_hinge: Floats  # (3,)
    thumb_rest: tuple[float, float]  # mcp, ip


def skeleton_of(hand: HandModel, joints: Floats) -> Skeleton:
    """Measure hinges and rest angles on a person's (24, 3) rest joints."""
    chain = np.array([[joints[hand.joint[f"f{f}{k}"]] for k in (1, 2, 3, 4)] for f in (2, 3, 4, 5)])
    carpals = np.array([joints[hand.joint[name]] for name in ("hand3", "hand3", "hand2", "hand2")])
    up = np.array([0.0, 0.0, 1.0])
    bones = unit(np.diff(chain, axis=1))
    forward_axis = unit(bones[:, 0] * [1, 1, 0])
    hinges = unit(cross(up, forward_axis))
    thumb = np.array([joints[hand.joint[f"f1{k}"]] for k in (1, 2, 3, 4)])
    thumb_bones = unit(np.diff(thumb, axis=0))
    thumb_hinge = unit(cross(thumb_bones[0], thumb_bones[2]))
    return Skeleton(
        joints=joints,
        finger_chain=chain,
        carpals=carpals,
        hinges=hinges,
        cup_axes=unit(cross(up, chain[:, 0] - carpals)),
        rest_flexion=np.stack(
            [
                np.degrees(np.arcsin(-bones[:, 0, 2])),
                _angle_about(hinges, bones[:, 0], bones[:, 1]),
                _angle_about(hinges, bones[:, 1], bones[:, 2]),
            ]
        ),
        rest_yaw=np.degrees(np.arctan2(forward_axis[:, 1], forward_axis[:, 0])),
        thumb_chain=thumb,
        thumb_hinge=thumb_hinge,
        thumb_rest=(
            float(_angle_about(thumb_hinge, thumb_bones[0], thumb_bones[1])),
            float(_angle_about(thumb_hinge, thumb_bones[1], thumb_bones[2])),
        ),
    )


def _angle_about(axis: Floats, a: Floats, b: Floats) -> Floats:
    result: Floats = np.degrees(np.arctan2((cross(a, b) * axis).sum(-1), (a * b).sum(-1)))
    return result


def rotation(axis: NDArray[Any], degrees: NDArray[Any]) -> Floats:
    """Return (..., 3, 3) rotations by the right-hand rule about (..., 3) unit axes."""
    angle = np.radians(degrees)
    shape = np.broadcast_shapes(axis.shape[:-1], angle.shape)
    c, s = np.cos(angle), np.sin(angle)
    k = 1 - c
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    result = np.empty((*shape, 3, 3))
    result[..., 0, 0], result[..., 0, 1], result[..., 0, 2] = c + x * x * k, x * y * k - z * s, x * z * k + y * s
    result[..., 1, 0], result[..., 1, 1], result[..., 1, 2] = y * x * k + z * s, c + y * y * k, y * z * k - x * s
    result[..., 2, 0], result[..., 2, 1], result[..., 2, 2] = z * x * k - y * s, z * y * k + x * s, c + z * z * k
    return result


def forward(hand: HandModel, skeleton: Skeleton, angles: Floats) -> Floats:
    """Return the (B, N, 3, 4) bone transforms of (B, 24) angles, from rest to posed, in the hand frame."""
    transforms = np.zeros((len(angles), len(hand.bone), 3, 4))
    transforms[..., :3] = np.eye(3)
    _place_forearm(hand, skeleton, angles, transforms)
    _place_fingers(hand, skeleton, angles, transforms)
    _place_thumb(hand, skeleton, angles, transforms)
    return transforms


def forearm_turn(angles: Floats) -> Floats:
    """Return the (B, 3, 3) rotations of the forearm under a hand that stands still."""
    flexion, deviation = angles[:, WRIST].T
    return rotation(np.array([0.0, 1, 0]), -flexion) @ rotation(np.array([0.0, 0, 1]), -deviation)


def _place_forearm(hand: HandModel, skeleton: Skeleton, angles: Floats, transforms: Floats) -> None:
    transforms[:, hand.bone["lowerarm"]] = _about(forearm_turn(angles), skeleton.joints[hand.joint["wrist"]])


def _place_fingers(hand: HandModel, skeleton: Skeleton, angles: Floats, transforms: Floats) -> None:
    cup = np.zeros((len(angles), 4))
    cup[:, 2:] = angles[:, CUP]
    parent = _about(rotation(skeleton.cup_axes, cup), skeleton.carpals)
    transforms[:, [hand.bone[f"metacarpal{k}"] for k in (1, 2, 3, 4)]] = parent
    mcp = angles[:, MCP]
    straight = np.clip(1 - mcp / STRAIGHT_TO_BENT_DEG, 0.0, 1.0)
    yaw = angles[:, ABD] * (0.25 + 0.75 * straight) - skeleton.rest_yaw * (1 - straight) * CONVERGENCE
    spread = rotation(np.array([0.0, 0, 1]), yaw)
    for phalanx, part in enumerate((MCP, PIP, DIP)):
        turn = rotation(skeleton.hinges, angles[:, part] - skeleton.rest_flexion[phalanx])
        if phalanx == 0:
            turn = spread @ turn
        parent = _chain(parent, _about(turn, skeleton.finger_chain[:, phalanx]))
        transforms[:, [hand.bone[f"finger{f}-{phalanx + 1}"] for f in (2, 3, 4, 5)]] = parent


def _place_thumb(hand: HandModel, skeleton: Skeleton, angles: Floats, transforms: Floats) -> None:
    flexion, abduction, mcp, ip = angles[:, THUMB].T
    metacarpal = unit(skeleton.thumb_chain[1] - skeleton.thumb_chain[0])
    across = np.array([0.0, 0, 1])  # flexion swings the metacarpal across the palm, abduction away from it
    away = unit(cross(across, metacarpal))
    pronation = PRONATION[0] * np.maximum(flexion, 0) + PRONATION[1] * np.maximum(abduction, 0)
    turn = rotation(across, -flexion) @ rotation(away, abduction) @ rotation(metacarpal, -pronation)
    parent = _about(turn, skeleton.thumb_chain[0])
    transforms[:, hand.bone["finger1-1"]] = parent
    for phalanx, flexed in ((2, mcp - skeleton.thumb_rest[0]), (3, ip - skeleton.thumb_rest[1])):
        hinge = _about(rotation(skeleton.thumb_hinge, flexed), skeleton.thumb_chain[phalanx - 1])
        parent = _chain(parent, hinge)
        transforms[:, hand.bone[f"finger1-{phalanx}"]] = parent


def _about(turn: Floats, centre: Floats) -> Floats:
    """Turn about a point: (..., 3, 3) and (..., 3) to (..., 3, 4)."""
    result = np.empty((*turn.shape[:-1], 4))
    result[..., :3] = turn
    result[..., 3] = centre - (turn @ centre[..., None])[..., 0]
    return result


def _chain(parent: Floats, child: Floats) -> Floats:
    result = parent[..., :3] @ child
    result[..., 3] += parent[..., 3]
    return result


def carry(transforms: Floats, bones: NDArray[Any], points: Floats) -> Floats:
    """Move (K, 3) rest points with their (K,) bones: (B, K, 3)."""
    chosen = transforms[:, bones]
    result: Floats = np.einsum("bkij,kj->bki", chosen[..., :3], points) + chosen[..., 3]
    return result


def skin(hand: HandModel, vertices: Floats, transforms: Floats) -> Floats:
    """Blend one pose's (N, 3, 4) transforms over (1842, 3) rest vertices linearly: (1842, 3)."""
    blended = (hand.weights @ transforms.reshape(len(transforms), 12)).reshape(-1, 3, 4)
    result: Floats = (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]
    return result
