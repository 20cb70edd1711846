"""Checkpoints: no pickle, whole or not there, exact resume, strict weights, damaged files in one line."""

import errno
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from handdata.errors import ConfigError, DataError, MissingError, WriteError
from handdata.model.networks import HandNet
from handdata.model.weights import fill, load_encoder
from handdata.train import checkpoint, runs
from handdata.train.loop import train
from handdata.train.runs import last_of
from handdata.train.state import build
from tests.train.made_training import job_of, made_set, tiny

CPU = torch.device("cpu")
EVERYTHING = ("optim.kind=adamw", "optim.schedule=plateau", "optim.plateau_patience=0", "optim.ema_decay=0.9",
              "optim.clip_norm=1.0", "optim.warmup_steps=2", "start.encoder=trained",
              "augment.kind=strong", "loop.channels_last=true", "loop.split=true", "loop.precision=bf16")  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [made_set(root / name, name) for name in ("synthhands", "ganerated")]


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "e010"
    train(job_of(tiny(), folders, run))
    return run


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("settings", [(), EVERYTHING], ids=["published", "everything"])
def test_resumed_training_equals_an_undisturbed_one(settings, folders, tmp_path):
    train(job_of(tiny("e010", "loop.epochs=4", *settings), folders, tmp_path / "whole"))
    train(job_of(tiny("e010", "loop.epochs=2", *settings), folders, tmp_path / "parts"))
    train(job_of(tiny("e010", "loop.epochs=4", *settings), folders, tmp_path / "parts", resume=True))

    whole, parts = (checkpoint.load(tmp_path / name / "checkpoints/last") for name in ("whole", "parts"))
    assert vars(whole.position) == vars(parts.position)
    assert all(torch.equal(value, parts.weights[name]) for name, value in whole.weights.items())
    if whole.average is not None:
        assert all(torch.equal(value, parts.average[name]) for name, value in whole.average.items())
    assert [(e["train"], e["val"], e["lr"]) for e in log_of(tmp_path / "whole")] == [
        (e["train"], e["val"], e["lr"]) for e in log_of(tmp_path / "parts")
    ]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_restored_moments_lie_in_memory_as_their_parameters_do(kind, folders, tmp_path):
    """One kernel updates both together and wants the same layout; files hold every tensor row by row."""
    config = tiny("e010", f"optim.kind={kind}", "loop.channels_last=true", "start.encoder=trained")
    train(job_of(config, folders, tmp_path / "run"))
    state = build(config, CPU)
    checkpoint.restore(tmp_path / "run/checkpoints/last", state.network, state.optimizer)

    held = [(p, value) for p, kept in state.optimizer.state.items() for key, value in kept.items() if key != "step"]
    assert len(held) >= 126
    assert all(value.stride() == parameter.stride() for parameter, value in held)
    assert any(not parameter.is_contiguous() for parameter, _ in held)


def test_nothing_in_a_run_is_a_pickle(finished):
    for path in finished.rglob("*"):
        if path.is_file():
            assert path.suffix in {".json", ".jsonl", ".safetensors"}
            assert not path.read_bytes().startswith(b"PK")  # torch.save writes a zip of pickles


def test_a_checkpoint_that_replaces_another_is_never_half(run, monkeypatch):
    """Die while writing: the checkpoint before it stays, and is what resume finds."""
    before = checkpoint.load(run / "checkpoints/last")

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", fail)
    with pytest.raises(WriteError, match=r"model\.safetensors: expected a checkpoint written whole, got No space"):
        checkpoint.save(run / "checkpoints/last", before.config, before.position, HandNet(size=32, width=0.125))
    assert checkpoint.load(last_of(run)).position == before.position
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best", "last"]


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(run, monkeypatch):
    """Else a power cut leaves a name without weights, and the checkpoint before it is gone: every file and then the
    folder is synced, then renamed, and the folder of checkpoints is synced before the one before is removed."""
    before = checkpoint.load(run / "checkpoints/last")
    steps = []
    real = {name: getattr(checkpoint.os, name) for name in ("fsync", "rename")}

    def fsync(handle):
        steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().relative_to(run / 'checkpoints')}")
        real["fsync"](handle)

    def rename(a, b, **_):
        steps.append(f"rename {Path(a).name} {Path(b).name}")
        real["rename"](a, b)

    def remove(folder, **_):
        steps.append(f"remove {Path(folder).name}")

    monkeypatch.setattr(checkpoint.os, "fsync", fsync)
    monkeypatch.setattr(checkpoint.os, "rename", rename)
    monkeypatch.setattr(runs.shutil, "rmtree", remove)
    checkpoint.save(run / "checkpoints/last", before.config, before.position, HandNet(size=32, width=0.125))

    assert steps == [
        "sync last.partial/model.safetensors",
        "sync last.partial/state.json",
        "sync last.partial",
        "rename last last.old",
        "rename last.partial last",
        "sync .",
        "remove last.old",
        "sync .",
    ]


def test_resume_finds_the_checkpoint_set_aside_by_a_process_that_died_between_renames(run):
    (run / "checkpoints/last").rename(run / "checkpoints/last.old")

    assert last_of(run).name == "last.old"
    assert checkpoint.load(last_of(run)).position.epoch == 2


def test_what_a_killed_save_left_is_gone_when_the_training_went_on(run, folders):
    checkpoints = run / "checkpoints"
    shutil.copytree(checkpoints / "last", checkpoints / "best.old")  # died before it was removed
    shutil.copytree(checkpoints / "last", checkpoints / "last.partial")
    (checkpoints / "last").rename(checkpoints / "last.old")
    with (run / "log.jsonl").open("ab") as log:
        log.write(b'{"epoch": 3, "tr\0\0')  # a power cut tore it

    train(job_of(tiny(), folders, run, resume=True))

    assert sorted(path.name for path in checkpoints.iterdir()) == ["best", "last"]
    assert [entry["epoch"] for entry in log_of(run)] == [1, 2]


def test_a_run_means_its_best_checkpoint(run):
    assert checkpoint.find(run).name == "best"
    assert checkpoint.find(run / "checkpoints/last").name == "last"
    shutil.rmtree(run / "checkpoints/best")
    assert checkpoint.find(run).name == "last"


def test_no_checkpoint_is_one_line(tmp_path):
    with pytest.raises(MissingError, match="handdata runs"):
        checkpoint.load(tmp_path)
    with pytest.raises(MissingError, match="without --resume"):
        last_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b"{"),
        ("state.json", b"{}"),
        ("model.safetensors", b"PK\x03\x04"),
        ("model.safetensors", b""),
    ],
)
def test_damaged_checkpoint_is_one_line(run, name, content):
    (run / "checkpoints/best" / name).write_bytes(content)

    with pytest.raises(DataError) as refusal:
        checkpoint.load(run)
    assert "\n" not in str(refusal.value)


def test_resume_with_other_settings_is_refused_and_they_are_named(folders, run):
    with pytest.raises(ConfigError, match=r"other loss\.weight_3d, optim\.lr"):
        train(job_of(tiny("e010", "optim.lr=1.0", "loss.weight_3d=2.0"), folders, run, resume=True))


def test_resume_of_a_run_that_does_not_exist_is_refused(folders, tmp_path):
    with pytest.raises(MissingError, match="without --resume"):
        train(job_of(tiny(), folders, tmp_path / "none", resume=True))


def test_init_from_takes_the_weights_and_nothing_else(run):
    state = build(tiny("e020", "optim.lr=1.0"), CPU, run)
    saved = checkpoint.load(run)

    assert all(torch.equal(value, saved.weights[name]) for name, value in state.network.state_dict().items())
    assert state.position == checkpoint.Position()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("model.kind=tree",), "otherwise shaped"),
        (("model.width=0.25",), "otherwise shaped"),
        (("model.size=64",), "1 otherwise"),
    ],
)
def test_L17_init_from_that_does_not_fit_is_refused(settings, said, run):
    with pytest.raises(ConfigError, match=said):
        build(tiny("e010", *settings), CPU, run)


def encoder_state(width=0.125):
    torch.manual_seed(5)
    return {name: value.clone() for name, value in HandNet(size=32, width=width).encoder.state_dict().items()}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_encoder_weights_come_from_a_file_and_a_classifier_is_left_aside(suffix, tmp_path):
    path, state = tmp_path / f"resnet{suffix}", encoder_state()
    state["fc.weight"] = torch.zeros(10, 8)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = HandNet(size=32, width=0.125)
    load_encoder(network.encoder, str(path))

    assert all(torch.equal(value, state[name]) for name, value in network.encoder.state_dict().items())


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    network = HandNet(size=32, width=0.125)
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    state = encoder_state()
    del state["layer4.0.conv1.weight"]

    with pytest.raises(ConfigError, match=r"1 no: layer4\.0\.conv1\.weight"):
        fill(network.encoder, state, where="x")
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/handdata-weights-ran-code"),))


def test_a_pickle_of_weights_runs_no_code(tmp_path):
    path, witness = tmp_path / "evil.pth", Path("/tmp/handdata-weights-ran-code")
    witness.unlink(missing_ok=True)
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))

    with pytest.raises(DataError, match=r"evil\.pth: expected a file of tensors"):
        load_encoder(HandNet(size=32, width=0.125).encoder, str(path))
    assert not witness.exists()


def test_a_missing_weights_file_is_one_line(tmp_path):
    with pytest.raises(MissingError, match=r"gone\.pth"):
        load_encoder(HandNet(size=32, width=0.125).encoder, str(tmp_path / "gone.pth"))


def test_weights_by_name_offline_say_how_to_give_a_file(monkeypatch):
    """Whatever is in the way (torchvision does not import, no network), the line says what to do."""

    def refuse(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(MissingError, match=r"--weights resnet34\.pth") as refusal:
        load_encoder(HandNet().encoder, "ResNet34_Weights.IMAGENET1K_V1")
    assert "\n" not in str(refusal.value)
