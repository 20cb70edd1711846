"""What a converter is: a plan of everything there is to convert, and a reader that turns one entry into a Sample.

A plan is cheap (it lists folders and reads label tables, no picture), is the same in every run, and names what is
absent. A reader runs in a worker process, opens what it needs there and keeps it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from handdata.errors import HanddataError
from handdata.manifest import Manifest
from handdata.shards.schema import Sample


@dataclass(frozen=True, slots=True)
class Item:
    """One sample to be: which picture, which label.

    Attributes:
        id: the sample's id, unique in its dataset and the same in every run; ASCII.
        split: "train", "val" or "test".
        sequence: whole recording it belongs to; "" where the dataset has none.
        camera: that took the picture.
        frame: number as shipped.
        image: path of the picture, relative to the plan's root, with "/".
        ref: the converter's own: a label row, a hand.
    """

    id: str
    split: str
    sequence: str
    camera: str
    frame: int
    image: str
    ref: int = 0


def _no_labels(_: Item) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a conversion will write, in order.

    Attributes:
        root: the dataset's own folder, found at the path the user gave or one level below it.
        items: samples in their final order; those of one split keep this order in its shards.
        label_files: relative paths of label files the items depend on, beside their pictures.
        has_foreground: the shards get the `foreground` array.
        warnings: what is absent or odd, a sentence each, for the terminal and index.json.
        labels_of: relative paths of the files that only one item depends on, beside its picture.
        readings: which of several possible readings of the format was found, e.g. {"label_order": "tip to mcp"}.
        faults: of items that are known not to be readable, by id: the reader raises the same.
    """

    root: Path
    items: tuple[Item, ...]
    label_files: tuple[str, ...] = ()
    has_foreground: bool = False
    warnings: tuple[str, ...] = ()
    labels_of: Callable[[Item], tuple[str, ...]] = _no_labels
    readings: tuple[tuple[str, str], ...] = ()
    faults: Mapping[str, HanddataError] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked a converter for; each converter reads what concerns it and refuses what it cannot do.

    Attributes:
        camera: of a dataset with several; "" is the dataset's default, "all" every one.
        hands: rhd only: "visible", "dominant" or "all".
        split_scheme: "default" (leak-free) or "reference" (published, method.md 2).
        sequences: names to keep; empty keeps all.
        boxes: file or folder of hand boxes; None looks in the default folder given by `boxes_default`.
        boxes_default: data/boxes/<dataset>, used if it exists.
        projection: dexter only: "calibrated" or "compat" (the thesis' repair).
        calibration: dexter1 only: TOML with the colour cameras' projection.
        derive_wrist: "" or the name of a formula that extrapolates the wrist from the palm (stereo).
        annotations: custom only: the COCO JSON or CSV.
        key_tolerance: synthhands only: levels a channel may be off the key colour and still be background.
        with_segmentation: keep the full `mask`.
    """

    camera: str = ""
    hands: str = "visible"
    split_scheme: str = "default"
    sequences: tuple[str, ...] = ()
    boxes: Path | None = None
    boxes_default: Path | None = None
    projection: str = "calibrated"
    calibration: Path | None = None
    derive_wrist: str = ""
    annotations: Path | None = None
    key_tolerance: int = 0
    with_segmentation: bool = False


Reader = Callable[[Item], Sample]


class Converter(Protocol):
    """A module under handdata/converters: the native layout in its docstring, these names in its body."""

    @property
    def CANVAS_SCALE(self) -> float:  # noqa: N802
        """Canvas side over crop side."""

    @property
    def CROP_RULE(self) -> str:  # noqa: N802
        """How crop_xyxy is made, a phrase, for the shards' options."""

    def plan(self, root: Path, manifest: Manifest, options: Options) -> Plan:
        """List what there is to convert.

        Raises:
            MissingError: `root` is not this dataset, or a label lacks its pictures, or pictures their label.
            DataError: a label table cannot be read.
            ConfigError: an option does not fit this dataset.
        """

    def reader(self, root: Path, manifest: Manifest, options: Options) -> Reader:
        """Return a function that reads one item of the plan; `root` is the plan's."""
