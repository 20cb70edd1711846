"""Small files in the words of other programs: YOLO pose, CVAT, landmarks."""

import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from handdata.conversion.plan import plan_all
from handdata.converters.custom import CustomOptions
from handdata.errors import ConfigError, DataError, HanddataError, MissingError
from handdata.exchange.orders import ORDERS, best_order, path_lengths, slots_of
from handdata.exchange.parquet import picture_bytes
from handdata.exchange.pictures import file_key, id_of_key
from handdata.exchange.reading import read_annotations
from handdata.skeleton import INDEX, KEYPOINTS
from tests.converters.conftest import plan_of, samples_of

W, H = 320, 240


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((H, W, 3), 90, np.uint8))


def uv(offset=0.0):
    return np.column_stack([100 + 5.0 * np.arange(21), 60 + 3.0 * np.arange(21)]) + offset


# ------------------------------------------------------------------------------------------------ YOLO pose


def yolo(root, rows, shape="[21, 3]", names="names:\n  0: hand", **splits):
    text = "\n".join([f"{k}: {v}" for k, v in (splits or {"train": "images/train"}).items()])
    (root / "data.yaml").write_text(f"path: .\n{text}\nkpt_shape: {shape}\n{names}\n")
    picture(root / "images/train/a.png")
    (root / "labels/train").mkdir(parents=True)
    (root / "labels/train/a.txt").write_text("".join(rows))
    return root / "data.yaml"


def yolo_row(points, flags=None, kind=0):
    cells = [points / (W, H)] if flags is None else [points / (W, H), np.asarray(flags)[:, None]]
    return " ".join(map(str, [kind, 0.5, 0.5, 0.25, 0.5, *np.hstack(cells).ravel()])) + "\n"


@pytest.mark.usefixtures("not_as_root")
def test_yolo_pictures_that_may_not_be_read_are_not_left_out(tmp_path):
    table = yolo(tmp_path, [yolo_row(uv())])
    (tmp_path / "images/train").chmod(0)

    with pytest.raises(DataError, match=r"images/train: expected a folder that can be read, got Permission denied\."):
        plan_all("custom", tmp_path, CustomOptions(annotations=table))
    (tmp_path / "images/train").chmod(0o755)


def test_yolo_rows_of_three_numbers_per_point(tmp_path):
    flags = np.where(np.arange(21) == 3, 1, np.where(np.arange(21) == 5, 0, 2))
    table = yolo(tmp_path, [yolo_row(uv(), flags), yolo_row(uv(9), flags)])

    samples = samples_of("custom", tmp_path, annotations=table)

    assert list(samples) == ["images/train/a.png/0", "images/train/a.png/1"]
    first = samples["images/train/a.png/0"]
    assert np.isnan(first.keypoints_2d[5]).all()
    np.testing.assert_allclose(np.delete(first.keypoints_2d, 5, 0), np.delete(uv(), 5, 0))
    assert (first.visible[3], first.visible[4], first.visible[5]) == (0, 1, -1)
    np.testing.assert_allclose(first.bbox_xyxy, [120, 60, 200, 180])
    assert first.hand_side == 2


def test_yolo_rows_of_two_numbers_per_point_mark_a_missing_one_by_zeros(tmp_path):
    points = np.where(np.arange(21)[:, None] == 7, 0, uv())
    sides = "names: ['left_hand', 'right_hand']"

    (sample,) = samples_of(
        "custom", tmp_path, annotations=yolo(tmp_path, [yolo_row(points, kind=1)], "[21, 2]", sides)
    ).values()

    assert np.isnan(sample.keypoints_2d).any(-1).nonzero()[0].tolist() == [7]
    assert sample.hand_side == 1
    assert set(sample.visible) == {-1}


def test_a_yolo_row_of_another_length_is_named(tmp_path, refused):
    table = yolo(tmp_path, [yolo_row(uv())])

    line = refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))

    assert "a.txt:1" in line
    assert "47 numbers instead of 68" in line


def test_yolo_of_other_points_is_refused(tmp_path, refused):
    assert "kpt_shape" in refused(
        DataError, lambda: plan_of("custom", tmp_path, annotations=yolo(tmp_path, [], "[17, 3]"))
    )


def test_a_yolo_picture_without_a_hand_is_counted(tmp_path):
    table = yolo(tmp_path, [yolo_row(uv(), np.full(21, 2))])
    picture(tmp_path / "images/train/b.png")

    assert "left out: 1 pictures without a hand" in plan_of("custom", tmp_path, annotations=table).warnings


@pytest.mark.parametrize(
    "named",
    ["../images/train", "[images/train, images/more]", "\n  - images/train\n  - images/more", "lists/train.txt"],
    ids=["one folder up", "in brackets", "one below another", "a list"],
)
def test_yolo_places_of_pictures(tmp_path, named):
    """One folder up is how Roboflow writes folders that lie beside its data.yaml; Ultralytics reads all of them."""
    table = yolo(tmp_path, [yolo_row(uv(), np.full(21, 2))], train=named, test="../images/test")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("./../images/train/a.png\n")

    plan = plan_of("custom", tmp_path, annotations=table)

    assert [(item.split, item.image) for item in plan.items] == [("train", "images/train/a.png")]
    assert any(
        "places of pictures that are not there" in line and "test: ../images/test)" in line for line in plan.warnings
    )


@pytest.mark.parametrize(("folder", "expected"), [("images/test", "test"), ("images/others", "train")])
def test_a_yolo_folder_that_stands_for_several_splits_is_of_the_one_in_its_path(tmp_path, folder, expected):
    """Ultralytics wants train and val, so a dataset of test pictures alone names them as both."""
    table = yolo(tmp_path, [], train=folder, val=folder, test=folder)
    picture(tmp_path / folder / "a.png")
    label = tmp_path / folder.replace("images", "labels") / "a.txt"
    label.parent.mkdir()
    label.write_text(yolo_row(uv(), np.full(21, 2)))

    plan = plan_of("custom", tmp_path, annotations=table)

    assert [(item.split, item.image) for item in plan.items] == [(expected, f"{folder}/a.png")]
    assert f"{folder}, named as train and val and test, is {expected}" in dict(plan.readings)["format"]


def test_yolo_without_its_pictures_is_refused(tmp_path, refused):
    table = yolo(tmp_path, [], train="../elsewhere", val="[]")

    said = refused(MissingError, lambda: plan_of("custom", tmp_path, annotations=table))

    assert said.startswith(
        f"{table}[train]: expected a folder of pictures, or a .txt that lists them, got train: ../elsewhere."
    )


@pytest.mark.parametrize("train", ["images/train", "/home/me/hands/images/train", "C:/hands/images/train", "list.txt"])
@pytest.mark.parametrize("moves_rows", [True, False], ids=["with their rows", "alone"])
def test_yolo_pictures_are_where_the_user_says(tmp_path, train, moves_rows):
    """A data.yaml away from its pictures, as in a repository of settings; Ultralytics has the whole path in it."""
    for name in ("settings", "moved"):
        (tmp_path / name).mkdir()
    table = yolo(tmp_path / "settings", [yolo_row(uv(), np.full(21, 2))], train=train, val="images/val")
    (tmp_path / "moved/list.txt").write_text("./images/train/a.png\n")
    for name in ("images", "labels") if moves_rows else ("images",):
        (tmp_path / "settings" / name).rename(tmp_path / "moved" / name)

    plan = plan_of("custom", tmp_path / "moved", annotations=table)
    samples = samples_of("custom", tmp_path / "moved", annotations=table)

    assert [(item.split, plan.root / item.image) for item in plan.items] == [
        ("train", tmp_path / "moved/images/train/a.png")
    ]
    np.testing.assert_allclose(samples["images/train/a.png"].keypoints_2d, uv())


def test_yolo_rows_are_found_whose_name_the_disk_writes_in_another_normal_form(tmp_path):
    table = yolo(tmp_path, [yolo_row(uv(), np.full(21, 2))])
    (tmp_path / "labels/train/a.txt").rename(tmp_path / "labels/train/e\u0301.txt")
    (tmp_path / "images/train/a.png").rename(tmp_path / "images/train/\u00e9.png")

    assert len(samples_of("custom", tmp_path, annotations=table)) == 1


# ------------------------------------------------------------------------------------------------ CVAT


def cvat(root, body, name="a.png"):
    picture(root / name)
    path = root / "annotations.xml"
    path.write_text(f"<annotations><image id='0' name='{name}' width='{W}' height='{H}'>{body}</image></annotations>")
    return path


@pytest.mark.parametrize(
    "names", [KEYPOINTS, [str(k) for k in range(21)], [str(k + 1) for k in range(21)]], ids=["ours", "from 0", "from 1"]
)
def test_a_cvat_skeleton_is_read_by_its_labels(tmp_path, names):
    points = [f'<points label="{n}" outside="{int(k == 4)}" occluded="{int(k == 5)}" points="{u},{v}"/>'
              for k, (n, (u, v)) in enumerate(zip(names, uv(0.5), strict=True))]  # fmt: skip
    body = f'<skeleton label="hand">{"".join(points[::-1])}</skeleton><tag label="Left"/>'

    (sample,) = samples_of("custom", tmp_path, annotations=cvat(tmp_path, body)).values()

    assert np.isnan(sample.keypoints_2d[4]).all()
    np.testing.assert_allclose(np.delete(sample.keypoints_2d, 4, 0), np.delete(uv(), 4, 0))
    assert (sample.visible[5], sample.visible[6], sample.hand_side) == (0, 1, 0)


@pytest.mark.parametrize(("far", "is_told"), [(3, True), (0.5, False)], ids=["put aside", "hidden"])
def test_occluded_points_that_somebody_put_aside_are_told(tmp_path, far, is_told):
    given = np.array(uv(0.5))
    given[10:, 0] = given[:10, 0].max() + far * np.linalg.norm(np.ptp(given[:10], axis=0))
    points = "".join(f'<points label="{n}" occluded="{int(k >= 10)}" points="{u},{v}"/>'
                     for k, (n, (u, v)) in enumerate(zip(KEYPOINTS, given, strict=True)))  # fmt: skip
    table = cvat(tmp_path, f'<skeleton label="hand">{points}</skeleton>' * 8)

    def told(**asked):
        warnings = plan_of("custom", tmp_path, annotations=table, **asked).warnings
        return [line for line in warnings if line.startswith("occluded: in 8 of 8 hands")]

    assert bool(told()) == is_told
    assert not told(occluded="missing")


def test_cvats_shapes_of_21_points_are_a_hand_each(tmp_path):
    text = ";".join(f"{u},{v}" for u, v in uv(0.5))
    body = f'<points label="right_hand" points="{text}"/><points label="left_hand" points="{text}"/>'

    samples = samples_of("custom", tmp_path, annotations=cvat(tmp_path, body))

    assert [sample.hand_side for sample in samples.values()] == [1, 0]
    np.testing.assert_allclose(samples["a.png/1"].keypoints_2d, uv())


EDGES = 'xtl="1.00" ytl="2.00" xbr="31.50" ybr="42.00"'


@pytest.mark.parametrize(
    ("shapes", "box"),
    [
        (f'{{hand}}<box label="hand_box" group_id="3" {EDGES}/>', (1, 2, 31.5, 42)),
        (f'<box label="Hand" group_id="3" {EDGES}/>{{hand}}', (1, 2, 31.5, 42)),
        (f'{{hand}}<box label="hand_box" {EDGES}/>', None),
        (f'{{hand}}<box label="hand_box" group_id="4" {EDGES}/>', None),
        (f'{{hand}}<box label="cup" group_id="3" {EDGES}/>', None),
        (f'{{hand}}<box label="hand_box" rotation="20" group_id="3" {EDGES}/>', None),
        (f'{{hand}}{{hand}}<box label="hand_box" group_id="3" {EDGES}/>', None),
        (f'{{hand}}<box label="hand_box" group_id="3" {EDGES}/><box label="hand_box" group_id="3" {EDGES}/>', None),
    ],
    ids=["of the group", "before it", "no group", "another group", "no hand's", "turned", "of two hands", "two boxes"],
)
def test_a_cvat_box_is_that_of_the_one_hand_in_its_group(tmp_path, shapes, box):
    text = ";".join(f"{u},{v}" for u, v in uv(0.5))
    table = cvat(tmp_path, shapes.format(hand=f'<points label="hand" group_id="3" points="{text}"/>'))

    found = read_annotations(table)

    for row in found.rows:
        assert np.array_equal(row.hand.bbox_xyxy, np.full(4, np.nan) if box is None else box, equal_nan=True)
    assert found.others == ({} if box else {"<box>": shapes.count("<box")})


def test_cvat_points_of_unknown_names_are_a_fault_of_their_hand(tmp_path, refused):
    table = cvat(tmp_path, '<skeleton label="hand"><points label="nose" outside="0" points="1,2"/></skeleton>')

    assert "points named nose" in refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))


@pytest.mark.parametrize("text", ["<a", "<!DOCTYPE a><annotations/>", "<html/>"], ids=["cut", "declaration", "another"])
def test_xml_that_is_not_cvats_is_refused(tmp_path, refused, text):
    (tmp_path / "a.xml").write_text(text)

    assert "a.xml" in refused(DataError, lambda: plan_of("custom", tmp_path, annotations=tmp_path / "a.xml"))


# ------------------------------------------------------------------------------------------------ landmarks


def landmarks():
    return [{"x": float(u / W), "y": float(v / H), "z": 0.0} for u, v in uv()]


@pytest.mark.parametrize(
    "record",
    [
        {"hand_landmarks": [landmarks()], "handedness": [[{"category_name": "Left", "score": 0.9}]]},
        {
            "multi_hand_landmarks": [{"landmark": landmarks()}],
            "multi_handedness": [{"classification": [{"label": "Left"}]}],
        },
        {"landmarks": [[p["x"], p["y"]] for p in landmarks()], "handedness": "Left"}
        | {"landmarks": landmarks(), "handedness": ["Left"]},
    ],
    ids=["tasks", "solutions", "one hand"],
)
@pytest.mark.parametrize("under", ["list", "by picture"])
def test_landmarks_are_over_the_picture_and_named_for_a_mirrored_one(tmp_path, record, under):
    picture(tmp_path / "a.png")
    content = [{"image": "a.png", **record}] if under == "list" else {"a.png": record}
    (tmp_path / "found.json").write_text(json.dumps(content))

    (sample,) = samples_of("custom", tmp_path, annotations=tmp_path / "found.json").values()

    np.testing.assert_allclose(sample.keypoints_2d, uv())
    assert sample.hand_side == 1


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_landmarks_are_over_pictures_that_lie_elsewhere(tmp_path, kind):
    """MediaPipe's users keep what it found beside their script, not beside their pictures, and without their size."""
    picture(tmp_path / "photos/a.png")
    found = tmp_path / "here/found"
    found.parent.mkdir()
    columns = [f"{axis}{k}" for k in range(21) for axis in "xy"]
    rows = {"a.png": uv(), "absent.png": uv(1)}
    record = [
        {"image": name, "hand_landmarks": [[{"x": u / W, "y": v / H} for u, v in at]]} for name, at in rows.items()
    ]
    lines = [f"{name},{','.join(map(str, (at / (W, H)).ravel()))}" for name, at in rows.items()]
    text = json.dumps(record) if kind == "json" else "\n".join([f"image,{','.join(columns)}", *lines]) + "\n"
    table = found.with_suffix(f".{kind}")
    table.write_text(text)

    (sample,) = samples_of("custom", tmp_path / "photos", annotations=table).values()

    np.testing.assert_allclose(sample.keypoints_2d, uv())
    warnings = plan_of("custom", tmp_path / "photos", annotations=table).warnings
    assert "absent: 1 of 2 labelled pictures, the first absent.png" in warnings


def test_positions_over_a_picture_that_exif_turns_are_over_it_as_it_is_shown(tmp_path):
    table = yolo(tmp_path, [yolo_row(uv(), np.full(21, 2))], train="images/train")
    image, exif = tmp_path / "images/train/a.png", Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (H, W)).save(image, exif=exif)
    found = tmp_path / "found.json"
    found.write_text(json.dumps([{"image": "images/train/a.png", "hand_landmarks": [landmarks()]}]))

    for file in (table, found):
        (sample,) = samples_of("custom", tmp_path, annotations=file).values()

        assert sample.image.shape == (H, W, 3)
        np.testing.assert_allclose(sample.keypoints_2d, uv())


@pytest.mark.parametrize("columns", ["x{}", "{}_x", "landmark_{}_x"])
@pytest.mark.parametrize("scale", [(W, H), (1, 1)], ids=["over the picture", "px"])
def test_a_table_of_numbered_columns_is_read(tmp_path, columns, scale):
    picture(tmp_path / "a.png")
    names = [columns.format(k).replace("x", axis) for k in range(21) for axis in "xy"]
    cells = (uv() / scale).ravel().tolist()
    (tmp_path / "found.csv").write_text(f"filename,side,{','.join(names)}\na.png,left,{','.join(map(str, cells))}\n")

    (sample,) = samples_of("custom", tmp_path, annotations=tmp_path / "found.csv").values()

    np.testing.assert_allclose(sample.keypoints_2d, uv())
    assert sample.hand_side == 0


# ------------------------------------------------------------------------------------------------ pixels or not


def table_of(root, points, head="image,width,height"):
    """Write a table of two hands."""
    picture(root / "a.png")
    names = ",".join(f"{name}_{axis}" for name in KEYPOINTS for axis in "uv")
    rows = "".join(f"a.png,{W},{H},{','.join(map(str, points.ravel()))}\n" for _ in range(2))
    rows = rows if "width" in head else rows.replace(f",{W},{H}", "")
    (root / "t.csv").write_text(f"{head},{names}\n{rows}")
    return root / "t.csv"


def test_shares_of_the_picture_are_not_taken_for_pixels(tmp_path, refused):
    table = table_of(tmp_path, uv() / (W, H))

    line = refused(DataError, lambda: plan_of("custom", tmp_path, annotations=table))

    assert "expected points in pixels, got all 42 points from 0.25 to 0.625, shares of the picture" in line
    assert "Pass --coordinates normalized" in line


@pytest.mark.parametrize("head", ["image,width,height", "image"], ids=["as said", "as the header says"])
def test_shares_of_the_picture_are_scaled_when_the_user_says_so(tmp_path, head):
    table = table_of(tmp_path, uv() / (W, H), head)

    samples = samples_of("custom", tmp_path, annotations=table, coordinates="normalized")

    assert len(samples) == 2
    for sample in samples.values():
        np.testing.assert_allclose(sample.keypoints_2d, uv())


def test_shares_counted_from_the_corner_of_a_coco_file(tmp_path):
    (content, *_) = examples()
    points = np.column_stack([(uv() + 0.5) / (W, H), np.full(21, 2)])
    content["info"] = {"pixel_origin": "corner"}
    content["annotations"][0] |= {"keypoints": points.ravel().tolist(), "bbox": [0.25, 0.5, 0.5, 0.25]}
    picture(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(content))

    samples = samples_of("custom", tmp_path, annotations=tmp_path / "a.json", coordinates="normalized")

    (sample,) = samples.values()
    np.testing.assert_allclose(sample.keypoints_2d, uv())
    np.testing.assert_allclose(sample.bbox_xyxy, [80, 120, 240, 180])


def test_pixels_are_not_scaled_though_the_user_says_so(tmp_path, refused):
    asked = {"annotations": table_of(tmp_path, uv()), "coordinates": "normalized"}

    assert "got points up to 200, which are pixels" in refused(
        ConfigError, lambda: plan_of("custom", tmp_path, **asked)
    )


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("hands.ZIP", "Unpack it, and name the file of labels in it."),
        ("0001.txt", "Of YOLO, name its data.yaml."),
        ("hands.mat", "See docs/custom.md."),
    ],
)
def test_a_file_that_is_not_read_says_what_to_name_instead(tmp_path, name, fix):
    (tmp_path / name).write_bytes(b"PK")

    with pytest.raises(DataError, match=re.escape(fix) + "$"):
        read_annotations(tmp_path / name)


# ------------------------------------------------------------------------------------------------ other tables


def test_a_table_with_semicolons_and_decimal_commas(tmp_path):
    """As spreadsheets save it where a comma is the decimal mark."""
    table = table_of(tmp_path, uv() + 0.25)
    table.write_text(table.read_text().replace(",", ";").replace(".25", ",25"))

    plan = plan_of("custom", tmp_path, annotations=table)
    samples = samples_of("custom", tmp_path, annotations=table)

    assert "columns separated by semicolons" in dict(plan.readings)["format"]
    for sample in samples.values():
        np.testing.assert_allclose(sample.keypoints_2d, uv(0.25))


def test_parquet_of_the_columns_of_a_csv_is_the_same_labels(tmp_path):
    """As pandas writes it: NaN where a cell is empty, whole numbers as floats, words as categories."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = table_of(tmp_path, uv(0.25))
    lines = [line.split(",") for line in table.read_text().splitlines()]
    columns = {name: [float(cell) for cell in cells] for name, *cells in list(zip(*lines, strict=True))[1:]}
    columns["wrist_u"][1] = columns["wrist_v"][1] = float("nan")
    lines[2][3] = lines[2][4] = ""
    table.write_text("".join(",".join(line) + "\n" for line in lines))
    names = pa.array(["a.png", "a.png"]).dictionary_encode()
    notes = [{"by": "me"}, None]  # is no cell
    parquet.write_table(pa.table({"image": names, "note": notes, **columns}), tmp_path / "t.parquet")

    plan = plan_of("custom", tmp_path, annotations=tmp_path / "t.parquet")
    first, second = (samples_of("custom", tmp_path, annotations=tmp_path / name) for name in ("t.csv", "t.parquet"))

    assert "Parquet (a column `image` of names" in dict(plan.readings)["format"]
    assert list(first) == list(second)
    for one, other in zip(first.values(), second.values(), strict=True):
        np.testing.assert_array_equal(one.keypoints_2d, other.keypoints_2d)
    assert [int(np.isnan(one.keypoints_2d).all(-1).sum()) for one in second.values()] == [0, 1]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (
            {"image": [1, 2], "wrist_u": [1.0, 2.0]},
            "expected columns image and sample_id, or a column `image` of names",
        ),
        ({"wrist_u": [1.0, 2.0]}, "expected columns image and sample_id, or a column `image` of names"),
        ({"image": ["a.png", "a.png"], "wrist_u": ["x", "2"], "wrist_v": [1, 2]}, r"t\.parquet\[0\]: .*'x'"),
    ],
)
def test_parquet_without_names_of_pictures_or_with_words_for_points_is_refused(tmp_path, columns, line):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    picture(tmp_path / "a.png")
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")

    with pytest.raises(DataError, match=line):
        samples_of("custom", tmp_path, annotations=tmp_path / "t.parquet")


def test_parquet_with_a_column_twice_is_refused(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cells = [pa.array(["a.png"]), pa.array([1.0]), pa.array([2.0])]
    parquet.write_table(pa.table(cells, names=["image", "wrist_u", "wrist_u"]), tmp_path / "t.parquet")

    with pytest.raises(DataError, match="expected columns, each once, got wrist_u twice"):
        read_annotations(tmp_path / "t.parquet")


@pytest.mark.parametrize("column", ["image", "filename", "frame"])
def test_columns_x_and_y_without_z_are_of_the_picture(tmp_path, column):
    table = table_of(tmp_path, uv(), "image")
    table.write_text(table.read_text().replace("_u", "_x").replace("_v", "_y").replace("image", column, 1))

    plan = plan_of("custom", tmp_path, annotations=table)
    samples = samples_of("custom", tmp_path, annotations=table)

    assert "<point>_x and <point>_y without _z are of the picture" in dict(plan.readings)["format"]
    for sample in samples.values():
        np.testing.assert_allclose(sample.keypoints_2d, uv())
        assert not np.isfinite(sample.keypoints_3d).any()


def test_landmarks_by_name_with_a_relative_depth(tmp_path):
    picture(tmp_path / "a.png")
    names = ",".join(f"{name.upper()}_{axis}" for name in KEYPOINTS for axis in "xyz")
    cells = np.column_stack([uv() / (W, H), -0.01 * np.arange(21)]).ravel()
    (tmp_path / "t.csv").write_text(f"image,{names}\na.png,{','.join(map(str, cells))}\n")
    asked = {"annotations": tmp_path / "t.csv", "coordinates": "normalized"}

    assert "relative to the wrist and left out" in dict(plan_of("custom", tmp_path, **asked).readings)["format"]
    (sample,) = samples_of("custom", tmp_path, **asked).values()
    np.testing.assert_allclose(sample.keypoints_2d, uv())


@pytest.mark.parametrize("kind", ["named", "numbered"])
def test_rows_of_another_length_are_named_alike(tmp_path, refused, kind):
    table = table_of(tmp_path, uv())
    text = table.read_text()
    if kind == "numbered":
        for number, name in enumerate(KEYPOINTS):
            text = text.replace(f"{name}_u", f"x{number}").replace(f"{name}_v", f"y{number}")
    table.write_text(text[: text.rindex(",")] + "\n")

    line = refused(DataError, lambda: samples_of("custom", tmp_path, annotations=table))

    assert "t.csv:3: expected 45 cells, got 44" in line


def test_3d_with_a_column_missing_names_the_columns(tmp_path, refused):
    table = table_of(tmp_path, uv(), "image,wrist_x,wrist_y,thumb_tip_z,width,height")
    table.write_text(table.read_text().replace("a.png,", "a.png,1,2,,"))

    assert "wrist_x, wrist_y without wrist_z" in refused(
        DataError, lambda: samples_of("custom", tmp_path, annotations=table)
    )


@pytest.mark.parametrize("head", ["image,width,height", "image"], ids=["as said", "as the header says"])
def test_points_mostly_outside_their_picture_are_told(tmp_path, head):
    def warnings(points):
        return plan_of("custom", tmp_path, annotations=table_of(tmp_path, points, head)).warnings

    assert any(
        line.startswith("points: 42 of 42 lie outside their picture, up to 2.5 times its size (2 hands were")
        for line in warnings(uv() * 4)
    )
    assert not any(line.startswith("points:") for line in warnings(uv()))


# ------------------------------------------------------------------------------------------------ orders and names


def hands(count=20, seed=0):
    """Draw flat hands with fingers from the palm outwards, turned and bent a little."""
    rng = np.random.default_rng(seed)
    base = np.array([[-30, -20], [-20, -80], [0, -85], [18, -80], [35, -70]], float)
    reach = base / np.linalg.norm(base, axis=1, keepdims=True)
    fingers = base[:, None] + reach[:, None] * np.array([0, 38, 62, 82])[:, None]
    whole = np.vstack([np.zeros((1, 2)), fingers.reshape(20, 2)])
    return whole + rng.normal(0, 3, (count, 21, 2))


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_points_is_found_from_the_lengths_of_paths(name):
    listed = hands()[:, slots_of(name)]

    assert best_order(path_lengths(listed), "base-first") == name


def test_paths_of_few_hands_or_of_an_export_raise_no_doubt(tmp_path):
    """Points of one fist may lie in any order."""
    picture(tmp_path / "a.png")
    fist = hands(1)[0] + 150
    for finger in range(5, 21, 4):  # the tips are bent to the wrist
        fist[finger + 2 : finger + 4] = fist[0] + np.array([[0.4], [0.3]]) * (fist[finger] - fist[0])
    row = {"image_id": 0, "category_id": 1, "keypoints": np.column_stack([fist, np.full(21, 2)]).ravel().tolist()}
    head = {"images": [{"id": 0, "file_name": "a.png"}]}
    head["categories"] = [{"id": 1, "name": "hand", "keypoints": list(KEYPOINTS)}]

    def doubts(rows):
        (tmp_path / "a.json").write_text(json.dumps(head | {"annotations": rows}))
        warnings = plan_of("custom", tmp_path, annotations=tmp_path / "a.json").warnings
        return [line for line in warnings if "the points lie as in the order" in line]

    assert not doubts([row] * 4)
    assert doubts([row] * 5)
    own = [row | {"sample_id": f"{k}", "hand_side": "left", "visible": [1] * 21} for k in range(5)]
    assert not doubts(own)


@pytest.mark.parametrize(("count", "asked", "is_told"), [(9, "auto", True), (10, "auto", False), (9, "file", False)])
def test_an_order_found_from_few_hands_is_said_to_be_unsure(tmp_path, count, asked, is_told):
    """Of single hands `auto` takes some for another order; see docs/custom.md."""
    picture(tmp_path / "a.png")
    rows = [
        {"image_id": 0, "category_id": 1, "keypoints": np.column_stack([hand + 120, np.full(21, 2)]).ravel().tolist()}
        for hand in hands(count)
    ]
    half = dict(rows[0], keypoints=[*rows[0]["keypoints"][:-3], 0, 0, 0])  # says nothing of paths
    head = {"images": [{"id": 0, "file_name": "a.png"}], "categories": [{"id": 1, "name": "hand"}]}
    (tmp_path / "a.json").write_text(json.dumps(head | {"annotations": [*rows, half]}))

    warnings = plan_of("custom", tmp_path, annotations=tmp_path / "a.json", order=asked).warnings

    said = f"order: --order auto is not sure with {count} whole hands, fewer than 10: it chose base-first."
    assert any(line.startswith(said) for line in warnings) == is_told


def test_each_order_holds_every_point_once():
    for names in ORDERS.values():
        assert sorted(names) == sorted(KEYPOINTS)
    assert INDEX["thumb_tip"] == slots_of("rhd")[1]


def test_a_file_name_gives_its_sample_id_back():
    for name in ("a.b", "a-b", "x/y", "x__y", "x_/y", "x/_y", "Grasp1/0001", "images/train/a.png/0"):
        assert id_of_key(file_key(name)) == name


# ------------------------------------------------------------------------------------------------ nonsense

JUNK = [None, -1, 1e308, float("nan"), "", "x", [], {}, [[]], True, [1, 2, 3], {"a": 1}]


def spoiled(value, rng):
    """Return a copy of JSON in which something, somewhere, is something else or gone."""
    value = json.loads(json.dumps(value))
    node = value
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else int(rng.integers(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.3:
            node[key] = JUNK[int(rng.integers(len(JUNK)))]
            return value
        node = node[key]
    return value


def examples():
    names = [f"{k}" for k in KEYPOINTS]
    points = np.column_stack([uv(), np.full(21, 2)]).ravel().tolist()
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": W, "height": H}],
        "categories": [{"id": 1, "name": "hand", "keypoints": names}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "side": "left", "bbox": [1, 2, 3, 4]}],
    }
    coco["annotations"][0]["keypoints"] = points
    person = {"id": 1, "image_id": 1, "category_id": 1, "lefthand_valid": True, "lefthand_kpts": points}
    person |= {"righthand_valid": False, "lefthand_box": [1, 2, 3, 4]}
    rhd = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "hand_type": "left",
        "keypoints": np.reshape(points, (21, 3)).tolist(),
    }
    camera = {"cam_param": {"focal": [200.0, 200.0], "princpt": [160.0, 120.0]}}
    whole_body = {**coco, "annotations": [person]}
    yield from (coco, whole_body, {**coco, "images": [{**coco["images"][0], **camera}], "annotations": [rhd]})
    yield [{"image": "a.png", "width": W, "height": H, "hand_landmarks": [landmarks()], "handedness": ["Left"]}]


@pytest.mark.parametrize("content", list(examples()), ids=["coco", "wholebody", "rhd", "landmarks"])
def test_a_spoiled_file_is_read_or_refused_in_one_line(tmp_path, content):
    picture(tmp_path / "a.png")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(60):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(spoiled(content, rng)))
        try:
            samples_of("custom", tmp_path, annotations=path)
        except HanddataError as error:
            lines.append(str(error))

    assert len(lines) > 5
    assert not [line for line in lines if "\n" in line]


def test_names_of_pictures_in_parquet_that_are_no_text_are_told_in_a_line(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 5], np.int32)), pa.py_buffer(b"\xab.png"))
    images = pa.StructArray.from_arrays([pa.array([b"x"]), names], ["bytes", "path"])
    parquet.write_table(pa.table({"image": images, "sample_id": ["a"]}), tmp_path / "t.parquet")

    with pytest.raises(DataError, match=r"t\.parquet: expected a Parquet file, got 'utf-8' codec can't decode"):
        picture_bytes(tmp_path / "t.parquet", 0)
