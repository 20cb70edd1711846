"""From linear light to an 8-bit picture: gain, highlights, smear, blur, vignette, noise, JPEG."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.synth.color import Colors, encode
from handdata.synth.style import Look

GRAIN_PX = 512
SHOULDER = 0.75  # linear light above which highlights are rolled off


@dataclass(frozen=True)
class Film:
    """One camera's development; sizes in px of a 256 px picture."""

    gain: tuple[float, float, float]
    contrast: float
    blur: float
    smear: tuple[float, float]  # length and direction, radians
    vignette: float
    noise: float
    color_noise: float
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
        color_noise=rng.uniform(*look.color_noise),
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
    light = linear * np.array(film.gain, np.float32)
    light = light / (1 + np.maximum(light - np.float32(SHOULDER), 0))
    levels = encode(light)
    if film.contrast != 1:
        levels = (levels - 118) * np.float32(film.contrast) + 118
    if optics:
        levels = _blurred(film, levels, min(width, height) / 256)
    if film.vignette > 0.01:
        levels *= 1 - np.float32(film.vignette) * _corners(width, height)
    grain = _grain(rng, width, height)
    levels += grain[..., :1] * np.float32(film.noise)
    levels += grain[..., 1:] * np.float32(film.color_noise)
    image: NDArray[np.uint8] = np.clip(levels + np.float32(0.5), 0, 255).astype(np.uint8)
    if film.jpeg is not None and optics:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, film.jpeg])[1]
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return image


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
    return np.random.default_rng(11).standard_normal((GRAIN_PX, GRAIN_PX, 4), dtype=np.float32)


def _grain(rng: np.random.Generator, width: int, height: int) -> Colors:
    """Cut (height, width, 4) unit noise out of one tile, at random; pictures larger than the tile repeat it."""
    tile = _grain_tile()
    top, left = (int(start) for start in rng.integers(GRAIN_PX, size=2))
    rows, columns = (np.arange(height) + top) % GRAIN_PX, (np.arange(width) + left) % GRAIN_PX
    if top + height <= GRAIN_PX and left + width <= GRAIN_PX:
        return tile[top : top + height, left : left + width]
    return tile[rows][:, columns]
