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
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata import crops
from handdata.converters.layout import choose, locate, read_numbers
from handdata.converters.protocol import Item, Options, Plan, Reader
from handdata.converters.reference import reference_split
from handdata.errors import MissingError
from handdata.geometry import project, transform
from handdata.images import read_image
from handdata.manifest import Manifest
from handdata.schema import MASK_BACKGROUND, MASK_HAND, MASK_UNKNOWN, Sample
from handdata.skeleton import LEFT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "largest centred square (method.md 3.1)"
FAMILIES = ("color", "color_on_depth")
LABEL = "joint_pos"
# A file's kind is all that follows the first underscore: "color" never matches "color_on_depth".
FILE = re.compile(r"(\d{8})_(color|color_on_depth|joint_pos)\.(?:png|txt)")


def plan(root: Path, manifest: Manifest, options: Options) -> Plan:
    """List the frames in the order of their paths, one family after the other."""
    root = locate(root, manifest)
    wanted = choose(() if options.camera == "all" else (options.camera or "color",), FAMILIES, "camera")
    stems: dict[str, list[str]] = {kind: [] for kind in (*FAMILIES, LABEL)}
    for folder in _folders(root, manifest):
        for stem, kind in _files(root, folder):
            stems[kind].append(stem)
    recorded = sorted({_sequence(stem) for kind in stems for stem in stems[kind]})
    motions = sorted({name.split("/")[1] for name in recorded})
    chosen = set(choose(options.sequences, (*motions, *recorded), "sequences"))
    families = [family for family in wanted if stems[family]]
    if not families:
        there = ", ".join(family for family in FAMILIES if stems[family]) or "no picture at all"
        got = f"{len(stems[LABEL])} labels and {there}"
        expected = f"pictures named <8 digits>_{wanted[0]}.png"
        raise MissingError(root, expected=expected, got=got, fix="Unpack SynthHands.zip again, or choose --camera.")
    splits, warnings = _splits(stems, manifest, options)
    items = [
        Item(f"{stem}_{family}", splits[stem], _sequence(stem), family, int(stem[-8:]), f"{stem}_{family}.png")
        for family in families
        for stem in sorted({*stems[family], *stems[LABEL]})
        if not chosen.isdisjoint((_sequence(stem), stem.split("/")[1]))
    ]
    warnings += _absences(root, manifest, stems, wanted, options)
    return Plan(
        root=root,
        items=tuple(items),
        has_foreground="color" in families,
        warnings=tuple(warnings),
        labels_of=lambda item: (f"{item.image.removesuffix(f'{item.camera}.png')}{LABEL}.txt",),
    )


def reader(root: Path, manifest: Manifest, options: Options) -> Reader:  # noqa: ARG001 - none concerns it
    """Return a reader of one frame through one camera."""
    key = np.array(manifest.extra["key_color"], np.uint8)

    def read(item: Item) -> Sample:
        camera = manifest.cameras[item.camera]
        label = root / f"{item.image.removesuffix(f'{item.camera}.png')}{LABEL}.txt"
        native = read_numbers(label, 63).reshape(21, 3) * manifest.mm_per_unit
        xyz = to_canonical(transform(camera.T_camera_label, native), manifest.keypoints)
        image = read_image(root / item.image)
        has_object = int(not item.sequence.split("/")[0].endswith("_noobject"))
        mask = _mask(image, key, has_object) if item.camera == "color" else None
        return Sample(
            id=item.id,
            image=image,
            hand_side=LEFT,
            keypoints_2d=project(xyz, camera.K),
            keypoints_3d=xyz,
            K=camera.K,
            crop_xyxy=crops.centered_square(image.shape[1], image.shape[0]),
            has_object=has_object,
            foreground=None if mask is None else mask != MASK_BACKGROUND,
            mask=mask,
        )

    return read


def _sequence(stem: str) -> str:
    """Return "<class>/<seq>" of a path: one recorded motion on one hand; the seven motions are every class's."""
    return "/".join(stem.split("/")[:2])


def _mask(image: NDArray[np.uint8], key: NDArray[np.uint8], has_object: int) -> NDArray[np.uint8]:
    """Return 0 where the pixel has exactly the key colour, else 1; 255 where it may be the hand or an object."""
    other = MASK_UNKNOWN if has_object else MASK_HAND
    return np.where((image == key).all(axis=-1), MASK_BACKGROUND, other).astype(np.uint8)


def _folders(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield "<class>/<seq>/<cam>/<part>" for all that is there, sorted."""
    for name in sorted(manifest.extra["classes"]):
        if (root / name).is_dir():
            for part in sorted((root / name).glob("seq*/cam*/*")):
                yield part.relative_to(root).as_posix()


def _files(root: Path, folder: str) -> list[tuple[str, str]]:
    """List a folder's (path up to the number, kind); other files, such as those an OS leaves, are passed over."""
    try:
        with os.scandir(root / folder) as entries:
            matches = [match for entry in entries if (match := FILE.fullmatch(entry.name))]
    except NotADirectoryError:
        return []
    return [(f"{folder}/{match[1]}", match[2]) for match in matches]


def _splits(stems: dict[str, list[str]], manifest: Manifest, options: Options) -> tuple[dict[str, str], list[str]]:
    """Give every frame its split: by recorded motion, or by picture as published."""
    every = sorted({stem for kind in stems for stem in stems[kind]})
    if options.split_scheme == "reference":
        splits, warnings = reference_split(every, manifest.extra["reference_split"], manifest.counts["frames"])
        return dict(zip(every, splits, strict=True)), warnings
    split_of = {sequence: split for split, members in manifest.sequences.items() for sequence in members}
    return {stem: split_of.get(stem.split("/")[1], "train") for stem in every}, []


def _absences(
    root: Path, manifest: Manifest, stems: dict[str, list[str]], wanted: Sequence[str], options: Options
) -> list[str]:
    """Name the classes, sequences and families that are not there, and frames of which a file is missing."""
    sequences = [name for members in manifest.sequences.values() for name in members]
    named = [name for name in sequences if not options.sequences]  # what was asked for by name is there
    classes = sorted(manifest.extra["classes"])
    absent = [name for name in classes if not (root / name).is_dir()]
    absent += [
        f"{name}/{sequence}"
        for name in classes
        for sequence in named
        if (root / name).is_dir() and not (root / name / sequence).is_dir()
    ]
    absent += [f"*_{family}.png" for family in wanted if not stems[family]]
    warnings = [f"absent: {', '.join(absent)}"] if absent else []
    labels = set(stems[LABEL])
    for family in (family for family in wanted if stems[family]):
        pictures = set(stems[family])
        for missing, what in ((labels - pictures, f"_{family}.png"), (pictures - labels, f"_{LABEL}.txt")):
            if missing:
                warnings.append(f"{len(missing)} frames lack a file, the first {min(missing)}{what}")
    return warnings
