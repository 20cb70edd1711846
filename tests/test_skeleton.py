"""The 21 keypoints: order, parents, and native orders mapped by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handdata import skeleton
from handdata.skeleton import FINGERS, INDEX, JOINTS, KEYPOINTS, WRIST, to_canonical


def test_index_of_joint_j_of_finger_f_is_4_f_plus_j():
    for f, finger in enumerate(FINGERS):
        for j, joint in enumerate(JOINTS, start=1):
            assert KEYPOINTS[4 * f + j] == f"{finger}_{joint}"
    assert KEYPOINTS[0] == "wrist"
    assert len(KEYPOINTS) == skeleton.NUM_KEYPOINTS == 21


def test_bones_lead_from_the_wrist_along_each_finger():
    assert skeleton.BONES[:4] == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert sorted(child for _, child in skeleton.BONES) == list(range(1, 21))
    assert skeleton.PARENTS[0] == -1


def test_tips_and_root():
    assert skeleton.TIPS == (4, 8, 12, 16, 20)
    assert skeleton.ROOT == 9
    assert skeleton.finger_indices("ring") == (13, 14, 15, 16)
    assert skeleton.joint_indices("mcp") == (1, 5, 9, 13, 17)


@given(st.permutations(KEYPOINTS), st.integers(0, 21))
def test_to_canonical_keeps_names(order, count):
    names = order[:count]
    points = np.array([[KEYPOINTS.index(name), -KEYPOINTS.index(name)] for name in names], float).reshape(-1, 2)

    result = to_canonical(points, names)

    for index, name in enumerate(KEYPOINTS):
        if name in names:
            assert result[index].tolist() == [index, -index]
        else:
            assert np.isnan(result[index]).all()


def test_a_palm_centre_is_no_wrist():
    result = to_canonical(np.ones((2, 3)), ["palm_center", "thumb_tip"])

    assert np.isnan(result[0]).all()
    assert result[4].tolist() == [1, 1, 1]


def test_leading_axes_and_dtype_are_kept():
    result = to_canonical(np.ones((5, 2, 3), np.float32), ["wrist", "index_tip"])

    assert result.shape == (5, 21, 3)
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("names", "message"), [(["wrist"], "2 points but 1 names"), (["wrist", "wrist"], "named twice")]
)
def test_wrong_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        to_canonical(np.ones((2, 3)), names)


@pytest.mark.parametrize(
    ("formula", "wrist"),
    [("ring", [2, 20, 0]), ("middle", [0, 22, 0]), ("fingers", [-1.25, 22.5, 0]), ("halfway", [0, 20, 0])],
)
def test_wrist_from_palm_by_hand(formula, wrist):
    """Palm at (0, 10, 0); MCPs at index (6, 0, 0), middle (0, 0, 0), ring (-2, 0, 0), little (0, 0, 0): mean (1, 0, 0).

    ring: -2 + 2 * (0 + 2) = 2; middle: 0; mean: 1 + 2.25 * (0 - 1) = -1.25; y is 2, 2.2 or 2.25 times 10.
    """
    hand, palm = np.zeros((1, 21, 3)), np.array([[0.0, 10.0, 0.0]])
    hand[0, INDEX["index_mcp"], 0], hand[0, INDEX["ring_mcp"], 0] = 6, -2
    hand[:, WRIST] = skeleton.wrist_from_palm(hand, palm, formula)

    np.testing.assert_allclose(hand[0, WRIST], wrist)
    np.testing.assert_allclose(skeleton.palm_from_wrist(hand, formula), palm, atol=1e-12)


def test_a_wrist_stays_missing_where_there_is_no_palm():
    assert np.isnan(skeleton.wrist_from_palm(np.zeros((1, 21, 3)), np.full((1, 3), np.nan), "ring")).all()
