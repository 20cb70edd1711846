"""The rendered InterHand2.6M tree is laid out as the documents of the real one say."""

import json

import numpy as np
import pytest

from handdata.pictures.decode import read_image
from handdata.synth.native.interhand import frames_shown


@pytest.fixture
def root(native_tree):
    return native_tree("interhand")


@pytest.fixture
def tables(root):
    def load(split):
        folder = root / "annotations" / split
        kinds = ("data", "camera", "joint_3d")
        return [json.loads((folder / f"InterHand2.6M_{split}_{kind}.json").read_text()) for kind in kinds]

    return load


@pytest.mark.parametrize("hands", [1, 2, 3, 14, 60])
def test_the_pictures_show_as_many_hands_as_were_asked_for(hands):
    from handdata.synth.native.interhand import SEQUENCES

    shown = frames_shown(hands)
    assert sum(len(cameras) * len(SEQUENCES[number][3]) for number, _, cameras in shown) == hands


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_records_of_pictures_cameras_and_points_belong_together(root, tables, split):
    data, cameras, joints = tables(split)

    assert [record["id"] for record in data["images"]] == [a["image_id"] for a in data["annotations"]]
    for record, annotation in zip(data["images"], data["annotations"], strict=True):
        image = read_image(root / "images" / split / record["file_name"])
        assert image.shape[1::-1] == (record["width"], record["height"])
        assert (np.ptp(image.astype(int), axis=2).max() == 0) == record["camera"].startswith("41")
        label = joints[str(record["capture"])][str(record["frame_idx"])]
        facts = {key: np.array(by_name[record["camera"]]) for key, by_name in cameras[str(record["capture"])].items()}
        xyz = (np.array(label["world_coord"]) - facts["campos"]) @ facts["camrot"].T
        uv = xyz[:, :2] / xyz[:, 2:] * facts["focal"] + facts["princpt"]
        size = np.array([record["width"], record["height"]])
        valid = np.ravel(label["joint_valid"]).astype(bool)
        inside = valid & (uv >= -0.5).all(1) & (uv < size - 0.5).all(1)
        assert np.array_equal(np.ravel(annotation["joint_valid"]).astype(bool), inside)
        low, high = uv[inside].min(0), uv[inside].max(0)
        x, y, w, h = annotation["bbox"]
        assert (w, h) == pytest.approx((high - low) * 1.2)
        assert (x + w / 2, y + h / 2) == pytest.approx((low + high) / 2)


def test_an_absent_hand_is_ones_that_are_not_valid(tables):
    _, _, joints = tables("train")
    for frames in joints.values():
        for label in frames.values():
            valid = np.ravel(label["joint_valid"]).astype(bool)
            absent = np.array(label["world_coord"])[~valid]
            assert (absent == 1).all()
            if label["hand_type"] != "interacting":
                hand = valid.reshape(2, 21).any(1)
                assert hand.tolist() == [label["hand_type"] == "right", label["hand_type"] == "left"]


def test_a_frame_number_is_of_one_sequence_of_its_capture(tables):
    for split in ("train", "val", "test"):
        data, _, _ = tables(split)
        owner = {}
        for record in data["images"]:
            assert owner.setdefault((record["capture"], record["frame_idx"]), record["seq_name"]) == record["seq_name"]
