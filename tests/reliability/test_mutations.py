"""Thousands of damaged inputs for each reader: only one short line, never a traceback, a hang or a gigabyte.

HANDDATA_MUTATIONS=2000 sets how many of each; a fault is told with its seed, and what it read is kept.
"""

import json
import os
import pickle
import random
import shutil
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from handdata.annotate.box_formats import export_text, import_text
from handdata.annotate.pictures import list_pictures
from handdata.annotate.requests import parse_edit
from handdata.annotate.session import Session
from handdata.boxes import BoxRow, format_boxes, read_boxes
from handdata.conversion.plan import plan_all
from handdata.conversion.rows import checked_reader
from handdata.converters import CONVERTERS
from handdata.converters.custom import CustomOptions
from handdata.converters.read import mat5, pickle_numpy
from handdata.errors import HanddataError
from handdata.evaluation.predictions import read_predictions
from handdata.evaluation.results import read_results
from handdata.exchange.export import export
from handdata.exchange.formats import WRITERS
from handdata.exchange.reading import NOT_LABELS, label_files
from handdata.files.text import Wanted, read_text
from handdata.model.place import read_lens
from handdata.pictures import picture_file
from handdata.pictures.decode import image_size, read_image, read_raw
from handdata.report.reference import read_reference
from handdata.report.runs import read_run
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS
from handdata.synth.native import NATIVE_WRITERS
from handdata.synth.native.python2_pickle import dumps
from handdata.train.config import load_config
from handdata.train.evaluate import evaluate_run
from handdata.train.selection import Selection
from tests.reliability.mutations import fault_of, mutated

COUNT = int(os.environ.get("HANDDATA_MUTATIONS", "20"))
PICTURES = {".png", ".jpg", ".jpeg", ".bmp"}


def hold(path, read, name, count=COUNT):
    """Damage a file `count` times and read it each time; all faults are told at once.

    The whole file is read first: of one that is refused, damage reaches little.
    """
    whole = path.read_bytes()
    read()
    faults = {}
    for seed in range(count):
        data = mutated(whole, random.Random(f"{name} {seed}"))
        path.write_bytes(data)
        fault = fault_of(read)
        if fault:
            faults.setdefault(fault.partition(": ")[0], f"seed {seed}: {fault}")
    path.write_bytes(whole)
    assert fault_of(read) == ""
    assert not faults, "\n".join(faults.values())


# ------------------------------------------------------------------------------------------------ native labels


def read_native(dataset, root, options=None):
    """Plan a dataset and read a few of its samples as a conversion does with --skip-bad."""
    options = options or CONVERTERS[dataset].OPTIONS()
    plan = plan_all(dataset, root, options)
    read = checked_reader(dataset, plan.root, options)
    first = None
    for item in plan.items[:3]:
        fault = plan.faults.get(item.id) or _refusal(read, item)
        first = first or fault
    if first:
        raise first


def _refusal(read, item):
    try:
        read(item)
    except HanddataError as error:
        return error
    return None


@pytest.fixture
def pictures_decoded_once(monkeypatch):
    """Pictures, which no trial here damages, are decoded once: of a second per trial that took nine tenths."""
    bare, known = picture_file.decode, {}

    def once(path, data, flags, *, exact=False):
        key = (str(path), data, flags, exact)
        if key not in known:
            known[key] = bare(path, data, flags, exact=exact)
        return known[key].copy()

    monkeypatch.setattr("handdata.pictures.decode.decode", once)


@pytest.mark.parametrize("dataset", sorted(NATIVE_WRITERS))
@pytest.mark.usefixtures("pictures_decoded_once")
def test_labels_of_a_native_tree(dataset, native_copy):
    root = native_copy(dataset)
    plan = plan_all(dataset, root, CONVERTERS[dataset].OPTIONS())
    named = {root / name for name in (*plan.label_files, *(n for i in plan.items[:1] for n in plan.labels_of(i)))}
    labels = sorted(path for path in named if path.is_file() and path.suffix not in PICTURES)
    assert labels
    for path in labels[:3]:
        hold(path, lambda: read_native(dataset, root), f"{dataset} {path.name}", max(2, COUNT // 4 // len(labels[:3])))


LABELS = {
    7: {"xyz": np.arange(126, dtype=np.float32).reshape(42, 3) / 7, "K": np.diag([299.0, 299.0, 1.0])},
    11: [True, None, -1, 2.5, "text", b"bytes", (1, 2), {}],
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles(tmp_path, protocol):
    path = tmp_path / "labels.pickle"
    path.write_bytes(pickle.dumps(LABELS, protocol))

    hold(path, lambda: pickle_numpy.load(path), f"pickle {protocol}")


def test_pickles_of_python_2(tmp_path):
    path = tmp_path / "labels.pickle"
    path.write_bytes(dumps(LABELS[7]))

    hold(path, lambda: pickle_numpy.load(path), "pickle of Python 2")


@pytest.mark.parametrize("deflated", [False, True])
def test_matlab_files(tmp_path, deflated):
    path = tmp_path / "labels.mat"
    savemat(path, {"handPara": np.arange(126.0).reshape(3, 21, 2), "text": "hand"}, do_compression=deflated)

    hold(path, lambda: mat5.load(path), f"mat {deflated}")


# ------------------------------------------------------------------------------------------------ your own labels

COCO = {
    "images": [{"id": 1, "file_name": "p_0.png", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 30], "keypoints": [20, 20, 2] * 21}],
    "categories": [{"id": 1, "name": "hand", "keypoints": list(KEYPOINTS)}],
}
CSV = "image,side,wrist_u,wrist_v,thumb_tip_u,thumb_tip_v,index_tip_u,index_tip_v\np_0.png,left,10,10,20,20,30,15\n"


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"p_{number}.png"), np.full((48, 64, 3), 40 * number, np.uint8))
    return folder


@pytest.mark.parametrize(("name", "text"), [("l.json", json.dumps(COCO)), ("l.csv", CSV)])
def test_your_own_labels(pictures, name, text):
    path = pictures / name
    path.write_text(text)
    options = CustomOptions(annotations=(path,))

    hold(path, lambda: read_native("custom", pictures, options), f"custom {name}")


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_labels_of_other_programs(trained, tmp_path, kind):
    export(open_dataset(trained.shards), tmp_path, kind, limit=2)
    options = CustomOptions(annotations=(label_files([tmp_path])[0],))
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in {*PICTURES, ".md"})

    for path in [path for path in files if path.name not in NOT_LABELS][:3]:
        hold(path, lambda: read_native("custom", tmp_path, options), f"{kind} {path.name}")


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_pictures(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    cv2.imwrite(
        str(path), cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
    )

    hold(path, lambda: (image_size(path), read_image(path)), f"picture {suffix}")


def test_depth_pictures(tmp_path):
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), np.arange(48 * 64, dtype=np.uint16).reshape(48, 64))

    hold(path, lambda: read_raw(path), "depth")


# ------------------------------------------------------------------------------------------------ boxes

ROWS = [BoxRow(f"p_{i}.png", (5.0 + i, 5.0, 20.0, 20.0), "person", reviewed=True) for i in range(4)]


def test_tables_of_boxes(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(format_boxes(ROWS))

    hold(path, lambda: read_boxes(path), "boxes")


@pytest.mark.parametrize("kind", ["csv", "cvat", "coco", "mot"])
def test_imported_boxes(pictures, tmp_path, kind):
    listed = list_pictures(pictures)
    path = tmp_path / "import"
    path.write_text(export_text(kind, ROWS, listed))

    def read():
        import_text(kind, read_text(path, Wanted(what="boxes")), "import", listed)

    hold(path, read, f"import {kind}")


def test_journals(pictures, tmp_path):
    listed = list_pictures(pictures)
    with closing(Session(listed, tmp_path / "b.csv")) as session:
        session.keyframe(0, (5, 5, 20, 20))
        session.absent(2)
        session.undo()
    files = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    journal = next(path for path in files if path.suffix == ".journal")

    def read():
        data = journal.read_bytes()
        for path, whole in files.items():
            path.write_bytes(data if path == journal else whole)
        Session(listed, tmp_path / "b.csv").close()

    hold(journal, read, "journal", COUNT // 2)


def test_edits_of_the_page(tmp_path):
    path = tmp_path / "edit"
    path.write_text('{"op": "keyframe", "frame": 1, "box": [5, 5, 20, 20]}')

    hold(path, lambda: parse_edit(path.read_bytes()), "edit")


# ------------------------------------------------------------------------------------------------ predictions

POINTS = [[float(i), 2.0 * i] for i in range(21)]
SAMPLE = {"sample_id": "training/00000/left", "keypoints_2d": POINTS, "keypoints_3d": [[*p, 400.0] for p in POINTS]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", json.dumps({"schema": "handdata-predictions/1", "samples": [SAMPLE], "options": {}})),
        (
            "p.csv",
            "sample_id,keypoint,u,v\n" + "".join(f"a/b,{k},{i},2\n" for i, k in enumerate(["wrist", "thumb_tip"])),
        ),
    ],
)
def test_predictions(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)

    hold(path, lambda: read_predictions(path), f"predictions {name}")


# ------------------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize("name", ["config.json", "shards.json", "log.jsonl", "results.json"])
def test_files_of_a_run(trained, tmp_path, name):
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    if name == "results.json":
        evaluate_run(run, Selection(folders=[trained.shards], split="val"), device="cpu")

    hold(run / name, lambda: (read_run(run), read_results(run / name) if name == "results.json" else None), name)


def test_recipes(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('extends = "best"\n[loop]\nepochs = 3\n[optim]\nbetas = [0.9, 0.99]\nkind = "adamw"\n')

    hold(path, lambda: load_config(str(path)), "recipe")


def test_reference_results(tmp_path):
    path = tmp_path / "e010__stereo_valuation.json"
    content = {
        "error_keypoint_2d": [0.1] * 21,
        "error_total_2d": 0.5,
        "acc_range_2d": [0.1, 0.2],
        "thres_range": [1, 2],
    }
    path.write_text(json.dumps(content))

    hold(path, lambda: read_reference(tmp_path), "reference")


def test_cameras(tmp_path):
    path = tmp_path / "K.json"
    path.write_text('{"K": [[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]]}')

    hold(path, lambda: read_lens(path).intrinsics(640, 480), "camera")


def test_indexes_of_shards(trained, tmp_path):
    folder = Path(shutil.copytree(trained.shards, tmp_path / "shards"))

    def read():
        data = open_dataset(folder)
        data[0], data["sequence"], data.summary(), repr(data)

    hold(folder / "index.json", read, "index")
