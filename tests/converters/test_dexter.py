"""What is peculiar to Dexter+Object: axes, the calibrated and the thesis' projection, boxes, missing tips."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata import manifest
from handdata.boxes import load_boxes
from handdata.conversion.run import convert
from handdata.converters.dexter import DexterOptions, project_compat, to_color
from handdata.errors import ConfigError, DataError, MissingError
from handdata.geometry import project
from handdata.shards.dataset import open_dataset
from handdata.shards.schema import BoxSource, Flag
from handdata.skeleton import INDEX, LEFT, TIPS
from handdata.synth.native import dexter as writer
from handdata.synth.native.tree import Request
from handdata.synth.sequence import render_frame
from tests.converters.conftest import plan_of, samples_of

FACTS = manifest.load("dexter")
K = FACTS.cameras["color"].K
SENTINEL = "32001, 32001, 32001"
TIP_CELLS = ["-10, -20, 400", "0, -30, 410", "10, -30, 420", "20, -25, 430", "30, -15, 440"]
LINE = "; ".join([*TIP_CELLS, "0, 0, 450", "10, 0, 450", "0, 10, 450"])


def make_tree(root: Path, lines: dict[str, list[str]], pictures: dict[str, list[int]] | None = None) -> Path:
    """Write label lines and grey pictures, those of every line unless told which."""
    for sequence, rows in lines.items():
        folder = root / "data" / sequence
        (folder / "annotations").mkdir(parents=True)
        (folder / "color").mkdir()
        (folder / "annotations" / f"{sequence}3D.txt").write_text("".join(f"{row}\n" for row in rows))
        for number in (pictures or {}).get(sequence, range(1, len(rows) + 1)):
            cv2.imwrite(str(folder / "color" / f"Color_{number:04d}.bmp"), np.full((480, 640, 3), 90, np.uint8))
    return root


def test_the_projections_are_those_of_the_published_vectors(shared):
    vectors = json.loads((shared / "formats/test_vectors.json").read_text())["dexter_object"]
    native = np.array([vector["native"] for vector in vectors], float)

    calibrated, thesis = project(to_color(native, FACTS), K), project_compat(native, FACTS)
    depth = project(native * [-1, -1, 1], FACTS.cameras["depth"].K)

    np.testing.assert_allclose(calibrated, [v["color_uv_negate_xy"] for v in vectors], atol=1e-4)
    np.testing.assert_allclose(thesis, [v["color_uv_thesis"] for v in vectors], atol=1e-4)
    np.testing.assert_allclose(depth, [v["depth_uv"] for v in vectors], atol=1e-4)


def test_compat_is_what_the_thesis_code_gave(shared, tmp_path):
    golden = json.loads((shared / "golden/golden_give.json").read_text())["dexter"]
    line = "; ".join(", ".join(repr(x) for x in tip) for tip in golden["tips_mm_thumb_to_little"])
    root = make_tree(tmp_path, {"Grasp1": [line]})

    sample = samples_of("dexter", root, projection="compat")["Grasp1/0001"]

    present = np.array(golden["present_in_image"], bool)
    expected = np.array(golden["uv_640x480"])[[TIPS.index(k) for k in np.flatnonzero(present)]]
    np.testing.assert_allclose(sample.keypoints_2d[present], expected, atol=1e-5)
    inside = (sample.keypoints_2d >= 0).all(-1) & (sample.keypoints_2d <= (640, 480)).all(-1)
    np.testing.assert_array_equal(inside, present)  # the tip at 0, 0, 0 is absent there as it is here


def test_compat_differs_from_the_calibration_as_derived_d7():
    """The derivation leaves the small rotation and the shift along z out: two pixels."""
    native = np.array([[0.0, 0.0, z] for z in (300.0, 438.0, 600.0)])

    difference = project_compat(native, FACTS) - project(to_color(native, FACTS), K)

    np.testing.assert_allclose(difference[:, 0], [51.1 - 22380 / z for z in native[:, 2]], atol=2)
    np.testing.assert_allclose(difference[:, 1], [-8.5 + 2224 / z for z in native[:, 2]], atol=2)


@pytest.mark.parametrize("projection", ["calibrated", "compat"])
def test_every_2d_label_is_flagged_approximate_and_the_3d_is_calibrated(native_tree, projection):
    for sample in samples_of("dexter", native_tree("dexter"), projection=projection).values():
        assert sample.flags == Flag.PROJECTION_APPROXIMATE
        assert sample.hand_side == LEFT
        if projection == "calibrated":
            np.testing.assert_allclose(project(sample.keypoints_3d, K), sample.keypoints_2d, atol=1e-9)


def test_labels_lie_where_the_hand_was_rendered(native_tree):
    request = Request(dataset="dexter", frames=14, seed=0, small=True)
    for sequence in ("Grasp1", "Rotate"):
        frame = render_frame(writer._spec(sequence, request), 0)
        truth = frame.hands[0].keypoints_3d @ FACTS.cameras["color"].T_camera_label[:3, :3].T
        truth += FACTS.cameras["color"].T_camera_label[:3, 3]

        sample = samples_of("dexter", native_tree("dexter"))[f"{sequence}/0001"]

        labelled = np.isfinite(sample.keypoints_3d).all(-1)
        assert labelled.any()
        np.testing.assert_allclose(sample.keypoints_3d[labelled], truth[labelled], atol=2e-3)


@pytest.mark.parametrize(
    "missing", [SENTINEL, "1.5, 2.5, 32001", "0, 0, 0", "3.2001e+004, 3.2001e+004, 3.2001e+004"], ids=str
)
def test_a_missing_tip_is_nan(tmp_path, missing):
    root = make_tree(tmp_path, {"Grasp1": [LINE.replace(TIP_CELLS[1], missing)]})

    sample = samples_of("dexter", root)["Grasp1/0001"]

    annotated = {name for name, k in INDEX.items() if np.isfinite(sample.keypoints_3d[k]).all()}
    assert annotated == {"thumb_tip", "middle_tip", "ring_tip", "little_tip"}


@pytest.mark.parametrize("line", [LINE, f"{LINE};", f"{LINE} ; ", "; ".join(TIP_CELLS)], ids=range(4))
def test_a_line_reads_with_and_without_a_semicolon_at_its_end_or_corners(tmp_path, line):
    sample = samples_of("dexter", make_tree(tmp_path, {"Pinch": [line]}))["Pinch/0001"]

    assert [k for k in range(21) if np.isfinite(sample.keypoints_3d[k]).all()] == list(TIPS)


def test_corners_of_the_cuboid_are_no_keypoints_and_tell_of_an_object(tmp_path):
    without = "; ".join([*TIP_CELLS, SENTINEL, SENTINEL, SENTINEL])

    with_object, alone = samples_of("dexter", make_tree(tmp_path, {"Rigid": [LINE, without]})).values()

    assert (with_object.has_object, alone.has_object) == (1, -1)
    np.testing.assert_array_equal(with_object.keypoints_3d, alone.keypoints_3d)


def test_a_line_without_any_tip_is_a_sample_too(tmp_path):
    root = make_tree(tmp_path, {"Rigid": ["; ".join([SENTINEL] * 8), "", LINE]})

    samples = list(samples_of("dexter", root).values())
    convert("dexter", root, tmp_path / "out")

    assert [int(np.isfinite(s.keypoints_3d).all(-1).sum()) for s in samples] == [0, 0, 5]
    crops = open_dataset(tmp_path / "out")["crop_xyxy"]
    np.testing.assert_array_equal(crops[:2], [[80, 0, 560, 480]] * 2)  # nothing to crop by: the centre


@pytest.mark.parametrize(
    ("lines", "pictures", "ids", "note"),
    [
        (5, range(1, 4), [1, 2, 3], "Rigid: 2 of 5 label lines have no picture"),
        (3, range(1, 6), [1, 2, 3], "Rigid: 2 of 5 pictures left out: only 3 label lines"),
        (5, [1, 2, 4, 5], [1, 2, 4, 5], "Rigid: 1 pictures absent before Color_0005.bmp, the first for row 2"),
    ],
    ids=["fewer pictures", "fewer lines", "a gap"],
)
def test_pictures_and_lines_are_paired_by_number_up_to_the_shorter(tmp_path, lines, pictures, ids, note):
    rows = [LINE.replace(TIP_CELLS[0], f"-{10 + i}, -20, 400") for i in range(lines)]
    root = make_tree(tmp_path, {"Rigid": rows}, {"Rigid": list(pictures)})

    plan = plan_of("dexter", root)

    assert [item.frame for item in plan.items] == ids
    assert note in plan.warnings
    for number, sample in zip(ids, samples_of("dexter", root).values(), strict=True):
        x = to_color(np.array([-10.0 - (number - 1), -20, 400]), FACTS)
        np.testing.assert_allclose(sample.keypoints_3d[INDEX["thumb_tip"]], x)


def test_the_2d_labels_confirm_the_axes_where_they_are_there(tmp_path):
    """x left, y up is derived from two plots; u = 160 - fx x / z, v = 120 - fy y / z."""
    root = make_tree(tmp_path, {"Rigid": [LINE, LINE], "Pinch": [LINE]})
    agree = "; ".join(
        f"{160 - 224.502 * x / z:.1f}, {120 - 230.494 * y / z:.1f}"
        for x, y, z in (map(float, cell.split(",")) for cell in LINE.split("; "))
    )
    turned = "; ".join(["250.0, 20.0"] * 5)
    (root / "data/Rigid/annotations/Rigid2D.txt").write_text(f"{agree}\n{turned}\n")

    said = dict(plan_of("dexter", root).readings)["2D against 3D labels"]

    assert said.endswith("5 of 10 tips more than 10 px: Rigid 5")
    (root / "data/Rigid/annotations/Rigid2D.txt").write_text(f"{agree}\ndamaged\n")
    said = dict(plan_of("dexter", root).readings)["2D against 3D labels"]
    assert said == "median 0.0 px apart, 0 of 5 tips more than 10 px"
    (root / "data/Rigid/annotations/Rigid2D.txt").unlink()
    assert dict(plan_of("dexter", root).readings)["2D against 3D labels"] == "not checked: no tip has both"


def test_absent_sequences_are_named(tmp_path):
    plan = plan_of("dexter", make_tree(tmp_path, {"Pinch": [LINE]}))

    assert "absent: Grasp1, Grasp2, Occlusion, Rigid, Rotate" in plan.warnings


def test_pictures_without_labels_and_labels_without_pictures_are_refused(tmp_path, refused):
    root = make_tree(tmp_path, {"Pinch": [LINE], "Rigid": [LINE]})
    label = root / "data/Pinch/annotations/Pinch3D.txt"
    text = label.read_text()
    label.unlink()
    assert "Pinch3D.txt" in refused(MissingError, lambda: plan_of("dexter", root))

    label.write_text(text)
    (root / "data/Pinch/color/Color_0001.bmp").unlink()
    assert "data/Pinch/color" in refused(MissingError, lambda: plan_of("dexter", root))


@pytest.mark.parametrize(
    "line",
    [LINE.replace("410", "4l0"), LINE.replace(", 410", ""), LINE.replace("410", "nan"), f"{LINE}; 1, 2, 3",
     LINE.replace("410", "-410"), LINE.replace("-10,", "-1e7,"), LINE.replace("-10,", "-1e300,")],
    ids=["letter", "two numbers", "nan", "nine points", "behind the camera", "ten kilometres away", "no float32"],
)  # fmt: skip
def test_a_damaged_line_is_named_or_skipped_alone(tmp_path, refused, line):
    root = make_tree(tmp_path, {"Rigid": [LINE, line, LINE]})

    assert "Rigid3D.txt:2" in refused(DataError, lambda: samples_of("dexter", root))
    result = convert("dexter", root, tmp_path / "out", skip_bad=True)
    assert list(result.skipped) == ["Rigid/0002"]
    assert result.num_samples == 2


# ------------------------------------------------------------------------------------------------ boxes


def boxes_file(path: Path, rows: list[str]) -> Path:
    path.write_text("img_name,x,y,w,h\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_a_box_decides_the_crop_and_says_who_made_it(tmp_path):
    root = make_tree(tmp_path / "native", {"Rigid": [LINE, LINE]})
    boxes = boxes_file(tmp_path / "boxes.csv", ["Rigid/color/Color_0001.bmp,275.0,126.0,248.0,248.0"])

    result = convert("dexter", root, tmp_path / "out", options=DexterOptions(boxes=boxes))

    dataset = open_dataset(tmp_path / "out")
    np.testing.assert_array_equal(dataset["crop_xyxy"][0], [275, 126, 523, 374])
    np.testing.assert_array_equal(dataset["bbox_xyxy"][0], [275, 126, 523, 374])
    assert list(dataset["bbox_source"]) == [BoxSource.TRACKER, BoxSource.NONE]
    assert "1 of 2 pictures have no hand box" in result.plan.warnings
    assert "1 of 2 pictures have a box that no person is known to have seen" in result.plan.warnings


def test_boxes_that_a_person_has_seen_are_not_counted_as_unseen(tmp_path):
    root, boxes = make_tree(tmp_path / "native", {"Rigid": [LINE, LINE]}), tmp_path / "boxes.csv"
    rows = [f"Rigid/color/Color_000{i}.bmp,275.0,126.0,248.0,248.0,tracker,{2 - i},0.0\n" for i in (1, 2)]
    boxes.write_text("img_name,x,y,w,h,source,reviewed,doubt\n" + "".join(rows))

    result = convert("dexter", root, tmp_path / "out", options=DexterOptions(boxes=boxes))

    assert "1 of 2 pictures have a box that no person is known to have seen" in result.plan.warnings


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ("0,0,1e6,1e6", "expected a hand within 16 sides of its picture of 640 x 480 px, got a crop of 0, 0, 1e+06"),
        ("0,0,1e7,1e7", "[bbox]: expected numbers up to 1e+06, got 1e+07"),
        ("1e12,1e12,5,5", "[bbox]: expected numbers up to 1e+06"),
        ("20000,100,50,50", "expected a hand within 16 sides of its picture"),
        ("100,100,0.5,0.5", "expected a hand within 16 sides of its picture"),
        ("100,100,1e-300,1e-300", "[box]: expected a box with a width and a height"),
    ],
)
def test_a_box_that_no_picture_has_is_refused_before_any_work_or_skipped_alone(tmp_path, refused, box, told):
    root = make_tree(tmp_path / "native", {"Rigid": [LINE, LINE]})
    options = DexterOptions(boxes=boxes_file(tmp_path / "boxes.csv", [f"Rigid/color/Color_0001.bmp,{box}"]))

    line = refused(DataError, lambda: convert("dexter", root, tmp_path / "out", options=options))
    assert told in line
    assert "Color_0001.bmp" in line
    assert list(convert("dexter", root, tmp_path / "out", options=options, skip_bad=True).skipped) == ["Rigid/0001"]


def test_boxes_that_miss_a_fingertip_are_counted(tmp_path):
    root = make_tree(tmp_path / "native", {"Rigid": [LINE] * 3})
    rows = [f"Rigid/color/Color_{i:04d}.bmp,{x},100,300,300" for i, x in ((1, 250), (2, 0), (3, 250))]

    plan = plan_of("dexter", root, boxes=boxes_file(tmp_path / "boxes.csv", rows))

    note = "the box leaves an annotated fingertip outside in 1 of 3 pictures: Rigid/0002"
    assert note in plan.warnings


def test_the_folder_of_boxes_made_with_the_annotator_is_used_by_itself(tmp_path):
    root = make_tree(tmp_path / "native", {"Rigid": [LINE]})
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/Rigid.csv").write_text(
        "img_name,x,y,w,h,source,reviewed,doubt\nRigid/color/Color_0001.bmp,260.0,120.0,200.0,200.0,person,1,0.0\n"
    )

    convert("dexter", root, tmp_path / "out", options=DexterOptions(boxes_default=tmp_path / "boxes"))

    dataset = open_dataset(tmp_path / "out")
    assert list(dataset["bbox_source"]) == [BoxSource.PERSON]
    np.testing.assert_array_equal(dataset["bbox_xyxy"], [[260, 120, 460, 320]])


def test_a_folder_where_the_annotator_left_no_table_counts_as_none(tmp_path):
    root = make_tree(tmp_path / "native", {"Rigid": [LINE]})
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/Rigid.csv.lock").touch()

    convert("dexter", root, tmp_path / "out", options=DexterOptions(boxes_default=tmp_path / "boxes"))
    convert("dexter", root, tmp_path / "none", options=DexterOptions())

    assert (tmp_path / "out/index.json").read_bytes() == (tmp_path / "none/index.json").read_bytes()


def test_the_published_boxes_fit_as_they_are(shared):
    table = load_boxes(shared / "samples/dexter/bbox_dexter+object.csv")

    for sequence in FACTS.sequences["test"]:
        assert sum(name == sequence for name, _ in table.rows) == FACTS.counts[sequence]
        box, source = table.lookup(sequence, "Color_0001.bmp")
        assert source == BoxSource.TRACKER
        assert box[2] - box[0] == box[3] - box[1]


# ------------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("scheme", "splits"),
    [
        ("default", {"Grasp1": "test", "Grasp2": "test", "Rotate": "test"}),
        ("reference", {"Grasp1": "train", "Grasp2": "val", "Rotate": "train"}),
        ("reference-rotate", {"Grasp1": "train", "Grasp2": "train", "Rotate": "val"}),
    ],
)
def test_splits(tmp_path, scheme, splits):
    root = make_tree(tmp_path, {sequence: [LINE] for sequence in splits})

    plan = plan_of("dexter", root, split_scheme=scheme)

    assert {item.sequence: item.split for item in plan.items} == splits


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split_scheme": "random"}, "--split-scheme: expected one of default, reference, reference-rotate"),
        ({"projection": "guess"}, "--projection"),
        ({"sequences": ("Grasp3",)}, "--sequences"),
    ],
    ids=str,
)
def test_an_option_that_does_not_fit_is_refused(tmp_path, refused, options, named):
    root = make_tree(tmp_path, {"Rigid": [LINE]})

    assert named in refused(ConfigError, lambda: plan_of("dexter", root, **options))
