"""Weights that come with the package: one file that says all that applying it needs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation.seen import read_seen
from handdata.geometry import project
from handdata.model import released
from handdata.model.checkpoint import Trained
from handdata.model.config import ModelConfig
from handdata.model.families import family_of
from handdata.model.model import Model, load_model
from handdata.model.networks import PLAIN
from handdata.model.released import (
    find_trained,
    read_file,
    read_released,
    records_behind,
    released_names,
    write_file,
)
from handdata.skeleton import LEFT
from handdata.synth.picture import render_hand
from handdata.train.config import load_config
from handdata.train.evaluate import evaluate_run
from handdata.train.loop import train
from handdata.train.selection import Selection
from tests.train.made_training import job_of, made_set

RELEASED = released_names()  # before a test puts others in their place


@pytest.fixture
def trained():
    model = ModelConfig(kind="compact", size=64, width=0.25)
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in family_of("compact").make(model, PLAIN).state_dict().items()}
    return Trained(path=Path("made"), model=model, weights=weights, recipe="compact", epoch=3, turn=True)


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(released, "FOLDER", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    write_file(tmp_path / "weights/compact.safetensors", trained, {"samples": 9})
    return tmp_path / "weights"


def test_a_file_is_read_as_it_was_written_to_half_precision(trained, tmp_path):
    write_file(tmp_path / "x.safetensors", trained, {"samples": 9})
    found = read_file(tmp_path / "x.safetensors")

    assert (found.model, found.recipe, found.epoch, found.turn) == (trained.model, "compact", 3, True)
    for name, value in trained.weights.items():
        torch.testing.assert_close(found.weights[name], value, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "x.safetensors").stat().st_size < 3 * sum(v.numel() for v in trained.weights.values())


def test_weights_are_found_by_name_and_answer_as_those_they_are_of(shipped, trained):
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    named, own = load_model("compact", "cpu")(picture), Model(trained, "cpu")(picture)

    assert released_names() == ["compact"]
    np.testing.assert_allclose(named.keypoints_2d, own.keypoints_2d, atol=0.5)


def test_what_weights_were_trained_on_goes_with_them(trained, shipped, tmp_path):
    record = {"dataset": "rhd", "origin": "rendered", "folder": "/of/mine", "splits": ["train"], "sequences": ["still"],
              "left_out": [], "shards": ["1" * 64], "other_shards": []}  # fmt: skip
    write_file(tmp_path / "own.safetensors", trained, {"samples": 9}, [record])
    write_file(shipped / "compact.safetensors", trained, {"samples": 9}, [record])
    folder = made_set(tmp_path / "rhd", "rhd")
    evaluate_run(tmp_path / "runs/compact", Selection(folders=[folder], split="val", limit=2), device="cpu")
    one_step = ["model.size=64", "loop.epochs=1", "loop.batches=1", "loop.val_batches=0"]
    config = load_config("compact-smoke", [*one_step, "model.lift_width=0"])
    train(job_of(config, [folder], tmp_path / "runs/more", init_from=tmp_path / "own.safetensors"))

    for start in (tmp_path / "own.safetensors", "compact"):
        assert records_behind(start) == [{**record, "folder": ""}]
    assert [one.dataset for one in read_seen(tmp_path / "runs/compact").sets] == ["rhd"]
    assert "1" * 64 in {content for one in read_seen(tmp_path / "runs/more").sets for content in one.hashes}


def test_an_onnx_file_is_named_where_weights_are_wanted(tmp_path):
    path = tmp_path / "compact.onnx"
    path.write_bytes(bytes(100))

    with pytest.raises(DataError, match="got an ONNX file, which `predict`, `label` and `annotate` alone can ask"):
        find_trained(path)
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), "evaluate", str(path), "--shards", str(tmp_path)])
    assert "expected the name or folder of a run, got a file." in str(result.exception)


def test_what_is_not_there_or_not_ours_is_told(shipped, tmp_path):
    with pytest.raises(ConfigError, match=r"weights that come with the package \(compact\), got no such name"):
        read_released("large")
    with pytest.raises(MissingError, match="a run or a checkpoint, or weights of the package"):
        find_trained("large")
    (tmp_path / "other.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="weights with their settings"):
        find_trained(tmp_path / "other.safetensors")


def test_predict_without_a_run_uses_them(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((60, 80, 3), 90, np.uint8))
    words = ["predict", "photo.jpg", "--device", "cpu", "--detector", "none"]
    result = CliRunner().invoke(group, ["--data-root", str(tmp_path), *words])

    assert result.exit_code == 0, result.output
    assert '"sample_id": "photo.jpg"' in result.stdout
    assert "the largest centred square of each picture was taken for a hand" in result.stderr
    assert (tmp_path / "predicted/photo.png").is_file()


def test_the_side_is_settled_by_the_way_round_that_looks_less_like_a_right_hand(trained, monkeypatch):
    model = Model(trained, "cpu")
    bright_left = np.zeros((64, 64, 3), np.uint8)
    bright_left[:, :32] = 255
    network = model._network

    def answer(image):
        """Says right where the left half of what is shown is the brighter one."""
        seen = network(image)
        half = image.shape[-1] // 2
        sign = torch.sign(image[..., :half].mean((1, 2, 3)) - image[..., half:].mean((1, 2, 3)))
        return seen._replace(seen_B2=torch.stack([sign, sign], -1))

    monkeypatch.setattr(model, "_network", answer)
    found = model([bright_left, bright_left[:, ::-1], bright_left], None, ["auto", "auto", "left"])

    assert [hand.side for hand in found] == ["right", "left", "left"]


def test_the_weights_that_are_shipped_are_whole_and_see_a_rendered_hand():
    """Of 24 rendered hands that it never saw, most keypoints lie within a tenth of the crop."""
    assert RELEASED == ["compact"]
    model = load_model("compact", "cpu")
    off = []
    for index in range(24):
        frame = render_hand(4711, index, "clean", 192, side=LEFT, fill=(0.56, 0.68))
        view = frame.views[0]
        uv = project(frame.hands[0].keypoints_3d, view.camera.K)
        low, high = uv.min(0) + 0.5, uv.max(0) + 0.5
        middle, half = (low + high) / 2, 1.29 * float((high - low).max()) / 2
        found = model(view.image, (*(middle - half), *(middle + half)))
        off.append(np.linalg.norm(found.keypoints_2d - uv, axis=-1) / (2 * half))

    assert np.median(off) < 0.08
    assert np.mean(np.array(off) < 0.1) > 0.6
