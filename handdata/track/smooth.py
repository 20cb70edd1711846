"""Smoothing of keypoints over time: less jitter where a hand rests, little lag where it moves. Pure NumPy.

Source:
    Casiez, Roussel and Vogel, 1 euro filter, CHI 2012, equations 1 to 5.

The 2D constants treat the middle of the hand and the points about it apart: one filter for both made errors of 1 % of
the crop larger, two make them smaller (docs/method.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GAP_S = 0.2  # without a hand, after which smoothing starts anew
RATE = 30.0  # per second, that the limits are given for
MOST_2D, MOST_3D = 0.25, 0.45  # step of a keypoint in 1 / RATE s: crop sides, units of the normalised pose


@dataclass(frozen=True, slots=True)
class EuroSettings:
    """Cut-off frequencies of a filter.

    Attributes:
        least_hz: at rest.
        per_speed: added per unit and second of speed.
        speed_hz: of the low-pass that the speed is taken from.
    """

    least_hz: float
    per_speed: float
    speed_hz: float = 1.0


MIDDLE_2D, ABOUT_2D, POSE_3D = EuroSettings(3, 60), EuroSettings(1, 10), EuroSettings(1, 3)


class EuroFilter:
    """One filter of points that arrive one after the other, each point with a cut-off of its own.

    Args:
        settings: cut-off frequencies.

    Example:
        >>> import numpy as np
        >>> still = EuroFilter(EuroSettings(least_hz=1.0, per_speed=0.0))
        >>> [round(float(still(np.array([[x]]), t)[0, 0]), 3) for t, x in enumerate([0.0, 1.0, 1.0])]
        [0.0, 0.863, 0.981]
    """

    def __init__(self, settings: EuroSettings) -> None:
        self._settings = settings
        self._value: Floats | None = None
        self._speed: Floats = np.zeros(0)
        self._seconds = 0.0

    def __call__(self, points: ArrayLike, seconds: float, unit: float = 1.0) -> Floats:
        """Return the points, smoothed.

        Args:
            points: (K, D) points now; K and D never change.
            seconds: the clock, later than before; a point that arrives at the same time changes nothing.
            unit: length that speeds are counted in, such as the side of the crop.
        """
        now = np.asarray(points, np.float64)
        if self._value is None:
            self._value, self._speed = now, np.zeros_like(now)
        elif (elapsed := seconds - self._seconds) > 0:
            share = _share(self._settings.speed_hz, elapsed)
            self._speed = share * (now - self._value) / elapsed + (1 - share) * self._speed
            length = np.linalg.norm(self._speed, axis=-1, keepdims=True) / unit
            share = _share(self._settings.least_hz + self._settings.per_speed * length, elapsed)
            self._value = share * now + (1 - share) * self._value
        self._seconds = seconds
        return self._value


def _share(hz: float | Floats, elapsed: float) -> Floats:
    """Return the weight of the newest value in a low-pass."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * hz * elapsed)))


@dataclass(frozen=True)
class Smoothed:
    """One hand's smoothed points.

    Attributes:
        keypoints_2d: (21, 2) px.
        keypoints_3d_normalized: (21, 3).
    """

    keypoints_2d: Floats
    keypoints_3d_normalized: Floats


Smoother = Callable[[Floats, Floats, float, str, float], Smoothed]  # the arguments of `HandSmoother.__call__`


class HandSmoother:
    """Smooths one hand; starts anew after a gap of 0.2 s and when the side changes.

    A step that no hand makes is cut to the longest one that hands make.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._middle, self._about, self._pose = (EuroFilter(s) for s in (MIDDLE_2D, ABOUT_2D, POSE_3D))
        self._before: tuple[Floats, Floats, float, str] | None = None

    def __call__(self, uv: Floats, pose: Floats, crop_side: float, side: str, seconds: float) -> Smoothed:
        """Smooth the points of one picture.

        Args:
            uv: (21, 2) px.
            pose: (21, 3) normalised pose.
            crop_side: of the square that the hand was found in, px.
            side: "left" or "right".
            seconds: the clock.
        """
        if self._before is not None:
            old_uv, old_pose, then, old_side = self._before
            if side != old_side or not 0 <= seconds - then <= GAP_S:
                self.reset()
            else:
                frames = (seconds - then) * RATE
                uv = _limited(uv, old_uv, MOST_2D * crop_side * frames)
                pose = _limited(pose, old_pose, MOST_3D * frames)
        self._before = uv, pose, seconds, side
        middle = uv.mean(0, keepdims=True)
        calm = self._middle(middle, seconds, crop_side) + self._about(uv - middle, seconds, crop_side)
        return Smoothed(calm, self._pose(pose, seconds))


def _limited(points: Floats, before: Floats, most: float) -> Floats:
    """Cut each point's step since `before` to a length."""
    step = points - before
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    limited: Floats = before + step * np.minimum(1, most / np.maximum(length, 1e-12))
    return limited
