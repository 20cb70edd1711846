"""An independent ray caster: trimesh's, whose broad phase is given here since rtree is not among our dependencies."""

import numpy as np
from trimesh.ray.ray_triangle import ray_triangle_id


class Boxes:
    """The bounding boxes of triangles, as much of an rtree index as trimesh asks for."""

    def __init__(self, triangles):
        self.low, self.high = triangles.min(1), triangles.max(1)
        self.bounds = np.concatenate([self.low.min(0), self.high.max(0)])

    def intersection(self, box):
        return np.flatnonzero((self.low <= box[3:]).all(1) & (self.high >= box[:3]).all(1))


def first_hits(surface, targets):
    """Cast rays from the origin through (N, 3) points: (N,) z of the first hit, inf if none, and its triangle."""
    triangles = surface.vertices[surface.faces]
    sound = (
        np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) > 1e-9
    )
    names = np.flatnonzero(sound)
    directions = targets / np.linalg.norm(targets, axis=1, keepdims=True)
    index, ray, place = ray_triangle_id(
        triangles[names], np.zeros_like(directions), directions, tree=Boxes(triangles[names]), multiple_hits=False
    )
    depth, triangle = np.full(len(targets), np.inf), np.full(len(targets), -1)
    if len(ray):
        depth[ray], triangle[ray] = place[:, 2], names[index]
    return depth, triangle
