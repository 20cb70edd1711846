"""Spheres, cylinders and boxes: signed distance, mesh, corners."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from handdata.synth.mesh import Floats, Ints, face_normals, unit

SolidKind = Literal["sphere", "cylinder", "box"]
KINDS: tuple[SolidKind, ...] = ("cylinder", "box", "sphere")
MIRROR = np.diag([1.0, -1.0, 1.0])  # right hand to left: synth/hand.py


@dataclass(frozen=True)
class Solid:
    """An object in some frame, mm.

    Attributes:
        kind: sphere (radius), cylinder (radius, height; along z) or box (its three sides).
        size: (3,) as the kind says, the rest zero.
        rotation: (3, 3) from the object's frame.
        centre: (3,)
    """

    kind: SolidKind
    size: Floats
    rotation: Floats
    centre: Floats

    def distance(self, points: NDArray[Any]) -> Floats:
        """Return the signed distance of (..., 3) points, negative inside."""
        local = (points - self.centre) @ self.rotation
        if self.kind == "sphere":
            return np.asarray(np.linalg.norm(local, axis=-1) - self.size[0])
        if self.kind == "cylinder":
            radial = np.hypot(local[..., 0], local[..., 1]) - self.size[0]
            outside = np.stack([radial, np.abs(local[..., 2]) - self.size[1] / 2], -1)
        else:
            outside = np.abs(local) - self.size / 2
        result: Floats = np.minimum(outside.max(-1), 0) + np.linalg.norm(np.maximum(outside, 0), axis=-1)
        return result

    def half_extent(self) -> Floats:
        """Return the (3,) half sides of the box that holds it, in its own frame."""
        if self.kind == "sphere":
            return np.repeat(self.size[0], 3)
        if self.kind == "cylinder":
            return np.array([self.size[0], self.size[0], self.size[1] / 2])
        return self.size / 2

    def corners(self) -> Floats:
        """Return the (8, 3) corners of the box that holds it; x varies slowest, minus first."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        return signs * self.half_extent() @ self.rotation.T + self.centre

    def mirrored(self) -> "Solid":
        """Return what a left hand would hold."""
        return replace(self, rotation=MIRROR @ self.rotation @ MIRROR, centre=MIRROR @ self.centre)

    def moved(self, rotation: Floats, translation: Floats) -> "Solid":
        """Return it after x -> rotation @ x + translation."""
        return replace(self, rotation=rotation @ self.rotation, centre=rotation @ self.centre + translation)

    def surface(self) -> tuple[Floats, Ints, Floats, Floats]:
        """Return vertices (V, 3), faces (F, 3), normals (V, 3), and the vertices in the object's own frame."""
        unit_vertices, faces, unit_normals = _unit_surface(self.kind)
        half = self.half_extent()
        own = unit_vertices * half
        normals = unit(unit_normals / half)
        return own @ self.rotation.T + self.centre, faces, normals @ self.rotation.T, own


@cache
def _unit_surface(kind: SolidKind) -> tuple[Floats, Ints, Floats]:
    """Mesh the shape inside the cube of half side 1; sharp edges do not share vertices."""
    patches = {"sphere": _sphere, "cylinder": _cylinder, "box": _box}[kind]()
    vertices, faces, normals = [], [], []
    first = 0
    for patch_vertices, patch_faces, patch_normals in patches:
        vertices.append(patch_vertices)
        normals.append(patch_normals)
        faces.append(patch_faces + first)
        first += len(patch_vertices)
    v, f, n = np.concatenate(vertices), np.concatenate(faces), np.concatenate(normals)
    facing = face_normals(v, f)
    inward = (facing * n[f].sum(1)).sum(1) < 0
    f[inward] = f[inward][:, ::-1]
    return v, f[np.linalg.norm(facing, axis=1) > 1e-9], n


Triangles = tuple[Floats, Ints, Floats]


def _grid(
    point: Callable[[Floats, Floats], Floats], normal: Callable[[Floats], Floats], columns: int, rows: int
) -> Triangles:
    u, v = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, 1, n + 1) for n in (columns, rows)), indexing="ij"))
    points = point(u, v)
    first = (np.arange(columns)[:, None] * (rows + 1) + np.arange(rows)).ravel()
    across = first + rows + 1
    faces = np.concatenate([np.stack([first, across, across + 1], 1), np.stack([first, across + 1, first + 1], 1)])
    return points, faces, normal(points)


def _constant(normal: Floats) -> Callable[[Floats], Floats]:
    return lambda points: np.tile(normal, (len(points), 1))


def _circle(u: Floats) -> tuple[Floats, Floats]:
    return np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)


def _sphere() -> list[Triangles]:
    def point(u: Floats, v: Floats) -> Floats:
        (c, s), ring = _circle(u), np.sin(np.pi * v)
        return np.stack([c * ring, s * ring, np.cos(np.pi * v)], 1)

    return [_grid(point, unit, 40, 20)]


def _cylinder() -> list[Triangles]:
    def side(u: Floats, v: Floats) -> Floats:
        return np.stack([*_circle(u), 1 - 2 * v], 1)

    def lid(z: float) -> Callable[[Floats, Floats], Floats]:
        def point(u: Floats, v: Floats) -> Floats:
            c, s = _circle(u)
            return np.stack([c * v, s * v, np.full_like(u, z)], 1)

        return point

    lids = [_grid(lid(z), _constant(np.array([0.0, 0, z])), 40, 2) for z in (1.0, -1.0)]
    return [_grid(side, lambda p: unit(p * [1, 1, 0]), 40, 4), *lids]


def _box() -> list[Triangles]:
    patches = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            outward = np.eye(3)[axis] * sign
            right, up = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]

            def point(u: Floats, v: Floats, o: Floats = outward, r: Floats = right, t: Floats = up) -> Floats:
                return o + (2 * u[:, None] - 1) * r + (2 * v[:, None] - 1) * t

            patches.append(_grid(point, _constant(outward), 4, 4))
    return patches
