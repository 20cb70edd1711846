"""What is peculiar to COCO-WholeBody: two hands of a person, marks that are confidences, no 3D."""

import json
import shutil

import cv2
import numpy as np
import pytest

from handdata.conversion.run import convert
from handdata.errors import DataError, MissingError
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import BoxSource
from handdata.skeleton import INDEX, LEFT, RIGHT
from tests.converters import real
from tests.converters.conftest import plan_of, samples_of

UV = np.arange(21)[:, None] * [3.0, 2.0] + [40.0, 50.0]


def hand(marks=2, valid=True, box=(38, 48, 70, 50)):
    points = np.column_stack([UV, np.broadcast_to(marks, 21)]) if valid else np.zeros((21, 3))
    return {"kpts": points.ravel().tolist(), "box": list(box) if valid else [0.0] * 4, "valid": valid}


@pytest.fixture
def tree(tmp_path):
    """Make one picture of one person; arguments change the person's right hand, left hand and records."""

    def make(right=None, left=None, person=None, image=None, folder="annotations", name="val"):
        root = tmp_path / "wholebody"
        (root / f"{name}2017").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / f"{name}2017/000000000785.jpg"), np.full((120, 160, 3), 90, np.uint8))
        record = {"image_id": 785, "id": 7, "iscrowd": 0, "category_id": 1}
        for side, what in (("right", right or hand()), ("left", left or hand(valid=False))):
            record |= {f"{side}hand_{key}": value for key, value in what.items()}
        picture = {"id": 785, "file_name": "000000000785.jpg", "width": 160, "height": 120} | (image or {})
        path = root / folder / f"coco_wholebody_{name}_v1.0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"info": {}, "images": [picture], "annotations": [record | (person or {})]}))
        return root

    return make


def test_points_and_box_are_as_labelled_and_there_is_no_3d(tree):
    (sample,) = samples_of("wholebody", tree()).values()

    assert sample.keypoints_2d == pytest.approx(UV)
    assert np.isnan(sample.keypoints_3d).all()
    assert sample.K is None
    assert (sample.hand_side, sample.bbox_source) == (RIGHT, BoxSource.DATASET)
    assert sample.bbox_xyxy == pytest.approx([38, 48, 108, 98])
    left, top, right, bottom = sample.crop_xyxy  # 1.5 times the width of the box, which is the longer side
    assert (left, right, bottom - top) == pytest.approx((73 - 52.5, 73 + 52.5, 105))


def test_both_hands_of_a_person_are_samples(tree):
    samples = samples_of("wholebody", tree(left=hand()))

    assert {name: sample.hand_side for name, sample in samples.items()} == {
        "val2017/000000000785/7/left": LEFT,
        "val2017/000000000785/7/right": RIGHT,
    }


@pytest.mark.parametrize(("mark", "visible"), [(2, 1), (1, -1), (0.4, -1)])
def test_mark_2_is_visible_and_no_other_says_anything(tree, mark, visible):
    (sample,) = samples_of("wholebody", tree(right=hand(mark))).values()

    assert (sample.visible == visible).all()
    assert np.isfinite(sample.keypoints_2d).all()


def test_a_mark_of_0_is_no_label(tree):
    (sample,) = samples_of("wholebody", tree(right=hand(np.arange(21) % 2))).values()

    assert np.isfinite(sample.keypoints_2d).all(1).tolist() == [bool(k % 2) for k in range(21)]


def test_unsure_points_of_a_model_can_be_left_out_and_people_s_stay(tree):
    marks = np.array([1, 2, 0.29, 0.3, 0.31] + [1] * 16)
    (sample,) = samples_of("wholebody", tree(right=hand(marks)), confidence=30).values()

    assert np.isfinite(sample.keypoints_2d).all(1)[:5].tolist() == [True, True, False, True, True]


def test_a_hand_that_keeps_fewer_than_two_labels_is_left_out_and_counted(tree):
    """The confidence is asked first, the number of labels then."""
    root = tree(right=hand(np.array([0.9] + [0.1] * 20)), left=hand(np.array([0.9] * 2 + [0.1] * 19)))

    assert len(plan_of("wholebody", root).items) == 2
    plan = plan_of("wholebody", root, confidence=50)
    assert [item.id.rpartition("/")[2] for item in plan.items] == ["left"]
    assert "1 hands of val2017 left out: fewer than 2 labels are sure enough" in plan.warnings
    (sample,) = samples_of("wholebody", root, confidence=50).values()
    assert np.isfinite(sample.keypoints_2d).all(1).sum() == 2


def test_crowds_and_hands_of_one_label_are_left_out_and_counted(tree):
    plan = plan_of("wholebody", tree(left=hand([1] + [0] * 20)))
    assert [item.id.rpartition("/")[2] for item in plan.items] == ["right"]
    assert "1 hands with fewer than 2 labels of val2017 left out" in plan.warnings

    with pytest.raises(MissingError, match="expected labelled pictures, got none"):
        plan_of("wholebody", tree(person={"iscrowd": 1}))


@pytest.mark.parametrize("folder", ["", "annotations"])
@pytest.mark.parametrize("name", ["train", "val"])
def test_annotations_lie_beside_the_pictures_or_in_their_folder(tree, folder, name):
    plan = plan_of("wholebody", tree(folder=folder, name=name))

    assert [(item.split, item.sequence) for item in plan.items] == [(name, f"{name}2017")]


def test_a_picture_of_another_size_than_its_record_says_is_refused(tree, tmp_path, refused):
    root = tree(image={"width": 320})

    line = refused(DataError, lambda: convert("wholebody", root, tmp_path / "out"))
    assert "expected 320 x 120 px, the size of its record, got 160 x 120" in line


def test_pictures_that_are_absent_are_counted(tree):
    tree()
    root = tree(name="train")
    (root / "train2017/000000000785.jpg").unlink()
    (root / "train2017/000000000001.jpg").touch()

    plan = plan_of("wholebody", root)
    assert [item.split for item in plan.items] == ["val"]
    assert "absent: 1 pictures of train2017 with labelled hands" in plan.warnings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_id": 3}, "person 7 of picture 3"),
        ({"righthand_kpts": [1, 2, 3]}, "cannot reshape"),
        ({"righthand_kpts": None}, ""),
        ({"righthand_box": [1, 2]}, "cannot reshape"),
        ({"id": "7"}, "'7' where a whole number"),
        ({"id": -1}, "-1 where a whole number"),
    ],
)
def test_a_record_that_is_none_is_named(tree, change, says, refused):
    root = tree(person=change)

    line = refused(DataError, lambda: plan_of("wholebody", root))
    assert "coco_wholebody_val_v1.0.json[annotations]" in line
    assert says in line


def test_a_person_without_the_fields_of_hands_is_named(tree, refused):
    root = tree()
    path = root / "annotations/coco_wholebody_val_v1.0.json"
    table = json.loads(path.read_text())
    del table["annotations"][0]["righthand_valid"]
    path.write_text(json.dumps(table))

    assert "righthand_valid" in refused(DataError, lambda: plan_of("wholebody", root))


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", ""])
def test_a_name_that_leads_elsewhere_is_refused(tree, name, refused):
    root = tree(image={"file_name": name})

    assert "is no name of a picture" in refused(DataError, lambda: plan_of("wholebody", root))


def test_missing_annotations_are_named(tree, refused):
    root = tree()
    (root / "annotations/coco_wholebody_val_v1.0.json").unlink()

    assert "coco_wholebody_val_v1.0.json" in refused(MissingError, lambda: plan_of("wholebody", root))


# ------------------------------------------------------------------------------------------------ real files


@pytest.fixture(scope="module")
def real_samples(tmp_path_factory):
    folder = real.samples("coco_wholebody")
    root = tmp_path_factory.mktemp("real") / "wholebody"
    (root / "val2017").mkdir(parents=True)
    for path in folder.glob("*.jpg"):
        shutil.copy(path, root / "val2017")
    (root / "annotations").mkdir()
    shutil.copy(folder / "test_coco_wholebody.json", root / "annotations/coco_wholebody_val_v1.0.json")
    convert("wholebody", root, root.parent / "shards")
    assert len(open_dataset(root.parent / "shards")) == 7
    return samples_of("wholebody", root)


@pytest.mark.parametrize(
    ("name", "point", "uv", "visible"),
    [
        ("000000000785/442619/right", "wrist", (304.10366, 181.75134), -1),
        ("000000000785/442619/right", "thumb_tip", (290.1, 187.8), -1),
        ("000000040083/198196/left", "little_tip", (105.729, 206.681), 1),
        ("000000197388/531914/right", "wrist", (565, 153), -1),
    ],
)
def test_real_points(real_samples, name, point, uv, visible):
    sample = real_samples[f"val2017/{name}"]

    assert sample.keypoints_2d[INDEX[point]] == pytest.approx(uv)
    assert sample.visible[INDEX[point]] == visible


def test_real_boxes_and_validity(real_samples):
    assert sorted(name.rpartition("/")[2] for name in real_samples) == ["left"] * 3 + ["right"] * 4
    assert "val2017/000000000785/442619/left" not in real_samples
    box = real_samples["val2017/000000000785/442619/right"].bbox_xyxy
    assert box == pytest.approx([280.43, 173.12, 280.43 + 27.86, 173.12 + 24.85])


def test_real_labels_of_a_picture_that_is_not_here(tmp_path):
    """24 slots, 15 valid, 14 of them a model's."""
    from handdata.converters.wholebody import read_hands

    hands = read_hands(real.samples("coco_wholebody") / "example_gt_1000.json")
    marks = hands.points[..., 2]
    assert len(hands.places) == 15
    assert ((marks > 0) & (marks < 1)).any(1).sum() == 14


def test_a_folder_without_pictures_is_told_once_what_it_needs(tmp_path, refused):
    line = refused(MissingError, lambda: plan_of("wholebody", tmp_path))

    assert "expected COCO-WholeBody (val2017/*.jpg or train2017/*.jpg), got a folder without them" in line
