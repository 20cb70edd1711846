"""Hold something: an object across the palm, and fingers that close joint by joint until they touch it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.synth.hand import PALM_PART
from handdata.synth.kinematics import ABD, CUP, DIP, HIGH, LOW, MCP, PIP, THUMB
from handdata.synth.mesh import Floats, cross, unit
from handdata.synth.pose import Body, sample_wrist
from handdata.synth.shapes import KINDS, Solid, SolidKind

MAX_ATTEMPTS = 6
GOOD_MM, BAD_MM = 4.5, 9.0  # a phalanx's core this deep in the object: stop looking, give up
FLESH = 0.8  # share of a phalanx's radius at which it touches: the pad yields
PALM_DEPTH_MM = 13.0  # from the bones of the palm to its skin
STEPS = 16  # of closing, a joint
CLOSING = ((MCP, 6.0), (PIP, 7.0), (DIP, 6.0))  # degrees a step, proximal joints first
THUMB_CLOSING_DEG = 5.0
THUMB_JOINTS = (THUMB.start, THUMB.start + 2, THUMB.start + 3)  # CMC flexion, MCP, IP


@dataclass(frozen=True)
class Grasp:
    """Angles (24,) of a hand round a solid, both in the frame of a right hand, and how deep it digs in, mm."""

    angles: Floats
    solid: Solid
    depth: float


def sample_grasp(rng: np.random.Generator, body: Body, kinds: tuple[SolidKind, ...] = KINDS) -> Grasp:
    """Draw objects and close the hand on them; return the first good grasp, or the best of six."""
    grasps: list[Grasp] = []
    while len(grasps) < MAX_ATTEMPTS and not (grasps and grasps[-1].depth < GOOD_MM):
        solid = _across_palm(rng, body, kinds[rng.integers(len(kinds))])
        angles = close_on(rng, body, solid)
        grasps.append(Grasp(angles=angles, solid=solid, depth=_depth(body, angles, solid)))
    return min(grasps, key=lambda grasp: grasp.depth)


def sample_size(rng: np.random.Generator, kind: SolidKind) -> Floats:
    """Draw the size of a thing that fits a hand, mm."""
    if kind == "cylinder":
        return np.array([rng.uniform(14, 42), rng.uniform(70, 200), 0.0])
    if kind == "box":
        return np.array([*rng.uniform(24, 75, 2), rng.uniform(60, 170)])
    return np.array([rng.uniform(22, 48), 0.0, 0.0])


def _across_palm(rng: np.random.Generator, body: Body, kind: SolidKind) -> Solid:
    """Lay the object against the palm, its long axis across the fingers."""
    size = sample_size(rng, kind)
    radius = size[1] / 2 if kind == "box" else size[0]
    long_axis = unit(np.array([rng.normal(-0.15, 0.25), 1.0, rng.normal(0, 0.15)]))
    side = unit(cross(np.array([0.0, 0.0, 1.0]), long_axis))
    middle_knuckle = body.centres[9]
    centre = np.array(
        [
            middle_knuckle[0] * rng.uniform(0.72, 0.98),
            rng.normal(-4, 6),
            -(radius + PALM_DEPTH_MM * body.scale),
        ]
    )
    return Solid(kind, size, np.stack([side, cross(long_axis, side), long_axis], 1), centre)


def close_on(rng: np.random.Generator, body: Body, solid: Solid) -> Floats:
    """Return (24,) angles: every finger closes at MCP, then PIP, then DIP, each until some phalanx touches."""
    angles = np.zeros(len(LOW))
    angles[MCP], angles[PIP], angles[DIP] = rng.uniform(-8, 5), 4, 2
    angles[ABD] = np.array([7, 2, -4, -9]) * rng.uniform(0.2, 1)
    angles[CUP], angles[THUMB] = (3, 6), (rng.uniform(-2, 18), 34, 0, 0)
    angles[22:] = sample_wrist(rng, 1)[0] * 0.8
    count = np.arange(STEPS)[:, None]
    for stage, (joint, step) in enumerate(CLOSING):
        tried = np.repeat(angles[None], STEPS, 0)
        tried[:, joint] = np.minimum(angles[joint] + step * count, HIGH[joint])
        thumb = THUMB_JOINTS[stage]
        tried[:, thumb] = np.minimum(angles[thumb] + THUMB_CLOSING_DEG * count[:, 0], HIGH[thumb])
        touching = _touching(body, tried, solid)[:, :, stage:].any(2)  # (STEPS, 5)
        first = np.where(touching.any(0), touching.argmax(0), STEPS - 1)
        angles[thumb] = tried[first[0], thumb]
        angles[joint] = tried[first[1:], range(joint.start, joint.stop)]
    if rng.random() < 0.3:
        angles[rng.integers(4)] -= rng.uniform(5, 25)  # a finger that does not quite hold
    return np.clip(angles, LOW, HIGH)


def _phalanx_points(body: Body, angles: Floats, count: int) -> Floats:
    """Return (B, 5, 3, count, 3) points along the phalanges."""
    centres = body.posed_centres(angles)[:, 1:].reshape(len(angles), 5, 4, 1, 3)
    share = np.linspace(0.12, 1, count)[:, None]
    result: Floats = centres[:, :, :-1] + share * (centres[:, :, 1:] - centres[:, :, :-1])
    return result


def _touching(body: Body, angles: Floats, solid: Solid) -> NDArray[np.bool_]:
    radii = body.capsules.radii[:PALM_PART].reshape(5, 3, 1) * body.scale * FLESH
    near: NDArray[np.bool_] = solid.distance(_phalanx_points(body, angles, 5)) < radii
    return np.asarray(near.any(-1))


def _depth(body: Body, angles: Floats, solid: Solid) -> float:
    radii = body.capsules.radii[:PALM_PART].reshape(5, 3, 1) * body.scale * 0.75
    return float((radii - solid.distance(_phalanx_points(body, angles[None], 6))[0]).max())
