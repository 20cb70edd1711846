"""What a detector of hands is, and what it answers. No torch here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Spot:
    """A hand that was found in a picture.

    Attributes:
        box_xyxy: (4,) left, top, right, bottom, px of the picture; may reach out of it.
        score: 0..1.
        side: "left" or "right": a first guess.
    """

    box_xyxy: NDArray[np.float64]
    score: float
    side: str


Detector = Callable[[NDArray[np.uint8]], list[Spot]]
