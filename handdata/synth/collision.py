"""Does a hand run through itself? Nineteen capsules, one per bone, whose radii are measured on the mesh."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.synth.hand import HandModel, load_hand
from handdata.synth.keypoints import keypoint_bones, rotation_centres
from handdata.synth.kinematics import ANGLES, carry, forward, skeleton_of, skin
from handdata.synth.mesh import Floats, Ints, unit

TOLERANCE_MM = 5.0  # how deep capsules may sink into each other: flesh gives way; docs/method.md 13
MAX_RADIUS_MM = 9.5
FLATTENING = 0.97  # the capsule lies just inside the flesh
NUM_PHALANGES = 15


@dataclass(frozen=True)
class Capsules:
    """(19, 2) keypoint pairs, phalanges first; their (19,) radii in mm of the mean hand; the (P, 2) pairs to test."""

    segments: Ints
    radii: Floats
    pairs: Ints
    bones: Ints  # (19,)

    def penetration(self, centres: Floats, scale: float) -> Floats:
        """Return how deep the worst pair overlaps, mm; negative if apart.

        Args:
            centres: (B, 21, 3) rotation centres.
            scale: of the person's hand.

        Returns:
            (B,) millimetres.
        """
        a, b = self.pairs.T
        start, end = centres[:, self.segments[:, 0]], centres[:, self.segments[:, 1]]
        apart = segment_distance(start[:, a], end[:, a], start[:, b], end[:, b])
        result: Floats = ((self.radii[a] + self.radii[b]) * scale - apart).max(1)
        return result


def segment_distance(p1: NDArray[Any], q1: NDArray[Any], p2: NDArray[Any], q2: NDArray[Any]) -> Floats:
    """Return the distance between segments p1 q1 and p2 q2, all (..., 3).

    Source:
        Ericson, Real-Time Collision Detection, 2005, section 5.1.9.
    """
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2
    a, e, b = _dot(d1, d1), _dot(d2, d2), _dot(d1, d2)
    c, f = _dot(d1, r), _dot(d2, r)
    s = np.clip((b * f - c * e) / np.maximum(a * e - b * b, 1e-9), 0, 1)
    t = np.clip((b * s + f) / np.maximum(e, 1e-9), 0, 1)
    s = np.clip((b * t - c) / np.maximum(a, 1e-9), 0, 1)
    gap = r + d1 * s[..., None] - d2 * t[..., None]
    return np.sqrt(_dot(gap, gap))


def _dot(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    result: Floats = np.einsum("...i,...i->...", a, b)
    return result


@cache
def load_capsules() -> Capsules:
    """Measure the capsules on the mean hand, once a process."""
    hand = load_hand()
    phalanges = [(1 + 4 * f + k, 2 + 4 * f + k) for f in range(5) for k in range(3)]
    segments = np.array([*phalanges, (0, 5), (0, 9), (0, 13), (0, 17)])
    names = [f"finger{f}-{k}" for f in range(1, 6) for k in (1, 2, 3)] + [f"metacarpal{k}" for k in (1, 2, 3, 4)]
    bones = np.array([hand.bone[name] for name in names])
    radii = _radii(hand, segments, bones)
    return Capsules(segments=segments, radii=radii, pairs=_pairs(len(segments)), bones=bones)


def _radii(hand: HandModel, segments: Ints, bones: Ints) -> Floats:
    transforms = forward(hand, skeleton_of(hand, hand.joints), np.zeros((1, len(ANGLES))))
    centres = carry(transforms, keypoint_bones(), rotation_centres(hand, hand.joints))[0]
    vertices = skin(hand, hand.vertices, transforms[0])
    radii = []
    for (start, end), bone in zip(segments, bones, strict=True):
        own = hand.weights[:, bone] > 0.7
        if own.sum() < 6:
            own = hand.weights[:, bone] > 0.4
        along = unit(centres[end] - centres[start])
        offsets = vertices[own] - centres[start]
        across = offsets - (offsets @ along)[:, None] * along
        axes = np.linalg.eigh(np.cov(across.T))[1][:, 1:]
        radii.append(0.5 * np.ptp(across @ axes, axis=0).min() * FLATTENING)
    return np.minimum(radii, MAX_RADIUS_MM)


def _pairs(num_segments: int) -> Ints:
    """List the pairs worth testing: not within a finger, not where neighbours share flesh at the web."""

    def finger(segment: int) -> int:
        return segment // 3 if segment < NUM_PHALANGES else 1 + segment - NUM_PHALANGES

    def share_flesh(i: int, k: int) -> bool:
        proximal = i % 3 == 0 and (k >= NUM_PHALANGES or k % 3 == 0)
        thumb_base_and_index = i < 2 and k in (3, NUM_PHALANGES)
        return finger(i) == finger(k) or proximal or thumb_base_and_index

    return np.array([(i, k) for i in range(NUM_PHALANGES) for k in range(i + 1, num_segments) if not share_flesh(i, k)])
