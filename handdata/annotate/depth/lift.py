"""A hand in 3D from where a person clicked its points in a depth picture. Pure.

Visible points lie 8 mm behind the surface under them, hidden ones behind some surface; bones have a length, and of each
the person may say which end is nearer.

Source:
    Oberweger et al., CVPR 2016, section 3.2. The deviations are this package's (docs/depth.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.bone_lengths import BARS, USUAL_MM, usual_weight
from handdata.annotate.depth.crops import depth_at
from handdata.annotate.depth.least_squares import Known, minimise, no_guess
from handdata.geometry import backproject
from handdata.skeleton import BONES, NUM_KEYPOINTS

Floats = NDArray[np.float64]

FLESH_MM = 8.0  # of a point behind the skin before it
SEEN_PX, GUESSED_PX = 1.5, 4.0  # how exactly people click points that they see, and that they do not
STEPS = 40
BOTH_WAYS = [
    (*pair, bone, sign) for bone, (a, b) in enumerate(BARS) for pair, sign in (((a, b), 1), ((b, a), -1))
]  # known point, other point, bone between them, 1 if it leads away from the wrist
FAR_OFF_MM = 120.0  # a surface so far from the hand's others is none of the hand


@dataclass(frozen=True, slots=True)
class Clicks:
    """What a person said of the points of F frames.

    Attributes:
        uv: (F, 21, 2) px of the depth picture; NaN where nobody clicked.
        hidden: (F, 21) bool: the point is not seen.
        nearer: (F, 20) of each bone: 1 if its start is the nearer end, -1 if its end is, 0 if nobody said.
    """

    uv: Floats
    hidden: NDArray[np.bool_]
    nearer: NDArray[np.int64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(F, 21) points that were clicked and are seen."""
        return np.asarray(np.isfinite(self.uv).all(axis=-1) & ~self.hidden, np.bool_)


def surfaces_under(clicks: Clicks, depths: list[NDArray[np.float64]]) -> Floats:
    """Return the depth of the surface under each click, (F, 21) mm; NaN without one, or where it is not the hand's."""
    under = np.stack([depth_at(depth, uv) for depth, uv in zip(depths, clicks.uv, strict=True)])
    told = [row[seen & np.isfinite(row)] for row, seen in zip(under, clicks.seen, strict=True)]
    hand = np.array([[np.median(row) if len(row) else np.nan] for row in told])
    return np.asarray(np.where(np.abs(under - hand) < FAR_OFF_MM, under, np.nan), np.float64)


def on_surfaces(clicks: Clicks, surface: Floats, K: Floats) -> Floats:
    """Return the points that lie on what is seen under them, (F, 21, 3) mm; NaN for all others."""
    z = np.where(clicks.seen, surface + FLESH_MM, np.nan)
    return np.asarray(backproject(clicks.uv, z, K), np.float64)


def begin(clicks: Clicks, surface: Floats, K: Floats, bones: Floats) -> Floats:
    """Return first places of all points, (F, 21, 3) mm: on the surface, else a bone's length from its neighbour.

    A point that nobody clicked begins at its neighbour's place.
    """
    found = on_surfaces(clicks, surface, K)
    behind = np.where(np.isfinite(surface), surface, -np.inf)
    rays = backproject(clicks.uv, np.ones(clicks.uv.shape[:2]), K)
    for frame, points in enumerate(found):
        if not np.isfinite(points).any():
            points[:] = _anywhere(clicks.uv[frame], K)
        for _ in range(NUM_KEYPOINTS):
            for known, other, bone, sign in BOTH_WAYS:
                if np.isnan(points[other, 2]) and np.isfinite(points[known, 2]):
                    way = sign * int(clicks.nearer[frame, bone]) if bone < len(BONES) else 0
                    points[other] = _along_ray(
                        points[known], rays[frame, other], bones[bone], way, behind[frame, other]
                    )
    return found


def _along_ray(known: Floats, ray: Floats, length: float, way: int, behind: float) -> Floats:
    """Return the point on a ray at a bone's length from a known one: the farther if way is 1, the nearer if -1."""
    if not np.isfinite(ray).all():
        return np.asarray(known + np.array([0.0, 0.0, way * length / 2]), np.float64)
    a, h = float(ray @ ray), float(ray @ known)
    rest = h * h - a * (float(known @ known) - length**2)
    root = np.sqrt(max(rest, 0.0))
    far, near = (h + root) / a, (h - root) / a
    z = near if way < 0 or (way == 0 and near >= behind) else far
    return np.asarray(z * ray, np.float64)


def _anywhere(uv: Floats, K: Floats) -> Floats:
    """Return points at arm's length where nothing is known of any depth; the least squares move them."""
    return backproject(np.where(np.isfinite(uv), uv, K[:2, 2]), np.full(len(uv), 450.0), K)


def lift(
    clicks: Clicks, depths: list[NDArray[np.float64]], K: Floats, bones: Floats | None = None
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the clicked hands in 3D, (F, 21, 3) mm, and the (27,) bones of the person, as bone_lengths.py counts them.

    Args:
        clicks: what a person said.
        depths: F depth pictures, mm, 0 where there is no surface.
        K: (3, 3) of the depth camera.
        bones: (27,) mm if they are known; else they are found, the same in all frames.
    """
    surface = surfaces_under(clicks, depths)
    nowhere, loose = no_guess(len(clicks.uv))
    known = Known(
        K=K,
        bones=USUAL_MM if bones is None else bones,
        bone_weight=usual_weight() if bones is None else None,
        uv=clicks.uv,
        uv_sd=np.where(clicks.hidden, GUESSED_PX, SEEN_PX),
        depth=np.where(clicks.seen, surface + FLESH_MM, np.nan),
        behind=np.where(clicks.hidden, surface, np.nan),
        nearer=clicks.nearer,
        xyz=nowhere,
        xyz_sd=loose,
    )
    return minimise(begin(clicks, surface, K, known.bones), known, steps=STEPS)
