"""Where a hand is and how it is turned: orientation, and the point of the picture it stands at."""

from collections.abc import Sequence

import numpy as np

from handdata.synth.frame import Camera, Viewpoint
from handdata.synth.kinematics import rotation
from handdata.synth.mesh import Floats, cross, unit

HAND_RADIUS_MM = 95.0  # of the circle that holds a mean hand, from the middle of its keypoints
TOWARD_CAMERA = -0.62  # z of the forearm's direction beyond which it would hide the hand
AWAY = 0.85  # and beyond which its end would be seen
FROM_BELOW = 0.7  # share of forearms that come from below, in front of other people
BELOW_SPREAD = 0.8  # radians
FROM_OWN_SIDE = 0.8  # radians by which they lean to their own side, where it counts
EGO_ARM, EGO_SPREAD = np.array([0.0, 0.75, -0.55]), np.array([0.35, 0.12, 0.15])
EGO_FROM_OWN_SIDE = np.array([0.45, 0.0, 0.0])
CANDIDATES = 48


def draw_orientation(
    rng: np.random.Generator,
    arm: Floats,
    viewpoint: Viewpoint,
    bounds: tuple[float, float] = (TOWARD_CAMERA, AWAY),
    own_side: int = 0,
) -> Floats:
    """Draw a (3, 3) rotation from the hand frame to the reference camera's.

    Args:
        rng: to draw from.
        arm: (3,) unit direction from wrist to elbow, in the hand frame.
        viewpoint: who looks.
        bounds: least and greatest z of the forearm's direction.
        own_side: where in the picture the hand's half of the body is: 1 right, -1 left; 0 has forearms lean nowhere.
    """
    if viewpoint == "ego":
        target = unit(EGO_ARM + own_side * EGO_FROM_OWN_SIDE + rng.normal(0, 1, 3) * EGO_SPREAD)
        return _between(arm, target) @ rotation(arm, np.asarray(rng.uniform(0, 360)))
    turns = _uniform_rotations(rng, CANDIDATES)
    arms = turns @ arm
    turn: Floats = turns[int(((arms[:, 2] >= bounds[0]) & (arms[:, 2] <= bounds[1])).argmax())]
    if rng.random() < FROM_BELOW:
        now = turn @ arm
        wanted = np.pi / 2 - own_side * FROM_OWN_SIDE + rng.normal(0, BELOW_SPREAD)
        roll = np.degrees(wanted - np.arctan2(now[1], now[0]))
        turn = rotation(np.array([0.0, 0.0, 1.0]), np.asarray(roll)) @ turn
    return turn


def _uniform_rotations(rng: np.random.Generator, count: int) -> Floats:
    """Draw (count, 3, 3) rotations, uniform: from normal quaternions."""
    q = rng.normal(size=(count, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _between(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation that takes one unit vector to another."""
    axis = cross(start, end)
    angle = np.arctan2(np.sqrt(axis @ axis), start @ end)
    return rotation(unit(axis), np.asarray(np.degrees(angle)))


def reference_camera(cameras: Sequence[Camera]) -> Camera:
    """Return the camera the hand is framed by: the one at the world's origin, else the first."""
    at_origin = (camera for camera in cameras if np.array_equal(camera.T_camera_world, np.eye(4)))
    return next(at_origin, cameras[0])


def stand_at(
    camera: Camera, place: Floats, distance: float, centre: Floats, radius: float, overhang: float = 0.0
) -> Floats:
    """Return the (3,) wrist in the camera's frame, mm.

    Args:
        camera: that looks.
        place: (2,) 0..1 across and down the room the hand has without leaving the picture.
        distance: of the wrist from the camera, mm.
        centre: (3,) from the wrist to the middle of the hand, in the camera's axes.
        radius: of the hand, mm.
        overhang: how far, in radii, the middle may leave that room.
    """
    size = np.array([camera.width, camera.height])
    focal = np.array([camera.K[0, 0], camera.K[1, 1]])
    margin = (radius * focal / distance) * (1 - overhang)
    low, high = np.minimum(margin, size / 2), np.maximum(size - margin, size / 2)
    pixel = low + place * (high - low) - 0.5
    ray = np.linalg.solve(camera.K, np.array([*pixel, 1.0]))
    # |depth * ray - centre| = distance, the far solution
    a, b, c = ray @ ray, ray @ centre, centre @ centre - distance**2
    depth = (b + np.sqrt(np.maximum(b * b - a * c, 0.0))) / a
    wrist: Floats = depth * ray - centre
    return wrist


def to_world(camera: Camera, turn: Floats, wrist: Floats) -> tuple[Floats, Floats]:
    """Carry an orientation and a position from the camera's frame to the world's."""
    back = camera.T_camera_world[:3, :3].T
    return back @ turn, back @ (wrist - camera.T_camera_world[:3, 3])
