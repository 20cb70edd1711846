"""Goal 7, evaluating: scoring stored predictions costs the same per sample from 10^3 to 10^6 of them.

The network, the shards and their decoding are stand-ins: rows of labels made once and repeated, predictions that are
labels plus noise. Joining by sample id, every protocol, table, curve and interval are the real thing. Smaller sizes are
scored as often as it takes to last a second.
"""

import time
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from machine import Aim, Result, arguments

from handdata.evaluation import score as scoring
from handdata.evaluation.predictions import Predictions
from handdata.skeleton import ROOT, WRIST

BASE = 1000  # rows of labels that are repeated
SEQUENCE = 250  # samples of one sequence
FLAT = 0.10  # how much dearer a sample may become


class Repeated:
    """A stand-in for a converted dataset of any size: the same rows over and over, each with an id of its own."""

    name, splits, origin, folder = "standin", ("test",), "rendered", "repeated rows in memory"
    index: ClassVar[dict[str, Any]] = {}

    def __init__(self, samples: int) -> None:
        rng = np.random.default_rng(0)
        xyz = rng.normal(0, 40, (BASE, 21, 3)) + np.array([0, 0, 400])
        scale = np.linalg.norm(xyz[:, WRIST] - xyz[:, ROOT], axis=-1)
        uv = rng.uniform(60, 240, (BASE, 21, 2))
        everywhere = np.ones((BASE, 21), bool)
        rows = {
            "keypoints_2d": uv, "keypoints_3d": xyz, "scale_mm": scale, "annotated_2d": everywhere,
            "keypoints_3d_normalized": (xyz - xyz[:, ROOT : ROOT + 1]) / scale[:, None, None],
            "annotated_3d": everywhere, "in_frame": everywhere, "visible": np.ones((BASE, 21), np.int8),
            "hand_side": np.arange(BASE) % 2, "has_object": np.arange(BASE) % 2, "flags": np.zeros(BASE, np.uint32),
            "crop_xyxy": np.tile([0, 0, 300, 300.0], (BASE, 1)),
            "bbox_xyxy": np.tile([60, 60, 240, 240.0], (BASE, 1)), "palm_center_3d": np.full((BASE, 3), np.nan),
        }  # fmt: skip
        self._row = np.arange(samples) % BASE
        self._rows = {name: row.astype(np.float32) if row.dtype == np.float64 else row for name, row in rows.items()}
        self._own = {"frame": np.arange(samples), "sample_id": np.char.mod("s/%08d", np.arange(samples)).astype("S96")}
        self._sequence = np.char.mod("s%06d", np.arange(samples) // SEQUENCE)

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        if name == "sequence":
            return self._sequence
        if name == "camera":
            return np.zeros(len(self), "U3")
        return self._own[name] if name in self._own else self._rows[name][self._row]


def predicted(dataset: Repeated) -> Predictions:
    rng = np.random.default_rng(1)
    ids = np.char.decode(dataset["sample_id"], "ascii")
    uv, pose = dataset["keypoints_2d"], dataset["keypoints_3d_normalized"]
    return Predictions(
        dataset=np.full(len(ids), dataset.name),
        sample_id=ids,
        keypoints_2d={"expectation": uv + rng.normal(0, 5, uv.shape).astype(np.float32)},
        crop_xyxy=dataset["crop_xyxy"],
        keypoints_3d_normalized=pose + rng.normal(0, 0.1, pose.shape).astype(np.float32),
    )


def seconds_a_sample(samples: int, most: int) -> float:
    dataset = Repeated(samples)
    predictions = predicted(dataset)
    scoring.open_dataset = lambda *_: dataset
    times = max(1, min(50, most // samples // 20))
    start = time.process_time()
    for _ in range(times):
        scoring.score_predictions(predictions, [dataset.folder])
    return (time.process_time() - start) / times / samples


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=1_000_000, help="largest number of samples")
    options = parser.parse_args()
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.most]
    cost = {size: seconds_a_sample(size, options.most) for size in sizes}
    result = Result(goal="7 (evaluate)")
    result.rows = {f"{size:,} samples": {"us a sample": 1e6 * spent} for size, spent in cost.items()}
    growth = max(cost[large] / cost[small] - 1 for small, large in pairwise(sizes))
    result.aims = [Aim("largest growth from one size to the next", growth, FLAT, at_least=False, unit="of the cost")]
    result.notes = ["stand-ins: the network and the shards; CPU time of one process"]
    result.finish(as_json=options.json)


if __name__ == "__main__":
    main()
