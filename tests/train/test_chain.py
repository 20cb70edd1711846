"""The commands: recipes chained from one call, defaults, options, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import BusyError
from handdata.files.locks import alone
from handdata.train import checkpoint, loop
from tests.made_runs import made_shards
from tests.train.made_shards import write_dataset
from tests.train.made_training import TINY, made_set

SMALL = [part for setting in TINY if not setting.startswith("start.") for part in ("--set", setting)]
SMALL += ["--no-evaluate"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for name in ("synthhands", "ganerated", "stereo"):
        made_set(root / "data/shards" / name, name)
    made_shards(root / "data/shards/dexter", "dexter", split="test", tips_only=True)
    return root


def handdata(root, *arguments):
    return CliRunner().invoke(group, ["--data-root", str(root), *map(str, arguments)])


@pytest.mark.parametrize("last", ["e023-smoke", "e022-grasp2-smoke"])
def test_chain_trains_from_nothing_to_the_fine_tuned_model(root, last):
    result = handdata(root, "train", "--recipe", last, "--chain", "--device", "cpu", *SMALL)

    assert result.exit_code == 0, result.exception
    assert result.stdout.strip() == str(root / "runs" / last)
    for name in ("e010-smoke", "e020-smoke", last):
        assert checkpoint.load(root / "runs" / name / "checkpoints/last").position.epoch == 2
        val = json.loads((root / "runs" / name / "log.jsonl").read_text().splitlines()[-1])["val"]
        assert val["loss_2d"] > 0


def test_chain_takes_finished_runs_as_they_are(root):
    handdata(root, "train", "--recipe", "e020-smoke", "--chain", "--device", "cpu", *SMALL)
    before = (root / "runs/e010-smoke/log.jsonl").stat().st_mtime_ns
    result = handdata(root, "train", "--recipe", "e020-smoke", "--chain", "--device", "cpu", *SMALL)

    assert result.exit_code == 0
    assert (root / "runs/e010-smoke/log.jsonl").stat().st_mtime_ns == before


def test_a_recipe_that_starts_from_another_asks_for_it(root):
    result = handdata(root, "train", "--recipe", "e023-smoke", "--device", "cpu")

    assert "Give --init-from runs/e020-smoke, or --chain" in str(result.exception)


def test_bare_shards_train_best_on_what_has_a_training_split_and_number_the_runs(root):
    arguments = ("train", "--shards", "--recipe", "best-smoke", "--epochs", "1", "--device", "cpu", *SMALL)
    results = [handdata(root, *arguments) for _ in range(2)]

    assert [result.stdout.strip() for result in results] == [
        str(root / "runs/best-smoke"),
        str(root / "runs/best-smoke-2"),
    ]
    assert "left out, no training split: dexter" in results[0].stderr
    listed = json.loads(handdata(root, "runs", "--json").stdout)
    assert {"best-smoke", "best-smoke-2"} <= {row["name"] for row in listed}
    assert "best-smoke-2" in handdata(root, "runs").stdout


def test_shards_and_mix_take_many_values(root):
    folders = [root / "data/shards" / name for name in ("synthhands", "stereo")]
    result = handdata(
        root, "train", "--shards", *folders, "--mix", "synthhands=3", "stereo=1", "--recipe", "best-smoke",
        "--name", "mixed", "--seed", "4", "--cache", "device", "--device", "cpu", *SMALL,
    )  # fmt: skip

    assert result.exit_code == 0, result.exception
    config = json.loads((root / "runs/mixed/config.json").read_text())
    assert config["data"]["weights"] == {"synthhands": 3.0, "stereo": 1.0}
    assert config["loop"]["seed"] == 4
    assert config["data"]["cache"] == "device"
    shards = json.loads((root / "runs/mixed/shards.json").read_text())["datasets"]
    assert {entry["dataset"] for entry in shards} == {"synthhands", "stereo"}


def test_resume_takes_the_runs_own_settings_and_shards(root):
    """`--resume --name mine` alone: what was set when it began need not be said again."""
    folders = [root / "data/shards" / name for name in ("stereo", "synthhands")]
    mix = ("--mix", "synthhands=3", "stereo=1", "--recipe", "compact-smoke", "--set", "optim.lr=0.002")
    assert (
        handdata(root, "train", "--shards", *folders, *mix, "--name", "own", "--device", "cpu", *SMALL).exit_code == 0
    )
    before = json.loads((root / "runs/own/config.json").read_text())
    asked = ("train", "--resume", "--name", "own", "--device", "cpu", "--no-evaluate")

    result = handdata(root, *asked, "--epochs", "3")

    assert result.exit_code == 0, result.exception
    assert "WARNING: goes on with other shards" not in result.stderr
    after = json.loads((root / "runs/own/config.json").read_text())
    assert after == {**before, "loop": {**before["loop"], "epochs": 3}}
    assert len((root / "runs/own/log.jsonl").read_text().splitlines()) == 3
    other = handdata(root, *asked, "--recipe", "best-smoke")
    assert "Leave out --recipe and --set to go on with its own" in str(other.exception)


def test_a_mix_names_shards_by_dataset_or_by_folder(tmp_path):
    """Imports of own labels are all called custom: which others are given changes what one goes by."""
    for name in ("monday", "tuesday"):
        write_dataset(tmp_path / "data/shards" / name, "custom", (12,), split="train", seed=len(name), canvas=48)
    made_set(tmp_path / "data/shards/stereo", "stereo")

    def drawn(shards, *mix):
        asked = ("--recipe", "best-smoke", "--device", "cpu", *SMALL)
        result = handdata(tmp_path, "train", "--shards", *shards, "--mix", *mix, *asked)
        return result.stderr.rpartition("drawn ")[2].strip() if result.exit_code == 0 else str(result.exception)

    assert drawn(["monday", "stereo"], "monday=2", "stereo=1") == "custom 66.7% stereo 33.3%"
    assert drawn(["monday", "tuesday", "stereo"], "monday=2", "stereo=1") == "custom 66.7% stereo 33.3%"
    assert drawn(["monday", "tuesday"], "monday=2", "tuesday=1") == "monday 66.7% tuesday 33.3%"
    assert "they go by their folders: monday, tuesday." in drawn(["monday", "tuesday"], "custom=1")
    assert drawn(["stereo"], "wednesday=1").endswith("got no wednesday among stereo. Name others: --shards, --mix.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "cuda"), "has no CUDA device"),
        (("--device", "tpu"), "cpu, cuda or cuda:N"),
        (("--set", "loop.epoch=1"), "The nearest name is loop.epochs"),
        (("--weights", "resnet.pth"), "resnet.pth: expected a file of weights"),
        (("--init-from", "nowhere"), "expected a run or a checkpoint"),
        (("--mix", "rhd=1"), "no rhd among"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_run(root, arguments, said):
    result = handdata(root, "train", "--recipe", "best-smoke", "--name", "broken", "--device", "cpu", *arguments)

    assert result.exit_code == 1
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (root / "runs/broken").exists()


def test_a_finished_run_is_scored_on_what_it_was_not_trained_on(root):
    """Fine-tuning on Dexter+Object holds one sequence back; only that one is scored."""
    arguments = ("--recipe", "e022-grasp2-smoke", "--name", "scored", "--device", "cpu", *SMALL[:-1])
    handdata(root, "train", "--recipe", "e020-smoke", "--chain", "--device", "cpu", *SMALL)
    result = handdata(root, "train", *arguments, "--init-from", root / "runs/e020-smoke")

    assert result.exit_code == 0, result.exception
    results = json.loads((root / "runs/scored/results.json").read_text())
    assert [one["dataset"] for one in results["sets"]] == ["dexter"]
    assert list(results["sets"][0]["sequences"]) == ["Grasp2"]


def test_shards_and_a_run_to_start_from_by_name(root):
    one = ("train", "--shards", "stereo", "--recipe", "best-smoke", "--epochs", "1", "--device", "cpu", *SMALL)
    first = handdata(root, *one, "--name", "first")
    second = handdata(root, *one, "--name", "second", "--init-from", "first")

    assert (first.exit_code, second.exit_code) == (0, 0), (first.exception, second.exception)
    learnt_from = json.loads((root / "runs/second/shards.json").read_text())["datasets"]
    assert {one["dataset"] for one in learnt_from} == {"stereo"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_training_that_was_asked_to_stop_saves_and_says_how_to_go_on(number, code, root, monkeypatch):
    real, steps = loop.step, []

    def stopping_step(*args, **kwargs):
        if not steps:  # once: a second one ends the process
            os.kill(os.getpid(), number)
        steps.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "step", stopping_step)
    name = f"stopped-{code}"
    result = handdata(root, "train", "--recipe", "best-smoke", "--name", name, "--device", "cpu", *SMALL)

    assert result.exit_code == code
    assert (root / "runs" / name / "checkpoints/last/state.json").is_file()
    assert "go on with --resume" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("epochs", "said"), [(0, "had no checkpoint yet, the same command begins anew"), (1, "go on with --resume")]
)
def test_a_second_ctrl_c_ends_at_once_and_says_what_is_left(epochs, said, root, monkeypatch):
    real = loop.step

    def stopping_step(state, *args, **kwargs):
        if state.position.epoch == epochs:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        return real(state, *args, **kwargs)

    monkeypatch.setattr(loop, "step", stopping_step)
    name = f"cut-{epochs}"
    given = ("train", "--recipe", "best-smoke", "--name", name, "--epochs", "2", "--device", "cpu", *SMALL)
    result = handdata(root, *given)

    assert result.exit_code == 130
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"{root / 'runs' / name}: ended at once; ")
    assert said in last
    monkeypatch.undo()
    assert handdata(root, *given, *(["--resume"] if epochs else [])).exit_code == 0  # as it was told


def test_ctrl_c_while_a_finished_run_is_scored_says_how_to_score_it(root, tmp_path, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("handdata.train.evaluate.evaluate_run", interrupted)
    one = ("train", "--shards", root / "data/shards/stereo", "--recipe", "best-smoke", "--device", "cpu", *SMALL[:-1])
    result = handdata(tmp_path, *one, "--epochs", "1")

    assert result.exit_code == 130
    assert result.stderr.endswith("is trained, not scored; score it with handdata evaluate best-smoke\n")


def test_a_second_training_of_one_run_is_refused(root):
    with alone(root / "runs/held", "training"):
        result = handdata(root, "train", "--recipe", "best-smoke", "--name", "held", "--device", "cpu", *SMALL)

    assert isinstance(result.exception, BusyError)
    assert "runs/held: expected a folder that is not in use, got another training in it" in str(result.exception)
    assert not (root / "runs/held").exists()


def test_a_chain_does_not_train_what_another_is_training(root, tmp_path):
    with alone(tmp_path / "runs/e010-smoke", "training"):
        result = handdata(
            tmp_path, "train", "--shards", root / "data/shards", "--recipe", "e020-smoke", "--chain", *SMALL
        )

    assert isinstance(result.exception, BusyError)
    assert "runs/e010-smoke: expected a folder that is not in use" in str(result.exception)


def test_a_checkpoint_that_finds_no_room_is_one_line(root):
    arguments = [
        "--data-root",
        str(root),
        "train",
        "--recipe",
        "best-smoke",
        "--name",
        "full",
        "--device",
        "cpu",
        *SMALL,
    ]
    command = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", sys.executable, "-m", "handdata", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "model.safetensors: expected a checkpoint written whole, got" in result.stderr.splitlines()[-1]
    assert "Make room" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("how", [("--name", "e010-smoke"), ("--chain",)], ids=["name", "chain"])
def test_a_training_that_died_before_its_first_checkpoint_begins_again(how, root, tmp_path, monkeypatch):
    def killed(*_args, **_kwargs):
        raise SystemError("killed")

    one = ("train", "--shards", root / "data/shards", "--recipe", "e010-smoke", "--device", "cpu", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", killed)
        assert isinstance(handdata(tmp_path, *one, *how).exception, SystemError)
    again = handdata(tmp_path, *one, *how)

    assert again.exit_code == 0, again.exception
    assert checkpoint.load(tmp_path / "runs/e010-smoke/checkpoints/last").position.epoch == 2


def test_a_run_that_holds_something_is_not_begun_again(root, tmp_path):
    one = ("train", "--shards", root / "data/shards", "--recipe", "e010-smoke", "--device", "cpu", *SMALL)
    assert handdata(tmp_path, *one, "--name", "mine").exit_code == 0
    log = (tmp_path / "runs/mine/log.jsonl").read_text()
    for _ in range(2):
        result = handdata(tmp_path, *one, "--name", "mine")
        assert "runs/mine: expected a new run, got one that exists" in str(result.exception)
        shutil.rmtree(tmp_path / "runs/mine/checkpoints/last", ignore_errors=True)  # room was short, say

    assert (tmp_path / "runs/mine/log.jsonl").read_text() == log
