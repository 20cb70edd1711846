"""handdata evaluate on stored predictions: what is printed, written and refused. Running models is tests/train."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli.evaluate import evaluate_command
from handdata.errors import BusyError, ConfigError, MissingError
from handdata.evaluation.predictions import read_predictions, write_predictions
from handdata.evaluation.results import read_results
from handdata.files.whole import whole
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from tests.made_runs import made_predictions, made_shards

ONLY_NORMALISED = "the predictions hold no millimetres, only normalised 3D"


@pytest.fixture
def data(tmp_path):
    root = DataRoot(tmp_path)
    dataset = open_dataset(made_shards(root.shards("rhd"), "rhd", samples=8, sequences=4))
    write_predictions(tmp_path / "theirs.h5", made_predictions([dataset]))
    return root


def invoke(data, *arguments):
    return CliRunner().invoke(evaluate_command, list(arguments), obj=data)


def test_predictions_of_another_program_are_scored_and_stored_beside_their_file(data):
    result = invoke(data, "--predictions", str(data.root / "theirs.h5"), "--protocol", "epe_px")
    stored = read_results(data.root / "theirs.results.json").sets[0]
    found = {name: stored.protocols[f"epe_px:{name}"] for name in ("mean", "median", "mean_of_keypoints")}

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "rhd val: 8 samples of 4 sequences, rendered hands, 2D by expectation",
        *(
            f"  {f'epe_px:{name}':<24}  {one.value:.4f}  px  [{one.low:.4f}, {one.high:.4f}]  168  labels"
            for name, one in found.items()
        ),
        str(data.root / "theirs.results.json"),
    ]
    assert len(stored.protocols) > 10  # all are stored, whatever is printed


def test_json_holds_every_score_and_why_one_is_missing(data):
    printed = json.loads(invoke(data, "--predictions", str(data.root / "theirs.h5"), "--json").stdout)
    missing = {score["protocol"]: score["missing"] for score in printed["scores"] if score["missing"]}
    assert missing["epe_mm:mean"] == missing["epe_abs_mm:median"] == ONLY_NORMALISED
    assert missing["box_iou:predicted"] == "the predictions hold no hand box"
    assert missing["interhand:mrrpe"] == "no picture with the root of both hands labelled in 3D"
    assert not {"epe_mm:mean_gt_scale", "pa_mpjpe", "auc_0_100"} & set(missing)


def test_text_names_what_is_missing_once_a_reason(data):
    lines = invoke(data, "--predictions", str(data.root / "theirs.h5"), "--protocol", "epe_abs_mm").stdout.splitlines()
    assert lines[1:-1] == [f"  missing, {ONLY_NORMALISED}: epe_abs_mm:mean, epe_abs_mm:median"]


def test_predictions_with_holes_say_so_in_text_and_json(data):
    given = read_predictions(data.root / "theirs.h5")
    pixels = {name: points[:6].copy() for name, points in given.keypoints_2d.items()}
    pixels["expectation"][0, :4] = np.nan
    some = replace(given, dataset=given.dataset[:6], sample_id=given.sample_id[:6], crop_xyxy=given.crop_xyxy[:6],
                   keypoints_2d=pixels, keypoints_3d_normalized=given.keypoints_3d_normalized[:6])  # fmt: skip
    write_predictions(data.root / "some.h5", some)
    text = invoke(data, "--predictions", str(data.root / "some.h5"), "--protocol", "auc_0_30_px").stdout.splitlines()
    printed = json.loads(invoke(data, "--predictions", str(data.root / "some.h5"), "--json").stdout)
    (score,) = [score for score in printed["scores"] if score["protocol"] == "auc_0_30_px"]

    assert text[1:4] == [
        "  2 of 8 samples have no prediction",
        "  46 of 168 2D labels have no prediction",
        "  42 of 168 3D labels have no prediction",
    ]
    assert text[4].endswith("168  labels, 46 not predicted")
    assert (score["labels"], score["unpredicted"]) == (168, 46)
    assert printed["sets"][0]["counts"]["without_prediction"] == 2
    assert read_results(data.root / "some.results.json").sets[0].counts["labels_2d_unpredicted"] == 46


def test_csv_predictions_that_equal_the_labels_score_perfectly(data):
    dataset = open_dataset(data.shards("rhd"))
    from handdata.skeleton import KEYPOINTS

    lines = ["sample_id,keypoint,u,v"]
    ids, uv = dataset["sample_id"], dataset["keypoints_2d"]
    lines += [f"{ids[i].decode()},{KEYPOINTS[k]},{uv[i, k, 0]},{uv[i, k, 1]}" for i, k in np.ndindex(len(ids), 21)]
    (data.root / "perfect.csv").write_text("\n".join(lines) + "\n")
    result = invoke(data, "--predictions", str(data.root / "perfect.csv"), "--shards", "rhd", "--json")
    scores = {score["protocol"]: score["value"] for score in json.loads(result.stdout)["scores"]}

    assert scores["epe_px:mean"] == pytest.approx(0.0, abs=1e-4)
    assert scores["auc_0_30_px"] == pytest.approx(1.0, abs=1e-5)
    assert scores["pa_mpjpe"] is None


@pytest.mark.parametrize("shards", [[], ["rhd"], ["{root}/data/shards/rhd"], ["{root}/data/shards"]])
def test_shards_by_name_folder_or_all_that_are_there(data, shards):
    made_shards(data.shards("stereo"), "stereo", samples=4, sequences=2)
    named = [text.format(root=data.root) for text in shards]
    result = invoke(data, "--predictions", str(data.root / "theirs.h5"), "--shards", *named, "--split", "val", "--json")
    assert {score["dataset"] for score in json.loads(result.stdout)["scores"]} == {"rhd"}


def test_a_second_evaluation_of_predictions_is_refused_before_they_are_scored(data, monkeypatch):
    monkeypatch.setattr("handdata.evaluation.score.score_predictions", lambda *_, **__: pytest.fail("scored"))
    with whole(data.root / "theirs.results.json"):
        result = invoke(data, "--predictions", str(data.root / "theirs.h5"))

    assert isinstance(result.exception, BusyError)
    assert "theirs.results.json: expected a file that is not being written, got another writer" in str(result.exception)


def test_a_run_without_a_checkpoint_says_when_there_will_be_one(data):
    run = data.runs / "first"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    result = invoke(data, "first")

    assert str(result.exception) == (
        f"{run}: expected a checkpoint in this run, got none yet. The first one comes at the end of the first epoch: "
        "wait for it, or train again if the training has ended."
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--predictions", "{root}/none.h5"], MissingError),
        (["--predictions", "{root}/theirs.h5", "--protocol", "auc"], ConfigError),
        (["--predictions", "{root}/theirs.h5", "--shards", "{root}/nowhere"], MissingError),
        (["no-such-run"], MissingError),
    ],
)
def test_a_users_mistake_is_one_line_and_leaves_nothing_behind(data, arguments, error):
    before = sorted(data.root.rglob("*"))
    result = invoke(data, *(text.format(root=data.root) for text in arguments))
    assert isinstance(result.exception, error)
    assert sorted(data.root.rglob("*")) == before


@pytest.mark.parametrize("arguments", [[], ["demo", "--predictions", "theirs.h5"]])
def test_a_run_or_predictions_but_not_both(data, arguments):
    result = invoke(data, *arguments)
    assert result.exit_code == 2
    assert "Give a RUN, or --predictions FILE." in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--predictions", "theirs.h5", "--limit", "3"], "--limit: goes with a RUN only"),
        (["--predictions", "theirs.h5", "--augmented"], "--augmented: goes with a RUN only"),
        (["demo", "--out", "results.json"], "--out: goes with --predictions only"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(data, arguments, text):
    result = invoke(data, *arguments)
    assert result.exit_code == 2
    assert text in result.output


def test_json_says_the_unit_of_each_score(data):
    printed = json.loads(invoke(data, "--predictions", str(data.root / "theirs.h5"), "--json").stdout)
    units = {score["protocol"]: score["unit"] for score in printed["scores"]}
    assert (units["pa_mpjpe"], units["epe_px:mean"], units["auc_20_50"]) == ("mm", "px", "1")


def test_scores_are_not_written_over_what_they_are_of(data):
    theirs = data.root / "theirs.json"
    theirs.write_text("{}")
    result = CliRunner().invoke(
        evaluate_command, ["--predictions", str(theirs), "--out", str(theirs)], obj=data, catch_exceptions=True
    )

    assert str(result.exception) == (
        f"{theirs}: expected another file than --predictions, got that one. Give another --out."
    )
    assert theirs.read_text() == "{}"
