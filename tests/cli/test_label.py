"""`handdata label`: what a model finds becomes a label file that `handdata import` reads back, point for point."""

import json
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import handdata as hd
from handdata.annotate.keypoints.labels import read_labels
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.keypoints.sources import of_labels
from handdata.cli import group
from handdata.exchange.coco import category
from handdata.files.whole import whole
from handdata.model import detector
from handdata.model.spots import Spot
from handdata.shards.hand import Hand
from handdata.track.label import LabelFile
from handdata.track.video import video_writer


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two pictures of a rendered hand's size; a detector that finds a hand in each."""
    (tmp_path / "photos").mkdir()
    for name, level in (("a.png", 120), ("b.jpg", 90)):
        cv2.imwrite(str(tmp_path / "photos" / name), np.full((120, 160, 3), level, np.uint8))
    monkeypatch.setattr(detector, "Spotter", lambda **_: lambda _: [Spot(np.array([40.0, 20, 120, 100]), 0.9, "left")])
    return tmp_path / "photos"


def run(*words):
    result = CliRunner().invoke(group, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def sure(monkeypatch):
    """A model that is sure of all points but the first two, in the middle of its crop."""
    from handdata.model.model import Model

    whole = Model._find

    def find(self, *arguments):
        hands = whole(self, *arguments)
        for hand in hands:
            object.__setattr__(hand, "peaks", np.r_[0.1, 0.2, np.full(19, 0.9)])
            object.__setattr__(hand, "presence", 0.9)
        return hands

    monkeypatch.setattr(Model, "_find", find)


@pytest.mark.usefixtures("sure")
def test_labels_of_a_folder_are_imported_as_they_are(photos, tmp_path):
    result = run("label", photos, "--device", "cpu")
    content = json.loads((photos / "labels.json").read_text())
    run("import", photos / "labels.json", "--root", photos, "--out", tmp_path / "shards", "--split-by", "train")
    dataset = hd.open(tmp_path / "shards")

    assert "2 hands in 2 pictures, 38 of 42 points labelled" in result.stderr
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.jpg"]
    assert content["categories"] == [category()]  # as every COCO file of ours
    assert len(dataset) == 2
    for hand, annotation in zip(dataset, content["annotations"], strict=True):
        flat = np.array(annotation["keypoints"], float).reshape(21, 3)
        assert hand.annotated_2d.tolist() == [False, False] + [True] * 19
        assert set(flat[2:, 2]) == {2}
        assert set(hand.visible) == {-1}  # the model does not say what is hidden, whatever COCO's flag is
        np.testing.assert_allclose(hand.source.keypoints_2d[2:], flat[2:, :2], atol=0.01)
        assert hand.side == annotation["side"]


@pytest.mark.usefixtures("sure")
def test_the_command_that_comes_next_can_be_typed_as_it_stands(photos, tmp_path):
    folder = photos.rename(tmp_path / "my photos")
    result = run("label", folder, "--device", "cpu")
    assert f"next: handdata import '{folder}/labels.json' --root '{folder}'" in result.stderr


@pytest.mark.usefixtures("sure")
def test_frames_of_a_video_are_written_beside_their_labels(photos, tmp_path):
    with video_writer(tmp_path / "film.mp4", 30.0) as add:
        for _ in range(5):
            add(np.full((120, 160, 3), 100, np.uint8))
    run("label", tmp_path / "film.mp4", "--every", 2, "--device", "cpu")
    content = json.loads((tmp_path / "film/labels.json").read_text())

    names = [image["file_name"] for image in content["images"]]
    assert names == [f"frames/{number:06d}.jpg" for number in (0, 2, 4)]
    assert all((tmp_path / "film" / name).is_file() for name in names)


def test_pictures_without_a_hand_are_counted(photos, monkeypatch):
    from handdata.model.model import Model

    whole = Model._find
    monkeypatch.setattr(
        Model, "_find", lambda self, *a: [object.__setattr__(h, "presence", 0.1) or h for h in whole(self, *a)]
    )
    result = run("label", photos, "--device", "cpu")
    assert "no hand found in 2 of the pictures" in result.stderr
    assert json.loads((photos / "labels.json").read_text())["annotations"] == []


@pytest.mark.usefixtures("sure")
def test_without_a_detector_the_middle_of_each_picture_is_labelled(photos, monkeypatch):
    monkeypatch.setattr(detector, "Spotter", lambda **_: pytest.fail("the detector was asked"))
    run("label", photos, "--detector", "none", "--device", "cpu")
    content = json.loads((photos / "labels.json").read_text())
    assert [one["image_id"] for one in content["annotations"]] == [1, 2]
    for one in content["annotations"]:  # in the square of 120 px in the middle of 160
        left, _, width, _ = one["bbox"]
        assert 20 <= left < left + width <= 140


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photos", "--every", 2), "--every: goes with a video only"),
        (("photos", "--detector", "none", "--max-hands", 1), "--max-hands: goes without --detector none"),
        (("film.mp4", "--skip-bad"), "--skip-bad: goes with pictures only"),
        (("film.mp4", "--detector", "none"), "a video needs a detector"),
    ],
)
def test_what_means_nothing_is_refused(photos, words, said, monkeypatch):
    monkeypatch.chdir(photos.parent)
    (photos.parent / "film.mp4").write_bytes(b"a film")
    result = CliRunner().invoke(group, ["label", *map(str, words)])
    assert result.exit_code == 2
    assert said in result.output


def test_an_unknown_detector_is_told_with_what_there_is(photos):
    result = CliRunner().invoke(group, ["label", str(photos), "--detector", "nosuch"])
    assert "--detector: expected one of spotter, none, got 'nosuch'" in str(result.exception)


def test_what_is_not_there_is_told(tmp_path):
    result = CliRunner().invoke(group, ["label", str(tmp_path / "nothing")])
    assert "expected a folder of pictures, a picture or a video, got nothing there" in str(result.exception)


@pytest.mark.usefixtures("sure")
def test_a_label_file_elsewhere_is_imported_as_label_says(photos, tmp_path):
    said = run("label", photos, "--out", tmp_path / "elsewhere/l.json", "--device", "cpu").stderr
    words = said.split("next: handdata ")[1].split()
    run(*words, "--out", tmp_path / "shards")
    assert len(hd.open(tmp_path / "shards")) == 2


def test_labels_that_somebody_made_are_not_replaced_and_its_own_are(photos):
    run("label", photos, "--device", "cpu")
    run("label", photos, "--device", "cpu")
    mine = b'{"images": [], "annotations": [], "info": {"description": "clicked for a week"}}'
    (photos / "labels.json").write_bytes(mine)
    result = CliRunner().invoke(group, ["label", str(photos), "--device", "cpu"])
    assert "labels.json: expected no file, or one as label wrote it, got another one." in str(result.exception)
    assert (photos / "labels.json").read_bytes() == mine


def _corrected_elsewhere(path):
    """One point moved by a program that keeps `info`, as annotation tools do."""
    content = json.loads(path.read_text())
    content["annotations"][0]["keypoints"][9] += 1
    path.write_text(json.dumps(content, indent=2))


def _picture_added(path):
    content = json.loads(path.read_text())
    content["images"].append(content["images"][0] | {"id": 9, "file_name": "c.png"})
    path.write_text(json.dumps(content))


def _corrected_here(path):
    """One point dragged in our annotator, which was told to write to the same file."""
    task = of_labels(path)
    session = PointSession(task.pictures, path, linked=False)
    session.import_marks(read_labels(path, task.pictures))
    session.place(0, 0, {3: (50.0, 60.0)})
    session.accept(0, 1)
    session.close()


def _hash_lost(path):
    """Nobody can say whether it was corrected."""
    content = json.loads(path.read_text())
    del content["info"]["labels_sha256"]
    path.write_text(json.dumps(content))


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize(
    ("change", "got"),
    [
        (_corrected_elsewhere, "one whose labels were changed since"),
        (_picture_added, "one whose labels were changed since"),
        (_corrected_here, "another one"),
        (_hash_lost, "one whose labels were changed since"),
    ],
)
def test_labels_that_somebody_corrected_are_not_replaced(photos, change, got):
    run("label", photos, "--device", "cpu")
    change(photos / "labels.json")
    corrected = (photos / "labels.json").read_bytes()
    result = CliRunner().invoke(group, ["label", str(photos), "--device", "cpu"])
    assert str(result.exception) == (
        f"{photos / 'labels.json'}: expected no file, or one as label wrote it, got {got}. "
        "Give another --out, or move that file away."
    )
    assert (photos / "labels.json").read_bytes() == corrected


@pytest.mark.usefixtures("sure")
def test_labels_that_were_only_laid_out_anew_are_replaced(photos):
    run("label", photos, "--device", "cpu")
    content = json.loads((photos / "labels.json").read_text())
    (photos / "labels.json").write_text(json.dumps(content, indent=2, sort_keys=True))
    run("label", photos, "--device", "cpu")
    assert json.loads((photos / "labels.json").read_text()) == content


@pytest.mark.usefixtures("sure")
def test_a_point_that_somebody_calls_hidden_is_imported_so(photos, tmp_path):
    run("label", photos, "--device", "cpu")
    content = json.loads((photos / "labels.json").read_text())
    content["annotations"][0]["keypoints"][3 * 5 + 2] = 1
    (photos / "labels.json").write_text(json.dumps(content))
    run("import", photos / "labels.json", "--root", photos, "--out", tmp_path / "shards", "--split-by", "train")
    assert hd.open(tmp_path / "shards")[0].visible.tolist() == [-1] * 5 + [0] + [-1] * 15


def test_a_damaged_picture_is_told_with_what_can_be_done(photos):
    (photos / "c.jpg").write_text("hello")
    said = str(CliRunner().invoke(group, ["label", str(photos), "--device", "cpu"]).exception)
    assert said.endswith("Save it again, or pass --skip-bad to leave it out.")


def test_a_point_beyond_the_picture_is_not_called_visible():
    uv = np.tile([80.0, 60.0], (21, 1))
    uv[:3] = (-4.0, 60.0), (159.4, 60.0), (80.0, 119.6)
    labels = LabelFile(0.3)
    labels.add("a.png", (160, 120), [Hand(image=np.zeros((120, 160, 3), np.uint8), side="left", keypoints_2d=uv)])
    assert labels.annotations[0]["keypoints"][2::3] == [1, 2, 1, *[2] * 18]


@pytest.mark.usefixtures("sure")
def test_frames_of_another_film_are_not_replaced_under_their_labels(photos, tmp_path):
    for name, level in (("a", 120), ("b", 60)):
        with video_writer(tmp_path / f"{name}.mp4", 25) as add:
            for _ in range(3):
                add(np.full((120, 160, 3), level, np.uint8))
    run("label", tmp_path / "a.mp4", "--out", tmp_path / "out/a.json")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out/frames").iterdir()}
    refused = CliRunner().invoke(group, ["label", str(tmp_path / "b.mp4"), "--out", str(tmp_path / "out/b.json")])

    assert str(refused.exception).startswith(
        f"{tmp_path}/out/frames/000000.jpg: expected no picture, or this very frame, got another one."
    )
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/frames").iterdir()} == before
    assert not (tmp_path / "out/b.json").exists()
    run("label", tmp_path / "a.mp4", "--out", tmp_path / "out/a.json")


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize("by", ["a person", "another label"])
def test_labels_go_beside_a_file_that_was_written_while_it_worked(photos, tmp_path, monkeypatch, was_there, by):
    from handdata.model.model import Model

    target = photos / "labels.json"
    run("label", photos / "a.png", "--device", "cpu", "--out", tmp_path / "other.json", "--hand", "right")
    other = (tmp_path / "other.json").read_text()
    if was_there:
        run("label", photos, "--device", "cpu")
    theirs = other.replace('"iscrowd": 0', '"iscrowd": 1') if by == "a person" else other
    (photos / "labels-2.json").write_text("of somebody")
    found = Model._find

    def find(self, *arguments):
        target.write_text(theirs)
        return found(self, *arguments)

    monkeypatch.setattr(Model, "_find", find)
    refused = CliRunner().invoke(group, ["label", str(photos), "--device", "cpu"])

    assert str(refused.exception) == (
        f"{target}: expected the file as it was when this began, got one that somebody wrote meanwhile. "
        f"The labels of this run are in {photos}/labels-3.json; compare them."
    )
    assert refused.exit_code == 1
    assert target.read_text() == theirs
    assert (photos / "labels-2.json").read_text() == "of somebody"
    assert len(json.loads((photos / "labels-3.json").read_text())["annotations"]) == 2
    assert f"next: handdata import {photos}/labels-3.json" in refused.stderr


@pytest.mark.usefixtures("sure")
def test_labels_go_beside_a_file_that_is_being_written(photos, monkeypatch):
    from handdata.model.model import Model

    found, held = Model._find, ExitStack()

    def find(self, *arguments):
        held.pop_all().close()
        held.enter_context(whole(photos / "labels.json"))
        return found(self, *arguments)

    monkeypatch.setattr(Model, "_find", find)
    with held:
        refused = CliRunner().invoke(group, ["label", str(photos), "--device", "cpu"])

    assert f"The labels of this run are in {photos}/labels-2.json" in str(refused.exception)
    assert len(json.loads((photos / "labels-2.json").read_text())["annotations"]) == 2


def test_labels_do_not_get_another_ending(photos, tmp_path):
    """They are COCO's JSON, which nothing reads as a CSV."""
    result = CliRunner().invoke(group, ["label", str(photos), "--out", str(tmp_path / "labels.csv")])

    assert result.exit_code == 2
    assert "labels.csv does not end in .json." in result.output
    assert not (tmp_path / "labels.csv").exists()
