"""The rendered COCO-WholeBody tree is laid out as the documents of the real one say."""

import json

import numpy as np
import pytest

from handdata.pictures.decode import read_image
from handdata.synth.native.wholebody import sides_shown

SIDES = ("left", "right")


@pytest.fixture
def tables(native_tree):
    root = native_tree("wholebody")
    folder = root / "annotations"
    return root, {n: json.loads((folder / f"coco_wholebody_{n}_v1.0.json").read_text()) for n in ("train", "val")}


@pytest.mark.parametrize("hands", [1, 2, 3, 4, 17])
def test_the_pictures_show_as_many_hands_as_were_asked_for(hands):
    assert sum(len(sides) for sides in sides_shown(hands)) == hands


@pytest.mark.parametrize("name", ["train", "val"])
def test_records_of_pictures_and_people_belong_together(tables, name):
    root, table = tables[0], tables[1][name]
    assert len({person["id"] for person in table["annotations"]}) == len(table["annotations"])
    for picture in table["images"]:
        image = read_image(root / f"{name}2017" / picture["file_name"])
        assert image.shape[1::-1] == (picture["width"], picture["height"])
        assert picture["file_name"] == f"{picture['id']:012d}.jpg"
    known = {picture["id"] for picture in table["images"]}
    assert {person["image_id"] for person in table["annotations"]} == known


def test_a_hand_that_is_not_valid_is_zeros_and_marks_are_of_a_person_or_a_model(tables):
    kinds = set()
    for table in tables[1].values():
        for person in table["annotations"]:
            for side in SIDES:
                points = np.reshape(person[f"{side}hand_kpts"], (21, 3))
                x, y, w, h = person[f"{side}hand_box"]
                if person[f"{side}hand_valid"]:
                    assert (points[:, 2] > 0).all()
                    assert (points[:, :2] >= [x, y]).all()
                    assert (points[:, :2] <= [x + w, y + h]).all()
                    kinds.add("person" if set(points[:, 2]) <= {1.0, 2.0} else "model")
                else:
                    assert not points.any()
                    assert (x, y, w, h) == (0, 0, 0, 0)
    assert kinds == {"person", "model"}
    people = [person for table in tables[1].values() for person in table["annotations"]]
    assert {person["iscrowd"] for person in people} == {0, 1}
    assert any(not (p["lefthand_valid"] or p["righthand_valid"]) for p in people)
