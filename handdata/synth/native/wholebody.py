"""COCO-WholeBody, rendered: a person per picture of whom one hand or both are seen and labelled, in 2D alone.

    {train2017,val2017}/<12 digits>.jpg, annotations/coco_wholebody_{train,val}_v1.0.json

The person's body has no labels: a rendered person is two forearms. Every third hand has confidences instead of marks,
as hands that a model labelled; beside the person stand one without labels and a crowd.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.files.text import Wanted, read_object
from handdata.files.whole import write_text
from handdata.skeleton import HAND_SIDES, INDEX, LEFT, NUM_KEYPOINTS, RIGHT
from handdata.synth.frame import Camera, Frame, SequenceSpec, project_world
from handdata.synth.native.tree import (
    Request,
    Victims,
    has_labels,
    read_labels,
    render_tree,
    save_labels,
    shares,
    write_picture,
)
from handdata.synth.render_many import Task

SETS, SET_WEIGHTS = ("train2017", "val2017"), (3, 1)
SIZES = ((640, 480), (480, 640), (640, 427))  # px, in turn
SHOWN = ((RIGHT,), (LEFT, RIGHT), (LEFT,))  # hands of a picture, in turn
FOCAL_PX, DISTANCE_MM = 560.0, (600.0, 1300.0)
FIRST_ID, ID_STEP = 139, 146  # of pictures
PERSON_IDS = 100  # of one picture
BY_A_MODEL = 3  # every so many hands
NO_HAND = {"box": [0.0] * 4, "kpts": [0.0] * (3 * NUM_KEYPOINTS), "valid": False}


def write(root: Path, request: Request, workers: int) -> int:
    """Write pictures that show `request.frames` hands; each third shows both hands of its person."""
    counts = shares(request.frames, SET_WEIGHTS)
    shown = {name: sides_shown(count) for name, count in zip(SETS, counts, strict=True) if count}
    tasks: list[Task] = [
        (_spec(name, number, sides, request), number)
        for name, pictures in shown.items()
        for number, sides in enumerate(pictures)
    ]
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=lambda task: has_labels(root, _set_of(task[0]), task[1]),
        write=partial(_write_frame, root),
        finish=lambda: _write_labels(root, shown),
        victims=lambda: _victims(root, tasks),
        workers=workers,
    )


def sides_shown(hands: int) -> list[tuple[int, ...]]:
    """Return the hands that each picture shows, so many in all."""
    shown: list[tuple[int, ...]] = []
    while hands > 0:
        sides = SHOWN[len(shown) % len(SHOWN)]
        shown.append(sides[:hands])
        hands -= len(shown[-1])
    return shown


def _spec(name: str, number: int, sides: tuple[int, ...], request: Request) -> SequenceSpec:
    width, height = SIZES[number % len(SIZES)]
    K = np.array([[FOCAL_PX, 0, (width - 1) / 2], [0, FOCAL_PX, (height - 1) / 2], [0, 0, 1]])
    return request.spec(
        f"{name}/{number:05d}",
        cameras=(Camera(name="color", K=K, width=width, height=height),),
        sides=sides,
        motion="still",
        distance_mm=DISTANCE_MM,
    )


def _set_of(spec: SequenceSpec) -> str:
    return spec.name.split("/")[1]


def picture_id(number: int) -> int:
    """Return the id of a picture by its number in the set."""
    return FIRST_ID + ID_STEP * number


def _write_frame(root: Path, spec: SequenceSpec, index: int, frame: Frame) -> None:
    name, view = _set_of(spec), frame["color"]
    write_picture(root / name / f"{picture_id(index):012d}.jpg", view.image)
    labels = np.zeros((2, NUM_KEYPOINTS, 3))
    for number, hand in enumerate(frame.hands):
        labels[hand.side, :, :2] = np.round(project_world(hand.keypoints_3d, view.camera), 3)
        labels[hand.side, :, 2] = np.where(view.visible[number], 2, 1)
    save_labels(root, name, index, labels)


# ------------------------------------------------------------------------------------------------ labels


def _write_labels(root: Path, shown: dict[str, list[tuple[int, ...]]]) -> None:
    for name, pictures in shown.items():
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        for number in range(len(pictures)):
            width, height = SIZES[number % len(SIZES)]
            picture = picture_id(number)
            labels = read_labels(root, name, number)
            file = f"{picture:012d}.jpg"
            images.append({"license": 4, "file_name": file, "height": height, "width": width, "id": picture})
            people += _people(labels, picture, number)
        table = {
            "info": {"description": "rendered by handdata in the layout of COCO-WholeBody"},
            "licenses": [],
            "categories": [{"supercategory": "person", "id": 1, "name": "person"}],
            "images": images,
            "annotations": people,
        }
        file = f"coco_wholebody_{name.removesuffix('2017')}_v1.0.json"
        write_text(root / "annotations" / file, json.dumps(table))


def _people(labels: NDArray[np.float64], picture: int, number: int) -> list[dict[str, Any]]:
    """Return the records of one picture: its person, one whose hands are not labelled, and a crowd."""
    hands = [_hand(points, number * 2 + side) for side, points in enumerate(labels)]
    return [
        _person(picture, 0, hands),
        _person(picture, 1, [NO_HAND, NO_HAND]),
        _person(picture, 2, hands) | {"iscrowd": 1},
    ]


def _person(picture: int, number: int, hands: Sequence[dict[str, Any]]) -> dict[str, Any]:
    record = {
        "image_id": picture,
        "id": picture * PERSON_IDS + number,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": 0,
        "keypoints": [0] * 51,
        "area": 0.0,
        "bbox": _around([hand["box"] for hand in hands if hand["valid"]]),
        "face_box": [0.0] * 4,
        "face_kpts": [0.0] * 204,
        "face_valid": False,
        "foot_kpts": [0.0] * 18,
        "foot_valid": False,
    }
    for side, hand in enumerate(hands):
        record |= {f"{HAND_SIDES[side]}hand_{key}": value for key, value in hand.items()}
    return record


def _hand(points: NDArray[np.float64], number: int) -> dict[str, Any]:
    if not points[:, 2].any():
        return NO_HAND
    rows = points[[INDEX[name] for name in manifest.load("wholebody").keypoints]]
    marks: list[float] = [int(mark) for mark in rows[:, 2]]
    if number % BY_A_MODEL == 0:
        marks = np.random.default_rng(number).uniform(0.05, 0.7, NUM_KEYPOINTS).round(6).tolist()
    numbers = [value for (u, v), mark in zip(rows[:, :2].tolist(), marks, strict=True) for value in (u, v, mark)]
    low, high = rows[:, :2].min(axis=0) - 2, rows[:, :2].max(axis=0) + 3  # a person draws a box a little too large
    return {"box": [*low.tolist(), *(high - low).tolist()], "kpts": numbers, "valid": True}


def _around(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box round some boxes, zeros round none."""
    if not boxes:
        return [0.0] * 4
    edges = np.array(boxes)
    low, high = edges[:, :2].min(axis=0), (edges[:, :2] + edges[:, 2:]).max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def _victims(root: Path, tasks: Sequence[Task]) -> Victims:
    def picture(task: Task) -> Path:
        return root / _set_of(task[0]) / f"{picture_id(task[1]):012d}.jpg"

    def mislabel() -> None:
        name = _set_of(tasks[0][0])
        path = root / f"annotations/coco_wholebody_{name.removesuffix('2017')}_v1.0.json"
        table = read_object(path, Wanted(what="the labels just rendered"))
        person = table["annotations"][0]
        for side in HAND_SIDES:
            numbers = person[f"{side}hand_kpts"]
            person[f"{side}hand_kpts"] = [v + 150 if k % 3 == 0 and v else v for k, v in enumerate(numbers)]
        write_text(path, json.dumps(table))

    return Victims(
        mislabel=mislabel,
        missing=picture(tasks[len(tasks) // 2]),
        truncated=picture(tasks[-1]),
        deeper=root,
        deeper_name="coco",
    )
