"""A second opinion on tracked boxes: how sure the model of keypoints is of a hand in the box.

A tracker that has slid off the hand still says that all is well, and so may the colours in its box. The mean height of
the peaks of the model's 21 maps tells a hand from what is none.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from handdata.annotate.pictures import Pictures
from handdata.annotate.timeline import FrameBox
from handdata.annotate.tracker import Image
from handdata.boxes import Box
from handdata.errors import HanddataError
from handdata.pictures.crops import meets_picture

ROOM = 1.3  # of what the model is shown over the box: as it learnt

AskSureness = Callable[[Image, Box], float]  # (BGR picture, box) -> mean height of the peaks, 0..1


class SecondLooks:
    """What the model said of boxes, the last of each frame. One thread may look, any may read."""

    def __init__(self, pictures: Pictures, ask: AskSureness | None) -> None:
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
                sure = self._ask(self._pictures.read(frame), box)
        self._said[frame] = (box, sure)
        self.num_done += 1


def ask_compact() -> AskSureness:
    """Return what asks the weights `compact`, which are loaded when they are first asked."""
    loaded: list[Callable[..., Any]] = []

    def ask(image: Image, box: Box) -> float:
        from handdata.model.model import load_model  # noqa: PLC0415 - torch is imported when it is first needed

        if not loaded:
            loaded.append(load_model("compact", "cpu"))
        x, y, w, h = box
        half = max(w, h) * ROOM / 2
        square = np.array([x + w / 2 - half, y + h / 2 - half, x + w / 2 + half, y + h / 2 + half])
        if not meets_picture(square, image.shape[1], image.shape[0]):
            return 0.0
        hand = loaded[0]([np.ascontiguousarray(image[..., ::-1])], [square], ["auto"])[0]
        return 0.0 if hand.peaks is None else float(np.mean(hand.peaks))

    return ask
