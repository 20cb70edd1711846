"""Readers for fuzz_readers.py of what others than handdata unpack: Parquet, tars, ONNX, .pth; and what came last.

Pictures lie in a Parquet file and in a tar; their labels are read by other ways than a file of labels beside them.
"""

# ruff: noqa: PLC0415 - imports are instrumented where they happen
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fuzz_handed import network, run
from fuzz_stores import Reader, anew, in_folder, made_folder, shards

JOURNAL, HEATMAPS, IDS = "d.journal", "mosaic.npz", "labels/train.ids.json"
PARQUET, TAR, CSV = "train.parquet", "train-000000.tar", "train.csv"
CAMERAS = (
    "[cam0]\nsize = [320, 240]\nK = [[400.0, 0.0, 160.0], [0.0, 400.0, 120.0], [0.0, 0.0, 1.0]]\n"
    "T_camera_tof = [[1.0, 0.0, 0.0, -80.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]\n"
)


def packed() -> dict[str, Reader]:
    """Return every reader by name; what each reads is made when it is first asked for."""
    return {
        "labels, Parquet": Reader("a.parquet", table, read_table),
        "labels, Parquet of export": in_folder(PARQUET, partial(exported, "parquet"), read_one(PARQUET)),
        "labels, WebDataset": in_folder(TAR, partial(exported, "webdataset"), read_one(TAR)),
        "labels, CSV of export": in_folder(CSV, partial(exported, "csv"), read_one(CSV)),
        "ids of YOLO's rows": in_folder(IDS, yolo, read_one("data.yaml")),
        "network of ONNX": Reader("a.onnx", onnx, read_onnx),
        "weights, .pth": Reader("a.pth", pth, read_pth),
        "heatmaps of a run": in_folder(HEATMAPS, seen, read_heatmaps),
        "calibration": Reader("a.toml", CAMERAS.encode, read_cameras),
        "journal of depth": in_folder(JOURNAL, clicked, read_clicked),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ labels


def table() -> bytes:
    """Return a Parquet table of labels, as pandas writes it."""
    import pyarrow
    from pyarrow import parquet

    columns = {"image": ["p_0.png"], "side": ["left"], "wrist_u": [10.0], "wrist_v": [10], "thumb_tip_u": [20.0]}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns | {"thumb_tip_v": [20.0]}), sink)
    return bytes(sink.getvalue())


@cache
def exported(kind: str, pictures: str = "canvas") -> Path:
    """Return a folder that an export wrote."""
    from handdata.exchange.export import export
    from handdata.shards.dataset import open_dataset

    data = open_dataset(shards())
    folder = made_folder(f"exported-{kind}") / "in"
    source_of: dict[str, Path] = {}
    if pictures == "source":
        for hand in data:
            source_of[hand.id] = folder.with_name(f"{len(source_of)}.png")
            cv2.imwrite(str(source_of[hand.id]), np.zeros((*hand.source.size[::-1], 3), np.uint8))
    export(data, folder, kind, pictures=pictures, source_of=source_of)
    return folder


def yolo() -> Path:
    """Return an export whose pictures have lost the ids of their hands to a file of their own."""
    return exported("yolo", "source")


def read_table(path: Path) -> None:
    """Read labels beside which their pictures lie."""
    from handdata.exchange.reading import read_annotations

    read_annotations(anew(path))


def read_packed(path: Path) -> None:
    """Read labels and the first picture as `import` does."""
    from handdata.exchange.packed import read_picture
    from handdata.exchange.reading import read_annotations

    found = read_annotations(anew(path))
    for row in found.rows[:1]:
        read_picture(path.parent, row.image)


def read_one(name: str) -> Callable[[Path], None]:
    """Return what reads a file of a folder."""
    return lambda folder: read_packed(folder / name)


# ------------------------------------------------------------------------------------------------ models


def onnx() -> bytes:
    """Return a small network as `predict --onnx` writes it."""
    from handdata.model.checkpoint import Trained
    from handdata.model.onnx import write_onnx

    model, weights = network()
    path = made_folder("onnx") / "a.onnx"
    write_onnx(path, Trained(weights=weights, model=model, recipe="compact", epoch=1, path=path))
    return path.read_bytes()


def read_onnx(path: Path) -> None:
    """Ask it about a picture."""
    from handdata.model.model import Model
    from handdata.model.onnx_read import find_ready

    model = Model(find_ready(path), "cpu")
    model(np.full((48, 64, 3), 90, np.uint8), side="auto" if model.tells_sides else "left")


def pth() -> bytes:
    """Return tensors as torch.save writes them."""
    import torch

    path = made_folder("pth") / "a.pth"
    torch.save({"a": torch.ones(2, 2), "b": torch.arange(3)}, path)
    return path.read_bytes()


def read_pth(path: Path) -> None:
    """Read them as `train --weights` does."""
    from handdata.model.weights import read_weights

    read_weights(path)


@cache
def seen() -> Path:
    """Return a run with heatmaps."""
    folder = made_folder("seen")
    for path in run().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    maps = np.random.default_rng(0).random((21, 8, 8)).astype(np.float32)
    named = {"sample_id": np.array("a/b"), "dataset": np.array("rhd")}
    np.savez_compressed(folder / HEATMAPS, image=np.full((32, 32, 3), 90, np.uint8), heatmaps=maps, **named)
    return folder


def read_heatmaps(folder: Path) -> None:
    """Draw them as `report` does."""
    from handdata.report.gallery import mosaic

    mosaic(folder)


# ------------------------------------------------------------------------------------------------ depth


def read_cameras(path: Path) -> None:
    """Read what `--calibration` is given."""
    from handdata.converters.dexter1 import read_calibration

    read_calibration(path)


@cache
def recorded() -> tuple[Any, Any]:
    """Return the depth pictures of a rendered sequence, and which of them are to be clicked."""
    from handdata.annotate.depth.derive import survey
    from handdata.annotate.depth.pictures import pictures_of
    from handdata.annotate.depth.recording import open_recording
    from handdata.synth.native import write_native

    folder = made_folder("depth")
    write_native("dexter", folder, 4, seed=0, small=True)
    sequence = next(path.parent.name for path in sorted(folder.rglob("depth")))
    recording = open_recording("dexter", sequence, folder)
    found = survey(recording, 1)
    return pictures_of(recording, found.centres), found


@cache
def clicked() -> Path:
    """Return a folder with the journal of a session in which a frame was clicked."""
    from handdata.annotate.depth.session import DepthSession

    pictures, found = recorded()
    folder, frame = made_folder("clicked"), found.references[0]
    with closing(DepthSession(pictures, folder / "d.json", found)) as session:
        hand = session.begin(frame, (200.0, 100.0, 400.0, 300.0))
        session.place(frame, hand, {0: (220.0, 120.0), 8: (300.0, 250.0)})
        session.tell_nearer(frame, hand, 8, "end")
        session.undo()
    with suppress(FileNotFoundError):
        (folder / "d.json").unlink()  # the journal alone says what there is
    return folder


def read_clicked(folder: Path) -> None:
    """Open the journal, and end the session."""
    from handdata.annotate.depth.session import DepthSession

    pictures, found = recorded()
    DepthSession(pictures, folder / "d.json", found).close()
