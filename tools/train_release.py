"""Train the weights that come with the package from nothing but rendered hands; stopped at any moment, it goes on.

    nohup nice -n 19 env OMP_NUM_THREADS=1 python tools/train_release.py --real FOLDER >> release.log 2>&1 &

Everything lies in --home (~/.cache/handdata-release): shards/ (rendered beside the training, a chunk at a time), run/
(an ordinary run: checkpoints, log), curve.jsonl (a line a round: samples seen, errors on held-out rendered hands and on
real pictures), compact.safetensors (the averaged weights, float16). The same command goes on where it was.
Real pictures are measured on and never trained on.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from release_hands import CHUNK, EMPTY, HANDS, SPOTTED, chunks, enter, is_there, render_chunk
from renderers import check, renderers

from handdata.errors import HanddataError
from handdata.evaluation.alignment import Hands, procrustes
from handdata.evaluation.seen import records_of
from handdata.model.checkpoint import Trained, load_network, read
from handdata.model.families import family_of
from handdata.model.families.family import Reading
from handdata.model.pixels import normalize
from handdata.model.released import write_file
from handdata.pictures.crops import scale_about_center
from handdata.pictures.decode import read_image, resample_square
from handdata.train.config import Config, load_config
from handdata.train.loop import Job, train

VAL_HANDS, VAL_EMPTY, TRAIN_EMPTY = 1024, 256, 1024
ROUND = ("loop.batches=200", "optim.schedule=constant", "loop.val_batches=0", "data.loader_threads=0")
SHARES = {HANDS: 0.9, EMPTY: 0.1}
SHARES_SPOTTED = {HANDS: 0.75, EMPTY: 0.1, SPOTTED: 0.15}


def main() -> None:
    options = read_arguments()
    shards = options.home / "shards"
    torch.set_num_threads(1)
    with renderers(options.workers, alone=not options.samples) as pool:
        rendering = [pool.submit(render_chunk, shards, *one) for one in missing(shards, options)]
        for future in rendering:
            future.add_done_callback(lambda made: made.cancelled() or made.exception() or enter(shards, *made.result()))
        train_all(options, shards, rendering)


def train_all(options: argparse.Namespace, shards: Path, rendering: Sequence[Future[Any]]) -> None:
    """Take round after round on what is rendered so far."""
    while not all(chunks(shards, "train", name) for name in shares(options)):
        check(rendering)
        time.sleep(1)
    run = options.home / "run"
    while (done := epochs_done(run)) * samples_of(round_config(options, 1)) < options.samples:
        resume = done > 0
        job = Job(
            config=round_config(options, done + 1), folders=[shards / name for name in shares(options)], run=run,
            device=options.device, init_from=None if resume else options.init_from, resume=resume,
        )  # fmt: skip
        check(rendering)
        began, worked = time.time(), time.process_time()
        if not train(job):
            return
        seen = samples_of(job.config)
        row = {
            "samples": (done + 1) * seen,
            "hands": chunks(shards, "train", HANDS) * CHUNK,
            "per_s": round(seen / (time.time() - began), 1),
            "per_cpu_s": round(seen / (time.process_time() - worked), 1),
            **last_validation(run),
            **(score_real(read(run / "checkpoints/last"), options.real) if options.real else {}),
        }
        with (options.home / "curve.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        write_file(options.home / "compact.safetensors", read(run / "checkpoints/last"), row, records_of(run))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path.home() / ".cache/handdata-release")
    parser.add_argument("--recipe", default="compact")
    parser.add_argument("--hands", type=int, default=20 * CHUNK, help="hands to render in all")
    parser.add_argument("--empty", type=int, default=0, help="pictures without a hand, beside the first 1,024")
    parser.add_argument("--spotted", type=int, default=0, help="pictures of what the detector takes for a hand")
    parser.add_argument("--first", type=int, default=0, help="chunk that rendering begins with: others are new hands")
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--samples", type=int, default=10_000_000, help="samples to train on in all; 0 renders alone")
    parser.add_argument("--device", default="cpu", help="to train on: cpu, cuda or cuda:N; a run goes on on either")
    parser.add_argument("--real", type=Path, help="folder of real pictures with labels.json, to measure on")
    parser.add_argument("--init-from", type=Path, help="checkpoint that the first round starts from")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="recipe setting, key=value")
    return parser.parse_args()


def missing(shards: Path, options: argparse.Namespace) -> list[tuple[str, str, int, int]]:
    """Return split, set, number and size of the chunks to render: first what validates, then what trains."""
    first = [("val", HANDS, 0, VAL_HANDS), ("val", EMPTY, 0, VAL_EMPTY), ("train", EMPTY, 0, TRAIN_EMPTY)]
    further = [("train", EMPTY, number, CHUNK) for number in range(1, 1 + -(-options.empty // CHUNK))]
    further += [("train", SPOTTED, number, CHUNK) for number in range(-(-options.spotted // CHUNK))]
    hands = range(options.first, options.first + -(-options.hands // CHUNK))
    every = [*first, *further, *(("train", HANDS, number, CHUNK) for number in hands)]
    return [one for one in every if not is_there(shards, *one[:3])]


def shares(options: argparse.Namespace) -> dict[str, float]:
    """Return the sets that it trains on, with the share of each among the samples."""
    return SHARES_SPOTTED if options.spotted else SHARES


def round_config(options: argparse.Namespace, epochs: int) -> Config:
    """Return the recipe with so many rounds; an epoch of the run is a round."""
    mix = [f"data.weights.{name}={share}" for name, share in shares(options).items()]
    return load_config(options.recipe, [*ROUND, *mix, *options.settings, f"loop.epochs={epochs}"])


def samples_of(config: Config) -> int:
    """Return the samples of one round."""
    return config.loop.batches * config.data.batch


def epochs_done(run: Path) -> int:
    """Return the rounds that the run's last checkpoint has behind it."""
    try:
        return read(run / "checkpoints/last").epoch
    except HanddataError:
        return 0


def last_validation(run: Path) -> dict[str, float]:
    """Return the last round's losses and errors."""
    entry = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    losses = {f"train_{name}": value for name, value in entry["train"].items()}
    found = {**losses, "val_2d": entry["val"]["error_2d"], "val_3d": entry["val"]["error_3d"]}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


# ------------------------------------------------------------------------------------------------ real pictures


def score_real(trained: Trained, folder: Path) -> dict[str, float]:
    """Return 2D errors in sides of the crop as shipped, and the aligned 3D error in mm, of left hands."""
    samples = json.loads((folder / "labels.json").read_text())["samples"]
    images = [read_image(folder / sample["image"]) for sample in samples]
    reading = apply(trained, images)
    size, side = trained.model.size, images[0].shape[0]
    seen = (reading.uv_BK2.numpy() + 0.5 / size - 0.5) / trained.model.zoom + 0.5  # crop sides
    found = seen * side - 0.5
    off = np.linalg.norm(found - np.array([sample["keypoints_2d"] for sample in samples]), axis=-1) / side
    xyz = np.array([sample["keypoints_3d_mm"] for sample in samples])
    normalized, every = reading.xyz_BK3.double().numpy(), np.ones(xyz.shape[:2], bool)
    unknown = np.full(len(xyz), np.nan)
    hands = Hands(
        millimetres=normalized, normalized=normalized, truth=xyz, mask=every, scale_mm=unknown, use_normalized=True
    )
    aligned, _ = procrustes(hands)
    row = {
        "real_2d": off.mean(),
        "real_pck10": (off < 0.1).mean(),
        "real_pa_mm": np.linalg.norm(aligned - xyz, axis=-1).mean(),
    }
    if reading.presence_B is not None and reading.right_B is not None:
        row |= {
            "real_seen": (reading.presence_B > 0.5).float().mean().item(),
            "real_left": (reading.right_B < 0.5).float().mean().item(),
        }
    return {name: round(float(value), 4) for name, value in row.items()}


@torch.no_grad()
def apply(trained: Trained, images: Sequence[NDArray[np.uint8]]) -> Reading:
    """Return the reading of whole square pictures."""
    network, family = load_network(trained, torch.device("cpu")), family_of(trained.model.kind)
    size, zoom = trained.model.size, trained.model.zoom
    squares = [scale_about_center(np.array([0.0, 0.0, *image.shape[1::-1]]), 1 / zoom) for image in images]
    crops = np.stack([resample_square(image, square, size) for image, square in zip(images, squares, strict=True)])
    levels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    parts: list[Any] = [network(normalize(part)) for part in levels.split(32)]
    whole = type(parts[0])(*(torch.cat(values) for values in zip(*parts, strict=True)))
    return family.read(whole, trained.model, family.read_outs(trained.model)[0])


if __name__ == "__main__":
    cv2.setNumThreads(1)
    try:
        main()
    except KeyboardInterrupt:  # the training has said where it stopped
        sys.exit("stopped; the same command goes on")
