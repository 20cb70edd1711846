"""Render frames of a sequence: frame i is a function of the spec and i alone, in any process and any order."""

import zlib
from functools import lru_cache
from typing import Any

import numpy as np

from handdata.skeleton import LEFT, RIGHT
from handdata.synth.frame import Frame, HandLabel, SequenceSpec
from handdata.synth.grasp import Grasp, sample_grasp
from handdata.synth.hand import load_hand
from handdata.synth.kinematics import NUM_ANGLES
from handdata.synth.mesh import Floats
from handdata.synth.motion import Instant, choreograph
from handdata.synth.place import (
    HAND_RADIUS_MM,
    TOWARD_CAMERA,
    draw_orientation,
    reference_camera,
    stand_at,
    to_world,
)
from handdata.synth.pose import body_of, sample_pose
from handdata.synth.render import build_surface, render_view
from handdata.synth.scene import PosedHand, Scene, Setting, arm_direction, draw_setting, pose_hand
from handdata.synth.shapes import KINDS, Solid, SolidKind

STILL_ARM, MOVING_ARM = (TOWARD_CAMERA, 0.45), (-0.35, 0.2)  # z of the forearm's direction; a moving one turns further
TWO_HANDS_APART_MM = 25.0  # least distance between keypoints of two hands
STEP_BACK_MM = 45.0
OVERHANG = 0.25  # how often a second hand that stands still reaches out of the picture


def render_frame(spec: SequenceSpec, index: int) -> Frame:
    """Render frame `index` of `spec`."""
    scene = build_scene(spec, index)
    hands = tuple(
        HandLabel(side=hand.side, keypoints_3d=hand.labels, palm_center_3d=hand.palm_center) for hand in scene.hands
    )
    cameras = spec.cameras
    if spec.zoom is not None:
        cameras = tuple(spec.zoom(hands[0], camera) for camera in cameras)
    surface = build_surface(scene, cameras)
    return Frame(
        hands=hands,
        object_corners_3d=scene.solid.corners() if scene.solid is not None and scene.solid.kind == "box" else None,
        has_object=scene.solid is not None,
        views=tuple(render_view(scene, surface, camera) for camera in cameras),
    )


def build_scene(spec: SequenceSpec, index: int) -> Scene:
    """Pose everything for one frame."""
    seed: tuple[int, ...] = (spec.seed, zlib.crc32(spec.name.encode()))
    if spec.motion == "still":
        seed = (*seed, index)
        setting = draw_setting(np.random.default_rng(seed), spec.style, spec.backgrounds)
    else:
        setting = _kept_setting(seed, spec.style, spec.backgrounds)
    hands: list[PosedHand] = []
    solid: Solid | None = None
    for number, side in enumerate(spec.sides):
        hand_seed = (*seed, number + 1)
        grasp = _grasp(spec, setting, hand_seed) if number == 0 else None
        instant, base = _instant(spec, index, setting, side, grasp, hand_seed)
        hand, held = _put(spec, setting, number, instant, base, grasp, hands)
        solid = held or solid
        hands.append(hand)
    return Scene(
        setting=setting,
        hands=tuple(hands),
        solid=solid,
        coarse=spec.small,
        smooth=not spec.small,
        seed=(*seed, index),
    )


@lru_cache(maxsize=16)
def _kept_setting(seed: tuple[int, ...], style: Any, backgrounds: tuple[str, ...]) -> Setting:
    return draw_setting(np.random.default_rng(seed), style, backgrounds)


def _grasp(spec: SequenceSpec, setting: Setting, seed: tuple[int, ...]) -> Grasp | None:
    if spec.objects is None:
        return None
    kinds: tuple[SolidKind, ...] = ("box",) if spec.objects == "cuboid" else KINDS
    person = setting.person
    return _kept_grasp(seed, kinds, tuple(person.beta.tolist()), person.scale)


@lru_cache(maxsize=16)
def _kept_grasp(seed: tuple[int, ...], kinds: tuple[SolidKind, ...], beta: tuple[float, ...], scale: float) -> Grasp:
    return sample_grasp(np.random.default_rng([*seed, 2]), body_of(load_hand(), np.array(beta), scale), kinds)


def _instant(
    spec: SequenceSpec, index: int, setting: Setting, side: int, grasp: Grasp | None, seed: tuple[int, ...]
) -> tuple[Instant, Floats]:
    """Return a hand's instant and its base orientation in the reference camera's frame."""
    rng = np.random.default_rng([*seed, 3])
    if spec.motion != "still":
        arm = arm_direction(setting.body, side, np.zeros(NUM_ANGLES))
        base = draw_orientation(rng, arm, spec.viewpoint, MOVING_ARM, _own_side(spec, side))
        return choreograph(spec.motion, setting.body, grasp, seed).at(index / spec.fps), base
    angles = sample_pose(rng, setting.body) if grasp is None else grasp.angles
    arm = arm_direction(setting.body, side, angles)
    base = draw_orientation(rng, arm, spec.viewpoint, STILL_ARM, _own_side(spec, side))
    return Instant(angles=angles, turn=np.eye(3), place=rng.random(2), nearness=float(rng.random())), base


def _own_side(spec: SequenceSpec, side: int) -> int:
    """Return where the hand's half of the body is: 1 right in the picture, -1 left, 0 wherever."""
    if not spec.own_sides:
        return 0
    return 1 if (side == RIGHT) == (spec.viewpoint == "ego") else -1


def _put(
    spec: SequenceSpec,
    setting: Setting,
    number: int,
    instant: Instant,
    base: Floats,
    grasp: Grasp | None,
    others: list[PosedHand],
) -> tuple[PosedHand, Solid | None]:
    """Stand a hand, and what it holds, in the world, clear of the other hand."""
    side, camera = spec.sides[number], reference_camera(spec.cameras)
    turn = instant.turn @ base
    middle = setting.body.posed_centres(instant.angles[None])[0]
    middle = (middle.min(0) + middle.max(0)) / 2 * ([1, -1, 1] if side == LEFT else [1, 1, 1])
    near, far = spec.distance_mm
    distance = far + (near - far) * instant.nearness
    place = instant.place
    overhang = 0.0
    if len(spec.sides) > 1:
        half = (_own_side(spec, side) + 1) // 2 if spec.own_sides else number
        place = np.array([(place[0] + half) / 2, place[1]])
        overhang = 1.6 if number and spec.motion == "still" and instant.nearness < OVERHANG else 0.5
    radius = HAND_RADIUS_MM * setting.body.scale
    rotation = to_world(camera, turn, np.zeros(3))[0]
    at_origin = pose_hand(setting, side, instant.angles, rotation, np.zeros(3), spec.convention)
    while True:
        wrist = stand_at(camera, place, distance, turn @ middle, radius, overhang)
        origin = to_world(camera, turn, wrist)[1]
        hand = at_origin.moved(origin)
        if all(_gap(hand, other) > TWO_HANDS_APART_MM for other in others):
            break
        distance += STEP_BACK_MM
    if grasp is None:
        return hand, None
    held = grasp.solid.mirrored() if side == LEFT else grasp.solid
    return hand, held.moved(rotation, origin)


def _gap(hand: PosedHand, other: PosedHand) -> float:
    return float(np.linalg.norm(hand.centres[:, None] - other.centres[None], axis=-1).min())
