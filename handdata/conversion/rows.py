"""Turn the items of one shard into its rows and write it: the function a worker process runs. No dataset names."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.conversion.mended import check_fit, mend
from handdata.conversion.state import begin, remember
from handdata.converters import CONVERTERS
from handdata.converters.options import Options
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.errata import without, wrong_points
from handdata.converters.read.faults import unreadable
from handdata.converters.read.made_boxes import made_boxes, with_box
from handdata.converters.read.numbers import check_near
from handdata.errors import DataError, Fix, HanddataError
from handdata.exchange.corrections import MendedHand
from handdata.exchange.labels import FARTHEST, FARTHEST_PX
from handdata.geometry import crop_affine
from handdata.manifest import Manifest
from handdata.pictures.crops import (
    FULL_HAND_KEYPOINTS,
    centered_square,
    keypoint_square,
    scale_about_center,
    square_of,
)
from handdata.pictures.decode import image_size, resample_kept, resample_mask, resample_square, touches_outside
from handdata.shards.schema import MASK_UNKNOWN, BoxSource, Flag, Sample, label_row
from handdata.shards.writer import ShardWriter
from handdata.workers import count_step, one_core

FARTHEST_CROP = 16  # sides of the picture: more is a wrong label, and takes memory without end
_HAND_MADE = (BoxSource.PERSON, BoxSource.TRACKER, BoxSource.INTERPOLATED)


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs to write one shard; small and picklable.

    Attributes:
        dataset: name of the converter.
        root: the native root, as the plan found it.
        path: the shard to be.
        split: of all its samples.
        items: its samples, in order.
        made_from: fingerprint of its sources, kept for a later run.
        options: of the conversion.
        canvas: side S, px.
        optional: optional arrays to write.
        attributes: of the file.
        sequences: string table of the dataset.
        cameras: string table of the dataset.
        skip_bad: leave out samples that cannot be read instead of ending.
        corrections: labels of its samples that a person mended, by id.
        tag: of this run, in the partial file's name.
    """

    dataset: str
    root: Path
    path: Path
    split: str
    items: tuple[Item, ...]
    made_from: str
    options: Options
    canvas: int
    optional: tuple[str, ...]
    attributes: Mapping[str, str | int | float]
    sequences: tuple[str, ...]
    cameras: tuple[str, ...]
    skip_bad: bool
    tag: str
    corrections: Mapping[str, MendedHand] = field(default_factory=dict)


def optional_arrays(plan: Plan, options: Options) -> tuple[str, ...]:
    """Return the names of the optional arrays that a conversion writes."""
    wanted = {"foreground": plan.has_foreground, "mask": options.with_segmentation}
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def write_shard(task: ShardTask) -> dict[str, Any]:
    """Write one shard and describe it for index.json.

    Returns:
        `ShardWriter.entry` and "skipped": {id: why}; no file was written where num_samples is 0.

    Raises:
        HanddataError: a picture or label cannot be read and `skip_bad` is off, or the disk is full.
    """
    skipped: dict[str, str] = {}
    items = task.items
    read = checked_reader(task.dataset, task.root, task.options, task.corrections)
    begin(task.path)
    try:
        entry = _write_rows(task, items, read)
    except HanddataError:
        if not task.skip_bad:
            raise
        skipped = {item.id: why for item in items if (why := _fault(read, item))}
        items = tuple(item for item in items if item.id not in skipped)
        entry = _write_rows(task, items, read) if items else {}
    except OSError as error:  # of writing alone: `read` names the file that cannot be read
        fix = "Free some space there and run the same command again; finished shards are kept."
        raise DataError(task.path, expected="room to write the shard", got=str(error.strerror), fix=fix) from None
    entry = {"file": task.path.name, "split": task.split, "num_samples": 0} | entry | {"skipped": skipped}
    remember(task.path, task.made_from, entry)
    return entry


def checked_reader(
    dataset: str, root: Path, options: Options, corrections: Mapping[str, MendedHand] | None = None
) -> Reader:
    """Return a dataset's reader with made boxes, whose samples are checked and whose faults name the file at fault.

    Args:
        dataset: a name in CONVERTERS.
        root: the native root, as the plan found it.
        options: of the conversion.
        corrections: labels that a person mended, by sample id.
    """
    mended = corrections or {}
    facts, boxes = manifest.load(dataset), made_boxes(options)
    wrong = wrong_points(facts)
    bare = CONVERTERS[dataset].reader(root, facts, options)

    def read(item: Item) -> Sample:
        try:
            sample = without(with_box(bare(item), item, boxes), item, wrong)
        except OSError as error:
            raise unreadable(error, root / item.image) from None
        sample = mend(sample, mended.get(item.id), f"{root}/{item.image}")
        check_sample(sample, f"{root}/{item.image}")
        _check_size(sample, item, root, facts)
        return sample

    return read


def try_corrections(dataset: str, plan: Plan, options: Options) -> None:
    """Hold the corrections against their pictures, whose headers tell their size, before anything is written.

    Raises:
        HanddataError: one does not fit its picture, or that cannot be read.
    """
    read = checked_reader(dataset, plan.root, options, plan.corrections.samples)
    for item in plan.items:
        mended, path = plan.corrections.samples.get(item.id), plan.root / item.image
        if mended is None:
            continue
        if path.is_file():
            check_fit(mended, image_size(path), str(path))
        else:  # packed in another file
            read(item)


def build_row(sample: Sample, item: Item, task: ShardTask) -> dict[str, Any]:
    """Make one shard row: crop, canvas, labels and where it is from."""
    return canvas_row(sample, task.canvas, float(task.attributes["canvas_scale"]), task.optional) | {
        "sequence": task.sequences.index(item.sequence),
        "camera": task.cameras.index(item.camera),
        "frame": item.frame,
        "sample_id": item.id.encode("ascii"),
    }


def canvas_row(sample: Sample, canvas: int, canvas_scale: float, optional: Sequence[str]) -> dict[str, Any]:
    """Make what of a shard row follows from the sample alone: crop, canvas and labels.

    Args:
        sample: as read.
        canvas: side S of the canvas, px.
        canvas_scale: its side over that of the crop, in source pixels.
        optional: names of the optional arrays wanted.
    """
    height, width = sample.image.shape[:2]
    crop = choose_crop(sample).astype(np.float32)  # as stored, so that the canvas can be derived from it again
    window = scale_about_center(crop, canvas_scale)
    row = label_row(sample)
    if sample.bbox_xyxy is None and int(np.sum(row["annotated_2d"])) >= FULL_HAND_KEYPOINTS:
        row |= {"bbox_xyxy": _extent(sample.keypoints_2d), "bbox_source": int(BoxSource.KEYPOINTS)}
    flags = row["flags"] | (int(Flag.IMAGE_PADDED) if touches_outside(window, width, height) else 0)
    row |= {
        "image": _canvas(sample, window, canvas),
        "source_to_canvas": crop_affine(window, canvas),
        "crop_xyxy": crop,
        "flags": flags,
    }
    if "foreground" in optional:
        kept = np.ones((height, width), bool) if sample.foreground is None else sample.foreground
        row["foreground"] = np.packbits(resample_mask(kept.view(np.uint8), window, canvas, 0), axis=1)
    if "mask" in optional:
        labels = np.full((height, width), MASK_UNKNOWN, np.uint8) if sample.mask is None else sample.mask
        row["mask"] = resample_mask(labels, window, canvas, MASK_UNKNOWN)
    return row


def choose_crop(sample: Sample) -> NDArray[np.float64]:
    """Return crop_xyxy by the first rule of docs/method.md 3.6 that applies: made box, dataset, keypoints, centre."""
    if sample.bbox_xyxy is not None and sample.bbox_source in _HAND_MADE:
        return square_of(sample.bbox_xyxy)
    if sample.crop_xyxy is not None:
        return np.asarray(sample.crop_xyxy, np.float64)
    height, width = sample.image.shape[:2]
    around = keypoint_square(sample.keypoints_2d)
    return centered_square(width, height) if around is None else around


def _canvas(sample: Sample, window: NDArray[Any], size: int) -> NDArray[np.uint8]:
    if sample.foreground is None:
        return resample_square(sample.image, window, size)
    return resample_kept(sample.image, sample.foreground, window, size)


def _write_rows(task: ShardTask, items: tuple[Item, ...], read: Callable[[Item], Sample]) -> dict[str, Any]:
    with (
        one_core(),
        ShardWriter(
            task.path,
            len(items),
            canvas=task.canvas,
            attributes=task.attributes,
            sequences=task.sequences,
            cameras=task.cameras,
            optional=task.optional,
            tag=task.tag,
        ) as shard,
    ):
        for item in items:
            shard.append(build_row(read(item), item, task))
            count_step()
    return shard.entry()


def _fault(read: Callable[[Item], Sample], item: Item) -> str:
    try:
        read(item)
    except HanddataError as error:
        return error.without_skipping
    return ""


def check_sample(sample: Sample, where: str) -> None:
    """Refuse a sample whose labels, K, box or crop cannot be what they are called.

    Raises:
        DataError: so it is; `where` is blamed.
    """
    for name in ("keypoints_2d", "keypoints_3d", "K", "bbox_xyxy", "crop_xyxy"):
        values = getattr(sample, name)
        if values is not None:
            most = FARTHEST_PX if name == "keypoints_2d" else FARTHEST
            check_near(np.asarray(values), f"{where}[{name.partition('_xyxy')[0]}]", most)
    if sample.K is not None:
        if not all(map(isfinite, sample.K.flat)):
            raise DataError(f"{where}[K]", expected="finite intrinsics", got="NaN", fix="Unpack the labels again.")
        if not (sample.K[0, 0] > 0 and sample.K[1, 1] > 0):
            raise DataError(f"{where}[K]", expected="positive focal lengths", got=str(sample.K[0, 0]))
    if sample.bbox_xyxy is not None and not np.all(sample.bbox_xyxy[2:] > sample.bbox_xyxy[:2]):
        raise DataError(
            f"{where}[box]",
            expected="a box with a width and a height",
            got=", ".join(f"{edge:g}" for edge in sample.bbox_xyxy),
        )
    _check_crop(choose_crop(sample), sample.image.shape, where)


def _check_crop(crop: NDArray[np.float64], shape: tuple[int, ...], where: str) -> None:
    """Refuse a crop without a size, or farther from its picture than FARTHEST_CROP of the picture's sides.

    Raises:
        DataError: so it is.
    """
    side = max(shape[:2])
    low, high = -FARTHEST_CROP * side, (FARTHEST_CROP + 1) * side
    if not (crop[2] - crop[0] >= 1 and low <= crop.min() and crop.max() <= high):
        expected = f"a hand within {FARTHEST_CROP} sides of its picture of {shape[1]} x {shape[0]} px"
        got = f"a crop of {', '.join(f'{edge:g}' for edge in crop)}"
        fix = Fix("Correct the labels or the box", skips="it")
        raise DataError(where, expected=expected, got=got, fix=fix)


def _check_size(sample: Sample, item: Item, root: Path, facts: Manifest) -> None:
    """Refuse a picture of another size than its camera's: the labels would lie beside the hand, and K beside both.

    Raises:
        DataError: so it is.
    """
    camera = facts.cameras.get(item.camera)
    height, width = sample.image.shape[:2]
    if camera is not None and (width, height) != camera.size:
        raise other_size(root / item.image, (width, height), camera.size, facts)


def other_size(path: Path, found: tuple[int, int], expected: tuple[int, int], facts: Manifest) -> DataError:
    """Return the fault of a picture whose size is not its camera's.

    Args:
        path: of the picture.
        found: its width and height, px.
        expected: width and height of the camera's pictures, px.
        facts: of the dataset.
    """
    wanted = f"{expected[0]} x {expected[1]} px, the size of {facts.title}'s pictures"
    fix = "Take the archive's own pictures: the labels do not fit others."
    return DataError(path, expected=wanted, got=f"{found[0]} x {found[1]}", fix=fix)


def _extent(keypoints_2d: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.fmin.reduce(keypoints_2d), np.fmax.reduce(keypoints_2d)]) + 0.5  # both pass over NaN


def run_tag() -> str:
    """Return what marks this process' partial files."""
    return str(os.getpid())
