"""Placeholder renderer behind the final call, `render_frame(spec, index)`: a stick hand with shading by depth."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handdata.skeleton import BONES, LEFT, NUM_KEYPOINTS
from handdata.synth.frame import KEY_COLOR, Camera, Frame, HandLabel, SequenceSpec, View, project_world


def render_frame(spec: SequenceSpec, index: int) -> Frame:
    """Render frame `index` of `spec`."""
    seed = [spec.seed, index, *spec.name.encode()]
    rng = np.random.default_rng(seed)
    hands = tuple(_hand(rng, side, spec.distance_mm) for side in spec.sides)
    views = tuple(_view(camera, hands, rng) for camera in spec.cameras)
    corners = None
    if spec.objects:
        corners = hands[0].palm_center_3d + 25.0 * np.array(
            [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
        )
    return Frame(hands=hands, object_corners_3d=corners, has_object=spec.objects is not None, views=views)


def _hand(rng: np.random.Generator, side: int, distance_mm: tuple[float, float]) -> HandLabel:
    xyz = np.zeros((NUM_KEYPOINTS, 3))
    for f, (mcp, lengths) in enumerate(
        [
            ((-30, -25), (40, 32, 28)),
            ((-22, -88), (42, 25, 22)),
            ((0, -92), (46, 28, 23)),
            ((20, -86), (42, 27, 23)),
            ((38, -76), (33, 20, 20)),
        ]
    ):
        xyz[4 * f + 1, :2] = mcp
        direction = np.array([*mcp, 0.0]) / np.linalg.norm(mcp)
        for j, length in enumerate(lengths):
            direction = Rotation.from_rotvec([rng.uniform(-0.1, 0.7), 0, 0]).apply(direction)
            xyz[4 * f + 2 + j] = xyz[4 * f + 1 + j] + length * direction
    if side == LEFT:
        xyz[:, 0] *= -1
    centre = np.array([rng.uniform(-60, 60), rng.uniform(-30, 60), rng.uniform(*distance_mm)])
    xyz = Rotation.from_rotvec(rng.normal(0, 0.4, 3)).apply(xyz) + centre
    return HandLabel(side=side, keypoints_3d=xyz, palm_center_3d=(xyz[0] + xyz[9]) / 2)


def _view(camera: Camera, hands: tuple[HandLabel, ...], rng: np.random.Generator) -> View:
    shape = (camera.height, camera.width)
    fill = {"key": KEY_COLOR, "black": (0, 0, 0)}.get(camera.background, (90, 110, 120))
    image = np.empty((*shape, 3), np.uint8)
    image[:] = fill
    depth: NDArray[np.float32] = np.zeros(shape, np.float32)
    part = np.zeros(shape, np.uint8)
    skin = rng.uniform(0.6, 1.0) * np.array([235, 180, 150])
    for h, hand in enumerate(hands):
        z = (hand.keypoints_3d @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3])[:, 2]
        uv = project_world(hand.keypoints_3d, camera)
        for start, end in sorted(BONES, key=lambda bone: -z[list(bone)].sum()):
            a, b = (tuple(round(float(c)) for c in uv[k]) for k in (start, end))
            width = max(1, round(18 * camera.K[0, 0] / z[end]))
            cv2.line(image, a, b, tuple(float(c) for c in skin * (0.6 + 0.02 * end)), width)
            cv2.line(depth, a, b, float(z[end]), width)
            cv2.line(
                part,
                a,
                b,
                1 + 17 * h + min(15, (end - 1) // 4 * 3 + (4 - (end - 1) % 4) - 2 if (end - 1) % 4 else 15),
                width,
            )
    visible = np.ones((len(hands), NUM_KEYPOINTS), bool)
    return View(camera=camera, image=image, depth=depth, mask=(part > 0).astype(np.uint8), part=part, visible=visible)
