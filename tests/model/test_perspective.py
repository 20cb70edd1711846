"""2.5D read with a camera: the points lie on their rays, and the pose is that of the hand."""

import numpy as np
import pytest

from handdata.geometry import crop_affine, normalize_pose, project, view_turn
from handdata.model.perspective import in_perspective
from tests.evaluation.made_hands import K, made_hands

SIZE = 128


@pytest.fixture(scope="module")
def views():
    """Return crop fractions, turned poses, crop cameras and turns of 24 hands anywhere in a picture."""
    mm = made_hands(24)
    uv, pose = project(mm, K), normalize_pose(mm)[0]
    middle = (uv.min(1) + uv.max(1)) / 2 + 0.5
    half = 0.625 * np.ptp(uv, axis=1).max(-1)[:, None]
    affine = np.tile(np.eye(3), (len(mm), 1, 1))
    affine[:, :2] = crop_affine(np.concatenate([middle - half, middle + half], 1), SIZE)
    crop_uv = uv @ affine[:, :2, :2].transpose(0, 2, 1) + affine[:, None, :2, 2]
    crop = affine @ K
    turn = view_turn(crop, SIZE)
    return crop_uv / SIZE, pose @ turn.transpose(0, 2, 1), crop, turn


def test_true_depths_give_the_true_pose(views):
    uv, pose, crop, turn = views
    flat = pose * [0.0, 0.0, 1.0]  # x and y are not looked at
    off = np.linalg.norm(in_perspective(uv, flat, crop, turn, SIZE) - pose, axis=-1).mean(-1)
    assert np.median(off) < 0.01  # units: a person's palm is not quite the mean one
    assert off.max() < 0.1


def test_without_a_camera_the_pose_stays_as_it_was_read(views):
    uv, pose, crop, turn = views
    assert np.array_equal(in_perspective(uv, pose, np.full_like(crop, np.nan), turn, SIZE), pose)


def test_without_the_view_turn_the_axes_are_those_of_the_crop_camera(views):
    uv, pose, crop, turn = views
    straight = in_perspective(uv, pose @ turn, crop, np.broadcast_to(np.eye(3), turn.shape), SIZE)
    off = np.linalg.norm(straight - pose @ turn, axis=-1).mean(-1)
    assert np.median(off) < 0.01


def test_noise_hurts_it_no_more_than_a_weak_perspective_is_wrong_by_itself(views):
    """Noise of 1 % of the crop and 0.05 in depth: the pose in perspective is off by 0.1 at most, at the median."""
    uv, pose, crop, turn = views
    rng = np.random.default_rng(0)
    noisy = pose + rng.normal(0, 0.05, pose.shape)
    found = in_perspective(uv + rng.normal(0, 0.01, uv.shape), noisy, crop, turn, SIZE)
    assert np.median(np.linalg.norm(found - pose, axis=-1).mean(-1)) < 0.1
