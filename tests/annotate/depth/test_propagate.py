"""From a few clicked frames to all: order, patches, the whole sequence, against the truth of rendered frames."""

import numpy as np
import pytest

from handdata.annotate.depth.crops import crop_about, find_centre
from handdata.annotate.depth.lift import Clicks, lift
from handdata.annotate.depth.patches import agreement, deviation, flow_between, follow
from handdata.annotate.depth.propagate import (
    DepthSequence,
    begin_hands,
    moved_rigidly,
    next_frame,
    optimise,
    propagate,
)
from handdata.annotate.depth.references import distances
from handdata.geometry import project, rotation_from_vector
from tests.annotate.depth.rendered import FRAMES, K, clicked, off, rendered

REFERENCES = [0, 5, 10]


@pytest.fixture(scope="module")
def lifted() -> tuple[DepthSequence, Clicks, np.ndarray]:
    truth, depth, _ = rendered()
    tips = truth[:, [4, 8, 12, 16, 20]].mean(axis=1)
    centres = np.stack([find_centre(picture, K, tip) for picture, tip in zip(depth, tips, strict=True)])
    crops = np.stack([crop_about(p, K, centre).relative for p, centre in zip(depth, centres, strict=True)])
    clicks = clicked(REFERENCES)
    xyz, bones = lift(clicks, [depth[frame] for frame in REFERENCES], K)
    return DepthSequence(depth.__getitem__, K, centres, distances(crops), bones), clicks, xyz


def test_all_frames_are_nearly_as_good_as_the_clicked_ones(lifted: tuple[DepthSequence, Clicks, np.ndarray]) -> None:
    (sequence, clicks, xyz), truth = lifted, rendered()[0]
    hands = begin_hands(FRAMES, {f: (xyz[i], clicks.seen[i]) for i, f in enumerate(REFERENCES)})
    while (pair := next_frame(sequence, hands)) is not None:
        propagate(sequence, hands, *pair)
    final = optimise(sequence, hands, REFERENCES, clicks)
    lines = [np.interp(range(FRAMES), REFERENCES, xyz[:, k, axis]) for k in range(21) for axis in range(3)]

    assert set(hands.root) == set(REFERENCES)
    assert off(final, truth) < 7.0
    assert off(final, truth) < 0.8 * off(np.stack(lines, axis=-1).reshape(-1, 21, 3), truth)


def test_the_frame_most_like_a_finished_one_comes_first(lifted: tuple[DepthSequence, Clicks, np.ndarray]) -> None:
    sequence, clicks, xyz = lifted
    hands = begin_hands(FRAMES, {f: (xyz[i], clicks.seen[i]) for i, f in enumerate(REFERENCES)})
    todo = [frame for frame in range(FRAMES) if frame not in REFERENCES]

    frame, source = next_frame(sequence, hands)

    assert sequence.apart[frame, source] == sequence.apart[np.ix_(todo, REFERENCES)].min()
    assert next_frame(sequence, begin_hands(FRAMES, {})) is None


def test_points_follow_a_hand_that_moves(lifted: tuple[DepthSequence, Clicks, np.ndarray]) -> None:
    sequence, truth, seen = lifted[0], rendered()[0], rendered()[2]
    before, after = sequence.crop(4), sequence.crop(5)
    start, goal = (crop.inside(project(truth[f], K)) for f, crop in ((4, before), (5, after)))

    flowed = follow(flow_between(before, after), start)

    both = seen[4] & seen[5]
    away = np.linalg.norm(start - goal, axis=1)[both].mean()
    assert both.sum() > 8
    assert np.linalg.norm(flowed - goal, axis=1)[both].mean() < 0.75 * away


def test_patches_agree_where_the_same_thing_lies_and_less_beside_it(
    lifted: tuple[DepthSequence, Clicks, np.ndarray],
) -> None:
    crop, seen = lifted[0].crop(4), rendered()[2][4]
    at = crop.inside(project(rendered()[0][4], K))

    same, beside = (agreement(crop, at, crop, at + shift, seen) for shift in (0.0, 12.0))

    assert np.allclose(same[seen & np.isfinite(same)], 1)
    assert np.isnan(same[~seen]).all()
    assert np.nanmean(beside) < 0.8
    assert (deviation(np.array([1.0, 0.6, 0.2, np.nan])) == [1.5, 5.1, np.inf, np.inf]).all()


def test_a_hand_that_moves_like_a_stone_is_followed_exactly_whatever_one_point_says() -> None:
    truth = rendered()[0][0]
    turn, told = rotation_from_vector(np.array([0.1, -0.3, 0.2])), np.arange(21) < 12
    goal = truth @ turn.T + [5.0, -20.0, 30.0]
    wrong = goal.copy()
    wrong[3] += 300.0

    assert np.allclose(moved_rigidly(truth, goal, told), goal)
    assert off(moved_rigidly(truth, wrong, told), goal) < 0.5 * off(
        moved_rigidly(truth, wrong, np.arange(21) == 3), goal
    )
    assert np.allclose(moved_rigidly(truth, goal, np.zeros(21, bool)), truth)
