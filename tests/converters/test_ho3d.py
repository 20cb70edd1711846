"""What is peculiar to HO-3D: axes of OpenGL, pickles, lists of what is annotated, an evaluation without labels."""

import json
import os
import pickle

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters.ho3d import _take_and_camera
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.shards.schema import BoxSource, Flag
from handdata.skeleton import INDEX, RIGHT
from handdata.synth.native.ho3d import dumps
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("ho3d")
PERMUTATION = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]  # of the dataset's own notes
K = np.array([[617.343, 0, 312.42], [0, 617.343, 241.42], [0, 0, 1]])
NATIVE = np.arange(21)[:, None] * [0.004, 0.003, 0.002] + [-0.05, -0.03, -0.6]  # m, OpenGL: z < 0
WRIST = np.array([0.0265183374, -0.0474727899, -0.525841296])  # of evaluation SM1/0000, version 2


@pytest.fixture
def tree(tmp_path):
    """Add one listed picture; arguments say which, its format, and what its pickle holds."""

    def make(place="train/ABF12/0003", suffix=".jpg", meta=None, listed=True, size=(640, 480), **facts):
        root = tmp_path / "ho3d"
        name, sequence, number = place.split("/")
        picture = root / name / sequence / f"rgb/{number}{suffix}"
        picture.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(picture), np.full((size[1], size[0], 3), 90, np.uint8))
        own = {"handJoints3D": NATIVE, "camMat": K} if name == "train" else {"handJoints3D": WRIST, "camMat": K}
        own |= {} if name == "train" else {"handBoundingBox": [300, 200, 420, 330]}
        path = root / name / sequence / f"meta/{number}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dumps(own | facts) if meta is None else meta)
        lines = root / f"{name}.txt"
        there = lines.read_text() if lines.exists() else ""
        lines.write_text(there + f"{sequence}/{number}\n" * listed)
        return root

    return make


def test_axes_are_turned_and_points_put_in_order(tree):
    ((name, sample),) = samples_of("ho3d", tree()).items()

    assert name == "train/ABF12/0003"
    assert sample.keypoints_3d == pytest.approx(NATIVE[PERMUTATION] * [1000, -1000, -1000])
    uvw = sample.keypoints_3d @ K.T
    assert sample.keypoints_2d == pytest.approx(uvw[:, :2] / uvw[:, 2:])
    assert np.array_equal(sample.K, K)
    assert (sample.hand_side, sample.has_object, sample.bbox_xyxy) == (RIGHT, 1, None)


def test_a_real_wrist_lies_where_a_reader_drew_it(tree):
    """Evaluation SM1/0000: 26.5183, 47.4728, 525.8413 mm, at (343.553, 297.154) px."""
    (sample,) = samples_of("ho3d", tree("evaluation/SM1/0000", ".png")).values()

    assert sample.keypoints_3d[0] == pytest.approx((26.5183, 47.4728, 525.8413), abs=1e-4)
    assert sample.keypoints_2d[0] == pytest.approx((343.553, 297.154), abs=1e-3)
    assert np.isnan(sample.keypoints_3d[1:]).all()
    assert sample.bbox_xyxy.tolist() == [300, 200, 420, 330]
    assert sample.bbox_source == BoxSource.DATASET
    assert sample.crop_xyxy.tolist() == [255, 160, 465, 370]  # the box and 40 px, as a square


REAL_HAND = """387.98,269.76,.5856; 339.43,213.05,.6419; 320.71,201.66,.6652; 302.51,191.97,.6640; 325.33,231.17,.6504;
300.80,218.66,.6623; 282.20,208.39,.6558; 314.58,271.69,.6284; 298.73,260.44,.6211; 284.73,253.82,.6098;
319.30,254.37,.6408; 296.66,244.65,.6536; 276.55,232.68,.6508; 377.31,230.71,.5898; 358.69,204.62,.5867;
333.25,193.28,.5810; 310.08,179.60,.5606; 283.42,183.51,.6553; 266.10,198.50,.6422; 261.30,218.16,.6392;
281.48,248.11,.5938"""  # train SMu41/1583: u, v px and our z in m, native order, as a reader printed them


def test_a_real_hand_has_the_bones_of_a_hand(tree):
    """Its focal length and the middle of its rows are assumed, so to a millimetre."""
    uvz = np.array([[float(x) for x in point.split(",")] for point in REAL_HAND.replace("\n", "").split(";")])
    camera = np.array([[614.0, 0, 314.564], [0, 614.0, 240.0], [0, 0, 1]])
    rays = np.column_stack([uvz[:, :2], np.ones(21)]) @ np.linalg.inv(camera).T
    native = rays * uvz[:, 2:] * [1, -1, -1]

    (sample,) = samples_of("ho3d", tree("train/SMu41/1583", handJoints3D=native, camMat=camera)).values()
    points = sample.keypoints_3d
    bones = {
        "thumb": (38.8, 30.9, 27.2, 31.8),
        "index": (91.1, 33.1, 22.3, 23.5),
        "middle": (95.1, 31.9, 23.4, 23.2),
        "ring": (86.4, 29.0, 24.9, 24.2),
        "little": (82.1, 21.2, 19.0, 17.3),
    }
    for finger, lengths in bones.items():
        chain = [0, *(INDEX[f"{finger}_{joint}"] for joint in ("mcp", "pip", "dip", "tip"))]
        assert np.linalg.norm(np.diff(points[chain], axis=0), axis=1) == pytest.approx(lengths, abs=1)
    across = np.cross(points[INDEX["index_mcp"]] - points[0], points[INDEX["little_mcp"]] - points[0])
    assert across @ (points[INDEX["thumb_tip"]] - points[0]) > 0  # a right hand


def test_evaluation_takes_its_published_labels_in_the_order_of_its_list(tree):
    tree("evaluation/SM1/0004", handJoints3D=NATIVE[0])
    root = tree("evaluation/AP10/0000", handJoints3D=NATIVE[0] * 1.1)
    (root / "evaluation_xyz.json").write_text(json.dumps([NATIVE.tolist(), (NATIVE * 1.1).tolist()]))

    samples = samples_of("ho3d", root)
    assert samples["evaluation/SM1/0004"].keypoints_3d == pytest.approx(NATIVE[PERMUTATION] * [1000, -1000, -1000])
    assert samples["evaluation/AP10/0000"].keypoints_3d == pytest.approx(NATIVE[PERMUTATION] * [1100, -1100, -1100])
    assert samples["evaluation/SM1/0004"].crop_xyxy is None  # the keypoints' own


def test_labels_of_evaluation_in_another_order_are_named(tree, tmp_path, refused):
    """The pickles give the wrist: a label with another one is of another picture, or of the other version."""
    tree("evaluation/SM1/0004", handJoints3D=NATIVE[0])
    root = tree("evaluation/AP10/0000", handJoints3D=NATIVE[0] * 1.1)
    (root / "evaluation_xyz.json").write_text(json.dumps([(NATIVE * 1.1).tolist(), NATIVE.tolist()]))

    line = refused(DataError, lambda: convert("ho3d", root, tmp_path / "out"))
    assert "[0]: expected the wrist of evaluation/SM1/meta/0004.pkl, got one 60 mm away" in line
    assert len(convert("ho3d", root, tmp_path / "out", skip_bad=True).skipped) == 2


def test_labels_of_another_number_than_the_list_are_named(tree, tmp_path, refused):
    root = tree("evaluation/SM1/0004")
    (root / "evaluation_xyz.json").write_text("[]")

    line = refused(DataError, lambda: convert("ho3d", root, tmp_path / "out"))
    assert "evaluation_xyz.json: expected 1 labels, as in evaluation.txt, got 0" in line


# ------------------------------------------------------------------------------------------------ what is there


def test_pictures_in_no_list_are_passed_over_and_counted(tree):
    tree()
    plan = plan_of("ho3d", tree("train/ABF12/0700", listed=False, meta=dumps(dict.fromkeys(["camMat"]))))

    assert [item.frame for item in plan.items] == [3]
    assert "1 pictures of train are in no list: they have no annotation" in plan.warnings
    assert "absent: evaluation" in plan.warnings


def test_listed_pictures_that_are_absent_are_counted(tree):
    root = tree()
    tree("train/ABF12/0004")
    (root / "train/ABF12/rgb/0004.jpg").unlink()

    assert "absent: 1 of 2 listed pictures of train" in plan_of("ho3d", root).warnings


def test_evaluation_shares_no_instant_with_train_unless_asked(tree):
    for place in ("train/SB10/0000", "train/SM2/0000", "evaluation/SB11/0000"):
        root = tree(place)
    plan = plan_of("ho3d", root)

    assert [item.id for item in plan.items] == ["train/SM2/0000", "evaluation/SB11/0000"]
    assert any("SB10" in note and "--split-scheme reference" in note for note in plan.warnings)
    assert [item.split for item in plan_of("ho3d", root, split_scheme="reference").items] == ["train", "train", "test"]


def test_a_sequence_that_is_left_out_cannot_be_asked_for_by_name(tree, refused):
    root = tree("train/SB10/0000")

    line = refused(ConfigError, lambda: plan_of("ho3d", root, sequences=("SB10",)))
    assert "got SB10. Choose --split-scheme reference" in line
    assert len(plan_of("ho3d", root, sequences=("SB10",), split_scheme="reference").items) == 1


@pytest.mark.parametrize(("suffix", "version"), [(".png", "2"), (".jpg", "3")])
def test_the_version_is_told_by_the_pictures(tree, suffix, version):
    assert dict(plan_of("ho3d", tree(suffix=suffix)).readings) == {"version": version}


def test_two_versions_in_one_folder_are_refused(tree, refused):
    tree()
    root = tree("train/MC1/0000", ".png")

    assert "expected version 2 (.png) or 3 (.jpg)" in refused(DataError, lambda: plan_of("ho3d", root))


@pytest.mark.parametrize(("sequence", "camera"), [("ABF13", "3"), ("SMu41", "1"), ("SM1", "0"), ("MC6", "0")])
def test_the_last_digit_is_the_camera_of_the_takes_that_several_filmed(sequence, camera):
    assert _take_and_camera(sequence, FACTS)[1] == camera


def test_whole_takes_of_train_validate_in_all_their_cameras(tree):
    for place in ("GSF10/0000", "GSF13/0001", "ND2/0000", "ABF12/0003", "SB10/0000"):
        root = tree(f"train/{place}")
    tree("evaluation/SM1/0000")
    items = plan_of("ho3d", root, split_scheme="validation").items

    assert {item.sequence: item.split for item in items} == {
        "GSF10": "val", "GSF13": "val", "ND2": "val", "ABF12": "train", "SM1": "test"
    }  # fmt: skip
    takes = {_take_and_camera(name, FACTS)[0] for name in FACTS.sequences["train"]}
    assert set(FACTS.extra["validation"]["takes"]) <= takes


def test_sequences_are_55_and_13():
    assert {split: len(set(names)) for split, names in FACTS.sequences.items()} == {"train": 55, "val": 0, "test": 13}


# ------------------------------------------------------------------------------------------------ segmentation


@pytest.mark.parametrize(
    ("path", "hand", "thing"),
    [
        ("train/ABF12/seg/0003.png", (0, 0, 255), (0, 255, 0)),
        ("train/ABF12/seg/0003.jpg", (255, 0, 0), (0, 0, 255)),
        ("HO3D_v2_segmentations_rendered/train/ABF12/seg/0003.jpg", (255, 0, 0), (0, 0, 255)),
    ],
)
@pytest.mark.parametrize("scale", [2, 4])
def test_both_versions_segmentations_are_read(tree, path, hand, thing, scale):
    root = tree()
    colours = np.zeros((480 // scale, 640 // scale, 3), np.uint8)
    colours[: 160 // scale], colours[320 // scale :] = hand, thing
    (root / path).parent.mkdir(parents=True)
    cv2.imwrite(str(root / path), colours[..., ::-1])

    (sample,) = samples_of("ho3d", root, with_segmentation=True).values()
    assert sample.mask.shape == (480, 640)
    assert (sample.mask[:150] == 1).all()
    assert (sample.mask[170:310] == 255).all()  # a forearm may be in the black
    assert (sample.mask[330:] == 2).all()
    assert sample.foreground is None


@pytest.mark.parametrize(("left", "flag"), [(0, Flag.NONE), (560, Flag.BESIDE_MASK)], ids=["on it", "beside it"])
@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 255, 0)], ids=["hand", "what it holds"])
def test_a_hand_whose_labels_lie_beside_its_segmentation_is_flagged(tree, left, flag, colour):
    """A hidden finger lies under the object."""
    root = tree()
    seg = np.zeros((240, 320, 3), np.uint8)
    seg[:, left // 2 : left // 2 + 200] = colour
    seg[0, 319] = (0, 0, 255)
    (root / "train/ABF12/seg").mkdir(parents=True)
    cv2.imwrite(str(root / "train/ABF12/seg/0003.png"), seg[..., ::-1])

    (sample,) = samples_of("ho3d", root).values()
    assert sample.flags == flag
    assert sample.mask is None


# ------------------------------------------------------------------------------------------------ faults


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        (dumps({"handJoints3D": None, "camMat": None}), "[handJoints3D]: expected 3 or 63 numbers, got none"),
        (dumps({"handJoints3D": "None", "camMat": K}), "it is not annotated"),
        (dumps({"handJoints3D": NATIVE, "camMat": None}), "[camMat]: expected 9 numbers"),
        (dumps({"camMat": K}), "[handJoints3D]"),
        (dumps({"handJoints3D": NATIVE[:20], "camMat": K}), "got 60"),
        (dumps({"handJoints3D": NATIVE * np.nan, "camMat": K}), "NaN or infinity"),
        (dumps({"handJoints3D": [["a"] * 3] * 21, "camMat": K}), "something else"),
        (dumps([1, 2]), "expected a dict, got list"),
        (pickle.dumps({"camMat": Evil()}), "Nothing in it was run"),
        (dumps({"x": "a" * (1 << 20)}), "at most 1 MiB"),
        (b"", "damaged pickle"),
    ],
    ids=["None", "'None'", "no camera", "no joints", "20", "NaN", "text", "list", "evil", "large", "empty"],
)
def test_a_pickle_that_is_none_is_named_and_can_be_left_out(tree, meta, says, tmp_path, refused):
    tree("train/MC1/0000")
    root = tree(meta=meta)

    line = refused(HanddataError, lambda: convert("ho3d", root, tmp_path / "out"))
    assert "train/ABF12/meta/0003.pkl" in line
    assert says in line
    result = convert("ho3d", root, tmp_path / "out", skip_bad=True)
    assert (result.num_samples, len(result.skipped)) == (1, 1)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_are_read(tree, protocol):
    root = tree(meta=pickle.dumps({"handJoints3D": NATIVE, "camMat": K, "objName": "a", "n": np.int64(3)}, protocol))

    assert len(samples_of("ho3d", root)) == 1


@pytest.mark.parametrize("text", ["ABF12\n", "ABF12/3\n", "../../etc/0003\n", "\xff"])
def test_a_list_that_is_none_is_named(tree, text, refused):
    root = tree()
    (root / "train.txt").write_bytes(text.encode("latin-1"))

    assert "train.txt" in refused(DataError, lambda: plan_of("ho3d", root))


def test_a_missing_list_is_named(tree, refused):
    root = tree()
    (root / "train.txt").unlink()

    line = refused(MissingError, lambda: plan_of("ho3d", root))
    assert line.endswith(
        "train.txt: expected the annotated pictures of train, got no such file. Unpack the archive again."
    )
