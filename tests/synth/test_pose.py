"""Statistics of the poses: limits, couplings, collisions, coverage, contact."""

import numpy as np
import pytest

from handdata.synth.collision import TOLERANCE_MM, segment_distance
from handdata.synth.grasp import BAD_MM, sample_grasp
from handdata.synth.hand import load_hand
from handdata.synth.kinematics import ANGLES, DIP, HAND, HIGH, LOW, MCP, PIP, WRIST, forward, rotation, skin
from handdata.synth.pose import (
    KEY_ANGLES,
    NUM_HAND_ANGLES,
    body_of,
    constrain,
    free_pose,
    hand_angles,
    sample_angles,
    sample_pose,
)

NUM_POSES = 600
LIMITS = {  # degrees, docs/method.md 13
    "mcp": (-10, 90),
    "pip": (0, 110),
    "dip": (0, 80),
    "abd": (-15, 15),
    "cup_ring": (0, 10),
    "cup_little": (0, 18),
    "cmc_flexion": (-25, 40),
    "cmc_abduction": (-25, 35),
    "thumb_mcp": (-5, 60),
    "thumb_ip": (-15, 80),
    "wrist_flexion": (-60, 60),
    "wrist_deviation": (-20, 30),
}


@pytest.fixture(scope="module")
def mean_body():
    return body_of(load_hand(), np.zeros(12), 1.0)


@pytest.fixture(scope="module")
def poses():
    """Poses of many people: (N, 24) angles and (N,) penetration, mm."""
    rng, hand = np.random.default_rng(0), load_hand()
    bodies = [body_of(hand, *hand.sample_shape(rng)) for _ in range(40)]
    chosen = [bodies[i % len(bodies)] for i in range(NUM_POSES)]
    angles = [sample_pose(rng, body) for body in chosen]
    depth = [body.penetration(a[None])[0] for body, a in zip(chosen, angles, strict=True)]
    return np.array(angles), np.array(depth)


def test_limits_are_those_of_the_specification():
    for name, low, high in zip(ANGLES, LOW, HIGH, strict=True):
        key = name if name in LIMITS else name.split("_")[0]
        assert (low, high) == LIMITS[key], name
    assert HAND.stop == NUM_HAND_ANGLES == 22
    assert len(KEY_ANGLES) == 27


def test_every_angle_stays_within_its_limits(poses):
    angles, _ = poses
    assert (angles >= LOW).all()
    assert (angles <= HIGH).all()


def test_no_hand_runs_through_itself(poses):
    assert poses[1].max() < TOLERANCE_MM == 5.0


@pytest.mark.parametrize("joint", [MCP, PIP], ids=["mcp", "pip"])
@pytest.mark.parametrize("finger", range(4), ids=["index", "middle", "ring", "little"])
def test_every_finger_goes_through_its_range(poses, joint, finger):
    column = joint.start + finger
    values = poses[0][:, column]
    span = HIGH[column] - LOW[column]
    assert np.quantile(values, 0.99) - np.quantile(values, 0.01) > 0.85 * span
    filled = np.histogram(values, bins=10, range=(LOW[column], HIGH[column]))[0]
    assert (filled[:9] >= 0.01 * len(values)).all()


@pytest.mark.parametrize("column", range(18, 24), ids=ANGLES[18:])
def test_thumb_and_wrist_go_through_most_of_theirs(poses, column):
    values = poses[0][:, column]
    assert np.ptp(values) > 0.7 * (HIGH[column] - LOW[column])


def test_fingers_move_by_themselves_too(poses):
    mcp = poses[0][:, MCP]
    assert (np.ptp(mcp, axis=1) > 45).mean() > 0.15
    assert np.corrcoef(mcp.T)[0, 1:].min() > 0.2  # but are coupled on the whole


def test_dip_follows_pip(poses):
    pip, dip = poses[0][:, PIP], poses[0][:, DIP]
    assert (dip <= np.minimum(0.95 * pip + 10, 80) + 1e-9).all()
    assert (dip >= np.clip(0.35 * pip - 6, 0, 80) - 1e-9).all()


def test_bent_knuckles_do_not_spread():
    angles = np.zeros((2, NUM_HAND_ANGLES))
    angles[1, MCP] = 90
    angles[:, 12:16] = 15
    spread = constrain(angles)[:, 12:16]
    np.testing.assert_allclose(spread[0], 15)
    assert (spread[1] < 3).all()


def test_constrain_changes_nothing_twice_and_leaves_its_input():
    wild = np.random.default_rng(1).normal(20, 80, (200, NUM_HAND_ANGLES))
    before = wild.copy()
    once = constrain(wild)
    np.testing.assert_array_equal(wild, before)
    assert (once >= LOW[:22]).all()
    assert (once <= HIGH[:22]).all()


def test_the_mixture_is_a_function_of_the_generator():
    first, second = (sample_angles(np.random.default_rng(3), 50) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def gap(body, key, a, b):
    """Distance between the surfaces of two phalanges, mm, by capsules."""
    centres = body.posed_centres(constrain(hand_angles(key)[None]))[0]
    segments = body.capsules.segments.tolist()
    radii = [body.capsules.radii[segments.index(list(pair))] for pair in (a, b)]
    (p1, q1), (p2, q2) = ((centres[i], centres[k]) for i, k in (a, b))
    return float(segment_distance(p1, q1, p2, q2)) - sum(radii)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("pinch", (7, 8)),
        ("ok", (7, 8)),
        ("tripod", (7, 8)),
        ("fist", (10, 11)),
        ("point", (10, 11)),
        ("lateral", (6, 7)),
    ],
)
def test_the_thumb_touches(mean_body, key, other):
    assert -TOLERANCE_MM < gap(mean_body, key, (3, 4), other) < 3.0


@pytest.mark.parametrize("key", ["flat", "spread", "thumbs_up", "claw"])
def test_the_thumb_stays_away_from_the_middle_finger(mean_body, key):
    assert gap(mean_body, key, (3, 4), (11, 12)) > 3.0


@pytest.mark.parametrize("key", KEY_ANGLES)
def test_key_poses_are_free_of_collisions(mean_body, key):
    assert mean_body.penetration(constrain(hand_angles(key)[None]))[0] < TOLERANCE_MM


def test_zero_is_a_flat_hand(mean_body):
    centres = mean_body.posed_centres(np.zeros((1, 24)))[0]
    for finger in range(1, 5):
        bones = np.diff(centres[4 * finger + 1 : 4 * finger + 5], axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True)
        assert np.abs(bones[:, 2]).max() < np.sin(np.radians(0.1))


def test_flexing_a_joint_turns_the_finger_by_that_angle_towards_the_palm(mean_body):
    angles = np.zeros((2, 24))
    angles[1, PIP] = 50
    straight, bent = mean_body.posed_centres(angles)
    for finger in range(1, 5):
        before, after = (c[4 * finger + 3] - c[4 * finger + 2] for c in (straight, bent))
        cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        assert np.degrees(np.arccos(cosine)) == pytest.approx(50, abs=0.5)  # the bone is not quite square to the hinge
        assert after[2] < before[2]  # z points out of the back


def test_bones_keep_their_length(mean_body):
    angles = np.random.default_rng(4).uniform(LOW, HIGH, (50, 24))
    centres = mean_body.posed_centres(angles)[:, 1:].reshape(50, 5, 4, 3)
    length = np.linalg.norm(np.diff(centres, axis=2), axis=-1)
    np.testing.assert_allclose(length, np.broadcast_to(length[:1], length.shape), atol=1e-9)


def test_a_batch_is_the_same_as_one_by_one(mean_body):
    angles = np.random.default_rng(5).uniform(LOW, HIGH, (8, 24))
    together = forward(mean_body.hand, mean_body.skeleton, angles)
    single = np.concatenate([forward(mean_body.hand, mean_body.skeleton, row[None]) for row in angles])
    np.testing.assert_allclose(together, single, atol=1e-12)


def test_skinning_without_motion_is_the_rest_mesh(mean_body):
    rest = np.tile(np.eye(3, 4), (21, 1, 1))
    np.testing.assert_allclose(skin(mean_body.hand, mean_body.vertices, rest), mean_body.vertices, atol=1e-9)


def test_rotation_is_right_handed():
    turned = rotation(np.array([0.0, 0, 1]), np.array([90.0])) @ np.array([1.0, 0, 0])
    np.testing.assert_allclose(turned, [[0, 1, 0]], atol=1e-12)


def test_a_colliding_pose_is_opened_until_it_is_free(mean_body):
    angles = np.zeros(24)
    angles[MCP], angles[PIP], angles[DIP] = 90, 110, 80
    angles[18:22] = (40, -20, 60, 80)
    assert mean_body.penetration(angles[None])[0] > TOLERANCE_MM
    freed = free_pose(mean_body, angles)
    assert mean_body.penetration(freed[None])[0] < TOLERANCE_MM
    np.testing.assert_array_equal(freed[WRIST], angles[WRIST])


def test_grasps_touch_without_digging_in(mean_body):
    rng = np.random.default_rng(6)
    reach = mean_body.capsules.radii[:15].reshape(5, 3)
    for _ in range(12):
        grasp = sample_grasp(rng, mean_body)
        assert grasp.depth < BAD_MM
        centres = mean_body.posed_centres(grasp.angles[None])[0, 1:].reshape(5, 4, 3)
        share = np.linspace(0, 1, 9)[:, None, None, None]
        points = centres[:, :-1] + share * (centres[:, 1:] - centres[:, :-1])
        distance = grasp.solid.distance(points).min(0) - reach
        assert (distance.min(1) < 2.0).sum() >= 3  # fingers on the object
