"""FreiHAND: 32,560 shots of right hands in four versions each, and 3,960 pictures of evaluation.

Native layout:
    training/rgb/<8 digits>.jpg         224 x 224; number = version * shots + shot
    training/mask/<8 digits>.jpg        white where the hand is, without the forearm; by shot
    training_K.json, training_xyz.json  a list entry per shot: (3, 3) px; (21, 3) m, camera frame
    training_scale.json                 the length of the middle finger's first bone, m; the same of evaluation
    evaluation/rgb/<8 digits>.jpg       one version
    evaluation_K.json, evaluation_xyz.json      the latter from FreiHAND_pub_v2_eval.zip, which not everybody has

The versions of a shot are the picture as recorded and three with other backgrounds and colours; they share its labels.
The scale is held against the points, which must be those it was taken of; the mask too, and a hand whose labels lie
beside it is flagged. Vertices and MANO parameters are not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option, with_segmentation_option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.beside_mask import beside_flag
from handdata.converters.read.faults import tried
from handdata.converters.read.instants import same_instants
from handdata.converters.read.json_lists import entry, read_list
from handdata.converters.read.layout import choose, locate, numbered
from handdata.converters.read.packaging import no_label
from handdata.errors import DataError, Fix, HanddataError, MissingError
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import read_image
from handdata.shards.schema import MASK_HAND, MASK_UNKNOWN, Flag, Sample
from handdata.skeleton import NUM_KEYPOINTS, RIGHT, to_canonical

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "square round the hand's keypoints + 40 px; the whole picture, which is a crop, where none is labelled"
CAMERA = "unknown"  # eight of them; which took a picture is not said
TRAINING, EVALUATION = "training", "evaluation"
HELD = f"{TRAINING}-validation"  # the sequence of the shots that validate
VERSIONS = ("gs", "hom", "sample", "auto")
SCALE_BONE, SCALE_TOLERANCE = (9, 10), 1e-4  # native points; exact in all 32,560 real records
WHITE = 128  # of the mask, which is a JPEG


@dataclass(frozen=True, kw_only=True)
class FreiHANDOptions(Options):
    """What this dataset alone can be asked."""

    split_scheme: str = option(
        "default",
        "As published, which is leak-free; or one in twenty instants of training validates.",
        choices=("default", "reference", "validation"),
    )
    versions: str = option("all", "Versions of each shot of training.", choices=("all", *VERSIONS))
    with_segmentation: bool = with_segmentation_option()


OPTIONS = FreiHANDOptions


def plan(root: Path, manifest: Manifest, options: FreiHANDOptions) -> Plan:
    """List the pictures of both sets by number."""
    root = locate(root, manifest, [f"{EVALUATION}/rgb/*.jpg"])
    sets = {name: split for split, members in manifest.sequences.items() for name in members}
    wanted = choose(options.sequences, sets, "sequences")
    found = [name for name in wanted if (root / name / "rgb").is_dir()]
    items: list[Item] = []
    notes = [f"absent: {', '.join(name for name in wanted if name not in found)}"] if len(found) < len(wanted) else []
    faults: dict[str, HanddataError] = {}
    for name in found:
        here, said, fault = _pictures(root, name, sets[name], options)
        items += here
        notes += said
        faults |= {item.id: fault for item in here if fault is not None}
    if options.split_scheme == "validation":
        items = _hold_out(root, manifest, items)
    if not items:
        raise MissingError(
            root, expected="pictures <8 digits>.jpg", got="none", fix="Unpack FreiHAND_pub_v2.zip again."
        )
    known = sum(_known(item, manifest) != Flag.NONE for item in items)
    notes += [f"{known} pictures of shots known to be labelled wrongly: flagged"] if known else []
    has_mask = (root / TRAINING / "mask").is_dir() and TRAINING in found
    labels = [path.name for name in found for path in _labels(root, name) if path.is_file()]
    return Plan(
        root=root,
        items=tuple(items),
        label_files=tuple(labels),
        labels_of=lambda item: (_mask_name(item),) if _mask_name(item) else (),
        has_mask=has_mask,
        warnings=tuple(notes),
        faults=faults,
    )


def reader(root: Path, manifest: Manifest, options: FreiHANDOptions) -> Reader:
    """Return a reader that keeps the label lists."""

    def read(item: Item) -> Sample:
        name = _set_of(item)
        K_path, xyz_path = _labels(root, name)
        K = entry(K_path, item.ref, (3, 3))
        xyz = np.full((NUM_KEYPOINTS, 3), np.nan)
        if xyz_path.exists():
            native = entry(xyz_path, item.ref, (NUM_KEYPOINTS, 3))
            _check_scale(root, name, item.ref, native)
            xyz = to_canonical(native * manifest.mm_per_unit, manifest.keypoints)
        image = read_image(root / item.image)
        is_labelled = bool(np.isfinite(xyz).any())
        uv, mask_path = project(xyz, K), root / _mask_name(item)
        mask = _mask(mask_path, image.shape[:2]) if _mask_name(item) and mask_path.is_file() else None
        hand = None if mask is None else mask == MASK_HAND
        return Sample(
            id=item.id,
            image=image,
            hand_side=RIGHT,
            keypoints_2d=uv,
            keypoints_3d=xyz,
            K=K,
            crop_xyxy=None if is_labelled else crops.centered_square(image.shape[1], image.shape[0]),
            mask=mask if options.with_segmentation else None,
            flags=beside_flag(uv, image, hand) | _known(item, manifest),
        )

    return read


def _labels(root: Path, name: str) -> tuple[Path, Path]:
    return root / f"{name}_K.json", root / f"{name}_xyz.json"


def _check_scale(root: Path, name: str, shot: int, native: NDArray[np.float64]) -> None:
    """Refuse points, (21, 3) m, that the scale of their shot was not taken of: the files are of different archives.

    Raises:
        DataError: so they are, or the scale is none.
    """
    path = root / f"{name}_scale.json"
    if not path.is_file():
        return
    length, scale = float(np.linalg.norm(native[SCALE_BONE[0]] - native[SCALE_BONE[1]])), float(entry(path, shot, ()))
    if abs(length - scale) > SCALE_TOLERANCE * scale:
        expected, got = f"{length:.6g} m, the first bone of the middle finger in {name}_xyz.json", f"{scale:.6g}"
        fix = Fix("Unpack the archive again", skips="it")
        raise DataError(f"{path}[{shot}]", expected=expected, got=got, fix=fix)


def _known(item: Item, manifest: Manifest) -> Flag:
    """Return the flag of a shot that the manifest knows to be labelled wrongly."""
    is_wrong = _set_of(item) == TRAINING and item.ref in manifest.extra["wrong_shots"]
    return Flag.LABEL_WRONG if is_wrong else Flag.NONE


def _set_of(item: Item) -> str:
    return item.image.partition("/")[0]


def _mask_name(item: Item) -> str:
    """Return the mask of an item's shot, "" in evaluation, which has none."""
    return f"{TRAINING}/mask/{item.ref:08d}.jpg" if _set_of(item) == TRAINING else ""


def _pictures(
    root: Path, name: str, split: str, options: FreiHANDOptions
) -> tuple[list[Item], list[str], HanddataError | None]:
    """List one set; say what is absent, and why its labels cannot be read if so.

    Raises:
        MissingError: pictures without labels.
        DataError: a picture beyond the last label.
    """
    there = numbered(root / name / "rgb", r"(\d{8})\.jpg")
    K_path, xyz_path = _labels(root, name)
    for path in (K_path, xyz_path) if name == TRAINING else (K_path,):
        if there and not path.exists():
            raise no_label(path, f"the labels of {name}", len(there), "Unpack FreiHAND_pub_v2.zip beside the pictures.")
    read = [tried(partial(read_list, path), path) for path in (K_path, xyz_path) if path.exists()]
    fault = next((why for _, why in read if why is not None), None)
    counts = [len(entries) for entries, _ in read if entries is not None]
    shots = max(counts, default=0) or max((number for number, _ in there), default=0) + 1
    if fault is None and len(set(counts)) > 1:
        got, fix = f"{counts[1]}", "Unpack the archive again."
        fault = DataError(xyz_path, expected=f"{counts[0]} labels, as in {K_path.name}", got=got, fix=fix)
    versions = VERSIONS if name == TRAINING else VERSIONS[:1]
    beyond = [path for number, path in there if number >= shots * len(versions)]
    if beyond:
        got = f"{shots} labels for {len(versions)} versions"
        raise DataError(K_path, expected=f"a label for {beyond[0].name}", got=got, fix="Unpack the archive again.")
    items = [
        _item(name, split, number, shots, path.relative_to(root).as_posix())
        for number, path in there
        if options.versions in ("all", versions[number // shots]) or name == EVALUATION
    ]
    notes = []
    if len(there) < shots * len(versions) and fault is None:
        notes.append(f"{shots * len(versions) - len(there)} of {shots * len(versions)} pictures of {name} are absent")
    if name == EVALUATION and there and not xyz_path.exists():
        notes.append(
            f"{len(there)} pictures of {name} have no keypoints: {xyz_path.name} is in FreiHAND_pub_v2_eval.zip"
        )
    return items, notes, fault


def _item(name: str, split: str, number: int, shots: int, image: str) -> Item:
    shot, version = number % shots, VERSIONS[number // shots]
    item_id = f"{name}/{shot:08d}/{version}" if name == TRAINING else f"{name}/{shot:08d}"
    return Item(item_id, split, name, CAMERA, number, image, shot)


def _hold_out(root: Path, manifest: Manifest, items: Sequence[Item]) -> list[Item]:
    """Let one in so many instants of training validate, with all their views and versions.

    Raises:
        HanddataError: the labels cannot be read.
    """
    shots = sorted({item.ref for item in items if item.sequence == TRAINING})
    if not shots:
        return list(items)
    path, rule = _labels(root, TRAINING)[1], manifest.extra["validation"]
    xyz = np.stack([entry(path, shot, (NUM_KEYPOINTS, 3)) for shot in shots]) * manifest.mm_per_unit
    instant = same_instants(xyz, rule["tolerance_mm"])
    held = set(np.unique(instant)[:: rule["one_in"]].tolist())
    validates = {shot for shot, first in zip(shots, instant.tolist(), strict=True) if first in held}
    return [
        Item(i.id, "val", HELD, i.camera, i.frame, i.image, i.ref)
        if i.sequence == TRAINING and i.ref in validates
        else i
        for i in items
    ]


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return 1 on the hand and 255 elsewhere: forearm and held object are in the mask's black.

    Raises:
        DataError: of another size than its picture.
    """
    white = read_image(path)[..., 0] >= WHITE
    if white.shape != tuple(shape):
        got = f"{white.shape[1]} x {white.shape[0]}"
        raise DataError(path, expected=f"a mask of {shape[1]} x {shape[0]} px", got=got)
    return np.where(white, MASK_HAND, MASK_UNKNOWN).astype(np.uint8)
