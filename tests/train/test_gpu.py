"""What only a CUDA device can show: the same losses as on a CPU, the compiled modes, resume."""

import dataclasses
import json

import pytest
import torch

from handdata.train import checkpoint
from handdata.train.augment.views import make_views
from handdata.train.loader.loaders import Loader, open_mixture
from handdata.train.loop import Job, step, train
from handdata.train.objective import Objective
from handdata.train.precision import set_up_device
from handdata.train.state import build
from tests.train.made_training import made_inputs, made_set, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # PyTorch warns of what could be quicker: an inductor that meets a float32 product without TF32 would not compile
    pytest.mark.filterwarnings("default"),
]
CUDA = torch.device("cuda", 0)
SIZE = ("model.size=64", "model.width=0.25", "start.encoder=trained", "loop.channels_last=true")
RECIPES = {"direct": "e010", "latent": "e012", "tree": "e013"}


def on(inputs, device):
    values = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    return type(inputs)(**{name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in values.items()})


# two steps: rounding grows from step to step, tenfold in six (measured between two orders of summing on a CPU)
def losses_of(config, device, *, mode="off", steps=2):
    set_up_device(config.loop, device)
    state = build(config, device)
    state.objective = Objective(state.network, config, mode)
    state.train_mode()
    found = []
    for number in range(steps):
        inputs = on(made_inputs(4, config.model.size, present_2d=0.8, present_3d=0.8, seed=number % 2), device)
        found.append(step(state, inputs, config)[:3].cpu())
    assert state.objective.is_compiled == (mode != "off")
    return torch.stack(found)


@pytest.mark.parametrize("recipe", RECIPES.values())
def test_float32_losses_are_those_of_a_cpu(recipe):
    config = tiny(recipe, *SIZE, "optim.lr=0.0005")

    torch.testing.assert_close(losses_of(config, CUDA), losses_of(config, torch.device("cpu")), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_with_clipping_and_average_stays_near(precision, optimizer):
    settings = (*SIZE, "optim.lr=0.0005", "optim.clip_norm=1.0", "optim.ema_decay=0.9", f"optim.kind={optimizer}")
    low = losses_of(tiny("e010", *settings, f"loop.precision={precision}"), CUDA)

    torch.testing.assert_close(low, losses_of(tiny("e010", *settings), CUDA), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("kind", RECIPES)
def test_compiled_steps_are_the_eager_ones(kind, mode):
    config = tiny(RECIPES[kind], *SIZE, "optim.lr=0.0005")

    torch.testing.assert_close(losses_of(config, CUDA, mode=mode), losses_of(config, CUDA), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("ways", [("indices", "pad"), ("split",)], ids="+".join)
def test_other_ways_to_compute_compiled_are_the_eager_steps(ways, mode):
    plain = (*SIZE, "optim.lr=0.0005")
    config = tiny("e010", *plain, *(f"loop.{way}=true" for way in ways))

    torch.testing.assert_close(
        losses_of(config, CUDA, mode=mode), losses_of(tiny("e010", *plain), CUDA), rtol=5e-3, atol=5e-3
    )


def test_uploaded_and_cached_batches_are_those_of_a_cpu(tmp_path):
    mixture = open_mixture([made_set(tmp_path / "synthhands", "synthhands", foreground=True)], "train")

    def batches(device, cache):
        with Loader(mixture, 4, device=device, cache=cache) as loader:
            return [(batch.canvases.cpu(), batch.foreground.cpu()) for batch in loader.epoch(0, batches=8)]

    expected = batches(torch.device("cpu"), "none")
    for cache in ("none", "device"):
        for found, right in zip(batches(CUDA, cache), expected, strict=True):
            assert all(map(torch.equal, found, right))


def test_augmented_inputs_are_those_of_a_cpu(tmp_path):
    config = tiny("best", "model.size=32")
    mixture = open_mixture([made_set(tmp_path / "synthhands", "synthhands", foreground=True)], "train")
    made = []
    for device in (torch.device("cpu"), CUDA):
        with Loader(mixture, 8, device=device) as loader:
            batch = next(loader.epoch(0, batches=1))
        made.append(make_views(config, mixture, device, train=True).inputs(batch))
    here, there = made

    torch.testing.assert_close(there.uv_BK2.cpu(), here.uv_BK2)
    torch.testing.assert_close(there.xyz_BK3.cpu(), here.xyz_BK3)
    off = (there.image_B3HW.cpu() - here.image_B3HW).abs()
    assert off.median() < 1e-3
    assert off.mean() < 0.02  # a mask's nearest pixel may fall to either side


def test_training_resumes_with_fused_moments_in_place(tmp_path):
    """The whole loop on the device; the second half starts from what the first half stored."""
    folder = made_set(tmp_path / "synthhands", "synthhands", foreground=True)
    settings = ("loop.precision=bf16", "loop.epochs=2", "data.loader_threads=2", "model.size=32")

    def job(run, epochs, *, resume=False):
        config = tiny("best", *settings, f"loop.epochs={epochs}")
        return Job(config=config, folders=[folder], run=tmp_path / run, device="cuda", resume=resume)

    train(job("whole", 2))
    config = tiny("best", *settings)
    state = build(config, CUDA)
    checkpoint.restore(tmp_path / "whole/checkpoints/last", state.network, state.optimizer)
    for parameter, held in state.optimizer.state.items():
        assert held["exp_avg"].stride() == parameter.stride()
        assert held["step"].device == parameter.device
    log = (tmp_path / "whole/log.jsonl").read_text().splitlines()
    assert all(torch.isfinite(torch.tensor(json.loads(line)["train"]["total"])) for line in log)
    assert train(job("whole", 3, resume=True))
