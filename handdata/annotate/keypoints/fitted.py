"""The hand in 3D that suits the points of a picture best: the kinematic fit, shown beside the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.cells import HandCell, has_place
from handdata.annotate.keypoints.found import Found
from handdata.geometry import project
from handdata.skeleton import NUM_KEYPOINTS

Floats = NDArray[np.float64]

FOCAL = 1.2  # of a picture's longer side: of a camera that nobody knows, about 45 degrees wide
SD_2D, SD_3D = 0.01, 0.15  # of a person's points, crop sides; of the model's pose
STILL = 0.5  # px: points that moved less have the same fit


@dataclass(frozen=True, slots=True, eq=False)
class FittedHand:
    """A fitted hand.

    Attributes:
        of_uv: (21, 2) px, the points it was fitted to.
        uv: (21, 2) px, the fitted points in the picture.
        xyz: (21, 3) camera axes, in lengths from wrist to middle knuckle, about the middle knuckle.
    """

    of_uv: Floats
    uv: Floats
    xyz: Floats

    def suits(self, uv: Floats) -> bool:
        """Say whether it is the fit of these points."""
        return bool(np.nanmax(np.abs(self.of_uv - uv), initial=0.0) < STILL)


def fit_hand(cell: HandCell, found: Found, size_px: tuple[int, int]) -> FittedHand | None:
    """Fit a hand to its points in a picture; None if it cannot be.

    Args:
        cell: the hand; points without a place are taken as the model found them.
        found: what the model found of it.
        size_px: width and height of the picture.
    """
    from handdata.evaluation.absolute import rays_of  # noqa: PLC0415 - torch is imported when it is first needed
    from handdata.model.fit import fit  # noqa: PLC0415
    from handdata.model.place import Lens, size_of  # noqa: PLC0415

    uv = np.where(has_place(cell.uv)[:, None], cell.uv, found.uv)
    focal = FOCAL * max(size_px)
    K = Lens(focal_px=focal).intrinsics(*size_px)
    rays = rays_of(uv[None], K[None])
    side_px = max(float((uv.max(0) - uv.min(0)).max()) * 1.3, 8.0)
    right = np.array([(cell.side if cell.side != "unknown" else found.side) == "right"])
    fitted = fit(
        rays, found.pose[None], np.array([side_px / focal]), size_of(None), right=right, sd_2d=SD_2D, sd_3d=SD_3D
    )
    xyz = fitted.xyz_mm[0]
    if not np.isfinite(xyz).all() or (xyz[:, 2] <= 0).any():
        return None
    return FittedHand(cell.uv.copy(), project(xyz, K), fitted.pose[0])


def no_fit(cell: HandCell) -> FittedHand:
    """Return what stands for a hand that cannot be fitted."""
    return FittedHand(cell.uv.copy(), cell.uv.copy(), np.full((NUM_KEYPOINTS, 3), np.nan))
