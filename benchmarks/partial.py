"""Fine-tuning on partial labels (the thesis' tables 4.5 to 4.8 in spirit): the weights `compact`, before and after.

    python benchmarks/partial.py [--home FOLDER] [--batches 100]

Two rendered domains with the labels that the real sets have. Stereo-like: free hands, every point but the wrist (that
set marks the middle of the palm instead). Dexter-like: hands round a box, the five tips alone. Six people are trained
on; tested are the same people later, as in the thesis, and four others, all of whose points are known. Errors in sides
of the crop and units of the pose, sides of hands told; 95 % intervals by bootstrap over the tested people. It renders 2
x 800 pictures and trains 2 x `batches` batches of 48: about 10 CPU minutes.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import Aim, Result, arguments
from numpy.typing import NDArray

import handdata as hd
from handdata.pictures.crops import square_of
from handdata.skeleton import HAND_SIDES, LEFT, RIGHT, TIPS, WRIST
from handdata.synth.frame import Camera, HandLabel, SequenceSpec, Style, project_world
from handdata.synth.sequence import render_frame

CANVAS, ROOM = 192, 1.29  # px; crop side over the square round the keypoints, as the weights know it
PEOPLE, TESTED, FRAMES = 6, 4, 60  # trained on, tested besides; pictures of each
LATER = 90  # number of the first picture of the same people to be tested
K = np.array([[475.0, 0, 159.5], [0, 475.0, 119.5], [0, 0, 1.0]])
BATCH = 48


@dataclass(frozen=True)
class Domain:
    """What a set shows, and the keypoints that it labels."""

    name: str
    labelled: tuple[int, ...]
    objects: Any
    motion: Any
    style: Style


DOMAINS = (
    Domain("stereo-like", tuple(k for k in range(21) if k != WRIST), None, "random", "gritty"),
    Domain("dexter-like", tuple(TIPS), "cuboid", "grasp", "gritty"),
)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="folder for shards and runs [default: --scratch/partial]")
    parser.add_argument("--batches", type=int, default=100, help="to fine-tune on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    home, result = options.home or options.scratch / "partial", Result("partial labels")
    for domain in DOMAINS:
        shards = home / "shards" / domain.name
        if not (shards / "index.json").is_file():
            people = [hand for number in range(PEOPLE) for hand in shots(domain, number)]
            val = people[:: FRAMES // 8]
            hd.write_dataset(shards, [partly(domain, hand, "train") for hand in people], name="custom", canvas=CANVAS)
            hd.write_dataset(shards, [partly(domain, hand, "val") for hand in val], name="custom", canvas=CANVAS)
        fine_tune(home, domain, options.batches)
        tested = {
            "same people": [list(shots(domain, number, LATER, 30)) for number in range(PEOPLE)],
            "others": [list(shots(domain, PEOPLE + number)) for number in range(TESTED)],
        }
        for whom, hands in tested.items():
            for when, weights in (("before", "compact"), ("after", str(home / "runs" / domain.name))):
                result.rows[f"{domain.name}, {whom}, {when}"] = errors(domain, weights, hands)
        before, after = (result.rows[f"{domain.name}, same people, {when}"]["labelled"] for when in ("before", "after"))
        result.aims.append(Aim(f"{domain.name}: labelled points, after / before", after / before, 1.0, at_least=False))
    result.finish(as_json=options.json)


def shots(domain: Domain, person: int, first: int = 0, count: int = FRAMES) -> Iterator[hd.Hand]:
    """Render pictures of one person in order, each a window of the hand; all points are labelled."""
    side = (LEFT, RIGHT)[person % 2]
    spec = SequenceSpec(
        seed=53, name=f"{domain.name}/{person}", cameras=(Camera(name="color", K=K, width=320, height=240),),
        sides=(side,), objects=domain.objects, motion=domain.motion, distance_mm=(400.0, 650.0), fps=5.0,
        style=domain.style, small=True, zoom=window,
    )  # fmt: skip
    for index in range(first, first + count):
        frame = render_frame(spec, index)
        view, xyz = frame.views[0], frame.hands[0].keypoints_3d
        edge = CANVAS / 6
        yield hd.Hand(
            image=view.image, side=HAND_SIDES[side], keypoints_2d=project_world(xyz, view.camera), keypoints_3d=xyz,
            K=view.camera.K, crop_box=np.array([edge, edge, CANVAS - edge, CANVAS - edge]),
            id=f"{person}/{index:04d}", sequence=f"{person}", frame=index,
        )  # fmt: skip


def window(label: HandLabel, camera: Camera) -> Camera:
    """Return the camera whose picture is the canvas round a hand."""
    uv = project_world(label.keypoints_3d, camera) + 0.5
    box = square_of(np.concatenate([uv.min(0), uv.max(0)]))
    side = 1.5 * ROOM * float(box[2] - box[0])
    corner = (box[:2] + box[2:]) / 2 - side / 2 - 0.5
    zoom = CANVAS / side
    A = np.array([[zoom, 0, -zoom * corner[0] - 0.5], [0, zoom, -zoom * corner[1] - 0.5], [0, 0, 1.0]])
    return replace(camera, K=A @ camera.K, width=CANVAS, height=CANVAS)


def partly(domain: Domain, hand: hd.Hand, split: str) -> hd.Hand:
    """Return the hand with the labels of its set alone."""
    kept = np.isin(np.arange(21), domain.labelled)[:, None]
    return hd.Hand(
        image=hand.image, side=hand.side, keypoints_2d=np.where(kept, hand.keypoints_2d, np.nan),
        keypoints_3d=np.where(kept, hand.keypoints_3d, np.nan), K=hand.K, crop_box=hand.crop_box, split=split,
        id=f"{split}/{hand.id}", sequence=hand.sequence, frame=hand.frame,
    )  # fmt: skip


def fine_tune(home: Path, domain: Domain, batches: int) -> None:
    """Train the weights that come along on a domain's partial labels, as a user would, unless that was done."""
    if (home / "runs" / domain.name / "checkpoints").is_dir():
        return
    settings = {
        "loop.batches": batches, "loop.val_batches": 4, "optim.lr": 0.0003, "optim.warmup_steps": 10,
        "optim.ema_decay": 0.95,
    }  # fmt: skip
    words = [
        "train", "--recipe", "compact", "--init-from", "compact", "--shards", str(home / "shards" / domain.name),
        "--name", domain.name, "--epochs", "1", "--device", "cpu", "--no-evaluate", "--data-root", str(home),
    ]  # fmt: skip
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    subprocess.run([sys.executable, "-m", "handdata", *words], check=True)


def errors(domain: Domain, weights: str, tested: list[list[hd.Hand]]) -> dict[str, float]:
    """Return the mean errors on the labelled and the other points, with intervals over people."""
    model = hd.load_model(weights, device="cpu")
    labelled = np.isin(np.arange(21), domain.labelled)
    flat, deep = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for hands in tested:
        cameras = [hand.K for hand in hands]
        found = model([h.image for h in hands], [h.crop_box for h in hands], [h.side for h in hands], K=cameras)
        pairs = list(zip(found, hands, strict=True))
        flat.append(np.stack([distance(f.keypoints_2d, h.keypoints_2d) / (CANVAS / 1.5) for f, h in pairs]))
        deep.append(np.stack([distance(f.keypoints_3d_normalized, h.keypoints_3d_normalized) for f, h in pairs]))
    row: dict[str, float] = {}
    for name, values, points in (
        ("labelled", flat, labelled), ("others", flat, ~labelled), ("3D", deep, np.ones(21, bool))
    ):  # fmt: skip
        means = np.array([person[:, points].mean() for person in values])
        draws = np.random.default_rng(0).integers(0, len(means), (2000, len(means)))
        low, high = np.percentile(means[draws].mean(1), [2.5, 97.5])
        row |= {name: float(means.mean()), f"{name} low": float(low), f"{name} high": float(high)}
    return row


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(a - b, axis=-1))


if __name__ == "__main__":
    main()
