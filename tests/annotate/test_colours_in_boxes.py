"""The colours in a box tell when a tracker has slid off the hand."""

import numpy as np
import pytest

from handdata.annotate.looks import look_of, unlikeness
from handdata.annotate.marks import person
from handdata.annotate.pictures import Pictures
from handdata.annotate.tracking import SequenceTracks
from tests.annotate.conftest import EXACT, place

SKIN, DESK = (110, 140, 200), (120, 90, 60)  # BGR


def scene() -> np.ndarray:
    """A hand of 40 x 40 px on a desk."""
    image = np.full((100, 160, 3), DESK, np.uint8)
    image[30:70, 20:60] = SKIN
    return image


def test_the_hand_is_like_itself_also_half_as_bright_and_the_desk_is_not() -> None:
    drawn = look_of(scene(), (20, 30, 40, 40))

    assert unlikeness(drawn, look_of(scene(), (20, 30, 40, 40))) == 0
    assert unlikeness(drawn, look_of(scene() // 2, (20, 30, 40, 40))) < 0.3
    assert unlikeness(drawn, look_of(scene(), (100, 30, 40, 40))) == 1


@pytest.mark.parametrize("box", [(-50.0, 0.0, 40.0, 40.0), (200.0, 10.0, 40.0, 40.0)])
def test_a_box_outside_the_picture_is_unlike_anything(box: tuple[float, float, float, float]) -> None:
    assert look_of(scene(), box) is None
    assert unlikeness(look_of(scene(), (20, 30, 40, 40)), None) == 1


def test_what_is_tracked_is_doubted_by_its_looks(pictures: Pictures) -> None:
    board, marks = SequenceTracks(pictures, EXACT), {0: person(place(0))}
    while (job := board.next_job(marks, 0)) is not None:
        board.do(job)

    cells = board.cells(marks, 0)
    assert max(cell.doubt for cell in cells[1:]) < 0.1  # the target keeps its colours
