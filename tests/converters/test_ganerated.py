"""What is peculiar to GANerated: crops with their own camera, three labels of one hand that must agree, partitions."""

import cv2
import numpy as np
import pytest

from handdata.conversion.run import convert
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import project
from tests.converters.conftest import plan_of, samples_of

K = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])
CROP = (200.0, 150.0, 1.5)
# The first point is projected by hand below.
POINTS = np.arange(21)[:, None] * [-1.0, 2.0, 1.0] + np.array([10.0, 20.0, 400.0])


def labels(points=POINTS, crop=CROP):
    u, v, scale = crop
    pixels = points @ K.T
    return {
        "joint2D": scale * (pixels[:, :2] / pixels[:, 2:] - [u, v]),
        "joint_pos": (points - points[9]) / np.linalg.norm(points[0] - points[9]),
        "joint_pos_global": points,
        "crop_params": np.array(crop),
    }


@pytest.fixture
def tree(tmp_path):
    """Make frames at "<class>/<partition>/<frame>" from the same labels, some replaced."""

    def make(*stems, **replaced):
        for stem in stems:
            path = tmp_path / "ganerated" / "data" / stem
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(f"{path}_color_composed.png", np.full((256, 256, 3), 120, np.uint8))
            for kind, values in {**labels(), **replaced}.items():
                text = ",".join(f"{value:.6f}" for value in np.ravel(values)) + "\n"
                path.with_name(f"{path.name}_{kind}.txt").write_text(text)
        return tmp_path / "ganerated"

    return make


FIRST = "noObject/0001/0001"


# ------------------------------------------------------------------------------------------------ cameras and labels


def test_the_crop_s_camera_follows_from_its_corner_and_scale(tree):
    (sample,) = samples_of("ganerated", tree(FIRST)).values()

    assert sample.keypoints_2d[0] == pytest.approx((196.3235, 184.6765), abs=1e-4)  # by hand
    expected = [[925.7595, 0, 173.1795], [0, 925.7595, 138.3885], [0, 0, 1]]  # 1.5 f, 1.5 (c - (200, 150))
    assert np.abs(sample.K - expected).max() < 1e-9
    assert np.abs(project(sample.keypoints_3d, sample.K) - sample.keypoints_2d).max() < 1e-5


def test_3d_is_millimetres_of_the_original_camera_and_the_shipped_pose_is_kept(tree):
    (sample,) = samples_of("ganerated", tree(FIRST)).values()

    assert sample.keypoints_3d == pytest.approx(POINTS)
    assert sample.keypoints_3d_normalized == pytest.approx(labels()["joint_pos"], abs=1e-6)
    assert list(sample.crop_xyxy) == [0, 0, 256, 256]


@pytest.mark.parametrize(("stem", "has_object"), [(FIRST, 0), ("withObject/0185/0182", 1)])
def test_the_class_says_whether_there_is_an_object(tree, stem, has_object):
    (sample,) = samples_of("ganerated", tree(stem)).values()

    assert sample.has_object == has_object


@pytest.mark.parametrize(
    ("replaced", "file", "says"),
    [
        ({"joint_pos": labels()["joint_pos"] * 1.11}, "joint_pos", "wrist at distance 1"),
        ({"joint_pos": labels()["joint_pos"] + 0.11}, "joint_pos", "middle MCP at 0"),
        ({"joint_pos": POINTS}, "joint_pos", "middle MCP at 0"),
        ({"joint2D": labels()["joint2D"] + 6.6}, "joint2D", "within 6.5 px, got 6.6 px"),
        ({"joint_pos_global": POINTS / 10 + 3}, "joint2D", "projection of joint_pos_global"),
        ({"crop_params": (200, 150, 1 / 1.5)}, "joint2D", "projection of joint_pos_global"),
        ({"crop_params": (200, 150, 0)}, "crop_params", "a positive scale"),
        ({"joint2D": np.zeros(41)}, "joint2D", "expected 42 numbers, got 41"),
        ({"joint_pos_global": np.full(63, np.nan)}, "joint_pos_global", "finite numbers"),
        ({"joint_pos_global": POINTS * [1, 1, -1]}, "joint2D", "got nan px"),
    ],
)
def test_labels_that_contradict_each_other_are_named_with_their_file(tree, refused, replaced, file, says):
    root = tree(FIRST, **replaced)

    message = refused(DataError, lambda: samples_of("ganerated", root))
    assert f"{FIRST}_{file}.txt:1" in message
    assert says in message


@pytest.mark.parametrize(
    "replaced",
    [
        {"joint2D": np.rint(labels()["joint2D"])},
        {"joint2D": labels()["joint2D"] + (1.5 - 1) / 2},  # (u, v) is the corner of a pixel, not its centre
        {"joint2D": labels(crop=(200.49, 149.51, 1.5))["joint2D"]},
        {"joint2D": labels(crop=(200.99, 149.99, 1.504))["joint2D"]},
        {"joint_pos_global": np.rint(POINTS)},
    ],
    ids=["rounded pixels", "pixel corners", "a rounded corner", "a cut corner and scale", "whole millimetres"],
)
def test_what_rounding_can_do_is_no_contradiction_and_is_told(tree, replaced):
    root = tree(FIRST, **replaced)

    assert len(samples_of("ganerated", root)) == 1
    readings = dict(plan_of("ganerated", root).readings)
    assert readings["joint2D against joint_pos_global"].startswith("median ")
    assert readings["joint2D against joint_pos_global"].endswith(" px in 1 frames looked at")


def test_the_distribution_of_residuals_is_told(tree):
    root = tree(*[f"noObject/0001/{i:04d}" for i in range(1, 20)])
    tree("noObject/0001/0020", joint2D=labels()["joint2D"] + 3.0)

    readings = dict(plan_of("ganerated", root).readings)
    assert readings["joint2D against joint_pos_global"].endswith("largest 3 px in 20 frames looked at")
    assert readings["joint_pos against its rule"].endswith(" of the hand's size")
    assert len(samples_of("ganerated", root)) == 20


@pytest.mark.parametrize("factor", [1.0, 1.0005, 1.01, 0.95])
def test_a_shipped_pose_with_few_digits_gives_way_to_the_millimetres(tree, factor):
    """What is stored has its wrist at distance 1, whatever was printed."""
    (sample,) = samples_of("ganerated", tree(FIRST, joint_pos=labels()["joint_pos"] * factor)).values()

    assert (sample.keypoints_3d_normalized is None) == (abs(factor - 1) > 1e-3)


@pytest.mark.parametrize(("per_mm", "unit"), [(1.0, "mm"), (0.1, "centimetres"), (0.001, "metres")])
def test_the_size_of_the_hand_tells_the_unit(tree, per_mm, unit):
    """The README is silent."""
    hand = (POINTS - POINTS[9]) * 4 + POINTS[9]  # 88 mm from wrist to middle MCP
    root = tree(FIRST, **labels(hand) | {"joint_pos_global": hand * per_mm})

    (sample,) = samples_of("ganerated", root).values()
    assert sample.keypoints_3d == pytest.approx(hand, abs=2e-3)
    assert dict(plan_of("ganerated", root).readings)["unit of joint_pos_global"] == f"{unit}, by the size of the hand"


def test_names_of_other_length_are_no_frames(tree, refused):
    root = tree("noObject/0001/00001")

    assert "pictures <4 digits>_color_composed.png" in refused(MissingError, lambda: plan_of("ganerated", root))


@pytest.mark.parametrize(
    "gone", ["color_composed.png", "joint2D.txt", "joint_pos.txt", "joint_pos_global.txt", "crop_params.txt"]
)
def test_a_frame_that_lacks_a_file_is_an_error_unless_skipped(tree, tmp_path, refused, gone):
    root = tree(FIRST, "noObject/0001/0002")
    (root / "data" / f"noObject/0001/0002_{gone}").unlink()

    assert plan_of("ganerated", root).warnings[-1] == "1 frames lack a file, the first noObject/0001/0002"
    assert f"0002_{gone}" in refused(MissingError, lambda: convert("ganerated", root, tmp_path / "out"))
    kept = convert("ganerated", root, tmp_path / "out", skip_bad=True)
    assert (kept.num_samples, list(kept.skipped)) == (1, ["noObject/0001/0002"])


# ------------------------------------------------------------------------------------------------ partitions


def test_partitions_are_listed_not_counted_to_1024(tree):
    root = tree("noObject/0069/0216", "noObject/0069/0003", "withObject/0092/0476")
    (root / "data/noObject/.DS_Store").write_text("")

    assert [item.id for item in plan_of("ganerated", root).items] == [
        "noObject/0069/0003", "noObject/0069/0216", "withObject/0092/0476"
    ]  # fmt: skip


def test_the_data_folder_itself_will_do(tree):
    root = tree(FIRST)

    (item,) = plan_of("ganerated", root / "data").items
    assert (item.id, item.image) == (FIRST, f"{FIRST}_color_composed.png")


def test_an_absent_class_is_named(tree):
    assert plan_of("ganerated", tree(FIRST)).warnings == ("absent: withObject",)


@pytest.mark.parametrize(("partitions", "share"), [(2, 0), (3, 1), (5, 1), (40, 2), (141, 7), (185, 9)])
def test_the_last_partitions_of_each_class_test_and_those_before_validate(tmp_path, partitions, share):
    """5 % each, at least one when there are three or more, all train otherwise."""
    for name in ("noObject", "withObject"):
        for partition in range(1, partitions + 1):
            folder = tmp_path / "data" / name / f"{partition:04d}"
            folder.mkdir(parents=True)
            (folder / "0001_color_composed.png").touch()  # a plan opens no picture
    plan = plan_of("ganerated", tmp_path)

    for name in ("noObject", "withObject"):
        splits = [item.split for item in plan.items if item.sequence.startswith(name)]
        assert splits == ["train"] * (partitions - 2 * share) + ["val"] * share + ["test"] * share


def test_the_splits_do_not_depend_on_the_sequences_asked_for(tree):
    root = tree(*(f"noObject/000{k}/0001" for k in (1, 2, 3)))
    (item,) = plan_of("ganerated", root, sequences=("noObject/0003",)).items

    assert item.split == "test"


def test_an_unknown_partition_is_refused(tree, refused):
    root = tree(FIRST)

    refused(ConfigError, lambda: plan_of("ganerated", root, sequences=("noObject/0009",)))


def test_the_reference_split_shuffles_both_classes_together(tree):
    root = tree(*(f"{name}/0001/{i:04d}" for name in ("noObject", "withObject") for i in range(1, 6)))
    plan = plan_of("ganerated", root, split_scheme="reference")

    order = list(range(10))
    np.random.RandomState(42).shuffle(order)
    assert [plan.items[i].split for i in order[:3]] == ["val", "test", "train"]
    assert "10 of 331499 pictures" in plan.warnings[0]
