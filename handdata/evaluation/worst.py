"""Which hands of a dataset were predicted worst: to look at, or to label again."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, MissingError
from handdata.evaluation import metrics
from handdata.evaluation.join import compare, match_samples
from handdata.evaluation.measure import measure
from handdata.evaluation.predictions import Predictions
from handdata.evaluation.protocols import PROTOCOLS
from handdata.evaluation.results import Results
from handdata.shards.alike import same_hands
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.index import has_index

BLOCK = 65_536  # hands compared at a time
_BY = {"3D": "thesis:error_3d", "2D": "thesis:error_2d"}  # as results.json ranks its gallery: 3D, else 2D


def predictions_of(results: Results, path: Path) -> Path:
    """Return the file of predictions that a results.json tells of, which may have moved together with it.

    Raises:
        MissingError: it is in no such place.
    """
    return _told_file(results.predictions, path, "the predictions behind the results")


def labels_of(results: Results, predictions: Path) -> Path | None:
    """Return the file of labels that another program's predictions count by; None for predictions of ours.

    Raises:
        MissingError: it is neither where it was, as seen from the predictions, nor beside them.
    """
    told = results.options.get("annotations")
    return _told_file(str(told), predictions, "the labels that the predictions count by") if told else None


def _told_file(told: str, beside: Path, expected: str) -> Path:
    """Find a file that another one tells of: seen from there first, since here another may have its name."""
    for place in (beside.parent / told, Path(told), beside.with_name(Path(told).name)):
        if told and place.is_file():
            return place
    raise MissingError(Path(told), expected=expected, got="no file", fix="Evaluate again.")


def worst(data: Dataset, predictions: Predictions, count: int, *, readout: str = "") -> tuple[Dataset, str]:
    """Return the hands that were predicted worst, worst first, and by which error they were ranked.

    Args:
        data: hands of one dataset.
        predictions: of them, or of some of them; the others are left out.
        count: how many hands at most.
        readout: which 2D positions count; "" takes the first of the file.

    Raises:
        ConfigError: predictions of an augmented evaluation.
        MissingError: none of the hands was predicted where it is labelled.
    """
    refuse_augmented(predictions, "--errors")
    for what, errors in hand_errors(data, predictions, readout).items():
        known = np.flatnonzero(np.isfinite(errors))
        if len(known):
            order = known[np.argsort(-errors[known], kind="stable")][:count]
            return data.take(order), what
    raise MissingError("--errors", expected=f"predictions of hands of {data.name}", got="none", fix="Name its results.")


def refuse_augmented(predictions: Predictions, where: Path | str) -> None:
    """Refuse predictions of augmented pictures, which say nothing of the hands as they are stored.

    Args:
        predictions: of hands.
        where: what was named.

    Raises:
        ConfigError: these are such.
    """
    if predictions.truth is not None:
        got, fix = "an augmented evaluation", "Evaluate the run once without --augmented."
        raise ConfigError(where, expected="results without --augmented", got=got, fix=fix)


def refuse_other_hands(results: Results, predictions: Predictions, data: Dataset, where: Path) -> None:
    """Refuse predictions of hands of another folder, some of which are only called as hands of this one.

    Copies, subsets, and hands with mended labels are those hands; a folder that is gone says nothing.

    Args:
        results: which say what folders were scored.
        predictions: behind the results.
        data: hands of one dataset.
        where: the file of the results.

    Raises:
        ConfigError: so it is.
    """
    scored = {Path(one.shards) for one in results.sets if one.dataset == data.name}
    if data.folder.resolve() in {folder.resolve() for folder in scored}:
        return
    predicted = np.char.encode(predictions.sample_id.astype(str), "utf-8")
    for folder in sorted(folder for folder in scored if has_index(folder)):
        hands = open_dataset(folder)
        ids, here, there = np.intersect1d(data.ids, hands.ids, return_indices=True)
        kept = np.isin(ids, predicted)
        other = ~same_hands(data[here[kept]], hands[there[kept]])
        if other.any():
            got = f"those of {folder}, where {ids[kept][other][0].decode()} is another hand"
            fix = f"Evaluate on {data.folder} alone."
            raise ConfigError(where, expected=f"predictions of the hands in {data.folder}", got=got, fix=fix)


def hand_errors(data: Dataset, predictions: Predictions, readout: str = "") -> dict[str, NDArray[np.float64]]:
    """Return how far off each hand was predicted, on average over its labels.

    Args:
        data: hands of one dataset.
        predictions: without a truth of their own.
        readout: which 2D positions count; "" takes the first of the file.

    Returns:
        "3D" and "2D" -> (N,) by `thesis:error_3d` and `thesis:error_2d`; NaN without a prediction or a label.
    """
    rows, numbers = match_samples(data, predictions)
    chosen = readout if readout in predictions.keypoints_2d else next(iter(predictions.keypoints_2d), "")
    parts: dict[str, list[NDArray[np.float64]]] = {what: [] for what in _BY}
    for start in range(0, len(numbers), BLOCK):
        block = slice(start, start + BLOCK)
        comparison = compare(data, predictions, rows[block], numbers[block], chosen)
        for what, protocol in _BY.items():
            distances = measure(PROTOCOLS[protocol], comparison)
            known = np.where(np.isfinite(distances), distances, np.nan)
            parts[what].append(metrics.keypoint_means(known.T)[0])
    return {what: np.concatenate(found) if found else np.zeros(0) for what, found in parts.items()}
