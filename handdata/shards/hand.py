"""One hand in one picture, as an object: pixels, labels and camera that belong together.

Every pixel of a `Hand` counts in `hand.image`: (0, 0) is the centre of its top-left pixel; boxes are edges as in a
slice. `hand.source` is the same hand in the pixels of the picture as shipped. So pixels of two pictures cannot be
mixed by mistake.
"""

import io
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handdata.geometry import (
    apply_affine,
    compose_affine,
    crop_intrinsics,
    in_frame,
    invert_affine,
    mirror_intrinsics,
    mirror_pixels,
    mirror_points,
    normalize_pose,
)
from handdata.pictures.crops import centered_square, keypoint_square, square_of
from handdata.shards.given import real_number, real_numbers
from handdata.shards.provenance import Provenance
from handdata.shards.schema import UNKNOWN, BoxSource, Flag
from handdata.skeleton import NUM_KEYPOINTS, SIDE_NAMES

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float64]

LARGEST_CROP, LARGEST_SCALE = 16384, 100  # px, and times the square of the hand: beyond, no picture is meant
_OTHER_SIDE = {"left": "right", "right": "left", "unknown": "unknown"}
_POINTS = (NUM_KEYPOINTS,)
_SHAPES: dict[str, tuple[int, ...]] = {
    "keypoints_2d": (*_POINTS, 2), "keypoints_3d": (*_POINTS, 3), "keypoints_3d_normalized": (*_POINTS, 3),
    "K": (3, 3), "source_to_image": (2, 3),
    "box": (4,), "crop_box": (4,), "palm_center_2d": (2,), "palm_center_3d": (3,),
}  # fmt: skip
_BY_KEYPOINT = ("annotated_2d", "annotated_3d", "in_frame", "visible", "peaks")
_BY_PIXEL = ("mask", "foreground")


def _nan(*shape: int) -> Any:
    return field(default_factory=lambda: np.full(shape, np.nan))


def _follows() -> Any:
    """Return a field that `__post_init__` derives from the points."""
    return field(default=None)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Hand:
    """One hand in one picture. NaN marks what is not known; nothing is guessed.

    `Dataset` and `Model` return hands, `write_dataset` takes them, and you can make your own: an image, a side and
    whatever labels there are. Masks, the normalised pose and its scale follow from the points where they are not given.

    Attributes:
        image: (H, W, 3) uint8 RGB; None where only the labels are there (`hand.source` of a converted sample).
        side: "left" or "right": the person's hand; "unknown" where the dataset does not say which.
        keypoints_2d: (21, 2) px of `image`, in the order of `handdata.KEYPOINTS`; may lie outside the picture.
        keypoints_3d: (21, 3) mm, axes of the picture's camera: x right, y down, z forward.
        keypoints_3d_normalized: (21, 3), the middle MCP at the origin, the wrist at distance 1.
        scale_mm: distance from wrist to middle MCP, mm.
        annotated_2d: (21,) bool, a 2D label exists.
        annotated_3d: (21,) bool, a 3D label exists.
        in_frame: (21,) bool, annotated and inside the picture as shipped.
        visible: (21,) int8, 1 visible, 0 hidden, -1 not known.
        K: (3, 3) intrinsics for the pixels of `image`, px.
        box: (4,) left, top, right, bottom of the hand, px of `image`.
        box_source: who made the box.
        crop_box: (4,) the square that a model is shown, px of `image`.
        palm_center_2d: (2,) px of `image`. A palm centre is not a wrist.
        palm_center_3d: (3,) mm.
        has_object: True, False, or None where it is not known.
        mask: (H, W) uint8: 0 background, 1 hand, 2 object, 255 not known; None without.
        foreground: (H, W) bool, True where the pixel is not replaceable background; None without.
        peaks: (21,) confidence 0..1 of predicted keypoints; None for labels.
        presence: probability that the model sees a hand there; NaN for labels, and of models that do not say.
        path: file that the picture as shipped was read from; None where it was an array, or is not kept (shards).
        id: unique in its dataset, such as "training/00111/left".
        dataset: name of the dataset.
        origin: whose hand it is: "rendered", "published" or "own"; "" where it is not known.
        provenance: the datasets that its picture may be from, each with its licence; () where it is not known.
        split: "train", "val" or "test".
        sequence: name of the recording.
        camera: name of the camera.
        frame: number of the picture as shipped.
        flags: bits of `Flag`.
        size: width and height, px; those of `image` where there is one.
        source_to_image: (2, 3) affine from the pixels of `source` to those of `image`.

    Example:
        >>> import numpy as np, handdata as hd
        >>> hand = hd.Hand(image=np.zeros((100, 200, 3), np.uint8), side="right", keypoints_2d=np.full((21, 2), 50.0))
        >>> hand.mirrored().side, hand.mirrored().keypoints_2d[0].tolist()
        ('left', [149.0, 50.0])
    """

    image: NDArray[np.uint8] | None
    side: str
    keypoints_2d: Floats = _nan(NUM_KEYPOINTS, 2)
    keypoints_3d: Floats = _nan(NUM_KEYPOINTS, 3)
    keypoints_3d_normalized: Floats = _nan(NUM_KEYPOINTS, 3)
    scale_mm: float = float("nan")
    annotated_2d: NDArray[np.bool_] = _follows()
    annotated_3d: NDArray[np.bool_] = _follows()
    in_frame: NDArray[np.bool_] = _follows()
    visible: NDArray[np.int8] = field(default_factory=lambda: np.full(NUM_KEYPOINTS, UNKNOWN, np.int8))
    K: Floats = _nan(3, 3)
    box: Floats = _nan(4)
    box_source: BoxSource = BoxSource.NONE
    crop_box: Floats = _nan(4)
    palm_center_2d: Floats = _nan(2)
    palm_center_3d: Floats = _nan(3)
    has_object: bool | None = None
    mask: NDArray[np.uint8] | None = None
    foreground: NDArray[np.bool_] | None = None
    peaks: Floats | None = None
    presence: float = float("nan")
    path: Path | None = None
    id: str = ""
    dataset: str = ""
    origin: str = ""
    provenance: tuple[Provenance, ...] = ()
    split: str = ""
    sequence: str = ""
    camera: str = ""
    frame: int = 0
    flags: Flag = Flag.NONE
    size: tuple[int, int] = (0, 0)
    source_to_image: Floats = field(default_factory=lambda: np.eye(2, 3))
    shipped: "Hand | None" = None  # what `source` returns; None: this is it

    def __post_init__(self) -> None:
        """Check shapes and derive what is not given."""
        put = object.__setattr__
        if self.side not in SIDE_NAMES:
            raise ValueError(f"side must be one of {', '.join(SIDE_NAMES)}, got {self.side!r}")
        self._check_numbers()
        for name, shape in _SHAPES.items():
            array = real_numbers(getattr(self, name), name)
            if array.shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
            put(self, name, array)
        if self.image is not None:
            put(self, "image", _checked_image(self.image))
            put(self, "size", (int(self.image.shape[1]), int(self.image.shape[0])))
        if np.isfinite(self.keypoints_3d).any() and not np.isfinite(self.keypoints_3d_normalized).any():
            normalized, scale = normalize_pose(self.keypoints_3d)
            put(self, "keypoints_3d_normalized", normalized)
            put(self, "scale_mm", float(scale))
        derived = {
            "annotated_2d": np.isfinite(self.keypoints_2d).all(-1),
            "annotated_3d": np.isfinite(self.keypoints_3d).all(-1),
            "in_frame": in_frame(self.keypoints_2d, *self.size),
        }
        for name, value in derived.items():
            if getattr(self, name) is None:
                put(self, name, value)
        self._check_masks()

    def _check_numbers(self) -> None:
        for name in ("scale_mm", "presence"):
            object.__setattr__(self, name, real_number(getattr(self, name), name))

    def _check_masks(self) -> None:
        height_width = (self.size[1], self.size[0])
        expected = dict.fromkeys(_BY_KEYPOINT, _POINTS) | dict.fromkeys(_BY_PIXEL, height_width)
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is None:
                continue
            if np.shape(value) != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {np.shape(value)}")
            object.__setattr__(self, name, np.asarray(value))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Hand":
        """Make a hand from a dict of its attributes; `image` may also be the path of a picture.

        Raises:
            ValueError: an unknown key (the nearest name is given), no image or side, or a wrong shape.
            MissingError, DataError: the picture is not there, or damaged.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"unknown attribute {name!r}; the nearest is {_nearest(name, known)!r}")
        for name in ("image", "side"):
            if name not in values:
                raise ValueError(f"a hand needs {name!r}")
        if isinstance(values["image"], str | Path):
            values = {"path": Path(values["image"]), **values, "image": _read_if_file(values["image"])}
        return cls(**values)

    @property
    def source(self) -> "Hand":
        """The same hand in the pixels of the picture as shipped; without that picture where only its canvas is kept."""
        return self.shipped if self.shipped is not None else self

    @property
    def confidence(self) -> float:
        """How sure a model is of the hand, 0..1: `presence`, if it says it, times the median of `peaks`; else NaN."""
        middle = float("nan") if self.peaks is None else float(np.median(self.peaks))
        known = [value for value in (self.presence, middle) if np.isfinite(value)]
        return float(np.prod(known)) if known else float("nan")

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(H, W) bool, True where the picture as shipped is; a canvas that reaches beyond it is black there.

        Raises:
            ValueError: there is no picture.
        """
        if self.image is None:
            raise ValueError("a hand without a picture has no pixels")
        height, width = self.image.shape[:2]
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
        return in_frame(self.to_source(pixels.astype(np.float64)), *self.source.size).reshape(height, width)

    def to_source(self, uv: ArrayLike) -> Floats:
        """Take (N, 2) px of `image`, such as a model's answer on it, to px of the picture as shipped."""
        return apply_affine(invert_affine(self.source_to_image), np.asarray(uv, np.float64))

    def draw(
        self, *, scale: int | None = None, names: bool = False, image: ArrayLike | Path | str | None = None
    ) -> "Image":
        """Draw the skeleton and the box on the picture.

        Args:
            scale: enlarge the picture so many times first; None: small pictures to about 384 px.
            names: write each keypoint's name beside it.
            image: (H, W, 3) uint8, or a file, to draw on instead, for a hand whose own picture is not kept.

        Returns:
            A PIL image, RGB.

        Raises:
            ValueError: there is no picture to draw on, or no such scale.
        """
        from handdata.shards.hand_pictures import draw  # noqa: PLC0415  # OpenCV is slow to load

        ground = self.image if image is None else _checked_image(_read_if_file(image))
        if ground is None:
            raise ValueError("the picture as shipped is not kept in shards: give one with image=, or draw the hand")
        return draw(self, ground, scale=scale, names=names)

    def crop(self, size: int, *, rotate: float = 0.0, scale: float = 1.0) -> "Hand":
        """Cut a square round the hand; labels and camera follow.

        Args:
            size: side of the result, px.
            rotate: degrees, counter-clockwise on screen; about the principal point, so that 3D still projects to 2D.
            scale: side of the window over that of the hand's own square (`crop_box`, else its box or keypoints).

        Raises:
            ValueError: there is no picture, no size, or no real number.
        """
        if self.image is None:
            raise ValueError("a crop needs a picture; that as shipped is not kept in shards: crop the hand itself")
        sized = isinstance(size, int | np.integer) and not isinstance(size, bool) and 0 < size <= LARGEST_CROP
        scale, rotate = real_number(scale, "scale"), real_number(rotate, "rotate")
        if not sized or not 0 < scale <= LARGEST_SCALE or not np.isfinite(rotate):
            got = f"size {size!r}, rotate {rotate!r}, scale {scale!r}"
            ranges = f"size to {LARGEST_CROP}, a finite rotate and a scale above 0 to {LARGEST_SCALE}"
            raise ValueError(f"a crop needs a whole {ranges}, got {got}")
        from handdata.shards.hand_pictures import cut  # noqa: PLC0415  # OpenCV is slow to load

        return cut(self, self.image, size, rotate=rotate, scale=scale)

    def mirrored(self) -> "Hand":
        """Return the hand as a mirror shows it: picture, points, camera, side."""
        width = self.size[0]

        def flipped(box: Floats) -> Floats:
            return np.array([width - box[2], box[1], width - box[0], box[3]])

        def across(pixels: NDArray[Any] | None) -> Any:
            return None if pixels is None else np.ascontiguousarray(pixels[:, ::-1])

        return replace(
            self,
            image=across(self.image),
            side=_OTHER_SIDE[self.side],
            keypoints_2d=mirror_pixels(self.keypoints_2d, width),
            keypoints_3d=mirror_points(self.keypoints_3d),
            keypoints_3d_normalized=mirror_points(self.keypoints_3d_normalized),
            K=mirror_intrinsics(self.K, width),
            box=flipped(self.box),
            crop_box=flipped(self.crop_box),
            palm_center_2d=mirror_pixels(self.palm_center_2d, width),
            palm_center_3d=mirror_points(self.palm_center_3d),
            mask=across(self.mask),
            foreground=across(self.foreground),
            source_to_image=compose_affine(np.array([[-1.0, 0, width - 1], [0, 1, 0]]), self.source_to_image),
            shipped=self.source,
        )

    def on_canvas(self, image: NDArray[np.uint8], source_to_canvas: NDArray[Any], **changes: Any) -> "Hand":
        """Return this hand, labelled in the picture as shipped, in the pixels of a canvas cut from it.

        Args:
            image: (S, S, 3) uint8, the canvas.
            source_to_canvas: (2, 3) affine of the pixels.
            changes: further attributes of the result.
        """
        return self._moved(np.asarray(source_to_canvas, np.float64), image, **changes)

    def _moved(self, A: Floats, image: NDArray[np.uint8], **changes: Any) -> "Hand":
        """Take every label in pixels through an affine; `source` stays what it is."""
        size = (int(image.shape[1]), int(image.shape[0]))
        values: dict[str, Any] = {
            "image": image,
            "size": size,
            "keypoints_2d": apply_affine(A, self.keypoints_2d),
            "K": crop_intrinsics(self.K, A),
            "box": boxes_through(A, self.box),
            "crop_box": square_of(boxes_through(A, self.crop_box)),
            "palm_center_2d": apply_affine(A, self.palm_center_2d[None])[0],
            "source_to_image": compose_affine(A, self.source_to_image),
            "shipped": self.source,
        }
        return replace(self, **(values | changes))

    def square(self) -> Floats:
        """Return the square that a crop is cut round, (4,) px of `image`: `crop_box`, else the box, else keypoints."""
        for box in (self.crop_box, self.box):
            if np.isfinite(box).all():
                return square_of(box)
        around = keypoint_square(self.keypoints_2d)
        return centered_square(*self.size) if around is None else around

    def _repr_png_(self) -> bytes:
        """Show the hand in a notebook."""
        data = io.BytesIO()
        self.draw().save(data, "PNG")
        return data.getvalue()

    def __repr__(self) -> str:
        name = "/".join(part for part in (self.dataset, self.id) if part) or "unnamed"
        picture = f"{self.size[0]} x {self.size[1]} px" + ("" if self.image is not None else ", no picture")
        labels = f"{int(self.annotated_2d.sum())} keypoints in 2D, {int(self.annotated_3d.sum())} in 3D"
        return f"<Hand {name}: {self.side}, {picture}, {labels}>"


def _read_if_file(image: Any) -> Any:
    if not isinstance(image, str | Path):
        return image
    from handdata.shards.hand_pictures import read_picture  # noqa: PLC0415  # OpenCV is slow to load

    return read_picture(image)


def _checked_image(image: ArrayLike) -> NDArray[np.uint8]:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}")
    return array


def _nearest(name: str, known: list[str]) -> str:
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]


def boxes_through(A: NDArray[Any], boxes: NDArray[Any]) -> Floats:
    """Return the (..., 4) boxes that enclose boxes after (..., 2, 3) affines; edges lie half a pixel beyond centres."""
    corners = np.asarray(boxes, np.float64)[..., [[0, 1], [2, 1], [0, 3], [2, 3]]] - 0.5
    moved = apply_affine(A, corners) + 0.5
    return np.concatenate([moved.min(-2), moved.max(-2)], -1)
