"""The rendered HO-3D tree is laid out as the documents of version 3 say."""

import json

import numpy as np
import pytest

from handdata.converters.read import pickle_numpy
from handdata.pictures.decode import read_image, read_raw
from handdata.synth.native.ho3d import DEPTH_M, FIELDS, encode_depth
from tests.conftest import NATIVE_FRAMES


@pytest.fixture
def root(native_tree):
    return native_tree("ho3d")


def listed(root, name):
    return (root / f"{name}.txt").read_text().split()


def test_the_lists_name_what_is_annotated_and_folders_hold_more(root):
    lines = {name: listed(root, name) for name in ("train", "evaluation")}

    assert sum(map(len, lines.values())) == NATIVE_FRAMES
    assert all(names == sorted(names) for names in lines.values())
    for name, places in lines.items():
        there = {f"{p.parent.parent.name}/{p.stem}" for p in (root / name).glob("*/rgb/*.jpg")}
        assert set(places) <= there
        assert (set(places) < there) == (name == "train")
        for place in there - set(places):
            sequence, number = place.split("/")
            assert set(pickle_numpy.load(root / name / sequence / f"meta/{number}.pkl").values()) == {None}


def test_points_are_metres_of_an_opengl_camera_and_evaluation_has_the_wrist(root):
    labels = dict(zip(listed(root, "evaluation"), json.loads((root / "evaluation_xyz.json").read_text()), strict=True))
    for name in ("train", "evaluation"):
        for place in listed(root, name):
            sequence, number = place.split("/")
            facts = pickle_numpy.load(root / name / sequence / f"meta/{number}.pkl")
            points = facts["handJoints3D"].reshape(-1, 3)
            assert (points[:, 2] < 0).all()
            assert (np.abs(points) < 1.2).all()
            if name == "train":
                assert facts.keys() == set(FIELDS)
                assert points.shape == (21, 3)
                assert facts["objCorners3D"].shape == (8, 3)
            else:
                assert facts["handJoints3D"].shape == (3,)
                assert points[0] == pytest.approx(labels[place][0])
                assert len(facts["handBoundingBox"]) == 4


def test_pickles_name_numpy_as_older_readers_know_it(root):
    for path in root.rglob("*.pkl"):
        data = path.read_bytes()
        assert data[:2] == b"\x80\x02"
        assert b"numpy._core" not in data


@pytest.mark.parametrize(
    ("metres", "red_green"), [(0.5, (160, 15)), (1.0, (65, 31)), (0.0, (0, 0)), (20.0, (255, 255))]
)
def test_depth_has_its_low_byte_in_red(metres, red_green):
    assert encode_depth(np.array([[metres * 1000]], np.float32))[0, 0].tolist() == [*red_green, 0]


def test_pictures_depth_and_segmentation_belong_together(root):
    for place in listed(root, "train"):
        sequence, number = place.split("/")
        folder = root / "train" / sequence
        assert read_image(folder / f"rgb/{number}.jpg").shape == (480, 640, 3)
        depth = read_raw(folder / f"depth/{number}.png")[..., ::-1].astype(float) @ [1, 256, 0] * DEPTH_M
        seg = read_image(folder / f"seg/{number}.png")
        assert seg.shape == (240, 320, 3)
        assert ((depth[::2, ::2] > 0) >= (seg.max(axis=2) > 0)).all()
        assert not seg[..., 0].any()
