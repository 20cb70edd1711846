"""The shell completes names: asked through click's own machinery, as bash, zsh and fish ask."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from handdata.cli import group
from handdata.converters import DATASETS
from handdata.evaluation.protocols import families
from handdata.train.config import recipe_names


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two converted datasets and a run."""
    for name in ("rhd", "stereo"):
        (tmp_path / "data/shards" / name).mkdir(parents=True)
    (tmp_path / "runs/first").mkdir(parents=True)
    (tmp_path / "runs/first/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complete(*words):
    """Return the values offered for the last word."""
    shell = ShellComplete(group, {}, "handdata", "_HANDDATA_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_commands_are_completed(root):
    assert complete("ev") == ["evaluate"]


@pytest.mark.parametrize("command", ["convert", "synth", "doctor"])
def test_datasets_are_completed(root, command):
    assert set(DATASETS) <= set(complete(command, ""))
    assert complete(command, "inter") == ["interhand"]


@pytest.mark.parametrize(
    "words",
    [
        ("verify",), ("stats",), ("browse",), ("export",), ("subset",), ("merge",), ("split",),
        ("diff",), ("diff", "rhd"), ("train", "--shards"), ("evaluate", "--shards"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_converted_datasets_are_completed(root, words):
    assert complete(*words, "") == ["rhd", "stereo"]
    assert complete(*words, "st") == ["stereo"]


@pytest.mark.parametrize(
    "words", [("evaluate",), ("predict",), ("label", "--run"), ("train", "--init-from")], ids=" ".join
)
def test_runs_and_the_weights_that_come_along_are_completed(root, words):
    assert complete(*words, "") == ["first", "compact"]


@pytest.mark.parametrize(
    "words",
    [
        ("report",),
        ("report", "other"),
        ("train", "--resume", "--name"),
        ("browse", "rhd", "--errors"),
        ("subset", "rhd", "--errors"),
    ],
    ids=" ".join,
)
def test_runs_are_completed(root, words):
    assert complete(*words, "") == ["first"]


@pytest.mark.parametrize("command", ["train", "browse"])
def test_recipes_are_completed(root, command):
    assert complete(command, "--recipe", "") == recipe_names()
    assert complete(command, "--recipe", "compa") == ["compact", "compact-smoke"]


def test_protocols_are_completed(root):
    assert complete("evaluate", "--protocol", "") == list(families())
    assert "pa_mpjpe" in complete("evaluate", "--protocol", "pa")


@pytest.mark.parametrize(
    "before", [("--data-root", "{root}", "verify"), ("verify", "--data-root", "{root}")], ids=" ".join
)
def test_names_are_those_of_the_data_root(root, before, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert complete(*(word.format(root=root) for word in before), "") == ["rhd", "stereo"]


def test_a_path_is_left_to_the_shell(root):
    shell = ShellComplete(group, {}, "handdata", "_HANDDATA_COMPLETE")

    assert [item.type for item in shell.get_completions(["verify"], "./da")] == ["dir"]
    assert [item.type for item in shell.get_completions(["train", "--recipe"], "./mine")] == ["file"]


@pytest.mark.parametrize("shell", [BashComplete, FishComplete, ZshComplete], ids=lambda kind: kind.name)
def test_the_line_of_the_page_gives_a_script(root, shell):
    """docs/start.md: what is put into the shell's own file."""
    ask = {**os.environ, "_HANDDATA_COMPLETE": f"{shell.name}_source"}
    done = subprocess.run([sys.executable, "-m", "handdata"], env=ask, capture_output=True, text=True, check=True)

    assert "_HANDDATA_COMPLETE" in done.stdout


def test_the_script_asks_and_is_answered(root):
    ask = {**os.environ, "_HANDDATA_COMPLETE": "bash_complete", "COMP_WORDS": "handdata verify s", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "handdata"], env=ask, capture_output=True, text=True, check=True)

    assert done.stdout == "plain,stereo\n"
