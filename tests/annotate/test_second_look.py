"""The second opinion on tracked boxes: asked once for each box, raises the doubt where there is no hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from handdata.annotate.looks import with_sureness
from handdata.annotate.session import Session
from handdata.boxes import Box
from tests.annotate.conftest import place


def test_low_peaks_add_to_the_doubt_and_high_ones_take_from_it() -> None:
    unlike = np.array([0.3, 0.3, 0.3, 0.9])

    assert with_sureness(unlike, np.array([math.nan, 0.6, 0.2, 0.1])).tolist() == pytest.approx([0.3, 0.1, 0.9, 1.0])


def test_every_tracked_box_is_asked_about_once_and_what_was_said_shows(pictures, tmp_path: Path) -> None:
    asked: list[Box] = []

    def ask(image: np.ndarray, box: Box) -> float:
        asked.append(box)
        return 0.1 if len(asked) == 1 else 0.9

    session = Session(pictures, tmp_path / "boxes.csv", ask=ask)
    try:
        session.keyframe(0, tuple(place(0)))
        while session.work():
            pass
        tracked = [cell for cell in session.cells() if cell.source == "tracker"]

        assert sorted(asked) == sorted(cell.box for cell in tracked)
        assert [cell.reason for cell in tracked if cell.doubt > 0.5] == ["looks"]
        assert not session.work()

        session.keyframe(5, tuple(place(5)))
        while session.work():
            pass
        assert len(asked) > len(tracked)  # boxes that changed
    finally:
        session.close()
