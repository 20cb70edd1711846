"""A hand as an object: every pixel counts in its own picture, whatever is done to it."""

import io
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import handdata as hd
from handdata.errors import DataError, MissingError
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.shards.hand import Hand
from tests.train.made_shards import HEIGHT, WIDTH, made_sample, write_dataset

K = np.array([[300.0, 0.0, 155.3], [0.0, 306.0, 122.7], [0.0, 0.0, 1.0]])
DOT = (255, 255, 255)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("made") / "rhd", "rhd", (4, 3), canvas=192))


def whole(number=0, **changes):
    """A hand in the picture as shipped: white dots at its keypoints."""
    sample = made_sample(number)
    values = {"image": sample.image, "side": "left", "keypoints_2d": sample.keypoints_2d, "K": sample.K,
              "keypoints_3d": sample.keypoints_3d, "id": sample.id}  # fmt: skip
    return Hand(**(values | changes))


def brightness_at_keypoints(hand):
    """Mean level under the keypoints that lie well inside."""
    height, width = hand.image.shape[:2]
    uv = hand.keypoints_2d
    inside = ((uv > 2) & (uv < np.array([width, height]) - 3)).all(-1)
    places = uv[inside].round().astype(int)
    return hand.image[places[:, 1], places[:, 0]].mean()


def test_labels_of_a_stored_hand_lie_on_its_picture(data):
    for hand in data:
        assert brightness_at_keypoints(hand) > 225
        np.testing.assert_allclose(project(hand.keypoints_3d, hand.K), hand.keypoints_2d, atol=0.01)


def test_the_source_counts_in_pixels_as_shipped(data):
    for number, hand in enumerate(data):
        assert hand.source.size == (WIDTH, HEIGHT)
        np.testing.assert_allclose(hand.source.keypoints_2d, made_sample(number).keypoints_2d, atol=1e-4)
        np.testing.assert_allclose(
            project(hand.source.keypoints_3d, hand.source.K), hand.source.keypoints_2d, atol=0.01
        )
        assert hand.source.source is hand.source
        assert hand.source.image is None


@pytest.mark.parametrize("rotate", [0, 25, -140])
@pytest.mark.parametrize("scale", [1.0, 1.6])
def test_a_crop_keeps_labels_on_the_picture_and_3d_on_2d(rotate, scale):
    hand = whole(2)
    crop = hand.crop(200, rotate=rotate, scale=scale)

    assert crop.image.shape == (200, 200, 3)
    assert brightness_at_keypoints(crop) > 200
    np.testing.assert_allclose(project(crop.keypoints_3d, crop.K), crop.keypoints_2d, atol=1e-6)
    assert crop.source is hand
    np.testing.assert_allclose(
        crop.source_to_image[:, :2] @ hand.keypoints_2d[4] + crop.source_to_image[:, 2], crop.keypoints_2d[4]
    )


def test_a_larger_scale_shows_more():
    hand = whole()
    narrow, wide = (np.ptp(hand.crop(100, scale=scale).keypoints_2d, axis=0).max() for scale in (1, 2))

    assert narrow == pytest.approx(2 * wide)


def test_a_small_crop_is_averaged_not_sampled():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (400, 400, 3)).astype(np.uint8)
    hand = Hand(
        image=noise, side="left", crop_box=[0, 0, 400, 400], K=np.diag([300.0, 300, 1]) + np.eye(3, k=2) * 199.5
    )

    for rotate in (0, 30):
        assert hand.crop(20, rotate=rotate, scale=0.6).image.std() < 15  # single samples would have 74


def test_a_mask_follows_a_crop():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[100:140, 130:180] = 1
    hand = whole(mask=mask, foreground=mask > 0, crop_box=[115, 80, 195, 160])
    straight, turned = hand.crop(80), hand.crop(80, rotate=90)

    assert straight.mask.sum() == straight.foreground.sum() == 40 * 50
    assert abs(int((turned.mask == 1).sum()) - 40 * 50) < 100
    assert turned.foreground.dtype == np.bool_


def test_a_hand_of_unknown_side_is_one_in_the_mirror_too():
    hand = Hand(image=np.zeros((4, 6, 3), np.uint8), side="unknown", keypoints_2d=np.full((21, 2), 1.0))

    mirrored = hand.mirrored()

    assert (mirrored.side, mirrored.keypoints_2d[0].tolist()) == ("unknown", [4.0, 1.0])


def test_a_mirror_shown_twice_is_the_hand():
    hand = whole(mask=np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8), box=[3, 4, 50, 60])
    mirrored = hand.mirrored()

    assert mirrored.side == "right"
    assert brightness_at_keypoints(mirrored) > 225
    np.testing.assert_allclose(project(mirrored.keypoints_3d, mirrored.K), mirrored.keypoints_2d, atol=1e-6)
    assert mirrored.box.tolist() == [WIDTH - 50, 4, WIDTH - 3, 60]
    back = mirrored.mirrored()
    for name in ("image", "keypoints_2d", "keypoints_3d", "K", "box", "mask", "source_to_image"):
        np.testing.assert_allclose(getattr(back, name), getattr(hand, name), err_msg=name)
    assert mirrored.source is hand


def test_what_is_not_given_follows_from_the_points():
    uv = np.full((21, 2), 20.0)
    uv[3] = np.nan
    uv[4] = -30
    hand = whole(keypoints_2d=uv)

    assert hand.annotated_2d.tolist() == [k != 3 for k in range(21)]
    assert hand.in_frame.tolist() == [k not in (3, 4) for k in range(21)]
    assert hand.scale_mm == pytest.approx(np.linalg.norm(hand.keypoints_3d[0] - hand.keypoints_3d[9]))
    np.testing.assert_allclose(hand.keypoints_3d_normalized[9], 0)
    assert hand.visible.tolist() == [-1] * 21


def test_drawing_enlarges_a_small_picture_and_names_keypoints(data):
    drawn, named = data[0].draw(), data[0].draw(names=True)

    assert drawn.size == (384, 384)
    assert np.any(np.asarray(drawn) != np.asarray(named))
    assert data[0].draw(scale=1).size == (192, 192)


def test_a_source_without_its_picture_draws_on_one_that_is_given(data):
    with pytest.raises(ValueError, match="give one with image="):
        data[0].source.draw()
    assert data[0].source.draw(image=made_sample(0).image, scale=1).size == (WIDTH, HEIGHT)


def test_a_notebook_shows_a_png(data):
    assert Image.open(io.BytesIO(data[0]._repr_png_())).size == (384, 384)


def test_its_text_says_what_it_is(data):
    assert repr(data[0]) == "<Hand rhd/made/00000: left, 192 x 192 px, 21 keypoints in 2D, 21 in 3D>"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"side": "Left"}, "side must be one of left, right, unknown, got 'Left'"),
        ({"keypoints_2d": np.zeros((20, 2))}, r"keypoints_2d must have the shape \(21, 2\), got \(20, 2\)"),
        ({"image": np.zeros((4, 4, 3))}, r"image must be \(H, W, 3\) uint8 RGB, got \(4, 4, 3\) float64"),
        ({"image": np.zeros((4, 4), np.uint8)}, r"image must be \(H, W, 3\) uint8 RGB"),
        ({"visible": np.ones(20)}, r"visible must have the shape \(21,\), got \(20,\)"),
        ({"peaks": [1.0]}, r"peaks must have the shape \(21,\), got \(1,\)"),
        ({"mask": np.zeros((5, 5), np.uint8)}, rf"mask must have the shape \({HEIGHT}, {WIDTH}\), got \(5, 5\)"),
        ({"foreground": np.zeros((WIDTH, HEIGHT), bool)}, "foreground must have the shape"),
    ],
)
def test_a_wrong_attribute_is_told(changes, line):
    with pytest.raises(ValueError, match=line):
        whole(**changes)


def test_an_unknown_attribute_names_the_nearest():
    with pytest.raises(ValueError, match="unknown attribute 'keypoints2d'; the nearest is 'keypoints_2d'"):
        Hand.from_dict({"image": np.zeros((4, 4, 3), np.uint8), "side": "left", "keypoints2d": 0})


def test_public_names_are_the_classes(data):
    assert hd.Hand is Hand
    assert isinstance(data[0], hd.Hand)


@pytest.mark.parametrize("how", [{"rotate": np.nan}, {"scale": 0}, {"scale": np.inf}])
def test_a_crop_of_nothing_is_refused(how):
    with pytest.raises(
        ValueError, match="a crop needs a whole size to 16384, a finite rotate and a scale above 0 to 100, got size 64"
    ):
        whole().crop(64, **how)
    with pytest.raises(ValueError, match="a crop needs a whole size"):
        whole().crop("64")


@pytest.mark.parametrize(
    "value", [3j, np.complex128(60 + 1j), np.array(60 + 0j), "60", True, [60.0], None, np.datetime64(60, "D")]
)
def test_a_number_that_is_none_is_refused(value):
    """Of a complex one NumPy would lose a part with a warning alone."""
    for name in ("scale_mm", "presence"):
        with pytest.raises(ValueError, match=f"{name} must be a real number, got "):
            whole(**{name: value})
    for name in ("scale", "rotate"):
        with pytest.raises(ValueError, match=f"{name} must be a real number, got "):
            whole().crop(64, **{name: value})


@pytest.mark.parametrize("value", [60, np.float32(60), np.array(60.0), Fraction(60), Decimal(60)])
def test_any_real_number_is_one(value):
    hand = replace(whole(), scale_mm=value)  # where nothing follows from points any more

    assert (hand.scale_mm, type(hand.scale_mm)) == (60.0, float)


def test_a_crop_or_drawing_that_cannot_be_says_why(data):
    with pytest.raises(ValueError, match="a crop needs a picture; that as shipped is not kept in shards"):
        data[0].source.crop(64)
    with pytest.raises(ValueError, match=r"scale must be a whole number, 1 or more, got 1\.5"):
        data[0].draw(scale=1.5)
    with pytest.raises(ValueError, match=r"scale must keep the picture within 16384 px, got 1000000 times"):
        data[0].draw(scale=10**6)


def test_a_hand_made_of_a_file_knows_its_path_and_draws_on_another(data, tmp_path):
    picture = tmp_path / "a.png"
    Image.fromarray(made_sample(0).image).save(picture)
    hand = Hand.from_dict({"image": str(picture), "side": "left"})

    np.testing.assert_array_equal(hand.image, made_sample(0).image)
    assert hand.path == hand.crop(64).path == hand.mirrored().path == picture
    assert data[0].path is None
    assert data[0].source.draw(image=picture, scale=1).size == (WIDTH, HEIGHT)


def test_a_file_that_is_no_picture_is_told_without_options_of_a_command(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png: .* Save it again as PNG, JPEG or BMP, or leave it out\.$"):
        Hand.from_dict({"image": tmp_path / "bad.png", "side": "left"})
    with pytest.raises(MissingError, match=r"none\.png: expected a picture, got no file\. Check the path\.$"):
        whole().draw(image=tmp_path / "none.png")
