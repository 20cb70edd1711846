"""Labels that a person mended: laid over the archive's own while it is converted, recorded, and refused where wrong."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.errors import ConfigError, DataError, HanddataError
from handdata.exchange.card import card_text, terms_of
from handdata.exchange.corrections import (
    Corrections,
    MendedHand,
    MendedPoint,
    read_corrections,
    write_corrections,
)
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX, KEYPOINTS

PICTURES, WIDTH, HEIGHT, FOCAL = 3, 160, 120, 100.0
TIP, THUMB = INDEX["index_tip"], INDEX["thumb_tip"]


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """Three pictures of a hand 500 mm before the camera."""
    root = tmp_path_factory.mktemp("native")
    xyz = np.array([[4.0 * k - 40, 30.0 * np.sin(k), 500 + k] for k in range(21)])
    uv = xyz[:, :2] / xyz[:, 2:] * FOCAL + (80, 60)
    names = [f"{name}_{axis}" for name in KEYPOINTS for axis in "uvxyz"]
    lines = [",".join(["image", "side", "split", "unit", "fx", "fy", "cx", "cy", *names])]
    for number in range(PICTURES):
        cv2.imwrite(str(root / f"{number}.png"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
        cells = [f"{x:.6f}" for x in np.hstack([uv, xyz]).ravel()]
        lines.append(",".join([f"{number}.png", "left", "train", "mm", "100", "100", "80", "60", *cells]))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def convert_with(native, out, corrections=None, **asked):
    options = CustomOptions(annotations=(native / "labels.csv",), corrections=corrections)
    return convert("custom", native, out, options=options, canvas=32, **asked)


@pytest.fixture(scope="module")
def plain(native, tmp_path_factory):
    return open_dataset(convert_with(native, tmp_path_factory.mktemp("plain") / "out").out)


def written(path, samples):
    write_corrections(path, Corrections(dataset="custom", samples=samples))
    return path


def test_a_file_comes_back_as_it_was_written(tmp_path):
    points = {"thumb_tip": MendedPoint("absent"), "wrist": MendedPoint("occluded", (3.25, 4.0))}
    samples = {
        "b": MendedHand(points=points, size=(160, 120)),
        "a": MendedHand(side="right", points={"index_tip": MendedPoint("outside", (-9.5, 4.0))}),
    }

    path = written(tmp_path / "c.json", samples)

    assert read_corrections(path) == Corrections(dataset="custom", samples=samples)
    assert path.read_bytes() == written(tmp_path / "d.json", dict(reversed(samples.items()))).read_bytes()


def test_mended_points_and_sides_are_in_the_shards_and_nothing_else_changes(native, plain, tmp_path):
    ids, before = plain["id"].tolist(), (native / "labels.csv").read_bytes()
    uv = plain["keypoints_2d"][1]
    points = {
        "index_tip": MendedPoint("visible", (20.0, 30.0)),
        "wrist": MendedPoint("occluded", tuple(map(float, uv[0] + 0.2))),
        "thumb_tip": MendedPoint("absent"),
        "little_tip": MendedPoint("outside", (-5.0, 30.0)),
    }
    path = written(tmp_path / "c.json", {ids[1]: MendedHand(points=points, side="right", size=(WIDTH, HEIGHT))})

    made = open_dataset(convert_with(native, tmp_path / "out", path).out)

    hand = made[1].source
    np.testing.assert_allclose(hand.keypoints_2d[[TIP, INDEX["little_tip"]]], [[20, 30], [-5, 30]])
    assert hand.visible[[0, TIP, THUMB, INDEX["little_tip"]]].tolist() == [0, 1, -1, 0]
    assert np.isnan(hand.keypoints_2d[THUMB]).all()
    assert not hand.in_frame[INDEX["little_tip"]]
    assert hand.side == "right"
    assert hand.flags == plain[1].flags | Flag.CORRECTED
    others = [k for k in range(21) if KEYPOINTS[k] not in points]
    np.testing.assert_array_equal(hand.keypoints_2d[others], plain[1].source.keypoints_2d[others])
    assert (made["row_hash"][[0, 2]] == plain["row_hash"][[0, 2]]).all()
    assert (native / "labels.csv").read_bytes() == before


def test_3d_stays_where_it_projects_onto_the_mended_point_and_is_left_out_elsewhere(native, plain, tmp_path):
    uv = plain["keypoints_2d"][0]
    points = {
        "wrist": MendedPoint("visible", tuple(map(float, uv[0] + 0.3))),
        "index_tip": MendedPoint("visible", tuple(map(float, uv[TIP] + 15))),
    }
    path = written(tmp_path / "c.json", {plain["id"][0]: MendedHand(points=points)})

    hand = open_dataset(convert_with(native, tmp_path / "out", path).out)[0]

    assert hand.annotated_3d.tolist() == [k != TIP for k in range(21)]
    assert np.isfinite(hand.scale_mm)


def test_the_index_and_the_shard_record_the_corrections(native, plain, tmp_path):
    path = written(tmp_path / "c.json", {plain["id"][0]: MendedHand(side="unknown")})

    made = open_dataset(convert_with(native, tmp_path / "out", path).out)

    sha = read_corrections(path).sha256
    assert made.index["corrections"] == {"sha256": sha, "samples": 1, "points": 0, "sides": 1}
    assert json.loads(made.shards.reader(0).attributes["options"])["corrections"] == sha
    assert "corrections" not in plain.index
    assert "- Mended by a person" in card_text(made, "shards", {}, terms_of(made), "canvas")
    assert "- Mended by a person" not in card_text(plain, "shards", {}, terms_of(plain), "canvas")


def test_only_shards_whose_samples_are_corrected_are_made_again(native, plain, tmp_path, monkeypatch):
    monkeypatch.setattr("handdata.conversion.plan.MIN_SHARD_SAMPLES", 1)
    convert_with(native, tmp_path / "out")
    path = written(tmp_path / "c.json", {plain["id"][2]: MendedHand(side="right")})

    done = convert_with(native, tmp_path / "out", path)

    assert (done.num_shards, done.num_kept) == (3, 2)
    assert convert_with(native, tmp_path / "out").num_kept == 2  # and without them it is as it was
    assert [path.name for path in (tmp_path / "out").glob("*.partial")] == []


def test_a_sample_that_is_not_there_is_one_clear_line(native, plain, tmp_path):
    path = written(tmp_path / "c.json", {plain["id"][0] + "x": MendedHand(side="left")})
    arguments = ["convert", "custom", "--root", native, "--annotations", native / "labels.csv", "--out", tmp_path / "o"]

    result = CliRunner().invoke(group, [*map(str, arguments), "--corrections", str(path)])

    assert isinstance(result.exception, HanddataError)
    assert str(result.exception) == (
        f"--corrections {path}: expected ids of samples of custom, got '{plain['id'][0]}x'. "
        f"The nearest is {plain['id'][0]}."
    )
    assert not (tmp_path / "o").exists()


def test_a_limit_is_no_reason_to_refuse(native, plain, tmp_path):
    path = written(tmp_path / "c.json", {plain["id"][2]: MendedHand(side="right")})

    assert convert_with(native, tmp_path / "out", path, limit=1).num_samples == 1


POINT = {"state": "visible", "uv": [1, 2]}


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({"a": {}}, r"\[samples\]\[a\]: expected points or a side, got neither"),
        ({"a": {"side": "both"}}, r"\[a\]\[side\]: expected one of left, right, unknown, got 'both'"),
        ({"a": {"sides": "left"}}, r"expected keys such as 'side', got 'sides'"),
        ({"a": {"points": {"index_tipp": POINT}}}, r"expected keys such as 'index_tip', got 'index_tipp'"),
        ({"a": {"points": {"wrist": {"state": "seen"}}}}, r"\[wrist\]\[state\]: expected one of visible, occluded"),
        (
            {"a": {"points": {"wrist": {"state": "visible"}}}},
            r"\[wrist\]\[uv\]: expected the place of the visible point, got none",
        ),
        ({"a": {"points": {"wrist": {**POINT, "uv": [1, True]}}}}, r"expected two numbers, px"),
        ({"a": {"points": {"wrist": {**POINT, "uv": [1, 2e7]}}}}, r"expected two numbers, px"),
        ({"a": {"points": {"wrist": {**POINT, "state": "absent"}}}}, r"expected no place of an absent point"),
        ({"a": {"side": "left", "size": [0, 5]}}, r"\[size\]: expected width and height, px"),
        ([], r"\[samples\]: expected"),
    ],
)
def test_nonsense_is_refused_and_its_place_named(samples, said, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"format": "handdata-corrections/1", "dataset": "custom", "samples": samples}))

    with pytest.raises(DataError, match=said):
        read_corrections(path)


@pytest.mark.parametrize("content", ["{}", '{"format": "handdata-corrections/9", "samples": {}}', "[]", "x"])
def test_another_file_is_refused(content, tmp_path):
    (tmp_path / "c.json").write_text(content)

    with pytest.raises(DataError, match=r"c\.json"):
        read_corrections(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("hand", "said"),
    [
        (MendedHand(points={"wrist": MendedPoint("visible", (500.0, 5.0))}), "expected wrist inside its picture"),
        (MendedHand(points={"wrist": MendedPoint("outside", (50.0, 5.0))}), "expected wrist outside its picture"),
        (MendedHand(side="left", size=(320, 240)), "expected corrections of a picture of 160 x 120 px, got 320 x 240"),
    ],
)
def test_a_correction_that_does_not_fit_its_picture_is_refused(hand, said, native, plain, tmp_path):
    path = written(tmp_path / "c.json", {plain["id"][0]: hand})

    with pytest.raises(DataError, match=said):
        convert_with(native, tmp_path / "out", path)
    assert not (tmp_path / "out").exists()


def test_corrections_of_another_dataset_are_refused(native, plain, tmp_path):
    path = tmp_path / "c.json"
    write_corrections(path, Corrections(dataset="rhd", samples={plain["id"][0]: MendedHand(side="left")}))

    with pytest.raises(ConfigError, match="expected corrections of custom, got those of 'rhd'"):
        convert_with(native, tmp_path / "out", path)
    assert not (tmp_path / "out").exists()


def test_corrections_of_merged_shards_are_laid_over_each_dataset_that_they_are_of(native, plain, tmp_path, capsys):
    path = tmp_path / "c.json"
    samples = {plain["id"][0]: MendedHand(side="right"), "training/00000/left": MendedHand(side="right")}
    write_corrections(path, Corrections(dataset="merged", samples=samples))

    mended = open_dataset(convert_with(native, tmp_path / "out", path).out)

    assert (mended["side"] != plain["side"]).tolist() == [True, False, False]
    told = "1 samples, mended by a person; 1 others of merged are of samples that are not in this dataset"
    assert told in capsys.readouterr().err
    assert mended.index["corrections"]["samples"] == 1

    write_corrections(path, Corrections(dataset="merged", samples={"training/00000/left": MendedHand(side="right")}))
    with pytest.raises(ConfigError, match="expected ids of samples of custom"):
        convert_with(native, tmp_path / "other", path)


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(DataError, match="expected one of visible"):
        written(tmp_path / "c.json", {"a": MendedHand(points={"wrist": MendedPoint("seen", (1.0, 2.0))})})
    assert not (tmp_path / "c.json").exists()
