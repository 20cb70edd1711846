"""The MakeHuman hand as data: mesh at two levels of detail, bones, weights, shapes of people.

Hand frame of a right hand, mm: origin the wrist, x to the middle knuckle, y to the thumb's side, z out of the back. A
left hand is the right one mirrored in y, its triangles wound the other way.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from handdata.synth.mesh import (
    Floats,
    Ints,
    catmull_clark,
    incidence,
    rim_edges,
    triangles_of,
    unit,
    vertex_normals,
)

ASSET = "hand_asset.npz"
ARM_LENGTH_MM = 650.0  # how far the forearm goes on behind the elbow of the asset, so that it leaves the picture
NEAREST_MM = 70.0  # the forearm never comes closer than this to a camera's plane
ARM_FROM_MM, ARM_TO_MM = -130.0, -90.0  # x of the ring of forearm that gives its direction
PALM_PART, FOREARM_PART = 15, 16  # synth/frame.py: View.part
SHAPE_SPREAD, SHAPE_LIMIT = 0.9, 2.0  # standard deviations of the 12 principal components


@dataclass(frozen=True)
class HandMesh:
    """One level of detail, closed: the elbow's rim is prolonged and capped.

    Attributes:
        lift: (V, 1842) from the asset's vertices to these.
        faces: (F, 3) of a right hand; outward by the right-hand rule.
        faces_at: (V, F) `incidence` of the faces.
        rim, arm, end: indices of the elbow's rim, of a ring of forearm before it, of the vertices behind the rim.
        part: (F,) part of the hand, 0..16 as in `View.part`.
        rest, normals: (V, 3) mean hand at rest, forearm prolonged.
        weights: (V, 21) of the bones.
    """

    lift: sparse.csr_matrix
    faces: Ints
    faces_at: sparse.csr_matrix
    rim: Ints
    arm: Ints
    end: Ints
    part: NDArray[np.uint8]
    rest: Floats
    normals: Floats
    weights: Floats

    def refine(self, base: Floats, planes: tuple[Floats, ...] = ()) -> Floats:
        """Carry the asset's vertices over to this mesh and prolong the forearm.

        Args:
            base: (1842, 3) vertices, any frame.
            planes: (4,) rows (n, d) of the cameras: n . x + d is the depth of x; the arm stays in front of each.

        Returns:
            (V, 3) vertices.
        """
        vertices = np.asarray(self.lift @ base)
        elbow = vertices[self.rim].mean(0)
        direction = unit(elbow - vertices[self.arm].mean(0))
        length = ARM_LENGTH_MM
        for plane in planes:
            approach = -float(plane[:3] @ direction)
            if approach > 0:
                length = min(length, max(float(plane[:3] @ elbow + plane[3]) - NEAREST_MM, 0.0) / approach)
        vertices[self.end] += direction * length
        return vertices


@dataclass(frozen=True)
class HandModel:
    """Everything the asset says, and the two meshes made of it; shared, never written to."""

    vertices: Floats  # (1842, 3) mean person
    joints: Floats  # (24, 3)
    vertex_basis: Floats  # (12, 1842, 3) mm a standard deviation
    joint_basis: Floats  # (12, 24, 3)
    weights: Floats  # (1842, 21)
    nail: Floats  # (1842,) 0..1
    scales: Floats  # (65,) quantiles of the size of people
    joint: dict[str, int]
    bone: dict[str, int]
    coarse: HandMesh
    fine: HandMesh
    base_faces: Ints  # (3656, 3) triangles of the asset's own mesh, open at the elbow
    base_faces_at: sparse.csr_matrix

    def mesh(self, *, coarse: bool) -> HandMesh:
        """Return the level of detail: 3.8k triangles if `coarse`, else 14.9k."""
        return self.coarse if coarse else self.fine

    def shape(self, beta: Floats, scale: float) -> tuple[Floats, Floats]:
        """Return the (1842, 3) vertices and (24, 3) joints of one person at rest."""
        vertices = self.vertices + np.tensordot(beta, self.vertex_basis, 1)
        joints = self.joints + np.tensordot(beta, self.joint_basis, 1)
        return vertices * scale, joints * scale

    def sample_shape(self, rng: np.random.Generator) -> tuple[Floats, float]:
        """Draw a person: (12,) components and the size of the hand against the mean."""
        beta = np.clip(rng.normal(0, SHAPE_SPREAD, len(self.vertex_basis)), -SHAPE_LIMIT, SHAPE_LIMIT)
        scale = np.interp(rng.random(), np.linspace(0, 1, len(self.scales)), self.scales)
        return beta, float(scale)


@cache
def load_hand() -> HandModel:
    """Read the packaged asset once a process."""
    with resources.files("handdata.synth").joinpath("asset", ASSET).open("rb") as file, np.load(file) as asset:
        data = {name: asset[name] for name in asset.files}
    weights = data["weights"].astype(float)
    weights /= weights.sum(1, keepdims=True)
    quads = data["quads"].astype(np.int64)
    bone = {str(name): index for index, name in enumerate(data["bone_names"])}
    vertices = data["verts"].astype(float)
    subdivided, fine_quads = catmull_clark(quads, len(vertices))
    on_surface = subdivided[: len(vertices)]  # the coarse vertices where subdivision puts them
    base_faces = triangles_of(quads)
    return HandModel(
        vertices=vertices,
        joints=data["joints"].astype(float),
        vertex_basis=data["vbasis"].astype(float),
        joint_basis=data["jbasis"].astype(float),
        weights=weights,
        nail=data["nail"].astype(float),
        scales=data["scale_samples"].astype(float),
        joint={str(name): index for index, name in enumerate(data["joint_names"])},
        bone=bone,
        coarse=_closed_mesh(on_surface, base_faces, vertices, weights, bone),
        fine=_closed_mesh(subdivided, triangles_of(fine_quads), vertices, weights, bone),
        base_faces=base_faces,
        base_faces_at=incidence(base_faces, len(vertices)),
    )


def _closed_mesh(
    lift: sparse.csr_matrix, faces: Ints, vertices: Floats, weights: Floats, bone: dict[str, int]
) -> HandMesh:
    rim_edge = rim_edges(faces)
    rim = np.unique(rim_edge)
    first = lift.shape[0]
    centre = first + len(rim)
    copy_of = np.zeros(first, np.int64)
    copy_of[rim] = first + np.arange(len(rim))
    a, b = rim_edge.T
    tube = [np.stack([b, a, copy_of[a]], 1), np.stack([b, copy_of[a], copy_of[b]], 1)]
    cap = np.stack([copy_of[b], copy_of[a], np.full(len(a), centre)], 1)
    faces = np.concatenate([faces, *tube, cap])
    lift = sparse.vstack([lift, lift[rim], sparse.csr_matrix(lift[rim].mean(0))]).tocsr()

    rest = np.asarray(lift @ vertices)
    arm = np.flatnonzero((rest[:first, 0] > ARM_FROM_MM) & (rest[:first, 0] < ARM_TO_MM))
    end = np.arange(first, centre + 1)
    rest[end, 0] -= ARM_LENGTH_MM
    mesh_weights = np.asarray(lift @ weights)
    faces_at = incidence(faces, len(rest))
    return HandMesh(
        lift=lift,
        faces=faces,
        faces_at=faces_at,
        rim=rim,
        arm=arm,
        end=end,
        part=_parts(mesh_weights[faces].sum(1), bone),
        rest=rest,
        normals=vertex_normals(rest, faces, faces_at),
        weights=mesh_weights,
    )


def _parts(weights: NDArray[Any], bone: dict[str, int]) -> NDArray[np.uint8]:
    """Name each row's part by its heaviest bone: fingers 3 f + (0 tip, 1, 2), palm 15, forearm 16."""
    part_of_bone = np.full(len(bone), PALM_PART, np.uint8)
    part_of_bone[bone["lowerarm"]] = FOREARM_PART
    for finger in range(5):
        for phalanx in (1, 2, 3):
            part_of_bone[bone[f"finger{finger + 1}-{phalanx}"]] = 3 * finger + 3 - phalanx
    result: NDArray[np.uint8] = part_of_bone[weights.argmax(-1)]
    return result
