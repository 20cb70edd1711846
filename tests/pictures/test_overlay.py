"""What is drawn lies where the label says."""

import numpy as np
import pytest

from handdata.pictures.overlay import color_of, contact_sheet, draw_box, draw_skeleton
from handdata.skeleton import FINGER_COLORS, INDEX, WRIST_COLOR

GREY = np.full((120, 160, 3), 90, np.uint8)


def alone(name, u, v):
    uv = np.full((21, 2), np.nan)
    uv[INDEX[name]] = (u, v)
    return uv


@pytest.mark.parametrize(("u", "v"), [(80, 60), (31.5, 77.25), (0, 0), (159, 119)])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_dot_is_drawn_about_its_label(u, v, scale):
    drawn = draw_skeleton(np.full((200, 300, 3), 90, np.uint8), alone("index_tip", u + 40, v + 20), scale=scale)

    rows, columns = np.nonzero((drawn != 90).any(-1))
    expected = (np.array([u + 40, v + 20]) + 0.5) * scale - 0.5
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=0.3)


def test_a_finger_has_its_own_colour():
    drawn = draw_skeleton(GREY, alone("little_tip", 80, 60))

    assert drawn[60, 80].tolist() == list(FINGER_COLORS[4]) == list(color_of(INDEX["little_tip"]))
    assert color_of(0) == WRIST_COLOR


def test_a_hidden_keypoint_is_hollow():
    visible = np.ones(21, np.int8)
    visible[INDEX["thumb_tip"]] = 0

    big = np.full((600, 600, 3), 90, np.uint8)
    assert draw_skeleton(big, alone("thumb_tip", 300, 300), visible)[300, 300].tolist() == [90, 90, 90]
    assert draw_skeleton(big, alone("thumb_tip", 300, 300))[300, 300].tolist() != [90, 90, 90]


@pytest.mark.parametrize("place", [(np.nan, np.nan), (1e9, 5), (-1e7, -1e7)])
def test_what_has_no_place_in_the_picture_is_not_drawn(place):
    np.testing.assert_array_equal(draw_skeleton(GREY, alone("wrist", *place)), GREY)


def test_the_picture_given_is_left_as_it_is():
    before = GREY.copy()

    draw_skeleton(GREY, np.full((21, 2), 50.0))
    draw_box(GREY, np.array([1, 1, 9, 9]))

    np.testing.assert_array_equal(GREY, before)


def test_a_box_is_drawn_on_its_edges():
    drawn = draw_box(np.zeros((40, 40, 3), np.uint8), np.array([10, 12, 30, 28]))

    rows, columns = np.nonzero(drawn.any(-1))
    assert abs((columns.min() + columns.max()) / 2 - 19.5) <= 0.5
    assert abs((rows.min() + rows.max()) / 2 - 19.5) <= 0.5
    assert not drawn[20, 20].any()


def test_a_contact_sheet_holds_every_picture_in_rows():
    tiles = [np.full((10, 20, 3), 100 + k, np.uint8) for k in range(5)]

    sheet = contact_sheet(tiles, columns=3, gap=2)

    assert sheet.shape == (2 * 12 + 2, 3 * 22 + 2, 3)
    assert [sheet[2 + 12 * (k // 3), 2 + 22 * (k % 3), 0] for k in range(5)] == [100, 101, 102, 103, 104]


def test_no_pictures_make_no_sheet():
    with pytest.raises(ValueError, match="no pictures"):
        contact_sheet([])


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ((GREY.astype(float), np.zeros((21, 2))), r"image must be \(H, W, 3\) uint8 RGB, got \(.*\) float64"),
        (
            (np.zeros((0, 5, 3), np.uint8), np.zeros((21, 2))),
            r"image must be \(H, W, 3\) uint8 RGB, got \(0, 5, 3\) uint8",
        ),
        (("photo.jpg", np.zeros((21, 2))), r"image must be \(H, W, 3\) uint8 RGB, got str"),
        ((GREY, np.zeros((5, 2))), r"keypoints_2d must have the shape \(21, 2\), got \(5, 2\)"),
        ((GREY, np.zeros((21, 2)), [1]), r"visible must have the shape \(21,\), got \(1,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(asked, line):
    with pytest.raises(ValueError, match=line):
        draw_skeleton(*asked)


@pytest.mark.parametrize("scale", [0, -2, 1.5])
def test_a_picture_is_enlarged_whole_times(scale):
    with pytest.raises(ValueError, match="scale must be a whole number, 1 or more"):
        draw_skeleton(GREY, np.zeros((21, 2)), scale=scale)
