"""Real hands shown from fewer pixels, as hands far away are: how far off keypoints and side are.

    python benchmarks/far.py [RUN ...]        # `compact`, the weights that come along, by default

The 150 pictures of ../shared/samples/real_dev, one left hand each, never trained on and not part of handdata: made
smaller by area to so many px and as large again. The crop is the picture as it comes. 2D: mean distance in sides of the
crop, the side of the hand told [95 % interval, bootstrap over blocks of ten neighbouring pictures]; PCK: share of
keypoints within a tenth; side: share of hands for which it is right, asked.
"""

import json

import cv2
import numpy as np
import torch
from find import BLOCK, SAMPLES
from machine import Result, arguments
from numpy.typing import NDArray

from handdata.model.model import Model, load_model
from handdata.pictures.decode import read_image
from handdata.train.augment.coarse import through

SIDES_PX = (0, 64, 48, 32, 24, 16)  # 0: as they come
DRAWS = 2000


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", default=["compact"], help="names of weights or runs, or folders")
    options = parser.parse_args()
    folder = SAMPLES / "real_dev"
    if not folder.is_dir():
        raise SystemExit(f"{folder}: not here; the real pictures lie beside the checkout only where handdata is built")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    samples = json.loads((folder / "labels.json").read_text())["samples"]
    images = [read_image(folder / sample["image"]) for sample in samples]
    truth = np.array([sample["keypoints_2d"] for sample in samples])
    result = Result("real hands from fewer pixels")
    for run in options.runs:
        model = load_model(run)
        for side in SIDES_PX:
            shown = [through(image, side, side) if side else image for image in images]
            result.rows[f"{run}, {side or images[0].shape[0]} px"] = row = measure(model, shown, truth)
            print(f"{run}, {side or images[0].shape[0]} px: {row}", flush=True)
    result.finish(as_json=options.json)


def measure(model: Model, images: list[NDArray[np.uint8]], truth: NDArray[np.float64]) -> dict[str, float]:
    """Return the 2D error with its interval, PCK and the share of right sides."""
    whole = [[0.0, 0.0, *image.shape[1::-1]] for image in images]
    told, asked = (model(images, whole, side) for side in ("left", "auto"))
    off = np.linalg.norm(np.stack([hand.keypoints_2d for hand in told]) - truth, axis=-1) / images[0].shape[0]
    blocks = off.mean(1).reshape(-1, BLOCK).mean(1)
    rng = np.random.default_rng(0)
    low, high = np.percentile(rng.choice(blocks, (DRAWS, len(blocks))).mean(1), [2.5, 97.5])
    figures = {"2D": off.mean(), "low": low, "high": high, "PCK 0.1": (off < 0.1).mean()}
    figures["side"] = np.mean([hand.side == "left" for hand in asked])
    return {name: round(float(value), 4) for name, value in figures.items()}


if __name__ == "__main__":
    main()
