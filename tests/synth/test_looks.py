"""The two styles differ on purpose; colours stay what skin and light can be."""

from dataclasses import replace

import numpy as np
import pytest

from handdata.synth.background import POOL_SIZE, draw_backdrop
from handdata.synth.color import decode, to_linear, to_srgb
from handdata.synth.picture import render_hand
from handdata.synth.sensor import develop, draw_film, grain
from handdata.synth.skin import skin_albedo
from handdata.synth.style import LOOKS


@pytest.fixture(scope="module")
def sheets():
    return {style: [render_hand(21, i, style, 96) for i in range(16)] for style in LOOKS}


def roughness_of(image):
    """Mean absolute second difference: grain and texture, not shading."""
    grey = image.astype(float).mean(2)
    return np.abs(grey[:, 2:] - 2 * grey[:, 1:-1] + grey[:, :-2]).mean()


def test_gritty_is_rougher_and_darker_than_clean(sheets):
    images = {style: [frame.views[0].image for frame in frames] for style, frames in sheets.items()}
    rough = {style: np.median([roughness_of(image) for image in found]) for style, found in images.items()}
    bright = {style: np.median([image.mean() for image in found]) for style, found in images.items()}
    assert rough["gritty"] > 1.4 * rough["clean"]
    assert bright["gritty"] < bright["clean"]


def test_clean_hands_are_neither_black_nor_burnt_out(sheets):
    for frame in sheets["clean"]:
        view = frame.views[0]
        hand = view.image[view.mask == 1].mean(1)
        assert 25 < np.median(hand) < 235
        assert (hand > 250).mean() < 0.1


def test_skin_reddens_with_blood_and_darkens_with_melanin():
    one = np.ones(1, np.float32)
    pale, dark, red = (skin_albedo(one * m, one * b, one * 0)[0] for m, b in ((0, 0.2), (1, 0.2), (0, 0.9)))
    assert (dark < 0.25 * pale).all()
    assert red[0] / red[1] > pale[0] / pale[1]
    assert pale[0] > pale[1] > pale[2]


def test_srgb_round_trip_and_known_values():
    assert to_linear(0.5) == pytest.approx(0.21404, abs=1e-5)
    np.testing.assert_allclose(to_srgb(to_linear(np.linspace(0, 1, 33))), np.linspace(0, 1, 33), atol=1e-9)
    assert decode(np.array([255], np.uint8))[0] == pytest.approx(1)


@pytest.mark.parametrize("style", LOOKS)
def test_backdrops_vary_and_repeat(style):
    rng = np.random.default_rng(0)
    drawn = [draw_backdrop(rng, style) for _ in range(12)]
    pictures = [backdrop.picture(40, 30) for backdrop in drawn]
    assert all(picture.shape == (30, 40, 3) and picture.min() >= 0 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 12
    np.testing.assert_array_equal(drawn[0].picture(40, 30), pictures[0])
    assert max(backdrop.index for backdrop in drawn) < POOL_SIZE


def test_developing_grey_without_noise_is_the_srgb_curve():
    film = draw_film(np.random.default_rng(0), LOOKS["clean"])
    bare = replace(film, gain=(1.0, 1.0, 1.0), contrast=1.0, blur=0.0, vignette=0.0, noise=0.0)
    light = np.full((8, 8, 3), to_linear(0.5), np.float32)
    assert np.abs(develop(bare, light, np.random.default_rng(1)).astype(int) - 128).max() <= 1


def test_grain_has_unit_strength_and_any_size():
    rng = np.random.default_rng(2)
    assert grain(rng, 640, 480).std() == pytest.approx(1, abs=0.15)
    assert grain(rng, 1500, 900).shape == (900, 1500, 3)
