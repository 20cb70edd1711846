"""Shards whose labels have holes, two hands a picture and palm centres; and predictions with holes, as JSON."""

import json

import h5py
import numpy as np

from handdata.evaluation.predictions import VERSION
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.skeleton import NUM_KEYPOINTS, ROOT, WRIST
from tests.made_runs import K, made_shards
from tests.resealed import reseal

LABELS = ("keypoints_2d", "keypoints_3d", "annotated_2d", "annotated_3d", "visible", "hand_side", "frame", "bbox_xyxy",
          "palm_center_3d", "scale_mm", "keypoints_3d_normalized", "sequence", "camera")  # fmt: skip


def edited(folder, **arrays):
    """Put other label arrays into the one shard of a folder."""
    (path,) = folder.glob("*.h5")
    with h5py.File(path, "r+") as file:
        for name, values in arrays.items():
            file[name][...] = values
    reseal(folder)
    return folder


def full_hands(folder, *, samples=16, seed=0):
    """RHD-like: two hands in most pictures, a sixth of the keypoints unlabelled, a quarter occluded."""
    made_shards(folder, "rhd", samples=samples, sequences=4, seed=seed)
    rng = np.random.default_rng(seed + 100)
    whole = {name: open_dataset(folder)[name] for name in LABELS}
    labelled = rng.random((samples, NUM_KEYPOINTS)) > 1 / 6
    flat = labelled & (rng.random(labelled.shape) > 0.05)
    scaled = labelled[:, WRIST] & labelled[:, ROOT]
    row, normalized = np.arange(samples), whole["keypoints_3d_normalized"]
    return edited(
        folder,
        keypoints_2d=np.where(flat[..., None], whole["keypoints_2d"], np.nan),
        keypoints_3d=np.where(labelled[..., None], whole["keypoints_3d"], np.nan),
        keypoints_3d_normalized=np.where((labelled & scaled[:, None])[..., None], normalized, np.nan),
        scale_mm=np.where(scaled, whole["scale_mm"], np.nan),
        annotated_2d=flat, annotated_3d=labelled, visible=np.where(rng.random(labelled.shape) < 0.25, 0, 1),
        hand_side=row % 2, frame=np.where(row < samples - 4, row // 2, row),
    )  # fmt: skip


def palms_without_wrists(folder, *, samples=12, seed=1):
    """Stereo-like: a palm centre beside twenty keypoints, nothing said of what is visible."""
    made_shards(folder, "stereo", samples=samples, sequences=4, seed=seed)
    xyz = open_dataset(folder)["keypoints_3d"]
    palm = (xyz[:, WRIST] + xyz[:, ROOT]) / 2 + np.random.default_rng(seed).normal(0, 4, (samples, 3))
    labelled = np.arange(NUM_KEYPOINTS) != WRIST
    return edited(
        folder, keypoints_3d=np.where(labelled[:, None], xyz, np.nan), palm_center_3d=palm,
        annotated_3d=np.tile(labelled, (samples, 1)), annotated_2d=np.tile(labelled, (samples, 1)),
        keypoints_3d_normalized=np.nan, scale_mm=np.nan, visible=-1,
    )  # fmt: skip


def filmed(folder, *, samples=24, seed=3):
    """Recordings: two hands that move smoothly, every third frame, with a gap; a twentieth of the labels missing.

    Of the second hand every other frame has no label at all.
    """
    made_shards(folder, "filmed", samples=samples, sequences=2, seed=seed)
    rng, first = np.random.default_rng(seed), open_dataset(folder)["keypoints_3d"].astype(float)
    t, half = np.arange(samples) % (samples // 2), samples // 2
    phase = rng.uniform(0, 2 * np.pi, (1, NUM_KEYPOINTS, 3))
    way = np.stack([40 * np.sin(0.3 * t), 20 * np.cos(0.2 * t), 3.0 * t], -1)[:, None]
    xyz = first[np.arange(samples) // half * half] + way + 6 * np.sin(0.4 * t[:, None, None] + phase)
    scale = np.linalg.norm(xyz[:, WRIST] - xyz[:, ROOT], axis=-1)
    normalized = (xyz - xyz[:, ROOT : ROOT + 1]) / scale[:, None, None]
    labelled = rng.random((samples, NUM_KEYPOINTS)) > 0.05
    labelled[:, [WRIST, ROOT]] = True
    labelled[half + 1 :: 2] = False
    hidden = ~labelled[..., None]
    return edited(
        folder, keypoints_2d=np.where(hidden, np.nan, project(xyz, K)), keypoints_3d=np.where(hidden, np.nan, xyz),
        keypoints_3d_normalized=np.where(hidden, np.nan, normalized), annotated_2d=labelled,
        scale_mm=np.where(labelled[:, ROOT], scale, np.nan),
        annotated_3d=labelled, frame=3 * t + np.where(t > 7, 3, 0),
    )  # fmt: skip


def fingertips(folder, *, samples=16, seed=2):
    """Dexter-like: fingertips alone, a third of them missing."""
    made_shards(folder, "dexter", samples=samples, sequences=4, seed=seed, tips_only=True)
    whole = {name: open_dataset(folder)[name] for name in LABELS}
    labelled = whole["annotated_3d"] & (np.random.default_rng(seed).random((samples, NUM_KEYPOINTS)) > 1 / 3)
    return edited(
        folder, keypoints_3d=np.where(labelled[..., None], whole["keypoints_3d"], np.nan), annotated_3d=labelled,
        keypoints_2d=np.where(labelled[..., None], whole["keypoints_2d"], np.nan), annotated_2d=labelled, visible=-1,
    )  # fmt: skip


def write_json(path, folders, arrays):
    """Write predictions of several datasets; NaN is null.

    Args:
        path: of the file.
        folders: the shards they are of.
        arrays: name of a dataset -> name of an array -> (N, ...).
    """
    samples = []
    for folder in folders:
        dataset = open_dataset(folder)
        for row, sample_id in enumerate(dataset["sample_id"]):
            entry = {"dataset": dataset.name, "sample_id": sample_id.decode()}
            entry |= {name: plain(values[row : row + 1].tolist()[0]) for name, values in arrays[dataset.name].items()}
            samples.append(entry)
    path.write_text(json.dumps({"schema": VERSION, "samples": samples}))
    return path


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
