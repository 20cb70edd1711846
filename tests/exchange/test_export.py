"""Exports hold the shards' canvases and labels, in the words of the other program."""

import concurrent.futures
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.check.diff import compare
from handdata.check.verify import verify
from handdata.cli import group
from handdata.conversion.recut import recut
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.errors import BusyError, ConfigError, DataError, WriteError
from handdata.exchange import formats, in_parts
from handdata.exchange.export import FORMATS, export
from handdata.exchange.pictures import ExportView, file_key
from handdata.exchange.plain import labels_on_canvas, plain_labels
from handdata.exchange.webdataset import tar_end, tar_member
from handdata.files.locks import alone
from handdata.files.whole import file_sha256
from handdata.geometry import apply_affine, project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS
from handdata.workers import Helpers
from tests.check.made_dataset import make_dataset, rewrite
from tests.converters.conftest import plan_of


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


def test_a_new_format_is_a_module_and_a_line(dataset, tmp_path, monkeypatch):
    """Its line in FORMATS is all: the command offers it, and the card says how it is opened."""

    def write(view, out):
        (out / f"{view.split}.toy").write_text("\n".join(view.data["id"].tolist()))

    toy = formats.Format(name="toy", write=write, files=lambda view: [f"{view.split}.toy"], load="read(FIRST.toy)")
    monkeypatch.setitem(formats.FORMATS, "toy", toy)
    monkeypatch.setitem(formats.WRITERS, "toy", write)

    words = ["export", str(dataset.folder), "--format", "toy", "--out", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(group, words, catch_exceptions=False)

    assert done.stdout == f"30 samples -> {tmp_path / 'out'}\n"
    assert "- To read it: `read(train.toy); likewise val`" in (tmp_path / "out/README.md").read_text()
    assert "toy" in CliRunner().invoke(group, ["export", "--help"]).stdout


def test_the_modules_of_formats_are_not_imported_for_the_list_of_commands():
    code = "import sys, handdata.cli.export; print('handdata.exchange.formats' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_format_that_is_written_says_how_it_is_opened(kind):
    assert formats.FORMATS[kind].load


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
    import webdataset

    export(dataset, tmp_path, "webdataset")

    samples = list(webdataset.WebDataset(str(tmp_path / "train-000000.tar"), shardshuffle=False))

    assert len(samples) == 20
    assert {"png", "json"} <= set(samples[0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the tar open
def test_hamers_labels_are_read_by_webdataset_under_its_names(dataset, tmp_path):
    import webdataset

    export(dataset, tmp_path, "hamer")

    tar = webdataset.WebDataset(str(tmp_path / "train-000000.tar"), shardshuffle=False).decode("rgb8")
    samples = {sample["json"]["sample_id"]: sample for sample in tar}
    assert set(samples) == set(dataset.split("train")["id"])
    for hand in dataset[:3]:
        (told,) = samples[hand.id]["data.pyd"]
        np.testing.assert_array_equal(samples[hand.id]["png"], hand.image)
        known = hand.annotated_2d
        np.testing.assert_allclose(told["keypoints_2d"][known], np.c_[hand.keypoints_2d, np.ones(21)][known], rtol=1e-6)
        np.testing.assert_array_equal(told["keypoints_2d"][~known], 0)
        np.testing.assert_allclose(told["keypoints_3d"][:, :3] * 1000, hand.keypoints_3d, rtol=1e-6)
        np.testing.assert_allclose(told["center"] + 0.5, (hand.crop_box[:2] + hand.crop_box[2:]) / 2, rtol=1e-6)
        np.testing.assert_allclose(told["scale"] * 200, np.ptp(hand.crop_box.reshape(2, 2), axis=0), rtol=1e-6)
        assert (told["has_hand_pose"], told["has_betas"], told["right"]) == (0, 0, float(hand.side == "right"))
        assert {value.dtype for value in told.values() if isinstance(value, np.ndarray)} == {np.dtype(np.float32)}
    assert b"numpy._core" not in (tmp_path / "train-000000.tar").read_bytes()  # HaMeR runs with NumPy 1


def test_hamer_gets_no_hand_of_unknown_side(tmp_path, capsys):
    folder = make_dataset(tmp_path / "made", count=10)

    def change(rows, split):
        rows[0]["hand_side"] = 2

    rewrite(folder, change)
    data = open_dataset(folder)

    written = export(data, tmp_path / "out", "hamer")

    assert written == (data["side"] != "unknown").sum() < len(data)
    assert "which hamer cannot hold without a known side: " in capsys.readouterr().err


def test_a_format_that_holds_none_of_the_hands_is_refused(tmp_path):
    folder = make_dataset(tmp_path / "made", count=10)

    def change(rows, split):
        for row in rows:
            row["hand_side"] = 2

    rewrite(folder, change)

    with pytest.raises(ConfigError, match="export as hamer: expected hands with a known side, got none of 10"):
        export(open_dataset(folder), tmp_path / "out", "hamer")
    assert not (tmp_path / "out").exists()


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
    assert images[0].find("box") is None  # it follows from the points


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
    names = ["README.md", "contact_sheet.jpg", "handdata-export.json", "images", "val.xml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--root", "."], "are for --pictures source"),
        (["--annotations", "."], "are for --pictures source"),
        (["--pictures", "source", "--annotations", "."], "are for shards of imported labels, not of made"),
        (["--pictures", "source", "--pictures", "jpg"], "keep their own encoding"),
    ],
)
def test_options_that_would_change_nothing_are_refused(dataset, tmp_path, more, told):
    result = CliRunner().invoke(group, ["export", str(dataset.folder), "--out", str(tmp_path / "out"), *more])

    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_yolo_counts_hands_without_a_point_in_their_picture(tmp_path, capsys):
    folder = make_dataset(tmp_path / "made", count=6)

    def change(rows, split):
        for row in rows[:1]:
            row["keypoints_2d"], row["in_frame"] = row["keypoints_2d"] - 5000, np.zeros(21, bool)

    rewrite(folder, change)
    data = open_dataset(folder)
    outside = data["id"][~data["in_frame"].any(1)].tolist()

    assert export(data, tmp_path / "out", "yolo") == 6 - len(outside)

    told = capsys.readouterr().err
    assert "which yolo cannot hold without a labelled point in the picture: " in told
    assert outside
    assert all(name in told for name in outside)
    empty = [path.stem for path in (tmp_path / "out/labels").rglob("*.txt") if not path.read_text()]
    assert sorted(empty) == sorted(map(file_key, outside))


def test_yolo_says_where_training_and_validation_are_one(dataset, tmp_path):
    told = "# train and val are the same pictures"
    export(dataset.split("val"), tmp_path / "val", "yolo", limit=2)
    export(dataset, tmp_path / "all", "yolo", limit=2)

    assert told in (tmp_path / "val/data.yaml").read_text()
    assert told not in (tmp_path / "all/data.yaml").read_text()


# ------------------------------------------------------------------------------------------------ what stays, what goes


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_stale_stays_and_nothing_foreign_goes(dataset, tmp_path, kind):
    export(dataset, tmp_path / "fresh", kind, limit=2)
    export(dataset, tmp_path / "again", "yolo")
    (tmp_path / "again" / "images" / "train" / "mine.txt").write_text("mine")

    export(dataset, tmp_path / "again", kind, limit=2)

    fresh, again = (
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("fresh", "again")
    )
    assert {str(path) for path in again - fresh} == {"images/train/mine.txt"}
    assert fresh <= again


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("coco", "annotations/train.json"),
        ("cvat", "train.xml"),
        ("csv", "train.csv"),
        ("mediapipe", "train.json"),
        ("yolo", "labels/train/*.txt"),
    ],
)
def test_labels_that_were_corrected_since_they_were_exported_stay(dataset, tmp_path, kind, labels):
    export(dataset, tmp_path, kind, limit=2)
    path = next(iter(sorted(tmp_path.glob(labels))))
    export(dataset, tmp_path, kind, limit=2)  # nothing was changed
    path.write_text(path.read_text() + " ")
    before = {one: one.read_bytes() for one in sorted(tmp_path.rglob("*")) if one.is_file()}

    for again in (kind, "parquet"):
        with pytest.raises(ConfigError, match="expected labels as they were exported, got changed ones") as refusal:
            export(dataset, tmp_path, again, limit=2)
        assert str(refusal.value).startswith(str(path))
    export(dataset.split("val"), tmp_path, kind, limit=2)

    after = {one: one.read_bytes() for one in before if one.is_file()}
    assert after[path] == before[path]
    path.unlink()  # given up
    export(dataset, tmp_path, kind, limit=2)


def test_another_split_of_an_earlier_export_stays(dataset, tmp_path):
    export(dataset.split("train"), tmp_path, "coco", limit=2)
    export(dataset.split("val"), tmp_path, "coco", limit=2)

    assert {path.name for path in (tmp_path / "annotations").iterdir()} == {"train.json", "val.json"}
    assert "| train | 2 |" in (tmp_path / "README.md").read_text()


def test_no_folder_of_an_earlier_format_or_split_is_left(dataset, tmp_path):
    """YOLO's data.yaml names the splits whose folders are there."""
    export(dataset, tmp_path, "yolo")
    (tmp_path / "labels/train/mine.txt").write_text("mine")

    export(dataset.split("train"), tmp_path, "coco", limit=2)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"annotations", "images", "labels"}
    (tmp_path / "labels/train/mine.txt").unlink()
    (tmp_path / "labels/train").rmdir()
    export(dataset, tmp_path, "coco", limit=2)

    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"annotations", "images"}


def test_a_record_that_names_foreign_files_removes_none(dataset, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    record = {"splits": {"train": {"files": ["../mine.txt"]}, "gone": {"files": ["/etc/hosts"]}}}
    (tmp_path / "out" / "handdata-export.json").write_text(json.dumps(record))

    with pytest.raises(DataError, match=r"expected the files of a split, below that folder, got something else"):
        export(dataset, tmp_path / "out", "csv", limit=2)

    assert (tmp_path / "mine.txt").is_file()


@pytest.mark.parametrize(
    "kind", ["coco", *(pytest.param(one, marks=pytest.mark.thorough) for one in FORMATS if one != "coco")]
)
def test_any_number_of_workers_writes_the_same_bytes(dataset, tmp_path, kind, monkeypatch):
    by_others = with_small_parts(monkeypatch)
    for name, count in (("a", 1), ("b", 2)):
        export(dataset, tmp_path / name, kind, workers=count)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert by_others


def test_an_export_whose_further_process_is_killed_says_so_and_goes_on(dataset, tmp_path, monkeypatch):
    export(dataset, tmp_path / "whole", "coco")
    with_small_parts(monkeypatch, kills=True)
    with pytest.raises(DataError, match="expected running workers, got a killed one"):
        export(dataset, tmp_path / "out", "coco", workers=2)

    monkeypatch.undo()
    export(dataset, tmp_path / "out", "coco")

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_further_process_opens_no_shards_but_those_of_its_part(dataset, tmp_path):
    """It opens them anew for every part: all of 1,000 would take longer than making the part."""
    given = []

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def submit(self, _call, _make, part, _out):
            given.append(part)

    part = next(ExportView(data=dataset, split="train").parts(5))
    in_parts._given(Helpers(pool=Pool(), started=()), list, part, tmp_path)

    assert len(dataset.shards) > 1 == len(given[0].data.shards)
    assert given[0].data["id"].tolist() == part.data["id"].tolist()


def test_parts_are_large_but_for_the_last_hands_and_the_same_hands_in_order(dataset, monkeypatch):
    monkeypatch.setattr("handdata.exchange.pictures.PART", 2)
    monkeypatch.setattr("handdata.exchange.pictures.LARGE", 4)
    monkeypatch.setattr("handdata.exchange.pictures._LAST", 7)
    view = ExportView(data=dataset[:19], split="train")
    parts = list(view.shares())
    assert [len(part.data) for part in parts] == [4, 4, 4, 2, 2, 2, 1]
    assert [hand for part in parts for hand in part.data["id"].tolist()] == dataset["id"][:19].tolist()
    assert [len(part.data) for part in view.shares(then=7)] == [4, 4, 4, 4, 3]


def test_parquet_compresses_its_labels_and_not_its_pictures_once_more(dataset, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(dataset, tmp_path, "parquet", limit=3)
    group = parquet.ParquetFile(next(tmp_path.glob("*.parquet"))).metadata.row_group(0)
    packed = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert packed.pop("image.bytes") == "UNCOMPRESSED"
    assert set(packed.values()) == {"ZSTD"}


def test_yolo_hands_over_the_digests_of_its_files_which_are_not_read_again(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("handdata.exchange.record._digest", None)
    export(dataset, tmp_path, "yolo")
    noted = json.loads((tmp_path / "handdata-export.json").read_text())["splits"]
    told = {name: digest for facts in noted.values() for name, digest in facts["labels"].items()}
    assert told == {name: file_sha256(tmp_path / name)[:16] for name in told}
    assert len(told) == len(dataset)


def with_small_parts(monkeypatch, *, kills=False):
    """Have parts of seven hands, and wait for a further process to start; return a list of the parts it is given."""
    monkeypatch.setattr(in_parts, "PROCESSES_FROM", 0)
    monkeypatch.setattr("handdata.exchange.pictures.PART", 7)
    monkeypatch.setattr("handdata.exchange.webdataset.SAMPLES_PER_TAR", 7)
    held, give, given = in_parts.processes, in_parts._given, []

    @contextlib.contextmanager
    def started(*args):
        with held(*args) as helpers:
            if helpers is not None:
                concurrent.futures.wait(helpers.started)
            yield helpers

    def counted(helpers, make, part, out):
        given.append(part.number)
        if kills:
            for process in helpers.pool._processes.values():
                process.kill()
        return give(helpers, make, part, out)

    monkeypatch.setattr("handdata.exchange.export.processes", started)
    monkeypatch.setattr(in_parts, "_given", counted)
    return given


# ------------------------------------------------------------------------------------------------ killed


class Killed(BaseException):
    """Ends an export where it is, as a signal would."""


def kill_after(monkeypatch, count):
    """End an export at the encoding of a picture; return a list of those that were encoded."""
    from handdata.exchange import pictures

    seen, encode = [], pictures.encoded

    def counted(image, encoding):
        if len(seen) == count:
            raise Killed
        seen.append(1)
        return encode(image, encoding)

    monkeypatch.setattr(pictures, "encoded", counted)
    return seen


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_killed_export_goes_on_and_gives_the_same_bytes(dataset, tmp_path, kind, monkeypatch):
    monkeypatch.setattr("handdata.exchange.webdataset.SAMPLES_PER_TAR", 5)
    export(dataset, tmp_path / "whole", kind)
    with monkeypatch.context() as patch:
        kill_after(patch, 26)  # 20 of train, 6 of val
        with pytest.raises(Killed):
            export(dataset, tmp_path / "killed", kind)
    seen = kill_after(monkeypatch, 100)

    export(dataset, tmp_path / "killed", kind)

    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(seen) <= {"parquet": 10, "croissant": 10}.get(kind, 5)  # of the 30


def test_after_a_killed_export_another_one_leaves_nothing_stale(dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 9)
        with pytest.raises(Killed):
            export(dataset, tmp_path / "out", "coco")
    assert len(list((tmp_path / "out").rglob("*.png"))) >= 5

    export(dataset, tmp_path / "out", "csv", limit=2, picture="jpg")
    export(dataset, tmp_path / "fresh", "csv", limit=2, picture="jpg")

    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("clock_set_back_s", [0, 86_400])
def test_pictures_of_an_older_export_are_not_taken_for_those_of_the_killed_one(
    dataset, tmp_path, monkeypatch, clock_set_back_s
):
    export(dataset, tmp_path / "out", "coco", pictures="crop")
    for path in (tmp_path / "out").rglob("*"):
        later = path.stat().st_mtime + clock_set_back_s
        os.utime(path, (later, later))
    with monkeypatch.context() as patch:
        kill_after(patch, 9)
        with pytest.raises(Killed):
            export(dataset, tmp_path / "out", "coco")

    export(dataset, tmp_path / "out", "coco")
    export(dataset, tmp_path / "fresh", "coco")

    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_picture_that_a_power_cut_emptied_is_written_again(dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 9)
        with pytest.raises(Killed):
            export(dataset, tmp_path / "out", "coco")
    spoilt = sorted((tmp_path / "out").rglob("*.png"))
    spoilt[0].write_bytes(b"")
    spoilt[1].write_bytes(bytes(900))

    export(dataset, tmp_path / "out", "coco")

    np.testing.assert_array_equal(decode(spoilt[0].read_bytes()), dataset.image(0))
    np.testing.assert_array_equal(decode(spoilt[1].read_bytes()), dataset.image(1))


def test_no_picture_from_before_a_power_cut_is_taken_as_it_is(dataset, tmp_path, monkeypatch):
    """Not all of it needs to be on the disk: its end may be, and its middle not."""
    with monkeypatch.context() as patch:
        patch.setattr("handdata.exchange.record.boot", lambda: "before")
        kill_after(patch, 9)
        with pytest.raises(Killed):
            export(dataset, tmp_path / "out", "coco")
    spoilt = min((tmp_path / "out").rglob("*.png"))
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole[:100] + bytes(len(whole) - 200) + whole[-100:])

    export(dataset, tmp_path / "out", "coco")

    assert spoilt.read_bytes() == whole


# ------------------------------------------------------------------------------------------------ pictures, cards


def test_crops_are_what_a_model_is_shown(dataset, tmp_path):
    export(dataset, tmp_path, "coco", pictures="crop", limit=1)

    entry = json.loads((tmp_path / "annotations/train.json").read_text())
    hand = dataset[0].crop(64)
    assert entry["images"][0]["width"] == 64
    picture = decode((tmp_path / "images" / entry["images"][0]["file_name"]).read_bytes())
    np.testing.assert_array_equal(picture, hand.image)
    points = np.array(entry["annotations"][0]["keypoints"]).reshape(21, 3)[:8, :2]
    np.testing.assert_allclose(points, hand.keypoints_2d[:8])


def test_a_picture_as_shipped_holds_all_its_hands(tmp_path):
    """Two hands of one picture: exported as one picture with two labelled hands, and read again."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (240, 320, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "both.png"), image[..., ::-1])
    uv = {side: rng.uniform(40, 200, (21, 2)) for side in ("left", "right")}
    columns = [f"{name}_{axis}" for name in KEYPOINTS for axis in "uv"]
    rows = [f"both.png,{side},{','.join(map(str, points.ravel()))}" for side, points in uv.items()]
    (tmp_path / "labels.csv").write_text("\n".join([f"image,side,{','.join(columns)}", *rows]) + "\n")
    options = CustomOptions(annotations=tmp_path / "labels.csv", split_by="train")
    convert("custom", tmp_path, tmp_path / "shards", options=options)
    made = open_dataset(tmp_path / "shards")
    source_of = dict.fromkeys(made["id"].tolist(), tmp_path / "both.png")

    for kind in ("coco", "cvat", "yolo", "mediapipe"):
        export(made, tmp_path / kind, kind, pictures="source", source_of=source_of)

        (picture,) = (tmp_path / kind / "images/train").iterdir()
        assert picture.read_bytes() == (tmp_path / "both.png").read_bytes()
        again = CustomOptions(annotations=tmp_path / kind, side="unknown")
        convert("custom", tmp_path, tmp_path / f"{kind}-again", options=again)
        found = open_dataset(tmp_path / f"{kind}-again")["keypoints_2d"]
        np.testing.assert_allclose(found, np.stack(list(uv.values())), atol=1e-3)
    for exported in (False, True):
        assert compare(tmp_path / "shards", tmp_path / "coco-again", exported=exported, tolerance=1e-3).same
    diff = compare(tmp_path / "shards", tmp_path / "yolo-again", tolerance=1e-3)
    assert diff.common == 2
    assert "keypoints_2d" not in diff.fields


@pytest.fixture
def two_pictures(tmp_path):
    """An export for YOLO of two pictures as shipped, with two hands and with one, and the ids of these."""
    rng, columns = np.random.default_rng(0), [f"{name}_{axis}" for name in KEYPOINTS for axis in "uv"]
    rows = [f"image,side,split,{','.join(columns)}"]
    for name, side, split in (("a.png", "left", "train"), ("a.png", "right", "train"), ("b.png", "left", "val")):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (240, 320, 3), np.uint8))
        rows.append(f"{name},{side},{split},{','.join(f'{x:.1f}' for x in rng.uniform(40, 200, 42))}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    convert("custom", tmp_path, tmp_path / "shards", options=CustomOptions(annotations=tmp_path / "labels.csv"))
    data = open_dataset(tmp_path / "shards")
    ids = data["id"].tolist()
    source_of = {sample_id: tmp_path / sample_id[:5] for sample_id in ids}
    export(data, tmp_path / "yolo", "yolo", pictures="source", source_of=source_of)
    return tmp_path / "yolo", ids


def test_ids_come_back_from_rows_of_pictures_as_shipped(two_pictures):
    folder, ids = two_pictures

    assert [item.id for item in plan_of("custom", folder, annotations=folder).items] == ids
    assert ids == ["a.png/0", "a.png/1", "b.png"]

    for kind, ending in (("images", "png"), ("labels", "txt")):  # somebody splits anew
        (folder / f"{kind}/val/b%2Epng.{ending}").rename(folder / f"{kind}/train/b%2Epng.{ending}")
    assert [item.id for item in plan_of("custom", folder, annotations=folder).items] == ids


def test_a_picture_with_another_number_of_rows_has_new_ids_which_is_said(two_pictures):
    folder, _ = two_pictures
    rows = folder / "labels/train/a%2Epng.txt"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[1:]))

    plan = plan_of("custom", folder, annotations=folder)

    assert [item.id for item in plan.items] == ["images/train/a%252Epng.png", "b.png"]
    assert "new ids in 1 pictures, which have more or fewer rows" in dict(plan.readings)["format"]


@pytest.mark.parametrize("text", ['{"a%2Epng": 7}', '{"a%2Epng": [1, 2]}', "[]", "{"])
def test_damaged_ids_of_rows_are_one_line(two_pictures, refused, text):
    folder, _ = two_pictures
    (folder / "labels/train.ids.json").write_text(text)

    assert "train.ids.json" in refused(DataError, lambda: plan_of("custom", folder, annotations=folder))


def test_no_hand_of_a_picture_as_shipped_is_cut_off_unsaid(dataset, tmp_path, capsys):
    """Whoever trains a detector on a hand without its label teaches it that there is none."""
    val, image = dataset.split("val"), tmp_path / "both.png"
    width, height = val["image_size"][0].tolist()
    cv2.imwrite(str(image), np.full((height, width, 3), 90, np.uint8))
    ids = val["id"].tolist()
    source_of = {sample_id: image if number < 2 else tmp_path / "none.png" for number, sample_id in enumerate(ids)}

    assert export(val, tmp_path / "all", "coco", pictures="source", source_of=source_of, limit=1) == 2
    assert "not labelled there" not in capsys.readouterr().err
    assert export(val[:1], tmp_path / "one", "coco", pictures="source", source_of=source_of) == 1
    assert "export: val: 1 of 1 pictures show 1 hands that are not labelled there" in (told := capsys.readouterr().err)
    assert told.rstrip().endswith(ids[1])


def test_pictures_as_shipped_are_found_by_the_command(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((240, 320, 3), 90, np.uint8))
    (tmp_path / "labels.csv").write_text(
        "image,side,split,wrist_u,wrist_v,index_tip_u,index_tip_v\na.png,left,val,9,9,50,60\n"
    )
    shards, table = str(tmp_path / "shards"), str(tmp_path / "labels.csv")
    made = CliRunner().invoke(group, ["import", table, "--out", shards], catch_exceptions=False)
    assert made.exit_code == 0

    for number, named in enumerate(([], ["--annotations", table])):  # the import noted its files of labels
        asked = ["--pictures", "source", *named, "--out", str(tmp_path / f"out{number}")]
        result = CliRunner().invoke(group, ["export", shards, *asked], catch_exceptions=False)

        assert result.exit_code == 0
        picture = tmp_path / f"out{number}/images/val/a%2Epng.png"
        assert picture.read_bytes() == (tmp_path / "a.png").read_bytes()


def test_pictures_as_shipped_are_found_of_shards_that_were_cut_anew(tmp_path):
    """Of a subset, other splits, and several imports as one."""
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((240, 320, 3), 90, np.uint8))
        table = tmp_path / f"{name}.csv"
        table.write_text(f"image,side,split,wrist_u,wrist_v,index_tip_u,index_tip_v\n{name}.png,left,val,9,9,50,60\n")

    def run(*arguments):
        made = CliRunner().invoke(group, [str(part) for part in arguments], catch_exceptions=False)
        assert made.exit_code == 0, made.stderr

    for name in "ab":
        run("import", tmp_path / f"{name}.csv", "--out", tmp_path / name)
    run("subset", tmp_path / "a", "--side", "left", "--out", tmp_path / "some")
    run("merge", tmp_path / "some", tmp_path / "b", "--out", tmp_path / "both")
    run("split", tmp_path / "both", "--by", "train", "--out", tmp_path / "anew")
    run("export", tmp_path / "anew", "--pictures", "source", "--out", tmp_path / "out")

    names = sorted(path.name for path in (tmp_path / "out/images/train").iterdir())
    assert names == ["a%2Epng.png", "b%2Epng.png"]

    before = (tmp_path / "some/index.json").read_bytes()
    result = CliRunner().invoke(group, ["import", str(tmp_path / "a.csv"), "--out", str(tmp_path / "some")])
    assert result.exit_code == 1  # it would replace the subset
    assert "got 1 samples that were cut of other shards. Choose another --out" in str(result.exception)
    assert (tmp_path / "some/index.json").read_bytes() == before


@pytest.mark.parametrize("moved", [False, True])
def test_pictures_as_shipped_are_found_under_the_root_of_the_import(tmp_path, moved):
    """Named with --root when the labels were imported; also where all of it moved together since."""
    before = tmp_path / "before"
    (before / "photos").mkdir(parents=True)
    cv2.imwrite(str(before / "photos/a.png"), np.full((240, 320, 3), 90, np.uint8))
    (before / "labels").mkdir()
    (before / "labels/labels.csv").write_text(
        "image,side,split,wrist_u,wrist_v,index_tip_u,index_tip_v\na.png,left,val,9,9,50,60\n"
    )
    words = ["import", before / "labels/labels.csv", "--root", before / "photos", "--out", before / "shards"]
    assert CliRunner().invoke(group, list(map(str, words)), catch_exceptions=False).exit_code == 0
    now = before.rename(tmp_path / "now") if moved else before

    asked = ["export", str(now / "shards"), "--pictures", "source", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(group, asked, catch_exceptions=False)

    assert result.exit_code == 0
    assert (tmp_path / "out/images/val/a%2Epng.png").read_bytes() == (now / "photos/a.png").read_bytes()


def test_shards_without_a_note_of_their_labels_ask_for_them(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((240, 320, 3), 90, np.uint8))
    (tmp_path / "labels.csv").write_text("image,side,wrist_u,wrist_v,index_tip_u,index_tip_v\na.png,left,9,9,50,60\n")
    convert("custom", tmp_path, tmp_path / "shards", options=CustomOptions(annotations=tmp_path / "labels.csv"))
    (tmp_path / "labels.csv").rename(tmp_path / "renamed.csv")

    asked = ["export", str(tmp_path / "shards"), "--pictures", "source", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(group, asked)

    assert str(result.exception) == (
        "--pictures source: expected the files of labels that these shards were made of, got none noted that is there. "
        "Name them with --annotations, and the folder of their pictures with --root."
    )


def test_pictures_of_published_datasets_are_exported_by_who_may(tmp_path):
    folder = make_dataset(tmp_path / "made", count=10)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"origin": "published", "dataset": "rhd"}))
    data = open_dataset(folder)

    with pytest.raises(ConfigError, match="--i-may-share"):
        export(data, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    export(data, tmp_path / "out", "coco", i_may_share=True)

    licences = json.loads((tmp_path / "out/annotations/train.json").read_text())["licenses"]
    assert licences[0]["name"] == "research only"
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\npretty_name: ")
    assert "license: other\nlicense_name: research-only" in card
    assert "Zimmermann" in card
    assert decode((tmp_path / "out/contact_sheet.jpg").read_bytes()) is not None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("hand_side", 7, "[hand_side]: expected 0 to 2, got 7"),
        ("sequence", 250, "[sequence]: expected 0 to 2, got 250"),
        ("camera", 9, "[camera]: expected 0 to 0, got 9"),
        ("sample_id", b"\xff\xfe/a", "ASCII, got b'\\xff\\xfe/a'"),
    ],
)
def test_damaged_labels_are_one_line_and_found(tmp_path, name, value, told):
    """The rows are whole by their hashes: another program wrote them."""
    folder = make_dataset(tmp_path / "made", count=40)

    def change(rows, split):
        rows[4][name] = value  # the contact sheet does not show it

    rewrite(folder, change)
    for kind in ("coco", "webdataset", "cvat"):
        with pytest.raises(DataError) as caught:
            export(open_dataset(folder), tmp_path / kind, kind)
        assert told in str(caught.value)
    assert verify(folder).findings


# ------------------------------------------------------------------------------------------------ quick ways


def test_labels_of_many_canvases_are_those_of_each_hand(dataset):
    assert list(labels_on_canvas(dataset)) == [plain_labels(hand) for hand in dataset]


@pytest.mark.parametrize("sizes", [(0, 1, 511, 512, 513), (8704,), (9216,), (9217,), (9728,)])
def test_a_tar_is_that_of_pythons_own_writer(sizes, tmp_path):
    names = ["a.png", "n" * 100, "folder/" * 20 + "a.json", "b.json", "c.png"]
    path = tmp_path / "theirs.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, size in zip(names, sizes, strict=False):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(b"x" * size))

    ours = b"".join(tar_member(name, b"x" * size) for name, size in zip(names, sizes, strict=False))

    assert ours + tar_end(len(ours)) == path.read_bytes()


def test_hands_of_one_id_would_have_one_picture(dataset, tmp_path):
    with pytest.raises(DataError, match=r"expected each id once, got .* twice"):
        export(dataset + dataset, tmp_path / "out", "coco")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": -3}, {"workers": 0}])
def test_counts_below_one_are_refused(dataset, tmp_path, asked):
    with pytest.raises(ValueError, match="limit and workers are 1 or more"):
        export(dataset, tmp_path / "out", "coco", **asked)


def test_pictures_as_shipped_of_a_merged_dataset_are_to_be_had_from_its_parts(tmp_path):
    recut(open_dataset(make_dataset(tmp_path / "made", count=6)), tmp_path / "both", name="both")

    asked = ["export", str(tmp_path / "both"), "--pictures", "source", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(group, asked)

    assert str(result.exception) == (
        "--pictures source: expected shards of a conversion, got both, which no converter made. "
        "Export each dataset that it was merged from by itself, or take --pictures canvas."
    )


@pytest.mark.parametrize("asked", [{"limit": 1.5}, {"workers": 1.5}, {"workers": np.array(2.0)}])
def test_counts_that_are_no_whole_numbers_are_refused(dataset, tmp_path, asked):
    with pytest.raises(TypeError, match="integer"):
        export(dataset, tmp_path / "out", "coco", **asked)

    assert not (tmp_path / "out").exists()
