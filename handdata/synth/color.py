"""sRGB and linear light."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colors = NDArray[np.float32]


def to_linear(encoded: ArrayLike) -> NDArray[np.float64]:
    """Decode sRGB values in 0..1 (IEC 61966-2-1)."""
    value = np.asarray(encoded, float)
    result: NDArray[np.float64] = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return result


def to_srgb(linear: ArrayLike) -> NDArray[np.float64]:
    """Encode linear values in 0..1 as sRGB."""
    value = np.clip(np.asarray(linear, float), 0, 1)
    result: NDArray[np.float64] = np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
    return result


_LINEAR_OF_BYTE = to_linear(np.arange(256) / 255).astype(np.float32)


def decode(image: NDArray[np.uint8]) -> Colors:
    """Turn 8-bit sRGB into linear light."""
    return _LINEAR_OF_BYTE[image]


def tint(rng: np.random.Generator, brightness: tuple[float, float], spread: float) -> Colors:
    """Draw a linear RGB colour: an sRGB brightness and a spread between its channels."""
    encoded = rng.uniform(*brightness) * (1 + rng.normal(0, spread, 3))
    return to_linear(np.clip(encoded, 0.02, 1.0)).astype(np.float32)
