"""Crops by the published rules, to the pixel; boxes as edges of a slice."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handdata.pictures import crops


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())


edges = st.floats(-500, 1500, allow_nan=False)
sides = st.floats(0.5, 800, allow_nan=False)
boxes = st.builds(lambda x, y, w, h: np.array([x, y, x + w, y + h]), edges, edges, sides, sides)


@pytest.mark.parametrize("case", range(6))
def test_golden_stereo_crop(golden, case):
    expected = golden["stereo_crop_margin40"][case]

    left, top, side = crops.stereo_square(np.array(expected["points"]), 640, 480)

    assert [left, top] == expected["origin_xy"]
    assert side == expected["size"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), [80, 0, 560, 480]), ((256, 256), [0, 0, 256, 256]), ((300, 400), [0, 50, 300, 350])],
)
def test_the_largest_square_in_the_middle(size, expected):
    assert crops.centered_square(*size).tolist() == expected


def test_a_full_hand_gets_a_margin_of_40_px():
    uv = np.linspace([100, 200], [180, 230], 21)

    # positions are u + 0.5: 100.5 to 180.5, so 80 wide; square about (140.5, 215.5) with half side 40 + 40
    assert crops.keypoint_square(uv).tolist() == [60.5, 135.5, 220.5, 295.5]


@pytest.mark.parametrize(
    ("extent", "half_side"), [(40, 20 + 60), (200, 100 + 100)], ids=["at least 60 px", "half the extent"]
)
def test_tips_get_half_their_extent_and_at_least_60_px(extent, half_side):
    uv = np.full((21, 2), np.nan)
    uv[[4, 8]] = [[100, 100], [100 + extent, 100]]

    left, top, right, bottom = crops.keypoint_square(uv)

    assert (right - left) / 2 == (bottom - top) / 2 == half_side
    assert (left + right) / 2 == 100.5 + extent / 2


@pytest.mark.parametrize("known", [0, 1])
def test_fewer_than_two_keypoints_make_no_crop(known):
    uv = np.full((21, 2), np.nan)
    uv[:known] = 5.0

    assert crops.keypoint_square(uv) is None


@given(boxes)
def test_a_square_of_a_box_holds_it_about_the_same_centre(box):
    square = crops.square_of(box)

    width, height = square[2] - square[0], square[3] - square[1]
    assert width == pytest.approx(height, abs=1e-9)
    assert width == pytest.approx(max(box[2] - box[0], box[3] - box[1]), abs=1e-9)
    np.testing.assert_allclose(square[:2] + square[2:], box[:2] + box[2:], atol=1e-9)


@given(boxes, st.floats(0.1, 5))
def test_scaling_about_the_centre_and_back_changes_nothing(box, factor):
    again = crops.scale_about_center(crops.scale_about_center(box, factor), 1 / factor)

    np.testing.assert_allclose(again, box, atol=1e-6)
