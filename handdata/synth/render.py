"""Render a scene: the surface once, then one view per camera. numpy only.

Every pixel has a sample at its centre, which alone decides depth, mask and parts. Pixels on an edge also take the four
samples at their corners, shared with their neighbours: half of the colour from the centre, an eighth from each corner.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.shards.schema import MASK_HAND, MASK_OBJECT
from handdata.skeleton import LEFT
from handdata.synth.color import Colors
from handdata.synth.frame import KEY_COLOR, VISIBLE, Camera, View
from handdata.synth.hand import load_hand
from handdata.synth.light import Light, hold_highlights, illuminate
from handdata.synth.mesh import Floats, Ints, unit, vertex_normals
from handdata.synth.occlusion import ShadowMap, hand_openness, object_openness, shadow_map
from handdata.synth.rasterize import NEAR_MM, Raster, rasterize
from handdata.synth.scene import DropShadow, PosedHand, Scene
from handdata.synth.sensor import develop
from handdata.synth.shapes import Solid
from handdata.synth.skin import (
    NUM_ATTRIBUTES,
    REST,
    Material,
    attributes,
    flesh_material,
    mottling,
    painted_material,
    ring_weights,
)
from handdata.synth.style import LOOKS
from handdata.synth.visibility import PARTS_PER_HAND, see_keypoints

EDGE_MM = 2.5  # a step in depth within a pixel that makes it an edge
# Columns of what is interpolated over a triangle.
POSITION, NORMAL, OPENNESS = slice(0, 3), slice(3, 6), 6
ATTRIBUTES = slice(7, 7 + NUM_ATTRIBUTES)
MOTTLED, ON_RING = ATTRIBUTES.stop, ATTRIBUTES.stop + 1
NUM_COLUMNS = ON_RING + 1


@dataclass(frozen=True)
class Surface:
    """All triangles of a scene in the world frame, ready to be looked at.

    Attributes:
        vertices: (V, 3) mm.
        faces: (F, 3)
        part: (F,) `View.part` of each triangle; 0 for the object.
        columns: (V, 18) float32, what is interpolated: see the constants above.
        shadows: of the lamp.
    """

    vertices: Floats
    faces: Ints
    part: NDArray[np.uint8]
    columns: NDArray[np.float32]
    shadows: ShadowMap


def build_surface(scene: Scene, cameras: Sequence[Camera]) -> Surface:
    """Mesh the scene; the cameras only keep forearms from coming up to the lens."""
    pieces = [_hand_piece(scene, number, cameras) for number in range(len(scene.hands))]
    casters = [(hand.base, _wound(load_hand().base_faces, hand.side)) for hand in scene.hands]
    if scene.solid is not None:
        vertices, faces, columns = object_piece(scene.solid, scene.hands[0])
        pieces.append((vertices, faces, np.zeros(len(faces), np.uint8), columns))
        casters.append((vertices, faces))
    faces = _joined([(vertices, faces) for vertices, faces, _, _ in pieces])
    corners = np.concatenate([hand.base for hand in scene.hands])
    return Surface(
        vertices=np.concatenate([piece[0] for piece in pieces]),
        faces=faces,
        part=np.concatenate([piece[2] for piece in pieces]),
        columns=np.concatenate([piece[3] for piece in pieces]),
        shadows=shadow_map(
            np.concatenate([vertices for vertices, _ in casters]),
            _joined(casters),
            scene.setting.light.direction,
            corners,
        ),
    )


def object_piece(solid: Solid, holder: PosedHand) -> tuple[Floats, Ints, NDArray[np.float32]]:
    """Mesh an object: vertices, faces, columns."""
    vertices, faces, normals, own = solid.surface()
    columns = np.zeros((len(vertices), NUM_COLUMNS), np.float32)
    columns[:, POSITION], columns[:, NORMAL] = vertices, normals
    columns[:, ATTRIBUTES][:, REST] = own
    columns[:, OPENNESS] = object_openness(vertices, normals, holder.centres, holder.scale)
    return vertices, faces, columns


def _joined(pieces: Sequence[tuple[Floats, Ints]]) -> Ints:
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in pieces])
    return np.concatenate([faces + start for (_, faces), start in zip(pieces, starts[:-1], strict=True)])


def _wound(faces: Ints, side: int) -> Ints:
    """Return the triangles of a right hand as that side has them."""
    return faces[:, ::-1] if side == LEFT else faces


def _hand_piece(
    scene: Scene, number: int, cameras: Sequence[Camera]
) -> tuple[Floats, Ints, NDArray[np.uint8], NDArray[np.float32]]:
    hand, model, person = scene.hands[number], load_hand(), scene.setting.person
    mesh = model.mesh(coarse=scene.coarse)
    vertices = mesh.refine(hand.base, tuple(camera.T_camera_world[2] for camera in cameras))
    faces = _wound(mesh.faces, hand.side)
    static = attributes(coarse=scene.coarse)
    columns = np.empty((len(vertices), NUM_COLUMNS), np.float32)
    columns[:, POSITION] = vertices
    normals = vertex_normals(vertices, faces, mesh.faces_at)
    columns[:, NORMAL] = normals
    base_normals = normals[: len(hand.base)]  # both levels of detail begin with the asset's own vertices
    openness = hand_openness(hand.base, base_normals, hand.centres, hand.scale, scene.solid)
    columns[:, OPENNESS] = np.clip(mesh.lift @ openness, 0, 1)
    columns[:, ATTRIBUTES] = static
    columns[:, MOTTLED] = mottling(person, static[:, REST])
    columns[:, ON_RING] = ring_weights(coarse=scene.coarse)[:, person.ring.finger] if person.ring else 0
    return vertices, faces, (1 + PARTS_PER_HAND * number + mesh.part).astype(np.uint8), columns


def render_view(scene: Scene, surface: Surface, camera: Camera) -> View:
    """Look at a scene through one camera."""
    xyz = surface.vertices @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]
    ahead = xyz[:, 2] > NEAR_MM
    uv = (xyz @ camera.K.T)[:, :2] / np.where(ahead, xyz[:, 2], 1.0)[:, None]
    left, top, right, bottom = _region(uv if ahead.all() else uv[ahead], camera)
    uv -= [left, top]
    width, height = right - left, bottom - top
    centres = rasterize(uv, xyz[:, 2], surface.faces, width, height)
    smooth = scene.smooth and camera.background == "scene"
    corners = rasterize(uv + 0.5, xyz[:, 2], surface.faces, width + 1, height + 1) if smooth else None
    inside = slice(top, bottom), slice(left, right)
    depth = np.zeros((camera.height, camera.width), np.float32)
    mask = np.zeros((camera.height, camera.width), np.uint8)
    part = np.zeros_like(mask)
    hit = centres.triangle >= 0
    depth[inside] = centres.depth
    part[inside] = np.where(hit, surface.part[centres.triangle], 0)
    mask[inside] = np.where(hit, np.where(part[inside] > 0, MASK_HAND, MASK_OBJECT), 0)
    if camera.background == "none":
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
    else:
        color, alpha = _colors(scene, surface, camera, centres, corners)
        image = _picture(scene, camera, color, alpha, (left, top), mask)
    reason = np.stack(
        [see_keypoints(hand.labels, hand.scale, number, camera, depth, part) for number, hand in enumerate(scene.hands)]
    )
    return View(camera=camera, image=image, depth=depth, mask=mask, part=part, visible=reason == VISIBLE, reason=reason)


def _region(uv: Floats, camera: Camera) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the pixels that the surface can touch, one at least."""
    if not len(uv):
        return 0, 0, 1, 1
    size = np.array([camera.width, camera.height])
    low = np.clip(np.floor(uv.min(0)) - 1, 0, size - 1).astype(int)
    high = np.clip(np.ceil(uv.max(0)) + 2, low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _colors(
    scene: Scene, surface: Surface, camera: Camera, centres: Raster, corners: Raster | None
) -> tuple[Colors, NDArray[np.float32]]:
    """Return (H, W, 3) light already weighted by the (H, W) coverage, both of the region."""
    height, width = centres.triangle.shape
    if corners is None:
        light = np.zeros((height * width, 3), np.float32)
        light[centres.pixel] = shade(scene, surface, camera, centres.triangle.ravel()[centres.pixel], centres.weights)
        return light.reshape(height, width, 3), (centres.triangle >= 0).astype(np.float32)
    edge = _edges(centres, corners)
    wanted = np.zeros(corners.triangle.shape, bool)
    for rows, columns in _QUARTERS:
        wanted[rows, columns] |= edge
    chosen = wanted.ravel()[corners.pixel]
    at = corners.pixel[chosen]
    triangles = np.concatenate([centres.triangle.ravel()[centres.pixel], corners.triangle.ravel()[at]])
    shaded = shade(scene, surface, camera, triangles, np.concatenate([centres.weights, corners.weights[chosen]]))
    samples = np.zeros((height * width + corners.triangle.size, 4), np.float32)
    samples[centres.pixel, :3], samples[centres.pixel, 3] = shaded[: len(centres.pixel)], 1
    samples[height * width + at, :3], samples[height * width + at, 3] = shaded[len(centres.pixel) :], 1
    middle = samples[: height * width].reshape(height, width, 4)
    corner = samples[height * width :].reshape(height + 1, width + 1, 4)
    mixed = 0.5 * middle[edge]
    for rows, columns in _QUARTERS:
        mixed += 0.125 * corner[rows, columns][edge]
    middle[edge] = mixed
    return middle[..., :3], middle[..., 3]


_QUARTERS = tuple(
    (rows, columns) for rows in (slice(None, -1), slice(1, None)) for columns in (slice(None, -1), slice(1, None))
)


def _edges(centres: Raster, corners: Raster) -> NDArray[np.bool_]:
    """Return the (H, W) pixels whose five samples do not lie on one smooth piece of surface."""
    nearest, farthest = centres.depth.copy(), centres.depth.copy()
    for rows, columns in _QUARTERS:
        np.minimum(nearest, corners.depth[rows, columns], out=nearest)
        np.maximum(farthest, corners.depth[rows, columns], out=farthest)
    return farthest - nearest > EDGE_MM


def shade(scene: Scene, surface: Surface, camera: Camera, triangles: NDArray[Any], weights: Floats) -> Colors:
    """Return the (N, 3) linear light of N samples, given by triangle and barycentrics."""
    setting = scene.setting
    faces, share = surface.faces[triangles], weights.astype(np.float32)
    point = surface.columns[faces[:, 0]] * share[:, :1]
    point += surface.columns[faces[:, 1]] * share[:, 1:2]
    point += surface.columns[faces[:, 2]] * share[:, 2:]
    on_hand = surface.part[triangles] > 0
    material = _material(scene, point, on_hand)
    eye = (-camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3]).astype(np.float32)
    toward_eye = unit(eye - point[:, POSITION])
    normals = unit(unit(point[:, NORMAL]) + material.bump)
    softness = LOOKS[setting.style].shadow_softness
    lit = surface.shadows.lit(point[:, POSITION], normals @ setting.light.direction.astype(np.float32), softness)
    color = illuminate(material, normals, toward_eye, lit, point[:, OPENNESS], setting.light)
    return hold_highlights(color, on_hand, setting.light)


def _material(scene: Scene, point: NDArray[np.float32], on_hand: NDArray[np.bool_]) -> Material:
    person = scene.setting.person
    if on_hand.all():
        ring = point[:, ON_RING] if person.ring else None
        return flesh_material(person, point[:, ATTRIBUTES], point[:, MOTTLED], ring)
    flesh, thing = point[on_hand], point[~on_hand]
    ring = flesh[:, ON_RING] if person.ring else None
    of_hand = flesh_material(person, flesh[:, ATTRIBUTES], flesh[:, MOTTLED], ring)
    of_thing = painted_material(scene.setting.paint, thing[:, ATTRIBUTES][:, REST])
    joined = Material(
        albedo=np.empty((len(point), 3), np.float32),
        gloss=np.empty(len(point), np.float32),
        roughness=np.empty(len(point), np.float32),
        flesh=np.empty(len(point), np.float32),
        bump=np.empty((len(point), 3), np.float32),
    )
    for name, column in vars(joined).items():
        column[on_hand], column[~on_hand] = getattr(of_hand, name), getattr(of_thing, name)
    return joined


def _picture(
    scene: Scene,
    camera: Camera,
    color: Colors,
    alpha: NDArray[np.float32],
    corner: tuple[int, int],
    mask: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Put the region in front of the camera's background and develop it."""
    rng = np.random.default_rng([*scene.seed, zlib.crc32(camera.name.encode())])
    left, top = corner
    inside = slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1])
    film = scene.setting.film
    if camera.background != "scene":
        ground = KEY_COLOR if camera.background == "key" else (0, 0, 0)
        return _cut_out(develop(film, color, rng, optics=False), mask, inside, ground)
    canvas = scene.setting.backdrop.picture(camera.width, camera.height).copy()
    if scene.setting.drop_shadow is not None:
        _drop_shadow(scene.setting.drop_shadow, scene.setting.light, canvas, alpha, corner)
    canvas[inside] = canvas[inside] * (1 - alpha[..., None]) + color
    return develop(film, canvas, rng)


def _cut_out(
    region: NDArray[np.uint8], mask: NDArray[np.uint8], inside: tuple[slice, slice], ground: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Lay a region on one exact colour; no pixel of the hand may have that colour."""
    clash = (region == np.array(ground, np.uint8)).all(-1)
    region[clash] ^= 1
    image = np.empty((*mask.shape, 3), np.uint8)
    image[:] = ground
    image[inside] = np.where(mask[inside][..., None] > 0, region, image[inside])
    return image


def _drop_shadow(
    drop: DropShadow, light: Light, canvas: Colors, alpha: NDArray[np.float32], corner: tuple[int, int]
) -> None:
    """Darken the background beside the hand, away from the lamp."""
    height, width = canvas.shape[:2]
    scale = width / 256
    full = np.zeros((height, width), np.float32)
    full[corner[1] : corner[1] + alpha.shape[0], corner[0] : corner[0] + alpha.shape[1]] = alpha
    shift = -light.direction[:2] * drop.offset * scale
    moved = cv2.warpAffine(full, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height))
    canvas *= (1 - drop.strength * cv2.GaussianBlur(moved, (0, 0), drop.softness * scale))[..., None]
