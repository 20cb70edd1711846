"""A scene in the world frame: posed hands of one person, an object, light, background. It knows no camera."""

from dataclasses import dataclass

import numpy as np

from handdata.skeleton import LEFT
from handdata.synth.background import Ground, draw_backdrop
from handdata.synth.frame import LabelConvention, Style
from handdata.synth.hand import load_hand
from handdata.synth.keypoints import keypoint_bones, label_points
from handdata.synth.kinematics import carry, forearm_turn, forward, skin
from handdata.synth.light import Light, draw_light
from handdata.synth.mesh import Floats, unit, vertex_normals
from handdata.synth.person import Person, draw_person
from handdata.synth.pose import Body, body_of
from handdata.synth.sensor import Film, draw_film
from handdata.synth.shapes import MIRROR, Solid
from handdata.synth.skin import Paint, draw_paint
from handdata.synth.style import LOOKS

THUMBNAIL_PX = 16  # of the background, to take the ambient light from
DROP_SHADOW = 0.25  # how often the hand throws a shadow on a wall close behind it


@dataclass(frozen=True)
class PosedHand:
    """One hand in the world frame, mm.

    Attributes:
        side: skeleton.LEFT or skeleton.RIGHT.
        scale: of the person's hand.
        base: (1842, 3) vertices of the asset's mesh, sleeve included.
        centres: (21, 3) rotation centres.
        labels: (21, 3) keypoints as labelled.
        palm_center: (3,) halfway between wrist and middle knuckle.
    """

    side: int
    scale: float
    base: Floats
    centres: Floats
    labels: Floats
    palm_center: Floats

    def moved(self, by: Floats) -> "PosedHand":
        """Return the hand displaced by (3,) mm."""
        return PosedHand(
            self.side, self.scale, self.base + by, self.centres + by, self.labels + by, self.palm_center + by
        )


@dataclass(frozen=True)
class DropShadow:
    """Of the hand on a wall close behind it: offset and softness in px of a 256 px picture, and strength."""

    offset: float
    softness: float
    strength: float


@dataclass(frozen=True)
class Setting:
    """What a sequence keeps from frame to frame: the person, the light, the background, the camera's ways."""

    style: Style
    person: Person
    body: Body
    paint: Paint
    backdrop: Ground
    light: Light
    film: Film
    drop_shadow: DropShadow | None


@dataclass(frozen=True)
class Scene:
    """One instant.

    Attributes:
        coarse: 3.7k triangles a hand instead of 14.8k.
        smooth: antialias edges.
        seed: of the pictures' grain.
    """

    setting: Setting
    hands: tuple[PosedHand, ...]
    solid: Solid | None
    coarse: bool
    smooth: bool
    seed: tuple[int, ...]


def draw_setting(rng: np.random.Generator, style: Style, backgrounds: tuple[str, ...] = ()) -> Setting:
    """Draw everything that does not move."""
    look, hand = LOOKS[style], load_hand()
    person = draw_person(rng, hand, style)
    backdrop = draw_backdrop(rng, style, backgrounds)
    light = draw_light(rng, look, backdrop.picture(THUMBNAIL_PX, THUMBNAIL_PX))
    drop = DropShadow(rng.uniform(10, 40), rng.uniform(4, 14), rng.uniform(0.3, 0.65))
    throws = rng.random() < DROP_SHADOW
    return Setting(
        style=style,
        person=person,
        body=body_of(hand, person.beta, person.scale),
        paint=draw_paint(rng),
        backdrop=backdrop,
        light=light,
        film=draw_film(rng, look),
        drop_shadow=drop if throws else None,
    )


def arm_direction(body: Body, side: int, angles: Floats) -> Floats:
    """Return the (3,) unit direction from wrist to elbow at (24,) angles, in the hand frame of that side."""
    joints = body.skeleton.joints
    straight = unit(joints[body.hand.joint["elbow"]] - joints[body.hand.joint["wrist"]])
    arm: Floats = forearm_turn(angles[None])[0] @ straight
    return MIRROR @ arm if side == LEFT else arm


def pose_hand(
    setting: Setting, side: int, angles: Floats, turn: Floats, wrist: Floats, convention: LabelConvention
) -> PosedHand:
    """Put a person's hand into the world.

    Args:
        setting: whose hand.
        side: skeleton.LEFT or skeleton.RIGHT.
        angles: (24,) degrees.
        turn: (3, 3) from the hand frame to the world's.
        wrist: (3,) mm, world.
        convention: where labels lie on the bones.
    """
    body = setting.body
    transforms = forward(body.hand, body.skeleton, angles[None])
    bones = keypoint_bones()
    points = np.concatenate([body.centres, label_points(body.centres, convention)])
    posed = carry(transforms, np.tile(bones, 2), points)[0]
    to_world = turn @ MIRROR if side == LEFT else turn
    base = skin(body.hand, _dressed(setting), transforms[0]) @ to_world.T + wrist
    centres, labels = np.split(posed @ to_world.T + wrist, 2)
    return PosedHand(side, body.scale, base, centres, labels, (centres[0] + centres[9]) / 2)


def _dressed(setting: Setting) -> Floats:
    """Return the (1842, 3) rest vertices with the sleeve puffed out."""
    body, sleeve = setting.body, setting.person.sleeve
    if sleeve is None:
        return body.vertices
    hand = body.hand
    normals = vertex_normals(body.vertices, hand.base_faces, hand.base_faces_at)
    inside = np.clip((-body.vertices[:, 0] / body.scale - sleeve.start) / 2, 0, 1)
    return body.vertices + normals * (inside * hand.weights[:, hand.bone["lowerarm"]] * sleeve.thickness)[:, None]
