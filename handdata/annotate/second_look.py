"""A second opinion on tracked boxes: where the model of keypoints sees the hand, and how sure it is of it.

A tracker that has slid off the hand still says that all is well, and so may the colours in its box. The model says
where the 21 points are in a square round the box. A box that does not lie round them as the drawn one did, or in which
the model is unsure of a hand, is doubtful.
"""

from collections.abc import Sequence
from contextlib import suppress

from handdata.annotate.guided import AskHand, SeenHand, square_round
from handdata.annotate.pictures import Pictures
from handdata.annotate.timeline import FrameBox
from handdata.boxes import Box
from handdata.errors import HanddataError

ROOM = 1.3  # of what the model is shown over the box: as it learnt


class SecondLooks:
    """What the model said of boxes, the last of each frame. One thread may look, any may read."""

    def __init__(self, pictures: Pictures, ask: AskHand | None) -> None:
        self._pictures, self._ask = pictures, ask
        self._said: dict[int, tuple[Box, SeenHand | None]] = {}
        self.num_done = 0

    def seen(self, frame: int, box: Box) -> SeenHand | None:
        """Return what the model sees round a box; None if it was not asked about that one."""
        said = self._said.get(frame)
        return said[1] if said is not None and said[0] == box else None

    def to_look_at(self, cells: Sequence[FrameBox], focus: int, most: int) -> list[tuple[int, Box]]:
        """Return frames whose boxes are to be looked at, `most` of them, nearest after `focus`, then before.

        Drawn boxes beside tracked ones are among them: how those lie round the points tells how the others should.
        """
        found: list[tuple[int, Box]] = []
        if self._ask is None:
            return found
        for frame in (*range(focus, len(cells)), *range(min(focus, len(cells)) - 1, -1, -1)):
            box = cells[frame].box
            drawn = cells[frame].kind == "person" and any(map(_is_made, cells[max(frame - 1, 0) : frame + 2]))
            asked = drawn or _is_made(cells[frame])
            if asked and box is not None and self._said.get(frame, (None, None))[0] != box:
                found.append((frame, box))
            if len(found) == most:
                break
        return found

    def look(self, frame: int, box: Box) -> None:
        """Ask the model about a box; a picture that cannot be read says nothing."""
        seen = None
        if self._ask is not None:
            with suppress(HanddataError):  # tracking names it
                seen = self._ask(self._pictures.read(frame), square_round(box, ROOM))
        self._said[frame] = (box, seen)
        self.num_done += 1


def _is_made(cell: FrameBox) -> bool:
    return cell.source in ("tracker", "interpolated") and cell.settled and not cell.accepted
