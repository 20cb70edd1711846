"""The rendered Stereo tree is, byte for byte, laid out as the documents of the real one say."""

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from handdata import manifest
from handdata.geometry import project
from handdata.pictures.decode import read_raw
from handdata.synth.native.stereo import ORDER, SEQUENCES, encode_depth

FACTS = manifest.load("stereo")


@pytest.fixture
def root(native_tree):
    return native_tree("stereo")


def labels(root, sequence, family):
    return loadmat(root / "labels" / f"{sequence}_{family}.mat")["handPara"].transpose(2, 1, 0)


def test_twelve_sequences_of_four_pictures_a_frame_without_padding(root):
    folders = sorted(path.name for path in (root / "images").iterdir())

    assert folders == sorted(SEQUENCES) == sorted(ORDER)
    names = {path.name for path in (root / "images/B1Counting").iterdir()}
    assert names == {f"{stem}_{i}.png" for stem in ("SK_color", "SK_depth", "BB_left", "BB_right") for i in range(2)}
    assert sorted(path.name for path in (root / "labels").iterdir()) == sorted(
        f"{sequence}_{family}.mat" for sequence in SEQUENCES for family in ("SK", "BB")
    )


def test_labels_are_matlab_v5_of_three_by_21_by_frames_in_double(root):
    path = root / "labels/B1Counting_SK.mat"

    assert path.read_bytes()[:19] == b"MATLAB 5.0 MAT-file"
    assert path.read_bytes()[124:128] == b"\x00\x01IM"  # version 1, little endian
    assert loadmat(path)["handPara"].shape == (3, 21, 2)
    assert loadmat(path)["handPara"].dtype == np.float64


def test_slot_0_is_the_palm_between_wrist_and_knuckles(root):
    for sequence in SEQUENCES:
        points = labels(root, sequence, "SK")
        named = dict(zip(FACTS.keypoints, points.transpose(1, 0, 2), strict=True))
        to_middle = np.linalg.norm(named["palm_center"] - named["middle_mcp"], axis=-1)
        assert ((to_middle > 25) & (to_middle < 70)).all()


def test_bb_labels_are_the_sk_labels_seen_from_the_left_camera(root):
    offset = labels(root, "B3Random", "BB") - labels(root, "B3Random", "SK")

    assert np.ptp(offset, axis=(0, 1)) == pytest.approx(0, abs=1e-9)
    assert abs(offset[0, 0, 0]) < 120.054  # the pair stands about the other camera


def test_depth_is_red_plus_256_green_in_the_depth_camera_s_pixels(root):
    K = FACTS.cameras["sk_depth"].K
    near = []
    for sequence in SEQUENCES:
        red, green, blue = np.moveaxis(
            read_raw(root / "images" / sequence / "SK_depth_0.png")[..., ::-1].astype(int), -1, 0
        )
        assert (blue == 0).all()
        depth = red + 256 * green
        points = labels(root, sequence, "SK")[0]
        for (u, v), z in zip(project(points, K), points[:, 2], strict=True):
            if 0 <= u < 639.5 and 0 <= v < 479.5 and depth[round(v), round(u)]:
                near.append(z - depth[round(v), round(u)])

    assert len(near) > 150
    assert np.median(near) > 0  # labels lie under the skin
    assert np.mean(np.array(near) > -2) > 0.97


@pytest.mark.parametrize(
    ("mm", "rgb"), [(0, (0, 0, 0)), (255.4, (255, 0, 0)), (600, (88, 2, 0)), (65000, (232, 253, 0))]
)
def test_depth_encoding(mm, rgb):
    assert tuple(encode_depth(np.full((1, 1), mm, np.float32))[0, 0]) == rgb


def test_pictures_are_8_bit_colour_of_640_by_480(root):
    for stem in ("SK_color", "SK_depth", "BB_left", "BB_right"):
        picture = cv2.imread(str(root / f"images/B1Random/{stem}_0.png"), cv2.IMREAD_UNCHANGED)
        assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)


@pytest.mark.parametrize("camera", ["sk", "bb_left", "bb_right"])
def test_the_hand_lies_in_every_camera_s_picture(root, camera):
    from tests.converters.conftest import samples_of

    uv = np.stack([sample.keypoints_2d[1:] for sample in samples_of("stereo", root, camera=camera).values()])
    inside = ((uv >= 0) & (uv <= [639, 479])).all(-1)
    assert inside.mean() > 0.97
