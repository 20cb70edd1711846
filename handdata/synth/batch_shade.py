"""Skin, nails, cloth, objects and light of skin.py and light.py for the samples of many pictures, in torch.

Each function is the numpy one of the same name with a person a sample; tests hold the two together. Columns, constants
and their sources are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handdata.synth import light, skin
from handdata.synth.person import PALM_PX_PER_MM, PALM_X_MM, PALM_Y_MM
from handdata.synth.scene import Scene
from handdata.synth.skin import FINGER, KNUCKLE, LAST, MIDDLE, NAIL, PALMAR, REST


@dataclass
class BatchMaterial:
    """(N, ...) float32 of the samples; see `skin.Material`."""

    albedo: Tensor
    gloss: Tensor
    roughness: Tensor
    flesh: Tensor
    bump: Tensor


class Looks:
    """What differs between the pictures of a batch, a row a picture; `of` picks the rows of samples."""

    def __init__(self, scenes: Sequence[Scene], device: torch.device) -> None:
        rows = [_look(scene) for scene in scenes]
        self._table = {
            name: torch.as_tensor(np.array([row[name] for row in rows], np.float32), device=device) for name in rows[0]
        }
        self.palm = torch.as_tensor(np.stack([scene.setting.person.palm for scene in scenes]), device=device)
        self.noise = torch.as_tensor(skin.fine_noise(), device=device)
        self.device = device

    def of(self, name: str, picture: Tensor) -> Tensor:
        """Return (N,) or (N, k) values for samples that belong to (N,) pictures."""
        return self._table[name][picture]

    def constant(self, value: Any) -> Tensor:
        """Put an array of the numpy modules on the device."""
        return torch.as_tensor(np.asarray(value, np.float32), device=self.device)


def _look(scene: Scene) -> dict[str, Any]:
    person, paint, lamp = scene.setting.person, scene.setting.paint, scene.setting.light
    sleeve, ring = person.sleeve, person.ring
    black = np.zeros(3)
    return {
        "melanin": person.melanin,
        "blood": person.blood,
        "carotene": person.carotene,
        "roughness": person.roughness,
        "gloss": person.gloss,
        "bump": person.bump,
        "wrinkles": person.wrinkles,
        "polish": black if person.polish is None else person.polish,
        "has_polish": person.polish is not None,
        "sleeve_start": 1e6 if sleeve is None else sleeve.start,
        "sleeve_color": black if sleeve is None else sleeve.color,
        "sleeve_striped": sleeve is not None and sleeve.striped,
        "ring_start": 1e6 if ring is None else ring.start,
        "ring_width": 0.0 if ring is None else ring.width,
        "ring_color": black if ring is None else ring.color,
        "first_color": paint.colors[0],
        "second_color": paint.colors[1],
        "stripes": black if paint.stripes is None else paint.stripes,
        "threshold": 2.0 if paint.stripes is None else paint.threshold,
        "band": paint.band,
        "paint_gloss": paint.gloss,
        "paint_roughness": paint.roughness,
        "lamp_direction": lamp.direction,
        "lamp": lamp.lamp,
        "ambient": lamp.ambient,
        "exposure": lamp.exposure,
        "highlight": lamp.highlight,
    }


def material(
    looks: Looks, picture: Tensor, point: Tensor, mottled: Tensor, on_ring: Tensor, on_hand: Tensor
) -> BatchMaterial:
    """Return the material of N samples.

    Args:
        looks: of the batch.
        picture: (N,) whose sample.
        point: (N, 9) interpolated attributes, `skin.attributes`.
        mottled: (N,) interpolated `skin.mottling`.
        on_ring: (N,) interpolated weight of the ring's phalanx.
        on_hand: (N,) bool, False on objects.
    """
    result = _flesh(looks, picture, point, mottled)
    _dress(looks, picture, point, on_ring, result)
    thing = torch.nonzero(~on_hand)[:, 0]
    if len(thing):
        _paint(looks, picture[thing], point[thing][:, REST], thing, result)
    return result


def _flesh(looks: Looks, picture: Tensor, point: Tensor, mottled: Tensor) -> BatchMaterial:
    fine = _noise_at(looks, point[:, REST])
    palmar, finger, last = point[:, PALMAR], point[:, FINGER], point[:, LAST]
    line = _lines(looks, picture, point, fine)
    knuckle = torch.exp(-((point[:, MIDDLE] / 7.5) ** 2)) * finger * (1 - palmar)
    pulp = ((last - 6) / 12).clamp(0, 1) * finger * (last < 50)
    own = looks.of("melanin", picture)
    darker = 0.4 + own
    melanin = own * (1 - 0.62 * palmar) + 0.05 * mottled * darker + 0.008 * fine[:, 0]
    melanin = melanin + 0.16 * line * darker + 0.1 * knuckle * own
    blood = looks.of("blood", picture) + 0.35 * palmar + 0.12 * mottled + 0.35 * knuckle
    blood = blood + 0.25 * pulp + 0.05 * fine[:, 1] + 0.5 * line
    carotene = looks.of("carotene", picture) + 0.3 * palmar
    albedo = _skin_albedo(looks, melanin.clamp(0, 1.1), blood, carotene) * (1 - 0.32 * line)[:, None]
    nail = ((point[:, NAIL] - 0.35) * 3.2).clamp(0, 1)
    nail_color = _skin_albedo(looks, own * 0.38, looks.of("blood", picture) + 0.3, torch.zeros_like(own)) * 1.02
    polished = looks.of("has_polish", picture)[:, None] > 0
    nail_color = torch.where(polished, looks.of("polish", picture), nail_color)
    return BatchMaterial(
        albedo=albedo + nail[:, None] * (nail_color - albedo),
        gloss=looks.of("gloss", picture) * (1 + 1.6 * nail) * (1 - 0.4 * palmar),
        roughness=looks.of("roughness", picture) * (1 - 0.45 * nail),
        flesh=torch.ones_like(own),
        bump=looks.of("bump", picture)[:, None] * fine * (1 - 0.8 * nail)[:, None],
    )


def _skin_albedo(looks: Looks, melanin: Tensor, blood: Tensor, carotene: Tensor) -> Tensor:
    absorbed = melanin[:, None] * looks.constant(skin.MELANIN) + blood[:, None] * looks.constant(skin.BLOOD)
    return torch.exp(looks.constant(skin.PALEST) - absorbed - carotene[:, None] * looks.constant(skin.CAROTENE))


def _noise_at(looks: Looks, rest: Tensor) -> Tensor:
    u = ((rest[:, 0] + 0.3 * rest[:, 2]) * skin.NOISE_PX_PER_MM).to(torch.int64)
    v = ((rest[:, 1] + 0.6 * rest[:, 2]) * skin.NOISE_PX_PER_MM).to(torch.int64)
    return looks.noise[v % skin.NOISE_PX, u % skin.NOISE_PX]


def _lines(looks: Looks, picture: Tensor, point: Tensor, fine: Tensor) -> Tensor:
    palmar, finger, middle, last = (point[:, k] for k in (PALMAR, FINGER, MIDDLE, LAST))
    wavy = 0.3 * fine[:, 1]
    wrinkle = torch.exp(-((middle / 5.5) ** 2)) * (0.55 + 0.45 * torch.cos(2.73 * middle + 2 * fine[:, 1]))
    wrinkle = wrinkle + 0.7 * torch.exp(-((last / 3.5) ** 2)) * (0.55 + 0.45 * torch.cos(3.31 * last + 2 * fine[:, 2]))
    crease = torch.exp(-(((middle + 1 + wavy) / 0.9) ** 2)) + 0.8 * torch.exp(-(((last + 0.8 + wavy) / 0.8) ** 2))
    crease = crease + 0.7 * torch.exp(-(((point[:, KNUCKLE] - 20 + wavy) / 0.9) ** 2))
    _, rows, columns = looks.palm.shape
    column = ((point[:, REST.start] - PALM_X_MM[0]) * PALM_PX_PER_MM).to(torch.int64).clamp(0, columns - 1)
    row = ((point[:, REST.start + 1] - PALM_Y_MM[0]) * PALM_PX_PER_MM).to(torch.int64).clamp(0, rows - 1)
    palm = looks.palm[picture, row, column] * palmar * (1.2 - 1.6 * finger).clamp(0, 1)
    on_back = finger * (1 - palmar) * looks.of("wrinkles", picture)
    return (0.55 * wrinkle * on_back + 0.75 * crease * finger * palmar + 0.8 * palm).clamp(0, 1)


def _dress(looks: Looks, picture: Tensor, point: Tensor, on_ring: Tensor, result: BatchMaterial) -> None:
    x = point[:, REST.start]
    cloth = torch.nonzero(-x > looks.of("sleeve_start", picture) + 0.6)[:, 0]
    whose = picture[cloth]
    striped = looks.of("sleeve_striped", whose) * (torch.sin(0.35 * x[cloth]) > 0.2)
    weave = 1 + 0.1 * _noise_at(looks, point[cloth][:, REST])[:, 0] + 0.35 * striped
    result.albedo[cloth] = (looks.of("sleeve_color", whose) * weave[:, None]).clamp(0.005, 1)
    result.gloss[cloth], result.roughness[cloth], result.flesh[cloth] = 0.15, 0.8, 0.0
    along = point[:, KNUCKLE] - looks.of("ring_start", picture)
    metal = torch.nonzero((on_ring > 0.5) & (along > 0) & (along < looks.of("ring_width", picture)))[:, 0]
    result.albedo[metal] = looks.of("ring_color", picture[metal])
    result.gloss[metal], result.roughness[metal], result.flesh[metal] = 9.0, 0.3, 0.0


def _paint(looks: Looks, picture: Tensor, own: Tensor, thing: Tensor, result: BatchMaterial) -> None:
    striped = torch.sin((own * looks.of("stripes", picture)).sum(1)) > looks.of("threshold", picture)
    second = (striped | (own[:, 2].abs() < looks.of("band", picture)))[:, None]
    result.albedo[thing] = torch.where(second, looks.of("second_color", picture), looks.of("first_color", picture))
    result.gloss[thing] = looks.of("paint_gloss", picture)
    result.roughness[thing] = looks.of("paint_roughness", picture)
    result.flesh[thing], result.bump[thing] = 0.0, 0.0


def illuminate(
    looks: Looks,
    picture: Tensor,
    surface: BatchMaterial,
    normals: Tensor,
    toward_eye: Tensor,
    lit: Tensor,
    openness: Tensor,
) -> Tensor:
    """Return the (N, 3) linear light of N samples; see `light.illuminate`."""
    lamp, flesh = looks.of("lamp_direction", picture), surface.flesh[:, None]
    facing = (normals * lamp).sum(1)
    wrap = looks.constant(light.WRAP) * flesh
    diffuse = ((facing[:, None] + wrap) / (1 + wrap)).clamp(0, 1)
    diffuse = diffuse * lit[:, None] ** (1 - looks.constant(light.SHADE_WRAP) * flesh)
    open_sky = openness.clamp(0.02, 1)[:, None] ** (1 - looks.constant(light.CAVITY_WRAP) * flesh)
    ambient = _ambient(normals, looks.of("ambient", picture))
    color = surface.albedo * (diffuse * looks.of("lamp", picture) + ambient * open_sky)
    shine = surface.gloss * _lobe(surface.roughness, normals, toward_eye, lamp) * facing.clamp(0, 1) * lit
    color = color + shine[:, None] * looks.of("lamp", picture)
    grazing = 1 - (normals * toward_eye).sum(1).clamp(0.05, 1)
    rim = 0.21 * grazing**4 * openness
    color = color + rim[:, None] * surface.albedo.clamp(min=0).sqrt() * ambient
    return color * looks.of("exposure", picture)[:, None]


def _ambient(normals: Tensor, cube: Tensor) -> Tensor:
    squared = normals * normals
    positive = squared * (normals > 0)
    negative = squared - positive
    return (positive[:, :, None] * cube[:, 0::2] + negative[:, :, None] * cube[:, 1::2]).sum(1)


def _lobe(roughness: Tensor, normals: Tensor, toward_eye: Tensor, lamp: Tensor) -> Tensor:
    half = torch.nn.functional.normalize(toward_eye + lamp, dim=1)
    n_h, v_h = (normals * half).sum(1).clamp(0, 1), (toward_eye * half).sum(1).clamp(0, 1)
    a2 = roughness**4
    distribution = a2 / (torch.pi * (n_h * n_h * (a2 - 1) + 1) ** 2)
    fresnel = light.F0 + (1 - light.F0) * (1 - v_h) ** 5
    return (0.25 * distribution * fresnel).clamp(0, light.MAX_LOBE)


def hold_highlights(looks: Looks, picture: Tensor, color: Tensor, on_skin: Tensor, count: int) -> Tensor:
    """Scale each picture's samples so that the bright end of its skin is not clipped; see `light.hold_highlights`."""
    brightness, whose = color[on_skin].mean(1), picture[on_skin]
    order = torch.argsort(brightness)
    order = order[torch.argsort(whose[order], stable=True)]
    each = torch.bincount(whose, minlength=count)
    at = torch.cumsum(each, 0) - each + (light.BRIGHT_END * (each - 1).clamp(min=0)).to(torch.int64)
    bright = torch.ones(count, device=color.device)
    there = each > 0
    bright[there] = brightness[order[at[there]]]
    highlight = looks.of("highlight", torch.arange(count, device=color.device))
    scale = torch.where(there, (highlight / bright.clamp(min=1e-6)).clamp(max=1), torch.ones_like(bright))
    return color * scale[picture][:, None]
