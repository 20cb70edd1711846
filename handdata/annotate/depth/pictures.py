"""Depth pictures as a person can see them: shaded as by a lamp, or with the colours of the camera beside it."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.crops import REACH_MM
from handdata.annotate.depth.recording import DepthRecording
from handdata.annotate.pictures import Pictures, stamp_of, target_of
from handdata.annotate.tracker import Image
from handdata.errors import ConfigError
from handdata.geometry import backproject, project, transform
from handdata.manifest import CameraFacts
from handdata.pictures.decode import read_image

Floats = NDArray[np.float64]

TWICE = 2  # px shown per px of depth
LOOKS = ("depth", "color")
GROUND_BGR = (58, 46, 40)
NEAR_BGR, FAR_BGR = np.array([225.0, 245.0, 255.0]), np.array([190.0, 110.0, 80.0])
LAMP = np.array([-0.45, -0.55, -0.70])  # towards the light: from the left, above, the camera
LEAST_LIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class DepthPictures(Pictures):
    """The depth pictures of a recording; px are those shown, TWICE as many each way as the camera has.

    Attributes:
        recording: the sequence.
        centres: (F, 3) mm of the hand; NaN where it is not found.
        look: one of LOOKS.
    """

    recording: DepthRecording = field(compare=False)
    centres: Floats = field(repr=False, compare=False)
    look: str = "depth"

    def read(self, index: int) -> Image:
        """Return a picture as (H, W, 3) uint8 BGR.

        Raises:
            MissingError, DataError: it is not there, or damaged.
        """
        depth = self.recording.depth(index)
        if self.look == "color":
            (name, camera), *_ = self.recording.cameras.items()
            image = read_image(self.recording.folder / self.recording.pictures[name][index])
            return registered(depth, self.recording.K, image, camera)
        middle, surfaces = float(self.centres[index, 2]), depth[depth > 0]
        if not np.isfinite(middle):
            middle = float(np.median(surfaces)) if surfaces.size else 0.0  # nothing is shown then
        return shaded(depth, self.recording.K, middle)


def pictures_of(recording: DepthRecording, centres: Floats, look: str = "depth") -> DepthPictures:
    """Return the depth pictures of a recording.

    Raises:
        ConfigError: colours of a recording whose colour camera is not calibrated, or has other pictures.
    """
    if look == "color" and (len(recording.cameras) != 1 or not all(next(iter(recording.pictures.values())))):
        expected = "depth, or a sequence with one calibrated colour camera"
        raise ConfigError("--picture", expected=expected, got=f"color of {recording.dataset}/{recording.sequence}")
    paths = recording.depth_paths
    width, height = recording.size
    return DepthPictures(
        paths=paths,
        targets=tuple(map(target_of, paths)),
        img_names=tuple(path.relative_to(recording.folder).as_posix() for path in paths),
        width=TWICE * width,
        height=TWICE * height,
        recording=recording,
        centres=centres,
        look=look,
        stamps=tuple(map(stamp_of, paths)),
    )


def to_depth(uv: Floats) -> Floats:
    """Take (..., 2) px as shown to px of the depth camera."""
    return np.asarray((uv - (TWICE - 1) / 2) / TWICE, np.float64)


def to_shown(uv: Floats) -> Floats:
    """Take (..., 2) px of the depth camera to px as shown."""
    return np.asarray(uv * TWICE + (TWICE - 1) / 2, np.float64)


def shaded(depth: Floats, K: Floats, middle_mm: float) -> Image:
    """Return depth as a relief, (2 H, 2 W, 3) uint8 BGR: near ones light, far ones blue, surfaces lit by a lamp.

    Args:
        depth: (H, W) mm, 0 where there is no surface.
        K: (3, 3) of the camera.
        middle_mm: depth of the hand; REACH_MM before and behind it the colours end.
    """
    there = depth > 0
    smooth = cv2.bilateralFilter(depth.astype(np.float32), 5, 15.0, 2.0)
    down, right = np.gradient(smooth)
    flat = smooth / np.float32((K[0, 0] + K[1, 1]) / 2)  # mm per px
    normal = np.stack([right, down, -np.maximum(flat, 1e-3)], axis=-1)
    light = (normal @ LAMP) / np.linalg.norm(normal, axis=-1)
    share = np.clip((depth - middle_mm + REACH_MM) / (2 * REACH_MM), 0, 1)[..., None]
    colors = (NEAR_BGR + share * (FAR_BGR - NEAR_BGR)) * np.maximum(light, LEAST_LIGHT)[..., None]
    picture = np.where(there[..., None], colors, np.array(GROUND_BGR, float)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(picture, None, fx=TWICE, fy=TWICE, interpolation=cv2.INTER_LINEAR), np.uint8)


def registered(depth: Floats, K: Floats, image: NDArray[np.uint8], camera: CameraFacts) -> Image:
    """Return the colours of another camera where the depth camera sees them, (2 H, 2 W, 3) uint8 BGR.

    Args:
        depth: (H, W) mm.
        K: (3, 3) of the depth camera.
        image: (h, w, 3) RGB of the colour camera.
        camera: the colour camera, with its place by the depth camera.
    """
    fine = np.kron(depth, np.ones((TWICE, TWICE)))
    v, u = np.mgrid[: fine.shape[0], : fine.shape[1]].astype(float)
    there = fine > 0
    points = backproject(to_depth(np.stack([u, v], axis=-1)[there]), fine[there], K)
    at = np.full((*fine.shape, 2), -10.0, np.float32)
    at[there] = project(transform(camera.T_camera_label, points), camera.K)
    bgr, (x, y) = np.ascontiguousarray(image[..., ::-1]), (np.ascontiguousarray(at[..., axis]) for axis in (0, 1))
    return np.asarray(cv2.remap(bgr, x, y, cv2.INTER_LINEAR, borderValue=GROUND_BGR), np.uint8)
