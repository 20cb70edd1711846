"""The tracker's two states, against a made hand whose place is known and a model that sees it in its box alone."""

from dataclasses import replace

import numpy as np
import pytest

from handdata.geometry import iou
from handdata.model.spots import Spot
from handdata.track.carry import IMAGE_TRACKERS, image_tracker
from handdata.track.smooth import Smoothed
from handdata.track.tracker import APART, MOST_FOLLOWED, Tracker
from tests.track.made_world import HEIGHT, SHAPE, WIDTH, World


@pytest.fixture
def world():
    return World({"left": np.array([100.0, 120.0])})


def run(world, tracker, steps, move=None, start=0):
    found = []
    for i in range(start, start + steps):
        if move:
            move(i)
        found.append(tracker(world.picture(), i / 30))
    return found


def towards_each_other(world, left_y, right_y):
    """Put a left hand at the left and a right one at the right; return what moves them through each other."""

    def move(i):
        world.middles["left"] = np.array([60.0 + 6 * i, left_y])
        world.middles["right"] = np.array([260.0 - 6 * i, right_y])

    move(0)
    return move


def test_a_hand_is_found_then_followed_by_its_own_keypoints(world):
    tracker = Tracker(world.detect, world.pose, most_hands=1)

    def move(i):
        world.middles["left"] = np.array([100.0 + 4 * i, 120.0 + 2 * i])

    found = run(world, tracker, 25, move)
    assert [len(one) for one in found] == [1] * 25
    assert {one[0].track for one in found} == {0}
    assert {one[0].state for one in found} == {"seen"}
    assert world.asked == 1  # the detector is not needed while the hand is seen
    np.testing.assert_allclose(found[-1][0].hand.keypoints_2d, world.middles["left"] + SHAPE)


def test_tracks_are_counted_as_they_are_answered(world):
    nothing = [Spot(np.array([x, 10.0, x + 30, 40.0]), 0.9, "left") for x in (180.0, 230.0)]  # the model sees no hand
    tracker = Tracker(lambda image: [*nothing, *world.detect(image)], world.pose, most_hands=2)
    assert {one.track for hands in run(world, tracker, 5) for one in hands} == {0}


def test_motion_is_carried_on_so_that_a_fast_hand_stays_in_its_box(world):
    tracker = Tracker(world.detect, world.pose, most_hands=1)

    def move(i):
        world.middles["left"] = np.array([40.0 + 18 * i, 120.0])  # almost half of the hand per picture

    found = run(world, tracker, 14, move)
    assert {one[0].state for one in found[2:]} == {"seen"}


def test_where_the_model_sees_nothing_the_box_is_carried_on_and_then_let_go(world):
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 3)
    world.blind = True
    detect, tracker._detector = tracker._detector, lambda _: []
    found = run(world, tracker, MOST_FOLLOWED + 3, start=3)
    assert [bool(one) for one in found] == [True] * (MOST_FOLLOWED + 1) + [False] * 2
    assert {one[0].state for one in found if one} == {"followed"}

    world.blind, tracker._detector = False, detect
    again = run(world, tracker, 2, start=20)
    assert again[0][0].track == 1  # back at once, as another hand


@pytest.mark.parametrize("kind", IMAGE_TRACKERS)
def test_a_hand_comes_back_to_itself_while_it_is_carried_on(world, kind):
    tracker = Tracker(world.detect, world.pose, most_hands=1, carrier=image_tracker(kind))
    run(world, tracker, 3)
    world.blind = True
    run(world, tracker, 4, lambda i: world.middles.update(left=np.array([100.0 + 3 * (i - 2), 120.0])), start=3)
    world.blind = False
    found = run(world, tracker, 2, start=7)
    assert [(one[0].track, one[0].state) for one in found] == [(0, "seen")] * 2


def test_another_image_tracker_carries_on_and_may_refuse(world):
    boxes = []

    def still(image, box):  # the hand is where it was
        boxes.append(box)
        return lambda image: box

    for carrier, states in ((still, {"seen", "followed"}), (lambda image, box: None, {"seen"})):
        world.blind = False
        tracker = Tracker(world.detect, world.pose, most_hands=1, carrier=carrier)
        run(world, tracker, 3)
        world.blind = True
        found = run(world, tracker, 3, start=3)
        assert {one.state for hands in found for one in hands} == states - {"seen"}
    assert len(boxes) == 1
    assert iou(boxes[0], world.box("left")) > APART


def test_after_a_leap_the_hand_is_found_within_two_pictures(world):
    tracker = Tracker(world.detect, world.pose, most_hands=2)
    run(world, tracker, 5)
    world.middles["left"] = np.array([260.0, 60.0])
    found = run(world, tracker, 3, start=5)
    assert any(one.state == "seen" and iou(one.hand.crop_box, world.box("left")) > APART for one in found[1])


def test_two_hands_that_cross_keep_their_numbers(world):
    move = towards_each_other(world, 90.0, 150.0)
    tracker = Tracker(world.detect, world.pose, most_hands=2)
    found = run(world, tracker, 30, move)
    assert [sorted(one.track for one in hands) for hands in found] == [[0, 1]] * 30
    last = {one.track: one.hand.keypoints_2d.mean(0) for one in found[-1]}
    first = {one.track: one.hand.side for one in found[0]}
    for track, side in first.items():
        np.testing.assert_allclose(last[track], (world.middles[side] + SHAPE).mean(0))


def test_hands_that_come_near_each_other_are_both_there_when_they_part(world):
    """Where they should be next lies nearly on each other before the model takes the two for one."""
    move = towards_each_other(world, 118.0, 122.0)
    found = run(world, Tracker(world.detect, world.pose, most_hands=2), 34, move)
    assert {one.track for hands in found for one in hands} == {0, 1}
    first, last = ({one.track: one.hand.keypoints_2d.mean(0)[0] for one in hands} for hands in (found[0], found[-1]))
    assert all((last[track] > first[track]) == (first[track] < 160) for track in (0, 1))


def test_no_number_goes_over_to_the_hand_in_front_where_one_passes_behind(world):
    """Where they cover each other the model answers both boxes with the hand in front."""
    move = towards_each_other(world, 120.0, 120.0)
    tracker = Tracker(world.detect, world.pose, most_hands=2)
    found = run(world, tracker, 34, move)
    first, last = ({one.track: one.hand.keypoints_2d.mean(0)[0] for one in hands} for hands in (found[0], found[-1]))
    assert any(len(hands) == 1 for hands in found[10:25])
    assert len(last) == 2
    kept = first.keys() & last.keys()
    assert kept
    assert all((last[track] > first[track]) == (first[track] < 160) for track in kept)


def test_what_the_detector_stops_confirming_is_let_go(world):
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 5)
    tracker._detector = lambda _: []
    found = run(world, tracker, 70, start=5)
    assert found[20]
    assert not found[-1]


def test_a_hand_elsewhere_ends_what_the_detector_does_not_see(world):
    """A false hand that the model believes in holds the only place until the detector is asked; then it goes."""
    world.middles = {"left": np.array([60.0, 60.0])}
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 5)
    real = np.array([240.0, 170.0])
    world.middles["right"] = real
    box = world.box("right")
    tracker._detector = lambda _: [Spot(box, 0.9, "right")]
    found = run(world, tracker, 30, start=5)
    assert abs(found[20][0].hand.keypoints_2d.mean(0)[0] - 60) < 20
    np.testing.assert_allclose(found[-1][0].hand.keypoints_2d.mean(0), real + SHAPE.mean(0), atol=1)


def test_a_hand_that_sticks_out_of_its_spot_is_seen_in_a_wider_box(world):
    """The made model sees a hand only where all of it lies in the box."""
    left, top, right, bottom = world.box("left")
    quarter = (right - left) / 8
    spot = np.array([left + quarter, top + quarter, right - quarter, bottom - quarter])
    tracker = Tracker(lambda _: [Spot(spot, 0.9, "left")], world.pose, most_hands=1)
    (found,) = run(world, tracker, 1)
    assert found[0].state == "seen"
    np.testing.assert_allclose(found[0].hand.keypoints_2d, world.middles["left"] + SHAPE)


def test_spots_that_are_no_hands_keep_none_from_being_found(world):
    """Two spots that score higher are asked about too; the only place goes to the one that the model sees."""
    world.middles = {"left": np.array([240.0, 170.0])}
    nowhere = [Spot(np.array([x, 10.0, x + 60, 70.0]), score, "left") for x, score in ((10.0, 0.9), (90.0, 0.45))]
    tracker = Tracker(lambda _: [*nowhere, Spot(world.box("left"), 0.25, "left")], world.pose, most_hands=1)
    found = run(world, tracker, 3)
    assert [len(hands) for hands in found] == [1, 1, 1]
    np.testing.assert_allclose(found[0][0].hand.keypoints_2d, world.middles["left"] + SHAPE)


@pytest.mark.parametrize(("score", "presence", "begins"), [(0.3, np.nan, 0), (0.6, np.nan, 1), (0.6, 1.0, 0)])
def test_a_new_hand_needs_a_sure_model_or_where_that_cannot_judge_a_sure_spot(world, score, presence, begins):
    world.middles = {"left": np.array([100.0, 100.0])}

    def half_sure(*asked):
        return [replace(hand, peaks=np.full(21, 0.35), presence=presence) for hand in world.pose(*asked)]

    tracker = Tracker(lambda _: [Spot(world.box("left"), score, "left")], half_sure, most_hands=1)
    assert [len(hands) for hands in run(world, tracker, 2)] == [begins] * 2


@pytest.mark.parametrize(("peak", "kept"), [(0.47, False), (0.6, True)])
def test_a_hand_of_which_the_model_was_never_sure_is_let_go_when_it_doubts(world, peak, kept):
    """One that it was sure of stays while the model half sees it."""
    tracker = Tracker(world.detect, world.pose, most_hands=1)

    def peaked(value):
        return lambda *asked: [replace(hand, peaks=np.full(21, value)) for hand in world.pose(*asked)]

    tracker._pose = peaked(peak)
    assert len(run(world, tracker, 3)[-1]) == 1
    tracker._pose = peaked(0.35)
    assert [bool(hands) for hands in run(world, tracker, 3, start=3)] == [kept] * 3


@pytest.mark.parametrize(
    ("peak", "follows", "begun"), [(0.5, True, 1), (0.6, True, 2), (0.5, False, 1)], ids=["doubtful", "sure", "alone"]
)
def test_a_second_hand_begins_beside_one_that_is_followed_if_the_model_is_surer(world, peak, follows, begun):
    """A doubtful answer beside a hand is more often none; alone, or on the same picture, it is taken."""
    world.middles = {"left": np.array([80.0, 120.0])} if follows else {}

    def pose(*asked):
        return [
            replace(hand, peaks=np.full(21, peak)) if hand.keypoints_2d[:, 0].mean() > 160 else hand
            for hand in world.pose(*asked)
        ]

    tracker = Tracker(world.detect, pose)
    for frame in range(3):
        tracker(world.picture(), frame / 30)
    world.middles["right"] = np.array([240.0, 120.0])
    assert len([tracker(world.picture(), (3 + frame) / 30) for frame in range(3)][-1]) == begun


def test_a_hand_that_leaps_is_found_at_once_while_its_old_place_is_carried_on(world):
    """The only place is held by what the model does not see; the detector, asked at once, sees a hand elsewhere."""
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 5)
    world.middles = {"left": np.array([240.0, 60.0])}
    found = run(world, tracker, 3, start=5)
    np.testing.assert_allclose(found[1][0].hand.keypoints_2d, world.middles["left"] + SHAPE)
    assert found[1][0].state == "seen"


def test_a_hand_in_doubt_gives_its_place_to_one_that_the_model_is_sure_of(world):
    """After a cut the model half sees a hand at the old place; the new one is elsewhere, and one is followed."""
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 5)
    old = world.middles["left"] + SHAPE
    world.middles = {"left": np.array([240.0, 60.0])}

    def half_seen(*asked):
        hands = world.pose(*asked)
        unsure = {i for i, hand in enumerate(hands) if hand.peaks[0] < 0.5}
        return [replace(h, keypoints_2d=old, peaks=np.full(21, 0.3)) if i in unsure else h for i, h in enumerate(hands)]

    tracker._pose = half_seen
    found = run(world, tracker, 2, start=5)
    np.testing.assert_allclose(found[1][0].hand.keypoints_2d, world.middles["left"] + SHAPE)


def test_a_doubtful_answer_that_lies_on_the_hand_in_front_is_not_shown(world):
    """The hand behind is covered; the model answers its box with a hand a quarter beside the one in front, unsure."""
    move = towards_each_other(world, 120.0, 120.0)
    tracker = Tracker(world.detect, world.pose, most_hands=2)
    behind = next(one.track for one in run(world, tracker, 12, move)[-1] if one.hand.side == "right")
    del world.middles["right"]

    def covering(image, boxes, sides):
        hands = world.pose(image, boxes, sides)
        places = {track.number: track.box for track in tracker._tracks}
        return [
            replace(hand, keypoints_2d=world.middles["left"] + SHAPE + (15.0, 0.0), peaks=np.full(21, 0.35))
            if behind in places and np.array_equal(box, places[behind])
            else hand
            for hand, box in zip(hands, boxes, strict=True)
        ]

    tracker._pose, tracker._detector = covering, lambda _: []
    found = run(world, tracker, 3, start=12)
    assert all(len(hands) == 1 and hands[0].track != behind for hands in found)


def test_a_doubtful_hand_is_looked_at_where_the_detector_finds_it(world):
    """The model sees a hand that left a part of its box again, on the same picture and under the same number."""
    tracker = Tracker(world.detect, world.pose, most_hands=1)
    run(world, tracker, 5)
    world.middles = {"left": world.middles["left"] + 16}
    (found,) = run(world, tracker, 1, start=5)[0]
    assert (found.track, found.state) == (0, "seen")
    np.testing.assert_allclose(found.hand.keypoints_2d, world.middles["left"] + SHAPE)


def test_smoothing_of_ones_own_is_made_once_for_each_track(world):
    made = []

    def unsmoothed():
        made.append(1)
        return lambda uv, pose, crop_side, side, seconds: Smoothed(uv + 1, pose)

    found = run(world, Tracker(world.detect, world.pose, most_hands=1, smoother=unsmoothed), 3)
    assert len(made) == 1
    np.testing.assert_allclose(found[2][0].smoothed.keypoints_2d, found[2][0].hand.keypoints_2d + 1)


def test_an_empty_picture_has_no_hands():
    assert Tracker(lambda _: [], World().pose)(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0.0) == []
