"""Where the crop lies and how the labels follow it: one affine per sample, in float64 on the host. Pure NumPy.

From source pixels to crop pixels goes one affine, `crop . turn . mirror`:
    mirror  a right hand becomes a left one: u -> W - 1 - u, x -> -x
    turn    K R K^-1 about the principal point, R about the optical axis, so that turned 3D projects exactly onto the
            turned picture even where fx and fy differ (docs/method.md D1, D2); without K, R about the crop's centre
    crop    the window to n x n pixels by the one rule of docs/method.md 3.6

Shape letters: B batch, K keypoints. Windows and boxes are edges as in a slice; pixels count from pixel centres.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import crop_affine

Array = NDArray[np.float64]

# "fixed": where it lies in the picture, while the picture turns (SynthHands: a fixed camera crop).
# "follow": the size of the stored crop, about the point to which its centre turns (GANerated).
# "box": the enclosing square of the turned crop, as round a person's box (Dexter+Object).
# "keypoints": a square round the turned keypoints with a margin (Stereo).
Window = Literal["fixed", "follow", "box", "keypoints"]


@dataclass(frozen=True, slots=True)
class CropView:
    """How each sample of a batch is looked at; every field drawn already.

    Attributes:
        angle: (B,) degrees, counter-clockwise on screen.
        mirror: (B,) bool.
        window: (B,) names of `Window`.
        zoom: (B,) factor by which the picture grows about the window's centre.
        margin: (B,) px round the keypoints, of window "keypoints".
        factor: (B,) of the enclosing square, of window "box".
        shift: (B, 2) of the window, fractions of its side.
    """

    angle: Array
    mirror: NDArray[np.bool_]
    window: NDArray[np.str_]
    zoom: Array
    margin: Array
    factor: Array
    shift: Array


@dataclass(frozen=True, slots=True)
class CropPlan:
    """What follows from a view, for the picture and for every label.

    Attributes:
        source_to_crop: (B, 3, 3) homogeneous affine from source pixels, as shipped, to crop pixels.
        rotation: (B, 3, 3) from the source camera's axes to the crop camera's: turn after mirror.
        K: (B, 3, 3) intrinsics of the crop, px; NaN where the dataset has none.
        window: (B, 4) in the mirrored and turned source picture.
        side: (B,) of the window, source px.
    """

    source_to_crop: Array
    rotation: Array
    K: Array
    window: Array
    side: Array


def plan_views(
    view: CropView,
    size: int,
    *,
    crop_xyxy: NDArray[Any],
    points: NDArray[Any],
    K: NDArray[Any],
    image_width: NDArray[Any],
) -> CropPlan:
    """Work out the affine, the camera and the window of every sample.

    Args:
        view: the drawn parameters.
        size: n, side of the crop, px.
        crop_xyxy: (B, 4) stored crop, source px.
        points: (B, P, 2) what a keypoint window must hold, source px, NaN where missing (keypoints and palm centre).
        K: (B, 3, 3) px, NaN if unknown.
        image_width: (B,) px.
    """
    mirror = _mirror_affine(view.mirror, image_width)
    flip = np.where(view.mirror, -1.0, 1.0)
    flips = np.eye(3) * np.stack([flip, np.ones_like(flip), np.ones_like(flip)], -1)[:, None, :]
    K = mirror @ np.asarray(K, np.float64) @ flips
    stored = _corners(np.asarray(crop_xyxy, np.float64)) - 0.5
    stored = _apply(mirror, stored)
    turn, R = _turn(view.angle, K, stored.mean(1))
    moved = _apply(turn @ mirror, np.asarray(points, np.float64))
    center, side = _place(view, stored, _apply(turn, stored), moved)
    side = side / view.zoom
    center = center + 0.5 + view.shift * side[:, None]
    window = np.concatenate([center - side[:, None] / 2, center + side[:, None] / 2], axis=1)
    crop = _homogeneous(crop_affine(window, size))
    return CropPlan(crop @ turn @ mirror, R @ flips, crop @ K, window, side)


def map_pixels(A: Array, uv: NDArray[Any]) -> Array:
    """Map (B, N, 2) pixels by (B, 3, 3) homogeneous affines; NaN stays NaN."""
    return _apply(A, np.asarray(uv, np.float64))


def sampling_affine(source_to_canvas: NDArray[Any], plan: CropPlan, canvas: int, size: int) -> Array:
    """Return where the crop's pixels lie in the canvas, as `affine_grid` and `grid_sample` count.

    Both count -1..1 from edge to edge (align_corners=False): pixel i of S is at (2 i + 1) / S - 1.

    Args:
        source_to_canvas: (B, 2, 3).
        plan: of the same samples.
        canvas: S, px.
        size: n, px.

    Returns:
        (B, 2, 3): [x, y] of the canvas = A @ [x, y, 1] of the crop.
    """
    crop_to_canvas = _homogeneous(source_to_canvas) @ np.linalg.inv(plan.source_to_crop)
    affine: Array = (np.linalg.inv(_from_unit(canvas)) @ crop_to_canvas @ _from_unit(size))[:, :2]
    return affine


def _from_unit(size: int) -> Array:
    """Return the affine from -1..1 to pixels of a picture."""
    return np.array([[size / 2, 0, (size - 1) / 2], [0, size / 2, (size - 1) / 2], [0, 0, 1]])


def _place(view: CropView, stored: Array, turned: Array, points: Array) -> tuple[Array, Array]:
    """Return the centre (B, 2) in pixel coordinates and the side (B,) of every window."""
    center, side = stored.mean(1), np.ptp(stored, axis=1).max(-1)
    enclosing = np.ptp(turned, axis=1).max(-1)
    center = np.where((view.window != "fixed")[:, None], turned.mean(1), center)
    encloses = (view.window == "box") | (view.window == "keypoints")
    side = np.where(encloses, enclosing * np.where(view.window == "box", view.factor, 1.0), side)
    known = np.asarray(np.isfinite(points).all(-1))
    low = np.where(known[..., None], points, np.inf).min(1)
    high = np.where(known[..., None], points, -np.inf).max(1)
    outlined = (view.window == "keypoints") & (known.sum(1) >= 2)
    low, high = (np.where(outlined[:, None], edge, 0.0) for edge in (low, high))
    center = np.where(outlined[:, None], (low + high) / 2, center)
    side = np.where(outlined, (high - low).max(-1) + 2 * view.margin, side)
    return center, side


def _turn(angle: Array, K: Array, center: Array) -> tuple[Array, Array]:
    """Return the turn of the pixels and that of the camera's axes, both (B, 3, 3)."""
    a = np.deg2rad(angle)
    R = np.zeros((len(a), 3, 3))
    R[:, 0, 0] = R[:, 1, 1] = np.cos(a)
    R[:, 0, 1], R[:, 1, 0], R[:, 2, 2] = np.sin(a), -np.sin(a), 1.0
    known = np.asarray(np.isfinite(K).all((1, 2)))
    lens = np.where(known[:, None, None], K, np.eye(3))
    lens[:, :2, 2] = np.where(known[:, None], lens[:, :2, 2], center)
    return lens @ R @ np.linalg.inv(lens), R


def _mirror_affine(mirror: NDArray[np.bool_], width: NDArray[Any]) -> Array:
    A = np.tile(np.eye(3), (len(mirror), 1, 1))
    A[mirror, 0, 0] = -1.0
    A[mirror, 0, 2] = np.asarray(width, np.float64)[mirror] - 1
    return A


def _corners(box: Array) -> Array:
    """Return (B, 4, 2): top left, top right, bottom left, bottom right."""
    return box[:, [[0, 1], [2, 1], [0, 3], [2, 3]]]


def _apply(A: Array, uv: Array) -> Array:
    moved: Array = uv @ A[:, :2, :2].transpose(0, 2, 1) + A[:, None, :2, 2]
    return moved


def _homogeneous(A: NDArray[Any]) -> Array:
    full = np.tile(np.eye(3), (len(A), 1, 1))
    full[:, :2] = A
    return full
