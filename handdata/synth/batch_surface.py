"""The surfaces of many scenes at once, in torch: refined meshes, normals, occlusion, shadow maps.

Poses are sampled and skinned in numpy (synth/scene.py), so labels are the same bits; from the skinned vertices on,
everything runs on the device. Positions are float64, shading values float32, as in numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from handdata.skeleton import LEFT
from handdata.synth.batch_raster import rasterize_batch
from handdata.synth.frame import Camera
from handdata.synth.hand import ARM_LENGTH_MM, NEAREST_MM, load_hand
from handdata.synth.occlusion import LAMP_MM, SHADOW_PX, TAPS, lamp_axes, load_spheres
from handdata.synth.render import ATTRIBUTES, MOTTLED, NORMAL, NUM_COLUMNS, ON_RING, OPENNESS, POSITION, object_piece
from handdata.synth.scene import PosedHand, Scene
from handdata.synth.skin import REST, attributes, ring_weights
from handdata.synth.style import LOOKS
from handdata.synth.visibility import PARTS_PER_HAND

Pictures = Sequence[tuple[Scene, Camera]]


@dataclass(frozen=True)
class _Topology:
    """One level of detail on a device: lift, faces, face-to-vertex sums, and what does not change."""

    lift: Tensor
    faces: Tensor
    faces_at: Tensor
    part: Tensor
    attributes: Tensor
    ring: Tensor
    base_faces: Tensor
    rim: Tensor
    arm: Tensor
    end: Tensor


@cache
def _topology(device: torch.device, *, coarse: bool) -> _Topology:
    hand = load_hand()
    mesh = hand.mesh(coarse=coarse)

    def sparse(matrix: csr_matrix) -> Tensor:
        found = matrix.tocoo()
        index = torch.as_tensor(np.stack([found.row, found.col]).astype(np.int64))
        values = torch.as_tensor(found.data)
        return torch.sparse_coo_tensor(index, values, found.shape, check_invariants=True).coalesce().to(device)

    def dense(array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(array, device=device)

    return _Topology(
        lift=sparse(mesh.lift),
        faces=dense(mesh.faces),
        faces_at=sparse(mesh.faces_at),
        part=dense(mesh.part),
        attributes=dense(attributes(coarse=coarse)),
        ring=dense(ring_weights(coarse=coarse)),
        base_faces=dense(hand.base_faces),
        rim=dense(mesh.rim),
        arm=dense(mesh.arm),
        end=dense(mesh.end),
    )


@dataclass(frozen=True)
class BatchSurface:
    """All triangles of B scenes in their world frames; see `render.Surface`.

    Attributes:
        vertices: (V, 3) float64 mm; owner: (V,) whose picture.
        faces: (F, 3); picture, part: (F,) of each triangle.
        columns: (V, 18) float32.
        shadows: of every scene's lamp.
    """

    vertices: Tensor
    owner: Tensor
    faces: Tensor
    picture: Tensor
    part: Tensor
    columns: Tensor
    shadows: "BatchShadows"


@dataclass(frozen=True)
class BatchShadows:
    """Shadow maps of B lamps; see `occlusion.ShadowMap`."""

    axes: Tensor  # (B, 3, 3)
    corner: Tensor  # (B, 2)
    scale: Tensor  # (B,)
    nearest: Tensor  # (B, px, px)
    softness: Tensor  # (B,)

    def lit(self, picture: Tensor, points: Tensor, facing: Tensor) -> Tensor:
        """Return the (N,) shares of the lamp's light that reach (N, 3) points of (N,) pictures."""
        place = torch.einsum("nij,nj->ni", self.axes.float()[picture], points)
        scale = self.scale.float()[picture]
        uv = (place[:, :2] - self.corner.float()[picture]) * scale[:, None] + 1
        cosine, texel = facing.clamp(0, 1), 1 / scale
        slope = (1 - cosine**2).clamp(min=0).sqrt() / cosine.clamp(min=0.2)
        reach = place[:, 2] - (1.2 + 2.2 * texel + 2.5 * (1 - cosine) + texel * slope) + LAMP_MM
        total = torch.zeros_like(facing)
        for dx, dy in TAPS.tolist():
            column = (uv[:, 0] + self.softness[picture] * dx + 0.5).clamp(0, SHADOW_PX - 1).to(torch.int64)
            row = (uv[:, 1] + self.softness[picture] * dy + 0.5).clamp(0, SHADOW_PX - 1).to(torch.int64)
            total += reach < self.nearest[picture, row, column]
        return total / len(TAPS)


def build_surfaces(pictures: Pictures, device: torch.device) -> BatchSurface:
    """Mesh the scenes of a batch; all at the same level of detail."""
    hands = [(b, number, hand) for b, (scene, _) in enumerate(pictures) for number, hand in enumerate(scene.hands)]
    shape = _topology(device, coarse=pictures[0][0].coarse)
    whose = torch.tensor([b for b, _, _ in hands], device=device)
    base = torch.as_tensor(np.stack([hand.base for _, _, hand in hands]), device=device)
    sign = torch.tensor([-1.0 if hand.side == LEFT else 1.0 for _, _, hand in hands], device=device)
    vertices = _refine(shape, base, whose, pictures)
    columns = _hand_columns(shape, pictures, hands, vertices, base, sign)
    count = vertices.shape[1]
    wound = torch.where((sign < 0)[:, None, None], shape.faces.flip(1), shape.faces)
    first = torch.arange(len(hands), device=device) * count
    number = torch.tensor([number for _, number, _ in hands], device=device)
    part = 1 + PARTS_PER_HAND * number[:, None] + shape.part.to(torch.int64)
    pieces = {
        "vertices": [vertices.reshape(-1, 3)],
        "owner": [whose.repeat_interleave(count)],
        "faces": [(wound + first[:, None, None]).reshape(-1, 3)],
        "picture": [whose.repeat_interleave(len(shape.faces))],
        "part": [part.reshape(-1)],
        "columns": [columns.reshape(-1, NUM_COLUMNS)],
    }
    base_wound = torch.where((sign < 0)[:, None, None], shape.base_faces.flip(1), shape.base_faces)
    base_first = torch.arange(len(hands), device=device) * base.shape[1]
    casters = {
        "vertices": [base.reshape(-1, 3)],
        "owner": [whose.repeat_interleave(base.shape[1])],
        "faces": [(base_wound + base_first[:, None, None]).reshape(-1, 3)],
        "picture": [whose.repeat_interleave(len(shape.base_faces))],
    }
    for b, (scene, _) in enumerate(pictures):
        if scene.solid is not None:
            _add_object(b, scene, pieces, casters, device)
    joined = {name: torch.cat(tensors) for name, tensors in pieces.items()}
    cast = {name: torch.cat(tensors) for name, tensors in casters.items()}
    return BatchSurface(**joined, shadows=_shadow_maps(pictures, cast, len(hands) * base.shape[1]))


def _add_object(
    b: int, scene: Scene, pieces: dict[str, list[Tensor]], casters: dict[str, list[Tensor]], device: torch.device
) -> None:
    if scene.solid is None:
        return
    vertices, faces, columns = object_piece(scene.solid, scene.hands[0])
    for group in (pieces, casters):
        first = sum(len(tensor) for tensor in group["vertices"])
        group["vertices"].append(torch.as_tensor(vertices, device=device))
        group["owner"].append(torch.full((len(vertices),), b, device=device))
        group["faces"].append(torch.as_tensor(faces, device=device) + first)
        group["picture"].append(torch.full((len(faces),), b, device=device))
    pieces["part"].append(torch.zeros(len(faces), dtype=torch.int64, device=device))
    pieces["columns"].append(torch.as_tensor(columns, device=device))


def _refine(shape: _Topology, base: Tensor, whose: Tensor, pictures: Pictures) -> Tensor:
    """Return (H, V, 3) vertices of the level of detail, forearms prolonged; see `HandMesh.refine`."""
    count = len(base)
    flat = base.permute(1, 0, 2).reshape(base.shape[1], -1)
    vertices: Tensor = torch.sparse.mm(shape.lift, flat).reshape(-1, count, 3).permute(1, 0, 2).contiguous()
    elbow = vertices[:, shape.rim].mean(1)
    direction = torch.nn.functional.normalize(elbow - vertices[:, shape.arm].mean(1), dim=1)
    planes = torch.as_tensor(np.stack([camera.T_camera_world[2] for _, camera in pictures]), device=base.device)[whose]
    approach = -(planes[:, :3] * direction).sum(1)
    room = ((planes[:, :3] * elbow).sum(1) + planes[:, 3] - NEAREST_MM).clamp(min=0)
    length = torch.where(approach > 0, (room / approach.clamp(min=1e-12)).clamp(max=ARM_LENGTH_MM), ARM_LENGTH_MM)
    vertices[:, shape.end] += (direction * length[:, None])[:, None]
    return vertices


def _hand_columns(
    shape: _Topology,
    pictures: Pictures,
    hands: Sequence[tuple[int, int, PosedHand]],
    vertices: Tensor,
    base: Tensor,
    sign: Tensor,
) -> Tensor:
    device = vertices.device
    columns = torch.zeros((*vertices.shape[:2], NUM_COLUMNS), device=device)
    a, b, c = (vertices[:, shape.faces[:, k]] for k in range(3))
    flat = torch.linalg.cross(b - a, c - a).permute(1, 0, 2).reshape(len(shape.faces), -1)
    summed = torch.sparse.mm(shape.faces_at, flat).reshape(-1, len(hands), 3).permute(1, 0, 2)
    normals = torch.nn.functional.normalize(summed, dim=2) * sign[:, None, None]
    openness = _openness(pictures, hands, base, normals[:, : base.shape[1]])
    lifted = torch.sparse.mm(shape.lift, openness.T.double()).T.clamp(0, 1)
    people = [pictures[b][0].setting.person for b, _, _ in hands]
    waves = torch.as_tensor(np.stack([person.waves for person in people]), dtype=torch.float32, device=device)
    strength = torch.tensor([person.mottling for person in people], device=device)
    rest = shape.attributes[:, REST]
    mottled = torch.sin(rest @ waves[:, :, :3].transpose(1, 2) + waves[:, None, :, 3]).mean(2) * strength[:, None]
    columns[:, :, POSITION], columns[:, :, NORMAL] = vertices.float(), normals.float()
    columns[:, :, OPENNESS], columns[:, :, MOTTLED] = lifted.float(), mottled
    columns[:, :, ATTRIBUTES] = shape.attributes
    for row, person in enumerate(people):
        if person.ring is not None:
            columns[row, :, ON_RING] = shape.ring[:, person.ring.finger]
    return columns


def _openness(pictures: Pictures, hands: Sequence[tuple[int, int, PosedHand]], base: Tensor, normals: Tensor) -> Tensor:
    """Return (H, 1842) shares of open sky; see `occlusion.hand_openness`."""
    device, spheres = base.device, load_spheres()
    centres = torch.as_tensor(np.stack([hand.centres for _, _, hand in hands]), device=device)
    scale = torch.tensor([hand.scale for _, _, hand in hands], device=device)
    start, end = centres[:, spheres.ends[:, 0]], centres[:, spheres.ends[:, 1]]
    middle = start + torch.as_tensor(spheres.share, device=device)[:, None] * (end - start)
    origin = base.mean(1, keepdim=True)
    v, n, c = (base - origin).float(), normals.float(), (middle - origin).float()
    r2 = (torch.as_tensor(spheres.radius, device=device) * scale[:, None]).float() ** 2
    distance2 = (v * v).sum(2)[:, :, None] + (c * c).sum(2)[:, None] - 2 * v @ c.transpose(1, 2)
    distance2 = distance2.clamp(min=1)
    cosine = (n @ c.transpose(1, 2) - (n * v).sum(2)[:, :, None]) / distance2.sqrt()
    occluded = (0.75 * cosine + 0.25).clamp(0, 1) * (r2[:, None] / distance2).clamp(max=1)
    occluded = occluded * torch.as_tensor(spheres.shades, device=device)
    openness = (1 - 0.62 * occluded).prod(2)
    for row, (b, _, _) in enumerate(hands):
        solid = pictures[b][0].solid
        if solid is None:
            continue
        for reach in (5.0, 14.0):
            outside = (base[row] + normals[row] * reach).cpu().numpy()
            blocked = np.clip((reach - solid.distance(outside)) / reach, 0, 1)
            openness[row] *= torch.as_tensor((1 - 0.45 * blocked).astype(np.float32), device=device)
    return openness


def _shadow_maps(pictures: Pictures, cast: dict[str, Tensor], num_hand_vertices: int) -> BatchShadows:
    """Look at every scene from its lamp; see `occlusion.shadow_map`."""
    device, count = cast["vertices"].device, len(pictures)
    axes = torch.as_tensor(np.stack([lamp_axes(scene.setting.light.direction) for scene, _ in pictures]), device=device)
    seen = torch.einsum("nij,nj->ni", axes[cast["owner"]], cast["vertices"])
    flat = seen[:, :2]
    low, high = (_bounds(flat, cast["owner"], count, how) for how in ("amin", "amax"))
    on_hand = slice(0, num_hand_vertices)
    near, far = (_bounds(flat[on_hand], cast["owner"][on_hand], count, how) for how in ("amin", "amax"))
    low, high = torch.maximum(low, near - 2), torch.minimum(high, far + 2)
    scale = (SHADOW_PX - 3) / (high - low).amax(1).clamp(min=1)
    uv = (flat - low[cast["owner"]]) * scale[cast["owner"]][:, None] + 1
    size = (SHADOW_PX, SHADOW_PX)
    raster = rasterize_batch(uv, seen[:, 2] + LAMP_MM, cast["faces"], cast["picture"], size, count)
    nearest = torch.where(raster.triangle >= 0, raster.depth, torch.inf).float()
    softness = torch.tensor([LOOKS[scene.setting.style].shadow_softness for scene, _ in pictures], device=device)
    return BatchShadows(axes=axes, corner=low, scale=scale, nearest=nearest, softness=softness)


def _bounds(points: Tensor, owner: Tensor, count: int, how: str) -> Tensor:
    start = torch.zeros((count, 2), dtype=points.dtype, device=points.device)
    return start.scatter_reduce(0, owner[:, None].expand(-1, 2), points, how, include_self=False)
