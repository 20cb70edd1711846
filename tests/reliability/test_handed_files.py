"""What runs and other programs hand over, with nonsense in it: each of these ended in a traceback once."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.conversion.other_results import read_any_predictions
from handdata.errors import ConfigError, DataError
from handdata.evaluation.seen import RECORD
from handdata.exchange.reading import read_annotations
from handdata.model.checkpoint import Trained
from handdata.model.config import ModelConfig
from handdata.model.families import family_of
from handdata.model.networks import PLAIN
from handdata.model.place import read_person
from handdata.model.released import read_file, records_behind, write_file
from handdata.report.reference import read_reference
from handdata.train.config import load_config
from tests.reliability.refusals import refused_by
from tests.reliability.test_mutations import COCO

POINTS = [value for i in range(21) for value in (20.0 + i, 20.0, 2)]
HANDS = {"keypoints": [[[20.0, 20.0]] * 21], "keypoint_scores": [[1.0] * 21]}


@pytest.fixture
def labels(tmp_path):
    cv2.imwrite(str(tmp_path / "p_0.png"), np.full((48, 64, 3), 90, np.uint8))
    (tmp_path / "l.json").write_text(json.dumps(COCO))
    return tmp_path / "l.json"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keypoints": None}, "[0][keypoints]: expected numbers of (hands, 21, 2), got shape ()"),
        ({"keypoints": [1.0] * 5}, "[0][keypoints]: expected numbers of (hands, 21, 2), got shape (5,)"),
        ({"keypoints": [[]]}, "[0][keypoints]: expected numbers of (hands, 21, 2), got shape (1, 0)"),
        ({"keypoints": [[1], [1, 2]]}, "[0][keypoints]: expected numbers, got "),
        ({"keypoints": "x"}, "[0][keypoints]: expected numbers, got "),
        ({"keypoint_scores": "x"}, "[0][keypoint_scores]: expected numbers, got "),
        ({"keypoint_scores": []}, "[0][keypoint_scores]: expected as many scores for each hand, got 0 for 1 hands"),
        ({"keypoints": [[[20.0, 20.0]] * 21] * 2}, "expected as many scores for each hand, got 21 for 2 hands"),
    ],
)
def test_hands_of_mmpose_that_are_none(labels, change, told):
    path = labels.with_name("r.pkl")
    path.write_bytes(pickle.dumps([{"img_id": 1, "id": 1, "pred_instances": HANDS | change}], 2))

    assert told in refused_by(read_any_predictions, path, labels)


@pytest.mark.parametrize("key", ["img_id", "id"])
def test_numbers_of_mmpose_that_are_none(labels, key):
    path = labels.with_name("r.pkl")
    path.write_bytes(pickle.dumps([{"img_id": 1, "id": 1, "pred_instances": HANDS} | {key: [1, 2]}], 2))

    assert f"[0][{key}]: expected a number, got a list" in refused_by(read_any_predictions, path, labels)


def test_numbers_of_pictures_that_are_none(labels):
    path = labels.with_name("r.json")
    path.write_text(json.dumps([{"image_id": {}, "keypoints": POINTS}]))
    assert "[0][image_id]: expected a number, got a dict" in refused_by(read_any_predictions, path, labels)

    path.write_text(json.dumps([{"image_id": 1, "keypoints": POINTS}]))
    labels.write_text(json.dumps({**COCO, "annotations": [COCO["annotations"][0] | {"image_id": [1]}]}))
    assert "image_id" in refused_by(read_any_predictions, path, labels)


@pytest.fixture
def interhand(tmp_path):
    """InterHand2.6M's three files, of a picture with a right hand."""
    image = {"id": 1, "file_name": "p.png", "width": 64, "height": 48, "capture": 0, "camera": "400", "frame_idx": 5,
             "seq_name": "s"}  # fmt: skip
    given = {"id": 1, "image_id": 1, "bbox": None, "hand_type": "right", "joint_valid": [1] * 21 + [0] * 21}
    camera = {"campos": [0, 0, -500], "camrot": np.eye(3).tolist(), "focal": [60, 60], "princpt": [32, 24]}
    (tmp_path / "a_data.json").write_text(json.dumps({"images": [image], "annotations": [given]}))
    (tmp_path / "a_joint_3d.json").write_text(json.dumps({"0": {"5": {"world_coord": [[1, 2, 3]] * 42}}}))
    (tmp_path / "a_camera.json").write_text(json.dumps({"0": {key: {"400": value} for key, value in camera.items()}}))
    return tmp_path / "a_data.json"


def test_labels_are_read_again_when_a_file_beside_them_has_changed(interhand, tmp_path):
    """Pictures, cameras and points; what was read was kept while the first stayed as it was."""
    cameras = (tmp_path / "a_camera.json").read_text()
    (tmp_path / "a_camera.json").write_text(json.dumps({"0": {}}))
    assert isinstance(read_annotations(interhand).rows[0].hand, DataError)

    (tmp_path / "a_camera.json").write_text(cameras)
    (row,) = read_annotations(interhand).rows

    assert row.hand.K[0, 0] == 60


@pytest.mark.parametrize("box", [True, 5, [5, 5, 30]])
def test_boxes_that_are_none(interhand, tmp_path, box):
    """InterHand2.6M's, and those of files that an earlier handdata exported."""
    images = json.loads(interhand.read_text())
    images["annotations"][0]["bbox"] = box
    interhand.write_text(json.dumps(images))
    own = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "keypoints": POINTS, "source_to_canvas": []}
    (tmp_path / "l.json").write_text(json.dumps({**COCO, "annotations": [own]}))

    for path in (interhand, tmp_path / "l.json"):
        (row,) = read_annotations(path).rows
        assert "expected a labelled hand, got a box that is not four numbers" in str(row.hand)


@pytest.mark.parametrize("value", [[], [86, 1.5, 2]])
def test_bones_of_a_person_that_are_none(tmp_path, value):
    (tmp_path / "p.json").write_text(json.dumps({"bones": {"wrist-index_mcp": value}}))

    assert "expected JSON such as" in refused_by(read_person, tmp_path / "p.json")


@pytest.mark.parametrize("key", ["acc_range_2d", "thres_range"])
def test_curves_of_the_thesis_that_are_none(tmp_path, key):
    whole = {"error_keypoint_2d": [0.1] * 21, "error_total_2d": 1, "acc_range_2d": [1], "thres_range": [1]}
    (tmp_path / "e010__stereo_valuation.json").write_text(json.dumps(whole | {key: 5}))

    assert f"[{key}]: expected a list of numbers, got 5" in refused_by(read_reference, tmp_path)


@pytest.mark.parametrize(
    "content", [{"trained": 5}, {"trained": [5]}, {"trained": [], "before": 5}, {"datasets": 5}, {"datasets": [5]}]
)
def test_a_record_of_a_training_that_is_none(tmp_path, content):
    (tmp_path / RECORD).write_text(json.dumps(content))

    assert f"{RECORD}: expected what was trained on" in refused_by(records_behind, tmp_path)


# ------------------------------------------------------------------------------------------------ settings of networks

NO_SETTINGS = [
    ("size", 0, "a multiple of 32 px up to 1024"),
    ("size", -32, "a multiple of 32 px up to 1024"),
    ("size", 33, "a multiple of 32 px up to 1024"),
    ("size", 10**6, "a multiple of 32 px up to 1024"),
    ("width", -1.0, "a number within 0.01..4.0"),
    ("width", 1e6, "a number within 0.01..4.0"),
    ("zoom", 0.0, "a number within 0.25..4.0"),
    ("zoom", 1e-9, "a number within 0.25..4.0"),
    ("lift_width", -5, "a number within 0..4096"),
    ("lift_width", 10**9, "a number within 0..4096"),
    ("logit_offset", 1e300, "a number within -100.0..100.0"),
]


@pytest.fixture
def trained():
    model = ModelConfig(kind="compact", size=32, width=0.125)
    weights = family_of("compact").make(model, PLAIN).state_dict()
    return Trained(path=Path("made"), model=model, weights=weights, recipe="compact", epoch=1, turn=True)


@pytest.mark.parametrize(("key", "value", "expected"), NO_SETTINGS)
def test_settings_that_no_network_has(trained, tmp_path, key, value, expected):
    path = tmp_path / "w.safetensors"

    write_file(path, replace(trained, model=replace(trained.model, **{key: value})), {})
    assert f"w.safetensors[model.{key}]: expected {expected}, got {value}" in refused_by(read_file, path)
    with pytest.raises(ConfigError, match=rf"\[model.{key}\]: expected "):
        load_config("compact", [f"model.{key}={value!r}"])


@pytest.mark.parametrize("value", [float("nan"), 1e6])  # the latter is infinite as a half
def test_weights_that_are_not_finite(trained, tmp_path, value):
    """They answered NaN, which is no JSON."""
    path, name = tmp_path / "w.safetensors", "hidden.bias"
    write_file(path, replace(trained, weights={**trained.weights, name: trained.weights[name] + value}), {})

    told = "w.safetensors: expected weights with their settings, of finite numbers, got others in hidden.bias"
    assert told in refused_by(read_file, path)
