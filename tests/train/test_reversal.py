"""Gradient reversal: its sign, what it leaves alone, and that it carries a task over to a domain without labels."""

import json

import pytest
import torch
from torch import nn

from handdata.errors import ConfigError
from handdata.model.families import FAMILIES, family_of
from handdata.model.networks import PLAIN
from handdata.train.config import AdaptConfig, OptimConfig, load_config
from handdata.train.loop import step, train
from handdata.train.reversal import DomainHead, Reversal, deep_module, reverse, strength_at
from handdata.train.state import build, resume
from tests.train.made_training import TINY, job_of, made_inputs, made_set, tiny

CPU = torch.device("cpu")
NAMES = ("rhd", "stereo")
TARGET = 'adapt.target=["stereo"]'


def mixed_inputs(batch=8, size=32, **options):
    """Return inputs of which every second sample is of the target domain."""
    inputs = made_inputs(batch, size, **options)
    inputs.domain_B.copy_(torch.arange(batch) % 2)
    return inputs


def test_the_gradient_is_the_numerical_one_turned_round():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    reverse(x, 0.3).pow(3).sum().backward()
    step_size = 1e-6
    numerical = ((x + step_size).pow(3) - (x - step_size).pow(3)).detach() / (2 * step_size)

    assert x.grad is not None
    torch.testing.assert_close(x.grad, -0.3 * numerical, rtol=1e-6, atol=1e-8)


def test_lambda_rises_as_published():
    found = [round(strength_at(share, 1.0), 3) for share in (0, 0.1, 0.25, 0.5)]
    assert found == [0.0, 0.462, 0.848, 0.987]


@pytest.mark.parametrize("kind", ["direct", "compact"])
def test_without_strength_the_network_learns_as_without_a_head(kind):
    settings = [f"model.kind={kind}", "loop.epochs=2", "optim.lr=0.01"]
    plain = build(tiny("best-smoke", *settings), CPU)
    config = tiny("best-smoke", *settings, TARGET, "adapt.strength=0.0")
    adapted = build(config, CPU, datasets=NAMES)
    for number in range(3):
        inputs = mixed_inputs(seed=number)
        plain.train_mode()
        adapted.train_mode()
        step(plain, adapted.reversal.masked(inputs), tiny("best-smoke", *settings))
        step(adapted, inputs, config)
        plain.position.step, adapted.position.step = number + 1, number + 1

    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, adapted.network.state_dict()[name]), name


def test_with_strength_the_network_learns_otherwise_and_the_head_too():
    config = tiny("best-smoke", TARGET, "adapt.strength=0.3", "loop.epochs=1")
    state = build(config, CPU, datasets=NAMES)
    before = {name: value.clone() for name, value in state.reversal.head.state_dict().items()}
    state.position.step = 2
    losses = step(state, mixed_inputs(), config)
    terms = len(state.names)

    assert state.names == ("loss_2d", "loss_3d", "loss_domain")
    assert losses[terms - 1] == pytest.approx(0.69, abs=0.2)  # that of guessing
    assert losses[terms + 1 : 2 * terms + 1].tolist() == [1.0] * terms
    assert any(not torch.equal(before[name], value) for name, value in state.reversal.head.state_dict().items())


def test_no_label_of_the_target_domain_is_learnt_from():
    config = tiny("best-smoke", TARGET)
    reversal = build(config, CPU, datasets=NAMES).reversal
    masked = reversal.masked(mixed_inputs())
    assert masked.present_2d_BK.any(1).tolist() == [True, False] * 4
    assert masked.present_3d_BK.any(1).tolist() == [True, False] * 4


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_has_features_to_compare(kind):
    config = load_config("best-smoke", [*TINY, f"model.kind={kind}", "loss.loss_2d=coordinates"])
    network = family_of(kind).make(config.model, PLAIN)
    deep = deep_module(network, family_of(kind).deep)
    heard = Reversal(deep, AdaptConfig(target=("stereo",)), OptimConfig(), CPU, NAMES, 0)
    inputs = mixed_inputs(4)
    network(inputs.image_B3HW)
    heard.join(torch.zeros(2), inputs, 1.0).sum().backward()

    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in deep.parameters())


def test_a_training_with_a_target_domain_goes_on_exactly(tmp_path):
    config = tiny("best-smoke", TARGET)
    first, second = (build(config, CPU, datasets=NAMES) for _ in range(2))
    (tmp_path / "checkpoints").mkdir()
    for number in range(2):
        first.train_mode()
        step(first, mixed_inputs(seed=number), config)
        first.position.step += 1
    first.save(tmp_path / "checkpoints/last", config, resumable=True)
    resume(second, tmp_path, config)
    losses = []
    for state in (first, second):
        state.train_mode()
        losses.append(step(state, mixed_inputs(seed=2), config))

    assert torch.equal(*losses)
    for name, value in first.reversal.head.state_dict().items():
        assert torch.equal(value, second.reversal.head.state_dict()[name]), name


def test_the_log_and_the_line_of_an_epoch_have_the_loss_of_the_domains(tmp_path, capsys):
    folders = [made_set(tmp_path / name, name) for name in NAMES]
    train(job_of(tiny("best-smoke", TARGET, "loop.epochs=1"), folders, tmp_path / "run"))
    entry = json.loads((tmp_path / "run/log.jsonl").read_text())

    assert set(entry["train"]) == {"loss_2d", "loss_3d", "loss_domain", "total"}
    assert set(entry["val"]) == {"loss_2d", "loss_3d", "total", "error_2d", "error_3d"}
    assert set(entry["mix"]) == set(NAMES)
    assert f"domain {entry['train']['loss_domain']:.4f})" in capsys.readouterr().err  # the total holds it


def test_half_of_the_draws_are_of_the_target(tmp_path):
    from handdata.train.loader.sources import open_sources

    folders = [made_set(tmp_path / "rhd", "rhd", train=12), made_set(tmp_path / "stereo", "stereo", train=5)]
    mixture, held = open_sources(folders, tiny("best-smoke", TARGET))
    assert mixture.slots.shares.tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert held.names == ["rhd"]
    with pytest.raises(ConfigError, match=r"adapt\.target: expected some of rhd, stereo, got freihand"):
        open_sources(folders, tiny("best-smoke", 'adapt.target=["freihand"]'))
    with pytest.raises(ConfigError, match="Leave a dataset to learn from"):
        open_sources(folders, tiny("best-smoke", 'adapt.target=["rhd", "stereo"]'))


# ------------------------------------------------------------------------------------------------------------- a toy


def toy_batch(generator, count, *, target):
    """Return (count, 8) signals and what is wanted: one is clear and true in the source alone, seven are noisy."""
    wanted = torch.randn(count, 1, generator=generator)
    noisy, other = torch.randn(count, 7, generator=generator), torch.randn(count, 1, generator=generator)
    shortcut = other + 2.5 if target else wanted + 0.05 * other
    return torch.cat([shortcut, wanted + noisy], 1), wanted


def target_error(strength, steps=600):
    """Learn from the source's labels and the target's signals; return the mean absolute error on the target."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    deep = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
    answer, head = nn.Linear(16, 1), DomainHead(16)
    rate = 0.003
    learner = torch.optim.AdamW([*deep.parameters(), *answer.parameters()], lr=rate)
    teller = torch.optim.AdamW(head.parameters(), lr=3 * rate)
    domain = torch.arange(128) // 64
    for number in range(steps):
        (source, wanted), (target, _) = (toy_batch(generator, 64, target=which) for which in (False, True))
        features = deep(torch.cat([source, target]))
        told = head(reverse(features, strength_at(number / steps, strength)))
        loss = (answer(features[:64]) - wanted).square().mean()
        loss = loss + nn.functional.binary_cross_entropy_with_logits(told, domain.float())
        learner.zero_grad()
        teller.zero_grad()
        loss.backward()
        learner.step()
        teller.step()
    signals, wanted = toy_batch(generator, 4096, target=True)
    return (answer(deep(signals)) - wanted).abs().mean().item()


@pytest.mark.usefixtures("one_thread")
def test_a_shortcut_of_the_source_is_unlearnt():
    plain, adapted = target_error(0.0), target_error(1.0)
    assert adapted < 0.7 * plain
