"""Your own pictures: a folder of them and files of labels in any format that handdata reads. docs/custom.md tells them.

Native layout:
    <root>/<any path>.png | .jpg | .bmp       as the file of labels names them
    the files of labels, named by --annotations, anywhere
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.options import Options, option
from handdata.converters.protocol import Item, Plan, Reader
from handdata.converters.read.layout import choose
from handdata.converters.read.naming import as_id, ascii_id
from handdata.converters.read.picture_folders import PictureFolder, find_pictures, other_case
from handdata.converters.read.picture_splits import parse_split_by, split_rows
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.exchange.carried import carried, unsaid
from handdata.exchange.labels import Annotations, HandLabels, LabelRow
from handdata.exchange.orders import ORDERS
from handdata.exchange.packed import is_there, read_picture
from handdata.exchange.plausible import NORMALIZED, beside, in_pixels
from handdata.exchange.point_names import PALM
from handdata.exchange.reading import label_files, read_annotations, short_names, split_in
from handdata.exchange.settle import FROM_FILE, HIDDEN, MISSING, SIDES, UNITS, Asked, settle
from handdata.geometry import project
from handdata.manifest import Manifest
from handdata.pictures import crops
from handdata.pictures.decode import image_size
from handdata.shards.provenance import Provenance
from handdata.shards.schema import BoxSource, Sample

CANVAS_SCALE = crops.CANVAS_SCALE
CROP_RULE = "a square round the annotated keypoints; with fewer than two the given box, else the centre"


@dataclass(frozen=True, kw_only=True)
class CustomOptions(Options):
    """What this dataset alone can be asked."""

    annotations: tuple[Path, ...] = option(
        (), "Files of labels, or a folder that an export wrote; give it once for each.", is_folder_too=True
    )
    side: str = option(FROM_FILE, "Side of hands whose side the file does not say.", choices=SIDES)
    order: str = option(
        FROM_FILE, "Order in which the file lists the points; auto: by evidence.", choices=(FROM_FILE, "auto", *ORDERS)
    )
    unit: str = option(FROM_FILE, "Unit of 3D, if the file does not say; auto: by evidence.", choices=UNITS)
    coordinates: str = option(
        FROM_FILE,
        "What 2D points count in, if not in pixels: normalized, from 0 to 1 over their picture.",
        choices=(FROM_FILE, NORMALIZED),
    )
    occluded: str = option(
        HIDDEN, "What points that the file calls occluded are: hidden, or missing.", choices=(HIDDEN, MISSING)
    )
    split_by: str = option(
        "", "Split by sequence, subject or random, as in random:0.1/0.1, or all into one of the splits."
    )
    seed: int = option(0, "Seed of --split-by.", within=(0, 2**31 - 1))

    def __post_init__(self) -> None:
        """Take one file as well as several."""
        given: Any = self.annotations or ()
        object.__setattr__(self, "annotations", (given,) if isinstance(given, Path) else tuple(given))


OPTIONS = CustomOptions


@dataclass(frozen=True, kw_only=True)
class _AllRows:
    """The rows of all files, their pictures relative to one folder."""

    root: Path
    rows: tuple[LabelRow, ...]
    names: tuple[str, ...]  # of the picture of each row, as its file has it
    readings: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    provenance: tuple[Provenance, ...]

    @property
    def pictures(self) -> set[str]:
        """The names of the pictures, each once however many hands it has."""
        return {name for name in self.names if name}


def plan(root: Path, manifest: Manifest, options: CustomOptions) -> Plan:  # noqa: ARG001 - nothing is known beforehand
    """List the labelled hands whose picture is there, in the order of the files."""
    labels = _labels(root, options)
    rows = labels.rows
    wanted = set(choose(options.sequences, dict.fromkeys(row.sequence for row in rows if row.image), "sequences"))
    splits, how = split_rows(rows, labels.root, parse_split_by(options.split_by), options.seed)
    ids = _ids(labels)
    items: list[Item] = []
    absent: list[str] = []
    absent_path = ""
    for number, (row, frame) in enumerate(zip(rows, _frames(rows), strict=True)):
        if row.image and not is_there(labels.root, row.image):
            absent.append(labels.names[number])
            absent_path = absent_path or row.image
        elif not row.image or row.sequence in wanted:
            image = row.image or ids[number]
            items.append(Item(ids[number], splits[number], as_id(row.sequence), row.camera, frame, image, number))
    faults = {item.id: fault for item in items if isinstance(fault := rows[item.ref].hand, HanddataError)}
    if not rows:
        got = "; ".join(("no hand", *labels.warnings))
        raise DataError(
            " ".join(map(str, _files(options))), expected="a labelled hand", got=got, fix="See docs/custom.md."
        )
    like = other_case(labels.root, absent_path) if absent_path else ""
    if not items:
        got = f"none of {len(labels.pictures)}, the first would be {absent[0]}" if absent else "none of the --sequences"
        fix = f"{labels.root} has {like}: mind capitals." if like else "Name their folder with --root."
        raise MissingError(labels.root, expected="the labelled pictures", got=got, fix=fix)
    warnings = list(labels.warnings)
    if absent:
        seen = f" (there is {like})" if like else ""
        count = f"{len(set(absent))} of {len(labels.pictures)} labelled pictures"
        warnings.append(f"absent: {count}, the first {absent[0]}{seen}")
    outside = beside([rows[item.ref] for item in items], partial(_size_of, labels.root))
    warnings += [outside] if outside else []
    readings = (*labels.readings, ("split", how))

    def labels_of(item: Item) -> tuple[str, ...]:
        return (rows[item.ref].label,) if rows[item.ref].label else ()

    return Plan(
        root=labels.root,
        items=tuple(items),
        warnings=tuple(warnings),
        faults=faults,
        readings=readings,
        labels_of=labels_of,
        made_of=tuple(_files(options)),
        provenance=labels.provenance,
    )


def _size_of(root: Path, row: LabelRow) -> tuple[int, int] | None:
    """Return the size of a row's picture as its labels or its header say; None if neither does."""
    size = row.hand.size if isinstance(row.hand, HandLabels) else None
    if size is None and (root / row.image).is_file():
        with suppress(HanddataError):  # named when it is read
            return image_size(root / row.image)
    return size


def _size_in(place: PictureFolder, row: LabelRow) -> tuple[int, int] | None:
    return _size_of(place.folder, replace(row, image=place.path_of(row.image)))


def _frames(rows: Sequence[LabelRow]) -> Iterator[int]:
    """Yield the number of each row's picture: its own, else counted in its sequence."""
    numbers: dict[str, dict[str, int]] = {}  # of the pictures of a sequence
    for row in rows:
        pictures = numbers.setdefault(row.sequence, {})
        counted = pictures.setdefault(row.image, len(pictures)) if row.image else 0
        yield counted if row.frame is None else row.frame


def _ids(labels: _AllRows) -> list[str]:
    """Return the id of each row: its own, else its picture's, numbered where a picture has several."""
    of_picture = Counter(row.image for row in labels.rows if row.image and not row.key)
    seen: Counter[str] = Counter()
    ids = []
    for row, name in zip(labels.rows, labels.names, strict=True):
        if row.key:
            ids.append(as_id(row.key))
        elif row.image:
            ids.append(ascii_id(name if of_picture[row.image] == 1 else f"{name}/{seen[row.image]}"))
            seen[row.image] += 1
        else:  # of which picture, nobody can tell
            ids.append(ascii_id(Path(row.where).name))
    return ids


def rows_with_ids(root: Path, options: CustomOptions) -> list[tuple[str, LabelRow]]:
    """Return every row of the files with the id that its sample gets when it is converted."""
    labels = _labels(root, options)
    return list(zip(_ids(labels), labels.rows, strict=True))


def _labels(root: Path, options: CustomOptions) -> _AllRows:
    """Read and settle every file; say what was found in each."""
    files = _files(options)
    asked = Asked(side=options.side, order=options.order, unit=options.unit, occluded=options.occluded)
    named = split_in(files)
    tables = [read_annotations(file, root) for file in files]
    places = [_pictures_of(root, file, table) for file, table in zip(files, tables, strict=True)]
    tables = [
        in_pixels(file, table, options.coordinates, partial(_size_in, place))
        for file, table, place in zip(files, tables, places, strict=True)
    ]
    settled = [settle(table, asked) for table in tables]
    folders = [place.folder.absolute() for place in places]
    top = Path(os.path.commonpath(folders)) if len(files) > 1 else places[0].folder
    rows: list[LabelRow] = []
    names: list[str] = []
    readings: dict[str, str] = {}
    warnings: list[str] = []
    called = dict(zip(files, short_names(files), strict=True))
    for file, place, table, one in zip(files, places, tables, settled, strict=True):
        below = place.folder.absolute().relative_to(top.absolute()) if len(files) > 1 else Path()
        names += [row.image for row in one.rows]
        rows += [_placed(row, below, place, named.get(file, "")) for row in one.rows]
        for what, found in (*one.readings, *_found(place)):
            readings[what if len(files) == 1 else f"{called[file]}: {what}"] = found
        warnings += [line if len(files) == 1 else f"{called[file]}: {line}" for line in (*_notes(table), *one.warnings)]
    if named and not any(row.split for one in settled for row in one.rows):
        readings["splits named by the files"] = ", ".join(f"{called[file]} {split}" for file, split in named.items())
    if len(set(zip(names, (row.image for row in rows), strict=True))) > len(set(names)):  # one name, two pictures
        names = [row.image for row in rows]
    provenance = carried(files, tables, folders)
    if provenance:
        readings["pictures of"] = "; ".join(f"{part.title} ({part.licence})" for part in provenance)
    warnings += [unsaid(provenance)] if unsaid(provenance) else []
    return _AllRows(
        root=top,
        rows=tuple(rows),
        names=tuple(names),
        readings=tuple(readings.items()),
        warnings=tuple(warnings),
        provenance=provenance,
    )


def _found(place: PictureFolder) -> Iterator[tuple[str, str]]:
    """Say which pictures were found elsewhere or under another name than the file gives."""
    if place.moved:
        yield "pictures", f"by name below {place.folder}"
    if place.respelled:
        first = next(iter(place.respelled.values()))
        forms = "whose names the disk writes with other characters for the same letters (Unicode's normal forms)"
        yield "names of pictures", f"{len(place.respelled)} found {forms}, the first {first}"


def _placed(row: LabelRow, below: Path, place: PictureFolder, split: str) -> LabelRow:
    """Return a row with its picture's path from the common folder, and the split of its file if it has none."""
    image = (below / place.path_of(row.image)).as_posix() if row.image else ""
    label = (below / row.label).as_posix() if row.label else ""
    return replace(row, image=image, label=label, split=row.split or split)


def _pictures_of(root: Path, file: Path, table: Annotations) -> PictureFolder:
    return find_pictures(root, file, [row.image for row in table.rows if row.image], table.pictures)


def _notes(table: Annotations) -> Iterator[str]:
    if table.ignored:
        yield f"ignored points, not among the 21: {', '.join(table.ignored)}"
    if table.others:
        names = ", ".join(table.others)
        yield f"left out: {sum(table.others.values())} annotations of other things than hands: {names}"
    counts = ", ".join(f"{count} {what}" for what, count in table.left_out.items() if count)
    if counts:
        yield f"left out: {counts}"


def reader(root: Path, manifest: Manifest, options: CustomOptions) -> Reader:  # noqa: ARG001
    """Return a reader that keeps the files of labels."""
    rows = _labels(root, options).rows

    def read(item: Item) -> Sample:
        hand = rows[item.ref].hand
        if isinstance(hand, HanddataError):
            raise hand
        uv = hand.uv
        if not np.isfinite(uv).any() and np.isfinite(hand.K).all():
            uv = project(hand.xyz, hand.K)
        image = read_picture(root, item.image)
        if hand.size not in (None, (image.shape[1], image.shape[0])):
            raise _other_size(root / item.image, image, hand.size)
        has_box = bool(np.isfinite(hand.bbox_xyxy).all()) and hand.box_source is not BoxSource.NONE
        keeps_box = has_box and hand.box_source is not BoxSource.KEYPOINTS  # that one follows from the points again
        few = np.isfinite(uv[:PALM]).all(axis=1).sum() < 2
        crop = hand.crop_xyxy if np.isfinite(hand.crop_xyxy).all() else None
        return Sample(
            id=item.id,
            image=image,
            hand_side=hand.side,
            keypoints_2d=uv[:PALM],
            keypoints_3d=hand.xyz[:PALM],
            keypoints_3d_normalized=hand.normalized,
            palm_center_2d=uv[PALM],
            palm_center_3d=hand.xyz[PALM],
            visible=hand.visible,
            K=hand.K if np.isfinite(hand.K).all() else None,
            bbox_xyxy=hand.bbox_xyxy if keeps_box else None,
            bbox_source=hand.box_source if keeps_box else BoxSource.NONE,
            crop_xyxy=crops.square_of(hand.bbox_xyxy) if crop is None and keeps_box and few else crop,
            has_object=hand.has_object,
            flags=hand.flags,
        )

    return read


def _other_size(path: Path, image: NDArray[np.uint8], labelled: tuple[int, int] | None) -> DataError:
    width, height = labelled or (0, 0)
    fix = "Take the pictures that were labelled; one whose EXIF turns it counts as it is shown."
    expected, got = f"{width} x {height} px, as its labels say", f"{image.shape[1]} x {image.shape[0]}"
    return DataError(path, expected=expected, got=got, fix=fix)


def _files(options: CustomOptions) -> Sequence[Path]:
    if options.split_scheme != "default":
        fix = "Leave it out; --split-by makes splits."
        raise ConfigError("--split-scheme", expected="a published dataset", got="labels of your own", fix=fix)
    if not options.annotations:
        fix = "Name a file as docs/custom.md describes it."
        raise ConfigError("--annotations", expected="a file of labels", got="nothing", fix=fix)
    files = label_files(options.annotations)
    count = Counter(file.resolve() for file in files)
    if twice := next((file for file in files if count[file.resolve()] > 1), None):
        raise ConfigError("--annotations", expected="each file of labels once", got=f"{twice} twice")
    return files
