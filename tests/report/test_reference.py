"""The author's result files become the thesis' tables, cell by cell."""

import csv
import io
import json
import shutil

import pytest
from click.testing import CliRunner

from handdata.cli.report import report_command
from handdata.errors import DataError, HanddataError, MissingError
from handdata.report.cells import Cell
from handdata.report.reference import read_reference, to_csv

HEADER = "table,dataset,model,group,metric,value"
GRASP2 = ("4.5", "Dexter+Object (Grasp2)", "Model 1 (before augmentation)")


@pytest.fixture
def golden(shared):
    return shared / "golden"


def expected_cells(golden):
    keys = ("table", "dataset", "model", "group", "metric")
    content = json.loads((golden / "expected_model1_e010.json").read_text())
    return {Cell(*(entry[key] for key in keys)): entry["recomputed"] for entry in content}


def result_file(folder, experiment, name, total=0.1, keypoint=None):
    keypoints = keypoint or [0.1] * 21
    content = {"error_total_2d": total, "error_keypoint_2d": keypoints,
               "error_total_3d": total, "error_keypoint_3d": keypoints}  # fmt: skip
    (folder / f"{experiment}__{name}_valuation.json").write_text(json.dumps(content))


def rows_of(text):
    return [tuple(row.values()) for row in csv.DictReader(io.StringIO(text))]


def test_all_84_cells_of_model_1_to_1e_9(golden):
    expected, ours = expected_cells(golden), read_reference(golden).values

    assert len(expected) == 84
    assert list(ours) == list(expected)
    for cell, value in expected.items():
        assert ours[cell] == (None if value is None else pytest.approx(value, abs=1e-9)), cell


def test_the_fingertip_of_grasp2_is_the_mean_of_five_keypoints_and_not_the_total_e5_e6(golden):
    """The thesis printed 0.322, the total, there (E5), and dashed the finger rows that its file allows (E6)."""
    values = read_reference(golden).values
    assert values[Cell(*GRASP2, "joint:fingertip", "error_2d")] == pytest.approx(0.327520196, abs=1e-9)
    assert values[Cell(*GRASP2, "total", "error_2d")] == pytest.approx(0.321679924, abs=1e-9)
    fingers = [
        values[Cell(*GRASP2, f"finger:{name}", "error_2d")] for name in ("thumb", "index", "middle", "ring", "little")
    ]
    assert fingers == pytest.approx([0.373164, 0.383825, 0.196375, 0.217376, 0.466860], abs=1e-6)


def test_csv_is_all_that_reaches_standard_output(golden):
    result = CliRunner().invoke(report_command, ["--reference", str(golden), "--format", "csv"])

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 1 + 84
    assert lines[1] == "4.1,SynthHands,Model 1,wrist,error_2d,0.008499672"
    assert '4.5,"Stereo (B1Counting, B1Random)",Model 1 (before augmentation),wrist,error_2d,' in lines
    assert "golden_give.json" in result.stderr


def test_all_six_experiments_fill_every_cell_and_pixels_are_scaled_once(tmp_path):
    """Every total is 0.1; Table 4.9: 0.1 x 480 px, 0.1 x 256 px, and what the _mm_ files hold as it is (E11)."""
    synthetic = ("all", "noobject", "object", "val_augment", "test")
    for experiment in ("e010", "e012", "e013", "e020"):
        for name in (f"{dataset}_{part}" for dataset in ("synth_hands", "ganerated") for part in synthetic):
            result_file(tmp_path, experiment, name)
    for experiment in ("e010", "e020", "e022", "e023"):
        for name in ("stereo", "stereo_mm", "dexter+object_grasp2", "dexter+object_rotate", "dexter+object_rotate_mm"):
            result_file(tmp_path, experiment, name, total=6.5 if name.endswith("mm") else 0.1)
    values = read_reference(tmp_path).values
    pixels = {cell.dataset: value for cell, value in values.items() if cell.table == "4.9"}

    assert {table: sum(cell.table == table for cell in values) for table in sorted({c.table for c in values})} == {
        "4.1": 44, "4.2": 8, "4.3": 44, "4.4": 8, "4.5": 22, "4.6": 16, "4.7": 4, "4.8": 6, "4.9": 4,
    }  # fmt: skip
    assert pixels == pytest.approx(
        {"SynthHands [14]": 48.0, "GANerated [8]": 25.6, "Stereo TB [15]": 6.5, "Dexter+Object [27]": 6.5}
    )


@pytest.mark.parametrize(
    ("experiment", "name", "cells"),
    [
        ("e012", "synth_hands_all", {("4.1", "Model 2")}),
        ("e013", "ganerated_object", {("4.4", "Model 3")}),
        ("e020", "stereo", {("4.7", "After Augmentation"), ("4.8", "Synthetic Data Only")}),
        ("e020", "dexter+object_rotate", {("4.8", "Synthetic Data Only")}),
        ("e022", "dexter+object_rotate_mm", {("4.9", "Our Model")}),
        ("e023", "stereo", {("4.8", "Fine-tuning with Real Data")}),
    ],
)
def test_one_file_fills_the_cells_it_allows_and_no_other_e7(tmp_path, experiment, name, cells):
    result_file(tmp_path, experiment, name)
    assert {(cell.table, cell.model) for cell in read_reference(tmp_path).values} == cells


def test_a_file_without_3d_leaves_the_3d_cells_out(golden, tmp_path):
    shutil.copy(golden / "e010__stereo_valuation.json", tmp_path / "e010__synth_hands_all_valuation.json")
    assert {cell.table for cell in read_reference(tmp_path).values} == {"4.1", "4.6"}


def test_a_missing_keypoint_enters_no_mean_e15(tmp_path):
    result_file(tmp_path, "e010", "stereo", keypoint=[-1.0, -1.0, *[0.2] * 19])
    values = read_reference(tmp_path).values
    csv_rows = rows_of(to_csv(values))

    assert ("4.5", "Stereo (B1Counting, B1Random)", GRASP2[2], "wrist", "error_2d", "") in csv_rows
    assert ("4.5", "Stereo (B1Counting, B1Random)", GRASP2[2], "finger:thumb", "error_2d", "0.200000000") in csv_rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected named results, a JSON object, got a list"),
        ("{", "expected JSON"),
        (
            '{"error_keypoint_2d": [1, 2], "error_total_2d": 0.1}',
            r"\[error_keypoint_2d\]: expected 21 numbers, got shape",
        ),
        ('{"error_keypoint_2d": ["a"], "error_total_2d": 0.1}', r"\[error_keypoint_2d\]: expected 21 numbers"),
        (json.dumps({"error_keypoint_2d": [0.1] * 21}), r"\[error_total_2d\]: expected a number, got None"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "e010__stereo_valuation.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_reference(tmp_path)


@pytest.mark.parametrize("folder", ["empty", "none"])
def test_a_folder_without_result_files_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match="expected"):
        read_reference(tmp_path / folder)


def test_the_command_passes_faults_on_as_one_line(tmp_path):
    result = CliRunner().invoke(report_command, ["--reference", str(tmp_path), "--format", "csv"])
    assert isinstance(result.exception, HanddataError)
    assert result.stdout == ""
