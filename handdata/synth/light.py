"""Light: a lamp with wrapped diffuse and a GGX highlight, a cube of ambient light taken from the background."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.synth.color import Colors
from handdata.synth.mesh import Floats, unit
from handdata.synth.skin import Column, Material
from handdata.synth.style import Look

WRAP = np.array([0.32, 0.14, 0.10], np.float32)  # light bleeds round the terminator of skin, red most
SHADE_WRAP = np.array([0.25, 0.05, 0.0], np.float32)  # and into its shadows
CAVITY_WRAP = np.array([0.35, 0.08, 0.0], np.float32)  # and into its hollows
F0 = 0.03  # reflectance of skin, plastic and paint at normal incidence
MAX_LOBE = 4.0
BRIGHT_END = 0.93  # quantile of the skin's brightness that exposure looks at


@dataclass(frozen=True)
class Light:
    """The lamp: unit vector towards it and its colour; ambient colours from +x, -x, +y, -y, +z, -z; exposure."""

    direction: Floats
    lamp: Colors
    ambient: Colors  # (6, 3)
    exposure: float
    highlight: float


def draw_light(rng: np.random.Generator, look: Look, surroundings: Colors) -> Light:
    """Draw the light of a scene before `surroundings`, a small (h, w, 3) linear picture of the background."""
    height_y, toward_z = look.light_height
    direction = unit(np.array([rng.normal(0, 0.8), rng.normal(height_y, 0.5), rng.normal(toward_z, 0.45)]))
    if direction[2] > 0.35:
        direction = direction * [1, 1, -1]
    temperature = rng.normal(0, look.warmth)
    color = np.clip([1 + temperature, 1, 1 - 1.2 * temperature], 0.1, 2)
    ambient = _cube(surroundings) * rng.uniform(*look.ambient) * 0.55
    return Light(
        direction=direction,
        lamp=(color * rng.uniform(*look.key)).astype(np.float32),
        ambient=ambient.astype(np.float32),
        exposure=rng.uniform(*look.exposure) * 2.5,
        highlight=rng.uniform(*look.highlight),
    )


def _cube(surroundings: Colors) -> Floats:
    """Average the picture's halves into six directions, scaled to brightness 1."""
    mean = surroundings.reshape(-1, 3).mean(0, dtype=float) + 0.06
    mean = 0.35 * mean + 0.65 * mean.mean()
    rows, columns = surroundings.shape[0] // 2, surroundings.shape[1] // 2
    halves = (
        surroundings[:, columns:],
        surroundings[:, :columns],
        surroundings[rows:],
        surroundings[:rows],
    )
    sides = [0.3 * half.reshape(-1, 3).mean(0, dtype=float) + 0.7 * mean for half in halves] + [mean, mean]
    falloff = np.array([1, 1, 0.65, 1.35, 0.9, 1.1])[:, None]  # less from below, more from above
    result: Floats = (0.35 * np.array(sides) + 0.65 * mean * falloff) / max(float(mean.mean()), 0.05)
    return result


def illuminate(
    material: Material,
    normals: NDArray[np.float32],
    toward_eye: NDArray[np.float32],
    lit: Column,
    openness: Column,
    light: Light,
) -> Colors:
    """Return the (N, 3) linear light that reaches the camera.

    Args:
        material: of the N points.
        normals: (N, 3) unit, relief included.
        toward_eye: (N, 3) unit.
        lit: (N,) share of the lamp that arrives.
        openness: (N,) share of the sky that is open.
        light: of the scene.
    """
    lamp = light.direction.astype(np.float32)
    flesh = material.flesh[:, None]
    facing = normals @ lamp
    wrap = WRAP * flesh
    diffuse = np.clip((facing[:, None] + wrap) / (1 + wrap), 0, 1)
    diffuse *= lit[:, None] ** (1 - SHADE_WRAP * flesh)
    open_sky = np.clip(openness, 0.02, 1)[:, None] ** (1 - CAVITY_WRAP * flesh)
    ambient = _ambient(normals, light.ambient)
    color = material.albedo * (diffuse * light.lamp + ambient * open_sky)
    highlight = material.gloss * _lobe(material.roughness, normals, toward_eye, lamp) * np.clip(facing, 0, 1) * lit
    color += highlight[:, None] * light.lamp
    grazing = 1 - np.clip(np.einsum("ij,ij->i", normals, toward_eye), 0.05, 1)
    rim = 0.21 * grazing**4 * openness
    color += rim[:, None] * np.sqrt(material.albedo) * ambient
    result: Colors = color * np.float32(light.exposure)
    return result


def _ambient(normals: NDArray[np.float32], cube: Colors) -> Colors:
    squared = normals * normals
    positive = squared * (normals > 0)
    result: Colors = np.asarray(positive @ cube[0::2] + (squared - positive) @ cube[1::2], np.float32)
    return result


def _lobe(
    roughness: Column, normals: NDArray[np.float32], toward_eye: NDArray[np.float32], lamp: NDArray[np.float32]
) -> Column:
    """GGX with Schlick's Fresnel term and no masking: a quarter of D F."""
    half = unit(toward_eye + lamp)
    n_h = np.clip(np.einsum("ij,ij->i", normals, half), 0, 1)
    v_h = np.clip(np.einsum("ij,ij->i", toward_eye, half), 0, 1)
    a2 = roughness**4
    distribution = a2 / (np.float32(np.pi) * (n_h * n_h * (a2 - 1) + 1) ** 2)
    fresnel = F0 + (1 - F0) * (1 - v_h) ** 5
    result: Column = np.clip(0.25 * distribution * fresnel, 0, MAX_LOBE)
    return result


def hold_highlights(color: Colors, on_skin: NDArray[np.bool_], light: Light) -> Colors:
    """Scale (N, 3) colours so that the bright end of the skin is not clipped, as a camera's exposure would."""
    if not on_skin.any():
        return color
    brightness = color[on_skin].mean(1)
    rank = int(BRIGHT_END * (len(brightness) - 1))
    bright = float(np.partition(brightness, rank)[rank])
    return color * np.float32(min(1.0, light.highlight / max(bright, 1e-6)))
