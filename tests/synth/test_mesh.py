"""Subdivision by hand calculation, solids against trimesh."""

import numpy as np
import pytest
import trimesh

from handdata.synth.mesh import catmull_clark, incidence, triangles_of, vertex_normals
from handdata.synth.shapes import Solid


def cube():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return corners, quads


def test_catmull_clark_of_a_cube():
    corners, quads = cube()
    lift, finer = catmull_clark(quads, len(corners))
    points = lift @ corners
    assert points.shape == (8 + 12 + 6, 3)
    assert finer.shape == (24, 4)
    np.testing.assert_allclose(np.abs(points[:8]), 5 / 9)  # (F + 2 R) / 3 with F = 1/3, R = 2/3
    np.testing.assert_allclose(np.sort(np.abs(points[8:20]), 1), np.tile([0, 0.75, 0.75], (12, 1)))
    np.testing.assert_allclose(np.sort(np.abs(points[20:]), 1), np.tile([0, 0, 1], (6, 1)))
    assert trimesh.Trimesh(points, triangles_of(finer), process=False).is_watertight


def test_catmull_clark_keeps_a_rim_on_its_curve():
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    lift, _ = catmull_clark(np.array([[0, 1, 2, 3]]), 4)
    points = lift @ square
    np.testing.assert_allclose(points[0], [0.125, 0.125, 0])  # (1, 6, 1) / 8 along the rim
    assert sorted(map(tuple, points[4:8].tolist())) == [(0, 0.5, 0), (0.5, 0, 0), (0.5, 1, 0), (1, 0.5, 0)]


def test_normals_of_a_cube_point_out_of_its_corners():
    corners, quads = cube()
    faces = np.concatenate([triangles_of(quads), triangles_of(np.roll(quads, 1, 1))])  # both diagonals: symmetric
    normals = vertex_normals(corners, faces, incidence(faces, 8))
    np.testing.assert_allclose(np.abs(normals), 1 / np.sqrt(3))
    assert (np.abs((normals * corners).sum(1)) > 1.7).all()


SOLIDS = {
    "sphere": (np.array([30.0, 0, 0]), 4 / 3 * np.pi * 30**3),
    "cylinder": (np.array([20.0, 90.0, 0]), np.pi * 20**2 * 90),
    "box": (np.array([30.0, 50.0, 70.0]), 30.0 * 50 * 70),
}


def placed(kind):
    rotation = trimesh.transformations.random_rotation_matrix(np.array([0.3, 0.6, 0.1]))[:3, :3]
    return Solid(kind, SOLIDS[kind][0], rotation, np.array([5.0, -8, 400]))


@pytest.mark.parametrize("kind", SOLIDS)
def test_solid_has_its_volume_and_its_surface_at_distance_zero(kind):
    solid = placed(kind)
    vertices, faces, normals, own = solid.surface()
    mesh = trimesh.Trimesh(vertices, faces, process=True, merge_norm=True)
    mesh.merge_vertices(merge_norm=True, digits_vertex=6)
    assert mesh.volume == pytest.approx(SOLIDS[kind][1], rel=0.02)
    np.testing.assert_allclose(solid.distance(vertices), 0, atol=1e-9)
    np.testing.assert_allclose(own @ solid.rotation.T + solid.centre, vertices)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


@pytest.mark.parametrize("kind", SOLIDS)
def test_distance_is_the_way_to_the_surface(kind):
    solid = placed(kind)
    points = solid.centre + np.random.default_rng(0).normal(0, 45, (100, 3))
    vertices, faces, _, _ = solid.surface()
    samples = trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces), 20_000, seed=0)[0]
    nearest = np.linalg.norm(points[:, None] - samples[None], axis=-1).min(1)
    np.testing.assert_allclose(np.abs(solid.distance(points)), nearest, atol=2)
    assert solid.distance(solid.centre[None])[0] < 0


def test_mirroring_a_solid_mirrors_its_distances():
    solid = placed("box")
    points = np.random.default_rng(1).normal(0, 60, (50, 3)) + solid.centre
    np.testing.assert_allclose(solid.mirrored().distance(points * [1, -1, 1]), solid.distance(points))
    assert np.linalg.det(solid.mirrored().rotation) == pytest.approx(1)


def test_corners_span_the_box():
    solid = placed("box")
    corners = solid.corners()
    np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[4]), 30)
    np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[2]), 50)
    np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[1]), 70)
    np.testing.assert_allclose(corners.mean(0), solid.centre)
