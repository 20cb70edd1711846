"""What keeps light away: a shadow map for the lamp, spheres along the bones for the light from all round."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.synth.collision import load_capsules
from handdata.synth.hand import load_hand
from handdata.synth.mesh import Floats, cross, unit
from handdata.synth.rasterize import rasterize
from handdata.synth.shapes import Solid

SHADOW_PX = 160  # side of the shadow map
LAMP_MM = 1e4  # the lamp's distance in the map; any, as its rays are parallel
TAPS = np.array([(-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1), (0, -1.6), (0, 1.6), (1.6, 0), (-1.6, 0)])
NUM_PHALANGES = 15


@dataclass(frozen=True)
class ShadowMap:
    """Depths seen from the lamp: axes (3, 3), corner and scale of the map, nearest surface (px, px)."""

    axes: Floats
    corner: Floats
    scale: float
    nearest: NDArray[np.float32]

    def lit(self, points: NDArray[np.float32], facing: NDArray[np.float32], softness: float) -> NDArray[np.float32]:
        """Return (N,) shares of light that reach the points.

        Args:
            points: (N, 3) mm, world.
            facing: (N,) cosine between normal and lamp.
            softness: texels between the taps of the filter.
        """
        place = points @ self.axes.T.astype(np.float32)
        uv = (place[:, :2] - self.corner.astype(np.float32)) * np.float32(self.scale) + 1
        cosine = np.clip(facing, 0, 1)
        texel = np.float32(1 / self.scale)
        slope = np.sqrt(1 - cosine**2) / np.maximum(cosine, 0.2)
        reach = place[:, 2] - (1.2 + 2.2 * texel + 2.5 * (1 - cosine) + texel * slope) + np.float32(LAMP_MM)
        flat = self.nearest.ravel()
        total = np.zeros(len(points), np.float32)
        for dx, dy in TAPS * softness:
            column = np.clip(uv[:, 0] + np.float32(dx + 0.5), 0, SHADOW_PX - 1).astype(np.int32)
            row = np.clip(uv[:, 1] + np.float32(dy + 0.5), 0, SHADOW_PX - 1).astype(np.int32)
            total += reach < flat[row * SHADOW_PX + column]
        return total / np.float32(len(TAPS))


def shadow_map(vertices: Floats, faces: NDArray[Any], lamp: Floats, corners: Floats) -> ShadowMap:
    """Look at the scene from the lamp.

    Args:
        vertices: (V, 3) mm, world.
        faces: (F, 3) triangles.
        lamp: (3,) unit vector towards the lamp.
        corners: (N, 3) points that span what will be asked about.
    """
    axes = lamp_axes(lamp)
    seen = vertices @ axes.T
    span = corners @ axes[:2].T
    low, high = np.maximum(seen[:, :2].min(0), span.min(0) - 2), np.minimum(seen[:, :2].max(0), span.max(0) + 2)
    scale = (SHADOW_PX - 3) / max(float((high - low).max()), 1.0)
    raster = rasterize((seen[:, :2] - low) * scale + 1, seen[:, 2] + LAMP_MM, faces, SHADOW_PX, SHADOW_PX)
    nearest = np.where(raster.triangle >= 0, raster.depth, np.inf).astype(np.float32)
    return ShadowMap(axes=axes, corner=low, scale=scale, nearest=nearest)


def lamp_axes(lamp: Floats) -> Floats:
    """Return the (3, 3) axes of a camera that looks along the lamp's rays."""
    forward = -lamp
    right = unit(cross(np.array([0.13, 0.97, 0.2]), forward))
    return np.stack([right, cross(forward, right), forward])


@dataclass(frozen=True)
class Spheres:
    """Spheres on the bones: (S, 2) keypoint ends, (S,) place between, radius and bone; (1842, S) who shades whom."""

    ends: NDArray[np.int64]
    share: Floats
    radius: Floats
    shades: NDArray[np.float32]


@cache
def load_spheres() -> Spheres:
    """Place the spheres, once a process."""
    hand, capsules = load_hand(), load_capsules()
    rows = []
    for k, (segment, bone) in enumerate(zip(capsules.segments, capsules.bones, strict=True)):
        radius = capsules.radii[k]
        shares = (0.0, 0.35, 0.7) if k < NUM_PHALANGES else (0.3, 0.5, 0.7, 0.9)
        rows += [(*segment, share, radius, bone) for share in shares]
        if k < NUM_PHALANGES and k % 3 == 2:
            rows.append((*segment, 0.95, 0.9 * radius, bone))
    table = np.array(rows)
    touches = (hand.weights @ _adjacent_bones()) > 0.02
    bones = table[:, 4].astype(np.int64)
    return Spheres(table[:, :2].astype(np.int64), table[:, 2], table[:, 3], (~touches[:, bones]).astype(np.float32))


def _adjacent_bones() -> NDArray[np.float64]:
    """Return the (N, N) bones that are joined, and the palm's as one: they do not shade each other."""
    bone = load_hand().bone
    adjacent = np.eye(len(bone))
    palm = ["wrist", "finger1-1", *(f"metacarpal{k}" for k in (1, 2, 3, 4))]
    joined = [(a, b) for a in palm for b in palm]
    for f in range(1, 6):
        joined += [(f"finger{f}-1", "wrist" if f == 1 else f"metacarpal{f - 1}")]
        joined += [(f"finger{f}-{k}", f"finger{f}-{k - 1}") for k in (2, 3)]
    for a, b in joined:
        adjacent[bone[a], bone[b]] = adjacent[bone[b], bone[a]] = 1
    return adjacent


def hand_openness(
    vertices: Floats, normals: Floats, centres: Floats, scale: float, solid: Solid | None
) -> NDArray[np.float32]:
    """Return the (1842,) shares of the sky that a hand leaves open above its own vertices.

    Args:
        vertices: (1842, 3) mm, world.
        normals: (1842, 3) unit.
        centres: (21, 3) rotation centres.
        scale: of the hand.
        solid: the object in the same frame, if any.
    """
    spheres = load_spheres()
    start, end = centres[spheres.ends[:, 0]], centres[spheres.ends[:, 1]]
    middle = start + spheres.share[:, None] * (end - start)
    occluded = _sphere_occlusion(vertices, normals, middle, spheres.radius * scale) * spheres.shades
    openness: NDArray[np.float32] = np.prod(1 - np.float32(0.62) * occluded, axis=1)
    if solid is not None:
        for reach in (5.0, 14.0):
            blocked = np.clip((reach - solid.distance(vertices + normals * reach)) / reach, 0, 1)
            openness *= (1 - 0.45 * blocked).astype(np.float32)
    return openness


def object_openness(vertices: Floats, normals: Floats, centres: Floats, scale: float) -> NDArray[np.float32]:
    """Return the (V,) shares of the sky that a hand leaves open above an object's vertices."""
    spheres = load_spheres()
    start, end = centres[spheres.ends[::2, 0]], centres[spheres.ends[::2, 1]]
    middle = start + spheres.share[::2, None] * (end - start)
    occluded = _sphere_occlusion(vertices, normals, middle, spheres.radius[::2] * scale * 1.2)
    result: NDArray[np.float32] = np.prod(1 - np.float32(0.55) * occluded, axis=1)
    return result


def _sphere_occlusion(vertices: Floats, normals: Floats, centres: Floats, radii: Floats) -> NDArray[np.float32]:
    """Return the (V, S) shares of the sky above V points that S spheres hide, roughly."""
    origin = vertices.mean(0)
    v, n = (vertices - origin).astype(np.float32), normals.astype(np.float32)
    c, r2 = (centres - origin).astype(np.float32), (radii**2).astype(np.float32)
    distance2 = np.maximum((v * v).sum(1)[:, None] + (c * c).sum(1) - 2 * v @ c.T, 1)
    cosine = (n @ c.T - (n * v).sum(1)[:, None]) / np.sqrt(distance2)
    result: NDArray[np.float32] = np.clip(0.75 * cosine + 0.25, 0, 1) * np.minimum(r2 / distance2, 1)
    return result
