"""Which frames follow one another, and what tells a recording from numbered stills."""

import numpy as np
import pytest
from scipy.io import loadmat

from handdata.evaluation.tracks import are_stills, middle_frames
from tests.converters import real


def ratio_says_stills(points, track=None):
    track = np.zeros(len(points), int) if track is None else track
    return are_stills(points, track, middle_frames(track, np.arange(len(points))))


def test_frames_follow_at_the_most_frequent_step_of_their_track_and_not_across_a_gap():
    frame = np.array([0, 18, 36, 54, 100, 118, 5, 6, 7])
    track = np.array([0] * 6 + [1] * 3)
    assert middle_frames(track, frame).tolist() == [[0, 1, 2], [1, 2, 3], [6, 7, 8]]
    assert middle_frames(track[:0], frame[:0]).shape == (0, 3)


@pytest.mark.parametrize("frames", [3, 5, 40])
def test_a_hand_that_moves_steadily_was_filmed(frames):
    points = np.random.default_rng(0).normal(0, 40, (1, 21, 2)) + 3.0 * np.arange(frames)[:, None, None]
    assert not ratio_says_stills(points)


@pytest.mark.parametrize("seed", range(5))
def test_positions_that_have_nothing_to_do_with_one_another_are_stills(seed):
    rng = np.random.default_rng(seed)
    points = np.where(rng.random((60, 21, 1)) < 0.3, np.nan, rng.normal(0, 40, (60, 21, 2)))
    assert ratio_says_stills(points)
    assert ratio_says_stills(points, np.arange(60) // 6)


def test_of_many_frames_some_runs_are_looked_at():
    steps = np.random.default_rng(0).normal(0, 1, (9000, 21, 2))
    assert not ratio_says_stills(steps.cumsum(0))
    assert ratio_says_stills(steps)
    assert ratio_says_stills(steps, np.arange(9000) // 4)


def test_a_hand_at_rest_and_nothing_at_all_are_no_stills():
    assert not ratio_says_stills(np.ones((9, 21, 2)))
    assert not ratio_says_stills(np.full((9, 21, 2), np.nan))
    assert not ratio_says_stills(np.zeros((2, 21, 2)))


def test_rhd_is_stills():
    labels = real.rhd_labels().values()
    uv = np.stack([entry["uv_vis"][:21, :2] for entry in labels]).astype(float)
    behind = np.stack([entry["xyz"][:21, 2] for entry in labels]) <= 0.05
    assert ratio_says_stills(np.where(behind[..., None], np.nan, uv))


def test_stereo_is_a_recording_at_every_eighteenth_frame_too():
    path = real.samples("stereo_labels") / f"{real.STEREO}_BB.mat"
    xyz = loadmat(path)["handPara"].transpose(2, 1, 0)
    assert not ratio_says_stills(xyz)
    assert not ratio_says_stills(xyz[::18])
