"""From the clicked frames to all others, each from the finished one it is most like, then all together. Pure.

Source:
    Oberweger et al., CVPR 2016, sections 3.3 and 3.4. Windows, deviations and the rigid guess for points that nobody
    sees are this package's (docs/depth.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.crops import FLOW_MM, FLOW_SIDE, DepthCrop, crop_about, depth_at
from handdata.annotate.depth.least_squares import Known, in_a_row, minimise
from handdata.annotate.depth.lift import FLESH_MM, GUESSED_PX, SEEN_PX, Clicks
from handdata.annotate.depth.patches import agreement, deviation, flow_between, follow
from handdata.geometry import backproject, project
from handdata.skeleton import BONES, NUM_KEYPOINTS

Floats = NDArray[np.float64]

RIGID_MM, RIGID_HIDDEN_MM = 25.0, 12.0  # how far points are off where the hand moves like a stone
LEAP_MM = 40.0  # no point goes so far with or against the hand between two frames that are alike
FLOW_OFF_MM, MOVE_MM = (
    3.0,
    8.0,
)  # how far points go otherwise than the flow and the surface say; than the hand as a whole
ON_SURFACE_MM = 20.0  # a point so far from its place behind the surface is hidden by it
ROUNDS = 2  # of looking for patches about where the sequence as a whole has put the points


@dataclass
class DepthSequence:
    """A sequence of depth pictures with what is known of the hand in them.

    Attributes:
        read: gives the depth picture of a frame, (H, W) mm, 0 where there is no surface.
        K: (3, 3) of the depth camera.
        centres: (F, 3) mm of the hand; NaN where there is none.
        apart: (F, F) distances between frames; NaN where there is no hand.
        bones: (27,) mm.
    """

    read: Callable[[int], NDArray[np.float64]]
    K: Floats
    centres: Floats
    apart: Floats
    bones: Floats
    crops: dict[int, DepthCrop] = field(default_factory=dict)

    def crop(self, frame: int) -> DepthCrop:
        """Return the crop of a frame that points are followed in."""
        if frame not in self.crops:
            self.crops[frame] = crop_about(self.read(frame), self.K, self.centres[frame], FLOW_MM, FLOW_SIDE)
        return self.crops[frame]


@dataclass
class CarriedHands:
    """The hands of the frames as far as they are known.

    Attributes:
        xyz: (F, 21, 3) mm; NaN where nothing is known yet.
        seen: (F, 21) bool: on a surface that the camera sees.
        root: (F,) the reference that a frame comes from, -1 without one.
    """

    xyz: Floats
    seen: NDArray[np.bool_]
    root: NDArray[np.int64]


def begin_hands(count: int, references: Mapping[int, tuple[Floats, NDArray[np.bool_]]]) -> CarriedHands:
    """Return the hands of a sequence of which only the references are known: frame -> (21, 3) mm, (21,) seen."""
    hands = CarriedHands(
        np.full((count, NUM_KEYPOINTS, 3), np.nan), np.zeros((count, NUM_KEYPOINTS), bool), np.full(count, -1)
    )
    for frame, (xyz, seen) in references.items():
        hands.xyz[frame], hands.seen[frame], hands.root[frame] = xyz, seen, frame
    return hands


def next_frame(sequence: DepthSequence, hands: CarriedHands) -> tuple[int, int] | None:
    """Return the open frame that is most like a finished one, and that one; None if no frame is open."""
    there = np.isfinite(np.diag(sequence.apart))
    done, todo = np.flatnonzero(hands.root >= 0), np.flatnonzero(there & (hands.root < 0))
    if not len(done) or not len(todo):
        return None
    among = sequence.apart[np.ix_(todo, done)]
    i, j = np.unravel_index(int(np.argmin(among)), among.shape)
    return int(todo[i]), int(done[j])


def propagate(sequence: DepthSequence, hands: CarriedHands, frame: int, source: int) -> None:
    """Place the points of a frame by those of a finished one; `hands` takes them."""
    depth, carried = sequence.read(frame), carry(sequence, hands.xyz[source], hands.seen[source], source, frame)
    hands.xyz[frame] = minimise(carried.xyz[None], _known(sequence, depth, carried))[0][0]
    hands.seen[frame] = hands.seen[source] & _on_surface(hands.xyz[frame], depth, sequence.K)
    hands.root[frame] = hands.root[source]


@dataclass(frozen=True, slots=True)
class Carried:
    """The points of one frame as another shows them.

    Attributes:
        uv: (21, 2) px where they went; NaN for those that are not seen.
        uv_sd: (21,) px; infinite where the patches do not agree.
        xyz: (21, 3) mm: with the surface they lie behind, else with the hand as a whole.
        told: (21,) bool: with the surface.
    """

    uv: Floats
    uv_sd: Floats
    xyz: Floats
    told: NDArray[np.bool_]


def carry(sequence: DepthSequence, xyz: Floats, seen: NDArray[np.bool_], source: int, frame: int) -> Carried:
    """Return where the flow of depth takes the points of one frame in another.

    Args:
        sequence: the pictures.
        xyz: (21, 3) mm at the source.
        seen: (21,) bool, those on a surface there.
        source: the frame they are known in.
        frame: the other one.
    """
    K, before, after = sequence.K, sequence.crop(source), sequence.crop(frame)
    now = project(xyz, K)
    at = before.inside(now)
    moved = follow(flow_between(before, after), at)
    uv = after.outside(moved)
    deeper = depth_at(sequence.read(frame), uv) - depth_at(sequence.read(source), now)
    told = seen & (np.abs(deeper - sequence.centres[frame, 2] + sequence.centres[source, 2]) < LEAP_MM)
    there = backproject(uv, xyz[:, 2] + deeper, K)
    guess = moved_rigidly(xyz, there, told)
    sd = deviation(agreement(before, at, after, moved, seen)) * after.step
    told &= np.isfinite(sd)
    return Carried(np.where(seen[:, None], uv, np.nan), sd, np.where(told[:, None], there, guess), told)


def _known(sequence: DepthSequence, depth: NDArray[np.float64], carried: Carried) -> Known:
    """Return what another frame tells of a frame."""
    guess, seen = carried.xyz, np.isfinite(carried.uv_sd)
    surface = depth_at(depth, np.where(seen[:, None], carried.uv, project(guess, sequence.K)))
    near = np.abs(surface + FLESH_MM - guess[:, 2]) < 2 * ON_SURFACE_MM
    return Known(
        K=sequence.K,
        bones=sequence.bones,
        uv=carried.uv[None],
        uv_sd=carried.uv_sd[None],
        depth=np.where(seen & near, surface + FLESH_MM, np.nan)[None],
        behind=np.where(seen, np.nan, surface)[None],
        nearer=np.zeros((1, len(BONES)), np.int64),
        xyz=guess[None],
        xyz_sd=np.where(seen, RIGID_MM, RIGID_HIDDEN_MM)[None],
    )


def moved_rigidly(points: Floats, towards: Floats, told: NDArray[np.bool_]) -> Floats:
    """Return points turned and moved as those that are told were, as a whole.

    Args:
        points: (21, 3) mm.
        towards: (21, 3) mm, where the told ones went.
        told: (21,) bool.
    """
    if told.sum() < 3:
        shift = (towards[told] - points[told]).mean(axis=0) if told.any() else np.zeros(3)
        return np.asarray(points + shift, np.float64)
    weights = np.ones(int(told.sum()))
    for _ in range(3):
        a, b = (np.average(side[told], axis=0, weights=weights) for side in (points, towards))
        u, _, vt = np.linalg.svd(((points[told] - a) * weights[:, None]).T @ (towards[told] - b))
        turn = vt.T @ np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
        moved = (points - a) @ turn.T + b
        weights = 1 / (1 + (np.linalg.norm(moved[told] - towards[told], axis=1) / 10.0) ** 2)
    return np.asarray(moved, np.float64)


def _on_surface(xyz: Floats, depth: NDArray[np.float64], K: Floats) -> NDArray[np.bool_]:
    surface = depth_at(depth, project(xyz, K))
    return np.asarray(np.abs(xyz[:, 2] - FLESH_MM - surface) < ON_SURFACE_MM, np.bool_)


def optimise(
    sequence: DepthSequence,
    hands: CarriedHands,
    frames: Sequence[int],
    clicks: Clicks,
    rounds: int = ROUNDS,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Floats:
    """Return the points of all frames that agree best with one another, (F, 21, 3) mm.

    Points move from frame to frame as the flow of depth says, and with the hand as a whole where it says nothing; they
    lie where they do in the reference that a frame comes from; bones keep their length, clicks count in their frames.

    Args:
        sequence: the pictures.
        hands: what is known so far; every frame with a hand has points.
        frames: the references, in the order of the clicks.
        clicks: of the references.
        rounds: of following the flow from where the sequence as a whole has put the points.
        is_wanted: asked before each frame; if not, it ends early, and what it returns is of no use.
    """
    there, xyz = np.flatnonzero(hands.root >= 0), hands.xyz.copy()
    row = {int(frame): i for i, frame in enumerate(frames)}
    for _ in range(rounds):
        parts: list[Known] = []
        moves, sds = np.zeros((len(there) - 1, NUM_KEYPOINTS, 3)), np.ones((len(there) - 1, NUM_KEYPOINTS))
        for i, f in enumerate(map(int, there)):
            if not is_wanted():
                return xyz
            is_clicked = f in row
            parts.append(
                _clicked(sequence, xyz[f], f, clicks, row[f]) if is_clicked else _anchored(sequence, hands, xyz, f)
            )
            if i:
                moves[i - 1], sds[i - 1] = _move(sequence, hands, xyz, int(there[i - 1]), f)
        xyz[there] = minimise(xyz[there], in_a_row(parts, moves, sds))[0]
    return xyz


def _move(sequence: DepthSequence, hands: CarriedHands, xyz: Floats, frame: int, after: int) -> tuple[Floats, Floats]:
    """Return how the points move from a frame to the next, (21, 3) mm, and by how much else, (21,) mm."""
    carried = carry(sequence, xyz[frame], hands.seen[frame], frame, after)
    back = carry(sequence, xyz[after], hands.seen[after], after, frame)
    moves = (carried.xyz - xyz[frame] - back.xyz + xyz[after]) / 2
    sd = np.where(carried.told & back.told, FLOW_OFF_MM, MOVE_MM) * np.sqrt(after - frame)
    return np.asarray(moves, np.float64), np.asarray(sd, np.float64)


def _clicked(sequence: DepthSequence, xyz: Floats, frame: int, clicks: Clicks, row: int) -> Known:
    """Return what is known of a frame that a person clicked."""
    hidden, surface = clicks.hidden[row], depth_at(sequence.read(frame), clicks.uv[row])
    near = np.abs(surface + FLESH_MM - xyz[:, 2]) < 2 * ON_SURFACE_MM
    return Known(
        K=sequence.K,
        bones=sequence.bones,
        uv=clicks.uv[row][None],
        uv_sd=np.where(hidden, GUESSED_PX, SEEN_PX)[None],
        depth=np.where(~hidden & near, surface + FLESH_MM, np.nan)[None],
        behind=np.where(hidden, surface, np.nan)[None],
        nearer=clicks.nearer[row][None],
        xyz=xyz[None],
        xyz_sd=np.full((1, NUM_KEYPOINTS), RIGID_MM),
    )


def _anchored(sequence: DepthSequence, hands: CarriedHands, xyz: Floats, frame: int) -> Known:
    """Return what the reference that a frame comes from tells of it."""
    root, there = int(hands.root[frame]), hands.seen[frame]
    carried = carry(sequence, hands.xyz[root], hands.seen[root], root, frame)
    known = _known(sequence, sequence.read(frame), carried)
    surface = depth_at(sequence.read(frame), project(xyz[frame], sequence.K))
    seen = _on_surface(xyz[frame], sequence.read(frame), sequence.K) & there
    return replace(
        known,
        depth=np.where(seen, surface + FLESH_MM, np.nan)[None],
        behind=np.where(there, np.nan, surface)[None],
        xyz=moved_rigidly(hands.xyz[root], xyz[frame], there)[None],
        xyz_sd=2 * np.where(there, RIGID_MM, RIGID_HIDDEN_MM)[None],
    )
