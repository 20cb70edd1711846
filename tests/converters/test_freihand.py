"""What is peculiar to FreiHAND: four versions of a shot share its labels, and evaluation may have none."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.check.verify import verify
from handdata.conversion.plan import make_plan
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.converters.freihand import FreiHANDOptions
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import backproject, project
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX, RIGHT
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("freihand")
K = np.array([[388.9018310596544, 0, 112.0], [0, 388.71231836584275, 112.0], [0, 0, 1]])
SHOTS = 3


def hand(number):
    rng = np.random.default_rng(number)
    return np.array([0.0, 0.0, 0.6]) + rng.uniform(-0.05, 0.05, (21, 3))


@pytest.fixture
def tree(tmp_path):
    """Make a tree of some shots in some versions; `xyz` gives their labels."""

    def make(numbers=range(4 * SHOTS), xyz=None, evaluation=0, labelled=True):
        root = tmp_path / "freihand"
        points = [hand(i) for i in range(SHOTS)] if xyz is None else xyz
        for name, those in (("training", numbers), ("evaluation", range(evaluation))):
            for kind in ("rgb", "mask"):
                (root / name / kind).mkdir(parents=True, exist_ok=True)
            for number in those:
                cv2.imwrite(
                    str(root / name / f"rgb/{number:08d}.jpg"), np.full((224, 224, 3), 20 + number % 200, np.uint8)
                )
        mask = np.zeros((224, 224, 3), np.uint8)
        mask[50:150, 60:160] = 255
        for shot in range(len(points)):
            cv2.imwrite(str(root / f"training/mask/{shot:08d}.jpg"), mask)
        (root / "training_K.json").write_text(json.dumps([K.tolist()] * len(points)))
        (root / "training_xyz.json").write_text(json.dumps([np.asarray(p).tolist() for p in points]))
        if evaluation:
            (root / "evaluation_K.json").write_text(json.dumps([K.tolist()] * evaluation))
            if labelled:
                (root / "evaluation_xyz.json").write_text(json.dumps([hand(i).tolist() for i in range(evaluation)]))
        return root

    return make


# ------------------------------------------------------------------------------------------------ labels and versions


def test_metres_of_the_camera_become_millimetres_and_project_as_they_are(tree):
    sample = samples_of("freihand", tree())["training/00000001/gs"]

    assert sample.keypoints_3d == pytest.approx(hand(1) * 1000)
    assert sample.keypoints_2d == pytest.approx(project(hand(1), K))
    assert sample.hand_side == RIGHT


def test_the_four_versions_of_a_shot_share_its_labels(tree):
    samples = samples_of("freihand", tree())

    assert list(samples)[:4] == [f"training/0000000{i}/gs" for i in range(3)] + ["training/00000000/hom"]
    for shot in range(SHOTS):
        versions = [samples[f"training/{shot:08d}/{name}"] for name in FACTS.extra["versions"]["names"]]
        assert all(np.array_equal(v.keypoints_3d, versions[0].keypoints_3d) for v in versions)
        assert len({int(v.image[0, 0, 0]) for v in versions}) == 4


@pytest.mark.parametrize(("versions", "count"), [("all", 12), ("gs", 3), ("auto", 3)])
def test_versions_are_chosen(tree, versions, count):
    assert len(plan_of("freihand", tree(), versions=versions).items) == count


def test_a_part_of_the_versions_is_read_and_the_absent_are_counted(tree):
    plan = plan_of("freihand", tree(range(SHOTS)))

    assert [item.id for item in plan.items] == [f"training/0000000{i}/gs" for i in range(3)]
    assert "9 of 12 pictures of training are absent" in plan.warnings


def test_a_picture_beyond_the_last_label_is_an_error(tree, refused):
    root = tree(range(4 * SHOTS + 1))

    assert "a label for 00000012.jpg" in refused(DataError, lambda: plan_of("freihand", root))


def test_pictures_without_labels_are_an_error(tree, refused):
    root = tree()
    (root / "training_xyz.json").unlink()

    line = refused(MissingError, lambda: plan_of("freihand", root))
    assert "training_xyz.json: expected the labels of training" in line


@pytest.mark.parametrize("labels", ["[[[0, 0]]]", '{"a": 1}', "[", "[[1, 2, null]]"])
def test_labels_that_are_none_are_named_and_can_be_left_out(tree, tmp_path, labels):
    root = tree(evaluation=2)
    (root / "training_xyz.json").write_text(labels)

    with pytest.raises(DataError, match=r"training_xyz\.json"):
        convert("freihand", root, tmp_path / "out")
    kept = convert("freihand", root, tmp_path / "out", skip_bad=True)
    assert kept.num_samples == 2
    assert all(sample.startswith("training/") for sample in kept.skipped)


@pytest.mark.parametrize("name", ["training_K.json", "training_xyz.json"])
def test_numbers_that_no_label_has_are_refused_before_they_are_multiplied(tree, tmp_path, name):
    root = tree()
    labels = json.loads((root / name).read_text())
    labels[0][0][0] = 1e308
    (root / name).write_text(json.dumps(labels))

    with pytest.raises(DataError, match=rf"{name}\[0\]: expected numbers up to 1e\+06, got 1e\+308"):
        convert("freihand", root, tmp_path / "out")


# ------------------------------------------------------------------------------------------------ evaluation and splits


@pytest.mark.parametrize("labelled", [True, False])
def test_evaluation_with_and_without_its_published_labels(tree, tmp_path, labelled):
    root = tree(evaluation=4, labelled=labelled)
    result = convert("freihand", root, tmp_path / "out")

    data = open_dataset(tmp_path / "out", "test")
    assert len(data) == 4
    assert np.isfinite(data["K"]).all()
    assert data["annotated_3d"].all() == data["annotated_2d"].all() == labelled
    assert any("have no keypoints: evaluation_xyz.json" in note for note in result.plan.warnings) == (not labelled)
    if not labelled:
        assert data["crop_xyxy"].tolist() == [[0, 0, 224, 224]] * 4


def test_the_published_sets_are_train_and_test(tree):
    plan = plan_of("freihand", tree(evaluation=1))

    assert {(item.sequence, item.split) for item in plan.items} == {("training", "train"), ("evaluation", "test")}


def test_whole_instants_validate_with_all_their_views_and_versions(tree):
    """Forty instants, each seen from three cameras: a view is the hand moved rigidly."""
    rng = np.random.default_rng(0)
    views = []
    for instant in range(40):
        for _ in range(3):
            R = cv2.Rodrigues(rng.uniform(-1, 1, 3))[0]
            views.append((hand(instant) - [0, 0, 0.6]) @ R.T + [0, 0, 0.6] + rng.normal(0, 2e-5, (21, 3)))
    root = tree(range(4 * 120), xyz=views)

    plan = plan_of("freihand", root, split_scheme="validation")
    split_of = {}
    for item in plan.items:
        split_of.setdefault(item.ref // 3, set()).add(item.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert sum(splits == {"val"} for splits in split_of.values()) == 2
    assert {item.sequence for item in plan.items if item.split == "val"} == {"training-validation"}
    assert [item.id for item in plan.items] == [item.id for item in plan_of("freihand", root).items]


# ------------------------------------------------------------------------------------------------ masks


def test_a_shot_known_to_be_labelled_wrongly_is_flagged_in_every_version_and_counted(tree):
    """Shot 5896 of the archive (issue 30); shot 1 here."""
    root, facts = tree(evaluation=2), replace(FACTS, extra={**FACTS.extra, "wrong_shots": [1]})
    plan = CONVERTERS["freihand"].plan(root, facts, FreiHANDOptions())
    read = CONVERTERS["freihand"].reader(plan.root, facts, FreiHANDOptions())

    wrong = {item.id for item in plan.items if read(item).flags & Flag.LABEL_WRONG}
    assert wrong == {f"training/00000001/{version}" for version in ("gs", "hom", "sample", "auto")}
    assert "4 pictures of shots known to be labelled wrongly: flagged" in plan.warnings
    assert FACTS.extra["wrong_shots"] == [5896]


# ------------------------------------------------------------------------------------------------ scale and mask


def scales():
    return [float(np.linalg.norm(hand(shot)[9] - hand(shot)[10])) for shot in range(SHOTS)]


def test_a_scale_that_the_points_do_not_have_is_named_and_can_be_left_out(tree, tmp_path, refused):
    """All real records have that of their points: another one is of another archive, or of another shot."""
    root = tree()
    (root / "training_scale.json").write_text(json.dumps(scales()))
    assert convert("freihand", root, tmp_path / "fits").num_samples == 4 * SHOTS

    (root / "training_scale.json").write_text(json.dumps([scales()[0], scales()[2], scales()[2]]))
    line = refused(DataError, lambda: convert("freihand", root, tmp_path / "out"))
    assert f"training_scale.json[1]: expected {scales()[1]:.6g} m, the first bone of the middle finger" in line
    skipped = convert("freihand", root, tmp_path / "out", skip_bad=True).skipped
    assert sorted(skipped) == sorted(f"training/00000001/{version}" for version in ("gs", "hom", "sample", "auto"))


def test_a_hand_whose_labels_lie_beside_its_mask_is_flagged_and_verify_names_it(tree, tmp_path):
    points = [hand(shot) * [0.5, 0.5, 1] for shot in range(SHOTS)]  # round the middle, on the mask
    points[2] = points[2] + [0.12, 0.12, 0]
    convert("freihand", tree(xyz=points), tmp_path / "out")

    dataset = open_dataset(tmp_path / "out")
    flagged = (dataset["flags"] & Flag.BESIDE_MASK) != 0
    assert sorted({name.split(b"/")[1] for name in dataset["sample_id"][flagged]}) == [b"00000002"]
    (finding,) = [finding for finding in verify(tmp_path / "out").findings if finding.check == "segmentation"]
    assert (finding.count, finding.total) == (4, 4 * SHOTS)


def test_the_mask_knows_the_hand_alone(tree, tmp_path):
    options = FreiHANDOptions(with_segmentation=True)
    convert("freihand", tree(evaluation=1), tmp_path / "out", options=options)

    train, test = (open_dataset(tmp_path / "out", split) for split in ("train", "test"))
    masks = np.concatenate([reader.mask[:] for reader in train.shards.readers if reader.attributes["split"] == "train"])
    assert set(np.unique(masks)) == {1, 255}  # a forearm may be in the black, so it is not background
    masks = np.concatenate([reader.mask[:] for reader in test.shards.readers if reader.attributes["split"] == "test"])
    assert set(np.unique(masks)) == {255}


def test_there_is_no_foreground_to_put_backgrounds_behind(tree):
    assert not plan_of("freihand", tree()).has_foreground


def test_without_masks_no_segmentation_can_be_kept(tree, refused):
    root = tree()
    shutil.rmtree(root / "training/mask")
    options = FreiHANDOptions(with_segmentation=True)

    assert "--with-segmentation" in refused(ConfigError, lambda: make_plan("freihand", root, options))


# ------------------------------------------------------------------------------------------------ real files


def test_real_pictures_put_back(tmp_path):
    """Two shots in four versions, their 2D labels as mmpose kept them, on rays at half a metre; and training 0."""
    folder = real.samples("freihand")
    notes = json.loads((folder / "annotations.json").read_text())
    shots = {355: 0, 17620: 1}
    uv = {}
    for picture in notes["images"]:
        number = int(picture["file_name"].split("/")[-1].removesuffix(".jpg"))
        (label,) = (a for a in notes["annotations"] if a["image_id"] == picture["id"])
        uv[number] = np.array(label["keypoints"]).reshape(21, 3)[:, :2]
    assert sorted(uv) == sorted(n + 32560 * v for n in shots for v in range(4))
    root = tmp_path / "freihand"
    for kind in ("training/rgb", "evaluation/rgb"):
        (root / kind).mkdir(parents=True)
    for number in uv:
        version, shot = divmod(number, 32560)
        shutil.copy(folder / f"{number:08d}.jpg", root / f"training/rgb/{3 * version + shots[shot]:08d}.jpg")
    shutil.copy(folder / "00000000.jpg", root / "training/rgb/00000002.jpg")
    for number in (0, 3):
        shutil.copy(folder / f"evaluation/{number:08d}.jpg", root / f"evaluation/rgb/{number:08d}.jpg")
    wrist = np.array([0.029402047395706177, -0.027920207008719444, 0.5870807766914368])
    xyz = [backproject(uv[shot], np.full(21, 0.5), K) for shot in shots] + [
        wrist + np.arange(21)[:, None] * [0, 0, 1e-3]
    ]
    (root / "training_K.json").write_text(json.dumps([K.tolist()] * 3))
    (root / "training_xyz.json").write_text(json.dumps([points.tolist() for points in xyz]))
    (root / "evaluation_K.json").write_text(json.dumps([K.tolist()] * 4))

    samples = samples_of("freihand", root)
    assert len(samples) == 9 + 2
    assert {sample.image.shape for sample in samples.values()} == {(224, 224, 3)}
    for version in FACTS.extra["versions"]["names"]:
        points = samples[f"training/00000000/{version}"].keypoints_2d
        assert points[INDEX["wrist"]] == pytest.approx((72.3864, 118.6640), abs=5e-4)
        assert points[INDEX["thumb_tip"]] == pytest.approx((150.2258, 90.2081), abs=5e-4)
        assert points[INDEX["middle_mcp"]] == pytest.approx((102.7264, 113.8112), abs=5e-4)
        assert points[INDEX["little_tip"]] == pytest.approx((140.3264, 128.9442), abs=5e-4)
        assert samples[f"training/00000001/{version}"].keypoints_2d[INDEX["middle_mcp"]] == pytest.approx(
            (136.5823, 102.5816), abs=5e-4
        )
    first = samples["training/00000002/gs"]
    assert first.keypoints_3d[0] == pytest.approx((29.4020, -27.9202, 587.0808), abs=1e-4)
    assert first.keypoints_2d[0] == pytest.approx((131.4769, 93.5137), abs=1e-3)
    skin = first.image[94, 131].astype(int)
    assert skin[0] > skin[2]  # the wrist lies on the arm, not on the green behind it
    convert("freihand", root, tmp_path / "out")
    assert (tmp_path / "out/index.json").is_file()
