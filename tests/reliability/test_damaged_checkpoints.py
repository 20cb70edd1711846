"""A checkpoint with a changed byte is one line in every command that reads it, never other numbers."""

import json
import os
import shutil
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from handdata.errors import DataError, WriteError
from handdata.files.whole import file_sha256
from handdata.model.checkpoint import read, state_sha256
from handdata.model.networks import HandNet
from handdata.model.weights import read_weights
from handdata.train import checkpoint
from handdata.train.loop import train
from tests.reliability.refusals import refused, refused_by
from tests.train.made_training import job_of, made_set, tiny

SECTOR = 512


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained.run, tmp_path / "runs/r")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 // 4 * 4 + 3] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["tensors", "state.json"])
@pytest.mark.parametrize("command", ["evaluate", "predict", "onnx", "resume"])
def test_a_flipped_byte_is_one_line_in_every_command(trained, run, tmp_path, command, name):
    """Before, it changed a score from 0.148 to 0.186, with exit code 0."""
    place, tensors = ("last", "model.safetensors") if command == "resume" else ("best", "average.safetensors")
    damaged = run / "checkpoints" / place / (tensors if name == "tensors" else name)
    flip(damaged)
    (tmp_path / "a.png").write_bytes(b"not read")
    asked = {
        "evaluate": ("evaluate", run, "--shards", trained.shards, "--device", "cpu"),
        "predict": ("predict", run, tmp_path / "a.png", "--out", tmp_path / "out"),
        "onnx": ("predict", run, "--onnx", tmp_path / "m.onnx"),
        "resume": ("--data-root", tmp_path, "train", "--recipe", "best-smoke", "--name", "r", "--resume",
                   "--shards", trained.shards, "--device", "cpu"),
    }[command]  # fmt: skip

    assert str(damaged) in refused(*asked)


def test_tensors_that_are_not_finite_are_named(run):
    """They were answered with NaN, which is no JSON."""
    path, state = run / "checkpoints/best/average.safetensors", run / "checkpoints/best/state.json"
    tensors = load_file(path)
    name = sorted(tensors)[0]
    save_file(tensors | {name: torch.full_like(tensors[name], torch.nan)}, path)
    told = json.loads(state.read_text())
    told["sha256"][path.name] = file_sha256(path)
    state.write_text(json.dumps(told | {"state_sha256": state_sha256(told)}))

    assert f"{path}: expected the tensors that were saved, of finite numbers, got others in {name}" in refused_by(
        read, run
    )


def test_tensors_that_are_gone_are_named(run):
    path = run / "checkpoints/best/average.safetensors"
    path.unlink()

    assert f"{path}: expected the tensors that were saved, got no such file. Take another" in refused_by(read, run)


def test_a_pipe_in_place_of_tensors_is_not_waited_for(run):
    path = run / "checkpoints/best/average.safetensors"
    path.unlink()
    os.mkfifo(path)

    assert f"{path}: expected the tensors that were saved, got no plain file. Take another" in refused_by(read, run)


@pytest.mark.usefixtures("not_as_root")
@pytest.mark.parametrize("name", ["average.safetensors", "state.json"])
def test_tensors_that_may_not_be_read_are_no_reason_to_train_again(run, name):
    path = run / "checkpoints/best" / name
    path.chmod(0)

    line = refused_by(read, run)
    assert str(path) in line
    assert line.endswith("got Permission denied. Allow reading it (chmod u+rX), or ask its owner.")


@pytest.fixture
def small(run, tmp_path):
    """A checkpoint of four kilobytes a file."""
    found = checkpoint.load(run / "checkpoints/last")
    network = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 20)).sum().backward()
    optimizer.step()
    (tmp_path / "small").mkdir()
    average = dict(network.state_dict())
    checkpoint.save(
        tmp_path / "small/last", found.config, found.position, network, average=average, optimizer=optimizer
    )
    return tmp_path / "small/last", network, optimizer


def test_every_sector_of_a_checkpoint_that_is_lost_is_named(small):
    folder, network, optimizer = small

    def read_all():
        checkpoint.load(folder)
        checkpoint.restore(folder, network, optimizer)

    tried = 0
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for start in range(0, len(whole), SECTOR):
            end = min(start + SECTOR, len(whole))
            path.write_bytes(whole[:start] + bytes(end - start) + whole[end:])
            with pytest.raises(DataError, match=path.name):
                read_all()
            tried += 1
        path.write_bytes(whole)
    read_all()
    assert tried > 40


def test_a_state_is_json_that_every_program_reads(run):
    def refuse(token):
        raise AssertionError(token)

    for path in run.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_infinities_of_a_schedule_come_back(run):
    found = checkpoint.load(run / "checkpoints/last")

    found.position.schedule["best"] = float("inf")
    checkpoint.save(run / "checkpoints/again", found.config, found.position, HandNet(size=32, width=0.125))

    assert checkpoint.load(run / "checkpoints/again").position == found.position


def test_an_older_checkpoint_without_hashes_is_read_with_a_note(run, capsys):
    path = run / "checkpoints/best/state.json"
    state = json.loads(path.read_text())
    del state["sha256"], state["state_sha256"]
    path.write_text(json.dumps(state))

    assert read(run).epoch == 1
    assert "of an older handdata, without hashes" in capsys.readouterr().err


def test_a_run_that_is_removed_while_it_trains_is_one_line(tmp_path, monkeypatch):
    shards = made_set(tmp_path / "rhd", "rhd", train=8, val=0)
    told = []

    def remove(text):
        told.append(text)
        if "epoch" in text:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    monkeypatch.setattr("handdata.train.loop.say", remove)
    with pytest.raises(WriteError, match="got No such file or directory"):
        train(job_of(tiny("best-smoke", "augment.kind=published", "loop.epochs=3"), [shards], tmp_path / "run"))
    assert told


def test_damaged_weights_of_pytorch_are_one_line_whatever_is_damaged(tmp_path):
    """13 of 833 single bytes ended in a traceback."""
    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.zeros(2, 3, 3, 3), "bn1.bias": torch.zeros(3)}, path)
    whole = path.read_bytes()
    read_weights(path)
    for place in range(0, len(whole), 5):
        for value in (whole[place] ^ 0xFF, ord("Z")):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            with suppress(DataError):
                read_weights(path)
