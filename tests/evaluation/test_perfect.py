"""Perfect predictions score 1, or 0 mm, under every protocol on every set that allows it."""

import numpy as np
import pytest

from handdata.evaluation.predictions import Predictions
from handdata.evaluation.protocols import PROTOCOLS
from handdata.evaluation.score import score_predictions
from handdata.shards.dataset import open_dataset
from handdata.shards.reader import write_index
from handdata.shards.schema import Flag
from handdata.skeleton import LEFT, ROOT, WRIST, wrist_from_palm
from tests.evaluation.made_labels import LABELS, edited, filmed, fingertips, full_hands, palms_without_wrists

BEST = {"auc_mmpose": 0.95}  # the others: 1 for a share, 0 for a distance
SETS = {"rhd": full_hands, "stereo": palms_without_wrists, "dexter": fingertips, "filmed": filmed}


def derived(folder):
    """Stereo with wrists extrapolated from the palm, as `convert --derive-wrist ring` makes them."""
    palms_without_wrists(folder)
    dataset = open_dataset(folder)
    xyz, palm = dataset["keypoints_3d"].astype(float), dataset["palm_center_3d"].astype(float)
    xyz[:, WRIST] = wrist_from_palm(xyz, palm, "ring")
    scale = np.linalg.norm(xyz[:, WRIST] - xyz[:, ROOT], axis=-1)
    write_index(folder, {**dataset.index, "options": {"derive_wrist": "ring"}})
    return edited(
        folder, keypoints_3d=xyz, annotated_3d=np.ones(xyz.shape[:2], bool), scale_mm=scale,
        keypoints_3d_normalized=(xyz - xyz[:, ROOT : ROOT + 1]) / scale[:, None, None], flags=int(Flag.WRIST_DERIVED),
    )  # fmt: skip


def perfect(dataset, *, unit):
    """Return the labels as predictions; `palm` where it is labelled, "mm" or "normalised" 3D."""
    label = {name: dataset[name] for name in LABELS}
    pose = label["keypoints_3d"] if unit == "mm" else normalised(label)
    return Predictions(
        dataset=np.array([dataset.name] * len(dataset)),
        sample_id=np.char.decode(dataset["sample_id"], "ascii"),
        keypoints_2d={"given": label["keypoints_2d"]},
        crop_xyxy=dataset["crop_xyxy"],
        **{"keypoints_3d" if unit == "mm" else "keypoints_3d_normalized": pose},
        palm_center_3d=label["palm_center_3d"] if unit == "mm" else None,
        bbox_xyxy=label["bbox_xyxy"],
        hand_side=label["hand_side"].astype(np.int8),
    )


def normalised(label):
    """Return poses in units of wrist to middle MCP; in another unit, about another point, where one is not labelled."""
    xyz, scale = label["keypoints_3d"].astype(float), label["scale_mm"].astype(float)
    filled = np.where(np.isnan(scale), 90.0, scale)[:, None, None]
    origin = np.where(np.isnan(xyz[:, ROOT : ROOT + 1]), 400.0, xyz[:, ROOT : ROOT + 1])
    known = label["keypoints_3d_normalized"].astype(float)
    return np.where(np.isnan(known), (xyz - origin) / filled, known)


@pytest.fixture(scope="module", params=[*SETS, "derived"])
def dataset(request, tmp_path_factory):
    make = SETS.get(request.param, derived)
    return open_dataset(make(tmp_path_factory.mktemp(request.param) / "shards"))


@pytest.mark.parametrize("unit", ["mm", "normalised"])
def test_a_perfect_prediction_scores_perfectly(dataset, unit):
    scores = score_predictions(perfect(dataset, unit=unit), [dataset.folder]).sets[0].protocols
    given = {name: score for name, score in scores.items() if score.value is not None}
    wrong = {
        name: score.value
        for name, score in given.items()
        if not name.startswith("jitter")
        and abs(score.value - BEST.get(name, float(PROTOCOLS[name].is_share))) > (2e-4 if score.value > 0.5 else 2e-3)
    }
    assert wrong == {}
    assert not any(score.unpredicted for score in given.values())
    for kind in ("mm", "px"):
        if f"jitter:{kind}" in given:
            assert given[f"jitter:{kind}"].value == pytest.approx(given[f"jitter:labels_{kind}"].value, rel=1e-3)


def test_what_a_set_allows_in_millimetres_is_scored(tmp_path):
    """The reasons of what is missing, by set: the rest has a number."""
    missing = {}
    for name, make in {**SETS, "derived": derived}.items():
        dataset = open_dataset(make(tmp_path / name))
        scores = score_predictions(perfect(dataset, unit="mm"), [dataset.folder]).sets[0].protocols
        missing[name] = {name for name, score in scores.items() if score.missing}
    normalised = {name for name in PROTOCOLS if name in ("thesis:error_3d", "thesis:area_3d")}
    motion = {name for name in PROTOCOLS if name.startswith(("acceleration", "jitter"))}  # no set but one was filmed
    pairs = {"interhand:mrrpe", "interhand:mpjpe_interacting"}
    assert missing["rhd"] == normalised | motion
    assert missing["derived"] == normalised | motion | pairs
    assert missing["filmed"] == normalised | pairs
    assert {"auc_0_100", "auc_minimal_hand", "auc_tips_20_50", "epe_abs_mm:mean"}.isdisjoint(missing["dexter"])
    assert {"auc_hand3d", "auc_20_50", "pa_mpjpe"}.isdisjoint(missing["stereo"])


def test_a_true_wrist_on_stereo_is_no_palm_but_gives_one(tmp_path):
    """Predictions of a model that knows wrists, where labels know palms: 2 mm apart, so hand3d's area is 1."""
    dataset = open_dataset(palms_without_wrists(tmp_path / "stereo"))
    xyz, palm = dataset["keypoints_3d"].copy(), dataset["palm_center_3d"]
    xyz[:, WRIST] = 2 * palm - xyz[:, ROOT] + np.array([3.0, 2.0, 1.0])
    given = perfect(dataset, unit="mm")
    predictions = Predictions(**{**given.__dict__, "keypoints_3d": xyz, "palm_center_3d": None})
    scores = score_predictions(predictions, [dataset.folder]).sets[0].protocols

    assert scores["auc_hand3d"].value == 1.0
    assert scores["epe_hand3d:mean"].value == pytest.approx(
        np.sqrt(14) / 2 * 20 / 21, rel=1e-4
    )  # the palm itself is exact


@pytest.mark.parametrize("side", [LEFT])
def test_handedness_and_boxes_are_scored_where_they_are_predicted(tmp_path, side):
    dataset = open_dataset(full_hands(tmp_path / "rhd"))
    given = perfect(dataset, unit="mm")
    box = given.bbox_xyxy.copy()
    box[:, 2] = (box[:, 0] + box[:, 2]) / 2  # the left half of each box
    sides = np.full(len(dataset), side, np.int8)
    sides[:4] = -1
    said = Predictions(**{**given.__dict__, "bbox_xyxy": box, "hand_side": sides})
    scores = score_predictions(said, [dataset.folder]).sets[0].protocols
    silent = Predictions(**{**given.__dict__, "bbox_xyxy": None, "hand_side": None})
    nothing = score_predictions(silent, [dataset.folder]).sets[0].protocols

    assert scores["box_iou:predicted"].value == pytest.approx(0.5, abs=1e-4)
    assert (scores["side_accuracy"].value, scores["side_accuracy"].unpredicted) == (6 / 16, 4)
    assert nothing["box_iou:predicted"].missing == "the predictions hold no hand box"
    assert nothing["side_accuracy"].missing == "the predictions hold no side of the hand"
