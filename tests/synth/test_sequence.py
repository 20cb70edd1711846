"""Frames of a sequence: determinism, contract, motion."""

import multiprocessing
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handdata.skeleton import LEFT, RIGHT, TIPS
from handdata.synth.frame import KEY_COLOR, Camera, SequenceSpec, project_world
from handdata.synth.hand import load_hand
from handdata.synth.motion import choreograph
from handdata.synth.pose import COUNTING
from handdata.synth.sequence import build_scene, render_frame

SEED = 11


def spec_of(camera: Camera, **changes) -> SequenceSpec:
    facts = {"seed": SEED, "name": "stereo/B1Random", "cameras": (camera,), "sides": (LEFT,), "small": True}
    return SequenceSpec(**{**facts, **changes})


def bytes_of(frame) -> list[bytes]:
    labels = [part.tobytes() for hand in frame.hands for part in (hand.keypoints_3d, hand.palm_center_3d)]
    for view in frame.views:
        labels += [part.tobytes() for part in (view.image, view.depth, view.mask, view.part, view.visible)]
    return labels


def shifted(camera: Camera, by: float, **changes) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = by
    return replace(camera, T_camera_world=pose, **changes)


@pytest.mark.parametrize("motion", ["random", "still"])
def test_a_frame_is_a_function_of_spec_and_index(camera, motion):
    spec = spec_of(camera, motion=motion, objects="any")
    alone = bytes_of(render_frame(spec, 7))
    render_frame(replace(spec, name="other"), 1)
    render_frame(spec, 3)
    assert bytes_of(render_frame(spec, 7)) == alone
    assert bytes_of(render_frame(spec, 8)) != alone
    assert bytes_of(render_frame(replace(spec, seed=SEED + 1), 7)) != alone
    assert bytes_of(render_frame(replace(spec, name="stereo/B2Random"), 7)) != alone


def test_a_fresh_process_renders_the_same_bytes(camera):
    spec = spec_of(camera)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(render_frame, (spec, 2))
    assert bytes_of(there) == bytes_of(render_frame(spec, 2))


@pytest.mark.parametrize("small", [True, False])
def test_key_color_is_exact_and_nowhere_on_the_hand(camera, small):
    key = replace(camera, name="key", background="key")
    black = replace(camera, name="black", background="black")
    frame = render_frame(spec_of(camera, cameras=(key, black), small=small, style="gritty"), 0)
    for view, ground in zip(frame.views, (KEY_COLOR, (0, 0, 0)), strict=True):
        is_ground = (view.image == ground).all(-1)
        np.testing.assert_array_equal(is_ground, view.mask == 0)
        assert 0.02 < (view.mask > 0).mean() < 0.9


def test_cameras_see_the_same_hand_from_their_own_places(camera):
    right = shifted(camera, -60.0, name="right")
    frame = render_frame(spec_of(camera, cameras=(camera, right), motion="count"), 4)
    left_view, right_view = frame.views
    assert frame["right"] is right_view
    labels = frame.hands[0].keypoints_3d
    disparity = (project_world(labels, camera) - project_world(labels, right))[:, 0]
    np.testing.assert_allclose(disparity, 240.0 * 60 / labels[:, 2])
    overlap = (left_view.depth > 0).sum() / (right_view.depth > 0).sum()
    assert 0.6 < overlap < 1.7


@pytest.mark.parametrize("viewpoint", ["front", "ego"])
def test_the_hand_stands_in_the_picture_at_the_distance_asked_for(camera, viewpoint):
    spec = spec_of(camera, viewpoint=viewpoint, distance_mm=(400.0, 500.0), motion="still", convention="rigged")
    inside = []
    for index in range(40):
        hand = build_scene(spec, index).hands[0]
        assert 400 - 1e-6 <= np.linalg.norm(hand.centres[0]) <= 500 + 1e-6
        uv = project_world(hand.labels, camera)
        inside.append(((uv > 0) & (uv < [160, 120])).all(1).mean())
    assert np.mean(inside) > 0.95


def test_the_ego_forearm_comes_from_the_viewer(camera):
    spec = spec_of(camera, viewpoint="ego", motion="still")
    for index in range(10):
        hand = build_scene(spec, index).hands[0]
        arm = hand.base[load_hand().weights[:, load_hand().bone["lowerarm"]] > 0.99].mean(0) - hand.centres[0]
        assert arm[1] > 0
        assert arm[2] < 0


def test_two_hands_keep_apart_and_share_a_person(camera):
    spec = spec_of(camera, sides=(LEFT, RIGHT), motion="still", distance_mm=(500.0, 900.0))
    for index in range(20):
        first, second = build_scene(spec, index).hands
        assert (first.side, second.side) == (LEFT, RIGHT)
        assert first.scale == second.scale
        assert np.linalg.norm(first.centres[:, None] - second.centres[None], axis=-1).min() > 25
    parts = render_frame(spec, 0).views[0].part
    assert set(np.unique(parts)) <= set(range(35))
    assert (parts > 17).any()


@pytest.mark.parametrize(("objects", "corners"), [(None, False), ("cuboid", True)])
def test_objects_as_asked_for(camera, objects, corners):
    frame = render_frame(spec_of(camera, objects=objects, motion="grasp"), 3)
    assert frame.has_object is corners
    assert (frame.object_corners_3d is not None) is corners
    assert (frame.views[0].mask == 2).any() == corners


def test_a_held_object_moves_with_the_palm(camera):
    spec = spec_of(camera, objects="cuboid", motion="grasp")
    scenes = [build_scene(spec, index) for index in (0, 9, 31)]
    offsets = []
    for scene in scenes:
        centres = scene.hands[0].centres
        offsets.append(np.linalg.norm(scene.solid.corners()[:, None] - centres[None, [0, 5, 9]], axis=-1))
    np.testing.assert_allclose(offsets[0], offsets[1], atol=1e-6)
    np.testing.assert_allclose(offsets[0], offsets[2], atol=1e-6)


@pytest.mark.parametrize("motion", ["random", "count", "swipe", "grasp"])
def test_motion_is_smooth_and_at_a_human_speed(camera, motion):
    spec = spec_of(camera, motion=motion, fps=25.0)
    points = np.array([build_scene(spec, index).hands[0].labels for index in range(60)])
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) * 25 / 1000  # m/s
    assert speed.max() < 3.0  # fast hands reach 2 to 4
    assert np.median(speed) > 0.02
    scales = {build_scene(spec, index).setting.person.scale for index in (0, 30)}
    assert len(scales) == 1


def test_counting_raises_one_finger_after_the_other(camera):
    spec = spec_of(camera, name="stereo/B1Counting", motion="count", fps=1000.0)
    body = build_scene(spec, 0).setting.body
    plan = choreograph("count", body, None, (1, 2))
    held = [plan.at((k + 0.95) * plan.seconds).angles for k in range(len(COUNTING))]
    raised = [int((angles[0:4] + angles[4:8] < 60).sum()) for angles in held]
    assert raised == [1, 2, 3, 4, 4, 0]  # after fist: index, then middle, ring, little, thumb, and again


def test_fingertips_of_many_frames_differ(camera):
    spec = spec_of(camera, motion="still")
    tips = np.array([build_scene(spec, index).hands[0].labels[list(TIPS)] for index in range(6)])
    assert np.ptp(tips, axis=0).max() > 50


@pytest.mark.parametrize("style", ["clean", "gritty"])
def test_user_backgrounds_stand_behind_the_hand(camera, style, tmp_path):
    file = tmp_path / "blue.png"
    cv2.imwrite(str(file), np.full((60, 80, 3), (250, 10, 10), np.uint8))
    view = render_frame(spec_of(camera, backgrounds=(str(file),), style=style), 0).views[0]
    ground = view.image[view.mask == 0].mean(0)
    assert ground[2] > 2 * ground[:2].max()
