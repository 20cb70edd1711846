"""ONNX: what another runtime answers is what PyTorch answers, from the same bytes; the file says what it holds."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.cli.annotate_points import _finder
from handdata.errors import ConfigError, DataError, MissingError
from handdata.model.config import ModelConfig
from handdata.model.families import family_of
from handdata.model.model import load_model
from handdata.model.networks import PLAIN
from handdata.model.onnx import Portable, write_onnx
from handdata.model.onnx_read import OnnxNetwork
from handdata.model.read_out import READ_OUT_OF
from handdata.model.released import read_released
from handdata.paths import DataRoot
from handdata.skeleton import KEYPOINTS
from handdata.synth.picture import render_hand
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
            zip(
                ("keypoints_2d", "keypoints_3d", "heatmaps", "confidence"),
                session.run(None, {"image": image}),
                strict=True,
            )
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


@pytest.mark.parametrize("words", [["small"], []])
def test_command_wants_pictures_or_a_file(tmp_path, words):
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), "predict", *words])

    assert result.exit_code == 2
    assert "give pictures or a video, or --onnx FILE" in result.output


def test_without_a_run_the_weights_that_come_along_are_written(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("handdata.model.onnx.write_onnx", lambda path, trained, rule: written.append(trained) or path)
    result = CliRunner().invoke(group, ["predict", "--onnx", str(tmp_path / "c.onnx")])

    assert result.exit_code == 0, result.exception
    assert [one.path.name for one in written] == ["compact.safetensors"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The weights that come along as an ONNX file."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    return write_onnx(tmp_path_factory.mktemp("onnx") / "compact.onnx", read_released("compact"))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([1, 1024, 3], r"expected keypoints of 1 hands, got uv_BK2 of shape \(1, 1024, 3\)"),
        ([1, 21, 2], r"expected a file that .* wrote, got \[ONNXRuntimeError\]"),  # 3,072 numbers do not become 42
    ],
)
def test_a_network_that_answers_something_else_is_told_in_a_line(tmp_path, points, said):
    """Changed bytes of a file may leave a network that is opened and cannot be run, found by the fuzzer."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, real, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    names = ("keypoints_2d", "keypoints_3d", "confidence")
    nodes = [make.make_node("Cast", ["image"], ["numbers"], to=real)]
    nodes += [make.make_node("Reshape", ["numbers", "shape"], [name]) for name in names]
    image = make.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["B", 32, 32, 3])
    results = [make.make_tensor_value_info(name, real, None) for name in names]
    graph = make.make_graph(nodes, "ours", [image], results, [make.make_tensor("shape", whole, [3], points)])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    settings = {"model": asdict(ModelConfig(kind="compact", size=32)), "recipe": "compact", "epoch": 1, "turn": False}
    make.set_model_props(model, {"settings": json.dumps(settings), "read_out": "expectation"})
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())

    network = OnnxNetwork(tmp_path / "a.onnx")
    with pytest.raises(DataError, match=rf"a\.onnx: {said}"):
        network(np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.slow
def test_a_written_file_is_asked_in_place_of_its_weights(written, tmp_path):
    """The same hands, sides and confidences, in a hand's picture and in noise, with a camera and without."""
    frame = render_hand(4711, 3, "clean", 192, side="right", fill=(0.6, 0.65))
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    K = np.array([[150.0, 0, 60], [0, 150, 60], [0, 0, 1]])
    images = [frame.views[0].image, noise, frame.views[0].image[:, ::-1]]
    here, there = load_model("compact", "cpu"), load_model(written)

    assert (there.size, there.trained.size, there.tells_sides) == (here.size, here.trained.size, True)
    for side, camera in (("auto", None), ("left", K)):
        pairs = list(zip(here(images, None, side, K=camera), there(images, None, side, K=camera), strict=True))
        assert [one.side for one, _ in pairs] == [other.side for _, other in pairs]
        for one, other in pairs:
            np.testing.assert_allclose(one.keypoints_2d, other.keypoints_2d, atol=1e-2)  # px
            for name in ("keypoints_3d_normalized", "peaks", "presence", "crop_box"):
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3, err_msg=name)

    cv2.imwrite(str(tmp_path / "hand.png"), frame.views[0].image[..., ::-1])
    words = ["predict", str(written), str(tmp_path / "hand.png"), "--no-overlay"]
    (by_onnx,) = json.loads(CliRunner().invoke(group, words).stdout)["samples"]
    (by_torch,) = json.loads(CliRunner().invoke(group, [*words[:1], *words[2:]]).stdout)["samples"]
    assert by_onnx["hand"] == by_torch["hand"] == "right"
    np.testing.assert_allclose(by_onnx["keypoints_2d"], by_torch["keypoints_2d"], atol=0.02)
    labelled = CliRunner().invoke(group, ["label", str(tmp_path), "--run", str(written)])
    assert "1 hand in 1 picture, 21 of 21 points labelled" in labelled.stderr
    proposed = _finder(DataRoot(tmp_path), str(written), None, "spotter", 1).hands(images[0])  # of `annotate`
    assert [hand.side for hand in proposed] == ["right"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "cuda"), "--device: expected cpu, on which ONNX files are asked, got cuda."),
        (("--read-out", "maximum"), "--read-out: expected one of expectation, got maximum."),
        (("--onnx", "other.onnx"), "--onnx: expected a run or weights to write, got"),
    ],
)
def test_what_a_written_file_cannot_do_is_told(written, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((60, 80, 3), np.uint8))
    result = CliRunner().invoke(group, ["predict", str(written), "a.png", *words])
    assert said in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_file_that_is_not_of_ours_is_told(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "noise.onnx").write_bytes(b"no model")
    value = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["image"], ["out"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "other", [value], [result]),
        opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())

    expected = "expected a file that `handdata predict --onnx` wrote, got"
    for name, got in (("noise", "[ONNXRuntimeError]"), ("other", "another one, or one of an older handdata")):
        with pytest.raises(DataError) as refusal:
            load_model(tmp_path / f"{name}.onnx")
        assert str(refusal.value).startswith(f"{tmp_path / name}.onnx: {expected} {got}")
        assert ".." not in str(refusal.value).removeprefix(str(tmp_path))
    with pytest.raises(MissingError, match="got no such file"):
        load_model(tmp_path / "gone.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"expected onnxruntime.* pip install 'handdata\[onnx\]'"):
        load_model(tmp_path / "other.onnx")


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
