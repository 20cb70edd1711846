"""Your own labels: COCO or CSV, any subset of the points under many names, the worked example of docs/custom.md."""

import json
import re
import shlex
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.conversion.plan import plan_all
from handdata.conversion.run import convert
from handdata.converters.custom import CustomOptions
from handdata.errors import ConfigError, DataError, MissingError
from handdata.exchange.point_names import PALM, match_names
from handdata.exchange.reading import read_annotations
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import BoxSource
from handdata.skeleton import INDEX, KEYPOINTS
from tests.converters.conftest import plan_of, samples_of

PAGE = Path(__file__).parents[2] / "docs/custom.md"
HEADER = "image,side,wrist_u,wrist_v,index_tip_u,index_tip_v"
K = [[500, 0, 159.5], [0, 500, 119.5], [0, 0, 1]]


def blocks_of(page: Path) -> dict[str, str]:
    """Return the first block of each language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return dict(reversed(found))


def pictures(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.full((240, 320, 3), 90, np.uint8))
    return root


def labels(root: Path, text: str, name: str = "labels.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def coco(points: list[str], *annotations: dict, **info) -> str:
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(3)]
    categories = [{"id": 7, "name": "hand", "keypoints": points}]
    rows = [{"image_id": i, "category_id": 7, "side": "left", **row} for i, row in enumerate(annotations)]
    return json.dumps({"info": info, "images": images, "categories": categories, "annotations": rows})


# ------------------------------------------------------------------------------------------------ the worked example


@pytest.fixture
def example(tmp_path, monkeypatch) -> Path:
    """The folder that the page describes, as the current folder."""
    blocks = blocks_of(PAGE)
    names = re.findall(r"^  (\S+\.png)$", blocks["text"], re.MULTILINE)
    pictures(tmp_path / "photos", *names)
    labels(tmp_path / "photos", blocks["csv"])
    labels(tmp_path / "photos", blocks["json"], "labels.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_worked_example_runs_as_printed(example):
    commands = [shlex.split(line) for line in blocks_of(PAGE)["sh"].splitlines()]
    answer = re.search(r"answers `(.*)`", PAGE.read_text(encoding="utf-8"))

    results = [CliRunner().invoke(group, command[1:], catch_exceptions=False) for command in commands]

    assert [command[0] for command in commands] == ["handdata"] * 3
    assert [result.exit_code for result in results] == [0, 0, 0], [result.output for result in results]
    assert answer is not None
    assert answer[1] in results[0].output
    indexes = [json.loads(path.read_text()) for path in example.rglob("index.json")]
    assert {index["origin"] for index in indexes} == {"own"}


def test_the_two_files_of_the_worked_example_say_the_same(example):
    from_csv = samples_of("custom", example / "photos", annotations=example / "photos/labels.csv")
    from_coco = samples_of("custom", example / "photos", annotations=example / "photos/labels.json")

    assert list(from_csv) == list(from_coco) == ["desk/0001.png", "desk/0002.png", "window/0001.png"]
    for a, b in zip(from_csv.values(), from_coco.values(), strict=True):
        np.testing.assert_array_equal(a.keypoints_2d, b.keypoints_2d)
        np.testing.assert_array_equal(a.keypoints_3d, b.keypoints_3d)
        assert a.hand_side == b.hand_side
        assert (a.K is None) == (b.K is None)
        assert b.visible[INDEX["wrist"]] == 1
        assert a.visible[INDEX["index_tip"]] == b.visible[INDEX["index_tip"]]


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("style", [
    [k.upper() for k in KEYPOINTS],
    [f"left-{k}" for k in KEYPOINTS],
    ["left_hand_root", *(f"left_{f}{j}" for f in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
                         for j in (1, 2, 3, 4))],
    ["WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP",
     *(f"{f}_FINGER_{j}" for f in ("INDEX", "MIDDLE", "RING") for j in ("MCP", "PIP", "DIP", "TIP")),
     *(f"PINKY_{j}" for j in ("MCP", "PIP", "DIP", "TIP"))],
], ids=["ours in capitals", "with a side", "COCO-WholeBody", "MediaPipe"])  # fmt: skip
def test_names_of_other_tools_are_understood(style):
    assert match_names(style, "file") == list(range(21))


def test_names_that_are_none_of_ours_have_no_slot_and_the_palm_has_its_own():
    assert match_names(["nose", "index_tip", "palm center", "left_elbow"], "file") == [None, 8, PALM, None]


@pytest.mark.parametrize("names", [["nose"], [], ["wrist", "left_wrist"]], ids=["none", "empty", "twice"])
def test_names_without_use_are_refused(names, refused):
    assert "file" in refused(DataError, lambda: match_names(names, "file"))


# ------------------------------------------------------------------------------------------------ values


def test_units_are_brought_to_mm(tmp_path):
    annotation = {"keypoints_3d": [[0.01, 0.02, 0.5], None]}
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist", "index_tip"], annotation, unit="m"), "a.json")

    sample = samples_of("custom", tmp_path, annotations=table)["0.png"]

    np.testing.assert_allclose(sample.keypoints_3d[INDEX["wrist"]], [10, 20, 500])
    assert np.isnan(sample.keypoints_3d[INDEX["index_tip"]]).all()


def test_2d_is_projected_where_only_3d_and_intrinsics_are_given(tmp_path):
    annotation = {"keypoints_3d": [[0.0, 0.0, 500.0], [100.0, 50.0, 500.0]], "K": K}
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist", "index_tip"], annotation, unit="mm"), "a.json")

    sample = samples_of("custom", tmp_path, annotations=table)["0.png"]

    np.testing.assert_allclose(sample.keypoints_2d[[0, 8]], [[159.5, 119.5], [259.5, 169.5]])


def test_pixels_counted_from_the_corner_are_shifted(tmp_path):
    annotation = {"keypoints": [10, 20, 2]}
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist"], annotation, pixel_origin="corner"), "a.json")

    np.testing.assert_array_equal(
        samples_of("custom", tmp_path, annotations=table)["0.png"].keypoints_2d[0], [9.5, 19.5]
    )


def test_unlabelled_points_are_nan_whatever_stands_there(tmp_path):
    table = labels(
        pictures(tmp_path, "0.png"), coco(["wrist", "index_tip"], {"keypoints": [0, 0, 0, 9, 9, 1]}), "a.json"
    )

    sample = samples_of("custom", tmp_path, annotations=table)["0.png"]

    assert np.isnan(sample.keypoints_2d[0]).all()
    assert (sample.visible[0], sample.visible[8]) == (-1, 0)


def test_two_hands_of_one_picture_are_two_samples(tmp_path):
    rows = "a.png,left,10,20,30,40\na.png,right,50,60,70,80\n"
    table = labels(pictures(tmp_path, "a.png"), f"{HEADER}\n{rows}")

    samples = samples_of("custom", tmp_path, annotations=table)

    assert list(samples) == ["a.png/0", "a.png/1"]
    assert [sample.hand_side for sample in samples.values()] == [0, 1]


def test_two_hands_of_one_picture_are_of_one_frame(tmp_path):
    """So that verify takes neither for a copy of the other, nor misses that they are in two splits."""
    rows = "a.png,left,train,,\na.png,right,test,,\nb.png,left,test,1,2\n"
    text = f"image,side,split,wrist_u,wrist_v\n{rows}"
    options = CustomOptions(annotations=labels(pictures(tmp_path, "a.png", "b.png"), text))

    convert("custom", tmp_path, tmp_path / "out", options=options)

    assert sorted(open_dataset(tmp_path / "out")["frame"]) == [0, 0, 1]


def test_numbers_that_a_table_with_gaps_writes_with_a_point_are_whole(tmp_path):
    text = "image,side,frame,has_object,wrist_u,wrist_v,wrist_visible\na.png,left,7.0,1.0,1,2,0.0\n"
    table = labels(pictures(tmp_path, "a.png"), text)

    assert plan_of("custom", tmp_path, annotations=table).items[0].frame == 7
    sample = samples_of("custom", tmp_path, annotations=table)["a.png"]
    assert (sample.has_object, sample.visible[0]) == (1, 0)


def test_null_says_nothing(tmp_path):
    nothing = dict.fromkeys(["bbox", "has_object", "K", "unit", "frame", "split", "keypoints"])
    annotation = {**nothing, "keypoints_3d": [[0, 0, 500]]}
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist"], annotation, unit="mm", K=K), "a.json")

    sample = samples_of("custom", tmp_path, annotations=table)["0.png"]

    np.testing.assert_allclose(sample.keypoints_2d[0], [159.5, 119.5])
    assert sample.has_object == -1


def test_annotations_of_other_things_are_left_out_and_counted(tmp_path):
    content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}))
    content["categories"] += [{"id": 1, "name": "cup"}, {"id": 2, "name": "person", "keypoints": ["nose"]}]
    content["annotations"] += [{"image_id": 0, "category_id": i, "bbox": [1, 2, 3, 4]} for i in (1, 1, 2)]
    table = labels(pictures(tmp_path, "0.png"), json.dumps(content), "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert len(plan.items) == 1
    assert plan.warnings == ("left out: 3 annotations of other things than hands: cup, person",)


BODY = ["nose", "left_wrist", "right_wrist", "left_hip"]


def test_bodies_among_hands_are_left_out_and_counted(tmp_path):
    content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}))
    content["categories"].append({"id": 1, "name": "person", "keypoints": BODY})
    content["annotations"] += [{"image_id": 0, "category_id": 1, "keypoints": [1, 2, 2] * 4}] * 2
    table = labels(pictures(tmp_path, "0.png"), json.dumps(content), "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert (len(plan.items), plan.warnings) == (
        1,
        ("left out: 2 annotations of other things than hands: person",),
    )


def test_a_file_of_bodies_alone_says_what_it_holds(tmp_path, refused):
    table = labels(pictures(tmp_path, "0.png"), coco(BODY), "a.json")

    line = refused(DataError, lambda: plan_of("custom", tmp_path, annotations=table))

    assert "expected a category with hand keypoints" in line
    assert "got hand (nose, left_wrist, right_wrist, left_hip)" in line


@pytest.mark.parametrize("name", ["{}", "kp{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_points_that_are_only_counted_are_read_with_their_order_said(tmp_path, name, first):
    points = np.column_stack([10 + np.arange(21.0), 20 + np.arange(21.0), np.full(21, 2)])
    text = coco([name.format(k + first) for k in range(21)], {"keypoints": points.ravel().tolist()})
    table = labels(pictures(tmp_path, "0.png"), text, "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert dict(plan.readings)["order of points"].startswith("base-first (as numbered points mostly are); paths")
    np.testing.assert_allclose(samples_of("custom", tmp_path, annotations=table)["0.png"].keypoints_2d, points[:, :2])
    assert dict(plan_of("custom", tmp_path, annotations=table, order="rhd").readings)["order of points"].startswith(
        "rhd (as asked)"
    )


def test_ids_of_images_that_do_not_fit_are_named(tmp_path, refused):
    content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}))
    content["annotations"][0]["image_id"] = "2"

    def line(**changed):
        table = labels(pictures(tmp_path, "0.png"), json.dumps(content | changed), "a.json")
        return refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))

    assert "image_id '2', which no image has; one has 2." in line()
    assert "expected a COCO keypoint file, got [images][1] that is no image." in line(images=[{"id": 2}, None])
    content["annotations"][0]["image_id"] = 0
    twice = [{"id": 0, "file_name": f"{name}.png"} for name in "ab"]
    assert "expected the id of one image, got image_id 0, which a.png and b.png share" in line(images=twice)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", '{"pictures": []}', "a JSON object of 'pictures'"),
        ("a.json", "[]", "a JSON list"),
        ("a.csv", "picture;wrist_u;wrist_v\n", "expected columns, each once, one of them image, file_name"),
        ("a.csv", f"{HEADER}\n", "got no hand."),
        (
            "a.xml",
            '<annotations><image name="0.png"><box label="hand"/></image></annotations>',
            "got no hand; left out: 1 annotations of other things than hands: <box>.",
        ),
    ],
    ids=["another object", "a list", "no column of pictures", "a header alone", "boxes alone"],
)
def test_what_a_file_without_a_hand_holds_is_said(tmp_path, refused, name, text, told):
    table = labels(pictures(tmp_path, "0.png"), text, name)

    assert told in refused(DataError, lambda: plan_of("custom", tmp_path, annotations=table))


def test_splits_under_other_usual_names(tmp_path):
    rows = "".join(
        f"{k}.png,left,1,2,3,4,{split}\n" for k, split in enumerate(("train", "valid", "Validation", "Testing"))
    )
    table = labels(pictures(tmp_path, *(f"{k}.png" for k in range(4))), f"{HEADER},split\n{rows}")

    assert [item.split for item in plan_of("custom", tmp_path, annotations=table).items] == [
        "train",
        "val",
        "val",
        "test",
    ]


@pytest.mark.parametrize("asked", [".", "dataset"], ids=["from the file", "by --root"])
def test_pictures_are_found_below_images_by_a_name_of_their_own(tmp_path, asked):
    dataset = pictures(
        tmp_path / "dataset", "images/default/0.png", "images/more/1.png", "images/x/2.png", "images/y/2.png"
    )
    text = coco(["wrist"], *({"keypoints": [1, 2, 2]} for _ in range(3)))
    table = labels(dataset / "annotations" if asked == "." else tmp_path / "elsewhere/far", text, "a.json")
    options = {"annotations": table}

    plan = plan_of("custom", tmp_path / asked, **options)

    assert [(item.id, item.image) for item in plan.items] == [("0.png", "default/0.png"), ("1.png", "more/1.png")]
    assert plan.warnings == ("absent: 1 of 3 labelled pictures, the first 2.png",)
    assert set(samples_of("custom", tmp_path / asked, **options)) == {"0.png", "1.png"}


@pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, place) for kind in ("coco", "csv") for place in ("here", "/home/somebody/hands", "C:\\hands")]
    + [("yolo", "here")],  # its rows lie beside the pictures
)
def test_pictures_named_from_the_root_of_a_disk_are_named_from_their_folder(tmp_path, kind, place):
    """As many tools write them, on the machine of whoever labelled; there the folder itself is found."""
    root = pictures(tmp_path / "p", "a/0.png", "b/1.png")
    top = str(root) if place == "here" else place
    images = [f"{top}/a/0.png", f"{top}/b/1.png"]
    if kind == "coco":
        content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}, {"keypoints": [3, 4, 2]}))
        content["images"] = [{"id": i, "file_name": image} for i, image in enumerate(images)]
        table = labels(tmp_path / "labels", json.dumps(content), "a.json")
    elif kind == "csv":
        rows = "".join(f"{image},left,{2 * i + 1},{2 * i + 2}\n" for i, image in enumerate(images))
        table = labels(tmp_path / "labels", f"image,side,wrist_u,wrist_v\n{rows}")
    else:
        for i, name in enumerate(("a/0.txt", "b/1.txt")):
            point = [(2 * i + 1) / 320, (2 * i + 2) / 240, 2]
            labels(root, " ".join(map(str, [0, 0.5, 0.5, 0.1, 0.1, *point, *[0] * 60])), name)
        labels(tmp_path / "labels", "\n".join(images), "list.txt")
        table = labels(tmp_path / "labels", "train: list.txt\nkpt_shape: [21, 3]\n", "data.yaml")

    convert("custom", root, tmp_path / "out", options=CustomOptions(annotations=table, split_by="train"))

    data = open_dataset(tmp_path / "out")
    assert data["id"].tolist() == ["a/0.png", "b/1.png"]
    assert data["sequence"].tolist() == ["a", "b"]
    assert data["keypoints_2d"][:, 0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "categories", [[], [{"id": 7, "name": "left_hand"}], [{"id": 7, "name": "hand", "keypoints": []}]]
)
def test_21_points_that_no_category_names_are_counted(tmp_path, categories):
    points = np.column_stack([np.arange(21), np.arange(21) + 100, np.full(21, 2)])
    content = json.loads(coco([], {"keypoints": points.ravel().tolist(), "side": None}))
    table = labels(pictures(tmp_path, "0.png"), json.dumps(content | {"categories": categories}), "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)
    (sample,) = samples_of("custom", tmp_path, annotations=table).values()

    assert "base-first (as numbered points mostly are)" in dict(plan.readings)["order of points"]
    assert sample.keypoints_2d.tolist() == points[:, :2].tolist()
    assert sample.hand_side == (0 if "left" in str(categories) else 2)


def test_a_hand_that_is_labelled_twice_is_told(tmp_path):
    hand = {"keypoints": [1, 2, 2, 3, 4, 2], "image_id": 0}
    table = labels(
        pictures(tmp_path, "0.png", "1.png"),
        coco(["wrist", "thumb_tip"], hand, hand, {**hand, "image_id": 1}),
        "a.json",
    )

    plan = plan_of("custom", tmp_path, annotations=table)

    assert "twice: 1 of 3 hands have the very points of another one in their picture" in plan.warnings
    assert len(plan.items) == 3


def test_a_split_is_drawn_among_the_pictures_that_are_there(tmp_path):
    table = many(tmp_path, 40)
    whole = plan_of("custom", tmp_path, annotations=table, split_by="random:0.25/0")
    for number in range(30):
        (tmp_path / f"{number}.png").unlink()
    plan = plan_of("custom", tmp_path, annotations=table, split_by="random:0.25/0")

    assert sum(item.split == "val" for item in whole.items) == 10
    assert sorted(item.split for item in plan.items) == ["train"] * 8 + ["val"] * 2
    assert "train 8, val 2 groups; train 8, val 2 pictures that are there" in dict(plan.readings)["split"]


def test_a_split_by_sequences_is_drawn_among_those_that_are_there(tmp_path):
    """One sequence of ten would be val, and that one might be absent."""
    names = [f"s{sequence}/{number}.png" for sequence in range(20) for number in range(2)]
    table = labels(tmp_path, "image,side,wrist_u,wrist_v\n" + "".join(f"{name},left,1,2\n" for name in names))
    for kept in range(0, 20, 10):
        folder = tmp_path / str(kept)
        pictures(folder, *names[2 * kept : 2 * kept + 20])
        items = plan_of("custom", folder, annotations=table).items
        assert len({item.sequence for item in items if item.split == "val"}) == 1
        assert len({item.sequence for item in items if item.split == "train"}) == 9


def test_a_name_that_differs_in_capitals_alone_is_told(tmp_path, refused):
    table = labels(pictures(tmp_path, "a.PNG", "b.png"), f"{HEADER}\na.png,left,1,2,3,4\nb.png,left,1,2,3,4\n")

    assert plan_of("custom", tmp_path, annotations=table).warnings == (
        "absent: 1 of 2 labelled pictures, the first a.png (there is a.PNG)",
    )
    (tmp_path / "b.png").unlink()
    assert "has a.PNG: mind capitals" in refused(MissingError, lambda: plan_of("custom", tmp_path, annotations=table))


@pytest.mark.parametrize(("in_file", "on_disk"), [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("folder", ["", "images/default/"], ids=["as named", "by name"])
def test_a_picture_whose_name_is_written_in_another_normal_form_is_found(tmp_path, in_file, on_disk, folder):
    """macOS names é as e and an accent; other systems as one character."""
    named, there = (unicodedata.normalize(form, "café/Übung é.png") for form in (in_file, on_disk))
    pictures(tmp_path, f"{folder}{there}", f"{folder}b.png")
    table = labels(tmp_path, f"image,side,wrist_u,wrist_v\n{named},left,1,2\nb.png,left,1,2\n")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert [plan.root / item.image for item in plan.items] == [tmp_path / folder / name for name in (there, "b.png")]
    assert not plan.warnings
    if not folder:
        assert dict(plan.readings)["names of pictures"].startswith("1 found whose names the disk writes with other")
    assert len(samples_of("custom", tmp_path, annotations=table)) == 2


def test_of_two_pictures_that_could_be_meant_none_is_taken(tmp_path):
    forms = ["\u00e9\u0065\u0301.png", "\u0065\u0301\u00e9.png", "\u00e9\u00e9.png"]
    pictures(tmp_path, *forms[:2], "b.png")
    table = labels(tmp_path, f"image,side,wrist_u,wrist_v\n{forms[2]},left,1,2\nb.png,left,1,2\n{forms[0]},left,1,2\n")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert [item.image for item in plan.items] == ["b.png", forms[0]]
    assert plan.warnings[0].startswith("absent: 1 of 3 labelled pictures")


def test_pictures_that_are_absent_are_counted_once_whatever_hands_they_have(tmp_path, refused):
    table = labels(tmp_path, f"{HEADER}\na.png,left,1,2,3,4\na.png,right,5,6,7,8\nb.png,left,1,2,3,4\n")

    line = refused(MissingError, lambda: plan_of("custom", tmp_path, annotations=table))
    assert "got none of 2, the first would be a.png" in line

    pictures(tmp_path, "b.png")
    plan = plan_of("custom", tmp_path, annotations=table)
    assert plan.warnings == ("absent: 1 of 2 labelled pictures, the first a.png",)


def test_copies_of_labelled_pictures_are_named_and_other_numbers_are_no_copies(tmp_path):
    table = labels(tmp_path, f"{HEADER}\nIMG_9.png,left,1,2,3,4\n")
    pictures(tmp_path, "IMG_9.png", "IMG_10.png", "IMG_9 (1).png")

    plan = plan_all("custom", tmp_path, CustomOptions(annotations=table))

    told = "ignored: 1 names that are nearly those of labelled pictures and their folders: IMG_9 (1).png"
    assert plan.warnings == (told,)


def test_a_side_that_is_said_to_be_unknown_is_no_fault(tmp_path, refused):
    rows = ["a.png,left,1,2,3,4", "b.png,unknown,1,2,3,4"]
    table = labels(pictures(tmp_path, "a.png", "b.png", "c.png"), "\n".join([HEADER, *rows]) + "\n")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert dict(plan.readings)["sides"] == "1 left, 1 unknown"
    assert [sample.hand_side for sample in samples_of("custom", tmp_path, annotations=table).values()] == [0, 2]
    labels(tmp_path, "\n".join([HEADER, *rows, "c.png,,1,2,3,4"]) + "\n")
    assert "no side, which other rows have" in str(plan_of("custom", tmp_path, annotations=table).faults["c.png"])


def test_one_file_named_twice_is_refused(tmp_path, refused):
    table = labels(pictures(tmp_path, "a.png"), f"{HEADER}\na.png,left,1,2,3,4\n")

    line = refused(ConfigError, lambda: plan_of("custom", tmp_path, annotations=(table, tmp_path / "." / table.name)))

    assert line.startswith("--annotations: expected each file of labels once, got ")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    tables = [
        labels(pictures(tmp_path / day, "a.png"), f"{HEADER}\na.png,{side},1,2,3,4\n", "labels.csv")
        for day, side in (("monday", "left"), ("tuesday", "right"))
    ]

    said = dict(plan_of("custom", tmp_path, annotations=tuple(tables)).readings)

    assert said["monday/labels.csv: sides"] == "1 left"
    assert said["tuesday/labels.csv: sides"] == "1 right"


@pytest.mark.parametrize("size", [(640, 480), (240, 320)], ids=["resized", "turned"])
def test_a_picture_of_another_size_than_was_labelled_is_refused(tmp_path, refused, size):
    content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}, {"keypoints": [1, 2, 2]}))
    for image, (width, height) in zip(content["images"], [size, (320, 240), (320, 240)], strict=True):
        image |= {"width": width, "height": height}
    options = CustomOptions(annotations=labels(pictures(tmp_path, "0.png", "1.png"), json.dumps(content), "a.json"))

    line = refused(DataError, lambda: convert("custom", tmp_path, tmp_path / "out", options=options))
    assert f"0.png: expected {size[0]} x {size[1]} px, as its labels say, got 320 x 240" in line
    result = convert("custom", tmp_path, tmp_path / "out", options=options, skip_bad=True)
    assert list(result.skipped) == ["0.png"]


def test_a_box_crops_where_too_few_points_do(tmp_path):
    rows = "a.png,left,,,30,40,10,20,100,60\nb.png,left,,,,,,,,\n"
    table = labels(pictures(tmp_path, "a.png", "b.png"), f"{HEADER},box_x,box_y,box_w,box_h\n{rows}")

    convert("custom", tmp_path, tmp_path / "out", options=CustomOptions(annotations=table))

    dataset = open_dataset(tmp_path / "out")
    np.testing.assert_array_equal(dataset["crop_xyxy"], [[10, 0, 110, 100], [40, 0, 280, 240]])
    assert list(dataset["bbox_source"]) == [BoxSource.DATASET, BoxSource.NONE]


def test_sequences_splits_and_frames(tmp_path):
    rows = "x/a.png,left,train,7,1,2\nx/b.png,left,train,,1,2\ny/a.png,left,,,1,2\n"
    text = f"image,side,split,frame,wrist_u,wrist_v\n{rows}"
    table = labels(pictures(tmp_path, "x/a.png", "x/b.png", "y/a.png"), text)

    items = plan_of("custom", tmp_path, annotations=table).items

    assert [(i.sequence, i.split, i.frame) for i in items] == [("x", "train", 7), ("x", "train", 1), ("y", "test", 0)]
    assert [i.sequence for i in plan_of("custom", tmp_path, annotations=table, sequences=("y",)).items] == ["y"]


def test_any_file_name_has_an_ascii_id(tmp_path):
    names = ["Ärger/手 1.png", "a" * 60 + "/" + "b" * 60 + ".png"]
    table = labels(
        pictures(tmp_path, *names), "image,side,wrist_u,wrist_v\n" + "".join(f"{n},left,1,2\n" for n in names)
    )

    convert("custom", tmp_path, tmp_path / "out", options=CustomOptions(annotations=table))

    ids = [i.decode() for reader in open_dataset(tmp_path / "out").shards.readers for i in reader["sample_id"]]
    assert ids[0] == "%C3%84rger/%E6%89%8B%201.png"
    assert len(ids[1]) == 96


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("a.png,,10,20,30,40", "no side"),
        ("a.png,both,10,20,30,40", "no side"),
        ("a.png,left,10,,30,40", "wrist_u without wrist_v"),
        ("a.png,left,ten,20,30,40", "ten"),
        ("a.png,left,nan,20,30,40", "wrist_u = nan"),
    ],
    ids=["no side", "wrong side", "half a point", "a word", "nan"],
)
def test_a_row_that_cannot_be_read_is_named_or_skipped_alone(tmp_path, refused, row, named):
    table = labels(pictures(tmp_path, "a.png", "b.png"), f"{HEADER}\n{row}\nb.png,left,1,2,3,4\n")

    line = refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))
    assert "labels.csv:2" in line
    assert named in line
    result = convert("custom", tmp_path, tmp_path / "out", options=CustomOptions(annotations=table), skip_bad=True)
    assert list(result.skipped) == ["a.png"]
    assert result.num_samples == 1


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        ({"keypoints_3d": [[1, 2, 500]]}, "3D without its unit"),
        ({"keypoints": [1, 2]}, "got 2 numbers, not 3 for each of 1 keypoints"),
        ({"keypoints_3d": [[1, 2, -500]], "unit": "mm"}, "not in front of the camera"),
        ({"keypoints": [1, 2, 2], "bbox": [5, 5, 0, 3]}, "a box without width"),
        ({"keypoints": [1, 2, 2], "bbox": [5, 5]}, "a box that is not four numbers"),
        ({"keypoints": [1, 2, 9]}, "visibility"),
        ({"keypoints": [float("nan"), 2, 2]}, "a labelled point that is no number"),
        ({"keypoints": [1e300, 2, 2]}, "beyond 5e+06"),
        ({"keypoints": [1, 2, 2], "K": [[0, 0, 1], [0, 500, 1], [0, 0, 1]]}, "focal lengths above 0"),
        ({"keypoints": [1, 2, 2], "K": [[float("nan")] * 3] * 3}, "intrinsics that are not 3 x 3 numbers"),
        ({"keypoints": [1, 2, 2], "frame": 10**12}, "frame 1000000000000"),
        ({"keypoints": [1, 2, 1e30]}, "visibility"),
        ({"keypoints": [1, 2, 2], "has_object": float("inf")}, "infinity"),
        ({"image_id": [0], "keypoints": [1, 2, 2]}, "image_id and category_id"),
        ({"image_id": 99, "keypoints": [1, 2, 2]}, "image_id and category_id"),
        ({"category_id": 9, "keypoints": [1, 2, 2]}, "got category_id 9, which no category has"),
    ],
    ids=[
        "no unit",
        "too short",
        "behind",
        "flat box",
        "half a box",
        "visibility 9",
        "nan",
        "far",
        "no focal length",
        "K of nan",
        "frame",
        "huge visibility",
        "endless object",
        "a list for an id",
        "no such image",
        "no such category",
    ],
)
def test_a_coco_annotation_that_cannot_be_read_is_named(tmp_path, refused, annotation, named):
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist"], annotation), "a.json")

    line = refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))
    assert "a.json[annotations][0]" in line
    assert named in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"), ("a.json", "[]"), ("a.json", '{"images": []}'), ("a.csv", ""), ("a.csv", "file,side\n"),
        ("a.csv", "image,side\n"), ("a.csv", "image,image,wrist_u\n"), ("a.json", "[" * 100_000),
        ("a.csv", 'image,"side\n'),
        ("a.json", json.dumps({**json.loads(coco(["wrist"])), "info": "made by hand"})), ("a.txt", "image\n"),
        ("a.json", json.dumps({**json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]})), "categories": []})),
    ],
    ids=["broken JSON", "a list", "no annotations", "empty", "no image column", "no points", "a column twice",
         "endless JSON", "an open quote", "info as text", "other suffix", "no keypoints"],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path, refused, name, text):
    table = labels(tmp_path, text, name)

    assert name in refused(DataError, lambda: read_annotations(table))


@pytest.mark.parametrize(
    "row",
    ["../a.png,left,test,1,2", "a.png,left,test,1,2,3", "a.png,left,test,1", "a.png,left,dev,1,2"],
    ids=["outside", "a cell more", "a line cut short", "unknown split"],
)
def test_a_row_of_no_known_picture_ends_the_conversion_or_is_skipped_alone(tmp_path, refused, row):
    text = f"image,side,split,wrist_u,wrist_v\nb.png,left,train,1,2\n{row}\nc.png,left,train,3,4\n"
    options = CustomOptions(annotations=labels(pictures(tmp_path, "a.png", "b.png", "c.png"), text))

    line = refused(DataError, lambda: convert("custom", tmp_path, tmp_path / "out", options=options))
    assert "labels.csv:3" in line
    assert not (tmp_path / "out").exists()
    result = convert("custom", tmp_path, tmp_path / "out", options=options, skip_bad=True)
    assert "labels.csv:3" in "".join(result.skipped.values())
    assert [i.decode() for i in open_dataset(tmp_path / "out")["sample_id"]] == ["b.png", "c.png"]


def test_an_annotation_of_no_picture_is_skipped_alone(tmp_path):
    content = json.loads(coco(["wrist"], {"keypoints": [1, 2, 2]}))
    content["annotations"] += [5, {"image_id": 99, "category_id": 7}]
    options = CustomOptions(annotations=labels(pictures(tmp_path, "0.png"), json.dumps(content), "a.json"))

    result = convert("custom", tmp_path, tmp_path / "out", options=options, skip_bad=True)

    assert (result.num_samples, len(result.skipped)) == (1, 2)


def test_absent_pictures_are_named_and_none_at_all_is_refused(tmp_path, refused):
    table = labels(pictures(tmp_path, "a.png"), f"{HEADER}\na.png,left,1,2,3,4\nb.png,left,1,2,3,4\n")
    plan = plan_of("custom", tmp_path, annotations=table)
    assert [item.id for item in plan.items] == ["a.png"]
    assert "absent: 1 of 2 labelled pictures, the first b.png" in plan.warnings

    (tmp_path / "a.png").unlink()
    assert "the first would be a.png" in refused(MissingError, lambda: plan_of("custom", tmp_path, annotations=table))


def test_no_annotations_is_one_clear_line(tmp_path, refused):
    assert "--annotations" in refused(ConfigError, lambda: plan_of("custom", tmp_path))


def test_points_that_are_none_of_ours_are_named(tmp_path):
    table = labels(pictures(tmp_path, "0.png"), coco(["wrist", "nose"], {"keypoints": [1, 2, 2, 3, 4, 2]}), "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert plan.warnings == ("ignored points, not among the 21: nose",)


def test_an_edited_file_is_read_again(tmp_path):
    table = labels(pictures(tmp_path, "a.png"), f"{HEADER}\na.png,left,1,2,3,4\n")
    before = samples_of("custom", tmp_path, annotations=table)["a.png"].keypoints_2d[0].tolist()
    labels(tmp_path, f"{HEADER}\na.png,left,100,200,3,4\n")

    after = samples_of("custom", tmp_path, annotations=table)["a.png"].keypoints_2d[0].tolist()

    assert (before, after) == ([1, 2], [100, 200])


# ------------------------------------------------------------------------------------------------ asked


def many(root: Path, count: int, columns: str = "image,side,wrist_u,wrist_v", cells: str = "left,1,2") -> Path:
    """Make pictures that differ, and a row for each."""
    for number in range(count):
        root.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / f"{number}.png"), np.full((24, 32, 3), number, np.uint8))
    return labels(root, f"{columns}\n" + "".join(f"{number}.png,{cells}\n" for number in range(count)))


@pytest.mark.parametrize(("asked", "stored"), [("left", 0), ("right", 1), ("unknown", 2), ("file", 2)])
def test_a_side_that_the_file_does_not_say_is_unknown_or_as_asked(tmp_path, asked, stored):
    table = many(tmp_path, 1, "image,wrist_u,wrist_v", "1,2")

    sample = samples_of("custom", tmp_path, annotations=table, side=asked)["0.png"]

    assert sample.hand_side == stored


def test_a_side_that_is_asked_changes_none_that_the_file_says(tmp_path):
    table = many(tmp_path, 1)

    assert samples_of("custom", tmp_path, annotations=table, side="right")["0.png"].hand_side == 0


def test_options_that_change_nothing_are_told(tmp_path):
    asked = {"annotations": many(tmp_path, 1), "side": "right", "unit": "cm", "occluded": "missing"}

    assert plan_of("custom", tmp_path, **asked).warnings == (
        "--side right changes nothing: the file says the side of every hand, 1 left, 0 right; "
        "--corrections mends wrong ones",
        "--unit cm changes nothing: the file has no 3D without a unit",
        "--occluded missing changes nothing: the file marks no point as hidden",
    )


SIZES = {"mm": 1.0, "cm": 10.0, "m": 1000.0}


@pytest.mark.parametrize("unit", SIZES)
@pytest.mark.parametrize("asked", ["named", "auto"])
def test_a_unit_that_the_file_does_not_say_is_as_asked_or_found(tmp_path, unit, asked):
    size = SIZES[unit]
    points = [[0.0, 0.0, 500 / size], [0.0, -90 / size, 500 / size]]
    table = labels(
        pictures(tmp_path, "0.png"), coco(["wrist", "middle_mcp"], {"keypoints_3d": points, "K": K}), "a.json"
    )

    sample = samples_of("custom", tmp_path, annotations=table, unit=unit if asked == "named" else asked)["0.png"]

    np.testing.assert_allclose(sample.keypoints_3d[9], [0, -90, 500])


def test_an_order_that_is_asked_moves_points_and_flags(tmp_path):
    points = np.column_stack([np.arange(21), np.arange(21) + 100.0, np.where(np.arange(21) == 1, 1, 2)])
    table = labels(pictures(tmp_path, "0.png"), coco(list(KEYPOINTS), {"keypoints": points.ravel().tolist()}), "a.json")

    sample = samples_of("custom", tmp_path, annotations=table, order="rhd")["0.png"]

    assert sample.keypoints_2d[INDEX["thumb_tip"]].tolist() == [1, 101]
    assert sample.visible[INDEX["thumb_tip"]] == 0
    assert sample.visible[INDEX["thumb_mcp"]] == 1


def test_an_order_for_named_points_is_refused(tmp_path, refused):
    table = many(tmp_path, 1)

    line = refused(ConfigError, lambda: plan_of("custom", tmp_path, annotations=table, order="rhd"))

    assert "--order" in line


def test_labels_without_splits_get_train_and_val_and_it_is_said(tmp_path):
    plan = plan_of("custom", tmp_path, annotations=many(tmp_path, 20))

    splits = [item.split for item in plan.items]
    assert (splits.count("train"), splits.count("val")) == (18, 2)
    told = dict(plan.readings)["split"]
    assert "by groups of pictures with seed 0: train 18, val 2 groups; train 18, val 2 pictures (by default" in told
    assert "frames of one recording may lie in both" in told


def test_splits_as_asked_with_a_seed(tmp_path):
    table = many(tmp_path, 20)

    def splits(**asked):
        return [item.split for item in plan_of("custom", tmp_path, annotations=table, **asked).items]

    asked = splits(split_by="random:0.2/0.3", seed=1)
    assert [asked.count(split) for split in ("train", "val", "test")] == [10, 4, 6]
    assert asked == splits(split_by="random:0.2/0.3", seed=1) != splits(split_by="random:0.2/0.3", seed=2)
    assert set(splits(split_by="test")) == {"test"}


def test_whole_sequences_and_subjects_stay_together(tmp_path):
    names = [f"{s}/{n}.png" for s in "abcdefghij" for n in range(3)]
    rows = "".join(f"{name},left,{'pqrst'[number % 5]},1,2\n" for number, name in enumerate(names))
    table = labels(pictures(tmp_path, *names), f"image,side,subject,wrist_u,wrist_v\n{rows}")

    def homes(of, **asked):
        plan = plan_of("custom", tmp_path, annotations=table, **asked)
        found = {}
        for number, item in enumerate(plan.items):
            found.setdefault(of(number, item), set()).add(item.split)
        return found

    assert all(len(found) == 1 for found in homes(lambda _, item: item.sequence).values())
    assert all(len(found) == 1 for found in homes(lambda n, _: n % 5, split_by="subject:0.2/0.2").values())


@pytest.mark.parametrize("text", ["dice", "random:0.9/0.2", "random:0.1", "test:0.1/0.1"])
def test_a_split_that_nobody_knows_is_refused(tmp_path, refused, text):
    table = many(tmp_path, 2)

    assert "--split-by" in refused(ConfigError, lambda: plan_of("custom", tmp_path, annotations=table, split_by=text))


def test_published_splits_of_ones_own_labels_are_refused(tmp_path, refused):
    table = many(tmp_path, 2)

    assert "--split-by makes splits" in refused(
        ConfigError, lambda: plan_of("custom", tmp_path, annotations=table, split_scheme="reference")
    )


def test_a_split_by_what_no_row_says_is_refused(tmp_path, refused):
    table = many(tmp_path, 2)

    assert "rows with a subject" in refused(
        ConfigError, lambda: plan_of("custom", tmp_path, annotations=table, split_by="subject")
    )


def test_a_split_by_the_one_sequence_that_there_is_is_refused(tmp_path, refused):
    """It would put all into train, where shares of val and test were asked for; `handdata split` refuses it too."""
    table = labels(
        pictures(tmp_path, "s/a.png", "s/b.png"), "image,side,wrist_u,wrist_v\ns/a.png,left,1,2\ns/b.png,left,1,2\n"
    )

    assert "--split-by: expected several sequences, got one. Take --split-by random." in refused(
        ConfigError, lambda: plan_of("custom", tmp_path, annotations=table, split_by="sequence:0.3/0.3")
    )


def test_crowds_and_boxes_without_points_are_left_out_and_counted(tmp_path):
    rows = [{"keypoints": [1, 2, 2]}, {"keypoints": [1, 2, 2], "iscrowd": 1}, {"bbox": [1, 2, 3, 4]}]
    rows += [{"image_id": 2, "bbox": [1, 2, 3, 4], "keypoints": [float("nan")] * 3}]
    table = labels(pictures(tmp_path, "0.png", "1.png", "2.png"), coco(["wrist"], *rows), "a.json")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert len(plan.items) == 1
    assert plan.warnings == ("left out: 1 crowds, 2 hands without a labelled point",)


def test_flags_that_never_say_visible_say_nothing(tmp_path):
    points = np.column_stack([np.arange(21), np.arange(21), np.ones(21)]).ravel().tolist()
    rows = [{"keypoints": points}, {"keypoints": points}]
    table = labels(pictures(tmp_path, "0.png", "1.png"), coco(list(KEYPOINTS), *rows), "a.json")

    assert {v for s in samples_of("custom", tmp_path, annotations=table).values() for v in s.visible} == {-1}


def test_import_is_the_other_name_and_finds_the_pictures(tmp_path, cli):
    table = many(tmp_path / "photos", 3)

    result = cli("import", table, "--out", tmp_path / "out", "--split-by", "train", "--canvas", 64)

    assert result.exit_code == 0
    assert result.stdout == f"custom: 3 samples in 1 shard -> {tmp_path / 'out'}\n"


def test_files_named_after_splits_keep_them(tmp_path):
    for name in ("my_train", "my_val"):
        many(tmp_path / name, 3).rename(tmp_path / name / f"{name}.csv")
    files = tuple(tmp_path / name / f"{name}.csv" for name in ("my_train", "my_val"))

    plan = plan_of("custom", tmp_path / "nowhere", annotations=files)

    assert [item.split for item in plan.items] == ["train"] * 3 + ["val"] * 3
    assert len({item.id for item in plan.items}) == 6


def test_a_conversion_has_a_card_and_a_readme_of_somebody_stays(tmp_path, cli):
    table = many(tmp_path / "photos", 4)

    cli("import", table, "--out", tmp_path / "out", "--canvas", 64)

    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\npretty_name: ")
    assert "| train | 3 | 3 left |" in card
    assert (tmp_path / "out/contact_sheet.jpg").is_file()
    (tmp_path / "out/README.md").write_text("mine")
    cli("import", table, "--out", tmp_path / "out", "--canvas", 96)
    assert (tmp_path / "out/README.md").read_text() == "mine"
