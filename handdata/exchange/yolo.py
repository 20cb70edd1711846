"""Ultralytics' YOLO pose: data.yaml, images/<split>/NAME and labels/<split>/NAME.txt, written and read.

Format: https://docs.ultralytics.com/datasets/pose/ . A row is `class cx cy w h` and 21 times `x y [v]`, over the
picture's width and height. One class: a mirrored hand would be of another, and keeps the order of its points.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, HanddataError, MissingError
from handdata.exchange.in_parts import made_with_pictures
from handdata.exchange.labels import FARTHEST, Annotations, Array, HandLabels, LabelRow, make_row, nan, side_in
from handdata.exchange.pictures import SOURCE, ExportView, id_of_key, picture_files, write_pictures
from handdata.exchange.plain import OWN, SLOTS, lies_in, with_palm
from handdata.exchange.record import label_digest
from handdata.exchange.row_ids import ids_file, read_ids, write_ids
from handdata.files.opening import matching
from handdata.files.simple_yaml import read_keys
from handdata.files.spelling import as_spelled
from handdata.files.text import LARGE, Wanted, read_text
from handdata.files.whole import write_into, write_text
from handdata.geometry import xyxy_to_xywh
from handdata.pictures.decode import image_size
from handdata.pictures.kinds import SUFFIXES
from handdata.shards.dataset import Dataset
from handdata.shards.provenance import KEY, as_text, parse_texts
from handdata.shards.schema import SPLITS
from handdata.skeleton import NUM_KEYPOINTS

KIND, SIGN = "YOLO pose", "a data.yaml with kpt_shape"
OURS = "# handdata: the names of the pictures are sample ids"
_NOTE = "# train and val are the same pictures, as there is one of the two alone: scores say nothing of other pictures"
_FILE = Wanted(what="data.yaml", fix="See docs/custom.md.")
_LIST = Wanted(what="list of pictures", fix="See docs/custom.md.", largest=LARGE)
_ROWS = Wanted(what="labels of a picture", fix="See docs/custom.md.", largest=LARGE)


def write(view: ExportView, out: Path) -> None:
    """Write the pictures and rows of one split, and data.yaml of all there are."""
    own = view.shown != SOURCE  # one hand per picture
    ids: dict[str, list[str]] = {}
    for name, digest, of_rows in made_with_pictures(_part, view, out, "labels"):
        view.is_done.digests[name] = digest
        if of_rows is not None:
            ids[PurePosixPath(name).stem] = of_rows
    if not own:
        write_ids(out / ids_file(f"labels/{view.split}"), ids)
    there = [name for name in SPLITS if (out / "labels" / name).is_dir()]
    train = there[0] if "train" not in there else "train"
    lines = [*([OURS] if own else []), "path: .", f"train: images/{train}"]
    lines += [f"val: images/{'val' if 'val' in there else train}"]
    lines += [] if {"train", "val"} <= set(there) else [_NOTE]
    lines += ["test: images/test"] if "test" in there else []
    lines += [f"kpt_shape: [{NUM_KEYPOINTS}, 3]", f"flip_idx: {list(range(NUM_KEYPOINTS))}", "names:", "  0: hand"]
    lines += [f"license: {json.dumps(view.licence)}"] if view.licence else []
    lines += [f"{KEY}: {as_text(view.provenance)}"]  # YAML's lists and maps in brackets are those of JSON
    write_text(out / "data.yaml", "\n".join(lines) + "\n")


def _part(view: ExportView, out: Path) -> list[tuple[str, str, list[str] | None]]:
    """Write the pictures and rows of a part.

    Returns:
        The name and digest of each file of rows, and the ids of its hands; None where the picture's name says the id.
    """
    written = []
    for picture in write_pictures(view, out):
        row_of = {labels[OWN]: _row(labels, picture.size) for labels in picture.labels}
        rows = "".join(row_of.values()).encode()
        write_into(str(out / "labels" / view.split), f"{picture.key}.txt", rows)
        ids = [sample_id for sample_id, row in row_of.items() if row] if view.shown == SOURCE else None
        written.append((f"labels/{view.split}/{picture.key}.txt", label_digest(rows), ids))
    return written


def holds(data: Dataset) -> NDArray[np.bool_]:
    """Return which hands have a point in their picture, (N,): of others there is the picture, as one without a hand."""
    return np.asarray(data["in_frame"].any(1), bool)


def files(view: ExportView) -> list[str]:
    """Return the names of the files that `write` writes."""
    pictures = list(picture_files(view))
    folder = f"labels/{view.split}"
    rows = [f"{folder}/{name[name.rindex('/') + 1 : name.rindex('.')]}.txt" for name in pictures]
    ids = [ids_file(folder)] if view.shown == SOURCE else []
    return ["data.yaml", *ids, *rows, *pictures]


def _row(labels: Mapping[str, Any], size: tuple[int, int]) -> str:
    """Return the row of a hand; nothing, as for a picture without one, where no point lies in the picture."""
    uv = labels["keypoints_2d"] or [None] * NUM_KEYPOINTS
    inside = [point is not None and lies_in(point, size) for point in uv]
    if not any(inside):
        return ""
    known = np.array([point for point, is_in in zip(uv, inside, strict=True) if is_in])
    box = labels["bbox_xyxy"] or [*(known.min(0) + 0.5), *(known.max(0) + 0.5)]
    left, top, width, height = xyxy_to_xywh(np.clip(box, 0, [*size, *size])).tolist()
    numbers = zip([left + width / 2, top + height / 2, width, height], [*size, *size], strict=True)
    cells = ["0", *(f"{number / side:.9f}" for number, side in numbers)]
    for point, is_in, visible in zip(uv, inside, labels["visible"], strict=True):
        place = [f"{c / side:.9f}" for c, side in zip(point, size, strict=True)] if is_in else []
        cells += [*place, "1" if visible == 0 else "2"] if is_in else ["0", "0", "0"]
    return " ".join(cells) + "\n"


# ------------------------------------------------------------------------------------------------ read


def read(path: Path, given: Path | None) -> Annotations:
    """Read a data.yaml and the labels that it points to.

    Args:
        path: of data.yaml.
        given: folder that holds the places it names; where it has none of them, or is None, they are looked for where
            data.yaml says.

    Raises:
        DataError: it is no such file, or of other than 21 points.
    """
    facts = read_keys(path, (), _FILE, optional=(*SPLITS, "path", "kpt_shape", "names", KEY))
    shape = facts.get("kpt_shape", "none")
    if shape not in ([NUM_KEYPOINTS, 2], [NUM_KEYPOINTS, 3]):
        raise DataError(f"{path}[kpt_shape]", expected="[21, 3] or [21, 2]", got=str(shape), fix="See docs/custom.md.")
    own = read_text(path, _FILE).startswith(OURS)
    own_root = path.parent / str(facts.get("path") or ".")
    own_root = own_root if own_root.is_dir() else path.parent
    root, named = _named((given or own_root, own_root), facts)
    rows: list[LabelRow] = []
    empty = with_ids = changed = 0
    known: dict[Path, dict[str, list[str]]] = {}
    names = _names(facts.get("names"))
    absent = [f"{split}: {name}" for split, name, place in named if place is None]
    if len(absent) == len(named):
        fix = f"They are looked for in {root}: put data.yaml beside the folders it names, or name theirs with --root."
        expected = "a folder of pictures, or a .txt that lists them"
        raise MissingError(f"{path}[train]", expected=expected, got="; ".join(absent) or "none", fix=fix)
    splits_of: dict[str, list[str]] = {}
    for split, _, place in named:
        if place is not None:
            splits_of.setdefault(os.path.normpath(place), []).append(split)
    split_of = {place: _split_of(place, splits) for place, splits in splits_of.items()}
    shared = [f"{p}, named as {' and '.join(s)}, is {split_of[p]}" for p, s in splits_of.items() if len(s) > 1]
    for image, split in _images(root, split_of).items():
        label = _label_of(root, own_root, image)
        found = list(_hands(root, image, label, split, shape[1], names)) if label else []
        if label and found:
            ids = [id_of_key(Path(image).stem)] * len(found) if own else _ids(label, known)
            if len(ids) == len(found):
                with_ids += 1
                found = [replace(row, key=key) for row, key in zip(found, ids, strict=True)]
            changed += 0 < len(ids) != len(found)
        empty += not found
        rows += found
    anew = [f"new ids in {changed} pictures, which have more or fewer rows than were exported"] if changed else []
    left_out = {
        "pictures without a hand": empty,
        f"places of pictures that are not there ({'; '.join(absent)})": len(absent),
    }
    return Annotations(
        rows=tuple(rows),
        kind=KIND,
        sign="; ".join([SIGN, *shared, *anew]),
        left_out=left_out,
        order="base-first",
        pictures=root,
        provenance=parse_texts([facts[KEY]], path) if isinstance(facts.get(KEY), list) else (),
        is_exported=with_ids > 0,
        is_over_picture=True,
    )


def _ids(label: Path, known: dict[Path, dict[str, list[str]]]) -> list[str]:
    """Return the ids that an export noted of the rows of a picture.

    Args:
        label: its file of rows.
        known: what was read of folders of rows so far; filled.
    """
    if label.parent not in known:
        known[label.parent] = read_ids(label.parent)
    return known[label.parent].get(label.stem, [])


def _names(classes: Any) -> dict[int, str]:
    """Return the names of the classes, given as a list or by their numbers."""
    if isinstance(classes, dict):
        return {int(number): str(name) for number, name in classes.items() if number.isdecimal()}
    return dict(enumerate(map(str, classes if isinstance(classes, list) else ())))


def _places(named: Any) -> list[str]:
    """Return what data.yaml names for a split: a folder, a .txt of pictures, or several of them."""
    listed = named if isinstance(named, list) else [named]
    return [str(name) for name in listed if name not in (None, "")]


def _named(roots: Sequence[Path], facts: Mapping[str, Any]) -> tuple[Path, list[tuple[str, str, str | None]]]:
    """Return the first folder that holds a place which data.yaml names, else the last, and every such place.

    Of a place are said its split, its name, and where it is from that folder, None for nowhere.
    """
    for root in roots:
        named = [(split, name, _found(root, name)) for split in SPLITS for name in _places(facts.get(split))]
        if any(place is not None for _, _, place in named):
            break
    return root, named


def _found(root: Path, named: str) -> str | None:
    """Return where a named place is, from the root.

    Files made elsewhere say ../train/images of train/images, or name it from the root of a disk of that machine.
    """
    parts = PureWindowsPath(named).parts  # of names with / too
    tails = ["/".join(parts[start:]) for start in range(1, len(parts))] if PureWindowsPath(named).root else []
    places = [named, named.removeprefix("../"), *(tail for tail in tails if tail != "images")]  # that may hold several
    return next((place for place in places if (root / place).exists()), None)


def _split_of(place: str, splits: Sequence[str]) -> str:
    """Return the split of a place that several name, as where only test is there: as its path says, else the first."""
    return next((part for part in reversed(PurePosixPath(place).parts) if part in splits), splits[0])


def _images(root: Path, split_of: Mapping[str, str]) -> dict[str, str]:
    """Return the path of every picture, with its split; one in two places is of the first."""
    found: dict[str, str] = {}
    for place, split in split_of.items():
        for image in _pictures(root, place):
            found.setdefault(image, split)
    return found


def _pictures(root: Path, place: str) -> list[str]:
    """Return the pictures of a folder, or those of a list, whose lines begin with ./ beside the list."""
    path = root / place
    if path.is_dir():
        names = sorted(str(p.relative_to(path)) for p in matching(path, "**/*") if p.suffix.lower() in SUFFIXES)
        return [os.path.normpath(f"{place}/{name}") for name in names]
    lines = [line.strip() for line in read_text(path, _LIST).split("\n") if line.strip()]
    beside = PurePosixPath(place).parent
    return [os.path.normpath(beside / line if line.startswith("./") else line) for line in lines]


def _label_of(root: Path, own_root: Path, image: str) -> Path | None:
    """Return the file of a picture's rows, beside it or below data.yaml; None if there is none: it shows no hand."""
    head, slash, tail = image.rpartition("images/")
    name = PurePosixPath(f"{head}labels/{tail}" if slash else image).with_suffix(".txt").as_posix()
    labels = [base / as_spelled(base, name) for base in (root, own_root)]
    return next((label for label in labels if label.is_file()), None)


def _hands(root: Path, image: str, label: Path, split: str, width: int, names: Mapping[int, str]) -> Iterator[LabelRow]:
    lines = [line.split() for line in read_text(label, _ROWS).split("\n") if line.strip()]
    try:
        size = image_size(root / as_spelled(root, image)) if lines else (0, 0)
    except HanddataError:  # told when the picture is read
        size = (0, 0)
    for number, cells in enumerate(lines, start=1):
        facts: dict[str, Any] = {
            "label_file": os.path.relpath(label, root),
            "split": split,
            "cells": cells,
            "size": size,
            "names": names,
            "per_point": width,
        }
        yield make_row(image, facts, f"{label}:{number}", _hand)


def _hand(facts: Mapping[str, Any]) -> HandLabels:
    cells: Sequence[str] = facts["cells"]
    width: int = facts["per_point"]
    if len(cells) != 5 + NUM_KEYPOINTS * width:
        raise ValueError(f"{len(cells)} numbers instead of {5 + NUM_KEYPOINTS * width}")
    numbers = np.array([float(cell) for cell in cells])
    if not (np.abs(numbers) <= FARTHEST).all():
        raise ValueError(f"a number that is not finite, or beyond {FARTHEST:g}")
    scale = np.array(facts["size"], np.float64)
    points = numbers[5:].reshape(NUM_KEYPOINTS, width)
    labelled = (points[:, 2] > 0) if width == 3 else (points != 0).any(1)
    uv = np.where(labelled[:, None], points[:, :2] * scale, np.nan)
    shown = np.full(NUM_KEYPOINTS, -1, np.int8)
    if width == 3 and not np.isin(points[labelled, 2], (1, 2)).all():
        raise ValueError("a visibility other than 0, 1 or 2")
    if width == 3 and (points[:, 2] == 2).any():
        shown = np.where(labelled, points[:, 2] - 1, -1).astype(np.int8)
    return HandLabels(
        side=side_in(facts["names"].get(int(numbers[0]), "")),
        uv=with_palm(uv),
        visible=shown,
        bbox_xyxy=_box(numbers[1:5], scale),
        slots=SLOTS,
    )


def _box(numbers: Array, scale: Array) -> Array:
    center, half = numbers[:2] * scale, numbers[2:] * scale / 2
    return np.concatenate([center - half, center + half]) if (half > 0).all() else nan(4)
