"""Where there is no room, one line says which file, and nothing half-written is read as whole."""

import shutil
import subprocess
import sys

import pytest

from handdata.errors import BusyError, WriteError
from handdata.evaluation.predictions import read_predictions, write_predictions
from handdata.evaluation.results import read_results
from handdata.files.whole import whole
from handdata.train.evaluate import evaluate_run
from handdata.train.selection import Selection


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained.run, tmp_path / "run")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_evaluation_leaves_nothing_at_whatever_size_the_room_ends(trained, run, tmp_path, file_limit):
    before = files(run)
    evaluate_run(run, Selection(folders=[trained.shards], split="val"), device="cpu")
    predictions = read_predictions(run / "predictions.h5")
    size = (run / "predictions.h5").stat().st_size
    for path in run.glob("*.h5"):
        path.unlink()

    for room in range(0, size, size // 50):
        file_limit(room)
        with pytest.raises(
            WriteError, match=r"predictions.h5: expected a file that can be written, got File too large"
        ):
            write_predictions(tmp_path / "predictions.h5", predictions)
        assert not list(tmp_path.glob("predictions*"))
    with pytest.raises(WriteError):
        evaluate_run(run, Selection(folders=[trained.shards], split="val"), device="cpu")
    assert files(run) == sorted([*before, "mosaic.npz", "results.json"])


def test_a_second_evaluation_of_a_run_is_refused_before_it_predicts(trained, run):
    before = files(run)
    with whole(run / "results.json"):
        with pytest.raises(
            BusyError, match=r"results.json: expected a file that is not being written, got another writer"
        ):
            evaluate_run(run, Selection(folders=[trained.shards], split="val"), device="cpu")
        (run / "kept").touch()
        raised = files(run)

    assert raised == sorted([*before, "kept", "results.json.handdata.partial"])


def test_two_commands_for_one_run_at_once_end_with_one_whole_result_and_one_line(trained, run, tmp_path):
    command = [sys.executable, "-m", "handdata", "evaluate", run, "--shards", trained.shards, "--device", "cpu"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [process.communicate() for process in started]

    assert {process.returncode for process in started} <= {0, 1}
    assert 0 in {process.returncode for process in started}
    for process, (_, errors) in zip(started, ended, strict=True):
        assert "Traceback" not in errors
        if process.returncode:
            assert errors.splitlines()[-1].startswith(f"handdata: {run}/results.json: expected a file that is not")
    assert read_results(run / "results.json").sets
    assert len(read_predictions(run / "predictions.h5")) == 6
