"""What other pipelines do to a sample, and how WebDataset delivers it.

Nothing of handdata is imported, so that the same code runs in an environment that cannot hold handdata (elsewhere.py).
The thesis' steps are re-implemented from docs/method.md 3.1, 4 and 8.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

SIZE = 128  # px
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
Rng = np.random.Generator


def webdataset(
    path: Path, batch: int, workers: int, transform: Callable[[dict[str, bytes]], Any] | None = None
) -> Iterator[Any]:
    """WebDataset with its usual shuffles; decodes with simplejpeg unless a transform is given."""
    import webdataset as wds

    urls = [str(tar) for tar in sorted(path.glob("*.tar"))]
    stages = (
        wds.WebDataset(urls, shardshuffle=False, resampled=True, empty_check=False)
        .shuffle(256)
        .map(transform or decode_first)
        .batched(batch, partial=False)
    )
    yield from wds.WebLoader(stages, batch_size=None, num_workers=workers, persistent_workers=workers > 0)


def decode_first(sample: dict[str, bytes]) -> Any:
    import simplejpeg

    return simplejpeg.decode_jpeg(sample["jpg"])


def blurred_heatmaps(uv: NDArray[np.float64], dtype: Any = np.float32) -> NDArray[Any]:
    """One impulse a keypoint, blurred with a kernel of 61 x 61, divided by its maximum (docs/method.md 4)."""
    maps = np.zeros((21, SIZE, SIZE), dtype)
    for k, (u, v) in enumerate(uv):
        x, y = round(SIZE * u), round(SIZE * v)
        if 0 <= x < SIZE and 0 <= y < SIZE:
            maps[k, y, x] = 1
            blurred = cv2.GaussianBlur(maps[k], (61, 61), 3)
            maps[k] = blurred / blurred.max()
    return maps


def pil_colors(image: Image.Image, rng: Rng) -> Image.Image:
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for i in rng.permutation(3):
        image = kinds[i](image).enhance(float(rng.uniform(0.75, 1.25)))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


def normalized(image: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(((np.asarray(image, np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1))


def pil_sample(sample: dict[str, bytes]) -> tuple[Any, Any]:
    """JPEG canvas, PIL all the way, the thesis' heatmaps."""
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
