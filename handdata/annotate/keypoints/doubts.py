"""How doubtful each point of a hand is, 0 sure to 1, and of what. Pure.

Four questions: do the model and the flow agree, is any estimate sure, is a bone longer than this person's own, can a
hand take that pose. Points that a person placed or accepted are not doubted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.estimate import Guess
from handdata.skeleton import BONES, NUM_KEYPOINTS, WRIST

Floats = NDArray[np.float64]

REASONS = ("lost", "apart", "bones", "fit", "unsure")
FAR_APART = 0.30  # of the hand's size between model and flow: doubt 1
VERY_UNSURE = 0.25  # of the hand's size, a standard deviation: doubt 1
TOO_LONG = 0.5  # of a bone's longest length beyond it: doubt 1
ALLOWED = 1.1  # of the longest length that a bone was seen with
UNFIT = 0.25  # of the hand's size between a point and the fitted hand's: doubt 1
FEWEST_SEEN = 3  # frames with a bone before its length tells something
_PALM = tuple(child for start, child in BONES if start == WRIST)


@dataclass
class Doubt:
    """The doubts of a hand's points so far; the largest of each stays, with its reason."""

    values: Floats
    reasons: list[str]

    def note(self, values: Floats, reason: str) -> None:
        """Take in the doubts of one question, (21,); NaN says nothing."""
        for k, value in enumerate(values):
            if np.isfinite(value) and value > self.values[k] + 1e-9:
                self.values[k], self.reasons[k] = min(float(value), 1.0), reason


def no_doubt() -> Doubt:
    """Return no doubt at all."""
    return Doubt(np.zeros(NUM_KEYPOINTS), [""] * NUM_KEYPOINTS)


def apart(flow: Guess, model: Guess, size: float) -> Floats:
    """Return the doubts of points whose flow leads elsewhere than the model."""
    return np.asarray(np.linalg.norm(flow.uv - model.uv, axis=1) / (FAR_APART * size))


def unsure(sd: Floats, size: float) -> Floats:
    """Return the doubts of points without a sure estimate."""
    return np.where(np.isfinite(sd), sd / (VERY_UNSURE * size), 1.0)


def bone_lengths(uv: Floats) -> Floats:
    """Return (..., 20) lengths of the bones in a picture, in mean lengths of the palm's; NaN where not known."""
    ends = np.array(BONES)
    lengths = np.linalg.norm(uv[..., ends[:, 1], :] - uv[..., ends[:, 0], :], axis=-1)
    palm = lengths[..., [BONES.index((WRIST, child)) for child in _PALM]].mean(axis=-1, keepdims=True)
    return np.asarray(lengths / np.maximum(palm, 1e-6))


def longest_bones(uv: Floats) -> Floats:
    """Return (20,) the longest that each bone was seen in (N, 21, 2) hands of one person; NaN where seen too seldom."""
    lengths = bone_lengths(uv)
    seen = np.isfinite(lengths).sum(axis=0)
    longest = np.nanmax(np.where(np.isfinite(lengths), lengths, -np.inf), axis=0, initial=-np.inf)
    return np.where(seen >= FEWEST_SEEN, longest, np.nan)


def too_long(uv: Floats, longest: Floats) -> Floats:
    """Return the doubts of points at the ends of bones that are longer than the person's own, (21,)."""
    excess = np.maximum(bone_lengths(uv) / (longest * ALLOWED) - 1, 0) / TOO_LONG
    found = np.zeros(NUM_KEYPOINTS)
    for (start, child), doubt in zip(BONES, excess, strict=True):
        if doubt > 0:
            found[child] = max(found[child], doubt)
            found[start] = max(found[start], doubt) if start != WRIST else found[start]
    return found


def unfit(uv: Floats, fitted_uv: Floats, size: float) -> Floats:
    """Return the doubts of points that lie beside those of the hand that was fitted."""
    return np.asarray(np.linalg.norm(uv - fitted_uv, axis=1) / (UNFIT * size))
