"""Which keypoints a camera sees: the depth there against the keypoint's own, half the finger's thickness apart."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import NUM_KEYPOINTS
from handdata.synth.collision import load_capsules
from handdata.synth.frame import HIDDEN_BY_OTHER, HIDDEN_BY_SELF, OUTSIDE, VISIBLE, Camera
from handdata.synth.mesh import Floats

WRIST_RADIUS_MM = 14.0
SLACK, SLACK_MM = 1.35, 2.0  # a keypoint lies this much deeper under the skin seen aslant
PARTS_PER_HAND = 17


@cache
def half_thickness() -> Floats:
    """Return the (21,) radii of the flesh round the keypoints of the mean hand, mm."""
    radii = load_capsules().radii
    result = [WRIST_RADIUS_MM]
    for finger in range(5):
        proximal, middle, distal = radii[3 * finger : 3 * finger + 3]
        result += [proximal + 1.5, middle + 1.0, distal + 1.0, distal * 0.8]
    return np.array(result)


def tolerance(scale: float) -> Floats:
    """Return the (21,) depths, mm, that a visible keypoint may lie behind the surface the camera sees there."""
    return half_thickness() * scale * SLACK + SLACK_MM


def see_keypoints(
    labels: Floats, scale: float, hand: int, camera: Camera, depth: NDArray[np.float32], part: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the (21,) reasons of frame.py: visible, hidden by the hand itself, by something else, outside.

    Args:
        labels: (21, 3) keypoints, world mm.
        scale: of the hand.
        hand: its number in the frame.
        camera: that looks.
        depth: (H, W) mm of this camera, 0 where nothing is.
        part: (H, W) part map of this camera.
    """
    xyz = labels @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]
    uvw = xyz @ camera.K.T
    reason = np.full(NUM_KEYPOINTS, OUTSIDE, np.uint8)
    ahead = xyz[:, 2] > 0
    column, row = np.rint(uvw[:, :2] / np.where(ahead, xyz[:, 2], 1.0)[:, None]).T
    inside = ahead & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    at = row[inside].astype(int), column[inside].astype(int)
    surface, seen = depth[at], part[at]
    own = (seen > 0) & ((seen - 1) // PARTS_PER_HAND == hand)
    deep = xyz[inside, 2] - surface > tolerance(scale)[inside]
    hidden = np.where(own, HIDDEN_BY_SELF, HIDDEN_BY_OTHER)
    nothing = surface == 0  # a tip whose label lies just outside the silhouette
    reason[inside] = np.where(nothing | (own & ~deep), VISIBLE, hidden)
    in_front_of_other = inside.copy()
    in_front_of_other[inside] = ~own & ~nothing & (xyz[inside, 2] < surface)
    reason[in_front_of_other] = VISIBLE
    return reason
