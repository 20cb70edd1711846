"""Noise and patches: their size and place, their share of the samples, the same on every device and in every batch."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from handdata.shards.sampling import STREAM_AUGMENT, uniforms
from handdata.train.augment.coarse import coarsen
from handdata.train.augment.noise import ROOM, add_noise, cover
from handdata.train.augment.prepare import _DRAWS, _draw
from handdata.train.augment.settings import AugmentConfig, strong_configs

MANY = 4000
SETS = ("synthhands", "ganerated", "stereo", "dexter", "rhd", "mine")


def drawn(config):
    u = uniforms(0, 0, np.arange(MANY), _DRAWS, stream=STREAM_AUGMENT)
    return _draw([config], np.zeros(MANY, int), u, right=np.zeros(MANY, bool), flip=np.zeros(MANY, bool), train=True)


def test_a_patch_lies_where_it_was_drawn():
    image = torch.zeros(2, 3, 8, 8)
    boxes = torch.tensor([[0.5, 0.25, 0.5, 0.25], [0.5, 0.5, 0.0, 0.0]])  # centre x, y, width, height
    covered = cover(image, boxes, torch.tensor([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]]))

    expected = torch.zeros(8, 8)
    expected[1:3, 2:6] = 1.0  # rows 0.125..0.375, columns 0.25..0.75 of eight
    assert torch.equal(covered[0], expected * torch.tensor([0.1, 0.2, 0.3])[:, None, None])
    assert not covered[1].any()


def test_noise_has_its_deviation_and_stays_a_picture():
    noisy = add_noise(torch.full((3, 3, 64, 64), 0.5), torch.tensor([0.0, 0.02, 0.05]), torch.zeros(3, 2).long())

    np.testing.assert_allclose((noisy - 0.5).std((1, 2, 3)), [0.0, 0.02, 0.05], rtol=0.03)
    assert add_noise(torch.ones(1, 3, 8, 8), torch.ones(1), torch.zeros(1, 2).long()).max() <= 1


def test_noise_of_another_place_is_other_noise_and_of_the_same_place_the_same():
    gray = torch.full((3, 3, 16, 16), 0.5)
    places = torch.tensor([[0, 0], [ROOM - 1, 5], [0, 0]])
    first, other, again = add_noise(gray, torch.full((3,), 0.1), places)

    assert torch.equal(first, again)
    assert np.abs(np.corrcoef(first.flatten(), other.flatten())[0, 1]) < 0.15


def test_fewer_pixels_are_those_of_opencv_and_as_many_change_nothing():
    image = torch.rand(4, 3, 32, 32)
    shown = coarsen(image, torch.tensor([0, 8, 21, 40]))

    assert torch.equal(shown[0], image[0])
    assert torch.equal(shown[3], image[3])
    for number, side in ((1, 8), (2, 21)):
        small = cv2.resize(image[number].permute(1, 2, 0).numpy(), (side, side), interpolation=cv2.INTER_AREA)
        expected = cv2.resize(small, (32, 32), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(shown[number].permute(1, 2, 0), expected, atol=1e-5)


def test_shares_and_ranges_are_those_of_the_setting():
    draws = drawn(AugmentConfig(gray=0.1, noise=0.04, cover=0.3, cover_side=(0.1, 0.4), saturation=0.2, coarse=0.2))
    coarse = draws.coarse[draws.coarse > 0]
    covered = draws.box[:, 2] > 0

    assert np.mean(draws.factors[:, 2] == 0) == pytest.approx(0.1, abs=0.015)
    assert draws.factors[draws.factors[:, 2] > 0, 2].min() >= 0.8
    assert covered.mean() == pytest.approx(0.3, abs=0.025)
    assert draws.box[covered, 2:].min() >= 0.1
    assert draws.box[covered, 2:].max() <= 0.4
    assert (draws.noise.min(), draws.noise.max()) == pytest.approx((0.0, 0.04), abs=1e-4)
    assert len(coarse) / MANY == pytest.approx(0.2, abs=0.02)
    assert (coarse.min(), coarse.max()) == (20, 72)
    assert draws.place.min() == 0
    assert draws.place.max() == ROOM - 1
    numbers = np.concatenate(
        [draws.noise[:, None], draws.place, draws.box[:, :2], draws.paint, draws.factors[:, :1]], 1
    )
    own = np.corrcoef(numbers[:, :8].T) - np.eye(8)
    assert np.abs(own).max() < 0.06  # one number never decides two things


def test_nothing_is_disturbed_unless_asked_for():
    draws = drawn(AugmentConfig())

    assert not draws.noise.any()
    assert not draws.coarse.any()
    assert not draws.box[:, 2:].any()
    assert (draws.factors == 1).all()


def test_strong_turns_moves_and_disturbs_every_set():
    for config in strong_configs(SETS):
        assert config.rotation_deg == 180
        assert min(config.shift, config.noise, config.cover, config.gray, config.brightness) > 0
        assert config.scale != (0.0, 0.0) or config.window != "fixed"
        assert config.blur_px[1] <= 1.41  # what color.blur can do


def test_strong_can_be_changed_by_set():
    plain, changed = strong_configs(["rhd", "dexter"], {"dexter": {"cover": 0.0}})

    assert changed == dataclasses.replace(plain, cover=0.0)
