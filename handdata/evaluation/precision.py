"""Average precision by object keypoint similarity, as pycocotools computes it. Pure NumPy.

In every picture the predictions, most certain first, take the most similar hand that is still free, if it is similar
enough; precision is read at 101 values of recall and averaged. tests/evaluation/test_precision.py holds it to
pycocotools (cocoeval.py of pycocotools 2.0.11, https://github.com/ppwwyyxx/cocoapi).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation import metrics
from handdata.evaluation.comparison import Comparison, Floats, Mask
from handdata.evaluation.intervals import NO_INTERVAL
from handdata.evaluation.measure import OKS_SIGMA
from handdata.evaluation.protocol import Protocol, Score
from handdata.skeleton import NUM_KEYPOINTS

MOST_PER_PICTURE = 20  # predictions that count, pycocotools' maxDets of keypoints
_RECALLS = np.linspace(0.0, 1.0, 101)
_WHOLE = f"{NO_INTERVAL} a number of the whole set at once"


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What became of M predictions, by picture and then by certainty.

    Attributes:
        score: (M,) how certain each is.
        is_right: (T, M) which took a hand, at each threshold.
        hands: how many there were to be found.
        unpredicted: of them those of which there is no prediction.
    """

    score: Floats
    is_right: Mask
    hands: int
    unpredicted: int


def similarities(predicted_P: Floats, truth_G: Floats, labelled_G: Mask, area_G: Floats) -> Floats:
    """Return (P, G) object keypoint similarities of predictions and hands of one picture.

    Args:
        predicted_P: (P, 21, 2) px; NaN counts as infinitely far.
        truth_G: (G, 21, 2) px.
        labelled_G: (G, 21) bool, at least one of each hand.
        area_G: (G,) px² of the hands.
    """
    off = ((predicted_P[:, None] - truth_G[None]) ** 2).sum(-1)  # (P, G, 21)
    off = np.where(np.isfinite(off), off, np.inf)
    scale = 2 * (2 * OKS_SIGMA) ** 2 * (area_G + np.spacing(1))
    similar = np.where(labelled_G, np.exp(-off / scale[None, :, None]), 0.0)
    return np.asarray(similar.sum(-1) / labelled_G.sum(-1))


def matched(similar_PG: Floats, thresholds: Floats) -> Mask:
    """Return (T, P) which predictions, most certain first, took a hand at each threshold."""
    right = np.zeros((len(thresholds), len(similar_PG)), bool)
    for number, threshold in enumerate(np.minimum(thresholds, 1 - 1e-10)):
        free = np.ones(similar_PG.shape[1], bool)
        for row, similar in enumerate(similar_PG):
            best = np.where(free & (similar >= threshold), similar, -1.0)
            if best.size and best.max() >= 0:
                taken = len(best) - 1 - int(best[::-1].argmax())  # the last of equals
                right[number, row], free[taken] = True, False
    return right


def precision_and_recall(found: Matches) -> tuple[Floats, Floats]:
    """Return (T,) average precision and (T,) recall."""
    order = np.argsort(-found.score, kind="mergesort")
    right = np.cumsum(found.is_right[:, order], axis=1, dtype=np.float64)
    wrong = np.cumsum(~found.is_right[:, order], axis=1, dtype=np.float64)
    recall, precision = right / found.hands, right / (right + wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    read = np.zeros((len(right), len(_RECALLS)))
    for row, (at, values) in enumerate(zip(recall, precision, strict=True)):
        place = np.searchsorted(at, _RECALLS, side="left")
        read[row, place < len(values)] = values[place[place < len(values)]]
    return read.mean(1), recall[:, -1] if recall.shape[1] else np.zeros(len(right))


def find(comparison: Comparison, thresholds: Floats) -> Matches:
    """Match the predictions of every picture with its labelled hands; a sample without a label in 2D is left out."""
    labels = comparison.annotated_2d & metrics.is_labelled(comparison.truth_2d)
    given = np.asarray(np.isfinite(comparison.prediction_2d).all(-1).any(-1))
    area = _areas(comparison, labels)
    counted = np.flatnonzero(labels.any(1))
    scores, right = [np.zeros(0)], [np.zeros((len(thresholds), 0), bool)]
    for hands in _by_picture(comparison.picture, counted):
        said, score = _predicted(comparison, hands)
        order = np.argsort(-score, kind="mergesort")[:MOST_PER_PICTURE]
        truth = comparison.truth_2d[hands], labels[hands], area[hands]
        scores.append(score[order])
        right.append(matched(similarities(said[order], *truth), thresholds))
    return Matches(
        score=np.concatenate(scores),
        is_right=np.concatenate(right, axis=1),
        hands=len(counted),
        unpredicted=int((~given[counted]).sum()),
    )


def _predicted(comparison: Comparison, hands: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the (P, 21, 2) px and (P,) scores of all predictions in a picture, in their maker's order."""
    if comparison.found is None:
        said, score = comparison.prediction_2d[hands], comparison.prediction_score[hands]
    else:
        found = sorted((one for row in hands for one in comparison.found[row]), key=lambda one: one[0])
        said = np.array([uv for _, uv, _ in found]).reshape(-1, NUM_KEYPOINTS, 2)
        score = np.array([certainty for _, _, certainty in found])
    given = np.isfinite(said).all(-1).any(-1)
    return said[given], np.where(np.isfinite(score), score, 1.0)[given]


def _areas(comparison: Comparison, labels: Mask) -> Floats:
    """Return (N,) px² of the hand boxes, where there is none of the extent of the labels: as our COCO files have it."""
    high, low = (np.where(labels[..., None], comparison.truth_2d, end) for end in (-np.inf, np.inf))
    sides = comparison.bbox_xyxy[:, 2:] - comparison.bbox_xyxy[:, :2]
    return np.asarray(np.where(np.isfinite(sides), sides, high.max(1) - low.min(1)).prod(1))


def _by_picture(picture: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each picture, pictures in the order of their first row."""
    _, first, code = np.unique(picture[rows], return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    ends = np.flatnonzero(np.diff(first[code][order])) + 1
    return np.split(rows[order], ends) if len(rows) else []


def score_precision(protocol: Protocol, comparison: Comparison) -> Score:
    """Return average precision, or recall, over the protocol's thresholds; or why there is none."""
    found = find(comparison, np.array(protocol.thresholds))
    if not found.hands:
        return Score(missing="no 2D label" if len(comparison) else "no samples")
    if not len(found.score):
        return Score(missing="the predictions hold no 2D", labels=found.hands)
    precision, recall = precision_and_recall(found)
    return Score(
        value=float((precision if protocol.statistic == "precision" else recall).mean()),
        labels=found.hands,
        unpredicted=found.unpredicted,
        samples=found.hands,
        sequences=len(np.unique(comparison.sequence[comparison.annotated_2d.any(1)])),
        note=_WHOLE,
        thresholds=protocol.thresholds,
    )
