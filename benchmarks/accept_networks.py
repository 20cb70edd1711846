"""Steps of acceptance.py about the networks of the families: their parts as they are, and what they reach trained."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from time import process_time
from typing import Any

import families
import numpy as np
import torch
from accept_pose import at_most
from machine import Aim
from made_people import K, people
from torch import Tensor, nn
from torch.autograd import gradcheck

from handdata.geometry import crop_affine, view_turn
from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families import bones, family_of, feedback, lifting, projection, two_and_half, volume
from handdata.model.families.family import Labels
from handdata.model.networks import PLAIN
from handdata.model.read_out import expectation
from handdata.paths import DataRoot
from handdata.skeleton import BONES, INDEX, ROOT

COUNT = 512
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def views() -> tuple[Tensor, Tensor]:
    """Return (B, 21, 3) turned poses and (B, 21, 2) crop fractions of rendered hands, float64."""
    hands = people(COUNT)
    affine = np.tile(np.eye(3), (COUNT, 1, 1))
    affine[:, :2] = crop_affine(hands.crops(), 128)
    pose = hands.pose @ view_turn(affine @ K, 128).transpose(0, 2, 1)
    uv = hands.uv @ affine[:, :2, :2].transpose(0, 2, 1) + affine[:, None, :2, 2]
    return torch.from_numpy(pose), torch.from_numpy(uv / 128)


def two_and_a_half(_: Path) -> list[Aim]:
    """Section 4.1."""
    logits, depths = (torch.randn(2, 21, 32, 32, dtype=torch.float64, requires_grad=True) for _ in range(2))
    maps = logits.flatten(2).softmax(-1).view_as(logits)
    z = two_and_half.depth_of(maps, depths)
    z[:, 3].sum().backward()
    flat = two_and_half.depth_of(maps, torch.full_like(depths, 7.0))
    reach = min(float(values.grad[:, 3].abs().max()) for values in (logits, depths) if values.grad is not None)
    return [
        at_most("a map's sum, off 1 by", (maps.sum((-2, -1)) - 1).abs().max().item(), 1e-6, ""),
        at_most("depth of a constant map", flat.abs().max().item(), 1e-6, ""),
        Aim("gradient of z at the maps and at the depths", reach, 1e-12, unit=""),
    ]


def lifted(_: Path) -> list[Aim]:
    """Section 4.2."""
    pose, _uv = views()
    view, _good = lifting.view_of(pose)
    canonical = pose @ view.transpose(1, 2)
    noisy = pose + 0.05 * torch.randn(pose.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noisy[:, ROOT] = 0.0  # by definition
    noisy = noisy / torch.linalg.vector_norm(noisy[:, :1], dim=-1, keepdim=True)
    answer = lifting.nearest_rotation(torch.randn(COUNT, 3, 3, generator=torch.Generator().manual_seed(0)))
    across = pose[:, INDEX["index_mcp"]] - pose[:, INDEX["little_mcp"]]
    down = nn.functional.normalize(pose[:, 0], dim=-1)
    width = torch.linalg.vector_norm(across - (across * down).sum(-1, keepdim=True) * down, dim=-1)
    eye = torch.eye(3)
    return [
        at_most("R R^T off 1 by", (answer @ answer.transpose(1, 2) - eye).abs().max().item(), 1e-5, ""),
        at_most("determinant off +1 by", (torch.linalg.det(answer) - 1).abs().max().item(), 1e-5, ""),
        at_most("there and back", (canonical @ view - pose).abs().max().item(), 1e-6, "units"),
        Aim("across the knuckles, least", width.min().item(), 0.9 * 0.669, unit="units"),
        at_most("the mean pose is off, in the camera's frame", spread(pose), 1.1 * 0.669, "units"),
        at_most("the mean pose is off, in the hand's own frame", spread(canonical), 1.1 * 0.255, "units"),
        at_most("labels 0.05 off turn the frame by", degrees(view, lifting.view_of(noisy)[0]), 1.1 * 4.4, "degrees"),
    ]


def spread(pose: Tensor) -> float:
    """Return the mean distance of keypoints from their mean."""
    return torch.linalg.vector_norm(pose - pose.mean(0), dim=-1).mean().item()


def degrees(one: Tensor, other: Tensor) -> float:
    """Return the median angle between rotations."""
    cosine = (torch.diagonal(one @ other.transpose(1, 2), dim1=1, dim2=2).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).median().item()


def projected(_: Path) -> list[Aim]:
    """Section 4.3."""
    uv = 0.2 + 0.6 * torch.rand(64, 21, 2, generator=torch.Generator().manual_seed(0))
    maps = projection.render(uv, 32)
    peak = torch.stack([maps.amax(2).argmax(-1), maps.amax(3).argmax(-1)], -1)
    shapes = ((2, 21, 3), (2,), (2, 2))
    points, scale, shift = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    pose, seen = views()
    flat, about = pose[..., :2] - pose[..., :2].mean(1, keepdim=True), seen - seen.mean(1, keepdim=True)
    alpha = (flat * about).sum((1, 2)) / flat.square().sum((1, 2))
    off = torch.linalg.vector_norm(alpha[:, None, None] * flat - about, dim=-1)
    return [
        at_most("expectation of a drawn map", 32 * (expectation(maps) - uv).abs().max().item(), 0.01, "cells"),
        at_most("peak of a drawn map", (peak - 32 * uv).abs().max().item(), 0.5 + 1e-5, "cells"),
        Aim("gradcheck", float(gradcheck(projection.project, (points, scale, shift))), 1.0, unit=""),
        at_most("orthographic camera, turned poses", off.mean().item(), 1.1 * 0.0127, "crop"),
        at_most("true scale off the first one, 0.5", abs(alpha.median().item() - 0.5), 0.05, "crop per unit"),
    ]


def volumes(_: Path) -> list[Aim]:
    """Section 4.4."""
    pose, uv = (values.float() for values in views())
    uv, z = uv[:8].clamp(0.1, 0.9), pose[:8, :, 2]
    worst = 0.0
    for depth in volume.DEPTHS:
        px, py, pz = volume.profiles_3d(uv.double(), z.double(), depth, 32)
        written = pz[..., :, None, None] * py[..., None, :, None] * px[..., None, None, :]
        given = torch.rand(written.shape, dtype=torch.float64)
        energy = written.square().sum((2, 3, 4))
        wanted = (given - written).square().sum((2, 3, 4)) / energy.clamp(min=1)
        worst = max(worst, (volume.difference(given, px, py, pz) / wanted - 1).abs().max().item())
    px, py, pz = volume.profiles_3d(uv, z, 32, 32)
    cube = pz[..., :, None, None] * py[..., None, :, None] * px[..., None, None, :]
    _, found = volume.expectation_3d(cube / cube.sum((2, 3, 4), keepdim=True))
    return [
        at_most("a product never written, off by", worst, 1e-6, "relative"),
        at_most("depth of its own Gaussians", (found - z).abs().max().item() / (4 / 32), 2 * 0.014, "bins"),
        at_most("z reaches", float(pose[..., 2].abs().max()), volume.REACH, "units"),
        at_most("z by the nearest of 32 bins", (4 / 32) / 2, 0.066, "units"),
    ]


def bone_by_bone(_: Path) -> list[Aim]:
    """Section 4.5."""
    network: Any = family_of("bones").make(ModelConfig(kind="bones", size=32, width=0.125), PLAIN).eval()
    with torch.no_grad():
        network.decoder.linear2.weight.zero_()
        network.decoder.linear2.bias.fill_(1.0)
        xyz = network(torch.randn(1, 3, 32, 32)).xyz_BK3
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    wanted = torch.tensor(bones.SPREAD)[:, None].expand(20, 3)
    maps, truth = torch.rand(2, 21, 32, 32), torch.randn(2, 21, 3)
    here = torch.ones(2, 21, dtype=torch.bool)
    labels = Labels(torch.rand(2, 21, 2), here, truth, here, *([torch.zeros(2)] * 6))
    found = bones.sums(bones.Prediction(maps, truth + 5.0), labels, LossConfig())[1]
    return [
        at_most("sums along the tree", ((xyz[:, ends] - xyz[:, starts])[0] - wanted).abs().max().item(), 1e-6, "units"),
        at_most("a common shift changes", float(found.total / found.number), 1e-5, ""),
    ]


def fed_back(_: Path) -> list[Aim]:
    """Section 4.6."""
    step = torch.randn(64, 21, 5) * torch.logspace(-3, 1, 64)[:, None, None]
    short = feedback.bounded(step)
    over = torch.linalg.vector_norm(short[..., :2], dim=-1).max().item() / feedback.LONGEST_2D
    pose, uv = views()
    true = torch.cat([uv, pose], -1).float()
    answer = true.mean(0, keepdim=True).expand_as(true)
    off = []
    for _ in range(feedback.STEPS + 1):
        off.append(torch.linalg.vector_norm((true - answer)[..., :2], dim=-1).mean().item())
        answer = answer + feedback.bounded(true - answer)
    return [
        at_most("longest step over the bound", over, 1.0 + 1e-5, ""),
        Aim("the error falls in every step, least by", min(a - b for a, b in pairwise(off)), 0.0, unit="crop"),
        at_most("four perfect steps from the mean pose leave", off[-1], 1.1 * 0.006, "crop"),
    ]


def small(_: Path) -> list[Aim]:
    """Section 4.7."""
    aims = []
    for width, parameters, multiplications, ms in ((1.0, 3.96, 0.151, 8.4), (0.5, 1.30, 0.045, 3.7)):
        network = family_of("compact").make(ModelConfig(kind="compact", width=width), PLAIN).eval()
        count = sum(p.numel() for p in network.parameters()) / 1e6
        aims += [
            at_most(f"width {width}: parameters", count, 1.05 * parameters, "M"),
            at_most(f"width {width}: multiplications", macs(network) / 1e9, 1.05 * multiplications, "G"),
            at_most(f"width {width}: one crop", crop_ms(network), 1.1 * ms, "CPU ms"),
        ]
    return aims


def macs(network: nn.Module, size: tuple[int, int] = (128, 128)) -> float:
    """Return the multiplications of convolutions and linear layers for one picture of (width, height) px."""
    total = 0.0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        weight: Any = module.weight
        total += weight.numel() * (output.shape[-1] * output.shape[-2] if output.ndim == 4 else 1)

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network(torch.randn(1, 3, *size[::-1]))
    for hook in hooks:
        hook.remove()
    return total


def crop_ms(network: nn.Module, rounds: int = 30) -> float:
    """Return the median CPU time of one crop; the machine's other work may raise it."""
    crop, spent = torch.randn(1, 3, 128, 128), []
    with torch.no_grad():
        for _ in range(rounds + 3):
            began = process_time()
            network(crop)
            spent.append(1000 * (process_time() - began))
    return median(spent[3:])


def trained(scratch: Path) -> list[Aim]:
    """Return what families.py measured, beside what Models 1 and 2 reach with the same samples."""
    root = DataRoot(scratch)
    rows: dict[str, list[dict[str, Any]]] = {}
    for kind, row in families.finished(root, families.KINDS, (0, 1)):
        rows.setdefault(kind, []).append(row)
    error = {
        kind: {name: fmean(row[name][0] for row in found) for name in ("2D", "3D")} for kind, found in rows.items()
    }
    aims = [Aim("families trained", len(error), len(families.KINDS), unit=f"of {len(families.KINDS)}")]
    if "latent" in error and "two_and_half" in error:
        aims.append(
            at_most("two_and_half: 3D over Model 2's", error["two_and_half"]["3D"] / error["latent"]["3D"], 1.05, "")
        )
    if "direct" in error and "volume" in error:
        aims.append(at_most("volume: 3D over Model 1's", error["volume"]["3D"] / error["direct"]["3D"], 1.0, ""))
    return aims


STEPS = {
    "4.1 two_and_half": two_and_a_half, "4.2 lifting": lifted, "4.3 projection": projected, "4.4 volume": volumes,
    "4.5 bones": bone_by_bone, "4.6 feedback": fed_back, "4.7 compact": small,
}  # fmt: skip
