"""Full pictures with no hand, one or two, for training a detector: boxes, sides and where the hands are.

Every picture has its own people, poses, light, background and camera and is a function of (seed, index) alone. Most
show what a detector takes for hands as well: heads, bare arms, clothes (handdata/synth/people.py). Some are windows of
the picture: close-ups that a hand fills, and hands that the border cuts. Arms come mostly from their own side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handdata.pictures.crops import scale_about_center, square_of
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.background import Backdrop
from handdata.synth.frame import Camera, SequenceSpec, Style, View, project_world
from handdata.synth.people import Peopled
from handdata.synth.render import build_surface, render_view
from handdata.synth.scene import PosedHand, Scene
from handdata.synth.sensor import Film
from handdata.synth.sequence import build_scene

EMPTY, ONE = 0.25, 0.40  # shares of pictures without a hand and with one; the rest show two
EGO = 0.25  # share seen from the person's own eyes
HELD = 0.25  # share with an object in the first hand
DISTANCE_MM = (280.0, 900.0)
FAR, FAR_MM = 0.12, (900.0, 1700.0)  # share of hands that are farther away, and how far
PEOPLED = (0.85, 0.65)  # shares with people and things, of pictures without hands and with
CLOSE, CLOSE_SIDE = 0.25, (0.6, 1.8)  # share of close-ups; side of the hand's box over the picture's height
MOVED, MOVED_ZOOM = 0.25, (0.7, 1.8)  # share of windows round nothing in particular, and their enlargement
OFF_CENTRE = 0.45  # of the picture's sides: how far a window is moved either way
CODED, JPEG = 0.4, (20, 92)  # share of pictures that are coded (again), and the quality
FOV_DEG = (45.0, 85.0)  # horizontal
PARTS, FOREARM = 17, 16  # of `View.part`: numbers per hand, and the one that is no hand
MARGIN = 1.25  # side of a box over that of the square round the keypoints
LEAST_INSIDE = 6  # keypoints in the picture that make a hand one to be found


@dataclass(frozen=True, kw_only=True)
class FullFrame:
    """One picture and its hands.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes_xyxy: (N, 4) squares round the keypoints, 1.25 times as large, px edges; may reach out of the picture.
        sides: (N,) skeleton.LEFT or RIGHT.
        hand: (H, W) bool, pixels of hands without their forearms.
        keypoints_2d: (N, 21, 2) px.
        visible: (N, 21) bool, the keypoint's surface is the first thing in its pixel.
    """

    image: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float64]
    sides: NDArray[np.int64]
    hand: NDArray[np.bool_]
    keypoints_2d: NDArray[np.float64]
    visible: NDArray[np.bool_]


def render_full_frame(
    seed: int,
    index: int,
    style: Style = "clean",
    size: tuple[int, int] = (160, 120),
    *,
    small: bool = True,
    backgrounds: tuple[str, ...] = (),
    plain: bool = False,
) -> FullFrame:
    """Render one picture of (width, height) px; the same for the same arguments, on any machine.

    Args:
        seed: of the whole set.
        index: of the picture in the set.
        style: look of light, noise, skin and backgrounds.
        size: of the picture, px.
        small: the coarse mesh.
        backgrounds: picture files behind everything; procedural ones when empty.
        plain: hands near enough to see before backgrounds and things: nobody else, no windows, nothing coded.
    """
    rng = np.random.default_rng((seed, index, *style.encode()))
    width, height = size
    focal = width / 2 / np.tan(np.radians(rng.uniform(*FOV_DEG)) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    kind, first = rng.random(), (LEFT, RIGHT)[int(rng.random() < 0.5)]
    spec = SequenceSpec(
        seed=seed,
        name=f"{style}/{index}",
        cameras=(Camera(name="camera", K=K, width=width, height=height),),
        sides=(first,) if kind < EMPTY + ONE else (first, LEFT + RIGHT - first),
        objects="any" if rng.random() < HELD else None,
        motion="still",
        distance_mm=FAR_MM if rng.random() < FAR and not plain else DISTANCE_MM,
        style=style,
        small=small,
        backgrounds=backgrounds,
        viewpoint="ego" if rng.random() < EGO else "front",
        own_sides=True,
    )
    scene = build_scene(spec, 0)
    if not plain:
        scene = _among_people(rng, scene, (seed, index, *style.encode()), PEOPLED[kind >= EMPTY])
    if kind < EMPTY:  # the same room, with the camera's window far beside the hands
        camera = _moved(spec.cameras[0], 1.0, np.array([100.0 * width, 0.0]))
        return _labelled((), render_view(scene, build_surface(scene, (camera,)), camera))
    camera = spec.cameras[0] if plain else _window(rng, spec.cameras[0], scene.hands)
    return _labelled(scene.hands, render_view(scene, build_surface(scene, (camera,)), camera))


def _among_people(rng: np.random.Generator, scene: Scene, seed: tuple[int, ...], share: float) -> Scene:
    """Put people and things behind the hands of some pictures, and code some as JPEG."""
    setting, peopled, coded, quality = scene.setting, rng.random(), rng.random(), int(rng.integers(*JPEG))
    film: Film = replace(setting.film, jpeg=quality) if coded < CODED else setting.film
    ground = setting.backdrop
    if peopled < share and isinstance(ground, Backdrop):
        ground = Peopled(behind=ground, seed=seed, melanin=setting.person.melanin, light=setting.light)
    return replace(scene, setting=replace(setting, film=film, backdrop=ground), smooth=True)


def _window(rng: np.random.Generator, camera: Camera, hands: Sequence[PosedHand]) -> Camera:
    """Return the camera that sees a part of the picture, or more than it: a close-up, a window beside, or as it was."""
    kind, size = rng.random(), np.array([camera.width, camera.height])
    shift = rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2) * size
    zoom = float(np.exp(rng.uniform(*np.log(CLOSE_SIDE if kind < CLOSE else MOVED_ZOOM))))
    middle = size / 2
    if kind < CLOSE:
        box = box_of(hands[0].labels, camera)
        middle, zoom = (box[:2] + box[2:]) / 2, zoom * camera.height / float(box[2] - box[0])
    elif kind > CLOSE + MOVED:
        return camera
    return _moved(camera, zoom, size / 2 + shift * min(1.0, zoom) - zoom * middle)


def _moved(camera: Camera, zoom: float, shift: NDArray[np.float64]) -> Camera:
    """Return the camera whose pixels, counted from the picture's edge, are `zoom` times as far out, and shifted."""
    K = camera.K.copy()
    K[:2] *= zoom
    K[:2, 2] += 0.5 * (zoom - 1) + shift
    return replace(camera, K=K)


def box_of(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Return the (4,) square round a hand's (21, 3) points as the camera sees them, px edges, 1.25 times as large."""
    uv = project_world(points, camera) + 0.5
    return scale_about_center(square_of(np.concatenate([uv.min(0), uv.max(0)])), MARGIN)


def _labelled(hands: Sequence[PosedHand], view: View) -> FullFrame:
    size = np.array([view.camera.width, view.camera.height])
    kept, boxes, points = [], [], []
    for number, hand in enumerate(hands):
        uv, box = project_world(hand.labels, view.camera), box_of(hand.labels, view.camera)
        middle, inside = (box[:2] + box[2:]) / 2, ((uv >= -0.5) & (uv < size - 0.5)).all(-1).sum()
        if inside >= LEAST_INSIDE and ((middle >= 0) & (middle < size)).all():
            kept.append(number)
            boxes.append(box)
            points.append(uv)
    part = (view.part.astype(np.int64) - 1) % PARTS
    return FullFrame(
        image=view.image,
        boxes_xyxy=np.array(boxes).reshape(-1, 4),
        sides=np.array([hands[number].side for number in kept], np.int64),
        hand=(view.part > 0) & (part != FOREARM),
        keypoints_2d=np.array(points).reshape(-1, 21, 2),
        visible=view.visible[kept] if kept else np.zeros((0, 21), bool),
    )
