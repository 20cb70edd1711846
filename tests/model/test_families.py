"""Families: the seam holds with a new one, and each trains, resumes, is scored, applied and exported by name."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import ConfigError
from handdata.evaluation.absolute import LENGTHS, PAIRS
from handdata.evaluation.predictions import read_predictions
from handdata.geometry import rotation_from_vector
from handdata.model.checkpoint import Trained, read
from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families import FAMILIES, bones, family_of, feedback, simcc
from handdata.model.families.lifting import nearest_rotation, rotation_of_vectors, view_of
from handdata.model.families.projection import project
from handdata.model.families.projection import render as project_render
from handdata.model.families.two_and_half import depth_of, pose_of
from handdata.model.families.volume import difference, expectation_3d, profiles_3d
from handdata.model.kinds import KINDS
from handdata.model.networks import PLAIN, Prediction
from handdata.model.onnx import Portable, write_onnx
from handdata.model.read_out import read_out
from handdata.report.models import models_table
from handdata.report.runs import read_run
from handdata.skeleton import BONES
from handdata.train.config import load_config, recipe_names
from handdata.train.evaluate import evaluate_run
from handdata.train.loop import step, train
from handdata.train.runs import list_runs
from handdata.train.selection import Selection
from handdata.train.state import build
from tests.train.made_training import TINY, job_of, made_inputs, made_set

CPU = torch.device("cpu")
LONG = ("feedback", "volume")  # a step takes several times as long as another family's
THOROUGH = pytest.mark.thorough
OWN = sorted(set(FAMILIES) - set(KINDS))  # with a smoke recipe of their own name
PARAMETERS = {
    "direct": 31_223_903,
    "latent": 31_223_903,
    "tree": 31_223_300,
    "two_and_half": 24_552_896,
    "lifting": 27_638_173,
    "projection": 21_773_670,
    "volume": 26_467_993,
    "feedback": 21_495_233,
    "bones": 31_223_300,
    "compact": 3_923_302,  # without the lift
    "simcc": 4_054_886,  # two layers of 256 to 256 more
}
SLOW_STEPS = {"volume": 40, "feedback": 40}  # half a second a step
RECIPE = """about = "A toy"
[model]
kind = "toy"
[loss.weights]
size = 0.5
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """One module, one line of the registry, one recipe."""
    monkeypatch.setitem(FAMILIES, "toy", "tests.model.toy_family")
    (tmp_path / "toy.toml").write_text(RECIPE)
    return load_config(str(tmp_path / "toy.toml"), TINY)


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_new_family_is_trained_resumed_scored_listed_and_exported(toy, tmp_path):
    folder, run = made_set(tmp_path / "rhd", "rhd"), tmp_path / "runs/toy"
    train(job_of(load_config(str(tmp_path / "toy.toml"), [*TINY, "loop.epochs=1"]), [folder], run))
    train(job_of(toy, [folder], run, resume=True))
    _, results = evaluate_run(run, Selection(folders=[folder], split="val"), device="cpu")
    exported = Portable(family_of("toy").make(ModelConfig(kind="toy"), PLAIN), ModelConfig(kind="toy"))

    entries = log_of(run)
    assert [set(entry["train"]) for entry in entries] == [{"total", "place", "size"}] * 2
    assert [entry["train"]["size"] for entry in entries] == [None, None]  # no hand is shown as a right one
    assert all(entry["train"]["total"] == pytest.approx(2 * entry["train"]["place"]) for entry in entries)
    assert results.readout == "given"
    assert list(read_predictions(run / "predictions.h5").keypoints_2d) == ["given"]
    assert [row["model"] for row in list_runs(tmp_path / "runs")] == ["toy"]
    assert exported.names() == ["keypoints_2d", "keypoints_3d", "confidence"]
    (row,) = models_table([read_run(run)]).rows
    assert (row[0], row[1], row[-1]) == ("toy", "toy", "place, size")


def test_every_family_stands_in_the_help_of_train_and_has_a_recipe():
    said = " ".join(CliRunner().invoke(group, ["train", "--help"]).stdout.split())
    assert all(kind in said for kind in FAMILIES)
    assert {f"{kind}{size}" for kind in OWN for size in ("", "-smoke")} <= set(recipe_names())


def test_a_recipe_weighs_the_terms_of_its_family(toy):
    assert build(toy, CPU).weights == (2.0, 0.5)
    with pytest.raises(ConfigError, match=r"loss\.weights: expected terms of this family: place, size, got 'shape'"):
        family_of("toy").weights(LossConfig(weights={"shape": 1.0}))
    assert tuple(family_of("direct").weights(LossConfig(weight_2d=3.0)).values()) == (3.0, 1.0)


def test_an_unknown_family_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"model\.kind.*Did you mean compact\?"):
        load_config("e010", ["model.kind=compac"])


@pytest.mark.parametrize("kind", FAMILIES)
def test_networks_have_their_parameters_and_the_seam_its_shapes(kind):
    family, model = family_of(kind), ModelConfig(kind=kind)
    network = family.make(model, PLAIN).eval()
    with torch.no_grad():
        prediction = network(torch.randn(2, 3, 128, 128))
    reading = family.read(prediction, model, family.read_outs(model)[0])

    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[kind]
    assert (reading.uv_BK2.shape, reading.xyz_BK3.shape) == ((2, 21, 2), (2, 21, 3))
    assert reading.confidence_BK.shape == (2, 21)
    assert ((reading.confidence_BK >= 0) & (reading.confidence_BK <= 1 + 1e-6)).all()
    assert all(values.shape[0] == 2 for values in prediction)


@pytest.mark.parametrize("kind", OWN)
def test_absent_keypoints_change_neither_loss_nor_gradient(kind):
    family, model = family_of(kind), ModelConfig(kind=kind, size=64, width=0.25)
    inputs = made_inputs(4, 64, present_2d=0.5, present_3d=0.5)
    labels = inputs.labels
    other = labels._replace(
        uv_BK2=torch.where(labels.present_2d_BK[..., None], labels.uv_BK2, torch.nan),
        xyz_BK3=torch.where(labels.present_3d_BK[..., None], labels.xyz_BK3, torch.nan),
    )
    torch.manual_seed(0)
    network = family.make(model, PLAIN)
    found = []
    for each in (labels, other):
        network.zero_grad()
        sums = family.sums(network(inputs.image_B3HW), each, LossConfig())
        sum(ratio.total for ratio in sums).backward()
        slopes = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        found.append((torch.stack([ratio.total.detach() for ratio in sums]), slopes))

    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["compact", "simcc"])
def test_a_hand_of_unknown_side_teaches_no_side(kind):
    family, model = family_of(kind), ModelConfig(kind=kind, size=64, width=0.25)
    inputs = made_inputs(4, 64)
    unknown = inputs.labels._replace(side_known_B=torch.tensor([True, False, False, True]))
    prediction = family.make(model, PLAIN)(inputs.image_B3HW)

    whole, part = (family.sums(prediction, labels, LossConfig()) for labels in (inputs.labels, unknown))

    side = family.names.index("loss_side")
    assert [float(sums[side].number) for sums in (whole, part)] == [4, 2]
    assert all(torch.equal(a.total, b.total) for n, (a, b) in enumerate(zip(whole, part, strict=True)) if n != side)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=THOROUGH if kind in LONG else ()) for kind in OWN])
@pytest.mark.usefixtures("one_thread")
def test_one_batch_is_learnt(kind):
    config = load_config(f"{kind}-smoke", ["optim.lr=0.002", "optim.ema_decay=0.0", "optim.schedule=constant"])
    state = build(config, CPU)
    state.train_mode()
    inputs = made_inputs(4, 64)
    losses = [step(state, inputs, config).tolist() for _ in range(SLOW_STEPS.get(kind, 80))]
    total = len(state.family.names)

    assert losses[-1][total] < 0.7 * losses[0][total]


@pytest.mark.parametrize("kind", OWN)
def test_a_family_trains_at_smoke_size_resumes_exactly_and_is_applied(kind, tmp_path):
    folder = made_set(tmp_path / "rhd", "rhd")
    settings = ("loop.batches=3", "data.loader_threads=0", "loop.val_batches=1")
    whole, half = (load_config(f"{kind}-smoke", [*settings, f"loop.epochs={n}"]) for n in (2, 1))
    for run, configs in ((tmp_path / "one", [whole]), (tmp_path / "two", [half, whole])):
        for number, config in enumerate(configs):
            train(job_of(config, [folder], run, resume=number > 0))

    first, second = (read(tmp_path / name / "checkpoints/last").weights for name in ("one", "two"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    evaluate_run(tmp_path / "one", Selection(folders=[folder], split="val"), device="cpu")
    predictions = read_predictions(tmp_path / "one/predictions.h5")
    assert all(np.isfinite(points).all() for points in predictions.keypoints_2d.values())


NO_ONNX = {"lifting"}  # no singular values in ONNX


@pytest.mark.thorough
def test_a_family_that_onnx_has_no_operations_for_is_told(tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    model = ModelConfig(kind="lifting", size=64, width=0.25)
    weights = family_of("lifting").make(model, PLAIN).state_dict()
    with pytest.raises(
        ConfigError,
        match=r"operations ONNX has, got lifting, which needs linalg_svd\. Train it with --set model\.rotation=",
    ):
        write_onnx(tmp_path / "x.onnx", Trained(path=tmp_path, model=model, weights=weights))


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "compact" else THOROUGH) for kind in OWN if kind not in NO_ONNX]
)
def test_a_family_is_exported(kind, tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    folder = made_set(tmp_path / "rhd", "rhd")
    train(job_of(load_config(f"{kind}-smoke", ["loop.epochs=1", "data.loader_threads=0"]), [folder], tmp_path / "run"))
    trained = read(tmp_path / "run")
    path = write_onnx(tmp_path / "x.onnx", trained)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    network = family_of(kind).make(trained.model, PLAIN)
    network.load_state_dict(trained.weights)
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    with torch.no_grad():
        expected = Portable(network.eval(), trained.model)(torch.from_numpy(image))
    for one, other in zip(session.run(None, {"image": image}), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


# ------------------------------------------------------------------------------------------------ one by one


def test_two_and_half_reads_depth_where_its_map_is():
    logits = torch.randn(2, 21, 8, 8, requires_grad=True)
    depths = torch.randn(2, 21, 8, 8, requires_grad=True)
    maps = logits.flatten(2).softmax(-1).view_as(logits)
    z = depth_of(maps, depths)
    z[:, 3].sum().backward()

    torch.testing.assert_close(maps.sum((-2, -1)), torch.ones(2, 21))
    assert (z[:, 9] == 0).all()
    torch.testing.assert_close(depth_of(maps, torch.full((2, 21, 8, 8), 7.0)), torch.zeros(2, 21), rtol=0, atol=1e-5)
    assert logits.grad[:, 3].abs().max() > 0
    assert depths.grad[:, 3].abs().max() > 0


def test_two_and_half_gives_the_pose_whose_palm_has_its_lengths():
    torch.manual_seed(0)
    pose = torch.randn(5, 21, 3, dtype=torch.float64)
    first, second = (list(ends) for ends in zip(*PAIRS, strict=True))
    length = (pose[:, first] - pose[:, second]).square().sum((-1, -2)).sqrt()
    pose = (pose - pose[:, 9:10]) * (float((LENGTHS**2).sum()) ** 0.5 / length)[:, None, None]
    found = pose_of(0.4 + 0.13 * pose[..., :2], pose[..., 2])

    torch.testing.assert_close(found, pose, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["mse", "bone_pairs"])
def test_bones_do_not_feel_a_shift_and_see_each_joint_apart(kind):
    labels = made_inputs(2, 32).labels
    maps = torch.rand(2, 21, 32, 32)

    def loss(xyz):
        ratio = bones.sums(Prediction(maps, xyz), labels, LossConfig(loss_3d=kind))[1]
        return float(ratio.total / ratio.number)

    moved = labels.xyz_BK3.clone()
    moved[:, [6, 7, 8]] += 0.3 * bones.SPREAD[5]  # the index finger from its first joint on: one bone is wrong
    assert loss(labels.xyz_BK3 + 5.0) == pytest.approx(0, abs=1e-5)
    if kind == "mse":
        assert loss(moved) == pytest.approx(0.3 / 20, rel=1e-4)


def test_bones_answer_in_their_spreads():
    network = family_of("bones").make(ModelConfig(kind="bones", size=32, width=0.125), PLAIN)
    with torch.no_grad():
        network.decoder.linear2.weight.zero_()
        network.decoder.linear2.bias.fill_(1.0)
        xyz = network.eval()(torch.randn(1, 3, 32, 32)).xyz_BK3

    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    torch.testing.assert_close((xyz[:, ends] - xyz[:, starts])[0], torch.tensor(bones.SPREAD)[:, None].expand(20, 3))


def test_lifting_has_frames_that_are_rotations_and_go_back():
    torch.manual_seed(0)
    pose = torch.randn(16, 21, 3, dtype=torch.float64)
    pose = pose - pose[:, 9:10]
    view, good = view_of(pose)
    canonical = pose @ view.transpose(1, 2)

    torch.testing.assert_close(view @ view.transpose(1, 2), torch.eye(3).double().expand(16, 3, 3), rtol=0, atol=1e-9)
    torch.testing.assert_close(torch.linalg.det(view), torch.ones(16).double())
    torch.testing.assert_close(canonical @ view, pose, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        canonical[good][:, 0, [0, 2]], torch.zeros(int(good.sum()), 2).double(), atol=1e-9, rtol=0
    )
    turned = pose @ torch.tensor(rotation_from_vector(np.array([0.3, -1.2, 0.7])))
    torch.testing.assert_close(turned @ view_of(turned)[0].transpose(1, 2), canonical, rtol=0, atol=1e-9)


def test_lifting_answers_with_the_nearest_rotation_and_a_gradient():
    torch.manual_seed(0)
    matrix = torch.randn(8, 3, 3, requires_grad=True)
    rotation = nearest_rotation(matrix)
    rotation[:, 0, 1].sum().backward()

    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(8, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(8))
    assert matrix.grad.isfinite().all()


def test_lifting_answers_with_the_rotation_of_two_vectors_if_asked():
    torch.manual_seed(0)
    vectors = torch.randn(8, 2, 3, requires_grad=True)
    rotation = rotation_of_vectors(vectors)
    rotation[:, 0, 1].sum().backward()

    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(8, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(8))
    torch.testing.assert_close(rotation_of_vectors(rotation[:, [1, 0]]), rotation, rtol=0, atol=1e-6)
    assert vectors.grad.isfinite().all()


@pytest.mark.parametrize("rotation", ["svd", "6d"])
def test_the_view_of_lifting_begins_near_the_identity_and_learns(rotation):
    torch.manual_seed(0)
    network = family_of("lifting").make(ModelConfig(kind="lifting", size=64, width=0.25, rotation=rotation), PLAIN)
    view = network(torch.randn(2, 3, 64, 64)).view_B33
    (view - torch.eye(3).roll(1, 0)).square().sum().backward()

    torch.testing.assert_close(view.detach(), torch.eye(3).expand(2, 3, 3), rtol=0, atol=0.2)
    assert network.view[-1].bias.grad.abs().min() > 0


def test_simcc_reads_places_from_distributions_that_cost_nothing():
    """Made distributions about known places: exact to the middle of a bin, a quarter of a pixel, or better."""
    torch.manual_seed(0)
    uv = 0.1 + 0.8 * torch.rand(3, 21, 2)
    logs = [
        (-0.5 * ((simcc.places(256) - place[..., None]) / simcc.SIGMA) ** 2).log_softmax(-1) for place in uv.unbind(-1)
    ]
    prediction = simcc.SimccPrediction(*logs, torch.zeros(3, 21, 3), torch.zeros(3, 2))
    read = [family_of("simcc").read(prediction, ModelConfig(kind="simcc"), rule) for rule in simcc.READ_OUTS]

    assert (read[0].uv_BK2 - uv).abs().max() <= 0.25 / 128 + 1e-6
    torch.testing.assert_close(read[1].uv_BK2, uv, rtol=0, atol=1e-5)
    assert read[0].confidence_BK.min() > 0.99
    for log, place in zip(logs, uv.unbind(-1), strict=True):
        torch.testing.assert_close(simcc.divergence(log, place), torch.zeros(3, 21), rtol=0, atol=1e-5)
        assert simcc.divergence(log, place + 0.02).min() > 0.1


def test_projection_draws_maps_where_it_projects_and_passes_gradients_back():
    uv = 0.2 + 0.6 * torch.rand(3, 21, 2)
    maps = project_render(uv, 32)
    peak = torch.stack([maps.amax(2).argmax(-1), maps.amax(3).argmax(-1)], -1) / 32

    torch.testing.assert_close(read_out(maps, "expectation"), uv, rtol=0, atol=0.01 / 32)
    assert ((peak - uv).abs() <= 0.5 / 32 + 1e-6).all()
    xyz, scale, shift = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 21, 3), (2,), (2, 2))
    )
    assert torch.autograd.gradcheck(project, (xyz, scale, shift))
    assert torch.autograd.gradcheck(
        lambda where: project_render(where, 8).sum((2, 3)), (uv.double()[:1].requires_grad_(),), atol=1e-3
    )
    start = project(torch.tensor([[[1.0, -1.0, 0.0]]]), torch.zeros(1), torch.zeros(1, 2))
    torch.testing.assert_close(start, torch.tensor([[[1.0, 0.0]]]))


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_volume_is_compared_with_a_product_that_is_never_written(depth):
    torch.manual_seed(0)
    volume = torch.rand(2, 21, depth, 16, 16)
    uv, z = torch.rand(2, 21, 2), torch.rand(2, 21) * 2 - 1
    px, py, pz = profiles_3d(uv, z, depth, 16)
    whole = pz[..., :, None, None] * py[..., None, :, None] * px[..., None, None, :]
    expected = (volume - whole).square().sum((2, 3, 4)) / whole.square().sum((2, 3, 4)).clamp(min=1)

    torch.testing.assert_close(difference(volume, px, py, pz), expected, rtol=1e-4, atol=1e-4)


def test_volume_reads_its_own_gaussians():
    uv, z = 0.3 + 0.4 * torch.rand(2, 21, 2), torch.rand(2, 21) * 2 - 1
    px, py, pz = profiles_3d(uv, z, 32, 32)
    whole = pz[..., :, None, None] * py[..., None, :, None] * px[..., None, None, :]
    found, deep = expectation_3d(whole / whole.sum((2, 3, 4), keepdim=True))

    torch.testing.assert_close(found, uv, rtol=0, atol=0.02 / 32)
    torch.testing.assert_close(deep, z - z[:, 9:10], rtol=0, atol=0.03 * 4 / 32)


def test_feedback_steps_are_bounded_and_its_targets_lead_to_the_truth():
    step_ = torch.randn(4, 21, 5) * torch.logspace(-3, 1, 4)[:, None, None]
    short = feedback.bounded(step_)
    assert (torch.linalg.vector_norm(short[..., :2], dim=-1) <= feedback.LONGEST_2D + 1e-6).all()
    assert (torch.linalg.vector_norm(short[..., 2:], dim=-1) <= feedback.LONGEST_3D + 1e-6).all()
    torch.testing.assert_close(short[0], step_[0])

    true, answer, errors = torch.rand(1, 21, 5), torch.full((1, 21, 5), 0.5), []
    for _ in range(feedback.STEPS + 1):
        errors.append(float((true - answer).norm()))
        answer = answer + feedback.bounded(true - answer)
    assert all(after < before for before, after in pairwise(errors))


def test_feedback_has_no_loss_where_every_step_is_the_perfect_one():
    labels = made_inputs(2, 32).labels
    true = torch.cat((labels.uv_BK2, labels.xyz_BK3), -1)
    answers = [torch.full_like(true, 0.4)]
    for _ in range(feedback.STEPS):
        answers.append(answers[-1] + feedback.bounded(true - answers[-1]))
    steps = torch.stack(answers, 1)
    sums = feedback.sums(feedback.Steps(steps[..., :2], steps[..., 2:]), labels, LossConfig())

    assert all(float(ratio.total) == pytest.approx(0, abs=1e-8) for ratio in sums)
