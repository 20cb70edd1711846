"""Poses that no hand can take are counted as such; those of rendered hands are not."""

import numpy as np
import pytest

from handdata.evaluation.anatomy import bent_against, bone_spread
from handdata.geometry import normalize_pose
from tests.evaluation.made_hands import made_hands


@pytest.fixture(scope="module")
def poses():
    return normalize_pose(made_hands(40))[0]


def test_rendered_hands_are_hands(poses):
    assert bent_against(poses) == 0.0
    assert bone_spread(poses) == pytest.approx(0.09, abs=0.03)
    assert bent_against(-poses) == 0.0  # which side it is does not matter


def test_a_zigzag_finger_is_seen_and_noise_spreads_the_bones(poses):
    zigzag = poses.copy()
    zigzag[:, [5, 6, 7, 8]] = [[0, 0, 0], [1, 0, 0], [1.5, 0.3, 0], [2, 0, 0]]
    noisy = poses + np.random.default_rng(0).normal(0, 0.05, poses.shape)
    assert bent_against(zigzag) == 0.25
    assert bent_against(noisy) > 0.02
    assert bone_spread(noisy) > 1.5 * bone_spread(poses)


def test_nothing_is_said_of_no_hand(poses):
    lost = np.full_like(poses, np.nan)
    assert np.isnan(bent_against(lost))
    assert np.isnan(bone_spread(lost))
    assert bent_against(np.concatenate([poses, lost])) == 0.0
