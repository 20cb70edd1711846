"""What is well has no findings: every rendered dataset, and hands as real recordings hold them."""

import numpy as np
import pytest

from handdata.check import anatomy
from handdata.check.verify import verify
from handdata.cli.options import DATASETS
from handdata.skeleton import FINGERS
from tests.check.made_dataset import hands

FULL_HANDS = ("stereo", "synthhands", "rhd", "ganerated")


@pytest.mark.parametrize("name", DATASETS)
def test_a_rendered_dataset_has_no_findings(converted, name):
    report = verify(converted(name))

    assert [(finding.check, finding.what) for finding in report.findings] == []
    assert report.num_looked_at == report.num_samples > 0


@pytest.mark.parametrize("name", FULL_HANDS)
def test_full_hands_are_checked_for_everything_hands_have(converted, name):
    checks = verify(converted(name), quick=True).checks

    assert {checks[check] for check in ("order", "fingers", "chirality", "units", "depth", "reprojection")} == {"ok"}


def still(seed, noise, frames=12):
    """One pose held for a moment, as annotated by somebody who is `noise` mm off in each coordinate."""
    rng = np.random.default_rng(seed)
    pose = hands(24, 11, people=1)[seed % 24]
    return pose + rng.normal(0, noise, (frames, 21, 3))


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize("seed", range(24))
def test_a_held_pose_is_no_fault(seed, noise):
    xyz = still(seed, noise)

    for finger in FINGERS:
        paths = anatomy.path_orders(xyz, finger)
        assert np.bincount(paths, minlength=len(anatomy.PATHS)).argmax() == anatomy.IN_ORDER
        assert finger == "thumb" or not anatomy.is_reversed(xyz, finger)
    assert anatomy.finger_order(xyz) == (0, 1, 2, 3, 4)
    assert not anatomy.thumb_is_reversed(xyz, xyz[:, 0])
    bend = anatomy.bend_to_palm(xyz)
    assert (bend[np.abs(bend) > anatomy.MIN_BEND] > 0).all()  # a right hand
    assert not anatomy.bone_outliers(xyz, np.zeros(len(xyz)))[0].any()


def test_people_of_every_size_are_no_fault():
    small, large = hands(40, 1, people=4) * 0.8, hands(40, 2, people=4) * 1.15
    xyz = np.concatenate([small, large])

    assert not anatomy.bone_outliers(xyz, np.zeros(80))[0].any()
    assert anatomy.finger_order(xyz) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("order", [(0, 2, 1, 3, 4), (4, 3, 2, 1, 0), (1, 2, 3, 4, 0), (0, 4, 3, 2, 1)])
def test_any_order_of_the_fingers_is_recognised(order):
    xyz = hands(60, 3)
    slots = [0, *(4 * finger + joint for finger in order for joint in (1, 2, 3, 4))]

    assert anatomy.finger_order(xyz[:, slots]) == order


def test_mirroring_turns_a_right_hand_into_a_left_one():
    xyz = hands(60, 4)

    np.testing.assert_allclose(anatomy.bend_to_palm(xyz * [-1, 1, 1]), -anatomy.bend_to_palm(xyz))


@pytest.mark.parametrize("factor", [0.001, 0.1, 1.0, 1000.0])
def test_order_and_side_do_not_depend_on_the_unit(factor):
    xyz = hands(30, 5) * factor

    assert anatomy.finger_order(xyz) == (0, 1, 2, 3, 4)
    np.testing.assert_allclose(anatomy.bend_to_palm(xyz), anatomy.bend_to_palm(xyz / factor))
