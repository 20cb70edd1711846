"""Make shards of hands that are in memory: the public way to write your own dataset."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import index as whole_number
from pathlib import Path
from typing import Any

import numpy as np

from handdata import __version__
from handdata.conversion.hand_checks import CORRECT, check_known, check_unit, check_words
from handdata.conversion.origin import Origin
from handdata.conversion.rows import canvas_row, check_sample
from handdata.errors import ConfigError, DataError
from handdata.files.locks import alone
from handdata.geometry import in_frame, project
from handdata.paths import path_of
from handdata.pictures.crops import CANVAS_SCALE
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.given import real_number
from handdata.shards.hand import Hand
from handdata.shards.index import read_index
from handdata.shards.provenance import KEY, as_json, parse
from handdata.shards.reader import INDEX, write_index
from handdata.shards.schema import (
    DEFAULT_CANVAS,
    ORIGINS,
    SAMPLE_ID_BYTES,
    SPLITS,
    UNKNOWN,
    VERSION,
    BoxSource,
    Sample,
)
from handdata.shards.writer import ShardWriter
from handdata.skeleton import NUM_KEYPOINTS, SIDE_NAMES

_NEW = ".new"  # folder of a write that has not ended: what is there before stays until then
SHARD_HANDS = 1024  # kept in memory until their shard is written: 113 MB at 192 px
CROP_RULE = "crop_box of the hand, else its box, else a square round its keypoints + 40 px"

Row = dict[str, Any]


def write_dataset(
    folder: Path | str,
    hands: Iterable[Hand | Mapping[str, Any]],
    *,
    name: str = "",
    split: str | None = None,
    canvas: int = DEFAULT_CANVAS,
    canvas_scale: float = CANVAS_SCALE,
    origin: str | None = None,
    licence: str = "",
    shard_hands: int = SHARD_HANDS,
    overwrite: bool = False,
) -> Dataset:
    """Write hands as shards, so that everything that works on a converted dataset works on them.

    A second call adds another split to the folder. A hand with 3D, a camera and no 2D gets its projection. The picture
    of a hand is what is stored: of a converted hand that is its canvas. To choose, join or split converted hands, and
    keep them as they are, use `recut`.

    Args:
        folder: gets the shards and index.json; made if need be.
        hands: `Hand`s, or dicts of their attributes: `image` (an array, or the path of a picture) and `side`, and
            whatever labels there are, in pixels of `image`. A hand without an id gets its number.
        name: of the dataset; "" takes the folder's.
        split: "train", "val" or "test" for all of them; None: each hand's own, "train" where it has none.
        canvas: side of the stored pictures, px, a multiple of 8.
        canvas_scale: side of the window that is stored over that of the crop.
        origin: "own", "published" or "rendered": whose hands these are. None: what they say themselves, "own" where
            they do not.
        licence: of hands that do not say theirs, in words; converted ones keep what their dataset says.
        shard_hands: hands of one shard; so many are kept in memory.
        overwrite: replace splits that are there already, once all hands are written: they may come from there.

    Returns:
        The dataset, opened.

    Raises:
        DataError: a hand that no shard can hold; the line says which.
        ConfigError: a split is there already, the folder holds another dataset, or the hands are of several origins.
        BusyError: somebody else writes into the folder.
        TypeError: a name, licence or number of another type.

    Example:
        >>> import numpy as np, handdata as hd
        >>> image, uv = np.zeros((240, 320, 3), np.uint8), np.linspace(50, 150, 42).reshape(21, 2)
        >>> data = hd.write_dataset(FOLDER, [{"image": image, "side": "left", "keypoints_2d": uv}], name="mine")
        >>> data[0].source.keypoints_2d[20].tolist(), data.splits
        ([147.56097412109375, 150.0], ('train',))
    """
    path = path_of(folder)
    name, licence = _words(name or Path(os.path.realpath(path)).name, licence or "")
    canvas, shard_hands = _counts(canvas, shard_hands)
    try:
        canvas_scale = real_number(canvas_scale, "canvas_scale")
    except ValueError as error:
        raise TypeError(str(error)) from None
    if not 1 <= canvas_scale <= 16:
        raise ConfigError("canvas_scale", expected="1 to 16", got=str(canvas_scale))
    if origin not in (None, *ORIGINS):
        raise ConfigError("origin", expected=f"one of {', '.join(ORIGINS)}", got=repr(origin))
    with alone(path, "writing"), _aside(path) as new:
        before = _before(path, name, canvas, canvas_scale)
        known = origin or (None if overwrite else before.get("origin") or None)
        whose = Origin(name, known, licence, is_asked=origin is not None)
        writer = _Folder(new, name, canvas, canvas_scale, shard_hands, whose)
        entries, sequences = writer.write(hands, split, taken=set() if overwrite else set(before["splits"]))
        if not entries:
            raise DataError(path, expected="hands to write", got="none")
        kept = [entry for entry in before["shards"] if entry["split"] not in sequences]
        old = {s: facts["sequences"] for s, facts in before["splits"].items() if s not in sequences}
        index = _index(name, canvas, canvas_scale, whose.name, [*kept, *entries], old | sequences)
        parts = whose.parts(parse(before.get(KEY, ()), path) if kept else [], has_more=bool(kept))
        index |= {KEY: as_json(parts)} if parts else {}
        for entry in entries:
            (new / entry["file"]).replace(path / entry["file"])
        write_index(path, index)
        _remove_others(path, sequences, {one["file"] for one in index["shards"]})
    return open_dataset(path)


def _words(name: str, licence: str) -> tuple[str, str]:
    for what, text in (("name", name), ("licence", licence)):
        if not isinstance(text, str):
            raise TypeError(f"{what} must be text, got {text!r}")
    return name, licence


def _counts(canvas: int, shard_hands: int) -> tuple[int, int]:
    canvas, shard_hands = whole_number(canvas), whole_number(shard_hands)
    if canvas % 8 or not 8 <= canvas <= 1024:
        raise ConfigError("canvas", expected="a multiple of 8 from 8 to 1024", got=str(canvas))
    if shard_hands < 1:
        raise ConfigError("shard_hands", expected="1 or more", got=str(shard_hands))
    return canvas, shard_hands


def _remove_others(folder: Path, splits: Iterable[str], listed: set[str]) -> None:
    """Remove shards of some splits that the index does not list: what was replaced, or a write that was ended."""
    for path in (path for split in splits for path in folder.glob(f"{split}-[0-9][0-9][0-9][0-9][0-9].h5")):
        if path.name not in listed:
            path.unlink()


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Give a place for shards that are to replace others; it is gone afterwards, also what an ended process left."""
    new = folder / _NEW
    shutil.rmtree(new, ignore_errors=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def to_sample(hand: Hand) -> Sample:
    """Return a hand as the engine of conversion takes it.

    Raises:
        ValueError: the hand has no picture, or no such `has_object`.
    """
    if hand.image is None:
        raise ValueError("no picture")
    object_there: Any = hand.has_object
    if np.iscomplexobj(object_there) or np.ndim(object_there) or object_there not in (True, False, None):
        raise ValueError(f"has_object must be True, False or None, got {object_there!r}")
    has_box, has_crop = (bool(np.isfinite(box).all()) for box in (hand.box, hand.crop_box))
    source = hand.box_source if hand.box_source is not BoxSource.NONE else BoxSource.DATASET
    keeps_box = has_box and source is not BoxSource.KEYPOINTS  # that one follows from the points again
    return Sample(
        id=hand.id,
        image=hand.image,
        hand_side=SIDE_NAMES.index(hand.side),
        keypoints_2d=hand.keypoints_2d,
        keypoints_3d=hand.keypoints_3d,
        keypoints_3d_normalized=hand.keypoints_3d_normalized,
        visible=hand.visible,
        palm_center_2d=hand.palm_center_2d,
        palm_center_3d=hand.palm_center_3d,
        K=hand.K if np.isfinite(hand.K).all() else None,
        crop_xyxy=hand.crop_box if has_crop else hand.square() if has_box else None,
        bbox_xyxy=hand.box if keeps_box else None,
        bbox_source=source if keeps_box else BoxSource.NONE,
        has_object=UNKNOWN if hand.has_object is None else int(hand.has_object),
        foreground=hand.foreground,
        mask=hand.mask,
        flags=hand.flags,
    )


class _Folder:
    """Gathers rows by split and writes a shard whenever there are enough of one."""

    def __init__(
        self, path: Path, name: str, canvas: int, canvas_scale: float, shard_hands: int, origin: Origin
    ) -> None:
        self.origin = origin
        self._path, self._name, self._canvas, self._scale = path, name, canvas, canvas_scale
        self._shard_hands = shard_hands
        self._entries: list[dict[str, Any]] = []
        self._sequences: dict[str, set[str]] = {}
        self._waiting: dict[str, list[tuple[Hand, Row]]] = {}
        self._optional: tuple[str, ...] | None = None
        self._ids: set[str] = set()

    def write(
        self, hands: Iterable[Hand | Mapping[str, Any]], split: str | None, *, taken: set[str]
    ) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
        """Write every hand; return the shards' entries of the index and each split's sequences."""
        for hand, row, where in self._rows(hands, split):
            if where in taken:
                fix = "Choose another folder or split, or pass overwrite=True."
                raise ConfigError(self._path, expected=f"no split {where} yet", got="one", fix=fix)
            waiting = self._waiting.setdefault(where, [])
            waiting.append((hand, row))
            if len(waiting) == self._shard_hands:
                self._flush(where)
        for where in [name for name in SPLITS if self._waiting.get(name)]:
            self._flush(where)
        return self._entries, {name: sorted(found) for name, found in self._sequences.items()}

    def _rows(self, hands: Iterable[object], split: str | None) -> Iterator[tuple[Hand, Row, str]]:
        for number, given in enumerate(hands):
            if not isinstance(given, Hand | Mapping):
                got = type(given).__name__
                raise DataError(f"hand {number}", expected="a Hand or a dict of its attributes", got=got)
            try:
                hand = _with_2d(given if isinstance(given, Hand) else Hand.from_dict(dict(given)))
                sample = to_sample(hand)
            except ValueError as error:
                raise DataError(f"hand {number}", expected="a hand to write", got=str(error)) from None
            name, where = hand.id or f"{number:06d}", split or hand.split or "train"
            self._check(name, where, f"hand {number}")
            check_words(hand, f"hand {number} ({name})")
            check_unit(hand, f"hand {number} ({name})")
            self.origin.add(hand, f"hand {number} ({name})")
            check_known(hand, f"hand {number} ({name})")
            try:
                check_sample(sample, f"hand {number} ({name})")
            except DataError as error:  # no archive to unpack again, and no --skip-bad
                raise DataError(error.where, expected=error.expected, got=error.got, fix=CORRECT) from None
            if self._optional is None:
                has = {"foreground": hand.foreground is not None, "mask": hand.mask is not None}
                self._optional = tuple(what for what, is_there in has.items() if is_there)
            row = canvas_row(sample, self._canvas, self._scale, self._optional)
            yield hand, row | {"frame": hand.frame, "sample_id": name.encode("ascii")}, where

    def _check(self, name: str, split: str, where: str) -> None:
        if split not in SPLITS:
            raise DataError(where, expected=f"a split of {', '.join(SPLITS)}", got=repr(split))
        if not isinstance(name, str):
            raise DataError(where, expected="an id of text", got=repr(name))
        if name in self._ids or not name.isascii() or not name.isprintable() or len(name) > SAMPLE_ID_BYTES:
            got = f"{name!r} twice" if name in self._ids else repr(name)
            raise DataError(where, expected=f"a unique ASCII id of at most {SAMPLE_ID_BYTES} characters", got=got)
        self._ids.add(name)

    def _flush(self, split: str) -> None:
        members = self._waiting.pop(split)
        sequences, cameras = (sorted({getattr(hand, what) for hand, _ in members}) for what in ("sequence", "camera"))
        self._sequences.setdefault(split, set()).update(sequences)
        number = sum(entry["split"] == split for entry in self._entries)
        self._path.mkdir(exist_ok=True)
        path = self._path / f"{split}-{number:05d}.h5"
        attributes: dict[str, str | int | float] = {
            "dataset": self._name,
            "split": split,
            "canvas_scale": self._scale,
            "handdata_version": __version__,
            "manifest_sha256": "",
            "options": json.dumps(_options(self._canvas), sort_keys=True),
            "visibility_rule": "",
        }
        with ShardWriter(
            path,
            len(members),
            canvas=self._canvas,
            attributes=attributes,
            sequences=sequences,
            cameras=cameras,
            optional=self._optional or (),
        ) as shard:
            for hand, row in members:
                place = {"sequence": sequences.index(hand.sequence), "camera": cameras.index(hand.camera)}
                shard.append(row | place)
        self._entries.append(shard.entry())


def _with_2d(hand: Hand) -> Hand:
    """Project the 3D of a hand that has a camera and no 2D at all."""
    if hand.annotated_2d.any() or not hand.annotated_3d.any() or not np.isfinite(hand.K).all():
        return hand
    in_front = hand.annotated_3d & (hand.keypoints_3d[:, 2] > 0)
    uv = np.full((NUM_KEYPOINTS, 2), np.nan)
    uv[in_front] = project(hand.keypoints_3d[in_front], hand.K)
    return replace(hand, keypoints_2d=uv, annotated_2d=in_front, in_frame=in_frame(uv, *hand.size))


def _options(canvas: int) -> dict[str, Any]:
    return {"crop_rule": CROP_RULE, "canvas": canvas, "split_scheme": "default"}


def _before(folder: Path, name: str, canvas: int, canvas_scale: float) -> dict[str, Any]:
    """Return the index that is there already, or an empty one.

    Raises:
        ConfigError: it is of another dataset, or of other canvases.
    """
    if not (folder / INDEX).is_file():
        return {"shards": [], "splits": {}}
    index = read_index(folder)
    made = (name, canvas, canvas_scale)
    found = (index["dataset"], index.get("canvas_size"), index.get("canvas_scale"))
    if found != made or "splits" not in index:
        got = f"{found[0]}, canvases of {found[1]} px, scale {found[2]}"
        fix = "Choose another folder."
        raise ConfigError(folder, expected=f"{name}, canvases of {canvas} px, scale {canvas_scale}", got=got, fix=fix)
    return index


def _index(
    name: str,
    canvas: int,
    canvas_scale: float,
    origin: str,
    entries: list[dict[str, Any]],
    sequences: dict[str, list[str]],
) -> dict[str, Any]:
    ordered = sorted(entries, key=lambda entry: (SPLITS.index(entry["split"]), entry["file"]))
    counts = {s: sum(e["num_samples"] for e in ordered if e["split"] == s) for s in SPLITS if s in sequences}
    return {
        "schema": VERSION,
        "dataset": name,
        "num_samples": sum(counts.values()),
        "canvas_size": canvas,
        "canvas_scale": canvas_scale,
        "handdata_version": __version__,
        "manifest_sha256": "",
        "options": _options(canvas),
        "origin": origin,
        "splits": {s: {"num_samples": count, "sequences": sequences[s]} for s, count in counts.items()},
        "shards": ordered,
        "skipped": {},
        "warnings": [],
    }
