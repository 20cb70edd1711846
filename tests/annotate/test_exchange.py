"""Boxes to other programs' formats and back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from handdata.annotate.box_formats import FORMATS, export_text, guess_format, import_text
from handdata.annotate.pictures import Pictures
from handdata.boxes import BoxRow
from handdata.errors import ConfigError, DataError
from tests.annotate.conftest import NUM_FRAMES, place


@pytest.fixture
def rows(pictures: Pictures) -> list[BoxRow]:
    """Lost, tracked, drawn, interpolated, absent, tracked again."""
    sources = ["lost", "tracker", "person", "interpolated", "absent", *["tracker"] * (NUM_FRAMES - 5)]
    return [
        BoxRow(name, None if source in ("lost", "absent") else place(i), source, doubt=0.25)
        for i, (name, source) in enumerate(zip(pictures.img_names, sources, strict=True))
    ]


@pytest.mark.parametrize("kind", ["csv", "coco"])
def test_csv_and_coco_keep_everything(kind: str, rows: list[BoxRow], pictures: Pictures) -> None:
    assert import_text(kind, export_text(kind, rows, pictures), "t", pictures) == rows


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_keeps_the_boxes(kind: str, rows: list[BoxRow], pictures: Pictures) -> None:
    again = import_text(kind, export_text(kind, rows, pictures), "t", pictures)

    assert [row.img_name for row in again] == [row.img_name for row in rows]
    assert [row.box for row in again] == [row.box for row in rows]


def test_cvat_gets_one_track_with_a_keyframe_a_frame(rows: list[BoxRow], pictures: Pictures) -> None:
    root = ET.fromstring(export_text("cvat", rows, pictures))

    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/original_size/width") == "160"
    (track,) = root.findall("track")
    assert track.attrib["label"] == "hand"
    boxes = {int(box.attrib["frame"]): box.attrib for box in track}
    assert set(boxes) == set(range(1, NUM_FRAMES))  # frame 0 has no box before it to put outside
    assert {box["keyframe"] for box in boxes.values()} == {"1"}
    assert [boxes[i]["outside"] for i in (3, 4, 5)] == ["0", "1", "0"]
    assert [boxes[2][side] for side in ("xtl", "ytl", "xbr", "ybr")] == ["16.0", "22.0", "56.0", "62.0"]


CVAT = """<annotations><version>1.1</version><track id="0" label="hand">
<box frame="2" keyframe="1" outside="0" occluded="0" xtl="10" ytl="20" xbr="50" ybr="60"/>
<box frame="6" keyframe="1" outside="0" occluded="0" xtl="50" ytl="20" xbr="90" ybr="60"/>
<box frame="7" keyframe="0" outside="0" occluded="0" xtl="51" ytl="20" xbr="91" ybr="60"/>
<box frame="9" keyframe="1" outside="1" occluded="0" xtl="50" ytl="20" xbr="90" ybr="60"/>
</track></annotations>"""


def test_a_persons_cvat_track_gives_keyframes_and_interpolated_boxes(pictures: Pictures) -> None:
    rows = import_text("cvat", CVAT, "t.xml", pictures)

    sources = [row.source for row in rows]
    assert sources[:10] == ["absent"] * 2 + ["person"] + ["interpolated"] * 3 + ["person"] + ["interpolated"] * 2 + [
        "absent"
    ]
    assert set(sources[10:]) == {"absent"}
    assert rows[4].box == (30.0, 20.0, 40.0, 40.0)  # halfway from 10 to 50
    assert rows[8].box == (51.0, 20.0, 40.0, 40.0)  # holds until it is outside


def test_coco_has_ids_sizes_and_areas(rows: list[BoxRow], pictures: Pictures) -> None:
    value = json.loads(export_text("coco", rows, pictures))

    assert value["images"][1] == {"id": 2, "file_name": "img_1.png", "width": 160, "height": 120}
    first = value["annotations"][0]
    assert (first["image_id"], first["bbox"], first["area"], first["iscrowd"]) == (
        2,
        [13.0, 21.0, 40.0, 40.0],
        1600.0,
        0,
    )
    assert [category["id"] for category in value["categories"]] == [first["category_id"]]


def test_mot_counts_frames_from_one(rows: list[BoxRow], pictures: Pictures) -> None:
    lines = export_text("mot", rows, pictures).splitlines()

    assert len(lines) == NUM_FRAMES - 2
    assert lines[0] == "2,1,13.0,21.0,40.0,40.0,1,1,1"  # ground truth: confidence, class, visibility


COCO = '{"images": [{"id": 1, "file_name": "img_0.png"}], "annotations": [%s]}'


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("cvat", "no xml", "expected CVAT for video 1.1, XML"),
        ("cvat", "<annotations/>", "with 0 tracks"),
        ("cvat", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "document type declaration"),
        ("cvat", CVAT.replace('frame="2"', 'frame="99"'), r"\[frame 99\]"),
        ("cvat", CVAT.replace('xbr="50"', 'xbr="5"'), r"\[frame 2\]"),
        ("cvat", CVAT.replace('xbr="50"', 'xbr="nan"'), r"\[frame 2\]"),
        ("cvat", CVAT.replace('xbr="50" ', ""), "expected box with frame"),
        ("coco", "{", "t:1: expected JSON"),
        ("coco", "[]", "expected COCO"),
        ("coco", '{"images": [], "annotations": []}', r"expected images such as img_0\.png"),
        ("coco", COCO % '{"image_id": 2}', "KeyError"),
        ("coco", COCO % '{"image_id": 1, "bbox": [0, 0, 0, 1]}', "bbox"),
        ("mot", "1,1,2", "t:1: expected frame,id"),
        ("mot", "1,1,5,5,9,9\n1,2,5,5,9,9", "t:2: expected one box"),
        ("mot", "25,1,5,5,9,9", "t:1: expected one box"),
        ("mot", "1,1,5,5,-9,9", "t:1: expected one box"),
        ("csv", "a,b", "t:1: expected the columns"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_in_one_line(kind: str, text: str, said: str, pictures: Pictures) -> None:
    with pytest.raises(DataError, match=said) as caught:
        import_text(kind, text, "t", pictures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", [lambda p: export_text("zip", [], p), lambda p: import_text("zip", "", "t", p)])
def test_an_unknown_format_is_refused(call: Callable[[Pictures], object], pictures: Pictures) -> None:
    with pytest.raises(ConfigError, match="expected one of csv, csv5, cvat, coco, mot, got zip"):
        call(pictures)


@pytest.mark.parametrize(("name", "kind"), [("a.CSV", "csv"), ("a.xml", "cvat"), ("a.json", "coco"), ("gt.txt", "mot")])
def test_the_format_is_known_by_the_ending(name: str, kind: str) -> None:
    assert guess_format(name) == kind


def test_the_published_table_goes_through_the_five_column_format_unchanged(shared: Path, pictures: Pictures) -> None:
    published = (shared / "samples" / "dexter" / "bbox_dexter+object.csv").read_text()

    rows = [replace(row, doubt=0.5) for row in import_text("csv", published, "t", pictures)]
    assert export_text("csv5", rows, pictures) == published
