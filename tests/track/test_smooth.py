"""Smoothing: less jitter at rest, little lag in motion, the same however the stream is cut."""

import numpy as np
import pytest

from handdata.geometry import normalize_pose
from handdata.synth.frame import Camera, SequenceSpec, project_world
from handdata.synth.sequence import build_scene
from handdata.track.smooth import GAP_S, MOST_2D, EuroFilter, EuroSettings, HandSmoother

FPS, CROP = 30.0, 100.0


def smooth_all(uv, pose, smoother=None, side="left", start=0):
    smoother = smoother or HandSmoother()
    found = [smoother(uv[i], pose[i], CROP, side, (start + i) / FPS) for i in range(len(uv))]
    return np.stack([one.keypoints_2d for one in found]), np.stack([one.keypoints_3d_normalized for one in found])


def swinging(frames=120):
    """A hand whose middle swings 30 px either way once in two seconds while its fingers beat a little."""
    t = np.arange(frames)[:, None, None] / FPS
    shape = np.random.default_rng(1).uniform(-30, 30, (21, 2))
    uv = shape * (1 + 0.1 * np.sin(2 * np.pi * t)) + [30, 10] * np.sin(np.pi * t)
    pose = np.random.default_rng(2).uniform(-1, 1, (21, 3)) + 0.3 * np.sin(np.pi * t)
    return uv, pose


def jitter(values):
    return np.sqrt((np.diff(values, n=2, axis=0) ** 2).mean())


def test_noise_of_the_published_size_gets_smaller_in_error_and_in_jitter():
    uv, pose = swinging()
    rng = np.random.default_rng(0)
    noisy_uv, noisy_pose = uv + rng.normal(0, 0.01 * CROP, uv.shape), pose + rng.normal(0, 0.05, pose.shape)
    calm_uv, calm_pose = smooth_all(noisy_uv, noisy_pose)

    for truth, noisy, calm in ((uv, noisy_uv, calm_uv), (pose, noisy_pose, calm_pose)):
        assert np.abs(calm - truth)[10:].mean() < 0.95 * np.abs(noisy - truth)[10:].mean()
        assert jitter(calm) < 0.5 * jitter(noisy)


def test_a_hand_at_rest_stays_where_it_is():
    uv, pose = swinging(1)
    calm_uv, calm_pose = smooth_all(np.repeat(uv, 40, 0), np.repeat(pose, 40, 0))
    np.testing.assert_allclose(calm_uv, np.repeat(uv, 40, 0), atol=1e-9)
    np.testing.assert_allclose(calm_pose, np.repeat(pose, 40, 0), atol=1e-9)


def test_cutting_the_stream_into_calls_changes_nothing():
    uv, pose = swinging()
    smoother = HandSmoother()
    parts = [smooth_all(uv[a:b], pose[a:b], smoother, start=a) for a, b in ((0, 7), (7, 60), (60, 120))]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), smooth_all(uv, pose)[0])


@pytest.mark.parametrize("change", ["gap", "side"])
def test_it_starts_anew_after_a_gap_and_when_the_side_changes(change):
    uv, pose = swinging(2)
    smoother = HandSmoother()
    smoother(uv[0] + 500, pose[0] + 5, CROP, "left", 0.0)
    later, side = (GAP_S + 0.01, "left") if change == "gap" else (1 / FPS, "right")
    found = smoother(uv[1], pose[1], CROP, side, later)
    np.testing.assert_allclose(found.keypoints_2d, uv[1], atol=1e-12)
    np.testing.assert_allclose(found.keypoints_3d_normalized, pose[1], atol=1e-12)


def test_a_leap_that_no_hand_makes_is_cut():
    uv, pose = swinging(1)
    smoother = HandSmoother()
    smoother(uv[0], pose[0], CROP, "left", 0.0)
    found = smoother(uv[0] + [80.0, 0.0], pose[0], CROP, "left", 1 / FPS)
    assert (found.keypoints_2d[:, 0] - uv[0, :, 0] <= MOST_2D * CROP + 1e-9).all()


def test_the_cut_off_is_that_of_the_paper():
    """Equations 1 to 3 of the 1 euro filter, computed step by step."""
    x, t, settings = [0.0, 1.0, 3.0], [0.0, 0.05, 0.15], EuroSettings(least_hz=1.5, per_speed=0.7, speed_hz=2.0)

    def share(hz, dt):
        return 1 / (1 + 1 / (2 * np.pi * hz * dt))

    value, speed = x[0], 0.0
    for i in (1, 2):
        dt = t[i] - t[i - 1]
        speed = share(2.0, dt) * (x[i] - value) / dt + (1 - share(2.0, dt)) * speed
        a = share(1.5 + 0.7 * abs(speed), dt)
        value = a * x[i] + (1 - a) * value
    smooth = EuroFilter(settings)
    found = [smooth(np.array([[one]]), when)[0, 0] for one, when in zip(x, t, strict=True)]
    assert found[-1] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("motion", ["count", "grasp", "swipe"])
def test_rendered_motion_with_a_models_noise_comes_out_better(motion):
    """docs/method.md 15: 1 % of the crop in 2D, 0.05 in the pose; 12 motions gave 0.58 and 0.81 of the error."""
    K = np.array([[475.0, 0, 319.5], [0, 475, 239.5], [0, 0, 1]])
    camera = Camera(name="camera", K=K, width=640, height=480)
    spec = SequenceSpec(seed=7, name=motion, cameras=(camera,), motion=motion, fps=FPS)
    xyz = np.stack([build_scene(spec, i).hands[0].labels for i in range(45)])
    uv, pose = np.stack([project_world(points, camera) for points in xyz]), normalize_pose(xyz)[0]
    side = 1.25 * float((uv.max(1) - uv.min(1)).max(1).mean())
    rng, smoother = np.random.default_rng(0), HandSmoother()
    noisy = uv + rng.normal(0, 0.01 * side, uv.shape), pose + rng.normal(0, 0.05, pose.shape)
    found = [smoother(noisy[0][i], noisy[1][i], side, "left", i / FPS) for i in range(len(uv))]
    calm = np.stack([one.keypoints_2d for one in found]), np.stack([one.keypoints_3d_normalized for one in found])

    for truth, before, after, error, motion_left in zip(
        (uv, pose), noisy, calm, (0.95, 0.75), (0.65, 0.5), strict=True
    ):
        assert np.abs(after - truth)[10:].mean() < error * np.abs(before - truth)[10:].mean()
        assert jitter(after) < motion_left * jitter(before)
