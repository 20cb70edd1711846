"""Goal 1, a batch ready for the network on a CPU: ours against the thesis' own steps and two WebDataset pipelines.

    python benchmarks/pipeline.py

Every case turns, scales, recolours, blurs and normalises each picture and makes 21 heatmaps of 128 x 128, in fp32.
The thesis' steps are re-implemented from method.md 3.1, 4 and 8. Counted in samples a CPU second of all processes.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import peers
import torch
from machine import Aim, Batches, Result, arguments, interleave, ratio
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from handdata.backgrounds import paint_tiles
from handdata.synth.frame import KEY_COLOR
from handdata.train.augment import CPU_STEP, PUBLISHED, prepare
from handdata.train.backgrounds import load_backgrounds
from handdata.train.data import Loader, open_mixture
from handdata.train.heatmaps import profiles, targets

SIZE = 128
WORKERS = 2
AHEAD = 2 * WORKERS + 1  # batches that a loader may hold ready
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
Rng = np.random.Generator


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2048, help="samples")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    paths = peers.write_all(options.scratch / "pipeline", options.count, 192, files=False)
    masked = options.scratch / "masked"
    if not masked.is_dir():
        peers.write_shards(masked, options.count, 192, foreground=True)

    def web(transform: Callable[[dict[str, bytes]], Any]) -> Iterator[Any]:
        return peers.webdataset(paths["wds"], options.batch, WORKERS, transform)

    cases = {
        "handdata: batched torch": Batches(handdata(paths["shards"], "dexter", options.batch), 10, options.batch),
        "handdata: with backgrounds": Batches(handdata(masked, "synthhands", options.batch), 10, options.batch),
        "WebDataset + OpenCV": Batches(web(opencv_sample), 10, options.batch, AHEAD),
        "WebDataset + PIL": Batches(web(pil_sample), 6, options.batch, AHEAD),
        "thesis: PNG 640, PIL, background": thesis_turn(16),
        "heatmaps: outer products": heatmaps_ours(1024),
        "heatmaps: 21 blurs of 61 x 61": heatmaps_thesis(32, np.float32),
        "heatmaps: the same in float64": heatmaps_thesis(32, np.float64),
    }
    result = Result("1 (pipelines without a GPU)")
    result.rows = interleave(cases, options.rounds)
    us = "handdata: batched torch"
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
        for first in range(0, batch, CPU_STEP):
            targets(uv[first : first + CPU_STEP], present[first : first + CPU_STEP], SIZE)
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


def blurred_heatmaps(uv: NDArray[np.float64], dtype: Any = np.float32) -> NDArray[Any]:
    """One impulse a keypoint, blurred with a kernel of 61 x 61, divided by its maximum (method.md 4)."""
    maps = np.zeros((21, SIZE, SIZE), dtype)
    for k, (u, v) in enumerate(uv):
        x, y = round(SIZE * u), round(SIZE * v)
        if 0 <= x < SIZE and 0 <= y < SIZE:
            maps[k, y, x] = 1
            blurred = cv2.GaussianBlur(maps[k], (61, 61), 3)
            maps[k] = blurred / blurred.max()
    return maps


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
    import io

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


def pil_colors(image: Image.Image, rng: Rng) -> Image.Image:
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for i in rng.permutation(3):
        image = kinds[i](image).enhance(float(rng.uniform(0.75, 1.25)))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


def normalized(image: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(((np.asarray(image, np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------------ WebDataset's samples


def pil_sample(sample: dict[str, bytes]) -> tuple[Any, Any]:
    """JPEG canvas, PIL all the way, the thesis' heatmaps."""
    import io

    cv2.setNumThreads(1)
    rng = np.random.default_rng()
    image = Image.open(io.BytesIO(sample["jpg"])).convert("RGB")
    image = image.rotate(float(rng.uniform(-180, 180)), Image.Resampling.BILINEAR)
    side = 128 * rng.uniform(0.85, 1.25)
    box = (96 - side / 2, 96 - side / 2, 96 + side / 2, 96 + side / 2)
    crop = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
    return normalized(pil_colors(crop, rng)), blurred_heatmaps(rng.random((21, 2)))


def opencv_sample(sample: dict[str, bytes]) -> tuple[Any, Any]:
    """JPEG canvas, one warpAffine, colours in float, heatmaps in closed form."""
    import simplejpeg

    cv2.setNumThreads(1)
    rng = np.random.default_rng()
    canvas = simplejpeg.decode_jpeg(sample["jpg"])
    affine = cv2.getRotationMatrix2D((95.5, 95.5), float(rng.uniform(-180, 180)), float(rng.uniform(0.85, 1.15)))
    affine[:, 2] -= 32
    image = cv2.warpAffine(canvas, affine, (SIZE, SIZE), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    for kind in rng.permutation(3):
        factor = float(rng.uniform(0.75, 1.25))
        if kind == 0:
            image *= factor
        else:
            gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            base = gray.mean() if kind == 1 else gray[..., None]
            image = image * factor + (1 - factor) * base
        np.clip(image, 0, 1, out=image)
    image = cv2.GaussianBlur(image, (7, 7), max(0.01, float(rng.uniform(0, 0.8))))
    image = ((image - MEAN) / STD).transpose(2, 0, 1)
    return np.ascontiguousarray(image), closed_form(rng.random((21, 2)))


def closed_form(uv: NDArray[np.float64]) -> NDArray[np.float32]:
    index = np.arange(SIZE, dtype=np.float32)
    lines = np.exp(-((index - np.round(uv * SIZE)[..., None].astype(np.float32)) ** 2) / np.float32(18))
    return lines[:, 1, :, None] * lines[:, 0, None, :]


if __name__ == "__main__":
    assert math.isclose(float(closed_form(np.full((21, 2), 0.5)).max()), 1)
    main()
