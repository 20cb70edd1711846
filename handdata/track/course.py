"""Where a hand is going, by all places that it was seen at: where hands cross, the last ones may be the other's.

A g-h filter that begins as a line through all places (Brookner, Tracking and Kalman Filtering Made Easy, 1998, chapter
1, calls it growing memory) and then forgets the oldest.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PLACE, MOTION = 0.3, 0.1  # weights of a new place in what is known of place and motion, once the oldest are forgotten

Point = NDArray[np.float64]


@dataclass
class Course:
    """Place and motion of one hand.

    Attributes:
        place: (2,) px, where it is by all that was seen; NaN before the first.
        motion: (2,) px per picture.
        seen: places.
    """

    place: Point = field(default_factory=lambda: np.full(2, np.nan))
    motion: Point = field(default_factory=lambda: np.zeros(2))
    seen: int = 0

    @property
    def ahead(self) -> Point:
        """Where it should be on the next picture, (2,) px."""
        return self.place + self.motion

    def go_on(self) -> None:
        """Pass a picture on which it is not seen."""
        self.place = self.ahead

    def see(self, place: Point, pictures: int = 1) -> None:
        """Take in a place, (2,) px, so many pictures after the last one that was taken in or passed."""
        self.seen += 1
        if self.seen == 1:
            self.place = place
            return
        n = self.seen
        expected = self.place + pictures * self.motion
        off = place - expected
        self.place = expected + max(PLACE, (4 * n - 2) / (n * (n + 1))) * off
        self.motion = self.motion + max(MOTION, 6 / (n * (n + 1))) * off / pictures
