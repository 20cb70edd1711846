"""Absolute pose: from what a network says about one crop to millimetres in the camera's axes. Pure NumPy.

A network says where keypoints lie in the picture and how the hand is shaped, in units of its own size (wrist to middle
MCP). With the camera's K that gives the depth in the same units; only an assumed size gives millimetres, and the depth
is proportional to it: one picture cannot tell a small hand that is near from a large one that is far.

Shape letters: K the 21 keypoints, N bones. Any number of leading axes before them. `rays` are K^-1 (u, v, 1): the
direction of each keypoint with z = 1. Depths and lengths are in units of wrist to middle MCP unless they end in _mm.

Source:
    Iqbal et al., Hand Pose Estimation via Latent 2.5D Heatmap Regression, ECCV 2018, section 3, with K and the factor
    of two that its printed equations leave out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.skeleton import ROOT, WRIST

Floats = NDArray[np.float64]

# Palm pairs and their lengths in units of wrist to middle MCP: means over rendered hands of the labels `annotated`.
# Phalanges add nothing: their lengths are known no better than their ends.
PAIRS: tuple[tuple[int, int], ...] = (
    (0, 9), (0, 5), (0, 13), (0, 17), (5, 9), (9, 13), (13, 17), (5, 17), (5, 13), (9, 17)
)  # fmt: skip
LENGTHS = np.array([1.0, 1.046, 0.967, 0.922, 0.289, 0.259, 0.234, 0.746, 0.538, 0.483])
SPREADS = np.array([0.001, *[0.03] * 9])  # standard deviations over people; the first is 1 by definition
CHECKS = (1, 2, 3, 7)  # of PAIRS: they tell two possible roots apart
END_ON = 0.25  # sine between bone and ray below which its length says nothing about depth
HUBER = 1.5  # standard deviations
STEPS, LONGEST_STEP = 10, 0.5  # of the logarithm of depth
PASSES, ROBUST_PASSES = 3, 8
FEWEST = 6  # keypoints
TRAINED = "the hands that the model was trained on"  # source of a size
FOCAL_PX = (1e-3, 1e9)  # of any camera, and far beyond
SAME_RAY = 1e-7  # how far rays of more than one place lie apart, of their x and y
NEAREST = 0.3  # depth of a keypoint, in hand sizes, below which a solution is refused


@dataclass(frozen=True, slots=True)
class Size:
    """What is assumed of the distance from wrist to middle MCP.

    Attributes:
        mm: its mean.
        sd_mm: its standard deviation.
        source: where it is from, for people.
    """

    mm: float
    sd_mm: float
    source: str


HAND_MM = (20.0, 300.0)  # wrist to middle MCP: a newborn has about 30 mm; metres and centimetres lie far outside
# ANSUR II (public; 4,082 men, 1,986 women, half and half): hand length 187.2 +- 11.7 mm, times 0.446 for the distance
# of the joints' centres (Buchholz et al. 1992); the two label conventions of `handdata synth` move it by 18 %.
ADULT = Size(83.5, 5.2, "adults, joint centres (ANSUR II)")
ADULT_ANNOTATED = Size(74.9, 4.6, "adults, points as people click them")
ADULT_RIGGED = Size(89.5, 5.5, "adults, points of rendered rigs")


def size_of_hands(scale_mm: NDArray[Any]) -> Size | None:
    """Return the median size of labelled hands, and the spread of its logarithm as that of people; None without any.

    Args:
        scale_mm: (N,) from wrist to middle MCP; NaN where millimetres are not known.

    Example:
        >>> size_of_hands(np.array([80.0, 90.0, 80.0, np.nan])).mm
        80.0
    """
    scale = np.asarray(scale_mm, np.float64)
    logs = np.log(scale[np.isfinite(scale) & (scale > 0)])
    if not logs.size:
        return None
    mm = float(np.exp(np.median(logs)))
    return Size(round(mm, 2), round(mm * float(logs.std()), 2), TRAINED)


@dataclass(frozen=True, slots=True)
class Lifted:
    """A hand in the camera's axes.

    Attributes:
        xyz: (..., 21, 3) in units of wrist to middle MCP; times the size, in mm.
        depth_sd: (...) standard deviation of the middle MCP's depth over the depth, without that of the size; NaN
            where the method has none.
        trusted: (...) bool, False where the problem is ill conditioned or was refused; refused poses are NaN.
    """

    xyz: Floats
    depth_sd: Floats
    trusted: NDArray[np.bool_]

    def in_mm(self, size: Size) -> tuple[Floats, Floats]:
        """Return (..., 21, 3) mm and the standard deviation (...) of the middle MCP's depth, mm."""
        xyz = self.xyz * size.mm
        share = np.sqrt(np.nan_to_num(self.depth_sd) ** 2 + (size.sd_mm / size.mm) ** 2)
        return xyz, share * xyz[..., ROOT, 2]


def is_intrinsics(K: NDArray[Any]) -> bool:
    """Return whether K can be a camera's: (3, 3), finite, focal lengths of FOCAL_PX, last row 0 0 1.

    >>> is_intrinsics(np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1]]))
    True
    >>> is_intrinsics(np.array([[500, 0, 0], [0, 500, 0], [320, 240, 1]]))  # transposed
    False
    """
    if K.shape != (3, 3) or not np.isfinite(K).all():
        return False
    focal = np.diag(K)[:2]
    return bool((focal >= FOCAL_PX[0]).all() and (focal <= FOCAL_PX[1]).all() and (K[2] == (0, 0, 1)).all())


def rays_of(uv_K2: NDArray[Any], K: NDArray[Any]) -> Floats:
    """Return (..., 21, 3) rays of (..., 21, 2) pixels through a camera (..., 3, 3), z = 1.

    Example:
        >>> rays_of(np.array([[60.0, 10.0]]), np.array([[100.0, 0, 10], [0, 100, 10], [0, 0, 1]])).tolist()
        [[0.5, 0.0, 1.0]]
    """
    uv = np.asarray(uv_K2, np.float64)
    one = np.concatenate([uv, np.ones((*uv.shape[:-1], 1))], axis=-1)
    return np.asarray(one @ np.swapaxes(np.linalg.inv(np.asarray(K, np.float64)), -1, -2))


def root_depth(rays: NDArray[Any], z: NDArray[Any], pair: tuple[int, int] = (WRIST, ROOT), length: float = 1.0) -> Any:
    """Return the depth of the middle MCP from the known length of one bone, in closed form.

    Args:
        rays: (..., 21, 3).
        z: (..., 21) depths relative to the middle MCP.
        pair: the two ends of the bone.
        length: of the bone.

    Returns:
        depth (...), NaN where there is none; trusted (...) bool: not where noise left no root, or the bone is seen end
        on. Of two possible roots the one is taken that suits the palm's other lengths better.
    """
    rays, z = np.asarray(rays, np.float64), np.asarray(z, np.float64)
    d, q = _bone(rays, z, pair)
    a, h = (d * d).sum(-1), (d * q).sum(-1)
    c = (q * q).sum(-1) - length**2
    D = h * h - a * c
    root = np.sqrt(np.maximum(D, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        far, near = (-h + root) / a, (-h - root) / a
        two = (c >= 0) & (h < 0) & (D >= 0)
        depth = np.where(two & (_misfit(rays, z, near) < _misfit(rays, z, far)), near, far)
        depth = np.where(D < 0, -h / a, depth)
        depth = np.where(depth > 0, depth, np.nan)
        sine = np.sqrt(a) * depth / length
    return depth, (D >= 0) & (sine >= END_ON) & np.isfinite(depth)


def lift_closed(rays: NDArray[Any], z: NDArray[Any]) -> Lifted:
    """Lift 2.5D by the bone from wrist to middle MCP alone: `root_depth`."""
    depth, trusted = root_depth(rays, z)
    return Lifted(_at(rays, z, depth), np.full(np.shape(depth), np.nan), trusted)


def lift_palm(
    rays: NDArray[Any], z: NDArray[Any], *, sd_ray: float | NDArray[Any] = 0.005, sd_z: float = 0.05
) -> Lifted:
    """Lift 2.5D by the ten lengths between the palm's points: robust to noise, and to one bone seen end on.

    Args:
        rays: (..., 21, 3).
        z: (..., 21) depths relative to the middle MCP.
        sd_ray: standard deviation of a ray's x and y, of the pixels over the focal length; one, or (...) each hand's.
        sd_z: of `z`.
    """
    rays, z = np.asarray(rays, np.float64), np.asarray(z, np.float64)
    bones = [_bone(rays, z, pair) for pair in PAIRS]
    d, q = (np.stack(parts, -2) for parts in zip(*bones, strict=True))  # (..., N, 3)
    log = np.log(_start(rays, z, d))
    of_ray = np.asarray(sd_ray, np.float64)[..., None]
    slope = spread = np.ones(d.shape[:-1])
    for _ in range(STEPS):
        depth = np.exp(log)[..., None]
        v = d * depth[..., None] + q
        norm = np.maximum(np.linalg.norm(v, axis=-1), 1e-9)
        along = (v[..., 2] / norm) ** 2
        spread = np.sqrt(SPREADS**2 + 2 * sd_z**2 * along + 2 * (depth * of_ray) ** 2 * (1 - along))
        off = (norm - LENGTHS) / spread
        weight = np.minimum(1.0, HUBER / np.maximum(np.abs(off), 1e-12))
        slope = depth * (v * d).sum(-1) / norm / spread
        step = -(weight * slope * off).sum(-1) / np.maximum((weight * slope**2).sum(-1), 1e-12)
        log = log + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
    depth = np.exp(log)
    depth_sd = 1 / np.sqrt(np.maximum((slope**2).sum(-1), 1e-12))  # of ln depth, at the last but one step
    return Lifted(_at(rays, z, depth), depth_sd, np.isfinite(depth) & (depth_sd < 1))


def lift_pose(
    rays: NDArray[Any],
    pose: NDArray[Any],
    weight: NDArray[Any] | None = None,
    *,
    robust: bool = False,
) -> Lifted:
    """Place a normalised pose so that it projects onto its 2D keypoints: weighted least squares.

    Args:
        rays: (..., 21, 3) of the 2D keypoints.
        pose: (..., 21, 3) normalised, in the camera's axes.
        weight: (..., 21) confidence; 0 leaves a keypoint out. None: all alike.
        robust: weigh keypoints down that lie far off, over more passes.
    """
    rays, pose = np.asarray(rays, np.float64), np.asarray(pose, np.float64)
    given = np.ones(pose.shape[:-1]) if weight is None else np.asarray(weight, np.float64)
    given = np.where(np.isfinite(rays).all(-1) & np.isfinite(pose).all(-1), given, 0.0)
    rays, pose = np.where(given[..., None] > 0, rays, 0.0), np.where(given[..., None] > 0, pose, 0.0)
    enough = (given > 0).sum(-1) >= FEWEST
    enough &= _lie_apart(rays, given)
    normal, shift, w = np.broadcast_to(np.eye(3), (*enough.shape, 3, 3)), np.zeros((*enough.shape, 3)), given
    for _ in range(ROBUST_PASSES if robust else PASSES):
        normal, shift = _normal_equations(rays, pose, w, enough)
        depth = np.maximum(pose[..., 2] + shift[..., 2:], 1e-3)
        w = given / depth**2
        if robust:
            off = np.linalg.norm(_projected(pose, shift) - rays[..., :2], axis=-1)
            counts = (given > 0) | ~enough[..., None]  # a hand with too little is refused below
            middle = np.nanmedian(np.where(counts, off, np.nan), axis=-1, keepdims=True)
            w = w * np.minimum(1.0, 2 * middle / np.maximum(off, 1e-12))
    xyz = pose + shift[..., None, :]
    deep = np.where(given > 0, xyz[..., 2], np.inf).min(-1)
    trusted = enough & (deep >= NEAREST)
    off = np.where(given[..., None] > 0, _projected(pose, shift) - rays[..., :2], 0.0)
    freedom = np.maximum(2 * (given > 0).sum(-1) - 3, 1)
    variance = (w[..., None] * (off * np.maximum(xyz[..., 2:], 1e-3)) ** 2).sum((-1, -2)) / freedom
    spread = np.sqrt(np.maximum(variance * np.linalg.inv(normal)[..., 2, 2], 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_sd = spread / shift[..., 2]
    xyz = np.where(trusted[..., None, None], xyz, np.nan)
    return Lifted(xyz, np.where(trusted, depth_sd, np.nan), trusted)


def size_of_person(bones: NDArray[Any], known: NDArray[Any], known_sd: NDArray[Any], prior: Size = ADULT) -> Size:
    """Return a person's hand size from measured bones and the prior: the least-squares mean.

    Args:
        bones: (N,) normalised lengths as predicted.
        known: (N,) lengths of the same bones, mm, measured on the person.
        known_sd: (N,) their standard deviations, mm.
        prior: of the size.
    """
    L, mu, sd = (np.asarray(values, np.float64) for values in (bones, known, known_sd))
    precision = 1 / prior.sd_mm**2 + (L**2 / sd**2).sum()
    mean = (prior.mm / prior.sd_mm**2 + (L * mu / sd**2).sum()) / precision
    return Size(float(mean), float(precision**-0.5), f"the person's bones ({len(mu)}) and {prior.source}")


def _bone(rays: Floats, z: Floats, pair: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return d and q (..., 3): the bone at root depth t is d t + q."""
    i, j = pair
    return rays[..., i, :] - rays[..., j, :], z[..., i, None] * rays[..., i, :] - z[..., j, None] * rays[..., j, :]


def _misfit(rays: Floats, z: Floats, depth: Floats) -> Floats:
    """Return how far the palm's other lengths are off at a depth, squared and relative."""
    total = np.zeros(np.shape(depth))
    for number in CHECKS:
        d, q = _bone(rays, z, PAIRS[number])
        total = total + (np.linalg.norm(d * depth[..., None] + q, axis=-1) / LENGTHS[number] - 1) ** 2
    return total


def _start(rays: Floats, z: Floats, d: Floats) -> Floats:
    """Return a first depth: the median of the bones' own closed forms, weighted by how long each looks."""
    found = [root_depth(rays, z, pair, length)[0] for pair, length in zip(PAIRS, LENGTHS, strict=True)]
    depths = np.stack(found, -1)
    weights = np.where(np.isfinite(depths), np.linalg.norm(d, axis=-1), 0.0)
    order = np.argsort(np.where(np.isfinite(depths), depths, np.inf), axis=-1)
    summed = np.cumsum(np.take_along_axis(weights, order, -1), axis=-1)
    middle = (summed >= summed[..., -1:] / 2).argmax(-1)[..., None]
    start = np.take_along_axis(np.take_along_axis(depths, order, -1), middle, -1)[..., 0]
    return np.where(np.isfinite(start), start, 5.0)  # no bone has a root: about an arm's length


def _at(rays: NDArray[Any], z: NDArray[Any], depth: Floats) -> Floats:
    return np.asarray((np.asarray(z) + depth[..., None])[..., None] * np.asarray(rays), np.float64)


def _projected(pose: Floats, shift: Floats) -> Floats:
    xyz = pose + shift[..., None, :]
    return np.asarray(xyz[..., :2] / np.maximum(xyz[..., 2:], 1e-3))


def _lie_apart(rays: Floats, given: Floats) -> NDArray[np.bool_]:
    """Return whether the rays that count, (..., 21, 3), differ at all: those of one place say nothing of a depth."""
    counts = (given > 0)[..., None]
    low = np.where(counts, rays[..., :2], np.inf).min(-2)
    high = np.where(counts, rays[..., :2], -np.inf).max(-2)
    return np.asarray((high - low).max(-1) > SAME_RAY)


def _normal_equations(rays: Floats, pose: Floats, w: Floats, enough: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the (..., 3, 3) normal matrix and the (..., 3) shift of the pose."""
    rows = np.zeros((*pose.shape[:-1], 2, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., :, 2] = -rays[..., :2]
    right = rays[..., :2] * pose[..., 2:] - pose[..., :2]
    normal = np.einsum("...k,...kij,...kil->...jl", w, rows, rows)
    normal = np.where(enough[..., None, None], normal, np.eye(3))
    vector = np.einsum("...k,...kij,...ki->...j", w, rows, right)
    return normal, np.linalg.solve(normal, vector[..., None])[..., 0]
