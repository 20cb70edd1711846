"""A protocol that carries a peer's name gives its number: random predictions with holes, against plain loops."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli.evaluate import evaluate_command
from handdata.evaluation.protocols import PROTOCOLS
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from handdata.skeleton import LEFT, RIGHT
from tests.evaluation import peers
from tests.evaluation.made_labels import LABELS, fingertips, full_hands, palms_without_wrists, write_json

EXACT = 1e-9
TO_50 = peers.FREIHAND_THRESHOLDS  # of HO-3D and DexYCB too
SEEDS = int(os.environ.get("HANDDATA_SEEDS", "4"))  # `make test-all` draws 100: five minutes
NAMES = [name for name in PROTOCOLS if any(peer in name for peer in
         ("hand3d", "minimal_hand", "mmpose", "freihand", "ho3d", "interhand", "dexycb", "pck_0.2_bbox", "epe_px:mean"))
         and name != "epe_px:mean_of_keypoints"]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("peers") / "data" / "shards"
    return [full_hands(root / "rhd"), palms_without_wrists(root / "stereo"), fingertips(root / "dexter")]


def random_predictions(dataset, rng, *, unit):
    """Return arrays of a dataset: labels (guesses where there are none) with noise of any size, a tenth left out."""
    uv, xyz = (dataset[name].astype(float) for name in ("keypoints_2d", "keypoints_3d"))
    uv = np.where(np.isnan(uv), rng.uniform(0, 640, uv.shape), uv) + rng.normal(0, rng.uniform(2, 30), uv.shape)
    xyz = np.where(np.isnan(xyz), rng.uniform(-60, 460, xyz.shape), xyz)
    xyz = (xyz + rng.normal(0, rng.uniform(2, 30), xyz.shape)) * rng.uniform(0.8, 1.2) * unit
    keep = rng.random((*uv.shape[:2], 1)) > 0.1
    name = "keypoints_3d" if unit == 1 else "keypoints_3d_normalized"
    return {"keypoints_2d": np.where(keep, uv, np.nan), name: np.where(keep, xyz, np.nan)}


def printed(path, folders):
    """Return {(dataset, protocol): value} of `handdata evaluate --predictions`."""
    result = CliRunner().invoke(
        evaluate_command,
        ["--predictions", str(path), "--shards", *map(str, folders), "--json"],
        obj=DataRoot(path.parent),
    )
    assert result.exit_code == 0, result.output
    return {(row["dataset"], row["protocol"]): row["value"] for row in json.loads(result.stdout)["scores"]}


def peers_numbers(dataset, arrays):
    """Return {protocol: value} by the peers' definitions; what one does not score is left out."""
    label = {name: dataset[name] for name in LABELS}
    label |= {name: values.astype(float) for name, values in label.items() if values.dtype == np.float32}
    is_left = label["hand_side"] == LEFT
    rows = peers.dominant(label["frame"].tolist(), is_left, label["visible"])
    metric = "keypoints_3d" in arrays
    said = arrays["keypoints_3d" if metric else "keypoints_3d_normalized"]
    found = in_pictures(label, arrays["keypoints_2d"], rows)
    if dataset.name == "dexter":
        tips = peers.minimal_hand_tips(label["keypoints_3d"], label["annotated_3d"], said)
        found["auc_minimal_hand"] = tips.area(peers.MINIMAL_HAND_THRESHOLDS)
    else:
        found |= by_hand3d(label, said, rows, metric=metric)
    if dataset.name == "rhd":
        found |= with_wrists(label, said, rows, is_left, metric=metric)
    if metric:
        found |= by_freihand(label["keypoints_3d"], label["annotated_3d"], said)
    return found


def in_pictures(label, said, rows):
    uv, labelled, box = label["keypoints_2d"], label["annotated_2d"], label["bbox_xyxy"]
    lists = peers.Lists()
    for i in rows:
        lists.feed(uv[i], labelled[i] & (label["visible"][i] != 0), said[i])
    longer = (box[:, 2:] - box[:, :2]).max(1)
    return {
        "epe_px_hand3d:mean": lists.mean(),
        "epe_px_hand3d:median": lists.median(),
        "pck_0.2_bbox": peers.mmpose_pck(uv, labelled, said, longer, 0.2),
        "auc_mmpose": peers.mmpose_auc(uv, labelled, said),
        "epe_px:mean": peers.mmpose_epe(uv, labelled, said),
    }


def by_hand3d(label, said, rows, *, metric):
    labels = (label["keypoints_3d"], label["annotated_3d"], label["visible"])
    scaled, given = (peers.hand3d(*labels, said, label["palm_center_3d"], rows, rescale=rescale)
                     for rescale in (True, False))  # fmt: skip
    fed = given if metric else scaled
    return {
        "auc_hand3d:rescaled": scaled.area(peers.HAND3D_THRESHOLDS),
        "auc_hand3d": fed.area(peers.HAND3D_THRESHOLDS),
        "epe_hand3d:mean": fed.mean(),
        "epe_hand3d:median": fed.median(),
    }


def with_wrists(label, said, rows, is_left, *, metric):
    xyz, labelled, visible = (label[name] for name in ("keypoints_3d", "annotated_3d", "visible"))
    full, seen = (peers.minimal_hand_full(xyz, mask, said, rows) for mask in (labelled, labelled & (visible != 0)))
    found = {
        "auc_minimal_hand": full.area(peers.MINIMAL_HAND_THRESHOLDS),
        "auc_minimal_hand:visible": seen.area(peers.MINIMAL_HAND_THRESHOLDS),
        "ho3d:scale_translation": peers.wrist_aligned(xyz, labelled, said, scaled=True).mean(),
        "ho3d:scale_translation_auc": peers.wrist_aligned(xyz, labelled, said, scaled=True).area(TO_50),
    }
    if metric:
        lists = peers.wrist_aligned(xyz, labelled, said, scaled=False)
        found |= {"ho3d:root": lists.mean(), "ho3d:root_auc": lists.area(TO_50), "dexycb:root_auc": lists.pooled(TO_50)}
        for shown in ("", "single", "interacting"):
            name = "interhand:mpjpe" + f"_{shown}" * bool(shown)
            found[name] = peers.interhand_mpjpe(xyz, labelled, label["frame"], is_left, said, shown=shown)
        found["interhand:mrrpe"] = peers.interhand_mrrpe(xyz, label["frame"], is_left, said)
    return found


def by_freihand(xyz, labelled, said):
    aligned, given = peers.freihand_aligned(xyz, labelled, said), peers.as_given(xyz, labelled, said)
    moved = peers.freihand_moved(xyz, labelled, said)
    return {
        "freihand:f_5mm": peers.freihand_f(xyz, labelled, said, 5),
        "freihand:f_15mm": peers.freihand_f(xyz, labelled, said, 15),
        "freihand:aligned_f_5mm": peers.freihand_f(xyz, labelled, moved, 5),
        "freihand:aligned_f_15mm": peers.freihand_f(xyz, labelled, moved, 15),
        "freihand:aligned_mean": aligned.mean(),
        "freihand:aligned_auc": aligned.area(peers.FREIHAND_THRESHOLDS),
        "freihand:mean": given.mean(),
        "freihand:auc": given.area(peers.FREIHAND_THRESHOLDS),
    }


def check(folders, path, seed):
    """Compare one random set of predictions; return the names compared."""
    rng = np.random.default_rng(seed)
    datasets = [open_dataset(folder) for folder in folders]
    arrays = {d.name: random_predictions(d, rng, unit=1 if seed % 2 else 0.011) for d in datasets}
    ours = printed(write_json(path, folders, arrays), folders)
    compared = set()
    for dataset in datasets:
        for name, expected in peers_numbers(dataset, arrays[dataset.name]).items():
            assert ours[dataset.name, name] == pytest.approx(expected, abs=EXACT, rel=0), (dataset.name, name)
            compared.add(name)
    return compared


def test_every_name_that_is_a_peers_is_compared(folders, tmp_path):
    compared = set().union(*(check(folders, tmp_path / "theirs.json", seed) for seed in range(4)))
    assert compared == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_random_sets_of_predictions_give_the_peers_numbers(folders, tmp_path, first):
    for seed in range(first, min(first + 20, SEEDS)):
        check(folders, tmp_path / "theirs.json", 1000 + seed)


def freihand_vector():
    """Return (1, 21, 3) mm of truth and prediction: a closed formula that others computed the figures below from."""
    j = np.arange(21.0)
    truth = np.stack([0.02 * np.cos(j) + 0.004 * j, 0.03 * np.sin(2 * j), 0.6 + 0.01 * np.cos(3 * j)], 1)
    said = truth + 0.003 * np.stack([np.sin(5 * j), np.cos(7 * j), np.sin(11 * j)], 1)
    said[8] += [0.02, 0, 0]
    said[12] += [0, 0.01, 0.01]
    return truth[None] * 1000, said[None] * 1000


@pytest.mark.parametrize("hand", [RIGHT, LEFT])
def test_the_metrics_of_freihand_and_ho3d_on_a_formula_are_those_others_computed(hand):
    """FreiHAND: raw 4.904304 mm, aligned 4.910157, and the same of a mirrored prediction, which proper rotations alone
    put at 13.775510; areas .902116 and .901154 over all joints; wrist-aligned 5.439179. HO-3D scales and shifts first.
    """
    from tests.evaluation.test_protocols import comparison_of, value

    truth, said = freihand_vector()
    one = comparison_of(truth, said, hand)
    mirrored = comparison_of(truth, said * [-1, 1, 1], hand)
    other = comparison_of(truth, said * 1.1 + [10, 20, 30], hand)

    assert value("freihand:mean", one) == pytest.approx(4.904304, abs=1e-5)
    assert value("freihand:aligned_mean", one) == pytest.approx(4.910157, abs=1e-5)
    assert value("freihand:aligned_mean", mirrored) == pytest.approx(4.910157, abs=1e-5)
    assert value("pa_mpjpe", mirrored) == pytest.approx(13.775510, abs=1e-5)
    assert value("freihand:auc", one) == pytest.approx(0.902116, abs=1e-5)
    assert value("freihand:aligned_auc", one) == pytest.approx(0.901154, abs=1e-5)
    assert value("interhand:mpjpe", one) == pytest.approx(5.439179, abs=1e-5)
    assert value("ho3d:scale_translation", other) == pytest.approx(5.736076, abs=1e-5)
    assert value("f_score:pa_15mm", one) == 1.0
    assert value("freihand:f_5mm", one) == pytest.approx(0.904762, abs=1e-6)
    assert value("freihand:f_15mm", one) == 1.0
    assert value("freihand:aligned_f_15mm", mirrored) == 1.0
