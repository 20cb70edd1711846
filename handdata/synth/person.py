"""Who is seen: size and shape of the hand, skin, nails, sleeve, ring."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.synth.color import Colors, tint, to_linear
from handdata.synth.frame import Style
from handdata.synth.hand import HandModel
from handdata.synth.mesh import Floats
from handdata.synth.style import LOOKS, Look

PALM_X_MM, PALM_Y_MM = (0.0, 110.0), (-55.0, 45.0)  # of the mean hand: where palm lines are drawn
PALM_PX_PER_MM = 3
METALS = ((0.83, 0.69, 0.35), (0.75, 0.75, 0.78))  # gold, silver, sRGB


@dataclass(frozen=True)
class Sleeve:
    """Cloth from `start` mm above the wrist on, `thickness` mm off the skin."""

    start: float
    thickness: float
    color: Colors
    striped: bool


@dataclass(frozen=True)
class FingerRing:
    """A band on finger 0..4, mm from the knuckle."""

    finger: int
    start: float
    width: float
    color: Colors


@dataclass(frozen=True)
class Person:
    """One person: (12,) shape components, size, and skin in 0..1 of melanin, blood and carotene."""

    beta: Floats
    scale: float
    melanin: float
    blood: float
    carotene: float
    roughness: float
    gloss: float
    bump: float
    wrinkles: float
    mottling: float
    waves: Floats  # (6, 4) wave vector per mm and phase of the mottling
    palm: NDArray[np.float32]  # (rows, columns) palm lines, 0..1
    polish: Colors | None
    sleeve: Sleeve | None
    ring: FingerRing | None


def draw_person(rng: np.random.Generator, hand: HandModel, style: Style) -> Person:
    """Draw a person as a style shows people."""
    look = LOOKS[style]
    beta, scale = hand.sample_shape(rng)
    directions = rng.normal(0, 1, (6, 3))
    directions *= (2 * np.pi / rng.uniform(9, 34, (6, 1))) / np.linalg.norm(directions, axis=1, keepdims=True)
    return Person(
        beta=beta,
        scale=scale,
        melanin=float(rng.beta(*look.melanin)),
        blood=rng.uniform(0.1, 0.9),
        carotene=rng.uniform(0, 0.7),
        roughness=rng.uniform(*look.roughness),
        gloss=rng.uniform(*look.gloss),
        bump=look.bump,
        wrinkles=rng.uniform(*look.wrinkles),
        mottling=rng.uniform(*look.mottling),
        waves=np.concatenate([directions, rng.uniform(0, 7, (6, 1))], 1),
        palm=_palm_lines(rng),
        polish=tint(rng, (0.1, 0.9), 0.4) if rng.random() < look.nail_polish else None,
        sleeve=_draw_sleeve(rng, look),
        ring=_draw_ring(rng, look),
    )


def _draw_sleeve(rng: np.random.Generator, look: Look) -> Sleeve | None:
    if rng.random() >= look.sleeve:
        return None
    color = tint(rng, (0.05, 0.85), 0.3)
    return Sleeve(rng.uniform(12, 150), rng.uniform(4, 10), color, bool(rng.random() < 0.3))


def _draw_ring(rng: np.random.Generator, look: Look) -> FingerRing | None:
    if rng.random() >= look.ring:
        return None
    metal = to_linear(METALS[rng.integers(2)]).astype(np.float32)
    return FingerRing(int(rng.integers(1, 5)), rng.uniform(15, 20), rng.uniform(2.5, 5), metal)


def _palm_lines(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw heart, head and life line and a few faint ones, seen from the palm, as cubic curves."""
    k = PALM_PX_PER_MM
    size = (int((PALM_Y_MM[1] - PALM_Y_MM[0]) * k), int((PALM_X_MM[1] - PALM_X_MM[0]) * k))
    picture = np.zeros(size, np.uint8)
    share = np.linspace(0, 1, 60)[:, None]
    bernstein = np.concatenate(
        [(1 - share) ** 3, 3 * (1 - share) ** 2 * share, 3 * (1 - share) * share**2, share**3], 1
    )

    def curve(points: Floats, width_mm: float, strength: float) -> None:
        line = bernstein @ (points + rng.normal(0, 1.6, points.shape)) - [PALM_X_MM[0], PALM_Y_MM[0]]
        fixed = np.rint(line * k).astype(np.int32)
        cv2.polylines(picture, [fixed], isClosed=False, color=strength, thickness=max(1, int(width_mm * k)))

    curve(np.array([(70.0, -46), (73, -20), (76, 0), (88, 11)]), 0.9, 220)
    curve(np.array([(76.0, 30), (70, 10), (62, -10), (50, -30)]), 0.9, 200)
    curve(np.array([(77.0, 31), (70, 8), (45, -3), (10, 4)]), 1.0, 230)
    for _ in range(8):
        start, step = rng.uniform([15, -40], [85, 25]), rng.normal(0, 9, 2)
        end = start + 2.2 * step
        curve(np.array([start, start + step, start + 1.5 * step + rng.normal(0, 4, 2), end]), 0.5, rng.uniform(40, 110))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.45 * k), np.float32) / np.float32(255)
