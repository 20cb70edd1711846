"""The programs that exports are for read them (extra `exchange-test`); datumaro and supervision in .venv-exchange."""

import contextlib
import io

import numpy as np
import pytest

from handdata.exchange.export import export
from handdata.shards.dataset import open_dataset
from tests.check.made_dataset import make_dataset
from tests.exchange.other_programs import read_elsewhere

HANDS = 20  # of the training split


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(make_dataset(tmp_path_factory.mktemp("made") / "made", count=30))


@pytest.mark.filterwarnings("ignore")
def test_pycocotools_scores_the_truth_against_itself_with_1(dataset, tmp_path):
    from pycocotools import coco, cocoeval

    export(dataset, tmp_path, "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(tmp_path / "annotations/train.json"))
        rows = truth.loadAnns(truth.getAnnIds())
        kept = ("image_id", "category_id", "keypoints")
        found = truth.loadRes([{**{key: row[key] for key in kept}, "score": 1.0} for row in rows])
        judge = cocoeval.COCOeval(truth, found, "keypoints")
        judge.params.kpt_oks_sigmas = np.full(21, 0.05)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()

    assert len(rows) == HANDS
    assert judge.stats[0] == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_parquet_with_its_pictures(dataset, tmp_path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):  # it asks nobody
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets

    export(dataset, tmp_path / "out", "parquet")

    files = {"train": str(tmp_path / "out/train.parquet")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]

    assert len(loaded) == HANDS
    np.testing.assert_array_equal(np.asarray(loaded[0]["image"]), dataset.image(0))
    assert np.array(loaded[0]["keypoints_2d"]).shape == (21, 2)


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_finds_no_error_and_reads_the_records(dataset, tmp_path):
    import mlcroissant

    export(dataset, tmp_path, "croissant")

    told = mlcroissant.Dataset(str(tmp_path / "croissant.json"))
    assert not told.metadata.ctx.issues.errors
    record = next(iter(told.records("train")))

    np.testing.assert_array_equal(np.asarray(record["train/image"]), dataset.image(0))
    assert record["train/sample_id"] in (dataset[0].id, dataset[0].id.encode())
    np.testing.assert_allclose(np.reshape(record["train/keypoints_2d"], (21, 2)), dataset[0].keypoints_2d)
    assert len(list(told.records("val"))) == len(dataset) - HANDS


@pytest.mark.parametrize("kind", ["coco", "cvat"])
def test_datumaro_finds_the_pictures_and_their_points(dataset, tmp_path, kind):
    export(dataset, tmp_path, kind)

    found = read_elsewhere("datumaro", kind, tmp_path)

    assert found["sizes"] == [[*dataset.image(0).shape]] * HANDS
    points = np.reshape(found["points"], (HANDS, 21, 2))[0]
    of_cvat = 0.5 if kind == "cvat" else 0  # it counts from the edge of a picture
    np.testing.assert_allclose(points - of_cvat, dataset[0].keypoints_2d, atol=0.006)  # datumaro rounds to 0.01


def test_supervision_reads_yolo_rows(dataset, tmp_path):
    export(dataset, tmp_path, "yolo")

    found = read_elsewhere("supervision", "yolo", tmp_path)

    assert found["classes"] == ["hand"]
    assert found["sizes"] == [[*dataset.image(0).shape]] * HANDS
    assert [len(boxes) for boxes in found["boxes"]] == [1] * HANDS
