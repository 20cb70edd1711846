"""What the surface is made of at every shaded point: skin with its lines, nails, cloth, metal, and painted objects."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.synth.color import Colors, tint, to_linear
from handdata.synth.hand import HandMesh, HandModel, load_hand
from handdata.synth.mesh import unit
from handdata.synth.person import PALM_PX_PER_MM, PALM_X_MM, PALM_Y_MM, Person

Column = NDArray[np.float32]
FAR_MM = 60.0  # "no such joint near here"
NOISE_PX = 256
NOISE_PX_PER_MM = 3.2
# Absorption of melanin, blood and carotene, linear RGB, per unit, and the sRGB of skin without them.
MELANIN, BLOOD, CAROTENE = (
    np.array(row, np.float32) for row in ((2.0, 2.45, 2.75), (0.06, 0.42, 0.38), (0.0, 0.05, 0.32))
)
PALEST = np.log(to_linear(np.array([242, 212, 194]) / 255)).astype(np.float32)

# Columns of the static attributes of a vertex; three more are its place on the mean hand at rest, mm.
PALMAR, NAIL, KNUCKLE, MIDDLE, LAST, FINGER = range(6)
REST = slice(6, 9)
NUM_ATTRIBUTES = 9


@dataclass(frozen=True)
class Paint:
    """Two colours of an object, the pattern between them, and its shine."""

    colors: tuple[Colors, Colors]
    stripes: NDArray[np.float32] | None  # (3,) wave vector per mm
    threshold: float
    band: float  # half width of a band round the middle, mm; 0 for none
    gloss: float
    roughness: float


@dataclass
class Material:
    """(N, ...) float32 of the shaded points: linear colour, shine, subsurface share, relief."""

    albedo: Colors
    gloss: Column
    roughness: Column
    flesh: Column  # 1 skin, 0 else
    bump: Colors


def draw_paint(rng: np.random.Generator) -> Paint:
    """Draw the look of an object."""
    kind = rng.random()
    return Paint(
        colors=(tint(rng, (0.08, 0.95), 0.35), tint(rng, (0.08, 0.95), 0.35)),
        stripes=(rng.normal(0, 1, 3) * rng.uniform(0.05, 0.25)).astype(np.float32) if kind < 0.45 else None,
        threshold=rng.uniform(-0.3, 0.8),
        band=rng.uniform(10, 40) if 0.45 <= kind < 0.75 else 0.0,
        gloss=rng.uniform(0.2, 3),
        roughness=rng.uniform(0.15, 0.7),
    )


@cache
def attributes(*, coarse: bool) -> NDArray[np.float32]:
    """Return the (V, 9) static attributes of a level of detail's vertices, measured on the mean hand."""
    hand = load_hand()
    mesh = hand.mesh(coarse=coarse)
    rest = mesh.rest
    result = np.full((len(rest), NUM_ATTRIBUTES), FAR_MM)
    result[:, PALMAR] = np.clip(0.5 - mesh.normals[:, 2] * 1.1, 0, 1) * np.clip((rest[:, 0] + 12) / 14, 0, 1)
    result[:, NAIL] = mesh.lift @ hand.nail
    result[:, FINGER] = 0
    result[:, REST] = rest
    for finger in range(5):
        _measure_finger(hand, mesh, finger, result)
    return result.astype(np.float32)


def _measure_finger(hand: HandModel, mesh: HandMesh, finger: int, result: NDArray[Any]) -> None:
    """Write the distances along one finger, mm, from its knuckle and its two creases."""
    bones = [hand.bone[f"finger{finger + 1}-{k}"] for k in (1, 2, 3)]
    own = mesh.weights[:, bones if finger else bones[1:]].sum(1)
    near = own > 0.02
    joints = np.array([hand.joints[hand.joint[f"f{finger + 1}{k}"]] for k in (1, 2, 3, 4)])
    along = unit(np.diff(joints, axis=0))
    for column, joint in ((MIDDLE, 1), (LAST, 2)):
        if finger or column == LAST:
            result[near, column] = ((mesh.rest - joints[joint]) @ unit(along[joint] + along[joint - 1]))[near]
    if finger:
        result[near, KNUCKLE] = ((mesh.rest - joints[0]) @ along[0])[near]
    result[near, FINGER] = np.maximum(result[near, FINGER], np.clip((own[near] - 0.25) / 0.6, 0, 1))


@cache
def ring_weights(*, coarse: bool) -> NDArray[np.float32]:
    """Return the (V, 5) weights of the proximal phalanges, thumb first."""
    hand = load_hand()
    bones = [hand.bone[f"finger{f}-1"] for f in range(1, 6)]
    return hand.mesh(coarse=coarse).weights[:, bones].astype(np.float32)


@cache
def fine_noise() -> NDArray[np.float32]:
    """Return a (256, 256, 3) tileable band of noise, standard deviation 1: pores and the fine relief of skin."""
    white = np.random.default_rng(7).normal(0, 1, (NOISE_PX, NOISE_PX, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(NOISE_PX), np.fft.fftfreq(NOISE_PX)))
    band = np.exp(-(((frequency - 0.09) / 0.05) ** 2))[..., None]
    noise = np.fft.ifft2(np.fft.fft2(white, axes=(0, 1)) * band, axes=(0, 1)).real
    return np.asarray(noise / noise.std(), np.float32)


def mottling(person: Person, rest: NDArray[np.float32]) -> Column:
    """Return the (V,) slow unevenness of a person's skin at rest positions."""
    waves = person.waves.astype(np.float32)
    result: Column = np.sin(rest @ waves[:, :3].T + waves[:, 3]).mean(1) * np.float32(person.mottling)
    return result


def skin_albedo(melanin: Column, blood: Column, carotene: Column) -> Colors:
    """Return the (N, 3) linear colour of skin by its pigments, each about 0..1."""
    absorbed = melanin[:, None] * MELANIN + blood[:, None] * BLOOD + carotene[:, None] * CAROTENE
    result: Colors = np.exp(PALEST - absorbed)
    return result


def flesh_material(person: Person, point: NDArray[np.float32], mottled: Column, on_ring: Column | None) -> Material:
    """Return the material of N points of a hand.

    Args:
        person: whose hand.
        point: (N, 9) interpolated attributes.
        mottled: (N,) interpolated `mottling`.
        on_ring: (N,) interpolated weight of the ring's phalanx, None without a ring.
    """
    fine = _noise_at(point[:, REST])
    palmar, finger = point[:, PALMAR], point[:, FINGER]
    line = _lines(person, point, fine)
    dorsal_finger = finger * (1 - palmar)
    knuckle = np.exp(-((point[:, MIDDLE] / 7.5) ** 2)) * dorsal_finger
    pulp = np.clip((point[:, LAST] - 6) / 12, 0, 1) * finger * (point[:, LAST] < 50)
    darker = np.float32(0.4 + person.melanin)
    melanin = person.melanin * (1 - 0.62 * palmar) + 0.05 * mottled * darker + 0.008 * fine[:, 0]
    melanin += 0.16 * line * darker + 0.1 * knuckle * person.melanin
    blood = (
        person.blood + 0.35 * palmar + 0.12 * mottled + 0.35 * knuckle + 0.25 * pulp + 0.05 * fine[:, 1] + 0.5 * line
    )
    albedo = skin_albedo(np.clip(melanin, 0, 1.1), blood, person.carotene + 0.3 * palmar)
    albedo *= (1 - 0.32 * line)[:, None]
    nail = np.clip((point[:, NAIL] - 0.35) * 3.2, 0, 1)
    albedo += nail[:, None] * (_nail_color(person) - albedo)
    material = Material(
        albedo=albedo,
        gloss=person.gloss * (1 + 1.6 * nail) * (1 - 0.4 * palmar),
        roughness=person.roughness * (1 - 0.45 * nail),
        flesh=np.ones(len(point), np.float32),
        bump=person.bump * fine * (1 - 0.8 * nail)[:, None],
    )
    _dress(person, point, fine, on_ring, material)
    return material


def _noise_at(rest: NDArray[np.float32]) -> Colors:
    u = (rest[:, 0] + 0.3 * rest[:, 2]) * NOISE_PX_PER_MM
    v = (rest[:, 1] + 0.6 * rest[:, 2]) * NOISE_PX_PER_MM
    return fine_noise()[v.astype(np.int32) % NOISE_PX, u.astype(np.int32) % NOISE_PX]


def _lines(person: Person, point: NDArray[np.float32], fine: Colors) -> Column:
    """Return (N,) 0..1: wrinkles over the knuckles, creases under the joints, lines of the palm."""
    palmar, finger, middle, last = (point[:, k] for k in (PALMAR, FINGER, MIDDLE, LAST))
    wavy = 0.3 * fine[:, 1]
    wrinkle = np.exp(-((middle / 5.5) ** 2)) * (0.55 + 0.45 * np.cos(2.73 * middle + 2 * fine[:, 1]))
    wrinkle += 0.7 * np.exp(-((last / 3.5) ** 2)) * (0.55 + 0.45 * np.cos(3.31 * last + 2 * fine[:, 2]))
    crease = np.exp(-(((middle + 1 + wavy) / 0.9) ** 2)) + 0.8 * np.exp(-(((last + 0.8 + wavy) / 0.8) ** 2))
    crease += 0.7 * np.exp(-(((point[:, KNUCKLE] - 20 + wavy) / 0.9) ** 2))
    rows, columns = person.palm.shape
    column = ((point[:, REST.start] - np.float32(PALM_X_MM[0])) * PALM_PX_PER_MM).astype(np.int32)
    row = ((point[:, REST.start + 1] - np.float32(PALM_Y_MM[0])) * PALM_PX_PER_MM).astype(np.int32)
    palm = person.palm[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
    palm = palm * palmar * np.clip(1.2 - 1.6 * finger, 0, 1)
    on_back = finger * (1 - palmar) * np.float32(person.wrinkles)
    result: Column = np.clip(0.55 * wrinkle * on_back + 0.75 * crease * finger * palmar + 0.8 * palm, 0, 1)
    return result


def _nail_color(person: Person) -> Colors:
    if person.polish is not None:
        return person.polish
    pigments = (np.array([value], np.float32) for value in (person.melanin * 0.38, person.blood + 0.3, 0.0))
    result: Colors = skin_albedo(*pigments)[0] * np.float32(1.02)
    return result


def _dress(
    person: Person, point: NDArray[np.float32], fine: Colors, on_ring: Column | None, material: Material
) -> None:
    if person.sleeve is not None:
        x = point[:, REST.start]
        cloth = -x > person.sleeve.start + 0.6
        stripes = 0.35 * (np.sin(0.35 * x[cloth]) > 0.2) if person.sleeve.striped else np.float32(0)
        weave = 1 + 0.1 * fine[cloth, 0] + stripes
        material.albedo[cloth] = np.clip(person.sleeve.color * weave[:, None], 0.005, 1)
        material.gloss[cloth], material.roughness[cloth], material.flesh[cloth] = 0.15, 0.8, 0
    if person.ring is not None and on_ring is not None:
        along = point[:, KNUCKLE] - person.ring.start
        metal = (on_ring > 0.5) & (along > 0) & (along < person.ring.width)
        material.albedo[metal] = person.ring.color
        material.gloss[metal], material.roughness[metal], material.flesh[metal] = 9, 0.3, 0


def painted_material(paint: Paint, own: NDArray[np.float32]) -> Material:
    """Return the material of (N, 3) points of an object, in its own frame, mm."""
    count = len(own)
    second = np.zeros(count, bool)
    if paint.stripes is not None:
        second = np.sin(own @ paint.stripes) > paint.threshold
    elif paint.band:
        second = np.abs(own[:, 2]) < paint.band
    return Material(
        albedo=np.where(second[:, None], paint.colors[1], paint.colors[0]),
        gloss=np.full(count, paint.gloss, np.float32),
        roughness=np.full(count, paint.roughness, np.float32),
        flesh=np.zeros(count, np.float32),
        bump=np.zeros((count, 3), np.float32),
    )
