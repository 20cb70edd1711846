"""Readers for fuzz_readers.py of what handdata stores for itself: shards, their index, tags, journals, checkpoints.

Hashes refuse what chance changes, and little of it would reach the code behind them. "Sealed" ones get the hashes of
what they hold now, as somebody who wants to do harm would give them; a shard's header, which HDF5 reads, keeps its own.
"""

# ruff: noqa: PLC0415 - imports are instrumented where they happen
import atexit
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SHARD, INDEX, STATE = "train-00000.h5", "index.json", "state.json"
OF_A_SHARD, MADE_OF = f".state/{SHARD}.json", ".state/made_of.json"  # what a conversion goes on from
MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
TENSORS = (MODEL, OPTIMIZER)
CANVAS = 32  # px
_READINGS = itertools.count(1)


@dataclass(frozen=True)
class Reader:
    """A reader: the name of the file it reads, a whole one, and what reads it."""

    file: str
    seed: Callable[[], bytes]
    read: Callable[[Path], object]


def stores() -> dict[str, Reader]:
    """Return every reader by name; what each reads is made when it is first asked for."""
    return {
        "shard": in_folder(SHARD, shards, read_shards),
        "shard, sealed": in_folder(SHARD, shards, read_shards, seal_rows),
        "index": in_folder(INDEX, shards, read_shards),
        "tags": in_folder("tags.json", shards, read_tags),
        "state of a conversion": in_folder(OF_A_SHARD, shards, convert_again),
        "files of a conversion": in_folder(MADE_OF, shards, convert_again),
        "journal of boxes": in_folder("b.journal", lambda: edited("b.csv"), read_boxes),
        "journal of points": in_folder("p.journal", lambda: edited("p.json"), read_points),
        "state of a checkpoint": in_folder(STATE, checkpoint, read_checkpoint),
        "state, sealed": in_folder(STATE, checkpoint, read_checkpoint, seal_state),
        "tensors, sealed": in_folder(MODEL, checkpoint, read_checkpoint, seal_tensors),
        "optimiser, sealed": in_folder(OPTIMIZER, checkpoint, read_checkpoint, seal_tensors),
    }


def in_folder(
    name: str, make: Callable[[], Path], read: Callable[[Path], object], seal: Callable[[Path], None] | None = None
) -> Reader:
    """Return a reader of a folder, one file of which is changed; every other is put back before each reading.

    Args:
        name: of the file.
        make: makes the whole folder.
        read: reads one.
        seal: gives the changed file hashes of what it holds now.
    """

    def fresh(path: Path) -> object:
        whole = make()
        work = whole.with_name("work")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(whole, work)
        shutil.copyfile(path, work / name)
        if seal is not None:
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # of what is no JSON
                seal(work)
        return read(work)

    def seed() -> bytes:
        return (make() / name).read_bytes()

    return Reader(Path(name).name, seed, fresh)


def made_folder(name: str) -> Path:
    """Return a new folder, removed at the end."""
    base = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    (base / "whole").mkdir()
    return base / "whole"


def anew(path: Path) -> Path:
    """Let a file look changed to what keeps a file that was read by its size and its time, which is coarse."""
    number = next(_READINGS)
    os.utime(path, ns=(number, number))
    return path


# ------------------------------------------------------------------------------------------------ shards


@cache
def shards() -> Path:
    """Return a folder of one small shard, and tags of them."""
    from handdata.browse.tags import TagFile
    from handdata.shards.dataset import open_dataset

    out = made_folder("shards")
    native = out.with_name("native")
    native.mkdir()
    lines = ["image,side,wrist_u,wrist_v,index_tip_u,index_tip_v"]
    for i, side in enumerate(("left", "right") * 2):
        cv2.imwrite(str(native / f"{i}.png"), np.random.default_rng(i).integers(1, 255, (48, 64, 3)).astype(np.uint8))
        lines.append(f"{i}.png,{side},{20 + i},20,{30 + i},{25 + i}")
    (native / "l.csv").write_text("\n".join(lines) + "\n")
    convert_into(out, native)
    data = open_dataset(out)
    TagFile(out / "tags.json", data).tag("odd", [data[0].id], on=True)
    return out


def convert_into(out: Path, native: Path) -> None:
    """Convert the pictures, all of them into one shard."""
    from handdata.conversion.run import convert
    from handdata.converters.custom import CustomOptions

    convert("custom", native, out, options=CustomOptions(annotations=native / "l.csv"), splits=["train"], canvas=CANVAS)


def convert_again(folder: Path) -> None:
    """Convert once more into the folder: whatever its state says, the shards are the same, to the byte."""
    from handdata.conversion.state import made_of, root_of

    whole = shards()
    made_of(folder), root_of(folder)
    convert_into(folder, whole.with_name("native"))
    for name in (SHARD, INDEX):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), f"another {name}"


def read_shards(folder: Path) -> None:
    """Open the shards, and read every sample, each label and the summary."""
    from handdata.shards.dataset import open_dataset

    data = open_dataset(folder)
    hands = list(data)
    repr(data), repr(hands), data.summary(), data["sequence"], data["keypoints_2d"]


def read_tags(folder: Path) -> None:
    """Read the tags."""
    from handdata.browse.tags import TagFile
    from handdata.shards.dataset import open_dataset

    TagFile(folder / "tags.json", open_dataset(folder)).counts()


def seal_rows(folder: Path) -> None:
    """Give a shard, whose header is whole, the hashes of its rows and labels as they are now."""
    from handdata.errors import HanddataError
    from handdata.shards.index import read_index
    from handdata.shards.layout import array_hash, layout_of, seal_of
    from handdata.shards.reader import ShardReader, write_index

    index = read_index(folder)
    (entry,) = index["shards"]
    layout = layout_of(entry["layout"])
    if layout is None:
        return
    with suppress(HanddataError):  # its size or its header is another
        reader = ShardReader(folder / SHARD, seal_of(entry, layout))
        hashes = reader.row_hashes().tobytes()
        with (folder / SHARD).open("r+b") as file:
            file.seek(reader.offset("row_hash"))
            file.write(hashes)
        labels = " ".join(array_hash(reader.view(field.name)) for field in layout.labels)
        entry.update(replace(reader.seal, label_hashes=labels).as_json())
        write_index(folder, index)


# ------------------------------------------------------------------------------------------------ journals


@cache
def edited(name: str) -> Path:
    """Return a folder of pictures and the journal of edits of them."""
    from handdata.annotate.keypoints.session import PointSession
    from handdata.annotate.pictures import list_pictures
    from handdata.annotate.session import Session

    folder = made_folder("edits")
    for number in range(3):
        cv2.imwrite(str(folder / f"p_{number}.png"), np.full((48, 64, 3), 90 * number, np.uint8))
    listed = list_pictures(folder)
    if name == "b.csv":
        with closing(Session(listed, folder / name)) as boxes:
            boxes.keyframe(0, (5, 5, 20, 20))
            boxes.absent(2)
            boxes.undo()
    else:
        with closing(PointSession(listed, folder / name, follows=False)) as points:
            hand = points.begin(0, (5, 5, 40, 40), "left")
            points.place(0, hand, {0: (20.0, 20.0), 8: (30.0, 25.0)})
            points.set_state(0, hand, [8], "occluded")
            points.gone(1, hand)
            points.undo()
    (folder / name).unlink()  # the journal alone says what there is
    return folder


def read_boxes(folder: Path) -> None:
    """Open the journal of boxes, and write what it says."""
    from handdata.annotate.pictures import list_pictures
    from handdata.annotate.session import Session

    Session(list_pictures(folder), folder / "b.csv").close()


def read_points(folder: Path) -> None:
    """Open the journal of keypoints, and write what it says."""
    from handdata.annotate.keypoints.session import PointSession
    from handdata.annotate.pictures import list_pictures

    PointSession(list_pictures(folder), folder / "p.json", follows=False).close()


# ------------------------------------------------------------------------------------------------ checkpoints


@cache
def checkpoint() -> Path:
    """Return a checkpoint of a network of 40 numbers that has taken a step."""
    import torch

    from handdata.train.checkpoint import Position, save
    from handdata.train.config import load_config

    network, optimizer = small()
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    folder = made_folder("checkpoint")
    position = Position(epoch=1, batch=2, step=3, sums={"total": 0.5}, best_loss=0.5, schedule={"best": float("inf")})
    save(folder, load_config("best-smoke"), position, network, optimizer=optimizer)
    return folder


def small() -> Any:
    """Return a network and its optimiser."""
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    return network, torch.optim.AdamW(network.parameters())


def read_checkpoint(folder: Path) -> None:
    """Read a checkpoint as `evaluate`, `predict` and `train --resume` do."""
    from handdata.model.checkpoint import read
    from handdata.model.weights import fill
    from handdata.train.checkpoint import load, restore

    network, optimizer = small()
    read(folder)
    fill(network, load(folder).best_weights, where=folder)
    restore(folder, network, optimizer)


def seal_state(folder: Path) -> None:
    """Give a state the hash of what it holds now."""
    from handdata.model.checkpoint import state_sha256

    state = json.loads((folder / STATE).read_text())
    state["state_sha256"] = state_sha256(state)
    (folder / STATE).write_text(json.dumps(state))


def seal_tensors(folder: Path) -> None:
    """Give a checkpoint the hashes of its tensors as they are now."""
    state = json.loads((folder / STATE).read_text())
    state["sha256"] = {name: sha256((folder / name).read_bytes()).hexdigest() for name in TENSORS}
    (folder / STATE).write_text(json.dumps(state))
    seal_state(folder)
