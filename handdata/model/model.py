"""A trained model, ready for pictures: loaded once, called with an array, a path, or a list of either."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from handdata.errors import ConfigError
from handdata.evaluation.absolute import is_intrinsics
from handdata.evaluation.predictions import from_crop_fractions
from handdata.geometry import crop_affine, crop_intrinsics, mirror_intrinsics, mirror_pixels, mirror_points, view_turn
from handdata.model.checkpoint import Trained, load_network
from handdata.model.device import autocast, choose_device
from handdata.model.families import family_of
from handdata.model.families.family import Reading
from handdata.model.fit import fit_hands
from handdata.model.onnx_read import OnnxNetwork, find_ready
from handdata.model.perspective import in_perspective
from handdata.model.pixels import normalize
from handdata.model.place import place, size_of
from handdata.paths import run_named
from handdata.pictures.crops import meets_picture, scale_about_center
from handdata.pictures.decode import resample_square
from handdata.shards.given import real_numbers
from handdata.shards.hand import Hand
from handdata.shards.hand_pictures import read_picture
from handdata.skeleton import HAND_SIDES

Side = Literal["left", "right"]
Picture = ArrayLike | Path | str
AUTO = "auto"
LARGEST_BOX = 100  # times a picture's longer side: of more, the picture would fill no pixel that the network sees
BATCH = 32  # pictures the network sees at a time, at most
_BOX = "a box is left, top, right, bottom in px of the picture"


def load_model(name: Path | str, device: str = "auto") -> "Model":
    """Load a trained model.

    Args:
        name: folder of a run or of a checkpoint, the name of a run under runs/, or that of weights that come with
            the package ("compact"); or a file that `handdata predict --onnx` wrote, which ONNX Runtime answers for.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        MissingError: there is no such run.
        DataError: its checkpoint is damaged.
        ConfigError: the device is not here, or no file can have that name.

    Example:
        >>> import handdata as hd
        >>> model = hd.load_model(RUN, device="cpu")
        >>> model.size
        32
    """
    return Model(find_ready(run_named(name)), device)


class Model:
    """A network with its weights on a device.

    Args:
        trained: a checkpoint, as read, or the network of an ONNX file.
        device: "auto", "cpu", "cuda" or "cuda:N"; an ONNX file is asked on the CPU.

    Attributes:
        trained: what was loaded; without weights of an ONNX file.
        read_outs: names of the ways from its heatmaps to positions, its own first.

    Example:
        >>> import numpy as np, handdata as hd
        >>> model = hd.load_model(RUN, device="cpu")
        >>> image = np.zeros((240, 320, 3), np.uint8)
        >>> hand = model(image, box_xyxy=(80, 40, 280, 240), side="right")
        >>> hand.keypoints_2d.shape, hand.side, len(model([image, image]))
        ((21, 2), 'right', 2)
    """

    def __init__(self, trained: Trained | OnnxNetwork, device: str = "auto") -> None:
        self._onnx = trained if isinstance(trained, OnnxNetwork) else None
        self.trained = trained.trained if isinstance(trained, OnnxNetwork) else trained
        self._family = family_of(self.trained.model.kind)
        if self._onnx is not None:
            if device not in ("auto", "cpu"):
                raise ConfigError("--device", expected="cpu, on which ONNX files are asked", got=device)
            self.device = torch.device("cpu")
            self.read_outs: tuple[str, ...] = (self._onnx.rule,)
            return
        self.device = choose_device(device)
        self._network = load_network(self.trained, self.device)
        self.read_outs = self._family.read_outs(self.trained.model)

    def __repr__(self) -> str:
        return f"<Model {self.trained.recipe}: {self.trained.model.kind}, {self.size} px, on {self.device}>"

    @property
    def size(self) -> int:
        """Side of the square that the network sees, px."""
        return self.trained.model.size

    @property
    def tells_sides(self) -> bool:
        """Whether it can be asked for the side of a hand: `side="auto"`."""
        return any(term.name == "loss_side" for term in self._family.terms)

    @property
    def side_unless_told(self) -> str:
        """The side to ask it with where nobody says one: "auto" if it tells sides apart, else "left"."""
        return AUTO if self.tells_sides else HAND_SIDES[0]

    @overload
    def __call__(
        self, image: list[Any] | tuple[Any, ...], box_xyxy: Any = None, side: Any = "left", *, K: Any = None,
        hand_size: float | str | None = None, read_out: str | None = None, fit: bool = False,
    ) -> list[Hand]: ...  # fmt: skip
    @overload
    def __call__(
        self, image: Picture, box_xyxy: Any = None, side: Any = "left", *, K: Any = None,
        hand_size: float | str | None = None, read_out: str | None = None, fit: bool = False,
    ) -> Hand: ...  # fmt: skip
    def __call__(
        self, image: Any, box_xyxy: Any = None, side: Any = "left", *, K: Any = None,
        hand_size: float | str | None = None, read_out: str | None = None, fit: bool = False,
    ) -> Hand | list[Hand]:  # fmt: skip
        """Find the 21 keypoints of a hand.

        Args:
            image: (H, W, 3) uint8 RGB, the path of a picture, or a list of either.
            box_xyxy: left, top, right, bottom of the hand, px; it is grown to a square. None: the largest square in
                the middle of the picture. For a list of pictures a list of boxes, or None.
            side: "left" or "right", the person's hand, or "auto" where the model tells them apart; for a list of
                pictures one for all, or a list.
            K: (3, 3) intrinsics of the picture, px; then 3D is in the axes of its camera, where the model was trained
                so. One for all pictures of a list, or a list.
            hand_size: mm from wrist to middle knuckle, "adult", or "trained": that of the model's training hands; with
                K it gives `keypoints_3d` in mm, to which it is proportional. None leaves them NaN.
            read_out: one of `read_outs`; None takes the first.
            fit: with K, replace the pose by one that a hand can take: a skeleton of 26 degrees of freedom is fitted to
                the 2D and the pose (docs/method.md 14). Takes 0.04 CPU seconds for a hand, 0.015 for each of many.

        Returns:
            A hand, or for a list a list of them: `keypoints_2d` in px of the picture, `keypoints_3d_normalized`,
            `peaks` (confidence 0..1 of each keypoint), `presence` (of a hand, 0..1), `crop_box` (the square round the
            box; a model of `zoom` looks at its middle), `path` of a file.

        Raises:
            MissingError, DataError: a picture is not there or cannot be read.
            ConfigError: a box lies wholly outside its picture.
            ValueError: an array, a box, a side, a camera or a read-out that cannot be one.
        """
        if read_out is not None and read_out not in self.read_outs:
            raise ValueError(f"read_out must be one of {', '.join(self.read_outs)}, got {read_out!r}")
        if hand_size is not None or fit:
            if fit and K is None:
                raise ValueError("fit must go with K: the camera of the picture")
            found = self(image, box_xyxy, side, K=K, read_out=read_out)
            taken = found if isinstance(found, list) else [found]
            size = size_of(hand_size, self.trained.size)
            taken = fit_hands(taken, size) if fit else taken
            taken = taken if hand_size is None else [place(one, size)[0] for one in taken]
            return taken if isinstance(found, list) else taken[0]
        if not isinstance(image, list | tuple):
            return self._find([image], [box_xyxy], [side], [K], read_out)[0]
        count = len(image)
        boxes = _each(box_xyxy, count, "box_xyxy", single=lambda value: value is None)
        sides = _each(side, count, "side", single=lambda value: isinstance(value, str))
        cameras = _each(K, count, "K", single=lambda value: value is None or np.ndim(value) == 2)
        hands: list[Hand] = []
        for first in range(0, count, BATCH):
            part = slice(first, first + BATCH)
            hands += self._find(image[part], boxes[part], sides[part], cameras[part], read_out)
        return hands

    def _find(
        self, pictures: Sequence[Any], boxes: Sequence[Any], sides: Sequence[Any], cameras: Sequence[Any],
        rule: str | None,
    ) -> list[Hand]:  # fmt: skip
        for side in sides:
            if side not in (*HAND_SIDES, AUTO):
                raise ValueError(f"side must be one of {', '.join(HAND_SIDES)}, {AUTO}, got {side!r}")
        cameras = [_camera(K) for K in cameras]
        images = [_opened(picture) for picture in pictures]
        places = [str(p) if isinstance(p, str | Path) else f"image {i}" for i, p in enumerate(pictures)]
        asked = [square_of_box(box, image, at) for box, image, at in zip(boxes, images, places, strict=True)]
        squares = [scale_about_center(square, 1 / self.trained.model.zoom) for square in asked]
        sides, reading = self._answer(images, squares, sides, rule or self.read_outs[0])
        uv, xyz, peaks = (
            values.double().cpu().numpy() for values in (reading.uv_BK2, reading.xyz_BK3, reading.confidence_BK)
        )
        presence = np.full(len(images), np.nan) if reading.presence_B is None else reading.presence_B.cpu().numpy()
        return [
            Hand(
                image=images[i],
                side=sides[i],
                keypoints_2d=self._in_picture(uv[i], squares[i], sides[i]),
                keypoints_3d_normalized=self._in_camera(
                    uv[i], xyz[i], squares[i], sides[i], cameras[i], images[i].shape[1]
                ),
                K=np.full((3, 3), np.nan) if cameras[i] is None else cameras[i],
                box=np.full(4, np.nan) if boxes[i] is None else np.asarray(boxes[i], np.float64),
                crop_box=asked[i],
                peaks=peaks[i],
                presence=float(presence[i]),
                path=(path := Path(pictures[i]) if isinstance(pictures[i], str | Path) else None),
                id=path.name if path else "",
            )
            for i in range(len(images))
        ]

    def _answer(
        self, images: Sequence[NDArray[np.uint8]], squares: Sequence[NDArray[np.float64]], sides: Sequence[str],
        rule: str,
    ) -> tuple[list[str], Reading]:  # fmt: skip
        """Return the side and the reading of each hand, shown as a left one; "auto" is settled by the better way round.

        Raises:
            ValueError: the model does not tell sides apart.
        """

        def read(ways: Sequence[str]) -> Reading:
            shown = zip(images, squares, ways, strict=True)
            return self._read(np.stack([_shown(image, square, way, self.size) for image, square, way in shown]), rule)

        if AUTO not in sides:
            return list(sides), read(sides)
        readings = [read([way] * len(images)) for way in HAND_SIDES]
        rights = []
        for reading in readings:
            if reading.right_B is None:
                raise ValueError(
                    f"side must be left or right: a {self.trained.model.kind} model does not tell them apart"
                )
            rights.append(reading.right_B)
        way = (rights[1] < rights[0]).long()  # mirrored it looks less like a right hand: it is one
        for row, side in enumerate(sides):
            way[row] = way[row] if side == AUTO else HAND_SIDES.index(side)
        return [HAND_SIDES[number] for number in way.tolist()], _of_each(readings, way)

    @torch.no_grad()
    def _read(self, shown_BHW3: NDArray[np.uint8], rule: str) -> Reading:
        if self._onnx is not None:
            return self._onnx(shown_BHW3)
        levels: Tensor = torch.from_numpy(shown_BHW3).to(self.device).permute(0, 3, 1, 2).contiguous().float() / 255
        with autocast(self.trained.precision, self.device):
            prediction = self._network(normalize(levels))
        return self._family.read(prediction, self.trained.model, rule)

    def _in_picture(self, uv: NDArray[np.float64], square: NDArray[np.float64], side: str) -> NDArray[np.float64]:
        """Take (21, 2) crop fractions as shown to px of the picture."""
        if side == "right":
            uv = mirror_pixels(uv * self.size, self.size) / self.size
        pixels: NDArray[np.float64] = from_crop_fractions(uv[None], square[None], self.size)[0]
        return pixels

    def _in_camera(
        self,
        uv: NDArray[np.float64],
        xyz: NDArray[np.float64],
        square: NDArray[np.float64],
        side: str,
        K: Any,
        width: int,
    ) -> NDArray[np.float64]:
        """Take a (21, 3) pose as shown to the axes of the picture's camera, as far as that is known."""
        if K is not None and (self.trained.turn or self._family.depths):
            camera = K
            if side == "right":
                camera = mirror_intrinsics(camera, width)
                square = np.array([width - square[2], square[1], width - square[0], square[3]])
            crop = crop_intrinsics(camera, crop_affine(square, self.size))
            turn = view_turn(crop, self.size) if self.trained.turn else np.eye(3)
            if self._family.depths:
                xyz = in_perspective(uv[None], xyz[None], crop[None], turn[None], self.size)[0]
            xyz = xyz @ turn
        posed: NDArray[np.float64] = mirror_points(xyz) if side == "right" else xyz
        return posed


def _of_each(readings: Sequence[Reading], which_B: Tensor) -> Reading:
    """Return for each hand what one of the readings says of it."""
    rows = torch.arange(len(which_B), device=which_B.device)
    chosen: dict[str, Any] = {}
    for one in fields(Reading):
        values = [getattr(reading, one.name) for reading in readings]
        chosen[one.name] = None if values[0] is None else torch.stack(values)[which_B, rows]
    return Reading(**chosen)


def square_of_box(box_xyxy: Any, image: NDArray[np.uint8], where: str) -> NDArray[np.float64]:
    """Return the square that is looked at: about the middle of the box, or the largest in the middle of the picture.

    Raises:
        ValueError: no four finite numbers, or no area.
        ConfigError: the box lies wholly outside the picture, or is so large that nothing of it could be seen.
    """
    height, width = image.shape[:2]
    if box_xyxy is None:
        box, side = np.array([0.0, 0.0, width, height]), float(min(width, height))
    else:
        box = real_numbers(box_xyxy, "box_xyxy")
        if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
            raise ValueError(f"{_BOX}, right of left and below top; got {np.asarray(box_xyxy).tolist()}")
        if not meets_picture(box, width, height) or (box[2:] - box[:2]).max() > LARGEST_BOX * max(width, height):
            raise ConfigError(
                where,
                expected=f"a box in the picture of {width} x {height} px",
                got=f"box_xyxy {' '.join(f'{edge:g}' for edge in box)}",
                fix="Give the left, top, right and bottom of the hand in px of this picture.",
            )
        side = float((box[2:] - box[:2]).max())
    center = (box[:2] + box[2:]) / 2
    return np.concatenate([center - side / 2, center + side / 2])


def _camera(K: Any) -> NDArray[np.float64] | None:
    if K is None:
        return None
    camera = real_numbers(K, "K")
    if not is_intrinsics(camera):
        expected = "3 x 3 intrinsics in px, focal lengths above 0 and below 1e9, last row 0 0 1"
        raise ValueError(f"K must be {expected}, got {camera.tolist()}")
    return camera


def _opened(picture: Any) -> NDArray[np.uint8]:
    if isinstance(picture, str | Path):
        return read_picture(picture)
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        got = "None: shards keep the canvas, hand.image" if picture is None else f"{array.shape} {array.dtype}"
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {got}")
    return array


def _shown(image: NDArray[np.uint8], square: NDArray[np.float64], side: str, size: int) -> NDArray[np.uint8]:
    crop = resample_square(image, square, size)
    return crop[:, ::-1] if side == "right" else crop


def _each(value: Any, count: int, name: str, *, single: Any) -> list[Any]:
    """Return one value for each picture of a list."""
    if single(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise ValueError(f"{name}: expected one for each of {count} pictures, got {len(values)}")
    return values
