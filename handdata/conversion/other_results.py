"""Predictions as other programs store them, put beside converted samples: COCO's result JSON, and mmpose's dumps.

COCO results (https://cocodataset.org/#format-results): a list of {"image_id", "category_id", "keypoints": 63 numbers,
"score"}. mmpose's DumpResults: a pickle, one dict per picture or hand with img_id, id and pred_instances (keypoints
(N, 21, 2), keypoint_scores (N, 21)); nothing in it is run. Both name pictures by the numbers of a COCO file of labels,
which says what samples these are.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters.custom import CustomOptions, rows_with_ids
from handdata.converters.read import pickle_numpy
from handdata.errors import ConfigError, DataError
from handdata.evaluation.precision import similarities
from handdata.evaluation.predicted_values import FARTHEST
from handdata.evaluation.predictions import FOREIGN_READOUT, FoundHands, Predictions, read_predictions
from handdata.evaluation.results import Results
from handdata.evaluation.worst import labels_of, predictions_of
from handdata.exchange.labels import HandLabels
from handdata.exchange.settle import FROM_FILE
from handdata.files.text import LARGE, Wanted, as_object, read_bytes, read_json, read_object
from handdata.files.whole import file_sha256
from handdata.geometry import apply_affine, invert_affine
from handdata.progress import say
from handdata.shards.index import read_index
from handdata.skeleton import NUM_KEYPOINTS

PICKLES = (".pkl", ".pickle")
_FIX = "See docs/evaluation.md for the layouts of predictions."
_RESULTS = Wanted(what="results", fix=_FIX, largest=LARGE)
_LABELS = Wanted(what="labels", fix=_FIX, largest=LARGE)
_ASKED = ("order", "coordinates")  # of an import, that say how predictions for its file list their points
_AS_IT_IS: Mapping[str, str] = MappingProxyType({})
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One predicted hand: of which picture, and of which annotation if that is said; px of the picture."""

    image: Any
    annotation: Any
    uv: Array  # (21, 2)
    score: float


@dataclass(frozen=True, kw_only=True)
class _Hand:
    """One labelled hand of the file that was predicted from."""

    sample_id: str
    annotation: Any
    to_source: Array  # (2, 3)
    uv: Array  # (21, 2) px; NaN without a label
    slots: tuple[int, ...]  # of the file's rows of points


def read_any_predictions(
    path: Path, annotations: Path | None = None, *, read_as: Mapping[str, str] = _AS_IT_IS
) -> Predictions:
    """Read predictions of ours or of other programs.

    Args:
        path: as `read_predictions` takes it, or a JSON list of COCO results, or a pickle of mmpose.
        annotations: the COCO file that was predicted from, for the latter two: the one that was converted, or one that
            `export` wrote.
        read_as: what was asked of that file when it was converted, as `as_imported` returns it.

    Raises:
        ConfigError: results of other programs without their annotations, or ours with some.
        MissingError: no such file.
        DataError: another layout.
    """
    foreign = path.suffix in PICKLES or (path.suffix == ".json" and path.is_file() and _is_list(path))
    if foreign and annotations is None:
        got, fix = "nothing", "Name the COCO file whose pictures were predicted."
        raise ConfigError("--annotations", expected=f"the labels that {path.name} counts by", got=got, fix=fix)
    if not foreign or annotations is None:
        if annotations is not None:
            raise ConfigError("--annotations", expected="results that count by a COCO file", got=path.name)
        return read_predictions(path)
    found = list(_from_mmpose(path) if path.suffix in PICKLES else _from_coco(path))
    if not found:
        raise DataError(path, expected="predicted hands", got="none", fix=_FIX)
    seen_from = os.path.relpath(os.path.realpath(annotations), os.path.realpath(path.parent))
    options = {"annotations": seen_from, **({"read_as": dict(read_as)} if read_as else {})}
    return replace(_placed(found, _hands_of(annotations, read_as), path), options=options)


def as_imported(annotations: Path, folders: Sequence[Path]) -> dict[str, str]:
    """Return the order and the coordinates that were asked for where shards were made of that very file of labels.

    Predictions list their points as it does. What nobody asked for is left out.

    """
    digest = file_sha256(annotations) if annotations.is_file() else ""
    for folder in folders:
        options = read_index(folder).get("options", {})
        if digest and digest in (options.get("annotations") or ()):
            return {name: str(options[name]) for name in _ASKED if options.get(name, FROM_FILE) != FROM_FILE}
    return {}


def predictions_behind(results: Results, path: Path) -> Predictions:
    """Read the predictions that a results.json was made from.

    Raises:
        MissingError: they are not where it tells, or, of another program, the labels that they count by are not.
        DataError: they are damaged.
    """
    scored = predictions_of(results, path)
    read_as = results.options.get("read_as")
    asked = {name: str(value) for name, value in read_as.items() if name in _ASKED} if isinstance(read_as, dict) else {}
    return read_any_predictions(scored, labels_of(results, scored), read_as=asked)


def _is_list(path: Path) -> bool:
    return read_bytes(path, _RESULTS)[:64].lstrip()[:1] == b"["


# ------------------------------------------------------------------------------------------------ what was predicted


def _from_coco(path: Path) -> Iterator[_Found]:
    for number, given in enumerate(read_json(path, _RESULTS)):
        where = f"{path}[{number}]"
        entry = as_object(given, where, _RESULTS)
        points = _points(entry.get("keypoints"), 3, where)
        yield _Found(
            image=_number_of(entry.get("image_id"), f"{where}[image_id]"),
            annotation=None,
            uv=np.where((points == 0).all(1)[:, None], np.nan, points[:, :2]),  # not predicted
            score=_certainty(entry.get("score", 1.0), where),
        )


def _from_mmpose(path: Path) -> Iterator[_Found]:
    entries = pickle_numpy.load(path, beside=pickle_numpy.TENSORS)  # heatmaps, which are not needed
    if not isinstance(entries, list):
        raise DataError(
            path, expected="a list, as mmpose's DumpResults writes it", got=type(entries).__name__, fix=_FIX
        )
    for number, entry in enumerate(entries):
        where = f"{path}[{number}]"
        said = entry.get("pred_instances") if isinstance(entry, dict) else None
        if not isinstance(said, dict) or "keypoints" not in said:
            raise DataError(where, expected="pred_instances with keypoints", got=str(entry)[:80], fix=_FIX)
        hands = _numbers(said["keypoints"], f"{where}[keypoints]")
        if hands.ndim < 2 or 0 in hands.shape[-2:]:
            got = f"shape {hands.shape}"
            raise DataError(f"{where}[keypoints]", expected="numbers of (hands, 21, 2)", got=got, fix=_FIX)
        hands = hands.reshape(-1, *hands.shape[-2:])
        scores = _numbers(said.get("keypoint_scores", np.ones(hands.shape[:2])), f"{where}[keypoint_scores]")
        if len(hands) and (scores.size == 0 or scores.size % len(hands)):
            got = f"{scores.size} for {len(hands)} hands"
            raise DataError(f"{where}[keypoint_scores]", expected="as many scores for each hand", got=got, fix=_FIX)
        image = _number_of(entry.get("img_id"), f"{where}[img_id]")
        annotation = _number_of(entry.get("id"), f"{where}[id]")
        for row, hand in enumerate(hands):
            points = _points(hand[..., :2], 2, f"{where}[{row}]")
            score = _certainty(scores.reshape(len(hands), -1)[row].mean(), where)
            alone = annotation if len(hands) == 1 else None  # bottom-up results name a picture alone
            yield _Found(image=image, annotation=alone, uv=points, score=score)


def _points(values: Any, width: int, where: str) -> Array:
    try:
        points = np.asarray(values, np.float64).reshape(-1, width)
    except (TypeError, ValueError) as error:
        raise DataError(where, expected=f"{NUM_KEYPOINTS} x {width} numbers", got=str(error)[:80], fix=_FIX) from None
    if len(points) != NUM_KEYPOINTS:
        raise DataError(where, expected=f"{NUM_KEYPOINTS} keypoints", got=str(len(points)), fix=_FIX)
    if not np.nanmax(np.abs(points), initial=0.0) <= FARTHEST:
        raise DataError(where, expected=f"numbers up to {FARTHEST:g}", got="one beyond", fix=_FIX)
    return points


def _certainty(value: Any, where: str) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = np.nan
    if not np.isfinite(score):
        raise DataError(f"{where}[score]", expected="a number", got=str(value)[:80], fix=_FIX)
    return score


def _numbers(values: Any, where: str) -> Array:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(where, expected="numbers", got=str(error)[:80], fix=_FIX) from None


def _number_of(value: Any, where: str) -> int | float | str | None:
    """Return the number or the name of a picture or an annotation; an array of one number is that number."""
    one = value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value
    if one is not None and not isinstance(one, int | float | str):
        raise DataError(where, expected="a number", got=f"a {type(one).__name__}", fix=_FIX)
    return one


# ------------------------------------------------------------------------------------------------ whose hands


def _hands_of(annotations: Path, read_as: Mapping[str, str]) -> dict[Any, list[_Hand]]:
    """Return the labelled hands of a COCO file by the number of their picture."""
    content = read_object(annotations, _LABELS, finite=False)
    listed = content.get("annotations")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise DataError(annotations, expected="a COCO file", got="no list of annotations", fix=_FIX)
    hands: dict[Any, list[_Hand]] = {}
    order, coordinates = (read_as.get(name, FROM_FILE) for name in _ASKED)
    options = CustomOptions(annotations=(annotations,), order=order, coordinates=coordinates)
    for name, row in rows_with_ids(annotations.parent, options):
        given = listed[int(row.where.rpartition("[")[2].rstrip("]"))]
        labels = row.hand if isinstance(row.hand, HandLabels) else HandLabels(uv=np.full((22, 2), np.nan))
        hand = _Hand(
            sample_id=name,
            annotation=given.get("id"),
            to_source=_to_source(given, row.where),
            uv=labels.uv[:NUM_KEYPOINTS],
            slots=labels.slots if len(labels.slots) == NUM_KEYPOINTS else tuple(range(NUM_KEYPOINTS)),
        )
        hands.setdefault(_number_of(given.get("image_id"), f"{row.where}[image_id]"), []).append(hand)
    return hands


def _to_source(given: Mapping[str, Any], where: str) -> Array:
    """Return the map from the exported picture to the one as shipped, which `export` notes; else they are one."""
    matrix = given.get("source_to_canvas")
    if matrix is None:
        return np.eye(2, 3)
    try:
        return invert_affine(np.array(matrix, np.float64).reshape(2, 3))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}[source_to_canvas]", expected="2 x 3 numbers", got=str(error)[:80], fix=_FIX) from None


def _placed(found: Sequence[_Found], hands: Mapping[Any, Sequence[_Hand]], path: Path) -> Predictions:
    """Give every predicted hand its sample; in a picture the most certain one takes the most similar hand first."""
    taken: dict[str, int] = {}  # sample -> place in `found`
    beside = [next(iter(hands.get(one.image, ())), None) for one in found]
    for place in sorted(range(len(found)), key=lambda place: -found[place].score):
        one = found[place]
        free = [hand for hand in hands.get(one.image, ()) if hand.sample_id not in taken]
        named = [hand for hand in free if one.annotation is not None and hand.annotation == one.annotation]
        hand = _most_similar(one.uv, named or free)
        if hand is not None:
            taken[hand.sample_id], beside[place] = place, hand
    if not taken:
        got = f"image_id {found[0].image}"
        raise DataError(path, expected="pictures of that file of labels", got=got, fix="Name the file predicted from.")
    if len(taken) < len(found):
        lost = beside.count(None)
        also = f", {lost} of them in pictures without any, which no protocol counts" if lost else ""
        what = f"{len(found) - len(taken)} of {len(found)} predicted hands are of no labelled hand"
        say(f"{path}: {what}: they count for average precision alone{also}")
    names = sorted(taken)
    kept = [place for place, hand in enumerate(beside) if hand is not None]
    pixels = {place: _in_source(found[place].uv, hand) for place, hand in enumerate(beside) if hand is not None}
    return Predictions(
        dataset=np.array([""] * len(names)),
        sample_id=np.array(names),
        keypoints_2d={FOREIGN_READOUT: np.stack([pixels[taken[name]] for name in names])},
        crop_xyxy=np.full((len(names), 4), np.nan, np.float32),
        score=np.array([found[taken[name]].score for name in names]),
        found=FoundHands(
            beside=np.array([hand.sample_id for hand in beside if hand is not None]),
            keypoints_2d=np.stack([pixels[place] for place in kept]),
            score=np.array([found[place].score for place in kept]),
        ),
    )


def _in_source(uv: Array, hand: _Hand) -> Array:
    """Return (21, 2) points as the file lists them in our order, px of the picture as shipped."""
    ordered = np.full_like(uv, np.nan)
    ordered[list(hand.slots)] = uv
    return apply_affine(hand.to_source, ordered)


def _most_similar(uv: Array, hands: Sequence[_Hand]) -> _Hand | None:
    if len(hands) < 2:
        return hands[0] if hands else None
    truth = np.stack([hand.uv for hand in hands])
    labelled = np.asarray(np.isfinite(truth).all(-1))
    spans = np.where(labelled[..., None], truth, -np.inf).max(1) - np.where(labelled[..., None], truth, np.inf).min(1)
    area = np.where(labelled.any(1), np.nan_to_num(spans.prod(1), posinf=1.0, neginf=1.0), 1.0)
    ordered = np.full_like(uv, np.nan)
    ordered[list(hands[0].slots)] = uv
    with np.errstate(invalid="ignore"):
        similar = np.nan_to_num(similarities(ordered[None], truth, labelled, area)[0], nan=-1.0)
    return hands[int(similar.argmax())]
