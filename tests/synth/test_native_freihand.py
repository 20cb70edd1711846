"""The rendered FreiHAND tree is laid out as the documents of the real one say."""

import json

import numpy as np
import pytest

from handdata.pictures.decode import read_image


@pytest.fixture
def root(native_tree):
    return native_tree("freihand")


def table(root, name):
    return np.array(json.loads((root / f"{name}.json").read_text()))


def test_a_fifth_of_the_frames_are_shots_in_four_versions(root):
    shots = len(table(root, "training_K"))

    assert shots == 2
    names = sorted(path.name for path in (root / "training/rgb").iterdir())
    assert names == [f"{number:08d}.jpg" for number in range(4 * shots)]
    assert len(list((root / "training/mask").iterdir())) == shots
    assert len(list((root / "evaluation/rgb").iterdir())) == len(table(root, "evaluation_xyz")) == 14 - 4 * shots


def test_the_versions_differ_but_for_the_hand(root):
    """The green one's background is the key; the others' a scene; the hand stays where it is."""
    gs, hom = (read_image(root / f"training/rgb/{number:08d}.jpg").astype(int) for number in (0, 2))
    mask = read_image(root / "training/mask/00000000.jpg")[..., 0] > 127

    assert np.abs(gs - hom)[mask].mean() < 12
    assert np.abs(gs - hom)[~mask].mean() > 30
    u, v = np.argwhere(mask)[:, ::-1].mean(0)
    assert abs(u - 112) < 60
    assert abs(v - 112) < 60


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_labels_are_metres_before_a_camera_whose_middle_is_112(root, name):
    K, xyz, scale, mano = (table(root, f"{name}_{kind}") for kind in ("K", "xyz", "scale", "mano"))

    assert (K[:, 0, 2] == 112).all()
    assert (K[:, 1, 2] == 112).all()
    assert (K[:, 0, 0] != K[:, 1, 1]).all()
    assert 0.3 < xyz[..., 2].min() < xyz[..., 2].max() < 1.1
    assert scale == pytest.approx(np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=-1))
    assert mano.shape == (len(xyz), 1, 61)
    assert (mano[..., :58] == 0).all()  # a rendered hand has no MANO pose or shape
    root_z = (K[:, 0, 0] + K[:, 1, 1]) / 2 / mano[:, 0, 60]
    assert root_z == pytest.approx(xyz[:, 9, 2])
