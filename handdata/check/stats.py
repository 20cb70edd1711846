"""What is in a converted dataset: counts, presence of each keypoint, and how hands are posed, turned and sized."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.check.anatomy import Floats, bend_to_palm
from handdata.errors import MissingError
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.schema import Flag
from handdata.shards.shard_list import MAX_SAMPLED_SHARDS
from handdata.skeleton import FINGERS, KEYPOINTS, ROOT, WRIST, finger_indices

MAX_ROWS = 100_000  # labels read for the distributions; counts are of all samples
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What `stats` found.

    Attributes:
        dataset: its name.
        origin: whose hands it shows, "rendered", "published" or "own"; "" where its conversion did not record it.
        num_samples: of all shards.
        num_looked_at: whose labels were read.
        counts: what is counted -> value -> number of samples, among those looked at; `split` counts all.
        presence: keypoint -> kind ("annotated_2d", "annotated_3d", "in_frame", "visible") -> share of samples; None
            where the dataset does not say.
        distributions: quantity, with its unit -> (N) values of the samples that have it.
    """

    dataset: str
    origin: str
    num_samples: int
    num_looked_at: int
    counts: dict[str, dict[str, int]]
    presence: dict[str, dict[str, float | None]]
    distributions: dict[str, Floats]

    def as_json(self) -> dict[str, Any]:
        """Return plain data: each distribution by its number, mean and quantiles."""
        return {
            "dataset": self.dataset,
            "origin": self.origin,
            "num_samples": self.num_samples,
            "num_looked_at": self.num_looked_at,
            "counts": self.counts,
            "presence": self.presence,
            "distributions": {name: summary(values) for name, values in self.distributions.items()},
        }


def collect(folder: Path) -> Stats:
    """Read the labels of a dataset, of about 100,000 samples in evenly spaced shards if it has more.

    Raises:
        HanddataError: not a converted dataset.
    """
    dataset = open_dataset(folder)
    if not len(dataset):
        raise MissingError(folder, expected="samples", got="none", fix="Convert that dataset again.")
    rows = dataset.few_shards(MAX_SAMPLED_SHARDS).spread(MAX_ROWS) if len(dataset) > MAX_ROWS else dataset
    return Stats(
        dataset=dataset.name,
        origin=dataset.origin,
        num_samples=len(dataset),
        num_looked_at=len(rows),
        counts=_counts(dataset, rows),
        presence=_presence(rows),
        distributions={name: values for name, values in _distributions(rows).items() if len(values)},
    )


def summary(values: Floats) -> dict[str, float]:
    """Return the number, mean and quantiles of a distribution."""
    named = {f"p{round(100 * q)}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}
    return {"count": len(values), "mean": float(np.mean(values)), **named}


def _counts(dataset: Dataset, rows: Dataset) -> dict[str, dict[str, int]]:
    splits = {entry["split"]: 0 for entry in dataset.index["shards"]}
    for entry in dataset.index["shards"]:
        splits[entry["split"]] += int(entry["num_samples"])
    sizes = [f"{width} x {height}" for width, height in rows["image_size"]]
    flags = {
        flag.name.lower().replace("_", " "): int(np.sum((rows["flags"] & int(flag)) != 0)) for flag in Flag if flag.name
    }
    counts = {
        "split": splits,
        "sequence": _tally(rows["sequence"]),
        "camera": _tally(rows["camera"]),
        "hand_side": _tally(rows["side"]),
        "has_object": _tally(np.array(["unknown", "without", "with"])[rows["has_object"] + 1]),
        "image_size": _tally(np.array(sizes)),
        "flags": {name: count for name, count in flags.items() if count},
    }
    return {what: values for what, values in counts.items() if set(values) - {""}}


def _tally(values: NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(values, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _presence(rows: Dataset) -> dict[str, dict[str, float | None]]:
    known = rows["visible"] >= 0
    visible = [float((rows["visible"][known[:, k], k] == 1).mean()) if known[:, k].any() else None for k in range(21)]
    masks = {kind: rows[kind].mean(0) for kind in ("annotated_2d", "annotated_3d", "in_frame")}
    return {
        name: {**{kind: float(share[k]) for kind, share in masks.items()}, "visible": visible[k]}
        for k, name in enumerate(KEYPOINTS)
    }


def _distributions(rows: Dataset) -> dict[str, Floats]:
    """Measure every sample; each quantity keeps the samples it is known for."""
    uv, xyz = rows["keypoints_2d"].astype(np.float64), rows["keypoints_3d"].astype(np.float64)
    palm_2d, palm_3d = rows["palm_center_2d"].astype(np.float64), rows["palm_center_3d"].astype(np.float64)
    crop = rows["crop_xyxy"].astype(np.float64)
    side = crop[:, 2] - crop[:, 0]
    num_labels = rows["annotated_2d"].sum(-1)
    low, high = np.fmin.reduce(uv, axis=1), np.fmax.reduce(uv, axis=1)
    base_2d = np.where(np.isfinite(uv[:, WRIST]), uv[:, WRIST], palm_2d)
    base_3d = np.where(np.isfinite(xyz[:, WRIST]), xyz[:, WRIST], palm_3d)
    up = uv[:, ROOT] - base_2d
    measured = {
        "scale, wrist to middle MCP (mm)": rows["scale_mm"].astype(np.float64),
        "crop side (px)": side,
        "hand over crop (ratio)": np.where(num_labels > 1, (high - low).max(-1) / side, np.nan),
        "depth of the hand (mm)": np.fmin.reduce(xyz[..., 2], axis=1),
        "annotated keypoints (number)": num_labels.astype(np.float64),
        "roll of the hand in the picture (degrees)": np.degrees(np.arctan2(up[:, 0], -up[:, 1])),
        "palm towards the camera (cosine)": _facing(xyz, base_3d, rows["hand_side"]),
        "bend of the fingers (mean sine)": np.abs(bend_to_palm(xyz)),
    }
    for finger in FINGERS:
        measured[f"flexion of the {finger} (degrees)"] = _flexion(xyz, finger)
    return {name: values[np.isfinite(values)] for name, values in measured.items()}


def _flexion(xyz: Floats, finger: str) -> Floats:
    """Return the sum of the two bends of a finger behind its knuckle, (N) degrees."""
    phalanges = np.diff(xyz[:, finger_indices(finger)], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        units = phalanges / np.linalg.norm(phalanges, axis=-1, keepdims=True)
    cosines = np.clip((units[:, 1:] * units[:, :-1]).sum(-1), -1, 1)
    return np.asarray(np.degrees(np.arccos(cosines)).sum(-1))


def _facing(xyz: Floats, base: Floats, side: NDArray[Any]) -> Floats:
    """Return the cosine between the palm's normal and the direction to the camera: 1 palm, -1 back of the hand."""
    index, little = (xyz[:, finger_indices(finger)[0]] - base for finger in ("index", "little"))
    normal = np.cross(index, little) * np.where(side == 1, 1.0, -1.0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = -(normal * base).sum(-1) / (np.linalg.norm(normal, axis=-1) * np.linalg.norm(base, axis=-1))
    return np.asarray(cosine)
