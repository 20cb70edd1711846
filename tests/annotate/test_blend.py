"""Between two known boxes: both directions, corrected for drift, weighed by nearness; sizes in ratio."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from handdata.annotate.blend import blend, from_center, motion_doubts, to_center

LEFT, RIGHT = (10.0, 10.0, 20.0, 20.0), (50.0, 10.0, 20.0, 20.0)
NOWHERE = np.full((5, 4), np.nan)


def moving(step: float, size: float = 20.0) -> np.ndarray:
    return np.array([[10.0 + step * i, 10.0, size, size] for i in range(5)])


def test_two_directions_that_agree_give_that_box() -> None:
    result = blend(moving(10), moving(10), LEFT, RIGHT)

    assert_allclose(result.boxes, moving(10))
    assert result.tracked.all()
    assert_allclose(result.doubt, 0, atol=1e-12)


def test_drift_is_taken_out_linearly_so_that_known_boxes_are_met() -> None:
    """Forward arrives 8 px short of the second box: at frame i, 2 i px are missing."""
    result = blend(moving(8), NOWHERE, LEFT, RIGHT)

    assert_allclose(result.boxes, moving(10))


def test_directions_are_weighed_by_nearness_in_time() -> None:
    """Forward stands 4 px lower in between, backward is right: a quarter of the way backward counts a quarter."""
    forward = moving(10)
    forward[1:4, 1] += 4
    result = blend(forward, moving(10), LEFT, RIGHT)

    assert_allclose(result.boxes[:, 1], [10, 13, 12, 11, 10], atol=1e-6)


def far_off(frames: slice) -> np.ndarray:
    track = moving(10)
    track[frames, 1] += 200
    return track


def test_directions_that_are_apart_are_not_averaged_the_one_that_arrives_is_taken() -> None:
    """Forward loses the hand at frame 2 and does not come back; backward reaches the first box."""
    assert_allclose(blend(far_off(slice(2, None)), moving(10), LEFT, RIGHT).boxes, moving(10), atol=1e-9)
    assert_allclose(blend(moving(10), far_off(slice(0, 3)), LEFT, RIGHT).boxes, moving(10), atol=1e-9)


def test_a_direction_that_does_not_arrive_is_not_bent_to_the_known_box() -> None:
    """Both lose the hand, but meet at frame 2: each is right on its own way there."""
    result = blend(far_off(slice(3, None)), far_off(slice(0, 2)), LEFT, RIGHT)

    assert_allclose(result.boxes, moving(10), atol=1e-9)
    assert result.doubt[[0, 1, 3, 4]].min() == 1  # and said to be doubtful
    assert result.doubt[2] == pytest.approx(0)


def test_where_nothing_speaks_for_either_the_one_that_started_nearer_is_taken() -> None:
    """Both leave the hand in the middle and are back at its ends: the mean would lie 100 px off."""
    forward, backward = far_off(slice(1, 4)), moving(10)
    backward[1:4, 1] -= 200

    assert_allclose(blend(forward, backward, LEFT, RIGHT).boxes[:, 1], [10, 210, 210, -190, 10], atol=1e-6)


def test_sizes_are_interpolated_in_ratio() -> None:
    """From 20 to 80 px in four steps: times the fourth root of 4 each, whichever way the box was tracked."""
    right = (50.0, 10.0, 80.0, 80.0)
    for forward, backward in [(moving(10), NOWHERE), (NOWHERE, NOWHERE), (NOWHERE, moving(10, 80.0))]:
        result = blend(forward, backward, LEFT, right)
        assert_allclose(result.boxes[:, 2], 20 * 4 ** (np.arange(5) / 4))


def test_a_lost_direction_drops_out() -> None:
    forward = moving(10)
    forward[2:] = np.nan
    result = blend(forward, moving(10), LEFT, RIGHT)

    assert_allclose(result.boxes, moving(10))
    assert_allclose(result.doubt, [0, 0, 0.5, 0.5, 0.5], atol=1e-12)


def test_where_both_are_lost_the_known_boxes_are_interpolated_and_said_to_be() -> None:
    result = blend(NOWHERE, NOWHERE, LEFT, RIGHT)

    assert_allclose(result.boxes, moving(10))
    assert not result.tracked.any()
    assert_allclose(result.doubt, 1)


def test_after_the_last_known_box_the_forward_track_counts_alone() -> None:
    result = blend(moving(7), NOWHERE, LEFT, None, both_ways=False)

    assert_allclose(result.boxes, moving(7))
    assert_allclose(result.doubt, 0)


def test_lost_after_the_last_known_box_there_is_none() -> None:
    forward = moving(7)
    forward[3:] = np.nan
    result = blend(forward, NOWHERE, LEFT, None, both_ways=False)

    assert np.isnan(result.boxes[3:]).all()
    assert result.doubt.tolist() == [0, 0, 0, 1, 1]


def test_before_the_first_known_box_the_backward_track_counts_alone() -> None:
    assert_allclose(blend(NOWHERE, moving(10), None, RIGHT, both_ways=False).boxes, moving(10))


def test_disagreement_is_one_minus_the_overlap() -> None:
    """Half a box apart after correction: intersection 200 of a union of 600."""
    forward = moving(10)
    forward[2, 0] += 10
    assert blend(forward, moving(10), LEFT, RIGHT).doubt[2] == pytest.approx(1 - 200 / 600)


def test_jumps_and_leaving_the_picture_raise_doubt() -> None:
    """A step of 0.3 sides lies halfway between 0.1 (no doubt) and 0.5 (all); a box half outside is doubted by half."""
    boxes = np.array([[10, 10, 20, 20], [16, 10, 20, 20], [46, 10, 20, 20], [90, 10, 20, 20]], float)

    assert_allclose(motion_doubts(boxes, 100, 100)["jump"], [0, 0.5, 1, 1])
    assert_allclose(motion_doubts(np.array([[90.0, 10, 20, 20]]), 100, 100)["outside"], [0.5])


def test_a_jump_of_the_size_raises_doubt() -> None:
    """By 35 % in one frame: log 1.35 = 0.3 lies halfway between 0.1 and 0.5."""
    boxes = np.array([[10, 10, 20, 20], [10 - 3.5, 10 - 3.5, 27, 27]], float)

    assert_allclose(motion_doubts(boxes, 100, 100)["size"], [0, 0.5], atol=0.001)


def test_centres_and_corners_round_trip() -> None:
    boxes = np.array([[3.5, -2.0, 11.0, 7.25]])

    assert_allclose(from_center(to_center(boxes)), boxes)
