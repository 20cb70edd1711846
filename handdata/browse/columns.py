"""What hands are filtered and sorted by, as NumPy columns over all rows: a filter is one pass over a few of them."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.shards.dataset import Dataset
from handdata.shards.schema import UNKNOWN, Flag
from handdata.skeleton import SIDE_NAMES, SIDE_UNKNOWN

Floats = NDArray[np.float32]
OBJECTS = ("without", "with", "not known")
FLAG_WORDS: Mapping[Flag, str] = {
    Flag.LABEL_WRONG: "label published as wrong",
    Flag.WRIST_DERIVED: "wrist derived",
    Flag.PROJECTION_APPROXIMATE: "projection approximate",
    Flag.IMAGE_PADDED: "image padded",
    Flag.POINT_LEFT_OUT: "a label left out",
    Flag.SIDE_UNSURE: "side not vouched for",
    Flag.BESIDE_MASK: "labels beside the mask",
    Flag.CORRECTED: "mended by a person",
    Flag.DERIVED: "3D derived",
}
NO_FLAG = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """A column of few values.

    Attributes:
        title: its name for people.
        codes: (N,) which of `names` each row has.
        names: the values, in order.
    """

    title: str
    codes: NDArray[np.intp]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A column of numbers.

    Attributes:
        title: its name for people.
        unit: of the values.
        values: (N,) float32, NaN where a row has none; None: not computed yet.
        digits: shown after the point.
        help: one sentence that says what it is; "" where the title does.
    """

    title: str
    unit: str
    values: Floats | None
    digits: int = 0
    help: str = ""


class Columns:
    """The columns of all rows of a dataset.

    Attributes:
        data: the hands; row numbers are numbers of this.
        choices: columns of few values, by name.
        numbers: columns of numbers, by name; runs and slow measures are added later.
        flags: (N,) uint32 bits of `Flag`.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self.flags = data["flags"]
        self.choices = _choices(data)
        self.numbers = _numbers(data)
        self._ids = threading.Lock()
        self._ranks: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def ids(self) -> NDArray[np.bytes_]:
        """The ids as stored, (N,); read once, whoever asks first."""
        with self._ids:
            return self.data.ids

    @property
    def id_ranks(self) -> NDArray[np.int32]:
        """(N,) the place of each id among all of them in order; numbers sort faster than text."""
        ids = self.ids
        with self._ids:
            if self._ranks is None:
                self._ranks = _ranks(ids)
            return self._ranks

    def ids_with(self, text: str) -> NDArray[np.bool_]:
        """Return which ids hold a text, (N,) bool."""
        if not text.isascii():
            return np.zeros(len(self), bool)
        return np.asarray(np.char.find(self.ids, text.encode()) >= 0)

    def values_of(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return what the page shows of some rows: number, id, and a value per column; NaN is None."""
        ids = [bytes(name).decode("ascii", "replace") for name in self.data.take(rows)["sample_id"]]
        table: dict[str, list[Any]] = {"number": rows.tolist(), "id": ids}
        for name, choice in self.choices.items():
            table[name] = [choice.names[code] for code in choice.codes[rows].tolist()]
        table["flags"] = [flag_words(bits) for bits in self.flags[rows].tolist()]
        for name, number in self.numbers.items():
            if number.values is not None:
                shown = [round(value, number.digits + 1) for value in number.values[rows].tolist()]
                table[name] = [value if np.isfinite(value) else None for value in shown]
        return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]

    def described(self) -> dict[str, Any]:
        """Return what the page needs to draw the filters."""
        return {
            "choices": {name: {"title": c.title, "names": list(c.names)} for name, c in self.choices.items()},
            "flags": [NO_FLAG, *(FLAG_WORDS[flag] for flag in FLAG_WORDS if np.any(self.flags & flag))],
            "numbers": {name: _described(number) for name, number in self.numbers.items()},
        }


def _ranks(ids: NDArray[np.bytes_]) -> NDArray[np.int32]:
    padded = ids.astype(f"S{-(-ids.dtype.itemsize // 8) * 8}")  # NULs fill them up, and come first
    words = padded.view(">u8").reshape(len(ids), padded.dtype.itemsize // 8)
    used = [words[:, k].astype(np.uint64) for k in range(words.shape[1])]
    used = [word for word in used if (word != word[:1]).any()]
    ranks = np.arange(len(ids), dtype=np.int32)
    if used:
        ranks[np.lexsort(used[::-1])] = np.arange(len(ids), dtype=np.int32)
    return ranks


def flag_words(bits: int) -> list[str]:
    """Return the set bits of `flags` in words."""
    return [words for flag, words in FLAG_WORDS.items() if bits & flag]


def _described(number: Number) -> dict[str, Any]:
    facts = {"title": number.title, "unit": number.unit, "digits": number.digits, "help": number.help}
    if number.values is None:
        return {**facts, "ready": False}
    known = number.values[np.isfinite(number.values)]
    span = [float(known.min()), float(known.max())] if len(known) else None
    return {**facts, "ready": True, "span": span}


def _choices(data: Dataset) -> dict[str, Choice]:
    """Return the columns of few values; of each hand's shard where the whole shard shares it."""
    shard = data.locate(np.arange(len(data)))[0]
    side = np.minimum(data["hand_side"], SIDE_UNKNOWN).astype(np.intp)
    has_object = data["has_object"]
    objects = np.where(has_object == UNKNOWN, 2, np.clip(has_object, 0, 1)).astype(np.intp)
    sequence, camera = data.codes("sequence"), data.codes("camera")
    return {
        "dataset": _per_shard("Dataset", data.shards.datasets, shard),
        "split": _per_shard("Split", data.shards.splits, shard),
        "sequence": Choice("Sequence", sequence[0], tuple(sequence[1])),
        "camera": Choice("Camera", camera[0], tuple(camera[1])),
        "side": Choice("Side", side, tuple(SIDE_NAMES)),
        "object": Choice("Object", objects, OBJECTS),
    }


def _per_shard(title: str, words: tuple[str, ...], shard: NDArray[np.int64]) -> Choice:
    names = tuple(sorted(set(words)))
    codes = np.array([names.index(word) for word in words] or [0], np.intp)
    return Choice(title, codes[shard], names)


def _numbers(data: Dataset) -> dict[str, Number]:
    visible, crop = data["visible"], data["crop_xyxy"]
    said = (visible >= 0).any(1)
    seen = np.where(said, (visible == 1).sum(1), np.nan)
    return {
        "visible": Number("Visible points", "of 21", _f32(seen)),
        "labels_2d": Number("2D labels", "of 21", _f32(data["annotated_2d"].sum(1))),
        "labels_3d": Number("3D labels", "of 21", _f32(data["annotated_3d"].sum(1))),
        "in_frame": Number("Points in the picture", "of 21", _f32(data["in_frame"].sum(1))),
        "side_px": Number("Scale in the picture", "px", _f32(crop[:, 2] - crop[:, 0]), help="Side of the crop."),
        "scale_mm": Number("Scale of the hand", "mm", _f32(data["scale_mm"]), 1, "Wrist to middle MCP."),
        "frame": Number("Frame", "", _f32(data["frame"])),
    }


def _f32(values: NDArray[Any]) -> Floats:
    return np.asarray(values, np.float32)
