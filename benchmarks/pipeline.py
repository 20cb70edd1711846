"""Goal 1, a batch ready for the network on a CPU: ours against the thesis' own steps and two WebDataset pipelines.

    python benchmarks/pipeline.py

Every case turns, scales, recolours, blurs and normalises each picture and makes 21 heatmaps of 128 x 128, in fp32.
The thesis' steps are re-implemented from docs/method.md 3.1, 4 and 8. Counted in samples a CPU second of all processes.
With `--peers-python` WebDataset + PIL and the blurs run once more in that environment, say with an older OpenCV.
"""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import peers
import torch
from elsewhere import Elsewhere, add_peers_python
from machine import Aim, Batches, Result, arguments, interleave, ratio
from PIL import Image
from samples import (
    SIZE,
    Rng,
    blurred_heatmaps,
    closed_form,
    normalized,
    opencv_sample,
    pil_colors,
    pil_sample,
    webdataset,
)

from handdata.model.heatmaps import profiles, targets
from handdata.shards.backgrounds import paint_tiles
from handdata.synth.frame import KEY_COLOR
from handdata.train.augment.backgrounds import load_backgrounds
from handdata.train.augment.prepare import prepare
from handdata.train.augment.settings import PUBLISHED
from handdata.train.config import LoopConfig
from handdata.train.loader.loaders import Loader, open_mixture
from handdata.train.precision import set_up_device

WORKERS = 2
AHEAD = 2 * WORKERS + 1  # batches that a loader may hold ready
TOGETHER = 8  # samples: their maps, 11 MB, fit in a cache


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2048, help="samples")
    parser.add_argument("--batch", type=int, default=64)
    add_peers_python(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    set_up_device(LoopConfig(), torch.device("cpu"))  # as a training does
    paths = peers.write_all(options.scratch / "pipeline", options.count, 192, files=False)
    masked = options.scratch / "masked"
    if not masked.is_dir():
        peers.write_shards(masked, options.count, 192, foreground=True)

    def web(transform: Callable[[dict[str, bytes]], Any]) -> Iterator[Any]:
        return webdataset(paths["wds"], options.batch, WORKERS, transform)

    cases = {
        # turns of about a second or more for all: a few batches would mostly measure the cache that others left
        "handdata": Batches(handdata(paths["shards"], "dexter", options.batch), 50, options.batch),
        "handdata: with backgrounds": Batches(handdata(masked, "synthhands", options.batch), 40, options.batch),
        "WebDataset + OpenCV": Batches(web(opencv_sample), 10, options.batch, AHEAD),
        "WebDataset + PIL": Batches(web(pil_sample), 6, options.batch, AHEAD),
        "thesis: PNG 640, PIL, background": thesis_turn(16),
        "heatmaps: outer products": heatmaps_ours(1024),
        "heatmaps: 21 blurs of 61 x 61": heatmaps_thesis(32, np.float32),
        "heatmaps: the same in float64": heatmaps_thesis(32, np.float64),
    }
    if options.peers_python:
        there = [
            Elsewhere(options.peers_python, "pil", paths["wds"], steps=6, batch=options.batch, workers=WORKERS),
            Elsewhere(options.peers_python, "blurs", paths["wds"], steps=1, batch=32, workers=0),
        ]
        cases |= {f"{case.name}, {case.software}": case for case in there}
    result = Result("1 (pipelines without a GPU)")
    result.rows = interleave(cases, options.rounds)
    us = "handdata"
    result.aims += [
        Aim("ours / WebDataset + PIL", ratio(result.rows, us, "WebDataset + PIL"), 20),
        Aim("ours / WebDataset + OpenCV", ratio(result.rows, us, "WebDataset + OpenCV"), 2.5),
        Aim(
            "heatmaps, ours / the thesis'",
            ratio(result.rows, "heatmaps: outer products", "heatmaps: 21 blurs of 61 x 61"),
            30,
        ),
    ]
    double = ratio(result.rows, "heatmaps: outer products", "heatmaps: the same in float64")
    result.notes.append(f"heatmaps, ours / the blurs in float64, as numpy.zeros makes them: {double:.1f} x")
    for name in result.rows:
        if name.startswith("WebDataset + PIL, "):
            result.notes.append(f"ours / {name}: {ratio(result.rows, us, name):.1f} x")
    against = ratio(result.rows, "handdata: with backgrounds", "thesis: PNG 640, PIL, background")
    result.notes.append(f"with backgrounds, ours / the thesis' own loader: {against:.1f} x")
    result.finish(as_json=options.json)


# ------------------------------------------------------------------------------------------------ ours


def handdata(path: Path, dataset: str, batch: int) -> Iterator[Any]:
    loader = Loader(open_mixture([path], "train"), batch, threads=1)
    pool = load_backgrounds(None, "train", size=SIZE)
    maps = torch.empty(batch, 21, SIZE, SIZE)  # written over: a fresh 88 MB a batch costs more than the product
    epoch = 0
    while True:
        for made in loader.epoch(epoch):
            inputs = prepare(made, PUBLISHED[dataset], seed=0, epoch=epoch, train=True, backgrounds=pool)
            px, py = profiles(inputs.uv_BK2, SIZE)
            torch.mul((py * inputs.present_2d_BK[..., None])[..., :, None], px[..., None, :], out=maps)
            yield inputs, maps
        epoch += 1


def heatmaps_ours(batch: int) -> Callable[[], int]:
    uv, present = torch.rand(batch, 21, 2), torch.ones(batch, 21, dtype=torch.bool)

    def turn() -> int:
        for first in range(0, batch, TOGETHER):
            targets(uv[first : first + TOGETHER], present[first : first + TOGETHER], SIZE)
        return batch

    return turn


# ------------------------------------------------------------------------------------------------ the thesis' steps


def heatmaps_thesis(samples: int, dtype: Any) -> Callable[[], int]:
    uv = np.random.default_rng(0).random((samples, 21, 2))

    def turn() -> int:
        for points in uv:
            blurred_heatmaps(points, dtype)
        return samples

    return turn


def thesis_turn(samples: int) -> Callable[[], int]:
    """SynthHands as the thesis loads it: PNG of 640 x 480 with the key colour behind the hand."""
    rng = np.random.default_rng(0)
    picture = np.full((480, 640, 3), KEY_COLOR, np.uint8)
    cv2.ellipse(picture, (320, 240), (120, 70), 30, 0, 360, (210, 160, 130), -1)
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    background = Image.fromarray(cv2.resize(paint_tiles(0, 1, 192)[0], (900, 700)))

    def turn() -> int:
        for _ in range(samples):
            thesis_sample(png, background, rng)
        return samples

    return turn


def thesis_sample(png: bytes, background: Image.Image, rng: Rng) -> tuple[Any, Any]:
    hand = Image.open(io.BytesIO(png)).convert("RGB")
    hand = hand.rotate(float(rng.uniform(-180, 180)), Image.Resampling.NEAREST)
    p = rng.uniform(-0.25, 0.15)
    dx, dy = int(640 * p), int(480 * p)
    hand = hand.resize((640 + dx, 480 + dy), Image.Resampling.NEAREST)
    hand = hand.crop((dx // 2, dy // 2, dx // 2 + 640, dy // 2 + 480))
    left, top = int(rng.integers(0, 260)), int(rng.integers(0, 220))
    behind = np.asarray(background.crop((left, top, left + 640, top + 480)))
    pixels = np.asarray(hand)
    key = (pixels == KEY_COLOR).all(-1) | (pixels == 0).all(-1)
    keep = 1.0 - key[..., None]
    whole = Image.fromarray((pixels * keep + behind * (1 - keep)).astype(np.uint8))
    crop = whole.crop((80, 0, 560, 480)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return normalized(pil_colors(crop, rng)), blurred_heatmaps(rng.random((21, 2)))


if __name__ == "__main__":
    assert math.isclose(float(closed_form(np.full((21, 2), 0.5)).max()), 1)
    main()
