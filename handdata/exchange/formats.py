"""Every foreign format: what writes it, what it is known by, what reads it. A new one is a module and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.exchange import (
    coco,
    croissant,
    csv_table,
    cvat,
    hamer,
    interhand,
    mediapipe,
    parquet,
    webdataset,
    yolo,
)
from handdata.exchange.labels import Annotations
from handdata.exchange.pictures import ExportView
from handdata.shards.dataset import Dataset

SplitWriter = Callable[[ExportView, Path], None]


def _any(content: Any) -> bool:  # noqa: ARG001 - its suffix is enough
    return True


def _nothing(view: ExportView) -> list[str]:  # noqa: ARG001 - a format that is read only
    return []


def _all(data: Dataset) -> NDArray[np.bool_]:
    return np.ones(len(data), bool)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        name: as typed behind --format.
        suffixes: of the files of labels that may be of this format.
        is_it: whether a file is of it, by the content of a JSON file or the columns of a CSV; for other files their
            suffix is enough.
        write: writes one split: (its pictures, folder); None for a format that is read only.
        files: names what `write` writes, by their paths in the folder, without reading a picture.
        holds: of hands, (N,), those that it can hold.
        needs: what those have, in words.
        load: how what it writes is opened, for the card: FIRST is the first split, {FILES} a table of all.
        takes_folders: whether other programs take every picture in images/<split>/ for one of the data set.
        read: (file, what `is_it` was given); None for a format that is written only, or read by `read_others`.
        read_others: of a format whose file names others: (file, folder where those may be).
    """

    name: str
    suffixes: tuple[str, ...] = ()
    is_it: Callable[[Any], bool] = _any
    write: SplitWriter | None = None
    files: Callable[[ExportView], list[str]] = _nothing
    read: Callable[[Path, Any], Annotations] | None = None
    read_others: Callable[[Path, Path | None], Annotations] | None = None
    holds: Callable[[Dataset], NDArray[np.bool_]] = _all
    needs: str = ""
    load: str = ""
    takes_folders: bool = False


# in the order in which a file of labels is tried
FORMATS: Mapping[str, Format] = {
    format_.name: format_
    for format_ in (
        Format(name="interhand", suffixes=(".json",), is_it=interhand.is_it, read=interhand.read),
        Format(
            name="mediapipe",
            suffixes=(".json",),
            is_it=mediapipe.is_it,
            write=mediapipe.write,
            files=mediapipe.files,
            read=mediapipe.read,
            holds=mediapipe.holds,
            needs="all 21 points in 2D",
            load="FIRST.json: a list of records, positions over the picture's size; sides as for mirrored pictures",
        ),
        Format(
            name="coco",
            suffixes=(".json",),
            is_it=coco.is_it,
            write=coco.write,
            files=coco.files,
            read=coco.read,
            load='pycocotools.coco.COCO("annotations/FIRST.json"); the pictures lie in images/;'
            " for Datumaro that file is coco_person_keypoints",
        ),
        Format(name="landmarks", suffixes=(".csv",), is_it=mediapipe.is_csv, read=mediapipe.read_table),
        Format(
            name="csv",
            suffixes=(".csv",),
            write=csv_table.write,
            files=csv_table.files,
            read=csv_table.read,
            load="any table program; docs/custom.md of handdata tells the columns",
        ),
        Format(
            name="yolo",
            suffixes=(".yaml", ".yml"),
            write=yolo.write,
            files=yolo.files,
            read_others=yolo.read,
            holds=yolo.holds,
            needs="a labelled point in the picture",
            load="yolo pose train data=data.yaml",
            takes_folders=True,
        ),
        Format(
            name="cvat",
            suffixes=(".xml",),
            write=cvat.write,
            files=cvat.files,
            read=cvat.read,
            load="CVAT: upload images/FIRST as a task, then FIRST.xml as annotations, format CVAT 1.1",
        ),
        Format(
            name="webdataset",
            suffixes=(".tar",),
            write=webdataset.write,
            files=webdataset.files,
            read=webdataset.read,
            load='webdataset.WebDataset("FIRST-000000.tar")',
        ),
        Format(
            name="parquet",
            suffixes=(".parquet",),
            write=parquet.write,
            files=parquet.files,
            read=parquet.read,
            load='datasets.load_dataset("parquet", data_files={FILES})',
        ),
        Format(  # read as the WebDataset it is
            name="hamer",
            write=hamer.write,
            files=hamer.files,
            holds=hamer.holds,
            needs="a known side",
            load='webdataset.WebDataset("FIRST-000000.tar"); its labels are in data.pyd',
        ),
        Format(  # read as the Parquet it writes
            name="croissant",
            write=croissant.write,
            files=croissant.files,
            load='mlcroissant.Dataset("croissant.json").records("FIRST")',
        ),
    )
}
WRITERS: Mapping[str, SplitWriter] = {name: one.write for name, one in FORMATS.items() if one.write is not None}
