"""What of a hand keeps its length: the 20 bones, and between the knuckles 7 bars that the palm holds apart. Pure.

Shape letters: F frames; 27 bars, the first 20 as in skeleton.BONES; mm.
"""

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import BONES, INDEX

Floats = NDArray[np.float64]

ACROSS = [("index", "middle"), ("middle", "ring"), ("ring", "little"), ("index", "ring"), ("middle", "little"),
          ("index", "little"), ("thumb", "index")]  # fmt: skip
BARS = (*BONES, *((INDEX[f"{a}_mcp"], INDEX[f"{b}_mcp"]) for a, b in ACROSS))
STARTS, ENDS = (list(side) for side in zip(*BARS, strict=True))

# mm and share of the length: the mean and the spread over 400 rendered people, made the same size, labelled as people
# click (`convention="annotated"`); see benchmarks/depth_labels.py --people
USUAL_MM = np.array(
    [
        *(33.9, 29.6, 31.7, 22.3),  # thumb: from the wrist to its base, then on to the tip
        *(82.7, 34.7, 22.8, 21.1),  # index
        *(79.0, 39.9, 26.9, 21.3),  # middle
        *(76.4, 35.6, 22.7, 20.7),  # ring
        *(72.9, 28.5, 15.1, 15.4),  # little
        *(22.9, 20.5, 18.5, 42.5, 38.1, 59.0, 62.6),  # across the palm
    ]
)
SPREAD = np.array(
    [
        *(0.059, 0.026, 0.068, 0.115),
        *(0.035, 0.081, 0.121, 0.073),
        *(0.039, 0.027, 0.094, 0.090),
        *(0.038, 0.057, 0.041, 0.048),
        *(0.039, 0.053, 0.087, 0.050),
        *(0.042, 0.049, 0.062, 0.040, 0.044, 0.039, 0.058),
    ]
)
LEAST_SPREAD = 0.05  # real people are no rendered ones
SIZE_SPREAD, PALM_SPREAD = 0.25, 0.08  # of hands, and of their palms against their fingers
PALM = [b % 4 == 0 or b >= len(BONES) for b in range(len(BARS))]


def lengths_of(xyz: Floats) -> Floats:
    """Return the lengths of the bars, (..., 27) mm, of (..., 21, 3) points."""
    return np.asarray(np.linalg.norm(xyz[..., ENDS, :] - xyz[..., STARTS, :], axis=-1), np.float64)


def usual_weight() -> Floats:
    """Return how surely a person's bars are the usual ones: (27, 27), the inverse covariance, 1 / mm^2."""
    own = np.diag(np.maximum(SPREAD, LEAST_SPREAD) ** 2)
    palm = np.where(PALM, 1.0, -1.0) * PALM_SPREAD / 2
    shares = own + SIZE_SPREAD**2 + palm[:, None] * palm
    return np.asarray(np.linalg.inv(shares * USUAL_MM[:, None] * USUAL_MM), np.float64)
