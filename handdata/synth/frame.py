"""What a rendered frame is: the one contract between the renderer and the native writers.

World frame of a scene: x right, y down, z forward, millimetres; it is the frame of a camera whose `T_camera_world`
is the identity. Pixel (0, 0) is the centre of the top-left pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Style = Literal["clean", "gritty"]
Background = Literal["scene", "key", "black", "none"]  # none: no colours are wanted, the image is black
Motion = Literal["count", "random", "grasp", "swipe", "still"]
Viewpoint = Literal["front", "ego"]
LabelConvention = Literal["annotated", "rigged"]

KEY_COLOR = (14, 255, 14)  # RGB of SynthHands' chroma key, manifests/synthhands.toml
VISIBLE, HIDDEN_BY_SELF, HIDDEN_BY_OTHER, OUTSIDE = 0, 1, 2, 3  # View.reason; other: the object or the other hand


def _identity() -> NDArray[np.float64]:
    return np.eye(4)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera in the scene.

    K is (3, 3) px; `T_camera_world` (4, 4) maps world mm to this camera's mm: x_camera = T_camera_world @ x_world.
    """

    name: str
    K: NDArray[np.float64]
    width: int
    height: int
    T_camera_world: NDArray[np.float64] = field(default_factory=_identity)
    background: Background = "scene"


@dataclass(frozen=True, kw_only=True)
class HandLabel:
    """One hand of a frame: its side and its points in the world frame, mm."""

    side: int  # skeleton.LEFT or skeleton.RIGHT
    keypoints_3d: NDArray[np.float64]  # (21, 3), canonical order
    palm_center_3d: NDArray[np.float64]  # (3,)


@dataclass(frozen=True, kw_only=True)
class View:
    """What one camera sees of a frame."""

    camera: Camera
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    depth: NDArray[np.float32]  # (H, W) mm along z of this camera; 0 where there is no surface
    mask: NDArray[np.uint8]  # (H, W) 0 background, 1 hand (any), 2 object
    part: NDArray[
        np.uint8
    ]  # (H, W) 0 none, else 1 + 17 h + p: hand h, part p: 0..15 = finger 3 f + (0 tip, 1, 2), 15 palm, 16 forearm
    visible: NDArray[np.bool_]  # (hands, 21) the keypoint's surface is the first thing this camera hits
    reason: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 21), np.uint8))  # (hands, 21) why not


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One instant of a sequence."""

    hands: tuple[HandLabel, ...]
    object_corners_3d: NDArray[np.float64] | None  # (8, 3) world mm of a cuboid object; None without one
    has_object: bool
    views: tuple[View, ...]  # in the order of the cameras asked for

    def __getitem__(self, name: str) -> View:
        """Return the view of the camera called `name`."""
        return next(view for view in self.views if view.camera.name == name)


@dataclass(frozen=True, kw_only=True)
class SequenceSpec:
    """What to render: frame i of it is a function of this and i alone, on any machine and in any order.

    Attributes:
        seed: of the whole rendering.
        name: of the sequence, e.g. "stereo/B1Counting"; with `seed` it decides the person, the light, the motion.
        cameras: every camera that is to see each frame.
        sides: the hands in the picture, e.g. (LEFT,) or (LEFT, RIGHT).
        objects: None, "any" (sphere, cylinder, cuboid) or "cuboid".
        motion: how the hand moves from frame to frame; "still" draws every frame afresh (no continuity).
        distance_mm: range of the wrist's distance from the world's origin camera.
        fps: frames per second, for a realistic speed.
        style: look of light, noise, skin and backgrounds.
        small: the coarse mesh and no supersampling, for tests.
        backgrounds: picture files to stand behind the hand; procedural ones when empty.
        viewpoint: "ego" has the forearm come from the viewer, below; "front" from anywhere but the camera.
        own_sides: forearms come mostly from where the person's body is: a right one from the right of a picture seen
            from the person's own eyes, from the left of one seen from in front; and of two hands each stands at its own
            side. False: as often from either.
        convention: where labels lie on the bones: as people click ("annotated"), or as the rigs of rendered datasets
            have them ("rigged").
        zoom: makes of a camera the one that renders, from the first hand's label: for datasets whose pictures are
            crops, which are rendered at their own size instead of cut from larger ones. Picklable.
    """

    seed: int
    name: str
    cameras: tuple[Camera, ...]
    sides: tuple[int, ...] = (0,)
    objects: Literal["any", "cuboid"] | None = None
    motion: Motion = "random"
    distance_mm: tuple[float, float] = (350.0, 600.0)
    fps: float = 25.0
    style: Style = "clean"
    small: bool = False
    backgrounds: tuple[str, ...] = ()
    viewpoint: Viewpoint = "front"
    own_sides: bool = False
    convention: LabelConvention = "annotated"
    zoom: Callable[[HandLabel, Camera], Camera] | None = None


def project_world(points: NDArray[Any], camera: Camera) -> NDArray[np.float64]:
    """Project (..., N, 3) world mm to (..., N, 2) pixels of `camera`."""
    xyz = points @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]
    uvw = xyz @ camera.K.T
    result: NDArray[np.float64] = uvw[..., :2] / uvw[..., 2:]
    return result
