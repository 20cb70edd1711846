"""Families: the seam holds with a new one, and each trains, resumes, is scored, applied and exported by name."""

import json

import numpy as np
import pytest
import torch

from handdata.errors import ConfigError
from handdata.evaluation.predictions import read_predictions
from handdata.model.checkpoint import read
from handdata.model.config import LossConfig, ModelConfig
from handdata.model.families import FAMILIES, family_of
from handdata.model.kinds import KINDS
from handdata.model.networks import PLAIN
from handdata.model.onnx import Portable, write_onnx
from handdata.train.config import load_config
from handdata.train.evaluate import Selection, evaluate_run
from handdata.train.loop import step, train
from handdata.train.runs import list_runs
from handdata.train.state import build
from tests.train.made_training import TINY, job_of, made_inputs, made_set

CPU = torch.device("cpu")
OWN = sorted(set(FAMILIES) - set(KINDS))  # with a smoke recipe of their own name
PARAMETERS = {"direct": 31_223_903, "latent": 31_223_903, "tree": 31_223_300, "compact": 3_923_302}
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
    assert exported.names() == ["keypoints_2d", "keypoints_3d"]


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


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.usefixtures("one_thread")
def test_one_batch_is_learnt(kind):
    config = load_config(f"{kind}-smoke", ["optim.lr=0.002", "optim.ema_decay=0.0", "optim.schedule=constant"])
    state = build(config, CPU)
    state.train_mode()
    inputs = made_inputs(4, 64)
    losses = [step(state, inputs, config).tolist() for _ in range(60)]
    total = len(state.family.names)

    assert losses[-1][total] < 0.5 * losses[0][total]


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
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
