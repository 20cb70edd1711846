"""A box guided by a model lies around the model's points as the drawn one did, where the model is sure of a hand."""

import numpy as np
import pytest

from handdata.annotate.guided import (
    NO_HAND,
    PULL,
    SEARCH_EVERY,
    SURE,
    UNSURE,
    USUAL,
    GuidedFollower,
    SeenHand,
    square_round,
)
from handdata.annotate.tracker import Follower, Image, TrackerSettings
from handdata.boxes import Box
from tests.annotate.conftest import textured

GROUND = textured(240, 320, 3)
POINTS = (110.0, 85.0, 40.0, 64.0)  # what the model sees of the drawn hand


def usual(points: Box) -> Box:
    """The box that a person usually draws round a hand whose points lie in a box."""
    x, y, w, h = points
    wide, high = w * np.exp(USUAL[2]), h * np.exp(USUAL[3])
    return x + w / 2 + USUAL[0] * w - wide / 2, y + h / 2 + USUAL[1] * h - high / 2, wide, high


DRAWN = usual(POINTS)
SETTINGS = TrackerSettings()


class Model:
    """Says what it is told to, and of the whole picture what `anywhere` is."""

    def __init__(self, box: Box = POINTS, sure: float = 0.8) -> None:
        self.box, self.sure = box, sure
        self.anywhere = NO_HAND
        self.shown: list[Box | None] = []

    def __call__(self, _image: Image, square: Box | None) -> SeenHand:
        self.shown.append(square)
        return self.anywhere if square is None else SeenHand(self.box, self.sure, "left")


def moved(box: Box, dx: float, dy: float, times: float = 1.0) -> Box:
    x, y, w, h = box
    return x + dx + w * (1 - times) / 2, y + dy + h * (1 - times) / 2, w * times, h * times


def center_of(box: Box) -> list[float]:
    return [box[0] + box[2] / 2, box[1] + box[3] / 2]


def test_the_box_goes_to_where_it_lies_around_the_points_as_the_drawn_one_did() -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.box = moved(POINTS, 12, -6, 1.2)
    first = follower.follow(GROUND)
    for _ in range(60):
        last = follower.follow(GROUND)

    start, wanted = np.array(center_of(DRAWN)), np.array(center_of(usual(model.box)))
    assert center_of(first) == pytest.approx(start + PULL[:2] * (wanted - start), abs=0.3)
    assert last == pytest.approx(usual(model.box), abs=1.5)


@pytest.mark.parametrize(("times", "kept"), [(1.1, 0.3), (2.0, 0.95)])
def test_a_box_drawn_unlike_the_usual_stays_so_if_it_is_far_from_it(times: float, kept: float) -> None:
    """A little is what the model is off by in that one frame; a lot is how this person draws."""
    drawn = moved(DRAWN, 0, 0, times)
    follower = GuidedFollower(GROUND, drawn, SETTINGS, Model())
    for _ in range(60):
        last = follower.follow(GROUND)

    share = np.log(last[2] / DRAWN[2]) / np.log(times)
    assert share == pytest.approx(kept, abs=0.12)


@pytest.mark.parametrize("never", ["at the start", "later"])
def test_where_the_model_is_unsure_the_tracker_is_left_alone(never: str) -> None:
    model = Model(sure=UNSURE - 0.01 if never == "at the start" else 0.8)
    guided, alone = GuidedFollower(GROUND, DRAWN, SETTINGS, model), Follower(GROUND, DRAWN, SETTINGS)
    model.box, model.sure = moved(POINTS, 30, 30), 0.8 if never == "at the start" else UNSURE - 0.01

    for shift in (2, 4, 6):
        image = np.roll(GROUND, shift, axis=1)
        assert guided.follow(image) == alone.follow(image)


def test_the_less_sure_the_model_is_the_less_it_pulls() -> None:
    steps = []
    for sure in (SURE + 0.2, SURE, (SURE + UNSURE) / 2):
        model = Model()
        follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
        model.box, model.sure = moved(POINTS, 12, 0), sure
        steps.append(follower.follow(GROUND)[0] - DRAWN[0])

    assert steps == pytest.approx([1.8, 1.8, 0.9], abs=0.2)


def test_a_lost_box_comes_back_where_the_model_is_sure_of_a_hand() -> None:
    model, dark = Model(), np.zeros_like(GROUND)
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.sure = 0.1
    assert follower.follow(dark) is None
    model.sure, model.box = 0.8, moved(POINTS, 25, 5)

    assert follower.follow(dark) == pytest.approx(moved(DRAWN, 25, 5), abs=0.1)


def test_a_box_that_the_sure_model_sees_far_off_goes_there_at_once() -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.box = moved(POINTS, 30, 20)

    assert follower.follow(GROUND) == pytest.approx(moved(DRAWN, 30, 20), abs=0.5)


def test_a_half_sure_model_does_not_make_a_box_leap() -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.box, model.sure = moved(POINTS, 30, 20), SURE - 0.05
    x, *_ = follower.follow(GROUND)

    assert 0 < x - DRAWN[0] < 30 * PULL[0]


FAR = moved(POINTS, 120, 40)


def test_where_no_hand_is_in_the_box_the_picture_is_searched_now_and_then() -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.sure = 0.0
    for _ in range(2 * SEARCH_EVERY):
        assert follower.follow(GROUND) == pytest.approx(DRAWN, abs=0.5)
    assert model.shown.count(None) == 2

    model.anywhere = SeenHand(FAR, 0.8, "left")
    assert follower.follow(GROUND) == pytest.approx(moved(DRAWN, 120, 40), abs=0.5)
    assert model.shown[-1] is None


@pytest.mark.parametrize(
    "other",
    [
        SeenHand(FAR, 0.8, "right"),
        SeenHand(FAR, SURE - 0.05, "left"),
        SeenHand(moved(FAR, 0, 0, 2.2), 0.8, "left"),
        SeenHand(moved(FAR, 0, 0, 0.4), 0.8, "left"),
    ],
    ids=["other side", "unsure", "much larger", "much smaller"],
)
def test_the_box_does_not_go_to_a_hand_unlike_the_drawn_one(other: SeenHand) -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    model.sure, model.anywhere = 0.0, other

    assert follower.follow(GROUND) == pytest.approx(DRAWN, abs=0.5)


def test_a_box_that_has_left_the_picture_comes_back_where_the_hand_is_found() -> None:
    model = Model()
    follower = GuidedFollower(GROUND, DRAWN, SETTINGS, model)
    follower._last = (-500.0, 0.0, *DRAWN[2:])
    model.anywhere = SeenHand(FAR, 0.8, "left")

    assert follower.follow(np.zeros_like(GROUND)) == pytest.approx(moved(DRAWN, 120, 40), abs=0.5)


def test_the_model_is_shown_a_square_round_where_the_box_is() -> None:
    model = Model()
    GuidedFollower(GROUND, DRAWN, SETTINGS, model).follow(GROUND)

    assert model.shown[0] == square_round(DRAWN, 1.4)
    assert model.shown[0][2:] == pytest.approx([1.4 * max(DRAWN[2:])] * 2)
    assert model.shown[1] == pytest.approx(model.shown[0], abs=0.5)
