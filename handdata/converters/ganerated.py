"""GANerated Hands: 331,499 cropped pictures of a left hand, with and without an object.

Native layout:
    data/{noObject,withObject}/<partition>/<frame>_color_composed.png    256 x 256, cropped from 640 x 480
                                           <frame>_joint2D.txt           42 numbers, px of the crop
                                           <frame>_joint_pos.txt         63 numbers, middle MCP 0, wrist at distance 1
                                           <frame>_joint_pos_global.txt  63 numbers, mm, original camera
                                           <frame>_crop_params.txt       u, v, scale: corner of the crop, size factor

Partition and frame are 4 digits from 0001; a partition holds up to 1024 frames. joint2D = scale (K P / Pz - (u, v)),
so the crop's camera is f' = scale f, c' = scale (c - (u, v)). The formula is kept as the labels have it: a resize that
maps pixel centres would add (scale - 1) / 2 px, less than the labels can tell.
"""

import math
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.layout import choose, locate, read_numbers
from handdata.converters.read.reference_split import reference_split
from handdata.errors import DataError, Fix, HanddataError, MissingError
from handdata.files.opening import matching
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import Sample
from handdata.skeleton import LEFT, ROOT, WRIST, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "the whole picture, which is a crop (docs/method.md 3.2)"
PICTURE = "_color_composed.png"
COUNTS = {"_joint2D.txt": 42, "_joint_pos.txt": 63, "_joint_pos_global.txt": 63, "_crop_params.txt": 3}  # numbers
LABELS = tuple(COUNTS)
FILE = re.compile(
    r"(\d{4})(_color_composed\.png|_joint2D\.txt|_joint_pos\.txt|_joint_pos_global\.txt|_crop_params\.txt)"
)
# What rounding can do to a label; more is another frame's. joint_pos, with one decimal: each number 0.05 off, and the
# wrist's distance 0.09. joint2D against the projected joint_pos_global: 0.5 px for whole pixels of the crop, and of the
# original, times the scale, 1 for a corner cut to whole pixels, 0.5 for which part of a pixel (u, v) is, 1.5 for whole
# millimetres at 200 mm, 1 for a scale with two decimals.
MAX_NORMALIZED_OFF = 0.1
MAX_RESIDUAL_PX, MAX_RESIDUAL_ORIGINAL_PX = 0.5, 4.0
EXACT_NORMALIZED = 1e-3  # further off, joint_pos_global is normalised instead: it says the same with more digits
MEASURED = 256  # frames whose residuals are told
PROBES = 8  # labels tried until one can be read
# joint_pos_global by its size, wrist to middle MCP: 50 to 130 mm of a person's hand, a thousand or ten times less else
UNITS = (("metres", 1.0, 1000.0), ("centimetres", 16.0, 10.0), ("mm", math.inf, 1.0))  # name, longest, mm in one

OPTIONS = Options


def plan(root: Path, manifest: Manifest, options: Options) -> Plan:
    """List the frames in the order of their paths."""
    root = locate(root, manifest, [f"*Object/*/*{PICTURE}"])
    base = "data/" if (root / "data").is_dir() else ""
    frames: dict[str, dict[str, set[str]]] = {}  # partition -> frame -> kinds of file
    for name in manifest.extra["classes"]:
        for folder in sorted(matching(root / base / name, "*")):
            if folder.name.isdecimal() and (found := _files(folder)):
                frames[f"{name}/{folder.name}"] = found
    kept = choose(options.sequences, frames, "sequences")
    splits, warnings = _splits(frames, manifest, options)
    items = [
        Item(f"{partition}/{frame}", splits[f"{partition}/{frame}"], partition, "color", int(frame),
             f"{base}{partition}/{frame}{PICTURE}")
        for partition in kept
        for frame in sorted(frames[partition])
    ]  # fmt: skip
    if not items:
        expected, fix = f"pictures <4 digits>{PICTURE} or their labels", "Unpack the archive again."
        raise MissingError(root / base, expected=expected, got="none", fix=fix)
    absent = [name for name in manifest.extra["classes"] if not any(part.startswith(f"{name}/") for part in frames)]
    warnings += [f"absent: {', '.join(absent)}"] if absent else []
    broken = [item for item in items if len(frames[item.sequence][item.id[-4:]]) < 1 + len(LABELS)]
    if broken:
        warnings.append(f"{len(broken)} frames lack a file, the first {broken[0].id}")
    return Plan(
        root=root,
        items=tuple(items),
        warnings=tuple(warnings),
        labels_of=lambda item: tuple(f"{item.image.removesuffix(PICTURE)}{kind}" for kind in LABELS),
        readings=(
            ("joint2D", "scale (K P / Pz - (u, v)), checked in every frame"),
            ("unit of joint_pos_global", _unit(root, items)),
            *_residuals(root, items, manifest),
        ),
    )


def reader(root: Path, manifest: Manifest, options: Options) -> Reader:  # noqa: ARG001 - none concerns it
    """Return a reader of one frame."""
    original = manifest.cameras["original"].K

    def read(item: Item) -> Sample:
        stem = f"{root}/{item.image.removesuffix(PICTURE)}"
        uv_path, normalized_path, global_path, crop_path = (stem + kind for kind in LABELS)
        uv = read_numbers(uv_path, 42).reshape(21, 2)
        normalized = _checked(read_numbers(normalized_path, 63).reshape(21, 3), normalized_path)
        is_exact = _normalized_off(normalized) <= EXACT_NORMALIZED
        xyz = _to_mm(read_numbers(global_path, 63).reshape(21, 3))
        crop = read_numbers(crop_path, 3)
        K = _crop_camera(original, crop, crop_path)
        _check_projection(uv, project(xyz, K), MAX_RESIDUAL_PX + crop[2] * MAX_RESIDUAL_ORIGINAL_PX, uv_path)
        image = read_image(f"{root}/{item.image}")
        return Sample(
            id=item.id,
            image=image,
            hand_side=LEFT,
            keypoints_2d=to_canonical(uv, manifest.keypoints),
            keypoints_3d=to_canonical(xyz, manifest.keypoints),
            keypoints_3d_normalized=to_canonical(normalized, manifest.keypoints) if is_exact else None,
            K=K,
            crop_xyxy=crops.centered_square(image.shape[1], image.shape[0]),
            has_object=int(item.sequence.startswith("withObject/")),
        )

    return read


def _unit_of(xyz: NDArray[np.float64]) -> tuple[str, float]:
    """Return the unit of joint_pos_global and the mm in one. The archive does not name it; a hand's size tells it."""
    size = float(np.linalg.norm(xyz[WRIST] - xyz[ROOT]))
    return next((name, factor) for name, longest, factor in UNITS if size < longest)


def _to_mm(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    return xyz * _unit_of(xyz)[1]


def _unit(root: Path, items: Sequence[Item]) -> str:
    """Name the unit of the first label that can be read; the reader names the others."""
    for item in items[:PROBES]:
        try:
            xyz = read_numbers(root / f"{item.image.removesuffix(PICTURE)}{LABELS[2]}", 63).reshape(21, 3)
        except (HanddataError, OSError):
            continue
        return f"{_unit_of(xyz)[0]}, by the size of the hand"
    return "unknown: no label could be read"


def _files(folder: Path) -> dict[str, set[str]]:
    """List a partition as frame -> kinds of file; other files are passed over."""
    frames: dict[str, set[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if match := FILE.fullmatch(entry.name):
                    frames.setdefault(match[1], set()).add(match[2])
    except NotADirectoryError:
        return {}
    return frames


def _splits(
    frames: dict[str, dict[str, set[str]]], manifest: Manifest, options: Options
) -> tuple[dict[str, str], list[str]]:
    """Give every frame its split: by partition, or by picture as published."""
    if options.split_scheme.startswith("reference"):
        every = sorted(f"{partition}/{frame}" for partition in frames for frame in frames[partition])
        splits, warnings = reference_split(every, manifest.extra["reference_split"], manifest.counts["frames"])
        return dict(zip(every, splits, strict=True)), warnings
    rule, split_of = manifest.extra["partition_split"], {}
    for name in manifest.extra["classes"]:
        partitions = sorted(partition for partition in frames if partition.startswith(f"{name}/"))
        share = max(1, len(partitions) * rule["percent"] // 100) if len(partitions) >= rule["at_least"] else 0
        train = len(partitions) - 2 * share
        for rank, partition in enumerate(partitions):
            split_of[partition] = "train" if rank < train else "val" if rank < train + share else "test"
    return {f"{partition}/{frame}": split_of[partition] for partition in frames for frame in frames[partition]}, []


def _crop_camera(K: NDArray[np.float64], crop: NDArray[np.float64], path: str) -> NDArray[np.float64]:
    """Return the intrinsics of the crop from those of the original picture.

    Raises:
        DataError: the scale is not positive.
    """
    u, v, scale = crop
    if scale <= 0:
        raise DataError(f"{path}:1", expected="u, v and a positive scale", got=f"scale {scale:g}")
    cropped: NDArray[np.float64] = K * np.array([[scale], [scale], [1.0]])
    cropped[:2, 2] -= scale * np.array([u, v])
    return cropped


def _normalized_off(normalized: NDArray[np.float64]) -> float:
    """Return how far joint_pos is from having its middle MCP at 0 and its wrist at distance 1."""
    return max(float(np.abs(normalized[ROOT]).max()), abs(float(np.linalg.norm(normalized[WRIST])) - 1))


def _checked(normalized: NDArray[np.float64], path: str) -> NDArray[np.float64]:
    """Return joint_pos if its middle MCP is the origin and its wrist at distance 1, but for rounding.

    Raises:
        DataError: it is not.
    """
    if _normalized_off(normalized) > MAX_NORMALIZED_OFF:
        root, reach = float(np.abs(normalized[ROOT]).max()), float(np.linalg.norm(normalized[WRIST]))
        got = f"{root:.4g} off it and {reach:.4g}"
        fix = Fix("Unpack that file again", skips="the frame")
        raise DataError(f"{path}:1", expected="the middle MCP at 0 and the wrist at distance 1", got=got, fix=fix)
    return normalized


def _residuals(root: Path, items: Sequence[Item], manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Say how far joint2D is from the projected joint_pos_global, and joint_pos from its own rule, in some frames."""
    original = manifest.cameras["original"].K
    px: list[float] = []
    units: list[float] = []
    for item in items[:: max(1, len(items) // MEASURED)]:
        stem = f"{root}/{item.image.removesuffix(PICTURE)}"
        numbers = [tried(partial(read_numbers, stem + kind, count), stem)[0] for kind, count in COUNTS.items()]
        uv, normalized, xyz, crop = numbers
        if uv is None or normalized is None or xyz is None or crop is None or crop[2] <= 0:
            continue  # the reader names it
        projected = project(_to_mm(xyz.reshape(21, 3)), _crop_camera(original, crop, stem))
        px.append(float(np.abs(uv.reshape(21, 2) - projected).max()))
        units.append(_normalized_off(normalized.reshape(21, 3)))
    known = np.array(px)[np.isfinite(px)]
    if not len(known):
        return ()
    return (
        ("joint2D against joint_pos_global", f"{_spread(known)} px in {len(known)} frames looked at"),
        ("joint_pos against its rule", f"{_spread(np.array(units))} of the hand's size"),
    )


def _spread(values: NDArray[np.float64]) -> str:
    median, most = np.percentile(values, (50, 95))
    return f"median {median:.2g}, 95 % {most:.2g}, largest {values.max():.2g}"


def _check_projection(uv: NDArray[np.float64], projected: NDArray[np.float64], limit: float, path: str) -> None:
    """Refuse a 2D label that is not the projection of the 3D label.

    Raises:
        DataError: they differ, or a point lies behind the camera.
    """
    residual = np.abs(uv - projected).max()
    if not residual <= limit:  # NaN too
        fix = Fix("The files of this frame are not of one picture; unpack them again", skips="it")
        expected = f"the projection of joint_pos_global within {limit:.1f} px"
        raise DataError(f"{path}:1", expected=expected, got=f"{residual:.1f} px", fix=fix)
