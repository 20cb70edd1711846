"""What is done to the picture of a hand: drawn on, cut out, turned. Loaded when asked for: OpenCV is slow to load."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handdata.errors import DataError, MissingError
from handdata.geometry import apply_affine, compose_affine, crop_affine, invert_affine
from handdata.paths import path_of
from handdata.pictures.crop_window import CropView, plan_views
from handdata.pictures.decode import read_image, resample_mask, resample_square
from handdata.pictures.overlay import check_scale, draw_box, draw_names, draw_skeleton
from handdata.shards.schema import MASK_UNKNOWN

if TYPE_CHECKING:
    from handdata.shards.hand import Hand

Floats = NDArray[np.float64]

SAVE_AGAIN = "Save it again as PNG, JPEG or BMP, or leave it out."
SHOWN_PX = 384  # the longer side of a drawn hand is at least about this, so that thin bones can be told apart


def read_picture(path: Path | str) -> NDArray[np.uint8]:
    """Read the picture that a caller of the library names, (H, W, 3) uint8 RGB.

    Raises:
        MissingError: no such file.
        DataError: not a whole PNG, JPEG or BMP file.
        ConfigError: no file can have that name.
    """
    try:
        return read_image(path_of(path))
    except MissingError as error:
        raise MissingError(path, expected=error.expected, got=error.got, fix="Check the path.") from None
    except DataError as error:
        raise DataError(path, expected=error.expected, got=error.got, fix=SAVE_AGAIN) from None


def draw(hand: "Hand", ground: NDArray[np.uint8], *, scale: int | None, names: bool) -> Image.Image:
    """Draw a hand on a picture; see `Hand.draw`."""
    if scale is not None:
        check_scale(ground, scale)
    times = scale if scale is not None else max(1, round(SHOWN_PX / max(ground.shape[:2])))
    canvas = draw_box(ground, hand.box) if np.isfinite(hand.box).all() else ground
    canvas = draw_skeleton(canvas, hand.keypoints_2d, hand.visible, scale=times)
    if names:
        canvas = draw_names(canvas, (hand.keypoints_2d + 0.5) * times - 0.5)
    return Image.fromarray(canvas)


def cut(hand: "Hand", image: NDArray[np.uint8], size: int, *, rotate: float, scale: float) -> "Hand":
    """Cut a square round a hand; see `Hand.crop`."""
    plan = plan_views(
        _turned(rotate, 1 / scale),
        size,
        crop_xyxy=hand.square()[None],
        points=np.full((1, 1, 2), np.nan),
        K=hand.K[None],
        image_width=np.array([hand.size[0]]),
    )
    A, R = plan.source_to_crop[0, :2], plan.rotation[0]
    if rotate == 0:
        cropped = resample_square(image, plan.window[0], size)
    else:
        cropped = _warped(image, A, size, float(plan.side[0]))
    turned = {name: getattr(hand, name) @ R.T for name in ("keypoints_3d", "keypoints_3d_normalized")}
    turned["palm_center_3d"] = R @ hand.palm_center_3d
    masks = {name: _sampled(getattr(hand, name), A, size) for name in ("mask", "foreground")}
    return hand.on_canvas(cropped, A, K=plan.K[0], **turned, **masks)


def _turned(degrees: float, zoom: float) -> CropView:
    """Return the view of one hand whose window follows it."""
    one = np.ones(1)
    return CropView(
        angle=degrees * one,
        mirror=np.zeros(1, bool),
        window=np.array(["follow"]),
        zoom=zoom * one,
        margin=0 * one,
        factor=one,
        shift=np.zeros((1, 2)),
    )


def _warped(image: NDArray[np.uint8], A: Floats, size: int, side: float) -> NDArray[np.uint8]:
    """Turn first, at the source's own resolution, then shrink: nothing is sampled sparsely."""
    fine = max(size, min(int(np.ceil(side)), 8 * size))
    enlarged = compose_affine(crop_affine(np.array([0.0, 0.0, size, size]), fine), A)
    turned = cv2.warpAffine(image, enlarged, (fine, fine), flags=cv2.INTER_LINEAR)
    return resample_square(np.asarray(turned, np.uint8), np.array([0.0, 0.0, fine, fine]), size)


def _sampled(mask: NDArray[Any] | None, A: Floats, size: int) -> Any:
    """Take a mask, or the foreground, through an affine, to the nearest label; not known outside the picture."""
    if mask is None:
        return None
    back, is_bool = invert_affine(A), mask.dtype == np.bool_
    if back[0, 1] == back[1, 0] == 0:
        edges = np.concatenate(
            [apply_affine(back, np.array([[-0.5, -0.5]])), apply_affine(back, np.array([[size - 0.5] * 2]))]
        )
        taken = resample_mask(mask.view(np.uint8), (edges + 0.5).ravel(), size, 0 if is_bool else MASK_UNKNOWN)
    else:
        outside = 0 if is_bool else MASK_UNKNOWN
        flags = cv2.INTER_NEAREST
        taken = np.asarray(
            cv2.warpAffine(mask.view(np.uint8), A, (size, size), flags=flags, borderValue=outside), np.uint8
        )
    return taken.astype(np.bool_) if is_bool else taken
