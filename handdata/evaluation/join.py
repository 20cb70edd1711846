"""Join predictions with the converted dataset they are of, and lay them beside the labels."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.evaluation.comparison import HALFWAY, Comparison
from handdata.evaluation.predictions import FoundHands, Predictions, from_crop_fractions, to_crop_fractions
from handdata.geometry import in_frame
from handdata.shards.alike import same_labels
from handdata.shards.dataset import Dataset
from handdata.shards.schema import Flag
from handdata.skeleton import NUM_KEYPOINTS, WRIST_FORMULAS

Floats = NDArray[np.float64]

_LABELS = ("keypoints_2d", "keypoints_3d", "keypoints_3d_normalized", "crop_xyxy", "bbox_xyxy", "scale_mm",
           "palm_center_3d", "annotated_2d", "annotated_3d", "in_frame", "visible", "hand_side", "frame",
           "flags")  # fmt: skip


def match_samples(dataset: Dataset, predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join predictions and a dataset by sample id.

    Returns:
        (M,) prediction rows and (M,) sample numbers, in the dataset's order. Without augmentation M is the number of
        samples and the prediction row is -1 where there is none; with it, M counts the predicted samples only.
    """
    ids = np.char.decode(dataset["sample_id"], "ascii")
    named = np.flatnonzero(np.isin(predictions.dataset, (dataset.name, "")))
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], predictions.sample_id[named]), len(ids) - 1)
    hit = ids[order][place] == predictions.sample_id[named]
    rows, samples = named[hit], order[place[hit]]
    if predictions.truth is not None:
        sequence = np.lexsort((predictions.truth.repeat[rows], samples))
        return rows[sequence], samples[sequence]
    row_of = np.full(len(ids), -1, np.int64)
    row_of[samples] = rows
    return row_of, np.arange(len(ids))


def scored_of(dataset: Dataset, splits: Sequence[str] | None) -> Dataset:
    """Return what of a folder is scored: these splits, or all."""
    return dataset if splits is None else dataset[np.isin(dataset["split"], list(splits))]


def refuse_others(datasets: Sequence[Dataset], predicted: Mapping[str, NDArray[np.bytes_]]) -> None:
    """Refuse folders in which one id means different hands: a prediction would be scored by the label of another hand.

    Args:
        datasets: what is scored, each of one folder.
        predicted: dataset -> ids that are predicted; "" where the predictions do not say the dataset.

    Raises:
        ConfigError: two of them hold a predicted id with other labels.
    """
    for first, second in combinations(datasets, 2):
        ids = [some for name, some in predicted.items() if all(name in ("", data.name) for data in (first, second))]
        if not ids:
            continue
        same, here, there = np.intersect1d(first.ids, second.ids, return_indices=True)
        kept = np.isin(same, np.concatenate(ids))
        same, here, there = same[kept], here[kept], there[kept]
        other = ~same_labels(first[here], second[there])
        if other.any():
            got = f"{first.name}/{same[other][0].decode()} in {first.folder} and, another label, in {second.folder}"
            fix = (
                "Leave one of the two out of --shards. To tell them apart, import label files of pictures that are"
                " called alike in one command."
            )
            raise ConfigError("--shards", expected="each id once", got=got, fix=fix)


def compare(
    dataset: Dataset, predictions: Predictions, rows: NDArray[np.int64], samples: NDArray[np.int64], readout: str
) -> Comparison:
    """Lay predictions beside their truth.

    Args:
        dataset: one split.
        predictions: of any number of datasets.
        rows: (M,) prediction of each sample, -1 for none.
        samples: (M,) sample numbers of the dataset.
        readout: which 2D positions are compared.
    """
    labels = {name: dataset[name][samples] for name in _LABELS}
    crop = labels["crop_xyxy"].astype(np.float64)
    truth_2d, truth_normalized = labels["keypoints_2d"].astype(np.float64), labels["keypoints_3d_normalized"]
    annotated_2d, size = labels["annotated_2d"], predictions.input_size
    prediction_2d = predicted_pixels(predictions, readout, rows) if readout else np.full_like(truth_2d, np.nan)
    fractions = to_crop_fractions(truth_2d, crop, size)
    if predictions.truth is not None:  # its own labels, in the crop that was drawn
        fractions = predictions.truth.keypoints_2d_crop[rows].astype(np.float64)
        annotated_2d = predictions.truth.annotated_2d[rows]
        truth_normalized = predictions.truth.keypoints_3d_normalized[rows]
        crop = predictions.crop_xyxy[rows].astype(np.float64)
        truth_2d = from_crop_fractions(fractions, crop, size)
    sequences, cameras = (dataset[name][samples] for name in ("sequence", "camera"))
    in_crop = labels["in_frame"] & in_frame(fractions * size, size, size)
    return Comparison(
        prediction_2d=prediction_2d,
        truth_2d=truth_2d,
        crop_xyxy=crop,
        bbox_xyxy=labels["bbox_xyxy"].astype(np.float64),
        box_side=_box_side(labels["bbox_xyxy"], truth_2d),
        prediction_normalized=_taken(predictions.keypoints_3d_normalized, rows, (NUM_KEYPOINTS, 3)),
        prediction_3d=_taken(predictions.keypoints_3d, rows, (NUM_KEYPOINTS, 3)),
        prediction_palm_3d=_taken(predictions.palm_center_3d, rows, (3,)),
        prediction_box=_taken(predictions.bbox_xyxy, rows, (4,)),
        prediction_side=np.nan_to_num(_taken(predictions.hand_side, rows, ()), nan=-1.0).astype(np.int8),
        prediction_score=_taken(predictions.score, rows, ()),
        truth_normalized=truth_normalized.astype(np.float64),
        truth_3d=labels["keypoints_3d"].astype(np.float64),
        scale_mm=labels["scale_mm"].astype(np.float64),
        palm_3d=labels["palm_center_3d"].astype(np.float64),
        wrist_rule=_wrist_rule(dataset, labels["flags"]),
        annotated_2d=annotated_2d,
        in_crop=in_crop,
        annotated_3d=labels["annotated_3d"],
        visible=labels["visible"],
        sequence=_codes(sequences),
        picture=_codes(labels["frame"], sequences, cameras),
        track=_codes(sequences, cameras, labels["hand_side"]),
        frame=labels["frame"].astype(np.int64),
        hand_side=labels["hand_side"],
        side_is_sure=(labels["flags"] & Flag.SIDE_UNSURE) == 0,
        mask_area=np.full(len(samples), np.nan),
        found=None if predictions.found is None else _found(predictions.found, dataset["id"][samples].tolist()),
    )


def _found(hands: FoundHands, ids: Sequence[str]) -> NDArray[np.object_]:
    """Return (N,) the hands found beside each sample, as `Comparison.found` has them."""
    beside: dict[str, list[tuple[int, Floats, float]]] = {name: [] for name in ids}
    for place, name in enumerate(hands.beside.tolist()):
        if name in beside:
            beside[name].append((place, hands.keypoints_2d[place], float(hands.score[place])))
    column = np.empty(len(ids), object)
    column[:] = [beside[name] for name in ids]
    return column


def predicted_pixels(predictions: Predictions, readout: str, rows: NDArray[np.int64]) -> Floats:
    """Return one read-out's (M, 21, 2) source pixels, NaN where the row is -1."""
    return _taken(predictions.keypoints_2d[readout], rows, (NUM_KEYPOINTS, 2))


def _taken(array: NDArray[Any] | None, rows: NDArray[np.int64], shape: tuple[int, ...]) -> Floats:
    """Return the rows of a prediction array as (M, ...) float64, NaN where the row is -1 or there is no array."""
    if array is None:
        return np.broadcast_to(np.nan, (len(rows), *shape))  # takes no memory
    result = np.full((len(rows), *shape), np.nan)
    result[rows >= 0] = array[rows[rows >= 0]]
    return result


def _wrist_rule(dataset: Dataset, flags: NDArray[Any]) -> NDArray[np.int8]:
    """Return the number of the formula that each sample's wrist was extrapolated by, hand3d's where it was not."""
    asked = dataset.index.get("options", {}).get("derive_wrist")
    derived = (flags & Flag.WRIST_DERIVED) != 0
    formula = list(WRIST_FORMULAS).index(asked) if asked in WRIST_FORMULAS else HALFWAY
    return np.where(derived, formula, HALFWAY).astype(np.int8)


def _codes(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """Number the distinct rows of some columns."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        names, index = np.unique(column, return_inverse=True)
        code = np.unique(code * len(names) + index, return_inverse=True)[1]
    return code


def _box_side(bbox_xyxy: NDArray[Any], keypoints_2d: Floats) -> Floats:
    """Return the longer side of each hand box, or of the labelled keypoints' extent where there is no box."""
    box = (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]).astype(np.float64)
    high = np.where(np.isnan(keypoints_2d), -np.inf, keypoints_2d).max(1)
    low = np.where(np.isnan(keypoints_2d), np.inf, keypoints_2d).min(1)
    side = np.where(np.isfinite(box), box, np.where(np.isfinite(high), high - low, np.nan)).max(1)
    return np.where(side > 0, side, np.nan)
