"""Alignments and dominant hands: by hand and by properties."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from handdata.evaluation import alignment
from handdata.evaluation.alignment import ALIGNMENTS, Hands, align
from handdata.evaluation.comparison import dominant_hands
from handdata.skeleton import ROOT, TIPS, WRIST


@pytest.fixture
def hands():
    return np.random.default_rng(0).normal(0, 40, (5, 21, 3)) + np.array([0, 0, 400])


def all_labelled(hands):
    return np.ones(hands.shape[:2], bool)


def moved_by(name, prediction, truth, mask=None, **given):
    """Return predictions in millimetres after an alignment of the table."""
    nothing = np.full(truth.shape, np.nan)
    scale = np.linalg.norm(truth[:, WRIST] - truth[:, ROOT], axis=-1)
    hands = Hands(millimetres=prediction, normalized=nothing, truth=truth, scale_mm=scale,
                  mask=all_labelled(truth) if mask is None else mask, **given)  # fmt: skip
    return align(name, hands)[0]


def similar(hands, *, scale=1.0, turn=None, shift=(0.0, 0.0, 0.0)):
    """Return hands scaled, turned about the camera and moved."""
    R = np.eye(3) if turn is None else turn.as_matrix()
    return scale * hands @ R.T + shift


# What each alignment forgives: scale, rotation, translation, and a mirror image.
FORGIVES = {
    "none": "", "root": "t", "root+scale": "st", "root+bone": "st", "root+phalanx": "st", "hand3d": "t",
    "root+best_scale": "st", "rigid": "rt", "procrustes": "srt", "procrustes+reflection": "srtm", "centroid": "t",
    "centroid+radius": "st",
}  # fmt: skip
CHANGES = {
    "s": lambda hands: similar(hands, scale=0.7),
    "r": lambda hands: similar(hands, turn=Rotation.from_euler("xyz", [40, -70, 20], degrees=True)),
    "t": lambda hands: similar(hands, shift=(30.0, -9.0, 120.0)),
    "m": lambda hands: hands * [-1.0, 1.0, 1.0],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ALIGNMENTS)
def test_every_alignment_forgives_what_it_says_and_nothing_else(hands, name, change):
    """A rotation or a mirror about the camera moves the hand too, so the hands are about the origin for those."""
    truth = hands - hands.mean(1, keepdims=True) if change in "rm" else hands
    moved = moved_by(name, CHANGES[change](truth), truth)
    off = np.linalg.norm(moved - truth, axis=-1).mean()
    if change in FORGIVES[name]:
        assert off < 1e-3  # FreiHAND's small constant
    else:
        assert off > 3


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_perfect_prediction_stays_where_it_is(hands, name):
    np.testing.assert_allclose(moved_by(name, hands, hands), hands, atol=1e-3 if "reflection" in name else 1e-9)


def test_an_unknown_alignment_is_refused_with_the_known_ones(hands):
    with pytest.raises(ValueError, match="unknown alignment 'umeyama', not one of none, root, "):
        moved_by("umeyama", hands, hands)


@pytest.mark.parametrize("name", [name for name, row in ALIGNMENTS.items() if row.takes == "any"])
def test_normalised_predictions_become_millimetres_of_the_truth(hands, name):
    scale = np.linalg.norm(hands[:, WRIST] - hands[:, ROOT], axis=-1)
    normalized = alignment.root_relative(hands) / scale[:, None, None]
    given = Hands(millimetres=np.full(hands.shape, np.nan), normalized=normalized, truth=hands, scale_mm=scale,
                  mask=all_labelled(hands), use_normalized=True, keep_millimetres=False)  # fmt: skip
    np.testing.assert_allclose(align(name, given)[0], hands, atol=1e-3 if "reflection" in name else 1e-9)


def test_best_scale_is_the_one_of_least_squares(hands):
    prediction = hands + np.random.default_rng(3).normal(0, 9, hands.shape)
    moved = moved_by("root+best_scale", prediction, hands)
    squares = ((moved - hands) ** 2).sum((1, 2))
    for factor in (0.99, 1.01):
        other = (moved - hands[:, ROOT : ROOT + 1]) * factor + hands[:, ROOT : ROOT + 1]
        assert (((other - hands) ** 2).sum((1, 2)) > squares).all()


def test_root_alignment_lays_the_root_on_its_truth_and_keeps_the_shape(hands):
    moved = moved_by("root", hands + np.array([7.0, -3.0, 90.0]), hands)
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
    moved = moved_by("procrustes", 0.3 * hands @ R.T + [1.0, 2.0, 3.0], hands)
    np.testing.assert_allclose(moved, hands, atol=1e-8)


def test_procrustes_does_not_mirror(hands):
    moved = moved_by("procrustes", hands * [-1.0, 1.0, 1.0], hands)
    assert np.linalg.norm(moved - hands, axis=-1).mean() > 5


def test_procrustes_is_as_good_as_scipys_on_each_hand(hands):
    from scipy.optimize import minimize

    prediction = hands + np.random.default_rng(2).normal(0, 8, hands.shape)
    moved = moved_by("procrustes", prediction, hands)

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
    moved = moved_by("procrustes", spoilt, hands, mask)

    assert np.isnan(moved[0]).all()
    np.testing.assert_allclose(moved[1:, :8], hands[1:, :8], atol=1e-8)


def test_centroid_and_radius_undo_shift_and_scale_of_fingertips_but_no_rotation(hands):
    mask = np.isin(np.arange(21), TIPS) & all_labelled(hands)
    moved = moved_by("centroid+radius", hands * 0.1 + [5.0, 5.0, 5.0], hands, mask)
    np.testing.assert_allclose(moved[:, list(TIPS)], hands[:, list(TIPS)], atol=1e-9)

    turned = hands @ Rotation.from_euler("z", 90, degrees=True).as_matrix().T
    assert np.linalg.norm(moved_by("centroid+radius", turned, hands, mask) - hands, axis=-1).mean() > 20


def test_frames_with_one_tip_are_dropped(hands):
    mask = np.zeros((5, 21), bool)
    mask[:, 4] = True
    assert np.isnan(moved_by("centroid+radius", hands, hands, mask)).all()


@pytest.mark.parametrize(
    ("left", "right", "dominant"),
    [(900, 400, "left"), (400, 900, "right"), (500, 500, "right")],
    ids=["left is larger", "right is larger", "a tie is the right hand's"],
)
def test_dominant_hand_of_a_picture(left, right, dominant):
    chosen = dominant_hands(np.array([7, 7]), np.array([True, False]), np.array([left, right]))
    assert chosen.tolist() == [dominant == "left", dominant == "right"]


def test_a_hand_alone_in_its_picture_is_dominant():
    chosen = dominant_hands(np.array([1, 2]), np.array([True, False]), np.array([0, 0]))
    assert chosen.tolist() == [True, True]
