"""Network and losses as one function: compiled without a break it gives the eager values, and it may fail."""

import dataclasses
from functools import partial

import pytest
import torch

from handdata.model.kinds import KINDS
from handdata.model.networks import HandNet, Ways, double
from handdata.train.config import load_config
from handdata.train.loop import measure, step
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
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # dynamo does, tracing a Function
@pytest.mark.parametrize(
    ("kind", "precision", "near", "ways"),
    [
        ("direct", "fp32", 1e-4, ("loop.indices=true", "loop.pad=true")),
        pytest.param("direct", "fp32", 1e-4, ("loop.split=true",), marks=pytest.mark.thorough),
        pytest.param("direct", "bf16", 2e-2, (), marks=pytest.mark.thorough),
        pytest.param("latent", "fp32", 1e-4, (), marks=pytest.mark.thorough),
        pytest.param("tree", "bf16", 2e-2, (), marks=pytest.mark.thorough),
    ],
)
def test_one_graph_gives_the_eager_losses_and_gradients(kind, precision, near, ways):
    config = tiny(RECIPES[kind], *SETTINGS, f"loop.precision={precision}", *ways)
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


def test_a_compiler_that_fails_in_the_backward_pass_is_done_without_too(capsys):
    """Backward is compiled when it is first used: the step must not find that out."""
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    def broken(graph, examples):
        raise RuntimeError("no such kernel")

    config = tiny("e010", "start.encoder=trained")
    state, other = build(config, CPU), build(config, CPU)
    backend = aot_autograd(fw_compiler=lambda graph, _: make_boxed_func(graph.forward), bw_compiler=broken)
    state.objective = Objective(state.network, config, "default", backend=backend)
    losses = [step(each, made_inputs(), config) for each in (state, other)]

    assert torch.equal(*losses)
    assert not state.objective.is_compiled
    assert "no such kernel" in capsys.readouterr().err
    for mine, theirs in zip(state.network.state_dict().values(), other.network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)  # statistics of batch norm were not moved twice


def test_a_compiler_that_fails_at_the_loss_after_the_warm_epochs_is_done_without_too(capsys):
    graphs = []

    def once(graph, examples):
        graphs.append(graph)
        if len(graphs) > 1:
            raise RuntimeError("no such kernel")
        return graph.forward

    config = tiny("e010", "loss.warm_epochs=1")
    state, other = build(config, CPU), build(config, CPU)
    state.objective = Objective(state.network, config, "default", backend=once)
    compiled = []
    for epoch in range(2):
        state.position.epoch = other.position.epoch = epoch
        torch.testing.assert_close(*(step(each, made_inputs(), config) for each in (state, other)))
        compiled.append(state.objective.is_compiled)

    assert compiled == [True, False]
    assert "no such kernel" in capsys.readouterr().err


def test_a_compiler_that_gives_another_loss_is_not_believed(capsys):
    def wrong(graph, examples):
        return lambda *args: tuple(part * 1.5 for part in graph(*args))

    config = tiny("e010")
    state, other = build(config, CPU), build(config, CPU)
    state.objective = Objective(state.network, config, "default", backend=wrong)
    losses = [step(each, made_inputs(), config) for each in (state, other)]

    assert torch.equal(*losses)
    assert "its losses are" in capsys.readouterr().err


def test_labels_in_tables_of_other_widths_compile_nothing_anew():
    """A batch with backgrounds has three columns more (augment._upload), so its labels have other strides."""
    compiled = []

    def counting(graph, examples):
        compiled.append(graph)
        return graph.forward

    config = tiny("e010")
    state = build(config, CPU)
    state.objective = Objective(state.network, config, "default", backend=counting)
    for width in (100, 103):
        inputs = made_inputs()
        table = torch.zeros(4, width)
        table[:, :42] = inputs.uv_BK2.flatten(1)
        step(state, dataclasses.replace(inputs, uv_BK2=table[:, :42].unflatten(1, (21, 2))), config)

    assert len(compiled) == 1


def test_validation_between_steps_compiles_nothing_anew():
    compiled = []

    def counting(graph, examples):
        compiled.append(graph)
        return graph.forward

    config = tiny("best", "model.size=64", "loop.precision=fp32")
    state = build(config, CPU)
    state.objective = Objective(state.network, config, "default", backend=counting)
    for _ in range(2):
        state.train_mode()
        step(state, made_inputs(4, 64), config)
        state.network.eval()
        with torch.no_grad():
            measure(state, made_inputs(4, 64), config)

    assert len(compiled) == 1


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


@pytest.mark.parametrize(
    "ways", [Ways(split=True), Ways(pad=True), Ways(indices=True)], ids=["split", "pad", "indices"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_other_ways_are_the_same_function_of_the_same_parameters(kind, ways):
    torch.manual_seed(0)
    joint = HandNet(kind, size=64, width=0.25).train()
    other = HandNet(kind, size=64, width=0.25, ways=ways).train()
    other.load_state_dict(joint.state_dict())
    x = torch.randn(2, 3, 64, 64)
    slopes = []
    for network in (joint, other):
        prediction = network(x)
        (prediction.maps_BKHW.sum() + prediction.xyz_BK3.square().sum()).backward()
        slopes.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
        network.prediction = prediction

    torch.testing.assert_close(other.prediction.maps_BKHW, joint.prediction.maps_BKHW, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(other.prediction.xyz_BK3, joint.prediction.xyz_BK3, atol=1e-5, rtol=1e-5)
    assert torch.linalg.vector_norm(slopes[1] - slopes[0]) < 1e-4 * torch.linalg.vector_norm(slopes[0])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # dynamo does, tracing a Function
@pytest.mark.parametrize("indices", [False, True], ids=["slices", "indices"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels"])
def test_compiled_doubling_is_the_librarys_with_its_gradient_and_layout(layout, indices):
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    expected = double(x)  # not compiled: the library's own
    weight = torch.randn_like(expected)
    (slope,) = torch.autograd.grad((expected * weight).sum(), x)
    doubled = torch.compile(partial(double, indices=indices), backend="aot_eager", fullgraph=True)(x)
    (found,) = torch.autograd.grad((doubled * weight).sum(), x)

    torch.testing.assert_close(doubled, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, slope, rtol=1e-12, atol=1e-12)
    assert doubled.is_contiguous(memory_format=layout)


def test_the_tree_keeps_float32_coordinates_under_autocast():
    """1 + 2^-10 has no place in bfloat16, whose step there is 2^-7."""
    from handdata.model.networks import bones_to_keypoints

    bones = torch.full((1, 20, 3), 1.0 + 2**-10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        xyz = bones_to_keypoints(bones)

    assert xyz.dtype == torch.float32
    assert torch.equal(xyz, bones_to_keypoints(bones))
    assert float(xyz[0, 10, 0]) == 1.0 + 2**-10
