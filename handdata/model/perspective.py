"""2D and one depth per keypoint, as some families answer, become a pose in perspective where the camera is known.

Without a camera such a family's pose is that of a weak perspective: the scale at which the palm's lengths come out
right. With one each depth lies on the ray of its keypoint, and the palm's ten lengths give how far away the hand is.

Source:
    Iqbal et al., Hand Pose Estimation via Latent 2.5D Heatmap Regression, ECCV 2018, section 3; docs/method.md 14.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.absolute import lift_palm, rays_of
from handdata.skeleton import ROOT

Floats = NDArray[np.float64]
SD_2D, SD_Z = 0.02, 0.10  # errors of networks: crop sides, units of wrist to middle MCP


def in_perspective(uv: NDArray[Any], pose: NDArray[Any], K: NDArray[Any], turn: NDArray[Any], size: int) -> Floats:
    """Return poses whose points lie on the rays of their keypoints; as they were where no camera is known.

    Args:
        uv: (B, 21, 2) fractions of the crop side.
        pose: (B, 21, 3) as read: its z counts, its x and y only where no camera is known. Axes of the view.
        K: (B, 3, 3) intrinsics of the crop, px; NaN where not known.
        turn: (B, 3, 3) from the crop camera's axes to those of the view; the identity without the view turn.
        size: side of the crop, px.
    """
    pose, K = np.asarray(pose, np.float64), np.asarray(K, np.float64)
    known = np.isfinite(K).all((1, 2))
    camera = np.where(known[:, None, None], K, np.eye(3))
    rays = rays_of(np.asarray(uv, np.float64) * size, camera) @ np.swapaxes(turn, 1, 2)
    known &= (rays[..., 2] > 0).all(1)
    rays = np.where(known[:, None, None], rays, [0.0, 0.0, 1.0])
    rays = rays / rays[..., 2:]
    z = pose[..., 2] - pose[:, ROOT : ROOT + 1, 2]
    lifted = lift_palm(rays, z, sd_ray=SD_2D * size / camera[:, 0, 0], sd_z=SD_Z)
    found = lifted.xyz - lifted.xyz[:, ROOT : ROOT + 1]
    good = known & lifted.trusted & np.isfinite(found).all((1, 2))
    return np.where(good[:, None, None], found, pose)
