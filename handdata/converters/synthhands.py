"""SynthHands: 185,634 rendered frames of an egocentric left hand, two camera families, chroma-keyed background.

Native layout:
    <class>/seq0{1..7}/cam0{1..5}/0{1..3}/<8 digits>_color.png            colour camera, key colour behind the hand
                                          <8 digits>_color_on_depth.png   depth camera
                                          <8 digits>_depth.png            not read
                                          <8 digits>_joint_pos.txt        one line, 63 numbers, mm, depth camera

Classes are {female,male}_{object,noobject}; frame numbers have gaps. The depth camera sees what color_on_depth shows.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, boxes_option, option, with_segmentation_option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.faults import tried
from handdata.converters.read.layout import choose, locate, read_numbers
from handdata.converters.read.packaging import near_names
from handdata.converters.read.reference_split import reference_split
from handdata.errors import DataError, MissingError
from handdata.files.opening import matching
from handdata.geometry import project, transform
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import MASK_BACKGROUND, MASK_HAND, MASK_UNKNOWN, Sample
from handdata.skeleton import LEFT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "largest centred square (docs/method.md 3.1)"
FAMILIES = ("color", "color_on_depth")
LABEL = "joint_pos"
KINDS = (*FAMILIES, LABEL)
SUFFIX = {"color": ".png", "color_on_depth": ".png", LABEL: ".txt"}
# A file's kind is all that follows the first underscore: "color" never matches "color_on_depth".
FILE = re.compile(r"(\d{8})_(color|color_on_depth|joint_pos)\.(?:png|txt)")
PROBES = 8  # pictures whose key colour is looked at
NEAR_KEY, PERCENT = 48, 98.0  # levels off the key that a copy with losses may be; of those pixels, covered by an advice
MOSTLY, HALF = 0.97, 0.5  # share of the pixels near the key that are it, without losses; where fewer, it is lost
NEAR = (r"\d+_color\.png", r"\d+_color_on_depth\.png")

Numbers = dict[str, set[str]]  # of one folder: kind -> the frames' 8 digits


@dataclass(frozen=True, kw_only=True)
class SynthHandsOptions(Options):
    """What this dataset alone can be asked."""

    camera: str = option("", "Camera [default: color]", choices=(*FAMILIES, "all"))
    boxes: Path | None = boxes_option()
    key_tolerance: int = option(
        0, "Largest difference from the key colour that still counts as background, in levels.", within=(0, 64)
    )
    with_segmentation: bool = with_segmentation_option()


OPTIONS = SynthHandsOptions


def plan(root: Path, manifest: Manifest, options: SynthHandsOptions) -> Plan:
    """List the frames in the order of their paths, one family after the other."""
    root = locate(root, manifest)
    wanted = choose(() if options.camera == "all" else (options.camera or "color",), FAMILIES, "camera")
    folders = {folder: _numbers(root / folder) for folder in _folders(root, manifest)}
    recorded = sorted({_sequence(folder) for folder in folders})
    motions = sorted({name.split("/")[1] for name in recorded})
    chosen = set(choose(options.sequences, (*motions, *recorded), "sequences"))
    families = [family for family in wanted if any(numbers[family] for numbers in folders.values())]
    if not families:
        there = ", ".join(kind for kind in KINDS if any(numbers[kind] for numbers in folders.values())) or "nothing"
        expected, fix = f"pictures named <8 digits>_{wanted[0]}.png", "Unpack SynthHands.zip again, or choose --camera."
        near = next((found for folder in folders if (found := near_names(root / folder, NEAR)) != "none"), "")
        raise MissingError(root, expected=expected, got=near or f"only {there}", fix=fix)
    split_of, warnings = _splits(folders, manifest, options)
    items = [
        Item(f"{folder}/{n}_{family}", split_of(folder, n), sequence, family, int(n), f"{folder}/{n}_{family}.png")
        for family in families
        for folder, numbers in folders.items()
        for sequence in (_sequence(folder),)
        if not chosen.isdisjoint((sequence, sequence.split("/")[1]))
        for n in sorted(numbers[family] | numbers[LABEL])
    ]
    warnings += _absences(root, manifest, folders, wanted, options)
    pictures = [item.image for item in items if item.camera == "color"]
    readings = (("key colour", _key_colour(root, pictures, manifest, options)),) if pictures else ()
    return Plan(
        root=root,
        items=tuple(items),
        has_foreground="color" in families,
        warnings=tuple(warnings),
        readings=readings,
        labels_of=lambda item: (f"{item.image.removesuffix(f'{item.camera}.png')}{LABEL}.txt",),
    )


def reader(root: Path, manifest: Manifest, options: SynthHandsOptions) -> Reader:
    """Return a reader of one frame through one camera."""
    key = np.array(manifest.extra["key_color"], np.uint8)
    off = options.key_tolerance

    def read(item: Item) -> Sample:
        camera = manifest.cameras[item.camera]
        label = f"{root}/{item.image.removesuffix(f'{item.camera}.png')}{LABEL}.txt"
        native = read_numbers(label, 63).reshape(21, 3) * manifest.mm_per_unit
        xyz = to_canonical(transform(camera.T_camera_label, native), manifest.keypoints)
        image = read_image(f"{root}/{item.image}")
        has_object = int(not item.sequence.split("/")[0].endswith("_noobject"))
        mask = _mask(image, key, off, has_object) if item.camera == "color" else None
        return Sample(
            id=item.id,
            image=image,
            hand_side=LEFT,
            keypoints_2d=project(xyz, camera.K),
            keypoints_3d=xyz,
            K=camera.K,
            crop_xyxy=crops.centered_square(image.shape[1], image.shape[0]),
            has_object=has_object,
            foreground=None if mask is None else mask > MASK_BACKGROUND,
            mask=mask,
        )

    return read


def _key_colour(root: Path, pictures: Sequence[str], manifest: Manifest, options: SynthHandsOptions) -> str:
    """Say whether the key colour is exact in a few pictures: copies with losses have colours near it as well.

    Raises:
        DataError: most is further off than --key-tolerance allows: no background would be found.
    """
    key = np.array(manifest.extra["key_color"], np.int16)
    off = np.abs(np.arange(256)[:, None] - key).astype(np.uint8)[None]  # (1, 256, 3): of a level in each channel
    looked, counts = 0, np.zeros(256, np.int64)  # pixels by their largest difference
    for name in pictures[:: max(1, len(pictures) // PROBES)][:PROBES]:
        image, _ = tried(partial(read_image, f"{root}/{name}"), name)
        if image is None:
            continue  # the reader names it
        red, green, blue = cv2.split(cv2.LUT(image, off))
        looked += 1
        counts += np.bincount(cv2.max(cv2.max(red, green), blue).ravel(), minlength=256)
    around = counts[: NEAR_KEY + 1]
    exact, near = int(around[0]), int(around.sum())
    if not near or exact > MOSTLY * near:
        return f"exact in {looked} pictures looked at" if near else f"none in {looked} pictures looked at"
    levels = int(np.ceil(np.percentile(np.repeat(np.arange(NEAR_KEY + 1), around), PERCENT)))
    if levels > options.key_tolerance and exact < HALF * near:
        got = f"colours up to {levels} levels off it in {looked} pictures looked at: a copy with losses"
        fix = f"Take the archive's own PNG files, or pass --key-tolerance {levels}."
        raise DataError(root, expected=f"the key colour {key.tolist()} exactly, behind the hand", got=got, fix=fix)
    said = f"a copy with losses: within {levels} levels in {looked} pictures looked at"
    return said if levels <= options.key_tolerance else f"{said}; --key-tolerance {levels} takes them all"


def _sequence(folder: str) -> str:
    """Return "<class>/<seq>" of a folder: one recorded motion on one hand; the seven motions are every class's."""
    return "/".join(folder.split("/")[:2])


def _mask(image: NDArray[np.uint8], key: NDArray[np.uint8], off: int, has_object: int) -> NDArray[np.uint8]:
    """Return 0 where no channel is more than `off` from the key colour, else 1; 255 where it may be hand or object."""
    other = MASK_UNKNOWN if has_object else MASK_HAND
    mask = np.full(image.shape[:2], MASK_BACKGROUND, np.uint8)
    y, x = _beside_key(image, key)
    if not mask[y, x].size:
        return mask
    keyed = cv2.inRange(image[y, x], key.astype(np.float64) - off, key.astype(np.float64) + off)  # faster than all()
    mask[y, x] = ~np.asarray(keyed, np.uint8) & np.uint8(other)  # 255 where keyed
    return mask


def _beside_key(image: NDArray[np.uint8], key: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return rows and columns that hold every pixel of another colour: eight pixels compare as three numbers."""
    height, width = image.shape[:2]
    if width % 8 or not image.flags.c_contiguous:
        return slice(0, height), slice(0, width)
    words = image.reshape(height, -1).view(np.uint64)
    left, top, across, down = cv2.boundingRect((words != np.tile(key, width).view(np.uint64)).view(np.uint8))
    return slice(top, top + down), slice(left * 8 // 3, -(-(left + across) * 8 // 3))


def _folders(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield "<class>/<seq>/<cam>/<part>" for all that is there, sorted."""
    motions = sorted(motion for members in manifest.sequences.values() for motion in members)
    for place in (root / name / motion for name in sorted(manifest.extra["classes"]) for motion in motions):
        if place.is_dir():
            yield from (
                part.relative_to(root).as_posix() for part in sorted(matching(place, "cam*/*")) if part.is_dir()
            )


def _numbers(folder: Path) -> Numbers:
    """List a folder as kind -> frame numbers; other files, such as those an OS leaves, are passed over."""
    numbers: Numbers = {kind: set() for kind in KINDS}
    with os.scandir(folder) as entries:
        for entry in entries:
            if match := FILE.fullmatch(entry.name):
                numbers[match[2]].add(match[1])
    return numbers


def _splits(
    folders: Mapping[str, Numbers], manifest: Manifest, options: SynthHandsOptions
) -> tuple[Callable[[str, str], str], list[str]]:
    """Return the split of a folder's frame: by recorded motion, or by picture as published."""
    if options.split_scheme.startswith("reference"):
        family = next(kind for kind in FAMILIES if any(numbers[kind] for numbers in folders.values()))
        every = [f"{folder}/{n}" for folder in folders for n in sorted(folders[folder][family])]
        splits, warnings = reference_split(every, manifest.extra["reference_split"], manifest.counts["frames"])
        drawn = dict(zip(every, splits, strict=True))
        return lambda folder, number: drawn.get(f"{folder}/{number}", "train"), warnings
    by_motion = {motion: split for split, members in manifest.sequences.items() for motion in members}
    by_folder = {folder: by_motion[folder.split("/")[1]] for folder in folders}
    return lambda folder, _: by_folder[folder], []


def _absences(
    root: Path, manifest: Manifest, folders: Mapping[str, Numbers], wanted: Sequence[str], options: SynthHandsOptions
) -> list[str]:
    """Name the classes, sequences and families that are not there, and frames of which a file is missing."""
    motions = [name for members in manifest.sequences.values() for name in members]
    named = [name for name in motions if not options.sequences]  # what was asked for by name is there
    classes = sorted(manifest.extra["classes"])
    absent = [name for name in classes if not (root / name).is_dir()]
    absent += [
        f"{name}/{motion}"
        for name in classes
        for motion in named
        if (root / name).is_dir() and not (root / name / motion).is_dir()
    ]
    there = [family for family in wanted if any(numbers[family] for numbers in folders.values())]
    absent += [f"*_{family}.png" for family in wanted if family not in there]
    warnings = [f"absent: {', '.join(absent)}"] if absent else []
    for has, lacks in [pair for family in there for pair in ((LABEL, family), (family, LABEL))]:
        gaps = [f"{folder}/{n}" for folder, numbers in folders.items() for n in numbers[has] - numbers[lacks]]
        if gaps:
            warnings.append(f"{len(gaps)} frames lack a file, the first {min(gaps)}_{lacks}{SUFFIX[lacks]}")
    return warnings
