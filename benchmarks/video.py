"""Videos to hands: recall, switches of tracks, jitter and lag before and after smoothing, recovery after a leap.

    python benchmarks/video.py [--desk FOLDER] [--frames 96] [--overlays FOLDER]

Two rendered sequences at 30 frames per second, cut in the middle to other people elsewhere: one hand (`clean`) and two
(`gritty`). The hand over a desk in ../shared/samples/tracking/hand_desk is real; its boxes are those of an independent
detector, and it leaps where frames are left out. All run through `Tracker` with the weights that come along.

Recall: share of hands on whose square a followed hand lies with an overlap of 0.5 (0.3). Switches: how often the number
of the track on a hand changes without a cut. Jitter: root mean square of second differences, sides of the square.
Lag: the delay of the truth, or of the raw answers where there is none, that fits the answers best, frames.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from machine import Aim, Result, arguments
from numpy.typing import NDArray
from real import VIDEO, read_frames

from handdata.geometry import iou
from handdata.model.detector import find_detector
from handdata.model.model import load_model
from handdata.pictures.crops import scale_about_center, square_of
from handdata.pictures.decode import read_image
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.frame import Camera, SequenceSpec, Style, project_world
from handdata.synth.sequence import render_frame
from handdata.track.carry import IMAGE_TRACKERS, image_tracker
from handdata.track.run import drawn, pose_of
from handdata.track.tracker import PROPOSED, TrackedHand, Tracker

FPS, SIZE = 30.0, (320, 240)
MARGIN = 1.25
WITHIN = 5  # frames in which a hand is to be found again
LEAP = 0.1  # overlap of boxes below which the hand has leapt


@dataclass
class Clip:
    """Pictures with the squares of their hands, and their points where they are known."""

    images: list[NDArray[np.uint8]] = field(default_factory=list)
    boxes: list[list[NDArray[np.float64]]] = field(default_factory=list)
    points: list[list[NDArray[np.float64]]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def add(self, image: NDArray[np.uint8], boxes: list[NDArray[np.float64]]) -> None:
        self.images.append(image)
        self.boxes.append(boxes)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--desk", type=Path, default=VIDEO, help="folder with boxes.csv and frames/")
    parser.add_argument("--frames", type=int, default=96, help="of each rendered sequence")
    parser.add_argument("--image-tracker", choices=IMAGE_TRACKERS, default="medianflow")
    parser.add_argument("--overlays", type=Path, help="folder for every eighth picture, with what was found")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pose, detector = pose_of(load_model("compact", "cpu")), find_detector(least_score=PROPOSED)

    def tracker(most: int) -> Tracker:
        return Tracker(detector, pose, most_hands=most, carrier=image_tracker(options.image_tracker))

    result, waits = Result("videos to hands"), list[int]()
    clips = {
        "rendered, one hand": (rendered("clean", (RIGHT,), options.frames), 1),
        "rendered, two hands": (rendered("gritty", (LEFT, RIGHT), options.frames), 2),
    }
    if options.desk.is_dir():
        clips["hand over a desk, real"] = desk(options.desk), 1
        clips["hand over a desk, two asked for"] = clips["hand over a desk, real"][0], 2
    for name, (clip, most) in clips.items():
        found = follow(clip, tracker(most))
        result.rows[name] = measures(clip, found)
        waits += [wait(clip, found, cut) for cut in clip.cuts]
        if options.overlays:
            draw(options.overlays / name.replace(" ", "_").replace(",", ""), clip, found)
    if options.desk.is_dir():
        leapt = [wait(clip, follow(clip, tracker(1)), clip.cuts[0]) for clip in leaps(desk(options.desk))]
        result.notes.append(
            f"real leaps: {sum(w <= WITHIN for w in leapt)} of {len(leapt)} found within {WITHIN} frames"
        )
        result.notes.append(f"frames until found again: {sorted(leapt)}")
    result.aims.append(Aim("frames after a cut, rendered", max(waits), WITHIN, at_least=False, unit="frames"))
    result.finish(as_json=options.json)


# ------------------------------------------------------------------------------------------------ clips


def rendered(style: Style, sides: tuple[int, ...], count: int) -> Clip:
    """Render two sequences one after the other."""
    width, height = SIZE
    K = np.array([[300.0, 0, (width - 1) / 2], [0, 300.0, (height - 1) / 2], [0, 0, 1.0]])
    camera, clip = Camera(name="camera", K=K, width=width, height=height), Clip(cuts=[count // 2])
    for index in range(count):
        spec = SequenceSpec(
            seed=31, name=f"video/{style}/{index // (count // 2)}", cameras=(camera,), sides=sides, fps=FPS,
            style=style, motion="random", distance_mm=(350.0, 700.0), small=True,
        )  # fmt: skip
        frame = render_frame(spec, index % (count // 2))
        points = [project_world(hand.keypoints_3d, camera) for hand in frame.hands]
        clip.add(frame.views[0].image, [square(uv + 0.5) for uv in points])
        clip.points.append(points)
    return clip


def desk(folder: Path) -> Clip:
    clip, boxes = Clip(), {frame.number: frame.box_xyxy for frame in read_frames()}
    for path in sorted((folder / "frames").glob("*.jpg")):
        box = boxes.get(int(path.stem))
        clip.add(read_image(path), [] if box is None else [scale_about_center(square_of(box), MARGIN)])
    return clip


def leaps(clip: Clip) -> Iterator[Clip]:
    """Yield parts of a clip with frames left out, so that its hand is elsewhere from one frame to the next."""
    seen = [i for i, boxes in enumerate(clip.boxes) if boxes]
    for i in seen[20::20]:
        after = [j for j in seen if j > i + WITHIN and iou(clip.boxes[i][0], clip.boxes[j][0]) < LEAP]
        if after and after[0] + 2 * WITHIN < len(clip.images):
            kept = [*range(i - 15, i + 1), *range(after[0], after[0] + 2 * WITHIN)]
            yield Clip([clip.images[k] for k in kept], [clip.boxes[k] for k in kept], cuts=[16])


def square(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return scale_about_center(square_of(np.concatenate([points.min(0), points.max(0)])), MARGIN)


# ------------------------------------------------------------------------------------------------ measures


def follow(clip: Clip, tracker: Callable[[NDArray[np.uint8], float], list[TrackedHand]]) -> list[list[TrackedHand]]:
    return [tracker(image, i / FPS) for i, image in enumerate(clip.images)]


def on(box: NDArray[np.float64], found: Sequence[TrackedHand], least: float = 0.5) -> TrackedHand | None:
    """Return the followed hand that lies best on a square."""
    best = max(found, key=lambda one: float(iou(square(one.hand.keypoints_2d + 0.5), box)), default=None)
    if best is None or float(iou(square(best.hand.keypoints_2d + 0.5), box)) < least:
        return None
    return best


def wait(clip: Clip, found: Sequence[Sequence[TrackedHand]], cut: int) -> int:
    """Return the first picture after a cut, from 1, on which every hand is followed; else one more than there are."""
    for i in range(cut, len(clip.images)):
        if all(on(box, found[i]) is not None for box in clip.boxes[i]):
            return i - cut + 1
    return len(clip.images) - cut + 1


def measures(clip: Clip, found: Sequence[Sequence[TrackedHand]]) -> dict[str, float]:
    hands = [(i, k, box) for i, boxes in enumerate(clip.boxes) for k, box in enumerate(boxes)]
    row = {
        f"recall {at}": float(np.mean([on(box, found[i], at) is not None for i, _, box in hands])) for at in (0.3, 0.5)
    }
    right = sum(any(on(box, [one], 0.3) for box in clip.boxes[i]) for i, hands in enumerate(found) for one in hands)
    row["false per frame"] = (sum(len(hands) for hands in found) - right) / len(found)
    row["switches"] = float(switches(clip, found))
    pairs, raw, calm = list[tuple[NDArray[np.float64], NDArray[np.float64]]](), list[float](), list[float]()
    errors: dict[str, list[float]] = {"raw": [], "smoothed": []}
    for points in runs(clip, found):
        before, after, truth = points
        raw += jitter(before)
        calm += jitter(after)
        pairs.append((truth if truth is not None else before, after))
        if truth is not None:
            errors["raw"] += np.linalg.norm(before - truth, axis=-1).mean(-1).tolist()
            errors["smoothed"] += np.linalg.norm(after - truth, axis=-1).mean(-1).tolist()
    row |= {"jitter raw": rms(raw), "jitter smoothed": rms(calm), "lag": lag(pairs)}
    return row | {f"error {name}": float(np.mean(values)) for name, values in errors.items() if values}


def switches(clip: Clip, found: Sequence[Sequence[TrackedHand]]) -> int:
    """Count changes of the number on a hand, between pictures on which it is followed, but for cuts."""
    count, last = 0, dict[int, int]()
    for i, boxes in enumerate(clip.boxes):
        if i in clip.cuts:
            last.clear()
        for k, box in enumerate(boxes):
            one = on(box, found[i])
            if one is not None:
                count += last.get(k, one.track) != one.track
                last[k] = one.track
    return count


Run = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]


def runs(clip: Clip, found: Sequence[Sequence[TrackedHand]]) -> Iterator[Run]:
    """Yield (T, 21, 2) points of each run of a track on a hand, in sides of its square: raw, smoothed, truth."""
    for k in range(max(len(boxes) for boxes in clip.boxes)):
        rows = list[tuple[int, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]]()
        for i, boxes in enumerate(clip.boxes):
            one = on(boxes[k], found[i], 0.3) if k < len(boxes) else None
            if one is None:
                continue
            side = float(boxes[k][2] - boxes[k][0])
            truth = clip.points[i][k] / side if clip.points else None
            if rows and (rows[-1][0] != i - 1 or rows[-1][1] != one.track or i in clip.cuts):
                yield from _run(rows)
                rows = []
            rows.append((i, one.track, one.hand.keypoints_2d / side, one.smoothed.keypoints_2d / side, truth))
        yield from _run(rows)


def _run(
    rows: Sequence[tuple[int, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]],
) -> Iterator[Run]:
    if len(rows) >= 8:
        truth = None if rows[0][4] is None else np.stack([row[4] for row in rows if row[4] is not None])
        yield np.stack([row[2] for row in rows]), np.stack([row[3] for row in rows]), truth


def jitter(points: NDArray[np.float64]) -> list[float]:
    values: list[float] = np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).ravel().tolist()
    return values


def rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else float("nan")


def lag(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
    """Return the delay, frames, by which the first of each pair fits the second best."""
    if not pairs:
        return float("nan")
    delays = np.arange(0, 4.01, 0.1)
    return float(min(delays, key=lambda delay: sum(_misfit(truth, after, float(delay)) for truth, after in pairs)))


def _misfit(truth: NDArray[np.float64], after: NDArray[np.float64], delay: float) -> float:
    """Return the squared distance beyond the first five pictures, each point's mean offset taken out."""
    whole, share = int(delay), delay - int(delay)
    at = np.arange(5, len(after))
    delayed = (1 - share) * truth[at - whole] + share * truth[at - whole - 1]
    apart = after[at] - delayed
    return float(np.square(apart - apart.mean(0)).sum())


def draw(folder: Path, clip: Clip, found: Sequence[Sequence[TrackedHand]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(0, len(clip.images), 8):
        cv2.imwrite(str(folder / f"{i:04d}.jpg"), drawn(clip.images[i], found[i])[..., ::-1])


if __name__ == "__main__":
    main()
