"""Render batches of pictures in torch, on a GPU or the CPU: the same geometry and labels as render.py, the same light.

Depth, mask and parts follow the numpy reference's arithmetic in float64. Of the looks, motion blur, JPEG and the shadow
on the wall are left out: they differ from picture to picture in ways that do not batch.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handdata.synth.batch_raster import BatchRaster, rasterize_batch
from handdata.synth.batch_shade import Looks, hold_highlights, illuminate, material
from handdata.synth.batch_surface import BatchSurface, Pictures, build_surfaces
from handdata.synth.frame import MASK_HAND, MASK_OBJECT
from handdata.synth.rasterize import NEAR_MM
from handdata.synth.render import ATTRIBUTES, EDGE_MM, MOTTLED, NORMAL, ON_RING, OPENNESS, POSITION
from handdata.synth.scene import Scene
from handdata.synth.sensor import MIDDLE_GREY, SHOULDER, grain


@dataclass(frozen=True)
class BatchViews:
    """B rendered pictures on the device; as `frame.View`.

    Attributes:
        image: (B, H, W, 3) uint8 RGB.
        depth: (B, H, W) float32 mm, 0 where nothing is.
        mask: (B, H, W) uint8: 0 background, 1 hand, 2 object.
        part: (B, H, W) uint8.
    """

    image: Tensor
    depth: Tensor
    mask: Tensor
    part: Tensor


class BatchRenderer:
    """Renders scenes of one picture size and level of detail together.

    Args:
        device: where to render.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def render(self, pictures: Pictures) -> BatchViews:
        """Render (scene, camera) pairs, as `picture.build_picture` makes them.

        Raises:
            ValueError: the pictures differ in size or level of detail, or none are given.
        """
        sizes = {(camera.width, camera.height, scene.coarse, scene.smooth) for scene, camera in pictures}
        if len(sizes) != 1:
            raise ValueError(f"a batch needs pictures of one size and level of detail, got {sorted(sizes)}")
        width, height, _, smooth = sizes.pop()
        surface = build_surfaces(pictures, self.device)
        uv, z = _projected(pictures, surface)
        where = surface.faces, surface.picture
        centres = rasterize_batch(uv, z, *where, (width, height), len(pictures))
        corners = rasterize_batch(uv + 0.5, z, *where, (width + 1, height + 1), len(pictures)) if smooth else None
        color, alpha = self._colors(pictures, surface, centres, corners)
        hit = centres.triangle >= 0
        part = torch.where(hit, surface.part[centres.triangle], 0)
        mask = torch.where(hit, torch.where(part > 0, MASK_HAND, MASK_OBJECT), 0)
        return BatchViews(
            image=self._developed(pictures, color, alpha),
            depth=centres.depth.float(),
            mask=mask.to(torch.uint8),
            part=part.to(torch.uint8),
        )

    def _colors(
        self, pictures: Pictures, surface: BatchSurface, centres: BatchRaster, corners: BatchRaster | None
    ) -> tuple[Tensor, Tensor]:
        """Return (B, H, W, 3) light weighted by the (B, H, W) coverage; see `render._colors`."""
        shape = centres.triangle.shape
        pixels = shape[1] * shape[2]
        triangle, weights, whose = centres.triangle.reshape(-1)[centres.pixel], centres.weights, centres.pixel // pixels
        samples = torch.zeros((centres.triangle.numel(), 4), device=self.device)
        if corners is None:
            samples[centres.pixel, :3] = self.shade(pictures, surface, triangle, weights, whose)
            samples[centres.pixel, 3] = 1
            middle = samples.reshape(*shape, 4)
            return middle[..., :3], middle[..., 3]
        edge = _edges(centres, corners)
        wanted = torch.zeros(corners.triangle.shape, dtype=torch.bool, device=self.device)
        for quarter in _quarters(wanted):
            quarter.logical_or_(edge)
        chosen = wanted.reshape(-1)[corners.pixel]
        at = corners.pixel[chosen]
        corner_pixels = corners.triangle.shape[1] * corners.triangle.shape[2]
        triangle = torch.cat([triangle, corners.triangle.reshape(-1)[at]])
        weights, whose = torch.cat([weights, corners.weights[chosen]]), torch.cat([whose, at // corner_pixels])
        shaded = self.shade(pictures, surface, triangle, weights, whose)
        inner = len(centres.pixel)
        samples[centres.pixel, :3], samples[centres.pixel, 3] = shaded[:inner], 1
        outer = torch.zeros((corners.triangle.numel(), 4), device=self.device)
        outer[at, :3], outer[at, 3] = shaded[inner:], 1
        middle = samples.reshape(*shape, 4)
        mixed = 0.5 * middle
        for quarter in _quarters(outer.reshape(*corners.triangle.shape, 4)):
            mixed = mixed + 0.125 * quarter
        middle = torch.where(edge[..., None], mixed, middle)
        return middle[..., :3], middle[..., 3]

    def shade(
        self, pictures: Pictures, surface: BatchSurface, triangle: Tensor, weights: Tensor, whose: Tensor
    ) -> Tensor:
        """Return the (N, 3) linear light of N samples of (N,) pictures; see `render.shade`."""
        looks = Looks([scene for scene, _ in pictures], self.device)
        faces, share = surface.faces[triangle], weights.float()
        point = sum(
            (surface.columns[faces[:, k]] * share[:, k : k + 1] for k in range(3)), torch.zeros((), device=self.device)
        )
        on_hand = surface.part[triangle] > 0
        stuff = material(looks, whose, point[:, ATTRIBUTES], point[:, MOTTLED], point[:, ON_RING], on_hand)
        eyes = [-camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3] for _, camera in pictures]
        toward_eye = torch.nn.functional.normalize(looks.constant(np.stack(eyes))[whose] - point[:, POSITION], dim=1)
        normals = torch.nn.functional.normalize(point[:, NORMAL], dim=1)
        normals = torch.nn.functional.normalize(normals + stuff.bump, dim=1)
        facing = (normals * looks.of("lamp_direction", whose)).sum(1)
        lit = surface.shadows.lit(whose, point[:, POSITION], facing)
        color = illuminate(looks, whose, stuff, normals, toward_eye, lit, point[:, OPENNESS])
        return hold_highlights(looks, whose, color, on_hand, len(pictures))

    def _developed(self, pictures: Pictures, color: Tensor, alpha: Tensor) -> Tensor:
        """Put the hands on their backgrounds and develop them; see `film.develop`."""
        height, width = alpha.shape[1:]
        grounds = np.stack([scene.setting.backdrop.picture(width, height) for scene, _ in pictures])
        linear = torch.as_tensor(grounds, device=self.device) * (1 - alpha[..., None]) + color
        films = [scene.setting.film for scene, _ in pictures]

        def each(values: Sequence[Any]) -> Tensor:
            return torch.as_tensor(np.array(values, np.float32), device=self.device).reshape(len(films), 1, 1, -1)

        light = linear.clamp(min=0) * each([film.gain for film in films])
        light = light / (1 + (light - SHOULDER).clamp(min=0))
        levels = (_srgb(light) * 255 - MIDDLE_GREY) * each([film.contrast for film in films]) + MIDDLE_GREY
        levels = _blurred(levels, [film.blur * min(width, height) / 256 for film in films])
        y, x = (torch.linspace(-1, 1, n, device=self.device) for n in (height, width))
        corner = ((x * x)[None] + (y * y)[:, None])[None, :, :, None] / 2
        levels = levels * (1 - each([film.vignette for film in films]) * corner)
        noise = np.stack([_noise(scene, camera.name, width, height) for scene, camera in pictures])
        levels = levels + torch.as_tensor(noise, device=self.device) * each([film.noise for film in films])
        return (levels + 0.5).clamp(0, 255).to(torch.uint8)


def _noise(scene: Scene, camera: str, width: int, height: int) -> Any:
    return grain(np.random.default_rng([*scene.seed, zlib.crc32(camera.encode())]), width, height)


def _projected(pictures: Pictures, surface: BatchSurface) -> tuple[Tensor, Tensor]:
    """Return (V, 2) pixels and (V,) depths, each vertex in its own picture."""
    device = surface.vertices.device
    K, pose = (
        torch.as_tensor(np.stack(arrays), device=device)
        for arrays in zip(*((camera.K, camera.T_camera_world) for _, camera in pictures), strict=True)
    )
    owner = surface.owner
    xyz = torch.einsum("nij,nj->ni", pose[owner][:, :3, :3], surface.vertices) + pose[owner][:, :3, 3]
    uvw = torch.einsum("nij,nj->ni", K[owner], xyz)
    return uvw[:, :2] / torch.where(xyz[:, 2:] > NEAR_MM, xyz[:, 2:], 1.0), xyz[:, 2]


def _quarters(grid: Tensor) -> Iterator[Tensor]:
    """Yield the four views of a (B, H + 1, W + 1, ...) grid of corners that are one corner of every pixel."""
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            yield grid[:, rows, columns]


def _edges(centres: BatchRaster, corners: BatchRaster) -> Tensor:
    nearest = farthest = centres.depth
    for quarter in _quarters(corners.depth):
        nearest, farthest = torch.minimum(nearest, quarter), torch.maximum(farthest, quarter)
    return farthest - nearest > EDGE_MM


def _srgb(light: Tensor) -> Tensor:
    value = light.clamp(0, 1)
    return torch.where(value <= 0.0031308, value * 12.92, 1.055 * value.clamp(min=1e-9) ** (1 / 2.4) - 0.055)


def _blurred(levels: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Blur every (H, W, 3) picture with its own Gaussian, as OpenCV does; below 0.25 px not at all."""
    if max(sigmas) <= 0.25:
        return levels
    radius = int(np.ceil(4 * max(sigmas)))
    offsets = np.arange(-radius, radius + 1)
    kernels = [np.exp(-0.5 * (offsets / s) ** 2) if s > 0.25 else (offsets == 0).astype(float) for s in sigmas]
    rows = [kernel / kernel.sum() for kernel in kernels]
    weights = torch.as_tensor(np.repeat(np.stack(rows), 3, 0), dtype=torch.float32, device=levels.device)
    count, height, width, _ = levels.shape
    planes = levels.permute(0, 3, 1, 2).reshape(1, count * 3, height, width)
    padded = torch.nn.functional.pad(planes, (radius,) * 4, mode="reflect")
    across = torch.nn.functional.conv2d(padded, weights[:, None, None, :], groups=count * 3)
    both = torch.nn.functional.conv2d(across, weights[:, None, :, None], groups=count * 3)
    return both.reshape(count, 3, height, width).permute(0, 2, 3, 1)
