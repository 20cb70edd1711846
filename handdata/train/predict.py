"""Apply a checkpoint to pictures: keypoints in their pixels, and the pictures with the skeleton drawn on.

Nothing here knows where the hand is: a picture is taken whole (its centred largest square) unless a box is given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.evaluation.predictions import VERSION, from_crop_fractions
from handdata.files.whole import write_bytes
from handdata.geometry import mirror_pixels
from handdata.model.checkpoint import load_network
from handdata.model.device import choose_device
from handdata.model.families import family_of
from handdata.model.pixels import normalize
from handdata.model.read_out import ReadOut
from handdata.pictures.decode import read_image, resample_square
from handdata.pictures.overlay import draw_box, draw_skeleton
from handdata.skeleton import HAND_SIDES, KEYPOINTS, RIGHT
from handdata.train.checkpoint import Checkpoint
from handdata.train.evaluate import FORWARD, forward

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
OVERLAY_PX = 480  # the longer side of an overlay is at least about this, so that thin bones can be told apart


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One hand in one picture.

    Attributes:
        path: the file.
        side: skeleton.LEFT or skeleton.RIGHT; a right hand is shown to the model mirrored.
        box_xyxy: square or not, edges in px; widened to a square about its centre. None: the largest centred square.
    """

    path: Path
    side: int = 0
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the model says of a picture.

    Attributes:
        picture: which.
        image: (H, W, 3) uint8 RGB, as read.
        crop_xyxy: (4,) the square that was shown, px.
        keypoints_2d: (21, 2) px of the picture.
        peaks: (21,) highest cell of each heatmap, 0..1.
        keypoints_3d_normalized: (21, 3), wrist to middle MCP about 1, the middle MCP at the origin.
    """

    picture: Picture
    image: NDArray[np.uint8]
    crop_xyxy: NDArray[np.float64]
    keypoints_2d: NDArray[np.float64]
    peaks: NDArray[np.float64]
    keypoints_3d_normalized: NDArray[np.float64]

    def overlay(self) -> NDArray[np.uint8]:
        """Return the picture with the crop and the skeleton on it, enlarged where it is small."""
        scale = max(1, round(OVERLAY_PX / max(self.image.shape[:2])))
        return draw_skeleton(draw_box(self.image, self.crop_xyxy), self.keypoints_2d, scale=scale)

    def as_sample(self) -> dict[str, Any]:
        """Return one sample of a predictions file in JSON (docs/evaluation.md), with what it was made from."""
        return {
            "sample_id": self.picture.path.name,
            "hand": HAND_SIDES[self.picture.side],
            "crop_xyxy": self.crop_xyxy.round(3).tolist(),
            "keypoints_2d": self.keypoints_2d.round(3).tolist(),
            "peaks": self.peaks.round(4).tolist(),
            "keypoints_3d_normalized": self.keypoints_3d_normalized.round(5).tolist(),
        }


def find_hands(
    saved: Checkpoint, pictures: Sequence[Picture], *, device: str = "auto", rule: ReadOut | None = None
) -> Iterator[Found]:
    """Yield what a checkpoint says of each picture, in order; `rule` None takes the model's own read-out.

    Raises:
        MissingError, DataError: a picture is not there or cannot be read.
        ConfigError: the device is not here, or a box lies wholly outside its picture.
    """
    where = choose_device(device)
    network = load_network(saved.trained, where)
    model = saved.config.model
    family = family_of(model.kind)
    chosen_rule = rule or family.read_outs(model)[0]
    for first in range(0, len(pictures), FORWARD):
        chosen = pictures[first : first + FORWARD]
        images = [read_image(picture.path) for picture in chosen]
        crops = [_square(picture, image) for picture, image in zip(chosen, images, strict=True)]
        shown = np.stack([_shown(*each, size=model.size) for each in zip(chosen, images, crops, strict=True)])
        with torch.no_grad():
            levels = torch.from_numpy(shown).to(where).permute(0, 3, 1, 2).float() / 255
            reading = family.read(forward(network, normalize(levels), saved.config), model, chosen_rule)
        uv, xyz = reading.uv_BK2.double().cpu().numpy(), reading.xyz_BK3
        peaks = reading.confidence_BK.double().cpu().numpy()
        for i, picture in enumerate(chosen):
            pose = xyz[i].double().cpu().numpy()
            yield _found(picture, images[i], crops[i], uv[i], peaks[i], pose, size=model.size)


def predictions_json(saved: Checkpoint, found: Sequence[Found]) -> dict[str, Any]:
    """Return a predictions file that `handdata evaluate --predictions` reads."""
    options = {"checkpoint": str(saved.path), "recipe": saved.config.name, "epoch": saved.position.epoch}
    return {
        "schema": VERSION,
        "options": options,
        "keypoint_names": list(KEYPOINTS),
        "samples": [one.as_sample() for one in found],
    }


def write_overlay(folder: Path, found: Found) -> Path:
    """Write one overlay as PNG and return its path."""
    path = folder / f"{found.picture.path.stem}.png"
    write_bytes(path, cv2.imencode(".png", found.overlay()[..., ::-1])[1].tobytes())
    return path


def _square(picture: Picture, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = image.shape[:2]
    if picture.box_xyxy is None:
        center, side = np.array([width / 2, height / 2]), float(min(width, height))
    else:
        left, top, right, bottom = picture.box_xyxy
        if not (left < width and top < height and right > 0 and bottom > 0):
            raise ConfigError(
                picture.path,
                expected=f"a box in the picture of {width} x {height} px",
                got=f"--box {left:g} {top:g} {right - left:g} {bottom - top:g}",
                fix="Give the left, top, width and height of the hand in px of this picture.",
            )
        box = np.array(picture.box_xyxy, np.float64)
        center, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
    return np.concatenate([center - side / 2, center + side / 2])


def _shown(picture: Picture, image: NDArray[np.uint8], crop: NDArray[np.float64], *, size: int) -> NDArray[np.uint8]:
    square = resample_square(image, crop, size)
    return square[:, ::-1] if picture.side == RIGHT else square


def _found(
    picture: Picture,
    image: NDArray[np.uint8],
    crop: NDArray[np.float64],
    uv: NDArray[np.float64],
    peaks: NDArray[np.float64],
    pose: NDArray[np.float64],
    *,
    size: int,
) -> Found:
    """Undo the mirror and the crop."""
    if picture.side == RIGHT:
        uv = mirror_pixels(uv * size, size) / size
        pose = pose * np.array([-1.0, 1.0, 1.0])
    return Found(
        picture=picture,
        image=image,
        crop_xyxy=crop,
        keypoints_2d=from_crop_fractions(uv[None], crop[None], size)[0],
        peaks=peaks,
        keypoints_3d_normalized=pose,
    )
