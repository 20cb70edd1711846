"""Defects of the published trainer, each repaired and named after its item in docs/method.md 12."""

import json

import pytest
import torch

from handdata.model.heatmaps import inside, targets
from handdata.model.losses import divide, loss_2d, loss_3d
from handdata.model.networks import HandNet
from handdata.train import checkpoint
from handdata.train.config import load_config
from handdata.train.evaluate import predict
from handdata.train.loader.loaders import EvalLoader
from handdata.train.loader.sources import open_sources
from handdata.train.loop import step, train
from handdata.train.optim import Schedule
from handdata.train.selection import Selection, select
from handdata.train.state import build, freeze
from tests.made_runs import made_shards
from tests.train.made_training import job_of, made_inputs, made_set, tiny

CPU = torch.device("cpu")


def one_step(*settings, recipe="e010", **inputs):
    """Take one step and return the network's tensors before and after it."""
    config = tiny(recipe, "optim.lr=0.1", *settings)
    state = build(config, CPU)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    state.train_mode()
    step(state, made_inputs(**inputs), config)
    return before, state.network.state_dict()


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize("recipe", ["e010", "e012", "e013"])
def test_L1_and_L2_a_frozen_encoder_keeps_every_parameter_and_statistic_bit_for_bit(recipe):
    moved = changed(*one_step(recipe=recipe))

    assert moved
    assert not [name for name in moved if name.startswith("encoder.")]


def test_L1_and_L2_compat_trains_layer4_and_moves_the_statistics():
    moved = changed(*one_step("start.encoder=frozen-compat"))

    assert "encoder.layer4.0.conv1.weight" in moved
    assert "encoder.bn1.running_mean" in moved
    assert "encoder.layer3.0.conv1.weight" not in moved


@pytest.mark.parametrize(
    ("mode", "trained"), [("frozen", 9_939_231), ("frozen-compat", 23_053_599), ("trained", 31_223_903)]
)
def test_L1_number_of_parameters_that_train(mode, trained):
    network = HandNet("direct")
    freeze(network, mode)

    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == trained


def test_L3_the_plateau_schedule_is_stepped():
    optim = tiny("e010", "optim.schedule=plateau", "optim.plateau_patience=2").optim
    schedule = Schedule(optim, 100)
    rates = []
    for loss in (1.0, 0.5, 0.5, 0.5, 0.5, 0.4):
        schedule.epoch_ended(loss)
        rates.append(schedule.rate(0) / optim.lr)

    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1])  # dropped by 0.1 after three epochs without a better loss


def test_L3_a_dropped_rate_is_used_and_logged(tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd")
    settings = ("optim.schedule=plateau", "optim.plateau_patience=0", "optim.plateau_threshold=0.9", "loop.epochs=3",
                "optim.ema_decay=0.0", "optim.warmup_steps=0")  # fmt: skip
    train(job_of(tiny("best-smoke", *settings), [folder], tmp_path / "run"))
    rates = [json.loads(line)["lr"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]

    assert rates == pytest.approx([0.001, 0.001, 0.0001])


def test_L4_the_mean_runs_over_what_is_present():
    inputs = made_inputs()
    tips = torch.zeros(4, 21, dtype=torch.bool)
    tips[:, [4, 8, 12, 16, 20]] = True
    maps = torch.rand(4, 21, 32, 32)
    ours = divide(loss_2d(maps, inputs.uv_BK2, tips, "iou", "present"))
    compat = divide(loss_2d(maps, inputs.uv_BK2, tips, "iou", "all"))

    assert float(compat) == pytest.approx(float(ours) * 5 / 21)  # "5 tips: at most 0.238", docs/method.md 7


@pytest.mark.parametrize("recipe", ["e010", "e012", "e013"])
def test_L6_two_losses_and_a_mask_go_together(recipe):
    config = tiny(recipe)
    state = build(config, CPU)
    losses = step(state, made_inputs(present_2d=0.5, present_3d=0.5), config)

    assert torch.isfinite(losses).all()
    assert losses[2] == pytest.approx(float(config.loss.weight_2d * losses[0] + losses[1]), rel=1e-6)


@pytest.mark.parametrize("kind", ["iou", "iou_and_expectation", "l2", "coordinates"])
def test_L7_no_2d_loss_learns_zeros_from_absent_keypoints(kind):
    maps = torch.rand(2, 21, 32, 32, requires_grad=True)
    absent = torch.zeros(2, 21, dtype=torch.bool)
    loss = divide(loss_2d(maps, torch.zeros(2, 21, 2), absent, kind))
    loss.backward()

    assert loss.item() == 0
    assert not maps.grad.any()


def test_L7_no_3d_label_leaves_the_3d_head_bit_for_bit():
    head = ("decoder.linear", "decoder.pose", "decoder.heat")
    for settings, share in (((), 0.0), (("loss.loss_3d=none",), 1.0)):
        moved = changed(*one_step(*settings, present_3d=share))
        assert moved
        assert not [name for name in moved if name.startswith(head)]


def test_L8_the_3d_regressor_sees_the_decoders_up3():
    network = HandNet("direct", size=32, width=0.25)
    seen = {}
    network.decoder.up3.register_forward_hook(lambda _m, _i, out: seen.update(up3=out))
    network.decoder.pose1.register_forward_pre_hook(lambda _m, args: seen.update(pose=args[0]))
    network.eval()(torch.randn(1, 3, 32, 32))

    assert torch.equal(seen["pose"][:, 16:], seen["up3"])


def test_L14_the_sampler_repeats_a_set_that_is_smaller_than_the_epoch(tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd", train=5, val=1)
    train(job_of(tiny("best-smoke", "loop.batches=6", "loop.epochs=1"), [folder], tmp_path / "run"))

    assert checkpoint.load(tmp_path / "run/checkpoints/last").position.step == 6


def test_L16_best_and_last_are_both_kept_and_say_which_epoch(tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd")
    train(job_of(tiny("best-smoke"), [folder], tmp_path / "run"))
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())

    assert names == ["best", "last"]


def test_L18_decoder_keeps_pytorchs_start_in_the_published_recipes():
    for name in ("e010", "e012", "e013"):
        model = load_config(name).model
        assert (model.decoder_init, model.logit_offset, load_config(name).loss.warm_epochs) == ("default", 0.0, 0)


@pytest.mark.parametrize("u", [-0.2, 1.0, 127.5 / 128])
def test_D10_and_D11_a_keypoint_outside_the_map_teaches_nothing(u):
    uv = torch.full((1, 21, 2), 0.5)
    uv[0, 3, 0] = u
    present = inside(uv, 128)
    assert present.sum() == 20
    assert not targets(uv, torch.ones(1, 21, dtype=torch.bool), 128)[0, 3].any()  # flag and heatmap by one rule

    maps = torch.rand(1, 21, 128, 128, requires_grad=True)
    divide(loss_2d(maps, uv, present, "iou")).backward()
    assert not maps.grad[0, 3].any()
    assert maps.grad[0, 2].any()


def test_D18_and_e022_validation_sequences_are_not_trained_on(tmp_path):
    folder = made_shards(tmp_path / "dexter", "dexter", split="test", samples=24, sequences=4, tips_only=True)
    config = tiny("e022-grasp2", "start.recipe=", "loop.val_batches=0")
    train_set, val_set = open_sources([folder], config)

    trained = set(ids(train_set))
    held = set(ids(val_set))
    assert len(trained) == 18
    assert len(held) == 6
    assert {name.split("/")[1] for name in held} == {"Grasp2"}
    assert not trained & held


def test_E3_evaluation_visits_every_sample_once_in_stored_order(tmp_path):
    folder = made_shards(tmp_path / "rhd", "rhd", split="val", samples=11, sequences=2)
    train_on = made_set(tmp_path / "synthhands", "synthhands")
    train(job_of(tiny("best-smoke", "loop.epochs=1"), [train_on], tmp_path / "run"))
    found = predict(checkpoint.load(tmp_path / "run"), Selection(folders=[folder]), device="cpu", batch=4)

    expected = [f"S{1 + i * 2 // 11}/{i:04d}" for i in range(11)]
    assert found.sample_id.tolist() == expected
    assert len(set(ids(select(Selection(folders=[folder]))[0]))) == 11


def ids(mixture):
    with EvalLoader(mixture, 4, threads=0) as loader:
        return [name for batch in loader for name in mixture.sample_ids(batch.dataset, batch.sample)]


@pytest.mark.parametrize("kind", ["mse", "bone_pairs"])
def test_E4_of_features_no_3d_loss_where_3d_is_absent(kind):
    xyz = torch.randn(2, 21, 3, requires_grad=True)
    half = torch.zeros(2, 21, dtype=torch.bool)
    half[0] = True
    divide(loss_3d(xyz, torch.randn(2, 21, 3), half, kind)).backward()

    assert xyz.grad[0].any()
    assert not xyz.grad[1].any()
