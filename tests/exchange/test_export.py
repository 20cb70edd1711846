"""Exports hold the shards' canvases and labels, in the words of the other program."""

import json
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import BusyError, WriteError
from handdata.exchange.export import FORMATS, export
from handdata.exchange.pictures import file_key
from handdata.files.locks import alone
from handdata.geometry import apply_affine, project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS

sys.path.insert(0, str(Path(__file__).parents[1] / "check"))
from made_dataset import make_dataset, rewrite


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = make_dataset(tmp_path_factory.mktemp("made") / "made", count=30)

    def change(rows, split):
        for row in rows:
            row["visible"] = np.where(np.arange(21) == 3, 0, -1).astype(np.int8)
        rows[0]["keypoints_2d"] = np.where(np.arange(21)[:, None] == 8, np.nan, rows[0]["keypoints_2d"])
        rows[0]["annotated_2d"] = np.arange(21) != 8
        rows[0]["in_frame"] = rows[0]["in_frame"] & rows[0]["annotated_2d"]

    rewrite(folder, change)
    return open_dataset(folder)


def in_canvas(dataset):
    return apply_affine(dataset["source_to_canvas"], dataset["keypoints_2d"])


def decode(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_coco_holds_every_sample_with_its_picture(dataset, tmp_path):
    assert export(dataset, tmp_path, "coco") == 30

    coco = json.loads((tmp_path / "annotations" / "train.json").read_text())
    assert len(coco["images"]) == len(coco["annotations"]) == 20
    assert coco["categories"][0]["keypoints"] == list(KEYPOINTS)
    for number in (0, 19):
        picture = decode((tmp_path / "images" / coco["images"][number]["file_name"]).read_bytes())
        np.testing.assert_array_equal(picture, dataset.image(number))
        assert coco["annotations"][number]["image_id"] == coco["images"][number]["id"]


def test_coco_keypoints_are_in_pixels_of_the_picture_with_their_flag(dataset, tmp_path):
    export(dataset, tmp_path, "coco")

    annotation = json.loads((tmp_path / "annotations" / "train.json").read_text())["annotations"][0]
    points = np.array(annotation["keypoints"]).reshape(21, 3)

    expected = in_canvas(dataset)[0]
    assert points[8].tolist() == [0, 0, 0]  # not labelled
    np.testing.assert_allclose(np.delete(points[:, :2], 8, 0), np.delete(expected, 8, 0))
    assert points[3, 2] == 1  # hidden
    assert points[4, 2] == 2
    assert annotation["num_keypoints"] == 20


def test_coco_3d_projects_onto_its_keypoints(dataset, tmp_path):
    export(dataset, tmp_path, "coco", limit=1)

    annotation = json.loads((tmp_path / "annotations" / "val.json").read_text())["annotations"][0]
    uv = project(np.array(annotation["keypoints_3d"]), np.array(annotation["K"]))

    known = np.arange(21) != 8
    np.testing.assert_allclose(uv[known], np.array(annotation["keypoints"]).reshape(21, 3)[known, :2], atol=0.01)


def test_coco_boxes_hold_the_keypoints(dataset, tmp_path):
    export(dataset, tmp_path, "coco")

    annotation = json.loads((tmp_path / "annotations" / "train.json").read_text())["annotations"][5]
    left, top, width, height = annotation["bbox"]

    points = in_canvas(dataset)[5] + 0.5
    np.testing.assert_allclose([left, top], points.min(0))
    np.testing.assert_allclose([left + width, top + height], points.max(0))
    assert annotation["area"] == pytest.approx(width * height)


@pytest.mark.parametrize("picture", ["png", "jpg"])
def test_webdataset_reads_back(dataset, tmp_path, picture):
    export(dataset, tmp_path, "webdataset", picture=picture)

    with tarfile.open(tmp_path / "val-000000.tar") as tar:
        names = tar.getnames()
        first = decode(tar.extractfile(names[0]).read())
        labels = json.loads(tar.extractfile(names[1]).read())
    assert len(names) == 20
    assert [name.split(".")[0] for name in names[:2]] == ["c__0020", "c__0020"]
    assert np.abs(first.astype(int) - dataset.image(20)).mean() < (0.01 if picture == "png" else 8)
    assert labels["sample_id"] == "c/0020"
    np.testing.assert_allclose(np.array(labels["keypoints_2d"][0]), in_canvas(dataset)[20][0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the tar open
def test_webdataset_itself_reads_the_tar(dataset, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    export(dataset, tmp_path, "webdataset")

    samples = list(webdataset.WebDataset(str(tmp_path / "train-000000.tar"), shardshuffle=False))

    assert len(samples) == 20
    assert {"png", "json"} <= set(samples[0])


def test_cvat_has_a_skeleton_a_picture(dataset, tmp_path):
    export(dataset, tmp_path, "cvat")

    images = ElementTree.parse(tmp_path / "train.xml").getroot().findall("image")
    points = images[0].find("skeleton").findall("points")

    assert len(images) == 20
    assert images[0].find("skeleton").get("label") == "left_hand"
    assert [point.get("label") for point in points] == list(KEYPOINTS)
    assert points[8].get("outside") == "1"
    assert points[3].get("occluded") == "1"
    u, v = (float(number) for number in points[4].get("points").split(","))
    np.testing.assert_allclose([u - 0.5, v - 0.5], in_canvas(dataset)[0][4], atol=0.006)


@pytest.mark.parametrize("kind", FORMATS)
def test_exporting_twice_gives_the_same_bytes(dataset, tmp_path, kind):
    for name in "ab":
        export(dataset, tmp_path / name, kind)

    first, second = (
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "a", tmp_path / "b")
    )
    assert first == second != {}


@pytest.mark.parametrize("kind", FORMATS)
def test_no_partial_files_stay(dataset, tmp_path, kind):
    export(dataset, tmp_path, kind, limit=2)

    assert list(tmp_path.rglob("*.partial")) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(dataset, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(WriteError, match="file: expected a folder that can be written, got File exists"):
        export(dataset, tmp_path / "file", "coco")


def test_a_second_export_to_a_folder_is_refused_while_the_first_works(dataset, tmp_path):
    with alone(tmp_path / "out", "export"), pytest.raises(BusyError, match="out: expected a folder that is not in use"):
        export(dataset, tmp_path / "out", "coco")


def test_samples_that_differ_in_a_separator_have_names_that_differ():
    ids = ["a.b", "a-b", "x/y", "x__y", "x_/y", "x/_y", "Grasp1/0001"]

    names = [file_key(name) for name in ids]

    assert len(set(names)) == len(ids)
    assert names[-1] == "Grasp1__0001"


def test_the_command(dataset, tmp_path):
    arguments = ["export", dataset.folder, "--split", "val", "--limit", 3, "--format", "cvat", "--out", tmp_path]

    result = CliRunner().invoke(group, [str(argument) for argument in arguments])

    assert (result.exit_code, result.stdout) == (0, f"3 samples -> {tmp_path}\n")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["images", "val.xml"]
