"""Steps of acceptance.py about time: smoothing, and the tracker over rendered video with the package's weights."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from accept_pose import at_most
from machine import Aim
from made_people import FPS, MARGIN, MOTIONS, Motion, motions
from numpy.typing import NDArray

from handdata.annotate.tracker import Follower, TrackerKind, TrackerSettings
from handdata.geometry import iou, xywh_to_xyxy, xyxy_to_xywh
from handdata.model.detector import find_detector
from handdata.model.model import load_model
from handdata.pictures.crops import scale_about_center, square_of
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.frame import Camera, SequenceSpec, project_world
from handdata.synth.sequence import render_frame
from handdata.track.run import pose_of
from handdata.track.smooth import HandSmoother
from handdata.track.tracker import MARGIN as BOX_MARGIN
from handdata.track.tracker import PROPOSED, SURE, Tracker

Floats = NDArray[np.float64]
CLIPS, FRAMES = 12, 90
CROSSINGS = 24
BURN_IN = 10  # frames that the filters take to begin
WIDTH, HEIGHT = 320, 240
LENS = np.array([[237.5, 0, 159.5], [0, 237.5, 119.5], [0, 0, 1]])
CAMERA = Camera(name="camera", K=LENS, width=WIDTH, height=HEIGHT)


def smoothing(_: Path) -> list[Aim]:
    """Section 7."""
    rng = np.random.default_rng(0)
    moving = [smoothed(clip, rng) for clip in motions(CLIPS, FRAMES)]
    still = [smoothed(clip, rng) for clip in motions(CLIPS, FRAMES, still=True)]
    aims = []
    for space, error, jitter, rest, lag in (("3D", 0.046, 0.30, 0.48, 29.0), ("2D", 0.0111, 0.40, 0.42, 7.0)):
        sets = [clip[space] for clip in moving]
        after = np.mean([distance(calm, truth) for truth, _, calm in sets])
        shaken = np.mean([roughness(calm) / roughness(noisy) for _, noisy, calm in sets])
        quiet = np.mean([clip[space][2].std(0).mean() / clip[space][1].std(0).mean() for clip in still])
        delay = np.mean([lag_ms(truth, calm) for truth, _, calm in sets])
        unit = "units" if space == "3D" else "crop"
        aims += [
            at_most(f"{space}: error", after, 1.1 * error, unit),
            at_most(f"{space}: jitter, after over before", shaken, 1.1 * jitter, ""),
            at_most(f"{space}: at rest, after over before", quiet, 1.1 * rest, ""),
            at_most(f"{space}: lag", delay, 1.1 * lag, "ms"),
        ]
    return aims


def smoothed(clip: Motion, rng: np.random.Generator) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Return truth, noisy and smoothed points in crop sides and units, without the first frames."""
    uv = clip.uv + rng.normal(0, 0.01 * clip.side, clip.uv.shape)
    pose = clip.pose + rng.normal(0, 0.05, clip.pose.shape)
    smoother = HandSmoother()
    found = [smoother(uv[i], pose[i], clip.side, "left", i / FPS) for i in range(len(uv))]
    flat = np.stack([one.keypoints_2d for one in found])
    deep = np.stack([one.keypoints_3d_normalized for one in found])
    kept = slice(BURN_IN, None)
    return {
        "2D": (clip.uv[kept] / clip.side, uv[kept] / clip.side, flat[kept] / clip.side),
        "3D": (clip.pose[kept], pose[kept], deep[kept]),
    }


def distance(one: Floats, other: Floats) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


def roughness(points: Floats) -> float:
    return float(np.sqrt((np.diff(points, n=2, axis=0) ** 2).mean()))


def lag_ms(truth: Floats, calm: Floats) -> float:
    """Return the delay of the truth that fits best, ms; tenths of a frame."""
    frames, most = np.arange(len(truth)), 6
    shifts = np.arange(0, most, 0.1)
    flat = truth.reshape(len(truth), -1)

    def off(shift: float) -> float:
        at = frames[most:] - shift
        low = np.floor(at).astype(int)
        share = (at - low)[:, None]
        late = flat[low] * (1 - share) + flat[np.minimum(low + 1, len(flat) - 1)] * share
        return distance(late.reshape(-1, *truth.shape[1:]), calm[most:])

    return 1000 / FPS * float(min(shifts, key=off))


# ------------------------------------------------------------------------------------------------------------- tracker


def boxes(_: Path) -> list[Aim]:
    """Section 8: whether the next hand lies in the box where it is looked for."""
    rng, inside = np.random.default_rng(0), dict[tuple[int, bool], list[bool]]()
    for clip in motions(CLIPS, FRAMES):
        uv = clip.uv + rng.normal(0, 0.02 * clip.side, clip.uv.shape)
        for every in (1, 2, 3):
            seen, true = uv[::every], clip.uv[::every]
            for moved in (True, False):
                inside.setdefault((every, moved), []).extend(predicted(seen, true, moved=moved))
    return [
        Aim(f"all points in the box, {FPS / every:.0f} fps (without its motion {np.mean(inside[every, False]):.1%})",
            float(np.mean(inside[every, True])), floor(1.0), unit="of frames")
        for every in (1, 2, 3)
    ]  # fmt: skip


def floor(share: float) -> float:
    """Return what 1,000 frames may show by chance: three standard errors less, 0.5 % at least."""
    return share - max(3 * (share * (1 - share) / 1000) ** 0.5, 0.005)


def predicted(seen: Floats, true: Floats, *, moved: bool) -> Iterator[bool]:
    """Yield for each frame from the third on whether all points lie in the box that the frames before it give."""
    low, high = seen.min(1) + 0.5, seen.max(1) + 0.5
    middle, half = (low + high) / 2, (0.5 + BOX_MARGIN) * (high - low).max(-1, keepdims=True)
    for now in range(1, len(seen) - 1):
        at = middle[now] + (middle[now] - middle[now - 1] if moved else 0)
        points = true[now + 1] + 0.5
        yield bool(((points > at - half[now]) & (points < at + half[now])).all())


@cache
def film(number: int, frames: int = 36) -> tuple[list[NDArray[np.uint8]], list[Floats], list[NDArray[np.bool_]]]:
    """Return a rendered clip of one hand at 320 x 240: pictures, boxes, masks of the hand and its forearm."""
    side = (LEFT, RIGHT)[number % 2]
    spec = SequenceSpec(seed=19, name=f"accept/{number}", cameras=(CAMERA,), sides=(side,),
                        motion=MOTIONS[number % len(MOTIONS)], fps=FPS, small=True)  # fmt: skip
    pictures, squares, masks = [], [], []
    for i in range(frames):
        frame = render_frame(spec, i)
        uv = project_world(frame.hands[0].keypoints_3d, CAMERA) + 0.5
        pictures.append(frame.views[0].image)
        squares.append(scale_about_center(square_of(np.concatenate([uv.min(0), uv.max(0)])), MARGIN))
        masks.append(frame.views[0].mask == 1)
    return pictures, squares, masks


def followers(_: Path) -> list[Aim]:
    """Section 8: what image trackers keep for ten frames."""
    kept: dict[TrackerKind, list[bool]] = {"medianflow": [], "kcf": []}
    for number in range(CLIPS):
        pictures, squares, _masks = film(number)
        for start in range(0, len(pictures) - 10, 5):
            for kind, found in kept.items():
                found.append(follows(pictures[start : start + 11], squares[start], squares[start + 10], kind))
    return [
        Aim(f"{kind}: overlap of 0.5 after ten frames", float(np.mean(kept[kind])), 0.9 * share, unit="of starts")
        for kind, share in (("medianflow", 0.92), ("kcf", 0.88))
    ]


def follows(pictures: Sequence[NDArray[np.uint8]], first: Floats, last: Floats, kind: TrackerKind) -> bool:
    bgr = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
    x, y, w, h = (float(value) for value in xyxy_to_xywh(first))
    follower, box = Follower(bgr[0], (x, y, w, h), TrackerSettings(kind=kind)), None
    for picture in bgr[1:]:
        box = follower.follow(picture)
        if box is None:
            return False
    return box is not None and bool(iou(xywh_to_xyxy(box), last) >= 0.5)


def cuts(_: Path) -> list[Aim]:
    """Section 8: after a cut to another person, frames between the first sure spot on the hand and its track."""
    detector, pose = find_detector("spotter", PROPOSED), pose_of(load_model("compact", "cpu"))
    late, unseen = [], 0
    for number in range(CLIPS):
        before, after = film(number), film((number + 5) % CLIPS)
        tracker = Tracker(detector, pose, most_hands=1)
        for i, picture in enumerate(before[0][:12]):
            tracker(picture, i / FPS)
        spotted, followed = None, None
        for i, picture in enumerate(after[0][:24]):
            sure = [spot for spot in detector(picture) if spot.score >= SURE and iou(spot.box_xyxy, after[1][i]) >= 0.3]
            spotted = i if spotted is None and sure else spotted
            found = tracker(picture, (12 + i) / FPS)
            if any(iou(one.hand.crop_box, after[1][i]) >= 0.3 and one.state == "seen" for one in found):
                followed = i
                break
        if followed is None:
            late += [23] if spotted is not None else []
            unseen += spotted is None
        else:
            late.append(0 if spotted is None else max(0, followed - spotted))
    return [
        Aim("followed within two frames of the first sure spot after a cut", float(np.mean(np.array(late) <= 2)), 1.0,
            unit="of cuts"),
        at_most("cuts after which the detector was never sure", unseen, 0.5 * CLIPS, f"of {CLIPS}"),
    ]  # fmt: skip


def crossings(_: Path) -> list[Aim]:
    """Section 8: two rendered hands pass each other; tracks that end on the other hand."""
    detector, pose = find_detector("spotter", PROPOSED), pose_of(load_model("compact", "cpu"))
    swaps, kept = 0, 0
    for number in range(0, 2 * CROSSINGS, 2):
        tracker = Tracker(detector, pose, most_hands=2)
        first: dict[int, int] = {}
        for i, (picture, squares) in enumerate(crossing(number, number + 1)):
            for one in tracker(picture, i / FPS):
                if one.state != "seen":
                    continue  # the model is not sure of it, and it is said
                middle = (one.hand.keypoints_2d.min(0) + one.hand.keypoints_2d.max(0)) / 2
                off = [float(np.abs(middle - (box[:2] + box[2:]) / 2).max() / (box[2] - box[0])) for box in squares]
                nearest = int(np.argmin(off))
                if off[nearest] > 0.3 or abs(off[0] - off[1]) < 0.3:
                    continue  # on neither hand, or where they lie over each other
                swaps += first.setdefault(one.track, nearest) != nearest
                first[one.track] = nearest
                kept += 1
    return [
        at_most("swaps where two hands cross", swaps, 0, f"in {CROSSINGS} videos"),
        Aim("hands that were on a track", float(kept), 1, unit="frames of hands"),
    ]


def crossing(one: int, other: int, frames: int = 36) -> Iterator[tuple[NDArray[np.uint8], list[Floats]]]:
    """Yield pictures in which two hands pass each other, the second in front, with their boxes."""
    films, size = (film(one), film(other)), 150
    for i in range(frames):
        picture, squares = np.full((HEIGHT, WIDTH, 3), 96, np.uint8), []
        for number, (pictures, boxes_of, masks) in enumerate(films):
            share = i / (frames - 1) if number == 0 else 1 - i / (frames - 1)
            middle = (boxes_of[i][:2] + boxes_of[i][2:]) / 2
            move = np.round(np.array([50 + share * (WIDTH - 100), HEIGHT / 2 + 18 * (2 * number - 1)]) - middle)
            rows, columns = np.nonzero(masks[i])
            near = (np.abs(rows - middle[1]) < size) & (np.abs(columns - middle[0]) < size)
            rows, columns = rows[near], columns[near]
            to = rows + int(move[1]), columns + int(move[0])
            inside = (to[0] >= 0) & (to[0] < HEIGHT) & (to[1] >= 0) & (to[1] < WIDTH)
            picture[to[0][inside], to[1][inside]] = pictures[i][rows[inside], columns[inside]]
            squares.append(boxes_of[i] + np.tile(move, 2))
        yield picture, squares


STEPS = {"7 smoothing": smoothing, "8 tracker, boxes": boxes, "8 tracker, followers": followers,
         "8 tracker, cuts": cuts, "8 tracker, crossings": crossings}  # fmt: skip
