"""3D labels of a depth sequence from a tenth of its frames clicked: how far off they are, mm, mean over 21 keypoints.

Rendered left hands as Dexter+Object's depth camera sees them (320 x 240 px, 380 to 520 mm away), 25 frames per second,
other seeds than those the constants were chosen on. A simulated person clicks the points of the reference frames, off
by 1 px (sd) for points that are seen and by 3 px for hidden ones, and tells the nearer end of each bone with a hidden
end if the ends differ by 5 mm. Measured:
- how far frames are from the nearest reference, about their middles: chosen, evenly spaced, drawn at random;
- lifting the references: by the depth under each click alone, with bones, with the nearer ends;
- all frames: straight lines between the references in 3D, the propagation, and the sequence optimised as a whole.
Also with exact clicks, nothing said of hidden points, and a sensor that is off by 3 mm and lacks a tenth of its pixels
along edges. Intervals: bootstrap over the sequences, 95 %.

`--people` prints the table of usual bones in handdata/annotate/depth/bone_lengths.py instead.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from handdata import manifest
from handdata.annotate.depth import lift as lifting
from handdata.annotate.depth.bone_lengths import USUAL_MM, lengths_of
from handdata.annotate.depth.crops import crop_about, find_centre
from handdata.annotate.depth.lift import Clicks, lift, surfaces_under
from handdata.annotate.depth.propagate import DepthSequence, begin_hands, next_frame, optimise, propagate
from handdata.annotate.depth.references import choose_references, distances
from handdata.geometry import backproject, project
from handdata.skeleton import BONES, LEFT, TIPS
from handdata.synth.frame import SequenceSpec
from handdata.synth.native.recordings import manifest_camera
from handdata.synth.scene import Scene
from handdata.synth.sequence import build_scene, render_frame

Floats = NDArray[np.float64]

SEED = 2016
MOTIONS = ("grasp", "random", "count", "swipe")
K = manifest.load("dexter").cameras["depth"].K
SEEN_PX, HIDDEN_PX = 1.0, 3.0  # sd of a click in each coordinate
ORDER_MM = 5.0  # ends of a bone that differ by less are called the same
DRAWS = 2000
GOAL_MM = 8.0  # over all frames


@dataclass
class Case:
    """A rendered sequence: (F, 21, 3) mm truth, (F, 240, 320) mm depth, (F, 21) whether a point is seen."""

    name: str
    truth: Floats
    depth: Floats
    seen: NDArray[np.bool_]


def spec_of(number: int) -> SequenceSpec:
    camera = manifest_camera("dexter", "depth", background="none")
    motion = MOTIONS[number % len(MOTIONS)]
    objects = "cuboid" if motion == "grasp" and number % 8 else None
    return SequenceSpec(
        seed=SEED,
        name=f"depth/{number}",
        cameras=(camera,),
        sides=(LEFT,),
        motion=motion,
        objects=objects,
        distance_mm=(380.0, 520.0),
    )


def rendered(job: tuple[int, int]) -> Case:
    number, frames = job
    spec, shown = spec_of(number), [render_frame(spec_of(number), i) for i in range(frames)]
    return Case(
        f"{spec.motion} {number}",
        np.stack([frame.hands[0].keypoints_3d for frame in shown]),
        np.stack([frame.views[0].depth for frame in shown]).astype(float),
        np.stack([frame.views[0].visible[0] for frame in shown]),
    )


def people() -> None:
    """Print the mean bone lengths of rendered people made the same size, and their spread."""
    lengths = []
    for number in range(400):
        scene: Scene = build_scene(
            replace(spec_of(0), seed=7, name=f"people/{number}", motion="still", objects=None), 0
        )
        lengths.append(lengths_of(scene.hands[0].labels))
    size = np.sum(lengths, axis=1, keepdims=True)  # of all bars
    shares = np.array(lengths) / size
    print((shares.mean(0) * size.mean()).round(1).tolist())
    print((shares.std(0) / shares.mean(0)).round(3).tolist())


def sensed(case: Case, seed: int) -> Case:
    """Return a case whose sensor is off by 3 mm and lacks a tenth of the pixels along edges."""
    rng = np.random.default_rng([SEED, seed])
    depth = case.depth.copy()
    for picture in depth:
        there = picture > 0
        edge = there & (cv2.morphologyEx(picture, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 20)
        picture[there] += rng.normal(0.0, 3.0, int(there.sum()))
        picture[edge & (rng.random(picture.shape) < 0.1)] = 0.0
    return replace(case, depth=depth.round())


def clicked(case: Case, frames: list[int], *, noise: float, seed: int, all_bones: bool = False) -> Clicks:
    rng, truth, hidden = np.random.default_rng([SEED, 1, seed]), case.truth[frames], ~case.seen[frames]
    sd = noise * np.where(hidden, HIDDEN_PX, SEEN_PX)[..., None]
    uv = project(truth, K) + sd * rng.normal(size=(len(frames), 21, 2))
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    deeper = truth[:, ends, 2] - truth[:, starts, 2]
    asked = all_bones | hidden[:, starts] | hidden[:, ends]
    return Clicks(uv, hidden, np.where(asked & (np.abs(deeper) > ORDER_MM), np.sign(deeper), 0).astype(np.int64))


def off(xyz: Floats, truth: Floats) -> float:
    return float(np.linalg.norm(xyz - truth, axis=-1).mean())


def to_nearest(truth: Floats, frames: list[int]) -> float:
    about = truth - truth.mean(axis=1, keepdims=True)
    return float(np.linalg.norm(about[:, None] - about[None, frames], axis=-1).mean(-1).min(1).mean())


def sequence_of(case: Case, seed: int) -> DepthSequence:
    rng = np.random.default_rng([SEED, 2, seed])
    starts = case.truth[:, TIPS].mean(axis=1) + rng.normal(0, 3.0, (len(case.truth), 3))
    centres = np.stack([find_centre(depth, K, start) for depth, start in zip(case.depth, starts, strict=True)])
    crops = np.stack([crop_about(d, K, centre).relative for d, centre in zip(case.depth, centres, strict=True)])
    return DepthSequence(case.depth.__getitem__, K, centres, distances(crops), USUAL_MM)


def of_references(case: Case, frames: list[int], seed: int) -> dict[str, float]:
    rng, count = np.random.default_rng([SEED, 3, seed]), len(case.truth)
    even = np.linspace(0, count - 1, len(frames)).round().astype(int).tolist()
    drawn = [to_nearest(case.truth, rng.choice(count, len(frames), replace=False).tolist()) for _ in range(20)]
    return {
        "nearest reference: chosen": to_nearest(case.truth, frames),
        "nearest reference: evenly spaced": to_nearest(case.truth, even),
        "nearest reference: drawn": float(np.mean(drawn)),
    }


def of_lifting(case: Case, frames: list[int], seed: int, noise: float, label: str) -> dict[str, float]:
    truth, depths = case.truth[frames], [case.depth[frame] for frame in frames]
    clicks = clicked(case, frames, noise=noise, seed=seed)
    silent, told = (
        replace(clicks, nearer=clicks.nearer * 0),
        clicked(case, frames, noise=noise, seed=seed, all_bones=True),
    )
    surface = surfaces_under(clicks, depths)
    surface = np.where(np.isfinite(surface), surface, np.nanmedian(surface, axis=1, keepdims=True))
    bones = lengths_of(case.truth).mean(axis=0)
    return {
        f"lifting, {label}: depth alone": off(backproject(clicks.uv, surface + lifting.FLESH_MM, K), truth),
        f"lifting, {label}: + true bones": off(lift(silent, depths, K, bones)[0], truth),
        f"lifting, {label}: + order of all bones": off(lift(told, depths, K, bones)[0], truth),
        f"lifting, {label}: + order where hidden": off(lift(clicks, depths, K, bones)[0], truth),
        f"lifting, {label}: the same, bones found": off(lift(clicks, depths, K)[0], truth),
    }


def of_sequence(case: Case, sequence: DepthSequence, frames: list[int], clicks: Clicks, label: str) -> dict[str, float]:
    xyz, bones = lift(clicks, [case.depth[frame] for frame in frames], K)
    sequence = replace(sequence, bones=bones, crops={})
    hands = begin_hands(len(case.truth), {f: (xyz[i], clicks.seen[i]) for i, f in enumerate(frames)})
    while (pair := next_frame(sequence, hands)) is not None:
        propagate(sequence, hands, *pair)
    final, count = optimise(sequence, hands, frames, clicks), np.arange(len(case.truth))
    lines = [np.interp(count, frames, xyz[:, k, axis]) for k in range(21) for axis in range(3)]
    wrong = np.linalg.norm(final - case.truth, axis=-1)
    return {
        f"all frames, {label}: straight lines": off(np.stack(lines, axis=-1).reshape(-1, 21, 3), case.truth),
        f"all frames, {label}: propagated": off(hands.xyz, case.truth),
        f"all frames, {label}: optimised": float(wrong.mean()),
        f"all frames, {label}: seen points": float(wrong[case.seen].mean()),
        f"all frames, {label}: hidden points": float(wrong[~case.seen].mean()),
        f"all frames, {label}: worst tenth of frames from": float(np.quantile(wrong.mean(axis=1), 0.9)),
    }


def measured(job: tuple[int, int]) -> dict[str, float]:
    cv2.setNumThreads(1)
    number, case = job[0], rendered(job)
    sequence = sequence_of(case, number)
    frames = sorted(choose_references(sequence.apart, 0.0))
    rows = of_references(case, frames, number)
    for noise, label in ((0.0, "exact clicks"), (1.0, "1 px")):
        rows |= of_lifting(case, frames, number, noise, label)
    began = time.process_time()
    clicks = clicked(case, frames, noise=1.0, seed=number)
    rows |= of_sequence(case, sequence, frames, clicks, "1 px")
    rows["CPU ms per frame: propagated and optimised"] = 1000 * (time.process_time() - began) / len(case.truth)
    rows |= of_sequence(case, sequence, frames, clicked(case, frames, noise=0.0, seed=number), "exact clicks")
    unsaid = replace(clicks, uv=np.where(clicks.hidden[..., None], np.nan, clicks.uv), nearer=clicks.nearer * 0)
    rows |= of_sequence(case, sequence, frames, unsaid, "1 px, nothing said of hidden points")
    poor = sensed(case, number)
    rows |= of_sequence(poor, sequence_of(poor, number), frames, clicks, "1 px, poor sensor")
    return rows


def interval(values: list[float]) -> tuple[float, float, float]:
    rng, all_of = np.random.default_rng(0), np.array(values)
    draws = all_of[rng.integers(0, len(all_of), (DRAWS, len(all_of)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(all_of.mean()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=12)
    parser.add_argument("--frames", type=int, default=120, help="of each sequence")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--people", action="store_true")
    args = parser.parse_args()
    if args.people:
        people()
        return
    with ProcessPoolExecutor(args.workers) as pool:
        rows = list(pool.map(measured, [(number, args.frames) for number in range(args.sequences)]))
    print(f"{args.sequences} sequences of {args.frames} frames; mm, 95 % interval over sequences")
    for name in rows[0]:
        mean, low, high = interval([row[name] for row in rows])
        print(f"  {name:<64}{mean:7.1f}  [{low:.1f}, {high:.1f}]")
    reached = interval([row["all frames, 1 px: optimised"] for row in rows])[0]
    print(f"goal {'met' if reached <= GOAL_MM else 'NOT met'}: at most {GOAL_MM} mm over all frames, a tenth clicked")
    sys.exit(0 if reached <= GOAL_MM else 1)


if __name__ == "__main__":
    main()
