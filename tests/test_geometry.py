"""Cameras, affines and poses: golden vectors of the thesis' author, and properties that hold for any hand."""

import doctest
import inspect
import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handdata import geometry, manifest
from handdata.skeleton import ROOT, WRIST

PIXEL = 1e-5  # golden tolerance of projected points, px
EXACT = 1e-6


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())


def numbers(low, high):
    return st.floats(low, high, allow_nan=False, width=64)


def points_in_front(count=21):
    sideways = arrays(np.float64, (count, 2), elements=numbers(-500, 500))
    return st.tuples(sideways, arrays(np.float64, (count, 1), elements=numbers(100, 3000))).map(np.hstack)


pixels = arrays(np.float64, (21, 2), elements=numbers(-1000, 2000))
cameras = st.builds(
    lambda fx, fy, cx, cy, skew: np.array([[fx, skew, cx], [0, fy, cy], [0, 0, 1.0]]),
    numbers(100, 2000), numbers(100, 2000), numbers(0, 1000), numbers(0, 1000), numbers(-5, 5),
)  # fmt: skip
boxes = st.builds(
    lambda left, top, side: np.array([left, top, left + side, top + side]),
    numbers(-300, 600), numbers(-300, 600), numbers(8, 800),
)  # fmt: skip
affines = st.builds(
    lambda angle, scale, shift: np.column_stack(
        [scale * geometry.rotation_affine(angle, np.zeros(2))[:, :2], np.array(shift)]
    ),
    numbers(-180, 180), numbers(0.1, 10), st.tuples(numbers(-500, 500), numbers(-500, 500)),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ cameras


def test_project_a_point_computed_by_hand():
    K = np.array([[600.0, 0, 320], [0, 500, 240], [0, 0, 1]])

    assert geometry.project(np.array([[10.0, -20.0, 400.0]]), K).tolist() == [[335.0, 215.0]]


def test_project_agrees_with_opencv():
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-300, 300, (50, 2)), rng.uniform(200, 900, 50)])
    K = np.array([[611.0, 0, 317.5], [0, 598.0, 243.25], [0, 0, 1]])

    expected = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), K, None)[0][:, 0]

    np.testing.assert_allclose(geometry.project(xyz, K), expected, atol=1e-9)


def test_points_behind_the_camera_have_no_pixel():
    xyz = np.array([[0, 0, -5.0], [0, 0, 0], [np.nan, 0, 5], [0, 0, 5]])

    assert np.isnan(geometry.project(xyz, np.eye(3))).any(-1).tolist() == [True, True, True, False]


@given(points_in_front(), cameras)
def test_backproject_inverts_project(xyz, K):
    back = geometry.backproject(geometry.project(xyz, K), xyz[:, 2], K)

    np.testing.assert_allclose(back, xyz, atol=1e-6)


@given(points_in_front(), cameras, boxes, st.integers(16, 512))
def test_cropping_the_picture_and_K_commutes_with_project(xyz, K, box, size):
    A = geometry.crop_affine(box, size)

    cropped = geometry.apply_affine(A, geometry.project(xyz, K))

    np.testing.assert_allclose(geometry.project(xyz, geometry.crop_intrinsics(K, A)), cropped, rtol=1e-9, atol=1e-6)


@given(points_in_front(), cameras, st.integers(64, 2000))
def test_mirroring_points_and_K_mirrors_the_pixels(xyz, K, width):
    mirrored = geometry.project(geometry.mirror_points(xyz), geometry.mirror_intrinsics(K, width))

    np.testing.assert_allclose(mirrored, geometry.mirror_pixels(geometry.project(xyz, K), width), rtol=1e-9, atol=1e-6)


@given(points_in_front(), pixels, cameras, st.integers(64, 2000))
def test_mirroring_twice_changes_nothing(xyz, uv, K, width):
    np.testing.assert_array_equal(geometry.mirror_points(geometry.mirror_points(xyz)), xyz)
    np.testing.assert_allclose(geometry.mirror_pixels(geometry.mirror_pixels(uv, width), width), uv, atol=1e-9)
    np.testing.assert_allclose(geometry.mirror_intrinsics(geometry.mirror_intrinsics(K, width), width), K, atol=1e-9)


def test_mirrored_pixels_are_those_of_the_flipped_picture():
    picture = np.arange(7)[None] * np.ones((3, 1))

    u = geometry.mirror_pixels(np.array([[2.0, 1.0]]), 7)[0, 0]

    assert picture[:, ::-1][1, int(u)] == 2


@given(arrays(np.float64, 3, elements=numbers(-3, 3)))
def test_rotation_vectors_agree_with_opencv(vector):
    np.testing.assert_allclose(geometry.rotation_from_vector(vector), cv2.Rodrigues(vector)[0], atol=1e-9)


@given(arrays(np.float64, 3, elements=numbers(-3, 3)), arrays(np.float64, 3, elements=numbers(-500, 500)))
def test_a_rigid_transform_and_its_inverse_cancel(vector, shift):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = geometry.rotation_from_vector(vector), shift
    xyz = np.array([[1.0, 2.0, 3.0], [-40.0, 50.0, 600.0]])

    np.testing.assert_allclose(geometry.transform(geometry.invert_rigid(T), geometry.transform(T, xyz)), xyz, atol=1e-9)


# ------------------------------------------------------------------------------------------------ affines


@pytest.mark.parametrize(
    ("u", "expected"),
    [(-0.5, -0.5), (99.5, 49.5), (0.0, -0.25), (49.5, 24.5)],
    ids=["left", "right", "first", "middle"],
)
def test_a_crop_maps_edges_to_edges(u, expected):
    A = geometry.crop_affine(np.array([0, 0, 100, 100]), 50)

    np.testing.assert_allclose(geometry.apply_affine(A, np.array([[u, u]])), [[expected, expected]])


@given(boxes, st.integers(16, 512), pixels)
def test_crop_follows_the_rule_of_the_schema(box, size, uv):
    side = box[2] - box[0]

    mapped = geometry.apply_affine(geometry.crop_affine(box, size), uv)

    np.testing.assert_allclose(mapped, (uv + 0.5 - box[:2]) * size / side - 0.5, rtol=1e-9, atol=1e-6)


def test_many_boxes_at_once_are_as_one_by_one():
    many = np.array([[0.0, 0, 10, 10], [5, -3, 25, 17]])

    together = geometry.crop_affine(many, 64)

    np.testing.assert_array_equal(together, [geometry.crop_affine(box, 64) for box in many])


@given(affines, affines, pixels)
def test_composed_affines_apply_one_after_the_other(first, second, uv):
    once = geometry.apply_affine(geometry.compose_affine(second, first), uv)

    np.testing.assert_allclose(
        once, geometry.apply_affine(second, geometry.apply_affine(first, uv)), rtol=1e-9, atol=1e-6
    )


@given(affines, pixels)
def test_an_inverse_affine_brings_pixels_back(A, uv):
    back = geometry.apply_affine(geometry.invert_affine(A), geometry.apply_affine(A, uv))

    np.testing.assert_allclose(back, uv, atol=1e-6)


@given(points_in_front(), numbers(-180, 180))
def test_turning_about_the_axis_turns_the_pixels_about_the_principal_point(xyz, degrees):
    K = np.array([[600.0, 0, 300], [0, 600, 200], [0, 0, 1]])  # square pixels: else the two differ (docs/method.md D1)

    turned = geometry.apply_affine(geometry.rotation_affine(degrees, K[:2, 2]), geometry.project(xyz, K))

    np.testing.assert_allclose(
        geometry.project(geometry.rotate_about_axis(xyz, degrees), K), turned, rtol=1e-9, atol=1e-6
    )


def test_positive_angles_turn_counter_clockwise_on_screen():
    A = geometry.rotation_affine(90, np.zeros(2))

    np.testing.assert_allclose(geometry.apply_affine(A, np.array([[1.0, 0.0]])), [[0.0, -1.0]], atol=1e-12)


@pytest.mark.parametrize("case", range(6))
def test_golden_rotation_of_2d_labels(golden, case):
    cases = golden["rotate_2d_640x480_positive_is_counterclockwise_on_screen"]
    expected = cases["cases"][case]
    A = geometry.rotation_affine(expected["angle_deg"], np.array([320, 240]))

    turned = geometry.apply_affine(A, np.array(cases["points"]))

    np.testing.assert_allclose(turned, expected["points_out"], atol=PIXEL)


@pytest.mark.parametrize("case", range(3))
def test_golden_rotation_of_3d_labels(golden, case):
    cases = golden["rotate_3d_about_z"]
    expected = cases["cases"][case]

    turned = geometry.rotate_about_axis(np.array(cases["points"]), expected["angle_deg"])

    np.testing.assert_allclose(turned, expected["points_out"], atol=EXACT)


@pytest.mark.parametrize("case", range(5))
def test_golden_scaling_of_2d_labels(golden, case):
    cases = golden["scale_640x480"]
    expected = cases["cases"][case]
    A = geometry.zoom_affine(expected["percent"], *expected["image_size"])

    np.testing.assert_allclose(geometry.apply_affine(A, np.array(cases["points"])), expected["points_out"], atol=PIXEL)


# ------------------------------------------------------------------------------------------------ masks


@pytest.mark.parametrize(
    ("u", "v", "inside"),
    [
        (-0.5, 0, True), (-0.51, 0, False), (9.49, 0, True), (9.5, 0, False),
        (0, -0.5, True), (0, 4.5, False), (0, 4.49, True), (np.nan, 0, False),
    ],
)  # fmt: skip
def test_a_pixel_is_in_the_picture_up_to_its_edges(u, v, inside):
    assert geometry.in_frame(np.array([u, v]), 10, 5) == inside


@given(pixels, boxes, st.integers(16, 512))
def test_being_in_a_crop_does_not_depend_on_its_size(uv, box, size):
    side = box[2] - box[0]
    positions = uv + 0.5 - box[:2]
    clear = ((np.abs(positions) > 1e-6) & (np.abs(positions - side) > 1e-6)).all(-1)

    inside = geometry.in_frame(geometry.apply_affine(geometry.crop_affine(box, size), uv), size, size)

    np.testing.assert_array_equal(inside[clear], ((positions >= 0) & (positions < side)).all(-1)[clear])


# ------------------------------------------------------------------------------------------------ pose


@given(points_in_front())
def test_a_normalised_pose_has_its_root_at_the_origin_and_its_wrist_at_distance_one(xyz):
    normalized, scale = geometry.normalize_pose(xyz)

    if np.isnan(scale):
        assert np.linalg.norm(xyz[WRIST] - xyz[ROOT]) < geometry.MIN_SCALE
    else:
        np.testing.assert_array_equal(normalized[ROOT], 0)
        assert np.linalg.norm(normalized[WRIST]) == pytest.approx(1, abs=1e-9)


@given(points_in_front())
def test_denormalising_gives_the_pose_back(xyz):
    normalized, scale = geometry.normalize_pose(xyz)

    if np.isfinite(scale):
        np.testing.assert_allclose(geometry.denormalize_pose(normalized, xyz[ROOT], scale), xyz, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("missing", [WRIST, ROOT])
def test_without_wrist_or_root_there_is_no_normalised_pose(missing):
    xyz = np.random.default_rng(0).normal(size=(21, 3)) * 50
    xyz[missing] = np.nan

    normalized, scale = geometry.normalize_pose(xyz)

    assert np.isnan(normalized).all()
    assert np.isnan(scale)


def test_many_poses_at_once_are_as_one_by_one():
    xyz = np.random.default_rng(0).normal(size=(4, 21, 3)) * 50

    normalized, scale = geometry.normalize_pose(xyz)

    for one, pose, size in zip(xyz, normalized, scale, strict=True):
        np.testing.assert_array_equal(geometry.normalize_pose(one)[0], pose)
        assert geometry.normalize_pose(one)[1] == size


def test_golden_normalised_pose_and_projection_of_synthhands(golden):
    vectors = golden["synthhands"]
    in_depth_camera = np.array(vectors["joint_pos_mm"])
    K = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])
    in_color_camera = in_depth_camera + np.array([24.7, -0.0471401, 3.72045])

    np.testing.assert_allclose(geometry.normalize_pose(in_depth_camera)[0], vectors["normalised_3d"], atol=EXACT)
    np.testing.assert_allclose(geometry.project(in_color_camera, K), vectors["uv_640x480"], atol=PIXEL)


def test_golden_projection_of_stereo_by_the_exact_inverse(golden):
    vectors, facts = golden["stereo_projection"], manifest.load("stereo")
    T = np.eye(4)
    T[:3, :3] = geometry.rotation_from_vector(np.array(facts.extra["rotation"]["vector"]))
    T[:3, 3] = facts.extra["rotation"]["translation_mm"]

    in_color = geometry.transform(geometry.invert_rigid(T), np.array(vectors["raw_depth_camera_mm"]))

    uv = geometry.project(in_color, facts.cameras["sk"].K)
    np.testing.assert_allclose(uv, vectors["uv_source_order_exact_inverse"], atol=PIXEL)


# ------------------------------------------------------------------------------------------------ boxes


edges = st.floats(-500, 1500, allow_nan=False)
sides = st.floats(0.5, 800, allow_nan=False)
boxes = st.builds(lambda x, y, w, h: np.array([x, y, x + w, y + h]), edges, edges, sides, sides)


@given(boxes)
def test_edges_to_sides_and_back(box):
    np.testing.assert_allclose(geometry.xywh_to_xyxy(geometry.xyxy_to_xywh(box)), box, atol=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),
        ([0, 0, 10, 10], [2, 2, 4, 4], 0.04),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),
        ([0, 0, 10, 10], [np.nan] * 4, 0.0),
    ],
    ids=["same", "half over", "touching", "inside", "empty", "unknown"],
)
def test_iou_computed_by_hand(a, b, expected):
    assert geometry.iou(np.array(a), np.array(b)) == pytest.approx(expected)


@given(boxes, boxes)
def test_iou_is_symmetric_and_a_share(a, b):
    assert geometry.iou(a, b) == geometry.iou(b, a)
    assert 0 <= geometry.iou(a, b) <= 1


@given(boxes)
def test_iou_of_a_box_with_itself_is_one(box):
    assert geometry.iou(box, box) == pytest.approx(1)


def test_iou_broadcasts():
    many = np.array([[0, 0, 10, 10], [5, 0, 15, 10]])

    np.testing.assert_allclose(geometry.iou(many[:, None], many[None]), [[1, 1 / 3], [1 / 3, 1]])


# ------------------------------------------------------------------------------------------------ examples


def test_every_public_function_has_an_example_that_is_true():
    public = {name for name, value in vars(geometry).items() if inspect.isfunction(value) and name[0] != "_"}
    tests = [test for test in doctest.DocTestFinder().find(geometry, "geometry") if test.examples]

    assert public <= {test.name.removeprefix("geometry.") for test in tests}
    runner = doctest.DocTestRunner(verbose=False)
    assert [test.name for test in tests if runner.run(test).failed] == []
