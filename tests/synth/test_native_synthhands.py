"""The rendered SynthHands tree is laid out as the documents of the real one say."""

import re

import numpy as np
import pytest

from handdata.geometry import project
from handdata.pictures.decode import read_image, read_raw
from handdata.synth.native.synthhands import CLASSES, folders, frame_numbers

KEY = (14, 255, 14)
K_COLOR = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])
SHIFT = np.array([24.7, -0.0471401, 3.72045])  # mm, from the depth to the colour camera
K_DEPTH = np.array([[475.62, 0, 311.125], [0, 475.62, 245.965], [0, 0, 1]])
PATH = re.compile(r"(fe)?male_(no)?object/seq0[1-7]/cam0[1-5]/0[1-3]/\d{8}")


@pytest.fixture
def stems(native_tree):
    root = native_tree("synthhands")
    return [path.with_name(path.name.removesuffix("_joint_pos.txt")) for path in sorted(root.rglob("*_joint_pos.txt"))]


def read_label(stem):
    text = stem.with_name(f"{stem.name}_joint_pos.txt").read_text()
    assert text.count("\n") == 1
    return np.array([float(cell) for cell in text.split(",")]).reshape(21, 3)


def picture(stem, kind):
    return stem.with_name(f"{stem.name}_{kind}.png")


def test_four_files_a_frame_in_folders_by_class_motion_camera_and_part(native_tree, stems):
    root = native_tree("synthhands")
    assert len(stems) == 14
    for stem in stems:
        assert PATH.fullmatch(stem.relative_to(root).as_posix())
        assert sorted(path.name.removeprefix(stem.name) for path in stem.parent.glob(f"{stem.name}_*")) == [
            "_color.png", "_color_on_depth.png", "_depth.png", "_joint_pos.txt"
        ]  # fmt: skip
    assert {stem.relative_to(root).parts[0] for stem in stems} == set(CLASSES)
    assert (root / "README.txt").is_file()
    assert (root / "CameraCalibration_640x480.txt").is_file()


def test_the_key_colour_is_exact_and_never_blends_into_the_hand(stems):
    for stem in stems:
        image = read_image(picture(stem, "color")).astype(int)
        key = (image == KEY).all(-1)
        assert 0.4 < key.mean() < 0.99
        hand = image[~key]
        greenness = hand[:, 1] - np.maximum(hand[:, 0], hand[:, 2])
        assert np.mean(greenness > 120) < 0.001  # no green fringe: sleeves and objects may be green, not neon


def test_depth_is_16_bit_with_32001_where_color_on_depth_is_black(stems):
    for stem in stems:
        depth = read_raw(picture(stem, "depth"))
        assert (depth.shape, depth.dtype) == ((480, 640), np.uint16)
        seen = depth != 32001
        assert ((depth[seen] > 100) & (depth[seen] < 1500)).all()
        assert (read_image(picture(stem, "color_on_depth"))[~seen] == 0).all()


def test_joints_lie_behind_the_surface_of_the_depth_camera(stems):
    behind = []
    for stem in stems:
        depth, points = read_raw(picture(stem, "depth")).astype(float), read_label(stem)
        u, v = np.rint(project(points, K_DEPTH)).astype(int).T
        inside = (u >= 0) & (u < 640) & (v >= 0) & (v < 480)
        surface = depth[v[inside], u[inside]]
        behind += list((points[inside, 2] - surface)[surface != 32001])

    assert len(behind) > 250
    assert np.mean(np.array(behind) > -2) > 0.97


def test_joints_lie_on_the_hand_in_the_colour_camera(stems):
    hits = []
    for stem in stems:
        key = (read_image(picture(stem, "color")) == KEY).all(-1)
        u, v = np.rint(project(read_label(stem) + SHIFT, K_COLOR)).astype(int).T
        inside = (u >= 0) & (u < 640) & (v >= 0) & (v < 480)
        hits += list(~key[v[inside], u[inside]])

    assert np.mean(hits) > 0.97


def test_the_hand_stays_inside_the_published_centre_crop(stems):
    uv = np.stack([project(read_label(stem) + SHIFT, K_COLOR) for stem in stems])

    assert ((uv >= [80, 0]) & (uv <= [559, 479])).all(-1).mean() > 0.9


@pytest.mark.parametrize("count", [1, 2, 12, 60, 300, 450])
def test_frame_numbers_rise_with_gaps_and_stay_below_500(count):
    numbers = frame_numbers(count)

    assert len(numbers) == count == len(set(numbers))
    assert numbers == sorted(numbers)
    assert numbers[-1] < 500
    assert count < 12 or numbers[-1] > count - 1


@pytest.mark.parametrize("frames", [1, 12, 28, 1000, 20_000])
def test_frames_are_spread_over_classes_and_motions(frames):
    spread = folders(frames)

    assert sum(spread.values()) == frames
    assert max(spread.values()) <= 450
    if frames >= 12:
        assert {folder.split("/")[0] for folder in spread} == set(CLASSES)
        assert {"seq01", "seq06", "seq07"} <= {folder.split("/")[1] for folder in spread}
