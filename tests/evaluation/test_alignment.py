"""Alignments, wrists from palms, dominant hands: by hand and by properties."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from handdata.evaluation import alignment
from handdata.skeleton import INDEX, ROOT, TIPS, WRIST


@pytest.fixture
def hands():
    return np.random.default_rng(0).normal(0, 40, (5, 21, 3)) + np.array([0, 0, 400])


def all_labelled(hands):
    return np.ones(hands.shape[:2], bool)


def test_root_alignment_lays_the_root_on_its_truth_and_keeps_the_shape(hands):
    moved = alignment.align_root(hands + np.array([7.0, -3.0, 90.0]), hands)
    np.testing.assert_allclose(moved, hands, atol=1e-9)


@pytest.mark.parametrize("root", [ROOT, WRIST])
def test_root_and_scale_alignment_turns_a_normalised_pose_back_into_millimetres(hands, root):
    scale = np.linalg.norm(hands[:, WRIST] - hands[:, ROOT], axis=-1)
    normalized = alignment.root_relative(hands) / scale[:, None, None]
    np.testing.assert_allclose(alignment.align_root_and_scale(normalized, hands, scale, root), hands, atol=1e-9)


def test_true_scale_of_a_shrunken_prediction_is_the_factor_it_was_shrunk_by(hands):
    np.testing.assert_allclose(alignment.true_scale(hands / 4, hands, None), np.full(5, 4.0))


def test_true_scale_without_a_wrist_comes_from_the_middle_fingers_first_phalanx(hands):
    truth = hands.copy()
    truth[:, WRIST] = np.nan
    np.testing.assert_allclose(alignment.true_scale(hands / 3, truth, None), np.full(5, 3.0))
    np.testing.assert_array_equal(alignment.has_scale(truth, np.full(5, np.nan)), np.ones(5, bool))


def test_procrustes_undoes_any_similarity(hands):
    R = Rotation.random(random_state=1).as_matrix()
    moved = alignment.align_procrustes(0.3 * hands @ R.T + [1.0, 2.0, 3.0], hands, all_labelled(hands))
    np.testing.assert_allclose(moved, hands, atol=1e-8)


def test_procrustes_does_not_mirror(hands):
    moved = alignment.align_procrustes(hands * [-1.0, 1.0, 1.0], hands, all_labelled(hands))
    assert np.linalg.norm(moved - hands, axis=-1).mean() > 5


def test_procrustes_is_as_good_as_scipys_on_each_hand(hands):
    from scipy.optimize import minimize

    prediction = hands + np.random.default_rng(2).normal(0, 8, hands.shape)
    moved = alignment.align_procrustes(prediction, hands, all_labelled(hands))

    def squared(p, i):
        return (
            ((np.exp(p[0]) * prediction[i] @ Rotation.from_rotvec(p[1:4]).as_matrix().T + p[4:]) - hands[i]) ** 2
        ).sum()

    for i in range(2):
        start = np.concatenate([np.zeros(4), (hands[i] - prediction[i]).mean(0)])
        best = minimize(squared, start, args=(i,), method="BFGS", options={"gtol": 1e-3}).fun
        assert ((moved[i] - hands[i]) ** 2).sum() == pytest.approx(best, rel=1e-5)


def test_procrustes_fits_labelled_keypoints_only_and_drops_hands_with_fewer_than_three(hands):
    mask = np.zeros((5, 21), bool)
    mask[0, :2] = True
    mask[1:, :8] = True
    spoilt = hands.copy()
    spoilt[:, 8:] += 1000
    moved = alignment.align_procrustes(spoilt, hands, mask)

    assert np.isnan(moved[0]).all()
    np.testing.assert_allclose(moved[1:, :8], hands[1:, :8], atol=1e-8)


def test_centroid_and_radius_undo_shift_and_scale_of_fingertips_but_no_rotation(hands):
    mask = np.isin(np.arange(21), TIPS) & all_labelled(hands)
    moved = alignment.align_centroid_and_radius(hands * 0.1 + [5.0, 5.0, 5.0], hands, mask)
    np.testing.assert_allclose(moved[:, list(TIPS)], hands[:, list(TIPS)], atol=1e-9)

    turned = hands @ Rotation.from_euler("z", 90, degrees=True).as_matrix().T
    assert np.linalg.norm(alignment.align_centroid_and_radius(turned, hands, mask) - hands, axis=-1).mean() > 20


def test_frames_with_one_tip_are_dropped(hands):
    mask = np.zeros((5, 21), bool)
    mask[:, 4] = True
    assert np.isnan(alignment.align_centroid_and_radius(hands, hands, mask)).all()


@pytest.mark.parametrize(
    ("convention", "wrist"),
    [
        ("palm", [0, 10, 0]),
        ("ring_mcp_2.0", [2, 20, 0]),
        ("middle_mcp_2.2", [0, 22, 0]),
        ("mean_mcp_2.25", [-1.25, 22.5, 0]),
    ],
)
def test_wrist_from_palm_by_hand(convention, wrist):
    """Palm at (0, 10, 0); MCPs at index (6, 0, 0), middle (0, 0, 0), ring (-2, 0, 0), little (0, 0, 0): mean (1, 0, 0).

    ring: -2 + 2 * (0 + 2) = 2; middle: 0; mean: 1 + 2.25 * (0 - 1) = -1.25; y is 2, 2.2 or 2.25 times 10.
    """
    hand = np.zeros((1, 21, 3))
    hand[0, INDEX["index_mcp"], 0], hand[0, INDEX["ring_mcp"], 0] = 6, -2
    filled = alignment.wrist_from_palm(hand, np.array([[0.0, 10.0, 0.0]]), convention)
    np.testing.assert_allclose(filled[0, WRIST], wrist)


def test_a_wrist_stays_missing_where_there_is_no_palm():
    hand = np.full((1, 21, 3), np.nan)
    assert np.isnan(alignment.wrist_from_palm(hand, np.full((1, 3), np.nan), "palm")).all()


def test_an_unknown_palm_convention_is_refused():
    with pytest.raises(ValueError, match="unknown palm convention 'thumb'"):
        alignment.wrist_from_palm(np.zeros((1, 21, 3)), np.zeros((1, 3)), "thumb")


@pytest.mark.parametrize(
    ("left", "right", "dominant"),
    [(900, 400, "left"), (400, 900, "right"), (500, 500, "right")],
    ids=["left is larger", "right is larger", "a tie is the right hand's"],
)
def test_dominant_hand_of_a_picture(left, right, dominant):
    chosen = alignment.dominant_hands(np.array([7, 7]), np.array([True, False]), np.array([left, right]))
    assert chosen.tolist() == [dominant == "left", dominant == "right"]


def test_a_hand_alone_in_its_picture_is_dominant():
    chosen = alignment.dominant_hands(np.array([1, 2]), np.array([True, False]), np.array([0, 0]))
    assert chosen.tolist() == [True, True]
