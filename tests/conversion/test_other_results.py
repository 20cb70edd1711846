"""Predictions of other programs find their samples: COCO results, pickles of mmpose; exported and foreign files."""

import contextlib
import io
import json
import pickle
import re
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools.coco import COCO

from handdata.cli import group
from handdata.conversion.other_results import predictions_behind, read_any_predictions
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation.results import read_results
from handdata.evaluation.score import score_predictions
from handdata.exchange.export import export
from handdata.shards.dataset import open_dataset
from handdata.skeleton import KEYPOINTS
from tests.check.made_dataset import make_dataset
from tests.converters import real
from tests.evaluation.test_precision import judged


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a dataset, its exported labels, and results that are off by some pixels of the exported pictures."""
    folder = tmp_path_factory.mktemp("results")
    dataset = open_dataset(make_dataset(folder / "made", count=30))
    export(dataset, folder / "coco", "coco")
    labels = folder / "coco/annotations/val.json"
    rng, results = np.random.default_rng(1), []
    for entry in json.loads(labels.read_text())["annotations"]:
        points = np.array(entry["keypoints"]).reshape(21, 3)
        points[:, :2] += rng.normal(0, rng.uniform(0, 5), (21, 2))
        given = {"image_id": entry["image_id"], "category_id": 1, "keypoints": points.ravel().tolist()}
        results.append({**given, "score": float(rng.random())})
    (folder / "results.json").write_text(json.dumps(results))
    return dataset, labels, folder / "results.json"


def by_pycocotools(labels, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
    return judged(truth, str(results))


@pytest.mark.filterwarnings("ignore")
def test_the_command_gives_the_precision_of_pycocotools(exported, tmp_path):
    dataset, labels, results = exported
    options = ["--annotations", labels, "--shards", dataset.folder, "--out", tmp_path / "scores.json", "--json"]

    run = CliRunner().invoke(group, [str(word) for word in ["evaluate", "--predictions", results, *options]])

    assert run.exit_code == 0, run.output
    found = {row["protocol"]: row for row in json.loads(run.stdout)["scores"] if row["split"] == "val"}
    expected = by_pycocotools(labels, results)
    assert 0.05 < expected[0] < 0.95
    for name, place in {"oks_ap:50_95": 0, "oks_ap:50": 1, "oks_ap:75": 2, "oks_ap:recall": 5}.items():
        assert found[name]["value"] == pytest.approx(expected[place], abs=1e-4)  # float32 shards
    assert found["epe_px:mean"]["labels"] == 10 * 21


@pytest.mark.parametrize("elsewhere", ["", "other"], ids=["moved", "where another file has its name"])
def test_the_worst_of_other_programs_results_are_found_from_another_folder(exported, tmp_path, monkeypatch, elsewhere):
    """The paths were given in the folder of the results; what lies where the user is now is somebody else's."""
    dataset, labels, results = exported
    home = tmp_path / "first/results"
    (home / "other").mkdir(parents=True)
    shutil.copytree(labels.parents[1], tmp_path / "first/coco")
    rows = json.loads(results.read_text())
    (home / "r.json").write_text(json.dumps(rows))
    (home / "other/r.json").write_text(json.dumps(rows[::-1][:3]))
    monkeypatch.chdir(home)
    named = ["--annotations", "../coco/annotations/val.json", "--shards", dataset.folder, "--split", "val"]
    assert call("evaluate", "--predictions", "r.json", *named).exit_code == 0
    expected = worst_of("r.results.json", dataset, tmp_path / "here")

    if elsewhere:
        monkeypatch.chdir(home / elsewhere)
    else:
        (tmp_path / "first").rename(tmp_path / "second")
        home = tmp_path / "second/results"
        monkeypatch.chdir(tmp_path)

    assert worst_of(home / "r.results.json", dataset, tmp_path / "there") == expected
    (home.parent / "coco/annotations/val.json").unlink()
    with pytest.raises(MissingError, match="expected the labels that the predictions count by, got no file"):
        worst_of(home / "r.results.json", dataset, tmp_path / "gone")


def call(*words):
    return CliRunner().invoke(group, [str(word) for word in words])


def worst_of(scores, dataset, out):
    run = call("subset", dataset.folder, "--errors", scores, "--worst", 5, "--out", out)
    if isinstance(run.exception, MissingError):
        raise run.exception
    assert run.exit_code == 0, run.output
    return open_dataset(out)["id"].tolist()


def dumped(labels, *, name_the_hand=True):
    """Return what mmpose's DumpResults writes of perfect predictions."""
    content = json.loads(labels.read_text())
    return [
        {
            "id": np.int64(entry["id"]) if name_the_hand else 0,
            "img_id": entry["image_id"],
            "img_path": "somewhere.png",
            "category_id": 1,
            "pred_instances": {
                "keypoints": np.array(entry["keypoints"]).reshape(1, 21, 3)[..., :2].astype(np.float32),
                "keypoint_scores": np.full((1, 21), 0.5, np.float32),
            },
        }
        for entry in content["annotations"]
    ]


def test_a_dump_of_mmpose_is_in_pixels_of_the_pictures_as_shipped(exported, tmp_path):
    dataset, labels, _ = exported
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(dumped(labels)))

    found = read_any_predictions(tmp_path / "results.pkl", labels)

    val = dataset.split("val")
    assert sorted(found.sample_id) == sorted(val["id"].tolist())
    order = np.argsort(val["id"])
    np.testing.assert_allclose(found.keypoints_2d["given"], val["keypoints_2d"][order], atol=1e-3)
    np.testing.assert_allclose(found.score, 0.5)


@pytest.mark.parametrize("protocol", [2, pickle.DEFAULT_PROTOCOL])
def test_tensors_in_a_dump_are_passed_over_but_not_as_keypoints(exported, tmp_path, protocol):
    """mmpose's heads give numpy arrays; heatmaps and what a pipeline leaves beside them are tensors."""
    torch = pytest.importorskip("torch")
    dump = dumped(exported[1])
    for entry in dump:
        entry["pred_fields"] = {"heatmaps": torch.zeros(21, 4, 4)}
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(dump, protocol))

    assert len(read_any_predictions(tmp_path / "results.pkl", exported[1]).sample_id) == len(dump)

    dump[0]["pred_instances"]["keypoints"] = torch.zeros(1, 21, 2)
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(dump, protocol))
    with pytest.raises(DataError, match=r"\[0\]\[keypoints\]: expected numbers, got .*a tensor of PyTorch"):
        read_any_predictions(tmp_path / "results.pkl", exported[1])


def test_a_pickle_that_would_run_something_is_refused(exported, tmp_path):
    class Bad:
        def __reduce__(self):
            return (print, ("ran",))

    (tmp_path / "bad.pkl").write_bytes(pickle.dumps([Bad()]))

    with pytest.raises(DataError, match="Nothing in it was run"):
        read_any_predictions(tmp_path / "bad.pkl", exported[1])


def test_two_hands_of_one_picture_are_told_apart_and_a_third_prediction_is_said(tmp_path, capsys):
    """A foreign file: pictures as shipped, hands that only their place tells apart."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "both.png"), rng.integers(0, 256, (240, 320, 3), np.uint8))
    hands = [rng.uniform(low, low + 80, (21, 2)).round(2) for low in (10, 140)]
    flat = [np.column_stack([uv, np.full(21, 2)]).ravel().tolist() for uv in hands]
    names = [
        "wrist",
        *(f"{finger}{n}" for finger in ("thumb", "index", "middle", "ring", "little") for n in range(1, 5)),
    ]
    labels = {
        "images": [{"id": 7, "file_name": "both.png", "width": 320, "height": 240}],
        "categories": [{"id": 1, "name": "hand", "keypoints": names}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 1, "keypoints": k, "bbox": [0, 0, 9, 9]} for n, k in enumerate(flat)
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    options = CustomOptions(annotations=tmp_path / "labels.json", split_by="train", side="unknown")
    convert("custom", tmp_path, tmp_path / "shards", options=options)
    results = [
        {"image_id": 7, "category_id": 1, "keypoints": flat[1], "score": 0.9},
        {"image_id": 7, "category_id": 1, "keypoints": flat[1], "score": 0.2},
        {"image_id": 7, "category_id": 1, "keypoints": flat[0], "score": 0.5},
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))

    found = read_any_predictions(tmp_path / "results.json", tmp_path / "labels.json")

    made = open_dataset(tmp_path / "shards")
    assert found.sample_id.tolist() == sorted(made["id"].tolist())
    np.testing.assert_allclose(found.keypoints_2d["given"], made["keypoints_2d"], atol=1e-3)
    assert found.score.tolist() == [0.5, 0.9]
    assert "1 of 3 predicted hands" in capsys.readouterr().err


def test_predictions_for_the_file_of_rhd_are_in_its_order(tmp_path):
    """mmpose's copy names the points from the palm and lists them from the tip."""
    folder = real.samples("rhd")
    labels = folder / "annotations.json"
    convert("custom", folder, tmp_path / "shards", options=CustomOptions(annotations=labels))
    given = json.loads(labels.read_text())["annotations"]
    found = [
        {"image_id": one["image_id"], "category_id": 1, "keypoints": np.ravel(one["keypoints"]).tolist()}
        for one in given
    ]
    (tmp_path / "results.json").write_text(json.dumps(found))

    read = read_any_predictions(tmp_path / "results.json", labels)

    made = open_dataset(tmp_path / "shards").sort("id")
    assert read.sample_id.tolist() == made["id"].tolist()
    np.testing.assert_allclose(read.keypoints_2d["given"], made["keypoints_2d"], atol=1e-3)


@pytest.mark.parametrize("order", ["rhd", "little-first"])
def test_predictions_list_their_points_as_the_file_that_was_imported_with_an_order(tmp_path, order):
    """Perfect predictions have no error, also from the command line, and when the worst are looked for."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "a.png"), rng.integers(0, 256, (240, 320, 3), np.uint8))
    flat = np.column_stack([rng.uniform(20, 200, (21, 2)).round(2), np.full(21, 2)]).ravel().tolist()
    labels = {
        "images": [{"id": 7, "file_name": "a.png", "width": 320, "height": 240}],
        "categories": [{"id": 1, "name": "hand"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "keypoints": flat, "bbox": [0, 0, 9, 9]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "results.json").write_text(
        json.dumps([{"image_id": 7, "category_id": 1, "keypoints": flat, "score": 1}])
    )
    words = ("--order", order, "--side", "left", "--split-by", "val", "--workers", 1, "--out", tmp_path / "shards")
    assert call("import", tmp_path / "labels.json", *words).exit_code == 0

    given = ("--annotations", tmp_path / "labels.json", "--shards", tmp_path / "shards", "--out", tmp_path / "s.json")
    scored = call("evaluate", "--predictions", tmp_path / "results.json", *given, "--protocol", "epe_px")

    assert re.search(r"epe_px:mean +0\.0000", scored.stdout), scored.output
    scores = read_results(tmp_path / "s.json")
    behind = predictions_behind(scores, tmp_path / "s.json")
    made = open_dataset(tmp_path / "shards")
    np.testing.assert_allclose(behind.keypoints_2d["given"], made["keypoints_2d"], atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_hands_found_where_there_is_none_count_as_pycocotools_counts_them(tmp_path, capsys):
    """Pictures of one or two hands; none, one or two predictions of each, some of no hand at all, some equally sure."""
    rng = np.random.default_rng(1)
    shape = rng.normal(0, 20, (21, 2))
    images, annotations, results = [], [], []

    def flat(uv, flag):
        return np.column_stack([uv, np.full(21, flag)]).ravel().tolist()

    def predict(uv):
        score = round(rng.random(), 1)
        results.append({"image_id": images[-1]["id"], "category_id": 1, "keypoints": flat(uv, 1), "score": score})

    for number in range(20):
        images.append({"id": number, "file_name": f"{number}.png", "width": 320, "height": 240})
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 256, (240, 320, 3), np.uint8))
        for _ in range(rng.integers(1, 3)):
            uv = rng.uniform(60, 180, 2) + shape * rng.uniform(0.7, 1.5)
            low, sides = uv.min(0), np.ptp(uv, axis=0)
            hand = {"keypoints": flat(uv, 2), "num_keypoints": 21, "bbox": [*low, *sides], "area": sides.prod()}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, **hand})
            for _ in range(rng.integers(0, 3)):
                predict(uv + rng.normal(0, rng.uniform(1, 12), (21, 2)))
        if number % 2:
            predict(rng.uniform(0, 200, (21, 2)))
    categories = [{"id": 1, "name": "hand", "keypoints": list(KEYPOINTS)}]
    (tmp_path / "a.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (tmp_path / "r.json").write_text(json.dumps(results))
    options = CustomOptions(annotations=tmp_path / "a.json", split_by="val")
    convert("custom", tmp_path, tmp_path / "shards", options=options)

    found = read_any_predictions(tmp_path / "r.json", tmp_path / "a.json")
    (scored,) = score_predictions(found, [tmp_path / "shards"], protocols=["oks_ap"]).sets

    expected = by_pycocotools(tmp_path / "a.json", tmp_path / "r.json")
    assert len(found) < len(results)
    assert 0.05 < expected[0] < 0.95
    for name, place in {"oks_ap:50_95": 0, "oks_ap:50": 1, "oks_ap:75": 2, "oks_ap:recall": 5}.items():
        assert scored.protocols[name].value == pytest.approx(expected[place], abs=1e-4), name
        assert scored.protocols[name].unpredicted == len(annotations) - len(found)
    assert "count for average precision alone" in capsys.readouterr().err


def test_results_without_their_labels_are_refused_in_one_line(exported, tmp_path):
    _, labels, results = exported
    with pytest.raises(
        ConfigError, match=r"--annotations: expected the labels that results\.json counts by, got nothing"
    ):
        read_any_predictions(results)
    (tmp_path / "x.json").write_text('[{"image_id": 1, "keypoints": [1, 2, 3]}]')
    with pytest.raises(DataError, match="expected 21 keypoints, got 1"):
        read_any_predictions(tmp_path / "x.json", labels)
    (tmp_path / "y.json").write_text(json.dumps([{"image_id": 999, "keypoints": [1.0] * 63}]))
    with pytest.raises(DataError, match="expected pictures of that file of labels, got image_id 999"):
        read_any_predictions(tmp_path / "y.json", labels)
