"""The second opinion on tracked boxes: asked once for each box, it raises doubt where the hand is seen elsewhere."""

import math

import numpy as np
import pytest

from handdata.annotate.guided import NO_HAND, SURE, UNSURE, USUAL, SeenHand, around_of, laid, square_round
from handdata.annotate.marks import person
from handdata.annotate.opinion import NEAR, agreement, doubts, weighed
from handdata.annotate.second_look import ROOM
from handdata.annotate.session import Session
from handdata.annotate.tracking import SequenceTracks
from handdata.boxes import Box
from tests.annotate.conftest import EXACT, NUM_FRAMES, place

POINTS = (50.0, 40.0, 30.0, 36.0)
BOX = laid(POINTS, USUAL)
LONG = 4 * NEAR + 1  # frames


def agrees(boxes: list[Box | None], hands: list[SeenHand | None], drawn: bool = True) -> list[float]:
    around = around_of(SeenHand(POINTS, 0.8), BOX)
    assert around is not None
    return agreement(boxes, hands, [around] if drawn else []).tolist()


def test_the_model_agrees_with_a_box_that_lies_round_its_points_as_the_drawn_one_did() -> None:
    hands = [SeenHand(POINTS, 0.8)] * LONG
    apart = (BOX[0] + BOX[2] / 2, *BOX[1:])

    assert agrees([BOX] * LONG, hands) == pytest.approx([1.0] * LONG, abs=0.01)
    assert agrees([apart] * LONG, hands) == pytest.approx([1 / 3] * LONG, abs=0.01)


def test_the_model_agrees_the_less_the_less_sure_it_is() -> None:
    assert agrees([BOX], [SeenHand(POINTS, SURE / 2)]) == pytest.approx([0.5], abs=0.01)
    assert agrees([BOX], [NO_HAND]) == [0.0]


def test_one_odd_opinion_among_others_counts_little() -> None:
    hands = [SeenHand(POINTS, 0.8)] * LONG
    hands[LONG // 2] = NO_HAND
    found = agrees([BOX] * LONG, hands)

    assert found[LONG // 2] == pytest.approx(1 - 1 / (2 * NEAR + 1), abs=0.01)
    assert found[0] == pytest.approx(1.0, abs=0.01)


def test_without_a_hand_in_the_drawn_box_the_model_has_no_say() -> None:
    assert around_of(SeenHand(POINTS, UNSURE - 0.01), BOX) is None
    assert np.isnan(agrees([BOX], [SeenHand(POINTS, 0.8)], drawn=False)).all()
    assert np.isnan(agrees([BOX, None], [None, SeenHand(POINTS, 0.8)])).all()


def test_doubt_grows_as_the_model_disagrees_and_its_reason_is_what_says_most() -> None:
    unlike = np.array([0.4, 0.4, 0.4, 0.0, 1.0])
    found = doubts(unlike, np.array([math.nan, 0.95, 0.5, 0.0, 0.9]))

    assert found["looks"].tolist() == pytest.approx([0.4, 0.13, 0.0, 0.0, 0.3])
    assert found["model"].tolist() == pytest.approx([0.0, 0.0, 0.58, 1.0, 0.0])


def test_a_jump_counts_less_where_the_model_sees_the_hand_but_a_leap_stays() -> None:
    agrees = np.array([math.nan, 0.9, 0.0, 0.9])

    assert weighed(np.array([0.8, 0.8, 0.8, 1.0]), agrees).tolist() == pytest.approx([0.8, 0.08, 0.8, 1.0])


def test_every_tracked_box_and_the_drawn_one_are_asked_about_once_and_what_was_said_shows(pictures, tmp_path) -> None:
    asked: list[Box] = []
    gone = 12  # from this frame on the model sees no hand

    def ask(_image: np.ndarray, square: Box | None) -> SeenHand:
        assert square is not None
        asked.append(square)
        return SeenHand(square_round(square, 1 / ROOM), 0.9 if square[0] < place(gone)[0] - 7 else 0.0)

    session = Session(pictures, tmp_path / "boxes.csv", EXACT, ask=ask)
    try:
        session.keyframe(0, tuple(place(0)))
        while session.work():
            pass
        cells = session.cells()

        assert sorted(asked[1:]) == sorted(square_round(cell.box, ROOM) for cell in cells)  # the first loads the model
        assert [cell.reason for cell in cells[gone + NEAR :]] == ["model"] * (NUM_FRAMES - gone - NEAR)
        assert all(cell.doubt == 1 for cell in cells[gone + NEAR :])
        assert all(cell.doubt < 0.5 for cell in cells[: gone - NEAR])
        assert not session.work()

        x, y, w, h = place(5)
        session.keyframe(5, (x + 4, y, w, h))
        while session.work():
            pass
        assert len(asked) > 1 + len(cells)  # boxes that changed
    finally:
        session.close()


def test_boxes_drawn_far_from_any_tracked_one_are_not_asked_about(pictures) -> None:
    board = SequenceTracks(pictures, EXACT, lambda _image, _square: NO_HAND)
    marks = {frame: person(place(frame)) for frame in range(NUM_FRAMES)}
    board.next_look(marks, 0, 0)()

    assert board.next_look(marks, 0, 0) is None
