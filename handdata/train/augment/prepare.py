"""From a batch of canvases to the network's input: crop, turn, scale, background, colour, blur, labels alongside.

One warp per sample takes the crop straight from the canvas (crop_window.py); pixels that it reveals outside the picture
are background where a mask allows, black elsewhere. Every number is drawn on the host by (seed, epoch, position), so a
sample looks the same on any device and in any batch. The same steps are taken on a CPU, by on_cpu.py, and on a GPU.

Shape letters: B batch, K keypoints, 3 RGB or x y z, H W = n crop side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.geometry import in_frame, view_turn
from handdata.model.families.family import Labels
from handdata.model.pixels import normalize
from handdata.pictures.crop_window import CropPlan, CropView, map_pixels, plan_views, sampling_affine
from handdata.shards.sampling import STREAM_AUGMENT, STREAM_FLIP, uniforms
from handdata.skeleton import RIGHT
from handdata.train.augment import on_cpu
from handdata.train.augment.backgrounds import BackgroundPool
from handdata.train.augment.coarse import coarsen
from handdata.train.augment.color import ORDERS, blur, jitter
from handdata.train.augment.noise import ROOM, add_noise, cover
from handdata.train.augment.settings import AugmentConfig
from handdata.train.augment.warp import warp, warp_over
from handdata.train.loader.loaders import Batch

CROP_SIZE = 128  # px, docs/method.md 1: the network's input
# columns of the numbers drawn for a sample
_ANGLE, _SCALE, _WINDOW, _BRIGHTNESS, _CONTRAST, _SATURATION, _ORDER, _BLUR = range(8)
_TILE, _SHIFT_X = 8, 11  # three numbers and two
_GRAY, _NOISE, _PLACE, _COVER, _BOX, _PAINT = 13, 14, 15, 17, 18, 22  # one, one, two, one, four and three
_COARSE, _COARSE_PX = 25, 26
_DRAWS = 27


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the network and the losses see, on the device.

    Attributes:
        image_B3HW: float32, normalised.
        uv_BK2: float32 fractions of the crop side, x_n / n; true values outside 0..1; 0 where not labelled.
        present_2d_BK: bool, labelled and inside the picture as shipped and the crop, by the half-open rule: what the
            2D losses use (D10, D11, docs/method.md 3.4).
        labelled_2d_BK: bool, labelled, inside or not.
        xyz_BK3: float32 normalised 3D, turned and mirrored with the picture; 0 where not labelled.
        present_3d_BK: bool.
        side_B: float32, side of the crop in source px: uv times it is an error in source px.
        camera_B33: float32 intrinsics of the crop; NaN if unknown.
        turn_B33: float32, from the crop camera's axes to those of `xyz_BK3`: the view turn, or the identity.
        scale_B: float32, wrist to middle MCP, mm; NaN if unknown.
        hand_B: bool, something of a hand is labelled.
        right_B: bool, it is a right one, as shown; False where its side is not known.
        side_known_B: bool, the dataset says its side.
        domain_B: int64, number of the dataset in the mixture.
        source_to_crop_B33: float64, on the host: pixels as shipped to crop pixels.
        rotation_B33: float64, on the host: source camera axes to the crop camera's.
        K_B33: float64, on the host: intrinsics of the crop; NaN if unknown.
        mirrored_B: bool, on the host.
    """

    image_B3HW: Tensor
    uv_BK2: Tensor
    present_2d_BK: Tensor
    labelled_2d_BK: Tensor
    xyz_BK3: Tensor
    present_3d_BK: Tensor
    side_B: Tensor
    camera_B33: Tensor
    turn_B33: Tensor
    scale_B: Tensor
    hand_B: Tensor
    right_B: Tensor
    side_known_B: Tensor
    domain_B: Tensor
    source_to_crop_B33: NDArray[np.float64]
    rotation_B33: NDArray[np.float64]
    K_B33: NDArray[np.float64]
    mirrored_B: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image_B3HW)

    @property
    def labels(self) -> Labels:
        """What losses compare with."""
        return Labels(
            uv_BK2=self.uv_BK2,
            present_2d_BK=self.present_2d_BK,
            xyz_BK3=self.xyz_BK3,
            present_3d_BK=self.present_3d_BK,
            K_B33=self.camera_B33,
            turn_B33=self.turn_B33,
            scale_B=self.scale_B,
            hand_B=self.hand_B,
            right_B=self.right_B,
            side_known_B=self.side_known_B,
            domain_B=self.domain_B,
        )


@dataclass(frozen=True, slots=True)
class _Draws:
    """A batch's numbers, turned into parameters."""

    view: CropView
    factors: NDArray[np.float64]  # (B, 3)
    order: NDArray[np.int64]  # (B,)
    sigma: NDArray[np.float64]  # (B,)
    noise: NDArray[np.float64]  # (B,)
    place: NDArray[np.int64]  # (B, 2) of the noise
    coarse: NDArray[np.int64]  # (B,) px, 0 for as many as there are
    box: NDArray[np.float64]  # (B, 4) of the patch
    paint: NDArray[np.float64]  # (B, 3) its colour
    tile: NDArray[np.float64]  # (B, 3) numbers that place the background
    recolor: bool


def prepare(
    batch: Batch,
    config: AugmentConfig | Sequence[AugmentConfig],
    *,
    seed: int,
    epoch: int,
    train: bool,
    indices: NDArray[np.int64] | None = None,
    backgrounds: BackgroundPool | None = None,
    size: int = CROP_SIZE,
    turn: bool = False,
    zoom: float = 1.0,
) -> Inputs:
    """Turn a batch into the network's input and targets.

    Args:
        batch: from a Loader.
        config: one for all datasets, or one for each dataset of the mixture, in its order.
        seed: of the run.
        epoch: counted from 0; give a constant in validation.
        train: draw everything in `config`; otherwise the stored crop as it is, with a background and mirrored.
        indices: (B,) what the draws hang on; the batch's positions in the epoch by default.
        backgrounds: on the batch's device, windows of `size`; None leaves the pictures' own backgrounds.
        size: n, px.
        turn: 3D in the axes of the view through the crop's middle, where the camera is known.
        zoom: how much closer than the crop to look, about its middle.
    """
    configs = (config,) if isinstance(config, AugmentConfig) else tuple(config)
    which = np.zeros(len(batch), np.int64) if len(configs) == 1 else batch.dataset
    places = batch.position if indices is None else indices
    numbers = uniforms(seed, epoch, places, _DRAWS, stream=STREAM_AUGMENT)
    right, side_known = batch.labels["hand_side"] == RIGHT, batch.labels["hand_side"] <= RIGHT
    # nobody knows which way round a hand of unknown side is to be shown: each of both half of the time
    labelled = is_labelled(batch.labels["annotated_2d"], batch.labels["annotated_3d"])
    both = ~side_known & labelled & np.array([c.mirror_right for c in configs])[which]
    share = np.where(both, 0.5, np.array([c.flip for c in configs])[which])
    flip = uniforms(seed, epoch, places, 1, stream=STREAM_FLIP)[:, 0] < share
    draws = _draw(configs, which, numbers, right=right, flip=flip, train=train)
    plan = _plan(batch, replace(draws.view, zoom=draws.view.zoom * zoom), size)
    view = view_turn(plan.K, size) if turn else np.broadcast_to(np.eye(3), plan.K.shape)
    if turn:
        plan = replace(plan, rotation=view @ plan.rotation)
    composite = np.array([c.background for c in configs])[which] & batch.has_foreground
    arrays = {
        "affine": sampling_affine(batch.labels["source_to_canvas"], plan, batch.canvases.shape[1], size),
        "factors": draws.factors,
        "order": draws.order,
        "sigma": draws.sigma,
        "noise": draws.noise,
        "place": draws.place,
        "coarse": draws.coarse,
        "box": draws.box,
        "paint": draws.paint,
        "composite": composite,
        **_labels(batch, plan, size),
        "camera": plan.K,
        "view": view,
        "right": (right ^ draws.view.mirror) & side_known,
        "side_known": side_known,
    }
    pool = backgrounds if composite.any() else None
    if pool is not None:
        arrays["tile"] = pool.place(draws.tile)
    on_device = _upload(arrays, batch.canvases.device)
    looks = _Looks(
        pool=pool,
        size=size,
        recolor=draws.recolor,
        cover=bool((draws.box[:, 2] > 0).any()),
        soften=bool((draws.sigma > 0).any()),
        grain=bool((draws.noise > 0).any()),
        coarsen=bool((draws.coarse > 0).any()),
    )
    image = _pictures(batch, on_device, looks)
    return Inputs(
        image_B3HW=image,
        uv_BK2=on_device["uv"],
        present_2d_BK=on_device["present_2d"] > 0,
        labelled_2d_BK=on_device["labelled_2d"] > 0,
        xyz_BK3=on_device["xyz"],
        present_3d_BK=on_device["present_3d"] > 0,
        side_B=on_device["side"],
        camera_B33=on_device["camera"],
        turn_B33=on_device["view"],
        scale_B=on_device["scale"],
        hand_B=on_device["hand"] > 0,
        right_B=on_device["right"] > 0,
        side_known_B=on_device["side_known"] > 0,
        domain_B=on_device["domain"].long(),
        source_to_crop_B33=plan.source_to_crop,
        rotation_B33=plan.rotation,
        K_B33=plan.K,
        mirrored_B=draws.view.mirror,
    )


def _draw(
    configs: Sequence[AugmentConfig],
    which: NDArray[np.int64],
    u: NDArray[np.float64],
    *,
    right: NDArray[np.bool_],
    flip: NDArray[np.bool_],
    train: bool,
) -> _Draws:
    """Map uniform numbers (B, 27) to each sample's own ranges."""
    used = [c if train else AugmentConfig(background=c.background, mirror_right=c.mirror_right) for c in configs]

    def column(name: str) -> NDArray[Any]:
        return np.array([getattr(c, name) for c in used])[which]

    def span(name: str, draw: int) -> NDArray[np.float64]:
        limits = column(name).astype(np.float64)
        return np.asarray(limits[:, 0] + (limits[:, 1] - limits[:, 0]) * u[:, draw])

    def around(name: str, draw: int) -> NDArray[np.float64]:
        return np.asarray(column(name).astype(np.float64) * (2 * u[:, draw] - 1))

    view = CropView(
        angle=around("rotation_deg", _ANGLE),
        mirror=(column("mirror_right") & right) ^ (flip & train),
        window=column("window"),
        zoom=1 + span("scale", _SCALE),
        margin=span("margin_px", _WINDOW),
        factor=span("box_factor", _WINDOW),
        shift=np.stack([around("shift", _SHIFT_X), around("shift", _SHIFT_X + 1)], -1),
    )
    factors = [
        1 + around(n, d) for n, d in (("brightness", _BRIGHTNESS), ("contrast", _CONTRAST), ("saturation", _SATURATION))
    ]
    factors[2] = np.where(u[:, _GRAY] < column("gray"), 0.0, factors[2])  # no saturation: its grey values
    covered = u[:, _COVER] < column("cover")
    coarse = np.where(u[:, _COARSE] < column("coarse"), span("coarse_px", _COARSE_PX), 0.0)
    limits = column("cover_side").astype(np.float64)
    sides = limits[:, :1] + (limits[:, 1:] - limits[:, :1]) * u[:, _BOX + 2 : _BOX + 4]
    return _Draws(
        view=view,
        factors=np.stack(factors, -1),
        noise=np.asarray(column("noise").astype(np.float64) * u[:, _NOISE]),
        place=(u[:, _PLACE : _PLACE + 2] * ROOM).astype(np.int64),
        coarse=np.rint(coarse).astype(np.int64),
        box=np.concatenate([u[:, _BOX : _BOX + 2], np.where(covered[:, None], sides, 0.0)], axis=1),
        paint=u[:, _PAINT : _PAINT + 3],
        order=(u[:, _ORDER] * len(ORDERS)).astype(np.int64),
        sigma=span("blur_px", _BLUR),
        tile=u[:, _TILE : _TILE + 3],
        recolor=any(c.recolors for c in used),
    )


def _plan(batch: Batch, view: CropView, size: int) -> CropPlan:
    labels = batch.labels
    points = np.concatenate([labels["keypoints_2d"], labels["palm_center_2d"][:, None]], axis=1)
    return plan_views(
        view, size, crop_xyxy=labels["crop_xyxy"], points=points, K=labels["K"], image_width=labels["image_size"][:, 0]
    )


def _labels(batch: Batch, plan: CropPlan, size: int) -> dict[str, NDArray[Any]]:
    """Take the labels through the plan; zeros where nothing is labelled."""
    uv = map_pixels(plan.source_to_crop, batch.labels["keypoints_2d"])
    xyz = batch.labels["keypoints_3d_normalized"].astype(np.float64) @ plan.rotation.transpose(0, 2, 1)
    labelled, known = batch.labels["annotated_2d"], np.asarray(np.isfinite(xyz).all(-1))
    return {
        "uv": np.where(labelled[..., None], uv / size, 0.0),
        "labelled_2d": labelled,
        "present_2d": labelled & batch.labels["in_frame"] & in_frame(uv, size, size),
        "xyz": np.where(known[..., None], xyz, 0.0),
        "present_3d": known,
        "side": plan.side,
        "scale": batch.labels["scale_mm"],
        "hand": is_labelled(labelled, batch.labels["annotated_3d"]),
        "domain": batch.dataset,
    }


def is_labelled(annotated_2d: NDArray[np.bool_], annotated_3d: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say of hands, by the masks (B, K) of their points, whether anything of them is labelled, (B,)."""
    return np.asarray(annotated_2d.any(1) | annotated_3d.any(1))


@dataclass(frozen=True, slots=True)
class _Looks:
    """Which steps a batch's pictures need."""

    pool: BackgroundPool | None
    size: int
    recolor: bool
    cover: bool
    soften: bool
    grain: bool
    coarsen: bool


# what `_picture` does to a whole batch; on_cpu has it by the same names for one picture after the other
_STEPS = (warp, BackgroundPool.windows, warp_over, jitter, cover, blur, add_noise, coarsen)
_BATCHED = SimpleNamespace(**{step.__name__: step for step in _STEPS})


def _pictures(batch: Batch, on_device: Mapping[str, Tensor], looks: _Looks) -> Tensor:
    """Make the pictures, (B, 3, n, n), normalised."""
    if batch.canvases.device.type != "cpu":
        return normalize(_picture(batch, on_device, looks, _BATCHED))
    result = torch.empty((len(batch), 3, looks.size, looks.size))
    on_cpu.normalize(_picture(batch, on_device, looks, on_cpu), result)
    return result


def _picture(batch: Batch, given: Mapping[str, Tensor], looks: _Looks, steps: Any) -> Any:
    """Warp, composite, recolour, cover, blur, add noise and show from fewer pixels."""
    affine = given["affine"]
    if looks.pool is None or batch.foreground is None:
        image = steps.warp(batch.canvases, affine, looks.size)
    else:
        behind = steps.windows(looks.pool, given["tile"].long())
        image = steps.warp_over(batch.canvases, batch.foreground, given["composite"] > 0, affine, behind)
    if looks.recolor:
        image = steps.jitter(image, given["factors"], given["order"].long())
    if looks.cover:
        image = steps.cover(image, given["box"], given["paint"])
    if looks.soften:
        image = steps.blur(image, given["sigma"])
    if looks.grain:
        image = steps.add_noise(image, given["noise"], given["place"].long())
    if looks.coarsen:
        image = steps.coarsen(image, given["coarse"].long())
    return image


def _upload(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
    """Send many small arrays (B, ...) in one copy, as float32."""
    flat = [np.asarray(array, np.float32).reshape(len(array), -1) for array in arrays.values()]
    packed = torch.from_numpy(np.concatenate(flat, axis=1))
    if device.type == "cuda":
        packed = packed.pin_memory()
    packed = packed.to(device, non_blocking=True)
    parts = torch.split(packed, [part.shape[1] for part in flat], dim=1)
    return {name: part.reshape(a.shape) for (name, a), part in zip(arrays.items(), parts, strict=True)}
