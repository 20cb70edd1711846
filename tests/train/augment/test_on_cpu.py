"""The steps on a CPU against those of warp.py, color.py, noise.py and coarse.py, which run on any device, here too."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from handdata.model import pixels
from handdata.train.augment import coarse, color, on_cpu, warp
from handdata.train.augment import noise as disturb
from handdata.train.augment import prepare as augment
from handdata.train.augment.backgrounds import BackgroundPool
from handdata.train.augment.prepare import prepare
from handdata.train.augment.settings import PUBLISHED, strong_configs
from handdata.train.loader.loaders import EvalLoader, open_mixture
from tests.train.made_shards import write_dataset

B = 24
SIZE = 32
CLOSE = {"atol": 1e-6, "rtol": 0}


def together(pictures):
    """Keep what a step gives one by one."""
    return torch.from_numpy(np.stack([picture.copy() for picture in pictures])).permute(0, 3, 1, 2)


def apart(image):
    return [picture.copy() for picture in image.permute(0, 2, 3, 1).numpy()]


def made_affines(rng, scale):
    """Turned, half of them mirrored, windows that leave the canvas on every side."""
    angle, flip = rng.uniform(0, 2 * np.pi, B), np.where(rng.random(B) < 0.5, -1, 1)
    turn = np.array([[np.cos(angle) * flip, np.sin(angle)], [-np.sin(angle) * flip, np.cos(angle)]]).transpose(2, 0, 1)
    shift = rng.uniform(-1.5, 1.5, (B, 2, 1)) * max(scale, 1)
    return torch.from_numpy(np.concatenate([turn * scale * rng.uniform(0.5, 1.5, (B, 1, 1)), shift], -1)).float()


@pytest.fixture(scope="module")
def image():
    picture = torch.rand(B, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    picture[:4] = (picture[:4] > 0.5).float()  # the ends of the range, where factors above 1 clip
    return picture


@pytest.fixture(scope="module")
def pool():
    tiles = np.random.default_rng(1).integers(0, 256, (5, 160, 160, 3), dtype=np.uint8)
    return BackgroundPool(torch.from_numpy(tiles), 128)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp("shards") / "keyed", "keyed", (B,), canvas=96, foreground=True)
    with EvalLoader(open_mixture([folder], "train"), B, threads=0) as loader:
        return next(iter(loader))


# ------------------------------------------------------------------------------------------------ the warp


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("side", "size"), [(192, 128), (16, 16), (48, 128), (127, 64)])
@pytest.mark.parametrize("scale", [0.05, 0.5, 1.0, 2.0])
def test_the_warp_samples_noise_where_grid_sample_does(side, size, scale, exact, monkeypatch):
    monkeypatch.setattr(on_cpu, "EXACT", exact and on_cpu.EXACT)
    rng = np.random.default_rng(0)
    canvas = torch.from_numpy(rng.integers(0, 256, (B, side, side, 3), dtype=np.uint8))
    before, affine = canvas.clone(), made_affines(rng, scale)
    expected = warp.warp(canvas, affine, size)

    torch.testing.assert_close(together(on_cpu.warp(canvas, affine, size)), expected, atol=1e-4, rtol=0)
    assert torch.equal(canvas, before)
    assert 0 < (expected == 0).all(1).float().mean() < 0.95  # windows do leave the canvas


@pytest.mark.parametrize("scale", [30.0, 1e6])
def test_windows_far_wider_than_the_canvas_are_safe(scale):
    rng = np.random.default_rng(0)
    canvas = torch.from_numpy(rng.integers(0, 256, (B, 96, 96, 3), dtype=np.uint8))
    affine = made_affines(rng, scale)

    # places are float32 there: their rounding grows with the window
    difference = (together(on_cpu.warp(canvas, affine, 64)) - warp.warp(canvas, affine, 64)).abs()
    assert difference.max() < 1e-3


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_backgrounds_show_where_the_mask_and_the_canvas_end(scale, exact, monkeypatch):
    monkeypatch.setattr(on_cpu, "EXACT", exact and on_cpu.EXACT)
    rng = np.random.default_rng(0)
    side, size = 96, 64
    canvas = torch.from_numpy(rng.integers(0, 256, (B, side, side, 3), dtype=np.uint8))
    mask = np.zeros((B, side, side), np.uint8)
    for one in mask:
        cv2.ellipse(one, (48, 48), (30, 20), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    bits, composite = torch.from_numpy(np.packbits(mask, axis=2)), torch.from_numpy(np.arange(B) % 3 > 0)
    behind, affine = torch.rand(B, 3, size, size), made_affines(rng, scale)
    given = canvas, bits, composite, affine
    before = [tensor.clone() for tensor in given]

    ours, expected = together(on_cpu.warp_over(*given, apart(behind))), warp.warp_over(*given, behind)
    off = (ours - expected).abs().amax(1) > 1e-4
    assert off.sum() <= 2  # of 98,304: a place halfway between a kept pixel and another may go either way
    assert all(torch.equal(*pair) for pair in zip(given, before, strict=True))
    shown = (expected == behind).all(1)[composite]
    assert 0.1 < shown.float().mean() < 0.99


# ------------------------------------------------------------------------------------------------ the other steps


def test_jitter_is_the_same(image):
    rng = np.random.default_rng(0)
    factors = torch.from_numpy(rng.uniform(0.6, 1.4, (B, 3))).float()
    factors[:3] = torch.tensor([[1.0, 1.0, 1.0], [1.2, 1.2, 0.0], [2.5, -0.5, 1.5]])
    order = torch.arange(B) % 6
    ours = together(on_cpu.jitter(apart(image), factors, order))

    torch.testing.assert_close(ours, color.jitter(image, factors, order), **CLOSE)
    assert torch.equal(ours[0], image[0])


def test_blur_is_the_same(image):
    sigma = torch.linspace(0, 1.41, B)
    ours = together(on_cpu.blur(apart(image), sigma))

    torch.testing.assert_close(ours, color.blur(image, sigma), **CLOSE)
    assert torch.equal(ours[0], image[0])


def test_patches_are_the_same(image):
    numbers = torch.rand(B, 7, generator=torch.Generator().manual_seed(1))
    numbers[::3, 2] = 0  # covers nothing
    box, paint = numbers[:, :4], numbers[:, 4:]
    ours = together(on_cpu.cover(apart(image), box, paint))

    assert torch.equal(ours, disturb.cover(image, box, paint))
    assert (ours != image).any(3).any(2).any(1).sum() == 16


def test_noise_is_the_same(image):
    deviation = torch.linspace(0, 0.1, B)
    place = torch.randint(0, disturb.ROOM, (B, 2), generator=torch.Generator().manual_seed(1))
    ours = together(on_cpu.add_noise(apart(image), deviation, place))

    torch.testing.assert_close(ours, disturb.add_noise(image, deviation, place), **CLOSE)


def test_fewer_pixels_are_the_same(image):
    sides = torch.tensor([0, 20, 33, 64, 128, 500]).repeat(B)[:B]
    ours = together(on_cpu.coarsen(apart(image), sides))

    torch.testing.assert_close(ours, coarse.coarsen(image, sides), **CLOSE)


def test_normalisation_is_the_same(image):
    ours = torch.empty_like(image)
    on_cpu.normalize(apart(image), ours)

    torch.testing.assert_close(ours, pixels.normalize(image), **CLOSE)


def test_windows_of_the_pool_are_the_same(pool):
    placed = torch.tensor([[0, 0, 32], [4, 32, 0], [2, 7, 5]])

    torch.testing.assert_close(together(on_cpu.windows(pool, placed)), pool.windows(placed), **CLOSE)


# ------------------------------------------------------------------------------------------------ all of it


def made(batch, config, pool):
    return prepare(batch, config, seed=1, epoch=2, train=True, backgrounds=pool).image_B3HW


@pytest.mark.parametrize("masked", [True, False])
def test_a_prepared_batch_is_the_same(batch, pool, masked, monkeypatch):
    (config,) = strong_configs(["rhd"])
    canvases = batch.canvases.clone()
    ours = made(batch, config, pool if masked else None)
    assert torch.equal(batch.canvases, canvases)

    def normalize(image, out):
        out.copy_(pixels.normalize(image))

    monkeypatch.setattr(augment, "on_cpu", SimpleNamespace(**vars(augment._BATCHED), normalize=normalize))
    expected = made(batch, config, pool if masked else None)
    off = (ours - expected).abs().amax(1) > 1e-3  # normalised: 1e-4 is 4e-4, and contrast makes it more
    assert off.sum() <= 40  # a place between a kept pixel and another, spread by the blur


def test_pictures_do_not_depend_on_their_batch_or_on_threads(batch, pool):
    config = PUBLISHED["synthhands"]
    whole = made(batch, config, pool)
    parts = {name: getattr(batch, name) for name in ("canvases", "foreground", "has_foreground", "position")}
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        assert torch.equal(made(batch, config, pool), whole)
    finally:
        cv2.setNumThreads(threads)
    for i in (0, 7, B - 1):
        one = {name: array[i : i + 1] for name, array in parts.items()}
        labels = {name: array[i : i + 1] for name, array in batch.labels.items()}
        single = type(batch)(
            **one, labels=labels, dataset=batch.dataset[:1], sample=batch.sample[i : i + 1], epoch=batch.epoch
        )
        assert torch.equal(made(single, config, pool)[0], whole[i])


COUNT_THREADS = """
from pathlib import Path
import torch
from handdata.train.augment import on_cpu
from handdata.train.config import LoopConfig
from handdata.train.precision import set_up_device

torch.set_num_threads(1)  # its own are not what is counted
set_up_device(LoopConfig(), torch.device("cpu"))
before = len(list(Path("/proc/self/task").iterdir()))
for _ in on_cpu.warp(torch.zeros(4, 192, 192, 3, dtype=torch.uint8), torch.eye(2, 3).repeat(4, 1, 1), 128):
    pass
print(len(list(Path("/proc/self/task").iterdir())) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads by /proc")
def test_a_training_prepares_pictures_without_threads_of_opencvs():
    run = subprocess.run([sys.executable, "-c", COUNT_THREADS], check=True, capture_output=True, text=True)

    assert run.stdout == "0\n"
