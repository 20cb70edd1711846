"""What the training pictures go through, as settings: the fields with their limits, the published ranges, and ours.

No torch here: recipes are read and checked without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from handdata.pictures.crop_window import Window

T = TypeVar("T")
MAX_BLUR = 1.41  # px: a wider Pillow radius needs boxes of five taps


def _within(low: float, high: float, default: T) -> T:
    """Return a field whose number, or whose range from end to end, lies within low..high; both included."""
    value: T = field(default=default, metadata={"limits": (low, high)})
    return value


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What one dataset's training samples go through.

    The default changes nothing but the background, as e010, e012 and e013 do (docs/method.md 8).

    Attributes:
        rotation_deg: angle drawn from +- this, degrees.
        scale: the picture grows by 1 + p, p drawn from this range.
        window: how the crop follows the turned picture: a name of crop_window.Window.
        margin_px: round the keypoints, of window "keypoints", source px.
        box_factor: of the enclosing square, of window "box".
        shift: of the window, +- this fraction of its side in x and y.
        background: put a fresh background where the dataset has a mask, in training and in validation.
        brightness: factor drawn from 1 +- this.
        contrast: factor drawn from 1 +- this.
        saturation: factor drawn from 1 +- this.
        blur_px: range of the Gaussian's sigma at the crop's scale, px; at most 1.41 (color.blur).
        gray: share of the samples that lose their colour.
        noise: standard deviation of the noise drawn from 0 to this, of a picture in 0..1.
        coarse: share of the samples shown from fewer pixels, as hands far away are.
        coarse_px: range of the side that these have, px.
        cover: share of the samples with a flat patch over a part of the crop; what it hides stays labelled.
        cover_side: range of its width and of its height, fractions of the crop.
        mirror_right: show right hands as left ones, in training and in validation.
        flip: share of the samples shown as the other side than they would be.
    """

    rotation_deg: float = _within(0, 360, 0.0)
    scale: tuple[float, float] = _within(-0.99, 99, (0.0, 0.0))  # a window of the hundredth part still has a size
    window: Window = "fixed"
    margin_px: tuple[float, float] = _within(0, 10_000, (40.0, 40.0))
    box_factor: tuple[float, float] = _within(0.01, 100, (1.0, 1.0))
    shift: float = _within(0, 1, 0.0)
    background: bool = True
    brightness: float = _within(0, 1, 0.0)
    contrast: float = _within(0, 1, 0.0)
    saturation: float = _within(0, 1, 0.0)
    blur_px: tuple[float, float] = _within(0, MAX_BLUR, (0.0, 0.0))
    gray: float = _within(0, 1, 0.0)
    noise: float = _within(0, 1, 0.0)
    coarse: float = _within(0, 1, 0.0)
    coarse_px: tuple[float, float] = _within(4, 10_000, (20.0, 72.0))
    cover: float = _within(0, 1, 0.0)
    cover_side: tuple[float, float] = _within(0, 1, (0.1, 0.4))
    mirror_right: bool = True
    flip: float = _within(0, 1, 0.0)

    @property
    def recolors(self) -> bool:
        """Whether brightness, contrast or saturation change at all."""
        return max(self.brightness, self.contrast, self.saturation, self.gray) > 0


LIMITS = {f.name: f.metadata["limits"] for f in fields(AugmentConfig) if "limits" in f.metadata}
_COLOR: dict[str, Any] = {"brightness": 0.25, "contrast": 0.25, "saturation": 0.25, "blur_px": (0.0, 0.8)}
# The table of docs/method.md 8. The last three sets were never trained on in the published work: turned and scaled as a
# person's box would be, the range that of Dexter+Object.
_BOXED = AugmentConfig(rotation_deg=180.0, window="box", box_factor=(0.7, 1.0), **_COLOR)
PUBLISHED: dict[str, AugmentConfig] = {
    "synthhands": AugmentConfig(rotation_deg=180.0, scale=(-0.25, 0.15), **_COLOR),
    "ganerated": AugmentConfig(**_COLOR),
    "stereo": AugmentConfig(rotation_deg=180.0, window="keypoints", margin_px=(40.0, 100.0), **_COLOR),
    "dexter": _BOXED,
    "egodexter": _BOXED,
    "dexter1": _BOXED,
    "rhd": _BOXED,
}
# Ours, for pictures unlike those trained on: every set is turned, moved and scaled, GANerated's too, with stronger
# colours, sensor noise, lost colour and patches in front of the hand. docs/decisions.md says what it rests on.
_WILD: dict[str, Any] = {"rotation_deg": 180.0, "shift": 0.06, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
_WILD |= {"blur_px": (0.0, 1.2), "gray": 0.05, "noise": 0.02, "cover": 0.1}
_WILD_BOXED = AugmentConfig(window="box", box_factor=(0.7, 1.0), **_WILD)
STRONG: dict[str, AugmentConfig] = {
    "synthhands": AugmentConfig(scale=(-0.25, 0.25), **_WILD),
    "ganerated": AugmentConfig(window="follow", scale=(-0.1, 0.25), **_WILD),  # nothing is known outside its pictures
    "stereo": AugmentConfig(window="keypoints", margin_px=(20.0, 100.0), **_WILD),
}


def published_configs(
    datasets: Sequence[str], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> list[AugmentConfig]:
    """Return the published augmentation of each dataset, `overrides[dataset]` replacing single fields.

    A dataset that the published work does not know is treated as one with a person's boxes.

    Raises:
        ValueError: an unknown field.
    """
    return _on_top(PUBLISHED, _BOXED, datasets, overrides)


def strong_configs(
    datasets: Sequence[str], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> list[AugmentConfig]:
    """Return our own augmentation of each dataset, as `published_configs` does the published one."""
    return _on_top(STRONG, _WILD_BOXED, datasets, overrides)


AUGMENTATIONS = {"published": published_configs, "strong": strong_configs}


def _on_top(
    table: Mapping[str, AugmentConfig],
    other: AugmentConfig,
    datasets: Sequence[str],
    overrides: Mapping[str, Mapping[str, Any]] | None,
) -> list[AugmentConfig]:
    known = {f.name for f in fields(AugmentConfig)}
    result = []
    for name in datasets:
        given = dict((overrides or {}).get(name, {}))
        if set(given) - known:
            raise ValueError(f"unknown augmentation of {name}: {sorted(set(given) - known)}")
        base = table.get(name, other)
        result.append(AugmentConfig(**{**{f: getattr(base, f) for f in known}, **given}))
    return result
