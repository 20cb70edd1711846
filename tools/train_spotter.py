"""Train the detector that comes with the package from rendered full pictures alone; stopped at any moment, it goes on.

    nohup nice -n 19 env OMP_NUM_THREADS=1 python tools/train_spotter.py >> spotter.log 2>&1 &

Everything lies in --home (~/.cache/handdata-spotter): frames/ (rendered, a chunk at a time), state.pt (network, its
average, optimiser, step), curve.jsonl (errors on held-out rendered pictures), spotter.safetensors (the average over
steps, float16). Every picture and every draw is a function of a seed and a number, so the same command goes on where
it was. --init-from begins with weights that are there. With --workers pictures are rendered beside the training, which
draws from what is there; on a GPU take --batch 256 and a rate twice as high.
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from renderers import check, renderers
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from handdata.geometry import iou
from handdata.model.detector import write_detector
from handdata.model.pixels import normalize
from handdata.model.spots import Spot
from handdata.model.spotter import LEAST_SCORE, SpotterNet, read_spots, spotter_of
from handdata.skeleton import HAND_SIDES
from handdata.synth.full_frame import render_full_frame
from handdata.train.spotting import SeenPicture, as_seen, spotting_losses
from handdata.train.spotting_views import Frames, draw_batch

CHUNK, HELD_OUT = 1000, 1000
TRAIN_SEED, VAL_SEED = 13, 14
STYLES = ("clean", "gritty")
ROUND = 1000  # steps
MOSAIC = 0.35  # share of pictures that are made of four
WIDTH = 2.0
LR, DECAY, WARM = 0.002, 0.01, 100
KEPT = 0.998  # of the average over steps, at each step


def main() -> None:
    options = read_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    val = list(zip(*load(render(options.home, VAL_SEED, 0, HELD_OUT)), strict=True))
    state = State(options.home / "state.pt", options.width, options.device, options.init_from)
    with renderers(max(options.workers, 1), alone=not options.samples) as pool:
        numbers = range(-(-options.frames // CHUNK) if options.workers else 0)
        train_all(options, state, val, [pool.submit(render, options.home, TRAIN_SEED, number) for number in numbers])


def train_all(options: argparse.Namespace, state: "State", val: list[Any], rendering: Sequence[Future[Any]]) -> None:
    """Take round after round on what is rendered so far."""
    chunks = -(-options.frames // CHUNK)
    parts: dict[Path, Frames] = {}
    frames: Frames | None = None
    while state.seen < options.samples:
        if chunks and not rendering:
            render(options.home, TRAIN_SEED, state.step // ROUND % chunks)
        check(rendering)
        paths = sorted((options.home / "frames").glob(f"{TRAIN_SEED}-*.npz"))
        if not paths:
            time.sleep(1)
            continue
        if frames is None or len(parts) < len(paths):
            parts |= {path: Frames.of(*load(path), options.device) for path in paths if path not in parts}
            frames = Frames.joined([parts[path] for path in paths])
        began = time.time()
        sums = train_round(state, frames, options)
        row = {
            "samples": state.seen, "frames": len(frames),
            "per_s": round(ROUND * options.batch / (time.time() - began)), **sums, **score(state.average.module, val),
        }  # fmt: skip
        with (options.home / "curve.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        state.write()
        write_detector(options.home / "spotter.safetensors", state.average.module, row)


class State:
    """What goes on where it was: the network, its average over steps, the optimiser, steps taken and pictures seen."""

    def __init__(self, file: Path, width: float, device: str, init_from: Path | None) -> None:
        self.file, self.step, self.seen = file, 0, 0
        state = torch.load(file, weights_only=True, map_location=device) if file.is_file() else None
        net = SpotterNet(width)
        if state is not None:
            net = spotter_of(state["net"])
        elif init_from is not None:
            net = spotter_of({name: value.float() for name, value in load_file(init_from).items()})
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(KEPT), use_buffers=True)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), LR, weight_decay=DECAY)
        if state is not None:
            self.step, self.seen = state["step"], state["seen"]
            for name in ("net", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])

    def write(self) -> None:
        """Write it, whole or not at all."""
        partial = self.file.with_suffix(".partial")
        parts = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimizer")}
        torch.save({**parts, "step": self.step, "seen": self.seen}, partial)
        partial.rename(self.file)


def train_round(state: State, frames: Frames, options: argparse.Namespace) -> dict[str, float]:
    """Take the steps of a round; return the mean losses."""
    state.net.train()
    sums: dict[str, torch.Tensor] = {}
    for _ in range(ROUND):
        fallen = 1 - (options.samples - state.seen) / (options.falling or options.samples)
        for group in state.optimizer.param_groups:
            group["lr"] = rate(state.step, fallen, options.lr)
        for name, value in train_step(state, frames, options.batch).items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value / ROUND
        state.average.update_parameters(state.net)
        state.step, state.seen = state.step + 1, state.seen + options.batch
    return {f"loss_{name}": round(value.item(), 4) for name, value in sums.items()}


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path.home() / ".cache/handdata-spotter")
    parser.add_argument(
        "--frames", type=int, default=30 * CHUNK, help="pictures to render in all; 0 takes what is there"
    )
    parser.add_argument("--samples", type=int, default=640_000, help="pictures to train on in all; 0 renders alone")
    parser.add_argument("--init-from", type=Path, help="weights to begin with, if there is no state yet")
    parser.add_argument("--batch", type=int, default=32, help="pictures of a step")
    parser.add_argument("--falling", type=int, help="pictures at the end over which the rate falls [default: all]")
    parser.add_argument("--workers", type=int, default=0, help="processes that render beside the training")
    parser.add_argument("--width", type=float, default=WIDTH, help="of a new network's layers, 1: docs/method.md's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--lr", type=float, default=LR, help="highest learning rate")
    return parser.parse_args()


def rate(step: int, fallen: float, highest: float) -> float:
    """Return the learning rate: a short rise, then the highest until it has fallen, by half a cosine."""
    return float(highest * min(1, (step + 1) / WARM) * (0.5 + 0.5 * np.cos(np.pi * min(max(fallen, 0.0), 1.0))) + 1e-6)


# ------------------------------------------------------------------------------------------------ pictures


def render(home: Path, seed: int, number: int, count: int = CHUNK) -> Path:
    """Render a chunk of pictures, styles in turn, unless it is there; return its file."""
    path = home / "frames" / f"{seed}-{number:04d}.npz"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    first = number * CHUNK
    frames = [render_full_frame(seed, i, STYLES[i % 2]) for i in range(first, first + count)]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            images=np.stack([frame.image for frame in frames]),
            hand=np.stack([frame.hand for frame in frames]),
            boxes=np.concatenate([frame.boxes_xyxy for frame in frames]),
            sides=np.concatenate([frame.sides for frame in frames]),
            counts=np.array([len(frame.sides) for frame in frames]),
        )
    partial.rename(path)
    return path


def load(path: Path) -> tuple[NDArray[np.uint8], list[Any], list[Any], NDArray[np.bool_]]:
    """Read a chunk: images, each one's boxes and sides, masks."""
    with np.load(path) as file:
        ends = np.cumsum(file["counts"])[:-1]
        return file["images"], np.split(file["boxes"], ends), np.split(file["sides"], ends), file["hand"]


# ------------------------------------------------------------------------------------------------ steps and scores


def train_step(state: State, frames: Frames, size: int) -> dict[str, torch.Tensor]:
    """Take one step on pictures that its number draws from what is rendered; return the losses."""
    rng = np.random.default_rng((TRAIN_SEED, state.step))
    images, targets = draw_batch(frames, size, rng, mosaics=MOSAIC)
    with torch.autocast(images.device.type, torch.bfloat16):
        prediction = state.net(images)
    losses = spotting_losses(prediction, targets)
    state.optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 10.0)
    state.optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def images_of(batch: list[SeenPicture]) -> torch.Tensor:
    """Return the normalised pictures of a batch."""
    levels = torch.from_numpy(np.stack([seen.image for seen in batch])).permute(0, 3, 1, 2).float() / 255
    return normalize(levels).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def score(net: torch.nn.Module, val: list[Any]) -> dict[str, float]:
    """Return AP at IoU 0.5 and 0.7, the side's accuracy among hits, false hands on empty pictures, by style."""
    net.eval()
    device = next(net.parameters()).device
    row: dict[str, float] = {}
    seen = [as_seen(*frame) for frame in val]
    spots: list[list[Spot]] = []
    for first in range(0, len(seen), 50):
        spots += read_spots(net(images_of(seen[first : first + 50]).to(device)), least_score=0.05)
    for offset, style in enumerate(STYLES):
        part = slice(offset, None, 2)
        hits = {at: match(spots[part], seen[part], at) for at in (0.5, 0.7)}
        row |= {f"{style}_ap{round(100 * at)}": round(average_precision(*hits[at][:2]), 4) for at in hits}
        row[f"{style}_side"] = round(float(np.mean(hits[0.5][2])) if hits[0.5][2] else 0.0, 4)
        bare = [found for found, truth in zip(spots[part], seen[part], strict=True) if not len(truth.sides)]
        false = [any(spot.score >= LEAST_SCORE for spot in found) for found in bare]
        row[f"{style}_false"] = sum(false) / max(1, len(bare))
    return row


def match(
    spots: list[list[Spot]], seen: list[SeenPicture], at: float
) -> tuple[list[tuple[float, bool]], int, list[bool]]:
    """Return (score, hit) of every spot, how many hands there are, and for every hit whether its side is right."""
    found, sides = [], []
    for picture, truth in zip(spots, seen, strict=True):
        free = set(range(len(truth.sides)))
        for spot in picture:
            overlap = {i: float(iou(spot.box_xyxy, truth.boxes_xyxy[i])) for i in free}
            best = max(overlap, key=lambda i: overlap[i], default=None)
            hit = best is not None and overlap[best] >= at
            found.append((spot.score, hit))
            if hit and best is not None:
                free.remove(best)
                sides.append(HAND_SIDES[truth.sides[best]] == spot.side)
    return found, sum(len(truth.sides) for truth in seen), sides


def average_precision(found: list[tuple[float, bool]], hands: int) -> float:
    """Return the area under the precision that is still reached at each recall."""
    if not found:
        return 0.0
    hits = np.array([hit for _, hit in sorted(found, key=lambda one: -one[0])], float)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * hits).sum() / hands)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
