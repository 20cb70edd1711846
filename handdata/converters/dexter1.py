"""Dexter 1: 7 sequences of one actor's right hand, five fingertips and the palm centre labelled on ToF depth.

Native layout:
    data/<seq>/tof/depth/<stamp>.png                    16-bit mm, 32001 where invalid
    data/<seq>/multicam/cam<0..4>/<stamp><index>_cam<n>.png     index has six digits, from 0
    data/<seq>/annotations/Pos3D.txt                    blocks of six lines "x, y, z" with an empty line between
    data/<seq>/annotations/Pos2D.txt                    depth pixels, not read

Labels are in the ToF camera with x to the left and y up. The k-th depth picture in name order has the k-th block. The
colour cameras' calibration is not published in a form anybody reads: see `read_calibration`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, boxes_option, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.fingertips import (
    Points,
    check_in_front,
    missing_points,
    pair,
    parse_point,
    read_lines,
    require_both,
)
from handdata.converters.read.layout import choose, data_folder, locate, unique
from handdata.converters.read.packaging import no_sequence
from handdata.errors import ConfigError, DataError, Fix, HanddataError
from handdata.files.opening import matching
from handdata.files.text import Wanted, read_toml
from handdata.geometry import project, transform
from handdata.manifest import CameraFacts, Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image, read_raw
from handdata.shards.schema import Flag, Sample
from handdata.skeleton import RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "a square round the annotated tips; the centre in views without 2D"
TOF = "tof"
COLOR_CAMERAS = tuple(f"cam{n}" for n in range(5))
BLOCK = 6  # lines: thumb, index, middle, ring, little, palm centre
PALM = 5
PROBES = 8  # depth pictures looked at where their numbering is in doubt
MIN_HITS = 10  # labels that lie on their depth to the millimetre, before that counts as evidence
FAR_MM = 100.0  # a label was clicked on the depth picture: so far off, or without depth under it, it belongs elsewhere
MAX_MISFIT_MM = 80.0  # mean over labels; a tip may hide behind the hand
Block = tuple[int, tuple[str, ...]]  # number of its first line, its lines


@dataclass(frozen=True, kw_only=True)
class Dexter1Options(Options):
    """What this dataset alone can be asked."""

    camera: str = option("", "Camera [default: tof]", choices=(TOF, *COLOR_CAMERAS, "all"))
    boxes: Path | None = boxes_option()
    calibration: Path | None = option(None, "TOML file with the projection of the colour cameras.")


OPTIONS = Dexter1Options


def plan(root: Path, manifest: Manifest, options: Dexter1Options) -> Plan:
    """List the pictures that have a label block, of the chosen camera, sequence by sequence."""
    pictures = ("tof/depth/*.png", "multicam/cam*/*.png")
    root = locate(root, manifest, (f"data/*/{pictures[1]}",), *((f"*/{pattern}",) for pattern in pictures))
    wanted = () if options.camera == "all" else (options.camera or TOF,)
    cameras = choose(wanted, (TOF, *COLOR_CAMERAS), "camera")
    split_of = {name: split for split, members in manifest.sequences.items() for name in members}
    items: list[Item] = []
    notes: list[str] = []
    absent: list[str] = []
    faults: dict[str, HanddataError] = {}
    for sequence in choose(options.sequences, split_of, "sequences"):
        for camera in cameras:
            found, leftover, fault = _frames(root, manifest, sequence, camera, split_of[sequence])
            items += found
            faults |= {item.id: fault for item in found if fault is not None}
            notes += leftover
            absent += [] if found else [f"{sequence}/{camera}"]
    if not items:
        raise no_sequence(data_folder(root), list(split_of), f"pictures of {', '.join(cameras)} with labels")
    if absent:
        notes.insert(0, f"absent: {', '.join(absent)}")
    origin, told = pixel_origin(root, manifest)
    labels = tuple(sorted({_label_path(root, item.sequence).relative_to(root).as_posix() for item in items}))
    readings = _readings(cameras, _cameras(manifest, options, origin))
    if TOF in cameras:
        readings += (("pixels of the labels", told),)
    return Plan(
        root=root, items=tuple(items), label_files=labels, warnings=tuple(notes), readings=readings, faults=faults
    )


def reader(root: Path, manifest: Manifest, options: Dexter1Options) -> Reader:
    """Return a reader of depth pictures rendered to 8 bits, or of colour views."""
    cameras = _cameras(manifest, options, pixel_origin(root, manifest)[0])
    near, far = manifest.extra["depth_mm"]

    def read(item: Item) -> Sample:
        facts = cameras.get(item.camera)
        points = to_tof(read_block(_label_path(root, item.sequence), item.ref, manifest), manifest)
        xyz = points if facts is None else transform(facts.T_camera_label, points)
        uv = np.full((BLOCK, 2), np.nan) if facts is None else project(xyz, facts.K)
        path = root / item.image
        return Sample(
            id=item.id,
            image=render_depth(_read_depth(path), near, far) if item.camera == TOF else read_image(path),
            hand_side=RIGHT,
            keypoints_2d=to_canonical(uv, manifest.keypoints),
            keypoints_3d=to_canonical(xyz, manifest.keypoints),
            palm_center_2d=uv[PALM],
            palm_center_3d=xyz[PALM],
            K=None if facts is None else facts.K,
            flags=Flag.PROJECTION_APPROXIMATE if facts is None else Flag.NONE,
        )

    return read


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Cut a label file into its frames without reading the numbers.

    Raises:
        DataError: two blocks in a row are damaged, so that the frames after them cannot be told.
    """
    return _cut(path, read_lines(path))


@lru_cache(maxsize=16)
def _cut(path: Path, text: tuple[str, ...]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    lines: list[str] = []
    for number, line in enumerate((*text, ""), start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            blocks.append((number - len(lines), tuple(lines)))
            lines = []
    broken = [len(lines) != BLOCK for _, lines in blocks]
    for (start, _), *pair_broken in zip(blocks[1:], broken, broken[1:], strict=False):
        if all(pair_broken):
            fix = "Unpack that file from the archive again."
            raise DataError(f"{path}:{start}", expected="blocks of six lines", got="two damaged in a row", fix=fix)
    return tuple(blocks)


def read_block(path: Path, index: int, manifest: Manifest) -> Points:
    """Return one frame's five tips and palm centre (6, 3) as labelled, mm; NaN where missing.

    Raises:
        DataError: the block is damaged.
    """
    start, lines = read_blocks(path)[index]
    if len(lines) != BLOCK:
        fix = Fix("Unpack that file from the archive again", skips="the frame")
        raise DataError(f"{path}:{start}", expected="a block of six lines", got=str(len(lines)), fix=fix)
    points = np.array([parse_point(line, 3, f"{path}:{start + i}") for i, line in enumerate(lines)])
    sentinel, zero = missing_points(points, manifest.extra["missing_mm"])
    points[sentinel | zero] = np.nan
    check_in_front(points, f"{path}:{start}")
    return points


def to_tof(native: NDArray[np.float64], manifest: Manifest) -> Points:
    """Turn labelled points (..., 3) to x right, y down, z forward in the ToF camera, mm."""
    return np.asarray(native * np.array(manifest.extra["label_axes"]), np.float64)


def render_depth(depth: NDArray[np.uint16], near: float, far: float) -> NDArray[np.uint8]:
    """Make an 8-bit picture of depth: 255 at `near` falling linearly to 1 at `far`, 0 elsewhere and where invalid.

    Args:
        depth: (H, W) mm.
        near: mm, nearer is black too: the sensor gives none there.
        far: mm; the invalid value 32001 lies beyond.

    Returns:
        (H, W, 3), three equal channels.
    """
    z = depth.astype(np.float64)
    level = np.rint(255 - 254 * (z - near) / (far - near))
    grey = np.where((z >= near) & (z <= far), level, 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def read_calibration(path: Path) -> dict[str, CameraFacts]:
    """Read the projection of colour cameras from TOML.

        [cam0]
        size = [320, 240]
        K = [[400.0, 0.0, 160.0], [0.0, 400.0, 120.0], [0.0, 0.0, 1.0]]         # px
        T_camera_tof = [[1.0, 0.0, 0.0, -80.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]    # mm

    `T_camera_tof` maps the ToF camera's frame (x right, y down, z forward) to the colour camera's.

    Raises:
        ConfigError: no such file, not TOML, or a table of another shape.
    """
    fix = "See `handdata convert dexter1 --help` and docs/datasets.md."
    if not path.is_file():
        raise ConfigError(path, expected="a calibration", got="no such file", fix=fix)
    tables = read_toml(path, Wanted(what="a calibration", fix=fix, error=ConfigError))
    try:
        cameras = {name: _calibrated(table) for name, table in tables.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            path, expected="tables [cam<n>] with size, K and T_camera_tof", got=str(error), fix=fix
        ) from None
    unknown = sorted(set(cameras) - set(COLOR_CAMERAS))
    if unknown or not cameras:
        got = ", ".join(unknown) or "none"
        raise ConfigError(path, expected=f"tables out of {', '.join(COLOR_CAMERAS)}", got=got, fix=fix)
    return cameras


def _calibrated(table: Mapping[str, object]) -> CameraFacts:
    T = np.eye(4)
    T[:3] = np.array(table["T_camera_tof"], np.float64).reshape(-1, 4)[:3]
    K = np.array(table["K"], np.float64).reshape(3, 3)
    if not (np.isfinite(K).all() and np.isfinite(T).all() and (np.diag(K) > 0).all()):
        raise ValueError("K or T_camera_tof without finite numbers and focal lengths above 0")
    width, height = np.array(table["size"], int).tolist()
    return CameraFacts(K=K, size=(width, height), T_camera_label=T)


def pixel_origin(root: Path, manifest: Manifest) -> tuple[int, str]:
    """Tell whether the labels count pixels from 0 or, as MATLAB does, from 1: a label's z is the depth it lies on.

    Returns:
        0 or 1; what speaks for it, a phrase. 0 where the depth pictures do not tell.
    """
    hits, total = [0, 0], 0
    for sequence in (name for members in manifest.sequences.values() for name in members):
        if not _label_path(root, sequence).is_file():
            continue
        with suppress(DataError, OSError):  # the plan names it, if the sequence was asked for
            pictures, _ = _depth_pictures(root, sequence, manifest)
            for xyz, depth in _probes(pictures, _label_path(root, sequence), manifest):
                total += len(xyz)
                for origin in (0, 1):
                    surface, z = _under(xyz, depth, manifest, origin)
                    hits[origin] += int((surface == z).sum())
    likely = int(hits[1] > hits[0])
    if hits[likely] < max(MIN_HITS, 2 * hits[1 - likely]):
        return 0, "counted from 0: the depth pictures do not tell"
    return (
        likely,
        f"counted from {likely}: {hits[likely]} of {total} labels lie on their depth, else {hits[1 - likely]}",
    )


def _cameras(manifest: Manifest, options: Dexter1Options, origin: int) -> dict[str, CameraFacts]:
    """Return the cameras whose projection is known; theirs is the frame of the 3D."""
    tof = manifest.cameras[TOF]
    K = tof.K - np.array([[0.0, 0.0, origin], [0.0, 0.0, origin], [0.0, 0.0, 0.0]])
    known = {TOF: replace(tof, K=K)}
    return known if options.calibration is None else known | read_calibration(options.calibration)


def _readings(cameras: list[str], known: Mapping[str, CameraFacts]) -> tuple[tuple[str, str], ...]:
    unknown = [camera for camera in cameras if camera not in known]
    if not unknown:
        return ()
    found = f"in the ToF camera's frame, without 2D, for {', '.join(unknown)}: no --calibration gives their projection"
    return (("3D keypoints", found),)


def _label_path(root: Path, sequence: str) -> Path:
    return data_folder(root) / sequence / "annotations" / "Pos3D.txt"


def _frames(
    root: Path, manifest: Manifest, sequence: str, camera: str, split: str
) -> tuple[list[Item], list[str], HanddataError | None]:
    """List one sequence through one camera; say what is left over, and why its labels cannot be read if so."""
    folder, label = data_folder(root) / sequence, _label_path(root, sequence)
    blocks, fault = tried(partial(read_blocks, label), label) if label.exists() else ((), None)
    odd: list[str] = []
    if camera == TOF and fault is None:
        pictures, odd = _depth_pictures(root, sequence, manifest)
    elif camera == TOF:
        pictures = dict(enumerate(_depth_files(folder)))
    else:
        pictures = _color_pictures(folder, camera)
    others = any((folder / name).is_dir() for name in ("tof/depth", "multicam"))
    if not pictures and others and label.exists():
        return [], [], None
    if not require_both(sequence, len(pictures), folder, (label,)):
        return [], [], None
    count = None if blocks is None else len(blocks)
    paired, notes = pair(f"{sequence}/{camera}", pictures, count, "label blocks")
    items = [
        Item(f"{sequence}/{camera}/{row:04d}", split, sequence, camera, row, path.relative_to(root).as_posix(), row)
        for row, path in paired.items()
    ]
    return items, notes + odd, fault


def _depth_files(folder: Path) -> list[Path]:
    return sorted(path for path in matching(folder / TOF / "depth", "*.png") if path.stem.isdecimal())


def _depth_pictures(root: Path, sequence: str, manifest: Manifest) -> tuple[dict[int, Path], list[str]]:
    """Number the depth pictures as the blocks are: in name order, or as the colour pictures of the same stamp.

    The two differ where a picture is absent; then the stamps count, unless the labels fit the name order twice as well.

    Returns:
        Pictures by their block; what is odd about it, a sentence each.
    """
    folder = data_folder(root) / sequence
    paths = _depth_files(folder)
    by_order = dict(enumerate(paths))
    label = _label_path(root, sequence)
    if not paths or not label.is_file():
        return by_order, []
    stamps = {
        path.name[: -len("000000_cam0.png")]: row
        for camera in COLOR_CAMERAS
        for row, path in _color_pictures(folder, camera).items()
    }
    by_stamp = {stamps[path.stem]: path for path in paths} if all(path.stem in stamps for path in paths) else by_order
    if by_stamp == by_order and len(paths) == len(read_blocks(label)):
        return by_order, []
    in_order, stamped = (_misfit(pictures, label, manifest) for pictures in (by_order, by_stamp))
    best, misfit = (by_order, in_order) if in_order < stamped / 2 else (by_stamp, stamped)
    notes = [] if best == by_order else [f"{sequence}/{TOF}: paired by the stamps of the colour pictures, not in order"]
    if misfit > MAX_MISFIT_MM:
        off = f"{misfit:.0f} mm" if misfit < FAR_MM else f"{FAR_MM:.0f} mm and more"
        notes.append(f"{sequence}/{TOF}: labels lie {off} off the depth pictures: one may be absent in the middle")
    return best, notes


def _misfit(pictures: Mapping[int, Path], label: Path, manifest: Manifest) -> float:
    """Return how far labels lie from the depth under them, mm, mean over a few frames; 0 if none can be told."""
    distances: list[float] = []
    for xyz, depth in _probes(pictures, label, manifest):
        surface, z = _under(xyz, depth, manifest)
        distances += np.minimum(np.abs(surface - z), FAR_MM).tolist()
    return float(np.mean(distances)) if distances else 0.0


def _probes(pictures: Mapping[int, Path], label: Path, manifest: Manifest) -> Iterator[tuple[Points, NDArray[Any]]]:
    """Yield labelled points, (P, 3) ToF mm, and the depth picture of a few frames."""
    rows = [row for row in sorted(pictures) if row < len(read_blocks(label))]
    for row in sorted({*rows[:: max(1, len(rows) // PROBES)], *rows[-1:]}):
        try:
            xyz, depth = to_tof(read_block(label, row, manifest), manifest), _read_depth(pictures[row])
        except (DataError, OSError):
            continue  # the reader names it
        yield xyz[np.isfinite(xyz).all(axis=1)], depth


def _under(xyz: Points, depth: NDArray[Any], manifest: Manifest, origin: int = 0) -> tuple[Points, Points]:
    """Return the depth under points and their z, (P,) mm each, of those inside the picture."""
    uv = np.rint(project(xyz, manifest.cameras[TOF].K)).astype(int) - origin
    inside = (uv >= 0).all(axis=1) & (uv < depth.shape[::-1]).all(axis=1)
    return depth[uv[inside, 1], uv[inside, 0]].astype(np.float64), xyz[inside, 2]


def _color_pictures(folder: Path, camera: str) -> dict[int, Path]:
    """Number the pictures of a colour camera by the six digits at the end of their stamp."""
    name = re.compile(rf"\d*(\d{{6}})_{camera}\.png")
    found = sorted(matching(folder / "multicam" / camera, f"*_{camera}.png"))
    return dict(unique(sorted((int(match[1]), path) for path in found if (match := name.fullmatch(path.name)))))


def _read_depth(path: Path) -> NDArray[np.uint16]:
    depth = read_raw(path)
    if depth.ndim != 2 or depth.dtype != np.uint16:
        got = f"{depth.dtype} of shape {depth.shape}"
        raise DataError(path, expected="16-bit depth, mm", got=got, fix="Unpack tof/depth from the archive again.")
    return depth
