"""What a converter is: a plan of everything there is to convert, and a reader that turns one entry into a Sample.

A plan is cheap (it lists folders and reads label tables, no picture), is the same in every run, and names what is
absent. A reader runs in a worker process, opens what it needs there and keeps it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from handdata.converters.options import Options
from handdata.errors import HanddataError
from handdata.exchange.corrections import Corrections
from handdata.manifest import Manifest
from handdata.shards.provenance import Provenance
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
        has_mask: pictures have a segmentation that `--with-segmentation` keeps; it does not tell the background.
        warnings: what is absent or odd, a sentence each, for the terminal and index.json.
        labels_of: relative paths of the files that only one item depends on, beside its picture.
        readings: which of several possible readings of the format was found, e.g. {"label_order": "tip to mcp"}.
        corrections: labels of these items that a person mended.
        made_of: files of labels that the user named, which decide whose result a folder holds.
        provenance: what the pictures are from, if an export of handdata wrote them; else nothing.
        faults: of items that are known not to be readable, by id: the reader raises the same.
    """

    root: Path
    items: tuple[Item, ...]
    label_files: tuple[str, ...] = ()
    has_foreground: bool = False
    has_mask: bool = False
    warnings: tuple[str, ...] = ()
    labels_of: Callable[[Item], tuple[str, ...]] = _no_labels
    readings: tuple[tuple[str, str], ...] = ()
    corrections: Corrections = field(default_factory=Corrections)
    made_of: tuple[Path, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    faults: Mapping[str, HanddataError] = field(default_factory=dict)


Reader = Callable[[Item], Sample]


@runtime_checkable
class Converter(Protocol):
    """A module under handdata/converters: the native layout in its docstring, these names in its body."""

    @property
    def CANVAS_SCALE(self) -> float:  # noqa: N802
        """Canvas side over crop side."""

    @property
    def CROP_RULE(self) -> str:  # noqa: N802
        """How crop_xyxy is made, a phrase, for the shards' options."""

    @property
    def OPTIONS(self) -> type[Options]:  # noqa: N802
        """What the converter can be asked; `plan` and `reader` take one of these."""

    def plan(self, root: Path, manifest: Manifest, options: Any) -> Plan:
        """List what there is to convert.

        Raises:
            MissingError: `root` is not this dataset, or a label lacks its pictures, or pictures their label.
            DataError: a label table cannot be read.
            ConfigError: an option does not fit this dataset.
        """

    def reader(self, root: Path, manifest: Manifest, options: Any) -> Reader:
        """Return a function that reads one item of the plan; `root` is the plan's."""
