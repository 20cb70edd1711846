"""A hand of 26 degrees of freedom in torch: 22 angles and bone lengths to 21 keypoints; the limits of the angles.

The torch copy of `synth/kinematics.py`, whose angles, limits and rest it shares (a test keeps them equal): zero degrees
is the flat hand; a right hand, mm, x to the middle knuckle, y to the thumb's side, z out of the back, the wrist at the
origin. Keypoints lie where people click them: fixed shares of the bones off the rotation centres.

Source:
    Limits, couplings and rest: docs/method.md 13.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.skeleton import BONES, NUM_KEYPOINTS, ROOT, TIPS, WRIST

Floats = NDArray[np.float64]

NUM_ANGLES = 22  # MCP, PIP, DIP, abduction of index to little; cup of ring and little; the thumb's four
MCP, PIP, DIP, ABD, CUP, THUMB = (slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 16), slice(16, 18), slice(18, 22))
LOW = np.array([-10.0] * 4 + [0.0] * 8 + [-15.0] * 4 + [0, 0, -25, -25, -5, -15])
HIGH = np.array([90.0] * 4 + [110.0] * 4 + [80.0] * 4 + [15.0] * 4 + [10, 18, 40, 35, 60, 80])
CONVERGENCE = (0.25, 0.0, 0.35, 0.42)
STRAIGHT_TO_BENT_DEG = 70.0
PRONATION = (0.45, 0.35)
# Shares of the bone towards the fingertip (tips: backwards) that labels lie off the rotation centres.
OFFSETS = {WRIST: 0.16, 1: 0.45, 2: 0.15, **dict.fromkeys((5, 9, 13, 17), 0.12), **dict.fromkeys((6, 10, 14, 18), 0.06),
           **dict.fromkeys(TIPS, 0.15)}  # fmt: skip
# The mean hand of the asset at rest: rotation centres and finger ends, and where the metacarpals turn, mm.
REST = (
    (0.0, 0.0, 0.0), (22.458, 14.569, -2.106), (48.579, 43.826, -24.370), (75.175, 63.779, -43.063),
    (96.689, 71.132, -57.453), (92.116, 22.397, -4.082), (129.816, 29.817, -11.741), (151.717, 31.931, -23.371),
    (172.415, 34.064, -37.977), (91.380, 0.498, -0.314), (134.936, -4.522, -11.196), (161.406, -6.643, -23.594),
    (182.979, -9.150, -37.339), (86.632, -19.107, -0.322), (125.101, -28.662, -8.610), (146.875, -34.075, -19.014),
    (167.171, -40.858, -31.744), (77.491, -33.943, -4.285), (106.138, -46.775, -12.466), (119.187, -52.175, -20.938),
    (133.812, -58.760, -30.343),
)  # fmt: skip
CARPALS = ((32.329, 3.215, -2.026), (32.329, 3.215, -2.026), (37.180, -17.923, -3.541), (37.180, -17.923, -3.541))


class RestHand(NamedTuple):
    """A hand at rest, ready to be posed; float64.

    Attributes:
        centres_K3: rotation centres, mm.
        carpals_F3: of the four fingers.
        cups_F33, hinges_F33: cross-product matrices of the axes.
        flexion_PF: of MCP, PIP and DIP at rest, degrees.
        yaw_F: at rest, degrees.
        thumb_333: cross-product matrices of the thumb's across, away and along.
        thumb_hinge_33: of its last two joints.
        thumb_rest_2: degrees.
    """

    centres_K3: Tensor
    carpals_F3: Tensor
    cups_F33: Tensor
    hinges_F33: Tensor
    flexion_PF: Tensor
    yaw_F: Tensor
    thumb_333: Tensor
    thumb_hinge_33: Tensor
    thumb_rest_2: Tensor


def rest_hand(centres: Floats | None = None, carpals: Floats | None = None) -> RestHand:
    """Return a hand from its (21, 3) rotation centres and (4, 3) carpals at rest, mm; the mean one without."""
    centres = np.array(REST) if centres is None else centres
    carpals = np.array(CARPALS) if carpals is None else carpals
    chain = centres[5:].reshape(4, 4, 3)
    bones = _unit(np.diff(chain, axis=1))
    up = np.array([0.0, 0, 1])
    ahead = _unit(bones[:, 0] * [1, 1, 0])
    hinges = _unit(np.cross(up, ahead))
    thumb = _unit(np.diff(centres[1:5], axis=0))
    thumb_hinge = _unit(np.cross(thumb[0], thumb[2]))
    away = _unit(np.cross(up, thumb[0]))
    flexion = [np.degrees(np.arcsin(-bones[:, 0, 2])), *(_bend(hinges, bones[:, k], bones[:, k + 1]) for k in (0, 1))]
    parts = (
        centres, carpals, _cross(_unit(np.cross(up, chain[:, 0] - carpals))), _cross(hinges), np.stack(flexion),
        np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0])), _cross(np.stack([up, away, thumb[0]])), _cross(thumb_hinge),
        np.array([_bend(thumb_hinge, thumb[0], thumb[1]), _bend(thumb_hinge, thumb[1], thumb[2])]),
    )  # fmt: skip
    return RestHand(*(torch.from_numpy(np.ascontiguousarray(part, np.float64)) for part in parts))


def posed(skeleton: RestHand, angles: Tensor, factors: Tensor) -> Tensor:
    """Return the (..., 21, 3) keypoints of poses, mm.

    Args:
        skeleton: at rest.
        angles: (..., 22) degrees.
        factors: (..., 20) of the lengths of `skeleton.BONES`.
    """
    centres = _lengthened(skeleton.centres_K3, factors)
    thumb, fingers = _thumb(skeleton, centres, angles[..., THUMB]), _fingers(skeleton, centres, angles)
    wrist = centres[..., :1, :].expand(*thumb.shape[:-2], 1, 3)
    return _labels() @ torch.cat([wrist, thumb, fingers], -2)


def _fingers(skeleton: RestHand, centres: Tensor, angles: Tensor) -> Tensor:
    chain, mcp, cup = centres[..., 5:, :].view(*centres.shape[:-2], 4, 4, 3), angles[..., MCP], angles[..., CUP]
    cups = _turn(skeleton.cups_F33, torch.cat([torch.zeros_like(cup), cup], -1))
    straight = (1 - mcp / STRAIGHT_TO_BENT_DEG).clamp(0.0, 1.0)
    yaw = angles[..., ABD] * (0.25 + 0.75 * straight)
    yaw = yaw - skeleton.yaw_F * (1 - straight) * torch.tensor(CONVERGENCE, dtype=mcp.dtype)
    at = skeleton.carpals_F3 + _moved(cups, chain[..., 0, :] - skeleton.carpals_F3)
    turn, points = cups @ _turn(skeleton.thumb_333[0], yaw), [at]
    for phalanx, part in enumerate((MCP, PIP, DIP)):
        turn = turn @ _turn(skeleton.hinges_F33, angles[..., part] - skeleton.flexion_PF[phalanx])
        at = at + _moved(turn, chain[..., phalanx + 1, :] - chain[..., phalanx, :])
        points.append(at)
    return torch.stack(points, -2).flatten(-3, -2)


def _thumb(skeleton: RestHand, centres: Tensor, angles: Tensor) -> Tensor:
    flexion, abduction, *bends = angles.unbind(-1)
    pronation = PRONATION[0] * flexion.clamp(min=0.0) + PRONATION[1] * abduction.clamp(min=0.0)
    across, away, along = skeleton.thumb_333
    turn, at = _turn(across, -flexion) @ _turn(away, abduction) @ _turn(along, -pronation), centres[..., 1, :]
    points = [at]
    for number in range(3):
        if number:
            turn = turn @ _turn(skeleton.thumb_hinge_33, bends[number - 1] - skeleton.thumb_rest_2[number - 1])
        at = at + _moved(turn, centres[..., number + 2, :] - centres[..., number + 1, :])
        points.append(at)
    return torch.stack(points, -2)


def _lengthened(centres_K3: Tensor, factors: Tensor) -> Tensor:
    """Return the (..., 21, 3) centres with bones of other lengths."""
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    return centres_K3[WRIST] + _ancestry() @ (factors[..., None] * (centres_K3[ends] - centres_K3[starts]))


@cache
def _ancestry() -> Tensor:
    """Return (21, 20): 1 where a bone lies between the wrist and a point."""
    matrix = torch.zeros(NUM_KEYPOINTS, len(BONES), dtype=torch.float64)
    for bone, (start, end) in enumerate(BONES):  # parents come before their children
        matrix[end] = matrix[start]
        matrix[end, bone] = 1.0
    return matrix


@cache
def _labels() -> Tensor:
    """Return the (21, 21) matrix from rotation centres to keypoints."""
    matrix = torch.eye(NUM_KEYPOINTS, dtype=torch.float64)
    for point, share in OFFSETS.items():
        towards = ROOT if point == WRIST else point - 1 if point in TIPS else point + 1
        matrix[point, point] -= share
        matrix[point, towards] += share
    return matrix


def _turn(cross_33: Tensor, degrees: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations about axes given by their cross-product matrices."""
    angle = torch.deg2rad(degrees)[..., None, None]
    eye = torch.eye(3, dtype=cross_33.dtype)
    return eye + torch.sin(angle) * cross_33 + (1 - torch.cos(angle)) * (cross_33 @ cross_33)


def _moved(turns: Tensor, vectors: Tensor) -> Tensor:
    return (turns @ vectors[..., None])[..., 0]


def _cross(axes: Floats) -> Floats:
    """Return the (..., 3, 3) matrices that take the cross product with (..., 3) axes."""
    x, y, z = np.moveaxis(axes, -1, 0)
    zero = np.zeros_like(x)
    rows = [np.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return np.stack(rows, -2)


def _bend(axis: Floats, first: Floats, second: Floats) -> Floats:
    angle = np.arctan2((np.cross(first, second) * axis).sum(-1), (first * second).sum(-1))
    return np.asarray(np.degrees(angle))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
