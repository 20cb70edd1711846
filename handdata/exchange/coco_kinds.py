"""Published files of hands in COCO's dress, told apart by their fields: what one annotation of each kind says.

COCO-WholeBody (https://github.com/jin-s13/COCO-WholeBody, its page on the format), Halpe
(https://github.com/Fang-HaoShu/Halpe-FullBody) and the files that mmpose (https://github.com/open-mmlab/mmpose) makes
of FreiHAND, OneHand10K, Panoptic HandDB and RHD. `info.description` is no reliable sign: fields are.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.exchange.labels import Array
from handdata.exchange.plain import OWN, array_of
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS

Record = Mapping[str, Any]
# what a keypoint's flag says
SURE, HIDDEN, UNSEEN, OPEN = "2 visible, else unknown", "1 hidden, 2 visible", "1 hidden, 2 unknown", "unknown"
MODEL = "handdata label"  # `info.kind` of a model's answers
NO_HAND = "persons without a labelled hand"
MIN_POINTS = 2
_HALPE = {"left": 94, "right": 115}  # first of 21 among 136 points
_FLAT = {"left": 91, "right": 112}  # first of 21 among 133 points
_PUBLISHED = re.compile(
    r"(^|[/_])(\d{12}|HICO_(train|test)2015_\d{8})\.jpg$"
)  # names of COCO's pictures, of HICO-DET's


@dataclass(frozen=True)
class CocoKind:
    """One kind of file.

    Attributes:
        name: in words.
        sign: what it is known by.
        hands: yields the facts of each hand of an annotation and its image, or a text: what it is instead of a hand.
            Facts are `keypoints`, (21 x 3) in our order or that of `order`, and what docs/custom.md lists.
        flags: what a keypoint's third number says beside "labelled".
        order: of the points, a key of `orders.ORDERS`; "" as the categories name them.
        is_person: an annotation may hold two hands.
        dataset: the published one that such files are of, a name of manifests/ if there is one; "" where others write
            such files too. Of persons it is so where the pictures are published ones, as `shows_published` tells.
    """

    name: str
    sign: str
    hands: Callable[[Record, Record], Iterator[dict[str, Any] | str]]
    flags: str = OPEN
    order: str = "base-first"
    is_person: bool = False
    dataset: str = ""


def _whole_body(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:  # noqa: ARG001
    sides = [side for side in HAND_SIDES if annotation.get(f"{side}hand_valid")]
    if not sides:
        yield NO_HAND
    for side in sides:
        box = annotation.get(f"{side}hand_box")
        has_box = box is not None and np.any(np.array(box, np.float64) != 0)
        yield {"side": side, "keypoints": annotation[f"{side}hand_kpts"], "bbox": box if has_box else None}


def _slices(first: Mapping[str, int]) -> Callable[[Record, Record], Iterator[dict[str, Any] | str]]:
    def hands(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:  # noqa: ARG001
        points = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
        found = {side: points[start : start + 21] for side, start in first.items()}
        labelled = {side: part for side, part in found.items() if (part[:, 2] > 0).sum() >= MIN_POINTS}
        if not labelled:
            yield NO_HAND
        for side, part in labelled.items():
            yield {"side": side, "keypoints": part.ravel().tolist(), "bbox": None}

    return hands


def _rhd(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:
    camera = image.get("cam_param") or {}
    facts: dict[str, Any] = {**annotation, "side": annotation.get("hand_type"), "unit": "mm"}
    facts["keypoints"] = np.array(annotation["keypoints"], np.float64).ravel().tolist()
    facts["keypoints_3d"] = annotation.get("joint_cam")
    if camera:
        facts["K"] = intrinsics(camera["focal"], camera["princpt"]).tolist()
    yield facts


def _panoptic(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:
    match = re.search(r"_([lr])\.[a-z]+$", str(image.get("file_name", "")), re.IGNORECASE)
    side = {"l": "left", "r": "right"}[match[1].lower()] if match else ""
    yield {**annotation, "side": side}


def _right(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:  # noqa: ARG001
    yield {**annotation, "side": "right"}


def _as_it_is(annotation: Record, image: Record) -> Iterator[dict[str, Any] | str]:  # noqa: ARG001
    yield dict(annotation)


WHOLE_BODY = CocoKind(
    "COCO-WholeBody", "annotations have lefthand_kpts", _whole_body, SURE, is_person=True, dataset="wholebody"
)
UBODY = CocoKind(
    "UBody in COCO-WholeBody's fields", "annotations have lefthand_kpts_score", _whole_body, OPEN, is_person=True
)
HALPE = CocoKind("Halpe", "persons with 136 keypoints", _slices(_HALPE), is_person=True, dataset="Halpe")
FLAT = CocoKind(
    "COCO-WholeBody in one list",
    "persons with 133 keypoints",
    _slices(_FLAT),
    SURE,
    is_person=True,
    dataset="wholebody",
)
RHD = CocoKind("RHD by mmpose", "21 keypoints, hand_type and cam_param", _rhd, OPEN, "rhd", dataset="rhd")
PANOPTIC = CocoKind(
    "Panoptic HandDB by mmpose", "21 keypoints, head_size and center", _panoptic, dataset="Panoptic HandDB"
)
FREIHAND = CocoKind("FreiHAND by mmpose", "21 keypoints, described as FreiHand", _right, dataset="freihand")
ONEHAND = CocoKind("OneHand10K by mmpose", "21 keypoints, described as OneHand10K", _as_it_is, dataset="OneHand10K")
OWN_KIND = CocoKind("COCO keypoints as handdata exports them", "annotations have sample_id", _as_it_is, HIDDEN, "")
PLAIN = CocoKind("COCO keypoints", "images, annotations and categories with names of keypoints", _as_it_is, HIDDEN, "")
ANSWERS = CocoKind("a model's answers", f"info.kind is {MODEL}", _as_it_is, UNSEEN, "")


def find_kind(info: Record, images: Sequence[Any], annotations: Sequence[Any]) -> CocoKind:
    """Tell which kind a file is from its first annotations.

    Args:
        info: of the file.
        images: its images.
        annotations: its annotations; those that are no records say nothing.
    """
    one = next((a for a in annotations if isinstance(a, Mapping)), {})
    if OWN in one and "hand_side" in one:
        return OWN_KIND
    if info.get("kind") == MODEL:
        return ANSWERS
    if "lefthand_kpts" in one:
        return UBODY if "lefthand_kpts_score" in one else WHOLE_BODY
    points = one.get("keypoints")
    count = len(points) if isinstance(points, list) else 0
    person = {136 * 3: HALPE, 133 * 3: FLAT}.get(count)
    return person or (_of_one_hand(info, images, one) if count in (21, 63) else PLAIN)


def shows_published(images: Sequence[Any]) -> bool:
    """Say whether the first image is one of COCO or of HICO-DET, by its address or by its name."""
    image = next((i for i in images if isinstance(i, Mapping)), {})
    is_named_so = _PUBLISHED.search(str(image.get("file_name", ""))) is not None
    return is_named_so or "cocodataset.org" in str(image.get("coco_url", ""))


def _of_one_hand(info: Record, images: Sequence[Any], one: Record) -> CocoKind:
    """Tell mmpose's files apart, whose annotations are all of one hand with 21 points."""
    image = next((i for i in images if isinstance(i, Mapping)), {})
    if "hand_type" in one and "cam_param" in image:
        return RHD
    if "head_size" in one and "center" in one:
        return PANOPTIC
    described = str(info.get("description", "")).lower()
    return {"freihand": FREIHAND, "onehand10k": ONEHAND}.get(described, PLAIN)


def intrinsics(focal: Sequence[float], center: Sequence[float]) -> Array:
    """Return K, (3, 3) px, of focal lengths and a principal point, each (2,) px."""
    fx, fy, cx, cy = array_of([[*focal, *center]], 1, 4)[0]
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def unnamed(annotations: Sequence[Any], categories: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """Return a category that counts its points for each id of annotations of 21, in a file that names no points."""
    numbers = [one for one in annotations if isinstance(one, Mapping) and isinstance(one.get("keypoints"), list)]
    ids = {one.get("category_id") for one in numbers if len(one["keypoints"]) == 3 * NUM_KEYPOINTS}
    points = {"keypoints": list(range(NUM_KEYPOINTS))}
    return {id_: {"id": id_, "name": "hand", **categories.get(id_, {}), **points} for id_ in ids}


def fault_of(path: Path, error: Exception, images: object) -> DataError:
    """Return in words what a file of COCO lacks, of the error that reading it raised."""
    are_images = [isinstance(image, dict) for image in images] if isinstance(images, list) else []
    got = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
    if not all(are_images):
        got = f"[images][{are_images.index(False)}] that is no image"
    fix = "See docs/custom.md for the parts it needs."
    return DataError(path, expected="a COCO keypoint file", got=got, fix=fix)


def four_numbers(value: Any) -> NDArray[np.float64]:
    """Return a box, (4,).

    Raises:
        ValueError: it is none.
    """
    box = np.array(value, np.float64)
    if box.shape != (4,):
        raise ValueError("a box that is not four numbers")
    return box


def licence_of(given: Any) -> str:
    """Return the licence of a file's pictures in words, or its address; "" without one."""
    listed = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    named = [" ".join(str(one.get("name") or one.get("url") or "").split()) for one in listed]
    each = [words for words in dict.fromkeys(named) if words]
    return each[0] if len(each) == 1 else f"several: {'; '.join(each)}" if each else ""
