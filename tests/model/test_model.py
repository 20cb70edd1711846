"""A model on arrays and pictures: where it looks, what comes out, what the command prints."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation.absolute import ADULT, Size
from handdata.evaluation.predictions import read_predictions
from handdata.geometry import normalize_pose, project, rotation_from_vector
from handdata.model.model import BATCH, Model, load_model
from handdata.model.networks import Prediction
from handdata.model.place import place
from handdata.pictures.crops import scale_about_center
from handdata.shards.hand import Hand
from handdata.train.loop import train
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


@pytest.fixture(scope="module")
def model(root):
    return load_model(root / "runs/small", device="cpu")


@pytest.fixture
def quarter(model, monkeypatch):
    """A network that always answers u = 0.25, v = 0.5 and the pose (1, 2, 3)."""

    def answer(image):
        maps = torch.zeros(len(image), 21, 32, 32)
        maps[:, :, 16, 8] = 1.0
        return Prediction(maps, torch.tensor([1.0, 2.0, 3.0]).expand(len(image), 21, 3))

    monkeypatch.setattr(model, "_network", answer)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)


@pytest.mark.parametrize(
    ("asked", "crop", "point", "x"),
    [
        ({}, [40, 0, 160, 120], [40 + 8.5 * 120 / 32 - 0.5, 16.5 * 120 / 32 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 84)}, [10, 20, 74, 84], [10 + 8.5 * 2 - 0.5, 20 + 16.5 * 2 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 52)}, [10, 4, 74, 68], [10 + 8.5 * 2 - 0.5, 4 + 16.5 * 2 - 0.5], 1.0),
        ({"box_xyxy": (10, 20, 74, 84), "side": "right"}, [10, 20, 74, 84], [10 + 23.5 * 2 - 0.5, 52.5], -1.0),
    ],
    ids=["whole picture", "box", "box made square", "right hand"],
)
@pytest.mark.usefixtures("quarter")
def test_keypoints_are_pixels_of_the_picture(root, model, asked, crop, point, x):
    found = model(root / "pictures/a.png", **asked)

    np.testing.assert_allclose(found.crop_box, crop)
    np.testing.assert_allclose(found.keypoints_2d[5], point, atol=1e-4)
    np.testing.assert_allclose(found.keypoints_3d_normalized[5], [x, 2.0, 3.0])
    assert (found.peaks == 1).all()
    assert (found.id, found.side) == ("a.png", asked.get("side", "left"))
    assert found.path == root / "pictures/a.png"


def test_an_array_a_path_and_lists_of_both_give_the_same(root, model):
    path = root / "pictures/a.png"
    array = cv2.imread(str(path))[..., ::-1]
    alone = model(array, (10, 20, 74, 84), "right")
    several = model([array, path, str(path)], [(10, 20, 74, 84)] * 3, ["right"] * 3)
    mixed = model([array, array], [None, (10, 20, 74, 84)], ["left", "right"])

    for found in (*several, mixed[1]):
        np.testing.assert_allclose(found.keypoints_2d, alone.keypoints_2d, atol=1e-3)
    assert not np.allclose(mixed[0].keypoints_2d, alone.keypoints_2d)
    assert model([]) == []


def test_more_pictures_than_fit_at_once_keep_their_order(model, picture):
    boxes = [(i, i, i + 60, i + 60) for i in range(BATCH + 3)]
    found = model([picture] * len(boxes), boxes)

    assert [hand.box[0] for hand in found] == [box[0] for box in boxes]
    np.testing.assert_allclose(found[-1].keypoints_2d, model(picture, boxes[-1]).keypoints_2d, atol=1e-3)


def test_one_picture_is_one_row_for_the_network_and_nothing_is_read_again(model, picture, monkeypatch):
    rows, network = [], model._network
    monkeypatch.setattr(model, "_network", lambda image: rows.append(len(image)) or network(image))
    monkeypatch.setattr("handdata.model.model.load_network", None)
    model(picture)
    model([picture] * 3)

    assert rows == [1, 3]


@pytest.mark.usefixtures("quarter")
@pytest.mark.parametrize("side", ["left", "right"])
def test_with_a_camera_the_view_turn_is_undone(model, picture, side, monkeypatch):
    """A hand off the axis: what its crop shows is turned by the angle of the ray through the crop's middle."""
    monkeypatch.setattr(model, "trained", replace(model.trained, turn=True))
    K = np.array([[200.0, 0, 99.5], [0, 200, 59.5], [0, 0, 1]])
    box = (130, 20, 190, 80)
    pose = model(picture, box, side, K=K).keypoints_3d_normalized[3]
    plain = model(picture, box, side).keypoints_3d_normalized[3]
    ray = np.array([(159.5 - 99.5) / 200, (49.5 - 59.5) / 200, 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.cross([0, 0, 1], ray)
    angle = np.arcsin(np.linalg.norm(axis))

    np.testing.assert_allclose(pose, rotation_from_vector(axis / np.sin(angle) * angle) @ plain, atol=1e-9)


def test_a_network_that_looks_closer_sees_the_middle_of_the_box(model, picture):
    trained = replace(model.trained, model=replace(model.trained.model, zoom=1.25))
    box = np.array([40.0, 20, 140, 120])
    closer = Model(trained, "cpu")(picture, box)
    middle = model(picture, scale_about_center(box, 0.8))

    np.testing.assert_allclose(closer.keypoints_2d, middle.keypoints_2d, atol=1e-4)
    np.testing.assert_allclose(closer.keypoints_3d_normalized, middle.keypoints_3d_normalized, atol=1e-5)
    np.testing.assert_allclose(closer.crop_box, box)
    np.testing.assert_allclose(closer.box, box)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"image": np.zeros((8, 8, 3), np.float32)}, r"image must be \(H, W, 3\) uint8 RGB, got \(8, 8, 3\) float32"),
        ({"image": np.zeros((8, 8), np.uint8)}, r"image must be .* got \(8, 8\) uint8"),
        ({"image": np.zeros((0, 8, 3), np.uint8)}, "image must be"),
        ({"box_xyxy": (10, 10, 10, 20)}, r"right of left and below top; got \[10, 10, 10, 20\]"),
        ({"box_xyxy": (10, 10, float("nan"), 20)}, "a box is left, top, right, bottom"),
        ({"box_xyxy": (10, 10, 20)}, "a box is left, top, right, bottom"),
        ({"K": 3}, r"K must be 3 x 3 intrinsics in px, focal lengths above 0 and below 1e9, last row 0 0 1, got 3\.0"),
        ({"K": np.zeros((3, 3))}, "K must be 3 x 3 intrinsics"),
        ({"side": "both"}, "side must be one of left, right, auto, got 'both'"),
        ({"side": "auto"}, "a direct model does not tell them apart"),
        ({"read_out": "mean"}, "read_out must be one of thresholded, expectation, maximum, got 'mean'"),
        ({"image": [np.zeros((8, 8, 3), np.uint8)] * 2, "side": ["left"]}, "side: expected one for each of 2 pictures"),
    ],
)
def test_a_callers_mistake_is_one_line(model, picture, asked, said):
    with pytest.raises(ValueError, match=said) as mistake:
        model(**{"image": picture, **asked})

    assert "\n" not in str(mistake.value)


def test_a_box_outside_and_a_run_that_is_not_there_are_told(model, picture, tmp_path):
    with pytest.raises(ConfigError, match=r"image 0: expected a box in the picture of 200 x 120 px"):
        model(picture, (300, 0, 320, 20))
    with pytest.raises(
        MissingError, match=r"a run or a checkpoint, or weights of the package \(compact\), got nothing there"
    ):
        load_model(tmp_path / "nothing")


def test_a_picture_that_cannot_be_read_is_told_in_words_of_python(model, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(MissingError, match=r"none\.png: expected a picture, got no file\. Check the path\.$"):
        model(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"bad\.png: .* or leave it out\.$"):
        model([tmp_path / "bad.png"])


def run_command(root, *arguments):
    """Look at the middle of pictures of noise, in which a detector finds nothing."""
    words = ["--data-root", str(root), "predict", *map(str, arguments), "--detector", "none"]
    return CliRunner().invoke(group, words)


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


def test_pictures_of_one_stem_keep_both_overlays(root, tmp_path):
    names = ("c.jpg", "c.png", "c.jpg.jpg", "d.png")
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.full((60, 80, 3), 90, np.uint8))
    result = run_command(root, "small", *(tmp_path / n for n in names), "--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "c.jpg.jpg.png", "c.jpg.png", "c.png.png", "d.png",
    ]  # fmt: skip


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


def test_a_damaged_picture_is_told_with_what_can_be_done(root, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    result = run_command(root, "small", tmp_path / "bad.png", "--out", tmp_path / "drawn")

    assert "bad.png: expected" in str(result.exception)
    assert str(result.exception).endswith("Save it again, or pass --skip-bad to leave it out.")


def test_command_gives_millimetres_with_a_camera_and_says_what_they_rest_on(root, tmp_path):
    camera = tmp_path / "camera.json"
    camera.write_text('{"K": [[200, 0, 100], [0, 200, 60], [0, 0, 1]]}')
    picture = root / "pictures/a.png"
    by_camera, by_focal, adult, trained = (
        run_command(root, "small", picture, "--out", tmp_path / "out", *options)
        for options in (
            ("--camera", camera, "--hand-size", "80"),
            ("--focal", 200, "--hand-size", "160"),
            ("--fov", 60, "--hand-size", "adult"),
            ("--fov", 60),
        )
    )

    first, second = (json.loads(result.stdout)["samples"][0] for result in (by_camera, by_focal))
    assert first["sample_id"] == "a.png"
    assert (first["keypoints_3d"][9] is None) == (first["depth_sd_mm"] is None)
    assert len(second["keypoints_3d"]) == 21
    assert json.loads(adult.stdout)["options"]["hand_size_mm"] == 83.5
    assert "millimetres rest on 83.5 +- 5.2 mm from wrist to middle knuckle: adults" in adult.stderr
    size = load_model(root / "runs/small", device="cpu").trained.size
    assert json.loads(trained.stdout)["options"]["hand_size_mm"] == size.mm
    assert f"rest on {size.mm:g} +- {size.sd_mm:g} mm" in trained.stderr
    assert "the hands that the model was trained on" in trained.stderr
    assert json.loads(by_camera.stdout)["options"]["hand_size_source"] == "given"
    assert "keypoints_3d" not in json.loads(run_command(root, "small", picture, "--out", tmp_path).stdout)["samples"][0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--focal", "200", "--fov", "60"), "give one of --focal, --fov"),
        (("--hand-size", "80"), "--hand-size goes with --focal, --fov or --camera"),
        (("--focal", "200", "--hand-size", "small"), "hand_size must be 20 to 300 mm, adult or trained, got 'small'"),
    ],
)
def test_command_refuses_what_means_nothing(root, options, said):
    result = run_command(root, "small", root / "pictures/a.png", *options)

    assert result.exit_code == 2
    assert said in result.output


def test_a_hand_is_placed_where_its_camera_saw_it():
    rng = np.random.default_rng(0)
    xyz = np.array([40.0, -30, 500]) + rng.normal(0, 30, (21, 3))
    K = np.array([[400.0, 0, 320], [0, 400, 240], [0, 0, 1]])
    pose, scale = normalize_pose(xyz)
    hand = Hand(
        image=np.zeros((480, 640, 3), np.uint8),
        side="left",
        keypoints_2d=project(xyz, K),
        keypoints_3d_normalized=pose,
        K=K,
        peaks=np.ones(21),
    )
    placed, sd = place(hand, Size(float(scale), 5.0, "given"))

    np.testing.assert_allclose(placed.keypoints_3d, xyz, atol=1e-6)
    assert placed.annotated_3d.all()
    assert sd == pytest.approx(5.0 / scale * xyz[9, 2], rel=0.01)
    with pytest.raises(ValueError, match="give K"):
        place(replace(hand, K=np.full((3, 3), np.nan)), ADULT)
