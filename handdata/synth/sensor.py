"""From linear light to an 8-bit picture: gain, highlights, smear, blur, vignette, noise, JPEG."""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.synth.color import Colors, to_srgb
from handdata.synth.style import Look

GRAIN_PX = (768, 1024)  # rows, columns of the tile that noise is cut out of
COLORED = 0.6  # of the grain, against what all channels share
SHOULDER = 0.75  # linear light above which highlights are rolled off
BRIGHTEST = 4.0  # linear light beyond which nothing differs
CURVE_STEPS = 4096  # evenly spaced in the square root of light
MIDDLE_GREY = 118.0  # sRGB level that contrast leaves as it is


@dataclass(frozen=True)
class Film:
    """One camera's development; sizes in px of a 256 px picture."""

    gain: tuple[float, float, float]
    contrast: float
    blur: float
    smear: tuple[float, float]  # length and direction, radians
    vignette: float
    noise: float  # standard deviation, levels
    jpeg: int | None


def draw_film(rng: np.random.Generator, look: Look) -> Film:
    """Draw a camera's development."""
    gain = np.clip(1 + rng.normal(0, look.cast, 3), 0.5, 1.6) * np.exp(rng.normal(0, 0.14))
    length = max(0.0, rng.uniform(-look.smear, look.smear)) if look.smear else 0.0
    return Film(
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        contrast=rng.uniform(*look.contrast),
        blur=rng.uniform(*look.blur),
        smear=(length, rng.uniform(0, np.pi)),
        vignette=rng.uniform(*look.vignette),
        noise=rng.uniform(*look.noise),
        jpeg=int(rng.integers(*look.jpeg)) if look.jpeg else None,
    )


def develop(film: Film, linear: Colors, rng: np.random.Generator, *, optics: bool = True) -> NDArray[np.uint8]:
    """Return the (H, W, 3) picture.

    Args:
        film: how.
        linear: (H, W, 3) light.
        rng: for the grain.
        optics: blur and JPEG too; without them no pixel touches its neighbours.
    """
    height, width = linear.shape[:2]
    roots = np.sqrt(np.maximum(linear, 0) * np.float32((CURVE_STEPS - 1) ** 2 / BRIGHTEST))
    steps = np.minimum(roots, CURVE_STEPS - 1).astype(np.int32)
    levels = np.empty(linear.shape, np.float32)
    for channel, curve in enumerate(_curves(film)):
        levels[..., channel] = curve[steps[..., channel]]
    if optics:
        levels = _blurred(film, levels, min(width, height) / 256)
    if film.vignette > 0.01:
        levels *= 1 - np.float32(film.vignette) * _corners(width, height)
    levels += grain(rng, width, height) * np.float32(film.noise)
    image: NDArray[np.uint8] = np.clip(levels + np.float32(0.5), 0, 255).astype(np.uint8)
    if film.jpeg is not None and optics:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, film.jpeg])[1]
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return image


@lru_cache(maxsize=64)
def _curves(film: Film) -> tuple[NDArray[np.float32], ...]:
    """Return the levels that each channel's light becomes: gain, shoulder, sRGB, contrast."""
    light = np.linspace(0, 1, CURVE_STEPS)[:, None] ** 2 * BRIGHTEST * np.array(film.gain)
    light = light / (1 + np.maximum(light - SHOULDER, 0))
    levels = (to_srgb(light) * 255 - MIDDLE_GREY) * film.contrast + MIDDLE_GREY
    return tuple(levels.T.astype(np.float32))


def _blurred(film: Film, levels: Colors, pixel: float) -> Colors:
    if film.blur * pixel > 0.25:
        levels = np.asarray(cv2.GaussianBlur(levels, (0, 0), film.blur * pixel), np.float32)
    length, direction = film.smear[0] * pixel, film.smear[1]
    if length > 1:
        side = 2 * int(np.ceil(length / 2)) + 1
        kernel = np.zeros((side, side), np.float32)
        reach = length / 2 * np.array([np.cos(direction), np.sin(direction)])
        for share in np.linspace(-1, 1, 4 * side):
            x, y = np.rint(side // 2 + share * reach).astype(int)
            kernel[y, x] += 1
        levels = np.asarray(cv2.filter2D(levels, -1, kernel / kernel.sum()), np.float32)
    return levels


@cache
def _corners(width: int, height: int) -> Colors:
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(((x * x + y * y) / 2)[..., None], np.float32)


@cache
def _grain_tile() -> Colors:
    """Return a tile of noise of standard deviation 1, mostly grey."""
    noise = np.random.default_rng(11).standard_normal((*GRAIN_PX, 4), dtype=np.float32)
    return np.asarray((noise[..., :1] + COLORED * noise[..., 1:]) / np.hypot(1, COLORED), np.float32)


def grain(rng: np.random.Generator, width: int, height: int) -> Colors:
    """Cut (height, width, 3) noise out of the tile, at random; a picture larger than the tile repeats it."""
    tile = _grain_tile()
    rows, columns = GRAIN_PX
    if height > rows or width > columns:
        tile = np.tile(tile, (-(-height // rows), -(-width // columns), 1))
        rows, columns = tile.shape[:2]
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    return tile[top : top + height, left : left + width]
