"""Absolute millimetres of a run over shards: what `predict` gives for one picture, for all of them, and scored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import handdata as hd
from handdata.cli import group
from handdata.evaluation.absolute import Size
from handdata.evaluation.predictions import read_predictions
from handdata.model.checkpoint import read_size
from handdata.model.place import Lens, place, size_of
from handdata.report.fits import fits_table
from handdata.report.runs import read_run
from handdata.shards.dataset import open_dataset
from handdata.train import loop
from handdata.train.loop import train
from handdata.train.placing import Placing, size_trained_on
from handdata.train.state import build
from tests.train.made_training import job_of, made_set, tiny

ADULT = Size(80.0, 0.0, "given")


def perfect(data, rows):
    """Return what a perfect model says of some hands: pixels, normalised pose, equal weights."""
    label = {name: data[name][rows] for name in ("keypoints_2d", "keypoints_3d_normalized", "K", "image_size")}
    return (
        label,
        label["keypoints_2d"].astype(float),
        label["keypoints_3d_normalized"].astype(float),
        np.ones((len(rows), 21)),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(made_set(tmp_path_factory.mktemp("set") / "rhd", "rhd"))


def test_a_perfect_pose_of_the_true_size_lies_where_it_is(data):
    truth, scale = data["keypoints_3d"].astype(float), data["scale_mm"].astype(float)
    for row in range(len(data)):
        asked = perfect(data, [row])
        found = Placing(size=Size(float(scale[row]), 0.0, "true")).millimetres(*asked)
        assert np.abs(found[0] - truth[row]).max() < 0.5  # float32 labels, 400 mm away


def test_a_size_that_is_wrong_by_a_tenth_moves_the_hand_by_a_tenth(data):
    asked, scale = perfect(data, [0]), float(data["scale_mm"][0])
    near, far = (Placing(size=Size(scale * factor, 0.0, "")).millimetres(*asked) for factor in (1.0, 1.1))
    assert far == pytest.approx(1.1 * near)


def test_shards_are_placed_as_predict_places_one_hand(data):
    rng = np.random.default_rng(0)
    label, uv, xyz, _ = perfect(data, np.arange(len(data)))
    uv, xyz = uv + rng.normal(0, 2, uv.shape), xyz + rng.normal(0, 0.05, xyz.shape)
    confidence = rng.uniform(0.1, 1, uv.shape[:2])
    found = Placing(size=ADULT).millimetres(label, uv, xyz, confidence)
    for row in range(len(data)):
        seen = {"keypoints_2d": uv[row], "keypoints_3d_normalized": xyz[row], "K": label["K"][row]}
        hand = replace(data[row].source, **seen, peaks=confidence[row])
        assert found[row] == pytest.approx(place(hand, ADULT)[0].keypoints_3d, rel=1e-9)


def test_a_camera_that_is_given_replaces_the_stored_one_and_none_gives_nothing(data):
    label, *seen = perfect(data, [0, 1])
    stored = Placing(size=ADULT).millimetres(label, *seen)
    K = label["K"][0]
    by_lens = Placing(size=ADULT, lens=Lens(K=K)).millimetres(label, *seen)
    other = Placing(size=ADULT, lens=Lens(focal_px=2 * K[0, 0])).millimetres(label, *seen)
    unknown = Placing(size=ADULT).millimetres({**label, "K": np.stack([K, np.full((3, 3), np.nan)])}, *seen)

    assert by_lens == pytest.approx(stored)
    assert other[:, 9, 2] == pytest.approx(2 * stored[:, 9, 2], rel=0.2)
    assert np.isfinite(unknown[0]).all()
    assert np.isnan(unknown[1]).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("absolute")
    folder = made_set(root / "rhd", "rhd", train=8, val=6)
    train(job_of(tiny("best-smoke", "loop.epochs=1"), [folder], root / "runs" / "one"))
    return root, folder


def evaluate(run, *arguments):
    root, folder = run
    asked = ["--data-root", str(root), "evaluate", "one", "--shards", str(folder), "--device", "cpu", *arguments]
    return CliRunner().invoke(group, asked)


def test_absolute_scores_are_those_of_what_predict_places(run):
    root, folder = run
    result = evaluate(run, "--hand-size", "80", "--json")
    assert result.exit_code == 0, result.output
    scores = {row["protocol"]: row["value"] for row in json.loads(result.stdout)["scores"]}
    given, val = read_predictions(root / "runs/one/predictions.h5"), hd.open(folder, split="val")
    off = np.linalg.norm(given.keypoints_3d - val["keypoints_3d"], axis=-1)

    assert "millimetres rest on each picture's own camera and 80 +- 0 mm from wrist to middle knuckle" in result.stderr
    assert (given.options["hand_size_mm"], given.options["camera"]) == (80.0, "as stored")
    assert scores["epe_abs_mm:mean"] == pytest.approx(np.nanmean(off), rel=1e-6)
    assert scores["auc_0_100:absolute"] is not None


def test_a_fit_has_files_of_its_own(run):
    root, _ = run
    result = evaluate(run, "--fit", "--hand-size", "80")
    assert result.exit_code == 0, result.output
    fitted = read_predictions(root / "runs/one/predictions-fitted.h5")
    assert fitted.options["fit"] is True
    assert (root / "runs/one/results-fitted.json").is_file()
    assert np.isfinite(fitted.keypoints_3d_normalized).all()  # what cannot be fitted stays as it was
    assert evaluate(run, "--hand-size", "80").exit_code == 0
    rows = fits_table([read_run(root / "runs/one")]).rows
    assert "rhd val" in [row[1] for row in rows]  # the report lays before beside after
    assert {cell.count(" -> ") for row in rows for cell in row[3:]} == {1}


def test_python_asks_for_millimetres_and_a_fit_as_the_command_does(run):
    root, folder = run
    plain = hd.evaluate(root / "runs" / "one", folder, split="val", device="cpu", hand_size=80)
    fitted = hd.evaluate(root / "runs" / "one", folder, split="val", device="cpu", hand_size=80, fit=True)

    assert plain.sets[0].protocols["epe_abs_mm:mean"].value > 0
    assert fitted.sets[0].protocols["epe_abs_mm:mean"].value > 0
    with pytest.raises(ValueError, match="go with a run"):
        hd.evaluate(root / "runs/one/predictions.h5", folder, hand_size=80)
    with pytest.raises(ValueError, match="20 to 300 mm"):
        hd.evaluate(root / "runs" / "one", folder, hand_size="big")
    with pytest.raises(TypeError, match="integer"):
        hd.evaluate(root / "runs" / "one", folder, seed=None)  # NumPy would draw another one each time


def test_without_a_size_or_a_camera_no_millimetres_are_made_up(run):
    root, _ = run
    result = evaluate(run, "--protocol", "epe_abs_mm")
    assert "the predictions hold no millimetres, only normalised 3D" in result.stdout
    assert read_predictions(root / "runs/one/predictions.h5").keypoints_3d is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--augmented", "--hand-size", "adult"], "--augmented gives no millimetres: its views have no camera."),
        (["--augmented", "--fit"], "--augmented takes no --fit: its views have no camera."),
        (["--focal", "600", "--fov", "60"], "give one of --focal, --fov."),
        (["--hand-size", "big"], "hand_size must be 20 to 300 mm, adult or trained, got 'big'"),
    ],
)
def test_what_cannot_be_placed_is_refused(run, arguments, line):
    result = evaluate(run, *arguments)
    assert result.exit_code == 2
    assert line in result.stderr


def test_a_camera_goes_with_a_run_only(run, tmp_path):
    given = tmp_path / "theirs.json"
    asked = ["evaluate", "--predictions", str(given), "--hand-size", "80"]
    result = CliRunner().invoke(group, asked)
    assert result.exit_code == 2
    assert "goes with a RUN only" in result.stderr


def test_a_run_keeps_the_size_of_its_training_hands_and_rests_on_it_unless_told(run):
    root, folder = run
    scale = hd.open(folder, split="train")["scale_mm"]
    result = evaluate(run, "--focal", "600")
    kept = read_size(root / "runs/one")

    assert kept.mm == pytest.approx(np.exp(np.median(np.log(scale))), abs=0.01)
    assert kept.sd_mm == pytest.approx(kept.mm * np.log(scale).std(), abs=0.01)
    assert f"{kept.mm:g} +- {kept.sd_mm:g} mm from wrist to middle knuckle: the hands that the model" in result.stderr
    hd.evaluate(root / "runs/one", folder, split="val", device="cpu", hand_size="trained")
    assert read_predictions(root / "runs/one/predictions.h5").options["hand_size_mm"] == kept.mm
    assert evaluate(run, "--hand-size", "adult").stderr.count("adults, joint centres") == 1


def test_the_size_of_the_hands_is_measured_after_the_first_step(run, tmp_path, monkeypatch):
    _, folder = run
    order, step, size = [], loop.step, loop.size_trained_on
    monkeypatch.setattr(loop, "step", lambda *given, **more: order.append("step") or step(*given, **more))
    monkeypatch.setattr(loop, "size_trained_on", lambda *given: order.append("size") or size(*given))
    loop.train(job_of(tiny("best-smoke", "loop.epochs=1"), [folder], tmp_path / "run"))

    assert order[0] == "step"
    assert order.count("size") == 1


def test_a_training_without_millimetres_keeps_the_size_of_what_it_starts_from(run):
    root, folder = run
    state = build(tiny("best-smoke"), torch.device("cpu"), root / "runs/one")

    assert state.size == read_size(root / "runs/one")
    assert size_trained_on([hd.open(folder)], left_out=["rhd"]) is None


@pytest.mark.parametrize(
    "value", [60 + 1j, np.complex128(60 + 1j), np.array(60 + 0j), np.datetime64(60, "D"), [60, 70]]
)
def test_a_hand_size_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="hand_size must be 20 to 300 mm, adult or trained"):
        size_of(value)
