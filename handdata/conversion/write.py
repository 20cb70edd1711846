"""Make shards of hands that are in memory: the public way to write your own dataset."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handdata import __version__
from handdata.conversion.rows import canvas_row, check_sample
from handdata.errors import ConfigError, DataError
from handdata.files.locks import alone
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.hand import Hand
from handdata.shards.index import read_index
from handdata.shards.reader import INDEX, file_sha256, write_index
from handdata.shards.schema import DEFAULT_CANVAS, SAMPLE_ID_BYTES, SPLITS, UNKNOWN, VERSION, BoxSource, Sample
from handdata.shards.writer import ShardWriter
from handdata.skeleton import HAND_SIDES

SHARD_HANDS = 1024  # kept in memory until their shard is written: 113 MB at 192 px
CANVAS_SCALE = 1.5
CROP_RULE = "crop_box of the hand, else its box, else a square round its keypoints + 40 px"

Row = dict[str, Any]


def write_dataset(
    folder: Path | str,
    hands: Iterable[Hand | Mapping[str, Any]],
    *,
    name: str,
    split: str | None = None,
    canvas: int = DEFAULT_CANVAS,
    canvas_scale: float = CANVAS_SCALE,
    origin: str = "own",
    shard_hands: int = SHARD_HANDS,
    overwrite: bool = False,
) -> Dataset:
    """Write hands as shards, so that everything that works on a converted dataset works on them.

    A second call adds another split to the folder.

    Args:
        folder: gets the shards and index.json; made if need be.
        hands: `Hand`s, or dicts of their attributes: `image` and `side`, and whatever labels there are, in pixels of
            `image`. A hand without an id gets its number.
        name: of the dataset.
        split: "train", "val" or "test" for all of them; None: each hand's own, "train" where it has none.
        canvas: side of the stored pictures, px, a multiple of 8.
        canvas_scale: side of the window that is stored over that of the crop.
        origin: "own", "published" or "rendered": whose hands these are.
        shard_hands: hands of one shard; so many are kept in memory.
        overwrite: replace splits that are there already.

    Returns:
        The dataset, opened.

    Raises:
        DataError: a hand that no shard can hold; the line says which.
        ConfigError: a split is there already, or the folder holds another dataset.
        BusyError: somebody else writes into the folder.

    Example:
        >>> import numpy as np, handdata as hd
        >>> image, uv = np.zeros((240, 320, 3), np.uint8), np.linspace(50, 150, 42).reshape(21, 2)
        >>> data = hd.write_dataset(FOLDER, [{"image": image, "side": "left", "keypoints_2d": uv}], name="mine")
        >>> data[0].source.keypoints_2d[20].tolist(), data.splits
        ([147.56097412109375, 150.0], ('train',))
    """
    path = Path(folder)
    if not isinstance(canvas, int) or canvas % 8 or not 8 <= canvas <= 1024:
        raise ConfigError("canvas", expected="a multiple of 8 from 8 to 1024", got=str(canvas))
    if not 1 <= canvas_scale <= 16:
        raise ConfigError("canvas_scale", expected="1 to 16", got=str(canvas_scale))
    with alone(path, "writing"):
        before = _before(path, name, canvas, canvas_scale)
        writer = _Folder(path, name, canvas, canvas_scale, shard_hands)
        entries, sequences = writer.write(hands, split, taken=set() if overwrite else set(before["splits"]))
        if not entries:
            raise DataError(path, expected="hands to write", got="none")
        kept = [entry for entry in before["shards"] if entry["split"] not in sequences]
        old = {s: facts["sequences"] for s, facts in before["splits"].items() if s not in sequences}
        index = _index(name, canvas, canvas_scale, origin, [*kept, *entries], old | sequences)
        write_index(path, index)
        for entry in before["shards"]:
            if entry["file"] not in {one["file"] for one in index["shards"]}:
                (path / entry["file"]).unlink(missing_ok=True)
    return open_dataset(path)


def to_sample(hand: Hand) -> Sample:
    """Return a hand as the engine of conversion takes it.

    Raises:
        ValueError: the hand has no picture.
    """
    if hand.image is None:
        raise ValueError("no picture")
    has_box, has_crop = (bool(np.isfinite(box).all()) for box in (hand.box, hand.crop_box))
    source = hand.box_source if hand.box_source is not BoxSource.NONE else BoxSource.DATASET
    keeps_box = has_box and source is not BoxSource.KEYPOINTS  # that one follows from the points again
    return Sample(
        id=hand.id,
        image=hand.image,
        hand_side=HAND_SIDES.index(hand.side),
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

    def __init__(self, path: Path, name: str, canvas: int, canvas_scale: float, shard_hands: int) -> None:
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

    def _rows(self, hands: Iterable[Hand | Mapping[str, Any]], split: str | None) -> Iterator[tuple[Hand, Row, str]]:
        for number, given in enumerate(hands):
            try:
                hand = given if isinstance(given, Hand) else Hand.from_dict(dict(given))
                sample = to_sample(hand)
            except ValueError as error:
                raise DataError(f"hand {number}", expected="a hand to write", got=str(error)) from None
            name, where = hand.id or f"{number:06d}", split or hand.split or "train"
            self._check(name, where, f"hand {number}")
            check_sample(sample, f"hand {number} ({name})")
            if self._optional is None:
                has = {"foreground": hand.foreground is not None, "mask": hand.mask is not None}
                self._optional = tuple(what for what, is_there in has.items() if is_there)
            row = canvas_row(sample, self._canvas, self._scale, self._optional)
            yield hand, row | {"frame": hand.frame, "sample_id": name.encode("ascii")}, where

    def _check(self, name: str, split: str, where: str) -> None:
        if split not in SPLITS:
            raise DataError(where, expected=f"a split of {', '.join(SPLITS)}", got=repr(split))
        if name in self._ids or not name.isascii() or not name.isprintable() or len(name) > SAMPLE_ID_BYTES:
            got = f"{name!r} twice" if name in self._ids else repr(name)
            raise DataError(where, expected=f"a unique ASCII id of at most {SAMPLE_ID_BYTES} characters", got=got)
        self._ids.add(name)

    def _flush(self, split: str) -> None:
        members = self._waiting.pop(split)
        sequences, cameras = (sorted({getattr(hand, what) for hand, _ in members}) for what in ("sequence", "camera"))
        self._sequences.setdefault(split, set()).update(sequences)
        number = sum(entry["split"] == split for entry in self._entries)
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
        facts = {"file": path.name, "split": split, "num_samples": len(members), "size": path.stat().st_size}
        hashes = {"sha256": file_sha256(path), "content_sha256": shard.content_sha256}
        self._entries.append(facts | hashes)


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
