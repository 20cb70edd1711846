"""A checkpoint on pictures: where it looks, what comes out, what the command prints."""

import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.evaluation.predictions import read_predictions
from handdata.skeleton import RIGHT
from handdata.train import checkpoint, predict
from handdata.train.loop import train
from handdata.train.predict import Picture, find_hands
from tests.train.made_training import job_of, made_set, tiny


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    folder = made_set(root / "rhd", "rhd", train=4, val=2)
    train(job_of(tiny("best-smoke", "loop.epochs=1"), [folder], root / "runs/small"))
    picture = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    (root / "pictures").mkdir()
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(root / "pictures" / name), picture)
    return root


@pytest.fixture
def saved(root):
    return checkpoint.load(root / "runs/small")


@pytest.fixture
def quarter(monkeypatch):
    """A network that always answers u = 0.25, v = 0.5 and the pose (1, 2, 3)."""
    maps = torch.zeros(32, 21, 32, 32)
    maps[:, :, 16, 8] = 1.0
    pose = torch.tensor([1.0, 2.0, 3.0]).expand(32, 21, 3)
    monkeypatch.setattr(predict, "forward", lambda _n, image, _c: (maps[: len(image)], pose[: len(image)]))


@pytest.mark.parametrize(
    ("picture", "crop", "point", "x"),
    [
        ({}, [40, 0, 160, 120], [40 + 8.5 * 120 / 32 - 0.5, 16.5 * 120 / 32 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 84)}, [10, 20, 74, 84], [10 + 8.5 * 2 - 0.5, 20 + 16.5 * 2 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 52)}, [10, 4, 74, 68], [10 + 8.5 * 2 - 0.5, 4 + 16.5 * 2 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 84), "side": RIGHT}, [10, 20, 74, 84], [10 + 23.5 * 2 - 0.5, 52.5], -1.0),
    ],
    ids=["whole picture", "box", "box made square", "right hand"],
)
@pytest.mark.usefixtures("quarter")
def test_keypoints_are_pixels_of_the_picture(root, saved, picture, crop, point, x):
    (found,) = find_hands(saved, [Picture(path=root / "pictures/a.png", **picture)], device="cpu")

    np.testing.assert_allclose(found.crop_xyxy, crop)
    np.testing.assert_allclose(found.keypoints_2d[5], point, atol=1e-4)
    np.testing.assert_allclose(found.keypoints_3d_normalized[5], [x, 2.0, 3.0])


def run_command(root, *arguments):
    return CliRunner().invoke(group, ["--data-root", str(root), "predict", *map(str, arguments)])


def test_command_prints_predictions_that_evaluation_reads(root, tmp_path):
    result = run_command(root, "small", root / "pictures", "--out", tmp_path / "drawn")

    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    (tmp_path / "p.json").write_text(result.stdout)
    predictions = read_predictions(tmp_path / "p.json")
    assert predictions.sample_id.tolist() == ["a.png", "b.jpg"] == [s["sample_id"] for s in content["samples"]]
    assert np.isfinite(predictions.keypoints_2d["given"]).all()
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.png", "b.png"]
    assert cv2.imread(str(tmp_path / "drawn/a.png")).shape == (240, 400, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "pictures"), "expected a run or a checkpoint"),
        (("small", "rhd"), "expected pictures"),
    ],
)
def test_command_says_what_is_missing(root, arguments, said):
    result = run_command(root, arguments[0], root / arguments[1])

    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("box", [(200, 0, 20, 20), (0, 120, 20, 20), (-20, 0, 20, 20), (0, -20, 20, 20)])
def test_a_box_outside_the_picture_is_told_and_one_at_its_edge_is_taken(box, root, tmp_path):
    outside = run_command(root, "small", root / "pictures/a.png", "--out", tmp_path / "drawn", "--box", *box)
    nearer = (min(max(box[0], -19), 199), min(max(box[1], -19), 119), 20, 20)
    at_edge = run_command(root, "small", root / "pictures/a.png", "--out", tmp_path / "drawn", "--box", *nearer)

    given = " ".join(map(str, box))
    assert str(outside.exception) == (
        f"{root / 'pictures/a.png'}: expected a box in the picture of 200 x 120 px, got --box {given}."
        " Give the left, top, width and height of the hand in px of this picture."
    )
    assert at_edge.exit_code == 0, at_edge.output


def test_a_damaged_picture_is_told_without_options_of_another_command(root, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    result = run_command(root, "small", tmp_path / "bad.png", "--out", tmp_path / "drawn")

    assert "bad.png: expected" in str(result.exception)
    assert str(result.exception).endswith("Save it again, or leave it out.")
