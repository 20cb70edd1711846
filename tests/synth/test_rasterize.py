"""The fast rasteriser against a plain loop over pixels and triangles."""

import numpy as np
import pytest

from handdata.synth.rasterize import rasterize


def naive(uv, z, faces, width, height):
    triangle, depth = np.full((height, width), -1), np.zeros((height, width))
    for index, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = uv[face]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0 or z[face].min() <= 1:
            continue
        for y in range(height):
            for x in range(width):
                b = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                c = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                if min(b, c, 1 - b - c) < 0:
                    continue
                here = 1 / ((1 - b - c) / z[face[0]] + b / z[face[1]] + c / z[face[2]])
                if depth[y, x] == 0 or here < depth[y, x]:
                    triangle[y, x], depth[y, x] = index, here
    return triangle, depth


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_loop(seed):
    rng = np.random.default_rng(seed)
    uv = rng.uniform(-10, 50, (60, 2))
    z = rng.uniform(100, 900, 60)
    z[:4] = -5
    faces = rng.integers(60, size=(80, 3))
    raster = rasterize(uv, z, faces, 40, 30)
    triangle, depth = naive(uv, z, faces, 40, 30)
    np.testing.assert_array_equal(raster.triangle, triangle)
    np.testing.assert_allclose(raster.depth, depth, rtol=1e-9)


def test_weights_give_back_the_pixel_and_are_perspective_correct():
    vertices = np.array([[-50.0, -40, 200], [60, -30, 500], [-20, 70, 350]])
    uv = vertices[:, :2] / vertices[:, 2:] * 100 + 32
    raster = rasterize(uv, vertices[:, 2], np.array([[0, 2, 1]]), 64, 64)
    assert len(raster.pixel) > 100
    point = raster.weights @ vertices[[0, 2, 1]]
    expected = np.stack([raster.pixel % 64, raster.pixel // 64], 1)
    np.testing.assert_allclose(point[:, :2] / point[:, 2:] * 100 + 32, expected, atol=1e-9)
    np.testing.assert_allclose(point[:, 2], raster.depth.ravel()[raster.pixel])


def test_neighbours_leave_no_gap():
    grid = np.stack(np.meshgrid(np.linspace(-3, 43, 23), np.linspace(-3, 33, 17), indexing="ij"), -1)
    first = (np.arange(22)[:, None] * 17 + np.arange(16)).ravel()
    faces = np.concatenate([np.stack([first, first + 1, first + 18], 1), np.stack([first, first + 18, first + 17], 1)])
    raster = rasterize(grid.reshape(-1, 2), np.full(23 * 17, 300.0), faces, 40, 30)
    assert (raster.triangle >= 0).all()


def test_nothing_to_see_is_an_empty_picture():
    raster = rasterize(np.zeros((3, 2)), np.full(3, 10.0), np.array([[0, 1, 2]]), 8, 8)
    assert (raster.triangle == -1).all()
    assert not raster.depth.any()
