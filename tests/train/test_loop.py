"""The loop: what a run leaves behind, recorded losses, best by validation, stopping, the NaN guard, the switches."""

import json
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import torch

import handdata as hd
from handdata.errors import ConfigError, DataError, MissingError
from handdata.model.families import heatmaps
from handdata.model.losses import Ratio
from handdata.paths import DataRoot
from handdata.train import checkpoint, loop
from handdata.train.loader import sources
from handdata.train.optim import Average, Schedule
from handdata.train.runs import list_runs
from handdata.train.state import build
from tests.train.made_shards import made_hand
from tests.train.made_training import job_of, made_inputs, made_set, tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [made_set(root / name, name) for name in ("synthhands", "ganerated")]


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "e010"
    assert loop.train(job_of(tiny(), folders, run))
    return run


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


# 20 steps of each model over 4 fixed batches of 4, some keypoints absent, seed 0, 64 px, an eighth of the width, CPU
# float32: mean 2D loss, mean 3D loss, total of the last step. Recorded with torch 2.13 on x86-64. A change meant not to
# change numbers leaves them; one that does says before and after in its commit. The tree's last step hangs on the
# processor: the same code gave 2.019031 on one x86-64 with AVX-512 and 2.015056 on another.
RECORDED = {
    "e010": (0.975502, 1.125144, 2.001146),
    "e012": (0.067264, 1.158428, 1.642143),
    "e013": (0.975925, 1.249618, 2.019031),
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("recipe", RECORDED)
def test_twenty_steps_give_the_recorded_losses(recipe):
    settings = (
        "model.size=64",
        "model.decoder_init=he",
        "model.logit_offset=-3.0",
        "start.encoder=trained",
        "optim.lr=0.001",
    )
    config = tiny(recipe, *settings)
    state = build(config, torch.device("cpu"))
    state.train_mode()
    batches = [made_inputs(4, 64, present_2d=0.8, present_3d=0.8, seed=seed) for seed in range(4)]
    losses = np.array([loop.step(state, batches[number % 4], config).tolist() for number in range(20)])

    found = (*losses[:, :2].mean(0), losses[-1, 2])
    tolerance = np.array([1e-3, 1e-3, 1e-2 if recipe == "e013" else 1e-3])
    assert (np.abs(np.array(found) - RECORDED[recipe]) < tolerance).all(), found


def test_a_run_leaves_what_is_needed_to_repeat_it(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}

    assert names == {
        "config.json",
        "environment.json",
        "shards.json",
        "log.jsonl",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/state.json",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
        "checkpoints/last/state.json",
    }
    assert json.loads((finished / "config.json").read_text())["optim"]["lr"] == 0.005
    assert {d["dataset"] for d in json.loads((finished / "shards.json").read_text())["datasets"]} == {
        "synthhands",
        "ganerated",
    }


def test_log_has_one_object_an_epoch(finished):
    entries = log_of(finished)

    assert [(entry["epoch"], entry["step"]) for entry in entries] == [(1, 3), (2, 6)]
    for entry in entries:
        assert set(entry) == {"epoch", "step", "train", "val", "lr", "samples_per_s", "data_wait", "mix"}
        assert set(entry["train"]) == {"total", "loss_2d", "loss_3d"} <= set(entry["val"])
        assert entry["train"]["total"] == pytest.approx(entry["train"]["loss_2d"] + entry["train"]["loss_3d"])
        assert 0 <= entry["data_wait"] < 1


def test_log_and_line_tell_what_was_drawn_from_each_dataset(folders, tmp_path, monkeypatch, capsys):
    drawn, real = [], loop.Ledger.add

    def remember(self, losses, batch):
        drawn.append(np.bincount(batch.dataset, minlength=2))
        return real(self, losses, batch)

    monkeypatch.setattr(loop.Ledger, "add", remember)
    loop.train(job_of(tiny("e020", "loop.epochs=1", "start.recipe=", "data.batch=6"), folders, tmp_path / "run"))

    shares = np.sum(drawn, axis=0) / 18
    (entry,) = log_of(tmp_path / "run")
    assert entry["mix"] == {"synthhands": shares[0], "ganerated": shares[1]}
    assert f"drawn synthhands {shares[0]:.1%} ganerated {shares[1]:.1%}" in capsys.readouterr().err


def test_hands_that_do_not_say_their_side_are_counted_before_the_first_step(folders, tmp_path, capsys):
    unknown = made_set(tmp_path / "mine", "mine", hand_side=2)

    loop.train(job_of(tiny("best-smoke", "loop.epochs=1"), [folders[0], unknown], tmp_path / "run"))

    told = [line for line in capsys.readouterr().err.splitlines() if "do not say their side" in line]
    assert told == ["mine: 12 of 12 hands do not say their side: shown mirrored half of the time"]


def test_the_line_of_one_dataset_names_no_shares(folders, tmp_path, capsys):
    loop.train(job_of(tiny("best-smoke", "loop.epochs=1"), folders[:1], tmp_path / "run"))

    assert log_of(tmp_path / "run")[0]["mix"] == {"synthhands": 1.0}
    assert "drawn" not in capsys.readouterr().err


def test_runs_are_listed(finished):
    (row,) = list_runs(finished.parent)

    assert (row["name"], row["recipe"], row["epochs"], row["of"]) == ("e010", "e010", 2, 2)
    assert row["val_best"] == min(entry["val"]["total"] for entry in log_of(finished))


def test_same_seed_same_losses_and_weights(folders, finished, tmp_path):
    loop.train(job_of(tiny(), folders, tmp_path / "run"))

    def figures(run):
        return [(entry["train"], entry["val"]) for entry in log_of(run)]

    assert figures(tmp_path / "run") == figures(finished)
    first, second = (checkpoint.load(run / "checkpoints/last").weights for run in (finished, tmp_path / "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_loader_threads_change_nothing(folders, finished, tmp_path):
    loop.train(job_of(tiny("e010", "data.loader_threads=2"), folders, tmp_path / "run"))

    assert [e["train"] for e in log_of(tmp_path / "run")] == [e["train"] for e in log_of(finished)]


def test_best_is_the_lowest_validation_total(folders, tmp_path, monkeypatch):
    totals = iter([3.0, 1.0, 2.0])
    base = {"loss_2d": 0.0, "loss_3d": 0.0, "error_2d": 0.0, "error_3d": 0.0}
    monkeypatch.setattr(loop, "validate", lambda *_: {**base, "total": next(totals)})
    loop.train(job_of(tiny("e010", "loop.epochs=3"), folders, tmp_path / "run"))

    best, last = (checkpoint.load(tmp_path / "run/checkpoints" / name).position for name in ("best", "last"))
    assert (best.epoch, best.best_loss) == (2, 1.0)
    assert (last.epoch, last.best_epoch) == (3, 2)


def test_without_a_validation_split_no_checkpoint_is_called_best(tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd", val=0)
    loop.train(job_of(tiny("best-smoke"), [folder], tmp_path / "run"))

    assert [path.name for path in sorted((tmp_path / "run/checkpoints").iterdir())] == ["last"]
    assert log_of(tmp_path / "run")[-1]["val"] == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_cleanly_and_resume_gives_the_same_losses(
    number, folders, finished, tmp_path, monkeypatch
):
    real, steps = loop.step, []

    def stopping_step(*args, **kwargs):
        steps.append(kwargs["stopping"])
        if len(steps) == 1:
            os.kill(os.getpid(), number)
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "step", stopping_step)
    job = job_of(tiny(), folders, tmp_path / "run")
    before = signal.getsignal(number)  # ignored, where a shell started the tests in the background
    if number == signal.SIGINT:
        with pytest.raises(KeyboardInterrupt):
            loop.train(job)
    else:
        assert loop.train(job) is False
    stopped = checkpoint.load(tmp_path / "run/checkpoints/last").position
    assert (stopped.epoch, stopped.batch, stopped.step) == (0, 2, 2)  # the step in work, and one to tell all processes
    assert steps == [False, True]
    assert signal.getsignal(number) == before

    monkeypatch.setattr(loop, "step", real)
    assert loop.train(job_of(tiny(), folders, tmp_path / "run", resume=True)) is True
    assert [(e["train"], e["val"], e["mix"]) for e in log_of(tmp_path / "run")] == [
        (e["train"], e["val"], e["mix"]) for e in log_of(finished)
    ]


def test_nan_guard_names_the_samples_and_keeps_the_last_checkpoint(folders, tmp_path, monkeypatch):
    real = heatmaps.loss_3d
    calls = []

    def poisoned(xyz, *args):
        calls.append(1)
        ratio = real(xyz, *args)
        return Ratio(ratio.total * float("nan"), ratio.number) if len(calls) == 6 else ratio

    monkeypatch.setattr(heatmaps, "loss_3d", poisoned)
    with pytest.raises(DataError, match=r"epoch 2, samples .*made/.*expected a finite loss, got nan") as stop:
        loop.train(job_of(tiny(), folders, tmp_path / "run"))

    ids = json.loads((tmp_path / "run/bad_batch.json").read_text())["samples"]
    assert len(ids) == 4
    assert all(name in str(stop.value) for name in ids)
    saved = checkpoint.load(tmp_path / "run/checkpoints/last")
    assert saved.position.epoch == 1
    assert all(torch.isfinite(value).all() for value in saved.weights.values())


def test_hands_without_any_label_end_the_training_before_anything_of_it_is_saved(tmp_path):
    bare = [
        {"image": made_hand(i).image, "side": "left", "crop_box": made_hand(i).crop_box, "split": split}
        for i in range(4)
        for split in ("train", "val")
    ]
    hd.write_dataset(tmp_path / "bare", bare, canvas=48, name="ganerated")

    with pytest.raises(DataError, match="expected labels that this model learns from, got none in a whole epoch"):
        loop.train(job_of(tiny("lifting-smoke"), [tmp_path / "bare"], tmp_path / "run"))

    assert list((tmp_path / "run/checkpoints").iterdir()) == []


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_near_float32(precision, folders, finished, tmp_path):
    loop.train(
        job_of(tiny("e010", f"loop.precision={precision}", "loop.channels_last=true"), folders, tmp_path / "run")
    )

    for low, full in zip(log_of(tmp_path / "run"), log_of(finished), strict=True):
        assert low["train"]["total"] == pytest.approx(full["train"]["total"], rel=0.02)


def test_everything_of_best_at_once(folders, tmp_path):
    settings = ("optim.warmup_steps=2", "loop.precision=bf16", "loss.warm_epochs=1", "model.size=64")
    loop.train(job_of(tiny("best", *settings, "loop.tf32=true"), folders, tmp_path / "run"))
    saved = checkpoint.load(tmp_path / "run")

    assert saved.average is not None
    assert any(not torch.equal(saved.average[name], value) for name, value in saved.weights.items())
    assert log_of(tmp_path / "run")[0]["lr"] < log_of(tmp_path / "run")[0]["lr"] + 1


def test_tensorboard_gets_every_number(folders, tmp_path):
    loop.train(job_of(tiny("e010", "loop.epochs=1"), folders, tmp_path / "run", tensorboard=True))

    assert list((tmp_path / "run/tensorboard").glob("events.*"))


def test_validation_leaves_the_training_alone(folders, tmp_path):
    """With and without validation the training losses are the same."""
    alone = [made_set(tmp_path / "a" / name, name, val=0) for name in ("synthhands", "ganerated")]
    loop.train(job_of(tiny(), alone, tmp_path / "one"))
    loop.train(job_of(tiny(), folders, tmp_path / "two"))

    assert [e["train"] for e in log_of(tmp_path / "one")] == [e["train"] for e in log_of(tmp_path / "two")]


def test_going_on_with_other_shards_is_told_and_with_the_same_elsewhere_is_not(tmp_path, capsys):
    sets = {name: made_set(tmp_path / name, name) for name in ("one", "two", "three")}
    first, longer = tiny("lifting-smoke", "loop.epochs=1"), tiny("lifting-smoke", "loop.epochs=2")
    loop.train(job_of(first, [sets["one"], sets["two"]], tmp_path / "run"))
    shutil.move(sets["one"], tmp_path / "moved")
    loop.train(job_of(first, [tmp_path / "moved", sets["two"]], tmp_path / "run", resume=True))
    assert "WARNING" not in capsys.readouterr().err

    loop.train(job_of(longer, [tmp_path / "moved", sets["three"]], tmp_path / "run", resume=True))

    line = "run: WARNING: goes on with other shards than it was trained on: three (new), two (no more)"
    assert line in capsys.readouterr().err


def test_a_run_that_lost_its_last_checkpoint_is_told_to_make_way_whichever_way_it_is_asked_for(folders, tmp_path):
    config = tiny("lifting-smoke", "loop.epochs=2")
    loop.train(job_of(config, folders, tmp_path / "run"))
    shutil.rmtree(tmp_path / "run/checkpoints/last")

    for is_resumed, kind in ((True, MissingError), (False, ConfigError)):
        with pytest.raises(kind, match="Choose another --name, or move that run away: it has no checkpoint to go on"):
            loop.train(job_of(config, folders, tmp_path / "run", resume=is_resumed))


def test_a_second_run_of_the_name_is_refused(folders, finished):
    with pytest.raises(ConfigError, match="--resume"):
        loop.train(job_of(tiny(), folders, finished))


def test_sources_missing_for_a_recipe_are_named(folders, tmp_path):
    with pytest.raises(MissingError, match=r"no ganerated among synthhands.*convert ganerated"):
        loop.train(job_of(tiny(), folders[:1], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_bare_shards_take_every_complete_dataset(folders, tmp_path):
    root = DataRoot(tmp_path)
    with pytest.raises(MissingError, match="handdata convert NAME"):
        sources.shard_folders((), root)
    made_set(root.shards("rhd"), "rhd", train=2, val=1)
    made_set(root.shards("stereo"), "stereo", train=2, val=1)
    made_set(root.shards("backgrounds"), "backgrounds", train=2, val=1)
    (root.shards("dexter")).mkdir()  # a conversion that did not finish

    assert [path.name for path in sources.shard_folders((), root)] == ["rhd", "stereo"]
    assert [path.name for path in sources.shard_folders((tmp_path / "data/shards",), root)] == ["rhd", "stereo"]
    with pytest.raises(MissingError, match=r"got none\. The nearest is 'stereo'\. Run `handdata convert` first\."):
        sources.shard_folders((tmp_path / "data/shards/sterio",), root)
    with pytest.raises(MissingError, match=r"index\.json"):
        sources.shard_folders((root.shards("dexter"),), root)
    with pytest.raises(ConfigError, match=r"--shards.*data\.backgrounds="):
        sources.shard_folders((root.shards("backgrounds"),), root)


def test_validation_rows_are_spread_over_every_dataset():
    rows = sources.spread_rows([100, 300], 40)

    assert [len(chosen) for chosen in rows] == [10, 30]
    assert rows[1][:3].tolist() == [0, 10, 20]
    assert [len(chosen) for chosen in sources.spread_rows([5, 6], 0)] == [5, 6]


def test_mix_realises_its_shares(folders):
    config = tiny("e020")
    train_set, _ = sources.open_sources(folders, config)
    dataset, _ = train_set.slots.draw(0, 0, np.arange(3000))

    assert np.mean(dataset == train_set.names.index("synthhands")) == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", [0.25, 0.5, 0.75, 1.0, 1.0]), ("cosine", [0.25, 0.5, 0.75, 1.0, 0.925])],
)
def test_learning_rate_warms_up(schedule, rates):
    optim = tiny(
        "e010", "optim.lr=1.0", "optim.warmup_steps=3", f"optim.schedule={schedule}", "optim.final_lr=0.0"
    ).optim

    found = [Schedule(optim, 12).rate(step) for step in range(5)]
    if schedule == "cosine":
        rates[4] = 0.5 * (1 + np.cos(np.pi / 9))
    np.testing.assert_allclose(found, rates)


def test_running_average_follows_and_frozen_values_stay_exact():
    network = torch.nn.Linear(3, 3)
    average = Average(network, 0.9)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight += 1.0
    average.update()

    torch.testing.assert_close(average.values["weight"], before + 0.9)  # first decay is (1 + 0) / (10 + 0)
    assert torch.equal(average.values["bias"], network.bias)


def test_signals_are_left_alone_outside_the_main_thread():
    seen = []

    def work():
        with loop.asked_to_stop() as stop:
            seen.append(stop.by)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
