"""Rendered Hand Pose Dataset, rendered anew: 320 px pictures, both hands labelled, one of them mostly out of sight.

    training/color|depth|mask/<5 digits>.png, training/anno_training.pickle; the same for evaluation

Labels are metres in the frame of the one camera, pixels from the corner of the first one, each finger from its tip,
numbers of four significant digits, all as the archive has them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.converters.read import pickle_numpy
from handdata.files.whole import write_bytes
from handdata.geometry import in_frame, mirror_points, project
from handdata.skeleton import FINGER_OF, INDEX, JOINTS, LEFT, RIGHT, WRIST
from handdata.synth.frame import Camera, Frame, SequenceSpec, View
from handdata.synth.native.python2_pickle import dumps
from handdata.synth.native.tree import (
    Request,
    Victims,
    has_labels,
    load_labels,
    render_tree,
    save_labels,
    shares,
    write_picture,
)
from handdata.synth.render_many import Task
from handdata.synth.sequence import render_frame

SETS = ("training", "evaluation")
SET_WEIGHTS = (4, 1)
SIZE = 320
FOCAL_PX = (260.0, 310.0)  # of the real pictures known: 299.0, 305.9, 263.2
BOTH_EVERY = 4  # each fourth picture shows both hands
SHORTEST_SIDE = 1000.0  # mm: another hand this far to the side is out of any of these pictures
FOREARM, PALM, PARTS = 16, 15, 17  # of View.part
FIRST = {LEFT: 2, RIGHT: 18}  # mask value of a hand's thumb tip; its palm has 15 more
PERSON = 1
NEAR_PX, NEAR_PIXELS = 3, 8  # flag: at least 8 pixels of the keypoint's own parts within a 7 px window round it
RETRIES = 8
DIGITS = 4


def write(root: Path, request: Request, workers: int) -> int:
    """Write pictures that show `request.frames` hands; each fourth shows two, which makes two samples."""
    pictures = {name: sides_shown(count) for name, count in zip(SETS, shares(request.frames, SET_WEIGHTS), strict=True)}
    tasks = [
        (_spec(f"{name}/{number:05d}", sides, request), 0)
        for name, shown in pictures.items()
        for number, sides in enumerate(shown)
    ]
    return render_tree(
        root,
        request,
        tasks=tasks,
        is_done=lambda task: has_labels(root, *_place(task[0])),
        write=partial(_write_frame, root),
        finish=lambda: _write_labels(root, {name: len(shown) for name, shown in pictures.items() if shown}),
        victims=lambda: _victims(root, tasks),
        workers=workers,
    )


def sides_shown(hands: int) -> list[tuple[int, ...]]:
    """Return the hands each picture shows so that they are `hands` in all."""
    shown: list[tuple[int, ...]] = []
    while hands > 0:
        both = len(shown) % BOTH_EVERY == BOTH_EVERY - 1 and hands > 1
        shown.append((LEFT, RIGHT) if both else (len(shown) % 2,))
        hands -= len(shown[-1])
    return shown


def _spec(name: str, sides: tuple[int, ...], request: Request) -> SequenceSpec:
    """Return the spec of one picture: each has its own camera, person and place."""
    focal = np.random.default_rng([request.seed, *name.encode()]).uniform(*FOCAL_PX)
    middle = (SIZE - 1) / 2
    K = np.array([[_digits(focal), 0, middle], [0, _digits(focal), middle], [0, 0, 1]])
    return request.spec(
        name,
        cameras=(Camera(name="color", K=K, width=SIZE, height=SIZE),),
        sides=sides,
        motion="still",
        distance_mm=(350.0, 800.0),
        convention="rigged",
    )


def _place(spec: SequenceSpec) -> tuple[str, int]:
    _, name, number = spec.name.split("/")
    return name, int(number)


def _write_frame(root: Path, spec: SequenceSpec, _: int, frame: Frame) -> None:
    name, number = _place(spec)
    view, flags = frame["color"], _flags(frame)
    for retry in range(1, RETRIES):  # a hand must have a visible keypoint to count as shown
        if flags.any(axis=1).all():
            break
        frame = render_frame(spec, retry)
        view, flags = frame["color"], _flags(frame)
    write_picture(root / name / "color" / f"{number:05d}.png", view.image)
    write_picture(root / name / "mask" / f"{number:05d}.png", encode_mask(view.part, spec.sides))
    write_picture(root / name / "depth" / f"{number:05d}.png", encode_depth(view.depth))
    points = {hand.side: hand.keypoints_3d for hand in frame.hands}
    shown = dict(zip(spec.sides, flags, strict=True))
    for side in {LEFT, RIGHT} - set(spec.sides):
        points[side], shown[side] = _out_of_sight(points[1 - side], side), np.zeros(21, bool)
    labels = [
        np.hstack([points[side], project(points[side], view.camera.K), shown[side][:, None]]) for side in (LEFT, RIGHT)
    ]
    save_labels(root, name, number, np.vstack([*labels, np.pad(view.camera.K, ((0, 0), (0, 3)))]))


def _out_of_sight(other: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return (21, 3) of the hand that is not shown: the shown one's mirror image, beside the picture."""
    points = mirror_points(other)
    away = 1.0 if side == LEFT else -1.0
    points[:, 0] += away * SHORTEST_SIDE - points[WRIST, 0]
    return points


def encode_mask(part: NDArray[np.uint8], sides: Sequence[int]) -> NDArray[np.uint8]:
    """Return (H, W): 0 background, 1 person, 2-16 fingers and 17 palm of the left hand, 18-33 of the right."""
    table = np.zeros(256, np.uint8)
    for hand, side in enumerate(sides):
        for piece in range(PALM + 1):
            table[1 + PARTS * hand + piece] = FIRST[side] + piece
        table[1 + PARTS * hand + FOREARM] = PERSON
    encoded: NDArray[np.uint8] = table[part]
    return encoded


def encode_depth(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB with metres = (256 R + G) / 65535 * 5; 5 m where there is no surface."""
    facts = manifest.load("rhd").extra["depth"]
    metres = np.where(depth > 0, np.minimum(depth / 1000, facts["far_m"]), facts["far_m"])
    levels = np.rint(metres / facts["far_m"] * facts["levels"]).astype(np.uint16)
    return np.stack([levels >> 8, levels & 255, np.zeros_like(levels)], axis=-1).astype(np.uint8)


def _flags(frame: Frame) -> NDArray[np.bool_]:
    """Return (hands, 21) by the archive's own heuristic: enough pixels of the right part near the keypoint."""
    view = frame["color"]
    uv = [project(hand.keypoints_3d, view.camera.K) for hand in frame.hands]
    return np.array(
        [[_is_seen(view, hand, keypoint, uv[hand][keypoint]) for keypoint in range(21)] for hand in range(len(uv))]
    )


def _is_seen(view: View, hand: int, keypoint: int, uv: NDArray[np.float64]) -> bool:
    if not in_frame(uv, SIZE, SIZE):
        return False
    column, row = (int(value) for value in np.rint(uv))
    rows, columns = (slice(max(centre - NEAR_PX, 0), centre + NEAR_PX + 1) for centre in (row, column))
    own = [1 + PARTS * hand + piece for piece in _parts_at(keypoint)]
    return int(np.isin(view.part[rows, columns], own).sum()) >= NEAR_PIXELS


def _parts_at(keypoint: int) -> tuple[int, ...]:
    """Return the parts of View.part that meet at a keypoint: the tip's own, else those on both sides of the joint."""
    if keypoint == WRIST:
        return PALM, FOREARM
    finger, joint = FINGER_OF[keypoint], (keypoint - 1) % len(JOINTS)  # joint 0 mcp .. 3 tip; part 0 tip .. 2 base
    inner = PALM if joint == 0 else 3 * finger + 3 - joint
    outer = 3 * finger + max(2 - joint, 0)
    return inner, outer


def _digits(value: Any) -> Any:
    """Round to four significant digits, as the archive's numbers are."""
    return np.vectorize(lambda number: float(f"{number:.{DIGITS}g}"), otypes=[np.float64])(value)


def _write_labels(root: Path, counts: dict[str, int]) -> None:
    facts = manifest.load("rhd")
    rows = [INDEX[name] for name in facts.keypoints]
    both = [*rows, *(21 + row for row in rows)]
    for name, count in counts.items():
        table: dict[int, dict[str, NDArray[np.float32]]] = {}
        for number, labels in enumerate(load_labels(root, name, count)):
            points, K = labels[both], labels[42:, :3].copy()
            K[:2, 2] += facts.origin_px
            uv = points[:, 3:5] + facts.origin_px
            table[number] = {
                "xyz": _digits(points[:, :3] / facts.mm_per_unit).astype(np.float32),
                "uv_vis": np.hstack([_digits(uv), points[:, 5:]]).astype(np.float32),
                "K": K.astype(np.float32),
            }
        write_bytes(root / name / f"anno_{name}.pickle", dumps(table))


def _victims(root: Path, tasks: Sequence[Task]) -> Victims:
    second, last = tasks[len(tasks) // 2][0], tasks[-1][0]

    def color(spec: SequenceSpec) -> Path:
        name, number = _place(spec)
        return root / name / "color" / f"{number:05d}.png"

    def mislabel() -> None:
        path = root / "training" / "anno_training.pickle"
        table = pickle_numpy.load(path)
        table[0] = {**table[0], "xyz": table[max(table)]["xyz"] + np.float32(0.02)}
        write_bytes(path, dumps(table))

    return Victims(
        mislabel=mislabel,
        missing=color(second),
        truncated=color(last),
        deeper=root,
        deeper_name="RHD_published_v2",
    )
