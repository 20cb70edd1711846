"""The second opinion on tracked boxes: asked once for each box, raises the doubt where there is no hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from handdata.annotate.guided import SeenHand, square_round
from handdata.annotate.looks import with_sureness
from handdata.annotate.second_look import ROOM
from handdata.annotate.session import Session
from handdata.boxes import Box
from tests.annotate.conftest import EXACT, place


def test_low_peaks_add_to_the_doubt_and_high_ones_take_from_it() -> None:
    unlike = np.array([0.3, 0.3, 0.3, 0.9])

    assert with_sureness(unlike, np.array([math.nan, 0.6, 0.2, 0.1])).tolist() == pytest.approx([0.3, 0.01, 0.81, 1.0])


def test_every_tracked_box_is_asked_about_once_and_what_was_said_shows(pictures, tmp_path: Path) -> None:
    asked: list[Box] = []

    def ask(image: np.ndarray, box: Box) -> SeenHand:
        asked.append(box)
        return SeenHand(box, 0.1 if len(asked) == 2 else 0.9)  # the first question is of nothing: it loads the model

    session = Session(pictures, tmp_path / "boxes.csv", EXACT, ask=ask)
    try:
        session.keyframe(0, tuple(place(0)))
        while session.work():
            pass
        tracked = [cell for cell in session.cells() if cell.source == "tracker"]

        assert sorted(asked[1:]) == sorted(square_round(cell.box, ROOM) for cell in tracked)
        assert [cell.reason for cell in tracked if cell.doubt > 0.5] == ["looks"]
        assert not session.work()

        x, y, w, h = place(5)
        session.keyframe(5, (x + 4, y, w, h))
        while session.work():
            pass
        assert len(asked) > 1 + len(tracked)  # boxes that changed
    finally:
        session.close()
