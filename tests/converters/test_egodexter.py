"""What is peculiar to EgoDexter: two label files that must agree, half of the frames without labels, two cameras."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.conversion.run import convert
from handdata.converters.egodexter import read_tips
from handdata.errors import DataError, MissingError
from handdata.geometry import project, transform
from handdata.shards.dataset import open_dataset
from handdata.skeleton import INDEX, LEFT, TIPS
from handdata.synth.native import egodexter as writer
from handdata.synth.native.tree import Request
from handdata.synth.sequence import render_frame
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("egodexter")
UV = "254, 273; 280, 200; 300, 190; 320, 195; 340, 210;"
XYZ = "-30, 14, 254; -20, -30, 300; -7, -35, 310; 6, -33, 320; 20, -24, 330;"
NO_UV, NO_XYZ = "-1, -1;" * 5, "-0, -0, 0; 0, -0, 0; 0, 0, 0; -0, 0, -0; 0, 0, 0;"


def make_tree(
    root: Path, rows: list[tuple[str, str]], pictures: list[int] | None = None, family: str = "color"
) -> Path:
    folder = root / "data" / "Desk"
    (folder / family).mkdir(parents=True)
    (folder / "annotation.txt").write_text("".join(f"{uv}\n" for uv, _ in rows))
    (folder / "annotation.txt_3D.txt").write_text("".join(f"{xyz}\n" for _, xyz in rows))
    for number in range(len(rows)) if pictures is None else pictures:
        cv2.imwrite(str(folder / family / f"image_{number:05d}_{family}.png"), np.full((480, 640, 3), 90, np.uint8))
    return root


def annotated(sample) -> set[str]:
    return {name for name, k in INDEX.items() if np.isfinite(sample.keypoints_3d[k]).all()}


def test_the_projections_are_those_of_the_published_vector(shared):
    vector = json.loads((shared / "formats/test_vectors.json").read_text())["egodexter"]
    native = np.array([vector["native"]], float)
    color, depth = FACTS.cameras["color"], FACTS.cameras["color_on_depth"]

    xyz = transform(color.T_camera_label, native)

    np.testing.assert_allclose(xyz[0], vector["color_xyz"], atol=1e-4)
    np.testing.assert_allclose(project(xyz, color.K)[0], vector["color_uv"], atol=1e-3)
    np.testing.assert_allclose(project(native, depth.K)[0], vector["depth_uv"], atol=1e-3)


def test_a_real_tip_read_off_a_figure_fits(tmp_path):
    """Desk image_00020: thumb at (254, 273) in depth, about (287, 294) in colour, at about 254 mm."""
    depth = FACTS.cameras["color_on_depth"]
    x, y = (254 - depth.K[0, 2]) / depth.K[0, 0] * 254, (273 - depth.K[1, 2]) / depth.K[1, 1] * 254
    root = make_tree(tmp_path, [(UV, XYZ.replace("-30, 14, 254", f"{x}, {y}, 254"))])

    sample = samples_of("egodexter", root)["Desk/color/00000"]

    np.testing.assert_allclose(sample.keypoints_2d[INDEX["thumb_tip"]], [287, 294], atol=3)


def test_labels_lie_where_the_hand_was_rendered(native_tree):
    request = Request(dataset="egodexter", frames=14, seed=0, small=True)
    frame = render_frame(writer._spec("Kitchen", request), 0)
    for camera in ("color", "color_on_depth"):
        truth = transform(FACTS.cameras[camera].T_camera_label, frame.hands[0].keypoints_3d)

        sample = samples_of("egodexter", native_tree("egodexter"), camera=camera)[f"Kitchen/{camera}/00000"]

        labelled = np.isfinite(sample.keypoints_3d).all(-1)
        assert labelled.any()
        np.testing.assert_allclose(sample.keypoints_3d[labelled], truth[labelled], atol=2e-3)
        uv = project(truth, FACTS.cameras[camera].K)
        np.testing.assert_allclose(sample.keypoints_2d[labelled], uv[labelled], atol=0.01)


def test_rendered_2d_labels_are_those_of_the_depth_camera(native_tree):
    folder = native_tree("egodexter") / "data/Desk"

    uv, xyz = read_tips(folder, 0)

    both = np.isfinite(xyz).all(-1)
    assert both.any()
    assert np.abs(project(xyz, FACTS.cameras["color_on_depth"].K) - uv)[both].max() <= 0.51


def test_half_of_the_rendered_frames_carry_no_label_and_are_samples(native_tree):
    samples = samples_of("egodexter", native_tree("egodexter"))

    empty = [i for i, sample in samples.items() if not annotated(sample)]
    assert set(empty) >= {i for i in samples if int(i[-5:]) % 2}
    assert 0 < len(empty) < len(samples)


@pytest.mark.parametrize(
    ("uv", "xyz", "expected"),
    [
        (UV, XYZ, {"thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip"}),
        (NO_UV, NO_XYZ, set()),
        (UV, NO_XYZ, set()),
        (NO_UV, XYZ, set()),
        (UV.replace("280, 200", "-1, -1"), XYZ, {"thumb_tip", "middle_tip", "ring_tip", "little_tip"}),
        (UV, XYZ.replace("-20, -30, 300", "-0, -0, 0"), {"thumb_tip", "middle_tip", "ring_tip", "little_tip"}),
        (UV, XYZ.replace("-20, -30, 300", "1e-9, 0, -1e-9"), {"thumb_tip", "middle_tip", "ring_tip", "little_tip"}),
        (
            UV,
            XYZ.replace("-20, -30, 300", "32001, 32001, 32001"),
            {"thumb_tip", "middle_tip", "ring_tip", "little_tip"},
        ),
        (UV[:-1], XYZ[:-1], {"thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip"}),
        ("", "", set()),
        ("254, 273;", "-30, 14, 254;", set()),
    ],
    ids=[
        "all",
        "none",
        "2D alone",
        "3D alone",
        "a 2D tip missing",
        "a 3D tip missing",
        "nearly zero",
        "no depth",
        "no semicolon",
        "empty",
        "short",
    ],
)
def test_a_tip_is_annotated_where_both_labels_exist(tmp_path, uv, xyz, expected):
    sample = samples_of("egodexter", make_tree(tmp_path, [(uv, xyz)]))["Desk/color/00000"]

    assert annotated(sample) == expected
    np.testing.assert_array_equal(np.isfinite(sample.keypoints_2d), np.isfinite(sample.keypoints_3d)[:, :2])
    assert sample.hand_side == LEFT


def test_line_k_belongs_to_image_k(tmp_path):
    rows = [(UV, XYZ.replace("254;", f"{254 + 10 * k};")) for k in range(5)]
    root = make_tree(tmp_path, rows, pictures=[0, 1, 3, 4])

    samples = samples_of("egodexter", root)

    assert list(samples) == [f"Desk/color/{k:05d}" for k in (0, 1, 3, 4)]
    for name, sample in samples.items():
        expected = transform(FACTS.cameras["color"].T_camera_label, np.array([-30.0, 14, 254 + 10 * int(name[-5:])]))
        np.testing.assert_allclose(sample.keypoints_3d[TIPS[0]], expected)
    assert any("1 pictures absent" in note for note in plan_of("egodexter", root).warnings)


def test_label_files_of_two_lengths_are_read_up_to_the_shorter(tmp_path):
    root = make_tree(tmp_path, [(UV, XYZ)] * 4)
    (root / "data/Desk/annotation.txt").write_text(f"{UV}\n" * 3)

    plan = plan_of("egodexter", root)

    assert len(plan.items) == 3
    assert "Desk/color: 3 lines in annotation.txt, 4 in annotation.txt_3D.txt" in plan.warnings


def test_the_view_of_the_depth_camera_alone_is_a_tree_too(tmp_path):
    root = make_tree(tmp_path, [(UV, XYZ)], family="color_on_depth")

    assert list(samples_of("egodexter", root, camera="color_on_depth")) == ["Desk/color_on_depth/00000"]


def test_a_missing_label_file_is_refused(tmp_path, refused):
    root = make_tree(tmp_path, [(UV, XYZ)])
    (root / "data/Desk/annotation.txt_3D.txt").unlink()

    assert "annotation.txt_3D.txt" in refused(MissingError, lambda: plan_of("egodexter", root))


@pytest.mark.parametrize("number", ["31o", "1e300", "2e6"])
def test_a_damaged_line_is_named_or_skipped_alone(tmp_path, refused, number):
    root = make_tree(tmp_path, [(UV, XYZ), (UV, XYZ.replace("310", number).replace("-20,", f"-{number},")), (UV, XYZ)])

    assert "annotation.txt_3D.txt:2" in refused(DataError, lambda: samples_of("egodexter", root))
    result = convert("egodexter", root, tmp_path / "out", skip_bad=True)
    assert list(result.skipped) == ["Desk/color/00001"]
    assert len(open_dataset(tmp_path / "out")) == 2


@pytest.mark.parametrize("camera", ["color", "all"])
def test_what_was_read_is_said(tmp_path, camera):
    partial = (UV.replace("280, 200", "-1, -1"), XYZ)
    root = make_tree(tmp_path, [(UV, XYZ), partial, (NO_UV, NO_XYZ), (NO_UV, NO_XYZ)])
    make_tree(tmp_path / "other", [(UV, XYZ)] * 4, family="color_on_depth")
    (tmp_path / "other/data/Desk/color_on_depth").rename(root / "data/Desk/color_on_depth")

    plan = plan_of("egodexter", root, camera=camera)

    assert ("annotated tips", "all five in 1 frames, some in 1, none in 2") in plan.readings
    if camera == "color":
        assert plan.warnings == ("absent: Fruits/color, Kitchen/color, Rotunda/color",)


def test_3d_labels_that_are_not_of_their_2d_are_counted(tmp_path):
    """Some 3D labels are wrong, Kitchen's above all."""
    K, z = FACTS.cameras["color_on_depth"].K, 300.0
    points = np.column_stack([np.linspace(-40, 40, 5), np.linspace(20, -20, 5), np.full(5, z)])
    pixels = project(points, K)
    good = "".join(f"{x:g}, {y:g}, {z:g}; " for x, y, z in points)
    bad = "".join(f"{x:g}, {y:g}, {z:g}; " for x, y, z in points + np.eye(5, 3)[[0, 4, 4, 4, 4]] * 60)
    uv = "".join(f"{u:.0f}, {v:.0f};" for u, v in pixels)

    plan = plan_of("egodexter", make_tree(tmp_path, [(uv, good), (uv, bad), (NO_UV, NO_XYZ)]))

    said = dict(plan.readings)["2D against 3D labels"]
    assert said.endswith("px apart, 1 of 10 tips more than 10 px: Desk 1")


def test_rendered_2d_and_3d_labels_agree(native_tree):
    said = dict(plan_of("egodexter", native_tree("egodexter")).readings)["2D against 3D labels"]

    assert float(said.split()[1]) < 0.6  # whole pixels
    assert ", 0 of " in said
