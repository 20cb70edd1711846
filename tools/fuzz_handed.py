"""Readers for fuzz_readers.py of what runs, people and other programs hand over: results, records, marks, id lists.

Weights come as files without a hash, which are still read: whoever wants to do harm would hash them anew.
"""

# ruff: noqa: PLC0415 - imports are instrumented where they happen
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
from fuzz_stores import Reader, anew, in_folder, made_folder, shards

from handdata.paths import RENDERED_MARK
from handdata.skeleton import KEYPOINTS

DATA, CAMERA, JOINTS, RESULTS = "a_data.json", "a_camera.json", "a_joint_3d.json", "results.json"
LONGEST = 500  # characters of a line, as in fuzz_readers.py
LOG, RECORD, CONFIG = "log.jsonl", "shards.json", "config.json"
POINTS = [value for i in range(21) for value in (20.0 + i, 20.0, 2)]
COCO = {
    "images": [{"id": 1, "file_name": "p_0.png", "width": 64, "height": 48}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 30], "keypoints": POINTS,
         "source_to_canvas": [[1, 0, 0], [0, 1, 0]]}
    ],
    "categories": [{"id": 1, "name": "hand", "keypoints": list(KEYPOINTS)}],
}  # fmt: skip
FOUND = [{"image_id": 1, "category_id": 1, "keypoints": POINTS, "score": 0.5}]
SET = {"dataset": "rhd", "origin": "rendered", "folder": "", "splits": ["train"], "sequences": ["still"],
       "left_out": [], "shards": ["1" * 64], "other_shards": []}  # fmt: skip
PERSON = {"bones": {"index_mcp-index_pip": 41, "wrist-index_mcp": [86, 1.5]}}


def handed() -> dict[str, Reader]:
    """Return every reader by name; what each reads is made when it is first asked for."""
    return {
        "results of COCO": in_folder(RESULTS, labelled, read_others),
        "results of mmpose": in_folder("results.pkl", labelled, read_others),
        "labels that results count by": in_folder("l.json", labelled, read_others),
        "labels of InterHand2.6M": in_folder(DATA, interhand, read_interhand),
        "cameras of InterHand2.6M": in_folder(CAMERA, interhand, read_interhand),
        "joints of InterHand2.6M": in_folder(JOINTS, interhand, read_interhand),
        "record of an export": in_folder("handdata-export.json", exported, read_exported),
        **{f"{name} of a run": in_folder(name, run, read_report_run) for name in (LOG, RECORD, CONFIG)},
        "author's results": Reader("e.json", evaluation, read_author),
        "person": Reader("p.json", as_json(PERSON), read_bones),
        "boxes of pictures": Reader("a.csv", given_boxes, read_boxes_of),
        "labels to replace": Reader("a.json", predicted, read_labels),
        "settings of weights": Reader("a.json", settings, read_settings),
        "weights of the detector": Reader("a.safetensors", detector, read_detector),
        "mark of a rendering, doctor": in_folder(RENDERED_MARK, rendered, diagnose_rendered),
        "mark of a rendering, synth": in_folder(RENDERED_MARK, rendered, render_again),
        "ids of a subset": Reader("a.txt", some_ids, read_subset),
        "weights of a mix": Reader("a.toml", mixed, read_mix),
    }


def as_json(value: Any) -> Callable[[], bytes]:
    """Return what makes a file of JSON."""
    return json.dumps(value).encode


# ------------------------------------------------------------------------------------------------ other programs


@cache
def labelled() -> Path:
    """Return a folder of a picture, its labels, and what two programs predict of it."""
    folder = made_folder("results")
    cv2.imwrite(str(folder / "p_0.png"), np.full((48, 64, 3), 90, np.uint8))
    hands = {"keypoints": np.full((1, 21, 2), 20.0), "keypoint_scores": np.ones((1, 21))}
    (folder / "l.json").write_text(json.dumps(COCO))
    (folder / RESULTS).write_text(json.dumps(FOUND))
    found = [{"img_id": 1, "id": 1, "pred_instances": hands}]
    (folder / "results.pkl").write_bytes(pickle.dumps(found, 2))
    return folder


def read_others(folder: Path) -> None:
    """Put results beside the labels, as `score` does."""
    from handdata.conversion.other_results import read_any_predictions

    for name in (RESULTS, "results.pkl"):
        read_any_predictions(folder / name, folder / "l.json")


@cache
def interhand() -> Path:
    """Return a folder of InterHand2.6M's three files, of one picture with a right hand."""
    folder = made_folder("interhand")
    cv2.imwrite(str(folder / "p_0.png"), np.full((48, 64, 3), 90, np.uint8))
    image = {"id": 1, "file_name": "p_0.png", "width": 64, "height": 48, "capture": 0, "camera": "400",
             "frame_idx": 5, "seq_name": "s", "subject": 1}  # fmt: skip
    given = {"id": 1, "image_id": 1, "bbox": [5, 5, 30, 30], "hand_type": "right", "joint_valid": [1] * 21 + [0] * 21}
    (folder / DATA).write_text(json.dumps({"images": [image], "annotations": [given]}))
    camera = {"campos": {"400": [0, 0, -500]}, "camrot": {"400": np.eye(3).tolist()},
              "focal": {"400": [60, 60]}, "princpt": {"400": [32, 24]}}  # fmt: skip
    (folder / CAMERA).write_text(json.dumps({"0": camera}))
    world = [[i, 2 * i, 10] for i in range(42)]
    (folder / JOINTS).write_text(json.dumps({"0": {"5": {"world_coord": world, "joint_valid": [1] * 42}}}))
    return folder


def read_interhand(folder: Path) -> None:
    """Read the labels as `import` does."""
    from handdata.exchange.reading import read_annotations

    read_annotations(anew(folder / DATA))


@cache
def exported() -> Path:
    """Return a folder that an export wrote."""
    from handdata.exchange.export import export
    from handdata.shards.dataset import open_dataset

    folder = made_folder("exported")
    export(open_dataset(shards()), folder / "in", "coco")
    return folder / "in"


def read_exported(folder: Path) -> None:
    """Read the record as another export into that folder does, and as an import from it."""
    from handdata.errors import ConfigError
    from handdata.exchange.card import card_text, terms_of
    from handdata.exchange.carried import carried
    from handdata.exchange.reading import read_annotations
    from handdata.exchange.record import RECORD, ExportRecord
    from handdata.exchange.same_hands import some_pictures
    from handdata.shards.dataset import open_dataset

    data = open_dataset(shards())
    about = terms_of(data)
    (file,) = (path for path in folder.rglob("*.json") if path.name != RECORD)
    carried([file], [read_annotations(file)], [file.parent])
    record = ExportRecord(folder, "csv", about.parts)
    card_text(data, "csv", record.finished, about, "canvas")
    with suppress(ConfigError):  # of another dataset
        record.refuse_other(data.name, about.parts, some_pictures(data))
    with suppress(ConfigError):  # corrected labels
        record.refuse_losing(data)


# ------------------------------------------------------------------------------------------------ runs


@cache
def run() -> Path:
    """Return a run without its weights."""
    from handdata.train.config import load_config

    folder = made_folder("run")
    entry = {"epoch": 1, "train": {"total": 0.5}, "val": {"total": 0.5}, "samples_per_s": 9.0, "data_wait": 0.1}
    (folder / CONFIG).write_text(json.dumps(load_config("best-smoke").to_dict()))
    (folder / LOG).write_text(json.dumps(entry) + "\n")
    (folder / RECORD).write_text(json.dumps({"datasets": [], "trained": [SET], "before": [SET]}))
    return folder


def read_report_run(folder: Path) -> None:
    """Read a run as `report` and `runs` do, and as a training that starts from it."""
    from handdata.model.released import records_behind
    from handdata.report.lead import run_cards
    from handdata.report.models import models_table
    from handdata.report.runs import read_run
    from handdata.train.runs import list_runs

    list_runs(folder.parent)
    records_behind(folder)
    found = read_run(folder)
    repr((found.recipe, found.experiment, found.model, found.augmented, found.real_sets, found.sets))
    run_cards([found]), models_table([found])


def evaluation() -> bytes:
    """Return a file of the thesis' results."""
    values = {"error_keypoint_2d": [1.0] * 21, "error_total_2d": 1.0, "thres_range": [0, 1], "acc_range_2d": [0, 1]}
    return json.dumps(values).encode()


def read_author(path: Path) -> None:
    """Read it as `report` does."""
    from handdata.report.reference import read_evaluation

    read_evaluation(path)


# ------------------------------------------------------------------------------------------------ predict, label


def read_bones(path: Path) -> None:
    """Read what `predict --person` is given."""
    from handdata.model.place import read_person

    read_person(path)


def given_boxes() -> bytes:
    """Return a table of two pictures' boxes."""
    from handdata.boxes import BoxRow, format_boxes

    rows = [BoxRow(f"p_{i}.png", (5.0, 5.0, 9.0, 9.0), "person", reviewed=True) for i in range(2)]
    return format_boxes(rows).encode()


def read_boxes_of(path: Path) -> None:
    """Read what `predict --boxes` is given."""
    from handdata.track.given import read_given

    read_given(path, ["p_0.png", "p_1.png"])


def predicted() -> bytes:
    """Return what `label` writes of a picture without a hand."""
    from handdata.track.label import LabelFile

    file, asked = made_folder("labels") / "a.json", SimpleNamespace(path=Path("compact"), recipe="compact")
    labels = LabelFile(least_confidence=0.3)
    labels.add("p_0.png", (64, 48), [])
    labels.write(file, cast(Any, asked), before=None)
    return file.read_bytes()


def read_labels(path: Path) -> None:
    """Read what `label` would replace."""
    from handdata.track.label import refuse_to_lose

    refuse_to_lose(path)


@cache
def network() -> tuple[Any, dict[str, Any]]:
    """Return settings of a small network and its tensors."""
    from handdata.model.config import ModelConfig
    from handdata.model.families import family_of
    from handdata.model.networks import PLAIN

    model = ModelConfig(kind="compact", size=32, width=0.125)
    return model, family_of("compact").make(model, PLAIN).state_dict()


def settings() -> bytes:
    """Return what a file of weights says of itself."""
    told = {"recipe": "compact", "epoch": 1, "turn": True, "hand_size": {"mm": 90.0, "sd_mm": 5.0}, "seen": {}}
    return as_json({"model": asdict(network()[0]), **told, "trained": [SET]})()


def read_settings(path: Path) -> None:
    """Ask a model that these settings and whole tensors make about a picture."""
    from safetensors.torch import save

    from handdata.model.model import Model
    from handdata.model.released import read_file, records_behind

    file = path.with_suffix(".safetensors")
    file.write_bytes(save(network()[1], {"handdata": path.read_bytes().decode("latin-1")}))
    model = Model(read_file(file), "cpu")
    repr(model), records_behind(file)
    model(np.full((48, 64, 3), 90, np.uint8), side="auto" if model.tells_sides else "left")


def detector() -> bytes:
    """Return a detector's weights, a sixteenth as wide."""
    from safetensors.torch import save

    from handdata.model.spotter import SpotterNet

    weights = {name: value.half() if value.is_floating_point() else value
               for name, value in SpotterNet(1 / 16).state_dict().items()}  # fmt: skip
    return bytes(save(weights, {"handdata": json.dumps({"seen": {}})}))


def read_detector(path: Path) -> None:
    """Ask a detector about a picture."""
    from handdata.model.detector import Spotter

    Spotter(path, least_score=0.0)(np.full((48, 64, 3), 90, np.uint8))


# ------------------------------------------------------------------------------------------------ synth, doctor


@cache
def rendered() -> Path:
    """Return a folder that `synth` rendered, of two pictures."""
    folder = made_folder("rendered")
    render_again(folder)
    return folder


def render_again(folder: Path) -> None:
    """Render as `synth` does, whatever the mark says of what is there."""
    from handdata.synth.native import write_native

    write_native("rhd", folder, 2, seed=0, small=True)


def diagnose_rendered(folder: Path) -> None:
    """Look at it as `doctor` does."""
    from handdata.check.doctor import diagnose

    found = diagnose("rhd", folder, folder.parent)
    for line in (*found.findings, *found.notes):  # as it is printed
        assert len(line) <= LONGEST, f"{len(line)} characters: {line[:200]!r}"


# ------------------------------------------------------------------------------------------------ subset, train


def some_ids() -> bytes:
    """Return a list of two samples' ids."""
    from handdata.shards.dataset import open_dataset

    return "\n".join(open_dataset(shards())["id"][:2].tolist()).encode()


def read_subset(path: Path) -> None:
    """Choose the samples as `subset --ids` does."""
    from handdata.shards.conditions import read_ids
    from handdata.shards.dataset import open_dataset

    data = open_dataset(shards())
    len(data.where(id=read_ids(path, set(data["id"].tolist()))))


def mixed() -> bytes:
    """Return a recipe that weighs two datasets."""
    return b'extends = "best-smoke"\n[data]\nbatch = 4\n[data.weights]\nrhd = 2\nsynthhands = 1.5\n'


def read_mix(path: Path) -> None:
    """Draw samples of two datasets as a training by this recipe does."""
    from handdata.train.config import load_config
    from handdata.train.loader.proportions import mix_weights, slot_map

    data = load_config(str(path)).data
    slots = slot_map([5, 3], mix_weights(data.weights or data.mix or None, ["rhd", "synthhands"]))
    slots.draw(0, 0, np.arange(8))
