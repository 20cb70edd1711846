"""The places of a hand's points over some frames that agree best with everything that is known of them. Pure.

Unknown are (F, 21, 3) points, camera mm. What is known is said by `Known`, each with the deviation that counts as one:
bone lengths, places in the picture, depths, what lies behind a surface, which end of a bone is nearer, where points
ought to be, and that they move little from frame to frame. Gauss-Newton with damping; the frames of a sequence hang
together only with their neighbours, so the equations are solved block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.bone_lengths import BARS, ENDS, STARTS
from handdata.skeleton import BONES, NUM_KEYPOINTS

Floats = NDArray[np.float64]
N = 3 * NUM_KEYPOINTS

BONE_MM, DEPTH_MM = 3.0, 6.0
NEARER_MM, NEARER_SD_MM = 5.0, 3.0  # how much nearer the nearer end of a bone is, at least
STEPS = 12
DAMPING = 1e-3
BY_FRAME = ("uv", "uv_sd", "depth", "behind", "nearer", "xyz", "xyz_sd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the points of F frames; NaN and 0 where nothing is.

    Attributes:
        K: (3, 3) of the camera.
        bones: (27,) mm, the bars of bone_lengths.py.
        bone_weight: (27, 27) how surely the bones are as long as that: the inverse covariance of what they are off by,
            1 / mm^2; None: they are, and do not change.
        uv: (F, 21, 2) px.
        uv_sd: (F, 21) px.
        depth: (F, 21) mm of the point, behind the surface by the flesh over it.
        behind: (F, 21) mm that the point does not lie before: it is hidden by a surface.
        nearer: (F, 20) 1 where the start of a bone is the nearer end, -1 where its end is.
        xyz: (F, 21, 3) mm where points ought to be.
        xyz_sd: (F, 21) mm.
        moves: (F - 1, 21, 3) mm that points move from each frame to the next; None: they do not follow one another.
        moves_sd: (F - 1, 21) mm that they move otherwise.
    """

    K: Floats
    bones: Floats
    uv: Floats
    uv_sd: Floats
    depth: Floats
    behind: Floats
    nearer: NDArray[np.int64]
    xyz: Floats
    xyz_sd: Floats
    moves: Floats | None = None
    moves_sd: Floats | None = None
    bone_weight: Floats | None = None


def no_guess(frames: int) -> tuple[Floats, Floats]:
    """Return `xyz` and `xyz_sd` of frames of which nobody says where points ought to be."""
    return np.full((frames, NUM_KEYPOINTS, 3), np.nan), np.ones((frames, NUM_KEYPOINTS))


def in_a_row(frames: Sequence[Known], moves: Floats, moves_sd: Floats) -> Known:
    """Return what is known of frames that follow one another; they have their camera and bones in common."""
    parts = {name: np.concatenate([getattr(one, name) for one in frames]) for name in BY_FRAME}
    return replace(frames[0], **parts, moves=moves, moves_sd=moves_sd)


class _Equations:
    """The normal equations of a step: (F, 63, 63) and (F, 63)."""

    def __init__(self, frames: int) -> None:
        self.matrix = np.zeros((frames, NUM_KEYPOINTS, 3, NUM_KEYPOINTS, 3))
        self.right = np.zeros((frames, NUM_KEYPOINTS, 3))
        self.cost = 0.0
        self.bone_off, self.bone_slope = np.zeros((frames, len(BARS))), np.zeros((frames, len(BARS), 3))

    def point(self, residual: Floats, slope: Floats, weight: Floats) -> None:
        """Add (F, 21) residuals of single points with their (F, 21, 3) slopes; weight 0 leaves one out."""
        self.cost += float((weight * residual**2).sum())
        ks = np.arange(NUM_KEYPOINTS)
        squares = weight[..., None, None] * slope[..., :, None] * slope[..., None, :]
        self.matrix[:, ks, :, ks, :] += squares.transpose(1, 0, 2, 3)
        self.right -= (weight * residual)[..., None] * slope

    def bone(self, residual: Floats, slope: Floats, weight: Floats) -> None:
        """Add (F, 27) residuals of bars; (F, 27, 3) is the slope of its end, that of its start is the negative."""
        self.cost += float((weight * residual**2).sum())
        squares = (weight[..., None, None] * slope[..., :, None] * slope[..., None, :]).transpose(1, 0, 2, 3)
        pull = (weight * residual)[..., None] * slope
        for b, (start, end) in enumerate(BARS):
            self.matrix[:, end, :, end, :] += squares[b]
            self.matrix[:, start, :, start, :] += squares[b]
            self.matrix[:, start, :, end, :] -= squares[b]
            self.matrix[:, end, :, start, :] -= squares[b]
            self.right[:, end] -= pull[:, b]
            self.right[:, start] += pull[:, b]


def minimise(start: Floats, known: Known, steps: int = STEPS) -> tuple[Floats, Floats]:
    """Return the (F, 21, 3) mm points that agree best, beginning at `start`, and the (27,) bones."""
    points, bones, damping = start.copy(), known.bones.copy(), DAMPING
    equations = _equations(points, bones, known)
    for _ in range(steps):
        step, longer = _solved(equations, points, bones, known, damping)
        after = _equations(points + step, bones + longer, known)
        if after.cost <= equations.cost:
            done = equations.cost - after.cost < 1e-6 * equations.cost
            points, bones, equations, damping = points + step, bones + longer, after, damping / 3
            if done:
                break
        else:
            damping *= 8
    return points, bones


def _soft(residual: Floats) -> Floats:
    """Return the weights that make squares grow like |r| where they are large."""
    return np.asarray(1.0 / np.sqrt(1.0 + residual**2), np.float64)


def _equations(points: Floats, bones: Floats, known: Known) -> _Equations:
    equations = _Equations(len(points))
    _add_bones(equations, points, bones, known)
    _add_places(equations, points, known)
    _add_depths(equations, points, known)
    _add_guesses(equations, points, known)
    if known.bone_weight is not None:
        equations.cost += float((bones - known.bones) @ known.bone_weight @ (bones - known.bones))
    if known.moves is not None:
        equations.cost += float((_links(known) * (points[1:] - points[:-1] - known.moves) ** 2).sum())
    return equations


def _add_bones(equations: _Equations, points: Floats, bones: Floats, known: Known) -> None:
    between = points[:, ENDS] - points[:, STARTS]
    length = np.maximum(np.linalg.norm(between, axis=-1), 1e-6)
    off, slope = (length - bones) / BONE_MM, between / length[..., None] / BONE_MM
    equations.bone(off, slope, np.ones_like(off))
    equations.bone_off, equations.bone_slope = off, slope
    nearer = np.zeros(off.shape)
    nearer[:, : len(BONES)] = known.nearer
    short = NEARER_MM - nearer * between[..., 2]
    wrong = (nearer != 0) & (short > 0)
    slope = np.zeros((*short.shape, 3))
    slope[..., 2] = -nearer / NEARER_SD_MM
    equations.bone(np.where(wrong, short, 0.0) / NEARER_SD_MM, slope, wrong.astype(float))


def _add_places(equations: _Equations, points: Floats, known: Known) -> None:
    there = np.isfinite(known.uv).all(axis=-1) & np.isfinite(known.uv_sd)
    sd = np.where(there, known.uv_sd, 1.0)
    z = np.maximum(points[..., 2], 1.0)
    for axis in range(2):
        focal, middle = known.K[axis, axis], known.K[axis, 2]
        off = np.where(there, focal * points[..., axis] / z + middle - known.uv[..., axis], 0.0) / sd
        slope = np.zeros((*off.shape, 3))
        slope[..., axis] = focal / z / sd
        slope[..., 2] = -focal * points[..., axis] / z**2 / sd
        equations.point(off, slope, there * _soft(off))


def _add_depths(equations: _Equations, points: Floats, known: Known) -> None:
    z, slope = points[..., 2], np.zeros((*points.shape[:2], 3))
    slope[..., 2] = 1 / DEPTH_MM
    there = np.isfinite(known.depth)
    off = np.where(there, z - known.depth, 0.0) / DEPTH_MM
    equations.point(off, slope, there * _soft(off))
    before = np.isfinite(known.behind) & (z < np.nan_to_num(known.behind, nan=-np.inf))
    off = np.where(before, z - known.behind, 0.0) / DEPTH_MM
    equations.point(off, slope, before * _soft(off))


def _add_guesses(equations: _Equations, points: Floats, known: Known) -> None:
    there = np.isfinite(known.xyz).all(axis=-1)
    sd = np.where(there, known.xyz_sd, 1.0)
    for axis in range(3):
        off = np.where(there, points[..., axis] - known.xyz[..., axis], 0.0) / sd
        equations.point(off, np.eye(3)[axis] / sd[..., None], there.astype(float))


def _links(known: Known) -> Floats:
    """Return how surely points move as is known, (F - 1, 21, 3) 1 / mm^2."""
    sd = np.ones((0, NUM_KEYPOINTS)) if known.moves_sd is None else known.moves_sd
    return np.repeat(1 / sd[..., None] ** 2, 3, axis=-1)


def _solved(
    equations: _Equations, points: Floats, bones: Floats, known: Known, damping: float
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the (F, 21, 3) step of the points, and the (27,) step of the bones."""
    frames, diagonal = len(points), range(N)
    matrix, right = equations.matrix.reshape(frames, N, N).copy(), equations.right.reshape(frames, N).copy()
    links = _links(known).reshape(-1, N)
    if known.moves is not None:
        pull = links * (points[1:] - points[:-1] - known.moves).reshape(-1, N)
        right[:-1] += pull
        right[1:] -= pull
        matrix[:-1, diagonal, diagonal] += links
        matrix[1:, diagonal, diagonal] += links
    matrix[:, diagonal, diagonal] = matrix[:, diagonal, diagonal] * (1 + damping) + 1e-6
    if known.bone_weight is not None:
        return _with_bones(matrix, right, equations, known.bone_weight @ (known.bones - bones), known.bone_weight)
    if known.moves is not None:
        return _in_blocks(matrix, right, links).reshape(points.shape), np.zeros(len(BARS))
    step = np.asarray(np.linalg.solve(matrix, right[..., None]), np.float64)
    return step.reshape(points.shape), np.zeros(len(BARS))


def _with_bones(
    matrix: Floats, right: Floats, equations: _Equations, pull: Floats, weight: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """Solve for frames that share their bones and nothing else."""
    frames, every = len(matrix), range(len(BARS))
    by_point = np.zeros((frames, NUM_KEYPOINTS, 3, len(BARS)))  # how each point's equations change with each bone
    by_point[:, ENDS, :, every] = -equations.bone_slope.transpose(1, 0, 2) / BONE_MM
    for b, start in enumerate(STARTS):
        by_point[:, start, :, b] += equations.bone_slope[:, b] / BONE_MM
    mixed = by_point.reshape(frames, N, len(BARS))
    freed = np.linalg.solve(matrix, np.concatenate([mixed, right[..., None]], axis=-1))
    through, alone = freed[..., :-1], freed[..., -1]
    own = weight + np.eye(len(BARS)) * frames / BONE_MM**2 - np.einsum("fnb,fnc->bc", mixed, through)
    towards = pull + equations.bone_off.sum(axis=0) / BONE_MM - np.einsum("fnb,fn->b", mixed, alone)
    longer = np.linalg.solve(own, towards)
    return (alone - through @ longer).reshape(frames, NUM_KEYPOINTS, 3), longer


def _in_blocks(matrix: Floats, right: Floats, links: Floats) -> Floats:
    """Solve equations in which frame i hangs together with frame i + 1 by -links[i], coordinate by coordinate.

    Args:
        matrix: (F, 63, 63) of the frames.
        right: (F, 63).
        links: (F - 1, 63).
    """
    frames = len(matrix)
    carried, reduced = np.zeros_like(matrix), np.zeros_like(right)
    for i in range(frames):
        block, value = matrix[i], right[i]
        if i:
            link = links[i - 1]
            block, value = block - link[:, None] * carried[i - 1] * link, value + link * reduced[i - 1]
        carried[i] = np.linalg.inv(block)
        reduced[i] = carried[i] @ value
    for i in range(frames - 2, -1, -1):
        reduced[i] += carried[i] @ (links[i] * reduced[i + 1])
    return reduced
