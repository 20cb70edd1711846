"""The command line: every command has help with an example, errors are one line, exit codes are as promised."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from handdata import __version__, cli
from handdata.cli import COMMANDS, group
from handdata.cli.options import run_path, shard_folder
from handdata.errors import ConfigError, DataError
from handdata.paths import DataRoot

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, **environment):
    command = [sys.executable, "-m", "handdata", *(str(argument) for argument in arguments)]
    variables = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=variables)


def test_the_version():
    assert run("--version").stdout == f"handdata, version {__version__}\n"


def test_help_lists_every_command_in_the_order_of_the_work():
    text = CliRunner().invoke(group, ["--help"], terminal_width=200).output
    places = [text.index(f"\n  {name} ") for name in COMMANDS]

    assert places == sorted(places)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_with_an_example(name):
    command = group.get_command(click.Context(group), name)

    assert command is not None
    assert command.name == name
    assert command.help
    assert f"handdata {name}" in command.help, "the help shows no example"
    shown = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    assert all(option.help or option.show_default for option in shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_data_root_where_it_stands(name):
    command = group.get_command(click.Context(group), name)

    uses_root = {"report", "predict"}
    assert name in uses_root or any("--data-root" in option.opts for option in command.params)


def test_track_is_predict_for_what_moves(tmp_path):
    (tmp_path / "0.png").touch()

    assert "Find hands and their 21 keypoints" in run("track", "--help").stdout
    result = run("track", str(tmp_path))
    assert result.returncode == 2
    assert "Pictures are followed as frames with --fps" in result.stderr


def test_an_unknown_command_is_a_mistake_of_usage():
    result = run("nothing")

    assert result.returncode == 2
    assert "No such command 'nothing'" in result.stderr
    assert "No such command 'Convert'. Did you mean 'convert'?" in run("Convert", "rhd").stderr


def test_an_unknown_option_is_a_mistake_of_usage():
    assert run("verify", "--nothing").returncode == 2


def test_a_fault_in_the_data_is_one_line_on_standard_error():
    result = run("verify", "/nowhere/at/all")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("handdata: /nowhere/at/all: expected a folder of shards, got no such folder.")
    assert result.stderr.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "group", fail)

    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("x", expected="a", got="b"), 1, "handdata: x: expected a, got b.\n"),
        (KeyboardInterrupt(), 130, "handdata: interrupted. Run the same command again to go on.\n"),
        (click.exceptions.Exit(3), 3, ""),
        (click.UsageError("wrong"), 2, "Error: wrong\n"),
        (
            OSError(errno.EFBIG, "File too large", "x"),
            1,
            "handdata: x: File too large. Make room, or choose another place.\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "x"),
            1,
            "handdata: x: Read-only file system. Choose another place.\n",
        ),
    ],
    ids=["data", "ctrl-c", "exit", "usage", "full", "read-only"],
)
def test_exit_codes(monkeypatch, capsys, error, code, line):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(cli, "group", fail)

    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == code
    assert capsys.readouterr().err == line


def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -m handdata --help | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)

    assert "Traceback" not in result.stderr


def test_help_does_not_import_torch():
    script = "import sys; from handdata.cli import main; sys.argv = ['handdata', '--version']\n"
    script += (
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(sorted({'torch', 'cv2', 'h5py'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

    assert result.stdout.splitlines()[-1] == "[]"


def test_a_job_of_an_array_wants_its_number(tmp_path):
    """It would do the work of job 0 otherwise, and take the index of a finished folder away for it."""
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), "convert", "stereo", "--num-jobs", "2"])

    assert result.exit_code == 2
    assert "needs --job" in result.stderr


def test_old_names_of_options_still_work_with_a_note_and_are_not_shown(tmp_path):
    old = ["convert", "stereo", "--num-shards", "2", "--shard-index", "2"]
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), *old])

    notes = ["handdata: --num-shards is called --num-jobs now", "handdata: --shard-index is called --job now"]
    assert result.stderr.splitlines()[:2] == notes
    assert "must be below --num-jobs" in result.stderr
    assert "--num-shards" not in CliRunner().invoke(group, ["convert", "--help"]).stdout


def test_the_root_script_is_the_command():
    result = subprocess.run([sys.executable, ROOT / "cli.py", "--version"], capture_output=True, text=True, check=False)

    assert result.stdout == f"handdata, version {__version__}\n"


def test_workers_of_the_root_script_are_workers(tmp_path):
    """They import the script that their parent was started with: it must not begin another command in them."""
    command = [sys.executable, ROOT / "cli.py", "synth", "rhd", "--frames", "4", "--size", "small", "--workers", "2"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "data/native/rhd").is_dir()


def test_a_word_is_a_folder_of_shards_or_a_datasets_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = DataRoot(Path("elsewhere"))
    data.shards("rhd").mkdir(parents=True)
    Path("rhd").mkdir()  # a native folder of the same name, say

    assert shard_folder(data, "rhd") == data.shards("rhd")
    assert [shard_folder(data, word) for word in ("./rhd", ".", "..")] == [Path("rhd"), Path(), Path("..")]
    Path("rhd/index.json").touch()
    assert shard_folder(data, "rhd") == Path("rhd")
    assert shard_folder(data, "none") == data.shards("none")  # where it was looked for


def test_a_word_is_the_run_of_that_name_or_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = DataRoot(Path("elsewhere"))
    (data.runs / "demo").mkdir(parents=True)
    Path("demo").mkdir()  # pictures, say

    assert run_path(data, Path("demo")) == data.runs / "demo"
    for word in (
        tmp_path / "demo",
        data.runs / "demo",
        Path("demo/checkpoints/best"),
        Path(),
        Path(".."),
        Path("none"),
    ):
        assert run_path(data, word) == word


@pytest.mark.parametrize("box", [("1", "2", "-5", "10"), ("1", "2", "3", "0"), ("nan", "2", "3", "4")])
def test_predict_refuses_a_box_without_a_size(tmp_path, box):
    picture = tmp_path / "hand.png"
    picture.touch()
    result = CliRunner().invoke(group, ["predict", "demo", str(picture), "--box", *box])

    assert result.exit_code == 2
    assert "Invalid value for --box: X Y W H with W and H above 0" in result.output


def test_the_data_root_may_stand_before_or_after_the_command(tmp_path):
    before = CliRunner().invoke(group, ["--data-root", str(tmp_path), "verify"])
    after = CliRunner().invoke(group, ["verify", "--data-root", str(tmp_path)])

    assert str(before.exception) == str(after.exception)
    assert str(tmp_path) in str(before.exception)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a folder that somebody works in cannot be removed")
@pytest.mark.parametrize("command", ["doctor", "annotate x", "predict x.png"])
def test_in_a_folder_that_was_removed(tmp_path, command):
    """Each ended in a traceback, or in a word of a library that found nothing."""
    here = tmp_path / "here"
    here.mkdir()
    line = f"cd {here} && rmdir {here} && {sys.executable} -m handdata {command}"
    result = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert result.returncode == 1
    told = "handdata: .: expected a folder to work in, got one that was removed. Change to another one."
    assert result.stderr.splitlines() == [told]


@pytest.mark.parametrize(
    "words",
    [
        ("export", "here", "--out", ""),
        ("convert", "stereo", "--root", ""),
        ("predict", "photo.jpg", "--out", ""),
        ("--data-root", "", "runs"),
    ],
)
def test_an_empty_path_is_a_mistake_and_not_the_current_folder(words):
    result = CliRunner().invoke(group, words)

    assert result.exit_code == 2
    assert "an empty path. Is a variable of the shell unset?" in result.output


def test_an_empty_word_is_no_dataset():
    with pytest.raises(ConfigError, match="PATH: expected a folder of shards or the name of a dataset"):
        shard_folder(DataRoot(Path()), "")


def test_a_page_does_not_replace_a_file_of_another_kind(tmp_path):
    result = CliRunner().invoke(group, ["stats", str(tmp_path), "--html", str(tmp_path / "index.json")])

    assert result.exit_code == 2
    assert "index.json does not end in .html or .htm." in result.output


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp/x", "a/b"])
def test_a_run_is_one_folder_under_runs(name):
    result = CliRunner().invoke(group, ["train", "--name", name])

    assert result.exit_code == 2
    assert f"the name of a folder under runs/, not {name!r}" in result.output


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_with_standard_streams_closed_a_command_ends_well(tmp_path, closed):
    line = f'"{sys.executable}" -m handdata verify "{tmp_path}" {closed}'  # it asks whether a terminal is there
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stderr) == (1, "")


def test_too_little_memory_is_one_line(tmp_path):
    line = f'ulimit -v 300000; "{sys.executable}" -m handdata synth stereo --frames 4 --out "{tmp_path}" --workers 1'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 1
    assert done.stderr.startswith("handdata: memory: expected enough, got ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("convert", "stereo"), ("evaluate", "compact")])
@pytest.mark.parametrize("names", ["", ",", "A,,B"])
def test_no_sequence_is_not_every_sequence(command, names):
    result = CliRunner().invoke(group, [*command, "--sequences", names])

    assert result.exit_code == 2
    assert f"names, A,B, not {names!r}" in result.output
