"""Score stored predictions against converted datasets: join by sample, compare, and fill one Results.

The same arrays feed everything: the thesis' tables, the groups and subsets, the curves, the published protocols, the
intervals and the choice of samples worth looking at.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import __version__
from handdata.errors import ConfigError, DataError, MissingError
from handdata.evaluation import metrics
from handdata.evaluation.comparison import Comparison
from handdata.evaluation.join import compare, match_samples, predicted_pixels, refuse_others, scored_of
from handdata.evaluation.measure import measure
from handdata.evaluation.predictions import Predictions
from handdata.evaluation.protocol import Protocol, Score
from handdata.evaluation.protocols import PROTOCOLS, choose_protocols
from handdata.evaluation.results import Curve, ErrorTable, GalleryItem, Results, SetResult
from handdata.evaluation.seen import Seen
from handdata.evaluation.totals import score_all
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import LEFT, NUM_KEYPOINTS, RIGHT, ROOT, TIPS

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNKNOWN_ORIGIN = "unknown"
PUBLISHED_READOUT = "expectation"  # docs/method.md 6.5
GALLERY_SAMPLES = 4  # of each kind: best, median, worst
MAX_SEQUENCES = 200  # listed one by one; more than that are samples rather than recordings
MAX_SEQUENCE_TABLES = 16  # with a whole table each (Table 4.5 needs Grasp2's); STB has 12, the most of the seven
_QUANTITIES = {  # the plain quantities of results.QUANTITIES, as protocols: same alignment rules, same masks
    "2d": PROTOCOLS["thesis:error_2d"],
    "2d_px": PROTOCOLS["epe_px:mean"],
    "2d_box": Protocol(name="2d_box", title="", quantity="2d_box", statistic="mean", source=""),
    "3d": PROTOCOLS["thesis:error_3d"],
    "3d_mm": PROTOCOLS["epe_mm:mean_gt_scale"],
}
_CURVES = {
    "2d": metrics.THESIS_THRESHOLDS,
    "3d": metrics.THESIS_THRESHOLDS,
    "3d_mm": np.arange(101.0),
    "2d_px": np.arange(61) * 0.5,
}


def score_predictions(
    predictions: Predictions,
    folders: Sequence[Path],
    *,
    splits: Sequence[str] | None = None,
    protocols: Sequence[str] | None = None,
    readout: str | None = None,
    seed: int = 0,
    source: str = "",
    whole: bool = True,
    seen: Seen | None = None,
) -> Results:
    """Score predictions against every split of the given shard folders that they touch.

    Args:
        predictions: as made by the trainer or read from a file.
        folders: converted datasets.
        splits: only these; None scores every split with at least one prediction.
        protocols: names as `--protocol` takes them; None means all.
        readout: which 2D read-out the numbers use, all but those of the thesis' protocol, which has its own rule
            (`PUBLISHED_READOUT`, where the file has it); None takes the first of the file.
        seed: kept for the record.
        source: the predictions' file, for the record.
        whole: every sample of a split counts, predicted or not; False scores the predicted ones only, for predictions
            of a selection.
        seen: what the weights were trained on; None where nobody knows. With no `splits`, samples of it that have no
            prediction are left out instead of being wrong.

    Raises:
        ConfigError: an unknown protocol or read-out; two folders have other hands of one id that is predicted.
        MissingError: no folder has such a split.
        DataError: no prediction names a sample of these folders.
    """
    chosen = choose_protocols(protocols)
    main = _readout(predictions, readout)
    sets = []
    opened = [(folder, open_dataset(folder)) for folder in folders]
    there = {name for _, index in opened for name in index.splits}
    if opened and splits is not None and there.isdisjoint(splits):
        raise MissingError(
            ", ".join(map(str, folders)), expected=f"a split named {' or '.join(splits)}", got=", ".join(sorted(there))
        )
    if len(opened) > 1:
        refuse_others([scored_of(index, splits) for _, index in opened], _ids_by_dataset(predictions))
    for folder, index in opened:
        for split in [name for name in index.splits if splits is None or name in splits]:
            result = _score_set(open_dataset(folder, split), split, predictions, main, chosen, whole=whole, seen=seen)
            sets += [result] if result else []
    if not sets:
        raise DataError(
            source or "predictions",
            expected="sample ids of " + (", ".join(str(folder) for folder in folders) or "a shard folder"),
            got=f"other ids, such as {predictions.sample_id[0]}",
            fix="Name the shards that were predicted with --shards.",
        )
    return Results(
        sets=tuple(sets),
        readout=main,
        predictions=source,
        options=dict(predictions.options),
        seed=seed,
        handdata_version=__version__,
    )


def _ids_by_dataset(predictions: Predictions) -> dict[str, NDArray[np.bytes_]]:
    ids = np.char.encode(predictions.sample_id.astype(str), "utf-8")
    return {str(name): ids[predictions.dataset == name] for name in np.unique(predictions.dataset)}


def _score_set(
    dataset: Dataset,
    split: str,
    predictions: Predictions,
    readout: str,
    protocols: Sequence[Protocol],
    *,
    whole: bool,
    seen: Seen | None,
) -> SetResult | None:
    """Score one split; None if no prediction is of it."""
    rows, found = match_samples(dataset, predictions)
    if not (rows >= 0).any():
        return None
    known = seen.rows(dataset)[found] if seen else np.zeros(len(found), bool)
    left_out = int((known & (rows < 0)).sum())
    kept = rows >= 0 if not whole else (rows >= 0) | ~known
    rows, found, known = rows[kept], found[kept], known[kept]
    comparison = compare(dataset, predictions, rows, found, readout)
    excluded = (dataset["flags"][found] & Flag.LABEL_WRONG) != 0
    distance = {name: measure(protocol, comparison) for name, protocol in _QUANTITIES.items()}
    published, rule = comparison, _published_readout(predictions, readout)
    if rule != readout:
        published = replace(comparison, prediction_2d=predicted_pixels(predictions, rule, rows))
        for name in ("2d", "2d_px"):
            distance[f"{name}_published"] = measure(_QUANTITIES[name], published)
    sequences = dataset["sequence"][found]
    subsets = _subsets(comparison, dataset["has_object"][found], excluded) | _sequence_subsets(sequences)
    augmented = predictions.truth is not None
    scored = [p for p in protocols if not augmented or p.family == "thesis"]
    scores = _scores(scored, comparison, published)
    without = _scores(scored, comparison.take(~excluded), published.take(~excluded)) if excluded.any() else {}
    return SetResult(
        dataset=dataset.name,
        split=split,
        shards=str(dataset.folder),
        origin=dataset.origin or UNKNOWN_ORIGIN,
        augmented=augmented,
        repeats=1 if predictions.truth is None else len(np.unique(predictions.truth.repeat)),
        trained_on=int(known.sum()) if seen else None,
        left_out=left_out if seen else None,
        counts=_counts(comparison, rows, excluded, predictions, dataset),
        errors={subset: {n: error_table(np.where(mask, d, np.nan)) for n, d in distance.items()}
                for subset, mask in subsets.items()},
        sequences=_by_sequence(distance, sequences),
        readouts={name: _readout_tables(replace(comparison, prediction_2d=predicted_pixels(predictions, name, rows)))
                  for name in predictions.keypoints_2d},
        curves={name: Curve(thresholds=tuple(map(float, thresholds)),
                            accuracy=tuple(map(float, metrics.accuracy_curve(distance[name], thresholds))))
                for name, thresholds in _CURVES.items() if np.isfinite(distance[name]).any()},
        protocols=scores,
        protocols_without_excluded=without,
        baseline=_baseline(comparison),
        spread=_spread(distance, predictions, rows),
        gallery=_gallery(distance, dataset["sample_id"][found]),
    )  # fmt: skip


def _scores(protocols: Sequence[Protocol], comparison: Comparison, published: Comparison) -> dict[str, Score]:
    """Score the thesis' protocols by its own read-out and the others by the chosen one."""
    own = [protocol for protocol in protocols if protocol.family == "thesis"]
    others = [protocol for protocol in protocols if protocol.family != "thesis"]
    return score_all(own, published) | score_all(others, comparison)


# ------------------------------------------------------------------------------------------------ tables


def error_table(distances_NK: Floats) -> ErrorTable:
    """Sum distances up by keypoint, group and total."""
    keypoint, labels = metrics.keypoint_means(distances_NK)
    return ErrorTable(
        keypoint=tuple(_number(value) for value in keypoint),
        labels=tuple(int(count) for count in labels),
        groups={name: _number(value) for name, value in metrics.group_means(keypoint).items()},
        total_macro=_number(metrics.macro_mean(keypoint)),
        total_micro=_number(metrics.micro_mean(distances_NK)),
        median=_number(metrics.micro_median(distances_NK)),
        rmse=_number(metrics.root_mean_square(distances_NK)),
    )


def _readout_tables(comparison: Comparison) -> dict[str, ErrorTable]:
    return {name: error_table(measure(_QUANTITIES[name], comparison)) for name in ("2d", "2d_px")}


def _subsets(comparison: Comparison, has_object: NDArray[np.int8], excluded: Mask) -> dict[str, Mask]:
    """Return the labels of each subset, (M, 21); a subset without any is left out."""
    by_sample = {
        "all": np.ones(len(comparison), bool),
        "no_object": has_object == 0,
        "object": has_object == 1,
        "left": comparison.hand_side == LEFT,
        "right": comparison.hand_side == RIGHT,
        "without_excluded": ~excluded if excluded.any() else np.zeros(len(comparison), bool),
    }
    subsets = {name: np.repeat(rows[:, None], NUM_KEYPOINTS, 1) for name, rows in by_sample.items()}
    subsets["visible"] = comparison.visible == 1
    subsets["occluded"] = comparison.visible == 0
    subsets["without_middle_mcp"] = (np.arange(NUM_KEYPOINTS) != ROOT) & subsets["all"]
    subsets["fingertips"] = np.isin(np.arange(NUM_KEYPOINTS), TIPS) & subsets["all"]
    if not comparison.in_crop[comparison.annotated_2d].all():
        subsets["inside_crop"] = comparison.in_crop
    return {name: mask for name, mask in subsets.items() if mask.any()}


def _sequence_subsets(sequences: NDArray[Any]) -> dict[str, Mask]:
    names = np.unique(sequences)
    if len(names) > MAX_SEQUENCE_TABLES:
        return {}
    return {f"sequence:{name}": np.repeat((sequences == name)[:, None], NUM_KEYPOINTS, 1) for name in names}


def _by_sequence(distance: dict[str, Floats], sequences: NDArray[Any]) -> dict[str, dict[str, float | None]]:
    """Return each sequence's mean distances over labels, by name; none if there are too many to list."""
    names, code = np.unique(sequences, return_inverse=True)
    if len(names) > MAX_SEQUENCES:
        return {}
    return {
        str(name): {
            "samples": float((code == place).sum()),
            **{quantity: _number(metrics.micro_mean(values[code == place])) for quantity, values in distance.items()},
        }
        for place, name in enumerate(names)
    }


def _counts(
    comparison: Comparison, rows: NDArray[np.int64], excluded: Mask, predictions: Predictions, dataset: Dataset
) -> dict[str, int]:
    named = int(np.isin(predictions.dataset, (dataset.name, "")).sum())
    poses = (comparison.prediction_3d, comparison.prediction_normalized)
    given_3d = np.logical_or(*(metrics.is_labelled(pose) for pose in poses))
    return {
        "samples": len(comparison),
        "without_prediction": int((rows < 0).sum()),
        "predictions_of_other_splits": named - int((rows >= 0).sum()),
        "sequences": len(np.unique(comparison.sequence)),
        "labels_2d": int(comparison.annotated_2d.sum()),
        "labels_2d_outside_crop": int((comparison.annotated_2d & ~comparison.in_crop).sum()),
        "labels_2d_unpredicted": int((comparison.annotated_2d & ~metrics.is_labelled(comparison.prediction_2d)).sum()),
        "labels_3d": int(comparison.annotated_3d.sum()),
        "labels_3d_unpredicted": int((comparison.annotated_3d & ~given_3d).sum()),
        "labels_3d_normalized": int(metrics.is_labelled(comparison.truth_normalized).sum()),
        "on_exclusion_list": int(excluded.sum()),
    }


def _baseline(comparison: Comparison) -> dict[str, float | None]:
    """Return the baseline: the errors of a model that always predicts the mean pose of this set."""
    labels = comparison.annotated_2d[..., None]
    fractions = (comparison.truth_2d - comparison.crop_xyxy[:, None, :2]) / comparison.crop_side[:, None, None]
    return {
        "2d": _about_the_mean(np.where(labels, fractions, np.nan)),
        "3d": _about_the_mean(comparison.truth_normalized),
    }


def _about_the_mean(points: Floats) -> float | None:
    known: Mask = metrics.is_labelled(points)
    mean = np.where(known[..., None], points, 0.0).sum(0) / np.maximum(known.sum(0), 1)[:, None]
    return _number(metrics.micro_mean(metrics.distances(np.broadcast_to(mean, points.shape), points, known)))


def _spread(
    distance: dict[str, Floats], predictions: Predictions, rows: NDArray[np.int64]
) -> dict[str, tuple[float | None, ...]]:
    """Return the totals of each repeat of an augmented evaluation (E17)."""
    if predictions.truth is None:
        return {}
    repeat = predictions.truth.repeat[rows]
    return {
        name: tuple(_number(metrics.micro_mean(distance[name][repeat == one])) for one in np.unique(repeat))
        for name in ("2d", "3d")
    }


def _gallery(distance: dict[str, Floats], sample_ids: NDArray[Any]) -> tuple[GalleryItem, ...]:
    """Return the best, middle and worst samples by 3D error, by 2D error where nothing is labelled in 3D."""
    by_sample = {name: _sample_means(distance[name]) for name in ("2d", "3d")}
    ranked = by_sample["3d"] if np.isfinite(by_sample["3d"]).any() else by_sample["2d"]
    order = np.argsort(ranked, kind="stable")[: int(np.isfinite(ranked).sum())]
    count = min(GALLERY_SAMPLES, len(order))
    start = max((len(order) - count) // 2, 0)
    chosen = {"best": order[:count], "median": order[start : start + count], "worst": order[::-1][:count]}
    return tuple(
        GalleryItem(
            kind=kind,
            sample_id=sample_ids[row].decode(),
            error_2d=_number(by_sample["2d"][row]),
            error_3d=_number(by_sample["3d"][row]),
        )
        for kind, rows in chosen.items()
        for row in rows
    )


def _sample_means(distances_NK: Floats) -> Floats:
    return metrics.keypoint_means(distances_NK.T)[0]


# ------------------------------------------------------------------------------------------------ choices


def _readout(predictions: Predictions, name: str | None) -> str:
    given = list(predictions.keypoints_2d)
    if name is None:
        return given[0] if given else ""
    if name not in given:
        raise ConfigError("--read-out", expected=f"one of {', '.join(given) or 'none'}", got=name)
    return name


def _published_readout(predictions: Predictions, readout: str) -> str:
    return PUBLISHED_READOUT if PUBLISHED_READOUT in predictions.keypoints_2d else readout


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
