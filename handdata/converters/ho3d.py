"""HO-3D, versions 2 and 3: right hands that hold objects; the evaluation shows root and box, its labels lie apart.

Native layout:
    train.txt, evaluation.txt               lines "<sequence>/<4 digits>": the annotated pictures, in benchmark order
    {train,evaluation}/<sequence>/rgb/<4 digits>.png (version 2) or .jpg (version 3)    640 x 480
    {train,evaluation}/<sequence>/meta/<4 digits>.pkl       a dict: handJoints3D m, camMat px; handBoundingBox px
    train/<sequence>/seg/<4 digits>.jpg (version 2) or .png (version 3)     a half or a quarter of the size
    evaluation_xyz.json                     (21, 3) m for each line of evaluation.txt; published later

Points are in an OpenGL camera: x right, y up, z backward. Pictures in no list have no annotation. A hand whose labels
lie beside what its segmentation has of hand and object is flagged. The pickles are read
without running anything; MANO parameters, object poses and depth are not read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option, with_segmentation_option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read import pickle_numpy
from handdata.converters.read.beside_mask import beside_flag
from handdata.converters.read.faults import tried
from handdata.converters.read.json_lists import entry, read_list
from handdata.converters.read.layout import choose, locate
from handdata.converters.read.packaging import no_label
from handdata.errors import ConfigError, DataError, Fix, HanddataError, MissingError
from handdata.files.text import Wanted, read_text
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import MASK_HAND, MASK_OBJECT, MASK_UNKNOWN, BoxSource, Sample
from handdata.skeleton import NUM_KEYPOINTS, RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "square round the hand's keypoints + 40 px; round its box + 40 px where only the wrist is labelled"
TRAIN, EVALUATION = "train", "evaluation"
SPLIT_OF = {TRAIN: "train", EVALUATION: "test"}
EVALUATION_LABELS = "evaluation_xyz.json"
SEGMENTATIONS = "HO3D_v2_segmentations_rendered"  # the folder that version 2's second archive unpacks to
SUFFIXES = {".png": "2", ".jpg": "3"}  # of pictures, by version
FROM_OPENGL = np.array([1.0, -1.0, -1.0])
HAS_OBJECT = 1
LARGEST_META = 1 << 20  # bytes; real ones have 16 to 45 thousand
SAME_WRIST_MM = 20.0  # evaluation's pickles give the wrist, which its labels must have; another picture's lie off
COLOURED = 200  # of 255, what a channel of a segmentation has at least where it is set
_LINE = re.compile(r"([A-Za-z]+\d+)/(\d{4})")
_FIX = Fix("Unpack the archive again", skips="it")


@dataclass(frozen=True, kw_only=True)
class HO3DOptions(Options):
    """What this dataset alone can be asked."""

    split_scheme: str = option(
        "default",
        "Leak-free, without the training sequences of an evaluation scene; the published lists; or leak-free, and "
        "whole takes of train validate, in all their cameras.",
        choices=("default", "reference", "validation"),
    )
    with_segmentation: bool = with_segmentation_option()


OPTIONS = HO3DOptions


def plan(root: Path, manifest: Manifest, options: HO3DOptions) -> Plan:
    """List the annotated pictures of both sets in the order of their lists."""
    root = locate(root, manifest, [f"{EVALUATION}/*/rgb/*"])
    wanted = set(choose(options.sequences, [n for names in manifest.sequences.values() for n in names], "sequences"))
    shared = set(manifest.extra["shared_with_evaluation"]) if options.split_scheme != "reference" else set()
    asked = sorted(shared & set(options.sequences))
    if asked:
        fix = "Choose --split-scheme reference: evaluation shows the same instants."
        raise ConfigError("--sequences", expected="sequences of a leak-free split", got=", ".join(asked), fix=fix)
    sets = [name for name in (TRAIN, EVALUATION) if (root / name).is_dir()]
    items: list[Item] = []
    notes = [f"absent: {name}" for name in (TRAIN, EVALUATION) if name not in sets]
    faults: dict[str, HanddataError] = {}
    versions: set[str] = set()
    for name in sets:
        here, said = _listed(root, name, manifest, wanted - shared if name == TRAIN else wanted)
        if options.split_scheme == "validation" and name == TRAIN:
            here = _hold_out(here, manifest)
        versions |= {Path(item.image).suffix for item in here}
        items += here
        notes += said
        if name == EVALUATION:
            fault, label_note = _evaluation_labels(root, len(_lines(root, name)))
            faults |= {item.id: fault for item in here if fault is not None}
            notes += label_note if here else []
    left_out = sorted(name for name in shared & wanted if (root / TRAIN / name).is_dir())
    if left_out:
        what = ", ".join(left_out)
        notes.append(f"{what} left out: evaluation shows the same instants; --split-scheme reference keeps them")
    if not items:
        raise MissingError(root, expected="annotated pictures", got="none", fix="Unpack the archive again.")
    if len(versions) > 1:
        got, fix = "pictures of both", "Unpack each version into a folder of its own."
        raise DataError(root, expected="version 2 (.png) or 3 (.jpg)", got=got, fix=fix)
    lists = [f"{name}.txt" for name in sets] + [EVALUATION_LABELS] * (root / EVALUATION_LABELS).is_file()
    return Plan(
        root=root,
        items=tuple(items),
        label_files=tuple(lists),
        labels_of=lambda item: (_meta_name(item), *_segmentation(root, item)[:1]),
        has_mask=any(_segmentation(root, item) for item in items),
        warnings=tuple(notes),
        readings=(("version", SUFFIXES[versions.pop()]),),
        faults=faults,
    )


def reader(root: Path, manifest: Manifest, options: HO3DOptions) -> Reader:
    """Return a function that reads one picture with its pickle."""
    labels = root / EVALUATION_LABELS

    def read(item: Item) -> Sample:
        meta = _Meta(root / _meta_name(item))
        native, K = meta.points(), meta.numbers("camMat", 9).reshape(3, 3)
        if _set_of(item) == EVALUATION and labels.is_file():
            native = _published(labels, item, meta)
        xyz = to_canonical(native * FROM_OPENGL * manifest.mm_per_unit, manifest.keypoints)
        box = meta.numbers("handBoundingBox", 4) if "handBoundingBox" in meta.facts else None
        image = read_image(root / item.image)
        is_labelled = np.isfinite(xyz).all()
        uv, parts = project(xyz, K), _parts(root, item)
        return Sample(
            id=item.id,
            image=image,
            hand_side=RIGHT,
            keypoints_2d=uv,
            keypoints_3d=xyz,
            K=K,
            crop_xyxy=None if is_labelled or box is None else _crop(box),
            bbox_xyxy=box,
            bbox_source=BoxSource.NONE if box is None else BoxSource.DATASET,
            has_object=HAS_OBJECT,
            mask=_enlarged(parts, image.shape[:2]) if options.with_segmentation and parts is not None else None,
            flags=beside_flag(uv, image, None if parts is None else parts != MASK_UNKNOWN),
        )

    return read


# ------------------------------------------------------------------------------------------------ what there is


def _set_of(item: Item) -> str:
    return item.image.partition("/")[0]


def _meta_name(item: Item) -> str:
    return f"{_set_of(item)}/{item.sequence}/meta/{item.frame:04d}.pkl"


def _lines(root: Path, name: str) -> list[tuple[str, str]]:
    """Return the sequence and the number of each line of a set's list.

    Raises:
        MissingError: the list is not there.
        DataError: a line is not a sequence and a number.
    """
    path, fix = root / f"{name}.txt", "Unpack the archive again."
    if not path.exists():
        raise no_label(path, f"the annotated pictures of {name}", 0, fix)
    text = read_text(path, Wanted(what="a list of pictures", fix=fix))
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None and line.strip():
            raise DataError(f"{path}:{number}", expected="<sequence>/<4 digits>", got=line[:60], fix=fix)
        lines += [(match[1], match[2])] if match else []
    return lines


def _listed(root: Path, name: str, manifest: Manifest, wanted: set[str]) -> tuple[list[Item], list[str]]:
    """List the annotated pictures of a set; say which are absent, and how many have no annotation."""
    there = {sequence: _suffixes(root / name / sequence / "rgb") for sequence in sorted(wanted)}
    lines = [(place, line) for place, line in enumerate(_lines(root, name)) if line[0] in wanted]
    items = [
        Item(
            id=f"{name}/{sequence}/{number}",
            split=SPLIT_OF[name],
            sequence=sequence,
            camera=_take_and_camera(sequence, manifest)[1],
            frame=int(number),
            image=f"{name}/{sequence}/rgb/{number}{there[sequence][number]}",
            ref=place,
        )
        for place, (sequence, number) in lines
        if number in there[sequence]
    ]
    notes = []
    absent = len(lines) - len(items)
    if absent:
        notes.append(f"absent: {absent} of {len(lines)} listed pictures of {name}")
    unlisted = sum(map(len, there.values())) - len({(item.sequence, item.frame) for item in items})
    if unlisted:
        notes.append(f"{unlisted} pictures of {name} are in no list: they have no annotation")
    return items, notes


def _suffixes(folder: Path) -> Mapping[str, str]:
    """Return the pictures of a folder: their suffix by their number; .png where both are there."""
    if not folder.is_dir():
        return {}
    named = [path for path in folder.iterdir() if path.suffix in SUFFIXES and re.fullmatch(r"\d{4}", path.stem)]
    return {path.stem: path.suffix for path in sorted(named, key=lambda path: path.suffix)}


def _take_and_camera(sequence: str, manifest: Manifest) -> tuple[str, str]:
    """Return the take and the camera of a sequence: the last digit where several filmed the take, else 0."""
    is_several = sequence[:-1] in manifest.extra["multi_view"]
    return (sequence[:-1], sequence[-1]) if is_several else (sequence, "0")


def _hold_out(items: Sequence[Item], manifest: Manifest) -> list[Item]:
    """Let the manifest's takes of train validate, in all their cameras."""
    takes = manifest.extra["validation"]["takes"]
    held = {item.sequence for item in items if _take_and_camera(item.sequence, manifest)[0] in takes}
    return [replace(item, split="val") if item.sequence in held else item for item in items]


def _evaluation_labels(root: Path, count: int) -> tuple[HanddataError | None, list[str]]:
    """Return why the labels of evaluation cannot be used, and what is said of them."""
    path = root / EVALUATION_LABELS
    if not path.exists():
        return None, [f"evaluation has the wrist alone: {path.name} is an archive of its own"]
    labels, fault = tried(partial(read_list, path), path)
    if labels is not None and len(labels) != count:
        fault = DataError(path, expected=f"{count} labels, as in {EVALUATION}.txt", got=str(len(labels)), fix=_FIX)
    return fault, []


# ------------------------------------------------------------------------------------------------ labels


class _Meta:
    """The pickle of one picture."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            MissingError: no such file.
            DataError: it holds anything but a dict of numbers and text, or is too large.
        """
        self.path = path
        if path.is_file() and path.stat().st_size > LARGEST_META:
            raise DataError(path, expected="a pickle of at most 1 MiB", got=f"{path.stat().st_size} bytes", fix=_FIX)
        facts = pickle_numpy.load(path)
        if not isinstance(facts, dict):
            raise DataError(path, expected="a dict", got=type(facts).__name__, fix=_FIX)
        self.facts: dict[str, Any] = facts

    def numbers(self, key: str, *counts: int) -> NDArray[np.float64]:
        """Return a field as a flat array.

        Raises:
            DataError: it is absent, None or something else.
        """
        value, where = self.facts.get(key), f"{self.path}[{key}]"
        expected = f"{' or '.join(map(str, counts))} numbers"
        if value is None or isinstance(value, str):
            raise DataError(where, expected=expected, got="none: it is not annotated", fix=_FIX)
        try:
            values = np.array(value, np.float64).ravel()
        except (TypeError, ValueError, OverflowError):
            raise DataError(where, expected=expected, got="something else", fix=_FIX) from None
        if len(values) not in counts or not np.isfinite(values).all():
            got = str(len(values)) if len(values) not in counts else "NaN or infinity"
            raise DataError(where, expected=expected, got=got, fix=_FIX)
        return values

    def points(self) -> NDArray[np.float64]:
        """Return (21, 3) m in native order and axes; of evaluation the wrist alone, which is the first."""
        values = self.numbers("handJoints3D", 3, 3 * NUM_KEYPOINTS).reshape(-1, 3)
        return values if len(values) > 1 else np.vstack([values, np.full((NUM_KEYPOINTS - 1, 3), np.nan)])


def _published(path: Path, item: Item, meta: _Meta) -> NDArray[np.float64]:
    """Return the label of a picture of evaluation, (21, 3) m in native order and axes.

    Raises:
        DataError: it is none, or its wrist is not the one that the picture's pickle gives.
    """
    native = entry(path, item.ref, (NUM_KEYPOINTS, 3))
    apart = 1000 * float(np.linalg.norm(native[0] - meta.points()[0]))
    if apart > SAME_WRIST_MM:
        expected, got = f"the wrist of {_meta_name(item)}", f"one {apart:.0f} mm away"
        fix = Fix("Take the labels of the same version of the archive", skips="them")
        raise DataError(f"{path}[{item.ref}]", expected=expected, got=got, fix=fix)
    return native


def _crop(box: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = np.array([-1.0, -1.0, 1.0, 1.0]) * crops.FULL_HAND_MARGIN
    return crops.square_of(box + margin)


def _segmentation(root: Path, item: Item) -> tuple[str, ...]:
    """Return the segmentation of a picture; nothing if it has none."""
    return tuple(name for name in _segmentation_names(item) if (root / name).is_file())


def _segmentation_names(item: Item) -> Iterator[str]:
    place = f"{TRAIN}/{item.sequence}/seg/{item.frame:04d}"
    if _set_of(item) == TRAIN:
        yield from (f"{place}.png", f"{place}.jpg", f"{SEGMENTATIONS}/{place}.jpg")


def _parts(root: Path, item: Item) -> NDArray[np.uint8] | None:
    """Return 1 on the hand, 2 on the object, 255 elsewhere: the forearm is not in a segmentation made of poses.

    It has its own size; None where a picture has none.
    """
    names = _segmentation(root, item)
    if not names:
        return None
    colours = read_image(root / names[0]) >= COLOURED
    red, green, blue = (colours[..., channel] for channel in range(3))
    hand, thing = (blue, green) if names[0].endswith(".png") else (red, blue)
    return np.where(hand, MASK_HAND, np.where(thing, MASK_OBJECT, MASK_UNKNOWN)).astype(np.uint8)


def _enlarged(parts: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    height, width = shape
    return np.asarray(cv2.resize(parts, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
