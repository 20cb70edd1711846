"""Average precision and recall are the numbers of pycocotools: crowded pictures, holes, equal scores."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from handdata.evaluation.measure import OKS_SIGMA
from handdata.evaluation.protocols import PROTOCOLS
from handdata.evaluation.totals import score, score_all
from tests.evaluation.test_protocols import comparison

EXACT = 1e-9
NAMES = {"oks_ap:50_95": 0, "oks_ap:50": 1, "oks_ap:75": 2, "oks_ap:recall": 5}  # place in pycocotools' stats
FAR = 1e4  # px: where pycocotools is told that a keypoint without a prediction lies; it ignores what spans 1e5


def crowded(seed, *, hands=60, pictures=23):
    """Hands of many sizes, some in one picture; predictions off by up to a hand, some missing, some of another."""
    rng = np.random.default_rng(seed)
    comp = comparison(hands, seed=seed)
    low = rng.uniform(0, 300, (hands, 2))
    box = np.concatenate([low, low + rng.uniform(30, 200, (hands, 2))], 1)
    box[::7] = np.nan  # the extent of the labels counts
    off = rng.normal(0, 1, (hands, 21, 2)) * rng.uniform(0, 9, (hands, 1, 1))
    said = comp.truth_2d + off
    said[::5] = said[1::5]  # two for one hand
    said[rng.random((hands, 21)) < 0.1] = np.nan
    said[::9] = np.nan
    return replace(
        comp,
        prediction_2d=said,
        bbox_xyxy=box,
        annotated_2d=rng.random((hands, 21)) < 0.9,
        picture=np.sort(rng.integers(0, pictures, hands)),
        prediction_score=np.round(rng.random(hands), 1),  # some are equal
    )


def by_pycocotools(comp):
    truth, found = COCO(), []
    annotations = []
    for row in range(len(comp)):
        labelled, uv = comp.annotated_2d[row], comp.truth_2d[row]
        low, high = uv[labelled].min(0), uv[labelled].max(0)
        sides = comp.bbox_xyxy[row, 2:] - comp.bbox_xyxy[row, :2]
        sides = sides if np.isfinite(sides).all() else high - low
        head = {"image_id": int(comp.picture[row]), "category_id": 1}
        points = np.where(labelled[:, None], np.column_stack([uv, np.full(21, 2)]), 0)
        annotations.append({
            **head, "id": row + 1, "keypoints": points.ravel().tolist(), "num_keypoints": int(labelled.sum()),
            "area": float(sides.prod()), "bbox": [*low.tolist(), *sides.tolist()], "iscrowd": 0,
        })  # fmt: skip
        said = comp.prediction_2d[row]
        if np.isfinite(said).any():
            said = np.nan_to_num(said, nan=FAR)
            points = np.column_stack([said, np.ones(21)]).ravel().tolist()
            found.append({**head, "keypoints": points, "score": float(comp.prediction_score[row])})
    images = [{"id": int(number)} for number in np.unique(comp.picture)]
    truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "hand"}]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return judged(truth, found)


def judged(truth, found):
    """Return pycocotools' statistics of results, a list or a path, against its COCO."""
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, truth.loadRes(found), "keypoints")
        judge.params.kpt_oks_sigmas = np.full(21, OKS_SIGMA)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_pycocotools(seed):
    comp = crowded(seed)

    scores = score_all([PROTOCOLS[name] for name in NAMES], comp)
    expected = by_pycocotools(comp)

    assert 0.05 < expected[0] < 0.95
    for name, place in NAMES.items():
        assert scores[name].value == pytest.approx(expected[place], abs=EXACT), name


def test_labels_as_predictions_score_1():
    comp = crowded(0)
    truth = replace(comp, prediction_2d=comp.truth_2d)

    assert all(score(PROTOCOLS[name], truth).value == pytest.approx(1.0, abs=EXACT) for name in NAMES)


def test_a_second_prediction_of_a_hand_is_wrong_and_the_more_certain_one_counts():
    comp = comparison(2)
    both = comp.truth_2d[:1].repeat(2, axis=0)
    pair = replace(comp, picture=np.zeros(2, int), prediction_2d=both, prediction_score=np.array([0.1, 0.9]))

    found = score(PROTOCOLS["oks_ap:50"], pair)

    assert found.value == pytest.approx(51 / 101)  # one of two found, without a mistake before: recalls 0 to 0.50
    assert found.labels == 2


def test_what_is_missing_is_said():
    comp = comparison(3)

    nothing = replace(comp, prediction_2d=np.full_like(comp.prediction_2d, np.nan))
    assert score(PROTOCOLS["oks_ap:50"], nothing).missing == "the predictions hold no 2D"
    blank = replace(comp, annotated_2d=np.zeros((3, 21), bool))
    assert score(PROTOCOLS["oks_ap:50"], blank).missing == "no 2D label"
