"""What is peculiar to InterHand2.6M: two hands of a picture, a world with many cameras, fingers from the tip."""

import json
import shutil

import cv2
import numpy as np
import pytest

from handdata.conversion.run import convert
from handdata.converters.interhand import pack, unpack
from handdata.errors import DataError, MissingError
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX, LEFT, RIGHT
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of

PERMUTATION = [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]  # of one hand
WORLD = np.arange(42)[:, None] * [2.0, 1.0, 0.5] + [-40.0, -20.0, 1000.0]
NAME = "Capture0/0007_thumbup_normal/cam400026/image100.jpg"


@pytest.fixture
def tree(tmp_path):
    """Make one picture in one split, whose camera stands at (10, 0, 0) mm turned by 0.1; arguments change records."""

    def make(
        valid=None, hand_type="right", split="train", image=None, inside=None, layout=None, camera_name="400026",
        frame=100, hand_type_valid=1,
    ):  # fmt: skip
        valid = [True] * 21 + [False] * 21 if valid is None else valid
        root = tmp_path / "interhand"
        name = NAME.replace("400026", camera_name)
        path = root / "images" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((334, 512, 3), 60, np.uint8))
        R = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))[0]
        camera = {"campos": [10.0, 0, 0], "camrot": R.tolist(), "focal": [1262.0, 1263.0], "princpt": [250.0, 160.0]}
        record = {"id": 5, "file_name": name, "width": 512, "height": 334, "capture": 0, "subject": 0,
                  "seq_name": "0007_thumbup_normal", "camera": camera_name, "frame_idx": frame}  # fmt: skip
        flags = valid if inside is None else inside
        annotation = {"id": 5, "image_id": 5, "bbox": [0, 0, 1, 1], "joint_valid": [[int(v)] for v in flags],
                      "hand_type": hand_type, "hand_type_valid": hand_type_valid}  # fmt: skip
        points = np.where(np.array(valid)[:, None], WORLD, 1.0)
        label = {"world_coord": points.tolist(), "joint_valid": [[v] for v in valid], "hand_type": hand_type}
        tables = {
            "data": {"images": [record | (image or {})], "annotations": [annotation]},
            "camera": {"0": {key: {camera_name: value} for key, value in camera.items()}},
            "joint_3d": {"0": {str(frame): label}},
        }
        for kind, table in tables.items():
            folder = root / "annotations" / (layout or split)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"InterHand2.6M_{split}_{kind}.json").write_text(json.dumps(table))
        return root

    return make


def test_the_world_is_moved_into_the_camera_and_fingers_run_from_the_knuckle(tree):
    """X = rotation (P - position): the position is where the camera stands, no translation."""
    (sample,) = samples_of("interhand", tree()).values()

    R = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))[0]
    expected = (WORLD[:21][PERMUTATION] - [10, 0, 0]) @ R.T
    assert sample.keypoints_3d == pytest.approx(expected)
    K = np.array([[1262.0, 0, 250], [0, 1263.0, 160], [0, 0, 1]])
    uvw = expected @ K.T
    assert sample.keypoints_2d == pytest.approx(uvw[:, :2] / uvw[:, 2:])
    assert (sample.hand_side, sample.has_object) == (RIGHT, 0)


def test_both_hands_of_a_picture_are_samples_that_differ_in_the_side_alone(tree):
    root = tree(valid=[True] * 42, hand_type="interacting")
    items = plan_of("interhand", root).items

    assert [item.id for item in items] == [
        f"train/Capture0/0007_thumbup_normal/cam400026/image100/{side}" for side in ("right", "left")
    ]
    assert len({(item.sequence, item.camera, item.frame, item.image) for item in items}) == 1
    samples = list(samples_of("interhand", root).values())
    assert [sample.hand_side for sample in samples] == [RIGHT, LEFT]
    assert np.array_equal(samples[0].image, samples[1].image)


def test_a_hand_exists_where_its_points_are_labelled_whatever_the_sequence_is_called(tree):
    plan = plan_of("interhand", tree(hand_type="interacting"))

    assert [item.id.rpartition("/")[2] for item in plan.items] == ["right"]


@pytest.mark.parametrize(("count", "samples"), [(0, 0), (1, 0), (2, 1), (20, 1)])
def test_a_hand_of_fewer_than_two_points_is_none(tree, count, samples):
    valid = [True] * 21 + [True] * count + [False] * (21 - count)
    found = samples_of("interhand", tree(valid=valid))

    assert len(found) == 1 + samples
    for name, sample in found.items():
        points = 21 if name.endswith("right") else count
        assert np.isfinite(sample.keypoints_3d).all(-1).sum() == points


def test_a_hand_outside_its_picture_is_left_out_and_counted(tree):
    plan = plan_of("interhand", tree(valid=[True] * 42, inside=[True] * 21 + [False] * 21))

    assert len(plan.items) == 1
    assert "1 hands of train left out: outside their picture" in plan.warnings


def test_splits_are_the_archive_s_and_part_of_every_name(tree):
    tree(split="val")
    plan = plan_of("interhand", tree(split="test"))

    assert [(item.split, item.sequence) for item in plan.items] == [
        ("val", "val/Capture0/0007_thumbup_normal"),
        ("test", "test/Capture0/0007_thumbup_normal"),
    ]
    assert "absent: train" in plan.warnings


def test_the_folders_of_older_releases_are_read(tree):
    assert len(plan_of("interhand", tree(layout="all")).items) == 1


def test_a_picture_of_another_size_than_its_record_says_is_named_and_can_be_left_out(tree, tmp_path, refused):
    root = tree(image={"width": 334, "height": 512})

    line = refused(DataError, lambda: convert("interhand", root, tmp_path / "out"))
    assert "expected 334 x 512 px, the size of its record, got 512 x 334" in line
    assert len(convert("interhand", root, tmp_path / "out", skip_bad=True).skipped) == 1


def test_pictures_of_a_camera_known_for_other_sizes_are_left_out_and_counted(tree, tmp_path):
    """Camera 400412 (issues 100 and 157): its records say 512 wide, its pictures are 334."""
    tree(split="val")
    root = tree(camera_name="400412", image={"width": 334, "height": 512})

    done = convert("interhand", root, tmp_path / "out")  # goes on without --skip-bad
    assert (done.num_samples, done.skipped) == (1, {})
    why = "left out: camera 400412 is known for other sizes than its records"
    assert f"1 pictures of train {why}" in done.plan.warnings
    fitting = tree(camera_name="400412")
    assert [item.camera for item in plan_of("interhand", fitting).items if item.split == "train"] == ["cam400412"]


@pytest.mark.parametrize(
    ("split", "frame", "sides"),
    [("val", 29700, ["right"]), ("val", 29706, ["right", "left"]), ("test", 29700, ["right", "left"])],
)
def test_a_hand_known_to_be_labelled_wrongly_is_left_out_and_counted(tree, split, frame, sides):
    """The left hand of val Capture0 frame 29700 (issue 104)."""
    plan = plan_of("interhand", tree(valid=[True] * 42, hand_type="interacting", split=split, frame=frame))

    assert [item.id.rpartition("/")[2] for item in plan.items] == sides
    said = f"1 hands of {split} left out: known to be labelled wrongly"
    assert (said in plan.warnings) == (len(sides) == 1)


@pytest.mark.parametrize(("valid", "flag"), [(1, Flag.NONE), (0, Flag.SIDE_UNSURE)])
def test_a_picture_whose_hand_type_is_not_valid_is_flagged(tree, valid, flag):
    (sample,) = samples_of("interhand", tree(hand_type_valid=valid)).values()

    assert sample.flags == flag


def test_whole_subjects_of_train_can_be_held_out(native_tree):
    root = native_tree("interhand")
    subject_of = {}
    for record in json.loads((root / "annotations/train/InterHand2.6M_train_data.json").read_text())["images"]:
        subject_of[f"train/Capture{record['capture']}/{record['seq_name']}"] = record["subject"]

    items = plan_of("interhand", root, split_scheme="subjects").items
    train, val = (
        {item.sequence for item in items if item.split == split} & set(subject_of) for split in ("train", "val")
    )
    assert {subject_of[name] for name in train}.isdisjoint(subject_of[name] for name in val)
    assert train
    assert val
    assert [i.id for i in items] == [i.id for i in plan_of("interhand", root).items]


def test_a_subject_that_is_held_out_keeps_the_labels_of_its_own_files(native_tree):
    root = native_tree("interhand")
    published = samples_of("interhand", root)

    moved = samples_of("interhand", root, split_scheme="subjects")

    assert list(moved) == list(published)
    for name, sample in moved.items():
        np.testing.assert_array_equal(sample.keypoints_3d, published[name].keypoints_3d)
        np.testing.assert_array_equal(sample.K, published[name].K)


@pytest.mark.parametrize(("split", "step", "fps"), [("train", 18, "5"), ("train", 3, "30"), ("test", 6, "5")])
def test_which_sampling_of_the_archive_it_is_is_said(tree, split, step, fps):
    root = tree(split=split)
    path = root / f"annotations/{split}/InterHand2.6M_{split}_data.json"
    table = json.loads(path.read_text())
    table["images"].append(table["images"][0] | {"id": 6, "frame_idx": 100 + step})
    path.write_text(json.dumps(table))

    assert dict(plan_of("interhand", root).readings) == {f"frames per second of {split}": fps}


@pytest.mark.parametrize("name", ["/etc/image1.jpg", "../../image1.jpg", "", "a\\b.jpg"])
def test_a_name_that_leads_elsewhere_is_refused(tree, name, refused):
    root = tree(image={"file_name": name})

    assert "is no name of a picture" in refused(DataError, lambda: plan_of("interhand", root))


def test_what_an_item_keeps_can_be_taken_apart():
    assert unpack(pack(LEFT, 334, 512, is_sure=True)) == (LEFT, (334, 512), True)
    assert unpack(pack(RIGHT, 512, 334, is_sure=False)) == (RIGHT, (512, 334), False)


def test_pictures_that_are_absent_are_counted(tree, refused):
    root = tree(split="val")
    tree()
    (root / "images/train" / NAME).unlink()

    plan = plan_of("interhand", root)
    assert [item.split for item in plan.items] == ["val"]
    assert "absent: 1 pictures of train" in plan.warnings


@pytest.mark.parametrize("kind", ["data", "camera", "joint_3d"])
def test_an_annotation_file_that_is_absent_is_named(tree, kind, refused):
    root = tree()
    (root / f"annotations/train/InterHand2.6M_train_{kind}.json").unlink()

    assert f"InterHand2.6M_train_{kind}.json" in refused(MissingError, lambda: plan_of("interhand", root))


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("joint_3d", lambda t: t["0"].pop("100"), "[0][100]: expected the points of a frame"),
        ("joint_3d", lambda t: t["0"]["100"].pop("world_coord"), "[0][100]: expected the points of a frame"),
        ("camera", lambda t: t["0"]["camrot"].pop("400026"), "[0][400026]: expected rotation, position and intrinsics"),
        ("camera", lambda t: t["0"]["focal"].update({"400026": [1]}), "[0][400026]: expected rotation"),
    ],
)
def test_labels_that_are_none_are_named_and_can_be_left_out(tree, tmp_path, kind, change, says):
    root = tree()
    path = root / f"annotations/train/InterHand2.6M_train_{kind}.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))

    with pytest.raises(DataError) as caught:
        convert("interhand", root, tmp_path / "out")
    assert says in str(caught.value)
    kept = convert("interhand", root, tmp_path / "out", skip_bad=True)
    assert (kept.num_samples, len(kept.skipped)) == (0, 1)


# ------------------------------------------------------------------------------------------------ real files


@pytest.fixture(scope="module")
def real_samples(tmp_path_factory):
    """Three pictures with their complete labels, put back where their records say: mmpose shortened the names."""
    folder = real.samples("interhand")
    root = tmp_path_factory.mktemp("real") / "interhand"
    tables = {
        kind: json.loads((folder / f"test_interhand2.6m_{kind}.json").read_text())
        for kind in ("data", "camera", "joint_3d")
    }
    for record in tables["data"]["images"]:
        place = f"Capture{record['capture']}/{record['seq_name']}/cam{record['camera']}/{record['file_name']}"
        (root / "images/train" / place).parent.mkdir(parents=True)
        shutil.copy(folder / record["file_name"], root / "images/train" / place)
        record["file_name"] = place
    (root / "annotations/train").mkdir(parents=True)
    for kind, table in tables.items():
        (root / f"annotations/train/InterHand2.6M_train_{kind}.json").write_text(json.dumps(table))
    convert("interhand", root, root.parent / "shards")
    assert len(open_dataset(root.parent / "shards")) == 4
    return {"/".join(name.split("/")[-2:]): sample for name, sample in samples_of("interhand", root).items()}


@pytest.mark.parametrize(
    ("name", "point", "xyz", "uv"),
    [
        ("image69148/right", "wrist", (-94.0814, -15.1116, 1111.0215), (48.9899, 241.6697)),
        ("image69148/right", "thumb_tip", None, (178.6891, 184.9570)),
        ("image69148/right", "middle_mcp", None, (137.6142, 223.3652)),
        ("image69148/left", "wrist", (34.7173, 1.3969, 1168.8142), (193.2876, 260.3385)),
        ("image69148/left", "thumb_tip", None, (123.9374, 176.8175)),
        ("image29590/left", "wrist", (11.0214, -36.2064, 1071.4779), (200.3372, 200.6349)),
        ("image29590/left", "thumb_tip", None, (84.8519, 126.7252)),
        ("image2017/right", "wrist", (-86.7311, 4.9583, 1159.8293), (175.5276, 180.9457)),
        ("image2017/right", "thumb_tip", None, (207.7860, 43.3228)),
    ],
)
def test_real_points(real_samples, name, point, xyz, uv):
    sample = real_samples[name]

    assert sample.keypoints_2d[INDEX[point]] == pytest.approx(uv, abs=0.002)
    assert xyz is None or sample.keypoints_3d[INDEX[point]] == pytest.approx(xyz, abs=0.002)


@pytest.mark.parametrize(
    ("name", "scale_mm"), [("image69148/right", 88.392), ("image29590/left", 79.083), ("image2017/right", 89.359)]
)
def test_real_hands_have_their_size_and_side(real_samples, name, scale_mm):
    xyz, side = real_samples[name].keypoints_3d, real_samples[name].hand_side

    wrist = xyz[INDEX["wrist"]]
    assert np.linalg.norm(xyz[INDEX["middle_mcp"]] - wrist) == pytest.approx(scale_mm, abs=0.002)
    across = np.cross(xyz[INDEX["index_mcp"]] - wrist, xyz[INDEX["little_mcp"]] - wrist)
    assert (across @ (xyz[INDEX["thumb_tip"]] - wrist) > 0) == (side == RIGHT)
