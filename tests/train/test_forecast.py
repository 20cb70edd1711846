"""What a training says before its first step, and what it leaves as it was."""

import re

import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.shards import backgrounds
from handdata.train import forecast, loop
from handdata.train.forecast import duration, seconds_per_sample
from handdata.train.state import build
from tests.train.made_training import TINY, job_of, made_set, tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return [made_set(root / name, name) for name in ("rhd", "stereo")]


def said_before_the_first_step(job, capsys, monkeypatch):
    """Return the lines of a training up to its first step, where it ends."""

    class Reached(Exception):  # noqa: N818
        pass

    def stop(*_args, **_more):
        raise Reached

    monkeypatch.setattr(loop, "step", stop)
    with pytest.raises(Reached):
        loop.train(job)
    return capsys.readouterr().err.splitlines()


def test_device_recipe_samples_steps_and_time_are_said_before_the_first_step(folders, tmp_path, capsys, monkeypatch):
    config = tiny("best-smoke")
    lines = said_before_the_first_step(job_of(config, folders, tmp_path / "run"), capsys, monkeypatch)
    counted = sum(parameter.numel() for parameter in build(config, CPU).network.parameters())

    assert lines[0].startswith("device: cpu: ")
    assert lines[1:5] == [
        f"recipe best-smoke: model direct, {counted:,} parameters",
        "trains on 24 samples: rhd 12, stereo 12",
        "validates on 4 samples: rhd 2, stereo 2",
        "6 steps of 4 samples: 2 epochs of 3",
    ]
    assert re.fullmatch(r"expected: about \d+ (s|minutes) on this device", lines[5])


def test_backgrounds_of_the_validation_are_painted_when_it_comes_and_not_before_the_first_step(
    tmp_path, capsys, monkeypatch
):
    painted, paint = [], backgrounds.paint_tiles

    def noted(seed, count, side):
        painted.append(seed)
        return paint(seed, count, side)

    monkeypatch.setattr(backgrounds, "PAINTED_TILES", 4)
    monkeypatch.setattr(backgrounds, "paint_tiles", noted)
    folder = made_set(tmp_path / "rhd", "rhd", foreground=True)
    config = tiny("best-smoke", "loop.epochs=1")
    with monkeypatch.context() as until_the_first_step:
        said_before_the_first_step(job_of(config, [folder], tmp_path / "run"), capsys, until_the_first_step)
    assert painted == [0]
    loop.train(job_of(config, [folder], tmp_path / "other"))
    assert painted == [0, 0, 1]


def test_without_a_gpu_a_long_training_is_told_of_shorter_ones(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast, "seconds_per_sample", lambda *_: 0.1)
    config = tiny("best", "loop.batches=1000", "loop.epochs=300", "data.batch=256")
    lines = said_before_the_first_step(job_of(config, folders, tmp_path / "run"), capsys, monkeypatch)
    assert lines[6] == (
        "no GPU: recipe best takes 89 days here. "
        "--recipe compact is made for CPUs and takes hours, --recipe demo minutes."
    )


@pytest.mark.parametrize(
    ("settings", "frozen"),
    [(["start.encoder=frozen"], True), (["start.encoder=frozen-compat"], True), (["start.encoder=trained"], False)],
)
def test_a_frozen_random_encoder_is_said_loudly(settings, frozen, folders, tmp_path, capsys, monkeypatch):
    config = tiny("best-smoke", *settings)
    lines = said_before_the_first_step(job_of(config, folders, tmp_path / "run"), capsys, monkeypatch)
    assert any(line.startswith("WARNING: start.encoder") and "RANDOM" in line for line in lines) == frozen
    assert any(line.endswith("of them frozen") for line in lines) == frozen


def test_an_encoder_that_starts_from_a_run_is_frozen_without_a_word(folders, tmp_path, capsys, monkeypatch):
    loop.train(job_of(tiny("best-smoke", "loop.epochs=1"), folders, tmp_path / "first"))
    capsys.readouterr()
    job = job_of(tiny("best-smoke", "start.encoder=frozen"), folders, tmp_path / "run", init_from=tmp_path / "first")
    lines = said_before_the_first_step(job, capsys, monkeypatch)
    assert not any("WARNING" in line for line in lines)


@pytest.mark.parametrize("recipe", ["best-smoke", "compact-smoke", "e012-smoke", "volume-smoke"])
def test_the_trial_changes_no_weight_no_statistic_and_no_draw(recipe):
    config = tiny(recipe)
    state = build(config, CPU)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    draws = torch.get_rng_state()

    assert seconds_per_sample(state.network, config, CPU) > 0
    assert all(torch.equal(value, before[name]) for name, value in state.network.state_dict().items())
    assert all(parameter.grad is None for parameter in state.network.parameters())
    assert torch.equal(torch.get_rng_state(), draws)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (119, "119 s"), (120, "2 minutes"), (7199, "120 minutes"), (7200, "2 hours"), (1e6, "12 days"),
     (1e8, "1,157 days")],
)  # fmt: skip
def test_a_time_is_said_as_people_say_it(seconds, text):
    assert duration(seconds) == text


def test_a_loss_and_an_error_of_nothing_are_null_and_never_zero(tmp_path, capsys):
    """Fingertips alone have no normalised 3D: no 3D loss and no 3D error."""
    from tests.made_runs import made_shards

    folder = made_shards(tmp_path / "dexter", "dexter", split="test", tips_only=True)
    config = tiny("best-smoke", 'data.val_sequences=["Grasp2"]', "loop.epochs=1")
    loop.train(job_of(config, [folder], tmp_path / "run"))
    (entry,) = loop.RunFolder(tmp_path / "run").read_log()
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch 1/1: train"))

    assert entry["train"]["loss_3d"] is entry["val"]["loss_3d"] is entry["val"]["error_3d"] is None
    assert entry["val"]["loss_2d"] > 0 < entry["val"]["error_2d"]
    assert "3D none" in line
    assert "0.0000" not in line


def test_the_command_says_it_too(folders, tmp_path):
    small = [part for setting in TINY for part in ("--set", setting)]
    arguments = ["train", "--recipe", "best-smoke", "--shards", *map(str, folders), "--device", "cpu", "--no-evaluate"]
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), *arguments, *small, "--set", "loop.epochs=1"])
    assert result.exit_code == 0, result.output
    assert "trains on 24 samples: rhd 12, stereo 12" in result.stderr
