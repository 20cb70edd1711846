"""The torch renderer against the numpy reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from handdata.synth.batch import BatchRenderer
from handdata.synth.batch_raster import rasterize_batch
from handdata.synth.batch_surface import build_surfaces
from handdata.synth.picture import build_picture
from handdata.synth.rasterize import rasterize
from handdata.synth.render import build_surface, render_view, shade

CPU = torch.device("cpu")


def plain(scene):
    """Without what the batch renderer leaves out."""
    film = replace(scene.setting.film, smear=(0.0, 0.0), jpeg=None)
    return replace(scene, setting=replace(scene.setting, film=film, drop_shadow=None))


def batch_of(size, small, count=8):
    pictures = []
    for index in range(count):
        style = ("clean", "gritty")[index % 2]
        scene, camera = build_picture(
            9, index, style, size, side=None, small=small, backgrounds=(), convention="annotated"
        )
        pictures.append((plain(scene), camera))
    return pictures


@pytest.fixture(scope="module", params=[(96, False), (64, True), (176, False)], ids=["coarse", "small", "fine"])
def rendered(request):
    pictures = batch_of(*request.param, count=8 if request.param[0] < 100 else 2)
    views = [render_view(scene, build_surface(scene, (camera,)), camera) for scene, camera in pictures]
    return pictures, views, BatchRenderer(CPU).render(pictures)


@pytest.mark.parametrize("seed", range(3))
def test_rasteriser_is_the_numpy_one(seed):
    rng = np.random.default_rng(seed)
    pictures = [
        (rng.uniform(-10, 50, (60, 2)), rng.uniform(-50, 900, 60), rng.integers(60, size=(90, 3))) for _ in "ab"
    ]
    uv, z = (torch.as_tensor(np.concatenate([p[k] for p in pictures])) for k in (0, 1))
    faces = torch.as_tensor(np.concatenate([p[2] + 60 * n for n, p in enumerate(pictures)]))
    whose = torch.arange(2).repeat_interleave(90)
    together = rasterize_batch(uv, z, faces, whose, (40, 30), 2)
    for number, picture in enumerate(pictures):
        alone = rasterize(*picture, 40, 30)
        expected = np.where(alone.triangle >= 0, alone.triangle + 90 * number, -1)
        np.testing.assert_array_equal(together.triangle[number].numpy(), expected)
        np.testing.assert_array_equal(together.depth[number].numpy(), alone.depth)


def test_geometry_is_the_reference(rendered):
    _, views, batch = rendered
    for number, view in enumerate(views):
        same = batch.part[number].numpy() == view.part
        assert same.mean() > 0.9998  # rays along an edge may fall to either side
        np.testing.assert_array_equal(batch.mask[number].numpy() > 0, batch.depth[number].numpy() > 0)
        close = np.abs(batch.depth[number].numpy() - view.depth) < 1e-3  # mm
        assert (close | ~same).mean() > 0.9998


def test_pictures_look_the_same(rendered):
    _, views, batch = rendered
    for number, view in enumerate(views):
        difference = np.abs(batch.image[number].numpy().astype(int) - view.image)
        assert difference.mean() < 0.6  # levels
        assert np.quantile(difference, 0.99) <= 4


def test_light_is_the_reference():
    scene, camera = batch_of(96, False, 4)[3]
    surface = build_surface(scene, (camera,))
    rng = np.random.default_rng(0)
    triangles = rng.integers(len(surface.faces), size=3000)
    weights = rng.dirichlet([1, 1, 1], 3000)
    expected = shade(scene, surface, camera, triangles, weights)
    batch = build_surfaces([(scene, camera)], CPU)
    np.testing.assert_allclose(batch.vertices.numpy(), surface.vertices, atol=1e-9)
    np.testing.assert_allclose(batch.columns.numpy(), surface.columns, atol=2e-3)
    ours = BatchRenderer(CPU).shade(
        [(scene, camera)],
        batch,
        torch.as_tensor(triangles),
        torch.as_tensor(weights),
        torch.zeros(3000, dtype=torch.int64),
    )
    assert np.quantile(np.abs(ours.numpy() - expected), 0.98) < 5e-3


def test_a_picture_does_not_depend_on_its_batch():
    pictures = batch_of(64, True, 4)
    together, alone = BatchRenderer(CPU).render(pictures), BatchRenderer(CPU).render(pictures[2:3])
    np.testing.assert_array_equal(together.part[2].numpy(), alone.part[0].numpy())
    assert (together.image[2].int() - alone.image[0].int()).abs().max() <= 1


def test_mixed_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        BatchRenderer(CPU).render(batch_of(64, True, 1) + batch_of(48, True, 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("default")  # what PyTorch says of speed on that machine
def test_a_gpu_gives_the_same_geometry():
    pictures = batch_of(96, False)
    here, there = (BatchRenderer(torch.device(name)).render(pictures) for name in ("cpu", "cuda"))
    assert (here.part == there.part.cpu()).float().mean() > 0.9998
    assert (here.image.int() - there.image.cpu().int()).abs().float().mean() < 0.5
