"""Dexter+Object, Dexter 1 and EgoDexter as rendered: the tree, the encodings and the text of the real archives."""

import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from handdata.paths import RENDERED_MARK
from handdata.pictures.decode import read_raw
from handdata.synth.native import write_native
from handdata.synth.native.dexter1 import click, color_cameras
from handdata.synth.native.fingertips import forget_tips, format_row
from handdata.synth.native.tree import FAULTS
from tests.conftest import NATIVE_FRAMES
from tests.converters.conftest import samples_of

SETS = ("dexter", "dexter1", "egodexter")
SEQUENCE = {"dexter": "Grasp1", "dexter1": "adbadd", "egodexter": "Desk"}  # the first: there lies the wrong label
NUMBER = r"-?\d+(\.\d+)?"
TREES = {
    "dexter": r"data/(\w+)/(color/Color_\d{4}\.bmp|depth/Depth_\d{4}\.png|annotations/\1[23]D\.txt)",
    "dexter1": r"data/\w+/(tof/depth/\d{12}\.png|multicam/(cam[0-4])/\d{12}\d{6}_\2\.png|annotations/Pos[23]D\.txt)",
    "egodexter": r"data/\w+/((color|color_on_depth|depth)/image_\d{5}_\2\.png|annotation\.txt(_3D\.txt)?)",
}


def files_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def text(path: Path) -> str:
    return path.read_bytes().decode("ascii")


@pytest.mark.parametrize("name", SETS)
def test_the_tree_holds_the_published_names_and_nothing_else(native_tree, name):
    names = set(files_of(native_tree(name))) - {RENDERED_MARK}

    assert names
    assert [n for n in sorted(names) if not re.fullmatch(TREES[name], n)] == []


@pytest.mark.parametrize(
    ("name", "pattern", "shape", "dtype"),
    [
        ("dexter", "data/*/color/*.bmp", (480, 640, 3), np.uint8),
        ("dexter", "data/*/depth/*.png", (240, 320), np.uint16),
        ("dexter1", "data/*/tof/depth/*.png", (240, 320), np.uint16),
        ("dexter1", "data/*/multicam/*/*.png", (240, 320, 3), np.uint8),
        ("egodexter", "data/*/color/*.png", (480, 640, 3), np.uint8),
        ("egodexter", "data/*/color_on_depth/*.png", (480, 640, 3), np.uint8),
        ("egodexter", "data/*/depth/*.png", (480, 640), np.uint16),
    ],
)
def test_pictures_have_the_published_size_and_depth(native_tree, name, pattern, shape, dtype):
    pictures = [read_raw(path) for path in sorted(native_tree(name).glob(pattern))]

    assert pictures
    assert {(picture.shape, picture.dtype) for picture in pictures} == {(shape, np.dtype(dtype))}


@pytest.mark.parametrize(("name", "invalid"), [("dexter", 32001), ("dexter1", 32001), ("egodexter", 0)])
def test_depth_is_mm_or_the_set_s_own_invalid_value(native_tree, name, invalid):
    pattern = "data/*/tof/depth/*.png" if name == "dexter1" else "data/*/depth/*.png"
    depth = np.stack([read_raw(path) for path in sorted(native_tree(name).glob(pattern))])

    valid = depth[depth != invalid]
    assert (depth == invalid).any()
    assert 150 < valid.min() < valid.max() < 1500


def test_bmp_pictures_are_24_bits_deep(native_tree):
    header = next(native_tree("dexter").glob("data/*/color/*.bmp")).read_bytes()[:54]

    assert header[:2] == b"BM"
    assert int.from_bytes(header[28:30], "little") == 24


# ------------------------------------------------------------------------------------------------ label text


def test_dexter_lines_hold_eight_points(native_tree):
    root = native_tree("dexter")
    point = rf"{NUMBER}, {NUMBER}, {NUMBER}"
    lines = [line for path in sorted(root.glob("data/*/annotations/*3D.txt")) for line in text(path).split("\n")[:-1]]

    assert lines
    assert all(re.fullmatch(rf"{point}(; {point}){{7}}", line) for line in lines)
    assert "32001, 32001, 32001" in "".join(lines)


def test_dexter_has_a_label_line_too_many_and_a_picture_too_many(native_tree):
    root = native_tree("dexter")
    surplus = {
        path.name: len(text(path / f"annotations/{path.name}3D.txt").splitlines()) - len(list(path.glob("color/*")))
        for path in (root / "data").iterdir()
    }

    assert surplus == {"Grasp1": 1, "Rotate": -1} | dict.fromkeys(surplus.keys() - {"Grasp1", "Rotate"}, 0)


def test_dexter1_blocks_hold_six_points_and_one_empty_line_between(native_tree):
    for path in sorted(native_tree("dexter1").glob("data/*/annotations/Pos3D.txt")):
        content = text(path)
        assert content.endswith("\n\n") == (path.parts[-3] != "adbadd")
        blocks = content.rstrip("\n").split("\n\n")
        assert all(len(block.split("\n")) == 6 for block in blocks)
        for line in (line for block in blocks for line in block.split("\n")):
            assert line == "3.2001e+007, 3.2001e+007, 3.2001e+007" or re.fullmatch(rf"{NUMBER}, {NUMBER}, \d+", line)


def test_dexter1_has_more_blocks_than_pictures_in_three_sequences(native_tree):
    root = native_tree("dexter1")
    surplus = {
        path.name: len(text(path / "annotations/Pos3D.txt").strip().split("\n\n")) - len(list(path.glob("tof/depth/*")))
        for path in (root / "data").iterdir()
    }

    assert {name: n for name, n in surplus.items() if n} == {"fingercount": 3, "fingerwave": 2, "pinch": 1}


def test_dexter1_clicks_are_whole_pixels_that_the_text_gives_back():
    points = np.random.default_rng(0).uniform([-80, -80, 300], [80, 80, 500], (50, 3))

    pixels, native = click(points)

    printed = np.array([[float(f"{value:.6g}") for value in point] for point in native])
    uv = np.stack([160 - 224 * printed[:, 0] / printed[:, 2], 120 - 230 * printed[:, 1] / printed[:, 2]], axis=1)
    np.testing.assert_allclose(uv, pixels, atol=6e-4)  # the deviation of the real files
    np.testing.assert_array_equal(pixels, np.rint(pixels))


def test_dexter1_cameras_share_stamps_and_an_index(native_tree):
    for folder in sorted((native_tree("dexter1") / "data").iterdir()):
        stamps = [path.stem for path in sorted(folder.glob("tof/depth/*.png"))]
        for camera in (f"cam{n}" for n in range(5)):
            names = sorted(path.name for path in (folder / "multicam" / camera).iterdir())
            assert names == [f"{stamp}{i:06d}_{camera}.png" for i, stamp in enumerate(stamps)]


def test_dexter1_colour_cameras_look_at_the_hand_from_five_sides():
    centre = np.array([0.0, 0.0, 420.0, 1.0])
    positions = []
    for camera in color_cameras():
        seen = camera.T_camera_world @ centre
        np.testing.assert_allclose(seen[:3], [0, 0, 420], atol=1e-9)
        positions.append(-camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3])
    apart = [np.linalg.norm(a - b) for a, b in pairwise(positions)]
    assert min(apart) > 90


def test_egodexter_lines_end_with_a_semicolon_and_mark_missing_tips(native_tree):
    for folder in sorted((native_tree("egodexter") / "data").iterdir()):
        flat, deep = (text(folder / name).splitlines() for name in ("annotation.txt", "annotation.txt_3D.txt"))
        assert len(flat) == len(deep) == len(list(folder.glob("color/*")))
        assert all(re.fullmatch(r"-?\d+, -?\d+;( -?\d+, -?\d+;){4}", line) for line in flat)
        point = rf"{NUMBER}, {NUMBER}, {NUMBER};"
        assert all(re.fullmatch(rf"{point}( {point}){{4}}", line) for line in deep)
        for uv, xyz in zip(flat[1::2], deep[1::2], strict=True):
            assert uv == "-1, -1; -1, -1; -1, -1; -1, -1; -1, -1;"
            assert xyz in ("; ".join([missing] * 5) + ";" for missing in ("-0, -0, 0", "0, -0, 0"))


def test_rows_print_the_sentinel_where_a_point_is_missing():
    points = np.array([[1.5, -2.25, 400.0], [np.nan] * 3])

    assert format_row(points, (32001, 32001, 32001), "{:.6g}") == "1.5, -2.25, 400; 32001, 32001, 32001"


def test_hidden_tips_are_left_out_more_often_and_the_same_ones_every_time():
    tips = np.zeros((400, 5, 4))
    tips[:, :2, 3] = 1

    first, again = forget_tips(tips, 0.05, [7]), forget_tips(tips, 0.05, [7])

    np.testing.assert_array_equal(first, again)
    missing = np.isnan(first).any(-1).mean(axis=0)
    assert (missing[:2] < 0.1).all()
    assert (missing[2:] > 0.4).all()


# ------------------------------------------------------------------------------------------------ the same every time


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_tree_does_not_depend_on_workers_and_is_kept(name, tmp_path):
    write = partial(write_native, name)
    write(tmp_path / "alone", 2, seed=5, small=True)
    write(tmp_path / "many", 2, seed=5, small=True, workers=2)
    expected = files_of(tmp_path / "alone")
    assert files_of(tmp_path / "many") == expected
    assert write(tmp_path / "alone", 2, seed=5, small=True) == 2
    assert files_of(tmp_path / "alone") == expected


@pytest.fixture(scope="module", params=SETS)
def faulty(request, tmp_path_factory) -> tuple[str, Path]:
    """A tree with every fault, else as `native_tree` makes it."""
    root = tmp_path_factory.mktemp("faulty") / request.param
    write_native(request.param, root, NATIVE_FRAMES, seed=0, small=True, faults=FAULTS)
    return request.param, root


def test_a_wrong_label_is_60_mm_off(faulty, native_tree):
    name, root = faulty
    truth, planted = (samples_of(name, tree, sequences=(SEQUENCE[name],)) for tree in (native_tree(name), root))
    first = next(iter(planted))

    apart = np.linalg.norm(truth[first].keypoints_3d - planted[first].keypoints_3d, axis=-1)

    assert np.nanmax(apart) == pytest.approx(60, abs=0.1)
