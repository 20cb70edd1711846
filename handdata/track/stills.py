"""Hands in pictures that have nothing to do with each other: in boxes that are told, or that a detector supposes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.model.detector import find_detector
from handdata.model.model import BATCH, Model, square_of_box
from handdata.model.spots import Detector, Spot
from handdata.model.spotter import LEAST_SCORE
from handdata.pictures.crops import scale_about_center, square_of
from handdata.shards.hand import Hand
from handdata.shards.hand_pictures import read_picture
from handdata.track.around import grown, look_around
from handdata.track.tracker import PROPOSED, SAME, SEEN, WIDER, confidence_of, lie_on

ROOM = 1.04  # of what the model is shown over a detector's box: it learnt squares 1.3 times those of the keypoints
ROUND_POINTS = 1.3  # of such a square, round keypoints that were found
PER_HAND, FEWEST = 2, 4  # spots that it is asked about for each hand that is wanted, and at least so many
CLEAR = 0.6  # confidence of a hand that is not looked at in a wider box
WORTH = 0.3  # confidence of a hand that is looked at once more

PictureHands = tuple[Path, NDArray[np.uint8], list[Hand]]
Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Question:
    """How a model is asked about every picture.

    Attributes:
        side: "left", "right" or "auto".
        K_of: gives the (3, 3) intrinsics of a picture, px; None: not known.
        read_out: one of `model.read_outs`; None takes the first.
    """

    side: str = "auto"
    K_of: Callable[[Image], Any] | None = None
    read_out: str | None = None

    def words(self, images: Sequence[Image]) -> dict[str, Any]:
        """Return what goes to the model with pictures and boxes."""
        cameras = None if self.K_of is None else [self.K_of(image) for image in images]
        return {"K": cameras, "read_out": self.read_out}


def hands_in_boxes(
    paths: Sequence[Path | str], model: Model, boxes_of: Callable[[Image], Sequence[Any]], asked: Question
) -> Iterator[PictureHands]:
    """Yield each picture with a hand for each of its boxes, in order; the model sees many boxes at a time.

    Args:
        paths: of the pictures.
        model: to ask.
        boxes_of: gives the boxes of a picture, xyxy px; a box that is None stands for the largest centred square.
        asked: how.

    Returns:
        The path, the picture, and its hands. Hands of a picture with several are named "<file>#1" and so on.

    Raises:
        MissingError, DataError: a picture is not there or cannot be read.
        ConfigError: a box lies wholly outside its picture.
    """
    for batch in _batches(paths, boxes_of):
        images = [image for _, image, boxes in batch for _ in boxes]
        hands = iter(model(images, [box for *_, boxes in batch for box in boxes], asked.side, **asked.words(images)))
        for path, image, boxes in batch:
            yield path, image, _named(path, [next(hands) for _ in boxes])


def find_hands(
    paths: Path | str | Sequence[Path | str],
    model: Model,
    detector: Detector | None = None,
    asked: Question = Question(),  # frozen
    most_hands: int = 2,
) -> Iterator[PictureHands]:
    """Yield each picture with the hands that the model sees where the detector supposes some, surest first.

    The model looks at each spot and at the largest centred square, for pictures of one hand alone; at each in a wider
    box too, as boxes of a detector may hold a fist without its fingers; and once more round the points that it found.
    Of two answers about one hand the surer one stays. A model without a presence head cannot judge: it answers for
    each spot that the detector is sure of.

    Args:
        paths: of the pictures, or of one.
        model: to ask.
        detector: supposes hands; it may suppose many. None: the one that comes along.
        asked: how the model is asked.
        most_hands: of a picture.

    Returns:
        As `hands_in_boxes`; `hand.box` is the square round the points that were found first.

    Raises:
        MissingError, DataError: a picture is not there or cannot be read.
        ConfigError: fewer than one hand is asked for.
    """
    if most_hands < 1:
        raise ConfigError("most_hands", expected="1 or more", got=str(most_hands))
    detector = find_detector(least_score=PROPOSED) if detector is None else detector
    for batch in _batches(paths, lambda image: _proposed(detector(image), image, most_hands)):
        images = [image for _, image, boxes in batch for _ in boxes]
        spots = [spot for *_, proposed in batch for spot in proposed]
        hands = iter(_looked_at(model, images, spots, asked))
        for path, image, proposed in batch:
            own = [hand for hand in (next(hands) for _ in proposed) if hand is not None]
            yield path, image, _named(path, one_of_each(own)[:most_hands])


def hands_in(
    image: Image,
    model: Model,
    detector: Detector,
    asked: Question = Question(),  # frozen
    most_hands: int = 2,
) -> list[Hand]:
    """Return the hands of one (H, W, 3) uint8 RGB picture, surest first, as `find_hands` looks for them."""
    spots = _proposed(detector(image), image, most_hands)
    hands = _looked_at(model, [image] * len(spots), spots, asked)
    return one_of_each([hand for hand in hands if hand is not None])[:most_hands]


def _batches(
    paths: Path | str | Sequence[Path | str], boxes_of: Callable[[Image], Sequence[Any]]
) -> Iterator[list[tuple[Path, Image, Sequence[Any]]]]:
    """Yield pictures with their boxes, as many at a time as the model is asked about at once."""
    waiting: list[tuple[Path, Image, Sequence[Any]]] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        image = read_picture(path)
        boxes = boxes_of(image)
        for box in boxes:
            square_of_box(box.box_xyxy if isinstance(box, Spot) else box, image, str(path))  # refuses one outside
        waiting.append((path, image, boxes))
        if sum(len(boxes) for *_, boxes in waiting) >= BATCH:
            yield waiting
            waiting = []
    yield waiting


def _named(path: Path, hands: Sequence[Hand]) -> list[Hand]:
    names = [path.name] if len(hands) == 1 else [f"{path.name}#{i}" for i in range(1, len(hands) + 1)]
    return [replace(hand, id=name, path=path) for hand, name in zip(hands, names, strict=True)]


# ------------------------------------------------------------------------------------------------ a detector's spots


def _proposed(spots: Sequence[Spot], image: Image, most_hands: int) -> list[Spot]:
    """Return the spots that the model is asked about, as it is shown them, and the largest centred square, score 0."""
    height, width = image.shape[:2]
    half = min(height, width) / 2
    centre = np.array([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half])
    most = max(FEWEST, PER_HAND * most_hands)
    likely = [replace(spot, box_xyxy=scale_about_center(spot.box_xyxy, ROOM)) for spot in spots]
    return [*[spot for spot in likely if spot.score >= PROPOSED][:most], Spot(centre, 0.0, "right")]


def _looked_at(model: Model, images: Sequence[Image], spots: Sequence[Spot], asked: Question) -> list[Hand | None]:
    """Return what the model sees of each spot in up to three looks; None where that is no hand."""

    def look(numbers: Sequence[int], boxes: Sequence[Any]) -> list[Hand]:
        pictures = [images[i] for i in numbers]
        words = asked.words(pictures)
        return look_around(model, pictures, boxes, asked.side, model.trained.model.zoom, **words) if numbers else []

    every, boxes = range(len(spots)), [spot.box_xyxy for spot in spots]
    hands = look(every, boxes)
    unclear = [i for i in every if confidence_of(hands[i]) < CLEAR]
    for i, hand in zip(unclear, look(unclear, [grown(boxes[i], WIDER) for i in unclear]), strict=True):
        hands[i] = max(hands[i], hand, key=confidence_of)
    worth = [i for i in every if np.isfinite(hands[i].presence) and confidence_of(hands[i]) >= WORTH]
    for i, hand in zip(worth, look(worth, [_square_round(hands[i]) for i in worth]), strict=True):
        hands[i] = hand
    return [hand if _is_seen(hand, spot) else None for hand, spot in zip(hands, spots, strict=True)]


def _is_seen(hand: Hand, spot: Spot) -> bool:
    return confidence_of(hand) >= SEEN if np.isfinite(hand.presence) else spot.score >= LEAST_SCORE


def _square_round(hand: Hand) -> NDArray[np.float64]:
    uv = hand.keypoints_2d + 0.5  # to px edges
    return scale_about_center(square_of(np.concatenate([uv.min(0), uv.max(0)])), ROUND_POINTS)


def one_of_each(hands: Sequence[Hand]) -> list[Hand]:
    """Return hands without those that are part of one that the model is surer of, surest first."""
    kept: list[tuple[Hand, NDArray[np.float64]]] = []
    for hand in sorted(hands, key=confidence_of, reverse=True):
        box = _square_round(hand)
        if not any(lie_on(box, other, SAME) for _, other in kept):
            kept.append((hand, box))
    return [hand for hand, _ in kept]
