"""The two looks, as ranges to draw from. They differ on purpose: training on one and testing on the other shows a gap.

`clean`: daylight rooms, soft light, a good camera, skin as after washing. `gritty`: a lamp from the side, clutter and
coarse texture behind, mottled and rough skin, a cheap camera: cast, grain, smear, JPEG.
"""

from dataclasses import dataclass

from handdata.synth.frame import Style

Range = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """Ranges of one style; colours and light are linear RGB, angles of nothing, sizes in px of a 256 px picture.

    Attributes:
        melanin: parameters (a, b) of the beta distribution.
        roughness, gloss: of the skin's highlight.
        mottling: strength of the uneven colour of skin.
        wrinkles: strength of the lines on the knuckles.
        bump: strength of the fine relief of skin.
        key: strength of the lamp; ambient: of the light from all round.
        shadow_softness: width of the filter of the shadow map, texels.
        light_height: mean of the lamp's direction, y and z.
        warmth: standard deviation of the lamp's colour.
        exposure: brightness that the automatic exposure aims at.
        highlight: brightness at which the brightest skin is held.
        cast: standard deviation of the channels' gains; contrast: exponent round middle grey.
        blur, noise: of the camera; vignette: darkening of the corners.
        jpeg: quality range, or None.
        smear: longest motion blur.
        rooms, textures: shares of the procedural backgrounds; the rest is clutter.
        background_gain, background_blur: as it says.
        sleeve, ring, nail_polish: how often.
    """

    melanin: Range
    roughness: Range
    gloss: Range
    mottling: Range
    wrinkles: Range
    bump: float
    key: Range
    ambient: Range
    shadow_softness: float
    light_height: Range
    warmth: float
    exposure: Range
    highlight: Range
    cast: float
    contrast: Range
    blur: Range
    noise: Range
    vignette: Range
    jpeg: tuple[int, int] | None
    smear: float
    rooms: float
    textures: float
    background_gain: Range
    background_blur: Range
    sleeve: float
    ring: float
    nail_polish: float


LOOKS: dict[Style, Look] = {
    "clean": Look(
        melanin=(1.0, 1.6),
        roughness=(0.34, 0.6),
        gloss=(0.5, 1.2),
        mottling=(0.4, 1.0),
        wrinkles=(0.25, 0.9),
        bump=0.03,
        key=(0.4, 1.25),
        ambient=(0.6, 1.15),
        shadow_softness=1.6,
        light_height=(-0.6, -0.9),
        warmth=0.08,
        exposure=(0.34, 0.62),
        highlight=(0.5, 0.95),
        cast=0.035,
        contrast=(0.97, 1.05),
        blur=(0.0, 0.7),
        noise=(0.3, 2.2),
        vignette=(0.0, 0.06),
        jpeg=None,
        smear=0.0,
        rooms=0.72,
        textures=0.2,
        background_gain=(0.6, 1.2),
        background_blur=(0.4, 3.0),
        sleeve=0.45,
        ring=0.1,
        nail_polish=0.12,
    ),
    "gritty": Look(
        melanin=(1.15, 1.25),
        roughness=(0.32, 0.55),
        gloss=(0.8, 1.9),
        mottling=(1.2, 2.6),
        wrinkles=(0.6, 1.5),
        bump=0.05,
        key=(1.2, 2.4),
        ambient=(0.25, 0.55),
        shadow_softness=0.8,
        light_height=(-0.25, -0.45),
        warmth=0.22,
        exposure=(0.22, 0.5),
        highlight=(0.4, 1.1),
        cast=0.13,
        contrast=(1.05, 1.35),
        blur=(0.3, 1.2),
        noise=(3.0, 9.0),
        vignette=(0.1, 0.4),
        jpeg=(28, 70),
        smear=5.0,
        rooms=0.12,
        textures=0.4,
        background_gain=(0.35, 1.1),
        background_blur=(0.0, 1.2),
        sleeve=0.6,
        ring=0.16,
        nail_polish=0.08,
    ),
}
