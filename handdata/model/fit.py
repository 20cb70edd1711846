"""Kinematic fit: the pose that a hand can take and that suits the 2D and 3D which a network answered best.

Shape letters: B hands, K the 21 keypoints, X the 49 unknowns: 22 angles, rotation, translation, ln size, 20 ln factors
of the bones.

Least squares of: projection against 2D and pose against 3D in units of the network's own errors, angles beyond their
limits, couplings of a hand's joints, the size and the bones against what is known of people. Levenberg-Marquardt from
four key poses, all hands at once; in a video from the picture before, with second differences as further squares. The
fit mends the pose; the depth it gives is better than `absolute.lift_pose`'s only for a person whose bones are known, so
a hand is placed by that with the fitted pose. Where there is no 3D the 2D is fitted alone: from each key pose as it
projects best, and from the same with near and far exchanged.

Source:
    Mueller et al., Real-time Hand Tracking under Occlusion from an Egocentric RGB-D Sensor, ICCV 2017, and GANerated
    Hands, CVPR 2018, for the energies; the standard deviations are ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handdata.evaluation.absolute import Size, lift_pose, rays_of
from handdata.geometry import normalize_pose
from handdata.model.kinematics import ABD, CUP, DIP, HIGH, LOW, NUM_ANGLES, PIP, RestHand, posed, rest_hand
from handdata.shards.hand import Hand
from handdata.skeleton import BONES, ROOT, WRIST

Floats = NDArray[np.float64]

LEAST_2D, LEAST_3D = 0.002, 0.01  # standard deviations below which a network is not believed: crop sides, units
SD_2D, SD_3D = 0.02, 0.10  # of networks after a short training
SD_LIMIT, SD_DIP, SD_ABD, SD_CUP = 5.0, 15.0, 15.0, 8.0  # degrees
DIP_OF_PIP = 0.62
SD_METACARPAL, SD_PHALANX = 0.03, 0.10  # of ln factors
LEAST_SIZE = 0.001  # of ln size
SD_ANGLE_STEP, SD_STEP_MM = 4.0, 8.0  # of second differences at 30 pictures per second: degrees, mm
TRIAL_STEPS, STEPS, VIDEO_STEPS = 4, 24, 8
LAMBDA, LOWER, RAISE = 1e-3, 3.0, 4.0
NUDGE, DEGREES = 1e-6, 100.0  # of an unknown, for its derivative; of one in degrees, so many times that
MOST = 32  # hands at once
# Starts: relaxed, loose fist, point and flat of docs/method.md 13; degrees, in the order of `kinematics`.
STARTS = (
    (18, 24, 28, 32, 25, 28, 30, 30, 15, 16.8, 18, 18, 0, 0, 0, 0, 0, 0, 0, 5, 10, 15),
    (57, 60, 62, 62, 84, 80, 81, 74, 47, 46, 48, 45, 0, 0, 0, 0, 4, 7, 9, 9, 25, 33),
    (4, 73, 79, 80, 6, 92, 92, 88, 4, 53, 55, 52, 0, 0, 0, 0, 4, 7, 21, 24, 34, 42),
    (0, 0, 0, 0, 3, 3, 3, 3, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 5, 10, 15),
)
_PALM = [0, 5, 9, 13, 17]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hands as a hand can be.

    Attributes:
        pose: (B, 21, 3) normalised, camera axes; NaN where nothing could be fitted.
        xyz_mm: (B, 21, 3) as fitted with its own depth.
        angles: (B, 22) degrees.
        factors: (B, 20) of bones, against the mean hand.
        energy: (B) sum of squares.
        unknowns: (B, 49), for the `FitsBefore` of the next picture.
    """

    pose: Floats
    xyz_mm: Floats
    angles: Floats
    factors: Floats
    energy: Floats
    unknowns: Floats


@dataclass(frozen=True, slots=True)
class FitsBefore:
    """What was fitted to the pictures before.

    Attributes:
        last: (B, 49) unknowns of the picture before.
        before: (B, 49) of the one before that; the same as `last` where there is none.
        pace: time between pictures, in 1/30 s.
    """

    last: Floats
    before: Floats
    pace: float = 1.0


def fit(
    rays: NDArray[Any],
    pose: NDArray[Any] | None,
    px: NDArray[Any],
    size: Size,
    *,
    right: NDArray[np.bool_],
    sd_2d: float = 0.01,
    sd_3d: float = 0.05,
    person: NDArray[Any] | None = None,
    skeleton: RestHand | None = None,
    path: FitsBefore | None = None,
    coupled: bool = True,
) -> Fitted:
    """Fit hands to 2D and normalised 3D, or to 2D alone.

    Args:
        rays: (B, 21, 3) of the 2D keypoints, z = 1.
        pose: (B, 21, 3) normalised, camera axes; None fits the 2D alone.
        px: (B) how far one crop side reaches in x / z: its pixels over the focal length.
        size: what is assumed of wrist to middle MCP.
        right: (B) bool, a right hand.
        sd_2d: standard deviation of the 2D, crop sides.
        sd_3d: of the pose's coordinates.
        person: (20,) factors of the bones of a known person, which are then held.
        skeleton: of that person, or None for the mean hand.
        path: of the same hands in the pictures before.
        coupled: what is known of how joints move together pulls too. False for labels without noise, which it would
            move by some hundredths of a millimetre.
    """
    rays = np.asarray(rays, np.float64)
    sds = _Sds(sd_2d, math.inf if pose is None else sd_3d, coupled)
    pose = np.zeros_like(rays) if pose is None else np.asarray(pose, np.float64)
    hand = rest_hand() if skeleton is None else skeleton
    parts = [
        _fit_some(rays[part], pose[part], np.asarray(px)[part], size, right[part], sds, person, hand, _cut(path, part))
        for part in (slice(i, i + MOST) for i in range(0, len(rays), MOST))
    ]
    if not parts:
        angles, factors, unknowns = (np.zeros((0, count)) for count in (NUM_ANGLES, len(BONES), 49))
        return Fitted(pose, pose, angles, factors, np.zeros(0), unknowns)
    return Fitted(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _cut(path: FitsBefore | None, part: slice) -> FitsBefore | None:
    return None if path is None else replace(path, last=path.last[part], before=path.before[part])


def fit_pictures(
    uv: NDArray[Any], pose: NDArray[Any], K: NDArray[Any], crop_xyxy: NDArray[Any], right: NDArray[np.bool_], size: Size
) -> Floats:
    """Return (B, 21, 3) poses fitted to what was found in pictures; as they were where no camera is known.

    Where a hand has no 3D, as one that somebody labelled in 2D, its 2D is fitted alone.

    Args:
        uv: (B, 21, 2) px.
        pose: (B, 21, 3) normalised, camera axes.
        K: (B, 3, 3) intrinsics; NaN where not known.
        crop_xyxy: (B, 4) square that the network saw, px.
        right: (B) bool.
        size: what is assumed of wrist to middle MCP.
    """
    K = np.asarray(K, np.float64)
    known = np.isfinite(K).all((-1, -2))
    rays = rays_of(uv, np.where(known[:, None, None], K, np.eye(3)))
    px = np.where(known, (crop_xyxy[:, 2] - crop_xyxy[:, 0]) / K[:, 0, 0], np.nan)
    found = np.array(pose, np.float64)
    flat = np.isnan(found).all((-1, -2))
    for some, deep in ((flat, None), (~flat, found)):
        if some.any():
            given = None if deep is None else deep[some]
            fitted = fit(rays[some], given, px[some], size, right=right[some], sd_2d=SD_2D, sd_3d=SD_3D).pose
            found[some] = np.where(np.isfinite(fitted).all((-1, -2), keepdims=True), fitted, found[some])
    return found


def fit_hands(hands: Sequence[Hand], size: Size) -> list[Hand]:
    """Return found hands with the pose that a hand can take: `fit_pictures` of their 2D, pose, K and square."""
    if not hands:
        return []
    poses = fit_pictures(
        np.stack([hand.keypoints_2d for hand in hands]),
        np.stack([hand.keypoints_3d_normalized for hand in hands]),
        np.stack([hand.K for hand in hands]),
        np.stack([hand.crop_box for hand in hands]),
        np.array([hand.side == "right" for hand in hands]),
        size,
    )
    return [replace(hand, keypoints_3d_normalized=pose) for hand, pose in zip(hands, poses, strict=True)]


def _fit_some(
    rays: Floats, pose: Floats, px: Floats, size: Size, right: NDArray[np.bool_], sds: "_Sds",
    person: Floats | None, hand: RestHand, path: FitsBefore | None,
) -> tuple[Floats, ...]:  # fmt: skip
    good = np.isfinite(rays).all((-1, -2)) & np.isfinite(pose).all((-1, -2)) & np.isfinite(px)
    flat = math.isinf(sds.pose)
    if path is not None:
        good &= np.isfinite(path.last).all(-1) & np.isfinite(path.before).all(-1)
    elif not flat:
        lifted = lift_pose(rays[good], pose[good], robust=True)
        good[good] = lifted.trusted
    shapes = ((21, 3), (21, 3), (NUM_ANGLES,), (len(BONES),), (), (49,))
    result = [np.full((len(pose), *shape), np.nan) for shape in shapes]
    count = int(good.sum())
    if not count:
        return tuple(result)
    side = np.where(right[good], 1.0, -1.0)
    factor = np.zeros(len(BONES)) if person is None else np.log(person)
    data = [torch.from_numpy(np.ascontiguousarray(part)) for part in
            (rays[good][..., :2], pose[good], px[good] * max(sds.flat, LEAST_2D), side)]  # fmt: skip
    pace = 1.0 if path is None else path.pace
    prior = _Prior(hand, size, max(sds.pose, LEAST_3D), torch.from_numpy(factor), known=person is not None, pace=pace,
                   coupled=sds.coupled)  # fmt: skip
    if path is not None:
        data.append(torch.from_numpy(np.stack([path.last[good], path.before[good]], 1)))
        x, energy = _descend(data[-1][:, 0].clone(), data, prior, VIDEO_STEPS)
    else:
        begin = (
            _begin_flat(hand, rays[good], side) if flat else _begin(hand, lifted.xyz[lifted.trusted], pose[good], side)
        )
        begin[..., -len(BONES) :] = factor
        x, energy = _best_start(begin, data, prior)
    points = _points(hand, size, x, data[3]).numpy()
    found = (normalize_pose(points)[0], points, x[:, :NUM_ANGLES].numpy(), x[:, -len(BONES) :].exp().numpy())
    for array, values in zip(result, (*found, energy.numpy(), x.numpy()), strict=True):
        array[good] = values
    return tuple(result)


def _best_start(begin: Floats, data: list[Tensor], prior: "_Prior") -> tuple[Tensor, Tensor]:
    """Take a few steps from each of (S, B, 49) starts and go on from the best of every hand."""
    starts, count = begin.shape[:2]
    x = torch.from_numpy(begin.reshape(starts * count, -1))
    x, energy = _descend(x, [part.repeat(starts, *[1] * (part.ndim - 1)) for part in data], prior, TRIAL_STEPS)
    best = energy.view(starts, count).argmin(0)
    return _descend(x.view(starts, count, -1)[best, torch.arange(count)], data, prior, STEPS)


class _Sds(NamedTuple):
    """How far what was found is off, crop sides and units, and whether joints are coupled."""

    flat: float
    pose: float
    coupled: bool


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is the same for all hands of a fit."""

    hand: RestHand
    size: Size
    sd_3d: float
    ln_factors: Tensor
    known: bool
    pace: float = 1.0
    coupled: bool = True

    def residuals(
        self, x: Tensor, ray_K2: Tensor, pose_K3: Tensor, sd_ray: Tensor, mirror: Tensor, *path: Tensor
    ) -> Tensor:
        """Return what is squared and summed, (..., R), of unknowns (..., 49).

        The leading sizes of what is measured spread over those of the unknowns; `path` has the (..., 2, 49) unknowns of
        the pictures before.
        """
        points, angles = _points(self.hand, self.size, x, mirror), x[..., :NUM_ANGLES]
        flat = (points[..., :2] / points[..., 2:].clamp(min=1.0) - ray_K2) / sd_ray[..., None, None]
        about = points - points[..., ROOT : ROOT + 1, :]
        unit = torch.linalg.vector_norm(about[..., WRIST : WRIST + 1, :], dim=-1, keepdim=True)
        deep = (about / unit - pose_K3) / self.sd_3d
        low, high = torch.from_numpy(LOW), torch.from_numpy(HIGH)
        excess = ((angles - high).clamp(min=0.0) + (low - angles).clamp(min=0.0)) / SD_LIMIT
        sd_size = max(self.size.sd_mm / self.size.mm, LEAST_SIZE)
        sds = torch.tensor([SD_METACARPAL if start == WRIST else SD_PHALANX for start, _ in BONES])
        bones = (x[..., -len(BONES) :] - self.ln_factors) / (sds * (0.01 if self.known else 1.0))
        dip = angles[..., DIP] - DIP_OF_PIP * angles[..., PIP]
        couplings = (dip / SD_DIP, angles[..., ABD] / SD_ABD, angles[..., CUP] / SD_CUP) if self.coupled else ()
        motion = [self._motion(x, *one.unbind(-2)) for one in path]
        size = x[..., 28:29] / sd_size
        return torch.cat([flat.flatten(-2), deep.flatten(-2), excess, *couplings, size, bones, *motion], -1)

    def _motion(self, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
        """Return second differences of angles and place over what they may be."""
        second = (x - 2 * last + before) / self.pace**2
        place = second[..., 25:28] * (self.size.mm / SD_STEP_MM)
        return torch.cat([second[..., :NUM_ANGLES] / SD_ANGLE_STEP, place], -1)


def _points(hand: RestHand, size: Size, x: Tensor, mirror: Tensor) -> Tensor:
    """Return the (..., 21, 3) keypoints, mm, camera axes, of (..., 49) unknowns; `mirror` is -1 for a left hand."""
    points = posed(hand, x[..., :NUM_ANGLES], x[..., -len(BONES) :].exp())
    points = points - points[..., ROOT : ROOT + 1, :]
    unit = torch.linalg.vector_norm(points[..., WRIST : WRIST + 1, :], dim=-1, keepdim=True)
    points = points / unit * (size.mm * x[..., 28, None, None].exp())
    one = torch.ones_like(mirror)
    points = points * torch.stack([one, mirror, one], -1)[..., None, :]
    there: Tensor = points @ _rotation(x[..., 22:25]).mT + x[..., None, 25:28] * size.mm
    return there


def _rotation(vector: Tensor) -> Tensor:
    """Return the (..., 3, 3) rotations of rotation vectors."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(*vector.shape[:-1], 3, 3)
    square = (vector * vector).sum(-1)[..., None, None] + 1e-18
    angle = torch.sqrt(square)
    turn: Tensor = torch.eye(3, dtype=vector.dtype)
    return turn + torch.sin(angle) / angle * cross + (1 - torch.cos(angle)) / square * (cross @ cross)


def _begin(hand: RestHand, points: Floats, pose: Floats, side: Floats) -> Floats:
    """Return (S, B, 49) first guesses: key poses turned onto the palm."""
    result = np.zeros((len(STARTS), len(pose), 49))
    for number, angles in enumerate(STARTS):
        given = torch.tensor(angles, dtype=torch.float64)
        model = posed(hand, given, torch.ones(len(BONES), dtype=torch.float64)).numpy()
        model = (model - model[ROOT]) / np.linalg.norm(model[WRIST] - model[ROOT])
        for row in range(len(pose)):
            turn = _kabsch(model[_PALM] * [1.0, side[row], 1.0], pose[row, _PALM])
            result[number, row, 22:25] = _vector(turn)
            result[number, row, 25:28] = points[row, ROOT]
        result[number, :, :NUM_ANGLES] = angles
    return result


def _begin_flat(hand: RestHand, rays: Floats, side: Floats) -> Floats:
    """Return (S, B, 49) first guesses from 2D alone: each key pose as it projects best, and its other way round.

    A picture hardly shows which end of a palm is nearer: the other guess exchanges near and far.
    """
    result = np.zeros((2 * len(STARTS), len(rays), 49))
    for number, angles in enumerate(STARTS):
        given = torch.tensor(angles, dtype=torch.float64)
        model = posed(hand, given, torch.ones(len(BONES), dtype=torch.float64)).numpy()
        model = (model - model[ROOT]) / np.linalg.norm(model[WRIST] - model[ROOT])
        for row, seen in enumerate(rays):
            points = np.ascontiguousarray(model * [1.0, side[row], 1.0])
            _, vector, shift = cv2.solvePnP(points, seen[:, :2].copy(), np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
            turn = cv2.Rodrigues(vector)[0]
            normal = np.linalg.svd(points[_PALM] - points[_PALM].mean(0))[2][2]
            other = np.diag([1.0, 1.0, -1.0]) @ turn @ (np.eye(3) - 2 * np.outer(normal, normal))
            for way, rotation in enumerate((turn, other)):
                result[2 * number + way, row, 22:25] = _vector(rotation)
                result[2 * number + way, row, 25:28] = shift[:, 0]
        result[2 * number : 2 * number + 2, :, :NUM_ANGLES] = angles
    return result


def _kabsch(source: Floats, target: Floats) -> Floats:
    """Return the rotation that takes source best to target, both (N, 3), each about its own mean."""
    U, _, Vt = np.linalg.svd((source - source.mean(0)).T @ (target - target.mean(0)))
    sign = np.sign(np.linalg.det(U @ Vt))
    return np.asarray((U * [1.0, 1.0, sign] @ Vt).T)


def _vector(turn: Floats) -> Floats:
    """Return the rotation vector of a rotation."""
    angle = math.acos(min(1.0, max(-1.0, (float(np.trace(turn)) - 1) / 2)))
    values, vectors = np.linalg.eig(turn)
    axis = vectors[:, np.abs(values - 1).argmin()].real
    odd = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return np.asarray(axis * angle * (-1.0 if odd @ axis < 0 else 1.0))


def _descend(x: Tensor, data: list[Tensor], prior: _Prior, steps: int) -> tuple[Tensor, Tensor]:
    """Take Levenberg-Marquardt steps; return the unknowns and the sums of squares."""
    damping = torch.full(x.shape[:1], LAMBDA, dtype=x.dtype)
    r, J = _slopes(x, data, prior)
    energy = r.square().sum(-1)
    for _ in range(steps):
        normal, gradient = J.mT @ J, (J.mT @ r[..., None])
        diagonal = normal.diagonal(dim1=-2, dim2=-1)
        step = torch.linalg.solve(normal + torch.diag_embed(damping[:, None] * diagonal + 1e-9), gradient)[..., 0]
        trial = x - step
        found, slopes = _slopes(trial, data, prior)
        reached = found.square().sum(-1)
        better = reached < energy
        x, energy = torch.where(better[:, None], trial, x), torch.where(better, reached, energy)
        r, J = torch.where(better[:, None], found, r), torch.where(better[:, None, None], slopes, J)
        damping = torch.where(better, damping / LOWER, damping * RAISE)
    return x, energy


def _slopes(x: Tensor, data: list[Tensor], prior: _Prior) -> tuple[Tensor, Tensor]:
    """Return the (B, R) residuals and their (B, R, 49) derivatives, by differences over steps of `NUDGE`.

    One call for all of them: forward differentiation of one hand, whose cost is its calls, takes twenty times as long.
    """
    nudges = torch.full_like(x, NUDGE)
    middle = torch.from_numpy(LOW + HIGH) / 2  # at a limit the way out counts, where it pulls
    nudges[:, :NUM_ANGLES] *= torch.where(x[:, :NUM_ANGLES] < middle, -DEGREES, DEGREES)
    around = x[:, None] + torch.cat([torch.zeros_like(x)[:, None], torch.diag_embed(nudges)], 1)
    values = prior.residuals(around, *(part[:, None] for part in data))
    return values[:, 0], ((values[:, 1:] - values[:, :1]) / nudges[..., None]).mT
