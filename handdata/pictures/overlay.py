"""Draw skeletons and boxes on pictures, and lay pictures out as a contact sheet. Pure: arrays in, arrays out."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import BONES, FINGER_COLORS, FINGER_OF, KEYPOINTS, NUM_KEYPOINTS, WRIST_COLOR

_SHIFT = 4  # OpenCV draws at 1/16 px
_ONE = 1 << _SHIFT
LARGEST_SIDE = 16384  # px of what is drawn on
CAPTION_PX = 16  # height of a line below a picture


def color_of(keypoint: int) -> tuple[int, int, int]:
    """Return the RGB colour of a keypoint: its finger's."""
    finger = FINGER_OF[keypoint]
    return WRIST_COLOR if finger < 0 else FINGER_COLORS[finger]


def draw_skeleton(
    image: NDArray[np.uint8], keypoints_2d: NDArray[Any], visible: NDArray[Any] | None = None, *, scale: int = 1
) -> NDArray[np.uint8]:
    """Draw one hand: bones in five colours, one dot per keypoint; hollow where `visible` says 0.

    Args:
        image: (H, W, 3) uint8 RGB; left as it is.
        keypoints_2d: (21, 2) pixels, (0, 0) the centre of the top-left pixel; NaN is not drawn.
        visible: (21,) 1 visible, 0 hidden, -1 unknown; None draws all alike.
        scale: enlarge the picture this many times first, for thin lines on small crops.

    Returns:
        (H * scale, W * scale, 3) uint8, a new array.

    Raises:
        ValueError: an array of another shape or type, or no whole scale.

    Example:
        >>> import numpy as np, handdata as hd
        >>> hd.draw(np.zeros((100, 100, 3), np.uint8), np.full((21, 2), 50.0), scale=2)[101, 101].any()
        np.True_
    """
    _check(image, keypoints_2d, visible, scale)
    size = (image.shape[1] * scale, image.shape[0] * scale)
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) if scale > 1 else image.copy()
    points = (np.asarray(keypoints_2d, float) + 0.5) * scale - 0.5
    fixed = [_fixed(point, size) for point in points]
    thickness = max(1, round(max(size) / 300))
    for start, end in BONES:
        a, b = fixed[start], fixed[end]
        if a and b:
            cv2.line(canvas, a, b, color_of(end), thickness, cv2.LINE_AA, _SHIFT)
    radius = max(2.0, max(size) / 110)
    for keypoint in range(NUM_KEYPOINTS):
        centre = fixed[keypoint]
        if centre:
            hollow = visible is not None and int(visible[keypoint]) == 0
            cv2.circle(canvas, centre, int((radius + 1) * _ONE), (0, 0, 0), 1 if hollow else -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(canvas, centre, int(radius * _ONE), color_of(keypoint), 1 if hollow else -1, cv2.LINE_AA, _SHIFT)
    return np.asarray(canvas, np.uint8)


def _check(image: Any, keypoints_2d: Any, visible: Any, scale: Any) -> None:
    is_one = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.size
    if not is_one or image.dtype != np.uint8:
        got = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {got}")
    if np.shape(keypoints_2d) != (NUM_KEYPOINTS, 2):
        raise ValueError(f"keypoints_2d must have the shape ({NUM_KEYPOINTS}, 2), got {np.shape(keypoints_2d)}")
    if np.iscomplexobj(keypoints_2d):
        raise ValueError("keypoints_2d must hold real numbers, got complex ones")
    if visible is not None and np.shape(visible) != (NUM_KEYPOINTS,):
        raise ValueError(f"visible must have the shape ({NUM_KEYPOINTS},), got {np.shape(visible)}")
    check_scale(image, scale)


def check_scale(image: NDArray[np.uint8], scale: Any) -> None:
    """Refuse to enlarge a picture by what is no whole number, or beyond what OpenCV draws on.

    Raises:
        ValueError: so it is.
    """
    if not isinstance(scale, int | np.integer) or isinstance(scale, bool) or scale < 1:
        raise ValueError(f"scale must be a whole number, 1 or more, got {scale!r}")
    if max(image.shape[:2]) * int(scale) > LARGEST_SIDE:
        raise ValueError(f"scale must keep the picture within {LARGEST_SIDE} px, got {scale} times {image.shape[:2]}")


def draw_box(
    image: NDArray[np.uint8], box_xyxy: NDArray[Any], color: tuple[int, int, int] = (255, 210, 0)
) -> NDArray[np.uint8]:
    """Draw a box given by its edges (left, top, right, bottom), as in a slice."""
    canvas = image.copy()
    left, top, right, bottom = (float(edge) - 0.5 for edge in box_xyxy)
    corners = [(round(left * _ONE), round(top * _ONE)), (round(right * _ONE), round(bottom * _ONE))]
    cv2.rectangle(canvas, corners[0], corners[1], color, 1, cv2.LINE_AA, _SHIFT)
    return canvas


def draw_names(image: NDArray[np.uint8], keypoints_2d: NDArray[Any]) -> NDArray[np.uint8]:
    """Write each keypoint's name beside it; pixels of `image`, NaN is left out. Returns a new array."""
    canvas = image.copy()
    for name, point in zip(KEYPOINTS, np.asarray(keypoints_2d, float), strict=True):
        if np.isfinite(point).all() and np.abs(point).max() < 4 * max(image.shape):
            place = (round(float(point[0])) + 4, round(float(point[1])) + 3)
            for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(canvas, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.32, color, thickness, cv2.LINE_AA)
    return canvas


def captioned(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Write a line below a picture; what does not fit is left out at its beginning, where ids differ least.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: of printable ASCII.

    Returns:
        (H + CAPTION_PX, W, 3) uint8.
    """
    height, width = image.shape[:2]
    canvas = np.full((height + CAPTION_PX, width, 3), 24, np.uint8)
    canvas[:height] = image
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.36
    shown = text
    while len(shown) > 3 and cv2.getTextSize(shown, font, scale, 1)[0][0] > width - 4:
        shown = ".." + shown[3:]
    cv2.putText(canvas, shown, (2, height + CAPTION_PX - 5), font, scale, (225, 225, 225), 1, cv2.LINE_AA)
    return canvas


def contact_sheet(images: Sequence[NDArray[np.uint8]], columns: int = 6, gap: int = 4) -> NDArray[np.uint8]:
    """Lay equally sized or smaller (H, W, 3) pictures out in rows, on a dark ground.

    Raises:
        ValueError: no pictures.
    """
    if not images:
        raise ValueError("no pictures for a contact sheet")
    height, width = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    for index, image in enumerate(images):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _fixed(point: NDArray[Any], size: tuple[int, int]) -> tuple[int, int] | None:
    limit = 4 * max(size)  # far outside: leave it out rather than overflow OpenCV's integers
    if not np.isfinite(point).all() or np.abs(point).max() > limit:
        return None
    return round(float(point[0]) * _ONE), round(float(point[1]) * _ONE)
