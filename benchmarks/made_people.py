"""Hands of rendered people as numbers, without a picture: what the geometry of acceptance.py is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import normalize_pose, project
from handdata.skeleton import BONES, LEFT, WRIST
from handdata.synth.frame import Camera, SequenceSpec, project_world
from handdata.synth.hand import load_hand
from handdata.synth.keypoints import keypoint_bones, label_points
from handdata.synth.kinematics import carry, forward
from handdata.synth.place import draw_orientation, stand_at
from handdata.synth.pose import body_of, sample_pose
from handdata.synth.scene import arm_direction
from handdata.synth.sequence import build_scene
from handdata.synth.shapes import MIRROR

Floats = NDArray[np.float64]

K = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])  # of SynthHands
MARGIN = 1.25  # side of a crop over the square round the keypoints
MOTIONS = ("count", "random", "grasp", "swipe")
FPS = 30.0


@dataclass(frozen=True)
class People:
    """Hands and what is true of them.

    Attributes:
        mm: (B, 21, 3) in the camera's axes.
        pose: (B, 21, 3) normalised.
        scale: (B) wrist to middle MCP, mm.
        uv: (B, 21, 2) px.
        side: (B) of the crop, px.
    """

    mm: Floats
    pose: Floats
    scale: Floats
    uv: Floats
    side: Floats

    def noisy(self, share: float, spread: float, seed: int = 0) -> tuple[Floats, Floats]:
        """Return 2D and pose with noise: `share` of the crop side on each coordinate, `spread` on each of the pose."""
        rng = np.random.default_rng(seed)
        uv = self.uv + rng.normal(0, share, self.uv.shape) * self.side[:, None, None]
        return uv, self.pose + rng.normal(0, spread, self.pose.shape)

    def crops(self) -> Floats:
        """Return (B, 4) squares, px."""
        middle = (self.uv.min(1) + self.uv.max(1)) / 2 + 0.5
        half = self.side[:, None] / 2
        return np.concatenate([middle - half, middle + half], 1)


def people(count: int, *, mean_hand: bool = False, seed: int = 11) -> People:
    """Return left hands in many poses, 300 to 800 mm away, anywhere in 640 x 480; of many people or the mean one."""
    mm = np.array([_hand(np.random.default_rng([seed, index]), mean_hand=mean_hand) for index in range(count)])
    pose, scale = normalize_pose(mm)
    uv = project(mm, K)
    return People(mm, pose, scale, uv, MARGIN * np.ptp(uv, axis=1).max(-1))


def _hand(rng: np.random.Generator, *, mean_hand: bool) -> Floats:
    camera, model = Camera(name="color", K=K, width=640, height=480), load_hand()
    beta, size = model.sample_shape(rng)
    body = body_of(model, beta * 0, 1.0) if mean_hand else body_of(model, beta, size)
    angles = sample_pose(rng, body)
    turn = draw_orientation(rng, arm_direction(body, LEFT, angles), "front")
    points = label_points(body.centres, "annotated")
    posed = carry(forward(model, body.skeleton, angles[None]), keypoint_bones(), points)[0] @ (turn @ MIRROR).T
    posed = posed - posed[WRIST]
    wrist = stand_at(camera, rng.random(2), rng.uniform(300, 800), posed.mean(0), 95.0 * body.scale)
    return np.asarray(posed + wrist)


@dataclass(frozen=True)
class Motion:
    """One rendered motion: (T, 21, 3) mm, (T, 21, 2) px, (T, 21, 3) normalised; the crop side, px, of its mean."""

    name: str
    mm: Floats
    uv: Floats
    pose: Floats
    side: float


def motions(count: int = 12, frames: int = 90, *, still: bool = False) -> Iterator[Motion]:
    """Yield rendered motions at 30 frames per second; `still` repeats each one's first frame."""
    lens = np.array([[475.0, 0, 319.5], [0, 475, 239.5], [0, 0, 1]])
    camera = Camera(name="camera", K=lens, width=640, height=480)
    for number in range(count):
        name = f"{MOTIONS[number % len(MOTIONS)]}/{number}"
        spec = SequenceSpec(seed=7, name=name, cameras=(camera,), motion=MOTIONS[number % len(MOTIONS)], fps=FPS)
        mm = np.stack([build_scene(spec, 0 if still else i).hands[0].labels for i in range(frames)])
        uv = np.stack([project_world(points, camera) for points in mm])
        side = MARGIN * float(np.ptp(uv, axis=1).max(-1).mean())
        yield Motion(name, mm, uv, normalize_pose(mm)[0], side)


def lengths(pose: Floats) -> Floats:
    """Return (..., 20) bone lengths of (..., 21, 3) poses."""
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    return np.asarray(np.linalg.norm(pose[..., ends, :] - pose[..., starts, :], axis=-1))
