"""What is peculiar to Stereo: two camera systems, a palm centre for a wrist, MATLAB labels, zips of two shapes."""

import json
import shutil

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from handdata import manifest
from handdata.check.doctor import diagnose
from handdata.conversion.plan import make_plan
from handdata.conversion.run import convert
from handdata.converters.stereo import StereoOptions
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import label_row
from handdata.skeleton import INDEX, WRIST
from tests.converters.conftest import plan_of, samples_of

# README order -> ours, docs/datasets.md; the thesis' code ends 1, 2, 4, 3 (docs/method.md D4).
PERMUTATION = [0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]


@pytest.fixture
def tree(tmp_path):
    """Make a tree of one sequence from points (frames, 21, 3), native order, mm."""

    def make(points, family="SK", stems=("SK_color",), sequence="B1Counting", picture=None):
        root = tmp_path / "stereo"
        (root / "labels").mkdir(parents=True, exist_ok=True)
        folder = root / "images" / sequence
        folder.mkdir(parents=True, exist_ok=True)
        points = np.asarray(points, float)
        savemat(root / "labels" / f"{sequence}_{family}.mat", {"handPara": points.transpose(2, 1, 0)})
        for stem in stems:
            for i in range(len(points)):
                if picture is None:
                    cv2.imwrite(str(folder / f"{stem}_{i}.png"), np.zeros((480, 640, 3), np.uint8))
                else:
                    shutil.copy(picture, folder / f"{stem}_{i}.png")
        return root

    return make


def spread(point, count=1):
    """A hand whose 21 points lie near `point`, the first exactly there."""
    offsets = np.arange(21)[:, None] * [3.0, 2.0, 1.0]
    return np.tile(np.asarray(point, float) + offsets, (count, 1, 1))


# ------------------------------------------------------------------------------------------------ geometry


def test_sk_labels_go_through_the_exact_inverse_to_the_colour_camera_d16(shared, tree):
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())["stereo_projection"]
    (sample,) = samples_of("stereo", tree([golden["raw_depth_camera_mm"]])).values()

    exact = np.array(golden["uv_source_order_exact_inverse"])
    assert golden["target_from_source_correct"] == PERMUTATION
    assert np.abs(sample.keypoints_2d[1:] - exact[PERMUTATION[1:]]).max() < 1e-5
    assert np.abs(sample.palm_center_2d - exact[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("camera", "family", "stem", "native", "uv"),
    [
        ("sk", "SK", "SK_color", (100, -50, 600), (447.5989, 189.0695)),
        ("sk", "SK", "SK_color", (0, 0, 500), (351.2371, 240.1088)),
        ("bb_left", "BB", "BB_left", (100, -50, 600), (455.6052, 181.7471)),
        ("bb_right", "BB", "BB_right", (100, -50, 600), (290.9731, 181.7471)),
    ],
)
def test_each_camera_sees_its_labels_where_the_calibration_says(tree, camera, family, stem, native, uv):
    (sample,) = samples_of("stereo", tree(spread(native), family, (stem,)), camera=camera).values()

    assert sample.palm_center_2d == pytest.approx(uv, abs=1e-4)  # by hand


def test_the_palm_centre_is_not_passed_off_as_a_wrist(tree):
    (sample,) = samples_of("stereo", tree(spread((0, 0, 500)))).values()

    assert np.isnan(sample.keypoints_3d[WRIST]).all()
    assert np.isnan(sample.keypoints_2d[WRIST]).all()
    assert np.isnan(label_row(sample)["keypoints_3d_normalized"]).all()
    assert np.isfinite(sample.palm_center_3d).all()
    assert sample.hand_side == 0


def test_fingers_run_from_little_to_thumb_and_from_mcp_to_tip_d4(tree):
    """README: 0 palm, 1-4 little mcp pip dip tip, ... 17-20 thumb; BB labels are given in the left camera's frame."""
    points = spread((0, 0, 500))
    (sample,) = samples_of("stereo", tree(points, "BB", ("BB_left",)), camera="bb_left").values()

    for name, column in {"little_mcp": 1, "little_dip": 3, "little_tip": 4, "index_mcp": 13, "thumb_tip": 20}.items():
        assert sample.keypoints_3d[INDEX[name]] == pytest.approx(points[0, column])


@pytest.mark.parametrize(
    ("formula", "base", "factor"), [("ring", [5], 2.0), ("middle", [9], 2.2), ("fingers", [1, 5, 9, 13], 2.25)]
)
def test_a_wrist_is_derived_only_on_request_and_then_flagged(tree, formula, base, factor):
    points = spread((0, 0, 500))
    root = tree(points, "BB", ("BB_left",))
    (sample,) = samples_of("stereo", root, camera="bb_left", derive_wrist=formula).values()

    start = points[0, base].mean(axis=0)
    assert sample.keypoints_3d[WRIST] == pytest.approx(start + factor * (points[0, 0] - start))
    assert sample.flags == 2


def test_the_crop_is_the_thesis_rule_over_all_21_points(shared, tree):
    """docs/method.md 3.3 with a margin of 40 px: back-project a golden case's pixels and find its crop again."""
    golden = json.loads((shared / "golden" / "golden_give.json").read_text())["stereo_crop_margin40"][0]
    K = manifest.load("stereo").cameras["bb_left"].K
    uv = np.array(golden["points"])
    xyz = np.column_stack([(uv - K[:2, 2]) / K[0, 0] * 500.0, np.full(21, 500.0)])
    (sample,) = samples_of("stereo", tree([xyz], "BB", ("BB_left",)), camera="bb_left").values()

    left, top, side = *golden["origin_xy"], golden["size"]
    assert list(sample.crop_xyxy) == [left, top, left + side, top + side]


# ------------------------------------------------------------------------------------------------ layout


def test_sequences_may_lie_at_the_root_and_zips_may_be_unpacked_into_a_folder_of_their_name(tree):
    root = tree(spread((0, 0, 500), 2))
    expected = list(samples_of("stereo", root))
    shutil.move(root / "images" / "B1Counting", root / "B1Counting")
    assert list(samples_of("stereo", root)) == expected

    shutil.move(root / "B1Counting", root / "kept")
    (root / "B1Counting").mkdir()
    shutil.move(root / "kept", root / "B1Counting" / "B1Counting")
    assert list(samples_of("stereo", root)) == expected


def test_an_empty_folder_does_not_hide_the_pictures_at_the_root(tree):
    root = tree(spread((0, 0, 500), 2))
    expected = list(samples_of("stereo", root))
    shutil.move(root / "images" / "B1Counting", root / "B1Counting")
    (root / "images" / "B1Counting").mkdir()

    assert list(samples_of("stereo", root)) == expected


def test_b1_validates_and_all_others_train(tree):
    for sequence in ("B1Random", "B2Counting", "B6Random"):
        root = tree(spread((0, 0, 500)), sequence=sequence)

    assert {item.sequence: item.split for item in plan_of("stereo", root).items} == {
        "B1Random": "val", "B2Counting": "train", "B6Random": "train"
    }  # fmt: skip


def test_frames_keep_their_numbers_and_order(tree):
    items = plan_of("stereo", tree(spread((0, 0, 500), 12))).items

    assert [item.frame for item in items] == list(range(12))
    assert items[10].id == "B1Counting/SK/0010"


def test_absent_sequences_families_and_frames_are_named_and_the_rest_converts(tree):
    root = tree(spread((0, 0, 500), 4))
    (root / "images/B1Counting/SK_color_2.png").unlink()
    plan = plan_of("stereo", root, camera="all")

    assert [item.frame for item in plan.items] == [0, 1, 3]
    (warning,) = plan.warnings
    assert "1 of 4 pictures of B1Counting/SK_color, the first SK_color_2" in warning
    assert "B2Random" in warning
    assert "B1Counting/BB_left" in warning


def test_pictures_without_their_label_file_are_an_error(tree, refused):
    root = tree(spread((0, 0, 500)))
    tree(spread((0, 0, 500)), sequence="B2Random")
    (root / "labels/B2Random_SK.mat").unlink()

    assert "labels/B2Random_SK.mat" in refused(MissingError, lambda: plan_of("stereo", root))


def test_a_picture_beyond_the_last_label_is_an_error_or_skipped_alone(tree, refused, tmp_path):
    root = tree(spread((0, 0, 500), 2))
    shutil.copy(root / "images/B1Counting/SK_color_0.png", root / "images/B1Counting/SK_color_7.png")

    assert "SK_color_7.png" in refused(MissingError, lambda: convert("stereo", root, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert "SK_color_7.png" in diagnose("stereo", root, tmp_path).findings[0]
    result = convert("stereo", root, tmp_path / "out", skip_bad=True)
    assert list(result.skipped) == ["B1Counting/SK/0007"]
    assert result.num_samples == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"handPara": np.zeros((21, 3, 2))}, "got (21, 3, 2)"),
        ({"handPara": np.zeros((3, 21))}, "got (3, 21)"),
        ({"hands": np.zeros((3, 21, 2))}, "expected a variable handPara of numbers, got hands"),
        (b"MATLAB", "expected a MATLAB v5 file"),
        (b"", "expected a MATLAB v5 file"),
    ],
)
def test_a_label_file_of_another_shape_is_one_clear_line(tree, refused, content, says):
    root = tree(spread((0, 0, 500)))
    path = root / "labels/B1Counting_SK.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)

    line = refused(DataError, lambda: make_plan("stereo", root, StereoOptions()))
    assert says in line
    assert "B1Counting_SK.mat" in line


@pytest.mark.parametrize(("value", "says"), [(np.nan, "NaN"), (np.inf, "infinity"), (-300.0, "in front of the camera")])
def test_a_frame_that_no_camera_saw_is_named_or_skipped_alone(tree, tmp_path, refused, value, says):
    points = spread((0, 0, 500), 4)
    points[2, 7, 2] = value
    root = tree(points)

    line = refused(DataError, lambda: samples_of("stereo", root))
    assert "B1Counting_SK.mat[handPara][2]" in line
    assert says in line
    result = convert("stereo", root, tmp_path / "out", skip_bad=True)
    assert list(result.skipped) == ["B1Counting/SK/0002"]
    assert result.num_samples == 3


@pytest.mark.parametrize("options", [{"camera": "left"}, {"derive_wrist": "elbow"}, {"sequences": ("B7Random",)}])
def test_what_the_dataset_does_not_have_is_refused(tree, refused, options):
    root = tree(spread((0, 0, 500)))

    refused(ConfigError, lambda: plan_of("stereo", root, **options))


# ------------------------------------------------------------------------------------------------ real input


def test_the_real_picture_goes_through(shared, tree, tmp_path):
    picture = shared / "samples" / "stereo" / "SK_color_0.png"
    points = spread((-40, -30, 500))
    root = tree(points, picture=picture)
    convert("stereo", root, tmp_path / "out")
    (reader,) = open_dataset(tmp_path / "out").shards.readers

    source = cv2.imread(str(picture))[..., ::-1]
    u, v = project(reader["keypoints_3d"][0][9:10], reader["K"][0])[0]
    column, row = reader["source_to_canvas"][0] @ [round(u), round(v), 1.0]
    seen = reader.images[0][round(row), round(column)].astype(float)
    nearby = source[round(v) - 2 : round(v) + 3, round(u) - 2 : round(u) + 3].reshape(-1, 3)
    assert np.abs(seen - nearby.mean(axis=0)).max() < 25
    assert list(reader["image_size"][0]) == [640, 480]
