"""Made shards, predictions and run folders for tests and benchmarks: known errors, no renderer, no network."""

import json
from pathlib import Path

import numpy as np

import handdata as hd
from handdata.evaluation.predictions import Predictions, write_predictions
from handdata.evaluation.results import results_json
from handdata.evaluation.score import score_predictions
from handdata.geometry import project
from handdata.shards.schema import Flag
from handdata.skeleton import HAND_SIDES, NUM_KEYPOINTS, ROOT, TIPS, WRIST

K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
CANVAS = 64  # px; benchmarks ask for the default canvas


def made_hand(rng, n):
    """Return (n, 21, 3) mm: fingers as straight fans in front of the camera, jittered."""
    points = np.zeros((n, NUM_KEYPOINTS, 3))
    for finger in range(5):
        angle = np.deg2rad(-40 + 20 * finger)
        for joint in range(4):
            reach = (60 + 28 * joint) * (0.8 if finger == 0 else 1.0)
            points[:, 4 * finger + joint + 1] = (reach * np.sin(angle), -reach * np.cos(angle), 5.0 * joint)
    turn = rng.uniform(-0.6, 0.6, n)
    c, s = np.cos(turn), np.sin(turn)
    R = np.stack([np.stack([c, -s, 0 * c], -1), np.stack([s, c, 0 * c], -1), np.tile([0.0, 0.0, 1.0], (n, 1))], 1)
    points = np.einsum("nij,nkj->nki", R, points) + rng.normal(0, 3, points.shape)
    return points + np.stack([rng.uniform(-40, 40, n), rng.uniform(0, 60, n), rng.uniform(380, 520, n)], -1)[:, None]


def made_shards(folder, dataset, *, split="val", samples=24, sequences=4, seed=0, tips_only=False, wrist=True,
                right_every=0, excluded_every=0, origin="rendered", canvas=CANVAS, grain=0.0):  # fmt: skip
    """Write one complete dataset folder of made hands; return its path."""
    rng = np.random.default_rng(seed)
    xyz = made_hand(rng, samples).astype(np.float32)
    labelled = np.ones(NUM_KEYPOINTS, bool)
    if tips_only:
        labelled[:] = False
        labelled[list(TIPS)] = True
    labelled[WRIST] &= wrist
    scale = np.linalg.norm(xyz[:, WRIST] - xyz[:, ROOT], axis=-1)
    normalized = (xyz - xyz[:, ROOT : ROOT + 1]) / scale[:, None, None]
    uv = project(xyz, K)
    names = [f"{'Grasp' if dataset == 'dexter' else 'S'}{i + 1}" for i in range(sequences)]
    whole = bool(labelled[[WRIST, ROOT]].all())

    def hands():
        for i in range(samples):
            visible_uv, visible_xyz = (np.where(labelled[:, None], a[i], np.nan) for a in (uv, xyz))
            low, high = np.nanmin(visible_uv, 0) + 0.5, np.nanmax(visible_uv, 0) + 0.5
            center, half = (low + high) / 2, float((high - low).max()) / 2 + 40
            sequence = names[i * sequences // samples]
            yield hd.Hand(
                id=f"{sequence}/{i:04d}", sequence=sequence, camera="cam", frame=i, image=made_image(uv[i], rng, grain),
                side=HAND_SIDES[int(bool(right_every) and i % right_every == 0)], K=K,
                crop_box=np.concatenate([center - half, center + half]), box=np.concatenate([low, high]),
                keypoints_2d=visible_uv, keypoints_3d=visible_xyz,
                keypoints_3d_normalized=np.where(labelled[:, None] & whole, normalized[i], np.nan),
                scale_mm=scale[i] if whole else np.nan, has_object=bool(i % 2),
                visible=np.where(np.arange(NUM_KEYPOINTS) % 5 == 4, 0, 1).astype(np.int8),
                flags=Flag(int(bool(excluded_every) and i % excluded_every == 0)),
            )  # fmt: skip

    hd.write_dataset(folder, hands(), name=dataset, split=split, canvas=canvas, origin=origin)
    return folder


def made_image(uv, rng, grain):
    """Return a picture: a grey gradient and noise, with a light dot at every keypoint."""
    image = np.repeat(np.repeat(np.linspace(40, 120, 480)[:, None, None], 640, 1), 3, 2)
    if grain:
        image = image + rng.normal(0, grain, (480, 640, 1))
    picture = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
    for u, v in np.rint(uv).astype(int):
        picture[max(v - 2, 0) : max(v + 3, 0), max(u - 2, 0) : max(u + 3, 0)] = 230
    return picture


def made_predictions(datasets, *, noise_px=6.0, noise_3d=0.1, seed=1, millimetres=False, options=None):
    """Return predictions of whole datasets: their labels (hidden ones too) plus Gaussian noise."""
    rng = np.random.default_rng(seed)
    name, ids, pixels, normalized, crops, metric = [], [], [], [], [], []
    for dataset in datasets:
        uv = dataset["keypoints_2d"].astype(np.float64)
        center = np.nanmean(uv, axis=1, keepdims=True)
        pixels.append(np.where(np.isnan(uv), center, uv) + rng.normal(0, noise_px, uv.shape))
        pose = dataset["keypoints_3d_normalized"].astype(np.float64)
        normalized.append(np.nan_to_num(pose, nan=0.3) + rng.normal(0, noise_3d, pose.shape))
        metric.append(dataset["keypoints_3d"] + rng.normal(0, 8, pose.shape))
        crops.append(dataset["crop_xyxy"])
        ids += [value.decode() for value in dataset["sample_id"]]
        name += [dataset.name] * len(dataset)
    first = np.concatenate(pixels).astype(np.float32)
    return Predictions(
        dataset=np.array(name),
        sample_id=np.array(ids),
        keypoints_2d={"expectation": first, "maximum": np.rint(first)},
        crop_xyxy=np.concatenate(crops),
        input_size=64,
        keypoints_3d_normalized=np.concatenate(normalized).astype(np.float32),
        keypoints_3d=np.concatenate(metric).astype(np.float32) if millimetres else None,
        options=options or {},
    )


def made_run(
    root: Path, name, datasets, *, recipe="demo", model="direct", epochs=12, seed=3, noise_px=6.0, mosaic=True
):
    """Write runs/<name> as a training run leaves it, with predictions scored for real; return its folder."""
    run = root / "runs" / name
    run.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    config = {"name": recipe, "model": {"kind": model, "size": 64}, "augment": {"kind": "none"}, "optim": {"lr": 0.005},
              "loop": {"epochs": epochs}}  # fmt: skip
    (run / "config.json").write_text(json.dumps(config))
    (run / "environment.json").write_text(json.dumps({
        "handdata": "0.1.0", "torch": "2.13.0", "device": "cpu",
        "command": f"handdata train --recipe {recipe}"}))  # fmt: skip
    facts = [{"dataset": d.name, "folder": str(d.folder), "shards": d.index["shards"]} for d in datasets]
    (run / "shards.json").write_text(json.dumps({"datasets": facts}))
    with (run / "log.jsonl").open("w") as log:
        for epoch in range(1, epochs + 1):
            fall = float(np.exp(-epoch / 4))
            losses = {"total": fall + 0.2, "loss_2d": fall + 0.15, "loss_3d": 0.3 * fall + 0.01}
            line = {"epoch": epoch, "step": epoch * 250, "train": losses, "lr": 0.005, "data_wait": 0.02,
                    "val": {key: value + 0.05 for key, value in losses.items()},
                    "samples_per_s": 40 + float(rng.normal())}  # fmt: skip
            log.write(json.dumps(line) + "\n")
    predictions = made_predictions(datasets, seed=seed, noise_px=noise_px, options={"run": name, "recipe": recipe})
    write_predictions(run / "predictions.h5", predictions)
    folders = [dataset.folder for dataset in datasets]
    results = score_predictions(predictions, folders, source=str(run / "predictions.h5"))
    (run / "results.json").write_bytes(results_json(results))
    if mosaic:
        maps = np.zeros((NUM_KEYPOINTS, 64, 64), np.float32)
        yy, xx = np.mgrid[:64, :64]
        for k in range(NUM_KEYPOINTS):
            maps[k] = np.exp(-((xx - 10 - 2 * k) ** 2 + (yy - 20 - k) ** 2) / 18)
        np.savez_compressed(run / "mosaic.npz", image=np.array(datasets[0].image(0)), heatmaps=maps,
                            sample_id=np.array("S1/0000"), dataset=np.array(datasets[0].name))  # fmt: skip
    return run
