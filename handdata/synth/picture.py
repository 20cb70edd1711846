"""Training pictures: one hand that fills the picture; each has its own person, pose, light and background."""

import numpy as np

from handdata.skeleton import LEFT, RIGHT
from handdata.synth.frame import Camera, Frame, HandLabel, LabelConvention, Style
from handdata.synth.grasp import BAD_MM, sample_grasp, sample_size
from handdata.synth.mesh import Floats, unit
from handdata.synth.place import draw_orientation
from handdata.synth.pose import Body, Draw, sample_angles, sample_pose
from handdata.synth.render import build_surface, render_view
from handdata.synth.scene import Scene, arm_direction, draw_setting, pose_hand
from handdata.synth.shapes import KINDS, Solid

HELD, LOOSE = 0.26, 0.14  # shares of pictures with an object in the hand, and in front of it
DISTANCE_MM = (300.0, 800.0)
FILL = (0.6, 0.95)  # longer side of the hand against the picture's
FLESH_MM = 30.0  # of fingers round the keypoints, both sides together
OFF_CENTRE = 0.08  # of the picture, either way
COARSE_UP_TO_PX = 160  # where a coarse triangle is about two pixels long and nobody can tell
MOST_HIDDEN = 0.5  # share of the keypoints that a loose object may hide


def render_hand(
    seed: int,
    index: int,
    style: Style = "clean",
    size: int = 128,
    *,
    side: int | None = None,
    small: bool = False,
    backgrounds: tuple[str, ...] = (),
    convention: LabelConvention = "annotated",
    fill: tuple[float, float] = FILL,
    draw: Draw = sample_angles,
) -> Frame:
    """Render one random hand with its labels; the same for the same arguments, on any machine.

    Args:
        seed: of the whole set.
        index: of the picture in the set.
        style: look of light, noise, skin and backgrounds.
        size: side of the picture, px.
        side: skeleton.LEFT or skeleton.RIGHT; either if None.
        small: the coarse mesh and no supersampling.
        backgrounds: picture files; procedural ones when empty.
        convention: where labels lie on the bones.
        fill: longer side of the hand against the picture's, drawn from this range.
        draw: what draws the poses of hands that hold nothing, such as `signs.sample_signs`.

    Returns:
        A frame of one hand and one view; the world frame is the camera's.
    """
    scene, camera = build_picture(
        seed, index, style, size,
        side=side, small=small, backgrounds=backgrounds, convention=convention, fill=fill, draw=draw,
    )  # fmt: skip
    hand = scene.hands[0]
    view = render_view(scene, build_surface(scene, (camera,)), camera)
    box = scene.solid is not None and scene.solid.kind == "box"
    return Frame(
        hands=(HandLabel(side=hand.side, keypoints_3d=hand.labels, palm_center_3d=hand.palm_center),),
        object_corners_3d=scene.solid.corners() if scene.solid is not None and box else None,
        has_object=scene.solid is not None,
        views=(view,),
    )


def build_picture(
    seed: int,
    index: int,
    style: Style,
    size: int,
    *,
    side: int | None,
    small: bool,
    backgrounds: tuple[str, ...],
    convention: LabelConvention,
    fill: tuple[float, float] = FILL,
    draw: Draw = sample_angles,
) -> tuple[Scene, Camera]:
    """Pose one random hand before a camera of its own; arguments as of `render_hand`."""
    rng = np.random.default_rng(key := (seed, index, *style.encode()))
    setting = draw_setting(rng, style, backgrounds)
    side = (LEFT, RIGHT)[int(rng.random() < 0.5)] if side is None else side
    kind = rng.random()
    held = kind < HELD
    angles, solid = _held_object(rng, setting.body, side) if held else (sample_pose(rng, setting.body, draw), None)
    turn = draw_orientation(rng, arm_direction(setting.body, side, angles), "front")
    hand = pose_hand(setting, side, angles, turn, np.zeros(3), convention)
    camera, wrist = _frame_hand(rng, hand.centres, setting.body.scale, size, fill)
    hand = hand.moved(wrist)
    if solid is not None:
        solid = solid.moved(turn, wrist)
    elif HELD <= kind < HELD + LOOSE:
        solid = _loose_object(rng, hand.centres)
    scene = Scene(
        setting=setting,
        hands=(hand,),
        solid=solid,
        coarse=small or size * fill[1] <= COARSE_UP_TO_PX * FILL[1],
        smooth=not small,
        seed=key,
    )
    return scene, camera


def _held_object(rng: np.random.Generator, body: Body, side: int) -> tuple[Floats, Solid | None]:
    """Return the angles of a grasp and its object, in the hand frame of that side; a free pose if none was good."""
    grasp = sample_grasp(rng, body)
    if grasp.depth >= BAD_MM:
        return sample_pose(rng, body), None
    return grasp.angles, grasp.solid.mirrored() if side == LEFT else grasp.solid


def _frame_hand(
    rng: np.random.Generator, centres: Floats, scale: float, size: int, fill: tuple[float, float]
) -> tuple[Camera, Floats]:
    """Return a camera that the hand fills, and where its wrist must be."""
    low, high = centres.min(0), centres.max(0)
    extent = float((high - low)[:2].max()) + FLESH_MM * scale
    distance = rng.uniform(*DISTANCE_MM)
    focal = rng.uniform(*fill) * size * distance / extent
    wrist = np.array([0, 0, distance]) - (low + high) / 2
    wrist[:2] += rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2) * size * distance / focal
    centre = (size - 1) / 2 + rng.normal(0, 0.01, 2) * size
    K = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    return Camera(name="camera", K=K, width=size, height=size), wrist


def _loose_object(rng: np.random.Generator, centres: Floats) -> Solid | None:
    """Hang something between hand and camera; None if it would hide more than half of the hand."""
    kind = KINDS[rng.integers(len(KINDS))]
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    target = centres[rng.integers(len(centres))]
    toward_camera = -unit(target)
    start = target + toward_camera * rng.uniform(25, 110) + rng.normal(0, 22, 3)
    solid = Solid(kind, sample_size(rng, kind), axes, start)
    inside = float(solid.distance(centres).min())
    if inside < 10:
        solid = solid.moved(np.eye(3), np.zeros(3))
        solid = Solid(kind, solid.size, axes, start + toward_camera * (12 - inside))
    rays = centres * np.linspace(0, 1, 24)[:, None, None]
    for _ in range(8):
        if (solid.distance(rays).min(0) < 0).mean() <= MOST_HIDDEN:
            return solid
        solid = Solid(kind, solid.size, axes, solid.centre + unit(np.array([*rng.normal(size=2), 0.0])) * 22)
    return None
