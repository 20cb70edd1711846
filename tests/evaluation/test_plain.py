"""Every protocol but the thesis' and the peers' gives the number of a plain loop: random predictions with holes."""

import numpy as np
import pytest

from handdata.evaluation.protocols import PROTOCOLS
from handdata.shards.dataset import open_dataset
from tests.evaluation import plain
from tests.evaluation.made_labels import LABELS, filmed, fingertips, full_hands, palms_without_wrists, write_json
from tests.evaluation.test_peers import EXACT, SEEDS, printed, random_predictions
from tests.evaluation.test_peers import NAMES as PEERS

APART = ("thesis", "oks_ap")  # the latter is held to pycocotools in test_precision.py
NAMES = {name for name, protocol in PROTOCOLS.items() if protocol.family not in APART} - set(PEERS)
SETS = {"rhd": full_hands, "stereo": palms_without_wrists, "dexter": fingertips, "filmed": filmed}
SIDES = np.array(["left", "right"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain") / "data" / "shards"
    return [make(root / name) for name, make in SETS.items()]


def predicted(dataset, rng, *, unit):
    """Return random poses, boxes and sides; every fifth of either is not given."""
    arrays, box = random_predictions(dataset, rng, unit=unit), dataset["bbox_xyxy"].astype(float)
    box = box + rng.uniform(-0.2, 0.2, box.shape) * np.tile(box[:, 2:] - box[:, :2], 2)
    arrays["bbox_xyxy"] = np.where(rng.random(len(box))[:, None] > 0.2, box, np.nan)
    sides = SIDES[rng.integers(0, 2, len(box))]
    arrays["hand_side"] = np.where(rng.random(len(box)) > 0.2, sides, None)
    return arrays


def numbers(dataset, arrays):
    """Return {protocol: value} of plain loops; what a set or its predictions do not allow is left out."""
    label = {name: dataset[name] for name in LABELS}
    label |= {name: values.astype(float) for name, values in label.items() if values.dtype == np.float32}
    is_normalised = "keypoints_3d_normalized" in arrays
    said = arrays["keypoints_3d_normalized" if is_normalised else "keypoints_3d"]
    found = in_pictures(label, arrays) | by_shape(dataset.name, label, said, is_normalised=is_normalised)
    if not is_normalised:
        found |= absolute(label, said)
    if dataset.name != "dexter" and not is_normalised:
        found |= by_root(dataset.name, label, said)
    if dataset.name == "filmed":
        found |= moving(label, arrays["keypoints_2d"], said, is_normalised=is_normalised)
    return found


def in_pictures(label, arrays):
    uv, labelled, said, box = label["keypoints_2d"], label["annotated_2d"], arrays["keypoints_2d"], label["bbox_xyxy"]
    off = plain.distances(uv, labelled, said)
    sides = [np.inf if given is None else float(SIDES[true] != given)
             for true, given in zip(label["hand_side"], arrays["hand_side"], strict=True)]  # fmt: skip
    extents = plain.overlap_lacks(plain.extents(uv, labelled), plain.extents(said, labelled))
    whole = {"box_iou:keypoints": plain.score(extents)} if np.isfinite(extents).any() else {}  # of one hand at least
    return whole | {
        "epe_px:median": plain.median(off),
        "epe_px:mean_of_keypoints": plain.mean_of_keypoints(off),
        "auc_0_30_px": plain.window(off, 0, 30),
        "oks": plain.score(plain.oks_lacks(uv, labelled, said, box)),
        "box_iou:predicted": plain.score(plain.overlap_lacks(box, arrays["bbox_xyxy"])),
        "side_accuracy": plain.score(sides),
    }


def by_shape(name, label, said, *, is_normalised):
    """Alignments that take predictions of either unit."""
    xyz, labelled, scale = label["keypoints_3d"], label["annotated_3d"], label["scale_mm"]
    similar = plain.fitted(xyz, labelled, said, is_scaled=True)
    off, tips = (plain.distances(xyz, labelled, moved)
                 for moved in (similar, plain.by_centroid(xyz, labelled, said)))  # fmt: skip
    found = {
        "pa_mpjpe": plain.mean(off),
        "auc_pa_0_50": plain.window(off, 0, 50),
        "f_score:pa_5mm": plain.score(plain.f_lacks(xyz, labelled, similar, 5)),
        "f_score:pa_15mm": plain.score(plain.f_lacks(xyz, labelled, similar, 15)),
        "auc_tips_20_50": plain.grid(tips, [20 + i * 30 / 14 for i in range(15)]),
    }
    if name == "dexter":
        return found | {"auc_0_100": plain.window(tips, 0, 100)}
    scales = plain.true_scales(xyz, said, scale, is_normalised=is_normalised)
    off = plain.distances(xyz, labelled, plain.on_point(xyz, said, plain.MIDDLE_MCP, scales))
    best = plain.best_scales(xyz, labelled, said)
    return found | {
        "auc_20_50": plain.window(off, 20, 50),
        "auc_0_50": plain.grid(off, [i / 2 for i in range(101)]),
        "auc_0_100": plain.window(off, 0, 100),
        "epe_mm:mean_gt_scale": plain.mean(off),
        "epe_mm:median_gt_scale": plain.median(off),
        "n_mpjpe": plain.mean(plain.distances(xyz, labelled, plain.on_point(xyz, said, plain.MIDDLE_MCP, best))),
    }


def absolute(label, said):
    xyz, labelled = label["keypoints_3d"], label["annotated_3d"]
    off = plain.distances(xyz, labelled, said)
    rigid = plain.distances(xyz, labelled, plain.fitted(xyz, labelled, said, is_scaled=False))
    return {
        "epe_abs_mm:mean": plain.mean(off),
        "epe_abs_mm:median": plain.median(off),
        "auc_0_50:absolute": plain.window(off, 0, 50),
        "auc_0_100:absolute": plain.window(off, 0, 100),
        "rigid_mpjpe": plain.mean(rigid),
    }


def by_root(name, label, said):
    xyz, labelled, ones = label["keypoints_3d"], label["annotated_3d"], [1.0] * len(said)
    moved = plain.on_point(xyz, said, plain.MIDDLE_MCP, ones)
    depth = plain.depth_errors(xyz, labelled, said)
    off = plain.distances(xyz, labelled, moved)
    found = {
        "root_depth:mm": plain.mean(depth[0]),
        "root_depth:part": plain.mean(depth[1]),
        "epe_mm:mean": plain.mean(off),
        "epe_mm:median": plain.median(off),
        "epe_mm:mean_of_keypoints": plain.mean_of_keypoints(off),
        "f_score:5mm": plain.score(plain.f_lacks(xyz, labelled, moved, 5)),
        "f_score:15mm": plain.score(plain.f_lacks(xyz, labelled, moved, 15)),
    }
    if name == "stereo":
        return found
    wrist = plain.distances(xyz, labelled, plain.on_point(xyz, said, plain.WRIST, ones))
    return found | {"epe_mm:mean_wrist": plain.mean(wrist)}


def moving(label, said_2d, said, *, is_normalised):
    uv, xyz, scale = label["keypoints_2d"], label["keypoints_3d"], label["scale_mm"]
    tracks = (label[name].tolist() for name in ("sequence", "camera", "hand_side"))
    rows = plain.threes(*tracks, label["frame"], label["annotated_2d"] | label["annotated_3d"])
    scales = plain.true_scales(xyz, said, scale, is_normalised=is_normalised)
    moved = plain.on_point(xyz, said, plain.MIDDLE_MCP, scales)
    own = [None if points is None else points - t[plain.MIDDLE_MCP] for points, t in zip(moved, xyz, strict=True)]
    relative = [t - t[plain.MIDDLE_MCP] for t in xyz]
    found = {}
    for unit, lists in (
        ("px", plain.second_differences(rows, said_2d, uv, label["annotated_2d"])),
        ("mm", plain.second_differences(rows, own, relative, label["annotated_3d"])),
    ):
        found[f"acceleration:{unit}"] = plain.mean(lists[0])
        found[f"jitter:{unit}"], found[f"jitter:labels_{unit}"] = map(plain.root_of_mean_square, lists[1:])
    return found


def check(folders, path, seed):
    """Compare one random set of predictions; return the names compared."""
    rng = np.random.default_rng(seed)
    datasets = [open_dataset(folder) for folder in folders]
    arrays = {d.name: predicted(d, rng, unit=1 if seed % 2 else 0.011) for d in datasets}
    ours = printed(write_json(path, folders, arrays), folders)
    compared = set()
    for dataset in datasets:
        expected = numbers(dataset, arrays[dataset.name])
        given = {name: ours[dataset.name, name] for name in NAMES if ours[dataset.name, name] is not None}
        assert given == pytest.approx(expected, abs=EXACT, rel=0), (dataset.name, seed)
        compared |= set(given)
    return compared


def test_evaluate_prints_the_numbers_of_plain_loops_for_every_protocol(folders, tmp_path):
    """With the peers' (test_peers.py) and the thesis' (test_metrics.py, by its author's files) none is left."""
    compared = set().union(*(check(folders, tmp_path / "theirs.json", seed) for seed in range(2)))
    assert compared == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_random_sets_of_predictions_give_the_numbers_of_plain_loops(folders, tmp_path, first):
    for seed in range(first, min(first + 20, SEEDS)):
        check(folders, tmp_path / "theirs.json", 1000 + seed)


def test_motion_is_scored_in_recordings_and_not_among_numbered_stills(folders, tmp_path):
    """Numbers of frames alone do not make a recording: RHD's stills are numbered too."""
    datasets = [open_dataset(folder) for folder in folders]
    rng = np.random.default_rng(0)
    arrays = {d.name: predicted(d, rng, unit=1) for d in datasets}
    ours = printed(write_json(tmp_path / "theirs.json", folders, arrays), folders)
    motion = [name for name in PROTOCOLS if name.startswith(("acceleration", "jitter"))]

    assert all(ours["filmed", name] is not None for name in motion)
    assert all(ours[name, one] is None for name in ("rhd", "stereo", "dexter") for one in motion)
