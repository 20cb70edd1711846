"""Predictions on disk: our file round-trips, other programs' files are read, faults are told in one line."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from handdata.errors import DataError, MissingError
from handdata.evaluation.predictions import (
    AugmentedTruth,
    Predictions,
    from_crop_fractions,
    read_predictions,
    to_crop_fractions,
    write_predictions,
)
from handdata.skeleton import KEYPOINTS


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    n = 5
    return Predictions(
        dataset=np.array(["rhd", "rhd", "stereo", "stereo", "stereo"]),
        sample_id=np.array([f"S/{i}" for i in range(n)]),
        keypoints_2d={"expectation": rng.uniform(0, 300, (n, 21, 2)).astype(np.float32),
                      "maximum": rng.uniform(0, 300, (n, 21, 2)).astype(np.float32)},
        crop_xyxy=np.tile(np.array([10, 20, 210, 220], np.float32), (n, 1)),
        keypoints_3d_normalized=rng.normal(size=(n, 21, 3)).astype(np.float32),
        options={"run": "demo", "seed": 3},
    )  # fmt: skip


def assert_same(a, b):
    np.testing.assert_array_equal(a.dataset, b.dataset)
    np.testing.assert_array_equal(a.sample_id, b.sample_id)
    assert list(a.keypoints_2d) == list(b.keypoints_2d)
    for name, points in a.keypoints_2d.items():
        np.testing.assert_array_equal(points, b.keypoints_2d[name])
    np.testing.assert_array_equal(a.crop_xyxy, b.crop_xyxy)
    np.testing.assert_array_equal(a.keypoints_3d_normalized, b.keypoints_3d_normalized)
    assert (a.input_size, dict(a.options), a.keypoints_3d) == (b.input_size, dict(b.options), b.keypoints_3d)


def test_predictions_round_trip(predictions, tmp_path):
    write_predictions(tmp_path / "predictions.h5", predictions)
    assert_same(read_predictions(tmp_path / "predictions.h5"), predictions)
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.h5"]


def test_writing_twice_gives_the_same_bytes(predictions, tmp_path):
    for name in ("a.h5", "b.h5"):
        write_predictions(tmp_path / name, predictions)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_augmented_truth_round_trips(predictions, tmp_path):
    truth = AugmentedTruth(
        keypoints_2d_crop=np.zeros((5, 21, 2), np.float32), keypoints_3d_normalized=np.ones((5, 21, 3), np.float32),
        annotated_2d=np.ones((5, 21), bool), repeat=np.array([0, 1, 0, 0, 0], np.int32),
    )  # fmt: skip
    write_predictions(tmp_path / "p.h5", replace(predictions, truth=truth))
    read = read_predictions(tmp_path / "p.h5").truth
    np.testing.assert_array_equal(read.repeat, truth.repeat)
    np.testing.assert_array_equal(read.annotated_2d, truth.annotated_2d)


def test_crop_fractions_follow_the_pixel_centre_rule():
    """The centre of the first of 128 crop pixels, 2 source px wide, lies at 0.5 px: u = 0 (docs/method.md 3.6)."""
    crop = np.array([[10.0, 20.0, 266.0, 276.0]])
    first = np.full((1, 21, 2), [10.5, 20.5])
    np.testing.assert_allclose(to_crop_fractions(first, crop, 128), 0.0, atol=1e-12)
    np.testing.assert_allclose(from_crop_fractions(np.full((1, 21, 2), 127 / 128), crop, 128)[0, 0], [264.5, 274.5])


def test_a_file_holds_both_crop_fractions_and_source_pixels(predictions, tmp_path):
    write_predictions(tmp_path / "p.h5", predictions)
    with h5py.File(tmp_path / "p.h5") as file:
        back = from_crop_fractions(file["keypoints_2d_crop/maximum"][:], predictions.crop_xyxy, 128)
        np.testing.assert_allclose(back, file["keypoints_2d/maximum"][:], atol=1e-3)


# ------------------------------------------------------------------------------------------------ other programs' files


def test_csv_of_another_program(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(
        "sample_id,keypoint,u,v,x,y,z\nS/0,wrist,10,20,1,2,300\nS/0,index_tip,11.5,,,,\nS/1,wrist,1,2,3,4,5\n"
    )
    read = read_predictions(path)

    assert read.sample_id.tolist() == ["S/0", "S/1"]
    assert read.dataset.tolist() == ["", ""]
    np.testing.assert_array_equal(read.keypoints_2d["given"][0, 0], [10, 20])
    np.testing.assert_array_equal(read.keypoints_3d[1, 0], [3, 4, 5])
    assert np.isnan(read.keypoints_2d["given"][0, KEYPOINTS.index("index_tip"), 1])
    assert read.keypoints_3d_normalized is None


def test_json_of_another_program(tmp_path):
    path = tmp_path / "theirs.json"
    points = [[float(i), 2.0] for i in range(20)] + [None]
    sample = {"dataset": "rhd", "sample_id": "training/00001/left", "keypoints_2d": points}
    path.write_text(json.dumps({"schema": "handdata-predictions/1", "samples": [sample], "options": {"by": "them"}}))
    read = read_predictions(path)

    assert (read.dataset.tolist(), read.options) == (["rhd"], {"by": "them"})
    np.testing.assert_array_equal(read.keypoints_2d["given"][0, 5], [5, 2])
    assert np.isnan(read.keypoints_2d["given"][0, 20]).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "sample_id,joint,u,v\n", r"a.csv:1: expected columns sample_id, keypoint and u, v"),
        ("a.csv", "sample_id,keypoint,u,v\nS,pinky,1,2\n", r"a.csv:2: expected a keypoint .* got pinky"),
        ("a.csv", "sample_id,keypoint,u,v\nS,wrist,1,two\n", r"a.csv:2: expected a number, got two"),
        ("a.csv", "sample_id,keypoint,u,v\n", r"a.csv: expected arrays that fit each other, got no samples"),
        ("a.json", "{", r"a.json:1: expected JSON"),
        ("a.json", '{"schema": "coco"}', r"a.json: expected schema handdata-predictions/1, got coco"),
        ("a.json", '{"schema": "handdata-predictions/1", "samples": [{"sample_id": "S", "keypoints_2d": [[1, 2]]}]}',
         r"a.json\[samples\]\[0\]\[keypoints_2d\]: expected shape \(21, 2\), got \(1, 2\)"),
        ("a.h5", "no HDF5", r"a.h5: expected a file of handdata-predictions/1, got a damaged file"),
        ("a.pkl", "", r"a.pkl: expected a .h5, .csv or .json file, got .pkl"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / name)


def test_a_sample_predicted_twice_is_refused(predictions, tmp_path):
    twice = replace(predictions, sample_id=np.array(["S/0", "S/0", "S/1", "S/2", "S/3"]))
    with pytest.raises(ValueError, match="sample S/0 is predicted twice"):
        write_predictions(tmp_path / "p.h5", twice)


def test_arrays_of_another_length_are_refused(predictions, tmp_path):
    with pytest.raises(ValueError, match=r"5 samples but crop_xyxy \(4, 4\)"):
        write_predictions(tmp_path / "p.h5", replace(predictions, crop_xyxy=predictions.crop_xyxy[1:]))
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"none\.h5: expected predictions, got no file"):
        read_predictions(tmp_path / "none.h5")
