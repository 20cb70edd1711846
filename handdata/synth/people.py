"""What pictures with hands show that is no hand: heads, bare arms, clothes, sticks, jewellery, lumps of skin's colour.

Painted on a background by the scene's own lamp, as shells of ellipses and limbs seen from the front; a detector that
has not seen them takes them for hands. Places and sizes are shares of the picture's height.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from handdata.synth.background import Backdrop, draw_backdrop
from handdata.synth.color import Colors, tint, to_linear
from handdata.synth.layers import Layers, Stuff
from handdata.synth.light import Light
from handdata.synth.mesh import Floats
from handdata.synth.person import METALS
from handdata.synth.skin import skin_albedo

COLLAGE = 0.3  # how often a second background is laid on the first
HEADS, ARMS, LUMPS, STICKS, CLOTHS, TRINKETS = 0.45, 0.35, 0.3, 0.3, 0.35, 0.25  # how often each is there at all
OWN_SKIN = 0.6  # share of things of skin that are of the hand's person
HEAD_RADIUS = (0.035, 0.4)  # half the breadth of a face
HAIR = ((30, 22, 18), (62, 40, 26), (110, 75, 45), (190, 150, 95), (150, 150, 150))  # sRGB
RED = 0.35  # share of clothes that are red, orange or pink: the colours nearest to skin


@dataclass(frozen=True)
class Peopled:
    """A background with people and things on it.

    Attributes:
        behind: what they stand before.
        seed: that decides them.
        melanin: of the hand's person.
        light: of the scene.
    """

    behind: Backdrop
    seed: tuple[int, ...]
    melanin: float
    light: Light

    def picture(self, width: int, height: int) -> Colors:
        """Return it as (height, width, 3) linear light."""
        rng = np.random.default_rng(self.seed)
        canvas = self.behind.picture(width, height).copy()
        if rng.random() < COLLAGE:
            _paste(rng, canvas, draw_backdrop(rng, self.behind.style, self.behind.files))
        layers = Layers(rng, width, height)
        wide = width / height
        painters = [(_cloth, CLOTHS), (_head, HEADS), (_arm, ARMS), (_lump, LUMPS), (_sticks, STICKS)]
        painters.append((_trinket, TRINKETS))
        for which in rng.permutation(len(painters)):
            paint, share = painters[which]
            if rng.random() < share:
                for _ in range(int(rng.integers(1, 4))):
                    paint(rng, layers, self._skin(rng), wide)
        layers.light_up(canvas, self.light)
        return canvas

    def _skin(self, rng: np.random.Generator) -> Stuff:
        melanin = self.melanin if rng.random() < OWN_SKIN else rng.beta(1, 1.5)
        return skin_of(rng, float(melanin))


def skin_of(rng: np.random.Generator, melanin: float) -> Stuff:
    """Draw a piece of skin of a person."""
    pigments = np.clip([melanin + rng.normal(0, 0.04), rng.uniform(0.1, 1.2), rng.uniform(0, 0.7)], 0, 1.3)
    color = skin_albedo(*(pigments.astype(np.float32)[:, None]))[0]
    return Stuff(color, flesh=1.0, gloss=float(rng.uniform(0.4, 1.6)), folds=0.15)


def _cloth_stuff(rng: np.random.Generator) -> Stuff:
    if rng.random() < RED:
        color = to_linear(np.clip([rng.uniform(0.5, 1), rng.uniform(0.05, 0.6), rng.uniform(0.05, 0.5)], 0, 1))
        return Stuff(color.astype(np.float32), gloss=0.15, folds=float(rng.uniform(0.3, 1)))
    return Stuff(tint(rng, (0.05, 0.9), 0.35), gloss=0.15, folds=float(rng.uniform(0.3, 1)))


def _wood_or_skin(rng: np.random.Generator, skin: Stuff, share: float) -> Stuff:
    if rng.random() < share:
        return skin
    return Stuff(tint(rng, (0.15, 0.9), 0.3), gloss=float(rng.uniform(0.1, 2)), folds=0.1)


def _paste(rng: np.random.Generator, canvas: Colors, other: Backdrop) -> None:
    """Lay another background on a canvas, within a polygon."""
    height, width = canvas.shape[:2]
    around = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
    reach = rng.uniform(0.3, 0.9, len(around)) * height
    corners = rng.random(2) * [width, height] + reach[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    share = mask[..., None].astype(np.float32) / 255
    canvas += share * (other.picture(width, height) - canvas)


def _place(rng: np.random.Generator, wide: float) -> Floats:
    return rng.uniform(-0.1, 1.1, 2) * [wide, 1]


# ------------------------------------------------------------------------------------------------ things


@dataclass(frozen=True)
class _Head:
    """Middle, half breadth a and half height b, tilt in radians, and how far the face is turned, in half breadths."""

    middle: Floats
    a: float
    b: float
    tilt: float
    turned: float

    def at(self, across: float, down: float) -> Floats:
        """Return the place so many half breadths across and half heights down."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        along = across * self.a * np.array([c, s]) + down * self.b * np.array([-s, c])
        point: Floats = self.middle + along
        return point


def _head(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint a head with hair, a face turned a little, neck and shoulders."""
    a = float(np.exp(rng.uniform(*np.log(HEAD_RADIUS))))
    b = a * rng.uniform(1.2, 1.5)
    middle, tilt = _place(rng, wide), rng.normal(0, 0.25)
    hair_color = to_linear(np.array(HAIR[rng.integers(len(HAIR))]) / 255 * rng.uniform(0.7, 1.3)).astype(np.float32)
    hair = Stuff(hair_color, gloss=0.6, folds=1.0)
    head = _Head(middle, a, b, tilt, float(rng.normal(0, 0.35)))
    at, long = head.at, rng.random() < 0.4
    if rng.random() < 0.8:
        shape = 1.15 * a, b * (1.5 if long else 1.05)
        layers.ellipse(at(-0.2 * head.turned, 0.35 if long else -0.12), shape, tilt, hair)
    if rng.random() < 0.75:
        layers.limb(at(0, 0.6), at(0, 1.5), (0.5 * a, 0.55 * a), skin)
        cloth = _cloth_stuff(rng)
        layers.ellipse(at(0, 2.6), (rng.uniform(2, 2.8) * a, 1.3 * b), tilt, cloth)
        for side in (-1.0, 1.0):
            layers.limb(at(2 * side, 2.2), at(side * rng.uniform(1.6, 3), 5), (0.6 * a, 0.5 * a), cloth)
    for side in (-1.0, 1.0):
        layers.ellipse(at(side * 0.98 - 0.3 * head.turned, 0.05), (0.16 * a, 0.24 * b), tilt, skin)
    layers.ellipse(middle, (a, b), tilt, skin)
    if rng.random() < 0.9:  # else the back of a head, or a bald one from above
        _face(rng, layers, head, skin, hair)
    if rng.random() < 0.7:
        layers.ellipse(at(0, -0.85), (0.85 * a, 0.32 * b), tilt, hair)


def _face(rng: np.random.Generator, layers: Layers, head: _Head, skin: Stuff, hair: Stuff) -> None:
    a, b, tilt, turned, at = head.a, head.b, head.tilt, head.turned, head.at
    white, dark = Stuff(np.full(3, 0.7, np.float32), gloss=1), Stuff(np.full(3, 0.02, np.float32), gloss=2)
    lips = Stuff(skin.color * np.array([0.9, 0.5, 0.5], np.float32), flesh=1.0, gloss=1.0)
    shade = Stuff(skin.color * np.float32(0.6), flesh=1.0)
    glasses = rng.random() < 0.2
    for side in (-1.0, 1.0):
        x = side * 0.4 + turned
        layers.ellipse(at(x, -0.08), (0.24 * a, 0.12 * b), tilt, dark if glasses else shade)
        if not glasses:
            layers.ellipse(at(x, -0.08), (0.18 * a, 0.06 * b), tilt, white)
            layers.ellipse(at(x, -0.08), (0.08 * a, 0.06 * b), tilt, dark)
        layers.limb(at(x - 0.2, -0.25), at(x + 0.2, -0.25), (0.05 * a, 0.05 * a), hair)
    layers.limb(at(1.1 * turned, -0.1), at(1.25 * turned, 0.28), (0.09 * a, 0.16 * a), skin)
    for side in (-1.0, 1.0):
        layers.ellipse(at(1.25 * turned + 0.1 * side, 0.36), (0.07 * a, 0.03 * b), tilt, shade)
    layers.ellipse(at(turned, 0.58), (rng.uniform(0.2, 0.4) * a, rng.uniform(0.04, 0.14) * b), tilt, lips)
    if rng.random() < 0.25:
        layers.ellipse(at(turned, 0.85), (0.5 * a, 0.22 * b), tilt, hair)


def _arm(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint an arm or a leg that shows no hand: both ends lie outside, in a sleeve, or under cloth."""
    thick = float(np.exp(rng.uniform(*np.log([0.025, 0.2]))))
    elbow, turn = _place(rng, wide), rng.uniform(0, 2 * np.pi)
    for end in (turn, turn + rng.uniform(1.5, 4.8)):
        along = np.array([np.cos(end), np.sin(end)])
        layers.limb(elbow, elbow + 2 * along, (thick, thick * rng.uniform(0.7, 1.4)), skin)
        if rng.random() < 0.5:
            start = elbow + along * rng.uniform(0.1, 0.8)
            layers.limb(start, start + 2 * along, (1.25 * thick, 1.5 * thick), _cloth_stuff(rng))


def _lump(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint a body without fingers, of skin, wood or leather."""
    middle, stuff = _place(rng, wide), _wood_or_skin(rng, skin, 0.6)
    reach = float(np.exp(rng.uniform(*np.log([0.04, 0.35]))))
    for _ in range(int(rng.integers(1, 5))):
        axes = reach * rng.uniform(0.4, 1.1, 2)
        layers.ellipse(middle + rng.normal(0, 0.5, 2) * reach, axes, rng.uniform(0, np.pi), stuff)


def _sticks(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint a row of pens, bars or branches, side by side as fingers are."""
    start, turn = _place(rng, wide), rng.uniform(0, 2 * np.pi)
    thick = float(np.exp(rng.uniform(*np.log([0.006, 0.05]))))
    across = np.array([-np.sin(turn), np.cos(turn)]) * thick * rng.uniform(2, 5)
    for k in range(int(rng.integers(1, 8))):
        stuff = _wood_or_skin(rng, skin, 0.15)
        direction = turn + rng.normal(0, 0.12)
        along = np.array([np.cos(direction), np.sin(direction)]) * rng.uniform(0.2, 1.5)
        layers.limb(start + k * across, start + k * across + along, (thick, thick * rng.uniform(0.5, 1)), stuff)


def _cloth(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint clothes or cushions: large folded ovals, with a collar of skin now and then."""
    middle, stuff = _place(rng, wide), _cloth_stuff(rng)
    axes = rng.uniform(0.15, 0.7, 2)
    layers.ellipse(middle, axes, rng.uniform(0, np.pi), stuff)
    if rng.random() < 0.5:
        turn = rng.uniform(0, 2 * np.pi)
        end = middle + 0.9 * np.array([np.cos(turn), np.sin(turn)])
        layers.limb(middle, end, (0.6 * axes.min(), 0.4 * axes.min()), stuff)
    if rng.random() < 0.3:
        layers.ellipse(middle, axes * rng.uniform(0.15, 0.4, 2), rng.uniform(0, np.pi), skin)


def _trinket(rng: np.random.Generator, layers: Layers, skin: Stuff, wide: float) -> None:
    """Paint a chain, a watch or a ring lying about, on a piece of skin now and then."""
    middle, count = _place(rng, wide), int(rng.integers(3, 30))
    metal = Stuff(to_linear(METALS[rng.integers(2)]).astype(np.float32), gloss=9.0)
    bead = float(np.exp(rng.uniform(*np.log([0.005, 0.03]))))
    if rng.random() < 0.3:
        layers.ellipse(middle, rng.uniform(0.08, 0.3, 2), rng.uniform(0, np.pi), skin)
    reach, begin = rng.uniform(0.04, 0.3, 2), rng.uniform(0, 2 * np.pi)
    for t in begin + np.linspace(0, rng.uniform(2, 6.3), count):
        layers.ellipse(middle + reach * np.array([np.cos(t), np.sin(t)]), (bead, bead), 0.0, metal)
