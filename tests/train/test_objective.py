"""Network and losses as one function: compiled without a break it gives the eager values, and it may fail."""

import pytest
import torch

from handdata.train.config import load_config
from handdata.train.loop import step
from handdata.train.models import KINDS, HandNet
from handdata.train.objective import AUTO_STEPS, Objective, choose_mode
from handdata.train.state import build
from tests.train.made_training import made_inputs, tiny

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
RECIPES = {"direct": "e010", "latent": "e012", "tree": "e013"}
SETTINGS = ("model.size=64", "start.encoder=trained", "loop.channels_last=true")


def sums_and_gradient(objective, network, inputs):
    network.zero_grad()
    sums = objective(inputs, 0)
    (sums[0] / sums[2] + sums[1] / sums[3]).backward()
    return sums.detach(), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


# aot_eager traces forward and backward as every compiler sees them and runs them without one. bfloat16 rounds at other
# places: the doubled maps come from four products instead of one kernel.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "precision", "near", "split"),
    [
        ("direct", "fp32", 1e-4, "true"),
        ("direct", "bf16", 2e-2, "false"),
        ("latent", "fp32", 1e-4, "false"),
        ("tree", "bf16", 2e-2, "false"),
    ],
)
def test_one_graph_gives_the_eager_losses_and_gradients(kind, precision, near, split):
    config = tiny(RECIPES[kind], *SETTINGS, f"loop.precision={precision}", f"loop.split={split}")
    state = build(config, CPU)
    state.train_mode()
    inputs = made_inputs(4, 64, present_2d=0.8, present_3d=0.8)
    compiled = Objective(state.network, config, "default", backend="aot_eager")  # fullgraph: a break is an error
    expected, slope = sums_and_gradient(state.objective, state.network, inputs)
    found, compiled_slope = sums_and_gradient(compiled, state.network, inputs)

    assert compiled.is_compiled
    torch.testing.assert_close(found, expected, rtol=near, atol=near)
    assert torch.linalg.vector_norm(compiled_slope - slope) < 2 * near * torch.linalg.vector_norm(slope)


def test_a_compiler_that_does_not_work_is_said_and_done_without(capsys):
    def broken(graph, examples):
        raise RuntimeError("no C compiler found\nlong story")

    config = tiny("e010")
    state, other = build(config, CPU), build(config, CPU)
    state.objective = Objective(state.network, config, "default", backend=broken)
    losses = [step(each, made_inputs(), config) for each in (state, other)]

    assert torch.equal(*losses)
    assert not state.objective.is_compiled
    said = capsys.readouterr().err
    assert "goes on without it" in said
    assert "no C compiler found" in said
    assert "long story" not in said


@pytest.mark.parametrize(
    ("wanted", "batch", "steps", "device", "processes", "mode"),
    [
        ("auto", 256, AUTO_STEPS, CUDA, 1, "default"),
        ("auto", 64, AUTO_STEPS, CUDA, 1, "reduce-overhead"),  # launches cost more than kernels
        ("auto", 256, AUTO_STEPS - 1, CUDA, 1, "off"),  # too short to pay for compiling
        ("auto", 256, AUTO_STEPS, CPU, 1, "off"),
        ("reduce-overhead", 256, 1, CPU, 1, "reduce-overhead"),  # asked for by name
        ("default", 256, AUTO_STEPS, CUDA, 2, "off"),  # batch norm's sums over processes break the graph
        ("off", 256, AUTO_STEPS, CUDA, 1, "off"),
    ],
)
def test_what_is_compiled(wanted, batch, steps, device, processes, mode):
    settings = (f"loop.compile={wanted}", f"data.batch={batch}", f"loop.epochs={steps}", "loop.batches=1")
    config = load_config("e010", settings)

    assert choose_mode(config, device, processes) == mode


def test_best_is_compiled_on_a_gpu_and_the_short_recipes_are_not():
    modes = {name: choose_mode(load_config(name), CUDA, 1) for name in ("best", "best-smoke", "demo", "e010")}

    assert modes == {"best": "default", "best-smoke": "off", "demo": "off", "e010": "off"}


@pytest.mark.parametrize("kind", KINDS)
def test_split_convolutions_are_the_same_function_of_the_same_parameters(kind):
    torch.manual_seed(0)
    joint = HandNet(kind, size=64, width=0.25).train()
    split = HandNet(kind, size=64, width=0.25, split=True).train()
    split.load_state_dict(joint.state_dict())
    x = torch.randn(2, 3, 64, 64)
    slopes = []
    for network in (joint, split):
        prediction = network(x)
        (prediction.maps_BKHW.sum() + prediction.xyz_BK3.square().sum()).backward()
        slopes.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
        network.prediction = prediction

    torch.testing.assert_close(split.prediction.maps_BKHW, joint.prediction.maps_BKHW, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(split.prediction.xyz_BK3, joint.prediction.xyz_BK3, atol=1e-5, rtol=1e-5)
    assert torch.linalg.vector_norm(slopes[1] - slopes[0]) < 1e-4 * torch.linalg.vector_norm(slopes[0])


def test_the_tree_keeps_float32_coordinates_under_autocast():
    """1 + 2^-10 has no place in bfloat16, whose step there is 2^-7."""
    from handdata.train.models import bones_to_keypoints

    bones = torch.full((1, 20, 3), 1.0 + 2**-10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        xyz = bones_to_keypoints(bones)

    assert xyz.dtype == torch.float32
    assert torch.equal(xyz, bones_to_keypoints(bones))
    assert float(xyz[0, 10, 0]) == 1.0 + 2**-10
