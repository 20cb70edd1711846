"""A model on one picture: `Model` against the bare forward pass of its network, in one run, on one thread.

    python benchmarks/apply.py [--kinds direct,compact] [--rounds N]

The picture is an array of 640 x 480 and the box a hand's; `Model` crops, normalises, runs the network, reads positions
and takes them back to the picture. The bare pass is the network alone on a normalised crop that is ready. Turns of both
alternate, and the ratio is that of the medians: a machine that is busy slows both.
"""

import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import Aim, Result, arguments

from handdata.model.checkpoint import Trained
from handdata.model.config import ModelConfig
from handdata.model.families import family_of
from handdata.model.model import Model
from handdata.model.networks import PLAIN

AIM = 1.5


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--kinds", default="direct,compact")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = Result("one picture")
    for kind in options.kinds.split(","):
        result.rows[kind] = row = measure(kind, options.rounds)
        result.aims.append(Aim(f"{kind}: Model over bare forward", row["ratio"], AIM, at_least=False, unit="times"))
    result.finish(as_json=options.json)


def measure(kind: str, rounds: int) -> dict[str, float]:
    settings = ModelConfig(kind=kind)
    network = family_of(kind).make(settings, PLAIN).eval()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    model = Model(Trained(path=Path(kind), model=settings, weights=weights), "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    crop = torch.randn(1, 3, settings.size, settings.size)

    def bare() -> None:
        with torch.no_grad():
            network(crop)

    cases = {"bare": bare, "Model": lambda: model(picture, (200, 120, 440, 360), "right")}
    spent: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 3):
        for name, call in cases.items():
            began = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - began)
    found = {name: 1000 * median(times[3:]) for name, times in spent.items()}
    return {"bare ms": found["bare"], "Model ms": found["Model"], "ratio": found["Model"] / found["bare"]}


if __name__ == "__main__":
    main()
