"""Pictures for the page: best, middle and worst samples with truth and prediction, and one sample's heatmaps."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata.converters.read.npz import read_arrays
from handdata.errors import DataError, HanddataError
from handdata.evaluation.alignment import align_root_and_scale, true_scale
from handdata.evaluation.predictions import Predictions, read_predictions
from handdata.evaluation.results import GalleryItem, SetResult
from handdata.geometry import apply_affine, compose_affine, crop_affine
from handdata.pictures.close_up import close_window
from handdata.pictures.decode import resample_square
from handdata.pictures.overlay import contact_sheet
from handdata.progress import track
from handdata.report.drawings import skeleton_overlay, three_views
from handdata.report.lead import hands_of
from handdata.report.runs import Run
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.hand import Hand
from handdata.shards.schema import Flag
from handdata.skeleton import KEYPOINTS

NO_BREAK = "\N{NO-BREAK SPACE}"
WEBP_QUALITY = 70
MAX_CARDS = 360  # on one page: about 14 kB each with their drawings, so that the page stays below 15 MB
AROUND_CROP = 1.2  # side of the picture shown, relative to the crop that the model saw; a small hand is shown closer
SHOWN_EACH = 2  # of each kind before the others, which are folded
LEAST_PX, MOST_PX = 96, 240  # of a picture
DRAWING_SIDE = 192  # units of a picture's drawing, whatever the canvas; an SVG's pixel edges lie at whole numbers
MOSAIC = ("image", "heatmaps", "dataset", "sample_id")  # of mosaic.npz
_AGAIN = "Run `handdata evaluate` again."
_MAP_SIDE = 96  # px of one map of the mosaic


@dataclass(frozen=True, kw_only=True)
class Card:
    """One sample, drawn.

    Attributes:
        kind: "best", "median" or "worst".
        sample_id: as in the shards.
        caption: its errors, and how much closer than the crop it is shown.
        picture: data URI.
        truth: SVG group of the labels.
        prediction: SVG group of the predicted keypoints.
        views: SVG of the pose from three sides; "" without 3D.
        views_note: what the three views compare, or why there is nothing to compare.
    """

    kind: str
    sample_id: str
    caption: str
    picture: str
    truth: str
    prediction: str
    views: str
    views_note: str


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Samples of one evaluation, drawn.

    Attributes:
        title: the set, and who predicted it.
        key: of the page's ids.
        origin: of the set.
        hands: whose hands it shows, in words.
        first: a few of each kind, best to worst.
        more: the others, folded.
        note: what the three views of all of them compare, "" where they differ.
        missing: why there is nothing to see, "" if there is.
        fault: of these the file that cannot be read, "" if none.
    """

    title: str
    key: str
    origin: str
    hands: str
    first: tuple[Card, ...]
    more: tuple[Card, ...]
    note: str
    missing: str
    fault: str = ""


def galleries(sets: Mapping[str, Sequence[tuple[Run, SetResult]]]) -> list[Gallery]:
    """Draw the gallery of every scored set, by dataset; the more there are, the fewer samples has each."""
    count = sum(len(scored) for scored in sets.values())
    each = min(4, max(1, MAX_CARDS // (3 * max(count, 1))))
    return [
        _gallery(run, one, each, f"{name}-{number}") for name in track(sets, "drawing datasets")
        for number, (run, one) in enumerate(sets[name], start=1)
    ]  # fmt: skip


def _gallery(run: Run, one: SetResult, each: int, key: str) -> Gallery:
    fault = ""
    try:
        drawn, missing = cards(run, one, each)
    except HanddataError as error:
        drawn, missing, fault = [], str(error).removesuffix("."), str(error)
    notes = {card.views_note for card in drawn}
    note = notes.pop() if len(notes) == 1 else ""
    place: dict[str, int] = {}
    first: list[Card] = []
    more: list[Card] = []
    for card in drawn:
        place[card.kind] = place.get(card.kind, 0) + 1
        told = replace(card, views_note="") if note else card
        (first if place[card.kind] <= SHOWN_EACH else more).append(told)
    return Gallery(title=f"{one.dataset}: {run.column(one)}", key=key, origin=one.origin, hands=hands_of(one),
                   first=tuple(first), more=tuple(more), note=note, missing=missing, fault=fault)  # fmt: skip


def cards(run: Run, result: SetResult, each: int) -> tuple[list[Card], str]:
    """Draw the gallery of one set.

    Args:
        run: whose predictions.
        result: names the samples.
        each: how many of each kind at most.

    Returns:
        The cards, and what is missing ("" if nothing).

    Raises:
        HanddataError: the shards or the predictions cannot be read.
    """
    if result.augmented:
        return [], "augmented samples are not stored"
    path = run.folder / "predictions.h5"
    if not path.exists():
        return [], f"{path.name} is not in the run's folder; `handdata evaluate {run.name}` writes it"
    dataset = open_dataset(Path(result.shards), result.split)
    predictions = _predictions(path, path.stat().st_mtime_ns)
    ids = [value.decode() for value in dataset["sample_id"]]
    row_of = {sample_id: row for row, sample_id in enumerate(ids)}
    readout = run.results.readout if run.results else ""
    items = _chosen([item for item in result.gallery if item.sample_id in row_of], each)
    drawn = [_card(item, dataset, row_of[item.sample_id], predictions, readout) for item in items]
    return drawn, "" if drawn else "none of the samples is in the shards any more"


def _chosen(gallery: Sequence[GalleryItem], each: int) -> list[GalleryItem]:
    """Pick at most `each` items of a kind, none of a sample twice: of few samples the best are the worst as well."""
    kinds: dict[str, list[GalleryItem]] = {}
    for item in gallery:
        kinds.setdefault(item.kind, []).append(item)
    around = kinds.get("median", [])
    kinds["median"] = sorted(around, key=lambda item: abs(around.index(item) - (len(around) - 1) / 2))
    chosen: dict[str, GalleryItem] = {}
    for rank in range(each):
        for items in kinds.values():
            for item in items[rank : rank + 1]:
                chosen.setdefault(item.sample_id, item)
    return [item for item in gallery if chosen.get(item.sample_id) is item]


def mosaic(folder: Path) -> tuple[str, str]:
    """Draw the 21 heatmaps of one sample over its picture, one tile per keypoint in the order of `skeleton.KEYPOINTS`.

    Returns:
        A data URI ("" if the run kept no heatmaps), and a caption or what is missing.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    path = folder / "mosaic.npz"
    if not path.exists():
        return "", f"no heatmaps kept: {path.name} is not in the run's folder"
    try:
        image, maps, dataset, sample_id = read_arrays(path, MOSAIC, kinds="biufU")
    except HanddataError as error:
        raise DataError(error.where, expected=error.expected, got=error.got, fix=_AGAIN) from None
    is_picture = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    are_maps = maps.dtype.kind == "f" and maps.ndim == 3 and len(maps) == len(KEYPOINTS) and maps.size
    if not is_picture or not are_maps or not np.isfinite(maps).all():
        got = f"{image.dtype} {image.shape} and {maps.dtype} {maps.shape}"
        raise DataError(path, expected="an RGB picture and 21 finite heatmaps", got=got, fix=_AGAIN)
    name = f"{dataset} {sample_id}; each map scaled by its maximum, {_range(maps)}"
    gray = cv2.cvtColor(cv2.resize(image, (_MAP_SIDE, _MAP_SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    tiles = [_tile(gray, heatmap, keypoint) for heatmap, keypoint in zip(maps, KEYPOINTS, strict=True)]
    return data_uri(contact_sheet(tiles, columns=7)), name


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return an RGB picture as a WebP data URI."""
    options = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    _, encoded = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()


def _range(maps: NDArray[Any]) -> str:
    peaks = maps.reshape(len(maps), -1).max(1)
    return f"{peaks.min():.3g} to {peaks.max():.3g}"


@lru_cache(maxsize=16)
def _predictions(path: Path, _changed: int) -> Predictions:
    """Read a run's predictions once for all its datasets; `_changed`, the file's time, notices a new evaluation."""
    return read_predictions(path)


def _card(item: GalleryItem, dataset: Dataset, sample: int, predictions: Predictions, readout: str) -> Card:
    hand = dataset[sample]
    found = np.flatnonzero((predictions.sample_id == item.sample_id) & np.isin(predictions.dataset, (dataset.name, "")))
    uv, predicted = hand.source.keypoints_2d, np.full((len(KEYPOINTS), 2), np.nan)
    if found.size and readout:
        predicted = predictions.keypoints_2d[readout][found[0]].astype(np.float64)
    canvas = dataset.image(sample)
    around = 1.0 if hand.flags & Flag.IMAGE_PADDED else AROUND_CROP  # no black edges
    side = round(float(hand.crop_box[2] - hand.crop_box[0]) * around)
    edge = max((len(canvas) - side) // 2, 0)  # the crop lies in the middle of its canvas (docs/method.md 3.6)
    crop = np.array([edge, edge, len(canvas) - edge, len(canvas) - edge], float)
    points = apply_affine(hand.source_to_image, np.concatenate([uv, predicted]))
    window = close_window(points, crop)
    closer = float((crop[2] - crop[0]) / (window[2] - window[0]))
    pixels = int(np.clip(round(float(window[2] - window[0])), LEAST_PX, MOST_PX))
    to_drawing = compose_affine(crop_affine(window, DRAWING_SIDE), hand.source_to_image)
    views, note = _views(hand, predictions, found)
    errors = [
        f"{name}{NO_BREAK}{value:.3f}"
        for name, value in (("2D", item.error_2d), ("3D", item.error_3d))
        if value is not None
    ]
    return Card(
        kind=item.kind,
        sample_id=item.sample_id,
        caption=", ".join([*errors, *([f"{closer:.1f}x{NO_BREAK}closer"] if closer > 1.1 else [])]),
        picture=data_uri(resample_square(canvas, window, pixels)),
        truth=skeleton_overlay(apply_affine(to_drawing, uv) + 0.5),
        prediction=skeleton_overlay(apply_affine(to_drawing, predicted) + 0.5),
        views=views,
        views_note=note,
    )


def _views(hand: Hand, predictions: Predictions, found: NDArray[np.intp]) -> tuple[str, str]:
    """Draw the poses, normalised or, where only millimetres are labelled, laid on the true root at the true scale.

    Without either only the prediction is drawn, and said to be so (thesis, features H14).
    """
    if predictions.keypoints_3d_normalized is None or not found.size:
        return "", "no 3D was predicted"
    pose = predictions.keypoints_3d_normalized[found[:1]].astype(np.float64)
    truth = hand.keypoints_3d_normalized[None]
    note = ""
    if not np.isfinite(truth).any():
        millimetres = hand.keypoints_3d[None]
        laid = align_root_and_scale(pose, millimetres, true_scale(pose, millimetres, None))
        note = "no normalised 3D truth: the prediction alone, to be judged by eye"
        if np.isfinite(laid).any():
            truth, pose, note = millimetres, laid, "pose at the true root and scale"
    return three_views(truth[0], pose[0], f"3D pose of {hand.id} from front, side and top"), note


def _tile(gray: NDArray[Any], heatmap: NDArray[Any], keypoint: str) -> NDArray[np.uint8]:
    peak = float(heatmap.max())
    level = cv2.resize(np.asarray(heatmap / peak if peak > 0 else heatmap, np.float32), gray.shape[::-1]).clip(0, 1)
    heat = cv2.cvtColor(cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = (0.25 + 0.75 * level)[..., None]
    tile = (gray[..., None] * 0.6 * (1 - weight) + heat * weight).clip(0, 255).astype(np.uint8)
    cv2.putText(tile, keypoint, (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)
