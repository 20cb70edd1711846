"""What is peculiar to Dexter 1: blocks of text, the sentinel, depth as a picture, colour views without calibration."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters.dexter1 import read_block, read_blocks, read_calibration, render_depth, to_tof
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import project, transform
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import Flag
from handdata.skeleton import INDEX, RIGHT, TIPS
from handdata.synth.native import dexter1 as writer
from handdata.synth.native.tree import Request
from handdata.synth.sequence import render_frame
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("dexter1")
K = FACTS.cameras["tof"].K
PINCH_51 = """-163.237, -23.1522, 355
-142.607, 53.6609, 363
-121.875, 71.5217, 350
-96, 75.9652, 336
-42.1875, 60.2609, 315
-79.625, -11.0783, 364
"""
PINCH_51_PIXELS = [[263, 135], [248, 86], [238, 73], [224, 68], [190, 76], [209, 127]]
MISSING = "3.2001e+007, 3.2001e+007, 3.2001e+007\n"


def make_tree(root: Path, blocks: list[str], pictures: list[int] | None = None, cameras: tuple[str, ...] = ()) -> Path:
    """Write one sequence, `pinch`; pictures are named by their frame, with a surface at 350 mm."""
    folder = root / "data/pinch"
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations/Pos3D.txt").write_text("\n".join(blocks))
    (folder / "tof/depth").mkdir(parents=True)
    for k in range(len(blocks)) if pictures is None else pictures:
        cv2.imwrite(str(folder / f"tof/depth/{525438341000 + k}.png"), np.full((240, 320), 350, np.uint16))
    for camera in cameras:
        (folder / "multicam" / camera).mkdir(parents=True)
        for k in range(len(blocks)):
            path = folder / f"multicam/{camera}/{525438341000 + k}{k:06d}_{camera}.png"
            cv2.imwrite(str(path), np.full((240, 320, 3), 90, np.uint8))
    return root


# ------------------------------------------------------------------------------------------------ real label files


@pytest.mark.parametrize("sequence", ["adbadd", "flexex1", "pinch"])
def test_the_real_label_files_read_completely(shared, sequence):
    facts = json.loads((shared / "formats/test_vectors.json").read_text())["dexter1_real"]
    path = shared / f"samples/dexter1/{sequence}.txt"

    points = np.stack([read_block(path, k, FACTS) for k in range(len(read_blocks(path)))])

    assert len(points) == facts["sequences"][sequence]["blocks"] == FACTS.counts[sequence]
    assert int(np.isnan(points).any(-1).sum()) == facts["sequences"][sequence]["missing"]
    pixels = project(to_tof(points, FACTS), K)
    valid = pixels[np.isfinite(pixels).all(-1)]
    assert np.abs(valid - np.rint(valid)).max() <= facts["max_dev_from_integer_px"]
    depths = points[..., 2][np.isfinite(points[..., 2])]
    np.testing.assert_array_equal(depths, np.rint(depths))


def test_block_51_of_pinch_is_the_published_one(shared):
    facts = json.loads((shared / "formats/test_vectors.json").read_text())["dexter1_real"]["pinch_block51"]

    points = read_block(shared / "samples/dexter1/pinch.txt", 51, FACTS)

    np.testing.assert_array_equal(points, facts["xyz"])
    np.testing.assert_array_equal(np.rint(project(to_tof(points, FACTS), K)), facts["uv"])


def test_whole_frames_without_a_label_are_read(shared):
    assert np.isnan(read_block(shared / "samples/dexter1/pinch.txt", 0, FACTS)).all()


# ------------------------------------------------------------------------------------------------ blocks


@pytest.mark.parametrize(
    "text",
    [
        f"{PINCH_51}\n{MISSING * 6}",
        f"{PINCH_51}\n{MISSING * 6}\n",
        f"{PINCH_51}\n\n{MISSING * 6}\n\n",
        f"{PINCH_51}\n{MISSING * 6}\n".replace("\n", "\r\n"),
        f"{PINCH_51}\n{MISSING * 6}".replace(", ", ","),
    ],
    ids=["no line at the end", "empty line at the end", "more empty lines", "CRLF", "no spaces"],
)
def test_blocks_read_however_they_end(tmp_path, text):
    path = tmp_path / "Pos3D.txt"
    path.write_bytes(text.encode())

    assert len(read_blocks(path)) == 2
    np.testing.assert_array_equal(np.rint(project(to_tof(read_block(path, 0, FACTS), FACTS), K)), PINCH_51_PIXELS)
    assert np.isnan(read_block(path, 1, FACTS)).all()


def test_points_go_to_their_tips_and_the_palm_centre_is_no_wrist(tmp_path):
    sample = samples_of("dexter1", make_tree(tmp_path, [PINCH_51]))["pinch/tof/0000"]

    np.testing.assert_allclose(sample.keypoints_2d[list(TIPS)], PINCH_51_PIXELS[:5], atol=1e-3)
    np.testing.assert_allclose(sample.palm_center_2d, PINCH_51_PIXELS[5], atol=1e-3)
    np.testing.assert_allclose(sample.keypoints_3d[INDEX["thumb_tip"]], [163.237, 23.1522, 355])
    np.testing.assert_allclose(sample.palm_center_3d, [79.625, 11.0783, 364])
    assert [k for k in range(21) if np.isfinite(sample.keypoints_3d[k]).any()] == list(TIPS)
    assert sample.hand_side == RIGHT
    assert sample.flags == Flag.NONE


def test_a_missing_point_is_nan(tmp_path):
    lines = PINCH_51.splitlines(keepends=True)
    block = "".join([lines[0], MISSING, *lines[2:5], MISSING])

    sample = samples_of("dexter1", make_tree(tmp_path, [block]))["pinch/tof/0000"]

    assert np.isnan(sample.keypoints_3d[INDEX["index_tip"]]).all()
    assert np.isnan(sample.palm_center_3d).all()
    assert np.isfinite(sample.keypoints_3d[INDEX["thumb_tip"]]).all()


@pytest.mark.parametrize(
    ("block", "where"),
    [
        (PINCH_51.replace("363", "36x"), "Pos3D.txt:9"),
        (PINCH_51.replace("-142.607, 53.6609, 363\n", ""), "Pos3D.txt:8"),
        (PINCH_51.replace(", 363", ""), "Pos3D.txt:9"),
        (PINCH_51.replace("-142.607", "-1e7"), "Pos3D.txt:8: expected numbers up to 1e+06, got 1e+07"),
        (PINCH_51.replace("-142.607", "-1e300"), "Pos3D.txt:9"),
    ],
    ids=["letter", "five lines", "two numbers", "ten kilometres away", "no float32"],
)
def test_a_damaged_block_is_named_or_skipped_alone(tmp_path, refused, block, where):
    root = make_tree(tmp_path, [PINCH_51, block, PINCH_51])

    assert where in refused(DataError, lambda: samples_of("dexter1", root))
    result = convert("dexter1", root, tmp_path / "out", skip_bad=True)
    assert list(result.skipped) == ["pinch/tof/0001"]
    assert len(open_dataset(tmp_path / "out")) == 2


def test_a_block_torn_in_two_is_not_taken_for_two_frames(tmp_path):
    """Which block is whose cannot be told any more: the sequence is a fault, whole."""
    torn = PINCH_51.replace("-96,", "\n-96,")
    root = make_tree(tmp_path, [PINCH_51, torn, PINCH_51])

    plan = plan_of("dexter1", root)
    assert set(plan.faults) == {item.id for item in plan.items}
    assert all("two damaged in a row" in str(fault) for fault in plan.faults.values())


# ------------------------------------------------------------------------------------------------ pictures


def test_depth_becomes_a_picture_by_the_documented_mapping():
    depth = np.array([[0, 149, 150, 575, 1000, 1001, 32001]], np.uint16)

    picture = render_depth(depth, *FACTS.extra["depth_mm"])

    assert picture[0, :, 0].tolist() == [0, 0, 255, 128, 1, 0, 0]
    assert (picture == picture[..., :1]).all()


def test_a_picture_that_is_no_depth_is_refused(tmp_path, refused):
    root = make_tree(tmp_path, [PINCH_51])
    cv2.imwrite(str(root / "data/pinch/tof/depth/525438341000.png"), np.zeros((240, 320, 3), np.uint8))

    assert "16-bit depth" in refused(DataError, lambda: samples_of("dexter1", root))


@pytest.mark.parametrize(
    ("blocks", "pictures", "note"),
    [
        (4, 3, "pinch/tof: 1 of 4 label blocks have no picture"),
        (3, 4, "pinch/tof: 1 of 4 pictures left out: only 3 label blocks"),
    ],
)
def test_pictures_and_blocks_are_paired_in_order_up_to_the_shorter(tmp_path, blocks, pictures, note):
    plan = plan_of("dexter1", make_tree(tmp_path, [PINCH_51] * blocks, list(range(pictures))))

    assert [item.frame for item in plan.items] == [0, 1, 2]
    assert note in plan.warnings


def test_a_depth_picture_absent_in_the_middle_is_found_by_the_stamps_of_the_colour_pictures(native_copy):
    root = native_copy("dexter1")
    before = samples_of("dexter1", root, sequences=("adbadd", "random"))
    victims = {name: sorted((root / f"data/{name}/tof/depth").glob("*.png"))[0] for name in ("adbadd", "random")}
    for victim in victims.values():
        victim.unlink()

    after = samples_of("dexter1", root, sequences=("adbadd", "random"))

    assert set(after) == set(before) - {f"{name}/tof/0000" for name in victims}
    notes = plan_of("dexter1", root, sequences=("adbadd",)).warnings
    assert "adbadd/tof: paired by the stamps of the colour pictures, not in order" in notes
    for name, sample in after.items():
        np.testing.assert_array_equal(sample.image, before[name].image)
        np.testing.assert_array_equal(sample.keypoints_3d, before[name].keypoints_3d)


def test_labels_off_the_depth_where_counts_differ_are_paired_in_order_and_told(tmp_path):
    moved = PINCH_51.replace("355", "655").replace("363", "663").replace("350", "650").replace("336", "636")
    moved = moved.replace("315", "615").replace("364", "664")

    plan = plan_of("dexter1", make_tree(tmp_path, [moved] * 4, [0, 1, 2]))

    assert [item.ref for item in plan.items] == [0, 1, 2]
    assert "pinch/tof: 1 of 4 label blocks have no picture" in plan.warnings
    told = "pinch/tof: labels lie 100 mm and more off the depth pictures: one may be absent in the middle"
    assert told in plan.warnings


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        (0, "counted from 0: 24 of 24 labels lie on their depth, else 0"),
        (1, "counted from 1: 24 of 24 labels lie on their depth, else 0"),
        (7, "counted from 0: the depth pictures do not tell"),
    ],
)
def test_the_depth_under_the_labels_tells_from_where_their_pixels_count(tmp_path, beside, told):
    """The label files alone cannot tell."""
    root = make_tree(tmp_path, [PINCH_51] * 4)
    for path in (root / "data/pinch/tof/depth").iterdir():
        depth = np.full((240, 320), 500, np.uint16)
        for (u, v), z in zip(PINCH_51_PIXELS, (355, 363, 350, 336, 315, 364), strict=True):
            depth[v - beside, u - beside] = z
        cv2.imwrite(str(path), depth)

    assert ("pixels of the labels", told) in plan_of("dexter1", root).readings
    sample = samples_of("dexter1", root)["pinch/tof/0000"]
    origin = int(beside == 1)
    np.testing.assert_allclose(sample.keypoints_2d[list(TIPS)], np.array(PINCH_51_PIXELS[:5]) - origin, atol=1e-3)
    np.testing.assert_allclose(sample.keypoints_3d[TIPS[0]], [163.237, 23.1522, 355])
    np.testing.assert_allclose(project(sample.keypoints_3d, sample.K), sample.keypoints_2d)


def test_sequences_that_were_not_asked_for_do_no_harm(tmp_path):
    root = make_tree(tmp_path, [PINCH_51] * 2)
    for sequence, text in (("adbadd", None), ("random", "1, 2, 3\n\n1, 2, 3\n\n1, 2, 3\n")):
        (root / f"data/{sequence}/annotations").mkdir(parents=True)
        shutil.copytree(root / "data/pinch/tof", root / f"data/{sequence}/tof")
        if text:
            (root / f"data/{sequence}/annotations/Pos3D.txt").write_text(text)

    assert len(samples_of("dexter1", root, sequences=("pinch",))) == 2


def test_missing_labels_or_pictures_are_refused(tmp_path, refused):
    root = make_tree(tmp_path, [PINCH_51])
    label = root / "data/pinch/annotations/Pos3D.txt"
    label.unlink()

    assert "Pos3D.txt" in refused(MissingError, lambda: plan_of("dexter1", root))


# ------------------------------------------------------------------------------------------------ rendered trees


def test_labels_lie_where_the_hand_was_rendered(native_tree):
    """Labels are clicked: whole pixels, whole mm."""
    request = Request(dataset="dexter1", frames=14, seed=0, small=True)
    truth = render_frame(writer._spec("adbadd", request), 0).hands[0].keypoints_3d

    sample = samples_of("dexter1", native_tree("dexter1"))["adbadd/tof/0000"]

    labelled = np.isfinite(sample.keypoints_3d).all(-1)
    assert labelled.any()
    assert np.abs(sample.keypoints_2d - project(truth, K))[labelled].max() <= 0.502
    assert np.abs(sample.keypoints_3d - truth)[labelled, 2].max() <= 0.5


def test_the_rendered_label_files_print_as_the_real_ones_do(native_tree):
    root = native_tree("dexter1")
    pinch = (root / "data/pinch/annotations/Pos3D.txt").read_text()
    adbadd = (root / "data/adbadd/annotations/Pos3D.txt").read_text()

    assert pinch.startswith(MISSING * 6 + "\n")
    assert pinch.endswith("\n\n")
    assert not adbadd.endswith("\n\n")
    for number in (n for line in adbadd.splitlines() if line for n in line.split(", ")):
        assert number == "3.2001e+007" or len(number.strip("-").replace(".", "").lstrip("0")) <= 6


def test_colour_views_keep_the_3d_of_the_depth_camera_and_say_so(native_tree):
    root = native_tree("dexter1")
    tof = samples_of("dexter1", root)

    views = samples_of("dexter1", root, camera="cam3")

    assert views
    for name, view in views.items():
        reference = tof[name.replace("cam3", "tof")]
        np.testing.assert_array_equal(view.keypoints_3d, reference.keypoints_3d)
        assert np.isnan(view.keypoints_2d).all()
        assert np.isnan(view.palm_center_2d).all()
        assert view.K is None
        assert view.flags == Flag.PROJECTION_APPROXIMATE
    assert "without 2D, for cam3" in dict(plan_of("dexter1", root, camera="cam3").readings)["3D keypoints"]


def test_a_calibration_gives_the_colour_views_their_own_frame_and_2d(native_tree, tmp_path):
    root = native_tree("dexter1")
    camera = writer.color_cameras()[2]
    calibration = tmp_path / "calibration.toml"
    calibration.write_text(
        f"[cam2]\nsize = [320, 240]\nK = {camera.K.tolist()}\nT_camera_tof = {camera.T_camera_world.tolist()}\n"
    )
    tof = samples_of("dexter1", root)

    views = samples_of("dexter1", root, camera="cam2", calibration=calibration)

    for name, view in views.items():
        expected = transform(camera.T_camera_world, tof[name.replace("cam2", "tof")].keypoints_3d)
        np.testing.assert_allclose(view.keypoints_3d, expected)
        np.testing.assert_allclose(view.keypoints_2d, project(expected, camera.K))
        assert view.flags == Flag.NONE
    assert plan_of("dexter1", root, camera="cam2", calibration=calibration).readings == ()


def test_all_cameras_at_once(native_tree):
    cameras = {item.camera for item in plan_of("dexter1", native_tree("dexter1"), camera="all").items}

    assert cameras == {"tof", "cam0", "cam1", "cam2", "cam3", "cam4"}


@pytest.mark.parametrize(
    "text",
    ["", "[cam9]\nsize=[1,1]\nK=[[1,0,0],[0,1,0],[0,0,1]]\nT_camera_tof=[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n",
     "[cam0]\nsize=[320,240]\n", "[cam0]\nK=[1,2]\nsize=[3,4]\nT_camera_tof=[1]\n", "cam0 = 3\n", "[cam0",
     "[cam0]\nsize=[1,1]\nK=[[0,0,0],[0,1,0],[0,0,1]]\nT_camera_tof=[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n",
     "[cam0]\nsize=[1,1]\nK=[[nan,0,0],[0,1,0],[0,0,1]]\nT_camera_tof=[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n",
     "[cam0]\nsize=[1,1e999]\nK=[[1,0,0],[0,1,0],[0,0,1]]\nT_camera_tof=[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n"],
    ids=["empty", "unknown camera", "no K", "wrong shape", "no table", "no TOML", "no focal length", "nan", "endless"],
)  # fmt: skip
def test_a_calibration_that_is_none_is_refused(tmp_path, refused, text):
    path = tmp_path / "calibration.toml"
    path.write_text(text)

    assert "calibration.toml" in refused(ConfigError, lambda: read_calibration(path))
