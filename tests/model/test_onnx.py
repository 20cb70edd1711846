"""ONNX: what another runtime answers is what PyTorch answers, from the same bytes; the file says what it holds."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import ConfigError
from handdata.model.families import family_of
from handdata.model.networks import PLAIN
from handdata.model.onnx import Portable, write_onnx
from handdata.model.read_out import READ_OUT_OF
from handdata.skeleton import KEYPOINTS
from handdata.train import checkpoint
from tests.train.made_training import tiny


def make_network(model):
    return family_of(model.kind).make(model, PLAIN)


def made_checkpoint(recipe):
    config = tiny(recipe)
    torch.manual_seed(0)
    network = make_network(config.model)
    with torch.no_grad():
        for name, value in network.named_buffers():  # statistics that do something
            if "running" in name:
                value.uniform_(0.5, 1.5)
    position = checkpoint.Position(epoch=7)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return checkpoint.Checkpoint(path=Path("made"), config=config, position=position, weights=weights, average=None)


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        pytest.param("e010", "direct", marks=pytest.mark.slow),
        pytest.param("e012", "latent", marks=pytest.mark.thorough),
        pytest.param("e013", "tree", marks=pytest.mark.thorough),
    ],
)
def test_another_runtime_gives_the_same_keypoints_for_any_batch(recipe, kind, tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    saved = made_checkpoint(recipe)
    session = runtime.InferenceSession(
        write_onnx(tmp_path / "x.onnx", saved.trained), providers=["CPUExecutionProvider"]
    )
    network = make_network(saved.config.model)
    network.load_state_dict(saved.weights)
    here = Portable(network, saved.config.model).eval()

    for batch in (1, 3):
        image = np.random.default_rng(batch).integers(0, 256, (batch, 32, 32, 3), np.uint8)
        found = dict(
            zip(("keypoints_2d", "keypoints_3d", "heatmaps"), session.run(None, {"image": image}), strict=True)
        )
        with torch.no_grad():
            expected = here(torch.from_numpy(image))
        for name, value in zip(found, expected, strict=True):
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["model"], facts["read_out"], facts["epoch"]) == (kind, READ_OUT_OF[kind], "7")
    assert json.loads(facts["keypoint_names"]) == list(KEYPOINTS)
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_bytes_are_normalised_as_in_training():
    """White is (1 - mean) / std of docs/method.md 3.5 in every channel: 2.2489, 2.4286, 2.6400."""
    saved = made_checkpoint("e010")
    seen = []
    network = make_network(saved.config.model).eval()
    network.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    Portable(network, saved.config.model)(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8))

    np.testing.assert_allclose(seen[0][0, :, 0, 0], [2.2489, 2.4286, 2.6400], atol=1e-4)


def test_without_the_extra_it_is_one_line_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"handdata\[onnx\]") as refusal:
        write_onnx(tmp_path / "x.onnx", made_checkpoint("e010").trained)

    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_command_wants_pictures_or_a_file(tmp_path):
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), "predict", "small"])

    assert result.exit_code == 2
    assert "give pictures or a video, or --onnx FILE" in result.output


@pytest.mark.slow
def test_command_writes_the_model(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    saved = made_checkpoint("e010")
    network = make_network(saved.config.model)
    (tmp_path / "runs/small/checkpoints").mkdir(parents=True)
    checkpoint.save(tmp_path / "runs/small/checkpoints/last", saved.config, saved.position, network)
    result = CliRunner().invoke(
        group, ["--data-root", str(tmp_path), "predict", "small", "--onnx", str(tmp_path / "small.onnx")]
    )

    assert result.exit_code == 0, result.exception
    assert result.stdout.strip() == str(tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size > 100_000
