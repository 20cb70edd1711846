"""Pictures are read whole or refused, and a window of one keeps every dot under its label."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handdata.errors import DataError, MissingError
from handdata.geometry import apply_affine, crop_affine
from handdata.pictures import decode as images
from handdata.pictures.crops import scale_about_center


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def write(path, picture):
    assert cv2.imwrite(str(path), picture[..., ::-1])
    return path


def test_colours_come_out_as_rgb(tmp_path):
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255

    assert images.read_image(write(tmp_path / "red.png", red))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_pictures_come_back_as_they_were(tmp_path, picture, suffix):
    np.testing.assert_array_equal(images.read_image(write(tmp_path / f"p{suffix}", picture)), picture)


def test_a_grey_picture_has_three_equal_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.arange(16, dtype=np.uint8).reshape(4, 4))

    read = images.read_image(tmp_path / "grey.png")

    np.testing.assert_array_equal(read, np.arange(16).reshape(4, 4, 1).repeat(3, 2))


def test_depth_keeps_its_sixteen_bits(tmp_path):
    depth = np.array([[0, 355, 32001], [1, 65535, 256]], np.uint16)
    cv2.imwrite(str(tmp_path / "depth.png"), depth)

    read = images.read_raw(tmp_path / "depth.png")

    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, depth)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_picture_cut_short_is_refused(tmp_path, picture, suffix, share):
    path = write(tmp_path / f"p{suffix}", picture)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(DataError, match="cut short"):
        images.read_image(path)


def test_a_flipped_bit_in_a_png_is_refused(tmp_path, picture):
    path = write(tmp_path / "p.png", picture)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(DataError, match="checksum fails"):
        images.read_image(path)


@pytest.mark.parametrize(
    ("data", "got"), [(b"", "an empty file"), (b"hello world", "begins with b'hell'")], ids=["empty", "text"]
)
def test_what_is_no_picture_is_refused(tmp_path, data, got):
    (tmp_path / "p.png").write_bytes(data)

    with pytest.raises(DataError, match=got):
        images.read_image(tmp_path / "p.png")


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"nowhere\.png: expected a picture, got no file"):
        images.read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_the_size_is_read_from_the_header(tmp_path, picture, suffix):
    assert images.image_size(write(tmp_path / f"p{suffix}", picture)) == (60, 40)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\nxx"])
def test_a_header_that_cannot_be_read_is_refused(tmp_path, data):
    (tmp_path / "p.png").write_bytes(data)

    with pytest.raises(DataError):
        images.image_size(tmp_path / "p.png")


# ------------------------------------------------------------------------------------------------ windows


def test_the_whole_picture_at_its_own_size_is_itself():
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)

    np.testing.assert_array_equal(images.resample_square(square, np.array([0, 0, 32, 32]), 32), square)


def test_a_window_of_whole_pixels_is_a_slice(picture):
    window = images.resample_square(picture, np.array([10, 5, 34, 29]), 24)

    np.testing.assert_array_equal(window, picture[5:29, 10:34])


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.15, 1.3, 2.0, 2.5, 2.97, 3.75, 5.5, 6.9])
def test_a_window_is_what_pillow_s_antialiased_filter_gives(scale):
    """Independent reference: Pillow without shortcuts, on a picture with edges, waves and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:480, 0:640]
    waves = 110 + 60 * np.sin(x / 7.0 + y / 23.0) + 50 * ((x // 40 + y // 30) % 2)
    picture = np.clip(waves[..., None] + rng.normal(0, 6, (480, 640, 3)), 0, 255).astype(np.uint8)
    side = 64 * scale
    box = np.array([50.25, 30.5, 50.25 + side, 30.5 + side])

    window = images.resample_square(picture, box, 64)

    exact = Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR, box=tuple(box))
    difference = np.abs(window.astype(int) - np.asarray(exact))[1:-1, 1:-1]
    assert difference.mean() < 1.0
    assert difference.max() <= 8


@pytest.mark.parametrize("width", [1.01, 1.15, 1.5, 2.0, 2.3, 3.0, 3.6])
def test_smoothing_and_sampling_together_blur_like_the_triangle(width):
    weights = images._triangle(width).astype(float)
    steps = np.arange(len(weights)) - len(weights) // 2

    sampling = 1 / 6  # the mean of p (1 - p) over where between two pixels one samples
    assert weights.sum() == pytest.approx(1)
    assert (weights * steps**2).sum() + sampling == pytest.approx(width**2 / 6)


def test_outside_the_picture_is_black(picture):
    window = images.resample_square(picture, np.array([-8, -8, 16, 16]), 24)

    assert not window[:8].any()
    assert not window[:, :8].any()
    np.testing.assert_array_equal(window[8:, 8:], picture[:16, :16])


@pytest.mark.parametrize(
    "box", [[-20, -30, 80, 70], [-50.3, -40.6, 49.7, 59.4], [35.5, 22.5, 75.5, 62.5], [-9, 9, 11, 29]]
)
def test_a_window_beyond_the_picture_is_that_of_a_picture_with_black_round_it(picture, box):
    box, wide = np.array(box), np.pad(picture, ((300, 300), (300, 300), (0, 0)))

    window = images.resample_square(picture, box, 32)

    assert np.abs(window.astype(int) - images.resample_square(wide, box + 300, 32)).max() <= 1


def test_a_window_that_misses_the_picture_is_black(picture):
    assert not images.resample_square(picture, np.array([100, 100, 124, 124]), 24).any()


positions = st.floats(60, 260)
windows = st.builds(
    lambda x, y, side: np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2]),
    positions, positions, st.floats(120, 500),
)  # fmt: skip


@settings(max_examples=60)
@given(positions, positions, windows, st.sampled_from([96, 192, 256]))
def test_a_drawn_dot_stays_under_its_label(u, v, box, size):
    v_axis, u_axis = np.mgrid[0:320, 0:320]
    dot = 255 * np.exp(-((u_axis - u) ** 2 + (v_axis - v) ** 2) / (2 * 4.0**2))
    canvas = images.resample_square(np.repeat(dot[..., None], 3, 2).astype(np.uint8), box, size)

    expected = apply_affine(crop_affine(box, size), np.array([[u, v]]))[0]

    scale = size / (box[2] - box[0])
    clear = 4 * 4.0 * scale
    if (expected > clear).all() and (expected < size - 1 - clear).all():
        weights = canvas[..., 0].astype(float)
        rows, columns = np.mgrid[0:size, 0:size]
        centre = [(columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()]
        np.testing.assert_allclose(centre, expected, atol=0.06 * max(1, scale))


def test_a_dot_stays_under_its_label_through_canvas_and_crop():
    u, v, crop = 171.3, 140.8, np.array([100.0, 80, 230, 210])
    v_axis, u_axis = np.mgrid[0:320, 0:320]
    dot = 255 * np.exp(-((u_axis - u) ** 2 + (v_axis - v) ** 2) / (2 * 4.0**2))
    window = scale_about_center(crop, 1.5)
    canvas = images.resample_square(np.repeat(dot[..., None], 3, 2).astype(np.uint8), window, 192)
    in_canvas = crop_affine(window, 192)
    tight = apply_affine(in_canvas, crop.reshape(2, 2) - 0.5).ravel() + 0.5  # the crop's edges in the canvas
    final = images.resample_square(canvas, tight, 128)[..., 0].astype(float)

    expected = apply_affine(crop_affine(crop, 128), np.array([[u, v]]))[0]

    rows, columns = np.mgrid[0:128, 0:128]
    centre = [(columns * final).sum() / final.sum(), (rows * final).sum() / final.sum()]
    np.testing.assert_allclose(centre, expected, atol=0.06)


def test_masks_keep_their_labels_and_say_what_is_outside():
    mask = np.zeros((20, 20), np.uint8)
    mask[5:10, 5:10] = 2

    window = images.resample_mask(mask, np.array([-10, -10, 20, 20]), 60, outside=255)

    assert set(np.unique(window)) == {0, 2, 255}
    assert (window[:20] == 255).all()
    assert (window[30:40, 30:40] == 2).all()


@given(windows, st.sampled_from([64, 192]))
def test_masks_and_pictures_show_the_same_window(box, size):
    picture = np.zeros((320, 320, 3), np.uint8)
    picture[100:220, 120:200] = 255
    canvas = images.resample_square(picture, box, size)[..., 0]
    mask = images.resample_mask((picture[..., 0] > 0).astype(np.uint8), box, size, outside=0)

    unclear = cv2.dilate(cv2.Canny(mask * 255, 1, 2), np.ones((5, 5), np.uint8)) > 0

    np.testing.assert_array_equal(canvas[~unclear] > 127, mask[~unclear] > 0)


@pytest.mark.parametrize(
    ("box", "outside"),
    [([0, 0, 60, 40], False), ([-0.1, 0, 5, 5], True), ([0, 0, 60.1, 40], True), ([1, 1, 2, 2], False)],
)
def test_a_window_beyond_the_picture_is_told(box, outside):
    assert images.touches_outside(np.array(box), 60, 40) == outside


def keyed_hand():
    """A flat hand before a key colour, and where it is."""
    keep = np.zeros((120, 160), bool)
    keep[30:90, 50:58] = keep[40:50, 58:100] = True
    return np.where(keep[..., None], np.uint8((200, 150, 120)), np.uint8((14, 255, 14))), keep


@pytest.mark.parametrize("scale", [0.3, 0.9, 1.7])
def test_no_key_colour_runs_into_kept_pixels(scale):
    image, keep = keyed_hand()
    box, size = np.array([-20.0, -40.0, 180.0, 160.0]), round(200 * scale)
    canvas = images.resample_kept(image, keep, box, size)
    kept = images.resample_mask(keep.astype(np.uint8), box, size, 0) > 0

    assert np.abs(canvas[kept].astype(int) - (200, 150, 120)).max() <= 8  # 8 bits where the mask weighs little
    assert np.array_equal(canvas[~kept], images.resample_square(image, box, size)[~kept])


def test_a_picture_that_is_kept_whole_is_only_resized(picture):
    box = np.array([5.5, 0.5, 44.5, 39.5])
    kept = images.resample_kept(picture, np.ones(picture.shape[:2], bool), box, 30)

    assert np.abs(kept.astype(int) - images.resample_square(picture, box, 30)).max() <= 1


def test_a_checksum_that_fails_after_the_pixels_is_refused(tmp_path, picture):
    path = write(tmp_path / "p.png", picture)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\x00")

    with pytest.raises(DataError, match="checksum fails"):
        images.read_image(path)
