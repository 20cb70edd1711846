"""A second opinion on tracked boxes: how sure the model of keypoints is of a hand in the box.

A tracker that has slid off the hand still says that all is well, and so may the colours in its box. The mean height of
the peaks of the model's 21 maps tells a hand from what is none.
"""

import math
from collections.abc import Sequence
from contextlib import suppress

from handdata.annotate.guided import AskHand, square_round
from handdata.annotate.pictures import Pictures
from handdata.annotate.timeline import FrameBox
from handdata.boxes import Box
from handdata.errors import HanddataError

ROOM = 1.3  # of what the model is shown over the box: as it learnt


class SecondLooks:
    """What the model said of boxes, the last of each frame. One thread may look, any may read."""

    def __init__(self, pictures: Pictures, ask: AskHand | None) -> None:
        self._pictures, self._ask = pictures, ask
        self._said: dict[int, tuple[Box, float]] = {}
        self.num_done = 0

    def sureness(self, frame: int, box: Box) -> float:
        """Return how sure the model is of a hand in a box, 0..1; NaN if it was not asked about that one."""
        said = self._said.get(frame)
        return said[1] if said is not None and said[0] == box else math.nan

    def to_look_at(self, cells: Sequence[FrameBox], focus: int, most: int) -> list[tuple[int, Box]]:
        """Return frames whose boxes are to be looked at, `most` of them, nearest after `focus`, then before."""
        found: list[tuple[int, Box]] = []
        if self._ask is None:
            return found
        for frame in (*range(focus, len(cells)), *range(min(focus, len(cells)) - 1, -1, -1)):
            cell = cells[frame]
            made = cell.source in ("tracker", "interpolated") and cell.settled and not cell.accepted
            if made and cell.box is not None and self._said.get(frame, (None, 0.0))[0] != cell.box:
                found.append((frame, cell.box))
            if len(found) == most:
                break
        return found

    def look(self, frame: int, box: Box) -> None:
        """Ask the model about a box; a picture that cannot be read says nothing."""
        sure = math.nan
        if self._ask is not None:
            with suppress(HanddataError):  # tracking names it
                sure = self._ask(self._pictures.read(frame), square_round(box, ROOM)).sure
        self._said[frame] = (box, sure)
        self.num_done += 1
