"""Poses of signs and counting: each finger straight, folded or hooked by itself, or its tip on that of the thumb.

`pose.sample_angles` draws a hand whose fingers move together more often than not: a ring finger folded alone, or a
little finger stretched alone, is in few of its hands.
"""

import numpy as np

from handdata.synth.mesh import Floats
from handdata.synth.pose import constrain

STATES = (0.45, 0.45, 0.10)  # shares of straight, folded and hooked fingers
MCP, MCP_NOISE = (0.0, 75.0, 35.0), (6.0, 8.0, 14.0)  # degrees by state: mean and standard deviation
PIP, PIP_NOISE = (4.0, 92.0, 65.0), (5.0, 8.0, 14.0)
SPREAD = np.array([9.0, 2, -7, -12])  # degrees of abduction
TOUCHING = 0.3  # share of hands whose thumb touches a fingertip
# Flexions of the finger, the thumb's four angles; fitted on the mean hand so that the tips are as far apart as in `ok`.
TOUCH = np.array(
    [
        [55, 48, 32, 14, 31, 21, 26],
        [54, 48, 30, 20, 31, 21, 26],
        [56, 48, 30, 29, 34, 29, 29],
        [53, 45, 28, 36, 35, 38, 32],
    ]
)
THUMBS = np.array([[-22, -5, 0, 0], [0, 5, 10, 15], [29, 26, 37, 41], [20, -6, 9, 29], [10, 25, 20, 25]])
THUMB_NOISE = np.array([6.0, 7, 8, 10])
TOUCH_NOISE = 2.5  # standard deviation, degrees


def sample_signs(rng: np.random.Generator, count: int) -> Floats:
    """Draw (count, 22) angles, constrained, not yet tested for collisions."""
    state = rng.choice(3, p=STATES, size=(count, 4))
    noise = rng.normal(0, 1, (3, count, 4))
    mcp = np.take(MCP, state) + np.take(MCP_NOISE, state) * noise[0]
    pip = np.abs(np.take(PIP, state) + np.take(PIP_NOISE, state) * noise[1])
    dip = 0.6 * pip + 5 * noise[2]
    abd = rng.uniform(-0.3, 1.1, (count, 1)) * SPREAD + rng.normal(0, 2.5, (count, 4))
    cup = rng.uniform(0, 1, (count, 1)) * [5, 9]
    thumb = THUMBS[rng.integers(len(THUMBS), size=count)] + rng.normal(0, 1, (count, 4)) * THUMB_NOISE
    finger, touching = rng.integers(4, size=count), rng.random(count) < TOUCHING
    touch = TOUCH[finger] + rng.normal(0, TOUCH_NOISE, (count, 7))
    rows = np.flatnonzero(touching)
    for angles, column in ((mcp, 0), (pip, 1), (dip, 2)):
        angles[rows, finger[rows]] = touch[rows, column]
    thumb[rows] = touch[rows, 3:]
    return constrain(np.concatenate([mcp, pip, dip, abd, cup, thumb], 1))
