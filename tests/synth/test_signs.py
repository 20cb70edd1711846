"""Poses of signs: fingers straight or folded each by itself, thumbs on fingertips."""

import numpy as np
import pytest

from handdata.synth.hand import load_hand
from handdata.synth.kinematics import HAND, HIGH, LOW, MCP, PIP
from handdata.synth.picture import render_hand
from handdata.synth.pose import body_of, hand_angles, sample_angles, sample_pose
from handdata.synth.signs import TOUCH, sample_signs

THUMB_TIP, TIPS = 4, (8, 12, 16, 20)


@pytest.fixture(scope="module")
def body():
    hand = load_hand()
    return body_of(hand, np.zeros(len(hand.vertex_basis)), 1.0)


def test_every_combination_of_straight_and_folded_fingers_is_drawn_within_the_limits():
    angles = sample_signs(np.random.default_rng(0), 2000)
    folded = angles[:, MCP] > 50
    seen = {tuple(row) for row in folded.tolist()}

    assert len(seen) == 16
    assert (angles >= LOW[HAND]).all()
    assert (angles <= HIGH[HAND]).all()
    assert ring_alone(angles) > 3 * ring_alone(sample_angles(np.random.default_rng(0), 2000))


def ring_alone(angles):
    """Return the share of hands of which the ring finger is folded and the others are straight."""
    mcp, pip = angles[:, MCP], angles[:, PIP]
    others = [0, 1, 3]
    return ((mcp[:, 2] > 50) & (mcp[:, others] < 20).all(1) & (pip[:, others] < 20).all(1)).mean()


@pytest.mark.parametrize("finger", range(4))
def test_the_thumb_touches_the_finger_as_in_the_key_pose(body, finger):
    angles = hand_angles("flat")
    angles[[finger, 4 + finger, 8 + finger, 18, 19, 20, 21]] = TOUCH[finger]
    ok, touching = body.posed_centres(np.stack([hand_angles("ok"), angles]))

    assert np.linalg.norm(touching[THUMB_TIP] - touching[TIPS[finger]]) < np.linalg.norm(ok[THUMB_TIP] - ok[8]) + 8


def test_a_picture_takes_its_pose_from_what_it_is_given(body):
    rng = np.random.default_rng(1)
    assert not np.allclose(sample_pose(rng, body, sample_signs), sample_pose(np.random.default_rng(1), body))
    plain, signs = (
        render_hand(1, 5, size=48, small=True, **how).hands[0].keypoints_3d for how in ({}, {"draw": sample_signs})
    )
    assert np.abs(plain - signs).max() > 1
