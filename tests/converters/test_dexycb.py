"""What is peculiar to DexYCB: eight cameras, labels of -1, setups of splits, calibration in YAML."""

import csv
import shutil

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.conversion.plan import make_plan
from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.shards.dataset import open_dataset
from handdata.skeleton import INDEX, LEFT, RIGHT
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("dexycb")
CAMERAS = list(FACTS.cameras)
SUBJECTS = [f"202007{day:02d}-subject-{day:02d}" for day in range(1, 11)]
XYZ = np.arange(21)[:, None] * [0.004, 0.003, 0.002] + [-0.05, -0.03, 0.7]  # m
UV = np.arange(21)[:, None] * [3.0, 2.0] + [300.0, 200.0]
AWAY = np.array([700.0, 0.0])  # px
INTRINSICS = "color: {fx: 616.5, fy: 616.25, ppx: 308.5, ppy: 248.5}\nextrinsics: !!python/tuple\n- 1.0\n"


@pytest.fixture
def tree(tmp_path):
    """Make one picture; arguments say where, of which hand and object, and what its label holds."""

    def make(subject=SUBJECTS[0], sequence="20200709_141754", camera=CAMERAS[0], side="right", grasped=1, **label):
        root = tmp_path / "dexycb"
        folder = root / subject / sequence
        (folder / camera).mkdir(parents=True)
        (folder / "meta.yml").write_text(
            f"serials:\n- '{camera}'\nycb_ids:\n- 5\n- {grasped}\nycb_grasp_ind: 1\nmano_sides:\n- {side}\n"
        )
        (root / "calibration/intrinsics").mkdir(parents=True, exist_ok=True)
        (root / f"calibration/intrinsics/{camera}_640x480.yml").write_text(INTRINSICS)
        cv2.imwrite(str(folder / camera / "color_000003.jpg"), np.full((480, 640, 3), 90, np.uint8))
        seg = np.zeros((480, 640), np.uint8)
        seg[:100], seg[100:150] = 255, grasped
        arrays = {"seg": seg, "joint_3d": XYZ[None], "joint_2d": UV[None]} | label
        np.savez_compressed(
            folder / camera / "labels_000003.npz",
            **{key: np.asarray(value, np.uint8 if key == "seg" else np.float32) for key, value in arrays.items()},
        )
        return root

    return make


def test_a_sample_is_in_the_frame_of_its_camera_in_millimetres(tree):
    ((name, sample),) = samples_of("dexycb", tree()).items()

    assert name == f"{SUBJECTS[0]}/20200709_141754/{CAMERAS[0]}/000003"
    assert sample.keypoints_3d == pytest.approx(XYZ * 1000, abs=1e-3)
    assert sample.keypoints_2d == pytest.approx(UV)
    assert np.array_equal(sample.K, [[616.5, 0, 308.5], [0, 616.25, 248.5], [0, 0, 1]])
    assert (sample.hand_side, sample.has_object, sample.mask) == (RIGHT, 1, None)


def test_the_side_is_the_sequence_s(tree):
    (sample,) = samples_of("dexycb", tree(side="left")).values()

    assert sample.hand_side == LEFT


def test_a_picture_without_a_label_is_left_out_and_one_coordinate_of_minus_1_is_none(tree):
    tree(sequence="a", joint_3d=np.full((1, 21, 3), -1), joint_2d=np.full((1, 21, 2), -1))
    uv = UV.copy()
    uv[4] = -1
    plan = plan_of("dexycb", tree(sequence="b", joint_2d=uv[None]))

    assert [item.sequence for item in plan.items] == [f"{SUBJECTS[0]}/b"]
    assert plan.warnings == ("1 pictures left out: no label",)


def test_labels_without_their_picture_are_counted(tree):
    root = tree()
    folder = root / SUBJECTS[0] / "20200709_141754" / CAMERAS[0]
    (folder / "labels_000004.npz").write_bytes((folder / "labels_000003.npz").read_bytes())

    plan = plan_of("dexycb", root)
    assert len(plan.items) == 1
    assert "absent: 1 pictures beside their label" in plan.warnings


def test_a_hand_wholly_outside_is_left_out_and_one_with_a_point_inside_is_not(tree):
    tree(sequence="a", joint_2d=UV[None] + AWAY)
    outside = UV + AWAY
    outside[4] = 5
    plan = plan_of("dexycb", tree(sequence="b", joint_2d=outside[None]))

    assert [item.sequence for item in plan.items] == [f"{SUBJECTS[0]}/b"]
    assert plan.warnings == ("1 pictures left out: the hand lies outside",)


def test_the_mask_has_hand_and_objects_and_there_is_no_foreground(tree, tmp_path):
    root = tree()
    (sample,) = samples_of("dexycb", root, with_segmentation=True).values()

    assert (sample.mask[:100] == 1).all()
    assert (sample.mask[100:150] == 2).all()
    assert (sample.mask[150:] == 0).all()
    assert sample.foreground is None


# ------------------------------------------------------------------------------------------------ splits


@pytest.mark.parametrize(
    ("setup", "split_of"),
    [
        ("default", {1: "train", 6: "train", 7: "val", 8: "test", 9: "test", 10: "train"}),
        ("s1", {1: "train", 6: "train", 7: "val", 8: "test", 9: "test", 10: "train"}),
    ],
)
def test_s1_is_by_subject(tree, setup, split_of):
    for number in split_of:
        root = tree(subject=SUBJECTS[number - 1])

    items = plan_of("dexycb", root, split_scheme=setup).items
    assert {int(item.sequence.partition("/")[0][-2:]): item.split for item in items} == split_of


def test_s2_is_by_camera(tree):
    for number, camera in enumerate(CAMERAS):
        root = tree(sequence=str(number), camera=camera)

    splits = [item.split for item in plan_of("dexycb", root, split_scheme="s2").items]
    assert splits == ["train"] * 6 + ["val", "test"]


def test_s3_is_by_grasped_object(tree):
    for grasped in (c for c in range(1, 22) if c != 19):
        root = tree(sequence=f"{grasped:02d}", grasped=grasped)

    items = plan_of("dexycb", root, split_scheme="s3").items
    assert [int(i.sequence[-2:]) for i in items if i.split == "val"] == [4, 21]
    assert [int(i.sequence[-2:]) for i in items if i.split == "test"] == [8, 12, 16]
    assert len(items) == 20


def test_s0_is_by_rank_and_wants_whole_subjects(tree, refused):
    for subject in (SUBJECTS[0], SUBJECTS[4]):
        for rank in range(7):
            root = tree(subject=subject, sequence=f"{rank:03d}")
        for rank in range(7, 99):
            (root / subject / f"{rank:03d}").mkdir()
            (root / subject / f"{rank:03d}/meta.yml").write_text("ycb_ids: [1]\nycb_grasp_ind: 0\nmano_sides: [left]\n")
    line = refused(ConfigError, lambda: plan_of("dexycb", root, split_scheme="s0"))
    assert f"expected all 100 sequences of a subject, got 99 of {SUBJECTS[0]}" in line

    for subject in (SUBJECTS[0], SUBJECTS[4]):
        shutil.copytree(root / subject / "098", root / subject / "099")
    splits = {item.sequence[-8:]: item.split for item in plan_of("dexycb", root, split_scheme="s0").items}
    for number, fifth in (("01", "val"), ("05", "test")):
        expected = ["train"] * 4 + [fifth] + ["train"] * 2
        assert [splits[f"t-{number}/{rank:03d}"] for rank in range(7)] == expected


def test_the_setups_are_those_of_the_toolkit():
    """Which names groups of five sequences by their objects; of the classes 1 to 21, 19 is never grasped."""
    order = [c for c in range(1, 22) if c != 19]
    rules = FACTS.extra["setups"]["s3"]
    assert [order[group] for group in (3, 19)] == rules["val"]["objects"]
    assert [order[group] for group in (7, 11, 15)] == rules["test"]["objects"]
    assert sorted(c for rule in rules.values() for c in rule["objects"]) == order
    for setup, key in (("s1", "subjects"), ("s2", "cameras")):
        members = [member for rule in FACTS.extra["setups"][setup].values() for member in rule[key]]
        assert len(members) == len(set(members)) == {"subjects": 10, "cameras": 8}[key]


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    "label",
    [
        {"joint_3d": np.zeros((1, 20, 3))},
        {"joint_2d": np.full((1, 21, 2), np.nan)},
        {"joint_3d": np.full((1, 21, 3), np.inf)},
    ],
)
def test_a_label_that_is_none_is_named_and_can_be_left_out(tree, label, tmp_path, refused):
    tree(subject=SUBJECTS[1])
    root = tree(**label)

    assert "labels_000003.npz" in refused(DataError, lambda: convert("dexycb", root, tmp_path / "out"))
    result = convert("dexycb", root, tmp_path / "out", skip_bad=True)
    assert (result.num_samples, len(result.skipped)) == (1, 1)


def test_a_picture_without_its_label_is_named(tree, tmp_path, refused):
    root = tree()
    next(root.rglob("labels_*.npz")).unlink()

    assert "labels_000003.npz" in refused(MissingError, lambda: convert("dexycb", root, tmp_path / "out"))


@pytest.mark.parametrize(
    "text",
    [
        "ycb_ids: [1]\nycb_grasp_ind: 3\nmano_sides: [right]\n",
        "ycb_ids: [1]\nycb_grasp_ind: 0\nmano_sides: [both]\n",
        "ycb_ids: [1]\nycb_grasp_ind: 0\nmano_sides: [right, left]\n",
        "ycb_ids: [1]\nycb_grasp_ind: 0\n",
        "",
    ],
)
def test_a_sequence_that_says_nothing_of_itself_is_named(tree, text, refused):
    root = tree()
    next(root.rglob("meta.yml")).write_text(text)

    assert "meta.yml" in refused(DataError, lambda: make_plan("dexycb", root, CONVERTERS["dexycb"].OPTIONS()))


def test_a_mask_of_another_size_is_named(tree, refused):
    root = tree(seg=np.zeros((240, 320)))

    assert "[seg]" in refused(DataError, lambda: samples_of("dexycb", root, with_segmentation=True))


def test_intrinsics_that_are_none_are_named(tree, refused):
    root = tree()
    path = next(root.rglob("*_640x480.yml"))
    path.write_text("color: {fx: 1}\n")
    assert "fx, fy, ppx and ppy" in refused(DataError, lambda: samples_of("dexycb", root))

    path.write_text("color: !!python/object/apply:os.system ['true']\n")
    assert "which makes an object" in refused(HanddataError, lambda: samples_of("dexycb", root))


# ------------------------------------------------------------------------------------------------ real files


@pytest.fixture
def real_tree(tmp_path):
    """The one real frame, put back as frame 0 of a sequence of its camera; the colour is stored as JPEG again."""
    folder, camera = real.samples("dexycb"), "836212060125"
    root = tmp_path / "dexycb"
    sequence = root / "20200709-subject-01/20200709_141754"
    (sequence / camera).mkdir(parents=True)
    cv2.imwrite(str(sequence / camera / "color_000000.jpg"), cv2.imread(str(folder / "color.png")))
    shutil.copy(folder / "labels.npz", sequence / camera / "labels_000000.npz")
    (sequence / "meta.yml").write_text("ycb_ids:\n- 5\n- 6\n- 13\n- 18\nycb_grasp_ind: 0\nmano_sides:\n- right\n")
    (root / "calibration/intrinsics").mkdir(parents=True)
    shutil.copy(folder / f"{camera}_640x480.yml", root / "calibration/intrinsics")
    return root


def test_the_real_frame(real_tree, tmp_path):
    (sample,) = samples_of("dexycb", real_tree, with_segmentation=True).values()

    assert sample.keypoints_3d[INDEX["wrist"]] == pytest.approx((-543.139, 202.907, 994.006), abs=1e-3)
    assert sample.keypoints_2d[INDEX["wrist"]] == pytest.approx((-28.3933, 374.3204), abs=1e-3)
    assert sample.keypoints_2d[INDEX["thumb_tip"]] == pytest.approx((13.4216, 397.3989), abs=1e-3)
    assert sample.keypoints_2d[INDEX["little_tip"]] == pytest.approx((-28.3678, 438.2336), abs=1e-3)
    assert np.diag(sample.K)[:2] == pytest.approx((616.640869140625, 616.2581787109375))
    assert np.bincount(sample.mask.ravel()).tolist() == [290122, 307, 9797 + 1828 + 2646 + 2500]
    bones = np.linalg.norm(np.diff(sample.keypoints_3d[[0, 1, 2, 3, 4]], axis=0), axis=1)
    assert bones == pytest.approx([36.8, 30.0, 26.6, 34.2], abs=0.1)
    wrist = sample.keypoints_3d[0]
    across = np.cross(*(sample.keypoints_3d[INDEX[name]] - wrist for name in ("index_mcp", "little_mcp")))
    assert across @ (sample.keypoints_3d[INDEX["thumb_tip"]] - wrist) > 0  # a right hand
    convert("dexycb", real_tree, tmp_path / "out")
    (row,) = (reader["in_frame"] for reader in open_dataset(tmp_path / "out").shards.readers)
    assert np.flatnonzero(row[0]).tolist() == [INDEX["thumb_dip"], INDEX["thumb_tip"]]


def test_the_ranks_of_the_real_sequences_group_by_object():
    """All 1,000 names: each five in a row grasp one object, in the order of the classes."""
    with (real.samples("dexycb") / "sequences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    by_subject = {}
    for row in rows:
        by_subject.setdefault(row["subject"], []).append((row["sequence"], row["grasped"]))
    assert {len(sequences) for sequences in by_subject.values()} == {FACTS.extra["sequences_per_subject"]}
    for sequences in by_subject.values():
        objects = [grasped for _, grasped in sorted(sequences)]
        assert objects == sorted(objects)
        assert all(objects.count(name) == FACTS.extra["sequences_per_object"] for name in set(objects))


def test_a_calibration_in_its_layout_is_read(tmp_path):
    """Eight cameras of somebody's own recording."""
    from handdata.converters.dexycb import _intrinsics

    folder = real.samples("dexycb_layout") / "calibration/intrinsics"
    for path in sorted(folder.glob("*.yml")):
        K = _intrinsics(path)
        assert 550 < K[0, 0] < 700
        assert K[:2, 2] == pytest.approx((320, 240), abs=25)


@pytest.mark.parametrize("scheme", ["default", "s3"])
def test_a_sequence_without_its_description_is_named_and_can_be_left_out(tree, tmp_path, refused, scheme):
    tree(sequence="a")
    root = tree(sequence="b")
    (root / SUBJECTS[0] / "b/meta.yml").unlink()
    asked = {"options": CONVERTERS["dexycb"].OPTIONS(split_scheme=scheme), "canvas": 64}

    line = refused(MissingError, lambda: convert("dexycb", root, tmp_path / "out", **asked))
    assert f"{SUBJECTS[0]}/b/meta.yml: expected the description of a sequence, got no such file" in line

    done = convert("dexycb", root, tmp_path / "out", skip_bad=True, **asked)
    assert (done.num_samples, list(done.skipped)) == (1, [f"{SUBJECTS[0]}/b/{CAMERAS[0]}/000003"])


def test_an_archive_without_its_calibration_is_told_so(tree, refused):
    root = tree()
    shutil.rmtree(root / "calibration")

    line = refused(MissingError, lambda: plan_of("dexycb", root))
    assert "got no calibration/intrinsics/*_640x480.yml. Unpack that part of the archive too" in line
